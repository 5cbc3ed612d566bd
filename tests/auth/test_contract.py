"""Tests of what every back end must keep to, whoever writes it: asked of each one that is registered, over the API
alone."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from forumapi.auth import backend_list
from forumapi.auth.backends import Backend, Setting
from forumapi.errors import Invalid
from tests.stage import Stage, new_address

assert backend_list.__all__
NAMES = sorted(Backend.found)
LISTED = [name for name in NAMES if Backend.found[name].is_listed]
SECRET = "a-secret-that-nobody-may-see"

JUNK: list[dict[str, Any]] = [
    {},
    {"email": "", "code": "", "flow": "", "state": ""},
    {"email": "nobody", "code": "x" * 5000, "flow": "x" * 5000, "state": "é\u2028"},
    {"flow": "x", "credential": {}},
    {"flow": "x", "credential": {"id": 1, "rawId": [], "response": {"a": None}, "type": "x"}},
    {"Assertion": "x", "ClientSecret": "y"},
    {"email": "a@b.test", "code": "00000000"},
]


def values(backend: type[Backend]) -> dict[str, Any]:
    """Something for each setting; addresses where nobody answers."""
    made: dict[str, Any] = {
        "text": "something",
        "secret": SECRET,
        "url": "http://127.0.0.1:9/",
        "urls": ["https://pages.test/login"],
    }
    return {one.name: made[one.kind] for one in backend.settings}


@pytest.mark.parametrize("name", NAMES)
def test_it_says_who_it_is(name: str) -> None:
    backend = Backend.found[name]
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,30}", name)
    assert backend.name == name
    assert backend.title or not backend.is_listed
    assert len({one.name for one in backend.settings}) == len(backend.settings)
    for one in backend.settings:
        assert one.text.endswith("."), one
        # What reads like a secret is one.
        assert ("secret" in one.name.lower()) == (one.kind == "secret"), one


@pytest.mark.parametrize("name", NAMES)
def test_nonsense_signs_nobody_in(stage: Stage, name: str) -> None:
    site = stage.make.site()
    backend = Backend.found[name]
    if backend.settings:
        body = {"enabled": True, "settings": values(backend)}
        assert stage.put(f"/site/auth/{name}", body, by=site.owner).status == 302
    users = stage.sql("SELECT count(*) FROM users")
    for junk in JUNK:
        if name == "development" and junk.get("email") == "a@b.test":
            continue
        answer = stage.post("/auth", {"method": name, **junk}, site=site, ip=new_address())
        told = (answer.status, answer.body)
        # The code by mail is sent to whoever asks: that is its first step.
        if not (name == "email-code" and answer.status == 200):
            assert answer.status in (400, 401, 501, 502), told
        assert answer.json()["data"] is None, told
    assert stage.sql("SELECT count(*) FROM users") == users


@pytest.mark.parametrize("name", NAMES)
def test_it_begins_or_says_that_it_does_not(stage: Stage, name: str) -> None:
    site = stage.make.site()
    answer = stage.post("/auth/begin", {"method": name}, site=site, ip=new_address())
    assert answer.status in (200, 400, 501), answer.body
    if answer.status == 200:
        assert len(answer.data["flow"]) >= 40


@pytest.mark.parametrize("name", LISTED)
def test_it_is_listed_while_it_is_switched_on_and_set_up(stage: Stage, name: str) -> None:
    site = stage.make.site()
    backend = Backend.found[name]

    def listed() -> bool:
        shown = stage.get("/auth/methods", site=site).data["methods"]
        return name in [one["method"] for one in shown]

    needed = any(one.is_required for one in backend.settings)
    if needed:
        assert not listed()
        assert stage.post("/auth", {"method": name}, site=site).status == 501
    body = {"enabled": True, "settings": values(backend)}
    assert stage.put(f"/site/auth/{name}", body, by=site.owner).status == 302
    assert listed()
    assert stage.put(f"/site/auth/{name}", {"enabled": False}, by=site.owner).status == 302
    assert not listed()
    refused = stage.post("/auth", {"method": name}, site=site)
    assert (refused.status, refused.json()["data"]) == (501, None)
    assert stage.post("/auth/begin", {"method": name}, site=site).status == 501


@pytest.mark.parametrize("name", LISTED)
def test_its_secrets_are_written_and_never_read_back(
    stage: Stage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = stage.make.site()
    backend = Backend.found[name]
    caplog.set_level(logging.DEBUG)
    body: dict[str, Any] = {"enabled": True, "settings": values(backend)}
    put = stage.put(f"/site/auth/{name}", body, by=site.owner)
    secrets = [one.name for one in backend.settings if one.kind == "secret"]

    shown = stage.get(f"/site/auth/{name}", by=site.owner)

    assert put.location == f"/api/v1/site/auth/{name}"
    assert shown.data["secrets"] == secrets
    assert shown.data["settings"] == {
        key: value for key, value in body["settings"].items() if key not in secrets
    }
    seen = [put, shown]
    seen += [stage.get(path, by=site.owner) for path in ("/site/auth", "/auth/methods", "/site")]
    seen.append(stage.post("/auth/begin", {"method": name}, site=site, ip=new_address()))
    sent = {"method": name, "flow": "x", "code": "y", "state": "z", "email": "x"}
    seen.append(stage.post("/auth", sent, site=site, ip=new_address()))
    for answer in seen:
        assert SECRET.encode() not in answer.body
        assert SECRET not in str(dict(answer.headers))
    assert SECRET not in caplog.text


@pytest.mark.parametrize("name", LISTED)
def test_bad_settings_are_refused_by_name(stage: Stage, name: str) -> None:
    owner = stage.site.owner
    bad: dict[str, list[Any]] = {
        "text": [1, ["x"], {}, "x" * 2001, "a\nb"],
        "secret": [1, "x" * 2001, "a\x07b"],
        "url": ["nonsense", "javascript:alert(1)", "http://u:p@h/", 7, "http://h/#x", "http://["],
        "urls": ["http://h/", [1], ["nonsense"], ["https://h/"] * 11],
    }
    for one in Backend.found[name].settings:
        for value in bad[one.kind]:
            body = {"settings": {one.name: value}}
            answer = stage.put(f"/site/auth/{name}", body, by=owner)
            assert answer.status == 400, (one, value)
            assert answer.error.startswith(f"settings.{one.name}"), answer.error
    answer = stage.put(f"/site/auth/{name}", {"settings": {"surprise": "x"}}, by=owner)
    assert answer.status == 400
    assert stage.get(f"/site/auth/{name}", by=owner).data["own"] is False


def test_a_setting_may_be_cleared() -> None:
    assert Setting("x", "X.").checked("", "x") == ""
    assert Setting("x", "X.", "url").checked("", "x") == ""
    assert Setting("x", "X.", "urls").checked([], "x") == []
    with pytest.raises(Invalid):
        Setting("x", "X.", "urls").checked([""], "x")


def test_a_back_end_needs_a_name_of_its_own() -> None:
    with pytest.raises(TypeError):

        class Nameless(Backend):
            pass

    with pytest.raises(TypeError):

        class Twice(Backend):
            name = "openid"

    class Shared(Backend, is_abstract=True):
        pass

    assert Shared not in Backend.found.values()
