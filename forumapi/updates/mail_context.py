"""What a mail about an update depends on, read when it is sent: one statement for a batch of mails of any sites.

Whether it is sent is decided here, by the same evaluator that answers requests, from what one snapshot held of reader,
roles, preferences, item and comment. On any doubt nothing is sent.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Query, Reader
from forumapi.models.access import permission_target
from forumapi.models.notices import suppression
from forumapi.models.notices.update import (
    EVENT_INVITATION,
    EVENT_REMINDER,
    MENTIONED,
    NEW_ATTENDEE,
    NEW_COMMENT,
    NEW_COMMENT_IN_HUDDLE,
    NEW_USER,
    REPLY,
)
from forumapi.models.people import ban, user
from forumapi.permissions.evaluator import (
    READ,
    Principal,
    Target,
    Tree,
    effective,
)

# A digest is of no type of updates.
DIGEST: Final = 0

# Wanted by the preference for their type; all others by those who watch.
PREFERRED: Final = frozenset((REPLY, MENTIONED, EVENT_REMINDER, EVENT_INVITATION))
# With a comment.
COMMENTED: Final = frozenset((NEW_COMMENT, REPLY, MENTIONED, NEW_COMMENT_IN_HUDDLE))

# Watchers that a mail may come from: of the thing itself, of its microcosm and of the site, of all people. All of them
# must want mail; the nearest is the one that an unsubscribe link ends.
_WATCHERS: Final = """
      LEFT JOIN LATERAL (
            SELECT bool_and(w.send_email) AS wants,
                   (array_agg(ARRAY[w.item_type_id, w.item_id] ORDER BY k.distance))[1:1] AS nearest
              FROM (VALUES (1, m.item_type_id, m.item_id, m.update_type_id <> 9),
                           (2, 2::smallint, i.microcosm_id, m.update_type_id IN (1, 8)),
                           (3, 1::smallint, m.site_id, m.update_type_id IN (1, 8)),
                           (4, 3::smallint, 0, m.update_type_id = 9)) AS k (distance, item_type_id, item_id, counts)
              JOIN watchers w ON w.site_id = m.site_id AND w.profile_id = m.profile_id
                             AND w.item_type_id = k.item_type_id AND w.item_id = k.item_id
             WHERE k.counts) w ON true"""

FACTS = Query(
    "email.facts",
    f"""
    SELECT m.mail_id, m.site_id, coalesce(m.update_type_id, 0::smallint), coalesce(m.item_type_id, 0::smallint),
           coalesce(m.item_id, 0), coalesce(m.comment_id, 0), m.created, m.since,
           s.version, s.acl_version, s.is_deleted, coalesce(s.owned_by, 0),
           p.profile_id, p.user_id, p.profile_name, p.role_ids, coalesce(p.next_change_at <= now(), false),
           u.email, u.is_banned OR {ban.REASON} IS NOT NULL,
           CASE WHEN s.needs_second_factor
                THEN NOT EXISTS (SELECT FROM one_time_secrets k WHERE k.user_id = p.user_id AND k.confirmed IS NOT NULL)
                ELSE false END,
           ARRAY(SELECT g.item_id * 32 + g.item_type_id FROM ignores g
                  WHERE g.site_id = m.site_id AND g.profile_id = m.profile_id),
           {suppression.IS_OFF},
           coalesce(o.send_email, so.send_email, po.send_email),
           coalesce(own.send_email,
                    coalesce(o.send_email, so.send_email, po.send_email) AND ut.send_email AND {user.HAS_BEEN_HERE},
                    false),
           coalesce(w.wants, false), w.nearest[1][1], w.nearest[1][2],
           coalesce(o.digest, 'none'), coalesce(o.time_zone, 'UTC'), coalesce(n.unread_huddles, 0),
           coalesce(b.profile_id, 0), coalesce(b.profile_name, ''), coalesce(bu.person_key, ''),
           EXISTS (SELECT 1 FROM attendees a
                    WHERE a.site_id = m.site_id AND a.item_id = m.item_id
                      AND CASE m.update_type_id WHEN 10 THEN a.profile_id = m.profile_id AND a.state_id IN (2, 3)
                                                ELSE a.profile_id = m.by_profile_id AND a.state_id = 1 END),
           i.item_id, coalesce(i.item_type_id, 0::smallint), coalesce(i.title, ''),
           coalesce(i.microcosm_id, 0), i.created_by, i.is_deleted OR i.is_moderated, i.version, true,
           EXISTS (SELECT 1 FROM huddle_participants h
                    WHERE h.site_id = m.site_id AND h.item_id = i.item_id AND h.profile_id = m.profile_id),
           c.comment_id, c.created_by,
           c.is_deleted OR c.is_moderated OR coalesce(i.is_deleted OR i.is_moderated, false), c.version,
           coalesce(q.profile_id, 0), coalesce(q.profile_name, ''), c.markdown, c.html, c.renderer
      FROM mail_outbox m
      JOIN sites s ON s.site_id = m.site_id
      LEFT JOIN site_options so ON so.site_id = m.site_id
     CROSS JOIN platform_options po
      JOIN profiles p ON p.site_id = m.site_id AND p.profile_id = m.profile_id
      JOIN users u ON u.user_id = p.user_id
     CROSS JOIN LATERAL (SELECT p.user_id) t
      LEFT JOIN profile_options o ON o.site_id = m.site_id AND o.profile_id = m.profile_id
      LEFT JOIN profile_counters n ON n.site_id = m.site_id AND n.profile_id = m.profile_id
      LEFT JOIN update_types ut ON ut.update_type_id = m.update_type_id
      LEFT JOIN update_options own ON own.site_id = m.site_id AND own.profile_id = m.profile_id
                                  AND own.update_type_id = m.update_type_id
      LEFT JOIN profiles b ON b.site_id = m.site_id AND b.profile_id = m.by_profile_id
      LEFT JOIN users bu ON bu.user_id = b.user_id
      LEFT JOIN comments c ON c.site_id = m.site_id AND c.comment_id = m.comment_id
      LEFT JOIN profiles q ON q.site_id = c.site_id AND q.profile_id = c.on_profile_id
      LEFT JOIN items i ON i.site_id = m.site_id
                       AND i.item_id = CASE WHEN m.comment_id IS NOT NULL THEN c.item_id
                                            WHEN m.item_type_id IN (5, 6, 7, 9) THEN m.item_id END
      {_WATCHERS}
     WHERE m.mail_id = ANY(%(ids)s)""",
)


class Fact:
    """One mail with everything that it depends on."""

    __slots__ = (
        "acl_version",
        "actor_email",
        "actor_id",
        "actor_name",
        "comment",
        "comment_id",
        "created",
        "digest",
        "email",
        "html",
        "ignored",
        "is_attending",
        "is_due",
        "is_off",
        "is_site_deleted",
        "is_site_owner",
        "item",
        "item_id",
        "item_type",
        "mail_id",
        "markdown",
        "name",
        "nearest",
        "on_profile",
        "participates",
        "prefers",
        "principal",
        "profile_id",
        "renderer",
        "since",
        "site_id",
        "site_version",
        "time_zone",
        "title",
        "type",
        "unread_huddles",
        "wants",
        "wants_any",
    )

    def __init__(self, row: Sequence[Any]) -> None:
        self.mail_id: int
        self.since: datetime.datetime | None
        (
            self.mail_id,
            self.site_id,
            self.type,
            self.item_type,
            self.item_id,
            self.comment_id,
            self.created,
            self.since,
            self.site_version,
            self.acl_version,
            self.is_site_deleted,
            owned_by,
            self.profile_id,
            user_id,
            self.name,
            role_ids,
            self.is_due,
            self.email,
            is_banned,
            is_limited,
            self.ignored,
            self.is_off,
            self.wants_any,
            self.prefers,
            self.wants,
        ) = row[:25]
        # (type, id) of the watcher that is nearest to the thing.
        self.nearest: tuple[int, int] | None = None if row[25] is None else (row[25], row[26])
        self.digest, self.time_zone, self.unread_huddles = row[27:30]
        self.actor_id, self.actor_name, self.actor_email, self.is_attending = row[30:34]
        # As models/access/permission_target.py takes them; in a huddle only for those who take part.
        item_id, kind, self.title = row[34:37]
        found = row[37:43]
        self.participates = kind == itemtypes.HUDDLE and found[5]
        visible = kind != itemtypes.HUDDLE or self.participates
        self.item = (
            (kind, item_id, (*found[:5], self.participates)) if item_id and visible else None
        )
        self.comment = None
        comment_id, author_id, is_hidden, version, on_profile_id, on_profile_name = row[43:49]
        self.on_profile = (on_profile_id, on_profile_name)
        self.markdown, self.html, self.renderer = row[49:52]
        if comment_id and visible:
            parent = kind or itemtypes.PROFILE
            self.comment = (found[0], author_id, is_hidden, version, parent, self.participates)
        owns = self.profile_id == owned_by
        self.is_site_owner = owns
        self.principal = Principal(
            self.profile_id,
            tuple(role_ids or ()),
            owns and not is_limited,
            is_banned and not owns,  # nobody is banned from a site of their own (P-26)
            user_id,
            is_limited=is_limited,
        )


def read(tx: Reader, mail_ids: Sequence[int]) -> list[Fact]:
    """What these mails depend on, now. One statement. Mails of readers who are gone are left out."""
    return [Fact(row) for row in tx.rows(FACTS, ids=list(mail_ids))]


def objection(fact: Fact, tree: Tree) -> str:
    """Why this mail may not be sent; "" if nothing speaks against it."""
    if fact.is_site_deleted:
        return "the site is gone"
    if fact.is_off:
        return "the address is off: mail to it came back"
    if fact.principal.is_site_banned:
        return "the reader is banned"
    if not fact.wants_any:
        return "the reader wants no mail"
    if fact.type == DIGEST:
        return "" if fact.digest != "none" else "the reader wants no digest"
    if not (fact.prefers if fact.type in PREFERRED else fact.wants):
        return "the reader wants no mail of this any more"
    if fact.actor_id == fact.profile_id and fact.type != EVENT_REMINDER:
        return "the reader did it"
    if fact.type == NEW_ATTENDEE and not fact.is_attending:
        return "the attendee does not come any more"
    if fact.type == EVENT_INVITATION and not fact.is_attending:
        return "the reader has answered, or is invited no more"
    places = _places(fact, tree)
    if not places or any(_is_closed(fact.principal, place, tree) for place in places):
        return "the reader may not read it"
    if _ignores(fact, tree):
        return "the reader ignores it"
    return ""


def _places(fact: Fact, tree: Tree) -> list[permission_target.Place]:
    """All that the mail shows something of; nothing if any of it is not there."""
    if fact.type == NEW_USER:
        target = Target(itemtypes.PROFILE, fact.actor_id, owner_ids=(fact.actor_id,))
        return [permission_target.Place(target, bool(fact.actor_id))]
    places = []
    if fact.type in COMMENTED:
        if fact.comment is None:
            return []
        places.append(permission_target.comment_at(tree, fact.comment_id, fact.comment))
        if fact.on_profile[0]:
            return places
    if fact.item is None:
        return []
    kind, id, row = fact.item
    return [*places, permission_target.item(tree, kind, id, row)]


def _is_closed(principal: Principal, place: permission_target.Place, tree: Tree) -> bool:
    return (
        not place.exists or place.is_hidden or not effective(principal, place.target, tree) & READ
    )


def _ignores(fact: Fact, tree: Tree) -> bool:
    """Whether the reader ignores who did it, the item, or a microcosm that it stands in (U-08)."""
    if not fact.ignored:
        return False
    kinds = [(itemtypes.PROFILE, fact.actor_id), (itemtypes.PROFILE, fact.on_profile[0])]
    if fact.item is not None:
        kind, id, row = fact.item
        kinds.append((kind, id))
        node = tree.nodes.get(row[0])
        kinds += [(itemtypes.MICROCOSM, place) for place in node.path] if node else []
    ignored = set(fact.ignored)
    return any(id * 32 + kind in ignored for kind, id in kinds)
