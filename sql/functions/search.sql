-- Full text search: how texts become vectors and queries, what keeps search_documents in step, and the search itself.

-- ------------------------------------------------------------------ texts

-- Letters of scripts that are written without spaces, for a bracket of a regular expression: Thai, Lao, Tibetan, Burmese,
-- Khmer, Chinese, Japanese.
CREATE FUNCTION search_unspaced() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '\u0E01-\u0EFF\u0F00-\u0FFF\u1000-\u109F\u1780-\u17FF\u2E80-\u2FDF\u3005-\u3007\u3031-\u3035\u3041-\u30FF\u3100-\u312F\u31A0-\u31BF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\uFF66-\uFF9F\U00020000-\U0003FFFF'
$$;

-- The texts between which PostgreSQL's parser would see more than words (addresses, paths, tags) as plain words.
CREATE FUNCTION search_plain(source text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT translate(source, './\-@:_<>&;=+%*#~`|^$"()[]{}!?,', '                                ')
$$;

-- A run of letters of such a script as words: each pair of neighbours, and with `ends` its last letter alone, so that a
-- letter begins one word wherever it stands. A word is u and five hexadecimal digits a letter.
CREATE FUNCTION search_pairs(run text, ends boolean) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg('u' || p.one || coalesce(p.next, ''), ' ' ORDER BY p.place)
      FROM (SELECT c.place, lpad(to_hex(ascii(c.letter)), 5, '0') AS one,
                   lead(lpad(to_hex(ascii(c.letter)), 5, '0')) OVER (ORDER BY c.place) AS next
              FROM string_to_table(run, NULL) WITH ORDINALITY AS c (letter, place)) p
     WHERE ends OR p.next IS NOT NULL
$$;

-- A text as words with spaces between them, for to_tsvector and its like. With `ends`: of a document, else of a query.
CREATE FUNCTION search_tokens(source text, ends boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    letters CONSTANT text := '[' || search_unspaced() || ']';
    plain text := search_plain(source);
BEGIN
    IF octet_length(plain) = length(plain) OR plain !~ letters THEN
        RETURN plain;
    END IF;
    RETURN coalesce((SELECT string_agg(CASE WHEN r.part[1] IS NULL THEN r.part[2]
                                            ELSE ' ' || coalesce(search_pairs(r.part[1], ends), '') || ' ' END, '' ORDER BY r.place)
                       FROM regexp_matches(plain, '(' || letters || '+)|((?:(?!' || letters || ').)+|\n+)', 'g')
                            WITH ORDINALITY AS r (part, place)), '');
END $$;

-- PostgreSQL's text configuration of a language, as the one that takes accents off.
CREATE FUNCTION search_config(language regconfig) RETURNS regconfig LANGUAGE sql STABLE AS $$
    SELECT ('public.forum_' || c.cfgname)::regconfig FROM pg_ts_config c WHERE c.oid = language
$$;

-- Titles and other short fields are stored escaped.
CREATE FUNCTION search_unescaped(source text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN strpos(source, '&') = 0 THEN source
                ELSE replace(replace(replace(replace(replace(source, '&lt;', '<'), '&gt;', '>'), '&#34;', '"'), '&#39;', ''''),
                             '&amp;', '&') END
$$;

-- The hashtags of a text as words of their own, in lower case, with a weight.
CREATE FUNCTION search_hashtags(source text, weight text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN strpos(source, '#') = 0 THEN ''::tsvector
                ELSE coalesce((SELECT string_agg(DISTINCT '''#' || lower(left(m.part[1], 200)) || ''':1' || weight, ' ')
                                 FROM regexp_matches(source, '(?<!\w)#(\w+)', 'g') AS m (part)), '')::tsvector END
$$;

-- What is indexed of a text that is no title.
CREATE FUNCTION search_body(config regconfig, document text) RETURNS tsvector LANGUAGE sql STABLE AS $$
    SELECT to_tsvector(config, search_tokens(left(document, 50000), true)) || search_hashtags(document, 'D')
$$;

-- What is indexed: the title with its weight, the text behind it with D, and the hashtags of either.
CREATE FUNCTION search_vector(language regconfig, title text, weight "char", document text) RETURNS tsvector
LANGUAGE plpgsql STABLE AS $$
DECLARE
    config regconfig := search_config(language);
    found tsvector := '';
BEGIN
    IF title <> '' THEN
        found := setweight(to_tsvector(config, search_tokens(title, true)), weight) || search_hashtags(title, weight::text);
    END IF;
    IF document <> '' THEN
        found := found || search_body(config, document);
    END IF;
    RETURN found;
END $$;

-- ------------------------------------------------------------------ keeping search_documents

-- The shelf of what is no comment: below zero, the newest ids lowest. (A comment's is its id >> 13.) Rows from before
-- there were such shelves stand on -1, the last one, until they are written anew.
CREATE FUNCTION search_title_shelf(id bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT -1 - (id >> 13)
$$;

CREATE FUNCTION search_forget(in_site bigint, kind smallint, id bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM search_documents d WHERE d.site_id = in_site AND d.item_type_id = kind AND d.item_id = id
$$;

-- Write the documents of a kind whose ids are over `after` and up to `upto`, as they are now; how many. The rows stay
-- locked against changes until the transaction ends, so that none is overtaken by an older text.
CREATE FUNCTION search_write(in_site bigint, kind smallint, after bigint, upto bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    IF kind = 4 THEN
        PERFORM FROM comments c WHERE c.site_id = in_site AND c.comment_id > after AND c.comment_id <= upto FOR SHARE;
    ELSIF kind = 6 THEN
        PERFORM FROM items i WHERE i.site_id = in_site AND i.item_id > after AND i.item_id <= upto FOR SHARE;
    ELSIF kind = 2 THEN
        PERFORM FROM microcosms m WHERE m.site_id = in_site AND m.microcosm_id > after AND m.microcosm_id <= upto FOR SHARE;
    ELSE
        PERFORM FROM profiles p WHERE p.site_id = in_site AND p.profile_id > after AND p.profile_id <= upto FOR SHARE;
    END IF;
    INSERT INTO search_documents AS d (site_id, item_type_id, item_id, shelf, place_id, person_id, author_id, created, vector)
    SELECT c.site_id, 4, c.comment_id, c.comment_id >> 13, c.item_id, c.on_profile_id, c.created_by, c.created,
           search_vector(s.search_language, '', 'D', c.markdown)
      FROM comments c JOIN sites s ON s.site_id = c.site_id
     WHERE kind = 4 AND c.site_id = in_site AND c.comment_id > after AND c.comment_id <= upto
       AND NOT c.is_deleted AND NOT c.is_moderated
     UNION ALL
    SELECT i.site_id, i.item_type_id, i.item_id, search_title_shelf(i.item_id), i.item_id, NULL, i.created_by, i.created,
           search_vector(s.search_language, search_unescaped(i.title), 'C', search_unescaped(coalesce(e.place, o.question, '')))
      FROM items i
      JOIN sites s ON s.site_id = i.site_id
      LEFT JOIN events e ON e.site_id = i.site_id AND e.item_id = i.item_id
      LEFT JOIN polls o ON o.site_id = i.site_id AND o.item_id = i.item_id
     WHERE kind = 6 AND i.site_id = in_site AND i.item_id > after AND i.item_id <= upto
       AND NOT i.is_deleted AND NOT i.is_moderated
     UNION ALL
    SELECT m.site_id, 2, m.microcosm_id, search_title_shelf(m.microcosm_id), NULL, NULL, m.created_by, m.created,
           search_vector(s.search_language, search_unescaped(m.title), 'A', search_unescaped(m.description))
      FROM microcosms m JOIN sites s ON s.site_id = m.site_id
     WHERE kind = 2 AND m.site_id = in_site AND m.microcosm_id > after AND m.microcosm_id <= upto
       AND NOT m.is_deleted AND NOT m.is_moderated
     UNION ALL
    SELECT p.site_id, 3, p.profile_id, search_title_shelf(p.profile_id), NULL, p.profile_id, p.profile_id, p.created,
           search_vector(s.search_language, search_unescaped(p.profile_name), 'B', '')
      FROM profiles p JOIN sites s ON s.site_id = p.site_id
     WHERE kind = 3 AND p.site_id = in_site AND p.profile_id > after AND p.profile_id <= upto
        ON CONFLICT (site_id, item_type_id, item_id) DO UPDATE SET shelf = EXCLUDED.shelf, vector = EXCLUDED.vector;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END $$;

-- The words of a text that are learnt: of some letters, and not of a script without spaces.
CREATE FUNCTION search_learnable(source text) RETURNS SETOF text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT u.word
      FROM unnest(tsvector_to_array(to_tsvector('public.forum_simple', search_plain(source)))) AS u (word)
     WHERE length(u.word) BETWEEN 3 AND 30 AND u.word ~ '[^0-9]' AND u.word !~ ('[' || search_unspaced() || ']')
$$;

-- Note the words of a text that nobody reads any more, but for those that its new text, if there is one, has too.
CREATE FUNCTION search_note_gone(in_site bigint, gone text, kept text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO search_gone (site_id, words)
    SELECT in_site, w.words
      FROM (SELECT ARRAY(SELECT search_learnable(gone) EXCEPT SELECT search_learnable(coalesce(kept, ''))) AS words) w
     WHERE w.words <> '{}'
$$;

-- All comments of one statement together: an import writes hundreds at a time.
CREATE FUNCTION search_new_comments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH configs AS MATERIALIZED (
        SELECT s.site_id, search_config(s.search_language) AS config
          FROM sites s
         WHERE s.site_id IN (SELECT m.site_id FROM made m))
    INSERT INTO search_documents (site_id, item_type_id, item_id, shelf, place_id, person_id, author_id, created, vector)
    SELECT m.site_id, 4, m.comment_id, m.comment_id >> 13, m.item_id, m.on_profile_id, m.created_by, m.created,
           search_body(f.config, m.markdown)
      FROM made m
      JOIN configs f ON f.site_id = m.site_id
     WHERE NOT m.is_deleted AND NOT m.is_moderated;
    RETURN NULL;
END $$;

CREATE FUNCTION search_comment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search_documents d
     WHERE d.site_id = OLD.site_id AND d.item_type_id = 4 AND d.item_id = OLD.comment_id;
    -- Of huddles no word was learnt.
    IF NOT OLD.is_deleted AND NOT OLD.is_moderated
       AND NOT EXISTS (SELECT FROM items i
                        WHERE i.site_id = OLD.site_id AND i.item_id = OLD.item_id AND i.item_type_id = 5) THEN
        PERFORM search_note_gone(OLD.site_id, left(OLD.markdown, 50000),
                            CASE WHEN TG_OP = 'UPDATE' AND NOT NEW.is_deleted AND NOT NEW.is_moderated
                                 THEN left(NEW.markdown, 50000) END);
    END IF;
    IF TG_OP <> 'DELETE' AND NOT NEW.is_deleted AND NOT NEW.is_moderated THEN
        INSERT INTO search_documents (site_id, item_type_id, item_id, shelf, place_id, person_id, author_id, created, vector)
        SELECT NEW.site_id, 4, NEW.comment_id, NEW.comment_id >> 13, NEW.item_id, NEW.on_profile_id, NEW.created_by,
               NEW.created, search_vector(s.search_language, '', 'D', NEW.markdown)
          FROM sites s WHERE s.site_id = NEW.site_id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER search_new AFTER INSERT ON comments REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION search_new_comments();
CREATE TRIGGER search_deleted AFTER DELETE ON comments FOR EACH ROW EXECUTE FUNCTION search_comment();
CREATE TRIGGER search_changed AFTER UPDATE OF markdown, is_deleted, is_moderated ON comments
    FOR EACH ROW WHEN (OLD.markdown IS DISTINCT FROM NEW.markdown OR OLD.is_deleted <> NEW.is_deleted
                       OR OLD.is_moderated <> NEW.is_moderated)
    EXECUTE FUNCTION search_comment();

-- Of an item, and of what its type adds to it: events and polls are written after their item.
CREATE FUNCTION search_item() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone record := CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END;
    of_type text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF TG_TABLE_NAME = 'events' THEN
            PERFORM search_note_gone(OLD.site_id, search_unescaped(OLD.place), search_unescaped(NEW.place));
        ELSIF TG_TABLE_NAME = 'polls' THEN
            PERFORM search_note_gone(OLD.site_id, search_unescaped(OLD.question), search_unescaped(NEW.question));
        ELSIF OLD.item_type_id <> 5 AND NOT OLD.is_deleted AND NOT OLD.is_moderated THEN
            of_type := (SELECT coalesce((SELECT e.place FROM events e
                                          WHERE e.site_id = OLD.site_id AND e.item_id = OLD.item_id),
                                        (SELECT o.question FROM polls o
                                          WHERE o.site_id = OLD.site_id AND o.item_id = OLD.item_id)));
            PERFORM search_note_gone(OLD.site_id, search_unescaped(concat_ws(' ', OLD.title, of_type)),
                                     CASE WHEN NOT NEW.is_deleted AND NOT NEW.is_moderated
                                          THEN search_unescaped(concat_ws(' ', NEW.title, of_type)) END);
        END IF;
    END IF;
    DELETE FROM search_documents d
     WHERE d.site_id = gone.site_id AND d.item_type_id IN (5, 6, 7, 9) AND d.item_id = gone.item_id;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO search_documents (site_id, item_type_id, item_id, shelf, place_id, author_id, created, vector)
        SELECT i.site_id, i.item_type_id, i.item_id, search_title_shelf(i.item_id), i.item_id, i.created_by, i.created,
               search_vector(s.search_language, search_unescaped(i.title), 'C',
                             search_unescaped(coalesce(e.place, o.question, '')))
          FROM items i
          JOIN sites s ON s.site_id = i.site_id
          LEFT JOIN events e ON e.site_id = i.site_id AND e.item_id = i.item_id
          LEFT JOIN polls o ON o.site_id = i.site_id AND o.item_id = i.item_id
         WHERE i.site_id = NEW.site_id AND i.item_id = NEW.item_id AND NOT i.is_deleted AND NOT i.is_moderated;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER search_new AFTER INSERT OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION search_item();
CREATE TRIGGER search_changed AFTER UPDATE OF title, is_deleted, is_moderated ON items
    FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title OR OLD.is_deleted <> NEW.is_deleted
                       OR OLD.is_moderated <> NEW.is_moderated)
    EXECUTE FUNCTION search_item();
CREATE TRIGGER search_new AFTER INSERT ON events FOR EACH ROW WHEN (NEW.place <> '') EXECUTE FUNCTION search_item();
CREATE TRIGGER search_changed AFTER UPDATE OF place ON events
    FOR EACH ROW WHEN (OLD.place IS DISTINCT FROM NEW.place) EXECUTE FUNCTION search_item();
CREATE TRIGGER search_new AFTER INSERT ON polls FOR EACH ROW EXECUTE FUNCTION search_item();
CREATE TRIGGER search_changed AFTER UPDATE OF question ON polls
    FOR EACH ROW WHEN (OLD.question IS DISTINCT FROM NEW.question) EXECUTE FUNCTION search_item();

CREATE FUNCTION search_microcosm() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM search_forget(OLD.site_id, 2::smallint, OLD.microcosm_id);
        IF NOT OLD.is_deleted AND NOT OLD.is_moderated THEN
            PERFORM search_note_gone(OLD.site_id, search_unescaped(OLD.title || ' ' || OLD.description),
                                CASE WHEN TG_OP = 'UPDATE' AND NOT NEW.is_deleted AND NOT NEW.is_moderated
                                     THEN search_unescaped(NEW.title || ' ' || NEW.description) END);
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM search_write(NEW.site_id, 2::smallint, NEW.microcosm_id - 1, NEW.microcosm_id);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER search_new AFTER INSERT OR DELETE ON microcosms FOR EACH ROW EXECUTE FUNCTION search_microcosm();
CREATE TRIGGER search_changed AFTER UPDATE OF title, description, is_deleted, is_moderated ON microcosms
    FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title OR OLD.description IS DISTINCT FROM NEW.description
                       OR OLD.is_deleted <> NEW.is_deleted OR OLD.is_moderated <> NEW.is_moderated)
    EXECUTE FUNCTION search_microcosm();

CREATE FUNCTION search_profile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM search_forget(OLD.site_id, 3::smallint, OLD.profile_id);
        PERFORM search_note_gone(OLD.site_id, search_unescaped(OLD.profile_name),
                            CASE WHEN TG_OP = 'UPDATE' THEN search_unescaped(NEW.profile_name) END);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM search_write(NEW.site_id, 3::smallint, NEW.profile_id - 1, NEW.profile_id);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER search_new AFTER INSERT OR DELETE ON profiles FOR EACH ROW EXECUTE FUNCTION search_profile();
CREATE TRIGGER search_changed AFTER UPDATE OF profile_name ON profiles
    FOR EACH ROW WHEN (OLD.profile_name IS DISTINCT FROM NEW.profile_name) EXECUTE FUNCTION search_profile();

-- Another language: everything is to be written anew, and until then asked for in the one before too.
CREATE FUNCTION search_language_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_work AS w (site_id, item_type_id, upto_id, languages)
    SELECT NEW.site_id, k.kind, 9223372036854775807, ARRAY[OLD.search_language]
      FROM unnest(ARRAY[2, 3, 4, 6]::smallint[]) AS k (kind)
        ON CONFLICT (site_id, item_type_id) DO UPDATE
       SET upto_id = EXCLUDED.upto_id, languages = array_remove(w.languages, OLD.search_language) || EXCLUDED.languages;
    RETURN NULL;
END $$;

CREATE TRIGGER search_language_changed AFTER UPDATE OF search_language ON sites
    FOR EACH ROW WHEN (OLD.search_language <> NEW.search_language) EXECUTE FUNCTION search_language_changed();

-- Write documents of what is still to be written of a site's kind, up to `most` and up to three million bytes of text; how many
-- rows were looked at. 0: it is done.
CREATE FUNCTION search_fill(in_site bigint, kind smallint, most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    upto bigint;
    first bigint;
    looked integer;
BEGIN
    SELECT w.upto_id INTO upto FROM search_work w WHERE w.site_id = in_site AND w.item_type_id = kind FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT min(n.id), count(*) INTO first, looked
      FROM (SELECT n.id, sum(n.size) OVER (ORDER BY n.id DESC) - n.size AS before
              FROM ((SELECT c.comment_id AS id, octet_length(c.markdown) AS size FROM comments c
                      WHERE kind = 4 AND c.site_id = in_site AND c.comment_id <= upto
                      ORDER BY c.comment_id DESC LIMIT most)
                     UNION ALL
                    (SELECT i.item_id, octet_length(i.title) FROM items i
                      WHERE kind = 6 AND i.site_id = in_site AND i.item_id <= upto
                      ORDER BY i.item_id DESC LIMIT most)
                     UNION ALL
                    (SELECT m.microcosm_id, octet_length(m.description) FROM microcosms m
                      WHERE kind = 2 AND m.site_id = in_site AND m.microcosm_id <= upto
                      ORDER BY m.microcosm_id DESC LIMIT most)
                     UNION ALL
                    (SELECT p.profile_id, octet_length(p.profile_name) FROM profiles p
                      WHERE kind = 3 AND p.site_id = in_site AND p.profile_id <= upto
                      ORDER BY p.profile_id DESC LIMIT most)) n) n
     WHERE n.before < 3000000;
    IF looked = 0 THEN
        DELETE FROM search_work w WHERE w.site_id = in_site AND w.item_type_id = kind;
        RETURN 0;
    END IF;
    PERFORM search_write(in_site, kind, first - 1, upto);
    UPDATE search_work w SET upto_id = first - 1 WHERE w.site_id = in_site AND w.item_type_id = kind;
    RETURN looked;
END $$;

-- ------------------------------------------------------------------ queries

-- Words next to each other; a letter alone of a script without spaces begins any word. Parts with U+001F between them
-- must all be there, wherever they stand.
CREATE FUNCTION search_phrase(language regconfig, words text) RETURNS tsquery LANGUAGE plpgsql STABLE AS $$
DECLARE
    letters CONSTANT text := '[' || search_unspaced() || ']';
    config regconfig := search_config(language);
    found tsquery := '';
    part text;
    one text[];
BEGIN
    FOREACH part IN ARRAY string_to_array(words, E'\x1f') LOOP
        found := found && phraseto_tsquery(config, search_tokens(part, false));
        IF octet_length(part) <> length(part) THEN
            FOR one IN SELECT m.found FROM regexp_matches(search_plain(part), '(?<!' || letters || ')' || letters || '(?!' || letters || ')', 'g')
                                           AS m (found) LOOP
                found := found && ('u' || lpad(to_hex(ascii(one[1])), 5, '0') || ':*')::tsquery;
            END LOOP;
        END IF;
    END LOOP;
    RETURN found;
END $$;

-- The query that some words make: those of one group are alternatives, all groups must be there, and none of the negated
-- ones. `tags` are hashtags with their sign. `only_positive` leaves the negated ones out.
CREATE FUNCTION search_query(languages regconfig[], words text[], groups integer[], negated boolean[], tags text[],
                             only_positive boolean) RETURNS tsquery
LANGUAGE plpgsql STABLE SET client_min_messages = warning AS $$
DECLARE
    found tsquery := '';
    either tsquery;
    one record;
    word text;
    language regconfig;
    tag text;
BEGIN
    FOR one IN SELECT u.team, bool_or(u.negated) AS negated, array_agg(u.word ORDER BY u.place) AS words
                 FROM unnest(words, groups, negated) WITH ORDINALITY AS u (word, team, negated, place)
                GROUP BY u.team ORDER BY u.team LOOP
        CONTINUE WHEN one.negated AND only_positive;
        either := '';
        FOREACH word IN ARRAY one.words LOOP
            FOREACH language IN ARRAY languages LOOP
                either := either || search_phrase(language, word);
            END LOOP;
        END LOOP;
        IF numnode(either) > 0 THEN
            found := found && CASE WHEN one.negated THEN !!either ELSE either END;
        END IF;
    END LOOP;
    FOREACH tag IN ARRAY tags LOOP
        found := found && (quote_literal(lower(left(tag, 201))))::tsquery;
    END LOOP;
    RETURN found;
END $$;

-- The languages in which a site's documents stand now, its own first.
CREATE FUNCTION search_languages(in_site bigint) RETURNS regconfig[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(l.language ORDER BY l.place)
      FROM (SELECT u.language, min(u.place) AS place
              FROM (SELECT s.search_language AS language, 0 AS place FROM sites s WHERE s.site_id = in_site
                     UNION ALL
                    SELECT unnest(w.languages), 1 FROM search_work w WHERE w.site_id = in_site) u
             GROUP BY u.language) l
$$;

-- ------------------------------------------------------------------ what is found

-- What holds the words and may be shown: live, readable, not ignored, and as the filters want it; the newest first, that is
-- shelf by shelf and on each from the highest id down. A filter that is null does not count. Expanded into the statements below,
-- and read only as far as their LIMIT wants. Each EXISTS has an OFFSET 0: without, a plan for whatever is asked may read all
-- profiles of a site to tell whether one is visible.
--
-- `way`: of comments, 'shelves', one after the other from `first` down to `last`; 'all', all of these in one go; 'author',
-- through the comments of `author`, those on shelves up to `first`. Of everything else, 'title shelves', from `first` up to
-- `last`; 'titles', all in one go. Only what says `item_type_id <> 4` is served by the index of titles.
-- `kinds`: types whose documents count. `with_comments`: comments too; on things of the types `parents` (null: all), and
-- on those of `ids`. `readable`: microcosms. `everywhere`: also what stands in none: profiles, huddles of `me`.
--
-- With `positive`, the words but for the negated ones, each has its rank, and whether its title holds them.
CREATE FUNCTION search_matching(
    in_site bigint, me bigint, wanted tsquery, in_title tsquery, positive tsquery, way text, first bigint, last bigint, kinds smallint[],
    with_comments boolean, parents smallint[], ids bigint[], readable bigint[], everywhere boolean, ignored_items bigint[],
    ignored_people bigint[], author bigint, since timestamptz, until timestamptz, starts_after timestamptz,
    starts_before timestamptz, attending boolean, attached boolean, following boolean)
RETURNS TABLE (item_type_id smallint, item_id bigint, modified timestamptz, rank real, is_title boolean)
LANGUAGE sql STABLE AS $$
    SELECT m.item_type_id, m.item_id, t.modified,
           CASE WHEN positive IS NOT NULL THEN ts_rank_cd(m.vector, positive, 8) END,
           positive IS NOT NULL AND m.item_type_id <> 4 AND ts_filter(m.vector, '{a,b,c}') @@ positive
      FROM (SELECT d.item_type_id, d.item_id, d.place_id, d.person_id, d.author_id, d.created, d.vector
              FROM generate_series(first, last, -1) AS s (shelf)
             CROSS JOIN LATERAL (
                    SELECT d.item_type_id, d.item_id, d.place_id, d.person_id, d.author_id, d.created, d.vector
                      FROM search_documents d
                     WHERE d.site_id = in_site AND d.shelf = s.shelf AND d.vector @@ wanted
                     ORDER BY d.item_id DESC, d.item_type_id OFFSET 0) d
             WHERE way = 'shelves'
             UNION ALL
            SELECT d.item_type_id, d.item_id, d.place_id, d.person_id, d.author_id, d.created, d.vector
              FROM generate_series(first, last) AS s (shelf)
             CROSS JOIN LATERAL (
                    SELECT d.item_type_id, d.item_id, d.place_id, d.person_id, d.author_id, d.created, d.vector
                      FROM search_documents d
                     WHERE d.site_id = in_site AND d.shelf = s.shelf AND d.vector @@ wanted AND d.item_type_id <> 4
                     ORDER BY d.item_id DESC, d.item_type_id OFFSET 0) d
             WHERE way = 'title shelves'
             UNION ALL
           (SELECT d.item_type_id, d.item_id, d.place_id, d.person_id, d.author_id, d.created, d.vector
              FROM search_documents d
             -- The shelf not in the index: it would read all that are in the range.
             WHERE way = 'all' AND d.site_id = in_site AND d.vector @@ wanted AND d.item_type_id = 4
               AND d.shelf + 0 BETWEEN last AND first
             ORDER BY d.item_id DESC)
             UNION ALL
           (SELECT d.item_type_id, d.item_id, d.place_id, d.person_id, d.author_id, d.created, d.vector
              FROM search_documents d
             WHERE way = 'titles' AND d.site_id = in_site AND d.vector @@ wanted AND d.item_type_id <> 4
             ORDER BY d.shelf, d.item_id DESC, d.item_type_id)
             UNION ALL
            SELECT d.item_type_id, d.item_id, d.place_id, d.person_id, d.author_id, d.created, d.vector
              FROM (SELECT c.comment_id FROM comments c
                     WHERE way = 'author' AND c.site_id = in_site AND c.created_by = author
                     ORDER BY c.created DESC OFFSET 0) c
             CROSS JOIN LATERAL (
                    SELECT d.item_type_id, d.item_id, d.place_id, d.person_id, d.author_id, d.created, d.vector
                      FROM search_documents d
                     WHERE d.site_id = in_site AND d.item_type_id = 4 AND d.item_id = c.comment_id AND d.shelf + 0 <= first
                    OFFSET 0) d
             -- Out here: each comment is found by its key, not by what it holds.
             WHERE d.vector @@ wanted) m
      -- The item that it is or is on, if that is live.
      LEFT JOIN LATERAL (
            SELECT i.item_type_id, i.microcosm_id, i.created_by, i.last_activity
              FROM items i
             WHERE i.site_id = in_site AND i.item_id = m.place_id AND NOT i.is_deleted AND NOT i.is_moderated
            OFFSET 0) i ON true
     CROSS JOIN LATERAL (
            SELECT CASE WHEN m.item_type_id IN (2, 4) THEN m.created
                        WHEN m.item_type_id = 3
                        THEN (SELECT n.last_active FROM profile_counters n
                               WHERE n.site_id = in_site AND n.profile_id = m.item_id)
                        ELSE i.last_activity END AS modified OFFSET 0) t
     WHERE (in_title IS NULL OR ts_filter(m.vector, '{a,b,c}') @@ in_title)
       AND (author IS NULL OR m.author_id = author)
       AND CASE WHEN m.item_type_id = 4
                THEN with_comments AND (parents IS NULL OR m.place_id IS NOT NULL OR 3 = ANY(parents))
                     AND (ids IS NULL OR coalesce(m.place_id, m.person_id) = ANY(ids))
                     AND m.author_id NOT IN (SELECT unnest(ignored_people))
                ELSE m.item_type_id = ANY(kinds) AND (ids IS NULL OR m.item_id = ANY(ids)) END
       AND CASE WHEN m.item_type_id = 2 THEN m.item_id IN (SELECT unnest(readable))
                WHEN m.place_id IS NOT NULL
                THEN m.place_id NOT IN (SELECT unnest(ignored_items))
                     AND (m.item_type_id <> 4 OR parents IS NULL OR i.item_type_id = ANY(parents))
                     AND CASE WHEN i.item_type_id = 5
                              THEN everywhere AND i.created_by NOT IN (SELECT unnest(ignored_people))
                                   AND EXISTS (SELECT FROM huddle_participants h
                                                WHERE h.site_id = in_site AND h.item_id = m.place_id AND h.profile_id = me OFFSET 0)
                              ELSE i.microcosm_id IN (SELECT unnest(readable)) END
                ELSE everywhere AND m.person_id NOT IN (SELECT unnest(ignored_people))
                     AND EXISTS (SELECT FROM profiles p
                                  WHERE p.site_id = in_site AND p.profile_id = m.person_id AND p.is_visible OFFSET 0) END
       AND (since IS NULL OR t.modified > since)
       AND (until IS NULL OR t.modified < until)
       AND (starts_after IS NULL AND starts_before IS NULL
            OR EXISTS (SELECT FROM events e
                        WHERE e.site_id = in_site AND e.item_id = m.item_id AND m.item_type_id = 9
                          AND (starts_after IS NULL OR e.when_utc > starts_after)
                          AND (starts_before IS NULL OR e.when_utc < starts_before) OFFSET 0))
       AND (attending IS NULL
            OR EXISTS (SELECT FROM attendees a
                        WHERE a.site_id = in_site AND a.item_id = m.item_id AND m.item_type_id = 9
                          AND a.profile_id = me AND a.state_id = 1 OFFSET 0))
       AND (attached IS NULL
            OR EXISTS (SELECT FROM attachments f
                        WHERE f.site_id = in_site AND f.item_type_id = m.item_type_id AND f.item_id = m.item_id OFFSET 0))
       AND (following IS NULL
            OR EXISTS (SELECT FROM watchers w
                        WHERE w.site_id = in_site AND w.profile_id = me AND w.item_type_id = m.item_type_id
                          AND w.item_id = m.item_id OFFSET 0))
$$;

-- The shelves of a site: the newest and the oldest of its comments, and the newest of everything else. Null where there are none.
CREATE FUNCTION search_shelves(in_site bigint, OUT newest bigint, OUT oldest bigint, OUT titles bigint)
LANGUAGE sql STABLE AS $$
    SELECT (SELECT max(d.item_id) >> 13 FROM search_documents d WHERE d.site_id = in_site AND d.item_type_id = 4),
           (SELECT min(d.item_id) >> 13 FROM search_documents d WHERE d.site_id = in_site AND d.item_type_id = 4),
           search_title_shelf((SELECT max(k.newest)
                                 FROM unnest('{2,3,5,6,7,9}'::smallint[]) AS t (kind)
                                CROSS JOIN LATERAL (
                                       SELECT max(d.item_id) AS newest FROM search_documents d
                                        WHERE d.site_id = in_site AND d.item_type_id = t.kind) k))
$$;

-- About how many texts on the shelves from `highest` down to `lowest` hold the words, whoever may see them: what stands on
-- six shelves, evenly apart, tells of the rest. Exact enough to compare with `compared`, no more.
CREATE FUNCTION search_held(in_site bigint, wanted tsquery, highest bigint, lowest bigint, compared integer) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT (count(d.found) * greatest(1.0, (highest - lowest + 1) / 6.0))::bigint
      FROM (SELECT DISTINCT highest - (highest - lowest) * n / 5 AS shelf FROM generate_series(0, 5) AS n) s
     CROSS JOIN LATERAL (
           (SELECT true AS found FROM search_documents d
             WHERE highest >= 0 AND d.site_id = in_site AND d.shelf = s.shelf AND d.vector @@ wanted
             LIMIT 20 + 3 * compared / (highest - lowest + 1))
             UNION ALL
           (SELECT true FROM search_documents d
             WHERE highest < 0 AND d.site_id = in_site AND d.shelf = s.shelf AND d.vector @@ wanted AND d.item_type_id <> 4
             LIMIT 20 + 3 * compared / (highest - lowest + 1))) d
$$;

-- One page of what holds the words. Of titles and of comments each, the `ranked` newest are found and weighed, and as many
-- more as the page wants, `most` at the most; `is_more` says that it was left at that. So the work for a word does not grow with how
-- often it stands there: comments are looked through from the newest shelf down, but where a few shelves say that the
-- words are rare, the index is asked for all shelves in one go, and where the author wrote less than what holds the words, their
-- comments are gone through. When `limit_ms` are over, what was found until then is all there is, and `is_partial` says so.
-- One row at least, for the total. `ordering`: '' (by weight), date, oldest, newest. Filters as above.
CREATE FUNCTION search_text(
    in_site bigint, me bigint, wanted tsquery, positive tsquery, only_titles boolean, kinds smallint[], with_comments boolean,
    parents smallint[], ids bigint[], readable bigint[], everywhere boolean, ignored_items bigint[],
    ignored_people bigint[], author bigint, since timestamptz, until timestamptz, starts_after timestamptz,
    starts_before timestamptz, attending boolean, attached boolean, following boolean, ordering text, most integer,
    ranked integer, page_limit integer, page_offset integer, limit_ms integer)
RETURNS TABLE (place bigint, item_type_id smallint, item_id bigint, rank real, modified timestamptz, total integer,
               is_partial boolean, is_more boolean)
-- Planned once: to plan its statements anew takes longer than to run them. And planned alike whatever is known of the tables:
-- nothing costs but each entry that an index gives, so that it is the index of words that serves, however few texts a site
-- has on average or had when the plan was made. By the key, all texts of a site would be read.
LANGUAGE plpgsql STABLE ROWS 25
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET seq_page_cost = 0 SET random_page_cost = 0
SET cpu_operator_cost = 0 SET cpu_index_tuple_cost = 1 AS $$
#variable_conflict use_column
DECLARE
    ends CONSTANT timestamptz := clock_timestamp() + make_interval(secs => limit_ms / 1000.0);
    sought CONSTANT tsquery := CASE WHEN only_titles THEN positive ELSE wanted END;
    in_title CONSTANT tsquery := CASE WHEN only_titles THEN wanted END;
    -- One more than the page holds tells that there is another page.
    goal CONSTANT integer := least(most, greatest(ranked, page_offset + page_limit + 1));
    -- Titles move with each comment below them: in another order than by weight the newest ones are not the first.
    title_goal CONSTANT integer := CASE WHEN ordering = '' THEN goal ELSE most END;
    -- What begins or is attended is no comment, and nobody watches one.
    comments CONSTANT boolean := with_comments AND starts_after IS NULL AND starts_before IS NULL AND attending IS NULL
                                 AND following IS NULL;
    weighed CONSTANT tsquery := CASE WHEN ordering = '' THEN positive END;
    title_kinds smallint[] := '{}';
    title_ids bigint[] := '{}';
    title_times timestamptz[] := '{}';
    title_ranks real[] := '{}';
    title_is boolean[] := '{}';
    comment_ids bigint[] := '{}';
    comment_times timestamptz[] := '{}';
    comment_ranks real[] := '{}';
    step_kinds smallint[];
    step_is boolean[];
    step_ids bigint[];
    step_times timestamptz[];
    step_ranks real[];
    newest bigint;
    oldest bigint;
    newest_titles bigint;
    next_shelf bigint;
    last_shelf bigint;
    looked integer := 0;
    held bigint;
    way text := 'shelves';
    enough integer := goal;
    furthest integer := most;
    partial boolean := false;
    more boolean := false;
BEGIN
    IF numnode(positive) > 0 THEN
        SELECT s.newest, s.oldest, s.titles INTO newest, oldest, newest_titles FROM search_shelves(in_site) s;
    END IF;
    IF newest IS NOT NULL AND comments THEN
        next_shelf := newest;
        LOOP
            -- Unless the shelves looked through last, first two and then 16 at once, say that the words are common, others
            -- are asked, once: what was common lately may stand nowhere else.
            IF held IS NULL
               AND (looked = 2 AND cardinality(comment_ids)::bigint * (next_shelf - oldest + 1) < 8 * goal
                    OR looked > 2 AND cardinality(step_ids)::bigint * (next_shelf - oldest + 1) < 64 * goal) THEN
                held := search_held(in_site, sought, next_shelf, oldest, 4 * ranked);
                IF held <= 4 * ranked THEN
                    way := 'all';
                    enough := most;
                ELSIF author IS NOT NULL
                      AND (SELECT n.comment_count FROM profile_counters n
                            WHERE n.site_id = in_site AND n.profile_id = author) * 3 < held THEN
                    way := 'author';
                END IF;
            END IF;
            last_shelf := CASE WHEN way <> 'shelves' THEN oldest WHEN looked < 2 THEN next_shelf
                               ELSE greatest(oldest, next_shelf - 15) END;
            SELECT coalesce(array_agg(m.item_id), '{}'), coalesce(array_agg(m.modified), '{}'), coalesce(array_agg(m.rank), '{}')
              INTO step_ids, step_times, step_ranks
              FROM (SELECT m.item_id, m.modified, m.rank
                      FROM search_matching(in_site, me, sought, in_title, weighed, way, next_shelf, last_shelf, '{}', true,
                                           parents, ids, readable, everywhere, ignored_items, ignored_people, author, since,
                                           until, NULL, NULL, NULL, attached, NULL) m
                     LIMIT enough - cardinality(comment_ids)) m;
            comment_ids := comment_ids || step_ids;
            comment_times := comment_times || step_times;
            comment_ranks := comment_ranks || step_ranks;
            EXIT WHEN way <> 'shelves' OR cardinality(comment_ids) >= enough;
            looked := looked + 1;
            -- Where the next comments are: there may be none on many shelves, when those of other sites are there.
            SELECT max(d.item_id) >> 13 INTO next_shelf
              FROM search_documents d WHERE d.site_id = in_site AND d.item_type_id = 4 AND d.item_id < last_shelf << 13;
            EXIT WHEN next_shelf IS NULL;
            IF clock_timestamp() > ends THEN
                partial := true;
                EXIT;
            END IF;
        END LOOP;
        more := cardinality(comment_ids) >= enough;
    END IF;
    IF newest_titles IS NOT NULL AND cardinality(kinds) > 0 THEN
        way := CASE WHEN newest_titles < -6 AND search_held(in_site, sought, -1, newest_titles, 4 * ranked) <= 4 * ranked
                    THEN 'titles' ELSE 'title shelves' END;
        enough := CASE WHEN way = 'titles' THEN most ELSE title_goal END;
        next_shelf := newest_titles;
        LOOP
            last_shelf := CASE WHEN way = 'titles' THEN -1 ELSE least(-1, next_shelf + 15) END;
            SELECT coalesce(array_agg(m.item_type_id), '{}'), coalesce(array_agg(m.item_id), '{}'),
                   coalesce(array_agg(m.modified), '{}'), coalesce(array_agg(m.rank), '{}'), coalesce(array_agg(m.is_title), '{}')
              INTO step_kinds, step_ids, step_times, step_ranks, step_is
              FROM (SELECT m.item_type_id, m.item_id, m.modified, m.rank, m.is_title
                      FROM search_matching(in_site, me, sought, in_title, weighed, way, next_shelf, last_shelf, kinds, false,
                                           parents, ids, readable, everywhere, ignored_items, ignored_people, author, since,
                                           until, starts_after, starts_before, attending, attached, following) m
                     LIMIT enough - cardinality(title_ids)) m;
            title_kinds := title_kinds || step_kinds;
            title_ids := title_ids || step_ids;
            title_times := title_times || step_times;
            title_ranks := title_ranks || step_ranks;
            title_is := title_is || step_is;
            EXIT WHEN last_shelf = -1 OR cardinality(title_ids) >= enough;
            -- Where the next ones are, as with comments; on the last shelf stand those from before there were others.
            SELECT coalesce(search_title_shelf(max(k.newest)), -1) INTO next_shelf
              FROM unnest('{2,3,5,6,7,9}'::smallint[]) AS t (kind)
             CROSS JOIN LATERAL (
                    SELECT max(d.item_id) AS newest FROM search_documents d
                     WHERE d.site_id = in_site AND d.item_type_id = t.kind AND d.item_id < (-1 - last_shelf) << 13) k;
            IF clock_timestamp() > ends THEN
                partial := true;
                EXIT;
            END IF;
        END LOOP;
        more := more OR cardinality(title_ids) >= enough;
    END IF;
    -- By weight, only those that are weighed need be sorted for a page that holds no others.
    IF ordering = ''
       AND page_offset + page_limit <= least(ranked, cardinality(title_ids)) + least(ranked, cardinality(comment_ids)) THEN
        furthest := ranked;
    END IF;
    RETURN QUERY
    WITH found AS (
        SELECT u.kind, u.id, u.modified, u.rank, u.is_title, u.n
          FROM unnest(title_kinds[:furthest], title_ids[:furthest], title_times[:furthest], title_ranks[:furthest],
                      title_is[:furthest]) WITH ORDINALITY AS u (kind, id, modified, rank, is_title, n)
         UNION ALL
        SELECT 4, u.id, u.modified, u.rank, false, u.n
          FROM unnest(comment_ids[:furthest], comment_times[:furthest], comment_ranks[:furthest])
               WITH ORDINALITY AS u (id, modified, rank, n)
         WHERE u.n <= most - cardinality(title_ids)),
    weighed AS (
        SELECT f.kind, f.id, f.modified, f.n, f.n > ranked AND ordering = '' AS is_rest,
               CASE WHEN f.n > ranked OR ordering <> '' THEN 0 ELSE f.rank END AS rank,
               f.is_title AND f.n <= ranked AND ordering = '' AS is_title,
               CASE WHEN ordering IN ('oldest', 'newest')
                    THEN (SELECT extract(epoch FROM e.when_utc) FROM events e
                           WHERE e.site_id = in_site AND e.item_id = f.id AND f.kind = 9) END AS starts
          FROM found f),
    shown AS (
        -- What is not weighed follows as it was found: a page further on, for which more is found, changes none before it.
        SELECT w.kind, w.id, w.modified, w.rank,
               row_number() OVER (ORDER BY CASE ordering WHEN 'oldest' THEN w.starts WHEN 'newest' THEN -w.starts END,
                                           w.is_rest, w.is_rest AND w.kind = 4, CASE WHEN w.is_rest THEN w.n END,
                                           w.is_title DESC, w.rank DESC, w.modified DESC, w.kind, w.id DESC) AS place
          FROM weighed w
         ORDER BY place
         LIMIT page_limit OFFSET page_offset)
    SELECT s.place, s.kind::smallint, s.id,
           CASE WHEN ordering = '' THEN s.rank::real
                ELSE (SELECT ts_rank_cd(d.vector, positive, 8) FROM search_documents d
                       WHERE d.site_id = in_site AND d.item_type_id = s.kind AND d.item_id = s.id) END,
           s.modified, least(most, cardinality(title_ids) + cardinality(comment_ids)), partial, more
      FROM (SELECT 1) AS one
      LEFT JOIN shown s ON true
     ORDER BY s.place;
END $$;

-- What `search_filtered` would return where nothing but types of items in microcosms is wanted, as front pages do: its plan,
-- which reads the latest active items in their order, serves every call.
CREATE FUNCTION search_latest(
    in_site bigint, kinds smallint[], readable bigint[], ignored_items bigint[], most integer, page_limit integer,
    page_offset integer)
RETURNS TABLE (place bigint, item_type_id smallint, item_id bigint, rank real, modified timestamptz, total integer,
               is_partial boolean)
LANGUAGE plpgsql STABLE ROWS 25
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH found AS MATERIALIZED (
        SELECT i.item_type_id AS kind, i.item_id AS id, i.last_activity AS modified
          FROM (SELECT i.item_type_id, i.item_id, i.microcosm_id, i.last_activity
                  FROM items i
                 WHERE i.site_id = in_site AND NOT i.is_deleted AND NOT i.is_moderated AND i.item_type_id = ANY(kinds)
                 ORDER BY i.last_activity DESC, i.item_id DESC
                OFFSET 0) i
         WHERE i.item_id NOT IN (SELECT unnest(ignored_items)) AND i.microcosm_id IN (SELECT unnest(readable))
         LIMIT most),
    shown AS (
        SELECT f.kind, f.id, f.modified, row_number() OVER (ORDER BY f.modified DESC, f.kind, f.id DESC) AS place
          FROM found f
         ORDER BY place
         LIMIT page_limit OFFSET page_offset)
    SELECT s.place, s.kind, s.id, 0.5::real, s.modified, least(most, (SELECT count(*) FROM found))::integer, false
      FROM (SELECT 1) AS one
      LEFT JOIN shown s ON true
     ORDER BY s.place;
END $$;

-- One page of what the filters alone want, without words: of items the last active ones, of comments the newest. Filters
-- as above. Planned anew each time: which filters there are decides
-- which index serves.
CREATE FUNCTION search_filtered(
    in_site bigint, me bigint, kinds smallint[], with_comments boolean, parents smallint[], ids bigint[], readable bigint[],
    everywhere boolean, ignored_items bigint[], ignored_people bigint[], author bigint, since timestamptz,
    until timestamptz, starts_after timestamptz, starts_before timestamptz, attending boolean, attached boolean,
    following boolean, ordering text, most integer, page_limit integer, page_offset integer)
RETURNS TABLE (place bigint, item_type_id smallint, item_id bigint, rank real, modified timestamptz, total integer,
               is_partial boolean)
LANGUAGE plpgsql STABLE ROWS 25 SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH found AS MATERIALIZED (
        -- Walked in their order as far as needed, whatever the planner thinks of the filters: hence OFFSET 0.
        (SELECT i.item_type_id AS kind, i.item_id AS id, i.last_activity AS modified
           FROM (SELECT i.site_id, i.item_type_id, i.item_id, i.microcosm_id, i.created_by, i.last_activity
                   FROM items i
                  WHERE i.site_id = in_site AND NOT i.is_deleted AND NOT i.is_moderated AND i.item_type_id = ANY(kinds)
                    AND kinds && '{5,6,7,9}'::smallint[] AND attached IS NULL
                    AND (ids IS NULL OR i.item_id = ANY(ids))
                    AND (author IS NULL OR i.created_by = author)
                    AND (since IS NULL OR i.last_activity > since)
                    AND (until IS NULL OR i.last_activity < until)
                  ORDER BY i.last_activity DESC, i.item_id DESC
                 OFFSET 0) i
          WHERE i.item_id NOT IN (SELECT unnest(ignored_items))
            AND CASE WHEN i.item_type_id = 5
                     THEN everywhere AND i.created_by NOT IN (SELECT unnest(ignored_people))
                          AND EXISTS (SELECT FROM huddle_participants h
                                       WHERE h.site_id = i.site_id AND h.item_id = i.item_id AND h.profile_id = me)
                     ELSE i.microcosm_id IN (SELECT unnest(readable)) END
            AND (starts_after IS NULL AND starts_before IS NULL
                 OR EXISTS (SELECT FROM events e
                             WHERE e.site_id = i.site_id AND e.item_id = i.item_id
                               AND (starts_after IS NULL OR e.when_utc > starts_after)
                               AND (starts_before IS NULL OR e.when_utc < starts_before)))
            AND (attending IS NULL
                 OR EXISTS (SELECT FROM attendees a
                             WHERE a.site_id = i.site_id AND a.item_id = i.item_id AND a.profile_id = me AND a.state_id = 1))
            AND (following IS NULL
                 OR EXISTS (SELECT FROM watchers w
                             WHERE w.site_id = i.site_id AND w.profile_id = me AND w.item_type_id = i.item_type_id
                               AND w.item_id = i.item_id))
          LIMIT most)
         UNION ALL
        (SELECT 4, c.comment_id, c.created
           FROM (SELECT c.site_id, c.comment_id, c.item_id, c.on_profile_id, c.created_by, c.created
                   FROM comments c
                  WHERE with_comments AND c.site_id = in_site AND NOT c.is_deleted AND NOT c.is_moderated
                    AND starts_after IS NULL AND starts_before IS NULL AND attending IS NULL
                    AND (parents IS DISTINCT FROM '{3}' OR c.on_profile_id IS NOT NULL)
                    AND (ids IS NULL OR c.item_id = ANY(ids) OR c.on_profile_id = ANY(ids))
                    AND (author IS NULL OR c.created_by = author)
                    AND (since IS NULL OR c.created > since)
                    AND (until IS NULL OR c.created < until)
                  ORDER BY c.comment_id DESC
                 OFFSET 0) c
          WHERE c.created_by NOT IN (SELECT unnest(ignored_people))
            AND CASE WHEN c.on_profile_id IS NOT NULL
                     THEN everywhere AND (parents IS NULL OR 3 = ANY(parents))
                          AND c.on_profile_id NOT IN (SELECT unnest(ignored_people))
                          AND EXISTS (SELECT FROM profiles p
                                       WHERE p.site_id = c.site_id AND p.profile_id = c.on_profile_id AND p.is_visible)
                     ELSE c.item_id NOT IN (SELECT unnest(ignored_items))
                          AND EXISTS (SELECT FROM items i
                                       WHERE i.site_id = c.site_id AND i.item_id = c.item_id AND NOT i.is_deleted
                                         AND NOT i.is_moderated AND (parents IS NULL OR i.item_type_id = ANY(parents))
                                         AND CASE WHEN i.item_type_id = 5
                                                  THEN everywhere AND i.created_by NOT IN (SELECT unnest(ignored_people))
                                                       AND EXISTS (SELECT FROM huddle_participants h
                                                                    WHERE h.site_id = i.site_id AND h.item_id = i.item_id
                                                                      AND h.profile_id = me)
                                                  ELSE i.microcosm_id IN (SELECT unnest(readable)) END) END
            AND (attached IS NULL
                 OR EXISTS (SELECT FROM attachments f
                             WHERE f.site_id = c.site_id AND f.item_type_id = 4 AND f.item_id = c.comment_id))
            AND (following IS NULL
                 OR EXISTS (SELECT FROM watchers w
                             WHERE w.site_id = c.site_id AND w.profile_id = me AND w.item_type_id = 4
                               AND w.item_id = c.comment_id))
          LIMIT most)
         UNION ALL
        (SELECT 3, p.profile_id, n.last_active
           FROM profiles p
           JOIN profile_counters n ON n.site_id = p.site_id AND n.profile_id = p.profile_id
          WHERE 3 = ANY(kinds) AND everywhere AND p.site_id = in_site AND p.is_visible
            AND p.profile_id NOT IN (SELECT unnest(ignored_people))
            AND (ids IS NULL OR p.profile_id = ANY(ids))
            AND (author IS NULL OR p.profile_id = author)
            AND (since IS NULL OR n.last_active > since)
            AND (until IS NULL OR n.last_active < until)
            AND starts_after IS NULL AND starts_before IS NULL AND attending IS NULL
            AND (attached IS NULL
                 OR EXISTS (SELECT FROM attachments f
                             WHERE f.site_id = p.site_id AND f.item_type_id = 3 AND f.item_id = p.profile_id))
            AND (following IS NULL
                 OR EXISTS (SELECT FROM watchers w
                             WHERE w.site_id = p.site_id AND w.profile_id = me AND w.item_type_id = 3
                               AND w.item_id = p.profile_id))
          ORDER BY n.last_active DESC, p.profile_id DESC
          LIMIT most)
         UNION ALL
        SELECT 2, m.microcosm_id, m.created
          FROM microcosms m
         WHERE 2 = ANY(kinds) AND m.site_id = in_site AND m.microcosm_id = ANY(readable)
           AND (ids IS NULL OR m.microcosm_id = ANY(ids))
           AND (author IS NULL OR m.created_by = author)
           AND (since IS NULL OR m.created > since)
           AND (until IS NULL OR m.created < until)
           AND starts_after IS NULL AND starts_before IS NULL AND attending IS NULL AND attached IS NULL
           AND (following IS NULL
                OR EXISTS (SELECT FROM watchers w
                            WHERE w.site_id = m.site_id AND w.profile_id = me AND w.item_type_id = 2
                              AND w.item_id = m.microcosm_id))
         UNION ALL
        SELECT 1, s.site_id, s.created
          FROM sites s
         WHERE 1 = ANY(kinds) AND everywhere AND s.site_id = in_site AND following IS NULL AND attached IS NULL
           AND (ids IS NULL OR s.site_id = ANY(ids))
           AND (author IS NULL OR s.created_by = author)
           AND (since IS NULL OR s.created > since)
           AND (until IS NULL OR s.created < until)
           AND starts_after IS NULL AND starts_before IS NULL AND attending IS NULL),
    shown AS (
        SELECT f.kind, f.id, f.modified,
               row_number() OVER (ORDER BY CASE ordering WHEN 'oldest' THEN f.starts WHEN 'newest' THEN -f.starts END,
                                           f.modified DESC, f.kind, f.id DESC) AS place
          FROM (SELECT f.kind, f.id, f.modified,
                       CASE WHEN ordering IN ('oldest', 'newest')
                            THEN (SELECT extract(epoch FROM e.when_utc) FROM events e
                                   WHERE e.site_id = in_site AND e.item_id = f.id AND f.kind = 9) END AS starts
                  FROM found f) f
         ORDER BY place
         LIMIT page_limit OFFSET page_offset)
    SELECT s.place, s.kind::smallint, s.id, 0.5::real, s.modified, least(most, (SELECT count(*) FROM found))::integer, false
      FROM (SELECT 1) AS one
      LEFT JOIN shown s ON true
     ORDER BY s.place;
END $$;

-- ------------------------------------------------------------------ words

-- Whether one word becomes the other by one typing error: a letter more, less, wrong, or changed with its neighbour.
CREATE FUNCTION search_one_off(a text, b text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    n integer := 0;
BEGIN
    IF abs(length(a) - length(b)) > 1 THEN
        RETURN false;
    END IF;
    WHILE n < least(length(a), length(b)) AND substr(a, n + 1, 1) = substr(b, n + 1, 1) LOOP
        n := n + 1;
    END LOOP;
    RETURN substr(a, n + 2) = substr(b, n + 2) OR substr(a, n + 1) = substr(b, n + 2) OR substr(a, n + 2) = substr(b, n + 1)
        OR substr(a, n + 1, 1) = substr(b, n + 2, 1) AND substr(a, n + 2, 1) = substr(b, n + 1, 1)
           AND substr(a, n + 3) = substr(b, n + 3);
END $$;

-- A word as search_words has it: in lower case, without accents. Null for what is not one word.
CREATE FUNCTION search_word(typed text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN cardinality(v.words) = 1 THEN v.words[1] END
      FROM (SELECT tsvector_to_array(to_tsvector('public.forum_simple', search_plain(typed))) AS words) v
$$;

-- The alphabet of a word's script; null where it is none of those written here.
CREATE FUNCTION search_alphabet(typed text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN typed ~ '^[a-z0-9]+$' THEN string_to_array('abcdefghijklmnopqrstuvwxyz', NULL)
                WHEN typed ~ '^[\u0430-\u045F0-9]+$'
                THEN ARRAY(SELECT chr(n) FROM generate_series(1072, 1103) AS n) || ARRAY[chr(1108), chr(1110), chr(1112)]
                WHEN typed ~ '^[\u03B1-\u03C9]+$' THEN ARRAY(SELECT chr(n) FROM generate_series(945, 969) AS n) END
$$;

-- All that may have been meant by a word with one typing error; nothing in a script without an alphabet here.
CREATE FUNCTION search_variants(typed text) RETURNS SETOF text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 500 AS $$
DECLARE
    letters CONSTANT text[] := search_alphabet(typed);
BEGIN
    IF letters IS NULL OR length(typed) NOT BETWEEN 3 AND 30 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT DISTINCT m.word
      FROM generate_series(0, length(typed)) AS n
     CROSS JOIN LATERAL (
            SELECT left(typed, n) || substr(typed, n + 2) AS word
             UNION ALL
            SELECT left(typed, n) || substr(typed, n + 2, 1) || substr(typed, n + 1, 1) || substr(typed, n + 3)
             UNION ALL
            SELECT left(typed, n) || l.letter || substr(typed, n + s.skipped)
              FROM unnest(letters) AS l (letter), (VALUES (1), (2)) AS s (skipped)) m
     WHERE m.word <> typed;
END $$;

-- Words of a site that are one typing error away, the most frequent first: all that may have been meant are looked up; in
-- a script without an alphabet here, words that are alike are counted through.
CREATE FUNCTION search_alike(in_site bigint, typed text, most integer) RETURNS SETOF text
LANGUAGE plpgsql STABLE ROWS 10 SET pg_trgm.similarity_threshold = 0.15 AS $$
BEGIN
    IF search_alphabet(typed) IS NULL THEN
        RETURN QUERY
        SELECT w.word FROM search_words w
         WHERE w.site_id = in_site AND w.word % typed AND w.word <> typed AND search_one_off(w.word, typed)
         ORDER BY w.documents DESC, w.word
         LIMIT most;
    ELSE
        RETURN QUERY
        SELECT w.word
          FROM search_variants(typed) AS v (word)
         CROSS JOIN LATERAL (
                SELECT w.word, w.documents FROM search_words w
                 WHERE w.site_id = in_site AND w.word = v.word LIMIT 1) w
         ORDER BY w.documents DESC, w.word
         LIMIT most;
    END IF;
END $$;

-- Words of a site that begin as typed, then those that begin so but for one typing error; the most frequent first.
CREATE FUNCTION search_completions(in_site bigint, typed text, most integer)
RETURNS TABLE (word text, errors integer, documents integer)
LANGUAGE plpgsql STABLE ROWS 20 SET pg_trgm.word_similarity_threshold = 0.15 AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT w.word, 0, w.documents
      FROM search_words w
     WHERE w.site_id = in_site AND w.word ~>=~ typed AND w.word ~<~ (typed || U&'\+10FFFF')
     ORDER BY w.documents DESC, w.word
     LIMIT most;
    IF length(typed) < 3 THEN
        RETURN;
    ELSIF search_alphabet(typed) IS NULL THEN
        RETURN QUERY
        SELECT w.word, 1, w.documents
          FROM search_words w
         WHERE w.site_id = in_site AND w.word %> typed AND NOT starts_with(w.word, typed)
           AND (search_one_off(left(w.word, length(typed)), typed) OR search_one_off(left(w.word, length(typed) + 1), typed)
                OR search_one_off(left(w.word, length(typed) - 1), typed))
         ORDER BY w.documents DESC, w.word
         LIMIT most;
    ELSE
        RETURN QUERY
        SELECT DISTINCT w.word, 1, w.documents
          FROM search_variants(typed) AS v (word)
         CROSS JOIN LATERAL (
                SELECT w.word, w.documents FROM search_words w
                 WHERE w.site_id = in_site AND w.word ~>=~ v.word AND w.word ~<~ (v.word || U&'\+10FFFF')
                 ORDER BY w.documents DESC
                 LIMIT most) w
         WHERE NOT starts_with(w.word, typed)
         ORDER BY w.documents DESC, w.word
         LIMIT most;
    END IF;
END $$;

-- Whether somebody may see anything that holds these words: something on the newest shelves, or where few hold them, among
-- all. Who sees none of so many is not told. Not at all when `until_time` is over.
CREATE FUNCTION search_seen(in_site bigint, me bigint, wanted tsquery, kinds smallint[], readable bigint[],
                            ignored_items bigint[], ignored_people bigint[], until_time timestamptz,
                            parents smallint[] DEFAULT NULL) RETURNS boolean
-- Planned as search_text is.
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET seq_page_cost = 0 SET random_page_cost = 0
SET cpu_operator_cost = 0 SET cpu_index_tuple_cost = 1 AS $$
DECLARE
    newest bigint;
    oldest bigint;
    newest_titles bigint;
    way text := 'shelves';
BEGIN
    IF numnode(wanted) = 0 OR clock_timestamp() > until_time THEN
        RETURN false;
    END IF;
    SELECT s.newest, s.oldest, s.titles INTO newest, oldest, newest_titles FROM search_shelves(in_site) s;
    FOR looked IN 0..3 LOOP
        EXIT WHEN newest IS NULL;
        IF looked = 2 AND search_held(in_site, wanted, newest, oldest, 4000) <= 4000 THEN
            way := 'all';
        END IF;
        IF EXISTS (SELECT FROM search_matching(in_site, me, wanted, NULL, NULL, way, newest,
                                               CASE way WHEN 'all' THEN oldest ELSE newest END, '{}', true, parents, NULL,
                                               readable, true, ignored_items, ignored_people, NULL, NULL, NULL, NULL, NULL,
                                               NULL, NULL, NULL)) THEN
            RETURN true;
        END IF;
        EXIT WHEN way = 'all';
        SELECT max(d.item_id) >> 13 INTO newest
          FROM search_documents d WHERE d.site_id = in_site AND d.item_type_id = 4 AND d.item_id < newest << 13;
    END LOOP;
    RETURN newest_titles IS NOT NULL
           AND EXISTS (SELECT FROM search_matching(in_site, me, wanted, NULL, NULL, 'title shelves', newest_titles, -1, kinds, false,
                                                   NULL, NULL, readable, true, ignored_items, ignored_people, NULL, NULL,
                                                   NULL, NULL, NULL, NULL, NULL, NULL));
END $$;

-- Learn words from texts that have stood for a minute, of one kind of one site after the other, beginning behind
-- (`after_kind`, `after_site`), until about `most` bytes are read; to look whether there are texts counts as 100. How many
-- rows were looked at, behind which kind and site to go on, and whether that was the last one. Words that stand in huddles are
-- nobody else's business, and those of scripts without spaces are no words.
CREATE FUNCTION search_learn(most integer, after_kind smallint, after_site bigint, OUT looked bigint, OUT kind smallint,
                             OUT site bigint, OUT is_last boolean) LANGUAGE plpgsql AS $$
DECLARE
    one record;
    last_id bigint;
    texts text[];
    rows bigint;
    size bigint;
    left_over bigint := most;
BEGIN
    looked := 0;
    kind := after_kind;
    site := after_site;
    is_last := false;
    IF after_kind = 0 THEN
        INSERT INTO search_progress (site_id, item_type_id)
        SELECT s.site_id, k.kind FROM sites s CROSS JOIN unnest(ARRAY[2, 3, 4, 6]::smallint[]) AS k (kind)
         WHERE NOT s.is_deleted
            ON CONFLICT DO NOTHING;
    END IF;
    FOR one IN SELECT p.site_id, p.item_type_id, p.upto_id FROM search_progress p
                WHERE (p.item_type_id, p.site_id) > (after_kind, after_site)
                ORDER BY p.item_type_id, p.site_id LOOP
        SELECT max(n.id), array_agg(n.source) FILTER (WHERE n.source IS NOT NULL), count(*), sum(n.size)
          INTO last_id, texts, rows, size
          FROM (SELECT n.id, n.source, n.size, sum(n.size) OVER (ORDER BY n.id) - n.size AS before
                  FROM ((SELECT c.comment_id AS id, 100 + least(octet_length(c.markdown), 50000) AS size,
                                CASE WHEN NOT c.is_deleted AND NOT c.is_moderated AND i.item_type_id IS DISTINCT FROM 5
                                     THEN left(c.markdown, 50000) END AS source
                           FROM comments c LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
                          WHERE one.item_type_id = 4 AND c.site_id = one.site_id AND c.comment_id > one.upto_id
                            AND c.created < now() - interval '1 minute'
                          ORDER BY c.comment_id LIMIT 1 + left_over / 100)
                         UNION ALL
                        (SELECT i.item_id, 100 + octet_length(i.title),
                                CASE WHEN NOT i.is_deleted AND NOT i.is_moderated AND i.item_type_id <> 5
                                     THEN search_unescaped(concat_ws(' ', i.title, e.place, o.question)) END
                           FROM items i
                           LEFT JOIN events e ON e.site_id = i.site_id AND e.item_id = i.item_id
                           LEFT JOIN polls o ON o.site_id = i.site_id AND o.item_id = i.item_id
                          WHERE one.item_type_id = 6 AND i.site_id = one.site_id AND i.item_id > one.upto_id
                            AND i.created < now() - interval '1 minute'
                          ORDER BY i.item_id LIMIT 1 + left_over / 100)
                         UNION ALL
                        (SELECT m.microcosm_id, 100 + octet_length(m.description),
                                CASE WHEN NOT m.is_deleted AND NOT m.is_moderated
                                     THEN search_unescaped(m.title || ' ' || m.description) END
                           FROM microcosms m
                          WHERE one.item_type_id = 2 AND m.site_id = one.site_id AND m.microcosm_id > one.upto_id
                            AND m.created < now() - interval '1 minute'
                          ORDER BY m.microcosm_id LIMIT 1 + left_over / 100)
                         UNION ALL
                        (SELECT p.profile_id, 100 + octet_length(p.profile_name), search_unescaped(p.profile_name)
                           FROM profiles p
                          WHERE one.item_type_id = 3 AND p.site_id = one.site_id AND p.profile_id > one.upto_id
                            AND p.created < now() - interval '1 minute'
                          ORDER BY p.profile_id LIMIT 1 + left_over / 100)) n) n
         WHERE n.before < left_over;
        IF last_id IS NOT NULL THEN
            INSERT INTO search_words AS w (site_id, word, documents)
            SELECT one.site_id, u.word, count(*)
              FROM unnest(texts) AS t (source)
             CROSS JOIN LATERAL search_learnable(t.source) AS u (word)
             GROUP BY u.word
             ORDER BY u.word
                ON CONFLICT (site_id, word) DO UPDATE SET documents = w.documents + EXCLUDED.documents;
            UPDATE search_progress p SET upto_id = last_id
             WHERE p.site_id = one.site_id AND p.item_type_id = one.item_type_id;
            looked := looked + rows;
            left_over := left_over - size;
            -- There may be more of it.
            EXIT WHEN left_over <= 0;
        END IF;
        kind := one.item_type_id;
        site := one.site_id;
        left_over := left_over - 100;
        EXIT WHEN left_over <= 0;
    END LOOP;
    is_last := left_over > 0;
END $$;

-- Take words of texts that are gone off those learnt, of up to `most` texts; how many words are forgotten. A word counts the
-- texts that it was learnt from. What an edit brings is not learnt, so at none left the texts are asked, but for those in
-- huddles; what the language leaves out stays.
CREATE FUNCTION search_unlearn(most integer) RETURNS integer
-- Planned as search_text is.
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET seq_page_cost = 0 SET random_page_cost = 0
SET cpu_operator_cost = 0 SET cpu_index_tuple_cost = 1 AS $$
DECLARE
    one record;
    wanted tsquery;
    forgotten integer := 0;
BEGIN
    FOR one IN
        WITH due AS (
            SELECT g.site_id, g.gone_id FROM search_gone g ORDER BY g.site_id, g.gone_id LIMIT most FOR UPDATE SKIP LOCKED),
        taken AS (
            DELETE FROM search_gone g USING due WHERE g.site_id = due.site_id AND g.gone_id = due.gone_id
         RETURNING g.site_id, g.words),
        counted AS (
            SELECT t.site_id, u.word, count(*) AS texts FROM taken t CROSS JOIN unnest(t.words) AS u (word) GROUP BY 1, 2),
        lowered AS (
            UPDATE search_words w SET documents = w.documents - c.texts
              FROM counted c
             WHERE w.site_id = c.site_id AND w.word = c.word
         RETURNING w.site_id, w.word, w.documents)
        SELECT l.site_id, l.word FROM lowered l WHERE l.documents <= 0 ORDER BY l.site_id, l.word
    LOOP
        wanted := search_query(search_languages(one.site_id), ARRAY[one.word], '{1}', '{f}', '{}', false);
        IF numnode(wanted) = 0
           OR EXISTS (SELECT FROM search_documents d
                        LEFT JOIN items i ON i.site_id = d.site_id AND i.item_id = d.place_id
                       WHERE d.site_id = one.site_id AND d.vector @@ wanted AND i.item_type_id IS DISTINCT FROM 5) THEN
            UPDATE search_words w SET documents = 1 WHERE w.site_id = one.site_id AND w.word = one.word;
        ELSE
            DELETE FROM search_words w WHERE w.site_id = one.site_id AND w.word = one.word;
            forgotten := forgotten + 1;
        END IF;
    END LOOP;
    RETURN forgotten;
END $$;

-- As the release before calls it, for as long as its cron process still runs. The next release drops it.
CREATE FUNCTION search_learn(most integer) RETURNS bigint LANGUAGE sql AS $$
    SELECT l.looked FROM search_learn(most, 0::smallint, 0::bigint) l
$$;
