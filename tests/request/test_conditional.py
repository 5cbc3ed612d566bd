"""ETag, If-None-Match, If-Match, and warm answers that equal cold ones (architecture, bytes)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.wsgi import create_app
from tests.api import Api, Response
from tests.factories import RIGHTS, Factory, Person, Site, Thing
from tests.fixtures import PLATFORM_DOMAIN, Server, start_server
from tests.handlers.platform import WsgiApi


@contextmanager
def cold(database_url: str, server: Server) -> Iterator[WsgiApi]:
    """An application that has seen nothing yet, with the settings of `server`."""
    config = Config(
        environment="embedded",
        webclient=False,
        platform_domain=PLATFORM_DOMAIN,
        listen=f"127.0.0.1:{server.address[1]}",
        rate_limit_token_per_minute=0,
        rate_limit_address_per_minute=0,
        crawl_budget_per_minute=0,
        server_timing_header=True,
    )
    application = create_app(config, database_url)
    client = WsgiApi(application)
    client.platform_domain = PLATFORM_DOMAIN
    try:
        yield client
    finally:
        application.app.database.close()


def held(api: Api, path: str, tag: str, **how: Any) -> Response:
    """GET by somebody who holds the answer of this tag."""
    return api.get(path, headers={"If-None-Match": tag}, **how)


def tag(api: Api, path: str, **how: Any) -> str:
    """The tag of the answer as it is now, unread marks settled."""
    api.get(path, **how)
    answer = api.get(path, **how)
    assert "etag" in set(answer.headers), (answer.status, answer.body[:300])
    return answer.headers["ETag"]


# ---------------------------------------------------------------- a situation


@dataclass
class Scene:
    """Something of every kind on a site of its own."""

    site: Site
    root: Thing
    loose: Thing
    place: Thing
    inner: Thing
    aside: Thing
    chat: Thing
    first: Thing
    reply: Thing
    edited: Thing
    bio: Thing
    author: Person
    second: Person
    pages: list[str] = field(default_factory=list)


def make_scene(api: Api, make: Factory) -> Scene:
    """A tree of three, a conversation with a thread, a biography; every page that shows them."""
    site = make.site()
    author, second = make.person(site), make.person(site)
    place = make.microcosm(site, "Workshop")
    inner = make.microcosm(site, "Wheels", parent=place)
    aside = make.microcosm(site, "Aside")
    chat = make.conversation(site, by=author, microcosm=inner, title="Dynamo hubs")
    first = make.comment(chat, by=author, markdown="First")
    reply = make.comment(chat, by=second, markdown="Reply", reply_to=first)
    edited = make.comment(chat, by=second, markdown="To be edited")
    bio = make.comment(author, by=author, markdown="About me")
    assert api.put(edited.path, {"markdown": "Edited"}, by=site.moderator).status == 302
    root = Thing(site, itemtypes.MICROCOSM, site.root_id)
    loose = make.conversation(site, by=author, title="In no microcosm but the root")
    made = Scene(
        site, root, loose, place, inner, aside, chat, first, reply, edited, bio, author, second
    )
    made.pages = [
        "/api/v1/microcosms",
        place.path,
        inner.path,
        aside.path,
        "/api/v1/microcosms/tree",
        "/api/v1/conversations",
        chat.path,
        loose.path,
        first.path,
        reply.path,
        edited.path,
        bio.path,
        author.path,
        "/api/v1/profiles",
        "/api/v1/site",
        "/api/v1/site/menu",
    ]
    return made


@pytest.fixture(scope="module")
def scene(server: Server, make: Factory) -> Scene:
    """One for the tests that only read it."""
    return make_scene(server.api(), make)


# ---------------------------------------------------------------- 304

SITE_PAGES = [
    "/api/v1/microcosms",
    "{place}",
    "/api/v1/conversations",
    "{chat}",
    "{chat}?limit=5&context=x",
    "{reply}",
    "{bio}",
    "{author}",
    "/api/v1/profiles",
    "/api/v1/site",
    "/api/v1/site/menu",
    "/api/v1/legal/terms",
    "/api/v1/legal/cookies",
    "/api/v1/legal/privacy",
    "/api/v1/whoami",
]
ROOT_PAGES = [
    "/api/v1/site",
    "/api/v1/sites?limit=5",
    "/api/v1/sites/{site}",
    "/api/v1/sites/{site}/menu",
    "/api/v1/legal/service",
    "/api/v1/whoami",
]


def address(scene: Scene, path: str) -> str:
    """A template of the lists above, filled."""
    things = {name: getattr(scene, name).path for name in ("place", "chat", "reply", "bio")}
    return path.format(**things, author=scene.author.path, site=scene.site.id)


@pytest.mark.parametrize(
    ("host", "path"),
    [("site", path) for path in SITE_PAGES] + [("root", path) for path in ROOT_PAGES],
)
def test_what_one_holds_is_not_sent_again(api: Api, scene: Scene, host: str, path: str) -> None:
    where = scene.site.host if host == "site" else PLATFORM_DOMAIN
    full = address(scene, path)
    for token in ("", scene.site.member.token):
        if not token and "whoami" in path:
            continue
        # Counts of a site are told as they are folded in, up to a second after a first visit: then it is asked anew.
        for _ in range(5):
            now = tag(api, full, host=where, token=token)
            forms = (now, f"W/{now}", f'"1-a", {now} ,"x"', "*")
            answers = [held(api, full, form, host=where, token=token) for form in forms]
            head = api.request(
                "HEAD", full, host=where, token=token, headers={"If-None-Match": now}
            )
            if tag(api, full, host=where, token=token) == now:
                break
        else:
            pytest.fail("its tag never stood still")
        assert now.startswith('"')
        for form, answer in zip(forms, answers, strict=True):
            assert answer.status == 304, form
            assert answer.body == b""
            assert answer.headers["ETag"] == now
            kind = "no-cache, max-age=0" if token else "public, max-age=300"
            assert answer.headers["Cache-Control"] == kind
        assert head.status == 304
        for form in ('"1-a"', now[:-1], now.strip('"'), ""):
            assert held(api, full, form, host=where, token=token).status == 200, form


@pytest.mark.slow
@pytest.mark.parametrize("path", ["{chat}", "/api/v1/microcosms", "{reply}", "/api/v1/profiles"])
def test_no_document_is_built_for_a_304(
    api: Api, scene: Scene, database_url: str, server: Server, path: str
) -> None:
    full = address(scene, path)
    for by in (None, scene.site.member):
        tag(api, full, site=scene.site, by=by)  # moves the read mark
        # What the tests before have looked at is counted in its own time: the page may change meanwhile.
        for _ in range(5):
            with cold(database_url, server) as fresh, cold(database_url, server) as other:
                for client in (fresh, other):
                    client.get("/api/v1/microcosms/tree", site=scene.site, by=by)
                whole = other.get(full, site=scene.site, by=by)
                answer = held(fresh, full, whole.headers["ETag"], site=scene.site, by=by)
                after = other.get(full, site=scene.site, by=by)
            if after.headers["ETag"] == whole.headers["ETag"]:
                break
        assert whole.status == 200
        assert answer.status == 304
        assert answer.statements < whole.statements


def test_a_finished_answer_is_kept_once(scene: Scene, database_url: str, server: Server) -> None:
    with cold(database_url, server) as client:
        app = client.application.app
        path, site = scene.author.path, scene.site
        held = []
        for _ in range(2):
            answer = client.get(path, site=site)
            held.append(len(app.answers))

    assert answer.status == 200
    assert held == [1, 1]


def test_a_refusal_comes_before_a_304(api: Api, make: Factory, scene: Scene) -> None:
    chat = make.conversation(scene.site, microcosm=scene.inner)
    now = tag(api, chat.path, by=scene.site.newcomer)
    guests = tag(api, chat.path, site=scene.site)

    assert api.delete(chat.path, by=scene.site.moderator).status == 200

    assert held(api, chat.path, now, by=scene.site.newcomer).status == 404
    assert held(api, chat.path, guests, site=scene.site).status == 404
    assert held(api, chat.path, "*", by=scene.site.banned).status == 403


def marks(make: Factory, who: Person) -> list[tuple[Any, ...]]:
    """Return what a person's read marks say."""
    return make.sql(
        """SELECT item_type_id, item_id, read_at FROM read_marks
            WHERE site_id = %(s)s AND profile_id = %(p)s ORDER BY 1, 2""",
        s=who.site.id,
        p=who.id,
    )


def test_a_304_marks_read_and_head_never_does(api: Api, make: Factory, bikes: Site) -> None:
    reader = make.person(bikes)
    chat = make.conversation(bikes)
    comment = make.comments(chat, 2)[1]

    for path in (chat.path, comment.path, f"{chat.path}/newcomment"):
        assert api.request("HEAD", path, by=reader).status in (200, 307)
        assert marks(make, reader) == []
    unread = api.get(chat.path, by=reader)
    ((_, _, first_mark),) = marks(make, reader)
    # Back to before, so that the same answer is due again.
    make.sql(
        "DELETE FROM read_marks WHERE site_id = %(s)s AND profile_id = %(p)s",
        s=bikes.id,
        p=reader.id,
    )
    again = held(api, chat.path, unread.headers["ETag"], by=reader)

    assert again.status == 304
    ((_, item_id, mark),) = marks(make, reader)
    assert item_id == chat.id
    assert mark >= first_mark


def test_a_304_counts_the_view(
    scene: Scene, make: Factory, database_url: str, server: Server
) -> None:
    chat = make.conversation(scene.site, microcosm=scene.inner)

    with cold(database_url, server) as client:
        now = tag(client, chat.path, site=scene.site)
        assert held(client, chat.path, now, site=scene.site).status == 304
        client.request("HEAD", chat.path, site=scene.site)
        client._client.application.app.activity.flush()  # type: ignore[attr-defined]

    views = make.sql("SELECT views FROM item_views WHERE item_id = %(i)s", i=chat.id)
    assert views == [(3,)]


# ---------------------------------------------------------------- what makes another tag

Step = Callable[[Api, Factory, Scene, Person], object]


def sql(statement: str, **names: str) -> Step:
    """A change by SQL; `names` are parameters, each the name of a thing of the scene or "viewer"."""

    def run(api: Api, make: Factory, scene: Scene, viewer: Person) -> object:
        ids = {
            name: viewer.id if thing == "viewer" else getattr(scene, thing).id
            for name, thing in names.items()
        }
        return make.sql(statement, s=scene.site.id, **ids)

    return run


def rename(who: str) -> Step:
    """A person takes another name."""

    def run(api: Api, make: Factory, scene: Scene, viewer: Person) -> object:
        person: Person = getattr(scene, who)
        done = api.put(person.path, {"profileName": f"{person.name[:20]}x"}, by=person)
        assert done.status == 302
        return done

    return run


def say(on: str) -> Step:
    """Somebody else comments."""
    return lambda api, make, scene, viewer: make.comment(getattr(scene, on), by=scene.site.newcomer)


def patch(what: str, flag: str, value: bool) -> Step:
    """The site's owner sets a flag."""

    def run(api: Api, make: Factory, scene: Scene, viewer: Person) -> object:
        done = api.patch(getattr(scene, what).path, (flag, value), by=scene.site.owner)
        assert done.status == 200
        return done

    return run


def put(what: str, **body: Any) -> Step:
    """The site's owner changes something; values that name a thing of the scene become its id."""

    def run(api: Api, make: Factory, scene: Scene, viewer: Person) -> object:
        sent = {
            key: getattr(scene, value).id if key.endswith("Id") else value
            for key, value in body.items()
        }
        done = api.put(
            getattr(scene, what).path,
            {**sent, "meta": {"editReason": "better"}},
            by=scene.site.owner,
        )
        assert done.status == 302, done.body
        return done

    return run


def become_moderator(api: Api, make: Factory, scene: Scene, viewer: Person) -> None:
    """The viewer gets every right."""
    role = make.role(scene.site, scene.site.root_id, "More", moderator=True, rights=RIGHTS)
    make.join(role, viewer)


def watch(thing: str, item_type: int) -> Step:
    """The viewer follows it."""
    return sql(
        f"""INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
            VALUES (%(s)s, %(v)s, {item_type}, %(i)s, true)""",
        v="viewer",
        i=thing,
    )


def ignore(thing: str) -> Step:
    """The viewer does not want to see it."""
    return lambda api, make, scene, viewer: make.ignore(viewer, getattr(scene, thing))


STOP_EMAIL = sql("UPDATE watchers SET send_email = false WHERE profile_id = %(v)s", v="viewer")
FORGET_READING = sql(
    """WITH gone AS (DELETE FROM read_marks WHERE site_id = %(s)s AND profile_id = %(v)s)
       UPDATE profiles SET all_read_at = '-infinity' WHERE site_id = %(s)s AND profile_id = %(v)s""",
    v="viewer",
)

AVATAR = """UPDATE profiles SET avatar_url = '/api/v1/files/new.png', version = version + 1
             WHERE site_id = %(s)s AND profile_id = %(p)s"""

CHANGES: dict[str, dict[str, Step]] = {
    "chat": {
        "watched": watch("chat", itemtypes.CONVERSATION),
        "watched without mail": STOP_EMAIL,
        "ignored": ignore("chat"),
        "an author ignored": ignore("second"),
        "author renamed": rename("author"),
        "author's picture": sql(AVATAR, p="author"),
        "a new comment": say("chat"),
        "a comment hidden": patch("edited", "deleted", True),
        "a comment moderated": patch("reply", "moderated", True),
        "the one replied to hidden": patch("first", "deleted", True),
        "one commenter renamed": rename("second"),
        "read up to nowhere": FORGET_READING,
        "another permission": become_moderator,
        "renamed": put("chat", title="Renamed"),
        "closed": patch("chat", "open", False),
        "sticky": patch("chat", "sticky", True),
        "moved": put("chat", microcosmId="aside"),
        "its microcosm renamed": put("inner", title="Wheels and tyres"),
        "a microcosm above renamed": put("place", title="The workshop"),
        "a microcosm above moved": put("inner", parentId="aside"),
    },
    "loose": {"the root renamed": put("root", title="The index")},
    "reply": {
        "author renamed": rename("second"),
        "the one replied to renamed": rename("author"),
        "the one replied to hidden": patch("first", "deleted", True),
        "the conversation renamed": put("chat", title="Renamed"),
        "another permission": become_moderator,
    },
    "inner": {
        "watched": watch("inner", itemtypes.MICROCOSM),
        "watched without mail": STOP_EMAIL,
        "ignored": ignore("inner"),
        "an item ignored": ignore("chat"),
        "an item renamed": put("chat", title="Renamed"),
        "an item hidden": patch("chat", "deleted", True),
        "an item sticky": patch("chat", "sticky", True),
        "an item's author renamed": rename("author"),
        "the last commenter renamed": rename("second"),
        "a comment on an item": say("chat"),
        "the last comment hidden": patch("edited", "deleted", True),
        "read up to nowhere": FORGET_READING,
        "another permission": become_moderator,
        "renamed": put("inner", title="Wheels and tyres"),
        "described": put("inner", description="Lacing and truing"),
        "moved": put("inner", parentId="aside"),
        "the one above renamed": put("place", title="The workshop"),
    },
    "place": {
        "a child renamed": put("inner", title="Wheels and tyres"),
        "a child hidden": patch("inner", "deleted", True),
        "a child moderated": patch("inner", "moderated", True),
        "a child sticky": patch("inner", "sticky", True),
        "a child ignored": ignore("inner"),
        "a child moved": put("inner", parentId="aside"),
        "the newest item below ignored": ignore("chat"),
        "the newest item below renamed": put("chat", title="Renamed"),
        "the last commenter below renamed": rename("second"),
        "a comment below": say("chat"),
        "an item below hidden": patch("chat", "moderated", True),
        "read up to nowhere": FORGET_READING,
    },
    "author": {
        "renamed": rename("author"),
        "picture": sql(AVATAR, p="author"),
        "biography hidden": patch("bio", "deleted", True),
        "watched": watch("author", itemtypes.PROFILE),
        "ignored": ignore("author"),
    },
}
# Steps that only make sense after others.
AFTER = {"watched without mail": "watched"}


def _cases() -> list[Any]:
    found: list[Any] = []
    for page, changes in CHANGES.items():
        for name, change in changes.items():
            first = changes[AFTER[name]] if name in AFTER else None
            found.append(pytest.param(page, first, change, id=f"{page}: {name}"))
    return found


@pytest.mark.slow
@pytest.mark.sliced(12)
@pytest.mark.parametrize(("page", "first", "change"), _cases())
def test_whatever_shows_makes_another_tag(
    api: Api, make: Factory, page: str, first: Step | None, change: Step
) -> None:
    scene = make_scene(api, make)
    viewer = make.person(scene.site)
    path = getattr(scene, page).path
    if first:
        first(api, make, scene, viewer)
    before = tag(api, path, by=viewer)
    assert held(api, path, before, by=viewer).status == 304

    change(api, make, scene, viewer)
    after = held(api, path, before, by=viewer)

    assert after.status == 200
    assert after.headers["ETag"] != before


@pytest.mark.wide
def test_the_tag_follows_what_is_shown_and_nothing_else(api: Api, make: Factory) -> None:
    scene = make_scene(api, make)
    viewer = make.person(scene.site)
    other = make.conversation(scene.site, microcosm=scene.aside)
    before = tag(api, scene.chat.path, by=viewer)
    guests = tag(api, scene.chat.path, site=scene.site)

    make.comment(other)
    make.ignore(viewer, other)
    rename("second")(api, make, make_scene(api, make), viewer)
    assert held(api, scene.chat.path, before, by=viewer).status == 304
    # What is between the viewer and the conversation is nobody else's.
    watch("chat", itemtypes.CONVERSATION)(api, make, scene, viewer)
    assert held(api, scene.chat.path, before, by=viewer).status == 200
    assert held(api, scene.chat.path, guests, site=scene.site).status == 304
    say("chat")(api, make, scene, viewer)
    assert held(api, scene.chat.path, guests, site=scene.site).status == 200


@pytest.mark.parametrize("path", ["{chat}", "/api/v1/microcosms", "{reply}", "/api/v1/profiles"])
def test_each_form_of_an_answer_has_its_own_tag(api: Api, scene: Scene, path: str) -> None:
    full = address(scene, path)
    forms = ["", "?context=a", "?context=b", "?disableBoiler", "?always200", "?callback=f"]
    tags = [tag(api, full + form, site=scene.site) for form in forms]
    headers = [
        api.get(full, site=scene.site, headers={name: "1"}).headers["ETag"]
        for name in ("X-Disable-Boiler", "X-Always-200")
    ]

    assert len(set(tags)) == len(tags)
    # A header asks for the same bytes as its query parameter.
    assert tags[0] not in headers
    for form, now in zip(forms, tags, strict=True):
        assert held(api, full + form, now, site=scene.site).status == 304


@pytest.mark.wide
@pytest.mark.slow
def test_two_viewers_who_see_the_same_bytes_may_share_a_tag_others_never(
    api: Api, make: Factory, scene: Scene
) -> None:
    people = [None, scene.site.member, scene.site.newcomer, scene.site.moderator]
    people += [scene.site.owner, scene.author, scene.second]
    for path in scene.pages:
        seen: dict[str, bytes] = {}
        for by in people:
            api.get(path, site=scene.site, by=by)
            answer = api.get(path, site=scene.site, by=by)
            if "ETag" in answer.headers:
                known = seen.setdefault(answer.headers["ETag"], answer.body)
                assert known == answer.body, path


# ---------------------------------------------------------------- If-Match

RENAME = {"title": "Renamed", "meta": {"editReason": "x"}}
WRITES: dict[str, tuple[str, Any]] = {
    "PUT chat": ("chat", RENAME),
    "PATCH chat": ("chat", [{"op": "replace", "path": "/meta/flags/sticky", "value": True}]),
    "DELETE chat": ("chat", None),
    "PUT comment": ("reply", {"markdown": "Changed"}),
    "PATCH comment": ("reply", [{"op": "replace", "path": "/meta/flags/moderated", "value": True}]),
    "DELETE comment": ("reply", None),
    "PUT microcosm": ("inner", RENAME),
    "PATCH microcosm": ("inner", [{"op": "replace", "path": "/meta/flags/open", "value": False}]),
    "DELETE microcosm": ("inner", None),
    "PUT profile": ("author", {"gender": "none of it"}),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_stale_if_match_is_412_and_changes_nothing(api: Api, make: Factory, write: str) -> None:
    scene = make_scene(api, make)
    name, body = WRITES[write]
    method = write.partition(" ")[0]
    thing: Any = getattr(scene, name)
    by = scene.site.owner
    now = tag(api, thing.path, by=by)
    own_version = now.partition("-")[0]
    shown = api.get(thing.path, by=by).body

    def send(wanted: str) -> Response:
        return api.request(method, thing.path, by=by, json=body, headers={"If-Match": wanted})

    for stale in ('"999-abc"', 'W/"999-abc"', '"999-a", W/"998-b"', "", "nonsense", own_version):
        refused = send(stale)
        assert refused.status == 412, stale
        assert "If-Match" in refused.error
    assert api.get(thing.path, by=by).body == shown
    # Only the own version counts: a tag of another viewer, weak, among others.
    theirs = tag(api, thing.path, site=scene.site)
    assert theirs != now
    done = send(f'"999-a", W/{theirs}')
    assert done.status in (200, 302)
    if method != "DELETE":
        assert send(now).status == 412
    assert send("*").status in (200, 302)


def test_a_tag_of_ones_own_is_good_whether_strong_or_weak(api: Api, make: Factory) -> None:
    scene = make_scene(api, make)
    by = scene.author
    for form in ("{}", "W/{}"):
        now = tag(api, scene.chat.path, by=by)
        done = api.put(
            scene.chat.path,
            {"title": f"Again {form}", "meta": {"editReason": "x"}},
            by=by,
            headers={"If-Match": form.format(now)},
        )
        assert done.status == 302


def test_a_comment_does_not_move_the_version_of_what_it_is_on(api: Api, make: Factory) -> None:
    scene = make_scene(api, make)
    now = tag(api, scene.chat.path, by=scene.author)
    make.comment(scene.chat, by=scene.site.newcomer)
    assert held(api, scene.chat.path, now, by=scene.author).status == 200

    done = api.put(scene.chat.path, RENAME, by=scene.author, headers={"If-Match": now})

    assert done.status == 302


def test_a_right_is_asked_before_if_match(api: Api, scene: Scene) -> None:
    refused = api.put(
        scene.chat.path, RENAME, by=scene.site.newcomer, headers={"If-Match": '"999-a"'}
    )
    assert refused.status == 403


@pytest.mark.parametrize("name", ["chat", "reply"])
def test_of_many_changes_based_on_one_version_one_is_made(
    server: Server, make: Factory, name: str
) -> None:
    one_wins(server, make, name, "SELECT 1 FROM items WHERE item_id = %s FOR UPDATE", "chat")


def test_of_many_changes_of_a_microcosm_one_is_made(server: Server, make: Factory) -> None:
    one_wins(server, make, "inner", "SELECT 1 FROM sites WHERE site_id = %s FOR UPDATE", "site")


def one_wins(server: Server, make: Factory, name: str, lock: str, locked: str) -> None:
    """Holds a row until all writers have come, then lets them go."""
    api = server.api()
    scene = make_scene(api, make)
    thing: Thing = getattr(scene, name)
    now = tag(api, thing.path, by=scene.site.owner)

    def send(number: int) -> int:
        client = server.api()
        body = {"title": f"T{number}", "markdown": f"M{number}", "meta": {"editReason": "x"}}
        answer = client.put(thing.path, body, by=scene.site.owner, headers={"If-Match": now})
        client.close()
        return answer.status

    with psycopg.connect(make.database.url) as other, ThreadPoolExecutor(6) as pool:
        other.execute(lock, [getattr(scene, locked).id])
        answers = pool.map(send, range(6))
        waiting(make, 6)
        other.rollback()
        statuses = sorted(answers)

    assert statuses == [302] + [412] * 5


def waiting(make: Factory, count: int) -> None:
    """Returns once `count` sessions of this database wait for a lock."""
    for _ in range(500):
        ((found,),) = make.sql(
            """SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'"""
        )
        if found >= count:
            return
        make.sql("SELECT pg_sleep(0.01)")
    raise AssertionError("they never came")


# ---------------------------------------------------------------- warm is cold

MOVES: dict[str, Step] = {
    "author renamed": rename("author"),
    "commenter renamed": rename("second"),
    "author's picture": sql(AVATAR, p="author"),
    "commenter's picture": sql(AVATAR, p="second"),
    "editor renamed": lambda api, make, scene, viewer: api.put(
        scene.site.moderator.path, {"profileName": "mod.again"}, by=scene.site.moderator
    ),
    "owner renamed": lambda api, make, scene, viewer: api.put(
        scene.site.owner.path, {"profileName": "owner.again"}, by=scene.site.owner
    ),
    "conversation renamed": put("chat", title="Renamed"),
    "conversation closed": patch("chat", "open", False),
    "conversation sticky": patch("chat", "sticky", True),
    "conversation moved": put("chat", microcosmId="aside"),
    "conversation hidden": patch("chat", "deleted", True),
    "conversation back": patch("chat", "deleted", False),
    "microcosm renamed": put("inner", title="Wheels and tyres"),
    "microcosm described": put("inner", description="Lacing"),
    "microcosm above renamed": put("place", title="The workshop"),
    "microcosm moved": put("inner", parentId="aside"),
    "microcosm moved back": put("inner", parentId="place"),
    "microcosm hidden": patch("inner", "moderated", True),
    "microcosm back": patch("inner", "moderated", False),
    "conversation moved back": put("chat", microcosmId="inner"),
    "replied to edited": lambda api, make, scene, viewer: api.put(
        scene.first.path, {"markdown": "Not the first any more"}, by=scene.author
    ),
    "replied to hidden": patch("first", "deleted", True),
    "replied to back": patch("first", "deleted", False),
    "reply moderated": patch("reply", "moderated", True),
    "reply back": patch("reply", "moderated", False),
    "new comment": say("chat"),
    "biography edited": lambda api, make, scene, viewer: api.put(
        scene.bio.path, {"markdown": "All about me"}, by=scene.author
    ),
    "biography hidden": patch("bio", "deleted", True),
    "biography back": patch("bio", "deleted", False),
    "site renamed": lambda api, make, scene, viewer: api.put(
        "/api/v1/site", {"title": "Another name"}, by=scene.site.owner
    ),
    "menu changed": lambda api, make, scene, viewer: api.put(
        "/api/v1/site/menu", [{"href": "/x/", "text": "X"}], by=scene.site.owner
    ),
    "root microcosm renamed": put("root", title="The index"),
}


def told(answer: Response) -> tuple[int, bytes, str]:
    """Return what must be the same, cold or warm."""
    return answer.status, answer.body, answer.headers.get("ETag", "")


@pytest.mark.slow
@pytest.mark.parametrize("most", [3, pytest.param(len(MOVES), marks=pytest.mark.wide)])
def test_a_warm_answer_is_a_cold_one_whatever_was_changed(
    make: Factory, database_url: str, tmp_path: Path, most: int
) -> None:
    # It asks often what changed, so that guests need not be waited for.
    server = start_server(database_url, tmp_path, site_poll_ms="50")
    try:
        compare(server, make, database_url, list(MOVES.items())[:most])
    finally:
        server.stop()


def compare(
    server: Server, make: Factory, database_url: str, moves: list[tuple[str, Callable[..., Any]]]
) -> None:
    """Changes on a warm server, each compared with a process that has seen nothing."""
    api = server.api()
    api.checks_schema = False  # thousands of answers; others are checked
    scene = make_scene(api, make)
    viewers = [None, scene.site.newcomer, scene.site.moderator]
    shown: dict[tuple[str, int], Response] = {}

    def look(path: str, by: Person | None) -> Response:
        return api.get(path, site=scene.site, by=by)

    for name, step in [("nothing", lambda *_: None), *moves]:
        done = step(api, make, scene, scene.site.newcomer)
        assert getattr(done, "status", 302) in (200, 302), name
        moved = 0
        with cold(database_url, server) as fresh:
            fresh.checks_schema = False
            for path in (scene.chat.path, *scene.pages):
                for number, by in enumerate(viewers):
                    if by is not None and path == scene.chat.path:
                        look(path, by)  # moves the read mark
                    warm = look(path, by)
                    made = fresh.get(path, site=scene.site, by=by)
                    until = time.monotonic() + (1 if by is None else 0.1)
                    tries = 0
                    while told(warm) != told(made) and (tries < 5 or time.monotonic() < until):
                        # Views were written just then, or what guests get from memory is a moment old. Five at
                        # least: where one takes longer than all may, views were written in that too.
                        tries += 1
                        time.sleep(0.02)
                        warm, made = look(path, by), fresh.get(path, site=scene.site, by=by)
                    where = f"{name}: {path} as {by.name if by else 'guest'}"
                    assert told(warm) == told(made), where
                    moved += shown.get((path, number), warm).body != warm.body
                    shown[path, number] = warm
        # Each of these shows somewhere, so the comparison was one of something.
        assert moved or name == "nothing", name
