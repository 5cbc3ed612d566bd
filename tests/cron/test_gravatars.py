"""Pictures of people who uploaded none: made from the profile's id, or fetched where the site wants that (P-36)."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from forumapi.config import Config
from forumapi.cron import gravatars
from forumapi.models.journal.journal import Author
from forumapi.models.people.profile import Profile
from forumapi.models.roles import role_recomputation
from forumapi.models.roles.role import LockedRoles
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.files.pictures import encoded, noise
from tests.fixtures import Server


def avatar(api: Api, person: Person) -> str:
    return str(api.get(person.path, site=person.site).data["avatar"])


@pytest.mark.wide
@pytest.mark.parametrize("as_before", [False, True], ids=["new", "of an earlier release"])
def test_no_answer_has_the_md5_of_an_address(api: Api, make: Factory, as_before: bool) -> None:
    site = make.site()
    people = (site.owner, site.member, site.newcomer)
    digests = {
        person.id: hashlib.md5(person.email.encode(), usedforsecurity=False).hexdigest()
        for person in people
    }
    if as_before:
        for id, digest in digests.items():
            make.sql(
                "UPDATE profiles SET avatar_url = %(u)s, version = version + 1 WHERE profile_id = %(p)s RETURNING 1",
                u=f"https://secure.gravatar.com/avatar/{digest}?d=identicon",
                p=id,
            )
    chat = make.conversation(site)
    make.comment(chat, by=site.newcomer)
    huddle = make.huddle(site.member, site.newcomer)
    paths = (
        "/api/v1/site",
        "/api/v1/whoami",
        "/api/v1/profiles",
        "/api/v1/conversations",
        "/api/v1/huddles",
    )
    for path in (*paths, chat.path, huddle.path, site.owner.path, site.member.path):
        for by in (None, site.owner, site.member):
            answer = api.get(path, site=site, by=by)
            assert not [one for one in digests.values() if one.encode() in answer.body], path
            assert b"gravatar" not in answer.body, path
    for user in (site.member.user_id, site.owner.user_id):
        assert b"gravatar" not in api.get(f"/api/v1/users/{user}", by=site.owner).body


def test_everybody_has_a_picture_of_their_own(api: Api, make: Factory, bikes: Site) -> None:
    people = [make.person(bikes) for _ in range(6)]
    seen = set()
    for person in people:
        path = avatar(api, person)
        answer = api.get(path, site=bikes)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
        assert "immutable" in answer.headers["Cache-Control"]
        with Image.open(BytesIO(answer.body)) as picture:
            assert picture.size == (100, 100)
            assert len(picture.convert("RGB").getcolors() or ()) == 2
        again = api.get(path, by=bikes.member)
        assert again.body == answer.body
        tag = {"If-None-Match": answer.headers["ETag"]}
        assert api.get(path, site=bikes, headers=tag).status == 304
        assert api.request("HEAD", path, site=bikes).headers["Content-Length"] == str(
            len(again.body)
        )
        seen.add(answer.body)
    assert len(seen) == 6
    small = api.get(f"{avatar(api, people[0])}?maxWidth=100&maxHeight=100", site=bikes)
    assert small.body == api.get(avatar(api, people[0]), site=bikes).body


def test_a_picture_tells_nothing_of_a_profile_but_that_the_site_has_it(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    person, hidden = make.person(bikes), make.person(bikes)
    assert api.put(hidden.path, {"visible": False}, by=hidden).status == 302
    for one in (person, hidden):
        for by in (None, bikes.member, bikes.owner):
            path = f"/api/v1/files/profile-{one.id}.png"
            assert api.get(path, site=bikes, by=by).status == 200
        assert api.get(f"/api/v1/files/profile-{one.id}.png", site=trains).status == 404
    for name in (
        "profile-987654321",
        "profile-" + "9" * 18,
        "profile-" + "9" * 19,
        "profile-0",
        "profile-01",
        "profile-",
        "profile--1",
        "profile-x",
        "profile-" + "9" * 30,
    ):
        assert api.get(f"/api/v1/files/{name}.png", site=bikes).status == 404
    wrong = api.get("/api/v1/files/profile-1.png?maxWidth=7&maxHeight=7", site=bikes)
    assert wrong.status == 400


def test_an_upload_takes_its_place(api: Api, make: Factory, bikes: Site) -> None:
    person = make.person(bikes)
    assert avatar(api, person) == f"/api/v1/files/profile-{person.id}.png"
    hash = make.file(person)
    api.post(f"{person.path}/attachments", {"fileHash": hash, "fileName": "me.png"}, by=person)
    assert avatar(api, person) == f"/api/v1/files/{hash}.png"


# ---------------------------------------------------------------- Gravatar, where a site wants it

SETTING = "/api/v1/site/avatars"


class Gravatar:
    """A service on loopback that has pictures of some addresses; `asked` holds the paths that it got."""

    def __init__(self) -> None:
        self.pictures: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.is_broken = False
        self.statuses: dict[str, int] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append(self.path)
                digest = urlsplit(self.path).path.rpartition("/")[2]
                body = service.pictures.get(digest, b"")
                found = service.statuses.get(digest, 200 if body else 404)
                self.send_response(503 if service.is_broken else found)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Stays quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/avatar/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def has(self, person: Person, picture: bytes, status: int = 200) -> None:
        digest = hashlib.sha256(person.email.lower().encode()).hexdigest()
        self.pictures[digest], self.statuses[digest] = picture, status


@pytest.fixture(scope="module")
def gravatar() -> Iterator[Gravatar]:
    service = Gravatar()
    yield service
    service.server.shutdown()
    service.server.server_close()


@pytest.fixture
def job(gravatar: Gravatar, make: Factory, database_url: str, server: Server) -> Callable[[], str]:
    """The job."""
    config = Config(
        database_url=database_url, data_dir=str(server.log.parent), gravatar_url=gravatar.url
    )

    def once() -> str:
        with make.database.write() as tx:
            return gravatars.gravatars(tx, config)

    return once


def age(make: Factory) -> None:
    """Make all profiles older than a minute."""
    make.sql("UPDATE profiles SET created = created - interval '2 minutes' RETURNING 1")


@pytest.fixture
def run(job: Callable[[], str], make: Factory) -> Callable[[], str]:
    """The job, on profiles that are a minute old."""

    def once() -> str:
        age(make)
        return job()

    return once


def test_only_the_owner_decides(api: Api, make: Factory) -> None:
    site = make.site()
    assert api.get(SETTING, by=site.owner).data == {"gravatar": False}
    for by in (None, site.moderator, site.member):
        assert api.put(SETTING, {"gravatar": True}, by=by, site=site).status == 403
        assert api.get(SETTING, by=by, site=site).status == 403
    for body in ({}, {"gravatar": "yes"}, {"gravatar": None}):
        assert api.put(SETTING, body, by=site.owner).status == 400
    for on in (True, True, False, False):
        assert api.put(SETTING, {"gravatar": on}, by=site.owner).status == 302
        assert api.get(SETTING, by=site.owner).data == {"gravatar": on}


@pytest.mark.wide
def test_a_picture_is_fetched_by_the_server_and_stored(
    api: Api, make: Factory, gravatar: Gravatar, run: Callable[[], str]
) -> None:
    site, other = make.site(), make.site()
    with_own = make.person(site)
    hash = make.file(with_own)
    api.post(f"{with_own.path}/attachments", {"fileHash": hash, "fileName": "me.png"}, by=with_own)
    large = encoded(noise(300, 200), "PNG")
    for person in (site.member, with_own, other.member):
        gravatar.has(person, large)
    gravatar.has(site.newcomer, b"<html>no picture</html>")
    run()
    assert gravatar.asked == []

    api.put(SETTING, {"gravatar": True}, by=site.owner)
    assert run() == "1 pictures"
    shown = avatar(api, site.member)
    answer = api.get(shown, site=site)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
    with Image.open(BytesIO(answer.body)) as picture:
        assert picture.size == (100, 67)
    assert "profile" not in shown
    for person in (site.newcomer, site.owner, other.member):
        assert avatar(api, person) == f"/api/v1/files/profile-{person.id}.png"
    assert avatar(api, with_own) == f"/api/v1/files/{hash}.png"
    # Gravatar is told a digest that is not guessed from md5 lists, nothing else, and once.
    assert len(gravatar.asked) == len(set(gravatar.asked)) == 5
    assert all(re.fullmatch(r"/avatar/[0-9a-f]{64}\?s=100&d=404", path) for path in gravatar.asked)
    assert run() == "nobody to ask for"

    late = make.person(site)
    gravatar.has(late, large)
    api.put(SETTING, {"gravatar": False}, by=site.owner)
    assert run() == "nobody to ask for"
    assert avatar(api, site.member) == shown


@pytest.mark.wide
def test_what_fails_is_asked_for_again(
    api: Api, make: Factory, gravatar: Gravatar, run: Callable[[], str]
) -> None:
    site = make.site()
    gravatar.has(site.member, encoded(noise(50, 50), "PNG"))
    api.put(SETTING, {"gravatar": True}, by=site.owner)
    gravatar.is_broken = True
    gravatar.asked.clear()
    assert run() == "0 pictures"
    assert len(gravatar.asked) == 3
    gravatar.is_broken = False
    assert run() == "1 pictures"
    assert not make.sql("SELECT 1 FROM file_strays s JOIN files f USING (file_hash)")


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.parametrize(
    ("status", "size"),
    [(200, 1_000_001), (302, 1), (400, 1), (403, 1), (429, 1), (500, 1), (503, 1)],
)
def test_one_person_that_always_fails_keeps_nobody_waiting(
    api: Api, make: Factory, gravatar: Gravatar, run: Callable[[], str], status: int, size: int
) -> None:
    site = make.site()
    gravatar.has(site.owner, b"x" * size, status)
    gravatar.has(site.member, encoded(noise(50, 50), "PNG"))
    api.put(SETTING, {"gravatar": True}, by=site.owner)

    assert run() == "1 pictures"
    assert run() == "nobody to ask for"


def waits(make: Factory, job: Future[str]) -> None:
    """Return once the job waits for a lock."""
    blocked = """SELECT 1 FROM pg_stat_activity
                  WHERE wait_event_type = 'Lock' AND datname = current_database()
                    AND query ~ '^/[*] (gravatar|attachment|role_recomputation)'"""
    deadline = time.monotonic() + 30
    while not make.sql(blocked):
        assert not job.done(), job.result()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_job_waits_for_a_change_of_roles_before_it_locks_a_profile(
    api: Api, make: Factory, gravatar: Gravatar, job: Callable[[], str]
) -> None:
    site = make.site()
    role = make.role(site, make.microcosm(site).id, "Regulars")
    make.join(role, site.owner)
    gravatar.has(site.owner, encoded(noise(50, 50), "PNG"))
    api.put(SETTING, {"gravatar": True}, by=site.owner)
    age(make)
    with ThreadPoolExecutor(1) as pool:
        # As DELETE of the role: roles, the site's row, the profile.
        with make.database.write() as tx:
            LockedRoles.lock(tx, site.id, site.owner.id, moves_rights=True)
            running = pool.submit(job)
            waits(make, running)
            role_recomputation.recompute_role_of(tx, site.id, role[1], [site.owner.id])
        assert running.result() == "1 pictures"


def test_the_job_locks_all_profiles_before_it_changes_the_site(
    api: Api, make: Factory, gravatar: Gravatar, job: Callable[[], str]
) -> None:
    site = make.site()
    first, second = sorted((site.owner, site.member), key=lambda person: person.id)
    make.sql(
        "UPDATE sites SET owned_by = %(o)s, created_by = %(c)s WHERE site_id = %(s)s RETURNING 1",
        o=first.id,
        c=second.id,
        s=site.id,
    )
    for person in (first, second):
        gravatar.has(person, encoded(noise(50, 50), "PNG"))
    api.put(SETTING, {"gravatar": True}, by=site.owner)
    age(make)
    with ThreadPoolExecutor(1) as pool:
        # As PUT of a profile that the site's document shows: the profile, the site's row.
        with make.database.write() as tx:
            now = Profile.lock(tx, site.id, second.id)
            assert now is not None
            running = pool.submit(job)
            waits(make, running)
            now.update(
                tx,
                Author(site.id, second.id, ""),
                name=now.name,
                gender="",
                is_visible=False,
                style_id=now.style_id,
            )
        assert running.result() == "2 pictures"
