-- What was hidden when people were to be notified of it is marked, so that they are notified once it is shown.

SET LOCAL lock_timeout = '5s';

ALTER TABLE comments
    ADD COLUMN is_unannounced boolean NOT NULL DEFAULT false;       -- hidden since it was written: nobody was notified
ALTER TABLE items
    ADD COLUMN is_unannounced boolean NOT NULL DEFAULT false;
