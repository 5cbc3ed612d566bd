"""Delivery of events to live clients: frames with and without documents, and gaps for events that are left out.

Who receives an event is decided in delivery_permissions.py; the documents that frames include are read here, with one
statement for each type of thing.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.events.event_log import LoggedEvent
from forumapi.models.content import attendee, comment_documents, huddle_page, item_summary
from forumapi.models.notifications import live_event_queries
from forumapi.models.notifications.live_event_queries import Fact, ThingKey
from forumapi.realtime.cursor import Cursors
from forumapi.realtime.delivery_permissions import Delivery, deliveries, subject
from forumapi.realtime.live_clients import Frame, LiveClient
from forumapi.realtime.site_listeners import SiteListeners
from forumapi.realtime.subscription_index import Index
from forumapi.realtime.topic_names import Topic, state_href, topic_name
from forumapi.wire import json_fragments

if TYPE_CHECKING:
    from forumapi.models.pages.document_reader import Documents
    from forumapi.permissions.evaluator import Tree
    from forumapi.permissions.readable_microcosms import ReadableMicrocosms

# Listeners that are sent a frame before other greenlets run.
TURN: Final = 200


class EventDelivery:
    """Delivery of events to the listeners of a site. `documents`: reader of the documents that frames include.
    `cursors()` returns the codec of the cursors in frames; it raises Unavailable if the database can't be reached at
    its first use.
    """

    def __init__(self, documents: Documents, cursors: Callable[[], Cursors]) -> None:
        self._documents = documents
        self._cursors = cursors

    def deliver(
        self,
        listeners: SiteListeners,
        index: Index,
        events: Sequence[LoggedEvent],
        after: int,
        upto: int,
        reader: Reader,
    ) -> None:
        """Deliver `events`, which are all that is still stored after `after` and up to `upto`, to the followers in
        `index`; for event numbers in between that are no longer stored, send the followers gaps.
        """
        missing = collections.deque(_missing(events, after, upto))
        things = {thing for event in events if (thing := subject(event)) is not None}
        facts = (
            live_event_queries.facts(reader, listeners.site.id, listeners.tree, things)
            if things
            else {}
        )
        made = deliveries(events, facts, index, listeners.tree)
        documents = self._documents_of(listeners, made, reader)
        for one in made:
            while missing and missing[0][1] < one.event.number:
                self.push_gaps(listeners, index, *missing.popleft())
            self._push(listeners, one, documents.get(_thing(one)))
        for gap in missing:
            self.push_gaps(listeners, index, *gap)

    def push_gaps(self, listeners: SiteListeners, index: Index, after: int, upto: int) -> None:
        """Send each follower in `index` a gap for each of its topics: the events after `after` and up to `upto` are
        left out.
        """
        topics: dict[LiveClient, list[Topic]] = {}
        for topic, followers in index.items():
            for client in followers:
                topics.setdefault(client, []).append(topic)
        for client, gaps in topics.items():
            for topic in gaps:
                # Only the last frame carries the new cursor: a client that disconnects earlier resumes before the gap.
                self.push_gap(client, topic, after, upto, upto if topic is gaps[-1] else after)

    def push_gap(self, client: LiveClient, topic: Topic, after: int, upto: int, place: int) -> None:
        """Send a client a gap in one topic: the events after `after` and up to `upto` are left out. `place`: event
        number at which the client resumes after this frame, by the frame's cursor.
        """
        make, site_id = self._cursors().make, client.listeners.site.id
        client.push(
            Frame(
                "gap",
                make(site_id, place),
                topic=topic_name(topic),
                **{"from": make(site_id, after), "to": make(site_id, upto)},
                href=state_href(topic),
            )
        )

    def _documents_of(
        self, listeners: SiteListeners, made: Sequence[Delivery], reader: Reader
    ) -> dict[ThingKey, Callable[[Tree, ReadableMicrocosms], bytes]]:
        """Read the documents that these deliveries include, one statement for each type; return, by the thing's key,
        the function that makes its document for a caller: from the tree, and the microcosms that the caller may read.
        Things without a document are left out.
        """
        wanted: dict[int, set[ThingKey]] = {}
        for one in made:
            if not one.is_gone and any(wants for _, wants in one.clients):
                named = _thing(one)
                wanted.setdefault(named[0], set()).add(named)
        site_id, kept = listeners.site.id, self._documents
        found: dict[ThingKey, bytes] = {}
        for item_type, read in (
            (itemtypes.COMMENT, comment_documents.by_ids),
            (itemtypes.HUDDLE, huddle_page.by_ids),
        ):
            ids = sorted(id for _, id, _ in wanted.get(item_type, ()))
            for id, document in read(reader, kept, site_id, ids).items():
                found[item_type, id, 0] = document
        answers = sorted((event, id) for _, id, event in wanted.get(itemtypes.ATTENDEE, ()))
        for (event, id), document in attendee.by_ids(reader, kept, site_id, answers).items():
            found[itemtypes.ATTENDEE, id, event] = document
        shown = {named: _alike(document) for named, document in found.items()}
        kinds = {
            id: item_type
            for item_type in itemtypes.IN_MICROCOSM
            for _, id, _ in wanted.get(item_type, ())
        }
        for id, render in item_summary.by_ids(reader, kept, site_id, sorted(kinds)).items():
            shown[kinds[id], id, 0] = render
        return shown

    def _push(
        self,
        listeners: SiteListeners,
        one: Delivery,
        document: Callable[[Tree, ReadableMicrocosms], bytes] | None,
    ) -> None:
        plain: Frame | None = None
        # An item's document has its breadcrumb, which depends on what the reader may read.
        whole: dict[ReadableMicrocosms, Frame] = {}
        for place, (client, wants_document) in enumerate(one.clients, 1):
            if wants_document and document is not None and not one.is_gone:
                view = listeners.tree.view(client.caller.principal)
                if view not in whole:
                    whole[view] = self._frame(listeners, one, document(listeners.tree, view))
                client.push(whole[view])
            else:
                if plain is None:
                    plain = self._frame(listeners, one, None)
                client.push(plain)
            if place % TURN == 0:
                time.sleep(0)

    def _frame(self, listeners: SiteListeners, one: Delivery, document: bytes | None) -> Frame:
        return Frame(
            "event",
            self._cursors().make(listeners.site.id, one.event.number),
            **event_members(one.event, one.fact, is_gone=one.is_gone),
            **({} if document is None else {"document": json_fragments.raw(document)}),
        )


def event_members(event: LoggedEvent, fact: Fact, *, is_gone: bool) -> dict[str, Any]:
    """Return the members of a live frame about an event: kind, thing, its address and parent, version and time. `fact`:
    the thing at present or, if it was moved out of sight, in its former place; `is_gone`: the frame says that the thing
    has disappeared, and has no version.
    """
    kind = itemtypes.BY_ID[event.item_type]
    ended = "gone" if event.moved_from else "deleted"
    said: dict[str, Any] = {
        "kind": ended if is_gone else event.kind,
        "itemType": kind.name,
        "itemId": event.item_id,
    }
    parent_type, parent_id = fact.parent_type, fact.parent_id
    if event.item_type != fact.target.item_type:  # a part of the thing
        parent_type, parent_id = fact.target.item_type, fact.target.item_id
        said["href"] = _href(parent_type, parent_id)
    elif event.item_type == itemtypes.ATTENDEE:
        said["href"] = f"{_href(parent_type, parent_id)}/attendees/{event.item_id}"
    elif event.item_type == itemtypes.ROLE:
        said["href"] = f"{_href(parent_type, parent_id)}/roles"
    else:
        said["href"] = _href(event.item_type, event.item_id)
    if parent_id:
        said["parentType"] = itemtypes.name_of(parent_type)
        said["parentId"] = parent_id
    if fact.target.microcosm_id:
        said["microcosmId"] = fact.target.microcosm_id
    if event.version and not is_gone:
        said["version"] = event.version
    said["at"] = json_fragments.format_time(event.created)
    return said


def _href(item_type: int, id: int) -> str:
    """Return the address of a thing in its site's API: of a site /api/v1/site; of an update, which has no address of
    its own, that of the list of updates.
    """
    return _SHOWN_AT.get(item_type) or itemtypes.href(item_type, id)


_SHOWN_AT: Final = {itemtypes.SITE: "/api/v1/site", itemtypes.UPDATE: "/api/v1/updates"}


def _thing(one: Delivery) -> ThingKey:
    """Return the key of the thing whose document a delivery may include; zeros if the event is about a part of the
    thing, which has no document.
    """
    event, target = one.event, one.fact.target
    if event.item_type != target.item_type:
        return 0, 0, 0
    is_answer = event.item_type == itemtypes.ATTENDEE
    return target.item_type, target.item_id, one.fact.parent_id if is_answer else 0


def _alike(document: bytes) -> Callable[[Tree, ReadableMicrocosms], bytes]:
    return lambda tree, view: document


def _missing(events: Sequence[LoggedEvent], after: int, upto: int) -> list[tuple[int, int]]:
    """Return the ranges of event numbers after `after` and up to `upto` that `events`, in ascending order, lacks, each
    as (number before it, last number), in that order.
    """
    if len(events) == upto - after:
        return []
    found = []
    for event in events:
        if event.number > after + 1:
            found.append((after, event.number - 1))
        after = event.number
    if after < upto:
        found.append((after, upto))
    return found
