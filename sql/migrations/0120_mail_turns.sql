-- Sites take turns in the queues of mail: the indexes of these begin with the site. The platform's own mails are those of site 0.

SET LOCAL lock_timeout = '5s';

DROP INDEX mail_outbox_queue;
CREATE INDEX mail_outbox_queue ON mail_outbox (coalesce(site_id, 0), not_before, mail_id) WHERE state = 'queued';
DROP INDEX mail_outbox_unwritten;
CREATE INDEX mail_outbox_unwritten ON mail_outbox (coalesce(site_id, 0), not_before, mail_id)
    WHERE state = 'unwritten';
