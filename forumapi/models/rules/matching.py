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
from forumapi.models.roles.criteria_sql import FACTS, compared_text, groups, meets
from forumapi.models.rules.definition import RuleDefinition
from forumapi.permissions.evaluator import Tree
from forumapi.wire.json_fragments import dumps

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

# Of a profile that joined: it is its own author. What nobody reads as a text is tested neither for links nor length.
_PROFILES: Final = f"""
        SELECT {itemtypes.PROFILE}::smallint AS type, p.profile_id AS id, p.profile_id AS author_id,
               0::bigint AS microcosm_id, p.created AS happened, p.profile_name::text AS text
          FROM asked p"""

# Conditions of rules, which are parameters of a statement on one rule; `tests` is JSON.
_CONDITIONS: Final = {
    "has_link": "boolean",
    "least_length": "int",
    "most_length": "int",
    "everywhere": "boolean",
    "places": "bigint[]",
    "roles": "bigint[]",
    "other_roles": "bigint[]",
    "tests": "text",
}


def _of_each(asked: str, written: str) -> str:
    """Return the SELECT of the rules in the parameter `rules`, by their `number`, with the things that fit each.
    `asked`, `written`: the SQL of these tables.
    """
    found = f"""
            WITH asked AS ({asked}),
            written AS MATERIALIZED ({written}),
            {_FIT}
            SELECT w.type, w.id, w.author_id
              FROM fit w
              JOIN people p ON p.profile_id = w.author_id"""
    for name in _CONDITIONS:
        found = found.replace(f"%({name})s", f"r.{name}")
    columns = ", ".join(f"{name} {kind}" for name, kind in _CONDITIONS.items())
    return f"""
    SELECT r.number, found.type, found.id, found.author_id
      FROM jsonb_to_recordset(%(rules)s::jsonb)
           AS r (number int, {columns})
     CROSS JOIN LATERAL ({found}) found
     ORDER BY r.number, found.id"""


_UNRESTRICTED: Final = "for rules, which the site's owner makes; huddles are left out"
NEW_COMMENTS = Query(
    "matching.new_comments",
    _of_each(
        """
                SELECT c.comment_id, c.item_id, c.created_by, c.created AS happened, c.markdown
                  FROM comments c
                 WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[])
                   AND (NOT c.is_deleted OR c.comment_id = ANY(%(deleted_too)s::bigint[]))""",
        _COMMENTS,
    ),
)
NEW_ITEMS = Query(
    "matching.new_items",
    _of_each(
        """
                SELECT i.item_type_id, i.item_id, i.microcosm_id, i.created_by, i.created AS happened, i.title
                  FROM items i
                 WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])
                   AND (NOT i.is_deleted OR i.item_id = ANY(%(deleted_too)s::bigint[]))""",
        _ITEMS,
    ),
)

NEW_PROFILES = Query(
    "matching.new_profiles",
    _of_each(
        """
                SELECT o.profile_id, o.created, o.profile_name
                  FROM profiles o
                 WHERE o.site_id = %(site_id)s AND o.profile_id = ANY(%(ids)s::bigint[])""",
        _PROFILES,
    ),
)

# SQL: people whose reports `r` a case has, each once, whatever they reported as: a guest by the address, and a member
# by theirs. `reporter` and `person` are the member's rows, null for guests. A report whose reporter's address was
# erased counts for nobody: it may be a second one by somebody who is counted.
_REPORTERS: Final = """
      LEFT JOIN profiles reporter ON reporter.site_id = r.site_id AND reporter.profile_id = r.reporter_id
      LEFT JOIN users person ON person.user_id = reporter.user_id
     WHERE r.site_id = %(site_id)s
       AND (cardinality(%(reporters)s::bigint[]) = 0 OR reporter.role_ids && %(reporters)s::bigint[])"""
_PEOPLE: Final = "count(DISTINCT coalesce(person.person_key, r.guest_key))"
# Things that the rule has not acted on since their case was opened: what a moderator shows again is not hidden again by
# the next report. What the rule only recorded does not count once it acts.
REPORTED = Query(
    "matching.reported",
    f"""
    SELECT r.item_type_id, r.item_id
      FROM reports r
      JOIN cases k ON k.site_id = r.site_id AND k.case_id = r.case_id AND k.state = 'open'{_REPORTERS}
       AND (r.item_type_id, r.item_id) IN (SELECT w.type, w.id
                                             FROM unnest(%(types)s::smallint[], %(ids)s::bigint[]) AS w (type, id))
       AND NOT EXISTS (SELECT FROM rule_hits h
                        WHERE h.site_id = %(site_id)s AND h.rule_id = %(rule_id)s
                          AND h.item_type_id = r.item_type_id AND h.item_id = r.item_id AND h.created >= k.opened
                          AND (h.is_shadow IS FALSE OR %(is_shadow)s::boolean))
     GROUP BY r.item_type_id, r.item_id
    HAVING {_PEOPLE} >= %(least_reports)s::int""",
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


PAST_PROFILES = Query(
    "matching.past_profiles",
    f"""
    WITH newest AS (
        SELECT o.profile_id, o.created, o.profile_name
          FROM profiles o
         WHERE o.site_id = %(site_id)s
         ORDER BY o.profile_id DESC
         LIMIT %(most)s),
    asked AS (
        SELECT n.profile_id, n.created, n.profile_name
          FROM newest n
         WHERE n.created >= now() - make_interval(days => %(days)s::int)),
    written AS MATERIALIZED ({_PROFILES}),
    {_FIT}
    {_PAST}""",
)

# The things of cases with a report of the last days, by so many people; open or decided. What `me` wrote is left out:
# nobody learns who reported them.
_PAST_REPORTS: Final = f"""
    recent AS (
        SELECT n.case_id
          FROM (SELECT n.case_id, n.created
                  FROM reports n
                 WHERE n.site_id = %(site_id)s AND n.item_type_id = ANY(%(types)s::smallint[])
                 ORDER BY n.report_id DESC
                 LIMIT %(most)s) n
         WHERE n.created >= now() - make_interval(days => %(days)s::int)),
    counted AS (
        SELECT r.item_id, max(r.created) AS happened
          FROM reports r{_REPORTERS}
           AND r.case_id IN (SELECT recent.case_id FROM recent)
         GROUP BY r.case_id, r.item_id
        HAVING {_PEOPLE} >= %(least_reports)s::int),
    reported AS (
        SELECT c.item_id, max(c.happened) AS happened FROM counted c GROUP BY c.item_id)"""
PAST_REPORTED_COMMENTS = Query(
    "matching.past_reported_comments",
    f"""
    WITH {_PAST_REPORTS},
    asked AS (
        SELECT c.comment_id, c.item_id, c.created_by, c.markdown, e.happened
          FROM reported e
          JOIN comments c ON c.site_id = %(site_id)s AND c.comment_id = e.item_id AND c.created_by <> %(me)s),
    written AS MATERIALIZED ({_COMMENTS}),
    {_FIT}
    {_PAST}""",
    unrestricted=_UNRESTRICTED,
)
PAST_REPORTED_ITEMS = Query(
    "matching.past_reported_items",
    f"""
    WITH {_PAST_REPORTS},
    asked AS (
        SELECT i.item_type_id, i.item_id, i.microcosm_id, i.created_by, i.title, e.happened
          FROM reported e
          JOIN items i ON i.site_id = %(site_id)s AND i.item_id = e.item_id AND i.created_by <> %(me)s),
    written AS MATERIALIZED ({_ITEMS}),
    {_FIT}
    {_PAST}""",
    unrestricted=_UNRESTRICTED,
)


class PastThing(NamedTuple):
    """Comment, item or profile that a dry run found. `happened`: when it was written or joined; for a rule on edits,
    when it was last edited; for a rule on reports, when the last of the reports that count was made. `text`: the first
    EXCERPT characters of a comment's Markdown, an item's title or a profile's name, as they are stored.
    """

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


def encoded(rules: Sequence[RuleDefinition], tree: Tree) -> str:
    """Return the parameter `rules` of the statements NEW_COMMENTS, NEW_ITEMS and NEW_PROFILES: the conditions of the
    rules as JSON, each with its place in `rules` as `number`.
    """
    return dumps(
        [{"number": number, **_params(rule, tree)} for number, rule in enumerate(rules)]
    ).decode()


def of_events(
    tx: Reader,
    site_id: int,
    rule: RuleDefinition,
    tree: Tree,
    ids: Collection[int],
    deleted_too: Collection[int] = (),
) -> Sequence[tuple[ItemRef, int]]:
    """Return (thing, its author's profile id) of each of the comments, items or profiles `ids` that fits the rule and
    is not deleted, in any order. The rule's event says of which of these types the ids are; `tree`: the site's
    microcosms; `deleted_too`: ids, among `ids`, of comments or items that are returned even if they are deleted. The
    number of reports is not looked at: `of_reports` does. Huddles and comments in them fit no rule.
    """
    rules = encoded([rule], tree)
    if rule.is_on_joining:
        rows = tx.rows(NEW_PROFILES, site_id=site_id, ids=sorted(ids), rules=rules)
    else:
        rows = tx.rows(
            NEW_COMMENTS if itemtypes.COMMENT in rule.on.takes else NEW_ITEMS,
            site_id=site_id,
            ids=sorted(ids),
            deleted_too=sorted(deleted_too),
            rules=rules,
        )
    return [(ItemRef(type, id), author_id) for _, type, id, author_id in rows]


def of_written(
    tx: Reader, site_id: int, rules: Sequence[RuleDefinition], tree: Tree, ref: ItemRef
) -> list[int]:
    """Return the places in `rules`, in order, of those that the comment or item `ref` fits: none if it is deleted, a
    huddle or in one. All are asked in one statement; their events must be of the type of `ref`. `tree`: the site's
    microcosms.
    """
    rows = tx.rows(
        NEW_COMMENTS if ref.type == itemtypes.COMMENT else NEW_ITEMS,
        site_id=site_id,
        ids=[ref.id],
        deleted_too=(),
        rules=encoded(rules, tree),
    )
    return [row[0] for row in rows]


def of_reports(
    tx: Reader,
    site_id: int,
    rule_id: int,
    rule: RuleDefinition,
    refs: Collection[ItemRef],
    *,
    is_shadow: bool,
) -> set[ItemRef]:
    """Return those of the things `refs` that at least as many people as the rule wants have reported in the things'
    open cases; without those that the rule has acted on in that case already, or, with `is_shadow`, recorded.

    People are told apart by the addresses that they sign in with, guests by the address that they have confirmed; those
    whose address was erased don't count.
    """
    if not refs:
        return set()
    rows = tx.rows(
        REPORTED,
        site_id=site_id,
        rule_id=rule_id,
        types=[ref.type for ref in refs],
        ids=[ref.id for ref in refs],
        least_reports=rule.least_reports,
        reporters=list(rule.reporters),
        is_shadow=is_shadow,
    )
    return {ItemRef(*row) for row in rows}


def check_loops(tx: Reader, site_id: int, definition: RuleDefinition) -> None:
    """Raise Invalid if the rule hides what people write and names, among `roles`, a role whose criteria ask for few
    comments or items: the rule would keep people in that role.
    """
    if definition.hides and tx.value(LOOPS, site_id=site_id, roles=list(definition.roles)):
        raise Invalid(
            "roleIds",
            "may not name a role for few comments or items: what is hidden does not count",
        )


def of_the_past(tx: Reader, site_id: int, me: int, rule: RuleDefinition, tree: Tree) -> DryRun:
    """Return what the rule would have fitted in the last DAYS days, with authors judged by what they are now; for a
    rule on edits the time of the last edit counts; deleted and hidden things too. Only the MOST_EXAMINED things that
    were made last are looked at, also for edits. For a rule on reports: the things, except those of the profile `me`,
    whose case, open or decided, has one of the last MOST_EXAMINED reports, made in these days, and reports by as many
    people as the rule wants.
    """
    params = {"site_id": site_id, "days": DAYS, "most": MOST_EXAMINED, **_params(rule, tree)}
    is_on_comments = itemtypes.COMMENT in rule.on.takes
    if rule.is_on_joining:
        rows = tx.rows(PAST_PROFILES, **params)
    elif rule.is_on_report:
        rows = tx.rows(
            PAST_REPORTED_COMMENTS if is_on_comments else PAST_REPORTED_ITEMS,
            types=sorted(rule.on.takes),
            least_reports=rule.least_reports,
            reporters=list(rule.reporters),
            me=me,
            **params,
        )
    else:
        query = PAST_COMMENTS if is_on_comments else PAST_ITEMS
        rows = tx.rows(query, kind=rule.on.kind, **params)
    things = [PastThing(ItemRef(row[2], row[3]), *row[4:]) for row in rows if row[2] is not None]
    return DryRun(rows[0][0], rows[0][1], things)
