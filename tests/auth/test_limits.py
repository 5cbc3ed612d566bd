"""Tests of what is asked of newcomers: limits that all nodes share, and the spam check, which never stands in the
way."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from tests.auth.test_sign_in import provider
from tests.factories import Factory, Site
from tests.fixtures import start_server
from tests.stage import new_address, staged


def develop(stage: Any, email: str, ip: str) -> Any:
    """A sign-in without proof."""
    return stage.post("/auth", {"method": "development", "email": email}, ip=ip)


@pytest.mark.wide
@pytest.mark.usefixtures("within_one_hour")
def test_new_users_of_one_caller_are_limited(database_url: str, tmp_path: Path) -> None:
    ip = new_address()
    with staged(database_url, tmp_path, sign_ups_per_client_address=2) as stage:
        key = stage.site.key
        assert develop(stage, f"a@{key}.example", ip).status == 200
        assert develop(stage, f"b@{key}.example", ip).status == 200
        refused = develop(stage, f"c@{key}.example", ip)
        assert refused.status == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 3600
        # Who is known comes in, and so does somebody new from elsewhere.
        assert develop(stage, f"a@{key}.example", ip).status == 200
        assert develop(stage, f"c@{key}.example", new_address()).status == 200


@pytest.mark.usefixtures("within_one_hour")
def test_assertions_of_one_caller_are_limited(database_url: str, tmp_path: Path) -> None:
    with staged(
        database_url,
        tmp_path,
        sign_in_tries_per_client_address=2,
        assertion_verifier_url="http://127.0.0.1:9/verify",
    ) as stage:
        ip = new_address()
        body = {"Assertion": "x", "ClientSecret": "wrong"}
        statuses = [stage.post("/auth", body, ip=ip).status for _ in range(3)]
        assert statuses == [401, 401, 429]


@pytest.mark.wide
@pytest.mark.slow
@pytest.mark.usefixtures("within_one_hour")
def test_two_workers_count_together(database_url: str, tmp_path: Path, make: Factory) -> None:
    site: Site = make.site()
    server = start_server(
        database_url,
        tmp_path,
        workers="2",
        sign_in_codes_per_email="4",
        sign_in_codes_per_client_address="1000",
    )
    try:
        statuses = []
        for _ in range(7):
            # A connection of its own each time, so that either worker may take it.
            api = server.api()
            body = {"method": "email-code", "email": f"shared@{site.key}.example"}
            answer = api.post("/api/v1/auth", body, site=site)
            statuses.append(answer.status)
            if answer.status == 429:
                assert int(answer.headers["Retry-After"]) > 0
            api.close()
    finally:
        server.stop()
    assert statuses == [200] * 4 + [429] * 3


def test_the_spam_check_is_recorded_and_never_in_the_way(database_url: str, tmp_path: Path) -> None:
    now = int(datetime.datetime.now(datetime.UTC).timestamp())

    def service(path: str, _: bytes) -> tuple[int, bytes]:
        if "broken" in path:
            return 503, b""
        about = {"lastseen": now, "confidence": 75.25} if "bad" in path else {"appears": 0}
        return 200, json.dumps({"success": 1, "email": about}).encode()

    with (
        provider(service) as url,
        staged(database_url, tmp_path, spam_check=True, spam_check_url=url) as stage,
    ):
        key = stage.site.key
        for name, status in (("good", 200), ("bad", 403), ("broken", 200)):
            assert develop(stage, f"{name}@{key}.example", new_address()).status == status
        # Somebody known is not asked about again.
        assert develop(stage, f"broken@{key}.example", new_address()).status == 200
        verdicts = stage.sql(
            "SELECT verdict, confidence FROM spam_verdicts WHERE site_id = %(s)s ORDER BY verdict_id",
            s=stage.site.id,
        )
        assert verdicts == [("clean", None), ("spam", 75.25), ("unknown", None)]
        assert not stage.sql("SELECT 1 FROM users WHERE email = %(e)s", e=f"bad@{key}.example")


def test_a_service_that_is_away_refuses_nobody(database_url: str, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/api"
    with staged(database_url, tmp_path, spam_check=True, spam_check_url=url) as stage:
        address = f"away@{stage.site.key}.example"
        assert develop(stage, address, new_address()).status == 200
        found = stage.sql(
            "SELECT verdict FROM spam_verdicts WHERE site_id = %(s)s", s=stage.site.id
        )
        assert found == [("unknown",)]


def test_requests_of_one_network_of_ipv6_are_counted_together(
    database_url: str, tmp_path: Path
) -> None:
    with staged(database_url, tmp_path, rate_limit_address_per_minute=2, workers=1) as stage:
        asked = [stage.get("/site", ip=f"2001:db8:7::{number:x}").status for number in range(1, 4)]
        assert asked == [200, 200, 429]
        # A made-up token is no other caller.
        assert stage.get("/site", ip="2001:db8:7::ffff", token="made-up").status == 429
        assert stage.get("/site", ip="2001:db8:8::1").status == 200
        assert stage.get("/site", ip="192.0.2.1").status == 200
        assert stage.get("/site", ip="192.0.2.2").status == 200
