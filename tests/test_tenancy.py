"""An id of another site gets the same bytes, from the same statements, as an id that never existed anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from forumapi import routes
from tests.api import Api, Response
from tests.factories import Factory, Person, Site

NEVER = 987_654_321
# Numbers that are no ids but the same on every site.
NO_IDS = {("number", "type")}
_PARAMETER = re.compile(r"<(\w+):(\w+)>")

# A body that gets past validation, so that what is compared is the look-up and not the parser.
LISTS = [{"key": "colour", "value": "red", "id": 1}]
BODIES: dict[str, Any] = {
    "PUT": {
        "title": "x",
        "profileName": "somebody",
        "markdown": "x",
        "value": 1,
        "content": {"markdown": "x"},
        "itemType": "poll",
        "meta": {"editReason": "x"},
    },
    "PATCH": [{"op": "replace", "path": "/meta/flags/deleted", "value": True}],
}

CLIENT = """
    INSERT INTO oauth_clients (site_id, created_by, name, secret_hash) VALUES (%(site)s, %(by)s, 'Theirs', '')
 RETURNING client_id"""
GRANT = """
    INSERT INTO oauth_grants (site_id, client_id, user_id, scopes) VALUES (%(site)s, %(client)s, %(user)s, '{}')
 RETURNING grant_id"""
KEY = """
    INSERT INTO access_tokens (token_hash, user_id, site_id, name, kind, expires)
    VALUES (sha256(random()::text::bytea), %(user)s, %(site)s, 'A key', 'key', now() + interval '1 day')
 RETURNING token_id"""
PASSKEY = """
    INSERT INTO passkeys (user_id, credential_id, rp_id, public_key, name)
    VALUES (%(user)s, sha256(random()::text::bytea), 'forum.test', '', 'Theirs') RETURNING passkey_id"""


def _addresses() -> list[tuple[str, str, str]]:
    """(method, address, type) of every route of a site host that names one thing by number.

    For a plain number it is the name of the parameter.
    """
    found = []
    for url, handler in routes.SITE.items():
        names = [found for found in _PARAMETER.findall(url) if found[0] != "key"]
        if len(names) == 1 and names[0] not in NO_IDS:
            kind, name = names[0]
            named = name if kind == "number" else kind
            found += [(method, url, named) for method in handler.operations]
    return found


@pytest.fixture(scope="module")
def foreign(make: Factory, trains: Site) -> dict[str, int]:
    """Ids of things on the other site, by type."""
    chat = make.conversation(trains)
    client = _one(make, CLIENT, site=trains.id, by=trains.owner.id)
    return {
        "conversation": chat.id,
        "microcosm": make.microcosm(trains).id,
        "comment": make.comment(chat).id,
        "event": make.event(trains).id,
        "huddle": make.huddle(trains.member, trains.owner).id,
        "profile": trains.member.id,
        "user": trains.member.user_id,
        "poll": make.poll(trains).id,
        "site": trains.id,
        "role": make.role(trains, trains.root_id, "Readers", rights=("read",))[1],
        "session_id": _one(
            make,
            "SELECT token_id FROM access_tokens WHERE user_id = %(user)s",
            user=trains.member.user_id,
        ),
        "webhook_id": make.webhook(trains),
        "id": make.ban(make.person(trains)),
        "watcher": _one(
            make, "SELECT watcher_id FROM watchers WHERE site_id = %(site)s", site=trains.id
        ),
        "client_id": client,
        "grant_id": _one(make, GRANT, site=trains.id, client=client, user=trains.member.user_id),
        "key_id": _one(make, KEY, site=trains.id, user=trains.member.user_id),
        "passkey": _one(make, PASSKEY, user=trains.member.user_id),
    }


def _one(make: Factory, statement: str, **params: Any) -> int:
    """The first number of the first row."""
    return int(make.sql(statement, **params)[0][0])


def _cast(site: Site) -> Iterator[tuple[str, Person | None]]:
    yield from site.cast().items()


def _told(response: Response) -> tuple[int, bytes, int, dict[str, str]]:
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("x-request-id", "date", "server-timing", "live-cursor")
    }
    return response.status, response.body, response.statements, headers


@pytest.mark.parametrize(("method", "url", "kind"), _addresses())
def test_a_foreign_id_is_answered_like_none(
    api: Api, bikes: Site, foreign: dict[str, int], method: str, url: str, kind: str
) -> None:
    api.checks_schema = False
    for name, by in _cast(bikes):
        # The caller's own profile, the site and its tree are known; then each id is asked cold, and again.
        api.get("/api/v1/microcosms", site=bikes, by=by)
        for _ in ("cold", "warm"):
            # What a process knows for a second may end between two requests: then they are compared anew.
            for _try in range(3):
                answers = [
                    api.request(
                        method,
                        _PARAMETER.sub(str(id), url),
                        site=bikes,
                        by=by,
                        json=LISTS
                        if url.endswith(("/attributes", "/votes"))
                        else BODIES.get(method),
                    )
                    for id in (foreign[kind], NEVER)
                ]
                if answers[0].statements == answers[1].statements:
                    break
            assert _told(answers[0]) == _told(answers[1]), (name, method, url)
            assert answers[0].status >= 400 or method == "DELETE", (name, method, url)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/api/v1/comments",
            {"itemType": "conversation", "itemId": "@conversation", "markdown": "x"},
        ),
        ("/api/v1/comments", {"itemType": "profile", "itemId": "@profile", "markdown": "x"}),
        ("/api/v1/comments", {"itemType": "huddle", "itemId": "@huddle", "markdown": "x"}),
        ("/api/v1/conversations", {"microcosmId": "@microcosm", "title": "x"}),
        (
            "/api/v1/polls",
            {
                "microcosmId": "@microcosm",
                "title": "x",
                "question": "x",
                "choices": [{"choice": "a"}, {"choice": "b"}],
            },
        ),
        ("/api/v1/microcosms", {"parentId": "@microcosm", "title": "x", "description": "x"}),
    ],
)
def test_a_foreign_id_in_a_body_is_answered_like_none(
    api: Api, bikes: Site, foreign: dict[str, int], path: str, body: dict[str, Any]
) -> None:
    for name, by in _cast(bikes):
        api.get("/api/v1/microcosms", site=bikes, by=by)
        answers = [
            api.post(
                path,
                {key: ids.get(str(value), value) for key, value in body.items()},
                site=bikes,
                by=by,
            )
            for ids in (
                {f"@{kind}": id for kind, id in foreign.items()},
                {f"@{kind}": NEVER for kind in foreign},
            )
        ]
        assert _told(answers[0]) == _told(answers[1]), name
        assert answers[0].status >= 400, name


def test_permission_tells_nothing_of_a_foreign_id(
    api: Api, bikes: Site, foreign: dict[str, int]
) -> None:
    for name, by in _cast(bikes):
        for kind in ("conversation", "microcosm", "comment", "profile", "huddle"):
            answers = [
                api.get(f"/api/v1/permission?itemType={kind}&itemId={id}", site=bikes, by=by)
                for id in (foreign.get(kind, NEVER), NEVER)
            ]
            assert _told(answers[0]) == _told(answers[1]), (name, kind)


def test_a_replied_to_comment_of_another_site_is_ignored(
    api: Api, make: Factory, bikes: Site, foreign: dict[str, int]
) -> None:
    chat = make.conversation(bikes)

    made = api.post(
        "/api/v1/comments",
        {
            "itemType": "conversation",
            "itemId": chat.id,
            "markdown": "a reply across sites",
            "inReplyTo": foreign["comment"],
        },
        by=bikes.member,
    )

    assert api.follow(made, by=bikes.member).data["inReplyTo"] == 0


def test_no_list_or_count_shows_the_other_site(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    make.conversation(trains, title="Only on trains")
    make.huddle(
        trains.member,
        *(person for person in trains.cast().values() if person),
        title="Only on trains",
    )
    for path in (
        "/api/v1/microcosms?limit=250",
        "/api/v1/microcosms/tree",
        "/api/v1/conversations?limit=250",
        "/api/v1/huddles?limit=250",
        "/api/v1/profiles?limit=250",
        "/api/v1/site",
    ):
        for _, by in _cast(bikes):
            answer = api.get(path, site=bikes, by=by)
            assert b"Only on trains" not in answer.body
            assert b'"siteId":%d,' % trains.id not in answer.body
