"""Round trip: a site that is exported, loaded into an empty site, and exported again has an equal hash."""

from __future__ import annotations

import contextlib
import hashlib
import io
import secrets
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest

from forumapi.command import seed
from forumapi.config import Config
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.files.storage import open_storage
from forumapi.models.people.user import User
from forumapi.models.sites.site import Site as SiteRow
from forumapi.models.sites.site_validation import SiteBody
from forumapi.porting.exports import exporting, layout_writer
from forumapi.porting.exports.layout_writer import LayoutWritten
from forumapi.porting.exports.site_reader import SiteReader
from forumapi.porting.layout import BaseReader, PortedComment, PortedVersion
from forumapi.porting.readers import open_reader
from tests import services
from tests.factories import Factory, Site
from tests.fixtures import PLATFORM_DOMAIN, factory
from tests.porting.everything import everything
from tests.porting.moved import Moved


def export(config: Config, site_id: int, folder: Path) -> LayoutWritten:
    with exporting.snapshot(config.database_url) as tx:
        reader = SiteReader(tx, site_id, PLATFORM_DOMAIN, open_storage(config))
        return exporting.to_folder(reader, folder, lambda _: None)


def empty(make: Factory) -> Site:
    """Return a new site that has nothing but its owner."""
    key = f"empty{secrets.token_hex(6)}"
    with make.database.write() as tx:
        owner = User.find_or_create(tx, f"owner@{key}.test", is_verified=True).id
        body = SiteBody(subdomainKey=key, title="Empty", description="Empty")
        id = SiteRow.insert(tx, body, user_id=owner, platform_domain=PLATFORM_DOMAIN)
    return Site(id, key, f"{key}.{PLATFORM_DOMAIN}", 0)


@pytest.mark.wide
def test_a_site_of_everything_comes_back_equal(
    make: Factory, config: Config, tmp_path: Path
) -> None:
    site = everything(make, config.files_folder)
    there = empty(make)

    first = export(config, site.id, tmp_path / "first")
    moved = Moved(make, config, there, open_reader("microcosm", tmp_path / "first"))
    outcome = moved.load("level")
    second = export(config, there.id, tmp_path / "second")

    left = moved.rows("SELECT kind, old_id, reason FROM import_leftouts WHERE site_id = %(s)s")
    assert left == []
    assert second.hash == first.hash
    assert outcome.left_out == 0


# Damages of the rows that came in; each must be seen.
DAMAGES = {
    "a lost comment": """DELETE FROM comments c WHERE c.site_id = %(s)s AND c.comment_id = (
        SELECT max(x.comment_id) FROM comments x WHERE x.site_id = %(s)s AND x.item_id IS NOT NULL)""",
    "a swapped author": """UPDATE comments SET created_by = (
        SELECT max(profile_id) FROM profiles WHERE site_id = %(s)s) WHERE site_id = %(s)s AND markdown = 'Nested'""",
    "a shifted time": """UPDATE comments SET created = created + interval '1 hour'
        WHERE site_id = %(s)s AND markdown = 'Nested'""",
    "another title": "UPDATE items SET title = 'Pinned' WHERE site_id = %(s)s AND is_sticky",
    "an answer to nothing": "UPDATE comments SET in_reply_to = NULL WHERE site_id = %(s)s AND markdown = 'Nested'",
    "what was deleted is shown": "UPDATE comments SET is_deleted = false WHERE site_id = %(s)s AND is_deleted",
    "what waits is shown": "UPDATE comments SET is_moderated = false WHERE site_id = %(s)s AND is_moderated",
    "another place": """UPDATE items SET microcosm_id = (SELECT microcosm_id FROM microcosms
        WHERE site_id = %(s)s AND title = 'Committee') WHERE site_id = %(s)s AND is_sticky""",
    "wider rights": """UPDATE roles SET include_guests = true WHERE site_id = %(s)s AND microcosm_id = (
        SELECT microcosm_id FROM microcosms WHERE site_id = %(s)s AND title = 'Committee')""",
    "a moderator less": """DELETE FROM role_profiles m USING roles r WHERE m.site_id = %(s)s
        AND r.site_id = m.site_id AND r.role_id = m.role_id AND r.is_moderator""",
    "another vote": "UPDATE poll_choices SET vote_count = vote_count + 1 WHERE site_id = %(s)s",
    "a lost ballot": "DELETE FROM poll_ballots WHERE site_id = %(s)s",
    "a lost reaction": "DELETE FROM reactions WHERE site_id = %(s)s AND item_type_id = 4",
    "a lost revision": """WITH gone AS (DELETE FROM comment_revisions WHERE site_id = %(s)s)
        UPDATE comments SET revisions = 1 WHERE site_id = %(s)s""",
    "a file elsewhere": """UPDATE attachments SET item_id = (SELECT comment_id FROM comments
        WHERE site_id = %(s)s AND markdown = 'Nested') WHERE site_id = %(s)s AND item_type_id = 4""",
    "a lost picture": "UPDATE profiles SET avatar_id = NULL WHERE site_id = %(s)s",
    "an attendee less": """DELETE FROM attendees WHERE site_id = %(s)s AND profile_id = (
        SELECT max(profile_id) FROM attendees WHERE site_id = %(s)s)""",
    "another value": "UPDATE attributes SET string_value = 'silver' WHERE site_id = %(s)s AND item_type_id = 3",
    "a ban less": "DELETE FROM bans WHERE site_id = %(s)s",
    "nothing followed": "DELETE FROM watchers WHERE site_id = %(s)s",
    "another name": "UPDATE profiles SET profile_name = 'Else' WHERE site_id = %(s)s AND profile_name = 'member'",
}


@pytest.mark.wide
def test_each_damage_changes_the_hash(make: Factory, config: Config, tmp_path: Path) -> None:
    site = everything(make, config.files_folder)
    there = empty(make)
    export(config, site.id, tmp_path / "export")
    Moved(make, config, there, open_reader("microcosm", tmp_path / "export")).load("level")
    storage = open_storage(config)

    with psycopg.connect(config.database_url) as connection:

        def hashed() -> str:
            # What is not committed is seen by this connection alone.
            reader = SiteReader(_Rows(connection), there.id, PLATFORM_DOMAIN, storage)
            return layout_writer.write(reader, NoSink()).hash

        before = hashed()
        for name, damage in DAMAGES.items():
            with connection.transaction(force_rollback=True):
                done = connection.execute(damage, {"s": there.id})
                assert done.rowcount or name == "a lost revision", name
                assert hashed() != before, name
        assert hashed() == before


class _Rows(Reader):
    """Rows of statements on a connection of the test."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._on = connection

    def rows(self, query: Query, **params: object) -> list[tuple[Any, ...]]:
        given = {name: params[name] for name in query.names}
        return self._on.execute(query.sql, given).fetchall()


class NoSink:
    """Sink that keeps nothing."""

    @contextlib.contextmanager
    def open(self, path: str, *, is_packed: bool = False) -> Iterator[IO[bytes]]:
        yield io.BytesIO()


@pytest.mark.wide
def test_an_archive_is_read_like_a_folder(make: Factory, config: Config, tmp_path: Path) -> None:
    site = everything(make, config.files_folder)
    with exporting.snapshot(config.database_url) as tx:
        reader = SiteReader(tx, site.id, PLATFORM_DOMAIN, open_storage(config))
        archived = exporting.to_archive(reader, tmp_path / "export.zip", lambda _: None)

    read = layout_writer.write(open_reader("microcosm", tmp_path / "export.zip"), NoSink())

    assert read.hash == archived.written.hash
    assert read.documents == archived.written.documents
    assert archived.sha256 == hashlib.sha256((tmp_path / "export.zip").read_bytes()).hexdigest()


@pytest.mark.wide
def test_a_demonstration_site_comes_back_equal(
    make: Factory, postgres_url: str, tmp_path: Path
) -> None:
    with services.database(postgres_url, "roundtrip") as url:
        config = Config(
            environment="embedded", database_url=url, data_dir=str(tmp_path), files_path="files"
        )
        seed.demo(url, config, lambda _: None)
        with factory(url) as there:
            ((site_id,),) = there.sql("SELECT site_id FROM sites WHERE subdomain_key = 'bikes'")
            first = export(config, site_id, tmp_path / "first")
            moved = Moved(there, config, empty(there), open_reader("microcosm", tmp_path / "first"))
            moved.load()
            left = moved.rows(
                "SELECT kind, old_id, reason FROM import_leftouts WHERE site_id = %(s)s"
            )
            second = export(config, moved.site.id, tmp_path / "second")

    # Who is a member is for the owner of each site to say.
    assert [row[2] for row in left] == ["key: is the site's own"] * 2
    assert first.documents > 900
    assert second.hash == first.hash


class ManyComments(BaseReader):
    """Reader of a forum with so many comments."""

    name = "many"

    def __init__(self, count: int) -> None:
        self._count = count

    def comments(self) -> Iterator[PortedComment]:
        for number in range(self._count):
            versions = (PortedVersion(text=f"Comment {number} " * 20),)
            yield PortedComment(id=str(number + 1), on_id="1", versions=versions)


@pytest.mark.wide
def test_memory_does_not_grow_with_the_forum() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        layout_writer.write(ManyComments(count), NoSink())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # Each part is written to memory here, 5,000 documents with 300 bytes; every document more takes its eight bytes.
    few, many = peak(20_000), peak(100_000)
    assert many - few < 80_000 * 8 * 2
