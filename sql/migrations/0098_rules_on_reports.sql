-- Rules on reports: a report is marked until the rules have looked at it.

SET LOCAL lock_timeout = '5s';

ALTER TABLE reports
    ADD COLUMN awaits_rules boolean NOT NULL DEFAULT false;         -- until the rules on reports have looked at it

CREATE INDEX reports_awaiting ON reports (report_id) WHERE awaits_rules;
