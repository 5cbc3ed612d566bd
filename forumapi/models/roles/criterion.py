"""Criteria: conditions on profiles; a profile that meets the criteria of a role is in it (platform 5.3).

A criterion is stored twice: as it was sent, and as the `Comparison` that criteria_sql.py evaluates. A criterion that
can't be evaluated is refused when it is written (P-41).
"""

from __future__ import annotations

import datetime
import re
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid
from forumapi.observability.log import logger
from forumapi.text import short_text_cleaning
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

MAX_TEXT: Final = 250
MAX_NAME: Final = 50
_INT32: Final = 2**31 - 1

_COLUMNS: Final = """
    c.criterion_id, c.or_group, coalesce(c.profile_column, '') AS profile_column, coalesce(c.attr_key, '') AS attr_key,
    c.predicate, c.value::text AS value"""

PAGE = Query(
    "criterion.page",
    f"""
    SELECT n.total, n.unusable, page.criterion_id, page.or_group, page.profile_column, page.attr_key, page.predicate,
           page.value
      FROM (SELECT count(*) AS total, count(*) FILTER (WHERE c.kind IS NULL) AS unusable
              FROM criteria c
             WHERE c.site_id = %(site_id)s AND c.role_id = %(role_id)s) n
      LEFT JOIN LATERAL (
            SELECT {_COLUMNS}
              FROM criteria c
             WHERE c.site_id = %(site_id)s AND c.role_id = %(role_id)s
             ORDER BY c.or_group, c.profile_column NULLS LAST, c.attr_key, c.criterion_id
             LIMIT %(limit)s OFFSET %(offset)s) page ON true
     ORDER BY page.or_group, nullif(page.profile_column, '') NULLS LAST, page.attr_key, page.criterion_id""",
)

FIND = Query(
    "criterion.find",
    f"""
    SELECT {_COLUMNS}
      FROM criteria c
     WHERE c.site_id = %(site_id)s AND c.role_id = %(role_id)s AND c.criterion_id = %(id)s""",
)

_VALUES: Final = """
    %(or_group)s::int, nullif(%(column)s::text, ''), nullif(%(key)s::text, ''), %(predicate)s::text, %(value)s::jsonb,
    %(kind)s::text, %(number)s::numeric, %(date)s::date, %(text)s::text, %(flag)s::boolean"""

INSERT = Query(
    "criterion.insert",
    f"""
    INSERT INTO criteria (site_id, role_id, or_group, profile_column, attr_key, predicate, value, kind, number_value,
                          date_value, text_value, boolean_value)
    SELECT %(site_id)s::bigint, %(role_id)s::bigint, {_VALUES}
     WHERE (SELECT count(*) FROM criteria c
             WHERE c.site_id = %(site_id)s AND c.role_id = %(role_id)s) < %(most)s::int
 RETURNING criterion_id""",
)

UPDATE = Query(
    "criterion.update",
    f"""
    UPDATE criteria c
       SET (or_group, profile_column, attr_key, predicate, value, kind, number_value, date_value, text_value,
            boolean_value) = ROW ({_VALUES})
     WHERE c.site_id = %(site_id)s AND c.role_id = %(role_id)s AND c.criterion_id = %(id)s""",
)

# NULL: all of the role.
DELETE = Query(
    "criterion.delete",
    """
    DELETE FROM criteria c
     WHERE c.site_id = %(site_id)s AND c.role_id = %(role_id)s
       AND (%(ids)s::bigint[] IS NULL OR c.criterion_id = ANY(%(ids)s::bigint[]))""",
)

_EQUAL: Final = ("eq", "ne", "neq")
_ORDER: Final = (*_EQUAL, "lt", "le", "ge", "gt")
_PARTS: Final = (*_EQUAL, "substr", "nsubstr")
PREDICATES: Final = ("eq", "ne", "neq", "lt", "le", "ge", "gt", "substr", "nsubstr")
_NUMBERS: Final = ("id", "itemCount", "commentCount")
_TEXTS: Final = ("profileName", "email", "gender")
COLUMNS: Final = (*_NUMBERS, "created", *_TEXTS, "isBanned")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Comparison(NamedTuple):
    """Comparison that evaluates a criterion, by the criterion's predicate. `kind`: which value of the profile is
    compared: a column, `days` since its making, or the type of an attribute. Of `number`, `date`, `text` and `flag` one
    is not None: the value that the profile's value is compared with.
    """

    kind: str
    number: int | float | None = None
    date: datetime.date | None = None
    text: str | None = None
    flag: bool | None = None


class Criterion(NamedTuple):
    """Criterion of a role, as the client sent it. `or_group`: a profile must meet all criteria of at least one group;
    `column` is "" if `key` names an attribute; `predicate`: one of PREDICATES, by which the profile's value is compared
    with `value`, JSON.

    A caller that stores or deletes a criterion holds the site's roles locked by LockedRoles (role.py), and calls
    Role.recompute afterwards.
    """

    id: int
    or_group: int
    column: str
    key: str
    predicate: str
    value: str

    @classmethod
    def make(cls, or_group: int, column: str, key: str, predicate: str, value: object) -> Criterion:
        """Return a checked criterion that is not stored yet; its id is 0. `column` "": `key` names an attribute; else
        `key` is ignored; `value`: the decoded string, number or boolean, which the criterion keeps as JSON; spaces
        around `column`, `key` and a string `value` are dropped; `or_group` and `predicate`: as in this class.

        Raises Invalid for an `or_group` beyond 32 bits, an unknown column or predicate, neither column nor key, a key
        over MAX_NAME characters, a string that is empty or over MAX_TEXT characters, a value of another type, and as
        `comparison` does.
        """
        if not -_INT32 - 1 <= or_group <= _INT32:
            raise Invalid("orGroup", "is beyond 32 bits", code=OUT_OF_RANGE)
        column, key = column.strip(), key.strip()
        if column:
            key = ""
            if column not in COLUMNS:
                raise Invalid("profileColumn", f"must be one of {', '.join(COLUMNS)}")
        elif not key:
            raise Invalid("profileColumn", "or attrKey is required")
        elif len(key) > MAX_NAME:
            raise Invalid("attrKey", f"may have at most {MAX_NAME} characters", code=OUT_OF_RANGE)
        if predicate not in PREDICATES:
            raise Invalid("predicate", f"must be one of {', '.join(PREDICATES)}")
        if isinstance(value, str):
            value = value.strip()
            if not 1 <= len(value) <= MAX_TEXT:
                raise Invalid("value", f"must have 1 to {MAX_TEXT} characters", code=OUT_OF_RANGE)
        elif not isinstance(value, (bool, int, float)):
            raise Invalid("value", "must be a number, a string or a boolean", code=WRONG_TYPE)
        made = cls(0, or_group, column, key, predicate, json_fragments.dumps(value).decode())
        comparison(made)
        return made

    @classmethod
    def page(cls, tx: Reader, site_id: int, role_id: int, at: Paging) -> CriteriaPage:
        """Return the page `at` of a role's criteria, ordered by group, then column, those on attributes last and by
        key.
        """
        rows = tx.rows(PAGE, site_id=site_id, role_id=role_id, limit=at.limit, offset=at.offset)
        total, unusable = rows[0][:2]
        if unusable:
            logger.warning("role %s has %s criteria that count as false", role_id, unusable)
        return CriteriaPage(total, [cls(*row[2:]) for row in rows if row[2] is not None])

    @classmethod
    def find(cls, tx: Reader, site_id: int, role_id: int, id: int) -> Criterion | None:
        """Return one criterion of a role; None if the role has no such criterion."""
        row = tx.row(FIND, site_id=site_id, role_id=role_id, id=id)
        return cls(*row) if row else None

    def insert(self, tx: Transaction, site_id: int, role_id: int, most: int) -> int:
        """Store the criterion; return its id. Raises Invalid if the role has `most` criteria already."""
        id = tx.value(INSERT, site_id=site_id, role_id=role_id, most=most, **self._values())
        if id is None:
            raise Invalid("", f"A role has at most {most} criteria", code=OUT_OF_RANGE)
        return int(id)

    def update(self, tx: Transaction, site_id: int, role_id: int, new: Criterion) -> None:
        """Store `new` in place of this criterion; the id stays."""
        tx.run(UPDATE, site_id=site_id, role_id=role_id, id=self.id, **new._values())

    @classmethod
    def delete(cls, tx: Transaction, site_id: int, role_id: int, ids: list[int] | None) -> int:
        """Delete the criteria of a role with these ids, or with `ids` None all criteria of the role; return the number
        deleted.
        """
        return tx.run(DELETE, site_id=site_id, role_id=role_id, ids=ids)

    def _values(self) -> dict[str, Any]:
        return {
            "or_group": self.or_group,
            "column": self.column,
            "key": self.key,
            "predicate": self.predicate,
            "value": self.value,
            **comparison(self)._asdict(),
        }

    def document(self) -> dict[str, Any]:
        """Return the criterion as a dict for JSON (platform 5.3)."""
        data: dict[str, Any] = {"id": self.id} if self.id else {}
        data["orGroup"] = self.or_group
        if self.column:
            data["profileColumn"] = self.column
        else:
            data["attrKey"] = self.key
        return data | {
            "predicate": self.predicate,
            "value": json_fragments.raw(self.value.encode()),
        }


class CriteriaPage(NamedTuple):
    """Page of a role's criteria; `total`: the number of all criteria of the role."""

    total: int
    criteria: list[Criterion]


def comparison(criterion: Criterion) -> Comparison:
    """Return the comparison that evaluates a criterion.

    Raises Invalid, code 3, for a predicate or value that its column or attribute can't be compared by (P-41).
    """
    value = json_fragments.loads(criterion.value)
    predicate = criterion.predicate
    if not criterion.column:
        return _attribute_comparison(predicate, value)
    column = criterion.column
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if column in _NUMBERS or (column == "created" and not isinstance(value, str)):
        if not is_whole:
            rule = "a whole number or a date" if column == "created" else "a whole number"
            raise Invalid("value", f"must be {rule} for {column}", code=WRONG_TYPE)
        _suits(predicate, _ORDER, column)
        return Comparison("days" if column == "created" else column, number=value)
    if column == "created":
        day = _day(value)
        if day is None:
            raise Invalid("value", "must be a whole number or a date, YYYY-MM-DD", code=WRONG_TYPE)
        _suits(predicate, _ORDER, column)
        return Comparison("created", date=day)
    if column == "isBanned":
        if not isinstance(value, bool):
            raise Invalid("value", "must be true or false for isBanned", code=WRONG_TYPE)
        _suits(predicate, _EQUAL, column)
        return Comparison(column, flag=value)
    if isinstance(value, bool):
        raise Invalid("value", f"must be a string for {column}", code=WRONG_TYPE)
    _suits(predicate, _PARTS, column)
    text = value if isinstance(value, str) else criterion.value
    # Names and genders are stored with HTML escaped; addresses are stored as they are.
    return Comparison(column, text=text if column == "email" else short_text_cleaning.escape(text))


def _attribute_comparison(predicate: str, value: Any) -> Comparison:
    if isinstance(value, bool):
        _suits(predicate, _EQUAL, "a boolean")
        return Comparison("boolean", flag=value)
    if isinstance(value, str):
        day = None if predicate in ("substr", "nsubstr") else _day(value)
        if day is not None:
            return Comparison("date", date=day)
        _suits(predicate, _PARTS, "a string")
        return Comparison("string", text=short_text_cleaning.escape(value))
    _suits(predicate, _ORDER, "a number")
    return Comparison("number", number=value)


def _suits(predicate: str, allowed: tuple[str, ...], what: str) -> None:
    if predicate not in allowed:
        rule = f"must be one of {', '.join(allowed)} for {what}"
        raise Invalid("predicate", rule, code=WRONG_TYPE)


def _day(text: str) -> datetime.date | None:
    """Parse a calendar date in exactly the form YYYY-MM-DD; None for any other text."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None
