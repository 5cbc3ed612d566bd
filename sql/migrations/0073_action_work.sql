-- What is left to do of a large action, and to undo, in the order in which it is done.

SET LOCAL lock_timeout = '5s';

CREATE INDEX action_changes_planned ON action_changes (site_id, action_id, place) WHERE state = 'planned';
-- Comments have the type 4. Items come first when an action is undone, each kind backwards.
CREATE INDEX action_changes_undoable ON action_changes (site_id, action_id, (item_type_id <> 4), place)
    WHERE state = 'done' AND before IS NOT NULL;
