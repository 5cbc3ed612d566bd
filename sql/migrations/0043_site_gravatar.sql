-- Sites whose owner wants the pictures that Gravatar has of its people: they are fetched up to which profile.
CREATE TABLE site_gravatar (
    site_id         bigint      PRIMARY KEY REFERENCES sites,
    upto_id         bigint      NOT NULL DEFAULT 0
);
