"""Writing of the attributes of an import."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.content import attribute
from forumapi.porting.layout import PortedAttribute, Unreadable
from forumapi.porting.loading import value_cleaning
from forumapi.porting.loading.imported_ids import Origin
from forumapi.porting.loading.people import ImportedPeople

INSERT_ATTRIBUTES = Query(
    "attributes.insert_attributes",
    """
    INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, string_value, date_value, number_value,
                            boolean_value, written_by, written, is_granted)
    SELECT DISTINCT ON (r.type, r.item_id, r.key)
           %(site_id)s, r.type, r.item_id, r.key, r.value_type, r.string_value, r.date_value, r.number_value,
           r.boolean_value, CASE WHEN r.is_granted THEN s.owned_by ELSE r.written_by END, r.written, r.is_granted
      FROM json_to_recordset(%(rows)s::json)
           AS r (type smallint, item_id bigint, key text, value_type smallint, string_value text, date_value date,
                 number_value numeric, boolean_value boolean, written_by bigint, written timestamptz,
                 is_granted boolean)
      JOIN sites s ON s.site_id = %(site_id)s
        ON CONFLICT (site_id, item_type_id, item_id, key) DO NOTHING""",
)

_KEY: Final = re.compile(r"[^0-9A-Za-z_-]+")
_MAX_KEY: Final = 50
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class AttributeWriter:
    """Writer of attributes of things that the import has inserted before. `granted`: keys, as the source writes them,
    of the attributes that count for roles' criteria, since the site's owner vouches for them.
    """

    def __init__(self, origin: Origin, people: ImportedPeople, granted: Collection[str]) -> None:
        self._origin = origin
        self._people = people
        self._granted = frozenset(granted)
        self._now = datetime.datetime.now(datetime.UTC)

    def insert_attributes(
        self, tx: Transaction, holders: Iterable[tuple[int, int, Sequence[PortedAttribute], str]]
    ) -> list[Unreadable]:
        """Insert attributes of things, but none under a key that a thing has already, and none that an earlier run has
        inserted; of several whose keys are stored as one (`field_key`) any one is inserted. Return as left out, with
        reasons, those whose key has nothing to store, or is `is_member` on a profile, which the site sets. `holders`:
        for each thing its item type and id here, its attributes, and its old id.
        """
        rows: list[tuple[tuple[object, ...], dict[str, Any]]] = []
        left: list[Unreadable] = []
        for item_type, item_id, attributes, old_id in holders:
            for one in attributes:
                key = field_key(one.key)
                is_granted = one.key in self._granted
                if not key or (key == attribute.IS_MEMBER and item_type == itemtypes.PROFILE):
                    reason = "key: is the site's own" if key else "key: has no letter or digit"
                    left.append(
                        Unreadable(kind="attribute", id=f"{old_id}:{one.key}", reason=reason)
                    )
                    continue
                by = self._people.id(one.written_by)
                holder = item_id if item_type == itemtypes.PROFILE else 0
                row = {
                    "type": item_type,
                    "item_id": item_id,
                    "key": key,
                    "written_by": by or holder or None,
                    "written": value_cleaning.time(one.written, self._now),
                    "is_granted": is_granted,
                    **_value(one),
                }
                rows.append((("attribute", item_type, old_id, one.key, one.value), row))
        self._origin.run(tx, INSERT_ATTRIBUTES, self._origin.unwritten(tx, rows))
        return left


def field_key(key: str) -> str:
    """Return an attribute's key as it is stored: each run of other characters than ASCII letters, digits, `_` and `-`
    becomes one `_`, none of them at the ends, cut to 50 characters; "" if nothing is left.
    """
    return _KEY.sub("_", value_cleaning.plain(key)).strip("_")[:_MAX_KEY]


def _value(one: PortedAttribute) -> dict[str, Any]:
    value = one.value
    if isinstance(value, bool):
        return {"value_type": attribute.BOOLEAN, "boolean_value": value}
    if isinstance(value, (int, float)):
        return {"value_type": attribute.NUMBER, "number_value": value}
    text = value_cleaning.plain(value)
    if one.is_date and _DATE.fullmatch(text):
        try:
            datetime.date.fromisoformat(text)
        except ValueError:
            pass
        else:
            return {"value_type": attribute.DATE, "date_value": text}
    return {
        "value_type": attribute.STRING,
        "string_value": value_cleaning.block(text[: attribute.MAX_STRING], "—"),
    }
