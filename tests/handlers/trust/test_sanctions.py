"""Warning, silencing and banning within microcosms: who may do it to whom, and what it takes away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def keeper_of(make: Factory, place: Thing) -> Person:
    """A moderator of one microcosm."""
    made = make.person(place.site)
    role = make.role(
        place.site, place.id, "Keep", moderator=True, rights=("create", "read", "update")
    )
    make.join(role, made)
    return made


def act(
    api: Api, by: Person, kind: str, whom: Person, place: Thing | None, **more: Any
) -> Response:
    sent = {
        "kind": kind,
        "reason": "Please calm down",
        "targets": [{"itemType": "profile", "itemId": whom.id}],
        **({"microcosmId": place.id} if place else {}),
        **more,
    }
    return api.request("POST", "/api/v1/actions", by=by, json=sent)


def done(answer: Response) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    data: dict[str, Any] = answer.data
    assert data["counts"]["done"] + data["counts"]["undone"] == 1, data
    return data


def comment(api: Api, chat: Thing, by: Person) -> int:
    sent = {"itemType": "conversation", "itemId": chat.id, "markdown": f"Text of {by.name}"}
    return api.post("/api/v1/comments", sent, by=by).status


def test_silence_takes_writing_in_a_microcosm_and_below_until_it_is_undone(
    api: Api, make: Factory, site: Site
) -> None:
    place, other = make.microcosm(site), make.microcosm(site)
    below = make.microcosm(site, parent=place)
    keeper = keeper_of(make, place)
    chats = [make.conversation(site, microcosm=one) for one in (place, below, other)]
    mine = make.comment(chats[0])
    action = done(act(api, keeper, "silence", site.member, place))

    assert [comment(api, chat, site.member) for chat in chats] == [403, 403, 302]
    new = {"microcosmId": place.id, "title": "Hear me"}
    assert api.post("/api/v1/conversations", new, by=site.member).status == 403
    edit = {"markdown": "Changed"}
    assert api.request("PUT", mine.path, by=site.member, json=edit).status == 403
    # Reading and deleting what is one's own stay; and so do others.
    can = api.get(chats[0].path, by=site.member).data["meta"]["permissions"]
    assert (can["read"], can["create"], can["update"]) == (True, False, False)
    assert comment(api, chats[0], site.newcomer) == 302
    assert api.request("DELETE", mine.path, by=site.member).status == 200

    (stated,) = api.get("/api/v1/statements", by=site.member).data["statements"]["items"]
    assert (stated["action"], stated["microcosmId"]) == ("silence", place.id)
    assert stated["decision"] == "DECISION_PROVISION_PARTIAL_TERMINATION"
    done(api.post(f"/api/v1/actions/{action['id']}/undo", {}, by=keeper))
    assert comment(api, chats[0], site.member) == 302


def test_a_ban_shuts_out_of_a_microcosm_alone(api: Api, make: Factory, site: Site) -> None:
    place, other = make.microcosm(site), make.microcosm(site)
    keeper = keeper_of(make, place)
    chats = [make.conversation(site, microcosm=one, by=site.owner) for one in (place, other)]
    done(act(api, keeper, "ban", site.member, place))

    assert [api.get(chat.path, by=site.member).status for chat in chats] == [403, 200]
    found = api.get("/api/v1/conversations?limit=250", by=site.member).data["conversations"]
    ids = [one["id"] for one in found["items"]]
    assert chats[0].id not in ids
    assert chats[1].id in ids
    assert api.get(chats[0].path, by=site.newcomer).status == 200


def test_a_sanction_ends_by_itself(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site)
    chat = make.conversation(site, microcosm=place)
    done(act(api, site.owner, "silence", site.member, place, ends="2999-01-01T00:00:00Z"))
    assert comment(api, chat, site.member) == 403
    make.sql(
        """WITH over AS (
               UPDATE sanctions SET ends = now() - interval '1 second' WHERE site_id = %(s)s)
           UPDATE profiles SET next_change_at = now() WHERE site_id = %(s)s AND next_change_at > now()
           RETURNING 1""",
        s=site.id,
    )
    assert comment(api, chat, site.member) == 302


def test_nobody_does_it_to_the_owner_to_peers_or_elsewhere(
    api: Api, make: Factory, site: Site
) -> None:
    place, other = make.microcosm(site), make.microcosm(site)
    keeper, peer = keeper_of(make, place), keeper_of(make, place)
    for kind in ("warn", "silence", "ban"):
        for whom in (site.owner, site.moderator, peer):
            assert act(api, keeper, kind, whom, place).status == 403
        assert act(api, keeper, kind, site.member, other).status == 403
        assert act(api, keeper, kind, site.member, None).status == 400
        assert act(api, keeper, kind, keeper, place).status == 400
        assert act(api, site.member, kind, site.newcomer, place).status == 403
    done(act(api, site.owner, "silence", peer, place))
    done(act(api, keeper, "warn", site.member, place))
    assert act(api, keeper, "warn", site.member, place, ends="2999-01-01T00:00:00Z").status == 400


def test_the_owner_bans_from_the_site_and_takes_it_back(
    api: Api, make: Factory, site: Site
) -> None:
    action = done(act(api, site.owner, "ban", site.member, None))
    assert api.get("/api/v1/profiles", by=site.member).status == 403
    again = act(api, site.owner, "ban", site.member, None)
    assert again.data["counts"]["unchanged"] == 1
    done(api.post(f"/api/v1/actions/{action['id']}/undo", {}, by=site.owner))
    assert api.get("/api/v1/profiles", by=site.member).status == 200
