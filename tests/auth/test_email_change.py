"""Changing one's e-mail address: proved by a code to the new one, and the old one is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_string, policy

import pyotp
import pytest

from forumapi.models.people import email_change
from tests.api import Response
from tests.auth.test_email_code import ask, code_of
from tests.factories import Person
from tests.stage import Stage, new_address, staged

PATH = "/auth/email"


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("email-change")) as made:
        yield made


@pytest.fixture
def me(stage: Stage) -> Person:
    return stage.make.person(stage.site)


def mails_to(stage: Stage, address: str) -> list[str]:
    return [mail for mail in stage.mails() if f"To: {address}\n" in mail]


def code_for(stage: Stage, address: str) -> str:
    found = re.search(r"^ +(\d{8})$", mails_to(stage, address)[-1], re.MULTILINE)
    assert found is not None
    return found[1]


def change(stage: Stage, me: Person, code: str, **more: str) -> Response:
    return stage.put(PATH, {"code": code, **more}, by=me)


@pytest.mark.wide
def test_a_person_changes_their_address(stage: Stage, me: Person) -> None:
    new = f"new.{me.email}"
    other = stage.make.token(me)
    assert stage.get(PATH, by=me).data == {"email": me.email}
    asked = stage.post(PATH, {"email": f" {new} "}, by=me)
    assert (asked.status, asked.data) == (200, None)
    assert stage.get(PATH, by=me).data == {"email": me.email}

    code = code_for(stage, new)
    assert change(stage, me, code).status == 200

    assert stage.get("/whoami", by=me).data["email"] == new
    assert "another e-mail address" in mails_to(stage, me.email)[-1]
    # Sessions elsewhere end; the new address signs in to the same account, the old one to another.
    assert stage.get("/whoami", token=other).status == 401
    for address, is_same in ((new, True), (me.email, False)):
        ip = new_address()
        ask(stage, address, ip)
        token = ask(stage, address, ip, code=code_of(stage, address)).data
        assert (stage.get("/whoami", token=token).data["id"] == me.id) is is_same
    assert change(stage, me, code).status == 400


def test_a_wrong_code_changes_nothing_and_tries_are_few(stage: Stage, me: Person) -> None:
    new = f"new.{me.email}"
    stage.post(PATH, {"email": new}, by=me)
    code = code_for(stage, new)
    wrong = "00000000" if code != "00000000" else "11111111"
    for _ in range(email_change.TRIES):
        refused = change(stage, me, wrong)
        assert (refused.status, refused.error) == (400, "code: is wrong, used or expired")
    assert change(stage, me, code).status == 400
    # Somebody else's code is none, and only the newest counts.
    other = stage.make.person(stage.site)
    stage.post(PATH, {"email": new}, by=me)
    first = code_for(stage, new)
    assert change(stage, other, first).status == 400
    stage.post(PATH, {"email": f"newer.{me.email}"}, by=me)
    assert change(stage, me, first).status == 400
    assert stage.get("/whoami", by=me).data["email"] == me.email


def test_an_address_of_somebody_else_is_not_told_and_not_given(stage: Stage, me: Person) -> None:
    other = stage.make.person(stage.site)
    taken = stage.post(PATH, {"email": other.email.upper()}, by=me)
    free = stage.post(PATH, {"email": f"free.{me.email}"}, by=me)
    assert (taken.status, taken.body) == (free.status, free.body)
    assert taken.statements == free.statements
    stage.post(PATH, {"email": other.email}, by=me)
    mail = mails_to(stage, other.email)[-1]
    assert "have an account already" in mail
    parts = [
        part.get_content()
        for part in message_from_string(mail, policy=policy.default).walk()
        if part.get_content_maintype() == "text"
    ]
    assert len(parts) == 2 and not any(re.search(r"\d{8}", part) for part in parts)
    # Where somebody took it meanwhile, the code is worth nothing.
    late = f"late.{me.email}"
    stage.post(PATH, {"email": late}, by=me)
    stage.make.user(late)
    assert change(stage, me, code_for(stage, late)).status == 409
    assert stage.get("/whoami", by=me).data["email"] == me.email


def test_the_second_factor_is_asked_for_too(stage: Stage, me: Person) -> None:
    secret = stage.post("/auth/totp", by=me).data["secret"]
    codes = stage.put("/auth/totp", {"code": pyotp.TOTP(secret).now()}, by=me).data["recoveryCodes"]
    new = f"new.{me.email}"
    stage.post(PATH, {"email": new}, by=me)
    code = code_for(stage, new)
    for more in ({}, {"secondFactor": "000000"}):
        refused = change(stage, me, code, **more)
        assert refused.status == 400
        assert refused.error.startswith("secondFactor: ")
    assert change(stage, me, code, secondFactor=codes[0]).status == 200
    assert stage.get("/whoami", by=me).data["email"] == new


def test_another_spelling_of_ones_own_address_is_a_change(stage: Stage) -> None:
    me = stage.make.person(stage.site)
    stage.sql(
        """UPDATE users SET email = %(e)s, person_key = %(e)s, canonical_email = %(e)s
            WHERE user_id = %(u)s RETURNING 1""",
        e=f"m{me.id}x@gmail.com",
        u=me.user_id,
    )
    new = f"M.{me.id}.x@gmail.com"
    stage.post(PATH, {"email": new}, by=me)
    assert change(stage, me, code_for(stage, new)).status == 200
    assert stage.get("/whoami", by=me).data["email"] == new


def test_roles_follow_the_address(stage: Stage, me: Person) -> None:
    site = stage.site
    role = stage.make.role(site, site.root_id, "Staff", moderator=True)
    stage.make.criterion(role, "email", "substr", f"staff.{me.email}")
    chat = stage.make.conversation(site, by=site.member)
    assert "moderator" not in stage.can_on(me, chat)
    new = f"staff.{me.email}"
    stage.post(PATH, {"email": new}, by=me)
    change(stage, me, code_for(stage, new))
    assert "moderator" in stage.can_on(me, chat)


@pytest.mark.parametrize("email", ["", "nonsense", "a@b", None])
def test_what_is_no_address_is_refused(stage: Stage, me: Person, email: str | None) -> None:
    refused = stage.post(PATH, {"email": email}, by=me)
    assert (refused.status, refused.error.partition(":")[0]) == (400, "email")
    assert stage.post(PATH, {"email": me.email}, by=me).status == 400
    assert stage.post(PATH, {"email": "a@b.example"}, site=stage.site).status == 403
