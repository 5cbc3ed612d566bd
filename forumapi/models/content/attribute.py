"""Attributes: a key and a typed value on a site, microcosm, item, comment or profile (content 9).

No cached document shows attributes, so they move no version; only a profile's `is_member` is copied into its row. Each
row names its writer; criteria count only a profile's attributes with `is_granted`, which the site's owner wrote (P-34).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query, Row
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.roles import role_recomputation
from forumapi.permissions.evaluator import Target
from forumapi.text import short_text_cleaning
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

MAX_STRING: Final = 10_000
MAX_BATCH: Final = 100
IS_MEMBER: Final = "is_member"

STRING: Final = 1
DATE: Final = 2
NUMBER: Final = 3
BOOLEAN: Final = 4

_KEY: Final = re.compile(r"[0-9A-Za-z_-]{1,50}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Value = str | datetime.date | int | float | bool

_COLUMNS: Final = """
           a.key, a.string_value, a.date_value::text, trim_scale(a.number_value)::text, a.boolean_value"""

PAGE = Query(
    "attribute.page",
    f"""
    SELECT (SELECT count(*) FROM attributes n
             WHERE n.site_id = %(site_id)s AND n.item_type_id = %(item_type)s AND n.item_id = %(item_id)s), {_COLUMNS}
      FROM (SELECT 1) AS one
      LEFT JOIN LATERAL (
            SELECT x.key, x.string_value, x.date_value, x.number_value, x.boolean_value
              FROM attributes x
             WHERE x.site_id = %(site_id)s AND x.item_type_id = %(item_type)s AND x.item_id = %(item_id)s
             ORDER BY x.key LIMIT %(limit)s OFFSET %(offset)s) a ON true
     ORDER BY a.key""",
)

FIND = Query(
    "attribute.find",
    f"""
    SELECT {_COLUMNS}
      FROM attributes a
     WHERE a.site_id = %(site_id)s AND a.item_type_id = %(item_type)s AND a.item_id = %(item_id)s
       AND a.key = %(key)s""",
)

# Returns how many are new, and how many there were before.
SAVE = Query(
    "attribute.save",
    """
    WITH saved AS (
    INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, string_value, date_value, number_value,
                            boolean_value, written_by, written, is_granted)
    SELECT %(site_id)s, %(item_type)s, %(item_id)s, n.key, n.type, n.string, n.date, n.number, n.boolean,
           %(me)s, clock_timestamp(), %(grants)s
      FROM unnest(%(keys)s::text[], %(types)s::smallint[], %(strings)s::text[], %(dates)s::date[],
                  %(numbers)s::numeric[], %(booleans)s::boolean[]) AS n (key, type, string, date, number, boolean)
     ORDER BY n.key
        ON CONFLICT (site_id, item_type_id, item_id, key) DO UPDATE
       SET value_type_id = EXCLUDED.value_type_id, string_value = EXCLUDED.string_value,
           date_value = EXCLUDED.date_value, number_value = EXCLUDED.number_value,
           boolean_value = EXCLUDED.boolean_value, written_by = EXCLUDED.written_by, written = EXCLUDED.written,
           is_granted = EXCLUDED.is_granted
 RETURNING xmax = 0 AS is_new)
    SELECT (SELECT count(*) FROM saved s WHERE s.is_new)::int,
           (SELECT count(*) FROM attributes a
             WHERE a.site_id = %(site_id)s AND a.item_type_id = %(item_type)s AND a.item_id = %(item_id)s)::int""",
)

DELETE = Query(
    "attribute.delete",
    """
    DELETE FROM attributes a
     WHERE a.site_id = %(site_id)s AND a.item_type_id = %(item_type)s AND a.item_id = %(item_id)s
       AND a.key = ANY(%(keys)s::text[])
 RETURNING a.key""",
)

# One of these keys that decides about roles of a profile (P-34): a criterion tests the key, or may once test the value
# that the owner wrote here.
GRANTED = Query(
    "attribute.granted",
    f"""
    SELECT k.key
      FROM unnest(%(keys)s::text[]) AS k (key)
     WHERE k.key = 'is_member'
        OR EXISTS (SELECT 1 FROM criteria c WHERE c.site_id = %(site_id)s AND c.attr_key = k.key)
        OR EXISTS (SELECT 1 FROM attributes a
                    WHERE a.site_id = %(site_id)s AND a.item_type_id = {itemtypes.PROFILE}
                      AND a.item_id = %(profile_id)s AND a.key = k.key AND a.is_granted)
     ORDER BY k.key LIMIT 1""",
)

MIRROR_MEMBER = Query(
    "attribute.mirror_member",
    f"""
    UPDATE profiles p
       SET is_member = n.is_member, version = p.version + 1
      FROM (SELECT EXISTS (SELECT 1 FROM attributes a
                            WHERE a.site_id = %(site_id)s AND a.item_type_id = {itemtypes.PROFILE}
                              AND a.item_id = %(item_id)s AND a.key = 'is_member' AND a.boolean_value)) AS n (is_member)
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(item_id)s AND p.is_member <> n.is_member""",
)


def checked_key(key: object, field: str) -> str:
    """Return `key` if it is 1 to 50 ASCII letters, digits, hyphens or underscores. Raises Invalid, naming `field`, if
    not.
    """
    if not isinstance(key, str):
        raise Invalid(field, "is required")
    if not _KEY.fullmatch(key):
        raise Invalid(field, "must be 1 to 50 letters, digits, hyphens or underscores")
    return key


def checked_value(value: object, field: str) -> Value:
    """Return a sent value as it is stored: a string trimmed, without tags, line breaks and unprintable characters, in
    small letters if it is all in capitals, and HTML-escaped, or as a date if it is a calendar date of the form
    YYYY-MM-DD; a number or boolean unchanged.

    Raises Invalid, which names `field`, for another type, and for a string that is then empty or over MAX_STRING
    characters, counted before the escaping.
    """
    if isinstance(value, (bool, int, float)):
        return value
    if not isinstance(value, str):
        raise Invalid(field, "must be a string, a number, true or false", code=WRONG_TYPE)
    text = short_text_cleaning.sentence(value)
    if not text:
        raise Invalid(field, "may not be empty")
    if short_text_cleaning.length(text) > MAX_STRING:
        raise Invalid(field, f"may have at most {MAX_STRING} characters", code=OUT_OF_RANGE)
    if _DATE.fullmatch(text):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            return text
    return text


class AttributePage(NamedTuple):
    """Page of the attributes of a thing; `total`: the number of all its attributes. Each of `rows` is (key, string,
    date as text YYYY-MM-DD, number as text, boolean), where the key and one of the four values are set, the others
    None.
    """

    total: int
    rows: list[Row]


def document(row: Row) -> dict[str, Any]:
    """Return an attribute, a row of AttributePage, as a dict for JSON (content 9.2)."""
    key, string, date, number, boolean = row
    value: Any = string if string is not None else date if date is not None else boolean
    return {"key": key, "value": value if number is None else _number(number)}


def _number(text: str) -> Any:
    """Return a number, stored as decimal text, for JSON: digit for digit, but a whole number beyond 64 bits as a float,
    so that a client can send it back.
    """
    is_beyond = "." not in text and not -(2**63) <= int(text) < 2**63
    return float(text) if is_beyond else json_fragments.raw(text.encode())


class Attributes(NamedTuple):
    """Attributes of one thing, the `carrier`; nothing is read before a method is called. Before a write the caller
    locks the carrier's row. A write is recorded in the journal; one on a profile also has the profile's roles
    recomputed.
    """

    site_id: int
    carrier: Target

    def page(self, tx: Reader, at: Paging) -> AttributePage:
        """Return the page `at` of the attributes, ordered by key. The caller checks permission."""
        rows = tx.rows(PAGE, limit=at.limit, offset=at.offset, **self._key)
        return AttributePage(rows[0][0], [row[1:] for row in rows if row[1] is not None])

    def find(self, tx: Reader, key: str) -> Row | None:
        """Return the attribute `key` as a row of AttributePage; None if there is none."""
        return tx.row(FIND, key=key, **self._key)

    def granted_key(self, tx: Reader, keys: Iterable[str]) -> str | None:
        """Return the alphabetically first of these keys that only the site's owner may write on the carrier, which must
        be a profile (P-34): `is_member`, one that a criterion names, or one that the owner wrote here. None if there is
        none.
        """
        key: str | None = tx.value(
            GRANTED, site_id=self.site_id, profile_id=self.carrier.item_id, keys=sorted(keys)
        )
        return key

    def update(
        self,
        tx: Transaction,
        author: Author,
        values: Mapping[str, Value],
        most: int,
        *,
        grants: bool,
    ) -> None:
        """Store checked values by key; attributes with other keys stay.

        `grants`: the site's owner writes, so that criteria count these values. Raises Invalid if that adds a key and
        the carrier has more than `most` attributes afterwards.
        """
        types = [_type(value) for value in values.values()]

        def of(wanted: int) -> Sequence[Value | None]:
            return [
                value if type == wanted else None
                for value, type in zip(values.values(), types, strict=True)
            ]

        row = tx.row(
            SAVE,
            keys=list(values),
            types=types,
            strings=of(STRING),
            dates=of(DATE),
            numbers=of(NUMBER),
            booleans=of(BOOLEAN),
            me=author.profile_id,
            grants=grants,
            **self._key,
        )
        assert row is not None, "the statement returns one row"
        if row[0] and sum(row) > most:
            raise Invalid("", f"A thing has at most {most} attributes", code=OUT_OF_RANGE)
        self._changed(tx, author, list(values), journal.REPLACED)

    def delete(self, tx: Transaction, author: Author, keys: Iterable[str]) -> None:
        """Delete the attributes of these keys; keys without attribute are skipped."""
        rows = tx.rows(DELETE, keys=sorted(keys), **self._key)
        if rows:
            self._changed(tx, author, [row[0] for row in rows], journal.DELETED)

    @property
    def _key(self) -> dict[str, int]:
        return {
            "site_id": self.site_id,
            "item_type": self.carrier.item_type,
            "item_id": self.carrier.item_id,
        }

    def _changed(self, tx: Transaction, author: Author, keys: Sequence[str], kind: str) -> None:
        carrier = self.carrier
        if carrier.item_type == itemtypes.PROFILE:
            if IS_MEMBER in keys:
                tx.run(MIRROR_MEMBER, site_id=self.site_id, item_id=carrier.item_id)
            role_recomputation.recompute_roles(tx, self.site_id, [carrier.item_id])
        journal.record(
            tx,
            author,
            kind,
            itemtypes.ATTRIBUTE,
            carrier.item_id,
            parent=(carrier.item_type, carrier.item_id),
            microcosm_id=carrier.microcosm_id,
        )


def _type(value: Value) -> int:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, (int, float)):
        return NUMBER
    return DATE if isinstance(value, datetime.date) else STRING
