"""Members of a role as they are shown: pages, reasons, and the effect of a criterion that is not yet stored."""

from __future__ import annotations

from typing import Any, NamedTuple

from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.models.people.criteria_sql import (
    ANY_ATTRIBUTE,
    ATTRIBUTE,
    DATE,
    FACTS,
    FLAG,
    GRANTED,
    GRANTED_BEFORE,
    MET,
    NUMBER,
    TESTS,
    TEXT,
    compared_text,
    groups,
    has_own,
    meets,
)
from forumapi.models.people.criterion import Criterion, comparison
from forumapi.wire.paging import Paging

MEMBERS = Query(
    "role_members_page.page",
    f"""
    WITH tests AS MATERIALIZED ({TESTS} AND c.role_id = %(role_id)s),
    {groups("tests")},
    named AS MATERIALIZED (
        SELECT r.profile_id FROM role_profiles r WHERE r.site_id = %(site_id)s AND r.role_id = %(role_id)s),
    facts AS MATERIALIZED ({FACTS}),
    found AS MATERIALIZED (
        SELECT f.profile_id, f.version
          FROM facts f
         WHERE %(everyone)s OR f.profile_id IN (SELECT x.profile_id FROM named x) OR {meets("tests")})
    SELECT n.total, page.profile_id, page.version
      FROM (SELECT count(*) AS total FROM found) n
      LEFT JOIN LATERAL (
            SELECT f.profile_id, f.version FROM found f
             ORDER BY f.profile_id LIMIT %(limit)s OFFSET %(offset)s) page ON true
     ORDER BY page.profile_id""",
)

# Tests of the groups that a profile meets, with the profile's value.
REASONS = Query(
    "role_members_page.reasons",
    f"""
    WITH tests AS MATERIALIZED ({TESTS} AND c.role_id = %(role_id)s),
    facts AS MATERIALIZED ({FACTS} AND p.profile_id = ANY(%(profile_ids)s))
    SELECT f.profile_id,
           EXISTS (SELECT FROM role_profiles r
                    WHERE r.site_id = %(site_id)s AND r.role_id = %(role_id)s AND r.profile_id = f.profile_id),
           met.criterion_id, met.or_group, coalesce(c.profile_column, ''), coalesce(c.attr_key, ''), c.predicate,
           c.value::text, met.actual
      FROM facts f
      LEFT JOIN LATERAL (
            SELECT t.criterion_id, t.or_group, bool_and({MET}) OVER (PARTITION BY t.or_group) AS is_met,
                   coalesce(to_jsonb({NUMBER}), to_jsonb({DATE}), to_jsonb({TEXT}),
                            to_jsonb({FLAG}))::text AS actual
              FROM tests t {ATTRIBUTE}) met ON met.is_met
      LEFT JOIN criteria c ON c.site_id = %(site_id)s AND c.criterion_id = met.criterion_id
     ORDER BY f.profile_id, met.or_group, met.criterion_id""",
)

# The same of one profile, for every role that it is in; a role without criteria that it meets has one row.
HELD = Query(
    "role_members_page.held",
    f"""
    WITH held AS MATERIALIZED (
        SELECT r.role_id, r.microcosm_id, r.include_users
          FROM profiles p
          JOIN roles r ON r.site_id = p.site_id AND (r.include_users OR r.role_id = ANY(p.role_ids))
         WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s),
    tests AS MATERIALIZED ({TESTS} AND c.role_id IN (SELECT h.role_id FROM held h)),
    facts AS MATERIALIZED ({FACTS} AND p.profile_id = %(profile_id)s)
    SELECT h.role_id, h.microcosm_id, h.include_users,
           EXISTS (SELECT FROM role_profiles r
                    WHERE r.site_id = %(site_id)s AND r.role_id = h.role_id AND r.profile_id = f.profile_id),
           met.criterion_id, met.or_group, coalesce(c.profile_column, ''), coalesce(c.attr_key, ''), c.predicate,
           c.value::text, met.actual
      FROM held h
     CROSS JOIN facts f
      LEFT JOIN LATERAL (
            SELECT t.criterion_id, t.or_group, bool_and({MET}) OVER (PARTITION BY t.or_group) AS is_met,
                   coalesce(to_jsonb({NUMBER}), to_jsonb({DATE}), to_jsonb({TEXT}),
                            to_jsonb({FLAG}))::text AS actual
              FROM tests t {ATTRIBUTE}
             WHERE t.role_id = h.role_id) met ON met.is_met
      LEFT JOIN criteria c ON c.site_id = %(site_id)s AND c.criterion_id = met.criterion_id
     ORDER BY h.role_id, met.or_group, met.criterion_id""",
)

# Profiles that a criterion, new or in the place of another, would let in or put out, and those that would be in if
# values that they wrote themselves counted. Named profiles stay in either way.
PREVIEW = Query(
    "role_members_page.preview",
    f"""
    WITH own AS MATERIALIZED ({TESTS} AND c.role_id = %(role_id)s),
    wanted AS MATERIALIZED (
        SELECT t.or_group, t.kind, t.attr_key, t.number_value, t.date_value, t.text_value, t.boolean_value, t.predicate
          FROM own t
         WHERE t.criterion_id <> %(replaced)s
         UNION ALL
        SELECT %(or_group)s::int, %(kind)s::text, nullif(%(key)s::text, ''), %(number)s::numeric, %(date)s::date,
               {compared_text("%(kind)s::text", "%(text)s::text")}, %(flag)s::boolean,
               CASE %(predicate)s::text WHEN 'neq' THEN 'ne' ELSE %(predicate)s::text END),
    tests AS MATERIALIZED (SELECT o.kind FROM own o UNION SELECT w.kind FROM wanted w),
    {groups("own")},
    {groups("wanted")},
    facts AS MATERIALIZED ({FACTS}
           AND NOT %(everyone)s
           AND NOT EXISTS (SELECT FROM role_profiles r
                            WHERE r.site_id = p.site_id AND r.role_id = %(role_id)s AND r.profile_id = p.profile_id)),
    compared AS MATERIALIZED (
        SELECT f.profile_id, f.version, {meets("own")} AS was, {meets("wanted")} AS will,
               {has_own("f.profile_id", "wanted")}
               AND {meets("wanted", ANY_ATTRIBUTE)} AS says
          FROM facts f),
    sorted AS (
        SELECT side.name, c.profile_id, c.version
          FROM compared c
         CROSS JOIN LATERAL (
                VALUES (c.will AND NOT c.was, 'joins'), (c.was AND NOT c.will, 'leaves'),
                       (c.says AND NOT c.will, 'selfGranted')) AS side (is_on, name)
         WHERE side.is_on),
    counted AS (
        SELECT s.name, s.profile_id, s.version, count(*) OVER (PARTITION BY s.name) AS total,
               row_number() OVER (PARTITION BY s.name ORDER BY s.profile_id) AS place
          FROM sorted s)
    SELECT c.name, c.total, c.profile_id, c.version
      FROM counted c
     WHERE c.place <= %(limit)s
     ORDER BY c.name, c.place""",
)


def _losing(granted: str) -> str:
    """Return the statement that finds, for each role, the profiles that are in it only by a value that they wrote
    themselves: their number, and the `limit` with the lowest ids. `granted`: SQL condition.
    """
    attribute = f"{ANY_ATTRIBUTE} AND {granted.format(a='a')}"
    return f"""
    WITH tests AS MATERIALIZED ({TESTS} AND c.role_id = ANY(%(role_ids)s::bigint[])),
    facts AS MATERIALIZED ({FACTS} AND p.role_ids && %(role_ids)s::bigint[]
           AND {has_own("p.profile_id", "tests", granted)}),
    losing AS (
        SELECT r.id AS role_id, f.profile_id, f.version, f.profile_name
          FROM facts f
         CROSS JOIN LATERAL unnest(f.role_ids) AS r (id)
         WHERE r.id = ANY(%(role_ids)s::bigint[])
           AND NOT EXISTS (SELECT FROM role_profiles x
                            WHERE x.site_id = %(site_id)s AND x.role_id = r.id AND x.profile_id = f.profile_id)
           AND NOT EXISTS (SELECT FROM tests t {attribute}
                            WHERE t.role_id = r.id
                            GROUP BY t.or_group HAVING bool_and({MET}))),
    counted AS (
        SELECT l.*, count(*) OVER (PARTITION BY l.role_id) AS total,
               row_number() OVER (PARTITION BY l.role_id ORDER BY l.profile_id) AS place
          FROM losing l)
    SELECT c.role_id, c.total, c.profile_id, c.version, c.profile_name
      FROM counted c
     WHERE c.place <= %(limit)s
     ORDER BY c.role_id, c.place"""


LOSING = Query("role_members_page.losing", _losing(GRANTED))
LOSING_BEFORE = Query("role_members_page.losing_before", _losing(GRANTED_BEFORE))


class MembersPage(NamedTuple):
    """Page of a role's members: `versions` by profile id, ascending; `total`: number of all members."""

    total: int
    versions: dict[int, int]


class Met(NamedTuple):
    """Criterion that a profile meets. `actual`: the profile's value as JSON, null if it has none."""

    criterion: Criterion
    actual: str


class Reason(NamedTuple):
    """Reason why a profile is in a role. `is_explicit`: the profile is named in the role; `met`: all criteria of the
    role in those groups of which the profile meets every criterion.
    """

    is_explicit: bool
    met: list[Met]


class HeldRole(NamedTuple):
    """Role that a profile is in, with the reasons. `everyone`: the role includes all profiles of the site."""

    id: int
    microcosm_id: int
    everyone: bool
    reason: Reason


class MemberChange(NamedTuple):
    """One side of a change of a role's members, such as all profiles that join it, or all that leave it. `total`: their
    number; `versions`: versions, by profile id, of those among them that are shown, the lowest ids, ascending, up to
    the limit that the caller of `losing` or `preview` gave.
    """

    total: int
    versions: dict[int, int]


class Preview(NamedTuple):
    """Effect of a change of criteria on a role, one MemberChange for each side: profiles that join, profiles that
    leave, and profiles that would join if values that they wrote themselves counted.
    """

    joins: MemberChange
    leaves: MemberChange
    self_granted: MemberChange


def page(tx: Reader, site_id: int, role_id: int, at: Paging, *, everyone: bool) -> MembersPage:
    """Return the page `at` of a role's present members, by profile id. `everyone`: the role includes all profiles
    of the site.
    """
    rows = tx.rows(
        MEMBERS,
        site_id=site_id,
        role_id=role_id,
        everyone=everyone,
        limit=at.limit,
        offset=at.offset,
    )
    return MembersPage(rows[0][0], {row[1]: row[2] for row in rows if row[1] is not None})


def losing(tx: Reader, site_id: int, role_ids: list[int], limit: int) -> dict[int, MemberChange]:
    """Return, by role id, the profiles that are in the role only by a value that they wrote themselves, as one
    MemberChange that shows up to `limit` of them.

    These profiles leave the role when their roles are recomputed. A role that nobody leaves has no entry.
    """
    found: dict[int, MemberChange] = {}
    rows = tx.rows(LOSING, site_id=site_id, role_ids=role_ids, limit=limit)
    for role_id, total, profile_id, version, _ in rows:
        found.setdefault(role_id, MemberChange(total, {})).versions[profile_id] = version
    return found


def reasons(tx: Reader, site_id: int, role_id: int, profile_ids: list[int]) -> dict[int, Reason]:
    """Return the reasons why each of these profiles is in a role, by profile id; for one that is not in it
    `is_explicit` is False and `met` empty.
    """
    found: dict[int, Reason] = {}
    rows = tx.rows(REASONS, site_id=site_id, role_id=role_id, profile_ids=profile_ids)
    for profile_id, is_explicit, *criterion, actual in rows:
        reason = found.setdefault(profile_id, Reason(is_explicit, []))
        if criterion[0] is not None:
            reason.met.append(Met(Criterion(*criterion), actual or "null"))
    return found


def held(tx: Reader, site_id: int, profile_id: int) -> list[HeldRole]:
    """Return all roles of the site that a profile is in, with the reasons, ordered by role id."""
    found: dict[int, HeldRole] = {}
    for row in tx.rows(HELD, site_id=site_id, profile_id=profile_id):
        id, microcosm_id, everyone, is_explicit, *criterion, actual = row
        one = found.setdefault(id, HeldRole(id, microcosm_id, everyone, Reason(is_explicit, [])))
        if criterion[0] is not None:
            one.reason.met.append(Met(Criterion(*criterion), actual or "null"))
    return list(found.values())


def preview(
    tx: Reader,
    site_id: int,
    role_id: int,
    new: Criterion,
    *,
    replaced: int,
    everyone: bool,
    limit: int,
) -> Preview:
    """Compute the effect of storing the criterion `new` of the role in place of the criterion with the id `replaced`
    (0: as a further one). Writes nothing. `everyone`: the role includes all profiles of the site; `limit`: number of
    profiles shown for each side.
    """
    values: dict[str, Any] = comparison(new)._asdict()
    rows = tx.rows(
        PREVIEW,
        site_id=site_id,
        role_id=role_id,
        replaced=replaced,
        or_group=new.or_group,
        key=new.key,
        predicate=new.predicate,
        everyone=everyone,
        limit=limit,
        **values,
    )
    sides = {name: MemberChange(0, {}) for name in ("joins", "leaves", "selfGranted")}
    for name, total, profile_id, version in rows:
        side = sides[name] = sides[name]._replace(total=total)
        side.versions[profile_id] = version
    return Preview(*sides.values())
