"""Audit of moderators' actions: an entry for each thing, with the true actor, the verb and the action; undo as well."""

from __future__ import annotations

from typing import Any

import pytest

from forumapi.models.journal import audit_page
from forumapi.models.trust.action_kinds import KINDS
from tests.api import Api
from tests.factories import Factory, Site
from tests.models.journal.chains import chain, verify


@pytest.fixture
def site(make: Factory) -> Site:
    """A site whose audit is that of one test."""
    return make.site()


def entries(api: Api, site: Site) -> list[Any]:
    """The moderator's entries, oldest first, but for the one of their own profile."""
    answer = api.get(f"/api/v1/site/audit?actor={site.moderator.id}&limit=250", by=site.owner)
    return [one for one in reversed(answer.data["entries"]["items"]) if "detail" in one]


def test_each_thing_of_an_action_and_of_its_undo_has_an_entry(
    api: Api, make: Factory, site: Site, database_url: str
) -> None:
    chat = make.conversation(site, by=site.member)
    comments = [make.comment(chat, by=site.member).id for _ in range(12)]
    sent = {
        "kind": "hide",
        "targets": [{"itemType": "comment", "itemId": id} for id in comments],
        "ground": "terms",
        "rule": "Rule 3",
        "reason": "Spam",
    }
    action = api.post("/api/v1/actions", sent, by=site.moderator)
    assert action.status == 200, action.body
    id = action.data["id"]
    undone = api.post(f"/api/v1/actions/{id}/undo", {}, by=site.moderator)
    assert undone.status < 400, undone.body
    chain(make, database_url, site)

    found = entries(api, site)

    assert [(one["itemId"], one["subject"]["id"]) for one in found] == [
        (id, site.member.id) for id in [*comments, *reversed(comments)]
    ]
    assert [one["detail"] for one in found] == [
        {"verb": verb, "reason": "Spam", "ground": "Rule 3", "action": id}
        for verb in ["hide"] * 12 + ["undo hide"] * 12
    ]
    # Those concerned read what, and not who.
    own = api.get("/api/v1/audit/me", by=site.member).data["entries"]["items"]
    assert own[0]["detail"] == {"verb": "undo hide", "reason": "Spam", "ground": "Rule 3"}
    assert verify(make, site).faults == []


def test_a_warning_is_an_entry(api: Api, make: Factory, site: Site, database_url: str) -> None:
    sent = {
        "kind": "warn",
        "targets": [{"itemType": "profile", "itemId": site.member.id}],
        "ground": "terms",
        "microcosmId": site.root_id,
        "reason": "Please calm down",
    }
    answer = api.post("/api/v1/actions", sent, by=site.moderator)
    assert answer.status == 200, answer.body
    chain(make, database_url, site)

    (one,) = entries(api, site)
    assert (one["itemType"], one["itemId"], one["detail"]["verb"]) == (
        "profile",
        site.member.id,
        "warn",
    )


def test_people_are_shown_actions_of_every_kind() -> None:
    assert set(KINDS) <= set(audit_page.VERBS)
