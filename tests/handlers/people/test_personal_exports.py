"""Copies of what belongs to a person: asked for after a fresh sign-in, for that person alone, for a day."""

from __future__ import annotations

import io
import json
import time
import zipfile

import psycopg
import pytest

from forumapi.config import Config
from forumapi.cron import personal_exports
from forumapi.errors import RATE_LIMITED, SIGN_IN_AGAIN
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.files import pictures
from tests.fixtures import Server


@pytest.fixture
def me(make: Factory, bikes: Site) -> Person:
    return make.person(bikes)


@pytest.fixture
def config(database_url: str, server: Server) -> Config:
    """Settings with the store of the web process."""
    return Config(database_url=database_url, data_dir=str(server.log.parent))


def _made(api: Api, me: Person, config: Config) -> zipfile.ZipFile:
    assert api.post(f"{me.path}/export", by=me).data["state"] == "queued"
    while personal_exports.work_off(config):
        pass
    return zipfile.ZipFile(io.BytesIO(api.get(f"{me.path}/export/file", by=me).body))


@pytest.mark.wide
def test_it_holds_rows_pages_and_files(
    api: Api, make: Factory, bikes: Site, me: Person, config: Config
) -> None:
    chat = make.conversation(bikes, by=bikes.member, title="Title of another")
    make.comment(chat, by=me, markdown="My <b>own</b> words")
    make.comment(chat, by=bikes.member, markdown="Words of another")
    huddle = make.huddle(me, bikes.member)
    make.comment(huddle, by=bikes.member, markdown="Told in private")
    gone = make.comment(huddle, by=bikes.member, markdown="Taken back in private")
    make.sql("UPDATE comments SET is_deleted = true WHERE comment_id = %(id)s", id=gone.id)
    held = make.comment(huddle, by=bikes.member, markdown="Held back in private")
    make.sql("UPDATE comments SET is_moderated = true WHERE comment_id = %(id)s", id=held.id)
    pictures.upload(api, me, b"bytes of a file", "diary.txt", "text/plain")

    archive = _made(api, me, config)

    names = archive.namelist()
    assert archive.testzip() is None
    comments = json.loads(archive.read("data/comments.json"))
    assert [one["markdown"] for one in comments] == ["My <b>own</b> words"]
    assert json.loads(archive.read("data/users.json"))[0]["email"] == me.email
    assert json.loads(archive.read("data/profiles.json"))[0]["profile_name"] == me.name
    assert "My <b>own</b> words" in archive.read("read/comments-0001.html").decode()
    messages = json.loads(archive.read("data/huddle_messages.json"))
    assert "Told in private" in [one["markdown"] for one in messages]
    (file,) = [name for name in names if name.startswith("files/")]
    assert file.endswith("diary.txt") and archive.read(file) == b"bytes of a file"
    assert me.name in archive.read("index.html").decode()
    whole = b"".join(archive.read(name) for name in names if name.startswith(("data/", "read/")))
    assert b"Words of another" not in whole and b"Title of another" not in whole
    assert b"Taken back in private" not in whole and b"Held back in private" not in whole
    assert b"token_hash" not in whole
    shown = api.get(f"{me.path}/export", by=me).data
    assert (shown["state"], shown["done"]) == ("ready", shown["total"])


@pytest.mark.wide
def test_it_is_for_the_person_alone(
    api: Api, make: Factory, bikes: Site, me: Person, config: Config, database_url: str
) -> None:
    _made(api, me, config)
    path = f"{me.path}/export"

    for by in (bikes.owner, bikes.moderator, bikes.member):
        for where in (path, f"{path}/file", f"/api/v1/profiles/{2**40}/export"):
            assert api.get(where, by=by).status == 403
        assert api.post(path, by=by).status == 403
        assert api.delete(path, by=by).status == 403
    assert api.get(f"{path}/file", host=bikes.host).status == 403
    key = api.post("/api/v1/keys", {"name": "a program", "scopes": ["profiles:read"]}, by=me).data[
        "secret"
    ]
    assert api.get(f"{path}/file", host=bikes.host, token=key).status == 403
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE access_tokens SET created = now() - interval '11 minutes' WHERE user_id = %s",
            [me.user_id],
        )
    assert api.post(path, by=me).code == SIGN_IN_AGAIN
    assert api.get(f"{path}/file", by=me).status == 200


def test_it_ends_after_a_day(
    api: Api, make: Factory, me: Person, config: Config, database_url: str
) -> None:
    _made(api, me, config)
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "UPDATE personal_exports SET finished = finished - interval '24 hours' WHERE profile_id = %s"
            " RETURNING object",
            [me.id],
        ).fetchone()
    assert row is not None
    object = config.files_folder / row[0][:2] / row[0][2:4] / row[0]
    assert object.exists()

    assert api.get(f"{me.path}/export", by=me).status == 404
    assert api.get(f"{me.path}/export/file", by=me).status == 404
    personal_exports.work_off(config)
    assert not object.exists()


@pytest.mark.wide
def test_one_that_is_made_goes_on_and_a_sixth_a_day_is_refused(
    api: Api, me: Person, config: Config
) -> None:
    first = api.post(f"{me.path}/export", by=me).data
    assert api.post(f"{me.path}/export", by=me).data == first
    assert api.get(f"{me.path}/export/file", by=me).status == 404
    personal_exports.work_off(config)
    for _ in range(4):
        _made(api, me, config)

    refused = api.post(f"{me.path}/export", by=me)
    assert (refused.status, refused.code) == (429, RATE_LIMITED)
    assert api.delete(f"{me.path}/export", by=me).status == 200
    assert api.delete(f"{me.path}/export", by=me).status == 404


def test_the_banned_have_it(api: Api, make: Factory, me: Person, config: Config) -> None:
    make.ban(me)

    assert "data/bans.json" in _made(api, me, config).namelist()


def test_a_process_that_died_is_taken_over(
    api: Api, me: Person, config: Config, database_url: str
) -> None:
    api.post(f"{me.path}/export", by=me)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE personal_exports SET state = 'running', seen = now() - interval '3 minutes' WHERE profile_id = %s",
            [me.id],
        )

    assert personal_exports.work_off(config)
    assert api.get(f"{me.path}/export", by=me).data["state"] == "ready"


_MANY = """
    INSERT INTO comments (site_id, item_id, seq, created_by, edited_by, renderer, markdown, html)
    SELECT %(site)s, %(item)s, 100 + n, %(me)s, %(me)s, 1, repeat('Some words of a usual length. ', 8) || n,
           '<p>' || repeat('Some words of a usual length. ', 8) || n || '</p>'
      FROM generate_series(1, 20000) AS n"""


@pytest.mark.wide
def test_twenty_thousand_comments_take_less_than_a_minute(
    api: Api, make: Factory, bikes: Site, me: Person, config: Config, database_url: str
) -> None:
    chat = make.conversation(bikes, by=me)
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL statement_timeout = '120s'")
        connection.execute(_MANY, {"site": bikes.id, "item": chat.id, "me": me.id})
    began = time.monotonic()

    archive = _made(api, me, config)

    assert len(json.loads(archive.read("data/comments.json"))) == 20_000
    assert "read/comments-0040.html" in archive.namelist()
    assert time.monotonic() - began < 60
