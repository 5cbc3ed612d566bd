-- The event log and its sequence are cut into days (architecture, the event log): dropping a day is cheap, deleting it is not.

-- Make one missing partition of the next `ahead` days, or drop one that ended more than `keep` days ago; return (1, 0) or
-- (0, 1). Where there is none, sweep the default partitions, in which a new installation's first rows stand, and return
-- (0, 0). One call changes one table: whoever reads or writes the log locks its tables in an order of their own, so a
-- transaction that changed two of them could deadlock with these.
CREATE FUNCTION event_partitions(ahead integer, keep integer) RETURNS TABLE (made integer, dropped integer)
LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    day date;
    child text;
    old regclass;
    today date := (now() AT TIME ZONE 'UTC')::date;
    parents text[] := ARRAY['event_log', 'event_sequence'];
BEGIN
    FOREACH parent IN ARRAY parents LOOP
        FOR day IN SELECT today + n FROM generate_series(1, ahead) AS n LOOP
            child := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
            IF to_regclass(child) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                               child, parent, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
                RETURN QUERY SELECT 1, 0;
                RETURN;
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
            RETURN QUERY SELECT 0, 1;
            RETURN;
        END LOOP;
    END LOOP;
    FOREACH parent IN ARRAY parents LOOP
        EXECUTE format('DELETE FROM %I WHERE created < now() - make_interval(days => $1)', parent || '_default') USING keep;
    END LOOP;
    RETURN QUERY SELECT 0, 0;
END $$;
