"""Watchers: the things that a profile follows, one row for each (discovery 5). watcher_page.py reads the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import Invalid
from forumapi.models.journal.journal import Author
from forumapi.models.notifications import update_types

# Types of things that can be followed (W-02).
WATCHABLE: Final = frozenset(
    {
        itemtypes.SITE,
        itemtypes.MICROCOSM,
        itemtypes.PROFILE,
        itemtypes.HUDDLE,
        itemtypes.CONVERSATION,
        itemtypes.POLL,
        itemtypes.EVENT,
    }
)
# The id that stands, with the type profile, for all people of the site.
ALL_PEOPLE: Final = 0
# Entries of one batch.
MOST_AT_ONCE: Final = 100

_SEEDS: Final = {
    itemtypes.SITE: update_types.NEW_ITEM,
    itemtypes.MICROCOSM: update_types.NEW_ITEM,
    itemtypes.HUDDLE: update_types.NEW_COMMENT_IN_HUDDLE,
}

# Defaults of a new watcher of the profile `who` (discovery 3.3): its preference for that update type, else what its
# options, the site or the platform allow and the type sends by default.
WATCHER_DEFAULTS: Final = """
    coalesce((SELECT o.{flag} FROM update_options o
               WHERE o.site_id = %(site_id)s AND o.profile_id = {who} AND o.update_type_id = {type}),
             (SELECT coalesce(po.{flag}, so.{flag}, pl.{flag}) AND t.{flag}
                FROM platform_options pl
                JOIN update_types t ON t.update_type_id = {type}
                LEFT JOIN site_options so ON so.site_id = %(site_id)s
                LEFT JOIN profile_options po ON po.site_id = %(site_id)s AND po.profile_id = {who}), false)"""


def watch(update_type: int | str, item_type: int | str, item_id: str) -> str:
    """Return SQL that makes the profile `%(me)s` a watcher of a thing of the site `%(site_id)s`; an existing watcher is
    not changed (discovery 5.5).

    The arguments are SQL too: `item_type` and `item_id` of the thing; `update_type`: the type of update whose
    preference the new watcher takes over.
    """
    email = WATCHER_DEFAULTS.format(flag="send_email", type=update_type, who="%(me)s")
    sms = WATCHER_DEFAULTS.format(flag="send_sms", type=update_type, who="%(me)s")
    return f"""
        INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email, send_sms)
        SELECT %(site_id)s, %(me)s, {item_type}, {item_id}, {email}, {sms}
         WHERE NOT EXISTS (SELECT 1 FROM watchers w
                            WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s
                              AND w.item_type_id = {item_type} AND w.item_id = {item_id})
            ON CONFLICT DO NOTHING"""


_NAMED: Final = "unnest(%(types)s::smallint[], %(ids)s::bigint[])"

# An existing watcher is not changed. Rows are locked in the order of the key, so that two such inserts can't deadlock.
INSERT = Query(
    "watcher.insert",
    f"""
    INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email, send_sms)
    SELECT %(site_id)s, %(me)s, w.item_type_id, w.item_id,
           {WATCHER_DEFAULTS.format(flag="send_email", type="w.seed", who="%(me)s")},
           {WATCHER_DEFAULTS.format(flag="send_sms", type="w.seed", who="%(me)s")}
      FROM unnest(%(types)s::smallint[], %(ids)s::bigint[], %(seeds)s::smallint[]) AS w (item_type_id, item_id, seed)
     ORDER BY w.item_type_id, w.item_id
        ON CONFLICT DO NOTHING""",
)

FIND = Query(
    "watcher.find",
    f"""
    SELECT w.item_type_id, w.item_id, w.send_email
      FROM {_NAMED} AS n (item_type_id, item_id)
      JOIN watchers w ON w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = n.item_type_id
                     AND w.item_id = n.item_id""",
)

UPDATE = Query(
    "watcher.update",
    """
    UPDATE watchers w
       SET send_email = coalesce(n.send_email, w.send_email), send_sms = coalesce(n.send_sms, w.send_sms)
      FROM unnest(%(types)s::smallint[], %(ids)s::bigint[], %(emails)s::boolean[], %(smss)s::boolean[])
           AS n (item_type_id, item_id, send_email, send_sms)
     WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = n.item_type_id
       AND w.item_id = n.item_id
 RETURNING w.item_type_id, w.item_id""",
)

UPDATE_ONE = Query(
    "watcher.update_one",
    """
    UPDATE watchers w
       SET send_email = coalesce(%(send_email)s::boolean, w.send_email),
           send_sms = coalesce(%(send_sms)s::boolean, w.send_sms)
     WHERE w.site_id = %(site_id)s AND w.watcher_id = %(id)s AND w.profile_id = %(me)s""",
)

DELETE = Query(
    "watcher.delete",
    f"""
    DELETE FROM watchers w
     USING {_NAMED} AS n (item_type_id, item_id)
     WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = n.item_type_id
       AND w.item_id = n.item_id""",
)

DELETE_ONE = Query(
    "watcher.delete_one",
    "DELETE FROM watchers w WHERE w.site_id = %(site_id)s AND w.watcher_id = %(id)s",
)


class WatchedThing(NamedTuple):
    """Thing to be followed, by type and id. The type profile with the id ALL_PEOPLE: all new people."""

    item_type: int
    item_id: int

    @property
    def update_type(self) -> int:
        """Return the type of update whose preference a new watcher takes over (W-03)."""
        if self == (itemtypes.PROFILE, ALL_PEOPLE):
            return update_types.NEW_USER
        return _SEEDS.get(self.item_type, update_types.NEW_COMMENT)


class WatcherChange(NamedTuple):
    """Change of the ways of notification about a followed thing; None keeps a flag."""

    thing: WatchedThing
    send_email: bool | None
    send_sms: bool | None


class Watcher(NamedTuple):
    """Watcher: one profile, that of the methods' `author`, follows the thing `thing`. `send_email`: the profile is
    notified by mail too.
    """

    thing: WatchedThing
    send_email: bool

    @classmethod
    def insert(
        cls,
        tx: Transaction,
        author: Author,
        things: Sequence[WatchedThing],
        seeds: Sequence[int],
    ) -> None:
        """Store watchers of these things for the author. `seeds`, in the order of `things`: for each, the type of
        update whose preference the watcher takes over.

        An existing watcher is not changed. The caller checks permission.
        """
        tx.run(INSERT, **_of(author), seeds=list(seeds), **_arrays(things))

    @classmethod
    def find(
        cls, tx: Reader, author: Author, things: Sequence[WatchedThing]
    ) -> dict[WatchedThing, Watcher]:
        """Return the author's watchers of these things, by thing; a thing that is not followed has no entry."""
        rows = tx.rows(FIND, **_of(author), **_arrays(things))
        watchers = [cls(WatchedThing(*row[:2]), row[2]) for row in rows]
        return {watcher.thing: watcher for watcher in watchers}

    @classmethod
    def update(
        cls,
        tx: Transaction,
        author: Author,
        changes: Sequence[WatcherChange],
        *,
        place: str = "",
    ) -> None:
        """Change the ways of notification about things that the author follows; of two changes of one thing the last
        counts.

        Raises Invalid for a thing that is not followed, after the others were changed: the caller then rolls back.
        `place`: for the error's message, the list in the body that holds the changes, "" for a body with one change.
        """
        last = {change.thing: change for change in changes}.values()  # of two for the same thing
        rows = tx.rows(
            UPDATE,
            **_of(author),
            emails=[change.send_email for change in last],
            smss=[change.send_sms for change in last],
            **_arrays([change.thing for change in last]),
        )
        followed = {WatchedThing(*row) for row in rows}
        for number, change in enumerate(changes):
            if change.thing not in followed:
                field = f"{place}[{number}].itemId" if place else "itemId"
                raise Invalid(field, "is not followed")

    @classmethod
    def update_one(
        cls,
        tx: Transaction,
        author: Author,
        watcher_id: int,
        send_email: bool | None,
        send_sms: bool | None,
    ) -> bool:
        """Change the ways of notification of the author's watcher with the id `watcher_id`; None keeps a flag. Return
        False if the author has no such watcher.
        """
        values = {"send_email": send_email, "send_sms": send_sms}
        return bool(tx.run(UPDATE_ONE, **_of(author), id=watcher_id, **values))

    @classmethod
    def delete(cls, tx: Transaction, author: Author, things: Sequence[WatchedThing]) -> None:
        """Delete the author's watchers of these things; a thing that is not followed is skipped (W-07)."""
        tx.run(DELETE, **_of(author), **_arrays(things))

    @classmethod
    def delete_one(cls, tx: Transaction, site_id: int, watcher_id: int) -> None:
        """Delete the watcher with this id, of any profile. The caller checks permission."""
        tx.run(DELETE_ONE, site_id=site_id, id=watcher_id)


def _of(author: Author) -> dict[str, int]:
    return {"site_id": author.site_id, "me": author.profile_id}


def _arrays(things: Sequence[WatchedThing]) -> dict[str, Any]:
    return {
        "types": [thing.item_type for thing in things],
        "ids": [thing.item_id for thing in things],
    }
