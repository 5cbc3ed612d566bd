"""Context of queued mails and web push messages about updates: what the decision on sending (sending_decision.py) and
the text need.

One statement reads a batch, of any sites, on one snapshot of reader, roles, preferences, item and comment.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import PLATFORM, Query
from forumapi.models.notifications import mail_suppression
from forumapi.models.notifications.update_types import (
    EVENT_INVITATION,
    NEW_COMMENT,
    NEW_ITEM,
    NEW_USER,
)
from forumapi.models.people import user
from forumapi.permissions.evaluator import Principal

# Watchers that lead to a mail: of the thing itself, its microcosm, the site, or all people. All of them must want mail;
# the unsubscribe link ends the nearest.
_WATCHERS: Final = f"""
      LEFT JOIN LATERAL (
            SELECT bool_and(w.send_email) AS wants,
                   (array_agg(ARRAY[w.item_type_id, w.item_id] ORDER BY k.distance))[1:1] AS nearest
              FROM (VALUES (1, m.item_type_id, m.item_id, m.update_type_id <> {NEW_USER}),
                           (2, {itemtypes.MICROCOSM}::smallint, i.microcosm_id,
                            m.update_type_id IN ({NEW_COMMENT}, {NEW_ITEM})),
                           (3, {itemtypes.SITE}::smallint, m.site_id,
                            m.update_type_id IN ({NEW_COMMENT}, {NEW_ITEM})),
                           (4, {itemtypes.PROFILE}::smallint, 0, m.update_type_id = {NEW_USER}))
                   AS k (distance, item_type_id, item_id, counts)
              JOIN watchers w ON w.site_id = m.site_id AND w.profile_id = m.profile_id
                             AND w.item_type_id = k.item_type_id AND w.item_id = k.item_id
             WHERE k.counts) w ON true"""


def _contexts(
    table: str,
    key: str,
    where: str,
    *,
    since: str,
    is_off: str,
    wants_any: str,
    prefers: str,
    wants: str,
) -> str:
    """Return the statement that reads the contexts of rows of an outbox. `table`: the outbox, `m` in SQL; `key`: the
    column of its ids; `where`: condition for the rows; the others: SQL for the attributes of MessageContext of these
    names.
    """
    return f"""
    SELECT m.{key}, m.site_id, coalesce(m.update_type_id, 0::smallint), coalesce(m.item_type_id, 0::smallint),
           coalesce(m.item_id, 0), coalesce(m.comment_id, 0), {since},
           s.version, s.acl_version, s.is_deleted, coalesce(s.owned_by, 0),
           p.profile_id, p.user_id, p.profile_name, p.role_ids, coalesce(p.next_change_at <= now(), false),
           u.email, u.is_banned OR (SELECT r FROM ban_reason(s.site_id, p.user_id, u.email) r) IS NOT NULL,
           CASE WHEN s.needs_second_factor
                THEN NOT EXISTS (SELECT FROM one_time_secrets k WHERE k.user_id = p.user_id AND k.confirmed IS NOT NULL)
                ELSE false END,
           ARRAY(SELECT g.item_id * 32 + g.item_type_id FROM ignores g
                  WHERE g.site_id = m.site_id AND g.profile_id = m.profile_id),
           {is_off},
           {wants_any},
           {prefers},
           {wants}, w.nearest[1][1], w.nearest[1][2],
           coalesce(o.digest, 'none'), coalesce(o.time_zone, 'UTC'), coalesce(n.unread_huddles, 0),
           coalesce(b.profile_id, 0), coalesce(b.profile_name, ''), coalesce(bu.person_key, ''),
           EXISTS (SELECT 1 FROM attendees a
                    WHERE a.site_id = m.site_id AND a.item_id = m.item_id
                      AND CASE m.update_type_id WHEN {EVENT_INVITATION}
                          THEN a.profile_id = m.profile_id AND a.state_id IN (2, 3)
                          ELSE a.profile_id = m.by_profile_id AND a.state_id = 1 END),
           i.item_id, coalesce(i.item_type_id, 0::smallint), coalesce(i.title, ''),
           coalesce(i.microcosm_id, 0), i.created_by, i.is_deleted OR i.is_moderated, i.version, true,
           EXISTS (SELECT 1 FROM huddle_participants h
                    WHERE h.site_id = m.site_id AND h.item_id = i.item_id AND h.profile_id = m.profile_id),
           c.comment_id, c.created_by,
           c.is_deleted OR c.is_moderated OR coalesce(i.is_deleted OR i.is_moderated, false), c.version,
           coalesce(q.profile_id, 0), coalesce(q.profile_name, ''), c.markdown, c.html, c.renderer
      FROM {table} m
      JOIN sites s ON s.site_id = m.site_id
      LEFT JOIN site_options so ON so.site_id = m.site_id
     CROSS JOIN platform_options po
      JOIN profiles p ON p.site_id = m.site_id AND p.profile_id = m.profile_id
      JOIN users u ON u.user_id = p.user_id
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
                                            WHEN m.item_type_id IN ({itemtypes.HUDDLE}, {itemtypes.CONVERSATION},
                                                {itemtypes.POLL}, {itemtypes.EVENT}) THEN m.item_id END
      {_WATCHERS}
     WHERE {where}"""


_WANTS_MAIL: Final = "coalesce(o.send_email, so.send_email, po.send_email)"
CONTEXTS = Query(
    "message_context.find",
    _contexts(
        "mail_outbox",
        "mail_id",
        "m.mail_id = ANY(%(ids)s)",
        since="coalesce(m.since, m.created)",
        is_off=mail_suppression.IS_OFF,
        wants_any=_WANTS_MAIL,
        prefers=f"coalesce(own.send_email, {_WANTS_MAIL} AND ut.send_email AND {user.HAS_BEEN_HERE}, false)",
        wants="coalesce(w.wants, false)",
    ),
    scope=PLATFORM,
    unrestricted="the evaluator decides on each mail",
)

# A preference decides on push, whatever leads to it; what is followed must be followed still.
_WANTS_PUSH: Final = "coalesce(own.send_push, ut.send_push, false)"
OF_MESSAGES = Query(
    "message_context.of_messages",
    _contexts(
        "push_messages",
        "message_id",
        "m.site_id = ANY(%(site_ids)s) AND m.message_id = ANY(%(ids)s)",
        since="m.created",
        is_off="false",
        wants_any="true",
        prefers=_WANTS_PUSH,
        wants=f"{_WANTS_PUSH} AND w.nearest IS NOT NULL",
    ),
    unrestricted="the evaluator decides on each message",
)


class MessageContext:
    """Context of one queued mail or web push message, read on one snapshot: the mail's reader with rights and
    preferences, and the item, comment and actor that the mail is about. `row`: a row of the statement CONTEXTS or
    OF_MESSAGES.

    `type`: its update type, 0 for a digest. `since`: for a digest, the beginning of its period, else the time at which
    the message was queued; `digest`: none, daily or weekly, as the reader wants digests now. `is_off`: mail to the
    address came back (False for web push); `wants_any`: the reader has not turned all mail off (True for web push);
    `prefers` and `wants`: the preference for the type, and the watchers, ask for the message. `is_due`: the reader's
    roles are due to change with time and must be recomputed first. `is_attending`: the actor comes to the event that
    the mail is about; for an invitation, the reader's answer is still invited or maybe. `nearest`: (type, id) of the
    followed thing that is nearest to the subject, None for none. `ignored`: what the reader ignores, as id * 32 + type.

    `item`: (type, id, row for permission_target.item), and `comment`: row for permission_target.comment_at; None
    without one, or in a huddle in which the reader does not participate. `on_profile`: (id, name) of the profile
    commented on, 0 and "" for none.
    """

    __slots__ = (
        "acl_version",
        "actor_email",
        "actor_id",
        "actor_name",
        "comment",
        "comment_id",
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
        self.since: datetime.datetime
        (
            self.mail_id,
            self.site_id,
            self.type,
            self.item_type,
            self.item_id,
            self.comment_id,
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
        ) = row[:24]
        # (type, id) of the watcher that is nearest to the thing.
        self.nearest: tuple[int, int] | None = None if row[24] is None else (row[24], row[25])
        self.digest, self.time_zone, self.unread_huddles = row[26:29]
        self.actor_id, self.actor_name, self.actor_email, self.is_attending = row[29:33]
        # Arguments for models/access/permission_target.py; of a huddle only for participants.
        item_id, kind, self.title = row[33:36]
        found = row[36:42]
        self.participates = kind == itemtypes.HUDDLE and found[5]
        visible = kind != itemtypes.HUDDLE or self.participates
        self.item = (
            (kind, item_id, (*found[:5], self.participates)) if item_id and visible else None
        )
        self.comment = None
        comment_id, author_id, is_hidden, version, on_profile_id, on_profile_name = row[42:48]
        self.on_profile = (on_profile_id, on_profile_name)
        self.markdown, self.html, self.renderer = row[48:51]
        if comment_id and visible:
            parent = kind or itemtypes.PROFILE
            self.comment = (found[0], author_id, is_hidden, version, parent, self.participates)
        owns = self.profile_id == owned_by
        self.is_site_owner = owns
        self.principal = Principal(
            self.profile_id,
            tuple(role_ids or ()),
            owns and not is_limited,
            is_banned and not owns,  # owners are never banned from their own site (P-26)
            user_id,
            is_limited=is_limited,
        )


def read(tx: Reader, mail_ids: Sequence[int]) -> list[MessageContext]:
    """Read the contexts of the queued mails with these ids, in any order; a mail whose reader's profile is deleted is
    left out.
    """
    return [MessageContext(row) for row in tx.rows(CONTEXTS, ids=list(mail_ids))]


def of_messages(
    tx: Reader, site_ids: Sequence[int], message_ids: Sequence[int]
) -> list[MessageContext]:
    """Read the contexts of queued web push messages, in any order; in a context `mail_id` is the message's id. Messages
    that are gone are left out. `site_ids`: the sites of the messages `message_ids`.
    """
    rows = tx.rows(OF_MESSAGES, site_ids=list(site_ids), ids=list(message_ids))
    return [MessageContext(row) for row in rows]
