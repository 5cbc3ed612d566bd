"""A commit that the database did not answer: it may be done, so the answer must not say that nothing was written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from forumapi.wire.status_and_base_headers import NO_CACHE, VARY
from tests.api import Response
from tests.chaos.stage import own_database, wait_for
from tests.fixtures import factory, start_server
from tests.schema_check import ALWAYS

pytestmark = pytest.mark.slow

SLOW = """
    CREATE FUNCTION wait_a_while() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$"""
AT_COMMIT = """
    CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON comments
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_a_while()"""
BEFORE = """
    CREATE TRIGGER slow_insert AFTER INSERT ON comments
        FOR EACH ROW EXECUTE FUNCTION wait_before()"""
COMMITS = """
    SELECT a.pid FROM pg_stat_activity a
     WHERE a.datname = current_database() AND a.state = 'active' AND a.query = 'COMMIT'"""


def check_headers(answer: Response) -> None:
    """Hold the headers of an answer of the worker itself against those of every answer."""
    for name, value in {**ALWAYS, "cache-control": NO_CACHE, "vary": VARY}.items():
        assert answer.headers[name] == value
    assert answer.headers["X-Request-Id"] == "late"


@pytest.mark.wide
def test_it_is_502_with_the_advice_to_send_it_again(tmp_path: Path) -> None:
    with own_database("commit") as url, factory(url) as make:
        site = make.site()
        chat = make.conversation(site)
        body = {"itemType": "conversation", "itemId": chat.id, "markdown": "Once"}
        key = {"Idempotency-Key": "once"}
        make.sql(SLOW)
        make.sql(AT_COMMIT)
        server = start_server(url, tmp_path)
        try:
            api = server.api()
            with ThreadPoolExecutor(1) as pool:
                sent = pool.submit(api.post, "/api/v1/comments", body, by=site.member, headers=key)
                wait_for(lambda: make.sql(COMMITS), 30)
                make.sql("SELECT pg_terminate_backend(pid) FROM (" + COMMITS + ") c")
                lost = sent.result()
            assert lost.status == 502
            assert "retry-after" not in {name.lower() for name in lost.headers}
            assert "Idempotency-Key" in lost.error

            make.sql("DROP TRIGGER slow_commit ON comments")
            assert api.post("/api/v1/comments", body, by=site.member, headers=key).status == 302
            assert api.get(chat.path, by=site.member).data["comments"]["total"] == 1
        finally:
            server.stop()


@pytest.mark.wide
def test_so_it_is_when_the_time_of_the_request_ends_first(tmp_path: Path) -> None:
    with own_database("commit") as url, factory(url) as make:
        site = make.site()
        chat = make.conversation(site)
        body = {"itemType": "conversation", "itemId": chat.id, "markdown": "Once"}
        key = {"Idempotency-Key": "once"}
        make.sql(SLOW)
        make.sql(AT_COMMIT)
        server = start_server(url, tmp_path, request_timeout_s="3")
        try:
            api = server.api()
            # The document doesn't know this 502.
            api.checks_schema = False
            named = {**key, "X-Request-Id": "late"}
            late = api.post("/api/v1/comments", body, by=site.member, headers=named)
            assert late.status == 502
            check_headers(late)
            assert "retry-after" not in {name.lower() for name in late.headers}
            assert "Idempotency-Key" in late.error

            make.sql("SELECT pg_terminate_backend(pid) FROM (" + COMMITS + ") c")
            make.sql("DROP TRIGGER slow_commit ON comments")
            assert api.post("/api/v1/comments", body, by=site.member, headers=key).status == 302
            assert api.get(chat.path, by=site.member).data["comments"]["total"] == 1

            # What waits before the commit has written nothing.
            make.sql(SLOW.replace("wait_a_while", "wait_before"))
            make.sql(BEFORE)
            body["markdown"] = "Twice"
            named = {"X-Request-Id": "late"}
            early = api.post("/api/v1/comments", body, by=site.member, headers=named)
            assert early.status == 503
            assert early.headers["Retry-After"] == "1"
            check_headers(early)
        finally:
            server.stop()


@pytest.mark.wide
def test_so_it_is_after_a_commit_of_the_handlers_own(tmp_path: Path) -> None:
    with own_database("commit") as url, factory(url) as make:
        site = make.site()
        server = start_server(url, tmp_path, request_timeout_s="3")
        try:
            api = server.api()
            api.checks_schema = False
            with psycopg.connect(url) as other:
                # The try is counted and committed; then the user's row, which somebody else has locked, is asked for.
                other.execute(
                    "SELECT 1 FROM users WHERE user_id = %s FOR UPDATE", [site.member.user_id]
                )
                late = api.put("/api/v1/auth/totp", {"code": "123456"}, by=site.member)
            assert make.sql("SELECT count(*) FROM attempt_counters") != [(0,)]
            assert late.status == 502
            assert "retry-after" not in {name.lower() for name in late.headers}
        finally:
            server.stop()
