"""Passkeys: added, listed, renamed, deleted by their owner; signing in; every answer of a device that is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from forumapi.auth import sign_in
from forumapi.auth.backends import Verified
from forumapi.models.access import passkey
from tests.api import Response
from tests.auth.authenticator import PRESENT, Authenticator
from tests.factories import Person, Site
from tests.stage import Stage, new_address, staged


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A platform below a domain that browsers take for passkeys."""
    folder = tmp_path_factory.mktemp("stage")
    with staged(database_url, folder, platform_domain="forum.test") as made:
        yield made


def origin(stage: Stage, site: Site) -> str:
    """Return where the pages of a site are."""
    return str(stage.get("/site", site=site).data["siteURL"])


def offered(stage: Stage, by: Person, **how: Any) -> dict[str, Any]:
    """The first step of adding a passkey."""
    answer = stage.post("/auth/passkeys/begin", by=by, **how)
    assert answer.status == 200, answer.body
    return dict(answer.data)


def add(stage: Stage, by: Person, device: Authenticator, name: str = "Phone") -> Response:
    """Both steps."""
    begun = offered(stage, by)
    credential = device.create(begun["publicKey"], origin(stage, by.site))
    body = {"flow": begun["flow"], "credential": credential, "name": name}
    return stage.post("/auth/passkeys", body, by=by)


def begin(stage: Stage, site: Site) -> dict[str, Any]:
    """The first step of signing in."""
    answer = stage.post("/auth/begin", {"method": "passkey"}, site=site, ip=new_address())
    assert answer.status == 200, answer.body
    return dict(answer.data)


def finish(stage: Stage, site: Site, flow: str, credential: Any) -> Response:
    """The last step."""
    body = {"method": "passkey", "flow": flow, "credential": credential}
    return stage.post("/auth", body, site=site, ip=new_address())


def sign_in_with(stage: Stage, site: Site, device: Authenticator, **bent: Any) -> Response:
    """Both steps."""
    begun = begin(stage, site)
    page = bent.pop("origin", None) or origin(stage, site)
    return finish(stage, site, begun["flow"], device.get(begun["publicKey"], page, **bent))


@pytest.fixture
def person(stage: Stage) -> Person:
    """Somebody without passkeys."""
    return stage.make.person(stage.site)


@pytest.fixture
def device(stage: Stage, person: Person) -> Authenticator:
    """A passkey of that person."""
    made = Authenticator()
    answer = add(stage, person, made)
    assert answer.status == 302, answer.body
    return made


@pytest.mark.wide
def test_a_passkey_signs_in(stage: Stage, person: Person, device: Authenticator) -> None:
    for _ in range(2):
        answer = sign_in_with(stage, stage.site, device)
        assert answer.status == 200, answer.body
        assert stage.get("/whoami", token=answer.data).data["id"] == person.id
    listed = stage.get("/auth/passkeys", by=person).data["passkeys"]
    assert listed[0]["lastUsed"] >= listed[0]["created"]


def test_it_signs_in_on_every_site_of_the_platform(
    stage: Stage, person: Person, device: Authenticator
) -> None:
    other = stage.make.site()
    answer = sign_in_with(stage, other, device)
    assert stage.get("/whoami", token=answer.data, site=other).data["userId"] == person.user_id
    assert stage.get("/whoami", token=answer.data).status == 200


def test_below_a_name_without_a_dot_each_site_has_its_own(
    database_url: str, tmp_path: Path
) -> None:
    with staged(database_url, tmp_path, platform_domain="localhost") as local:
        device = Authenticator()
        assert add(local, local.make.person(local.site), device).status == 302
        begun = begin(local, local.site)
        assert begun["publicKey"]["rpId"] == local.site.host
        assert sign_in_with(local, local.site, device).status == 200
        assert sign_in_with(local, local.make.site(), device).status == 401


def test_it_is_listed_renamed_and_deleted_by_its_owner_alone(
    stage: Stage, person: Person, device: Authenticator
) -> None:
    (shown,) = stage.get("/auth/passkeys", by=person).data["passkeys"]
    assert (shown["name"], shown["domain"], shown["lastUsed"]) == ("Phone", "forum.test", None)
    path = f"/auth/passkeys/{shown['id']}"
    assert stage.get(path, by=person).data == shown

    for method, body in (("GET", None), ("PUT", {"name": "Mine"}), ("DELETE", None)):
        assert stage.request(method, path, body).status == 403
        for by in (stage.site.owner, stage.site.moderator):
            assert stage.request(method, path, body, by=by).status == 404

    assert stage.put(path, {"name": " My laptop <b>"}, by=person).status == 302
    assert stage.get(path, by=person).data["name"] == "My laptop"
    assert stage.put(path, {"name": "MY KEY"}, by=person).status == 302
    assert stage.get(path, by=person).data["name"] == "MY KEY"
    assert stage.put(path, {"name": "x" * 100}, by=person).status == 302
    for bad in ("", " ", "x" * 101):
        assert stage.put(path, {"name": bad}, by=person).status == 400
    assert stage.request("DELETE", path, by=person).status == 200
    assert stage.get("/auth/passkeys", by=person).data["passkeys"] == []
    assert sign_in_with(stage, stage.site, device).status == 401
    assert stage.request("DELETE", path, by=person).status == 404


def test_its_owner_is_told_by_mail(stage: Stage, person: Person, device: Authenticator) -> None:
    mine = [mail for mail in stage.mails() if f"To: {person.email}\n" in mail]
    assert any("The passkey Phone was added" in mail for mail in mine)


def test_a_device_is_not_asked_to_make_a_second_one(
    stage: Stage, person: Person, device: Authenticator
) -> None:
    begun = offered(stage, person)
    assert len(begun["publicKey"]["excludeCredentials"]) == 1
    answer = add(stage, person, device)
    assert (answer.status, answer.error) == (400, "credential: is registered already")
    # Nor does somebody else get at it by knowing its id.
    assert add(stage, stage.make.person(stage.site), device).status == 400


def test_there_are_at_most_twenty(stage: Stage, person: Person) -> None:
    for number in range(passkey.MAX):
        stage.sql(
            """INSERT INTO passkeys (user_id, credential_id, rp_id, public_key, name)
               VALUES (%(u)s, %(c)s, 'forum.test', 'x', 'y')""",
            u=person.user_id,
            c=f"{person.user_id} {number}".encode(),
        )
    assert add(stage, person, Authenticator()).status == 400


# ---------------------------------------------------------------- refused


BENT: dict[str, Callable[[Stage, Authenticator], dict[str, Any]]] = {
    "of another page": lambda stage, device: {"origin": "https://evil.test"},
    "of another page of the platform": lambda stage, device: {
        "origin": origin(stage, stage.make.site())
    },
    "for another domain": lambda stage, device: {"rp_id": "evil.test"},
    "of another kind": lambda stage, device: {"kind": "webauthn.create"},
    "to another question": lambda stage, device: {"challenge": "AAAA"},
}


@pytest.mark.parametrize("name", BENT)
def test_an_answer_is_refused(stage: Stage, device: Authenticator, name: str) -> None:
    bent = BENT[name](stage, device)
    answer = sign_in_with(stage, stage.site, device, **bent)
    assert (answer.status, answer.json()["data"]) == (401, None)
    assert sign_in_with(stage, stage.site, device).status == 200


@pytest.mark.parametrize("name", [name for name in BENT if name != "to another question"])
def test_a_passkey_that_was_made_elsewhere_is_refused(
    stage: Stage, person: Person, name: str
) -> None:
    device = Authenticator()
    bent = BENT[name](stage, device)
    if "kind" in bent:
        bent["kind"] = "webauthn.get"
    begun = offered(stage, person)
    page = bent.pop("origin", None) or origin(stage, stage.site)
    credential = device.create(begun["publicKey"], page, **bent)
    body = {"flow": begun["flow"], "credential": credential, "name": "x"}
    answer = stage.post("/auth/passkeys", body, by=person)
    assert (answer.status, answer.error) == (400, "credential: is not what was asked for")


def test_a_device_that_does_not_know_who_holds_it_is_refused(
    stage: Stage, person: Person, device: Authenticator
) -> None:
    for flags in (0, PRESENT):
        device.flags = flags
        assert sign_in_with(stage, stage.site, device).status == 401
        careless = Authenticator()
        careless.flags = flags
        assert add(stage, person, careless).status == 400


def test_an_answer_is_good_once(stage: Stage, device: Authenticator) -> None:
    begun = begin(stage, stage.site)
    credential = device.get(begun["publicKey"], origin(stage, stage.site))
    assert finish(stage, stage.site, begun["flow"], credential).status == 200
    assert finish(stage, stage.site, begun["flow"], credential).status == 401
    # Nor in another flow.
    again = begin(stage, stage.site)
    assert finish(stage, stage.site, again["flow"], credential).status == 401


def test_of_the_same_answer_at_once_one_counts(stage: Stage, device: Authenticator) -> None:
    begun = begin(stage, stage.site)
    credential = device.get(begun["publicKey"], origin(stage, stage.site))
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(
            lambda _: finish(stage, stage.site, begun["flow"], credential).status, range(4)
        )
    assert sorted(answers) == [200, 401, 401, 401]


def test_a_copy_of_a_device_is_noticed_by_its_counter(stage: Stage, device: Authenticator) -> None:
    assert sign_in_with(stage, stage.site, device).status == 200
    device.count -= 1
    assert sign_in_with(stage, stage.site, device).status == 401


def test_another_key_under_the_same_id_is_refused(stage: Stage, device: Authenticator) -> None:
    thief = Authenticator()
    thief.credential_id, thief.count = device.credential_id, 100
    assert sign_in_with(stage, stage.site, thief).status == 401


def test_a_flow_of_one_site_or_person_is_no_good_for_another(
    stage: Stage, person: Person, device: Authenticator
) -> None:
    other = stage.make.site()
    begun = begin(stage, other)
    credential = device.get(begun["publicKey"], origin(stage, stage.site))
    assert finish(stage, stage.site, begun["flow"], credential).status == 401
    theirs = offered(stage, stage.site.member)
    made = Authenticator().create(theirs["publicKey"], origin(stage, stage.site))
    body = {"flow": theirs["flow"], "credential": made, "name": "x"}
    assert stage.post("/auth/passkeys", body, by=person).status == 400


NONSENSE: list[Any] = [
    {},
    {"id": "x"},
    {"rawId": 7},
    {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}},
    {"id": "AAAA", "rawId": "AAAA", "type": "x", "response": {"clientDataJSON": "AAAA"}},
]


@pytest.mark.wide
def test_nonsense_is_refused(stage: Stage, person: Person, device: Authenticator) -> None:
    good = begin(stage, stage.site)
    credential = device.get(good["publicKey"], origin(stage, stage.site))
    wrong = list(NONSENSE)
    for part in credential["response"]:
        for value in ("", "AAAA", "!", "é", 7, None, "A" * 3000):
            wrong.append(credential | {"response": credential["response"] | {part: value}})
    for one in wrong:
        begun = begin(stage, stage.site)
        assert finish(stage, stage.site, begun["flow"], one).status == 401, one
    begun = offered(stage, person)
    made = Authenticator().create(begun["publicKey"], origin(stage, stage.site))
    wrong = list(NONSENSE)
    for part in made["response"]:
        for value in ("", "AAAA", "oA", "v2Nmb28", "9_", 7, None, "A" * 3000):
            wrong.append(made | {"response": made["response"] | {part: value}})
    for one in wrong:
        begun = offered(stage, person)
        body = {"flow": begun["flow"], "credential": one, "name": "x"}
        assert stage.post("/auth/passkeys", body, by=person).status == 400, one


# ---------------------------------------------------------------- whose pages


def test_a_site_with_a_domain_of_its_own_has_passkeys_of_its_own(stage: Stage) -> None:
    site, other = stage.make.site(), stage.make.site()
    stage.sql(
        "UPDATE sites SET domain = %(d)s, force_ssl = true, version = version + 1 WHERE site_id = %(s)s",
        s=site.id,
        d=f"{site.key}.club.test",
    )
    stage.app.sites.forget(site.id)
    person, device = stage.make.person(site), Authenticator()
    begun = offered(stage, person)
    assert begun["publicKey"]["rp"]["id"] == f"{site.key}.club.test"
    assert add(stage, person, device).status == 302

    token = sign_in_with(stage, site, device).data

    assert stage.get("/whoami", token=token, site=site).status == 200
    # The owner runs those pages: what happens there proves nothing elsewhere.
    assert stage.get("/whoami", token=token, site=other).status == 401
    assert sign_in_with(stage, other, device).status == 401


def test_a_token_of_one_site_does_not_get_at_what_counts_everywhere(
    stage: Stage, person: Person
) -> None:
    app = stage.app
    site = app.sites.by_host(stage.site.host, app.database.read())
    limited = Verified(person.email, is_platforms=False)
    token = sign_in.complete(app.database, app.config, site, limited, "")
    assert stage.get("/whoami", token=token).status == 200
    for method, path in (
        ("GET", "/auth/passkeys"),
        ("GET", "/auth/totp"),
        ("POST", "/auth/totp"),
        ("POST", "/auth/passkeys/begin"),
        ("DELETE", "/auth/passkeys/1"),
    ):
        assert stage.request(method, path, token=token).status == 403, path
    assert stage.put("/auth/totp", {"code": "000000"}, token=token).status == 403
