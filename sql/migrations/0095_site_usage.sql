-- What each site used in each hour: requests, bytes, time of the processor and the database, mails, pushes, live connections.

SET LOCAL lock_timeout = '5s';

CREATE TABLE site_usage (
    site_id         bigint      NOT NULL REFERENCES sites,
    hour            timestamptz NOT NULL,                       -- its beginning
    guest_reads     bigint      NOT NULL DEFAULT 0,
    member_reads    bigint      NOT NULL DEFAULT 0,
    writes          bigint      NOT NULL DEFAULT 0,
    refused         bigint      NOT NULL DEFAULT 0,             -- answers of 400 and more, counted here alone
    bytes_sent      bigint      NOT NULL DEFAULT 0,             -- bodies of answers
    cpu_ms          float8      NOT NULL DEFAULT 0,             -- a share of the web workers' time
    database_ms     float8      NOT NULL DEFAULT 0,             -- for which requests waited for statements
    live_s          float8      NOT NULL DEFAULT 0,             -- of all live connections together
    mails           bigint      NOT NULL DEFAULT 0,
    pushes          bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (site_id, hour)
);
COMMENT ON TABLE site_usage IS 'Usage of each site by hour: requests, bytes, processor and database time, mails, pushes';

-- For the clean-up.
CREATE INDEX site_usage_hour ON site_usage (hour);
