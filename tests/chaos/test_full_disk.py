"""A full disk of the database, as a trigger that says so: reads go on, writes are 503, and nothing needs mending.

`make chaos` fills a real one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.stage import own_database
from tests.fixtures import factory, start_server

pytestmark = pytest.mark.slow

FULL = """
    CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"""
TABLES = ("read_marks", "comments", "event_log")


@pytest.mark.wide
def test_reads_go_on_and_writes_are_refused_until_there_is_room(tmp_path: Path) -> None:
    with own_database("full") as url, factory(url) as make:
        site = make.site()
        chat = make.conversation(site)
        comment = make.comment(chat)
        letters = make.huddle(site.owner, site.member)
        make.comment(letters, by=site.owner)
        make.sql(FULL)
        for table in TABLES:
            make.sql(
                f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION no_room()"
            )
        server = start_server(url, tmp_path)
        try:
            api = server.api()
            body = {"itemType": "conversation", "itemId": chat.id, "markdown": "Hello"}

            for path in (chat.path, comment.path, letters.path, "/api/v1/microcosms"):
                assert api.get(path, by=site.member).status == 200
            refused = api.post("/api/v1/comments", body, by=site.member)
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            assert api.get(chat.path, by=site.member).data["comments"]["total"] == 1

            for table in TABLES:
                make.sql(f"DROP TRIGGER full_disk ON {table}")
            assert api.post("/api/v1/comments", body, by=site.member).status == 302
        finally:
            server.stop()
