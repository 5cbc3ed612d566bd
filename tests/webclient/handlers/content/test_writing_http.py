"""Writing over plain HTTP: what is refused comes back, what is hostile does nothing, and nothing typed is lost."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.webclient.visitor import Page, Visitor

# What opens a file, closes a field, ends a script, names another host.
HOSTILE = "</textarea><script>alert(1)</script>\" ' & \x01 javascript:"


def page_of(thing: Thing) -> str:
    return thing.path.removeprefix("/api/v1") + "/"


def comment_on(thing: Thing, text: str, **more: str) -> dict[str, str]:
    kind = thing.path.removeprefix("/api/v1/").partition("s/")[0]
    return {"itemType": kind, "itemId": str(thing.id), "markdown": text, "key": "k1", **more}


def typed(page: Page) -> str:
    field = page.tree.css_first('[name="markdown"]')
    assert field is not None, page.text
    return field.text()


def upload(
    visitor: Visitor, path: str, fields: dict[str, str], *files: tuple[str, str, bytes, str]
) -> Page:
    """POST a form with files: the name of each, its file name, bytes and type."""
    lines: list[bytes] = []
    for name, value in fields.items():
        lines.append(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        )
    for name, file_name, data, kind in files:
        head = (
            f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        )
        lines.append(head.encode() + data + b"\r\n")
    headers = {
        "Origin": f"http://{visitor.host}",
        "Content-Type": "multipart/form-data; boundary=b",
    }
    return visitor.request("POST", path, b"".join(lines) + b"--b--\r\n", headers)


@pytest.fixture
def member(visitor: Visitor, bikes: Site) -> Visitor:
    return visitor.of(bikes, bikes.member)


@pytest.fixture
def thread(make: Factory, bikes: Site) -> Thing:
    return make.conversation(bikes)


# ---------------------------------------------------------------- what was typed stays


@pytest.mark.parametrize("kind", ["conversation", "event", "poll", "huddle"])
@pytest.mark.parametrize("do", ["post", "preview"])
def test_a_refused_comment_comes_back_at_its_place(
    member: Visitor, make: Factory, bikes: Site, kind: str, do: str
) -> None:
    if kind == "huddle":
        thing = make.huddle(bikes.member, bikes.owner)
    else:
        thing = getattr(make, kind)(bikes)
    text = " " if do == "post" else HOSTILE

    page = member.post(
        "/comments/create/", comment_on(thing, text, do=do, back=f"{page_of(thing)}?offset=0")
    )

    assert page.status == (400 if do == "post" else 200)
    assert page.tree.css_first(
        f'form[action="/comments/create/"] [name="itemId"][value="{thing.id}"]'
    )
    assert page.headers["cache-control"] == "private, no-cache"
    if do == "preview":
        assert typed(page) == HOSTILE
        assert "<script>alert" not in page.text


def test_line_ends_and_a_first_empty_line_stay(member: Visitor, thread: Thing) -> None:
    text = "\r\nfirst\r\n\r\n    code\r\n"

    page = member.post("/comments/create/", comment_on(thread, text, do="preview"))

    # A browser drops the first line end after the tag, so that the template writes one more.
    assert f">\n{text.replace(chr(13), '')}</textarea>" in page.text


@pytest.mark.parametrize(
    "back", ["//evil.test/", "https://evil.test/", "/\\evil.test", "/logout/", "x"]
)
def test_a_form_leads_back_to_this_site_alone(member: Visitor, thread: Thing, back: str) -> None:
    page = member.post("/comments/create/", comment_on(thread, "", back=back))
    assert page.status == 400
    assert page.tree.css_first("#write")

    for path in (f"{page_of(thread)}bookmark/", f"{page_of(thread)}follow/", "/read/"):
        answer = member.post(path, {"on": "1", "back": back})
        assert answer.status == 303
        assert answer.location.startswith("/")
        assert "evil" not in answer.location


def test_a_comment_on_what_was_deleted_meanwhile_is_kept(
    member: Visitor, make: Factory, bikes: Site, api: Api, thread: Thing
) -> None:
    assert api.delete(thread.path, by=bikes.owner).status == 200

    page = member.post("/comments/create/", comment_on(thread, "Hours of work"))

    assert page.status == 404
    assert typed(page).strip() == "Hours of work"


def test_a_key_is_good_for_one_text(member: Visitor, thread: Thing, api: Api, bikes: Site) -> None:
    for text in ("first", "first", "second"):
        assert member.post("/comments/create/", comment_on(thread, text)).status == 303

    found = api.get(thread.path, by=bikes.member).data["comments"]
    assert [one["markdown"] for one in found["items"]] == ["first", "second"]


def test_a_conversation_that_is_refused_is_begun_once(
    member: Visitor, make: Factory, bikes: Site, api: Api
) -> None:
    place = make.microcosm(bikes)
    path = f"/microcosms/{place.id}/create/conversation/"
    form = {"title": "A & B", "key": "k2"}

    page = member.post(path, {**form, "markdown": "x" * 50_001})
    assert page.status == 400
    assert len(typed(page)) == 50_001
    assert page.field("/conversations/create/", "title") == "A & B"
    for _ in range(2):
        assert member.post(path, {**form, "markdown": "text"}).status == 303

    found = api.get(f"/api/v1/microcosms/{place.id}", by=bikes.member).data["items"]
    assert found["total"] == 1
    assert found["items"][0]["item"]["totalComments"] == 1


def test_two_titles_at_once_are_both_shown(
    member: Visitor, thread: Thing, api: Api, bikes: Site
) -> None:
    path = f"{page_of(thread)}edit/"
    etag = member.get(path).field(path, "etag")
    body = {"title": "Of a moderator", "meta": {"editReason": "x"}}
    assert api.put(thread.path, body, by=bikes.moderator).status == 302

    page = member.post(path, {"title": "Of the author", "etag": etag})

    assert page.status == 412
    assert page.field(path, "title") == "Of the author"
    other = page.tree.css_first(".other")
    assert other is not None
    assert "Of a moderator" in other.text()
    again = {"title": "Of the author", "etag": page.field(path, "etag")}
    assert member.post(path, again).status == 303
    assert api.get(thread.path, by=bikes.member).data["title"] == "Of the author"


def test_a_revision_is_not_brought_back_over_a_change(
    member: Visitor, make: Factory, thread: Thing, api: Api, bikes: Site
) -> None:
    comment = make.comment(thread, markdown="first")
    assert api.put(comment.path, {"markdown": "second"}, by=bikes.member).status == 302
    path = f"{page_of(comment)}revisions/"
    etag = member.get(path).field(path, "etag")
    assert api.put(comment.path, {"markdown": "third"}, by=bikes.moderator).status == 302

    page = member.post(path, {"revision": "1", "etag": etag})

    assert page.status == 412
    assert "changed meanwhile" in page.text
    assert api.get(comment.path, by=bikes.member).data["markdown"] == "third"
    assert member.post(path, {"revision": "1", "etag": page.field(path, "etag")}).status == 303


@pytest.mark.wide
def test_an_edit_that_is_refused_keeps_what_was_unticked(
    member: Visitor, make: Factory, thread: Thing, picture_bytes: bytes
) -> None:
    fields = comment_on(thread, "With a picture")
    made = upload(
        member, "/comments/create/", fields, ("files", "a.png", picture_bytes, "image/png")
    )
    comment = made.location.split("/")[2]
    path = f"/comments/{comment}/edit/"
    shown = member.get(path)
    hash = shown.field(path, "had")
    assert shown.tree.css_first(f'[name="file"][value="{hash} a.png"][checked]')

    page = member.post(path, {"markdown": " ", "had": hash, "etag": shown.field(path, "etag")})

    assert page.status == 400
    assert page.tree.css_first(f'[name="file"][value="{hash} a.png"]')
    assert not page.tree.css_first(f'[name="file"][value="{hash} a.png"][checked]')


def test_a_conversation_begins_where_one_chooses(
    member: Visitor, make: Factory, bikes: Site, api: Api
) -> None:
    place, closed = make.microcosm(bikes), make.microcosm(bikes)
    make.role(bikes, closed.id, "Readers", users=True, rights=("read",))
    path = "/conversations/create/"

    page = member.get(path)
    offered = {one.attributes.get("value") for one in page.tree.css("select option")}
    assert str(place.id) in offered
    assert str(closed.id) not in offered
    form = {"title": "Where to?", "markdown": "Here", "key": "k3"}
    refused = member.post(path, form)
    assert (refused.status, typed(refused).strip()) == (400, "Here")
    assert "Choose a place" in refused.text
    assert member.post(path, {**form, "microcosmId": str(closed.id)}).status == 403
    made = member.post(path, {**form, "microcosmId": str(place.id)})

    assert made.status == 303
    found = api.get(f"/api/v1{made.location.rstrip('/')}", by=bikes.member).data
    assert found["microcosmId"] == place.id


# ---------------------------------------------------------------- sessions that end


def test_a_session_that_ended_keeps_text_and_names_files(
    visitor: Visitor, make: Factory, bikes: Site, thread: Thing, api: Api
) -> None:
    writer = make.person(bikes)
    lost = visitor.of(bikes, writer)
    make.sql("DELETE FROM access_tokens WHERE user_id = %(user)s", user=writer.user_id)
    fields = comment_on(thread, "Hours of work\n\nmore", back=page_of(thread), do="post")

    page = upload(
        lost,
        "/comments/create/",
        fields,
        ("files", "wheel.png", b"bytes", "image/png"),
        ("files", "notes.txt", b"words", "text/plain"),
    )
    assert page.status == 401
    kept = [
        (one.attributes["name"] or "", one.attributes.get("value") or "")
        for one in page.tree.css('form [name^="pending."]')
    ]
    assert ("pending.markdown", "Hours of work\n\nmore") in kept
    again = lost.post(
        "/login/",
        [
            ("step", "development"),
            ("email", writer.email),
            ("next", "/comments/create/"),
            *kept,
        ],
    )

    assert again.status == 200
    assert "wheel.png" in again.text
    assert "notes.txt" in again.text
    form = again.tree.css_first('form[action="/comments/create/"][enctype="multipart/form-data"]')
    assert form is not None
    assert form.css_first('input[type="file"][name="files"]')
    assert typed(again).strip() == "Hours of work\n\nmore"
    assert lost.post("/comments/create/", fields).status == 303


@pytest.mark.parametrize(
    "path",
    [
        "/comments/create/",
        "/comments/1/edit/",
        "/conversations/create/",
        "/drafts/conversation/1/",
        "/conversations/1/bookmark/",
        "/read/",
    ],
)
def test_guests_sign_in_first(visitor: Visitor, bikes: Site, path: str) -> None:
    page = visitor.of(bikes).post(path, {"markdown": "kept", "on": "1"})

    assert page.status == 401
    assert page.field("/login/", "pending.markdown") == "kept"


@pytest.mark.parametrize(
    "path", ["/drafts/", "/bookmarks/", "/watchers/", "/ignored/", "/conversations/create/"]
)
def test_lists_of_ones_own_are_for_members(visitor: Visitor, bikes: Site, path: str) -> None:
    page = visitor.of(bikes).get(path)

    assert page.status == 303
    assert page.location.startswith("/login/?next=")


# ---------------------------------------------------------------- files


@pytest.mark.wide
def test_an_edit_whose_file_was_refused_is_sent_again(
    member: Visitor, make: Factory, thread: Thing, bikes: Site, api: Api, picture_bytes: bytes
) -> None:
    comment = make.comment(thread, by=bikes.member, markdown="first")
    path = f"{page_of(comment)}edit/"
    form = {
        "markdown": "second",
        "file": "0" * 40 + " gone.png",
        "etag": member.get(path).field(path, "etag"),
    }

    refused = upload(member, path, form, ("files", "a.png", picture_bytes, "image/png"))

    assert (refused.status, typed(refused).strip()) == (400, "second")
    again = {"markdown": "third", "etag": refused.field(path, "etag")}
    assert member.post(path, again).status == 303
    assert api.get(comment.path, by=bikes.member).data["markdown"] == "third"


def test_a_file_that_is_no_picture_is_said(member: Visitor, thread: Thing) -> None:
    fields = comment_on(thread, "Look", back=page_of(thread))

    page = upload(member, "/comments/create/", fields, ("files", "a.png", b"nope", "image/png"))

    assert page.status == 400
    assert "a.png can’t be shown" in page.text
    assert typed(page).strip() == "Look"


def test_files_stay_with_a_preview(member: Visitor, thread: Thing, picture_bytes: bytes) -> None:
    fields = comment_on(thread, "Look", back=page_of(thread), do="preview")

    page = upload(
        member,
        "/comments/create/",
        fields,
        ("files", 'we"><i>.png', picture_bytes, "image/png"),
        ("files", "b.txt", b"words", "text/plain"),
    )

    kept = [one.attributes.get("value") or "" for one in page.tree.css('[name="file"][checked]')]
    assert [len(one.partition(" ")[0]) for one in kept] == [40, 40]
    assert "<i>" not in page.text


def test_files_of_others_and_nonsense_are_not_attached(member: Visitor, thread: Thing) -> None:
    for value in ("0" * 40 + " a.png", "zz", "../../etc", ""):
        page = member.post("/comments/create/", comment_on(thread, f"with {value}", file=value))
        assert page.status in (303, 400)


def test_a_form_that_is_too_large_is_said(member: Visitor) -> None:
    page = member.post("/read/", {"x": "y" * 1_200_000})

    assert page.status == 413
    assert "MB can be sent at a time" in page.text


# ---------------------------------------------------------------- what one may


def test_half_a_form_is_none(member: Visitor, make: Factory, bikes: Site, thread: Thing) -> None:
    """Neither of a connection that broke off, nor of a program that writes it wrongly."""
    form = urlencode(comment_on(thread, "no" * 500)).encode()
    kind = "application/x-www-form-urlencoded"

    assert member.send_half("/comments/create/", form, kind) == 400
    headers = {"Origin": f"http://{member.host}", "Content-Type": "multipart/form-data; boundary=b"}
    sent = member.request("POST", "/comments/create/", b"--b\r\nnothing", headers)
    assert sent.status == 400

    assert make.sql("SELECT 1 FROM comments WHERE item_id = %(id)s", id=thread.id) == []


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
)
@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\na=b\r\n0\r\n\r\n",
        b"-3\r\na=b\r\n0\r\n\r\n",
        b"3\r\na=bc\r\n0\r\n\r\n",
        b"20\r\na=b\r\n",
        b"3\r\na=b\r\n0\r\nno trailer\r\n\r\n",
        b"3",
        b"",
    ],
)
def test_a_form_of_malformed_chunks_is_none(member: Visitor, kind: str, chunks: bytes) -> None:
    status, rest = member.send_raw("/read/", chunks, kind, "Transfer-Encoding: chunked")

    assert status == 400
    assert b"could not be read" in rest
    assert b"on our side" not in rest


def test_strangers_change_nothing(
    visitor: Visitor, make: Factory, bikes: Site, api: Api, thread: Thing
) -> None:
    comment = make.comment(thread, markdown="mine")
    stranger = visitor.of(bikes, bikes.newcomer)
    path = page_of(comment)

    for asked in (f"{path}edit/", f"{path}delete/", f"{path}revisions/", f"{page_of(thread)}edit/"):
        assert stranger.get(asked).status == 403, asked
    for asked, form in (
        (f"{path}edit/", {"markdown": "theirs"}),
        (f"{path}delete/", {}),
        (f"{path}restore/", {}),
        (f"{path}revisions/", {"revision": "1"}),
        (f"{page_of(thread)}edit/", {"title": "theirs"}),
    ):
        assert stranger.post(asked, form).status == 403, asked
    shown = api.get(comment.path, by=bikes.member).data
    assert shown["markdown"] == "mine"


def test_nothing_moves_where_its_author_may_not_write(
    member: Visitor, make: Factory, bikes: Site, api: Api, thread: Thing
) -> None:
    closed = make.microcosm(bikes)
    make.role(bikes, closed.id, "Readers", users=True, rights=("read",))

    page = member.post(f"{page_of(thread)}edit/", {"title": "Mine", "microcosmId": str(closed.id)})

    assert page.status == 403
    assert page.field(f"{page_of(thread)}edit/", "title") == "Mine"
    assert api.get(thread.path, by=bikes.member).data["microcosmId"] == bikes.root_id


def test_other_sites_are_nothing_here(visitor: Visitor, make: Factory, bikes: Site) -> None:
    other = make.site()
    comment = make.comment(make.conversation(other))
    member = visitor.of(bikes, bikes.member)

    for path in ("edit/", "delete/", "revisions/"):
        assert member.get(f"{page_of(comment)}{path}").status in (403, 404)
    assert member.get(f"{page_of(comment)}quote/").text == '{"markdown":""}'


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/comments/create/", {"itemType": "site", "itemId": "1", "markdown": "x"}),
        ("/comments/create/", {"itemType": "conversation", "itemId": "-1"}),
        ("/comments/create/", {"itemType": "conversation", "itemId": "9" * 40}),
        ("/comments/create/", {"itemType": "conversation", "itemId": "٣"}),
        ("/conversations/1/react/", {}),
        ("/comments/1/revisions/", {"revision": "x"}),
        ("/files/upload/", {}),
        ("/drafts/microcosm/1/", {"itemType": "../../login", "markdown": ""}),
        ("/drafts/microcosm/1/", {"itemType": "", "markdown": "x"}),
        ("/conversations/1/edit/", {"title": "x", "etag": "a\r\nX-Y: z"}),
        ("/comments/create/", {"itemType": "poll", "itemId": "1", "markdown": "x", "key": "\r\nä"}),
    ],
)
def test_nonsense_is_refused(member: Visitor, path: str, form: dict[str, str]) -> None:
    assert member.post(path, form).status in (400, 403, 404)


@pytest.mark.parametrize("name", ["../like", "like/../../x", "no such", HOSTILE])
def test_a_reaction_that_the_site_does_not_have(member: Visitor, thread: Thing, name: str) -> None:
    for field in ("reaction", "unreact"):
        page = member.post(f"{page_of(thread)}react/", {field: name})
        assert page.status < 500, page.text


# ---------------------------------------------------------------- drafts


def test_another_draft_is_shown_beside_ones_own(
    member: Visitor, thread: Thing, api: Api, bikes: Site
) -> None:
    path = f"/drafts/conversation/{thread.id}/"
    assert member.post(path, {"markdown": "on the phone"}).status == 303

    page = member.post(path, {"markdown": "on the desk"})

    assert page.status == 409
    assert typed(page).strip() == "on the desk"
    assert "on the phone" in page.text
    version = page.field("/comments/create/", "draft")
    assert member.post(path, {"markdown": "on the desk", "draft": version}).status == 303
    stored = api.get(f"{thread.path}/draft", by=bikes.member).data
    assert stored["content"]["markdown"] == "on the desk"


def test_a_script_saves_a_draft(member: Visitor, thread: Thing) -> None:
    path = f"/drafts/conversation/{thread.id}/"

    first = member.post(path, {"markdown": "a"}, Accept="application/json")
    second = member.post(path, {"markdown": "b"}, Accept="application/json")
    empty = member.post(path, {"markdown": " "}, Accept="application/json")

    assert (first.status, first.text) == (200, '{"version":1,"other":null,"problem":""}')
    assert second.status == 409
    assert '"version":1,"other":"a"' in second.text
    assert '"version":0' in empty.text


def test_a_script_is_told_why_the_api_refused(member: Visitor, make: Factory, bikes: Site) -> None:
    closed = make.microcosm(bikes)
    make.role(bikes, closed.id, "Readers", users=True, rights=("read",))
    drafted = {"itemType": "conversation", "markdown": "a"}
    previewed = {"microcosmId": str(closed.id), "markdown": "a", "do": "preview"}

    draft = member.post(f"/drafts/microcosm/{closed.id}/", drafted, Accept="application/json")
    preview = member.post("/conversations/create/", previewed, Accept="application/json")

    assert draft.status == 403
    assert json.loads(draft.text)["problem"] == "You may not do that here."
    assert preview.status == 403
    assert json.loads(preview.text) == {"problem": "You may not do that here."}


@pytest.mark.parametrize(
    "content",
    [{}, {"markdown": 7, "title": [], "inReplyTo": "x", "files": {"a": 1}}, {"files": [1, "zz"]}],
)
def test_a_draft_of_another_client_is_shown_as_far_as_it_goes(
    member: Visitor, thread: Thing, api: Api, bikes: Site, content: dict[str, object]
) -> None:
    assert api.put(f"{thread.path}/draft", {"content": content}, by=bikes.member).status == 302

    assert member.get(page_of(thread)).status == 200
    assert member.get("/drafts/").status == 200


def test_drafts_are_ones_own(visitor: Visitor, thread: Thing, bikes: Site, api: Api) -> None:
    sent = {"content": {"markdown": "secret thought"}}
    assert api.put(f"{thread.path}/draft", sent, by=bikes.moderator).status == 302

    other = visitor.of(bikes, bikes.newcomer)

    assert "secret thought" not in other.get(page_of(thread)).text
    assert "secret thought" not in other.get("/drafts/").text


# ---------------------------------------------------------------- who may see what in a row


def buttons(visitor: Visitor, comment: Thing, thread: Thing) -> str:
    row = visitor.get(page_of(thread)).tree.css_first(f"#comment{comment.id} .actions")
    return "" if row is None else row.text()


def test_the_row_of_a_comment_has_what_one_may(
    visitor: Visitor, make: Factory, bikes: Site, thread: Thing
) -> None:
    comment = make.comment(thread)

    def shown(person: Person | None) -> set[str]:
        text = buttons(visitor.of(bikes, person), comment, thread)
        return {word for word in ("Reply", "Bookmark", "Edit", "Delete") if word in text}

    assert shown(None) == {"Reply"}
    assert shown(bikes.newcomer) == {"Reply", "Bookmark"}
    assert shown(bikes.member) == {"Reply", "Bookmark", "Edit", "Delete"}
    assert shown(bikes.moderator) == {"Reply", "Bookmark", "Edit", "Delete"}


@pytest.mark.wide
def test_all_that_is_followed_can_be_left(
    visitor: Visitor, make: Factory, bikes: Site, api: Api, thread: Thing
) -> None:
    reader = make.person(bikes)
    followed = (
        ("conversation", thread.id),
        ("microcosm", bikes.root_id),
        ("profile", bikes.owner.id),
        ("profile", 0),
        ("site", bikes.id),
    )
    for kind, id in followed:
        sent = {"itemType": kind, "itemId": id}
        assert api.post("/api/v1/watchers", sent, by=reader).status == 200
    member = visitor.of(bikes, reader)

    page = member.get("/watchers/")
    paths = [one.attributes["formaction"] or "" for one in page.tree.css('[formaction][name="on"]')]
    assert len(paths) == len(followed)
    for path in paths:
        assert member.post(path, {"on": "0", "back": "/watchers/"}).location == "/watchers/"

    assert "You follow nothing yet." in member.get("/watchers/").text


@pytest.mark.wide
def test_another_page_sends_nothing(
    member: Visitor, make: Factory, bikes: Site, thread: Thing
) -> None:
    comment = make.comment(thread)
    for path in (
        "/comments/create/",
        f"{page_of(comment)}edit/",
        f"{page_of(comment)}delete/",
        f"{page_of(comment)}restore/",
        f"{page_of(comment)}react/",
        f"{page_of(comment)}bookmark/",
        f"{page_of(comment)}revisions/",
        f"{page_of(thread)}edit/",
        f"{page_of(thread)}follow/",
        f"{page_of(thread)}ignore/",
        f"{page_of(thread)}read/",
        "/conversations/create/",
        "/files/upload/",
        "/read/",
        f"/drafts/conversation/{thread.id}/",
        f"/drafts/conversation/{thread.id}/delete/",
    ):
        for origin in ("http://evil.test", "null", None):
            page = member.post(path, {"markdown": "planted"}, origin=origin)
            assert page.status == 403, path
            assert "planted" not in page.text


@pytest.mark.wide
def test_the_quotation_of_a_comment(member: Visitor, make: Factory, thread: Thing) -> None:
    comment = make.comment(thread, markdown="> older\n\nfirst\n\nsecond >")

    page = member.get(f"{page_of(thread)}?quote={comment.id}")

    assert typed(page) == "> first\n>\n> second >\n\n"
    assert page.field("/comments/create/", "inReplyTo") == str(comment.id)
    assert member.get(f"{page_of(thread)}?quote={quote('x<y')}").status == 200
