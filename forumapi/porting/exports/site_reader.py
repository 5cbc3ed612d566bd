"""Reader of a site of this platform: the documents of an export, without what is private or secret.

All statements run in one REPEATABLE READ transaction, so the documents are the site at one moment. Each stream is read
in pages by key: memory is bounded by a page, however large the site is.

An export for an owner holds what the owner may read on the site: no huddles, drafts, bookmarks, ignored people, read
marks, tokens, nor who voted for what in a poll that does not name its voters. A table that this module does not name
is not exported; docs/export.md lists all others with the reason, and a test compares that list with the database.
"""

from __future__ import annotations

import datetime
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from html import unescape
from itertools import groupby
from typing import IO, Any, Final

import msgspec

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Row
from forumapi.files.storage import MissingError, Storage
from forumapi.models.content import reaction
from forumapi.models.roles.criterion import COLUMNS
from forumapi.porting.exports.file_from_chunks import PieceStream
from forumapi.porting.exports.own_links import Key, OwnLinks
from forumapi.porting.layout import (
    BaseReader,
    Board,
    ForumPermissions,
    Kind,
    Loss,
    PortedAssociation,
    PortedAttachment,
    PortedAttendee,
    PortedAttribute,
    PortedBallot,
    PortedBan,
    PortedChoice,
    PortedComment,
    PortedConversation,
    PortedCriterion,
    PortedEvent,
    PortedFollow,
    PortedFollowed,
    PortedForum,
    PortedPoll,
    PortedProfile,
    PortedReaction,
    PortedRef,
    PortedRole,
    PortedVersion,
)

PRODUCT: Final = "forumapi"
# Rows of a page.
PAGE: Final = 500

_ITEMS: Final = f"({itemtypes.CONVERSATION}, {itemtypes.EVENT})"
_KINDS: Final[Mapping[int, Kind]] = {
    itemtypes.CONVERSATION: "conversation",
    itemtypes.EVENT: "event",
    itemtypes.POLL: "poll",
    itemtypes.COMMENT: "comment",
    itemtypes.PROFILE: "profile",
}

SITE = Query(
    "site_reader.site",
    """
    SELECT s.title, s.description, coalesce(s.owned_by, 0), s.subdomain_key, coalesce(s.domain, ''),
           s.search_language::text, coalesce(s.root_microcosm_id, 0),
           EXISTS (SELECT 1 FROM items i WHERE i.site_id = s.site_id AND i.microcosm_id = s.root_microcosm_id)
      FROM sites s
     WHERE s.site_id = %(site_id)s""",
)

COUNTS = Query(
    "site_reader.counts",
    f"""
    SELECT (SELECT count(*) FROM profiles p WHERE p.site_id = %(site_id)s),
           (SELECT count(*) FROM items i WHERE i.site_id = %(site_id)s AND i.item_type_id IN {_ITEMS}),
           (SELECT count(*) FROM polls p WHERE p.site_id = %(site_id)s),
           (SELECT count(*) FROM attachments a WHERE a.site_id = %(site_id)s),
           (SELECT count(*) FROM comments c WHERE c.site_id = %(site_id)s),
           (SELECT count(*) FROM reactions r WHERE r.site_id = %(site_id)s)""",
    unrestricted="the export of a site for its owner, who reads all but huddles",
)

# The address is shown as everywhere: without what its owner added to it. Of a profile that nobody has claimed since it
# was imported, it is the one that a claim needs. A site's owner who has done nothing there is no part of its content:
# whoever makes a site to move another one in.
PROFILES = Query(
    "site_reader.profiles",
    f"""
    SELECT p.profile_id, p.profile_name, coalesce(m.person_key, CASE u.email WHEN '' THEN '' ELSE u.person_key END),
           p.created, n.last_active, coalesce(m.send_email, o.send_email, true),
           p.is_visible, coalesce(o.time_zone, ''), a.attachment_id, a.profile_id, a.file_hash, a.file_name, a.created,
           f.file_size, f.mime_type, f.width, f.height, p.is_bot
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
      LEFT JOIN imported_profiles m ON m.site_id = p.site_id AND m.profile_id = p.profile_id
      LEFT JOIN profile_counters n ON n.site_id = p.site_id AND n.profile_id = p.profile_id
      LEFT JOIN profile_options o ON o.site_id = p.site_id AND o.profile_id = p.profile_id
      LEFT JOIN attachments a ON a.site_id = p.site_id AND a.attachment_id = p.avatar_id
      LEFT JOIN files f ON f.file_hash = a.file_hash
     WHERE p.site_id = %(site_id)s AND p.profile_id > %(after)s
       AND NOT (p.profile_id = (SELECT s.owned_by FROM sites s WHERE s.site_id = %(site_id)s)
                AND NOT EXISTS (SELECT 1 FROM items x WHERE x.site_id = p.site_id AND x.created_by = p.profile_id)
                AND NOT EXISTS (SELECT 1 FROM comments x WHERE x.site_id = p.site_id AND x.created_by = p.profile_id)
                AND NOT EXISTS (SELECT 1 FROM attendees x WHERE x.site_id = p.site_id AND x.profile_id = p.profile_id)
                AND NOT EXISTS (SELECT 1 FROM watchers x WHERE x.site_id = p.site_id AND x.profile_id = p.profile_id)
                AND NOT EXISTS (SELECT 1 FROM role_profiles x
                                 WHERE x.site_id = p.site_id AND x.profile_id = p.profile_id)
                AND NOT EXISTS (SELECT 1 FROM attributes x
                                 WHERE x.site_id = p.site_id AND x.item_type_id = {itemtypes.PROFILE}
                                   AND x.item_id = p.profile_id))
     ORDER BY p.profile_id
     LIMIT %(limit)s""",
)

ATTRIBUTES = Query(
    "site_reader.attributes",
    """
    SELECT a.item_id, a.key, a.string_value, a.boolean_value, a.number_value::float8, a.date_value, a.written_by,
           a.written, a.is_granted
      FROM attributes a
     WHERE a.site_id = %(site_id)s AND a.item_type_id = ANY(%(types)s::smallint[])
       AND a.item_id = ANY(%(ids)s::bigint[])
     ORDER BY a.item_id, a.key""",
)

# With their members and criteria.
ROLES = Query(
    "site_reader.roles",
    """
    SELECT r.role_id, r.microcosm_id, r.title, r.is_moderator, r.is_banned, r.include_guests, r.include_users,
           r.can_read, r.can_create, r.can_update, r.can_delete, r.can_close_own, r.can_open_own
      FROM roles r
     WHERE r.site_id = %(site_id)s
     ORDER BY r.role_id""",
)
MEMBERS = Query(
    "site_reader.members",
    """
    SELECT m.role_id, m.profile_id
      FROM role_profiles m
     WHERE m.site_id = %(site_id)s AND m.role_id = ANY(%(ids)s::bigint[])
     ORDER BY m.role_id, m.profile_id""",
)
CRITERIA = Query(
    "site_reader.criteria",
    """
    SELECT c.role_id, c.or_group, coalesce(c.profile_column, ''), coalesce(c.attr_key, ''), c.predicate, c.value::text
      FROM criteria c
     WHERE c.site_id = %(site_id)s AND c.role_id = ANY(%(ids)s::bigint[])
     ORDER BY c.role_id, c.or_group, c.criterion_id""",
)

MICROCOSMS = Query(
    "site_reader.microcosms",
    """
    SELECT m.microcosm_id, coalesce(m.parent_id, 0), m.title, m.description, m.created_by, m.created, m.sequence,
           m.is_open, m.is_sticky, m.is_moderated, m.is_deleted, m.item_types, m.owned_by, s.owned_by
      FROM microcosms m
      JOIN sites s ON s.site_id = m.site_id
     WHERE m.site_id = %(site_id)s
     ORDER BY m.microcosm_id""",
    unrestricted="the export of a site for its owner, who reads all microcosms",
)

_ITEM: Final = """
    i.item_id, i.title, i.microcosm_id, i.created_by, i.created, i.edited, i.edited_by, i.edit_reason,
    coalesce(v.views, 0), i.is_open, i.is_sticky, i.is_moderated, i.is_deleted"""

CONVERSATIONS = Query(
    "site_reader.conversations",
    f"""
    SELECT {_ITEM}, i.item_type_id, e.when_local, e.tz_name, e.duration_min, e.place, e.lat, e.lon, e.status,
           e.rsvp_limit, i.by_agent
      FROM items i
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id
      LEFT JOIN events e ON e.site_id = i.site_id AND e.item_id = i.item_id
     WHERE i.site_id = %(site_id)s AND i.item_id > %(after)s AND i.item_type_id IN {_ITEMS}
     ORDER BY i.item_id
     LIMIT %(limit)s""",
    unrestricted="the export of a site for its owner, who reads all items but huddles",
)

ATTENDEES = Query(
    "site_reader.attendees",
    """
    SELECT a.item_id, a.profile_id, n.name, a.rsvpd_on
      FROM attendees a
      JOIN attendee_states n ON n.state_id = a.state_id
     WHERE a.site_id = %(site_id)s AND a.item_id = ANY(%(ids)s::bigint[])
     ORDER BY a.item_id, a.rsvpd_on, a.profile_id""",
)

# Counts that nobody may see yet stay here: the poll is open, and shows them once it is closed.
POLLS = Query(
    "site_reader.polls",
    f"""
    SELECT {_ITEM}, p.question, p.is_multi, p.closes, p.is_poll_open, p.is_named, p.results, p.voter_count,
           p.results <> 'closed' OR NOT p.is_poll_open OR p.closes <= now(), i.by_agent
      FROM polls p
      JOIN items i ON i.site_id = p.site_id AND i.item_id = p.item_id
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id
     WHERE p.site_id = %(site_id)s AND p.item_id > %(after)s
     ORDER BY p.item_id
     LIMIT %(limit)s""",
    unrestricted="the export of a site for its owner, who reads all polls",
)

CHOICES = Query(
    "site_reader.choices",
    """
    SELECT c.item_id, c.choice_id, c.choice, c.vote_count
      FROM poll_choices c
     WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(ids)s::bigint[])
     ORDER BY c.item_id, c.sequence, c.choice_id""",
)

# Of polls that name their voters, and show the names now.
BALLOTS = Query(
    "site_reader.ballots",
    """
    SELECT b.item_id, v.profile_id, b.choice_ids, b.cast_at
      FROM poll_ballots b
      JOIN polls p ON p.site_id = b.site_id AND p.item_id = b.item_id AND p.is_named
      JOIN profiles v ON v.site_id = b.site_id AND v.user_id = b.user_id
     WHERE b.site_id = %(site_id)s AND b.item_id = ANY(%(ids)s::bigint[])
     ORDER BY b.item_id, b.cast_at, v.profile_id""",
)

# Pictures of people come with their profiles.
ATTACHMENTS = Query(
    "site_reader.attachments",
    f"""
    SELECT a.attachment_id, a.profile_id, a.file_hash, a.file_name, a.created, f.file_size, f.mime_type, f.width,
           f.height, a.item_type_id, a.item_id
      FROM attachments a
      JOIN files f ON f.file_hash = a.file_hash
      LEFT JOIN comments c ON a.item_type_id = {itemtypes.COMMENT} AND c.site_id = a.site_id
                          AND c.comment_id = a.item_id
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE a.site_id = %(site_id)s AND a.attachment_id > %(after)s
       AND (a.item_type_id = {itemtypes.PROFILE} AND NOT EXISTS (
                SELECT 1 FROM profiles p
                 WHERE p.site_id = a.site_id AND p.profile_id = a.item_id AND p.avatar_id = a.attachment_id)
            OR c.on_profile_id IS NOT NULL OR i.item_type_id <> {itemtypes.HUDDLE})
     ORDER BY a.attachment_id
     LIMIT %(limit)s""",
    unrestricted="the export of a site for its owner, who reads all comments but those in huddles",
)

COMMENTS = Query(
    "site_reader.comments",
    f"""
    SELECT c.comment_id, coalesce(i.item_type_id, {itemtypes.PROFILE}::smallint), coalesce(c.item_id, c.on_profile_id),
           c.in_reply_to, c.created_by, c.created, c.is_moderated, c.is_deleted, c.revisions, c.edited, c.edited_by,
           c.markdown, c.by_agent
      FROM comments c
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id > %(after)s
       AND (c.on_profile_id IS NOT NULL OR i.item_type_id <> {itemtypes.HUDDLE})
     ORDER BY c.comment_id
     LIMIT %(limit)s""",
    unrestricted="the export of a site for its owner, who reads all comments but those in huddles",
)

# Things that links of texts name. The root is a forum of the export only if items stand in it.
KNOWN = Query(
    "site_reader.known",
    f"""
    SELECT n.kind, n.id
      FROM unnest(%(kinds)s::text[], %(ids)s::bigint[]) AS n (kind, id)
     WHERE EXISTS (SELECT 1 FROM microcosms m
                    WHERE m.site_id = %(site_id)s AND m.microcosm_id = n.id AND n.kind = 'forum'
                      AND m.parent_id IS NOT NULL)
        OR EXISTS (SELECT 1 FROM profiles p
                    WHERE p.site_id = %(site_id)s AND p.profile_id = n.id AND n.kind = 'profile')
        OR EXISTS (SELECT 1 FROM items i
                     JOIN item_types t ON t.item_type_id = i.item_type_id AND t.name = n.kind
                    WHERE i.site_id = %(site_id)s AND i.item_id = n.id AND i.item_type_id <> {itemtypes.HUDDLE})
        OR EXISTS (SELECT 1 FROM comments c
                     LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
                    WHERE c.site_id = %(site_id)s AND c.comment_id = n.id AND n.kind = 'comment'
                      AND (c.on_profile_id IS NOT NULL OR i.item_type_id <> {itemtypes.HUDDLE}))""",
)

REVISIONS = Query(
    "site_reader.revisions",
    """
    SELECT r.comment_id, r.created_by, r.created, r.markdown
      FROM comment_revisions r
     WHERE r.site_id = %(site_id)s AND r.comment_id = ANY(%(ids)s::bigint[])
     ORDER BY r.comment_id, r.revision""",
)

REACTIONS = Query(
    "site_reader.reactions",
    f"""
    SELECT r.item_type_id, r.item_id, r.profile_id, r.name, r.created
      FROM reactions r
      LEFT JOIN comments c ON r.item_type_id = {itemtypes.COMMENT} AND c.site_id = r.site_id
                          AND c.comment_id = r.item_id
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE r.site_id = %(site_id)s
       AND (r.item_type_id, r.item_id, r.profile_id, r.name)
         > (%(after_type)s::smallint, %(after_id)s::bigint, %(after_profile)s::bigint, %(after_name)s::text)
       AND (r.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.EVENT}, {itemtypes.POLL})
            OR r.item_type_id = {itemtypes.COMMENT}
               AND (c.on_profile_id IS NOT NULL OR i.item_type_id <> {itemtypes.HUDDLE}))
     ORDER BY r.item_type_id, r.item_id, r.profile_id, r.name
     LIMIT %(limit)s""",
    unrestricted="the export of a site for its owner, who reads all but huddles",
)

WATCHERS = Query(
    "site_reader.watchers",
    f"""
    SELECT w.profile_id, w.item_type_id, w.item_id, w.send_email
      FROM watchers w
     WHERE w.site_id = %(site_id)s
       AND (w.profile_id, w.item_type_id, w.item_id)
         > (%(after_profile)s::bigint, %(after_type)s::smallint, %(after_id)s::bigint)
       AND w.item_type_id IN ({itemtypes.PROFILE}, {itemtypes.MICROCOSM}, {itemtypes.CONVERSATION}, {itemtypes.EVENT})
     ORDER BY w.profile_id, w.item_type_id, w.item_id
     LIMIT %(limit)s""",
)

BANS = Query(
    "site_reader.bans",
    """
    SELECT p.profile_id, coalesce(b.email_domain, ''), b.created, b.expires, b.display_reason, b.admin_reason
      FROM bans b
      LEFT JOIN profiles p ON p.site_id = b.site_id AND p.user_id = b.user_id
     WHERE b.site_id = %(site_id)s AND (b.expires IS NULL OR b.expires > now())
     ORDER BY b.ban_id""",
)


LOSSES: Final[tuple[Loss, ...]] = (
    Loss(subject="huddles", reason="they are their participants', who export them themselves"),
    Loss(
        subject="drafts, bookmarks, ignored people, read marks", reason="they are each person's own"
    ),
    Loss(
        subject="votes of polls that name no voters",
        reason="nobody may know them; counts come along",
    ),
    Loss(subject="who follows a poll", reason="the layout has no place for it"),
    Loss(subject="reports", reason="who reported is told to nobody"),
    Loss(subject="tokens, keys, webhooks, sign-in methods", reason="they hold secrets"),
)


class SiteReader(BaseReader):
    """Reader of one site's documents. `tx`: a transaction that `exporting.snapshot` yields; `platform_domain`: the
    domain below which sites have their subdomains; `storage`: the store with the site's files. The site must exist.
    """

    name = PRODUCT
    losses = LOSSES

    def __init__(self, tx: Reader, site_id: int, platform_domain: str, storage: Storage) -> None:
        self._tx = tx
        self._site_id = site_id
        self._platform_domain = platform_domain
        self._storage = storage

    def board(self) -> Board:
        row = self._tx.row(SITE, site_id=self._site_id)
        assert row is not None, "the caller has found the site"
        title, description, owner, _, _, language = row[:6]
        return Board(
            title=unescape(title),
            description=unescape(description),
            product=PRODUCT,
            addresses=tuple(f"https://{host}" for host in self._hosts()),
            owner=_ref(owner),
            language=language.removeprefix("forum_"),
        )

    def _hosts(self) -> list[str]:
        row = self._tx.row(SITE, site_id=self._site_id)
        assert row is not None, "the caller has found the site"
        key, domain = row[3:5]
        return [*([domain] if domain else []), f"{key}.{self._platform_domain}"]

    def counts(self) -> Mapping[str, int]:
        row = self._tx.row(COUNTS, site_id=self._site_id)
        assert row is not None, "aggregates have a row"
        names = ("profiles", "conversations", "polls", "attachments", "comments", "reactions")
        return dict(zip(names, row, strict=True))

    def _pages(self, query: Query) -> Iterator[list[Row]]:
        """Yield a statement's rows, a page at a time, by ascending key, which is their first column. `query`:
        statement with the parameters `site_id`, `limit` and `after`, the last key of the page before, 0 for the first
        page.
        """
        after = 0
        while rows := self._tx.rows(query, site_id=self._site_id, after=after, limit=PAGE):
            yield rows
            after = rows[-1][0]

    def _grouped(self, query: Query, ids: Iterable[int], **params: object) -> dict[int, list[Row]]:
        """Return lists of a statement's rows by their first column, an id of `ids`; the rows come without it. An id
        without rows is missing. `query`: statement with the parameters `site_id`, `ids` and `params`.
        """
        found: dict[int, list[Row]] = defaultdict(list)
        if wanted := list(ids):
            for row in self._tx.rows(query, site_id=self._site_id, ids=wanted, **params):
                found[row[0]].append(row[1:])
        return found

    def _attributes(
        self, types: list[int], ids: Iterable[int]
    ) -> dict[int, tuple[PortedAttribute, ...]]:
        return {
            id: tuple(map(_attribute, rows))
            for id, rows in self._grouped(ATTRIBUTES, ids, types=types).items()
        }

    # ------------------------------------------------------------ people

    def profiles(self) -> Iterator[PortedProfile]:
        for rows in self._pages(PROFILES):
            attributes = self._attributes([itemtypes.PROFILE], (row[0] for row in rows))
            for row in rows:
                id, name, email, created, active, mails, visible, zone = row[:8]
                yield PortedProfile(
                    id=str(id),
                    name=unescape(name),
                    email=email,
                    date_created=created,
                    last_active=active,
                    receive_email_notifications=mails,
                    is_visible=visible,
                    is_bot=row[-1],
                    time_zone=zone,
                    avatar=_attachment(row[8:], ()) if row[8] is not None else None,
                    attributes=attributes.get(id, ()),
                )

    def _roles(self) -> dict[int, list[PortedRole]]:
        """Return lists of the site's roles by the id of the microcosm that they belong to; those of the root are the
        defaults of all microcosms.
        """
        rows = self._tx.rows(ROLES, site_id=self._site_id)
        ids = [row[0] for row in rows]
        members = self._grouped(MEMBERS, ids)
        criteria = self._grouped(CRITERIA, ids)
        root, _ = self._root()
        found: dict[int, list[PortedRole]] = defaultdict(list)
        for row in rows:
            found[row[1]].append(
                _role(row, members.get(row[0], []), criteria.get(row[0], []), row[1] == root)
            )
        return found

    def _root(self) -> tuple[int, bool]:
        """Return the root microcosm's id, 0 if the site has none, and True if items are directly in it."""
        site = self._tx.row(SITE, site_id=self._site_id)
        assert site is not None, "the caller has found the site"
        return site[6], site[7]

    def roles(self) -> Iterator[PortedRole]:
        yield from self._roles().get(self._root()[0], ())

    def bans(self) -> Iterator[PortedBan]:
        for profile_id, domain, created, expires, reason, note in self._tx.rows(
            BANS, site_id=self._site_id
        ):
            if profile_id is None and not domain:
                continue
            yield PortedBan(
                profile=_ref(profile_id),
                email=f"*@{domain}" if domain else "",
                date_created=created,
                expires=expires,
                reason=unescape(reason),
                note=unescape(note),
            )

    def follows(self) -> Iterator[PortedFollow]:
        for author, rows in groupby(self._watchers(), lambda row: row[0]):
            users, forums, conversations = [], [], []
            for _, item_type, item_id, notify in rows:
                followed = PortedFollowed(id=str(item_id), notify=notify)
                if item_type == itemtypes.PROFILE:
                    users.append(followed)
                elif item_type == itemtypes.MICROCOSM:
                    forums.append(followed)
                else:
                    conversations.append(followed)
            yield PortedFollow(
                author=str(author),
                users=tuple(users),
                forums=tuple(forums),
                conversations=tuple(conversations),
            )

    def _watchers(self) -> Iterator[Row]:
        profile, item_type, id = 0, 0, 0
        while rows := self._tx.rows(
            WATCHERS,
            site_id=self._site_id,
            after_profile=profile,
            after_type=item_type,
            after_id=id,
            limit=PAGE,
        ):
            yield from rows
            profile, item_type, id = rows[-1][:3]

    # ------------------------------------------------------------ places

    def forums(self) -> Iterator[PortedForum]:
        """Yield the microcosms, each after its parent. The root is left out unless items are directly in it; in that
        case it is a forum beside its children, not above them.
        """
        roles, (root, has_items) = self._roles(), self._root()
        rows = {row[0]: row for row in self._tx.rows(MICROCOSMS, site_id=self._site_id)}
        attributes = self._attributes([itemtypes.MICROCOSM], rows)
        below: dict[int, list[int]] = defaultdict(list)
        for id, row in rows.items():
            below[row[1]].append(id)
        # Ordinary roles of a microcosm replace those above it; moderators and the banned are so everywhere below.
        plain: dict[int, list[PortedRole]] = {0: []}
        special: dict[int, list[PortedRole]] = {0: []}
        level = list(below[0])
        while level:
            for id in level:
                own, parent = roles.get(id, []), rows[id][1]
                mine = [role for role in own if not role.is_moderator and not role.is_banned]
                more = [role for role in own if role.is_moderator or role.is_banned]
                plain[id] = mine or plain[parent]
                special[id] = special[parent] + more
                groups = (*plain[id], *special[id]) if own and id != root else None
                if id != root or has_items:
                    yield _forum(rows[id], root, groups, attributes.get(id, ()))
            level = [child for id in level for child in below[id]]

    # ------------------------------------------------------------ content

    def conversations(self) -> Iterator[PortedConversation]:
        for rows in self._pages(CONVERSATIONS):
            ids = [row[0] for row in rows]
            attributes = self._attributes([itemtypes.CONVERSATION, itemtypes.EVENT], ids)
            events = [row[0] for row in rows if row[13] == itemtypes.EVENT]
            attendees = self._grouped(ATTENDEES, events)
            for row in rows:
                event = None
                if row[13] == itemtypes.EVENT:
                    event = _event(row[14:], attendees.get(row[0], []))
                yield PortedConversation(
                    **_item(row), event=event, attributes=attributes.get(row[0], ())
                )

    def polls(self) -> Iterator[PortedPoll]:
        for rows in self._pages(POLLS):
            ids = [row[0] for row in rows]
            choices = self._grouped(CHOICES, ids)
            # Voters are named to whoever may see the votes.
            ballots = self._grouped(BALLOTS, (row[0] for row in rows if row[20]))
            for row in rows:
                yield _poll(row, choices.get(row[0], []), ballots.get(row[0], []))

    def attachments(self) -> Iterator[PortedAttachment]:
        for rows in self._pages(ATTACHMENTS):
            for row in rows:
                on = PortedAssociation(on_type=_KINDS[row[9]], on_id=str(row[10]))
                yield _attachment(row, (on,))

    def open(self, attachment: PortedAttachment) -> IO[bytes] | None:
        hash = attachment.path.rpartition("/")[2]
        size = self._storage.size(hash)
        if size is None:
            return None
        try:
            return io.BufferedReader(PieceStream(self._storage.read(hash, 0, size)))
        except MissingError:
            return None

    def comments(self) -> Iterator[PortedComment]:
        links = OwnLinks(self._hosts())
        for rows in self._pages(COMMENTS):
            older = self._grouped(REVISIONS, (row[0] for row in rows if row[8] > 1))
            texts = [row[11] for row in rows]
            texts += [one[2] for all in older.values() for one in all]
            known = self._known({key for text in texts for key in links.named(text)})
            linked = partial(links.rewrite, known=known)
            for row in rows:
                yield _comment(row, older.get(row[0], []), linked)

    def _known(self, keys: set[Key]) -> frozenset[Key]:
        """Return those of the things `keys`, each as (kind, id), that links in the export may name: things of the site,
        deleted ones too, without the root microcosm, huddles, and comments in huddles.
        """
        if not keys:
            return frozenset()
        asked = sorted(keys)
        rows = self._tx.rows(
            KNOWN,
            site_id=self._site_id,
            kinds=[kind for kind, _ in asked],
            ids=[id for _, id in asked],
        )
        return frozenset((row[0], row[1]) for row in rows)

    def reactions(self) -> Iterator[PortedReaction]:
        signs = {kind.name: kind.text for kind in reaction.kinds(self._tx, self._site_id)}
        item_type, id, profile, name = 0, 0, 0, ""
        while rows := self._tx.rows(
            REACTIONS,
            site_id=self._site_id,
            after_type=item_type,
            after_id=id,
            after_profile=profile,
            after_name=name,
            limit=PAGE,
        ):
            for row in rows:
                item_type, id, profile, name = row[:4]
                yield PortedReaction(
                    author=str(profile),
                    on_type=_KINDS[item_type],  # type: ignore[arg-type]  # those of REACTIONS
                    on_id=str(id),
                    name=signs.get(name) or name,
                    date=row[4],
                )


def _ref(id: int | None) -> str:
    return str(id) if id else ""


def _attribute(row: Row) -> PortedAttribute:
    key, string, boolean, number, day, written_by, written, is_granted = row
    if day is not None:
        string = day.isoformat()
    elif string is not None:
        string = unescape(string)
    value: Any = next(one for one in (string, boolean, number) if one is not None)
    return PortedAttribute(
        key=key,
        value=value,
        is_date=day is not None,
        written_by=_ref(written_by),
        written=written,
        is_granted=is_granted,
    )


def _attachment(row: Row, on: tuple[PortedAssociation, ...]) -> PortedAttachment:
    id, author, hash, name, created, size, mimetype, width, height = row[:9]
    return PortedAttachment(
        id=str(id),
        author=_ref(author),
        date_created=created,
        associations=on,
        name=name,
        content_size=size,
        path=f"files/{hash[:2]}/{hash}",
        mimetype=mimetype,
        width=width or 0,
        height=height or 0,
    )


def _role(row: Row, members: list[Row], criteria: list[Row], is_default: bool) -> PortedRole:
    read, create, update, delete, close_own, open_own = row[7:13]
    said = [_criterion(one) for one in criteria]
    can_say = all(one is not None for one in said)
    return PortedRole(
        id=str(row[0]),
        name=unescape(row[2]),
        is_moderator=row[3],
        is_banned=row[4],
        include_guests=row[5],
        include_registered_users=row[6],
        default=is_default,
        forum_permissions=ForumPermissions(
            can_view=read,
            can_post_new=create,
            can_reply=create,
            can_edit_others=update,
            can_delete_others=delete,
            can_close_own=close_own,
            can_open_own=open_own,
        ),
        users=tuple(PortedRef(id=str(one[0])) for one in members),
        # A role with a part of its conditions would have more members.
        criteria=tuple(one for one in said if one is not None) if can_say else (),
    )


def _criterion(row: Row) -> PortedCriterion | None:
    or_group, column, key, predicate, value = row
    if not column and key in COLUMNS:
        return None
    return PortedCriterion(
        or_group=or_group,
        key=column or key,
        predicate="ne" if predicate == "neq" else predicate,
        value=msgspec.json.decode(value),
    )


def _forum(
    row: Row,
    root: int,
    groups: tuple[PortedRole, ...] | None,
    attributes: tuple[PortedAttribute, ...],
) -> PortedForum:
    id, parent, title, text, author, created, order, is_open, sticky, moderated, deleted = row[:11]
    types, owner, site_owner = row[11:]
    return PortedForum(
        id=str(id),
        parent_id=_ref(parent) if parent != root else "",
        name=unescape(title),
        author=_ref(author),
        text=unescape(text),
        date_created=created,
        display_order=order,
        is_open=is_open,
        is_sticky=sticky,
        is_moderated=moderated,
        is_deleted=deleted,
        is_category=not set(types) - {itemtypes.MICROCOSM},
        usergroups=groups,
        usergroups_only=groups is not None,
        # Whoever owns a microcosm has every right in it.
        moderators=(PortedRef(id=str(owner)),) if owner != site_owner else (),
        attributes=attributes,
    )


def _item(row: Row) -> dict[str, Any]:
    id, title, forum, author, created, edited, edited_by, reason, views = row[:9]
    is_open, sticky, moderated, deleted = row[9:13]
    return {
        "id": str(id),
        "name": unescape(title),
        "forum_id": str(forum),
        "author": _ref(author),
        "date_created": created,
        "date_edited": edited,
        "edited_by": _ref(edited_by),
        "edit_reason": unescape(reason),
        "view_count": views,
        "is_open": is_open,
        "is_sticky": sticky,
        "is_moderated": moderated,
        "is_deleted": deleted,
        "by_agent": row[-1],
    }


def _event(row: Row, attendees: list[Row]) -> PortedEvent:
    when, zone, minutes, place, lat, lon, status, limit = row[:8]
    return PortedEvent(
        when=when,
        time_zone=zone or "",
        duration=minutes or 0,
        place=unescape(place or ""),
        lat=lat,
        lon=lon,
        status=status or "proposed",
        rsvp_limit=limit or 0,
        attendees=tuple(
            PortedAttendee(id=str(id), state=state, date=date) for id, state, date in attendees
        ),
    )


def _poll(row: Row, choices: list[Row], ballots: list[Row]) -> PortedPoll:
    question, is_multi, closes, is_poll_open, is_named, results, voters, is_shown = row[13:21]
    item = _item(row)
    for name in ("date_edited", "edited_by", "edit_reason"):
        del item[name]
    return PortedPoll(
        **item,
        question=unescape(question),
        max_choices=0 if is_multi else 1,
        closes=closes,
        is_poll_open=is_poll_open,
        is_named=is_named,
        results=results,
        choices=tuple(
            PortedChoice(id=str(id), text=unescape(text), votes=votes if is_shown else 0)
            for id, text, votes in choices
        ),
        ballots=tuple(
            PortedBallot(author=str(author), choices=tuple(map(str, chosen)), date=date)
            for author, chosen, date in ballots
        ),
        voter_count=voters if is_shown else 0,
    )


def _comment(row: Row, older: list[Row], linked: Callable[[str], str]) -> PortedComment:
    id, on_type, on_id, reply, author, created, moderated, deleted, _, edited, editor, text = row[
        :-1
    ]
    versions = [
        PortedVersion(editor=_ref(by), date_modified=at, text=linked(before))
        for by, at, before in older
    ]
    at: datetime.datetime = edited or created
    versions.append(PortedVersion(editor=_ref(editor), date_modified=at, text=linked(text)))
    return PortedComment(
        id=str(id),
        on_type=_KINDS[on_type],  # type: ignore[arg-type]  # those of COMMENTS
        on_id=str(on_id),
        in_reply_to=_ref(reply),
        author=_ref(author),
        date_created=created,
        is_moderated=moderated,
        is_deleted=deleted,
        by_agent=row[-1],
        versions=tuple(versions),
    )
