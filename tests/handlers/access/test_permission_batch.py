"""Many questions of permission at once are answered as each one is."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from forumapi import itemtypes
from tests.api import Api
from tests.factories import Factory, Site

PATH = "/api/v1/permission/batch"
NEVER = 987_654_321


def questions(make: Factory, site: Site) -> list[dict[str, Any]]:
    """One of every kind: things of the member's, things of others, what is not there, new things, nothing."""
    place = make.microcosm(site)
    chat = make.conversation(site, microcosm=place)
    answered = make.conversation(site, microcosm=place)
    make.comment(answered, by=site.newcomer)
    huddle = make.huddle(site.member, site.newcomer)
    found = [
        (itemtypes.name_of(thing.type), thing.id)
        for thing in (
            place,
            chat,
            answered,
            make.comment(chat),
            make.comment(site.member),
            huddle,
            make.comment(huddle),
            make.conversation(site, item_type=itemtypes.POLL),
        )
    ]
    role = make.role(site, place.id, "Readers", users=True, rights=("read",))
    found += [
        ("profile", site.member.id),
        ("user", site.member.user_id),
        ("user", NEVER),
        ("role", role[1]),
        ("site", site.id),
        ("site", NEVER),
    ]
    found += [(kind.name, NEVER) for kind in itemtypes.TYPES]
    return [
        *({"itemType": kind, "itemId": id} for kind, id in found),
        {"itemType": "Conversation", "microcosmId": place.id},
        {"itemType": "huddle"},
        {"microcosmId": place.id},
        {"microcosmId": NEVER},
        {"itemId": 5},
        {},
    ]


@pytest.mark.wide
def test_each_is_answered_as_alone(api: Api, make: Factory, bikes: Site) -> None:
    asked = questions(make, bikes)
    for name, by in bikes.cast().items():
        if name == "banned":
            assert api.post(PATH, asked, by=by).status == 403
            continue
        # What guests may read is as of the last look at the site: one may fall between the two.
        for _ in range(3):
            answers = api.post(PATH, asked, site=bikes, by=by).data
            alone = [
                api.get(f"/api/v1/permission?{urlencode(one)}", site=bikes, by=by).data
                for one in asked
            ]
            if answers == alone:
                break
        assert answers == alone, name


def test_many_cost_what_one_costs_and_foreign_ones_what_none_cost(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    asked = (questions(make, bikes) * 3)[:100]
    api.get("/api/v1/microcosms", by=bikes.member)
    assert api.post(PATH, asked[1:2], by=bikes.member).statements == 2
    assert api.post(PATH, asked, by=bikes.member).statements == 2
    foreign = [one for one in questions(make, trains) if one.get("itemId", NEVER) != NEVER]
    never = [one | {"itemId": NEVER} for one in foreign]
    for by in (bikes.member, bikes.owner, None):
        theirs, none = (api.post(PATH, sent, site=bikes, by=by) for sent in (foreign, never))
        assert (theirs.body, theirs.statements) == (none.body, none.statements)


@pytest.mark.parametrize(
    ("sent", "place", "code"),
    [
        ([], "body", 4),
        ([{}] * 101, "body", 4),
        ([{}, {"itemType": "zebra"}], "[1].itemType", 0),
        ([{"itemId": -1}], "[0].itemId", 4),
        ([{"microcosmId": -1}], "[0].microcosmId", 4),
        ([{"itemId": "5"}], "[0].itemId", 3),
    ],
)
def test_a_bad_question_is_named(api: Api, bikes: Site, sent: Any, place: str, code: int) -> None:
    refused = api.post(PATH, sent, by=bikes.member)

    assert (refused.status, refused.code) == (400, code)
    assert refused.error.startswith(place)
