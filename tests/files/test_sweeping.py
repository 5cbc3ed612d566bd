"""Tests of what is swept away after its time, and what stays."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from forumapi.config import Config
from forumapi.cron import file_cleanup
from forumapi.files.storage.local import LocalStorage
from tests.factories import Factory, Person, Site


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return dataclasses.replace(Config(), data_dir=str(tmp_path))


def stored(config: Config, hash: str) -> Path:
    """An object of that name in the store."""
    path = LocalStorage(config.files_folder).path(hash)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    return path


def old(make: Factory, hash: str, days: int = 31) -> None:
    for table in ("files", "file_uploads"):
        make.sql(
            f"UPDATE {table} SET created = now() - make_interval(days => %(days)s::int)"
            " WHERE file_hash = %(hash)s RETURNING 1",
            hash=hash,
            days=days,
        )


def sweep(make: Factory, config: Config) -> None:
    with make.database.write() as tx:
        file_cleanup.unused_files(tx, config)
    make.sql("UPDATE file_strays SET since = now() - interval '2 hours' RETURNING 1")
    with make.database.write() as tx:
        file_cleanup.stray_objects(tx, config)


def rows(make: Factory, hash: str) -> int:
    return len(make.sql("SELECT 1 FROM files WHERE file_hash = %(hash)s", hash=hash))


def used(make: Factory, person: Person) -> int:
    found = make.sql(
        "SELECT bytes FROM file_usage WHERE site_id = %(site)s AND profile_id = %(id)s",
        site=person.site.id,
        id=person.id,
    )
    return int(found[0][0])


def test_a_file_nothing_refers_to_goes_with_its_object(
    make: Factory, bikes: Site, config: Config
) -> None:
    person = make.person(bikes)
    gone, young = make.file(person), make.file(person)
    path, kept = stored(config, gone), stored(config, young)
    old(make, gone)
    before = used(make, person)

    sweep(make, config)

    assert (rows(make, gone), rows(make, young)) == (0, 1)
    assert (path.exists(), kept.exists()) == (False, True)
    assert 0 < used(make, person) < before


def test_what_is_linked_or_attached_stays(make: Factory, bikes: Site, config: Config) -> None:
    person = make.person(bikes)
    hashes = [make.file(person) for _ in range(4)]
    comment = make.comment(
        make.conversation(bikes), by=person, markdown=f"![see](/api/v1/files/{hashes[0]}.png)"
    )
    make.sql(
        "UPDATE microcosms SET logo_url = %(url)s WHERE microcosm_id = %(id)s RETURNING 1",
        url=f"https://bikes.example/api/v1/files/{hashes[1]}",
        id=make.microcosm(bikes).id,
    )
    make.sql(
        """
        INSERT INTO attachments (site_id, item_type_id, item_id, profile_id, file_hash, file_name)
        VALUES (%(site)s, 4, %(id)s, %(me)s, %(hash)s, 'a') RETURNING 1""",
        site=bikes.id,
        id=comment.id,
        me=person.id,
        hash=hashes[2],
    )
    for hash in hashes:
        old(make, hash)

    sweep(make, config)

    assert [rows(make, hash) for hash in hashes] == [1, 1, 1, 0]


def test_nothing_goes_where_the_settings_keep_everything(
    make: Factory, bikes: Site, config: Config
) -> None:
    hash = make.file(bikes.member)
    old(make, hash, days=9999)

    sweep(make, dataclasses.replace(config, file_orphan_days=0))

    assert rows(make, hash) == 1


def test_the_object_of_an_upload_that_failed_goes(make: Factory, config: Config) -> None:
    hash = "ab" * 20
    path = stored(config, hash)
    make.sql("INSERT INTO file_strays (file_hash) VALUES (%(h)s) RETURNING 1", h=hash)

    with make.database.write() as tx:
        file_cleanup.stray_objects(tx, config)
    assert path.exists()
    sweep(make, config)

    assert not path.exists()
    assert make.sql("SELECT 1 FROM file_strays WHERE file_hash = %(h)s", h=hash) == []


def test_an_object_that_has_a_row_stays(make: Factory, bikes: Site, config: Config) -> None:
    hash = make.file(bikes.member)
    path = stored(config, hash)
    make.sql("INSERT INTO file_strays (file_hash) VALUES (%(h)s) RETURNING 1", h=hash)

    sweep(make, config)

    assert path.exists()
