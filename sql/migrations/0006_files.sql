-- Files: what each uploader called them, how much each has stored, and what stands in the store without a row.

-- The row of a file belongs to the platform; its name belongs to whoever uploaded it, on one site.
ALTER TABLE file_uploads
    ADD COLUMN file_name text NOT NULL DEFAULT '',
    ADD COLUMN file_ext  text NOT NULL DEFAULT '';

ALTER TABLE file_variants
    ADD COLUMN variant_size bigint;
CREATE INDEX file_variants_hash ON file_variants (variant_hash);

-- Bytes that a profile has uploaded to a site; profile 0 is the site as a whole. A file counts once for each uploader.
CREATE TABLE file_usage (
    site_id         bigint      NOT NULL REFERENCES sites,
    profile_id      bigint      NOT NULL,
    bytes           bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (site_id, profile_id)
) WITH (fillfactor = 70);

-- Objects that may stand in the store without a row in `files`: noted before an object is written, struck out by the
-- transaction that inserts its row. What stays here for long is deleted from the store.
CREATE TABLE file_strays (
    file_hash       text        PRIMARY KEY CHECK (file_hash ~ '^[0-9a-f]{40}$'),
    since           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX file_strays_since ON file_strays (since);

-- Texts that link to files, so that looking for files nobody uses does not read every comment.
CREATE INDEX comments_with_files ON comments (site_id, comment_id) WHERE markdown LIKE '%/files/%';
CREATE INDEX comment_revisions_with_files ON comment_revisions (site_id, comment_id)
    WHERE markdown LIKE '%/files/%';
