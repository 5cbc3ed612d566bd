"""Reactions to comments and items: which ones a site has, who gave which, and the counts that documents show.

The counts stand in a column of what was reacted to, kept by the statement that stores a reaction; they move no version.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.database.connections import Query, Reader, Transaction
from forumapi.errors import Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.permissions.evaluator import Target
from forumapi.text import clean
from forumapi.wire.json_fragments import dumps, loads

MAX_KINDS: Final = 20
MAX_TEXT: Final = 20
_NAME: Final = re.compile(r"[a-z0-9_-]{1,30}")


class Kind(NamedTuple):
    """A reaction that a site has: its name in addresses and counts, and what is shown for it."""

    name: str
    text: str


DEFAULTS: Final = (
    Kind("like", "👍"),
    Kind("love", "❤️"),
    Kind("laugh", "😄"),
    Kind("surprise", "😮"),
    Kind("sad", "😢"),
    Kind("thanks", "🙏"),
)

KINDS = Query(
    "reaction.kinds",
    "SELECT s.value::text FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'reactions'",
)

# A site's list, what the thing has got, and which the viewer gave, at once.
COUNTS = Query(
    "reaction.counts",
    """
    SELECT (SELECT s.value::text FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'reactions'),
           (SELECT coalesce((SELECT c.reactions FROM comments c
                              WHERE c.site_id = %(site_id)s AND c.comment_id = %(item_id)s AND %(item_type)s = 4),
                            (SELECT i.reactions FROM items i
                              WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s
                                AND i.item_type_id = %(item_type)s))::text),
           ARRAY(SELECT r.name FROM reactions r
                  WHERE r.site_id = %(site_id)s AND r.item_type_id = %(item_type)s AND r.item_id = %(item_id)s
                    AND r.profile_id = %(me)s ORDER BY r.name)""",
)

# SQL: how `me` reacted to the comments of `reacted`, as a JSON object by id; null for in no way.
OWN_OF_COMMENTS: Final = """
           (SELECT jsonb_object_agg(o.item_id, o.names)::text
              FROM (SELECT r.item_id, jsonb_agg(r.name ORDER BY r.name) AS names
                      FROM unnest(%(reacted)s::bigint[]) AS q (id)
                      JOIN reactions r ON r.site_id = %(site_id)s AND r.item_type_id = 4 AND r.item_id = q.id
                                      AND r.profile_id = %(me)s
                     GROUP BY r.item_id) o)"""


def own_of_comments(found: str | None) -> dict[int, list[str]]:
    """Names by comment, of what OWN_OF_COMMENTS returned."""
    return {int(id): names for id, names in loads(found).items()} if found else {}


SET_KINDS = Query(
    "reaction.set_kinds",
    """
    INSERT INTO site_settings (site_id, key, value) VALUES (%(site_id)s, 'reactions', %(value)s::jsonb)
        ON CONFLICT (site_id, key) DO UPDATE SET value = EXCLUDED.value""",
)

RESET_KINDS = Query(
    "reaction.reset_kinds",
    "DELETE FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'reactions'",
)


def _counted(name: str, change: str, by: str, table: str, key: str) -> Query:
    """A statement that stores or takes back a reaction and moves the count, or does nothing at all."""
    return Query(
        f"reaction.{name}",
        f"""
        WITH changed AS ({change} RETURNING 1)
        UPDATE {table} t
           SET reactions = nullif(jsonb_strip_nulls(
                   coalesce(t.reactions, '{{}}') || jsonb_build_object(%(name)s::text,
                       nullif(coalesce((t.reactions ->> %(name)s::text)::int, 0) {by} 1, 0))), '{{}}')
          FROM changed
         WHERE t.site_id = %(site_id)s AND t.{key} = %(item_id)s
     RETURNING t.{key}""",
    )


_GIVE: Final = """
            INSERT INTO reactions (site_id, item_type_id, item_id, profile_id, name)
            VALUES (%(site_id)s, %(item_type)s, %(item_id)s, %(me)s, %(name)s::text) ON CONFLICT DO NOTHING"""
_TAKE: Final = """
            DELETE FROM reactions r
             WHERE r.site_id = %(site_id)s AND r.item_type_id = %(item_type)s AND r.item_id = %(item_id)s
               AND r.profile_id = %(me)s AND r.name = %(name)s::text"""
GIVE_ITEM = _counted("give_item", _GIVE, "+", "items", "item_id")
GIVE_COMMENT = _counted("give_comment", _GIVE, "+", "comments", "comment_id")
TAKE_ITEM = _counted("take_item", _TAKE, "-", "items", "item_id")
TAKE_COMMENT = _counted("take_comment", _TAKE, "-", "comments", "comment_id")


class KindBody(Struct):
    """A reaction of a site's list as it is sent."""

    name: str | UnsetType = UNSET
    text: str | UnsetType = UNSET


def checked(sent: Sequence[KindBody]) -> list[Kind]:
    """A site's list as it is stored. Raises Invalid with the place and name of the field."""
    if len(sent) > MAX_KINDS:
        raise Invalid("", f"A site has at most {MAX_KINDS} reactions")
    kinds: dict[str, Kind] = {}
    for place, one in enumerate(sent):
        name = one.name if isinstance(one.name, str) else ""
        if not _NAME.fullmatch(name):
            rule = "must be 1 to 30 lower-case letters, digits, hyphens or underscores"
            raise Invalid(f"[{place}].name", rule)
        if name in kinds:
            raise Invalid(f"[{place}].name", "stands twice")
        text = clean.sentence(one.text if isinstance(one.text, str) else "", quiet=False)
        if not 1 <= clean.length(text) <= MAX_TEXT:
            raise Invalid(f"[{place}].text", f"must have 1 to {MAX_TEXT} characters")
        kinds[name] = Kind(name, text)
    return list(kinds.values())


def _kinds(value: str | None) -> Sequence[Kind]:
    return DEFAULTS if value is None else [Kind(*pair) for pair in loads(value)]


def kinds(tx: Reader, site_id: int) -> Sequence[Kind]:
    """The reactions that can be given on a site, in its order."""
    return _kinds(tx.value(KINDS, site_id=site_id))


def set_kinds(tx: Transaction, author: Author, wanted: Sequence[Kind] | None) -> None:
    """Make this the site's list; None: the platform's. What was given stays, whatever becomes of its kind."""
    if wanted is None:
        tx.run(RESET_KINDS, site_id=author.site_id)
    else:
        value = dumps([list(kind) for kind in wanted]).decode()
        tx.run(SET_KINDS, site_id=author.site_id, value=value)
    journal.record_site(tx, author, audit=False)


def shown(counts: str | None) -> bytes:
    """The counts as members of a document's `meta`, with a leading comma; nothing where there are none."""
    return b',"reactions":' + counts.encode() if counts else b""


def summary(tx: Reader, site_id: int, target: Target, me: int) -> list[dict[str, Any]]:
    """The site's reactions with the counts of one thing, and whether `me` gave them."""
    row = tx.row(COUNTS, site_id=site_id, item_type=target.item_type, item_id=target.item_id, me=me)
    assert row is not None
    value, stored, own = row
    counts = loads(stored) if stored else {}
    return [
        {
            "name": kind.name,
            "text": kind.text,
            "count": counts.get(kind.name, 0),
            "own": kind.name in own,
        }
        for kind in _kinds(value)
    ]


def give(tx: Transaction, author: Author, target: Target, name: str) -> None:
    """Store one reaction of the caller's; the thing's row is locked. A second time changes nothing."""
    is_comment = target.item_type == itemtypes.COMMENT
    _change(tx, author, target, name, GIVE_COMMENT if is_comment else GIVE_ITEM)


def take(tx: Transaction, author: Author, target: Target, name: str) -> None:
    """Take one reaction of the caller's back; the thing's row is locked."""
    is_comment = target.item_type == itemtypes.COMMENT
    _change(tx, author, target, name, TAKE_COMMENT if is_comment else TAKE_ITEM)


def _change(tx: Transaction, author: Author, target: Target, name: str, query: Query) -> None:
    changed = tx.value(
        query,
        site_id=author.site_id,
        item_type=target.item_type,
        item_id=target.item_id,
        me=author.profile_id,
        name=name,
    )
    if changed:
        journal.record(
            tx,
            author.site_id,
            journal.PATCHED,
            target.item_type,
            target.item_id,
            actor=author.profile_id,
            ip=author.ip,
            microcosm_id=target.microcosm_id,
            audit=False,
        )
