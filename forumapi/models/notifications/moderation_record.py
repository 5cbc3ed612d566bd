"""Reports, cases and appeals as webhooks of a site's owner are sent them: without the people who reported or acted, and
without any text. Docs: docs/api/webhooks.md.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any, NamedTuple, Self

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.cases.case import ACTED, SEEN
from forumapi.models.journal import journal
from forumapi.models.trust import action
from forumapi.wire.json_fragments import format_time

# The action that an appeal is against, or by which a case was decided: the last on it, since no action is taken on a
# case that is decided.
FIND = Query(
    "moderation_record.find",
    f"""
    SELECT k.item_type_id, k.item_id, k.microcosm_id, k.opened, k.outcome, k.decided, coalesce(r.kind, ''),
           coalesce(r.category, ''), p.created, coalesce(p.state, ''), p.decided, coalesce(a.action_id, 0),
           coalesce(a.kind, ''), coalesce(a.ground, ''), coalesce(a.category, ''), coalesce(a.is_automated, false)
      FROM cases k
      LEFT JOIN reports r ON r.site_id = k.site_id AND r.case_id = k.case_id AND r.report_id = %(report_id)s
      LEFT JOIN appeals p ON p.site_id = k.site_id AND p.appeal_id = k.appeal_id
      LEFT JOIN actions a ON a.site_id = k.site_id
                         AND a.action_id = coalesce(k.action_id, (SELECT max(d.action_id) FROM actions d
                                                                   WHERE d.site_id = k.site_id
                                                                     AND d.case_id = k.case_id
                                                                     AND d.state <> 'planned'))
     WHERE k.site_id = %(site_id)s AND k.case_id = %(case_id)s AND {SEEN}""",
)


class ModerationRecord(NamedTuple):
    """Case with what webhooks are sent of it, of one of its reports, or of its appeal. `item_type`, `item_id`: the
    thing that the case is about, of an appeal the profile that appeals; `microcosm_id` 0: the thing is in no microcosm;
    `outcome`: ACTED or DISMISSED, "" before the decision; `report_kind`, `report_category`: as in Report, "" for no
    report; `appealed`, `appeal_state`, `appeal_decided`: as `created`, `state` and `decided` in Appeal, None and "" for
    no appeal; `action_id`: the action by which the case was decided, or that the appeal is against, 0 for none, with
    its `action_kind`, `ground` and `category`, and `is_automated` if a rule did it.
    """

    item_type: int
    item_id: int
    microcosm_id: int
    opened: datetime.datetime
    outcome: str
    decided: datetime.datetime | None
    report_kind: str
    report_category: str
    appealed: datetime.datetime | None
    appeal_state: str
    appeal_decided: datetime.datetime | None
    action_id: int
    action_kind: str
    ground: str
    category: str
    is_automated: bool

    @classmethod
    def find(
        cls,
        tx: Reader,
        site_id: int,
        ref: ItemRef,
        case_id: int,
        *,
        me: int,
        moderated: Collection[int],
        shown: Collection[int],
    ) -> Self | None:
        """Return the case `case_id` with its report or appeal `ref`, or with neither if `ref` is the case itself; None
        if there is none, or the profile `me`, who moderates the microcosms `moderated` (0 among them: things outside of
        all microcosms), may not see the case by the rule that `Case.lock` gives, or the case is about a thing whose
        type is not in `shown`.
        """
        row = tx.row(
            FIND,
            site_id=site_id,
            case_id=case_id,
            report_id=ref.id if ref.type == itemtypes.REPORT else 0,
            me=me,
            moderated=moderated,
            shown=shown,
        )
        return cls(*row) if row else None

    def document(self, record_type: int, kind: str) -> dict[str, Any] | None:
        """Return what a message says of the record, as a dict for JSON; None if there is no such report or appeal any
        more, or a case or appeal is not decided any more. `record_type`: REPORT, CASE or APPEAL of itemtypes.py;
        `kind`: the event's, journal.CREATED or journal.DECIDED.
        """
        thing = ItemRef(self.item_type, self.item_id)
        data: dict[str, Any] = {
            "thing": {
                "itemType": itemtypes.name_of(thing.type),
                "itemId": thing.id,
                "href": thing.href,
            }
        }
        if record_type == itemtypes.REPORT:
            if not self.report_kind:
                return None
            return data | {"report": {"kind": self.report_kind, "category": self.report_category}}
        if record_type == itemtypes.CASE:
            if self.decided is None:
                return None
            data["case"] = {
                "outcome": self.outcome,
                "opened": format_time(self.opened),
                "decided": format_time(self.decided),
            }
            return data | (self._action() if self.outcome == ACTED else {})
        if self.appealed is None:
            return None
        data["appeal"] = {"created": format_time(self.appealed)}
        if kind == journal.DECIDED:
            if self.appeal_decided is None:
                return None
            data["appeal"] |= {
                "outcome": self.appeal_state,
                "decided": format_time(self.appeal_decided),
            }
        return data | self._action()

    def _action(self) -> dict[str, Any]:
        if not self.action_id:
            return {}
        return {
            "action": {
                "id": self.action_id,
                "href": f"{action.PATH}/{self.action_id}",
                "kind": self.action_kind,
                "ground": self.ground,
                "category": self.category,
                "automated": self.is_automated,
            }
        }
