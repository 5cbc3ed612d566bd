"""Comparison of an imported forum with its source, document by document, without writing anything.

The comparison finds what was lost or added, stands elsewhere, or shows another text, author or time; and people who may
do more, or less, than in the source.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.files.storage import open_storage
from forumapi.models.sites.site import Site
from forumapi.models.texts import text_rendering
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Tree
from forumapi.porting.layout import (
    ForumPermissions,
    ForumReader,
    PortedAttachment,
    PortedBan,
    PortedComment,
    PortedConversation,
    PortedForum,
    PortedMessage,
    PortedPoll,
    PortedProfile,
    PortedRole,
    Unreadable,
)
from forumapi.porting.loading import attachments, forums, huddles, loader, value_cleaning
from forumapi.porting.loading.attributes import field_key
from forumapi.porting.loading.bans import is_over, left_out_as
from forumapi.porting.loading.comments import TextWriter
from forumapi.porting.loading.distinct_ids import distinct
from forumapi.porting.loading.erased_people import ErasedPeople
from forumapi.porting.loading.imported_ids import ImportedThing, Origin
from forumapi.porting.loading.links import Key, OldLinks
from forumapi.porting.loading.people import ImportedPeople, person_key
from forumapi.porting.loading.role_conversion import Rights
from forumapi.porting.loading.visible_text import visible_text

T = TypeVar("T")

PROFILES = Query(
    "verification.profiles",
    """
    SELECT p.profile_id, p.profile_name, p.created, p.is_visible, coalesce(i.person_key, u.person_key),
           EXISTS (SELECT FROM bans b WHERE b.site_id = p.site_id AND b.user_id = p.user_id)
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
      LEFT JOIN imported_profiles i ON i.site_id = p.site_id AND i.profile_id = p.profile_id
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s::bigint[])""",
)
MICROCOSMS = Query(
    "verification.microcosms",
    """
    SELECT m.microcosm_id, m.title, m.description, coalesce(m.parent_id, 0), m.is_sticky, m.is_open, m.is_deleted,
           m.is_moderated
      FROM microcosms m
     WHERE m.site_id = %(site_id)s AND m.microcosm_id = ANY(%(ids)s::bigint[])""",
)
ITEMS = Query(
    "verification.items",
    """
    SELECT i.item_id, i.title, i.microcosm_id, i.created_by, i.created, i.is_sticky, i.is_open, i.is_deleted,
           i.is_moderated, i.item_type_id, coalesce(v.views, 0)
      FROM items i
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])""",
)
POLLS = Query(
    "verification.polls",
    """
    SELECT p.item_id, p.question, p.is_multi, p.closes, p.voter_count,
           ARRAY(SELECT c.choice FROM poll_choices c
                  WHERE c.site_id = p.site_id AND c.item_id = p.item_id ORDER BY c.sequence),
           ARRAY(SELECT c.vote_count FROM poll_choices c
                  WHERE c.site_id = p.site_id AND c.item_id = p.item_id ORDER BY c.sequence),
           (SELECT count(*) FROM poll_ballots b WHERE b.site_id = p.site_id AND b.item_id = p.item_id)
      FROM polls p
     WHERE p.site_id = %(site_id)s AND p.item_id = ANY(%(ids)s::bigint[])""",
)
BALLOTS = Query(
    "verification.ballots",
    """
    SELECT b.item_id, p.profile_id,
           ARRAY(SELECT n.place::int
                   FROM (SELECT c.choice_id, row_number() OVER (ORDER BY c.sequence) AS place FROM poll_choices c
                          WHERE c.site_id = b.site_id AND c.item_id = b.item_id) n
                  WHERE n.choice_id = ANY(b.choice_ids) ORDER BY n.place)
      FROM poll_ballots b
      JOIN profiles p ON p.site_id = b.site_id AND p.user_id = b.user_id
     WHERE b.site_id = %(site_id)s AND b.item_id = ANY(%(ids)s::bigint[])""",
)
COMMENTS = Query(
    "verification.comments",
    """
    SELECT c.comment_id, coalesce(c.item_id, 0), coalesce(c.on_profile_id, 0), c.seq, coalesce(c.in_reply_to, 0),
           c.created, c.created_by, c.is_deleted, c.is_moderated, c.markdown, c.html, c.revisions, c.edited_by,
           c.edited, c.attachments
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[])""",
)
REVISIONS = Query(
    "verification.revisions",
    """
    SELECT r.comment_id, r.markdown
      FROM comment_revisions r
     WHERE r.site_id = %(site_id)s AND r.comment_id = ANY(%(ids)s::bigint[])
     ORDER BY r.comment_id, r.revision""",
)
PARTICIPANTS = Query(
    "verification.participants",
    """
    SELECT h.item_id, array_agg(h.profile_id ORDER BY h.profile_id)
      FROM huddle_participants h
     WHERE h.site_id = %(site_id)s AND h.item_id = ANY(%(ids)s::bigint[])
     GROUP BY h.item_id""",
)
ATTACHMENTS = Query(
    "verification.attachments",
    """
    SELECT a.attachment_id, a.item_type_id, a.item_id, a.file_hash, a.file_name, a.profile_id
      FROM attachments a
     WHERE a.site_id = %(site_id)s AND a.attachment_id = ANY(%(ids)s::bigint[])""",
)
HANGING = Query(
    "verification.hanging",
    """
    SELECT a.item_type_id, a.item_id, a.file_hash
      FROM unnest(%(types)s::smallint[], %(item_ids)s::bigint[]) AS n (item_type_id, item_id)
      JOIN attachments a ON a.site_id = %(site_id)s AND a.item_type_id = n.item_type_id AND a.item_id = n.item_id""",
)
_PRESENT: Final = """
    SELECT n.place::int
      FROM unnest(%(profiles)s::bigint[], %(types)s::smallint[], %(item_ids)s::bigint[]) WITH ORDINALITY
           AS n (profile_id, item_type_id, item_id, place)
      JOIN {table} t ON t.site_id = %(site_id)s AND t.profile_id = n.profile_id AND t.item_type_id = n.item_type_id
                    AND t.item_id = n.item_id"""
REACTIONS = Query("verification.reactions", _PRESENT.format(table="reactions"))
BOOKMARKS = Query("verification.bookmarks", _PRESENT.format(table="bookmarks"))
WATCHERS = Query("verification.watchers", _PRESENT.format(table="watchers"))
IGNORES = Query("verification.ignores", _PRESENT.format(table="ignores"))
ATTRIBUTES = Query(
    "verification.attributes",
    """
    SELECT a.item_type_id, a.item_id, count(*), count(*) FILTER (WHERE a.is_granted)
      FROM unnest(%(types)s::smallint[], %(item_ids)s::bigint[]) AS n (item_type_id, item_id)
      JOIN attributes a ON a.site_id = %(site_id)s AND a.item_type_id = n.item_type_id AND a.item_id = n.item_id
     GROUP BY a.item_type_id, a.item_id""",
)
ROLES_OF = Query(
    "verification.roles_of",
    """
    SELECT p.profile_id, p.role_ids
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s::bigint[])""",
)
MAPPED = Query(
    "verification.mapped",
    """
    SELECT i.item_type_id, count(*)
      FROM imported_items i
     WHERE i.site_id = %(site_id)s AND i.origin_id = %(origin_id)s AND coalesce(i.detail, '') <> 'alias'
     GROUP BY i.item_type_id""",
    unrestricted="counted alone",
)
# What others wrote below imported things since.
STRANGERS = Query(
    "verification.strangers",
    f"""
    SELECT (SELECT count(*)
              FROM comments c
              JOIN imported_items h ON h.site_id = c.site_id AND h.origin_id = %(origin_id)s AND h.item_id = c.item_id
               AND h.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.EVENT}, {itemtypes.POLL})
             WHERE c.site_id = %(site_id)s
               AND NOT EXISTS (SELECT FROM imported_items i
                                WHERE i.site_id = c.site_id AND i.item_type_id = {itemtypes.COMMENT}
                                  AND i.item_id = c.comment_id AND i.origin_id = %(origin_id)s)),
           (SELECT count(*)
              FROM items t
              JOIN imported_items h ON h.site_id = t.site_id AND h.origin_id = %(origin_id)s
               AND h.item_id = t.microcosm_id AND h.item_type_id = {itemtypes.MICROCOSM}
             WHERE t.site_id = %(site_id)s
               AND NOT EXISTS (SELECT FROM imported_items i
                                WHERE i.site_id = t.site_id AND i.item_type_id = t.item_type_id
                                  AND i.item_id = t.item_id AND i.origin_id = %(origin_id)s))""",
    unrestricted="counted alone",
)
# Stored counts of imported items that differ from their comments.
MISCOUNTED = Query(
    "verification.miscounted",
    f"""
    SELECT i.item_id
      FROM items i
      JOIN imported_items m ON m.site_id = i.site_id AND m.origin_id = %(origin_id)s AND m.item_id = i.item_id
                           AND m.item_type_id = i.item_type_id AND coalesce(m.detail, '') <> 'alias'
      LEFT JOIN (SELECT c.item_id, count(*) FILTER (WHERE NOT c.is_deleted AND NOT c.is_moderated) AS live,
                        max(c.seq) AS last_seq
                   FROM comments c WHERE c.site_id = %(site_id)s GROUP BY c.item_id) n ON n.item_id = i.item_id
     WHERE i.site_id = %(site_id)s
       AND i.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.EVENT}, {itemtypes.POLL})
       AND (i.comment_count, i.last_seq) IS DISTINCT FROM (coalesce(n.live, 0), coalesce(n.last_seq, 0))
     LIMIT 100""",
    unrestricted="for the operator who compares them",
)
DOMAIN_BANS = Query(
    "verification.domain_bans",
    "SELECT b.email_domain FROM bans b WHERE b.site_id = %(site_id)s AND b.email_domain IS NOT NULL",
)
USERS = Query(
    "verification.users",
    f"""
    SELECT count(*)
      FROM users u
      JOIN profiles p ON p.user_id = u.user_id AND p.site_id = %(site_id)s
      JOIN imported_items i ON i.site_id = p.site_id AND i.origin_id = %(origin_id)s AND i.item_id = p.profile_id
                           AND i.item_type_id = {itemtypes.PROFILE}
     WHERE u.person_key LIKE 'imported:%%' AND (u.email <> '' OR u.email_verified)""",
    unrestricted="counted alone",
)

BATCH: Final = 500
# Differences of each check that are told.
SHOWN: Final = 20
_DOMAIN: Final = "*@"


class Difference(NamedTuple):
    """Difference between source and import in one value. `check`: name of the row of the report that counts it;
    `old_id`: old id of the thing; `told`: a sentence for the operator.
    """

    check: str
    old_id: str
    told: str


class Checked(NamedTuple):
    """Row of the report, one for each check, named `check`: how many things the `source` has, how many are `here`, how
    many were `left_out` with a reason, and how many values are `different`.
    """

    check: str
    source: int
    here: int
    left_out: int
    different: int


class ImportReport(NamedTuple):
    """Result of a comparison. `rows`: one for each check; `differences`: the first 20 of each check; `strangers`:
    numbers of comments and of items that others have written into the import since.
    """

    rows: list[Checked]
    differences: list[Difference]
    strangers: tuple[int, int]

    @property
    def is_right(self) -> bool:
        """Return True if no check found a difference."""
        return not any(row.different for row in self.rows)


class Verifier:
    """Comparison of one import with its source, for one call of `run`. `tx`: transaction in which all statements
    run.
    """

    def __init__(
        self, tx: Reader, config: Config, site: Site, origin: Origin, reader: ForumReader
    ) -> None:
        self._tx = tx
        self._site = site
        self._origin = origin
        self._reader = reader
        self._storage = open_storage(config)
        self._short_links = config.short_links
        self.people = ImportedPeople(origin)
        self._erased = ErasedPeople(origin)
        self._links = OldLinks(origin.addresses, loader.rules_of(config, origin.product))
        self._texts = TextWriter(
            origin, site, self.people, self._links, short_links=config.short_links
        )
        self._tree: Tree | None = None
        self._counts: Counter[tuple[str, str]] = Counter()
        self._order: list[str] = []
        self._told: Counter[str] = Counter()
        self._differences: list[Difference] = []
        self._left: set[tuple[str, str]] = set()
        self._last_seq: dict[int, int] = {}

    def run(self) -> ImportReport:
        """Compare all streams of the source with what the site has of them, and return the report."""
        tx, origin = self._tx, self._origin
        self.people.load(tx)
        self._erased.load(tx)
        self._links.renamed = self._erased.names
        said = self._erased.as_chosen
        self._left = {(one.kind, one.id) for one in origin.left_out(tx)}
        self._tree = self._texts.tree(tx)
        roles = [one for one in self._reader.roles() if isinstance(one, PortedRole)]
        placed, _ = forums.acyclic(
            [one for one in self._reader.forums() if isinstance(one, PortedForum)]
        )
        self._each("profiles", "profile", self._living(), self._profiles)
        self._each("forums", "forum", placed, self._forums)
        self._each(
            "conversations",
            "conversation",
            said(self._reader.conversations()),
            self._conversations,
        )
        self._each("polls", "poll", said(self._reader.polls()), self._polls)
        self._polls_of = loader.polls_of(tx, origin)
        self._begun: set[int] = set()
        self._each("comments", "comment", self._all_comments(), self._comments)
        self._each("messages", "message", said(self._reader.messages()), self._messages)
        self._each("attachments", "attachment", self._all_attachments(), self._attachments)
        self._relations()
        self._bans()
        self._all_rights(Rights(roles, placed), placed)
        self._whole()
        strangers = tx.row(STRANGERS, site_id=origin.site_id, origin_id=origin.id)
        assert strangers is not None
        return ImportReport(
            [
                Checked(
                    check,
                    self._counts[check, "source"],
                    self._counts[check, "here"],
                    self._counts[check, "left"],
                    self._counts[check, "different"],
                )
                for check in self._order
            ],
            self._differences,
            (strangers[0], strangers[1]),
        )

    # ---------------------------------------------------------------- counting

    def _count(self, check: str, what: str, by: int = 1) -> None:
        if check not in self._order:
            self._order.append(check)
        self._counts[check, what] += by

    def _differs(self, check: str, old_id: str, told: str) -> None:
        self._count(check, "different")
        self._told[check] += 1
        if self._told[check] <= SHOWN:
            self._differences.append(Difference(check, old_id, told))

    def _same(self, check: str, old_id: str, wanted: object, found: object) -> None:
        """Count one value in a check, for the thing with this old id; note a difference unless `wanted`, of the source,
        equals `found`, here.
        """
        self._count(check, "source")
        if wanted == found:
            self._count(check, "here")
        else:
            self._differs(check, old_id, f"{_short(wanted)} became {_short(found)}")

    def _each(
        self,
        check: str,
        kind: str,
        stream: Iterable[Any],
        compare: Callable[[Sequence[Any], Mapping[Key, ImportedThing]], None],
    ) -> None:
        self._count(check, "source", 0)
        for batch in _batched(distinct(kind, stream), BATCH):
            documents = [one for one in batch if not isinstance(one, Unreadable)]
            bad = len(batch) - len(documents)
            self._count(check, "source", bad)
            self._count(check, "left", bad)
            # A message is kept under the id of each of its copies, and may have blind ones alone.
            kept = {
                one.id: huddles.copy_ids(one) if isinstance(one, PortedMessage) else [one.id]
                for one in documents
            }
            wanted = [(kind, id) for ids in kept.values() for id in ids]
            found = self._origin.find_items(self._tx, wanted)
            there = []
            for one in documents:
                self._count(check, "source")
                if any((kind, id) in found for id in kept[one.id]):
                    self._count(check, "here")
                    there.append(one)
                elif (kind, value_cleaning.old_id(one.id)) in self._left:
                    self._count(check, "left")
                else:
                    self._differs(check, one.id, "did not come")
            compare(there, found)

    def _by_id(self, query: Query, ids: Iterable[int]) -> dict[int, tuple[Any, ...]]:
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        return {row[0]: row[1:] for row in self._tx.rows(query, site_id=self._site.id, ids=wanted)}

    # ---------------------------------------------------------------- things

    def _profiles(
        self, profiles: Sequence[PortedProfile], found: Mapping[Key, ImportedThing]
    ) -> None:
        ids = {one.id: found["profile", one.id].id for one in profiles}
        rows = self._by_id(PROFILES, ids.values())
        holders: list[tuple[int, int]] = [(itemtypes.PROFILE, id) for id in ids.values()]
        fields_of = self._attributes(holders)
        for one in profiles:
            row = rows.get(ids[one.id])
            if row is None:
                self._differs("profiles", one.id, "its row is gone")
                continue
            name, created, visible, key, is_banned = row
            if found["profile", one.id].detail == "same address":
                continue
            wanted = value_cleaning.name(one.name)
            if name != wanted and not name.startswith(f"{wanted}_"):
                self._differs("names", one.id, f"{one.name} became {name}")
            self._count("names", "source")
            self._count("names", "here")
            if one.date_created:
                self._same("times of profiles", one.id, _time(one.date_created), _time(created))
            self._same("visibility of profiles", one.id, one.is_visible, visible)
            if one.is_banned:
                self._same("banned profiles", one.id, True, is_banned)
            if person_key(one.email) and key.startswith("imported:"):
                self._differs("claims", one.id, "nobody can take it over")
            wanted_fields = len({field_key(a.key) for a in one.attributes} - {"", "is_member"})
            self._same(
                "fields of profiles",
                one.id,
                wanted_fields,
                fields_of.get((itemtypes.PROFILE, ids[one.id]), 0),
            )

    def _attributes(self, holders: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
        each = sorted(set(holders))
        rows = self._tx.rows(
            ATTRIBUTES,
            site_id=self._site.id,
            types=[kind for kind, _ in each],
            item_ids=[id for _, id in each],
        )
        return {(kind, id): count for kind, id, count, _ in rows}

    def _forums(self, all: Sequence[PortedForum], found: Mapping[Key, ImportedThing]) -> None:
        parents = self._origin.find_items(
            self._tx, [("forum", one.parent_id) for one in all if one.parent_id]
        )
        rows = self._by_id(MICROCOSMS, (found["forum", one.id].id for one in all))
        for one in all:
            row = rows.get(found["forum", one.id].id)
            if row is None:
                self._differs("forums", one.id, "its row is gone")
                continue
            title, description, parent_id, *flags = row
            wanted = value_cleaning.line(one.name, forums.UNTITLED)
            self._same("titles", f"forum {one.id}", wanted, title)
            self._same(
                "descriptions", one.id, value_cleaning.block(one.text) or wanted, description
            )
            above = parents.get(("forum", one.parent_id))
            self._same(
                "places",
                f"forum {one.id}",
                above.id if above else self._site.root_microcosm_id,
                parent_id,
            )
            self._same(
                "states",
                f"forum {one.id}",
                [one.is_sticky, one.is_open, one.is_deleted, one.is_moderated],
                flags,
            )
            if one.holds_posts:
                self._count("approvals", "source")
                self._count("approvals", "left")

    def _conversations(
        self, all: Sequence[PortedConversation], found: Mapping[Key, ImportedThing]
    ) -> None:
        homes = self._origin.find_items(self._tx, [("forum", one.forum_id) for one in all])
        rows = self._by_id(ITEMS, (found["conversation", one.id].id for one in all))
        for one in all:
            row = rows.get(found["conversation", one.id].id)
            if row is None:
                self._differs("conversations", one.id, "its row is gone")
                continue
            home = homes.get(("forum", one.forum_id))
            self._item(f"conversation {one.id}", one, one.name, home.id if home else 0, row)
            kind = itemtypes.EVENT if one.event else itemtypes.CONVERSATION
            self._same("types", one.id, kind, row[8])

    def _item(
        self,
        told: str,
        one: PortedConversation | PortedPoll,
        title: str,
        home: int | None,
        row: Sequence[Any],
    ) -> None:
        self._same("titles", told, value_cleaning.line(title, forums.UNTITLED), row[0])
        if home is not None:
            self._same("places", told, home, row[1])
        self._same("authors", told, self.people.author(one.author, one.author_name), row[2])
        if one.date_created:
            self._same("times", told, _time(one.date_created), _time(row[3]))
        self._same(
            "states",
            told,
            [one.is_sticky, one.is_open, one.is_deleted, one.is_moderated],
            list(row[4:8]),
        )
        if row[9] < one.view_count:
            self._differs("views", told, f"{one.view_count} became {row[9]}")

    def _polls(self, all: Sequence[PortedPoll], found: Mapping[Key, ImportedThing]) -> None:
        ids = [found["poll", one.id].id for one in all]
        items, polls = self._by_id(ITEMS, ids), self._by_id(POLLS, ids)
        cast: dict[int, dict[int, list[int]]] = {}
        if ids:
            for item_id, profile_id, places in self._tx.rows(
                BALLOTS, site_id=self._site.id, ids=ids
            ):
                cast.setdefault(item_id, {})[profile_id] = list(places)
        for one in all:
            id = found["poll", one.id].id
            if id not in items or id not in polls:
                self._differs("polls", one.id, "its row is gone")
                continue
            self._item(f"poll {one.id}", one, one.name or one.question, None, items[id])
            question, is_multi, closes, voters, choices, votes, _ = polls[id]
            self._same("polls' questions", one.id, value_cleaning.line(one.question), question)
            self._same(
                "polls' choices",
                one.id,
                [value_cleaning.line(c.text, "—") for c in one.choices],
                choices,
            )
            self._same("polls' kinds", one.id, one.max_choices != 1, is_multi)
            if one.closes:
                self._same("polls' ends", one.id, _time(one.closes), _time(closes))
            for choice, count in zip(one.choices, votes, strict=False):
                if count < choice.votes:
                    self._differs(
                        "votes", f"{one.id}:{choice.id}", f"{choice.votes} became {count}"
                    )
            if voters < one.voter_count:
                self._differs("votes", one.id, f"{one.voter_count} voters became {voters}")
            place_of = {choice.id: place for place, choice in enumerate(one.choices, 1)}
            for ballot in one.ballots:
                if ("ballot", value_cleaning.old_id(f"{one.id}:{ballot.author}")) in self._left:
                    continue
                wanted = sorted({place_of[c] for c in ballot.choices if c in place_of})
                here = cast.get(id, {}).get(self.people.id(ballot.author))
                self._same("votes", f"{one.id}:{ballot.author}", wanted, here)

    # ---------------------------------------------------------------- texts

    def _living(self) -> Iterator[PortedProfile | Unreadable]:
        """Yield the source's profiles without those of people who were erased here since they came."""
        return self._erased.without_theirs(self._reader.profiles())

    def _all_comments(self) -> Iterator[PortedComment | Unreadable]:
        for profile in self._living():
            if isinstance(profile, PortedProfile) and profile.text.strip():
                yield loader.about(profile)
        yield from self._erased.as_chosen(self._reader.comments())

    def _comments(self, all: Sequence[PortedComment], found: Mapping[Key, ImportedThing]) -> None:
        wanted: list[Key] = [(one.on_type, one.on_id) for one in all]
        wanted += [("comment", one.in_reply_to) for one in all if one.in_reply_to]
        around = self._origin.find_items(self._tx, wanted)
        ids = [found["comment", one.id].id for one in all]
        rows = self._by_id(COMMENTS, ids)
        older = self._older(ids)
        expected: list[tuple[PortedComment, tuple[Any, ...], str]] = []
        for one, id in zip(all, ids, strict=True):
            row = rows.get(id)
            on = around.get((one.on_type, one.on_id))
            below = ""
            if on is not None and one.on_type != "profile" and on.id not in self._begun:
                self._begun.add(on.id)
                poll = self._polls_of.get(one.on_id) if one.on_type == "conversation" else None
                below = f"[{poll[1]}](/polls/{poll[0]}/)" if poll else ""
            if row is None:
                self._differs("comments", one.id, "its row is gone")
                continue
            expected.append((one, row, below))
            item_id, profile_id, seq, answers, created, author, deleted, moderated = row[:8]
            stands = profile_id if one.on_type == "profile" else item_id
            self._same("places", f"comment {one.id}", on.id if on else 0, stands)
            told = f"comment {one.id}"
            self._same("authors", told, self.people.author(one.author, one.author_name), author)
            if one.date_created:
                self._same("times", told, _time(one.date_created), _time(created))
            self._same("states", told, [one.is_deleted, one.is_moderated], [deleted, moderated])
            answered = around.get(("comment", one.in_reply_to)) if one.in_reply_to else None
            if answered is not None and one.in_reply_to in self._stands_with(all, one, around):
                self._same("answers", one.id, answered.id, answers)
            elif answers and answered is None:
                self._differs("answers", one.id, "answers nothing in the source")
            if item_id:
                if seq <= self._last_seq.get(item_id, 0):
                    self._differs("order", one.id, "stands before what it stood behind")
                self._last_seq[item_id] = max(seq, self._last_seq.get(item_id, 0))
                self._count("order", "source")
                self._count("order", "here")
            self._wordings(one.id, one.versions, older.get(id, []))
        self._compare_texts(expected)

    def _stands_with(
        self, all: Sequence[PortedComment], one: PortedComment, around: Mapping[Key, ImportedThing]
    ) -> Collection[str]:
        """Return the old id of the comment that `one` answers, in a tuple, if that comment is known to be on the same
        thing; else (). `all`: comments of the batch; `around`: imported things by kind and old id.
        """
        for other in all:
            if other.id == one.in_reply_to:
                same = (other.on_type, other.on_id) == (one.on_type, one.on_id)
                return (one.in_reply_to,) if same else ()
        found = around["comment", one.in_reply_to]
        row = self._by_id(COMMENTS, [found.id]).get(found.id)
        on = around.get((one.on_type, one.on_id))
        stands = row is not None and on is not None and on.id in (row[0], row[1])
        return (one.in_reply_to,) if stands else ()

    def _older(self, ids: Sequence[int]) -> dict[int, list[str]]:
        older: dict[int, list[str]] = {}
        if ids:
            for id, markdown in self._tx.rows(
                REVISIONS, site_id=self._site.id, ids=sorted(set(ids))
            ):
                older.setdefault(id, []).append(markdown)
        return older

    def _wordings(self, old_id: str, versions: Sequence[Any], older: Sequence[str]) -> None:
        if len(versions) > 1 or older:
            self._same("revisions", old_id, max(0, min(len(versions), 100) - 1), len(older))

    def _compare_texts(
        self,
        expected: Sequence[tuple[PortedComment | PortedMessage, tuple[Any, ...], str]],
        places: Sequence[int | None] | None = None,
    ) -> None:
        """Render the old texts again, and note where their Markdown or HTML differs from what is stored. `expected`:
        for each text the document, the stored row, and the line below the text. `places`: for each the microcosm's id,
        None for a huddle; without `places` that of the row's item.
        """
        named = {
            key
            for one, _, _ in expected
            if one.versions
            for key in self._links.named(one.versions[-1].text)
        }
        found = self._origin.find_items(self._tx, named)
        sources = [
            self._texts.source(one.versions[-1].text if one.versions else "", below, found)[0]
            for one, _, below in expected
        ]
        if places is None:
            homes = self._by_id(ITEMS, {row[0] for _, row, _ in expected} - {0})
            places = [homes[row[0]][1] if row[0] in homes else 0 for _, row, _ in expected]
        assert self._tree is not None
        rendered = text_rendering.render_many(
            self._tx,
            self._site,
            list(zip(sources, places, strict=True)),
            self._tree,
            short_links=self._short_links,
            makes_links=False,
        )
        for (one, row, _), source, html in zip(expected, sources, rendered, strict=True):
            self._count("texts", "source")
            if visible_text(html.html) != visible_text(row[9]):
                self._differs(
                    "texts",
                    one.id,
                    f"{_short(visible_text(html.html))} became {_short(visible_text(row[9]))}",
                )
            elif html.html.rstrip() != row[9].rstrip():
                self._differs("texts", one.id, "shows the same words, with other links or marks")
            else:
                self._count("texts", "here")
            self._same("sources", one.id, source, row[8])

    def _messages(self, all: Sequence[PortedMessage], found: Mapping[Key, ImportedThing]) -> None:
        writer = huddles.HuddleWriter(self._origin, self.people, self._texts)
        copies = [copy for one in all for copy in writer.copies(one)]
        stored = self._origin.find_items(self._tx, [("message", copy.old_id) for copy in copies])
        participants = self._by_id(PARTICIPANTS, (thing.id for thing in stored.values()))
        rows = self._by_id(
            COMMENTS, (int(thing.detail) for thing in stored.values() if thing.detail.isdigit())
        )
        expected = []
        for copy in copies:
            thing = stored.get(("message", copy.old_id))
            one = copy.message
            row = rows.get(int(thing.detail)) if thing and thing.detail.isdigit() else None
            if thing is None or row is None:
                self._differs("messages", copy.old_id, "did not come, or its row is gone")
                continue
            told = f"message {copy.old_id}"
            here = participants.get(thing.id, ([],))[0]
            self._same("who has messages", copy.old_id, sorted(copy.people), sorted(here))
            self._same("places", told, thing.id, row[0])
            self._same("authors", told, self.people.author(one.author, one.author_name), row[5])
            if one.date_created:
                self._same("times", told, _time(one.date_created), _time(row[4]))
            if row[2] <= self._last_seq.get(thing.id, 0):
                self._differs("order", copy.old_id, "stands before what it stood behind")
            self._last_seq[thing.id] = row[2]
            expected.append((one, row, ""))
        self._compare_texts(expected, [None] * len(expected))

    # ---------------------------------------------------------------- what hangs on things

    def _all_attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        for profile in self._living():
            if isinstance(profile, PortedProfile) and (own := attachments.avatar(profile)):
                yield own
        yield from self._erased.as_chosen(self._reader.attachments())

    def _attachments(
        self, all: Sequence[PortedAttachment], found: Mapping[Key, ImportedThing]
    ) -> None:
        wanted = [(on.on_type, on.on_id) for one in all for on in one.associations]
        around = self._origin.find_items(self._tx, wanted)
        holders = {one.id: attachments.holders_of(one, {**around, **found}) for one in all}
        every = sorted({holder for some in holders.values() for holder in some})
        hanging = {
            (kind, id, hash)
            for kind, id, hash in self._tx.rows(
                HANGING,
                site_id=self._site.id,
                types=[kind for kind, _ in every],
                item_ids=[id for _, id in every],
            )
        }
        for one in all:
            hash = found["attachment", one.id].detail.partition("\n")[0].partition(".")[0]
            for kind, id in holders[one.id]:
                self._same("files in their places", one.id, True, (kind, id, hash) in hanging)
            if self._storage.size(hash) is None:
                self._differs("files", one.id, f"object {hash} is not in the store")

    def _relations(self) -> None:
        """Compare reactions, bookmarks, watchers and ignored things on the site with those of the source."""
        self._pairs(
            "reactions",
            REACTIONS,
            (
                (one.author, one.on_type, one.on_id)
                for one in self._erased.without_theirs(self._reader.reactions())
                if not isinstance(one, Unreadable)
                and (
                    "reaction",
                    value_cleaning.old_id(f"{one.on_type}:{one.on_id}:{one.author}:{one.name}"),
                )
                not in self._left
            ),
        )
        self._pairs(
            "bookmarks",
            BOOKMARKS,
            (
                (one.author, one.on_type, one.on_id)
                for one in self._erased.without_theirs(self._reader.bookmarks())
                if not isinstance(one, Unreadable)
            ),
        )
        follows = [
            one
            for one in self._erased.without_theirs(self._reader.follows())
            if not isinstance(one, Unreadable)
        ]
        self._pairs(
            "follows",
            WATCHERS,
            (
                (one.author, kind, followed.id)
                for one in follows
                for kind, some in (
                    ("profile", one.users),
                    ("forum", one.forums),
                    ("conversation", one.conversations),
                )
                for followed in some
            ),
        )
        self._pairs(
            "ignored",
            IGNORES,
            (
                (one.author, kind, id)
                for one in follows
                for kind, some in (
                    ("profile", one.users_ignored),
                    ("forum", one.forums_ignored),
                    ("conversation", one.conversations_ignored),
                )
                for id in some
                if (kind, id) != ("profile", one.author)
            ),
        )

    def _pairs(self, check: str, query: Query, pairs: Iterable[tuple[str, str, str]]) -> None:
        self._count(check, "source", 0)
        for batch in _batched(pairs, BATCH):
            found = self._origin.find_items(self._tx, [(kind, id) for _, kind, id in batch])
            asked: list[tuple[str, int, int, int]] = []
            for author, kind, id in batch:
                self._count(check, "source")
                thing, person = found.get((kind, id)), self.people.id(author)
                if thing is None or not person:
                    self._count(check, "left")
                    continue
                is_text = kind == "message" and thing.detail.isdigit()
                on = (itemtypes.COMMENT, int(thing.detail)) if is_text else (thing.type, thing.id)
                asked.append((f"{author}:{kind}:{id}", person, *on))
            here = {
                row[0]
                for row in self._tx.rows(
                    query,
                    site_id=self._site.id,
                    profiles=[one[1] for one in asked],
                    types=[one[2] for one in asked],
                    item_ids=[one[3] for one in asked],
                )
            }
            for place, one in enumerate(asked, 1):
                if place in here:
                    self._count(check, "here")
                else:
                    self._differs(check, one[0], "did not come")

    def _bans(self) -> None:
        others = self._erased.without_theirs(self._reader.bans())
        bans = [one for one in others if isinstance(one, PortedBan)]
        now = datetime.datetime.now(datetime.UTC)
        domains = {row[0] for row in self._tx.rows(DOMAIN_BANS, site_id=self._site.id)}
        people = {self.people.id(one.profile): one for one in bans if one.profile}
        rows = self._by_id(PROFILES, people.keys() - {0})
        self._count("bans", "source", 0)
        for one in bans:
            if is_over(one, now):
                continue
            self._count("bans", "source")
            if one.profile:
                is_here = bool(rows.get(self.people.id(one.profile), [False])[-1])
            else:
                is_here = one.email.strip().lower().removeprefix(_DOMAIN) in domains
            if is_here:
                self._count("bans", "here")
            elif ("ban", value_cleaning.old_id(left_out_as(one))) in self._left:
                self._count("bans", "left")
            else:
                self._differs("bans", left_out_as(one), "did not come")

    # ---------------------------------------------------------------- rights

    def _all_rights(self, rights: Rights, placed: Sequence[PortedForum]) -> None:
        """Compare who may read, write, and edit and delete others' texts in each forum here with `rights`, those of the
        source. `placed`: forums of the source; those that did not come are passed over.
        """
        assert self._tree is not None
        # Whoever is erased here has no rights, whatever the source says.
        nobody = self._erased.names.keys() | {self._site.owned_by}
        everybody = frozenset(self.people.everybody()) - nobody
        role_sets: dict[tuple[int, ...], set[int]] = {}
        for start in range(0, len(everybody), 10_000):
            part = sorted(everybody)[start : start + 10_000]
            for id, role_ids in self._tx.rows(ROLES_OF, site_id=self._site.id, ids=part):
                role_sets.setdefault(tuple(role_ids), set()).add(id)
        found = self._origin.find_items(self._tx, [("forum", one.id) for one in placed])
        for forum in placed:
            thing = found.get(("forum", forum.id))
            if thing is None:
                continue
            barred = {self.people.id(id) for id in rights.barred(forum)}
            # Those whom the import has told that they get no rights here are no difference.
            told_none = rights.of(forum).without_rights
            moderators = {
                self.people.id(id) for id in rights.moderators(forum) if id not in told_none
            } - {0}
            for what, has, flag in _COMPARED:
                allowed = rights.allowed(forum, has)
                if allowed is None:
                    continue
                wanted = {self.people.id(id) for id in allowed.people} - {0}
                if allowed.members:
                    wanted |= everybody
                wanted = (wanted | moderators) - barred - nobody
                here: set[int] = set()
                for role_ids, ids in role_sets.items():
                    can = self._tree.access(role_ids).rights.get(thing.id, 0)
                    if can & flag and not can & evaluator.BANNED:
                        here |= ids
                told = f"forum {forum.id}"
                self._count(what, "source", len(wanted) + allowed.guests)
                self._count(what, "here", len(here & wanted))
                guests = bool(self._tree.access(None).rights.get(thing.id, 0) & flag)
                if guests and allowed.guests:
                    self._count(what, "here")
                for id in sorted(here - wanted):
                    self._differs(what, told, f"profile {id} may, and could not")
                for id in sorted(wanted - here):
                    self._differs(what, told, f"profile {id} may not, and could")
                if guests != allowed.guests:
                    self._differs(
                        what,
                        told,
                        f"guests may{'' if guests else ' not'}, and could{' not' if guests else ''}",
                    )

    def _of_erased(self) -> set[tuple[str, int]]:
        """Return kind and id here of what came by people who were erased since, and comes no more: texts that they
        wrote about themselves, avatars, and files of those who chose to have their words removed.
        """
        if not self._erased.names:
            return set()
        gone: list[tuple[str, str]] = []
        for profile in self._reader.profiles():
            if isinstance(profile, PortedProfile) and self._erased.is_erased(profile.id):
                gone.append(("comment", loader.about(profile).id))
                if own := attachments.avatar(profile):
                    gone.append(("attachment", own.id))
        for file in self._reader.attachments():
            if isinstance(file, PortedAttachment) and not [*self._erased.as_chosen([file])]:
                gone.append(("attachment", file.id))
        gone += [(kind, self._origin.erased_id(id)) for kind, id in gone]
        found = self._origin.find_items(self._tx, gone)
        return {(kind, thing.id) for (kind, _), thing in found.items()}

    def _whole(self) -> None:
        """Check that no more came than the source has, that items' stored counters of comments are right, and that no
        imported profile which nobody has taken over has an address to sign in with.
        """
        origin = self._origin
        mapped: dict[int, int] = dict(
            self._tx.rows(MAPPED, site_id=origin.site_id, origin_id=origin.id)
        )
        erased = Counter(f"{kind}s" for kind, _ in self._of_erased())
        for check, kinds in (
            ("forums", (itemtypes.MICROCOSM,)),
            ("conversations", (itemtypes.CONVERSATION, itemtypes.EVENT)),
            ("polls", (itemtypes.POLL,)),
            ("comments", (itemtypes.COMMENT,)),
            ("attachments", (itemtypes.ATTACHMENT,)),
        ):
            count = sum(mapped.get(kind, 0) for kind in kinds)
            more = count - self._counts[check, "here"] - erased[check]
            if more > 0:
                self._differs(check, "", f"{more} came that are not in the source")
        self._count("stored counts", "source", 0)
        for (id,) in self._tx.rows(MISCOUNTED, site_id=origin.site_id, origin_id=origin.id):
            self._differs("stored counts", "", f"item {id} counts its comments wrongly")
        self._count("unproven addresses", "source", 0)
        trusted = int(self._tx.value(USERS, site_id=origin.site_id, origin_id=origin.id) or 0)
        if trusted:
            self._differs("unproven addresses", "", f"{trusted} are taken for proven")


_Has = Callable[[ForumPermissions], bool]
# Rights that are compared: by what the source gives them, and our flag.
_COMPARED: Final[Sequence[tuple[str, _Has, int]]] = (
    ("who may read", lambda rights: rights.can_view, evaluator.READ),
    ("who may write", lambda rights: rights.can_post_new and rights.can_reply, evaluator.CREATE),
    ("who may edit others' texts", lambda rights: rights.can_edit_others, evaluator.UPDATE),
    ("who may delete others' texts", lambda rights: rights.can_delete_others, evaluator.DELETE),
)


def _batched(stream: Iterable[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for one in stream:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _time(value: datetime.datetime | None) -> str:
    if value is None:
        return ""
    at = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    return at.astimezone(datetime.UTC).isoformat()


def _short(value: object) -> str:
    told = str(value)
    return told if len(told) <= 80 else f"{told[:77]}…"


def table(report: ImportReport) -> Iterator[str]:
    """Yield the lines of a printed report: a table of all checks, the first differences of each, and how much others
    have written into the import since.
    """
    names = ("check", "source", "here", "left out", "different")
    width = max(len(names[0]), *(len(row.check) for row in report.rows))
    yield f"{names[0]:{width}}" + "".join(f"{name:>12}" for name in names[1:])
    for row in report.rows:
        yield f"{row.check:{width}}" + "".join(f"{number:>12,}" for number in row[1:])
    for one in report.differences:
        yield f"{one.check}: {one.old_id}: {one.told}"
    comments, items = report.strangers
    if comments or items:
        yield f"written here since, by others: {items:,} items, {comments:,} comments"
