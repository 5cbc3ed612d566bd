"""Writing and changing comments and conversations."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import Server
from tests.webclient.hand import NO_SCRIPT, SCRIPT, Hand
from tests.webclient.step import step


def _page(thing: Thing) -> str:
    return thing.path.removeprefix("/api/v1") + "/"


def _row(comment: Thing) -> str:
    return f"#comment{comment.id}"


def _edit(api: Api, comment: Thing, by: Person, markdown: str) -> None:
    assert api.put(comment.path, {"markdown": markdown}, by=by).status == 302


@step("member comments")
def test_a_member_comments(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))

    hand.fill("Your comment", f"Written by {hand.mode}")
    hand.press("Post")

    hand.see(f"Written by {hand.mode}")
    assert "#comment" in hand.driver.current_url


@step("member replies to a comment")
def test_a_member_replies_to_a_comment(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    asked, _ = make.comment(conversation, by=bikes.owner), make.comment(conversation)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))

    hand.press("Reply", within=_row(asked))
    hand.see("In reply to this comment")
    hand.fill("Your comment", "That is an answer")
    hand.press("Post")

    hand.see("That is an answer")
    hand.see("in reply to owner")


@step("member quotes a comment")
def test_a_member_quotes_a_comment(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    said = make.comment(conversation, by=bikes.owner, markdown="Once upon a wheel\n\n> older words")
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))

    hand.press("Quote", within=_row(said))
    hand.wait(lambda: "> Once upon a wheel" in hand.value("Your comment"))
    assert "older words" not in hand.value("Your comment")
    hand.add("Your comment", "Indeed")
    hand.press("Post")

    hand.see("Indeed")
    assert hand.find(".comment:last-of-type blockquote").text == "Once upon a wheel"


@step("member previews before posting")
def test_a_member_previews_before_posting(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))

    hand.fill("Your comment", "Very **bold** words")
    hand.press("Preview")

    hand.wait(lambda: hand.find(".preview strong").text == "bold")
    hand.see_no("1 comment")
    hand.press("Post")
    hand.see("1 comment")
    assert hand.find(".comment strong").text == "bold"


@step("double click posts once")
def test_a_double_click_posts_once(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))
    hand.fill("Your comment", "Only once")

    hand.press_twice("Post")

    hand.wait(lambda: "#comment" in hand.driver.current_url)
    hand.go(bikes, _page(conversation))
    hand.see("1 comment")


@step("member edits a comment")
def test_a_member_edits_a_comment(hand: Hand, bikes: Site, make: Factory) -> None:
    comment = make.comment(make.conversation(bikes), markdown="A mistaek")
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(comment))

    hand.press("Edit", within=_row(comment))
    if hand.mode != NO_SCRIPT:
        caret = "return document.activeElement.selectionStart"
        hand.until(lambda: hand.driver.execute_script(caret) == len("A mistaek"))
    hand.fill("Text", "No mistake")
    hand.press("Save")

    hand.see("No mistake")
    hand.see("edited")
    assert f"#comment{comment.id}" in hand.driver.current_url


@step("member deletes a comment")
def test_a_member_deletes_a_comment(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    comment = make.comment(conversation, markdown="To be regretted")
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(comment))

    hand.press("Delete", within=_row(comment))
    hand.see("Delete this comment?")
    hand.press("Delete")

    hand.wait(lambda: f"/{hand.path}" == f"{_page(conversation)}?done=delete")
    hand.see("Deleted.")
    hand.see_no("To be regretted")


@step("moderator restores a comment")
def test_a_moderator_restores_a_comment(hand: Hand, bikes: Site, make: Factory) -> None:
    comment = make.comment(make.conversation(bikes), markdown="Not that bad")
    hand.sign_in(bikes, bikes.moderator)
    hand.go(bikes, _page(comment))
    hand.press("Delete", within=_row(comment))
    hand.see("Delete this comment?")
    hand.press("Delete")
    hand.see("This comment is deleted")
    hand.see("Deleted. Undo")
    # Later there is no undo at hand.
    hand.go(bikes, f"/comments/{comment.id}/delete/")

    hand.press("Restore")

    hand.wait(lambda: f"#comment{comment.id}" in hand.driver.current_url)
    hand.see("Not that bad")


@step("member begins a conversation")
def test_a_member_begins_a_conversation(hand: Hand, bikes: Site, make: Factory) -> None:
    place = make.microcosm(bikes)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, f"/microcosms/{place.id}/create/conversation/")

    hand.fill("Title", f"Begun by {hand.mode}")
    hand.fill("First comment", "And said something")
    hand.press("Post")

    hand.see("And said something")
    hand.see(f"Begun by {hand.mode}")
    hand.see("1 comment")


@step("member edits the title of their conversation")
def test_a_member_edits_the_title(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes, title="Weels")
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))

    hand.press("Edit", within=".acts")
    hand.fill("Title", "Wheels & more")
    hand.press("Save")

    hand.wait(lambda: hand.find("h1").text == "Wheels & more")


@step("member moves nothing that they may not")
def test_a_member_moves_nothing_that_they_may_not(hand: Hand, bikes: Site, make: Factory) -> None:
    closed = make.microcosm(bikes, title=f"For few by {hand.mode}")
    make.role(bikes, closed.id, "Readers", users=True, rights=("read",))
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.member)

    hand.go(bikes, f"{_page(conversation)}edit/")
    hand.see("Edit the conversation")
    hand.see_no("For few")
    hand.go(bikes, f"/microcosms/{closed.id}/create/conversation/")
    hand.see("This is not for you")


@step("empty comment says what is missing")
def test_an_empty_comment_says_what_is_missing(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))

    hand.press("Post")

    hand.see("There is no text yet")


@step("comment that is too long says so and keeps the text")
def test_a_comment_that_is_too_long_is_kept(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))
    # No key is pressed fifty thousand times.
    hand.paste("Your comment", "long " * 10_001)

    hand.press("Post")

    hand.see("too long by 5 characters")
    assert len(hand.value("Your comment")) == 50_005


@step("two edits at once show both versions")
def test_two_edits_at_once_show_both_versions(
    hand: Hand, bikes: Site, make: Factory, api: Api
) -> None:
    comment = make.comment(make.conversation(bikes), markdown="The first words")
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, f"{_page(comment)}edit/")
    hand.fill("Text", "My words")
    _edit(api, comment, bikes.moderator, "Words of a moderator")

    hand.press("Save")

    hand.see("Somebody changed this while you were writing")
    hand.see("Words of a moderator")
    assert hand.value("Text") == "My words"
    hand.press("Save")
    hand.see("My words")
    hand.see_no("Words of a moderator")


@step("member attaches a picture")
def test_a_member_attaches_a_picture(hand: Hand, bikes: Site, make: Factory, picture: Path) -> None:
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))

    hand.fill("Your comment", "Look at my wheel")
    hand.upload("Attach files", str(picture))
    if hand.mode != NO_SCRIPT:
        hand.see("wheel.png")
        hand.find('input[name="file"]:checked')
    hand.press("Post")

    hand.see("Look at my wheel")
    hand.find('.comment .files [href^="/api/v1/files/"]')


@step("member removes an attachment")
def test_a_member_removes_an_attachment(
    hand: Hand, bikes: Site, make: Factory, picture: Path
) -> None:
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))
    hand.fill("Your comment", "Look at my wheel")
    hand.upload("Attach files", str(picture))
    if hand.mode != NO_SCRIPT:
        hand.find('input[name="file"]:checked')
    hand.press("Post")
    hand.find('.comment .files [href^="/api/v1/files/"]')

    hand.press("Edit", within=".comment")
    hand.tick("wheel.png")
    hand.press("Save")

    hand.see("Look at my wheel")
    hand.wait(lambda: not hand.driver.find_elements("css selector", ".comment .files"))


# Makes the event of pasting into the text, or of dropping on the form, a file of the page's own making.
_GIVE_FILE = """
const [target, kind, name, type, base64] = arguments;
const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], name, { type }));
const how = { bubbles: true, cancelable: true };
const made = kind === 'paste' ? new ClipboardEvent('paste', { ...how, clipboardData: data })
  : new DragEvent('drop', { ...how, dataTransfer: data });
document.querySelector(target).dispatchEvent(made);
"""


@pytest.fixture
def scripted(browser: Chrome, website: Server) -> Iterator[Hand]:
    """A person whose browser runs script, for what there is with script alone."""
    made = Hand(browser, website.address[1], SCRIPT)
    yield made
    made.leave()


@pytest.mark.wide
def test_files_are_pasted_and_dropped(
    scripted: Hand, bikes: Site, make: Factory, picture_bytes: bytes
) -> None:
    hand = scripted
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(conversation))
    picture = base64.b64encode(picture_bytes).decode()

    hand.driver.execute_script(_GIVE_FILE, "#markdown", "paste", "a.png", "image/png", picture)
    hand.find('input[name="file"][value$=" a.png"]:checked')
    hand.driver.execute_script(_GIVE_FILE, "#write", "drop", "b.png", "image/png", picture[:40])
    hand.see("b.png can’t be shown")
    hand.driver.execute_script(_GIVE_FILE, "#write", "drop", "c.txt", "text/plain", "YWJj")
    hand.find('input[name="file"][value$=" c.txt"]:checked')
    hand.fill("Your comment", "With two files")
    hand.press("Post")

    hand.see("With two files")
    assert hand.find(".comment .files img").get_attribute("alt") == "a.png"
    names = [one.text for one in hand.driver.find_elements("css selector", ".comment .files li")]
    assert sorted(names) == ["", "c.txt"]


@pytest.mark.wide
def test_marks_do_not_load_the_page(scripted: Hand, bikes: Site, make: Factory) -> None:
    hand = scripted
    comment = make.comment(make.conversation(bikes))
    row = f"#comment{comment.id} .actions"
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(comment))
    hand.fill("Your comment", "half a thought")
    hand.driver.execute_script("window.stays = true")

    hand.press("like", within=row)
    hand.find(f'{row} [aria-label="like 1"]')
    hand.press("Bookmark", within=row)
    hand.find(f'{row} [name="on"][value="0"]')

    assert hand.driver.execute_script("return window.stays")
    assert hand.value("Your comment") == "half a thought"
    focused = hand.driver.switch_to.active_element
    assert focused.get_attribute("name") == "on"


@pytest.mark.wide
def test_a_reply_begun_while_writing_keeps_the_words(
    scripted: Hand, bikes: Site, make: Factory
) -> None:
    hand = scripted
    comment = make.comment(make.conversation(bikes), markdown="Once upon a wheel")
    hand.sign_in(bikes, make.person(bikes))
    hand.go(bikes, _page(comment))
    hand.fill("Your comment", "My words")

    hand.press("Quote", within=_row(comment))
    hand.wait(lambda: hand.value("Your comment") == "My words\n\n> Once upon a wheel\n\n")
    hand.press("Reply to nobody")
    hand.see_no("In reply to this comment")
    hand.press("Post")

    hand.see("My words")
    hand.see_no("in reply to")


@pytest.mark.wide
def test_a_draft_that_another_device_changed_is_not_lost(
    scripted: Hand, bikes: Site, make: Factory, api: Api
) -> None:
    hand = scripted
    conversation = make.conversation(bikes)
    writer = make.person(bikes)
    hand.sign_in(bikes, writer)
    hand.go(bikes, _page(conversation))
    sent = {"content": {"markdown": "from the phone"}}
    assert api.put(f"{conversation.path}/draft", sent, by=writer).status == 302

    hand.fill("Your comment", "from the desk")
    hand.see("Another draft was saved here meanwhile")
    hand.press("Save draft")

    hand.see("from the phone")
    assert hand.value("Your comment") == "from the desk"
    hand.press("Save draft")
    hand.see("Draft saved")
    stored = api.get(f"{conversation.path}/draft", by=writer).data
    assert stored["content"]["markdown"] == "from the desk"


def test_a_session_that_ends_while_writing_loses_nothing(
    scripted: Hand, bikes: Site, make: Factory
) -> None:
    hand = scripted
    conversation = make.conversation(bikes)
    writer = make.person(bikes)
    hand.sign_in(bikes, writer)
    hand.go(bikes, _page(conversation))
    make.sql("DELETE FROM access_tokens WHERE user_id = %(user)s", user=writer.user_id)

    hand.fill("Your comment", "Hours of work")
    hand.see("You are no longer signed in")
    hand.press("Post")
    field = hand.find("#development")
    field.clear()
    field.send_keys(writer.email)
    field.submit()
    hand.see("You are signed in")
    assert hand.value("Your text") == "Hours of work"
    hand.press("Send it now")

    hand.wait(lambda: "#comment" in hand.driver.current_url)
    hand.see("Hours of work")


@step("draft is kept on the server and found again")
def test_a_draft_is_kept_on_the_server(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes, title=f"Half said by {hand.mode}")
    writer = make.person(bikes)
    hand.sign_in(bikes, writer)
    hand.go(bikes, _page(conversation))

    hand.fill("Your comment", "Half a thought")
    if hand.mode == NO_SCRIPT:
        hand.press("Save draft")
    hand.see("Draft saved")
    hand.go(bikes, "/drafts/")
    hand.see("Half a thought")
    hand.press(f"Half said by {hand.mode}")

    hand.wait(lambda: hand.value("Your comment") == "Half a thought")
    hand.press("Post")
    hand.wait(lambda: "#comment" in hand.driver.current_url)
    hand.go(bikes, "/drafts/")
    hand.see("There is no draft.")


@step("draft is thrown away")
def test_a_draft_is_thrown_away(hand: Hand, bikes: Site, make: Factory, api: Api) -> None:
    conversation = make.conversation(bikes, title="Half said")
    writer = make.person(bikes)
    api.put(f"{conversation.path}/draft", {"content": {"markdown": "Half a thought"}}, by=writer)
    hand.sign_in(bikes, writer)

    hand.go(bikes, "/drafts/")
    hand.see("Half a thought")
    hand.press("Throw away")

    hand.see("There is no draft.")
    hand.go(bikes, _page(conversation))
    assert hand.value("Your comment") == ""


@step("revisions are listed and compared")
def test_revisions_are_listed_and_compared(
    hand: Hand, bikes: Site, make: Factory, api: Api
) -> None:
    comment = make.comment(make.conversation(bikes), markdown="one two three")
    _edit(api, comment, bikes.member, "one 2 three")
    _edit(api, comment, bikes.member, "one 2 3")
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(comment))

    hand.press("Revisions", within=_row(comment))
    hand.wait(lambda: hand.find(".diff ins").text == "3")
    hand.tick("Old: 1")
    hand.press("Compare")

    hand.see("From 1 to 3".upper())
    gone = hand.driver.find_elements("css selector", ".diff del")
    assert [one.text for one in gone] == ["two", "three"]


@step("earlier revision is brought back")
def test_an_earlier_revision_is_brought_back(
    hand: Hand, bikes: Site, make: Factory, api: Api
) -> None:
    comment = make.comment(make.conversation(bikes), markdown="The first words")
    _edit(api, comment, bikes.member, "Other words")
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, f"{_page(comment)}revisions/")

    hand.press("Bring back 1")

    hand.wait(lambda: f"#comment{comment.id}" in hand.driver.current_url)
    hand.see("The first words")
