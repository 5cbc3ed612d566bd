"""History of one thing: what was done to it, in the words of what an action changes; and the time limit of appeals."""

from __future__ import annotations

import datetime

import pytest

from tests.api import Api
from tests.factories import Factory, Site
from tests.handlers.trust.test_walk import act, done


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def test_what_was_done_to_a_thing_is_listed(api: Api, make: Factory, site: Site) -> None:
    first, second = make.comments(make.conversation(site), 2)
    hidden = done(act(api, site.moderator, "hide", first, second))
    shown = done(act(api, site.owner, "show", first))
    done(act(api, site.moderator, "delete", second, dryRun=True))
    path = f"/api/v1/actions?itemType=comment&itemId={first.id}"

    def ids(query: str = "") -> list[int]:
        answer = api.get(path + query, by=site.moderator)
        assert answer.status == 200, answer.body
        return [one["id"] for one in answer.data["actions"]["items"]]

    assert ids() == [shown["id"], hidden["id"]]
    assert ids(f"&before={shown['id']}") == [hidden["id"]]
    assert ids()[0] not in [
        one["id"]
        for one in api.get(
            f"/api/v1/actions?itemType=comment&itemId={second.id}", by=site.moderator
        ).data["actions"]["items"]
    ]


def test_nobody_but_moderators_reads_what_was_done(api: Api, make: Factory, site: Site) -> None:
    own = make.comment(make.conversation(site), by=site.moderator)
    done(act(api, site.owner, "hide", own))
    path = f"/api/v1/actions?itemType=comment&itemId={own.id}"

    assert len(api.get(path, by=site.owner).data["actions"]["items"]) == 1
    # Not even a moderator of what concerns themselves.
    assert api.get(path, by=site.moderator).data["actions"]["items"] == []
    assert api.get(path, by=site.member).status == 403
    assert api.get(path, by=make.site().owner).data["actions"]["items"] == []


@pytest.mark.parametrize("query", ["itemType=comment", "itemId=1", "itemType=huddle&itemId=1"])
def test_a_thing_is_named_by_both(api: Api, site: Site, query: str) -> None:
    answer = api.get(f"/api/v1/actions?{query}", by=site.moderator)

    assert answer.status == 400


def test_a_dry_run_shows_the_words(api: Api, make: Factory, site: Site) -> None:
    talk = make.conversation(site, title="Lamps & locks")
    comment = make.comment(talk, markdown="Buy **my** wheels" + "!" * 300)
    targets = done(act(api, site.moderator, "hide", talk, comment, dryRun=True))["targets"]

    texts = {one["itemType"]: one["text"] for one in targets}
    assert texts["conversation"] == "Lamps & locks"
    assert texts["comment"] == ("Buy **my** wheels" + "!" * 300)[:200]
    warned = act(
        api,
        site.moderator,
        "warn",
        targets=[{"itemType": "profile", "itemId": site.member.id}],
        microcosmId=site.root_id,
        dryRun=True,
    )
    assert done(warned)["targets"][0]["text"] == site.member.name


def test_a_statement_says_until_when_and_leads_to_its_appeal(
    api: Api, make: Factory, site: Site
) -> None:
    comment = make.comment(make.conversation(site))
    _, statement = make.action(comment)
    path = f"/api/v1/statements/{statement}"
    before = api.get(path, by=site.member).data
    applied = datetime.datetime.fromisoformat(before["applied"])
    until = datetime.datetime.fromisoformat(before["appealUntil"])

    assert 180 < (until - applied).days < 185
    assert [link["rel"] for link in before["meta"]["links"]] == ["self"]
    appeal = make.appeal(statement, site.member)
    links = {
        link["rel"]: link["href"] for link in api.get(path, by=site.member).data["meta"]["links"]
    }
    assert links["appeal"] == f"/api/v1/appeals/{appeal}"
