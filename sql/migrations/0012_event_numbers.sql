-- What gives committed events their numbers (docs/decisions/0010): an event knows its transaction, the sequencer the
-- snapshot up to which it has numbered, and each site the last number it gave.

ALTER TABLE event_log ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX event_log_xid ON event_log (xid);

CREATE TABLE event_sequencer (
    one             boolean     PRIMARY KEY DEFAULT true CHECK (one),
    snapshot        pg_snapshot NOT NULL
);
-- Nothing is visible in this one: what stands in the log already is numbered first.
INSERT INTO event_sequencer (snapshot) VALUES ('1:1:');

CREATE TABLE event_heads (
    site_id         bigint PRIMARY KEY REFERENCES sites,
    number          bigint NOT NULL
);
