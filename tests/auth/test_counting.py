"""Every request is counted before it costs anything: by its token where that is known to be good, else by address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forumapi.models.access.access_token import AccessToken, new_secret
from tests.api import Response
from tests.stage import Stage, new_address, staged

LIMIT = 3


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("counting")
    with staged(database_url, folder, rate_limit_address_per_minute=LIMIT, workers=1) as made:
        yield made


def made_up() -> str:
    """A token that looks like one."""
    return new_secret()


Ask = Callable[[Stage, str], Response]
ASKED: dict[str, tuple[Ask, int]] = {
    "a page": (lambda stage, ip: stage.get("/site", ip=ip), 200),
    "an unknown host": (
        lambda stage, ip: stage.get("/site", host=f"nosuch{ip[-1]}.forum.test", ip=ip),
        404,
    ),
    "no host": (lambda stage, ip: stage.get("/site", host=":", ip=ip), 400),
    "an unknown path": (lambda stage, ip: stage.get(f"/nothing/{ip}", ip=ip), 404),
    "a bad query": (lambda stage, ip: stage.get("/site?%FF=%FF", ip=ip), 400),
    "options": (lambda stage, ip: stage.request("OPTIONS", "/site", ip=ip), 200),
    "an unknown method": (lambda stage, ip: stage.request("PATCH", "/legal", ip=ip), 405),
    "an odd method": (lambda stage, ip: stage.request("BREW", "/site", ip=ip), 405),
    "another scheme": (
        lambda stage, ip: stage.get("/site", headers={"Authorization": "Basic eA=="}, ip=ip),
        401,
    ),
    "a token of wrong shape": (lambda stage, ip: stage.get("/site", token="made-up", ip=ip), 401),
    "a made-up token": (lambda stage, ip: stage.get("/site", token=made_up(), ip=ip), 401),
    "a made-up token in the address": (
        lambda stage, ip: stage.get(f"/site?access_token={made_up()}", ip=ip),
        401,
    ),
    "a made-up ticket": (
        lambda stage, ip: stage.get(f"/live/poll?topic=site&ticket={made_up()[:32]}", ip=ip),
        401,
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_whatever_an_address_asks_for_is_counted(stage: Stage, what: str) -> None:
    ask, status = ASKED[what]
    stage.get("/site", ip=new_address())  # the site is known
    ip = new_address()

    assert [ask(stage, ip).status for _ in range(LIMIT)] == [status] * LIMIT

    refused = ask(stage, ip)
    assert (refused.status, refused.code) == (429, 16)
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["RateLimit-Remaining"] == "0"
    # Nothing was looked up for it.
    assert refused.statements == 0
    assert stage.get("/site", ip=new_address()).status == 200


@pytest.mark.parametrize(
    "token",
    ["x", "fapi", "x" * 127, "x" * 129, "x" * 127 + "-", "x" * 127 + "é", "x" * 127 + "\n"],
)
def test_a_token_of_wrong_shape_is_refused_without_being_looked_up(
    stage: Stage, token: str
) -> None:
    stage.get("/site", ip=new_address())

    answers = [
        stage.get("/site", headers={"Authorization": f"Bearer {token}"}, ip=new_address()),
        stage.request("POST", "/comments", {}, token=token, ip=new_address()),
    ]
    if token.isascii() and token.isprintable():
        answers.append(stage.get(f"/site?access_token={token}", ip=new_address()))
    for answer in answers:
        assert (answer.status, answer.code, answer.statements) == (401, 7, 0)


def test_good_tokens_do_not_use_up_the_allowance_of_their_address(stage: Stage) -> None:
    ip = new_address()
    people = [stage.make.person(stage.site) for _ in range(LIMIT + 2)]

    for by in people * 2:
        assert stage.get("/whoami", by=by, ip=ip).status == 200
    assert stage.get("/site", ip=ip).headers["RateLimit-Remaining"] == str(LIMIT - 1)


def test_whoever_is_known_goes_on_where_strangers_have_used_up_the_address(stage: Stage) -> None:
    ip = new_address()
    assert stage.get("/whoami", by=stage.site.member, ip=ip).status == 200
    while stage.get("/site", token=made_up(), ip=ip).status != 429:
        pass

    assert stage.get("/whoami", by=stage.site.member, ip=ip).status == 200


def test_a_token_that_has_ended_is_counted_as_a_made_up_one(stage: Stage) -> None:
    by, ip = stage.make.person(stage.site), new_address()
    assert stage.get("/whoami", by=by, ip=ip).status == 200
    with stage.app.database.write() as tx:
        AccessToken.delete_of_user(tx, by.user_id)

    statuses = [stage.get("/whoami", by=by, ip=ip).status for _ in range(LIMIT + 1)]
    assert statuses == [401] * LIMIT + [429]


def test_a_token_has_an_allowance_of_its_own(database_url: str, tmp_path: Path) -> None:
    settings = {"rate_limit_token_per_minute": 4, "rate_limit_address_per_minute": LIMIT}
    with staged(database_url, tmp_path, workers=1, **settings) as stage:
        by = stage.site.member
        left = [
            stage.get("/whoami", by=by, ip=new_address()).headers["RateLimit-Remaining"]
            for _ in range(5)
        ]
        assert left == ["3", "2", "1", "0", "0"]
        refused = stage.get("/whoami", by=by, ip=new_address())
        assert (refused.status, refused.statements) == (429, 0)


def test_a_write_that_asks_for_its_document_counts_once(database_url: str, tmp_path: Path) -> None:
    settings = {"rate_limit_token_per_minute": 9, "rate_limit_address_per_minute": LIMIT}
    with staged(database_url, tmp_path, workers=1, **settings) as stage:
        by, ip = stage.make.person(stage.site), new_address()
        chat = stage.make.conversation(stage.site)
        comment = {"itemType": "conversation", "itemId": chat.id, "markdown": "Once"}
        left = []
        for _ in range(3):
            answer = stage.request(
                "POST",
                "/comments",
                comment,
                by=by,
                ip=ip,
                headers={"Prefer": "return=representation"},
            )
            assert answer.status == 201
            left.append(stage.get("/whoami", by=by, ip=ip).headers["RateLimit-Remaining"])
        assert left == ["7", "5", "3"]
        # The first of them, whose token was not known yet, gave the address its request back.
        assert stage.get("/site", ip=ip).headers["RateLimit-Remaining"] == str(LIMIT - 1)
