-- What changed in a site, by transaction: how a process knows that a page it keeps is still what the database would say
-- (docs/decisions/0008). The triggers that fill it are in sql/functions/site_changes.sql.
CREATE TABLE site_changes (
    site_id         bigint      NOT NULL,
    changed_in      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    item_id         bigint      NOT NULL,                           -- 0: any page of the site; -1: its lists only
    created         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, changed_in, item_id)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.5);
CREATE INDEX site_changes_created ON site_changes (created);
