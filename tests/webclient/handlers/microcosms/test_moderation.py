"""Moderators at work: the queue, what may be done with one thing, and the forms of microcosms."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from urllib3.filepost import encode_multipart_formdata

from forumapi import itemtypes
from tests.factories import Factory, Site, Thing
from tests.files.pictures import png
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Page, Visitor


def _hide(visitor: Visitor, thing: Thing) -> None:
    """Hide a thing until a moderator approves it, as a moderator does."""
    page = visitor.of(thing.site, thing.site.moderator).post(
        thing.path.removeprefix("/api/v1") + "/moderate/", {"do": "hide"}
    )
    assert page.status == 303, page.text


@step("moderator sees what waits")
def test_a_moderator_sees_what_waits(hand: Hand, make: Factory, visitor: Visitor) -> None:
    site = make.site()
    conversation = make.conversation(site, title="Cheap & cheerful sunglasses")
    comment = make.comment(make.conversation(site), markdown="Buy **my** wheels")
    _hide(visitor, conversation)
    _hide(visitor, comment)
    hand.sign_in(site, site.moderator)

    hand.go(site, "/moderation/")

    hand.see("2 wait for you: 1 comment, 1 conversation.")
    hand.see("Cheap & cheerful sunglasses")
    hand.see("Buy my wheels")


@step("moderator approves a comment")
def test_a_moderator_approves_a_comment(hand: Hand, make: Factory, visitor: Visitor) -> None:
    site = make.site()
    conversation = make.conversation(site)
    _hide(visitor, make.comment(conversation, markdown="Patience"))
    hand.sign_in(site, site.moderator)
    hand.go(site, "/moderation/")

    hand.press("Approve")

    hand.see("Nothing waits for you.")
    assert "Patience" in visitor.of(site).get(f"/conversations/{conversation.id}/").text


@step("moderator pins a conversation")
def test_a_moderator_pins(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.moderator)
    hand.go(bikes, f"/conversations/{conversation.id}/")

    hand.press("Moderate", within="main")
    hand.press("Pin")
    hand.see("Your comment")
    hand.go(bikes, f"/conversations/{conversation.id}/moderate/")

    hand.see("Pinned")
    hand.press("Unpin")
    hand.see("Your comment")
    hand.go(bikes, f"/conversations/{conversation.id}/moderate/")
    hand.see_no("Pinned")


@pytest.mark.wide
@step("moderator closes a conversation")
def test_a_moderator_closes(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.moderator)
    hand.go(bikes, f"/conversations/{conversation.id}/moderate/")

    hand.press("Close")

    hand.see("Closed")
    hand.go(bikes, f"/conversations/{conversation.id}/moderate/")
    hand.press("Open again")
    hand.see("0 comments")
    hand.go(bikes, f"/conversations/{conversation.id}/")
    hand.see_no("Closed")


@step("moderator moves a conversation")
def test_a_moderator_moves(hand: Hand, bikes: Site, make: Factory) -> None:
    there = make.microcosm(bikes, f"Quiet & {hand.mode}")
    conversation = make.conversation(bikes, title="Too loud here")
    hand.sign_in(bikes, bikes.moderator)
    hand.go(bikes, f"/conversations/{conversation.id}/moderate/")

    hand.choose("Place", f"– Quiet & {hand.mode}")
    hand.press("Move it there")

    hand.see("Too loud here")
    assert hand.find(".crumbs").text.endswith(f"Quiet & {hand.mode}")
    hand.go(bikes, f"/microcosms/{there.id}/")
    hand.see("Too loud here")


@step("moderator deletes and restores a conversation")
def test_a_moderator_deletes_and_restores(
    hand: Hand, bikes: Site, make: Factory, visitor: Visitor
) -> None:
    conversation = make.conversation(bikes)
    path = f"/conversations/{conversation.id}/"
    hand.sign_in(bikes, bikes.moderator)
    hand.go(bikes, f"{path}moderate/")

    hand.press("Delete")

    hand.see("Deleted")
    assert visitor.of(bikes).get(path).status in (403, 404)
    hand.press("Restore")
    hand.gone("Deleted")
    assert visitor.of(bikes).get(path).status == 200


@pytest.mark.wide
@step("moderator edits a microcosm")
def test_a_moderator_edits_a_microcosm(hand: Hand, bikes: Site, make: Factory) -> None:
    place = make.microcosm(bikes, "Lamps")
    hand.sign_in(bikes, bikes.moderator)
    hand.go(bikes, f"/microcosms/{place.id}/edit/")

    hand.fill("Title", f"Lamps & {hand.mode}")
    hand.fill("Description", "Bright\nor dim")
    hand.press("Save")

    hand.see(f"Lamps & {hand.mode}")
    hand.see("Bright")


@step("owner creates a microcosm")
def test_an_owner_creates_a_microcosm(hand: Hand, bikes: Site, make: Factory) -> None:
    place = make.microcosm(bikes, f"Outer {hand.mode}")
    hand.sign_in(bikes, bikes.owner)
    hand.go(bikes, f"/microcosms/{place.id}/create/microcosm/")

    hand.fill("Title", f"Inner {hand.mode}")
    hand.fill("Description", "A place in a place")
    hand.press("Create the place")

    hand.see(f"Inner {hand.mode}")
    hand.see("A place in a place")
    assert f"Outer {hand.mode}" in hand.find(".crumbs").text


@pytest.mark.wide
def test_the_queue_pages_by_where_it_was(make: Factory, visitor: Visitor) -> None:
    site = make.site()
    for one in make.comments(make.conversation(site), 27):
        _hide(visitor, one)
    moderator = visitor.of(site, site.moderator)
    first = moderator.get("/moderation/")
    assert len(first.tree.css(".queue > li")) == 25

    second = moderator.get(first.find(".pages a[rel=next]").attributes["href"] or "")

    assert len(second.tree.css(".queue > li")) == 2
    back = second.find(".queue form input[name=next]").attributes["value"] or ""
    action = second.find(".queue form").attributes["action"] or ""
    page = moderator.post(action, {"do": "approve", "next": back})
    assert page.location.startswith(f"{back}&done=approve&")
    assert len(moderator.get(back).tree.css(".queue > li")) == 1


def test_a_comment_is_rejected_and_restored(make: Factory, bikes: Site, visitor: Visitor) -> None:
    comment = make.comment(make.conversation(bikes), markdown="Spam and eggs")
    path = f"/comments/{comment.id}/moderate/"
    moderator = visitor.of(bikes, bikes.moderator)

    gone = moderator.post(path, {"do": "delete"})

    assert gone.location.startswith(f"{path}?done=delete")
    page = moderator.get(path)
    assert "Deleted" in page.main and "Spam and eggs" in page.main
    assert moderator.post(path, {"do": "restore"}).location.startswith(f"{path}?done=restore")
    assert "Deleted" not in moderator.get(path).main


def _pressed(by: Visitor, page: Page) -> Page:
    """Press the button of the line that says what was done; return the page that it leads to."""
    form = page.find(".done form")
    fields = {
        one.attributes["name"] or "": one.attributes["value"] or ""
        for one in form.css("input, button")
    }
    # The proof in the form stands for the browser's Origin.
    answer = by.post(form.attributes["action"] or "", fields, origin=None)
    assert answer.status == 303, answer.main
    return by.get(answer.location)


@pytest.mark.parametrize(
    ("do", "said", "of"),
    [
        ("hide", "Hidden. Undo", "comment"),
        ("delete", "Deleted. Undo", "comment"),
        ("pin", "Pinned. Undo", "conversation"),
        ("close", "Closed. Undo", "conversation"),
    ],
)
def test_a_deed_is_said_and_undone(
    make: Factory, bikes: Site, visitor: Visitor, do: str, said: str, of: str
) -> None:
    conversation = make.conversation(bikes)
    thing = conversation if of == "conversation" else make.comment(conversation)
    path = f"/{of}s/{thing.id}/moderate/"
    moderator = visitor.of(bikes, bikes.moderator)

    page = moderator.get(moderator.post(path, {"do": do}).location)
    assert " ".join(page.find(".done").text().split()) == said
    undone = _pressed(moderator, page)

    assert undone.find(".done").text() == "Undone."
    kinds = {"close": "lock"}
    acted = make.sql(
        """
        SELECT a.kind, a.state
          FROM actions a
          JOIN action_changes c ON c.site_id = a.site_id AND c.action_id = a.action_id
         WHERE c.site_id = %(site)s AND c.item_id = %(id)s AND c.item_type_id = %(of)s""",
        site=bikes.id,
        id=thing.id,
        of=itemtypes.COMMENT if of == "comment" else itemtypes.CONVERSATION,
    )
    assert acted == [(kinds.get(do, do), "undone")]
    # The way back leads to a button whose work is done: nothing happens twice.
    assert _pressed(moderator, page).find(".done").text() == "Undone."


def test_the_queue_says_what_was_decided(make: Factory, visitor: Visitor) -> None:
    site = make.site()
    comment = make.comment(make.conversation(site), markdown="Patience")
    _hide(visitor, comment)
    moderator = visitor.of(site, site.moderator)
    form = {"do": "delete", "next": "/moderation/"}

    page = moderator.get(moderator.post(f"/comments/{comment.id}/moderate/", form).location)
    assert "Deleted. Undo" in page.main and "Patience" not in page.main
    undone = _pressed(moderator, page)

    assert "Undone." in undone.main and "Patience" in undone.main
    # Forms of the page lead back to the page, not to what it said once.
    assert undone.value(".queue [name=next]") == "/moderation/"


def test_what_another_did_since_is_not_undone(make: Factory, bikes: Site, visitor: Visitor) -> None:
    comment = make.comment(make.conversation(bikes))
    path = f"/comments/{comment.id}/moderate/"
    moderator, owner = visitor.of(bikes, bikes.moderator), visitor.of(bikes, bikes.owner)
    moderator.post(path, {"do": "hide"})
    owner.post(path, {"do": "approve"})
    owner.post(path, {"do": "hide"})

    late = moderator.post(path, {"do": "undo", "of": "hide"})

    assert late.status == 409 and "nothing was undone" in late.find(".failed").text()
    assert "Waits for a moderator" in owner.get(path).main
    assert moderator.post(path, {"do": "undo", "of": "explode"}).status == 400
    assert owner.post(path, {"do": "undo", "of": "delete"}).status == 409
    assert "Waits for a moderator" in owner.get(path).main


@pytest.mark.parametrize(
    "undo",
    ["//evil.test", "comments/1", "comments/1.", f"comments/1.{'0' * 32}", "comments/x", "é"],
)
def test_a_link_makes_no_button_of_its_own(bikes: Site, visitor: Visitor, undo: str) -> None:
    page = visitor.of(bikes, bikes.moderator).get(f"/?done=hide&undo={quote(undo)}")

    assert page.find(".done").text() == "Hidden."
    assert visitor.of(bikes).get(f"/?done=hide&undo={quote(undo)}").tree.css_first(".done") is None


def test_a_button_undoes_what_its_own_session_did(
    make: Factory, bikes: Site, visitor: Visitor
) -> None:
    comment, other = (make.comment(make.conversation(bikes)) for _ in range(2))
    moderator = visitor.of(bikes, bikes.moderator)
    led = moderator.post(f"/comments/{comment.id}/moderate/", {"do": "hide"}).location
    assert moderator.get(led).tree.css_first(".done form") is not None

    elsewhere = led.replace(f"undo=comments/{comment.id}", f"undo=comments/{other.id}")
    for who, address in (
        (visitor.of(bikes, bikes.owner), led),
        (moderator, led.replace("done=hide", "done=delete")),
        (moderator, elsewhere),
    ):
        assert who.get(address).tree.css_first(".done form") is None, address


def test_an_author_closes_their_own(make: Factory, bikes: Site, visitor: Visitor) -> None:
    conversation = make.conversation(bikes)
    path = f"/conversations/{conversation.id}/"
    author = visitor.of(bikes, bikes.member)

    def offered() -> list[str]:
        found = author.get(path).tree.css(f'main .acts [href="{path}moderate/"]')
        return [one.text() for one in found]

    assert offered() == ["Close", "Delete"]
    page = author.get(f"{path}moderate/")
    assert "Pin" not in page.find("form .deeds").text()
    # Nothing waits for who moderates nothing.
    assert page.tree.css_first('[href="/moderation/"]') is None
    moderator = visitor.of(bikes, bikes.moderator).get(f"{path}moderate/")
    assert moderator.tree.css_first('main [href="/moderation/"]') is not None

    closed = author.post(f"{path}moderate/", {"do": "close"}).location
    assert closed == f"{path}?done=close"
    assert author.get(closed).find(".done").text() == "Closed."
    refused = author.post(f"{path}moderate/", {"do": "pin"})

    assert "Closed" in author.get(path).main
    # Members of this site may close what is their own, not open it again.
    assert offered() == ["Delete"]
    assert refused.status == 403 and 'class="failed"' in refused.text


@pytest.mark.parametrize("path", ["/moderation/", "/conversations/{id}/moderate/"])
def test_a_stranger_moderates_nothing(
    make: Factory, bikes: Site, visitor: Visitor, path: str
) -> None:
    path = path.format(id=make.conversation(bikes).id)

    assert visitor.of(bikes, bikes.newcomer).get(path).status == 403
    assert visitor.of(bikes).get(path).location.startswith("/login/")


@pytest.mark.parametrize("do", ["pin", "delete", "approve", "move", "restore"])
def test_a_stranger_does_nothing(make: Factory, bikes: Site, visitor: Visitor, do: str) -> None:
    conversation = make.conversation(bikes)
    path = f"/conversations/{conversation.id}/"
    form = {"do": do, "place": str(make.microcosm(bikes).id)}

    assert visitor.of(bikes, bikes.newcomer).post(f"{path}moderate/", form).status == 403
    assert visitor.of(bikes).post(f"{path}moderate/", form).status in (401, 403)
    assert visitor.of(bikes).get(path).status == 200


@pytest.mark.parametrize(
    "form",
    [{}, {"do": "explode"}, {"do": "move"}, {"do": "move", "place": "²"}],
)
def test_nonsense_is_refused(
    make: Factory, bikes: Site, visitor: Visitor, form: dict[str, str]
) -> None:
    path = f"/conversations/{make.conversation(bikes).id}/moderate/"

    assert visitor.of(bikes, bikes.moderator).post(path, form).status == 400


@pytest.mark.parametrize("back", ["//evil.test/", "/moderation/\\evil", "https://evil.test/"])
def test_the_way_back_leads_nowhere_else(
    make: Factory, bikes: Site, visitor: Visitor, back: str
) -> None:
    conversation = make.conversation(bikes)

    page = visitor.of(bikes, bikes.moderator).post(
        f"/conversations/{conversation.id}/moderate/", {"do": "pin", "next": back}
    )

    assert page.location.partition("?")[0] == f"/conversations/{conversation.id}/"


def test_a_place_of_another_site_is_none(
    make: Factory, bikes: Site, trains: Site, visitor: Visitor
) -> None:
    conversation = make.conversation(bikes, title="Stays")
    place = make.microcosm(trains)

    page = visitor.of(bikes, bikes.moderator).post(
        f"/conversations/{conversation.id}/moderate/", {"do": "move", "place": str(place.id)}
    )

    assert page.status == 403
    assert visitor.of(trains, trains.owner).get(f"/microcosms/{place.id}/").status == 200
    there = visitor.of(trains, trains.moderator)
    assert there.get(f"/conversations/{conversation.id}/moderate/").status in (403, 404)


def test_two_changes_of_a_microcosm_show_both(make: Factory, bikes: Site, visitor: Visitor) -> None:
    place = make.microcosm(bikes, "Before")
    path = f"/microcosms/{place.id}/edit/"
    moderator = visitor.of(bikes, bikes.moderator)
    match = moderator.get(path).value("input[name=match]")
    sent = {"description": "Mine", "itemType": "conversation", "match": match}
    assert moderator.post(path, {**sent, "title": "By me"}).status == 303

    late = moderator.post(path, {**sent, "title": "Too late"})

    assert late.status == 412
    assert "By me" in late.main and late.value("input[name=title]") == "Too late"
    again = late.value("input[name=match]")
    assert moderator.post(path, {**sent, "title": "Too late", "match": again}).status == 303


def test_a_microcosm_is_deleted_and_restored(make: Factory, bikes: Site, visitor: Visitor) -> None:
    place = make.microcosm(bikes, "Here & gone")
    path = f"/microcosms/{place.id}/moderate/"
    owner = visitor.of(bikes, bikes.owner)

    # No action of a moderator is kept of microcosms, so that there is none to undo.
    assert owner.post(path, {"do": "delete"}).location == f"{path}?done=delete"

    assert "Deleted" in owner.get(path).main
    assert visitor.of(bikes).get(f"/microcosms/{place.id}/").status in (403, 404)
    assert owner.post(path, {"do": "restore"}).status == 303
    assert visitor.of(bikes).get(f"/microcosms/{place.id}/").status == 200


def test_what_a_new_microcosm_lacks_is_said(bikes: Site, visitor: Visitor) -> None:
    path = f"/microcosms/{bikes.root_id}/create/microcosm/"

    page = visitor.of(bikes, bikes.owner).post(path, {"title": "Kept", "itemType": "poll"})

    assert page.status == 400 and page.value("input[name=title]") == "Kept"
    assert "checked" in page.find("#typepoll").attributes
    assert visitor.of(bikes, bikes.member).get(path).status == 403


def test_a_parent_that_is_no_number_is_refused(bikes: Site, visitor: Visitor) -> None:
    path = f"/microcosms/{bikes.root_id}/create/microcosm/"
    owner = visitor.of(bikes, bikes.owner)

    for parent in ("somewhere", "-1", "٣", "9" * 5000):
        form = {"title": "Lost", "description": "x", "visibility": "public", "itemType": "poll"}
        assert owner.post(path, {**form, "parent": parent}).status == 400


@pytest.mark.wide
def test_a_logo_is_uploaded_and_taken_away(make: Factory, bikes: Site, visitor: Visitor) -> None:
    place = make.microcosm(bikes, "Pictured")
    path = f"/microcosms/{place.id}/edit/"
    owner = visitor.of(bikes, bikes.owner)
    match = owner.get(path).value("input[name=match]")
    fields = {"title": "Pictured", "description": "A place", "match": match}
    body, kind = encode_multipart_formdata(
        {**fields, "itemType": "conversation", "logo": ("logo.png", png(64, 64), "image/png")}
    )

    page = owner.request(
        "POST", path, body, {"Origin": f"http://{owner.host}", "Content-Type": kind}
    )

    assert page.status == 303, page.main
    form = owner.get(path)
    assert form.tree.css_first("#removeLogo") is not None
    form = owner.post(
        path,
        {**fields, "match": form.value("input[name=match]"), "removeLogo": "1"},
    )
    assert form.status == 303
    assert owner.get(path).tree.css_first("#removeLogo") is None


def test_the_frame_leads_moderators_to_the_queue(
    make: Factory, bikes: Site, visitor: Visitor
) -> None:
    links = {
        person.name: {
            one.attributes["href"]
            for one in visitor.of(bikes, person).get("/events/").tree.css("footer a")
        }
        & {"/moderation/", "/admin/"}
        for person in (bikes.owner, bikes.moderator, bikes.member)
    }

    assert links == {
        bikes.owner.name: {"/moderation/", "/admin/"},
        bikes.moderator.name: {"/moderation/"},
        bikes.member.name: set(),
    }
