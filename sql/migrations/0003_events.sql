-- Attendees who wait for a space, in the order in which they move up; events that a reminder may be due for.

CREATE INDEX attendees_waiting ON attendees (site_id, item_id, waiting_since, profile_id)
    WHERE waiting_since IS NOT NULL;
CREATE INDEX events_upcoming ON events (when_utc) WHERE status = 'upcoming';

COMMENT ON COLUMN attendees.waiting_since IS 'said yes when all spaces were taken; the state is maybe meanwhile';
COMMENT ON COLUMN events.reminded IS 'the start that a reminder was recorded for';
