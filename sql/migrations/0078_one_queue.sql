-- One queue: appeals and held things are cases too, and a case can be assigned.

SET LOCAL lock_timeout = '5s';

-- An appeal's case waits as 'appeal', so that the release before, which knows 'open' alone, leaves such cases alone.
ALTER TABLE cases
    DROP CONSTRAINT cases_state_check,
    ADD CONSTRAINT cases_state_check CHECK (state IN ('open', 'appeal', 'decided')),
    ADD COLUMN appeal_id   bigint,
    ADD COLUMN action_id   bigint,                              -- of an appeal: what it is against
    ADD COLUMN places      bigint[] NOT NULL DEFAULT '{}',      -- of an appeal: all that its decider moderates
    ADD COLUMN is_held     boolean  NOT NULL DEFAULT false,     -- a check or a rule has hidden the thing
    ADD COLUMN assigned_to bigint,
    ADD CONSTRAINT cases_appeal FOREIGN KEY (site_id, appeal_id) REFERENCES appeals,
    ADD CONSTRAINT cases_assigned FOREIGN KEY (site_id, assigned_to) REFERENCES profiles;
CREATE INDEX cases_waiting ON cases (site_id, priority, opened, case_id) INCLUDE (microcosm_id, item_type_id)
    WHERE state <> 'decided';
CREATE UNIQUE INDEX cases_of_appeal ON cases (site_id, appeal_id) WHERE appeal_id IS NOT NULL;

INSERT INTO cases (site_id, item_type_id, item_id, microcosm_id, author_id, state, priority, due, opened, appeal_id,
                   action_id, places)
SELECT p.site_id, 3, p.profile_id, coalesce(a.microcosm_ids[1], 0), p.profile_id, 'appeal', 1,
       p.created + interval '7 days', p.created, p.appeal_id, a.action_id, a.microcosm_ids
  FROM appeals p
  JOIN actions a ON a.site_id = p.site_id AND a.action_id = p.action_id
 WHERE p.state = 'open';
