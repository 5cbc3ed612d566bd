"""Holding of things in the transaction that writes them: by rules that hide, and, on sites with `beforeShown`, where
nobody may read what a check holds, by local checks; services are asked later.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import unescape
from typing import Any, Final, NamedTuple

import msgspec

from forumapi import itemtypes
from forumapi.checks.check import HOLD, TextCheck
from forumapi.checks.check_queue import (
    HELD,
    SITES_WITH_TEXT,
    UNRESTRICTED,
    ContentCheck,
    facts_sql,
    text_hash,
)
from forumapi.checks.check_settings import CheckSettings
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.itemtypes import ItemRef
from forumapi.models.rules import engine, matching
from forumapi.models.sites.site import Site
from forumapi.permissions.evaluator import Tree
from forumapi.wire.json_fragments import dumps

INSERT_HELD: Final = Query(
    "check_at_writing.insert_held",
    """
    INSERT INTO content_checks (site_id, item_type_id, item_id, author_id, state, verdicts, done, text_hash)
    VALUES (%(site_id)s, %(item_type)s, %(item_id)s, %(author_id)s, %(state)s, %(verdicts)s::jsonb, now(),
            %(text_hash)s)""",
)


# Rules and checks in one statement: what somebody writes costs one more at the most.
_RULES_AND_FACTS: Final = """,
           (SELECT coalesce(array_agg(fit.number ORDER BY fit.number), '{{}}') FROM ({fit}) fit),
           ({elsewhere})"""
COMMENT = Query(
    "check_at_writing.comment",
    facts_sql(_RULES_AND_FACTS.format(fit=matching.NEW_COMMENTS.sql, elsewhere=SITES_WITH_TEXT)),
    scope=PLATFORM,
    unrestricted=UNRESTRICTED,
)
ITEM = Query(
    "check_at_writing.item",
    facts_sql(_RULES_AND_FACTS.format(fit=matching.NEW_ITEMS.sql, elsewhere=SITES_WITH_TEXT)),
    scope=PLATFORM,
    unrestricted=UNRESTRICTED,
)


class JustWritten(NamedTuple):
    """Comment or item that a transaction has just written, visible and in no huddle. `kind`: CREATED or REPLACED of
    journal.py; `author_id`: its author's profile; `text`: a comment's Markdown or an item's title, as stored.
    """

    ref: ItemRef
    kind: str
    author_id: int
    text: str


def hold(
    tx: Transaction, site: Site, tree: Tree, written: JustWritten, *, is_checked: bool
) -> None:
    """Let the oldest of the site's rules that hides things and fits act on a thing that `tx` has just written, or else,
    with `is_checked`, judge it by the site's local checks: if one of them holds it, hide it, open its case and store
    the verdicts. `tree`: the site's.

    Rules and checks are asked in one statement; none is run for a site without rules that hide things and without
    `beforeShown`. Raises Conflict if the thing is in a microcosm that `tree` lacks.
    """
    ref = written.ref
    rules = engine.hides_at_writing(site, ref.type, written.kind)
    definitions = [rule.definition for rule in rules]
    settings = CheckSettings()
    if is_checked and site.first_checks:
        settings = msgspec.json.decode(site.first_checks, type=CheckSettings)
    checks = settings.local_checks()
    row = None
    if checks:
        said = text_hash(unescape(written.text)) if settings.sameText else None
        row = tx.row(
            COMMENT if ref.type == itemtypes.COMMENT else ITEM,
            site_id=site.id,
            item_type=ref.type,
            item_id=ref.id,
            author_id=written.author_id,
            ids=[ref.id],
            deleted_too=(),
            rules=matching.encoded(definitions, tree),
            text_hash=said,
        )
    # Of an author who was erased there are no facts; rules act on what others change in their texts.
    *facts, fitting, elsewhere = row or ((), 0)
    if row is None and rules:
        fitting = matching.of_written(tx, site.id, definitions, tree, ref)
    if fitting and engine.act_at_writing(tx, site, tree, ref, rules[fitting[0]]):
        return
    if row is not None:
        _judge(tx, site, written, checks, facts, elsewhere)


def _judge(
    tx: Transaction,
    site: Site,
    written: JustWritten,
    checks: Sequence[TextCheck],
    facts: Sequence[Any],
    elsewhere: int,
) -> None:
    ref = written.ref
    thing = ContentCheck(site.id, 0, *ref, written.author_id, 0)
    text = thing.checked_text(facts, site.url, elsewhere)
    judged = [(check.name, check.judge(text)) for check in checks]
    if all(verdict.word != HOLD for _, verdict in judged):
        return
    verdicts = [
        {"check": name, "verdict": verdict.word, "reason": verdict.reason, "milliseconds": 0}
        for name, verdict in judged
    ]
    tx.run(
        INSERT_HELD,
        site_id=site.id,
        item_type=ref.type,
        item_id=ref.id,
        author_id=written.author_id,
        state=HELD,
        verdicts=dumps(verdicts).decode(),
        text_hash=text_hash(text.text),
    )
    thing.hold(tx, "; ".join(f"{name}: {one.reason}" for name, one in judged if one.word == HOLD))
