"""Reactions to comments and items: kinds that a site has, reactions of profiles, and counts that documents show.

The counts are in a column of the comment or item, changed by the statement that stores or deletes a reaction; the
version of the comment or item stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.permissions.evaluator import Target
from forumapi.text import short_text_cleaning
from forumapi.wire.json_fragments import dumps, loads

MAX_KINDS: Final = 20
MAX_TEXT: Final = 20
_NAME: Final = re.compile(r"[a-z0-9_-]{1,30}")


class ReactionKind(NamedTuple):
    """Kind of reaction that a site has: its name in addresses and counts, and the text that is shown, HTML-escaped."""

    name: str
    text: str

    @property
    def document(self) -> dict[str, str]:
        """Return the kind as a dict for JSON."""
        return {"name": self.name, "text": self.text}


DEFAULTS: Final = (
    ReactionKind("like", "👍"),
    ReactionKind("love", "❤️"),
    ReactionKind("laugh", "😄"),
    ReactionKind("surprise", "😮"),
    ReactionKind("sad", "😢"),
    ReactionKind("thanks", "🙏"),
)

KINDS = Query(
    "reaction.kinds",
    "SELECT s.value::text FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'reactions'",
)

# A site's kinds, the counts of a comment or item, and the viewer's own reactions to it.
COUNTS = Query(
    "reaction.counts",
    f"""
    SELECT (SELECT s.value::text FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'reactions'),
           (SELECT coalesce((SELECT c.reactions FROM comments c
                              WHERE c.site_id = %(site_id)s AND c.comment_id = %(item_id)s
                                AND %(item_type)s = {itemtypes.COMMENT}),
                            (SELECT i.reactions FROM items i
                              WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s
                                AND i.item_type_id = %(item_type)s))::text),
           ARRAY(SELECT r.name FROM reactions r
                  WHERE r.site_id = %(site_id)s AND r.item_type_id = %(item_type)s AND r.item_id = %(item_id)s
                    AND r.profile_id = %(me)s ORDER BY r.name)""",
)

# SQL: how `me` reacted to the comments `reacted`, as a JSON object by id; null without reactions.
OWN_OF_COMMENTS: Final = f"""
           (SELECT jsonb_object_agg(o.item_id, o.names)::text
              FROM (SELECT r.item_id, jsonb_agg(r.name ORDER BY r.name) AS names
                      FROM unnest(%(reacted)s::bigint[]) AS q (id)
                      JOIN reactions r ON r.site_id = %(site_id)s AND r.item_type_id = {itemtypes.COMMENT}
                                      AND r.item_id = q.id AND r.profile_id = %(me)s
                     GROUP BY r.item_id) o)"""


def own_of_comments(own: str | None) -> dict[int, list[str]]:
    """Return the names of the viewer's reactions, in alphabetical order, by comment id. `own`: a value of the column
    OWN_OF_COMMENTS; {} for None.
    """
    return {int(id): names for id, names in loads(own).items()} if own else {}


# The kinds are part of the site document: the site's version moves with them.
SET_KINDS = Query(
    "reaction.set_kinds",
    """
    WITH put AS (
        INSERT INTO site_settings (site_id, key, value) VALUES (%(site_id)s, 'reactions', %(value)s::jsonb)
            ON CONFLICT (site_id, key) DO UPDATE SET value = EXCLUDED.value)
    UPDATE sites s
       SET version = s.version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING s.version""",
)

RESET_KINDS = Query(
    "reaction.reset_kinds",
    """
    WITH gone AS (
        DELETE FROM site_settings g WHERE g.site_id = %(site_id)s AND g.key = 'reactions')
    UPDATE sites s
       SET version = s.version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING s.version""",
)


def _counted(name: str, change: str, sign: str, table: str, key: str) -> Query:
    """Return a statement, `reaction.<name>`, that inserts or deletes a reaction and adapts its count, or does nothing
    if the reaction is there, or not there, already.

    All other arguments are SQL: `change`: the INSERT or DELETE; `sign`: + or -; `table` and `key`: the table that holds
    the thing and its counts, and the column of that table with the thing's id.
    """
    return Query(
        f"reaction.{name}",
        f"""
        WITH changed AS ({change} RETURNING 1)
        UPDATE {table} t
           SET reactions = nullif(jsonb_strip_nulls(
                   coalesce(t.reactions, '{{}}') || jsonb_build_object(%(name)s::text,
                       nullif(coalesce((t.reactions ->> %(name)s::text)::int, 0) {sign} 1, 0))), '{{}}')
          FROM changed
         WHERE t.site_id = %(site_id)s AND t.{key} = %(item_id)s
     RETURNING t.{key}""",
    )


_INSERT: Final = """
            INSERT INTO reactions (site_id, item_type_id, item_id, profile_id, name)
            VALUES (%(site_id)s, %(item_type)s, %(item_id)s, %(me)s, %(name)s::text) ON CONFLICT DO NOTHING"""
_DELETE: Final = """
            DELETE FROM reactions r
             WHERE r.site_id = %(site_id)s AND r.item_type_id = %(item_type)s AND r.item_id = %(item_id)s
               AND r.profile_id = %(me)s AND r.name = %(name)s::text"""
INSERT_ON_ITEM = _counted("insert_on_item", _INSERT, "+", "items", "item_id")
INSERT_ON_COMMENT = _counted("insert_on_comment", _INSERT, "+", "comments", "comment_id")
DELETE_ON_ITEM = _counted("delete_on_item", _DELETE, "-", "items", "item_id")
DELETE_ON_COMMENT = _counted("delete_on_comment", _DELETE, "-", "comments", "comment_id")


class KindBody(Struct):
    """Kind of reaction as the owner of a site sends it: its `name` in addresses and counts, and the `text` that is
    shown.
    """

    name: str | UnsetType = UNSET
    text: str | UnsetType = UNSET


def checked(sent: Sequence[KindBody]) -> list[ReactionKind]:
    """Return the kinds of reactions that a site is to have, in the order sent, their texts trimmed, without tags,
    line breaks and unprintable characters, and HTML-escaped.

    Raises Invalid with position and field for a name that is repeated or not 1 to 30 of a to z, 0 to 9, _ and -, and
    for a text that does not have 1 to MAX_TEXT characters, counted before the escaping; without them for more than
    MAX_KINDS kinds.
    """
    if len(sent) > MAX_KINDS:
        raise Invalid("", f"A site has at most {MAX_KINDS} reactions")
    kinds: dict[str, ReactionKind] = {}
    for position, kind in enumerate(sent):
        name = kind.name if isinstance(kind.name, str) else ""
        if not _NAME.fullmatch(name):
            rule = "must be 1 to 30 lower-case letters, digits, hyphens or underscores"
            raise Invalid(f"[{position}].name", rule)
        if name in kinds:
            raise Invalid(f"[{position}].name", "is repeated")
        text = short_text_cleaning.sentence(
            kind.text if isinstance(kind.text, str) else "", quiet=False
        )
        if not 1 <= short_text_cleaning.length(text) <= MAX_TEXT:
            raise Invalid(f"[{position}].text", f"must have 1 to {MAX_TEXT} characters")
        kinds[name] = ReactionKind(name, text)
    return list(kinds.values())


def stored(value: str | None) -> Sequence[ReactionKind]:
    """Return the kinds of reactions in `value`, JSON of a site's setting, in its order; None: the platform's default
    kinds.
    """
    return DEFAULTS if value is None else [ReactionKind(*pair) for pair in loads(value)]


def kinds(tx: Reader, site_id: int) -> Sequence[ReactionKind]:
    """Return the kinds of reactions that a site has, in its order: those of its setting, without one the platform's
    default kinds.
    """
    return stored(tx.value(KINDS, site_id=site_id))


def set_kinds(tx: Transaction, author: Author, wanted: Sequence[ReactionKind] | None) -> None:
    """Set the kinds of reactions of the author's site; `wanted` None: those of the platform again, []: none, which
    turns reactions off. The site's version is incremented, and the change recorded as an event without an audit entry.
    Reactions of kinds that are dropped stay stored.
    """
    if wanted is None:
        version = tx.value(RESET_KINDS, site_id=author.site_id)
    else:
        value = dumps([list(kind) for kind in wanted]).decode()
        version = tx.value(SET_KINDS, site_id=author.site_id, value=value)
    journal.record_site(tx, author, version=version, audit=False)


def shown(counts: str | None) -> bytes:
    """Render reactions as the member `reactions` of a document's `meta`, with a leading comma; b"" for None. `counts`:
    the column of the comment or item, JSON with the number by name of the reaction.
    """
    return b',"reactions":' + counts.encode() if counts else b""


def summary(tx: Reader, site_id: int, target: Target, me: int) -> list[dict[str, Any]]:
    """Return the site's kinds in order, each with the number of reactions of that kind to the comment or item `target`,
    and with `own`, True if one of them is of the profile `me`.
    """
    row = tx.row(COUNTS, site_id=site_id, item_type=target.item_type, item_id=target.item_id, me=me)
    assert row is not None
    value, reactions, own = row
    counts = loads(reactions) if reactions else {}
    return [
        {
            "name": kind.name,
            "text": kind.text,
            "count": counts.get(kind.name, 0),
            "own": kind.name in own,
        }
        for kind in stored(value)
    ]


class Reaction(NamedTuple):
    """Reaction, by its name, to a comment or item.

    `insert` and `delete` are for the profile of `author`; the caller has locked the row of the comment or item, and
    before an `insert` checked that the site has a kind of that name.
    """

    target: Target
    name: str

    def insert(self, tx: Transaction, author: Author) -> None:
        """Store the author's reaction and count it; nothing changes if it is stored already."""
        self._change(tx, author, INSERT_ON_COMMENT if self._is_on_comment else INSERT_ON_ITEM)

    def delete(self, tx: Transaction, author: Author) -> None:
        """Delete the author's reaction, if there is one, and adapt the count."""
        self._change(tx, author, DELETE_ON_COMMENT if self._is_on_comment else DELETE_ON_ITEM)

    @property
    def _is_on_comment(self) -> bool:
        return self.target.item_type == itemtypes.COMMENT

    def _change(self, tx: Transaction, author: Author, query: Query) -> None:
        target = self.target
        changed = tx.value(
            query,
            site_id=author.site_id,
            item_type=target.item_type,
            item_id=target.item_id,
            me=author.profile_id,
            name=self.name,
        )
        if changed:
            journal.record(
                tx,
                author,
                journal.PATCHED,
                target.item_type,
                target.item_id,
                microcosm_id=target.microcosm_id,
                audit=False,
            )
