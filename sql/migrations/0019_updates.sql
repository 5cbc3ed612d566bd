-- What decides who is told of what. Comments on what one follows, new items and votes are worked out when the list is
-- asked for; only replies, mentions, answers to events and reminders have rows in `updates`.

-- Whether the mentioned were told of it, so that an edit tells only those whom it names for the first time.
ALTER TABLE comment_mentions ADD COLUMN told boolean NOT NULL DEFAULT true;
ALTER TABLE comment_mentions ALTER COLUMN told SET DEFAULT false;

-- When somebody last cast their first ballot. Who it was is not said.
ALTER TABLE polls ADD COLUMN voted timestamptz;
UPDATE polls p
   SET voted = (SELECT max(b.cast_at) FROM poll_ballots b WHERE b.site_id = p.site_id AND b.item_id = p.item_id)
 WHERE p.voter_count > 0;

-- Who wants mail about something: few of those who follow it.
CREATE INDEX watchers_mail ON watchers (site_id, item_type_id, item_id, profile_id) WHERE send_email;

-- Nobody is told of what happened before there was anybody to tell it.
INSERT INTO event_cursors (reader, site_id, number)
SELECT 'updates', h.site_id, h.number FROM event_heads h;
