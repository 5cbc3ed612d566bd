-- How far the usage of sites was sent to the operator's biller.

SET LOCAL lock_timeout = '5s';

CREATE TABLE usage_billing (
    is_only         boolean     PRIMARY KEY DEFAULT true CHECK (is_only),
    hour            timestamptz NOT NULL,                       -- the beginning of the last hour that was sent
    last_site       bigint      NOT NULL                        -- the last site that was sent of it
);
COMMENT ON TABLE usage_billing IS 'Billing cursor: the last hour and tenant whose usage was sent to the biller';
