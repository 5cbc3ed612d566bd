-- Criteria as they are evaluated, and what a role's tag needs.
--
-- `value` stays as it was sent; what a criterion compares stands beside it with its type, written with the row. A row
-- without `kind` can't be evaluated and counts as false: nobody is let in by it. No release before this one wrote
-- criteria, so there is nothing to fill in.

ALTER TABLE criteria
    ADD COLUMN kind text
        CHECK (kind IN ('id', 'itemCount', 'commentCount', 'days', 'created', 'profileName', 'email', 'gender',
                        'isBanned', 'string', 'number', 'date', 'boolean')),
    ADD COLUMN number_value numeric,
    ADD COLUMN date_value date,
    ADD COLUMN text_value text,
    ADD COLUMN boolean_value boolean,
    ADD CONSTRAINT criteria_one_value
        CHECK (kind IS NULL OR num_nonnulls(number_value, date_value, text_value, boolean_value) = 1);

-- Asked by each new comment: does some criterion of the site name the count that its author reaches?
CREATE INDEX criteria_kind ON criteria (site_id, kind, number_value);

ALTER TABLE roles ADD COLUMN version integer NOT NULL DEFAULT 1;
