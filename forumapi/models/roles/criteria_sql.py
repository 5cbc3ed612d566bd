"""SQL that evaluates criteria on profiles (platform 5.3), the only place that does.

The fragments are for statements over sets; no criterion ever becomes SQL text. `tests` is the SQL table of criteria to
evaluate, `facts` that of the profiles with the values that criteria may compare.
"""

from __future__ import annotations

from typing import Final

from forumapi import itemtypes


def compared_text(kind: str, text: str) -> str:
    """Return the SQL expression that a test compares with: its text, or, if its kind is e-mail, the person key
    (text/email_address.py) of the address in its text, as FACTS has it. `kind`, `text`: SQL expressions of the test's
    kind and text.
    """
    address = f"lower({text})"
    local = f"split_part({address}, '@', 1)"
    return f"""CASE WHEN {kind} = 'email' AND {address} ~ '@(gmail|googlemail)[.]com$'
                    THEN coalesce(nullif(replace(split_part({local}, '+', 1), '.', ''), ''), {local}) || '@gmail.com'
                    ELSE {text} END"""


TESTS: Final = f"""
        SELECT c.role_id, c.or_group, c.criterion_id, c.kind, c.attr_key, c.number_value, c.date_value,
               {compared_text("c.kind", "c.text_value")} AS text_value, c.boolean_value,
               CASE c.predicate WHEN 'neq' THEN 'ne' ELSE c.predicate END AS predicate
          FROM criteria c
         WHERE c.site_id = %(site_id)s"""

# Values of profiles that criteria compare, except attributes. Addresses and bans are read only if a test needs them.
# No ban counts for the site's owner (P-26).
# An address is its person key: how it was spelt on another site is not for the owner of this one.
FACTS: Final = """
        SELECT p.profile_id, p.user_id, p.version, p.role_ids, p.next_change_at, p.created AS joined,
               n.item_count, n.comment_count, extract(day FROM now() - p.created)::int AS days,
               (p.created AT TIME ZONE 'UTC')::date AS created, p.profile_name, coalesce(p.gender, '') AS gender,
               CASE WHEN (SELECT bool_or(t.kind = 'email') FROM tests t)
                    THEN (SELECT u.person_key FROM users u WHERE u.user_id = p.user_id) END AS email,
               CASE WHEN (SELECT bool_or(t.kind = 'isBanned') FROM tests t)
                    THEN (SELECT (u.is_banned OR (SELECT r FROM ban_reason(%(site_id)s, u.user_id, u.email) r)
                                                IS NOT NULL)
                                 AND p.profile_id IS DISTINCT FROM (SELECT s.owned_by FROM sites s
                                                                     WHERE s.site_id = %(site_id)s)
                            FROM users u
                           WHERE u.user_id = p.user_id) END AS is_banned
          FROM profiles p
          LEFT JOIN profile_counters n ON n.site_id = p.site_id AND n.profile_id = p.profile_id
         WHERE p.site_id = %(site_id)s"""

# Attribute a of profile f that test t names. A value by its holder or an unknown writer does not count (P-34).
ANY_ATTRIBUTE: Final = f"""
                LEFT JOIN attributes a ON a.site_id = %(site_id)s AND a.item_type_id = {itemtypes.PROFILE}
                                      AND a.item_id = f.profile_id AND a.key = t.attr_key"""
GRANTED: Final = "{a}.is_granted"
# GRANTED in a database without writers of attributes (forumapi doctor, before 0035): this key was always the owner's.
GRANTED_BEFORE: Final = "{a}.key = 'is_member'"
ATTRIBUTE: Final = f"{ANY_ATTRIBUTE} AND {GRANTED.format(a='a')}"


def has_own(profile_id: str, tests: str, granted: str = GRANTED) -> str:
    """Return the SQL condition that the profile has, under an attribute key that one of the tests names, a value that
    the site's owner did not write.

    The arguments are SQL: `profile_id`, an expression for the profile's id; `tests`, the name of the table of tests;
    `granted`, the condition that the owner wrote an attribute, in which `{a}` stands for the attribute's alias.
    """
    return f"""EXISTS (
            SELECT FROM attributes own
             WHERE own.site_id = %(site_id)s AND own.item_type_id = {itemtypes.PROFILE} AND own.item_id = {profile_id}
               AND NOT {granted.format(a="own")} AND own.key IN (SELECT t.attr_key FROM {tests} t))"""


# Value of profile f that test t compares, by type.
NUMBER: Final = """CASE t.kind WHEN 'commentCount' THEN f.comment_count WHEN 'days' THEN f.days
                                 WHEN 'itemCount' THEN f.item_count WHEN 'number' THEN a.number_value
                                 WHEN 'id' THEN f.profile_id END"""
DATE: Final = "CASE t.kind WHEN 'created' THEN f.created WHEN 'date' THEN a.date_value END"
TEXT: Final = """CASE t.kind WHEN 'string' THEN a.string_value WHEN 'gender' THEN f.gender
                               WHEN 'profileName' THEN f.profile_name WHEN 'email' THEN f.email END"""
FLAG: Final = "CASE t.kind WHEN 'boolean' THEN a.boolean_value WHEN 'isBanned' THEN f.is_banned END"

# A value that the profile lacks, or has in another type, is equal to nothing and contains nothing.
_EQUAL: Final = f"""coalesce(CASE WHEN t.number_value IS NOT NULL THEN {NUMBER} = t.number_value
                                  WHEN t.boolean_value IS NOT NULL THEN {FLAG} = t.boolean_value
                                  WHEN t.date_value IS NOT NULL THEN {DATE} = t.date_value
                                  WHEN t.kind = 'string' THEN a.string_value = t.text_value
                                  ELSE lower({TEXT}) = lower(t.text_value) END, false)"""
_HOLDS: Final = f"coalesce(strpos(lower({TEXT}), lower(t.text_value)) > 0, false)"


def _ordered(operator: str) -> str:
    return f"""coalesce(CASE WHEN t.date_value IS NULL THEN {NUMBER} {operator} t.number_value
                             ELSE {DATE} {operator} t.date_value END, false)"""


MET: Final = f"""
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


def groups(tests: str) -> str:
    """Return SQL for a WITH clause: the table of the groups of the tests in the table named `tests`, all of one role.
    It is named like that table, with the suffix `_groups`.
    """
    return f"{tests}_groups AS MATERIALIZED (SELECT DISTINCT t.or_group FROM {tests} t)"


def meets(tests: str, attribute: str = ATTRIBUTE) -> str:
    """Return the SQL condition that the profile `f` meets every test of at least one group. The statement must have
    the table `tests` and the table that the function `groups` makes for it; `attribute`: SQL join of the attribute `a`
    that a test `t` names.

    The tests of a group are evaluated up to the first that fails.
    """
    return f"""EXISTS (
            SELECT FROM {tests}_groups g
             WHERE NOT EXISTS (
                SELECT FROM {tests} t {attribute}
                 WHERE t.or_group = g.or_group AND NOT {MET}))"""


# Ages in days at which the result of a test may change, in order.
BORDERS: Final = """
        SELECT coalesce(array_agg(DISTINCT t.number_value::int + later.days ORDER BY t.number_value::int + later.days),
                        '{}') AS days
          FROM tests t
         CROSS JOIN LATERAL unnest(CASE WHEN t.predicate IN ('lt', 'ge') THEN ARRAY[0]
                                        WHEN t.predicate IN ('le', 'gt') THEN ARRAY[1]
                                        ELSE ARRAY[0, 1] END) AS later (days)
         WHERE t.kind = 'days' AND t.number_value BETWEEN -1 AND 100000"""

# Time at which tests of profile f change without a write: its next such age, or the end of a ban. Null: never.
NEXT_CHANGE: Final = """
            least(f.joined + (SELECT b.days FROM borders b)[width_bucket(f.days, (SELECT b.days FROM borders b)) + 1]
                             * interval '24 hours',
                  CASE WHEN (SELECT bool_or(t.kind = 'isBanned') FROM tests t)
                       THEN (SELECT (SELECT min(b.expires) FROM bans_in_force(%(site_id)s, u.user_id, u.email) b)
                               FROM users u
                              WHERE u.user_id = f.user_id) END,
                  (SELECT min(s.ends) FROM sanctions s
                    WHERE s.site_id = %(site_id)s AND s.profile_id = f.profile_id AND s.ends > now()))"""
