-- The event log and its sequence are cut into days (architecture, the event log): dropping a day is cheap, deleting it is not.

-- Make the partitions of the next `ahead` days and drop those that ended more than `keep` days ago. Returns how many of
-- each. Today's rows of a new installation stand in the default partition, which is swept instead of dropped.
CREATE FUNCTION event_partitions(ahead integer, keep integer) RETURNS TABLE (made integer, dropped integer)
LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    day date;
    child text;
    old regclass;
    today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    made := 0;
    dropped := 0;
    FOREACH parent IN ARRAY ARRAY['event_log', 'event_sequence'] LOOP
        FOR day IN SELECT today + n FROM generate_series(1, ahead) AS n LOOP
            child := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
            IF to_regclass(child) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                               child, parent, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
                made := made + 1;
            END IF;
        END LOOP;
        FOR old IN
            SELECT i.inhrelid::regclass
              FROM pg_inherits i
              JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = parent::regclass
               AND c.relname ~ '_\d{8}$'
               AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - keep
        LOOP
            EXECUTE format('DROP TABLE %s', old);
            dropped := dropped + 1;
        END LOOP;
        EXECUTE format('DELETE FROM %I WHERE created < now() - make_interval(days => $1)', parent || '_default') USING keep;
    END LOOP;
    RETURN NEXT;
END $$;
