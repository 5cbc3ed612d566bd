"""Loading of a forum's documents into a site, stream by stream and batch by batch (porting/layout.py).

A batch of rows and their ids in `imported_items` are one transaction, and what has an id is skipped: after a break at
any point the same command continues. No mail, update or event of the event log is made. A row that PostgreSQL refuses
is found by halving its batch, and left out with the reason.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from html import unescape
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from psycopg import errors as pgerrors

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.database.connections import Database, Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import ApiError
from forumapi.models.sites.site import Site
from forumapi.porting.layout import (
    ForumReader,
    PortedAttachment,
    PortedAttribute,
    PortedBan,
    PortedComment,
    PortedForum,
    PortedProfile,
    PortedRole,
    PortedVersion,
    Unreadable,
)
from forumapi.porting.loading import attachments, counters, forums
from forumapi.porting.loading.attachments import AttachmentWriter, FileStore
from forumapi.porting.loading.attributes import AttributeWriter
from forumapi.porting.loading.bans import BanWriter, with_marked
from forumapi.porting.loading.comments import CommentWriter, TextWriter
from forumapi.porting.loading.distinct_ids import distinct
from forumapi.porting.loading.erased_people import ErasedPeople
from forumapi.porting.loading.forums import ForumWriter
from forumapi.porting.loading.huddles import HuddleWriter
from forumapi.porting.loading.imported_ids import Origin
from forumapi.porting.loading.items import ItemWriter
from forumapi.porting.loading.links import OldLinks
from forumapi.porting.loading.people import ImportedPeople
from forumapi.porting.loading.reactions_bookmarks_follows import ReactionWriter
from forumapi.porting.loading.role_conversion import Rights
from forumapi.wire import legacy_urls
from forumapi.wire.legacy_urls import RuleSet

TITLES = Query(
    "loader.titles",
    """
    SELECT i.item_id, i.title
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])""",
)

T = TypeVar("T")
Insert = Callable[[Transaction, Sequence[Any]], list[Unreadable]]

# Rows of a batch. Files are stored one after the other, so fewer of them wait for their transaction.
BATCH: Final = 500
FILES: Final = 20
# Batches that are read before they are inserted.
_AHEAD: Final = 2
# Characters of what has no small limit in one batch (`_weight`): a few very long documents are a batch of their own.
_BATCH_CHARACTERS: Final = 2_000_000
# Comment that a profile's words about itself become, by the profile's id.
ABOUT: Final = "about:"


class PortingError(Exception):
    """Failure that ends an import; the message is for the operator."""


class ImportProgress(NamedTuple):
    """Progress of an import. `stage`: stream being loaded, or "links", "files", "counters", "done".

    `done`: number of the stream's documents dealt with so far, those included that earlier runs inserted; under "files"
    of attachments put into their places, 0 in the other stages that are no stream. `total`: estimated number of the
    stream's documents, 0 if unknown. `seconds_left`: estimate for the whole import, None without one.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None


class Outcome(NamedTuple):
    """Result of one run: `read`: numbers of documents read by stream, and under "files" of attachments put into their
    places, those included that earlier runs inserted; `left_out`: number of documents, and of parts such as attributes,
    left out; `seconds` taken.
    """

    read: dict[str, int]
    left_out: int
    seconds: float


class Loader:
    """Loader of one reader's forum into one site; for one call of `run`.

    `granted`: keys, as the source writes them, of attributes that count for roles' criteria. `room`: bytes that files
    may take in the store, beyond which they are left out; None for any number. `show` is called with the progress about
    once a second.
    """

    def __init__(
        self,
        database: Database,
        config: Config,
        site: Site,
        origin: Origin,
        reader: ForumReader,
        *,
        granted: Collection[str] = (),
        room: int | None = None,
        show: Callable[[ImportProgress], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._site = site
        self._origin = origin
        self._reader = reader
        self._show = show
        self.people = ImportedPeople(origin)
        self.erased = ErasedPeople(origin)
        self._store = FileStore(database, config)
        self._links = OldLinks(origin.addresses, rules_of(config, origin.product))
        self._texts = TextWriter(
            origin, site, self.people, self._links, short_links=config.short_links
        )
        self._attributes = AttributeWriter(origin, self.people, granted)
        self._reactions = ReactionWriter(origin, self.people)
        self._ban_writer = BanWriter(origin, self.people)
        self._items = ItemWriter(origin, self.people)
        self._files = AttachmentWriter(origin, self.people, self._store, reader.open, room)
        self._totals = dict(reader.counts())
        self._read: dict[str, int] = {}
        self._left = 0
        self._began = self._shown = time.monotonic()
        self._done = 0

    def run(self) -> Outcome:
        """Load all documents that no earlier run has inserted, each batch in a transaction of its own, then set the
        counters. Raises PortingError if a batch is refused for a fault that is not a row's; what was loaded stays, and
        the next run continues. So it is after an error of the reader, the store or the database, which is raised as it
        is.
        """
        reader = self._database.read()
        try:
            self.people.load(reader)
            self.erased.load(reader)
        finally:
            reader.end()
        self._links.renamed = self.erased.names
        with contextlib.closing(self._store):
            self._load()
        return Outcome(self._read, self._left, time.monotonic() - self._began)

    def _load(self) -> None:
        source = self._reader
        said, others = self.erased.as_chosen, self.erased.without_theirs
        self._stage("profiles", source.profiles(), self._insert_profiles)
        roles = [one for one in source.roles() if isinstance(one, PortedRole)]
        all_forums = [one for one in source.forums() if isinstance(one, PortedForum)]
        placed, circling = forums.acyclic(all_forums)
        self._note([*_unreadable(source.roles()), *_unreadable(source.forums()), *circling])
        writer = ForumWriter(
            self._origin, self._site, self.people, self.erased, Rights(roles, placed)
        )
        self._stage("forums", placed, self._with_attributes(writer.insert, "forum"))
        self._stage(
            "conversations",
            said(source.conversations()),
            self._with_attributes(self._items.insert_conversations, "conversation"),
        )
        self._stage("polls", said(source.polls()), self._items.insert_polls)
        self._stage("attachments", self._attachments(), self._files.store, size=FILES)
        comments = CommentWriter(self._origin, self.people, self._texts, self._polls())
        self._stage(
            "comments", itertools.chain(self._abouts(), said(source.comments())), comments.insert
        )
        huddles = HuddleWriter(self._origin, self.people, self._texts)
        self._stage("messages", said(source.messages()), huddles.insert)
        self._set_stage("links")
        self._finish(comments)
        self._stage("files", distinct("attachment", self._attachments()), self._files.hang)
        self._stage("reactions", others(source.reactions()), self._reactions.insert_reactions)
        self._stage("bookmarks", others(source.bookmarks()), self._reactions.insert_bookmarks)
        self._stage("follows", others(source.follows()), self._reactions.insert_follows)
        self._stage("bans", others(self._bans()), self._ban_writer.insert_bans)
        for name in ("warnings", "reports"):
            self._stage(name, others(getattr(source, name)()), _no_place(name))
        self._stage("aliases", others(source.aliases()), self._origin.remember_aliases)
        self._set_stage("counters")
        for counted in counters.count_all(self._database, self._origin, self.people):
            self._advance("counters", counted)
        self._set_stage("done")
        self._tell("done", force=True)

    # ---------------------------------------------------------------- stages

    def _stage(
        self, name: str, stream: Iterable[T | Unreadable], insert: Insert, *, size: int = BATCH
    ) -> None:
        """Insert the stream `name` in batches of `size` by calls of `insert` on another thread, while this one reads
        the next batches from the source; return when all are inserted. `insert`: called with a transaction and
        documents, returns those left out, with reasons.
        """
        self._set_stage(name)
        if kind := _KINDS.get(name):
            stream = distinct(kind, stream)
        waiting: deque[tuple[int, Future[None]]] = deque()

        def wait() -> None:
            count, inserting = waiting.popleft()
            inserting.result()
            self._read[name] = self._read.get(name, 0) + count
            self._advance(name, count)

        with ThreadPoolExecutor(1, "import") as inserting:
            try:
                for batch in _batches(stream, size):
                    waiting.append(
                        (len(batch), inserting.submit(self._insert, name, batch, insert))
                    )
                    if len(waiting) > _AHEAD:
                        wait()
                while waiting:
                    wait()
            except BaseException:
                for _, future in waiting:
                    future.cancel()
                raise

    def _set_stage(self, name: str) -> None:
        with self._database.write() as tx:
            self._origin.lock(tx)
            self._origin.set_stage(tx, name)
        self._tell(name, force=True)

    def _insert(self, name: str, batch: Sequence[T | Unreadable], insert: Insert) -> None:
        """Insert a batch of the stream `name` by `insert`, in one transaction; if PostgreSQL refuses a row, insert the
        batch in halves, down to the row itself, which is left out. `insert`: called with the transaction and the
        documents, returns those left out, with reasons. Raises PortingError for a fault that is no row's.
        """
        try:
            with self._database.write() as tx:
                self._origin.lock(tx)
                left = [one for one in batch if isinstance(one, Unreadable)]
                documents = [one for one in batch if not isinstance(one, Unreadable)]
                if documents:
                    left += insert(tx, documents)
                self._origin.leave_out(tx, left)
                kind = _KINDS.get(name)
                if kind:
                    refused = {one.id for one in left if one.kind == kind}
                    came = [id for one in documents if (id := _id(one)) and id not in refused]
                    self._origin.take_in(tx, kind, came)
        except (pgerrors.DataError, pgerrors.IntegrityError, ValueError, OverflowError) as error:
            self._reload_people()
            if len(batch) > 1:
                half = len(batch) // 2
                self._insert(name, batch[:half], insert)
                self._insert(name, batch[half:], insert)
                return
            told = _first_line(error)
            self._note([Unreadable(kind=_KINDS.get(name, name), id=_id(batch[0]), reason=told)])
        except ApiError as error:
            raise PortingError(
                f"{name}: {error.message}; nothing of this batch was written, the same command goes on from here"
            ) from error
        else:
            self._left += len(left)

    def _reload_people(self) -> None:
        """Read the profiles' ids anew after a rollback: ids that the transaction had given do not exist."""
        reader = self._database.read()
        try:
            self.people.load(reader)
        finally:
            reader.end()

    def _note(self, left: Sequence[Unreadable]) -> None:
        if left:
            with self._database.write() as tx:
                self._origin.lock(tx)
                self._origin.leave_out(tx, left)
            self._left += len(left)

    # ---------------------------------------------------------------- what is put together here

    def _insert_profiles(
        self, tx: Transaction, profiles: Sequence[PortedProfile]
    ) -> list[Unreadable]:
        left = self.people.insert(tx, profiles)
        return left + self._attributes.insert_attributes(
            tx,
            (
                (itemtypes.PROFILE, id, one.attributes, one.id)
                for one in profiles
                if one.attributes
                and not self.erased.is_erased(one.id)
                and (id := self.people.id(one.id))
            ),
        )

    def _with_attributes(self, insert: Insert, kind: str) -> Insert:
        def inserted(tx: Transaction, documents: Sequence[Any]) -> list[Unreadable]:
            left = insert(tx, documents)
            having = [one for one in documents if one.attributes]
            if having:
                found = self._origin.find_items(tx, [(kind, one.id) for one in having])
                holders: list[tuple[int, int, Sequence[PortedAttribute], str]] = [
                    (thing.type, thing.id, one.attributes, one.id)
                    for one in having
                    if (thing := found.get((kind, one.id)))
                ]
                left = left + self._attributes.insert_attributes(tx, holders)
            return left

        return inserted

    def _attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        """Yield the avatars of profiles as attachments to the profiles, then the source's attachments; no avatars of
        erased people, and no files of those who chose to have their words removed.
        """
        for profile in self.erased.without_theirs(self._reader.profiles()):
            if isinstance(profile, PortedProfile) and (own := attachments.avatar(profile)):
                yield own
        yield from self.erased.as_chosen(self._reader.attachments())

    def _abouts(self) -> Iterator[PortedComment]:
        """Yield the texts that people, erased ones left aside, wrote about themselves as comments on their own
        profiles.
        """
        for profile in self.erased.without_theirs(self._reader.profiles()):
            if isinstance(profile, PortedProfile) and profile.text.strip():
                yield about(profile)

    def _bans(self) -> Iterator[PortedBan | Unreadable]:
        """Yield the bans of the source; then a permanent ban for each profile that is marked as banned and has no ban
        of its own in force.
        """
        return with_marked(self._reader, datetime.datetime.now(datetime.UTC))

    def _polls(self) -> dict[str, tuple[int, str]]:
        """Return id here and title of each imported conversation's poll, by the conversation's old id; titles are
        escaped for Markdown.
        """
        reader = self._database.read()
        try:
            return polls_of(reader, self._origin)
        finally:
            reader.end()

    def _finish(self, comments: CommentWriter) -> None:
        after: str | None = ""
        while after is not None:
            with self._database.write() as tx:
                self._origin.lock(tx)
                after = comments.finish(tx, after, BATCH)
            self._tell("links")

    # ---------------------------------------------------------------- progress

    def _advance(self, stage: str, count: int) -> None:
        self._done += count
        self._tell(stage)

    def _tell(self, stage: str, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._shown < 1:
            return
        self._shown = now
        done, total = self._read.get(stage, 0), self._totals.get(stage, 0)
        whole = sum(self._totals.values())
        took = now - self._began
        left = None
        if whole and self._done:
            left = max(0.0, took / self._done * (whole - self._done))
        self._show(ImportProgress(stage, done, total, left))


def about(profile: PortedProfile) -> PortedComment:
    """Return the text that a person wrote about themselves as a comment on their own profile, with the id
    `about:<profile's id>`.
    """
    return PortedComment(
        id=f"{ABOUT}{profile.id}",
        on_type="profile",
        on_id=profile.id,
        author=profile.id,
        date_created=profile.date_created,
        versions=(PortedVersion(text=profile.text),),
    )


def rules_of(config: Config, product: str) -> RuleSet | None:
    """Return the rules by which addresses of the product with this name, such as phpbb, are read; None if there are
    none. Raises RulesError as `legacy_urls.load` does, also for a damaged file of another product.
    """
    return legacy_urls.load(config.old_sites_folder).get(product)


def polls_of(tx: Reader, origin: Origin) -> dict[str, tuple[int, str]]:
    """Return id here and title of each imported conversation's poll, by the conversation's old id; titles are escaped
    for Markdown.
    """
    held = {
        thing.detail.removeprefix("conversation:"): thing.id
        for thing in origin.all_of(tx, itemtypes.POLL).values()
        if thing.detail.startswith("conversation:")
    }
    if not held:
        return {}
    titles: dict[int, str] = dict(
        tx.rows(TITLES, site_id=origin.site_id, ids=sorted(held.values()))
    )
    return {old: (id, _label(titles[id])) for old, id in held.items()}


def _label(title: str) -> str:
    """Return a title, which is stored HTML-escaped, unescaped and in turn escaped for the text of a Markdown link."""
    return "".join(f"\\{c}" if c in "\\[]*_`<>&" else c for c in unescape(title))


def _batches(stream: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the stream's documents in lists of `size`; in shorter ones where the weights (`_weight`) of a list would
    exceed 2,000,000 characters, so that few long documents are in memory at a time.
    """
    batch: list[T] = []
    characters = 0
    for one in stream:
        weight = _weight(one)
        if batch and characters + weight > _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
        batch.append(one)
        characters += weight
        if len(batch) == size:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _weight(document: object) -> int:
    """Return how many characters a document has in texts, files as data URLs, that of an avatar too, and values of
    attributes.
    """
    weight = len(getattr(document, "text", "")) + len(getattr(document, "content_url", ""))
    weight += sum(len(one.text) for one in getattr(document, "versions", ()))
    for one in getattr(document, "attributes", ()):
        weight += len(one.key) + (len(one.value) if isinstance(one.value, str) else 0)
    avatar = getattr(document, "avatar", None)
    return weight + (_weight(avatar) if avatar is not None else 0)


def _unreadable(stream: Iterable[Any]) -> list[Unreadable]:
    return [one for one in stream if isinstance(one, Unreadable)]


def _id(document: object) -> str:
    return str(getattr(document, "id", "") or getattr(document, "author", ""))


def _first_line(error: Exception) -> str:
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return str(error).partition("\n")[0]


def _no_place(name: str) -> Insert:
    """Return a function that takes the place of an insertion, and leaves out all documents of the stream `name`, since
    nothing like them exists here.
    """

    def insert(tx: Transaction, documents: Sequence[Any]) -> list[Unreadable]:
        return [
            Unreadable(
                kind=name.removesuffix("s"),
                id=getattr(one, "id", "") or f"{one.profile}:{one.date_created or ''}",
                reason="there is no place for it here",
            )
            for one in documents
        ]

    return insert


# Kinds of what streams hold, as reasons name them.
_KINDS: Final = {
    "profiles": "profile",
    "forums": "forum",
    "conversations": "conversation",
    "polls": "poll",
    "attachments": "attachment",
    "comments": "comment",
    "messages": "message",
}
