"""Things that fit the conditions of a rule: those of events that have just happened, or those of the last 30 days."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.errors import Invalid
from forumapi.itemtypes import ItemRef
from forumapi.models.people.criteria_sql import FACTS, compared_text, groups, meets
from forumapi.models.rules.definition import RuleDefinition
from forumapi.permissions.evaluator import Tree

# Days that a dry run looks back over, and the newest things that it examines at most.
DAYS: Final = 30
MOST_EXAMINED: Final = 100_000
# Things that its answer lists, and characters of each.
LISTED: Final = 100
EXCERPT: Final = 200

_LINK: Final = "(https?://|www[.])[^[:space:]]"

_TESTS: Final = f"""
        SELECT 0::bigint AS role_id, c.or_group, c.kind, c.attr_key, c.number_value, c.date_value,
               {compared_text("c.kind", "c.text_value")} AS text_value, c.boolean_value,
               CASE c.predicate WHEN 'neq' THEN 'ne' ELSE c.predicate END AS predicate
          FROM jsonb_to_recordset(%(tests)s::jsonb)
               AS c (or_group int, kind text, attr_key text, number_value numeric, date_value date, text_value text,
                     boolean_value boolean, predicate text)"""

# Roles whose criteria keep people in them because their texts are hidden: what is hidden is not counted.
LOOPS = Query(
    "matching.loops",
    """
    SELECT EXISTS (SELECT FROM criteria c
                    WHERE c.site_id = %(site_id)s AND c.role_id = ANY(%(roles)s::bigint[])
                      AND c.kind IN ('commentCount', 'itemCount') AND c.predicate NOT IN ('gt', 'ge'))""",
)

# Of the things in the table `written`: those that fit, and whose author does.
_FIT: Final = f"""
    fit AS MATERIALIZED (
        SELECT w.type, w.id, w.author_id, w.microcosm_id, w.happened, w.text
          FROM written w
         WHERE (%(has_link)s::boolean IS NULL OR (w.text ~* '{_LINK}') = %(has_link)s::boolean)
           AND length(w.text) >= %(least_length)s::int
           AND (%(most_length)s::int = 0 OR length(w.text) <= %(most_length)s::int)
           AND (%(everywhere)s::boolean OR w.microcosm_id = ANY(%(places)s::bigint[]))),
    tests AS MATERIALIZED ({_TESTS}),
    {groups("tests")},
    facts AS MATERIALIZED ({FACTS} AND p.profile_id IN (SELECT w.author_id FROM fit w)),
    people AS MATERIALIZED (
        SELECT f.profile_id
          FROM facts f
         WHERE (cardinality(%(roles)s::bigint[]) = 0 OR f.role_ids && %(roles)s::bigint[])
           AND NOT f.role_ids && %(other_roles)s::bigint[]
           AND (NOT EXISTS (SELECT FROM tests) OR {meets("tests")}))"""

# Comments in huddles are nobody's to moderate, and no rule reads them.
_COMMENTS: Final = f"""
        SELECT {itemtypes.COMMENT}::smallint AS type, c.comment_id AS id, c.created_by AS author_id,
               coalesce(i.microcosm_id, 0) AS microcosm_id, c.happened, c.markdown AS text
          FROM asked c
          LEFT JOIN items i ON i.site_id = %(site_id)s AND i.item_id = c.item_id
         WHERE (c.item_id IS NULL OR i.microcosm_id IS NOT NULL)"""
# Of an item the text is its title.
_ITEMS: Final = """
        SELECT i.item_type_id AS type, i.item_id AS id, i.created_by AS author_id, i.microcosm_id, i.happened,
               i.title AS text
          FROM asked i
         WHERE i.microcosm_id IS NOT NULL"""

_NEW: Final = """
    SELECT w.type, w.id, w.author_id
      FROM fit w
      JOIN people p ON p.profile_id = w.author_id
     ORDER BY w.id"""
_UNRESTRICTED: Final = "for rules, which the site's owner makes; huddles are left out"
NEW_COMMENTS = Query(
    "matching.new_comments",
    f"""
    WITH asked AS (
        SELECT c.comment_id, c.item_id, c.created_by, c.created AS happened, c.markdown
          FROM comments c
         WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[])
           AND (NOT c.is_deleted OR c.comment_id = ANY(%(deleted_too)s::bigint[]))),
    written AS MATERIALIZED ({_COMMENTS}),
    {_FIT}
    {_NEW}""",
)
NEW_ITEMS = Query(
    "matching.new_items",
    f"""
    WITH asked AS (
        SELECT i.item_type_id, i.item_id, i.microcosm_id, i.created_by, i.created AS happened, i.title
          FROM items i
         WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])
           AND (NOT i.is_deleted OR i.item_id = ANY(%(deleted_too)s::bigint[]))),
    written AS MATERIALIZED ({_ITEMS}),
    {_FIT}
    {_NEW}""",
)

_PAST: Final = f"""
    SELECT (SELECT count(*) FROM written) AS examined, n.total, shown.type, shown.id, shown.author_id, shown.happened,
           shown.text
      FROM (SELECT count(*) AS total FROM fit w JOIN people p ON p.profile_id = w.author_id) n
      LEFT JOIN LATERAL (
            SELECT w.type, w.id, w.author_id, w.happened, left(w.text, {EXCERPT}) AS text
              FROM fit w
              JOIN people p ON p.profile_id = w.author_id
             ORDER BY w.happened DESC, w.id DESC
             LIMIT {LISTED}) shown ON true
     ORDER BY shown.happened DESC, shown.id DESC"""


_HAPPENED: Final = (
    "CASE WHEN %(kind)s::text = 'created' THEN {t}.created ELSE {t}.edited END AS happened"
)
PAST_COMMENTS = Query(
    "matching.past_comments",
    f"""
    WITH newest AS (
        SELECT c.comment_id, c.item_id, c.created_by, c.markdown,
               {_HAPPENED.format(t="c")}
          FROM comments c
         WHERE c.site_id = %(site_id)s
         ORDER BY c.comment_id DESC
         LIMIT %(most)s),
    asked AS (
        SELECT c.comment_id, c.item_id, c.created_by, c.markdown, c.happened
          FROM newest c
         WHERE c.happened >= now() - make_interval(days => %(days)s::int)),
    written AS MATERIALIZED ({_COMMENTS}),
    {_FIT}
    {_PAST}""",
    unrestricted=_UNRESTRICTED,
)
PAST_ITEMS = Query(
    "matching.past_items",
    f"""
    WITH newest AS (
        SELECT i.item_type_id, i.item_id, i.microcosm_id, i.created_by, i.title,
               {_HAPPENED.format(t="i")}
          FROM items i
         WHERE i.site_id = %(site_id)s
         ORDER BY i.item_id DESC
         LIMIT %(most)s),
    asked AS (
        SELECT i.item_type_id, i.item_id, i.microcosm_id, i.created_by, i.title, i.happened
          FROM newest i
         WHERE i.happened >= now() - make_interval(days => %(days)s::int)),
    written AS MATERIALIZED ({_ITEMS}),
    {_FIT}
    {_PAST}""",
    unrestricted=_UNRESTRICTED,
)


class PastThing(NamedTuple):
    """Thing that a dry run found, with its author, the time of its event, and the beginning of its text."""

    ref: ItemRef
    author_id: int
    happened: datetime.datetime
    text: str


class DryRun(NamedTuple):
    """Outcome of a dry run: `examined`, number of things looked at; `total`, number of those that fit; `things`, the
    newest LISTED that fit, newest first.
    """

    examined: int
    total: int
    things: list[PastThing]


def _params(rule: RuleDefinition, tree: Tree) -> dict[str, Any]:
    places = {
        id for place in rule.places if place in tree.nodes for id in tree.nodes[place].subtree
    }
    return {
        "has_link": rule.has_link,
        "least_length": rule.least_length,
        "most_length": rule.most_length,
        "everywhere": not rule.places,
        "places": sorted(places),
        "roles": list(rule.roles),
        "other_roles": list(rule.other_roles),
        "tests": rule.tests(),
    }


def of_events(
    tx: Reader,
    site_id: int,
    rule: RuleDefinition,
    tree: Tree,
    ids: Collection[int],
    deleted_too: Collection[int] = (),
) -> Sequence[tuple[ItemRef, int]]:
    """Return (thing, its author's profile id) of each of the comments or items `ids` that fits the rule and is not
    deleted, in any order. The rule's event says if the ids are those of comments or of items; `tree`: the site's
    microcosms; `deleted_too`: ids of those that may be deleted.
    """
    query = NEW_COMMENTS if itemtypes.COMMENT in rule.on.takes else NEW_ITEMS
    rows = tx.rows(
        query,
        site_id=site_id,
        ids=sorted(ids),
        deleted_too=sorted(deleted_too),
        **_params(rule, tree),
    )
    return [(ItemRef(type, id), author_id) for type, id, author_id in rows]


def check_loops(tx: Reader, site_id: int, definition: RuleDefinition) -> None:
    """Raise Invalid if the rule hides what people write and names, among `roles`, a role whose criteria ask for few
    comments or items: the rule would keep people in that role.
    """
    if definition.hides and tx.value(LOOPS, site_id=site_id, roles=list(definition.roles)):
        raise Invalid(
            "roleIds",
            "may not name a role for few comments or items: what is hidden does not count",
        )


def of_the_past(tx: Reader, site_id: int, rule: RuleDefinition, tree: Tree) -> DryRun:
    """Return what the rule would have fitted in the last DAYS days, by its authors as they are now; deleted and hidden
    things too. Of more than MOST_EXAMINED things the newest are examined.
    """
    query = PAST_COMMENTS if itemtypes.COMMENT in rule.on.takes else PAST_ITEMS
    rows = tx.rows(
        query,
        site_id=site_id,
        kind=rule.on.kind,
        days=DAYS,
        most=MOST_EXAMINED,
        **_params(rule, tree),
    )
    things = [PastThing(ItemRef(row[2], row[3]), *row[4:]) for row in rows if row[2] is not None]
    return DryRun(rows[0][0], rows[0][1], things)
