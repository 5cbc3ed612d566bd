"""Appeals: a person whom a statement of reasons concerns asks for another decision, which another moderator makes."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import msgspec

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import Conflict, TooMany
from forumapi.models.cases import case, case_page
from forumapi.models.trust import action, statement_of_reasons
from forumapi.permissions.evaluator import Tree
from forumapi.wire.json_fragments import format_time

PATH: Final = "/api/v1/appeals"
OPEN: Final = "open"
GRANTED: Final = "granted"
REFUSED: Final = "refused"
MOST_MESSAGES: Final = 100

# The statement, and the appeal that there is. Locked, so that two appeals at once are one.
LOCK_STATEMENT = Query(
    "appeal.lock_statement",
    """
    SELECT s.action_id, s.created < now() - make_interval(months => %(months)s::int)
      FROM statements s
     WHERE s.site_id = %(site_id)s AND s.profile_id = %(me)s AND s.statement_id = %(statement_id)s
       FOR NO KEY UPDATE OF s""",
)
# Asked after the lock: a statement that waited for it sees no appeal that was made meanwhile.
EARLIER = Query(
    "appeal.earlier",
    "SELECT a.appeal_id FROM appeals a WHERE a.site_id = %(site_id)s AND a.statement_id = %(statement_id)s",
)
INSERT = Query(
    "appeal.insert",
    """
    INSERT INTO appeals (site_id, statement_id, action_id, profile_id)
    VALUES (%(site_id)s, %(statement_id)s, %(action_id)s, %(me)s)
 RETURNING appeal_id""",
)
ADD_MESSAGE = Query(
    "appeal.add_message",
    """
    INSERT INTO appeal_messages (site_id, appeal_id, text, created_by)
    VALUES (%(site_id)s, %(id)s, %(text)s, %(me)s)""",
)
COUNT_MESSAGES = Query(
    "appeal.count_messages",
    "SELECT count(*) FROM appeal_messages m WHERE m.site_id = %(site_id)s AND m.appeal_id = %(id)s",
)

# SQL: an appeal `p` against an action `a` that `me` may see: who appeals, or who may see the action.
_SEEN: Final = f"(p.profile_id = %(me)s OR {action.SEEN.strip()})"
_COLUMNS: Final = """
    p.appeal_id, p.statement_id, p.action_id, p.profile_id, p.state, p.created, p.decided, coalesce(p.decided_by, 0),
           coalesce(a.actor_id, 0), a.microcosm_ids"""
_FROM: Final = """
      FROM appeals p
      JOIN actions a ON a.site_id = p.site_id AND a.action_id = p.action_id"""
FIND = Query(
    "appeal.find",
    f"SELECT {_COLUMNS} {_FROM} WHERE p.site_id = %(site_id)s AND p.appeal_id = %(id)s AND {_SEEN}",
)
LOCK = Query(
    "appeal.lock",
    f"""
    SELECT {_COLUMNS} {_FROM}
     WHERE p.site_id = %(site_id)s AND p.appeal_id = %(id)s AND {_SEEN}
       FOR NO KEY UPDATE OF p""",
)
OWN = Query(
    "appeal.own",
    f"""
    SELECT {_COLUMNS} {_FROM}
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s
       AND (%(before)s::bigint = 0 OR p.appeal_id < %(before)s::bigint)
     ORDER BY p.appeal_id DESC
     LIMIT %(limit)s""",
)
OF_STATEMENT = Query(
    "appeal.of_statement",
    f"""
    SELECT {_COLUMNS} {_FROM}
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s AND p.statement_id = %(statement_id)s""",
)
OWN_BY_ID = Query(
    "appeal.own_by_id",
    f"""
    SELECT {_COLUMNS} {_FROM}
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s AND p.appeal_id = ANY(%(ids)s::bigint[])""",
)
WAITING = Query(
    "appeal.waiting",
    f"""
    SELECT {_COLUMNS} {_FROM}
     WHERE p.site_id = %(site_id)s AND p.state = 'open' AND p.profile_id <> %(me)s AND {action.SEEN}
       AND p.appeal_id > %(before)s::bigint
     ORDER BY p.appeal_id
     LIMIT %(limit)s""",
)
MESSAGES = Query(
    "appeal.messages",
    """
    SELECT m.text, m.created, m.created_by
      FROM appeal_messages m
     WHERE m.site_id = %(site_id)s AND m.appeal_id = %(id)s
     ORDER BY m.message_id
     LIMIT %(limit)s""",
)
DECIDE = Query(
    "appeal.decide",
    """
    UPDATE appeals p
       SET state = %(state)s, decided = now(), decided_by = %(me)s
     WHERE p.site_id = %(site_id)s AND p.appeal_id = %(id)s""",
)
# A person moderates all of `places` if they moderate the first, by its owners and roles, and there is none of the rest
# that they do not.
OTHERS_MODERATE = Query(
    "appeal.others_moderate",
    """
    SELECT EXISTS (
           SELECT FROM profiles p
            WHERE p.site_id = %(site_id)s AND p.profile_id <> ALL(%(but)s::bigint[])
              AND (p.profile_id = ANY(%(owners)s::bigint[]) OR p.role_ids && %(role_ids)s::bigint[])
              AND NOT EXISTS (SELECT FROM json_to_recordset(%(places)s::json) AS m (owners bigint[], roles bigint[])
                               WHERE NOT (p.profile_id = ANY(m.owners) OR p.role_ids && m.roles)))""",
)


def insert(
    tx: Transaction, site_id: int, me: int, statement_id: int, text: str
) -> tuple[int, bool]:
    """Store an appeal of the profile `me` against the statement of reasons `statement_id`, which is addressed to that
    profile, with `text` as its first message, and open its case; return (the appeal's id, True). If there is an appeal
    already, store nothing and return (that appeal's id, False); (0, False) if `me` has no such statement.

    `text` is HTML-escaped already and stored as given. Raises Conflict if there is no appeal yet and the statement is
    older than APPEAL_MONTHS.
    """
    row = tx.row(
        LOCK_STATEMENT,
        site_id=site_id,
        me=me,
        statement_id=statement_id,
        months=statement_of_reasons.APPEAL_MONTHS,
    )
    if row is None:
        return 0, False
    action_id, is_over = row
    if earlier := tx.value(EARLIER, site_id=site_id, statement_id=statement_id):
        return int(earlier), False
    if is_over:
        raise Conflict(f"An appeal is possible for {statement_of_reasons.APPEAL_MONTHS} months")
    id = tx.value(INSERT, site_id=site_id, me=me, statement_id=statement_id, action_id=action_id)
    tx.run(ADD_MESSAGE, site_id=site_id, id=id, text=text, me=me)
    case.open_appeal(tx, site_id, id, action_id, me)
    return int(id), True


class SentMessage(NamedTuple):
    """Message in an appeal. `author_id`: the profile that wrote it, the one that appeals or a moderator's; `text`:
    HTML-escaped.
    """

    text: str
    created: datetime.datetime
    author_id: int


@dataclasses.dataclass
class Appeal:
    """Appeal against an action. `state`: OPEN, GRANTED or REFUSED; `statement_id`: the statement of reasons that it
    answers; `profile_id`: profile that appeals; `actor_id`: profile that did the action, 0 for a rule or an operator;
    `decided`, `decided_by`: time and profile of the decision, None and 0 before; `microcosm_ids`: as in Action.
    """

    id: int
    statement_id: int
    action_id: int
    profile_id: int
    state: str
    created: datetime.datetime
    decided: datetime.datetime | None
    decided_by: int
    actor_id: int
    microcosm_ids: list[int]

    @classmethod
    def find(
        cls, tx: Reader, site_id: int, id: int, me: int, moderated: Collection[int]
    ) -> Self | None:
        """Return an appeal; None if there is none with this id, or the profile `me`, who moderates the microcosms
        `moderated` (0: outside of all), neither made the appeal nor may see, by the rule that `Action.lock` gives, the
        action that the appeal is against.
        """
        row = tx.row(FIND, site_id=site_id, id=id, me=me, moderated=moderated)
        return cls(*row) if row else None

    @classmethod
    def of_statement(cls, tx: Reader, site_id: int, me: int, statement_id: int) -> Self | None:
        """Return the appeal of the profile `me` against a statement; None if there is none."""
        row = tx.row(OF_STATEMENT, site_id=site_id, me=me, statement_id=statement_id)
        return cls(*row) if row else None

    @classmethod
    def lock(
        cls, tx: Transaction, site_id: int, id: int, me: int, moderated: Collection[int]
    ) -> Self | None:
        """Lock an appeal and return it; None if there is none with this id, or the profile `me`, who moderates the
        microcosms `moderated` (0: outside of all), may not see it by the rule that `find` gives.
        """
        row = tx.row(LOCK, site_id=site_id, id=id, me=me, moderated=moderated)
        return cls(*row) if row else None

    @classmethod
    def own(cls, tx: Reader, site_id: int, me: int, before: int, limit: int) -> list[Self]:
        """Return up to `limit` + 1 appeals of the profile `me`, newest first, with ids below `before` (0: from the
        newest). The extra one says that there are more.
        """
        rows = tx.rows(OWN, site_id=site_id, me=me, before=before, limit=limit + 1)
        return [cls(*row) for row in rows]

    @classmethod
    def waiting(
        cls, tx: Reader, site_id: int, me: int, moderated: Collection[int], after: int, limit: int
    ) -> list[Self]:
        """Return up to `limit` + 1 open appeals of others than the profile `me` against actions that `me`, who
        moderates the microcosms `moderated` (0: outside of all), may see by the rule that `Action.lock` gives; oldest
        first, with ids above `after`. The extra one says that there are more.
        """
        rows = tx.rows(
            WAITING, site_id=site_id, me=me, moderated=moderated, before=after, limit=limit + 1
        )
        return [cls(*row) for row in rows]

    def messages(self, tx: Reader, site_id: int) -> list[SentMessage]:
        """Return the appeal's messages, oldest first."""
        rows = tx.rows(MESSAGES, site_id=site_id, id=self.id, limit=MOST_MESSAGES)
        return [SentMessage(*row) for row in rows]

    def add_message(self, tx: Transaction, site_id: int, me: int, text: str) -> None:
        """Store `text`, HTML-escaped, as a message of the profile `me` in the locked appeal. Raises Conflict if the
        appeal is decided, TooMany if it has MOST_MESSAGES.
        """
        self.check_open()
        if tx.value(COUNT_MESSAGES, site_id=site_id, id=self.id) >= MOST_MESSAGES:
            raise TooMany(f"An appeal has at most {MOST_MESSAGES} messages", 3600)
        tx.run(ADD_MESSAGE, site_id=site_id, id=self.id, text=text, me=me)

    def check_open(self) -> None:
        """Raise Conflict if the appeal is decided."""
        if self.state != OPEN:
            raise Conflict("This appeal is decided already")

    def decide(self, tx: Transaction, site_id: int, me: int, state: str) -> None:
        """Store the decision of the profile `me` on the locked appeal, `state`: GRANTED or REFUSED. The action and the
        appeal's case stay as they are. Raises Conflict if the appeal is decided.
        """
        self.check_open()
        tx.run(DECIDE, site_id=site_id, id=self.id, me=me, state=state)
        self.state = state

    def others_decide(self, tx: Reader, site_id: int, tree: Tree, owner_id: int) -> bool:
        """Return True if somebody may decide who neither did the action nor appeals: the site's owner, the profile
        `owner_id` (0: the site has none), or one who by `tree` moderates all of the appeal's `microcosm_ids`; if one of
        these is 0, or there are none, the owner alone may.
        """
        but = {self.actor_id, self.profile_id}
        if owner_id and owner_id not in but:
            return True
        if 0 in self.microcosm_ids or not self.microcosm_ids:
            return False
        (owners, roles), *rest = [_moderators(tree, id) for id in self.microcosm_ids]
        places = [{"owners": sorted(one), "roles": sorted(other)} for one, other in rest]
        return bool(
            tx.value(
                OTHERS_MODERATE,
                site_id=site_id,
                owners=sorted(owners),
                role_ids=sorted(roles),
                places=msgspec.json.encode(places).decode(),
                but=sorted(but),
            )
        )

    def document(
        self, people: Mapping[int, bytes], *, is_own: bool, messages: Sequence[SentMessage] | None
    ) -> dict[str, Any]:
        """Return the appeal as a dict for JSON; `people`: summaries of profiles, as JSON, by profile id. `is_own`: for
        the person who appeals, without the action's id and the names of moderators; `messages` None: without messages.
        """
        data: dict[str, Any] = {
            "id": self.id,
            "statementId": self.statement_id,
            "state": self.state,
            "created": format_time(self.created),
        }
        if not is_own:
            data["actionId"] = self.action_id
            data["createdBy"] = case_page.person(people, self.profile_id)
        if self.decided is not None:
            data["decided"] = format_time(self.decided)
            if not is_own:
                data["decidedBy"] = case_page.person(people, self.decided_by)
        if messages is not None:
            data["messages"] = [
                {
                    "text": one.text,
                    "created": format_time(one.created),
                    "byModerator": one.author_id != self.profile_id,
                }
                | ({} if is_own else {"createdBy": case_page.person(people, one.author_id)})
                for one in messages
            ]
        return data | {"meta": {"links": [{"rel": "self", "href": f"{PATH}/{self.id}"}]}}


def documents(tx: Reader, site_id: int, me: int, ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return those of the appeals with the ids `ids` that the profile `me` has made, as dicts for JSON without
    messages, by appeal id; no SQL statement is run for no ids.
    """
    rows = tx.rows(OWN_BY_ID, site_id=site_id, me=me, ids=sorted(ids)) if ids else ()
    return {row[0]: Appeal(*row).document({}, is_own=True, messages=None) for row in rows}


def _moderators(tree: Tree, microcosm_id: int) -> tuple[set[int], set[int]]:
    """Return (profile ids of a microcosm's owner and creator, ids of the moderator roles that hold in it); two empty
    sets for a microcosm that is not in `tree`.
    """
    node = tree.nodes.get(microcosm_id)
    if node is None:
        return set(), set()
    roles = {
        role.role_id for id in node.path for role in tree.roles.get(id, ()) if role.is_moderator
    }
    return {node.owned_by, node.created_by}, roles
