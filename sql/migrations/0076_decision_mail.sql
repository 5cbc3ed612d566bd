-- Updates and mail about decisions: what is listed is looked up by its person.

SET LOCAL lock_timeout = '5s';

CREATE INDEX reports_reporter ON reports (site_id, reporter_id, report_id DESC);
