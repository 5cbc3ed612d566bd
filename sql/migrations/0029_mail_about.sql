-- Whether somebody was mailed about an item is looked up for each who follows its place; the foreign key is served as before.

CREATE INDEX mail_outbox_about ON mail_outbox (site_id, profile_id, item_id) WHERE profile_id IS NOT NULL;
DROP INDEX mail_outbox_reader;
