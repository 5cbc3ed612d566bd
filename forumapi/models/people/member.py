"""Who is in a role: named, or by criteria (platform 5.2 and 5.3). Criteria are evaluated here and nowhere else.

A profile's row holds the ids of its roles, which is what the permission evaluator starts from. They are worked out when
what they depend on changes, in the transaction that changes it: for some profiles by `recompute_roles`, for a whole
site and one role by `recompute_role`. Each is one statement over sets; no criterion ever becomes SQL text.

Whoever changes a profile in what a criterion may name shares a lock on the site's roles, whoever changes a role's
members or criteria holds it alone. So either sees the other's change, and nobody is left with a role set that suits
neither. Lock order: this lock, the site's row, profiles: whoever locks a profile's row and more shares this lock first.
"""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.errors import Unavailable
from forumapi.models.people.criterion import Criterion, comparison
from forumapi.wire.paging import Paging

_KEY: Final = "hashtextextended('roles:' || %(site_id)s::bigint::text, 0)"
# SQL that shares the lock on the site's roles until the transaction ends.
LOCK_ROLES_SHARED: Final = f"pg_advisory_xact_lock_shared({_KEY})"

LOCK_SHARED = Query("member.lock_shared", f"SELECT {LOCK_ROLES_SHARED}")
TRY_LOCK = Query("member.try_lock", f"SELECT pg_try_advisory_xact_lock({_KEY})")
# Tries at the lock, so far apart. Whoever waited in its queue would keep all behind them waiting who only share it.
_TRY_S: Final = 0.01
_TRIES: Final = 500

# Profiles whose roles one transaction works out while it holds the lock: some 50 ms.
IN_ONE_GO: Final = 500
LARGE = Query(
    "member.large",
    "SELECT s.total > %(most)s FROM site_people s WHERE s.site_id = %(site_id)s",
)

LOCK_PROFILES = Query(
    "member.lock_profiles",
    f"""
    SELECT p.profile_id
      FROM {LOCK_ROLES_SHARED} AS held
     CROSS JOIN profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(profile_ids)s)
     ORDER BY p.profile_id
       FOR NO KEY UPDATE OF p""",
)

# ---------------------------------------------------------------- what a criterion compares

_TESTS: Final = """
        SELECT c.role_id, c.or_group, c.criterion_id, c.kind, c.attr_key, c.number_value, c.date_value, c.text_value,
               c.boolean_value, CASE c.predicate WHEN 'neq' THEN 'ne' ELSE c.predicate END AS predicate
          FROM criteria c
         WHERE c.site_id = %(site_id)s"""

# The bans b that hold for user u on this site.
_BANS: Final = """bans b
                                  WHERE (b.site_id = %(site_id)s OR b.site_id IS NULL)
                                    AND (b.expires IS NULL OR b.expires > now())
                                    AND (b.user_id = u.user_id OR lower(u.email) LIKE '%%@' || b.email_domain
                                         OR lower(u.email) LIKE '%%.' || b.email_domain)"""

# What tests may ask of a profile, attributes apart. What is rarely asked is looked up only where some test does.
_FACTS: Final = f"""
        SELECT p.profile_id, p.user_id, p.version, p.role_ids, p.next_change_at, p.created AS joined,
               n.item_count, n.comment_count, extract(day FROM now() - p.created)::int AS days,
               (p.created AT TIME ZONE 'UTC')::date AS created, p.profile_name, coalesce(p.gender, '') AS gender,
               CASE WHEN (SELECT bool_or(t.kind = 'email') FROM tests t)
                    THEN (SELECT u.email FROM users u WHERE u.user_id = p.user_id) END AS email,
               CASE WHEN (SELECT bool_or(t.kind = 'isBanned') FROM tests t)
                    THEN (SELECT u.is_banned OR EXISTS (SELECT FROM {_BANS})
                            FROM users u
                           WHERE u.user_id = p.user_id) END AS is_banned
          FROM profiles p
          LEFT JOIN profile_counters n ON n.site_id = p.site_id AND n.profile_id = p.profile_id
         WHERE p.site_id = %(site_id)s"""

# The attribute a of profile f that test t names. What its holder wrote, or nobody knows who, is none (P-34).
_ANY_ATTRIBUTE: Final = """
                LEFT JOIN attributes a ON a.site_id = %(site_id)s AND a.item_type_id = 3 AND a.item_id = f.profile_id
                                      AND a.key = t.attr_key"""
_GRANTED: Final = "{a}.is_granted"
# The same in a database that knows no writers yet (forumapi doctor, before 0035): this key was always the owner's.
_GRANTED_BEFORE: Final = "{a}.key = 'is_member'"
_ATTRIBUTE: Final = f"{_ANY_ATTRIBUTE} AND {_GRANTED.format(a='a')}"


def _has_own(profile_id: str, tests: str, granted: str = _GRANTED) -> str:
    """SQL: whether the profile has, under a key that these tests name, a value that the owner did not write."""
    return f"""EXISTS (
            SELECT FROM attributes own
             WHERE own.site_id = %(site_id)s AND own.item_type_id = 3 AND own.item_id = {profile_id}
               AND NOT {granted.format(a="own")} AND own.key IN (SELECT t.attr_key FROM {tests} t))"""


# The side of profile f in test t, by its type.
_NUMBER: Final = """CASE t.kind WHEN 'commentCount' THEN f.comment_count WHEN 'days' THEN f.days
                                 WHEN 'itemCount' THEN f.item_count WHEN 'number' THEN a.number_value
                                 WHEN 'id' THEN f.profile_id END"""
_DATE: Final = "CASE t.kind WHEN 'created' THEN f.created WHEN 'date' THEN a.date_value END"
_TEXT: Final = """CASE t.kind WHEN 'string' THEN a.string_value WHEN 'gender' THEN f.gender
                               WHEN 'profileName' THEN f.profile_name WHEN 'email' THEN f.email END"""
_FLAG: Final = (
    "CASE t.kind WHEN 'boolean' THEN a.boolean_value WHEN 'isBanned' THEN f.is_banned END"
)

# What the profile lacks, or holds in another type, is equal to nothing and holds nothing.
_EQUAL: Final = f"""coalesce(CASE WHEN t.number_value IS NOT NULL THEN {_NUMBER} = t.number_value
                                  WHEN t.boolean_value IS NOT NULL THEN {_FLAG} = t.boolean_value
                                  WHEN t.date_value IS NOT NULL THEN {_DATE} = t.date_value
                                  WHEN t.kind = 'string' THEN a.string_value = t.text_value
                                  ELSE lower({_TEXT}) = lower(t.text_value) END, false)"""
_HOLDS: Final = f"coalesce(strpos(lower({_TEXT}), lower(t.text_value)) > 0, false)"


def _ordered(operator: str) -> str:
    return f"""coalesce(CASE WHEN t.date_value IS NULL THEN {_NUMBER} {operator} t.number_value
                             ELSE {_DATE} {operator} t.date_value END, false)"""


_MET: Final = f"""
                (t.kind IS NOT NULL AND CASE t.predicate
                    WHEN 'ge' THEN {_ordered(">=")}
                    WHEN 'eq' THEN {_EQUAL}
                    WHEN 'ne' THEN NOT {_EQUAL}
                    WHEN 'lt' THEN {_ordered("<")}
                    WHEN 'le' THEN {_ordered("<=")}
                    WHEN 'gt' THEN {_ordered(">")}
                    WHEN 'substr' THEN {_HOLDS}
                    WHEN 'nsubstr' THEN NOT {_HOLDS}
                    ELSE false END)"""


def _groups(tests: str) -> str:
    """SQL: the groups of these tests, all of one role, as a table of the same name with `_groups`."""
    return f"{tests}_groups AS MATERIALIZED (SELECT DISTINCT t.or_group FROM {tests} t)"


def _meets(tests: str, attribute: str = _ATTRIBUTE) -> str:
    """SQL: whether profile f meets every test of one of their groups. Stops at a group's first that it does not."""
    return f"""EXISTS (
            SELECT FROM {tests}_groups g
             WHERE NOT EXISTS (
                SELECT FROM {tests} t {attribute}
                 WHERE t.or_group = g.or_group AND NOT {_MET}))"""


# The days after which what a profile meets may change, in order; and whether anybody's bans matter.
_BORDERS: Final = """
        SELECT coalesce(array_agg(DISTINCT t.number_value::int + later.days ORDER BY t.number_value::int + later.days),
                        '{}') AS days
          FROM tests t
         CROSS JOIN LATERAL unnest(CASE WHEN t.predicate IN ('lt', 'ge') THEN ARRAY[0]
                                        WHEN t.predicate IN ('le', 'gt') THEN ARRAY[1]
                                        ELSE ARRAY[0, 1] END) AS later (days)
         WHERE t.kind = 'days' AND t.number_value BETWEEN -1 AND 100000"""

# When time alone changes what profile f meets: the next of those days, or the end of a ban. Null: never.
_DUE: Final = f"""
            least(f.joined + (SELECT b.days FROM borders b)[width_bucket(f.days, (SELECT b.days FROM borders b)) + 1]
                             * interval '24 hours',
                  CASE WHEN (SELECT bool_or(t.kind = 'isBanned') FROM tests t)
                       THEN (SELECT (SELECT min(b.expires) FROM {_BANS})
                               FROM users u
                              WHERE u.user_id = f.user_id) END)"""

# ---------------------------------------------------------------- recomputing

RECOMPUTE_ROLES = Query(
    "member.recompute_roles",
    f"""
    WITH tests AS MATERIALIZED ({_TESTS}),
    borders AS MATERIALIZED ({_BORDERS}),
    facts AS MATERIALIZED ({_FACTS} AND p.profile_id = ANY(%(profile_ids)s)),
    fresh AS MATERIALIZED (
        SELECT f.profile_id, {_DUE} AS due,
               ARRAY(SELECT r.role_id FROM role_profiles r
                      WHERE r.site_id = %(site_id)s AND r.profile_id = f.profile_id
                      UNION
                     SELECT met.role_id
                       FROM (SELECT t.role_id FROM tests t {_ATTRIBUTE}
                              GROUP BY t.role_id, t.or_group HAVING bool_and({_MET})) met
                      ORDER BY 1) AS role_ids
          FROM facts f)
    UPDATE profiles p
       SET role_ids = fresh.role_ids, next_change_at = fresh.due
      FROM fresh
     WHERE p.site_id = %(site_id)s AND p.profile_id = fresh.profile_id
       AND (p.role_ids, p.next_change_at) IS DISTINCT FROM (fresh.role_ids, fresh.due)""",
)


def _fresh_of_role(whom: str) -> str:
    """SQL: common table expressions that end in `fresh`: those of the profiles `whom`, as one role is to have them."""
    return f"""
    WITH tests AS MATERIALIZED ({_TESTS}),
    borders AS MATERIALIZED ({_BORDERS}),
    own AS MATERIALIZED (
        SELECT t.or_group, t.kind, t.attr_key, t.number_value, t.date_value, t.text_value, t.boolean_value, t.predicate
          FROM tests t
         WHERE t.role_id = %(role_id)s),
    {_groups("own")},
    named AS MATERIALIZED (
        SELECT r.profile_id FROM role_profiles r WHERE r.site_id = %(site_id)s AND r.role_id = %(role_id)s),
    facts AS MATERIALIZED ({_FACTS} {whom}),
    fresh AS MATERIALIZED (
        SELECT f.profile_id, f.role_ids, f.next_change_at, {_DUE} AS due,
               %(role_id)s = ANY(f.role_ids) AS was_in,
               f.profile_id IN (SELECT x.profile_id FROM named x) OR {_meets("own")} AS is_in
          FROM facts f)"""


_STORE_ROLE: Final = """
    UPDATE profiles p
       SET next_change_at = f.due,
           role_ids = CASE WHEN f.is_in = f.was_in THEN f.role_ids
                           WHEN f.is_in THEN ARRAY(SELECT u.id FROM unnest(f.role_ids || %(role_id)s::bigint) AS u (id)
                                                    ORDER BY u.id)
                           ELSE array_remove(f.role_ids, %(role_id)s::bigint) END
      FROM fresh f
     WHERE p.site_id = %(site_id)s AND p.profile_id = f.profile_id
       AND (f.is_in <> f.was_in OR f.due IS DISTINCT FROM f.next_change_at)"""

RECOMPUTE_ROLE = Query("member.recompute_role", f"{_fresh_of_role('')} {_STORE_ROLE}")
RECOMPUTE_ROLE_OF = Query(
    "member.recompute_role_of",
    f"{_fresh_of_role('AND p.profile_id = ANY(%(profile_ids)s)')} {_STORE_ROLE}",
)

# Whom a settling of the role would change: true for who is to come in, false for who is to go, null for who stays where
# they are and has another time at which to look again.
MOVERS = Query(
    "member.movers",
    f"""{_fresh_of_role("")}
    SELECT f.profile_id, CASE WHEN f.is_in <> f.was_in THEN f.is_in END
      FROM fresh f
     WHERE f.is_in <> f.was_in OR f.due IS DISTINCT FROM f.next_change_at
     ORDER BY f.profile_id""",
)

_MARK: Final = """
    UPDATE profiles p
       SET next_change_at = now()
      FROM users u
     WHERE u.user_id = p.user_id AND (%(site_id)s::bigint IS NULL OR p.site_id = %(site_id)s::bigint)
       AND EXISTS (SELECT FROM criteria c WHERE c.site_id = p.site_id AND c.kind IN ('isBanned', 'email'))"""

# A user's profiles look at their roles again when they are asked for next.
MARK_USER = Query("member.mark_user", f"{_MARK} AND u.user_id = %(user_id)s")
MARK_DOMAIN = Query(
    "member.mark_domain",
    f"""{_MARK}
       AND (lower(u.email) LIKE '%%@' || %(domain)s::text OR lower(u.email) LIKE '%%.' || %(domain)s::text)""",
)

DUE = Query(
    "member.due",
    """
    SELECT p.site_id, p.profile_id
      FROM profiles p
     WHERE p.next_change_at <= now()
     ORDER BY p.next_change_at
     LIMIT %(limit)s""",
)


def lock_roles(tx: Transaction, site_id: int) -> None:
    """Begin a change of the members or criteria of a site's roles: other changes of what decides it wait.

    Raises Unavailable where others hold it back for five seconds.
    """
    for _ in range(_TRIES):
        if tx.value(TRY_LOCK, site_id=site_id):
            return
        time.sleep(_TRY_S)
    raise Unavailable("The members of this site's roles are being changed")


def is_large(tx: Reader, site_id: int) -> bool:
    """Test whether a site has more people than a change of roles may work out at once."""
    return bool(tx.value(LARGE, site_id=site_id, most=IN_ONE_GO))


def lock_roles_shared(tx: Transaction, site_id: int) -> None:
    """Hold back changes of the members or criteria of a site's roles: before a change that may decide who is in one."""
    tx.rows(LOCK_SHARED, site_id=site_id)


def recompute_roles(tx: Transaction, site_id: int, profile_ids: list[int]) -> None:
    """Write the role sets of these profiles anew, after a change of what they depend on.

    Locks the profiles: a transaction that locks one of them before its change shares the lock on roles first.
    """
    tx.rows(LOCK_PROFILES, site_id=site_id, profile_ids=profile_ids)
    tx.run(RECOMPUTE_ROLES, site_id=site_id, profile_ids=profile_ids)


def recompute_role(tx: Transaction, site_id: int, role_id: int) -> int:
    """Let the role sets of all profiles follow a change of one role's members or criteria; how many changed.

    Call `lock_roles` first. A role that is gone is taken out of all.
    """
    return tx.run(RECOMPUTE_ROLE, site_id=site_id, role_id=role_id)


def recompute_role_of(tx: Transaction, site_id: int, role_id: int, profile_ids: list[int]) -> int:
    """Let the role sets of these profiles follow a committed change of one role; how many changed. Locks them."""
    tx.rows(LOCK_PROFILES, site_id=site_id, profile_ids=profile_ids)
    return tx.run(RECOMPUTE_ROLE_OF, site_id=site_id, role_id=role_id, profile_ids=profile_ids)


def movers(tx: Reader, site_id: int, role_id: int) -> tuple[list[int], list[int], list[int]]:
    """Profiles that do not suit a role as it is: (to come in, to go, to look again at another time). Locks nothing."""
    sides: dict[bool | None, list[int]] = {True: [], False: [], None: []}
    for profile_id, comes in tx.rows(MOVERS, site_id=site_id, role_id=role_id):
        sides[comes].append(profile_id)
    return sides[True], sides[False], sides[None]


def mark_user(tx: Transaction, user_id: int, *, site_id: int = 0) -> None:
    """Let the profiles of a user, on one site or (0) all, look at their roles again on their next request: after a
    change of the user's address or bans."""
    tx.run(MARK_USER, user_id=user_id, site_id=site_id or None)


def mark_domain(tx: Transaction, domain: str, *, site_id: int = 0) -> None:
    """The same for all whose e-mail address is of a domain or below it."""
    tx.run(MARK_DOMAIN, domain=domain, site_id=site_id or None)


def due(tx: Reader, limit: int) -> list[tuple[int, int]]:
    """(site, profile) of those whose roles time has changed, the longest due first; at most `limit`."""
    return [(site_id, profile_id) for site_id, profile_id in tx.rows(DUE, limit=limit)]


# ---------------------------------------------------------------- looking

MEMBERS = Query(
    "member.page",
    f"""
    WITH tests AS MATERIALIZED ({_TESTS} AND c.role_id = %(role_id)s),
    {_groups("tests")},
    named AS MATERIALIZED (
        SELECT r.profile_id FROM role_profiles r WHERE r.site_id = %(site_id)s AND r.role_id = %(role_id)s),
    facts AS MATERIALIZED ({_FACTS}),
    found AS MATERIALIZED (
        SELECT f.profile_id, f.version
          FROM facts f
         WHERE %(everyone)s OR f.profile_id IN (SELECT x.profile_id FROM named x) OR {_meets("tests")})
    SELECT n.total, page.profile_id, page.version
      FROM (SELECT count(*) AS total FROM found) n
      LEFT JOIN LATERAL (
            SELECT f.profile_id, f.version FROM found f
             ORDER BY f.profile_id LIMIT %(limit)s OFFSET %(offset)s) page ON true
     ORDER BY page.profile_id""",
)

# Each test of each group that a profile meets, with the profile's side of it.
REASONS = Query(
    "member.reasons",
    f"""
    WITH tests AS MATERIALIZED ({_TESTS} AND c.role_id = %(role_id)s),
    facts AS MATERIALIZED ({_FACTS} AND p.profile_id = ANY(%(profile_ids)s))
    SELECT f.profile_id,
           EXISTS (SELECT FROM role_profiles r
                    WHERE r.site_id = %(site_id)s AND r.role_id = %(role_id)s AND r.profile_id = f.profile_id),
           met.criterion_id, met.or_group, coalesce(c.profile_column, ''), coalesce(c.attr_key, ''), c.predicate,
           c.value::text, met.actual
      FROM facts f
      LEFT JOIN LATERAL (
            SELECT t.criterion_id, t.or_group, bool_and({_MET}) OVER (PARTITION BY t.or_group) AS is_met,
                   coalesce(to_jsonb({_NUMBER}), to_jsonb({_DATE}), to_jsonb({_TEXT}),
                            to_jsonb({_FLAG}))::text AS actual
              FROM tests t {_ATTRIBUTE}) met ON met.is_met
      LEFT JOIN criteria c ON c.site_id = %(site_id)s AND c.criterion_id = met.criterion_id
     ORDER BY f.profile_id, met.or_group, met.criterion_id""",
)

# Whom a criterion, new or in the place of another, would bring in or put out, and who would be in if their own word
# counted. Who is named stays in either way.
PREVIEW = Query(
    "member.preview",
    f"""
    WITH own AS MATERIALIZED ({_TESTS} AND c.role_id = %(role_id)s),
    wanted AS MATERIALIZED (
        SELECT t.or_group, t.kind, t.attr_key, t.number_value, t.date_value, t.text_value, t.boolean_value, t.predicate
          FROM own t
         WHERE t.criterion_id <> %(replaced)s
         UNION ALL
        SELECT %(or_group)s::int, %(kind)s::text, nullif(%(key)s::text, ''), %(number)s::numeric, %(date)s::date,
               %(text)s::text, %(flag)s::boolean, CASE %(predicate)s::text WHEN 'neq' THEN 'ne'
                                                                           ELSE %(predicate)s::text END),
    tests AS MATERIALIZED (SELECT o.kind FROM own o UNION SELECT w.kind FROM wanted w),
    {_groups("own")},
    {_groups("wanted")},
    facts AS MATERIALIZED ({_FACTS}
           AND NOT %(everyone)s
           AND NOT EXISTS (SELECT FROM role_profiles r
                            WHERE r.site_id = p.site_id AND r.role_id = %(role_id)s AND r.profile_id = p.profile_id)),
    compared AS MATERIALIZED (
        SELECT f.profile_id, f.version, {_meets("own")} AS was, {_meets("wanted")} AS will,
               {_has_own("f.profile_id", "wanted")}
               AND {_meets("wanted", _ANY_ATTRIBUTE)} AS says
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
    """SQL: who is in some roles, as stored, and by nothing but a value of their own; the first `limit` of each."""
    attribute = f"{_ANY_ATTRIBUTE} AND {granted.format(a='a')}"
    return f"""
    WITH tests AS MATERIALIZED ({_TESTS} AND c.role_id = ANY(%(role_ids)s::bigint[])),
    facts AS MATERIALIZED ({_FACTS} AND p.role_ids && %(role_ids)s::bigint[]
           AND {_has_own("p.profile_id", "tests", granted)}),
    losing AS (
        SELECT r.id AS role_id, f.profile_id, f.version, f.profile_name
          FROM facts f
         CROSS JOIN LATERAL unnest(f.role_ids) AS r (id)
         WHERE r.id = ANY(%(role_ids)s::bigint[])
           AND NOT EXISTS (SELECT FROM role_profiles x
                            WHERE x.site_id = %(site_id)s AND x.role_id = r.id AND x.profile_id = f.profile_id)
           AND NOT EXISTS (SELECT FROM tests t {attribute}
                            WHERE t.role_id = r.id
                            GROUP BY t.or_group HAVING bool_and({_MET}))),
    counted AS (
        SELECT l.*, count(*) OVER (PARTITION BY l.role_id) AS total,
               row_number() OVER (PARTITION BY l.role_id ORDER BY l.profile_id) AS place
          FROM losing l)
    SELECT c.role_id, c.total, c.profile_id, c.version, c.profile_name
      FROM counted c
     WHERE c.place <= %(limit)s
     ORDER BY c.role_id, c.place"""


LOSING = Query("member.losing", _losing(_GRANTED))
LOSING_BEFORE = Query("member.losing_before", _losing(_GRANTED_BEFORE))


class MembersPage(NamedTuple):
    """One page of a role's members by id: profile -> version."""

    total: int
    versions: dict[int, int]


class Met(NamedTuple):
    """A criterion that a profile meets. `actual` is the profile's side, as JSON; null where it has none."""

    criterion: Criterion
    actual: str


class Reason(NamedTuple):
    """Why a profile is in a role."""

    is_explicit: bool
    met: list[Met]


class Movement(NamedTuple):
    """Some profiles that a change moves: how many, and the first of them by id: profile -> version."""

    total: int
    versions: dict[int, int]


class Preview(NamedTuple):
    """Profiles that a change of criteria would bring in and put out, and those whom only a value of their own fits."""

    joins: Movement
    leaves: Movement
    self_granted: Movement


def page(tx: Reader, site_id: int, role_id: int, at: Paging, *, everyone: bool) -> MembersPage:
    """One page of everybody whom a role covers at this moment. `everyone`: the role includes all users."""
    rows = tx.rows(
        MEMBERS,
        site_id=site_id,
        role_id=role_id,
        everyone=everyone,
        limit=at.limit,
        offset=at.offset,
    )
    return MembersPage(rows[0][0], {row[1]: row[2] for row in rows if row[1] is not None})


def losing(tx: Reader, site_id: int, role_ids: list[int], limit: int) -> dict[int, Movement]:
    """Profiles that are in these roles, as stored, only by a value of their own, by role.

    They lose it when their roles are worked out anew. A role that nobody loses is left out.
    """
    found: dict[int, Movement] = {}
    rows = tx.rows(LOSING, site_id=site_id, role_ids=role_ids, limit=limit)
    for role_id, total, profile_id, version, _ in rows:
        found.setdefault(role_id, Movement(total, {})).versions[profile_id] = version
    return found


def reasons(tx: Reader, site_id: int, role_id: int, profile_ids: list[int]) -> dict[int, Reason]:
    """Why each of these profiles is in a role, by id."""
    found: dict[int, Reason] = {}
    rows = tx.rows(REASONS, site_id=site_id, role_id=role_id, profile_ids=profile_ids)
    for profile_id, is_explicit, *criterion, actual in rows:
        reason = found.setdefault(profile_id, Reason(is_explicit, []))
        if criterion[0] is not None:
            reason.met.append(Met(Criterion(*criterion), actual or "null"))
    return found


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
    """Effect of storing `new` in the place of criterion `replaced` (0: of none). Writes nothing."""
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
    sides = {name: Movement(0, {}) for name in ("joins", "leaves", "selfGranted")}
    for name, total, profile_id, version in rows:
        side = sides[name] = sides[name]._replace(total=total)
        side.versions[profile_id] = version
    return Preview(*sides.values())
