"""Effect that a criterion not yet stored would have on the members of its role."""

from __future__ import annotations

from typing import Any, NamedTuple

from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.models.roles.criteria_sql import (
    ANY_ATTRIBUTE,
    FACTS,
    TESTS,
    compared_text,
    groups,
    has_own,
    meets,
)
from forumapi.models.roles.criterion import Criterion, comparison
from forumapi.models.roles.role_members_page import MemberChange

# Profiles that a criterion, new or in the place of another, would let in or put out, and those that would be in if
# values that they wrote themselves counted. Named profiles stay in either way.
PREVIEW = Query(
    "criterion_preview.preview",
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


class Preview(NamedTuple):
    """Effect of a change of criteria on a role, one MemberChange for each side: `joins`, profiles that join, `leaves`,
    profiles that leave, and `self_granted`, profiles that will not be in the role, but would be if values that they
    wrote themselves counted.
    """

    joins: MemberChange
    leaves: MemberChange
    self_granted: MemberChange


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
    (0: as a further one). Writes nothing. Profiles that the role has by name are left out of all sides; with
    `everyone`, for a role that includes all profiles of the site, all sides are empty. `limit`: number of profiles
    shown for each side.
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
