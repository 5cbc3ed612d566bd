-- What was removed for good and may still stand outside of the tables: files in the store, documents in the cache. No
-- text of it.

SET LOCAL lock_timeout = '5s';

CREATE TABLE redactions (
    site_id         bigint      NOT NULL REFERENCES sites,
    item_type_id    smallint    NOT NULL,
    item_id         bigint      NOT NULL,
    version         integer     NOT NULL,                       -- the cache may hold documents up to this one
    file_hashes     text[]      NOT NULL DEFAULT '{}',
    created         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, item_type_id, item_id)
);
COMMENT ON TABLE redactions IS 'Legal removals that are not finished: their files and cached documents are to be deleted';
