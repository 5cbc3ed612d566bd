"""Rules of a site: what people in a role write is held, or, in shadow mode, only noted.

The conditions are those of roles (platform 5.3): whoever meets a role's criteria is in it. A rule is saved after a dry
run over what was written lately; each change makes a new version, and earlier versions are kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from forumapi import itemtypes
from forumapi.checks.check import HOLD, PASSED, SHADOW, CheckedText, CheckVerdict, TextCheck
from forumapi.checks.check_settings import READER
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, Conflict, Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.text import clean
from forumapi.wire.json_fragments import format_time

WRITTEN: Final = "written"
ON: Final = "on"
OFF: Final = "off"
MODES: Final = (OFF, SHADOW, ON)
MOST_RULES: Final = 20
MOST_PAST: Final = 50
DRY_RUN_DAYS: Final = 30
MOST_SHOWN: Final = 50
TICKET_S: Final = 15 * 60
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_TICKET: Final = re.compile(r"([0-9]{1,12})\.([0-9a-f]{32})")

FIND = Query(
    "rule.find",
    "SELECT s.value::text FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'rules'",
)
LOCK = Query(
    "rule.lock", "SELECT s.version FROM sites s WHERE s.site_id = %(site_id)s FOR NO KEY UPDATE"
)
# Rules begin with what is written from now on.
PUT = Query(
    "rule.put",
    """
    WITH begun AS (
        INSERT INTO event_cursors AS c (reader, site_id, number)
        SELECT %(reader)s, h.site_id, h.number
          FROM event_heads h
         WHERE h.site_id = %(site_id)s
           AND NOT EXISTS (SELECT FROM site_settings o
                            WHERE o.site_id = %(site_id)s AND o.key IN ('checks', 'rules'))
            ON CONFLICT (reader, site_id) DO UPDATE SET number = greatest(c.number, EXCLUDED.number))
    INSERT INTO site_settings (site_id, key, value) VALUES (%(site_id)s, 'rules', %(value)s::jsonb)
        ON CONFLICT (site_id, key) DO UPDATE SET value = EXCLUDED.value""",
)
# Criteria that hold because of what a rule holds: what is hidden is not counted.
LOOPS = Query(
    "rule.loops",
    """
    SELECT EXISTS (SELECT FROM criteria c
                    WHERE c.site_id = %(site_id)s AND c.role_id = %(role_id)s
                      AND c.kind IN ('commentCount', 'itemCount') AND c.predicate NOT IN ('gt', 'ge'))""",
)
_PARTS: Final = f"""
    WITH written AS (
        SELECT {itemtypes.COMMENT}::smallint AS item_type, c.comment_id AS item_id, c.created_by, c.created
          FROM comments c
          LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
         WHERE c.site_id = %(site_id)s AND c.created > now() - make_interval(days => %(days)s::int)
           AND i.item_type_id IS DISTINCT FROM {itemtypes.HUDDLE}
         UNION ALL
        SELECT i.item_type_id, i.item_id, i.created_by, i.created
          FROM items i
         WHERE i.site_id = %(site_id)s AND i.created > now() - make_interval(days => %(days)s::int)
           AND i.item_type_id <> {itemtypes.HUDDLE}),
    matched AS (
        SELECT w.*
          FROM written w
          JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id = w.created_by
         WHERE %(role_id)s = ANY(p.role_ids))"""
DRY_RUN = Query(
    "rule.dry_run",
    f"""{_PARTS}
    SELECT (SELECT count(*) FROM written), (SELECT count(*) FROM matched), m.item_type, m.item_id
      FROM (SELECT 1) one
      LEFT JOIN LATERAL (SELECT * FROM matched ORDER BY created DESC, item_id DESC LIMIT %(most)s) m ON true""",
    unrestricted="ids for the site's owner, who reads everything that they count",
)


HITS = Query(
    "rule.hits",
    """
    SELECT v.reason, count(*) FILTER (WHERE v.verdict = 'hold'), count(*) FILTER (WHERE v.verdict = 'shadow')
      FROM content_checks k
     CROSS JOIN LATERAL jsonb_to_recordset(k.verdicts) AS v ("check" text, verdict text, reason text)
     WHERE k.site_id = %(site_id)s AND k.created > now() - make_interval(days => %(days)s::int)
       AND v."check" = 'rule' AND v.verdict IN ('hold', 'shadow')
     GROUP BY v.reason
     ORDER BY v.reason""",
)


class HoldRule(msgspec.Struct, kw_only=True):
    """Rule of a site in one version: what people in the role `roleId` write is held. `event`: WRITTEN; `action`: HOLD;
    `mode`: ON, SHADOW (only note what would be held) or OFF. `saved`: time at which this version was stored.
    """

    name: str
    version: int
    title: str
    roleId: int
    event: str = WRITTEN
    action: str = HOLD
    mode: str = SHADOW
    saved: str = ""


class HoldRules(msgspec.Struct, kw_only=True):
    """Rules of a site. `rules`: those in force or off, in their present versions; `past`: earlier versions and removed
    rules, the latest first.
    """

    rules: list[HoldRule] = []
    past: list[HoldRule] = []


class RuleCheck(TextCheck):
    """Check of a text by one rule: hold it, or in shadow mode only note it, if its author is in the rule's role at this
    moment.
    """

    name: ClassVar[str] = "rule"

    def __init__(self, rule: HoldRule) -> None:
        self._rule = rule

    def judge(self, text: CheckedText) -> CheckVerdict:
        if self._rule.roleId not in text.role_ids:
            return PASSED
        word = HOLD if self._rule.mode == ON else SHADOW
        return CheckVerdict(word, f"{self._rule.name}, version {self._rule.version}")


def find(tx: Reader, site_id: int) -> HoldRules:
    """Return the rules of a site; without stored ones, empty lists."""
    stored = tx.value(FIND, site_id=site_id)
    return msgspec.json.decode(stored, type=HoldRules) if stored else HoldRules()


def document(tx: Reader, site_id: int) -> dict[str, Any]:
    """Return the rules of a site as a dict for JSON, with the number of texts that each version held or noted in the
    last DRY_RUN_DAYS.
    """
    data: dict[str, Any] = msgspec.to_builtins(find(tx, site_id))
    rows = tx.rows(HITS, site_id=site_id, days=DRY_RUN_DAYS)
    return data | {"hits": [{"rule": row[0], "held": row[1], "shadowed": row[2]} for row in rows]}


def checks(tx: Reader, site_id: int) -> list[TextCheck]:
    """Return a check for each rule of a site that is not off."""
    return [RuleCheck(rule) for rule in find(tx, site_id).rules if rule.mode != OFF]


def dry_run(tx: Reader, secret: bytes, site_id: int, role_id: int) -> dict[str, Any]:
    """Return, as a dict for JSON, how many texts of the last DRY_RUN_DAYS a rule for this role would have held, the
    newest of them, and a ticket, with which `put` accepts such a rule for 15 minutes. Nothing is held. Roles count
    as they are now.

    Raises Conflict for a role that people come into, or stay in, because their texts are held.
    """
    _check_loop(tx, site_id, role_id)
    rows = tx.rows(DRY_RUN, site_id=site_id, role_id=role_id, days=DRY_RUN_DAYS, most=MOST_SHOWN)
    expires = int(time.time()) + TICKET_S
    return {
        "roleId": role_id,
        "days": DRY_RUN_DAYS,
        "written": rows[0][0],
        "matched": rows[0][1],
        "things": [
            {
                "itemType": itemtypes.name_of(item_type),
                "itemId": item_id,
                "href": itemtypes.href(item_type, item_id),
            }
            for _, _, item_type, item_id in rows
            if item_id is not None
        ],
        "ticket": f"{expires}.{_sign(secret, site_id, role_id, expires)}",
    }


def put(
    tx: Transaction,
    author: Author,
    secret: bytes,
    wanted: Sequence[HoldRule],
    tickets: Sequence[str],
) -> None:
    """Replace all rules of the author's site by `wanted`. `tickets`: for each rule the ticket of a dry run for its
    role, which a new or changed rule needs unless it is off; "" for none.

    A changed rule gets a new version; replaced versions and rules that are not in `wanted` are kept in `past`. Locks
    the site's row. Raises Invalid, Conflict.
    """
    site_id = author.site_id
    tx.row(LOCK, site_id=site_id)
    stored = find(tx, site_id)
    before = {rule.name: rule for rule in stored.rules}
    if len(wanted) > MOST_RULES:
        raise Invalid("", f"may have at most {MOST_RULES} rules", code=OUT_OF_RANGE)
    if len({rule.name for rule in wanted}) < len(wanted):
        raise Invalid("", "may name each rule only once")
    now = format_time(tx.value(NOW))
    past = [rule for rule in stored.rules if rule.name not in {one.name for one in wanted}]
    made = []
    for number, (rule, ticket) in enumerate(zip(wanted, tickets, strict=True)):
        _check(rule, f"[{number}].")
        known = before.get(rule.name)
        if known is not None and _same(known, rule):
            made.append(known)
            continue
        if rule.mode != OFF:
            _check_loop(tx, site_id, rule.roleId)
            _check_ticket(secret, site_id, rule.roleId, ticket, f"[{number}].ticket")
        earlier = [one.version for one in (*stored.past, *stored.rules) if one.name == rule.name]
        rule.version, rule.saved = max(earlier, default=0) + 1, now
        made.append(rule)
        if known is not None:
            past.append(known)
    value = msgspec.json.encode(
        HoldRules(rules=made, past=[*past, *stored.past][:MOST_PAST])
    ).decode()
    tx.run(PUT, site_id=site_id, reader=READER, value=value)
    journal.record_site(tx, author)


NOW = Query("rule.now", "SELECT now()")


def _check(rule: HoldRule, field: str) -> None:
    if not _NAME.fullmatch(rule.name):
        raise Invalid(f"{field}name", "must have 1 to 40 letters, digits, _ or -")
    rule.title = clean.block(rule.title)
    if not 1 <= clean.length(rule.title) <= 100 or "\n" in rule.title:
        raise Invalid(f"{field}title", "must be one line of 1 to 100 characters")
    for name, value, known in (
        ("event", rule.event, (WRITTEN,)),
        ("action", rule.action, (HOLD,)),
        ("mode", rule.mode, MODES),
    ):
        if value not in known:
            raise Invalid(f"{field}{name}", f"must be one of {', '.join(known)}")


def _same(one: HoldRule, other: HoldRule) -> bool:
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("title", "roleId", "event", "action", "mode")
    )


def _check_loop(tx: Reader, site_id: int, role_id: int) -> None:
    if tx.value(LOOPS, site_id=site_id, role_id=role_id):
        raise Conflict(
            "This rule would act on its own effects: what is held does not count, and a criterion of the role asks for"
            " few comments or items"
        )


def _check_ticket(secret: bytes, site_id: int, role_id: int, ticket: str, field: str) -> None:
    match = _TICKET.fullmatch(ticket)
    if match is None or not hmac.compare_digest(
        match[2], _sign(secret, site_id, role_id, int(match[1]))
    ):
        raise Invalid(field, "must be the ticket of a dry run for this role")
    if int(match[1]) < time.time():
        raise Invalid(field, "is older than 15 minutes: make another dry run")


def _sign(secret: bytes, site_id: int, role_id: int, expires: int) -> str:
    text = f"rule:{site_id}:{role_id}:{expires}"
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:32]
