-- The plan of each site, which limits what the site uses, and what its owner was told of those limits; comments by hour.

SET LOCAL lock_timeout = '5s';

CREATE TABLE site_plans (
    site_id         bigint      PRIMARY KEY REFERENCES sites,
    plan            text        NOT NULL CHECK (plan <> '')     -- a name of the setting `plans`
);
COMMENT ON TABLE site_plans IS 'Plan of each tenant that has another than the default one';

CREATE TABLE plan_notices (
    site_id         bigint      NOT NULL REFERENCES sites,
    limit_name      text        NOT NULL,
    percent         smallint    NOT NULL CHECK (percent IN (80, 100)),
    period          date        NOT NULL,                       -- its first day: a day, or a month for what does not begin anew
    PRIMARY KEY (site_id, limit_name, percent)
);
COMMENT ON TABLE plan_notices IS 'Quota notices: latest period in which the owner was told that a limit of the plan is near or reached';

ALTER TABLE site_usage ADD COLUMN comments bigint NOT NULL DEFAULT 0;
