"""Writing of the reactions, bookmarks and follows of an import."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.content import reaction
from forumapi.porting.layout import PortedBookmark, PortedFollow, PortedReaction, Unreadable
from forumapi.porting.loading import value_cleaning
from forumapi.porting.loading.imported_ids import ImportedThing, Origin
from forumapi.porting.loading.people import ImportedPeople

INSERT_REACTIONS = Query(
    "reactions_bookmarks_follows.insert_reactions",
    """
    INSERT INTO reactions (site_id, item_type_id, item_id, profile_id, name, created)
    SELECT %(site_id)s, r.type, r.item_id, r.profile_id, r.name, r.created
      FROM json_to_recordset(%(rows)s::json)
           AS r (type smallint, item_id bigint, profile_id bigint, name text, created timestamptz)
        ON CONFLICT DO NOTHING""",
)
_COUNTED: Final = """
           (SELECT jsonb_object_agg(n.name, n.times)
              FROM (SELECT x.name, count(*) AS times FROM reactions x
                     WHERE x.site_id = %(site_id)s AND x.item_type_id = r.type AND x.item_id = r.item_id
                     GROUP BY x.name) n)"""
COUNT_ON_COMMENTS = Query(
    "reactions_bookmarks_follows.count_on_comments",
    f"""
    UPDATE comments c
       SET reactions = {_COUNTED}
      FROM (SELECT DISTINCT x.type, x.item_id
              FROM json_to_recordset(%(rows)s::json) AS x (type smallint, item_id bigint)) r
     WHERE c.site_id = %(site_id)s AND c.comment_id = r.item_id AND r.type = {itemtypes.COMMENT}""",
)
COUNT_ON_ITEMS = Query(
    "reactions_bookmarks_follows.count_on_items",
    f"""
    UPDATE items i
       SET reactions = {_COUNTED}
      FROM (SELECT DISTINCT x.type, x.item_id
              FROM json_to_recordset(%(rows)s::json) AS x (type smallint, item_id bigint)) r
     WHERE i.site_id = %(site_id)s AND i.item_id = r.item_id AND i.item_type_id = r.type""",
)
INSERT_BOOKMARKS = Query(
    "reactions_bookmarks_follows.insert_bookmarks",
    """
    INSERT INTO bookmarks (site_id, profile_id, item_type_id, item_id, created)
    SELECT %(site_id)s, r.profile_id, r.type, r.item_id, r.created
      FROM json_to_recordset(%(rows)s::json)
           AS r (profile_id bigint, type smallint, item_id bigint, created timestamptz)
     ORDER BY r.created
        ON CONFLICT DO NOTHING""",
)
INSERT_WATCHERS = Query(
    "reactions_bookmarks_follows.insert_watchers",
    """
    INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
    SELECT %(site_id)s, r.profile_id, r.type, r.item_id, r.send_email
      FROM json_to_recordset(%(rows)s::json)
           AS r (profile_id bigint, type smallint, item_id bigint, send_email boolean)
        ON CONFLICT (site_id, profile_id, item_type_id, item_id) DO NOTHING""",
)
INSERT_IGNORES = Query(
    "reactions_bookmarks_follows.insert_ignores",
    """
    INSERT INTO ignores (site_id, profile_id, item_type_id, item_id)
    SELECT %(site_id)s, r.profile_id, r.type, r.item_id
      FROM json_to_recordset(%(rows)s::json) AS r (profile_id bigint, type smallint, item_id bigint)
        ON CONFLICT DO NOTHING""",
)


class ReactionWriter:
    """Writer of reactions, bookmarks, watchers and ignored things, all on things that the import has inserted."""

    def __init__(self, origin: Origin, people: ImportedPeople) -> None:
        self._origin = origin
        self._people = people
        self._now = datetime.datetime.now(datetime.UTC)
        self._kinds: dict[str, str] | None = None

    def insert_reactions(
        self, tx: Transaction, reactions: Sequence[PortedReaction]
    ) -> list[Unreadable]:
        """Insert the reactions that no earlier run has inserted, and count them on their comments and items; return
        those left out: reactions that the site does not have, or whose person or thing did not come.
        """
        kinds = self._reaction_kinds(tx)
        found = self._origin.find_items(tx, [(one.on_type, one.on_id) for one in reactions])
        all: list[tuple[tuple[object, ...], dict[str, Any]]] = []
        left: list[Unreadable] = []
        for one in reactions:
            thing = found.get((one.on_type, one.on_id))
            profile_id = self._people.id(one.author)
            name = kinds.get(_sign(one.name)) or kinds.get(one.name)
            on = (thing.type, thing.id) if thing else (0, 0)
            if thing and one.on_type == "message":
                on = (itemtypes.COMMENT, int(thing.detail or 0))
            if not on[1] or not profile_id or name is None:
                reason = (
                    f"name: {one.name} is no reaction of this site"
                    if name is None
                    else _missing(profile_id, one.author, one.on_type, one.on_id)
                )
                left.append(
                    Unreadable(
                        kind="reaction",
                        id=f"{one.on_type}:{one.on_id}:{one.author}:{one.name}",
                        reason=reason,
                    )
                )
                continue
            row = {
                "type": on[0],
                "item_id": on[1],
                "profile_id": profile_id,
                "name": name,
                "created": value_cleaning.time(one.date, self._now),
            }
            all.append((("reaction", one.on_type, one.on_id, one.author, name), row))
        rows = self._origin.unwritten(tx, all)
        self._origin.run(tx, INSERT_REACTIONS, rows)
        self._origin.run(tx, COUNT_ON_COMMENTS, rows)
        self._origin.run(tx, COUNT_ON_ITEMS, rows)
        return left

    def insert_bookmarks(
        self, tx: Transaction, bookmarks: Sequence[PortedBookmark]
    ) -> list[Unreadable]:
        """Insert the bookmarks that no earlier run has inserted, without their notes; return those left out, whose
        person or thing does not exist here.
        """
        found = self._origin.find_items(tx, [(one.on_type, one.on_id) for one in bookmarks])
        rows: list[tuple[tuple[object, ...], dict[str, Any]]] = []
        left: list[Unreadable] = []
        for one in bookmarks:
            thing = found.get((one.on_type, one.on_id))
            profile_id = self._people.id(one.author)
            if thing is None or not profile_id:
                left.append(
                    Unreadable(
                        kind="bookmark",
                        id=f"{one.on_type}:{one.on_id}:{one.author}",
                        reason=_missing(profile_id, one.author, one.on_type, one.on_id),
                    )
                )
                continue
            row = {
                "profile_id": profile_id,
                "type": thing.type,
                "item_id": thing.id,
                "created": value_cleaning.time(one.date, self._now),
            }
            rows.append((("bookmark", one.on_type, one.on_id, one.author), row))
        self._origin.run(tx, INSERT_BOOKMARKS, self._origin.unwritten(tx, rows))
        return left

    def insert_follows(self, tx: Transaction, follows: Sequence[PortedFollow]) -> list[Unreadable]:
        """Insert the watchers and ignored things that no earlier run has inserted; return those left out, whose person
        or thing does not exist here. That somebody ignores themselves is dropped.
        """
        wanted = [
            (kind, id)
            for one in follows
            for kind, id, _ in (*_followed(one), *((kind, id, False) for kind, id in _ignored(one)))
        ]
        found = self._origin.find_items(tx, wanted)
        watched: list[tuple[tuple[object, ...], dict[str, Any]]] = []
        ignored: list[tuple[tuple[object, ...], dict[str, Any]]] = []
        left: list[Unreadable] = []

        def known(one: PortedFollow, kind: str, id: str) -> ImportedThing | None:
            thing = found.get((kind, id))
            if thing is None:
                left.append(
                    Unreadable(
                        kind="follow",
                        id=f"{one.author}:{kind}:{id}",
                        reason=f"{kind} {id} did not come",
                    )
                )
            return thing

        for one in follows:
            profile_id = self._people.id(one.author)
            if not profile_id:
                reason = f"author: profile {one.author} did not come"
                left.append(Unreadable(kind="follow", id=one.author, reason=reason))
                continue
            for kind, id, notify in _followed(one):
                if (thing := known(one, kind, id)) is not None:
                    row = {
                        "profile_id": profile_id,
                        "type": thing.type,
                        "item_id": thing.id,
                        "send_email": notify,
                    }
                    watched.append((("follow", kind, id, one.author), row))
            for kind, id in _ignored(one):
                thing = known(one, kind, id)
                if thing is not None and (thing.type, thing.id) != (itemtypes.PROFILE, profile_id):
                    row = {"profile_id": profile_id, "type": thing.type, "item_id": thing.id}
                    ignored.append((("ignore", kind, id, one.author), row))
        self._origin.run(tx, INSERT_WATCHERS, self._origin.unwritten(tx, watched))
        self._origin.run(tx, INSERT_IGNORES, self._origin.unwritten(tx, ignored))
        return left

    def _reaction_kinds(self, tx: Reader) -> dict[str, str]:
        """Return the names of the site's reactions, each by its emoji as `_sign` returns it, and by its name itself.
        The names are read from the database at the first call alone.
        """
        if self._kinds is None:
            kinds = reaction.kinds(tx, self._origin.site_id)
            self._kinds = {one.name: one.name for one in kinds}
            self._kinds |= {_sign(one.text): one.name for one in kinds}
        return self._kinds


def _sign(text: str) -> str:
    """Return an emoji without variation selector, so that both spellings of one emoji are equal."""
    return text.replace("\ufe0f", "").strip()


def _followed(one: PortedFollow) -> Iterable[tuple[str, str, bool]]:
    for kind, all in (
        ("profile", one.users),
        ("forum", one.forums),
        ("conversation", one.conversations),
    ):
        for followed in all:
            yield kind, followed.id, followed.notify


def _ignored(one: PortedFollow) -> Iterable[tuple[str, str]]:
    for kind, all in (
        ("profile", one.users_ignored),
        ("forum", one.forums_ignored),
        ("conversation", one.conversations_ignored),
    ):
        for id in all:
            yield kind, id


def _missing(profile_id: int, author: str, on_type: str, on_id: str) -> str:
    if not profile_id:
        return f"author: profile {author} did not come"
    return f"onId: {on_type} {on_id} did not come"
