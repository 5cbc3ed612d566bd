"""A provider that a site's owner set up names whom it likes: it opens no huddles of before (decision 9)."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email import policy

import pytest

from tests.auth.forger import Forger, forging
from tests.auth.test_openid import set_up, sign_in
from tests.factories import Person, Thing
from tests.stage import Stage


@pytest.fixture
def forger() -> Iterator[Forger]:
    """A provider that does what a test wants."""
    with forging() as made:
        yield made


@pytest.fixture
def victim(stage: Stage) -> Person:
    """A member of a site of the test's own, who signed in with what the platform vouches for."""
    return stage.make.person(stage.make.site())


def as_the_provider_says(stage: Stage, forger: Forger, person: Person) -> str:
    """The token of a sign-in as somebody through the provider that the site's owner set up."""
    set_up(stage, forger, person.site)
    forger.claims = {"email": person.email}
    answer = sign_in(stage, forger, site=person.site)
    assert answer.status == 200, answer.body
    return str(answer.data)


def mails(stage: Stage, person: Person) -> list[str]:
    """Texts of the mails that lead a person to their huddles."""
    found = []
    for text in stage.mails():
        letter = email.message_from_string(text, policy=policy.default)
        body = letter.get_body(("plain",))
        if letter["To"] == person.email and body is not None:
            found.append(str(body.get_content()))
    return [text for text in found if "/auth/huddles" in text]


def sees(stage: Stage, person: Person, token: str, huddle: Thing) -> bool:
    """Return if a huddle is there, and listed, for a token of the person."""
    shown = stage.get(f"/huddles/{huddle.id}", token=token, site=person.site).status
    listed = stage.get("/huddles", token=token, site=person.site).data["huddles"]["items"]
    assert (shown == 200) == any(one["id"] == huddle.id for one in listed)
    return shown == 200


def test_an_owners_provider_opens_no_huddle_that_was_there_before(
    stage: Stage, forger: Forger, victim: Person
) -> None:
    friend = stage.make.person(victim.site)
    huddle = stage.huddle(victim, friend)
    comment = stage.make.comment(huddle, by=friend, markdown="Between the two of us only")

    token = as_the_provider_says(stage, forger, victim)

    assert not sees(stage, victim, token, huddle)
    assert sees(stage, victim, victim.token, huddle)
    site = victim.site
    assert stage.get(f"/comments/{comment.id}", token=token, site=site).status in (403, 404)
    found = stage.get("/search?q=between", token=token, site=site).data
    assert found["results"]["total"] == 0
    sent = {"itemType": "huddle", "itemId": huddle.id, "markdown": "It is me"}
    assert stage.post("/comments", sent, token=token, site=site).status in (403, 404)
    refused = stage.post("/huddles", {"title": "New"}, token=token, site=site)
    assert refused.status == 403
    assert "confirm" in refused.error.lower()
    # Everything else is theirs as ever.
    assert stage.get("/whoami", token=token, site=site).status == 200


@pytest.mark.wide
def test_they_are_told_by_mail_and_confirm_once(
    stage: Stage, forger: Forger, victim: Person
) -> None:
    huddle = stage.huddle(victim, stage.make.person(victim.site))
    token = as_the_provider_says(stage, forger, victim)
    as_the_provider_says(stage, forger, victim)

    (text,) = mails(stage, victim)
    found = re.search(r"https?://[^/\s]+(/auth/huddles\?code=\S+)", text)
    assert found is not None, text
    page = stage.page("GET", found[1], victim.site)
    assert (page.status, b"<button" in page.body) == (200, True)
    # Whoever only follows links confirms nothing.
    assert not sees(stage, victim, token, huddle)
    assert stage.page("POST", found[1], victim.site).status == 200
    assert sees(stage, victim, token, huddle)
    assert sees(stage, victim, as_the_provider_says(stage, forger, victim), huddle)
    assert len(mails(stage, victim)) == 1


@pytest.mark.parametrize("broken", ["", "?code=", "?code=1.1.AAAAAAAAAAAAAAAAAAAAAA", "?code=x"])
def test_a_link_that_is_not_whole_confirms_nothing(
    stage: Stage, forger: Forger, victim: Person, broken: str
) -> None:
    huddle = stage.huddle(victim, stage.make.person(victim.site))
    token = as_the_provider_says(stage, forger, victim)
    for method in ("GET", "POST"):
        assert stage.page(method, f"/auth/huddles{broken}", victim.site).status == 400
    assert not sees(stage, victim, token, huddle)


@pytest.mark.wide
def test_the_link_of_one_site_confirms_nothing_on_another(
    stage: Stage, forger: Forger, victim: Person
) -> None:
    other = stage.make.site()
    as_the_provider_says(stage, forger, victim)
    (text,) = mails(stage, victim)
    found = re.search(r"(/auth/huddles\?code=\S+)", text)
    assert found is not None
    assert stage.page("POST", found[1], other).status == 400


def test_a_token_of_the_older_method_confirms_and_one_of_the_providers_does_not(
    stage: Stage, forger: Forger, victim: Person
) -> None:
    huddle = stage.huddle(victim, stage.make.person(victim.site))
    token = as_the_provider_says(stage, forger, victim)
    site = victim.site

    assert stage.put("/auth/huddles", None, token=token, site=site).status == 403
    assert not sees(stage, victim, token, huddle)
    assert stage.put("/auth/huddles", None, by=victim).status == 200
    assert sees(stage, victim, token, huddle)
    assert stage.put("/auth/huddles", None, site=site).status == 403


def test_whoever_never_used_another_method_has_huddles_at_once(
    stage: Stage, forger: Forger
) -> None:
    site = stage.make.site()
    set_up(stage, forger, site)
    forger.claims = {"email": f"new@{site.key}.test"}
    token = sign_in(stage, forger, site=site).data

    made = stage.post("/huddles", {"title": "Mine"}, token=token, site=site)

    assert made.status == 302
    assert stage.get(made.location.removeprefix("/api/v1"), token=token, site=site).status == 200
    assert (
        stage.sql("SELECT 1 FROM mail_outbox WHERE recipient = %(e)s", e=f"new@{site.key}.test")
        == []
    )


def test_the_person_who_comes_after_the_provider_shuts_it_out(stage: Stage, forger: Forger) -> None:
    """A provider may name somebody before they ever came; what they begin themselves is not its to read."""
    site = stage.make.site()
    set_up(stage, forger, site)
    person = stage.make.person(stage.make.site())
    forger.claims = {"email": person.email}
    token = sign_in(stage, forger, site=site).data

    made = stage.post("/huddles", {"title": "Mine"}, token=person.token, site=site)

    assert made.status == 302
    address = made.location.removeprefix("/api/v1")
    assert stage.get(address, token=person.token, site=site).status == 200
    assert stage.get(address, token=token, site=site).status in (403, 404)


def test_a_key_is_worth_what_the_token_was_that_made_it(
    stage: Stage, forger: Forger, victim: Person
) -> None:
    huddle = stage.huddle(victim, stage.make.person(victim.site))
    token = as_the_provider_says(stage, forger, victim)
    sent = {"name": "Mine", "scopes": ["huddles:read"]}
    site = victim.site

    keys = [
        stage.post("/keys", sent, token=one, site=site).data["secret"]
        for one in (token, victim.token)
    ]

    assert [sees(stage, victim, key, huddle) for key in keys] == [False, True]
