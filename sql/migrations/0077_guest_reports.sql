-- Reports by guests, whose address has been confirmed, and what reporters choose to show of a huddle.

SET LOCAL lock_timeout = '5s';

ALTER TABLE reports
    ALTER COLUMN reporter_id DROP NOT NULL,                     -- null: a guest
    ADD COLUMN guest_email     text     NOT NULL DEFAULT '',    -- until half a year after the decision
    ADD COLUMN guest_name      text     NOT NULL DEFAULT '' CHECK (length(guest_name) <= 100),
    ADD COLUMN guest_key       text,                            -- person key of the address; null with it
    ADD COLUMN shown_ids       bigint[] NOT NULL DEFAULT '{}';  -- comments of the huddle that moderators may see too
CREATE UNIQUE INDEX reports_guest ON reports (site_id, guest_key, item_type_id, item_id) WHERE guest_key IS NOT NULL;
CREATE INDEX reports_guest_key ON reports (guest_key) WHERE guest_key IS NOT NULL;
