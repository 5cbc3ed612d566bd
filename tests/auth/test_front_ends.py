"""Programs that the operator named pass the addresses of their visitors on, and each visitor has an allowance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi import config
from forumapi.errors import ConfigError
from tests.api import Response
from tests.factories import Site
from tests.fixtures import PLATFORM_DOMAIN
from tests.stage import Stage, new_address, staged

LIMIT = 3
ADDRESS, NETWORK = "203.0.113.10", "203.0.113.64/28"
SECRET = "a-secret-of-the-app-" * 3
FRONT_ENDS = (
    f"web {ADDRESS} bikes trains",
    f"web {NETWORK} bikes",
    f"app sha256:{hashlib.sha256(SECRET.encode()).hexdigest()} *",
)


@pytest.fixture(scope="module")
def stage(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, bikes: Site, trains: Site
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("front_ends")
    sites = FRONT_ENDS[0].replace("bikes", bikes.key), FRONT_ENDS[1].replace("bikes", bikes.key)
    with staged(
        database_url,
        folder,
        platform_domain=PLATFORM_DOMAIN,
        rate_limit_address_per_minute=LIMIT,
        workers=1,
        front_ends=(*sites, FRONT_ENDS[2]),
    ) as made:
        for site in (bikes, trains):
            made.get("/site", site=site, ip=new_address())  # both are known
        yield made


def ask(stage: Stage, site: Site, ip: str, visitor: str = "", secret: str = "") -> Response:
    headers = {}
    if visitor:
        headers["X-Forumapi-Visitor"] = visitor
    if secret:
        headers["X-Forumapi-Front-End"] = secret
    return stage.get("/site", site=site, ip=ip, headers=headers)


def left(answer: Response) -> int:
    assert answer.status == 200
    return int(answer.headers["RateLimit-Remaining"])


@pytest.mark.parametrize(
    ("ip", "secret"),
    [(ADDRESS, ""), ("203.0.113.65", ""), ("198.51.100.7", SECRET), ("2001:db8:9::1", SECRET)],
    ids=["address", "network", "secret", "secret over IPv6"],
)
def test_each_visitor_of_a_front_end_has_an_allowance(
    stage: Stage, bikes: Site, ip: str, secret: str
) -> None:
    one, other = new_address(), new_address()

    statuses = [ask(stage, bikes, ip, one, secret).status for _ in range(LIMIT + 1)]

    assert statuses == [200] * LIMIT + [429]
    assert left(ask(stage, bikes, ip, other, secret)) == LIMIT - 1
    # It is the visitor's own, wherever they come from.
    assert ask(stage, bikes, one).status == 429


def test_visitors_of_one_network_of_ipv6_share_an_allowance(stage: Stage, bikes: Site) -> None:
    asked = [left(ask(stage, bikes, ADDRESS, f"2001:db8:77::{n}")) for n in range(1, LIMIT + 1)]

    assert asked == [2, 1, 0]
    assert ask(stage, bikes, ADDRESS, "2001:db8:77::9").status == 429
    assert ask(stage, bikes, ADDRESS, "2001:db8:78::9").status == 200


@pytest.mark.parametrize(
    "how", ["nobody named it", "a wrong secret", "the hash of the secret", "another site"]
)
def test_of_all_others_the_visitor_is_dropped(
    stage: Stage, bikes: Site, trains: Site, how: str
) -> None:
    ip = "203.0.113.66" if how == "another site" else new_address()
    site = trains if how == "another site" else bikes
    secret = {
        "a wrong secret": SECRET + "x",
        "the hash of the secret": hashlib.sha256(SECRET.encode()).hexdigest(),
    }.get(how, "")

    asked = [left(ask(stage, site, ip, new_address(), secret)) for _ in range(LIMIT)]

    assert asked == [2, 1, 0]
    assert ask(stage, site, ip, new_address(), secret).status == 429


def test_without_a_visitor_a_front_end_is_like_anybody(stage: Stage, bikes: Site) -> None:
    ip = "203.0.113.67"

    assert [ask(stage, bikes, ip).status for _ in range(LIMIT + 1)] == [200] * LIMIT + [429]
    assert ask(stage, bikes, ip, new_address()).status == 200


@pytest.mark.parametrize(
    "visitor", ["nobody", "192.0.2.1, 192.0.2.2", "192.0.2.1:80", "192.0.2.0/24"]
)
def test_a_visitor_is_an_address(stage: Stage, bikes: Site, visitor: str) -> None:
    answer = ask(stage, bikes, new_address(), visitor, SECRET)

    assert answer.status == 400
    assert answer.error == "X-Forumapi-Visitor: must be an IP address"
    # Of those who are not believed it is not even read.
    assert ask(stage, bikes, new_address(), visitor).status == 200


def test_what_is_refused_counts_for_the_visitor_too(stage: Stage, bikes: Site) -> None:
    visitor = new_address()
    headers = {"X-Forumapi-Visitor": visitor}
    for path in ("/nothing", "/nothing", "/nothing"):
        assert stage.get(path, site=bikes, ip=ADDRESS, headers=headers).status == 404

    assert stage.get("/nothing", site=bikes, ip=ADDRESS, headers=headers).status == 429
    assert ask(stage, bikes, ADDRESS, new_address()).status == 200


@pytest.mark.usefixtures("within_one_hour")
def test_signing_in_counts_the_front_end_as_a_whole(
    database_url: str, tmp_path: Path, bikes: Site
) -> None:
    with staged(
        database_url,
        tmp_path,
        platform_domain=PLATFORM_DOMAIN,
        front_ends=(f"web {ADDRESS} {bikes.key}",),
        sign_ins_per_front_end=4,
    ) as stage:

        def sign_in(ip: str, visitor: str, path: str = "/auth", **sent: str) -> int:
            headers = {"X-Forumapi-Visitor": visitor} if visitor else {}
            return stage.post(path, sent, site=bikes, ip=ip, headers=headers).status

        email = f"front-end@{stage.site.key}.example"
        code = {"method": "email-code", "email": email}
        assert sign_in(ADDRESS, "192.0.2.21", method="development", email=email) == 200
        assert sign_in(ADDRESS, "192.0.2.22", **code) == 200
        assert sign_in(ADDRESS, "192.0.2.23", **code, code="000000") == 401
        assert sign_in(ADDRESS, "192.0.2.24", "/auth/begin", method="passkey") == 200
        assert sign_in(ADDRESS, "192.0.2.25", method="development", email=email) == 429
        assert sign_in(ADDRESS, "192.0.2.25", "/auth/begin", method="passkey") == 429
        # Each visitor was counted as one as well, and nobody else is held up.
        assert sign_in(new_address(), "", method="development", email=email) == 200
        subjects = {row[0] for row in stage.sql("SELECT subject FROM attempt_counters")}
        assert {"web", "192.0.2.22", "192.0.2.23"} <= subjects
        assert ADDRESS not in subjects


def test_invitations_count_the_front_end_as_a_whole(
    database_url: str, tmp_path: Path, bikes: Site, trains: Site
) -> None:
    with staged(
        database_url,
        tmp_path,
        platform_domain=PLATFORM_DOMAIN,
        front_ends=(f"web {ADDRESS} {bikes.key} {trains.key}",),
        invitations_per_front_end=3,
    ) as stage:

        def invite(site: Site, count: int, visitor: str = "192.0.2.31") -> int:
            rows = [
                {"email": f"{visitor or 'x'}-{count}-{n}@{site.key}.example", "isMember": False}
                for n in range(count)
            ]
            return stage.post(
                "/users/batch?invite=true",
                rows,
                by=site.owner,
                ip=ADDRESS,
                headers={"X-Forumapi-Visitor": visitor} if visitor else {},
            ).status

        assert invite(bikes, 2) == 200
        # Of another owner's, on another site.
        assert invite(trains, 2, "192.0.2.32") == 429
        assert invite(trains, 1, "192.0.2.32") == 200
        assert invite(bikes, 2, "") == 200


@pytest.mark.parametrize(
    "text",
    [
        "web",
        "web 192.0.2.1",
        "web 192.0.2.1 * bikes",
        "web 192.0.2.999 *",
        "web sha256:abc *",
        f"web sha256:{'g' * 64} *",
        "web a-secret-in-clear *",
        "w eb 192.0.2.1 *",
        "WEB! 192.0.2.1 *",
        "web 192.0.2.1 bikes, trains",
        "web 192.0.2.1 no-such-key",
        "web 0.0.0.0/0 *",
        "web ::/0 *",
    ],
)
def test_a_front_end_is_named_by_three_words(tmp_path: Path, text: str) -> None:
    file = tmp_path / "forumapi.toml"
    file.write_text(f"front_ends = {json.dumps([FRONT_ENDS[2], text])}\n")

    with pytest.raises(ConfigError, match=r"front_ends .* unlike"):
        config.load(file)


def test_front_ends_that_are_in_order_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "forumapi.toml"
    file.write_text(f"front_ends = {json.dumps(FRONT_ENDS)}\n")

    assert config.load(file).front_ends == FRONT_ENDS
