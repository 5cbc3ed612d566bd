-- When an event was reminded of: one whose start is moved has its next reminder an hour after the last, not at once.

SET LOCAL lock_timeout = '5s';

ALTER TABLE events ADD COLUMN reminded_at timestamptz;

COMMENT ON COLUMN events.reminded_at IS 'the time of the last reminder';
