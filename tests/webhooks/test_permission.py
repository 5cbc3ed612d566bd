"""A webhook is told of exactly what a request of whom it acts as is answered at that moment."""

from __future__ import annotations

import pytest

from forumapi import itemtypes
from forumapi.models.notifications.webhook import ITEM_TYPES
from forumapi.models.notifications.webhook_delivery import DeliveryQueue
from tests.api import Api
from tests.factories import RIGHTS, Factory, Person, Site, Thing
from tests.webhooks.conftest import Hooks, until
from tests.webhooks.receiver import Receiver

CAST = ("guest", "owner", "moderator", "member", "newcomer", "banned")


def _things(api: Api, make: Factory, site: Site) -> list[Thing]:
    """Things of every type in places that some may not read, some of them deleted or moderated."""
    members = make.microcosm(site)
    make.role(site, members.id, "Members", users=True, rights=RIGHTS)
    named = make.microcosm(site)
    make.join(make.role(site, named.id, "Named", rights=RIGHTS), site.member)
    gone = make.microcosm(site)
    places = [make.microcosm(site), members, named, gone]
    things: list[Thing] = list(places)
    for place in places:
        chats = [make.conversation(site, microcosm=place) for _ in range(3)]
        things += [*chats, make.event(site, microcosm=place), make.poll(site, microcosm=place)]
        comments = [make.comment(chat) for chat in (*chats, chats[0], chats[0])]
        things += comments
        for flag, hidden in (
            ("deleted", (chats[1], comments[3])),
            ("moderated", (chats[2], comments[4])),
        ):
            for thing in hidden:
                api.patch(thing.path, (flag, True), by=site.owner)
    api.patch(gone.path, ("deleted", True), by=site.owner)
    huddles = [
        make.huddle(site.member, site.moderator),
        make.huddle(site.owner, site.newcomer),
    ]
    things += huddles
    for huddle in huddles:
        things.append(
            _in_huddle(api, huddle, site.moderator if huddle == huddles[0] else site.owner)
        )
    return things


def _in_huddle(api: Api, huddle: Thing, by: Person) -> Thing:
    body = {"itemType": "huddle", "itemId": huddle.id, "markdown": "Psst"}
    made = api.post("/api/v1/comments", body, by=by)
    id = int(made.location.rpartition("/")[2].partition("?")[0])
    return Thing(huddle.site, itemtypes.COMMENT, id)


@pytest.mark.wide
@pytest.mark.slow
def test_what_each_is_told_is_what_requests_show_them(
    api: Api, make: Factory, hooks: Hooks, site: Site, receiver: Receiver
) -> None:
    everything = {
        "itemTypes": [itemtypes.name_of(kind) for kind in ITEM_TYPES],
        "documents": True,
    }
    made = {name: hooks.add(receiver.url(f"/{name}"), enabled=False, **everything) for name in CAST}
    first = make.conversation(site)
    hooks.numbered()
    things = _things(api, make, site)
    hooks.numbered()
    ((lowest, highest),) = make.sql(
        """
        SELECT min(s.number), max(s.number) FROM event_sequence s
          JOIN event_log e ON e.site_id = s.site_id AND e.event_id = s.event_id
         WHERE s.site_id = %(site)s AND NOT (e.item_type_id = 6 AND e.item_id <= %(first)s)""",
        site=site.id,
        first=first.id,
    )
    # All have been to the site; then each webhook sees with the eyes of one of them.
    for name, hook in made.items():
        person = site.cast()[name]
        make.sql(
            """
            UPDATE webhooks SET acts_as = %(who)s, is_enabled = true WHERE webhook_id = %(id)s RETURNING 1""",
            id=hook["id"],
            who=person.id if person else None,
        )
        with make.database.write() as tx:
            DeliveryQueue(site.id, hook["id"]).replay(
                tx, lowest, highest, everything=True, viewer=person.id if person else 0
            )
    until(
        lambda: [hook for hook in made.values() if hooks.deliveries(hook, "queued")],
        lambda waiting: not waiting,
    )

    told_in_all = 0
    for name in CAST:
        told: dict[tuple[str, int], str] = {}
        for message in receiver.at(f"/{name}"):
            said = message.data
            key = said["itemType"], said["itemId"]
            told[key] = "whole" if "document" in said else said["kind"]
        told_in_all += len(told)
        for thing in things:
            answer = api.get(thing.path, site=site, by=site.cast()[name])
            key = itemtypes.name_of(thing.type), thing.id
            meta = answer.data["meta"] if answer.status == 200 else {}
            if meta.get("flags", {}).get("deleted") and name == "member":
                # Taken away from its author, who may read it on request, with the reason.
                assert told.get(key) in (None, "deleted"), (name, key)
            elif answer.status == 200:
                assert told.get(key) == "whole", (name, key)
            elif answer.status == 404 and answer.code == 15:
                # Gone: only what ended it tells so.
                assert told.get(key) in (None, "deleted"), (name, key)
            else:
                assert key not in told, (name, key, answer.status)
    assert told_in_all > 100
