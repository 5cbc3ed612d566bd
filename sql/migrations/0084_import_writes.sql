-- Later runs of an import: what the run before wrote is not written again, so that people's changes here stay.

SET LOCAL lock_timeout = '5s';

ALTER TABLE imported_items
    ADD COLUMN written text;                        -- of a comment: revisions, deleted, moderated, digest of its texts

CREATE TABLE import_marks (
    site_id         bigint      NOT NULL,
    origin_id       bigint      NOT NULL,
    digest          uuid        NOT NULL,           -- of kind, old ids and values
    PRIMARY KEY (site_id, origin_id, digest),
    FOREIGN KEY (site_id, origin_id) REFERENCES import_origins
);
COMMENT ON TABLE import_marks IS
    'Digests of imported rows without an old id of their own (bans, reactions, follows, fields, files): none is written twice';
