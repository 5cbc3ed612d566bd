"""Marks of what agents write, wherever it is shown; and a person's own level of agents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from forumapi import itemtypes
from forumapi.agents import tools
from tests.agents.stage import ask, call, data_of, key, let_in
from tests.factories import Person, Site
from tests.stage import Stage, staged

AGENTS = "/agents"


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("marks")) as made:
        yield made


@pytest.fixture(scope="module")
def site(stage: Stage) -> Site:
    made = stage.make.site()
    let_in(stage, made, "write")
    return made


@pytest.fixture(scope="module")
def person(stage: Stage, site: Site) -> Person:
    return stage.make.person(site)


@pytest.fixture(scope="module")
def token(stage: Stage, site: Site, person: Person) -> str:
    return key(stage, person)


def marked(meta: dict[str, Any]) -> bool:
    """True for a `meta` that says an agent wrote the thing. The mark is true or absent, never false."""
    assert meta.get("byAgent", True) is True
    return "byAgent" in meta


def test_what_an_agent_writes_is_marked_in_every_document(
    stage: Stage, site: Site, person: Person, token: str
) -> None:
    forum = stage.make.microcosm(site)
    begun = data_of(
        call(
            *(stage, site, token, "create_conversation"),
            microcosmId=forum.id,
            title="Begun by quixotic machinery",
        )
    )
    where = {"itemType": "conversation", "itemId": begun["id"]}
    own = stage.post("/comments", {**where, "markdown": "My own quixotic words"}, by=person)
    theirs = data_of(
        call(stage, site, token, "create_comment", **where, markdown="Its quixotic machinery")
    )
    answered = stage.post(
        "/comments", {**where, "markdown": "So?", "inReplyTo": theirs["id"]}, by=site.member
    )
    others = stage.make.conversation(site, microcosm=forum)

    assert marked(begun["meta"]) and marked(theirs["meta"])
    for by in (None, person, site.member, site.moderator):
        read = {"site": site, "by": by}
        shown = stage.get(f"/conversations/{begun['id']}", **read).data
        assert marked(shown["meta"])
        marks = [marked(one["meta"]) for one in shown["comments"]["items"]]
        assert marks == [False, True, False]
        assert marked(stage.get(f"/comments/{theirs['id']}", **read).data["meta"])
        reply = stage.get(answered.location.removeprefix("/api/v1"), **read).data
        assert not marked(reply["meta"]) and marked(reply["meta"]["inReplyTo"]["meta"])
        assert not marked(stage.get(own.location.removeprefix("/api/v1"), **read).data["meta"])

        listed = stage.get(f"/conversations?microcosmId={forum.id}", **read).data
        by_id = {one["id"]: one["meta"] for one in listed["conversations"]["items"]}
        assert marked(by_id[begun["id"]]) and not marked(by_id[others.id])
        there = stage.get(f"/microcosms/{forum.id}", **read).data["items"]["items"]
        by_id = {one["item"]["id"]: one["item"]["meta"] for one in there}
        assert marked(by_id[begun["id"]]) and not marked(by_id[others.id])
        found = stage.get("/search?q=quixotic", **read).data["results"]["items"]
        hits = {(one["itemType"], marked(one["item"]["meta"])) for one in found}
        assert hits == {("conversation", True), ("comment", True), ("comment", False)}


def test_no_change_takes_the_mark_away(
    stage: Stage, site: Site, person: Person, token: str
) -> None:
    talk = stage.make.conversation(site)
    where = {"itemType": "conversation", "itemId": talk.id}
    made = data_of(call(stage, site, token, "create_comment", **where, markdown="First"))
    path = f"/comments/{made['id']}"

    assert stage.put(path, {"markdown": "Second"}, by=person).status == 302
    assert marked(stage.get(path, by=person).data["meta"])
    # The same words by the person are the agent's comment still: a repetition writes nothing.
    assert stage.put(path, {"markdown": "First"}, by=person).status == 302
    again = stage.post("/comments", {**where, "markdown": "First"}, by=person)
    assert again.location == f"/api/v1{path}"


def test_a_draft_says_who_saved_it_last_and_what_a_person_publishes_is_theirs(
    stage: Stage, site: Site, person: Person, token: str
) -> None:
    talk = stage.make.conversation(site)
    path = f"/conversations/{talk.id}/draft"
    place = {"itemType": "conversation", "id": talk.id}
    call(stage, site, token, "save_draft", **place, content={"markdown": "Perhaps"})
    kept = stage.get(path, by=person)
    assert marked(kept.data["meta"])
    assert [marked(one["meta"]) for one in stage.get("/drafts", by=person).data["drafts"]["items"]]

    body = {"content": {"markdown": "Surely"}, "version": 1}
    assert stage.put(path, body, by=person).status == 302
    saved = stage.get(path, by=person)
    assert not marked(saved.data["meta"])
    assert saved.headers["ETag"] != kept.headers["ETag"]
    call(stage, site, token, "save_draft", **place, content={"markdown": "Then"}, version=2)
    assert marked(stage.get(path, by=person).data["meta"])

    sent = {"itemType": "conversation", "itemId": talk.id, "markdown": "Then"}
    made = stage.post("/comments", sent, by=person)
    assert not marked(stage.get(made.location.removeprefix("/api/v1"), by=person).data["meta"])


def test_no_client_marks_a_thing_itself(stage: Stage, site: Site, person: Person) -> None:
    talk = stage.make.conversation(site)
    sent = {
        "itemType": "conversation",
        "itemId": talk.id,
        "markdown": "Mine",
        "byAgent": True,
        "meta": {"byAgent": True},
    }
    made = stage.post("/comments", sent, by=person)

    assert not marked(stage.get(made.location.removeprefix("/api/v1"), by=person).data["meta"])


# ---------------------------------------------------------------- a person's own level


def test_the_lower_level_of_site_and_person_is_in_force(stage: Stage) -> None:
    site = stage.make.site()
    person = stage.make.person(site)
    token, others = key(stage, person), key(stage, site.member)
    talk = stage.make.conversation(site)
    sent = {"itemType": "conversation", "itemId": talk.id, "markdown": "x"}

    def levels() -> tuple[str, str, str]:
        found = stage.get(AGENTS, by=person).data
        return found["site"], found["own"], found["inForce"]

    def shown(by: str = token) -> set[str]:
        found = ask(stage, site, by, "tools/list").json()["result"]["tools"]
        return {tool["name"] for tool in found}

    assert levels() == ("off", "write", "off")
    let_in(stage, site, "draft")
    assert levels() == ("draft", "write", "draft")
    assert "save_draft" in shown() and "create_comment" not in shown()

    answer = stage.put(AGENTS, {"own": "read"}, by=person)
    assert (answer.status, answer.location) == (302, "/api/v1/agents")
    assert levels() == ("draft", "read", "read")
    assert "get_conversation" in shown() and "save_draft" not in shown()
    refused = call(stage, site, token, "create_comment", **sent)["structuredContent"]
    assert refused["error"] == {"code": "level_too_low"}
    let_in(stage, site, "write")
    assert levels() == ("write", "read", "read")
    assert call(stage, site, token, "create_comment", **sent)["isError"] is True
    # Nobody else's agents are held back.
    assert {"save_draft", "create_comment"} <= shown(others)

    assert stage.put(AGENTS, {"own": "off"}, by=person).status == 302
    for method in ("tools/list", "resources/list", "server/discover"):
        assert ask(stage, site, token, method).status == 403
    uri = f"{stage.config.scheme}://{site.host}{stage.config.port_suffix}/api/v1/microcosms/tree"
    assert ask(stage, site, token, "resources/read", {"uri": uri}).status == 403
    assert ask(stage, site, others, "tools/list").status == 200
    assert stage.put(AGENTS, {"own": "write"}, by=person).status == 302
    assert call(stage, site, token, "create_comment", **sent).get("isError") is None


def test_a_level_is_set_by_its_person_with_a_whole_token_alone(stage: Stage, site: Site) -> None:
    every = ["profile:write", "profile:read", "profiles:write"]
    limited = key(stage, site.newcomer, every, agents=False)
    agent = key(stage, site.newcomer)

    assert stage.get(AGENTS, site=site).status == 403
    assert stage.put(AGENTS, {"own": "off"}, site=site).status == 403
    assert stage.put(AGENTS, {"own": "off"}, site=site, token=limited).code == 25
    assert stage.put(AGENTS, {"own": "off"}, site=site, token=agent).status == 401
    for body in ({}, {"own": "all"}, {"own": ""}, {"own": None}, {"own": 1}, {"own": ["off"]}):
        assert stage.put(AGENTS, body, by=site.newcomer).status == 400, body
    assert stage.get(AGENTS, by=site.newcomer).data["own"] == "write"
    assert stage.put(AGENTS, {"own": "draft"}, by=site.newcomer).status == 302
    audited = stage.sql(
        """SELECT action FROM audit_log WHERE site_id = %(s)s AND profile_id = %(p)s AND item_type_id = %(t)s
            ORDER BY audit_id DESC LIMIT 1""",
        s=site.id,
        p=site.newcomer.id,
        t=itemtypes.AUTH,
    )
    assert audited == [("R",)]


def test_a_profile_without_options_gets_those_in_force(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)
    key_of = {"s": site.id, "p": person.id}
    stage.sql(
        "DELETE FROM profile_options WHERE site_id = %(s)s AND profile_id = %(p)s RETURNING 1",
        **key_of,
    )
    before = stage.get("/profiles/options", by=person).data
    token = key(stage, person)
    assert ask(stage, site, token, "tools/list").status == 200

    assert stage.put(AGENTS, {"own": "off"}, by=person).status == 302
    assert stage.get("/profiles/options", by=person).data == before
    assert ask(stage, site, token, "tools/list").status == 403


def test_levels_are_in_one_order() -> None:
    for at, low in enumerate(tools.LEVELS):
        for high in tools.LEVELS[at:]:
            assert tools.lower(low, high) == tools.lower(high, low) == low
