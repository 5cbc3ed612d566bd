-- Merging and splitting of conversations: where a merged one leads, what an action made, and what it gave to people.

SET LOCAL lock_timeout = '5s';

-- A merged item is deleted as well, so that a release that does not know the column leaves it out everywhere.
ALTER TABLE items
    ADD COLUMN merged_into  bigint;                             -- the item that its comments were moved into

ALTER TABLE actions
    ADD COLUMN into_type_id smallint,
    ADD COLUMN into_item_id bigint,                             -- the item merged into, or the one that a split has made
    ADD COLUMN title        text NOT NULL DEFAULT '' CHECK (length(title) <= 1000);  -- of the item that a split makes

CREATE TABLE carried_marks (
    site_id         bigint      NOT NULL,
    action_id       bigint      NOT NULL,
    from_id         bigint      NOT NULL,                       -- the item that it stood on
    kind            text        NOT NULL CHECK (kind IN ('watcher', 'bookmark', 'read mark')),
    profile_id      bigint      NOT NULL,
    item_type_id    smallint    NOT NULL,
    item_id         bigint      NOT NULL,                       -- the item that got it
    before          timestamptz,                                -- of a read mark there; null: there was none
    after           timestamptz,
    created         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, action_id, from_id, kind, profile_id),
    FOREIGN KEY (site_id, action_id) REFERENCES actions,
    FOREIGN KEY (site_id, profile_id) REFERENCES profiles
);
CREATE INDEX carried_marks_item ON carried_marks (site_id, item_id, kind, profile_id);
CREATE INDEX carried_marks_profile ON carried_marks (site_id, profile_id);
CREATE INDEX carried_marks_created ON carried_marks (created);
COMMENT ON TABLE carried_marks IS
    'Follows, bookmarks and read marks that a merge or split has copied: what its undo takes back';
