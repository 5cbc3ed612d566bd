"""Tables of a site that go along to another platform, and those that stay behind; and how each is read, compared and
written.

Both platforms have the same schema, and the ids of a site's things are unique within the site alone, so rows keep
their ids. Users and short links belong to no site: a row that refers to one is carried with what identifies it
everywhere, a person's key or the URL's hash.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.sql import SQL, Composable, Identifier

_SECRET: Final = (
    "secrets, or about them: people sign in again, and connect their applications again"
)
_TRACES: Final = "traces of what people did on this platform, chained to its key"
_DERIVED: Final = "made of what is carried"
_WAY: Final = "on its way: this platform sends what is written"
_JOB: Final = "work of this platform"

# Tables with a site that do not go along, and why.
LEFT_BEHIND: Final = {
    **dict.fromkeys(
        (
            "access_tokens",
            "idempotency_keys",
            "oauth_clients",
            "oauth_grants",
            "refresh_tokens",
            "single_use",
            "site_auth_backends",
            "webhook_deliveries",
            "webhooks",
        ),
        _SECRET,
    ),
    **dict.fromkeys(
        ("audit_entries", "audit_heads", "audit_log", "event_log", "event_sequence"), _TRACES
    ),
    **dict.fromkeys(
        (
            "search_documents",
            "search_gone",
            "search_progress",
            "search_words",
            "search_work",
            "site_changes",
            "site_people",
            "trending_scores",
        ),
        _DERIVED,
    ),
    **dict.fromkeys(("mail_outbox", "push_messages", "push_subscriptions"), _WAY),
    **dict.fromkeys(
        (
            "personal_exports",
            "plan_notices",
            "redactions",
            "sandboxes",
            "site_exports",
            "site_imports",
            "site_moves",
            "site_states",
            "site_plans",
            "site_usage",
            "spam_verdicts",
        ),
        _JOB,
    ),
    "site_domains": "carried with the site's row, at the switch",
    "sites": "written by itself",
}
# Work that a cron process there would take up: it goes along with the last changes alone.
QUEUES: Final = frozenset(("content_checks", "erasures", "role_settlings"))
# Mail about these is queued by their triggers, which also notify live listeners; this platform has done so already.
MAILED: Final = frozenset(("appeals", "cases", "reports", "statements"))
# A reference that closes a circle of tables: rows come without it first.
LATE: Final = {"cases": "appeal_id"}

# People without an address have keys that hold ids of their platform.
_ERASED: Final = r"(?=.*@erased\.invalid$)"
_NOBODYS: Final = f"^(erased-user-{_ERASED}|erased-{_ERASED}|imported:)"
_PERSON_KEY: Final = SQL(
    r"regexp_replace(u.person_key, {nobodys}, '\1moved-' || {there}::bigint || '-')"
)


def moved_key(site_id: int) -> Composable:
    """Return the SQL expression of the key by which a user is known on the other platform, for a row `u` of `users`
    here: the person's key, which for people without an address gets `site_id` in it, the site's id there.
    """
    return _PERSON_KEY.format(nobodys=_NOBODYS, there=site_id)


class Destination(NamedTuple):
    """Platform to which rows go: `site_id` is the site's id there; `host`, `new_host`: the site's host here and there,
    with the port where one is needed.
    """

    site_id: int
    host: str
    new_host: str


@dataclasses.dataclass(frozen=True)
class CarriedTable:
    """Table with a column `site_id`; the function `carried` returns those tables whose rows a move carries along.
    `columns`: name and type of all but the site's id and computed ones; `key`: columns of the primary key, and
    `unique`: of further unique indexes, both without the site's id; `identity`: column whose values a sequence gives,
    "" for none; `is_leaf`: no other table refers to it.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    identity: str
    is_leaf: bool

    @property
    def is_renumbered(self) -> bool:
        """Return True for the table of bans, whose ids are unique on their whole platform: its rows come under new ids,
        and are compared by all other columns.
        """
        return self.name == "bans"

    @property
    def carried(self) -> tuple[tuple[str, str], ...]:
        """Return the columns that are carried along, as (name, SQL type in which they are carried); without the id if
        rows are renumbered.
        """
        return tuple(
            (name, "text" if self._is_mapped(name) else kind)
            for name, kind in self.columns
            if not (self.is_renumbered and name == self.identity)
        )

    def _is_mapped(self, column: str) -> bool:
        return column == "user_id" or (self.name == "link_uses" and column == "link_id")

    def read(self, column: str, to: Destination | None) -> Composable:
        """Return the SQL expression of a column's value as it is carried, for a row `t` of the table: a user as the
        person's key, a short link as its URL's hash. `to`: where the row goes; None for a row that stands there
        already, to be compared.

        On the way there, addresses of the site itself in `markdown` are changed to those there, a comment's HTML with
        addresses is marked to be rendered anew, and the site's key for Akismet is left out.
        """
        own = SQL("t.{}").format(Identifier(column))
        if column == "user_id":
            key = SQL("u.person_key") if to is None else moved_key(to.site_id)
            return SQL("(SELECT {} FROM users u WHERE u.user_id = t.user_id)").format(key)
        if self._is_mapped(column):
            return SQL(
                "(SELECT encode(l.url_hash, 'hex') FROM links l WHERE l.link_id = t.link_id)"
            )
        if column == "markdown" and to is not None:
            # A link to the site itself leads to the site there.
            return SQL(
                "CASE WHEN strpos(t.markdown, {}) > 0 THEN regexp_replace(t.markdown, {}, {}, 'g') ELSE t.markdown END"
            ).format(to.host, rf"(https?://){re.escape(to.host)}(?![\w.:-])", rf"\1{to.new_host}")
        if (self.name, column) == ("site_settings", "value") and to is not None:
            return SQL("CASE WHEN t.key = 'checks' THEN t.value - 'akismetKey' ELSE t.value END")
        if (self.name, column) == ("comments", "renderer") and to is not None:
            # Addresses of short links and of the site itself differ there: the text is rendered anew when it is read.
            return SQL("CASE WHEN strpos(t.html, '://') > 0 THEN 0::smallint ELSE t.renderer END")
        return own

    def stored(self, column: str) -> Composable:
        """Return the SQL expression of a column's value as the other platform stores it, for a carried row `r`; NULL
        for a user or a short link that the other platform lacks. The expression is for that platform's database.
        """
        own = SQL("r.{}").format(Identifier(column))
        if column == "user_id":
            return SQL("(SELECT u.user_id FROM users u WHERE u.person_key = r.user_id)")
        if self._is_mapped(column):
            return SQL(
                "(SELECT l.link_id FROM links l WHERE l.url_hash = decode(r.link_id, 'hex'))"
            )
        return own

    def keys(self, to: Destination | None) -> list[Composable]:
        """Return the SQL expressions by which rows are compared and sorted, in an order that both platforms and Python
        share; [] for a table with one row a site. `to`: where the rows go; None for rows that stand there already.
        """
        if self.is_renumbered:
            return [SQL('{} COLLATE "C"').format(self.digest(to))]
        kinds = dict(self.carried)
        found = []
        for column in self.key:
            value = self.read(column, to)
            if kinds[column] in _WHOLE:
                found.append(value)
            else:
                value = value if kinds[column] == "text" else SQL("{}::text").format(value)
                found.append(SQL('{} COLLATE "C"').format(value))
        return found

    @property
    def key_types(self) -> list[str]:
        """Return the PostgreSQL types of the expressions that `keys` returns, in the same order."""
        if self.is_renumbered:
            return ["text"]
        kinds = dict(self.carried)
        return ["bigint" if kinds[column] in _WHOLE else "text" for column in self.key]

    def digest(self, to: Destination | None) -> Composable:
        """Return the SQL expression of the digest (MD5 in hexadecimal) of a row as it is carried. `to`: where the row
        goes; None for a row that stands there already.
        """
        values = [self.read(column, to) for column, _ in self.carried]
        return SQL("md5(ROW({})::text)").format(SQL(", ").join(values))


_WHOLE: Final = frozenset(("bigint", "integer", "smallint"))

_TABLES: Final = """
    SELECT c.oid::int, c.relname,
           ARRAY(SELECT a.attname::text FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                    AND a.attname <> 'site_id' ORDER BY a.attnum),
           ARRAY(SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                    AND a.attname <> 'site_id' ORDER BY a.attnum),
           coalesce((SELECT a.attname::text FROM pg_attribute a
                      WHERE a.attrelid = c.oid AND a.attidentity <> ''), '')
      FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'site_id' AND NOT a.attisdropped)
     ORDER BY c.relname"""
_INDEXES: Final = """
    SELECT i.indrelid::int, i.indisprimary,
           ARRAY(SELECT a.attname::text
                   FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
                   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                  WHERE k.place <= i.indnkeyatts AND a.attname <> 'site_id' ORDER BY k.place)
      FROM pg_index i
     WHERE i.indisunique AND i.indrelid = ANY(%s) AND i.indexprs IS NULL
     ORDER BY i.indexrelid"""
_REFERENCES: Final = """
    SELECT DISTINCT k.conrelid::int, k.confrelid::int
      FROM pg_constraint k
     WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY(%s) AND k.confrelid = ANY(%s)
       AND k.conrelid <> k.confrelid"""


def all_with_a_site(connection: psycopg.Connection[Any]) -> list[CarriedTable]:
    """Return every table that has a column `site_id`, those first to which others refer. Where tables refer to each
    other in a circle, the reference of `cases` to `appeals` (LATE) is not counted, nor are those of the table `sites`.
    """
    rows = connection.execute(_TABLES).fetchall()
    oids = [row[0] for row in rows]
    keys: dict[int, tuple[str, ...]] = {}
    unique: dict[int, list[tuple[str, ...]]] = {}
    for oid, is_primary, columns in connection.execute(_INDEXES, [oids]).fetchall():
        if is_primary:
            keys[oid] = tuple(columns)
        elif columns:
            unique.setdefault(oid, []).append(tuple(columns))
    names = {row[0]: row[1] for row in rows}
    references: dict[int, set[int]] = {oid: set() for oid in oids}
    for oid, other in connection.execute(_REFERENCES, [oids, oids]).fetchall():
        if not (names[oid] in LATE and names[other] == "appeals"):
            references[oid].add(other)
    referred = {other for others in references.values() for other in others}
    made = {
        oid: CarriedTable(
            name,
            tuple(zip(columns, types, strict=True)),
            keys.get(oid, ()),
            tuple(unique.get(oid, [])),
            identity,
            oid not in referred,
        )
        for oid, name, columns, types, identity in rows
    }
    ordered: list[int] = []
    while len(ordered) < len(oids):
        ready = [oid for oid in oids if oid not in ordered and references[oid] <= {*ordered}]
        # `sites` and `profiles` refer to each other, deferred.
        ordered += ready or [
            next(oid for oid in oids if oid not in ordered and names[oid] == "sites")
        ]
    return [made[oid] for oid in ordered]


def carried(tables: Sequence[CarriedTable]) -> list[CarriedTable]:
    """Return those of `tables` whose rows are carried along, in the same order."""
    return [table for table in tables if table.name not in LEFT_BEHIND]
