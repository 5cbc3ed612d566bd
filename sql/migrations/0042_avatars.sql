-- A profile without an upload has a picture made from its id: addresses of Gravatar, which hold the md5 of an e-mail
-- address, go. What the release before still writes is never shown.
UPDATE profiles SET avatar_url = '', version = version + 1
 WHERE avatar_url LIKE 'https://secure.gravatar.com/avatar/%' AND avatar_id IS NULL;
-- Its document shows its owner and creator.
UPDATE sites SET version = version + 1;
