"""Members of a role as they are shown: pages, the reasons why they are in it, and who leaves it soon."""

from __future__ import annotations

from typing import NamedTuple

from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.models.roles.criteria_sql import (
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
    groups,
    has_own,
    meets,
)
from forumapi.models.roles.criterion import Criterion
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


def _losing(granted: str) -> str:
    """Return the statement that finds, for each role, the profiles that are in it only by a value that they wrote
    themselves: their number, and the `limit` with the lowest ids. `granted`: SQL condition, GRANTED or GRANTED_BEFORE
    of criteria_sql.py, that the site's owner wrote an attribute; its `{a}` is replaced by the attribute's alias.
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
    number; `versions`: versions, by profile id, of those among them that are shown: the lowest ids, ascending, as many
    as the caller asked for at most.
    """

    total: int
    versions: dict[int, int]


def page(tx: Reader, site_id: int, role_id: int, at: Paging, *, everyone: bool) -> MembersPage:
    """Return the page `at` of a role's members, found anew by its criteria and named profiles, in the order of their
    ids. `everyone`: the role includes all profiles of the site.
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
    """Return the reasons why each of these profiles is in a role, by profile id; for one that is not in it, or only
    because the role includes everybody, `is_explicit` is False and `met` empty. Ids of no profile are left out.
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
