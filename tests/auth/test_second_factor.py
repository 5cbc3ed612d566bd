"""The second factor: set up, asked for, used once, lost and found; and sites that demand it of those who moderate."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest

from forumapi.auth import second_factor, sign_in_flow
from forumapi.auth.backends import Verified
from forumapi.models.access import totp
from forumapi.models.access.access_token import AccessToken
from forumapi.models.access.operator_application import OperatorApplication
from tests.api import Response
from tests.factories import Person, Site
from tests.stage import Stage, new_address


def develop(stage: Stage, person: Person, **how: str) -> Response:
    """The first factor."""
    body = {"method": "development", "email": person.email}
    return stage.post("/auth", body, site=person.site, ip=new_address(), **how)


def bring(stage: Stage, site: Site, flow: str, code: str) -> Response:
    """The second."""
    body = {"method": "second-factor", "flow": flow, "code": code}
    return stage.post("/auth", body, site=site, ip=new_address())


class App:
    """An app for one-time codes, with a clock that can be wound on, since no code counts twice."""

    def __init__(self, stage: Stage, person: Person, secret: str) -> None:
        self.stage, self.person, self.secret = stage, person, secret

    def code(self, steps: int = 0) -> str:
        """The code of now, or of some half minutes from now."""
        return pyotp.TOTP(self.secret).at(int(time.time()) + steps * totp.STEP_S)

    def fresh(self) -> str:
        """A code that counts: the steps that were used are forgotten."""
        self.stage.sql(
            "UPDATE one_time_secrets SET last_step = 0 WHERE user_id = %(u)s", u=self.person.user_id
        )
        return self.code()


@pytest.fixture
def person(stage: Stage) -> Person:
    """Somebody without a second factor."""
    return stage.make.person(stage.site)


def set_up(stage: Stage, person: Person) -> tuple[App, list[str]]:
    """The app and the recovery codes of somebody who sets a second factor up."""
    begun = stage.post("/auth/totp", by=person)
    assert begun.status == 200, begun.body
    app = App(stage, person, begun.data["secret"])
    confirmed = stage.put("/auth/totp", {"code": app.code()}, by=person)
    assert confirmed.status == 200, confirmed.body
    return app, confirmed.data["recoveryCodes"]


def test_it_is_on_once_a_code_shows_that_the_app_has_the_secret(
    stage: Stage, person: Person
) -> None:
    assert stage.get("/auth/totp", by=person).data == {
        "enabled": False,
        "since": None,
        "recoveryCodes": 0,
    }
    begun = stage.post("/auth/totp", by=person).data
    assert begun["uri"].startswith("otpauth://totp/")
    assert f"secret={begun['secret']}" in begun["uri"]
    assert not stage.get("/auth/totp", by=person).data["enabled"]
    assert isinstance(develop(stage, person).data, str), "not asked for yet"
    wrong = stage.put("/auth/totp", {"code": "000000"}, by=person)
    assert (wrong.status, wrong.error) == (400, "code: is wrong, used or expired")

    codes = stage.put(
        "/auth/totp", {"code": App(stage, person, begun["secret"]).code()}, by=person
    ).data["recoveryCodes"]

    assert len(set(codes)) == 10
    shown = stage.get("/auth/totp", by=person).data
    assert (shown["enabled"], shown["recoveryCodes"]) == (True, 10)
    assert stage.post("/auth/totp", by=person).status == 409


def test_nothing_readable_is_kept_of_recovery_codes(stage: Stage, person: Person) -> None:
    _, codes = set_up(stage, person)
    rows = stage.sql("SELECT r::text FROM recovery_codes r WHERE user_id = %(u)s", u=person.user_id)
    assert not any(code[:9] in row[0] for row in rows for code in codes)


def test_signing_in_asks_for_the_code_and_then_gives_the_token(
    stage: Stage, person: Person
) -> None:
    app, _ = set_up(stage, person)

    first = develop(stage, person)

    assert (first.status, first.data["secondFactor"]) == (200, True)
    assert stage.get("/whoami", token=first.data["flow"]).status == 401
    answer = bring(stage, stage.site, first.data["flow"], app.fresh())
    assert answer.status == 200
    assert stage.get("/whoami", token=answer.data).data["id"] == person.id
    # A flow is good once, even with another code that counts.
    assert bring(stage, stage.site, first.data["flow"], app.fresh()).status == 401


def test_a_code_counts_once_and_so_does_an_older_one(stage: Stage, person: Person) -> None:
    app, _ = set_up(stage, person)
    one, two = (develop(stage, person).data["flow"] for _ in range(2))
    code = app.fresh()
    assert bring(stage, stage.site, one, code).status == 200
    assert bring(stage, stage.site, two, code).status == 401
    assert bring(stage, stage.site, two, app.code(-1)).status == 401
    assert bring(stage, stage.site, two, app.code(1)).status == 200


def test_codes_of_other_times_do_not_count(stage: Stage, person: Person) -> None:
    app, _ = set_up(stage, person)
    app.fresh()
    flow = develop(stage, person).data["flow"]
    for steps in (-3, 3, 100):
        assert bring(stage, stage.site, flow, app.code(steps)).status == 401


def test_of_the_same_code_at_once_one_counts(stage: Stage, person: Person) -> None:
    app, _ = set_up(stage, person)
    flows_ = [develop(stage, person).data["flow"] for _ in range(4)]
    code = app.fresh()
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda flow: bring(stage, stage.site, flow, code).status, flows_)
    assert sorted(answers) == [200, 401, 401, 401]


def test_a_recovery_code_counts_once(stage: Stage, person: Person) -> None:
    _, codes = set_up(stage, person)
    one, two = (develop(stage, person).data["flow"] for _ in range(2))
    assert bring(stage, stage.site, one, f" {codes[0].upper()} ").status == 200
    assert bring(stage, stage.site, two, codes[0]).status == 401
    assert bring(stage, stage.site, two, codes[1]).status == 200
    assert stage.get("/auth/totp", by=person).data["recoveryCodes"] == 8


def test_recovery_codes_of_somebody_else_do_not_count(stage: Stage, person: Person) -> None:
    set_up(stage, person)
    _, theirs = set_up(stage, stage.make.person(stage.site))
    flow = develop(stage, person).data["flow"]
    assert bring(stage, stage.site, flow, theirs[0]).status == 401


def test_a_flow_has_five_tries(stage: Stage, person: Person) -> None:
    app, _ = set_up(stage, person)
    flow = develop(stage, person).data["flow"]
    for _ in range(sign_in_flow.TRIES):
        assert bring(stage, stage.site, flow, "000000").status == 401
    assert bring(stage, stage.site, flow, app.fresh()).status == 401


@pytest.mark.usefixtures("within_one_hour")
def test_a_person_has_ten_tries_an_hour_in_all_flows_together(stage: Stage, person: Person) -> None:
    app, _ = set_up(stage, person)
    stage.sql(
        "UPDATE attempt_counters SET attempts = %(n)s WHERE kind = %(k)s AND subject = %(u)s",
        n=totp.TRIES_PER_USER.most,
        k=totp.TRIES_PER_USER.kind,
        u=str(person.user_id),
    )
    flow = develop(stage, person).data["flow"]
    assert bring(stage, stage.site, flow, app.fresh()).status == 429
    assert stage.request("DELETE", "/auth/totp", {"code": app.fresh()}, by=person).status == 429
    renew = stage.post("/auth/totp/recovery", {"code": app.fresh()}, by=person)
    assert renew.status == 429


@pytest.mark.usefixtures("within_one_hour")
def test_a_site_that_lets_anybody_in_uses_up_nobodys_tries(stage: Stage, person: Person) -> None:
    app, _ = set_up(stage, person)
    site = stage.app.sites.by_host(stage.site.host, stage.app.database.read())
    claimed = Verified(person.email, is_platforms=False)
    for _ in range(3):
        with stage.app.database.write() as tx:
            flow = second_factor.begin(tx, site.id, person.user_id, claimed)
        told = [bring(stage, stage.site, flow, "000000").status for _ in range(sign_in_flow.TRIES)]
    assert told == [429] * sign_in_flow.TRIES
    mine = develop(stage, person).data["flow"]
    assert bring(stage, stage.site, mine, app.fresh()).status == 200


@pytest.mark.usefixtures("within_one_hour")
def test_wrong_codes_of_somebody_who_is_signed_in_are_counted(stage: Stage, person: Person) -> None:
    set_up(stage, person)
    tries = [
        stage.request("DELETE", "/auth/totp", {"code": "000000"}, by=person).status
        for _ in range(totp.TRIES_PER_USER.most)
    ]
    assert tries == [400] * 9 + [429], "the first was to switch it on"


def test_a_flow_is_of_one_site(stage: Stage, person: Person) -> None:
    app, _ = set_up(stage, person)
    flow = develop(stage, person).data["flow"]
    other = stage.make.site()
    assert bring(stage, other, flow, app.fresh()).status == 401
    assert bring(stage, stage.site, flow, app.fresh()).status == 200


def test_it_goes_with_a_code_and_not_without(stage: Stage, person: Person) -> None:
    app, codes = set_up(stage, person)
    for body in ({}, {"code": ""}, {"code": "000000"}):
        assert stage.request("DELETE", "/auth/totp", body, by=person).status == 400
    renewed = stage.post("/auth/totp/recovery", {"code": app.fresh()}, by=person)
    assert len(renewed.data["recoveryCodes"]) == 10
    gone = stage.request("DELETE", "/auth/totp", {"code": codes[0]}, by=person)
    assert gone.status == 400, "the old recovery codes went with the new ones"
    code = renewed.data["recoveryCodes"][0]
    assert stage.request("DELETE", "/auth/totp", {"code": code}, by=person).status == 200
    assert isinstance(develop(stage, person).data, str)
    assert stage.sql("SELECT 1 FROM recovery_codes WHERE user_id = %(u)s", u=person.user_id) == []


def test_tokens_that_were_made_without_it_end_with_its_beginning(
    stage: Stage, person: Person
) -> None:
    with stage.app.database.write() as tx:
        other = AccessToken.insert_session(tx, person.user_id, name="old")
    assert stage.get("/whoami", token=other).status == 200
    set_up(stage, person)
    assert stage.get("/whoami", token=other).status == 401
    assert stage.get("/whoami", by=person).status == 200


def test_a_client_that_names_no_method_is_refused_rather_than_misled(stage: Stage) -> None:
    # What it would take for a token is null.
    person = stage.make.person(stage.site)
    set_up(stage, person)
    with stage.app.database.write() as tx:
        secret = OperatorApplication.insert(tx, "old client")[1]
    assert secret
    answer = stage.post("/auth", {"Assertion": "x", "ClientSecret": secret})
    assert answer.json()["data"] is None


# ---------------------------------------------------------------- demanded


@pytest.fixture
def strict(stage: Stage) -> Site:
    """A site of its own, to be made strict."""
    return stage.make.site()


def demand(stage: Stage, site: Site, wanted: bool = True) -> None:
    """The site demands a second factor."""
    stage.sql(
        "UPDATE sites SET needs_second_factor = %(w)s WHERE site_id = %(s)s", w=wanted, s=site.id
    )


def test_whoever_has_none_moderates_nothing_where_it_is_demanded(
    stage: Stage, strict: Site
) -> None:
    owner, moderator = strict.owner, strict.moderator
    place = stage.make.microcosm(strict)
    chat = stage.make.conversation(strict, microcosm=place, by=strict.member)
    before = {one.id: stage.can_on(one, chat) for one in (owner, moderator, strict.member)}
    assert "moderator" in before[owner.id]
    assert "moderator" in before[moderator.id]

    _, recovery = set_up(stage, owner)
    answer = stage.put("/site/auth", {"secondFactor": True}, by=owner)
    assert (answer.status, answer.location) == (302, "/api/v1/site/auth")
    # Who demands it has it, and may take it away afterwards.
    switched_off = stage.request("DELETE", "/auth/totp", {"code": recovery[0]}, by=owner)
    assert switched_off.status == 200

    for one in (owner, moderator):
        left = stage.can_on(one, chat).split()
        assert not {"moderator", "siteOwner", "delete"} & set(left), left
        assert "read" in left
    assert stage.can_on(strict.member, chat) == before[strict.member.id]
    # The rule can't be lifted, nor the site changed, without it.
    assert stage.put("/site/auth", {"secondFactor": False}, by=owner).status == 403
    assert stage.put("/site", {"title": "Mine"}, by=owner).status == 403
    flag = [{"op": "replace", "path": "/meta/flags/moderated", "value": True}]
    path = f"/conversations/{chat.id}"
    for one in (owner, moderator):
        assert stage.request("PATCH", path, flag, by=one).status == 403

    for one in (owner, moderator):
        set_up(stage, one)
        assert stage.can_on(one, chat) == before[one.id]
    assert stage.get("/site/auth", by=owner).data["secondFactor"] is True
    assert stage.put("/site/auth", {"secondFactor": False}, by=owner).status == 302


def test_a_hidden_place_is_hidden_from_a_moderator_without_it(stage: Stage, strict: Site) -> None:
    place = stage.make.microcosm(strict, by=strict.owner)
    chat = stage.make.conversation(strict, microcosm=place, by=strict.member)
    stage.sql(
        "UPDATE items SET is_moderated = true WHERE site_id = %(s)s AND item_id = %(i)s",
        s=strict.id,
        i=chat.id,
    )
    path = f"/conversations/{chat.id}"
    assert stage.get(path, by=strict.moderator).status == 200
    demand(stage, strict)
    for one in (strict.owner, strict.moderator):
        assert stage.get(path, by=one).status == 404
    set_up(stage, strict.moderator)
    assert stage.get(path, by=strict.moderator).status == 200


def test_the_way_over_the_platforms_own_host_is_no_way_round(stage: Stage, strict: Site) -> None:
    owner = strict.owner
    demand(stage, strict)
    for method, path, body in (
        ("PUT", f"/sites/{strict.id}", {"title": "Mine"}),
        ("PUT", f"/sites/{strict.id}/menu", [{"href": "/x", "text": "X"}]),
        ("DELETE", f"/sites/{strict.id}/menu", None),
    ):
        answer = stage.request(method, path, body, by=owner, host="localhost")
        assert answer.status == 403, (method, path)
    set_up(stage, owner)
    answer = stage.put(f"/sites/{strict.id}", {"title": "Mine"}, by=owner, host="localhost")
    assert answer.status == 302


def test_other_sites_demand_nothing(stage: Stage, strict: Site) -> None:
    other = stage.make.site()
    demand(stage, strict)
    assert "siteOwner" in stage.can(other.owner, itemType="site", itemId=other.id)
