-- What names look like (UTS 39; forumapi/text/name_skeletons.py). Null: not looked at yet; a job does it.
ALTER TABLE profiles ADD COLUMN name_looks text[];
CREATE INDEX profiles_looks ON profiles USING gin (site_id, name_looks);
CREATE INDEX profiles_not_looked_at ON profiles (site_id, profile_id) WHERE name_looks IS NULL;
