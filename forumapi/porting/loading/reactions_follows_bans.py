"""Writing of the smaller parts of an import: attributes, reactions, bookmarks, follows, bans, further old ids."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.content import attribute, reaction
from forumapi.porting.layout import (
    PortedAlias,
    PortedAttribute,
    PortedBan,
    PortedBookmark,
    PortedFollow,
    PortedReaction,
    Unreadable,
)
from forumapi.porting.loading import value_cleaning
from forumapi.porting.loading.imported_ids import TYPES, ImportedThing, Origin
from forumapi.porting.loading.people import ImportedPeople

INSERT_ATTRIBUTES = Query(
    "reactions_follows_bans.insert_attributes",
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
INSERT_REACTIONS = Query(
    "reactions_follows_bans.insert_reactions",
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
    "reactions_follows_bans.count_on_comments",
    f"""
    UPDATE comments c
       SET reactions = {_COUNTED}
      FROM (SELECT DISTINCT x.type, x.item_id
              FROM json_to_recordset(%(rows)s::json) AS x (type smallint, item_id bigint)) r
     WHERE c.site_id = %(site_id)s AND c.comment_id = r.item_id AND r.type = {itemtypes.COMMENT}""",
)
COUNT_ON_ITEMS = Query(
    "reactions_follows_bans.count_on_items",
    f"""
    UPDATE items i
       SET reactions = {_COUNTED}
      FROM (SELECT DISTINCT x.type, x.item_id
              FROM json_to_recordset(%(rows)s::json) AS x (type smallint, item_id bigint)) r
     WHERE i.site_id = %(site_id)s AND i.item_id = r.item_id AND i.item_type_id = r.type""",
)
INSERT_BOOKMARKS = Query(
    "reactions_follows_bans.insert_bookmarks",
    """
    INSERT INTO bookmarks (site_id, profile_id, item_type_id, item_id, created)
    SELECT %(site_id)s, r.profile_id, r.type, r.item_id, r.created
      FROM json_to_recordset(%(rows)s::json)
           AS r (profile_id bigint, type smallint, item_id bigint, created timestamptz)
     ORDER BY r.created
        ON CONFLICT DO NOTHING""",
)
INSERT_WATCHERS = Query(
    "reactions_follows_bans.insert_watchers",
    """
    INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
    SELECT %(site_id)s, r.profile_id, r.type, r.item_id, r.send_email
      FROM json_to_recordset(%(rows)s::json)
           AS r (profile_id bigint, type smallint, item_id bigint, send_email boolean)
        ON CONFLICT (site_id, profile_id, item_type_id, item_id) DO NOTHING""",
)
INSERT_IGNORES = Query(
    "reactions_follows_bans.insert_ignores",
    """
    INSERT INTO ignores (site_id, profile_id, item_type_id, item_id)
    SELECT %(site_id)s, r.profile_id, r.type, r.item_id
      FROM json_to_recordset(%(rows)s::json) AS r (profile_id bigint, type smallint, item_id bigint)
        ON CONFLICT DO NOTHING""",
)
INSERT_BANS = Query(
    "reactions_follows_bans.insert_bans",
    """
    INSERT INTO bans (site_id, user_id, created, expires, display_reason, admin_reason)
    SELECT %(site_id)s, r.user_id, r.created, r.expires, r.display_reason, r.admin_reason
      FROM (SELECT DISTINCT ON (x.user_id) x.user_id, x.created, x.expires, x.display_reason, x.admin_reason
              FROM json_to_recordset(%(rows)s::json)
                   AS x (user_id bigint, created timestamptz, expires timestamptz, display_reason text,
                         admin_reason text)
             ORDER BY x.user_id, x.expires DESC NULLS FIRST) r
     WHERE NOT EXISTS (SELECT FROM bans b WHERE b.site_id = %(site_id)s AND b.user_id = r.user_id)""",
)
INSERT_DOMAIN_BANS = Query(
    "reactions_follows_bans.insert_domain_bans",
    """
    INSERT INTO bans (site_id, email_domain, created, expires, display_reason, admin_reason)
    SELECT %(site_id)s, r.domain, r.created, r.expires, r.display_reason, r.admin_reason
      FROM json_to_recordset(%(rows)s::json)
           AS r (domain text, created timestamptz, expires timestamptz, display_reason text, admin_reason text)
        ON CONFLICT (site_id, email_domain) WHERE email_domain IS NOT NULL DO NOTHING
 RETURNING email_domain, ban_id""",
)

# Prefix of the ids of domains' bans among imported things.
BAN: Final = "ban:"
_KEY: Final = re.compile(r"[^0-9A-Za-z_-]+")
_MAX_KEY: Final = 50
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DOMAIN: Final = re.compile(r"\*@([a-z0-9.-]{1,253})")


class ExtrasWriter:
    """Writer of an import's attributes, reactions, bookmarks, follows, bans and further old ids, all of things that the
    import has inserted before.

    `granted`: keys of the attributes that count for roles' criteria, since the site's owner vouches for them.
    """

    def __init__(self, origin: Origin, people: ImportedPeople, granted: Collection[str]) -> None:
        self._origin = origin
        self._people = people
        self._granted = frozenset(granted)
        self._now = datetime.datetime.now(datetime.UTC)
        self._kinds: dict[str, str] | None = None

    def insert_attributes(
        self, tx: Transaction, holders: Iterable[tuple[int, int, Sequence[PortedAttribute], str]]
    ) -> list[Unreadable]:
        """Insert attributes of things; return the attributes left out, with reasons. `holders`: type and id of each
        thing here, its attributes, its old id.
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

    def insert_reactions(
        self, tx: Transaction, reactions: Sequence[PortedReaction]
    ) -> list[Unreadable]:
        """Insert reactions, and count them on their comments and items; return those left out, such as reactions that
        the site does not have.
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
        """Insert bookmarks; return those left out, whose person or thing does not exist here."""
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
        """Insert watchers and ignored things; return those left out, whose person or thing does not exist here."""
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

    def insert_bans(self, tx: Transaction, bans: Sequence[PortedBan]) -> list[Unreadable]:
        """Insert bans of profiles and of whole e-mail domains, without expired ones; return all other bans, which do
        not exist here.
        """
        users = self._people.users(tx, [id for one in bans if (id := self._people.id(one.profile))])
        people: list[tuple[tuple[object, ...], dict[str, Any]]] = []
        domains: list[tuple[tuple[object, ...], dict[str, Any]]] = []
        left: list[Unreadable] = []
        for one in bans:
            row = {
                "created": value_cleaning.time(one.date_created, self._now),
                "expires": value_cleaning.time(one.expires, self._now) if one.expires else None,
                "display_reason": value_cleaning.line(one.reason),
                "admin_reason": value_cleaning.line(one.note),
            }
            user_id = users.get(self._people.id(one.profile)) if one.profile else None
            domain = _DOMAIN.fullmatch(one.email.strip().lower())
            if one.expires and one.expires <= self._now:
                continue
            if one.is_exception:
                reason = "isException: there are no exceptions from bans here"
            elif user_id:
                people.append((("ban", one), row | {"user_id": user_id}))
                continue
            elif domain:
                domains.append((("ban", one), row | {"domain": domain[1]}))
                continue
            elif one.profile:
                reason = f"profile: profile {one.profile} did not come"
            elif one.email:
                reason = "email: one address or a pattern is not banned here, a whole domain is"
            else:
                reason = "ipAddress: addresses of machines are not banned here"
            left.append(Unreadable(kind="ban", id=left_out_as(one), reason=reason))
        self._origin.run(tx, INSERT_BANS, self._origin.unwritten(tx, people))
        made = self._origin.rows(tx, INSERT_DOMAIN_BANS, self._origin.unwritten(tx, domains))
        # By these ids they are removed with the import; those of people go with the people.
        self._origin.remember(
            tx, [(itemtypes.USER, f"{BAN}{domain}", id, "ban") for domain, id in made]
        )
        return left

    def insert_aliases(self, tx: Transaction, aliases: Sequence[PortedAlias]) -> list[Unreadable]:
        """Insert further old ids of things, by which old addresses find them; return those left out, whose thing does
        not exist here.
        """
        found = self._origin.find_items(tx, [(one.on_type, one.on_id) for one in aliases])
        rows, left = [], []
        for one in aliases:
            thing = found.get((one.on_type, one.on_id))
            if thing is None:
                reason = f"{one.on_type} {one.on_id} did not come"
                left.append(Unreadable(kind="alias", id=one.alias, reason=reason))
            else:
                rows.append((TYPES[one.on_type][0], one.alias, thing.id, "alias"))
        self._origin.remember(tx, rows)
        return left

    def _reaction_kinds(self, tx: Reader) -> dict[str, str]:
        """Return the names of the site's reactions, each under its emoji and under its name; read once."""
        if self._kinds is None:
            kinds = reaction.kinds(tx, self._origin.site_id)
            self._kinds = {one.name: one.name for one in kinds}
            self._kinds |= {_sign(one.text): one.name for one in kinds}
        return self._kinds


def field_key(key: str) -> str:
    """Return an attribute's key as it is stored: other characters than letters, digits, `_` and `-` become `_`; "" if
    nothing is left.
    """
    return _KEY.sub("_", value_cleaning.plain(key)).strip("_")[:_MAX_KEY]


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


def left_out_as(ban: PortedBan) -> str:
    """Return the id under which a ban is listed as left out: the profile's, else the e-mail domain or the network,
    never a whole address.
    """
    if ban.profile:
        return ban.profile
    if ban.email:
        return f"*@{ban.email.rpartition('@')[2]}"
    mark = ":" if ":" in ban.ip_address else "."
    return f"{ban.ip_address.rpartition(mark)[0]}{mark}*"
