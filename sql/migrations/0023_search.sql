-- Full text search. What can be found stands in a table of its own, kept by triggers (sql/functions/search.sql): a comment's
-- row is not rewritten to be indexed, and a comment that moves its item's last activity does not touch an index of words.

-- One live thing that has text. Where it stands tells who may see it; that is asked of the place, never stored here.
CREATE TABLE search_documents (
    site_id         bigint      NOT NULL,
    item_type_id    smallint    NOT NULL,
    item_id         bigint      NOT NULL,
    shelf           bigint      NOT NULL,                       -- of a comment, its id >> 13; of everything else, -1
    place_id        bigint,                                     -- the item it is, or is a comment on
    person_id       bigint,                                     -- the profile it is, or is a comment on
    author_id       bigint      NOT NULL,
    created         timestamptz NOT NULL,
    vector          tsvector    NOT NULL,
    PRIMARY KEY (site_id, item_type_id, item_id)
);
-- The shelf lets a search for a common word look at the newest comments first, and stop.
CREATE INDEX search_documents_vector ON search_documents USING gin (site_id, shelf, vector);

-- What is still to be written there: of a site and a kind, everything up to this id. `languages` are those in which it
-- stands there now; until it is done, a search asks in those too.
CREATE TABLE search_work (
    site_id         bigint      NOT NULL REFERENCES sites,
    item_type_id    smallint    NOT NULL,                       -- 6: items of all kinds
    upto_id         bigint      NOT NULL,
    languages       regconfig[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (site_id, item_type_id)
);
-- From the top: what is written before the triggers are there is covered too.
INSERT INTO search_work (site_id, item_type_id, upto_id)
SELECT s.site_id, k.kind, 9223372036854775807
  FROM sites s
 CROSS JOIN unnest(ARRAY[2, 3, 4, 6]::smallint[]) AS k (kind)
 WHERE EXISTS (SELECT FROM microcosms m WHERE m.site_id = s.site_id);

-- Words as they are written, for completing and correcting what somebody types. Who may be shown one is asked each time.
CREATE TABLE search_words (
    site_id         bigint      NOT NULL,
    word            text        NOT NULL,
    documents       integer     NOT NULL,                       -- about how many it was seen in
    PRIMARY KEY (site_id, word)
) WITH (fillfactor = 80);
CREATE INDEX search_words_prefix ON search_words (site_id, word text_pattern_ops);
CREATE INDEX search_words_alike ON search_words USING gin (site_id, word gin_trgm_ops);

-- Up to which id words were learnt from each table.
CREATE TABLE search_progress (
    task            text        PRIMARY KEY,
    upto_id         bigint      NOT NULL
);

-- Each text configuration of PostgreSQL, with accents taken off first.
DO $$
DECLARE
    one record;
    token record;
BEGIN
    FOR one IN SELECT c.oid, c.cfgname FROM pg_ts_config c WHERE c.cfgnamespace = 'pg_catalog'::regnamespace LOOP
        EXECUTE format('CREATE TEXT SEARCH CONFIGURATION public.%I (COPY = pg_catalog.%I)', 'forum_' || one.cfgname, one.cfgname);
        FOR token IN
            SELECT t.alias, string_agg(m.mapdict::regdictionary::text, ', ' ORDER BY m.mapseqno) AS dictionaries
              FROM pg_ts_config_map m
              JOIN ts_token_type('default') t ON t.tokid = m.maptokentype
             WHERE m.mapcfg = one.oid AND t.alias IN ('word', 'hword', 'hword_part', 'numword')
             GROUP BY t.alias
        LOOP
            EXECUTE format('ALTER TEXT SEARCH CONFIGURATION public.%I ALTER MAPPING FOR %s WITH public.unaccent, %s',
                           'forum_' || one.cfgname, token.alias, token.dictionaries);
        END LOOP;
    END LOOP;
END $$;

-- What was indexed before is not asked for by any release.
DROP INDEX comments_search;
DROP INDEX items_search;
ALTER TABLE comments DROP COLUMN text_vector;
ALTER TABLE items DROP COLUMN title_vector;

-- Items of all kinds, last activity first: metadata search.
CREATE INDEX items_active ON items (site_id, last_activity DESC, item_id DESC) WHERE NOT is_deleted AND NOT is_moderated;
