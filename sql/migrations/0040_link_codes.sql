-- Codes of short links are random. A row has none until a text that holds it is rendered again, which the release before
-- never does. Its own codes (`lead` and the number) lead on only where guests read a text that holds the link.
ALTER TABLE links
  ADD COLUMN code         text UNIQUE,
  ADD COLUMN has_old_code boolean NOT NULL DEFAULT true;
