-- Rows of one site in a table that the catalog names, for the deletion of whole sites (forumapi/cron/site_deletions.py).

-- Deletes up to `most` rows; of a partitioned table partition by partition, since a ctid is unique within one alone.
CREATE FUNCTION delete_site_rows(tab regclass, site bigint, most bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    part regclass;
    done bigint := 0;
    found_rows bigint;
BEGIN
    FOR part IN SELECT c.oid::regclass FROM pg_class c WHERE c.oid = tab AND c.relkind = 'r'
                 UNION ALL
                SELECT p.relid FROM pg_partition_tree(tab) p WHERE p.isleaf AND p.relid <> tab
    LOOP
        EXECUTE format('DELETE FROM %s t WHERE t.ctid = ANY(ARRAY(SELECT s.ctid FROM %s s WHERE s.site_id = $1 LIMIT $2))',
                       part, part)
          USING site, most - done;
        GET DIAGNOSTICS found_rows = ROW_COUNT;
        done := done + found_rows;
        EXIT WHEN done >= most;
    END LOOP;
    RETURN done;
END $$;

-- Counts the rows of every table with a column site_id, those without any included.
CREATE FUNCTION count_site_rows(site bigint) RETURNS TABLE (tab text, total bigint)
LANGUAGE plpgsql AS $$
BEGIN
    FOR tab IN SELECT c.oid::regclass::text
                 FROM pg_class c
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'site_id' AND NOT a.attisdropped
                WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT count(*) FROM %s t WHERE t.site_id = $1', tab) INTO total USING site;
        RETURN NEXT;
    END LOOP;
END $$;
