"""Own profile: name, picture, text."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.api import Api
from tests.factories import Factory, Site
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Page, Visitor


@step("member changes their name")
def test_a_member_changes_their_name(hand: Hand, bikes: Site, make: Factory) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes, "/account/profile/")

    hand.fill("Your name here", bikes.owner.name)
    hand.press("Save")
    hand.see("This name can’t be had")
    hand.fill("Your name here", f"{person.name}x")
    hand.press("Save")

    hand.see(f"{person.name}x")
    assert hand.path == f"profiles/{person.id}/"


@step("member writes about themselves")
def test_a_member_writes_about_themselves(hand: Hand, bikes: Site, make: Factory) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)

    for text in ("I ride a *steel* frame.", "I ride two frames."):
        hand.go(bikes, "/account/profile/")
        hand.fill("About you", text)
        hand.press("Save")
        hand.see(text.replace("*", ""))
    hand.see_no("steel")


@step("member uploads an avatar")
def test_a_member_uploads_an_avatar(
    hand: Hand, bikes: Site, make: Factory, api_there: Api, tmp_path: Path
) -> None:
    person = make.person(bikes)
    path = tmp_path / "me.png"
    path.write_bytes(picture())
    hand.sign_in(bikes, person)
    hand.go(bikes, "/account/profile/")

    hand.upload("Another picture", str(path))
    hand.press("Save")

    hand.see(person.name)
    avatar = api_there.get("/api/v1/whoami", by=person).data["avatar"]
    assert not avatar.startswith("/api/v1/files/profile-")
    assert hand.find(f'main img[src="{avatar}"]').get_property("naturalWidth") == 512


def picture() -> bytes:
    """A picture of 800 by 600 pixels that no other test has."""
    image = Image.effect_noise((800, 600), 50)
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


# ---------------------------------------------------------------- without a browser


def test_the_profile_of_another_is_not_edited(visitor: Visitor, bikes: Site) -> None:
    member = visitor.of(bikes, bikes.member)
    assert member.get(f"/profiles/{bikes.member.id}/edit/").location == "/account/profile/"
    assert member.get(f"/profiles/{bikes.owner.id}/edit/").status == 403
    assert visitor.of(bikes).get("/account/profile/").location.startswith("/login/")


@pytest.mark.parametrize(("name", "data"), [("a.txt", b"No picture"), ("a.png", b"Nor this")])
def test_what_is_no_picture_is_refused(
    visitor: Visitor, bikes: Site, make: Factory, api_there: Api, name: str, data: bytes
) -> None:
    person = make.person(bikes)
    member = visitor.of(bikes, person)
    page = upload(member, name, data, {"profileName": person.name, "markdown": "Kept <b>"})
    assert page.status == 400
    assert page.field("/account/profile/", "markdown") == "Kept <b>"
    avatar = api_there.get("/api/v1/whoami", by=person).data["avatar"]
    assert avatar.startswith("/api/v1/files/profile-")


def upload(member: Visitor, name: str, data: bytes, form: dict[str, str]) -> Page:
    """Send the form of the profile with a file."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in form.items()
    ]
    head = f'--x\r\nContent-Disposition: form-data; name="picture"; filename="{name}"\r\n\r\n'
    body = b"".join([*parts, head.encode(), data, b"\r\n--x--\r\n"])
    headers = {
        "Origin": f"http://{member.host}",
        "Content-Type": "multipart/form-data; boundary=x",
    }
    return member.request("POST", "/account/profile/", body, headers)


def test_a_text_by_another_on_the_profile_is_not_ones_own(
    visitor: Visitor, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    make.comment(person, by=bikes.owner, markdown="Hello you")
    member = visitor.of(bikes, person)
    page = member.get("/account/profile/")
    assert page.field("/account/profile/", "markdown") == ""
    member.post("/account/profile/", {"profileName": person.name, "markdown": "Mine"})
    said = api_there.get("/api/v1/whoami", by=person).data["profileComment"]
    assert said["markdown"] == "Mine"


@pytest.mark.wide
def test_whoever_has_chosen_no_name_is_asked_for_one(
    visitor: Visitor, bikes: Site, make: Factory
) -> None:
    given = visitor.of(bikes, make.person(bikes, "user471199"))
    thread = f"/conversations/{make.conversation(bikes).id}/"

    assert "You are called user471199 here" in given.get("/").text
    assert "You are called user471199 here" in given.get(thread).text
    assert "You are called" not in visitor.of(bikes, bikes.member).get(thread).text
    assert "You are called" not in visitor.of(bikes, bikes.member).get("/").text
    assert "an e-mail address is enough" in visitor.of(bikes).get("/").text
    answer = given.post("/account/profile/", {"profileName": bikes.owner.name, "markdown": ""})
    assert answer.status == 400
    assert "This name can’t be had" in answer.text
