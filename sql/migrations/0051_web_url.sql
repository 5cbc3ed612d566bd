-- The address of a site's pages: mails, mentions in them and feeds lead there. The owner names one on the site's own host
-- or its proven domain, an operator any other.

SET LOCAL lock_timeout = '5s';

ALTER TABLE sites
    ADD COLUMN web_url              text    CHECK (length(web_url) <= 2000),
    ADD COLUMN web_url_is_operators boolean NOT NULL DEFAULT false;
