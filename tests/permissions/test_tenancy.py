"""An id of another site gets the same bytes, from the same statements, as an id that never existed anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest

from forumapi import routes
from tests import schema_check
from tests.api import Api, Response
from tests.factories import Factory, Person, Site

NEVER = 987_654_321
# What is no id: the same on every site, or counted within the thing before it.
NO_IDS = {("number", "type"), ("number", "revision"), ("key", "key")}
_PARAMETER = re.compile(r"<(\w+):(\w+)>")

# A body that gets past validation, so that what is compared is the look-up and not the parser.
LISTS = [{"key": "colour", "value": "red", "id": 1}]
BODIES: dict[str, Any] = {
    "POST": {"text": "x", "outcome": "dismissed"},
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
VERSION = """
    INSERT INTO legal_versions (site_id, name, version, body, asks_again)
    VALUES (%(site)s, 'terms', 7, 'Theirs', true) RETURNING version"""


def _kinds(url: str) -> list[str]:
    """Return the types of the ids in an address, in order; for a plain number the name of the parameter."""
    return [
        name if kind in ("number", "key") else kind
        for kind, name in _PARAMETER.findall(url)
        if (kind, name) not in NO_IDS
    ]


def _addresses() -> list[tuple[str, str, str]]:
    """(method, address, type) of every route of a site host that names one thing by id."""
    return [
        (method, url, kinds[0])
        for url, handler in routes.SITE.items()
        if len(kinds := _kinds(url)) == 1
        for method in handler.operations
    ]


def _filled(url: str, *ids: int) -> str:
    """Return an address with these ids, in order; what is no id is 1."""
    left = iter(ids)
    return _PARAMETER.sub(
        lambda found: "1" if (found[1], found[2]) in NO_IDS else str(next(left)),
        url.replace("<document>", "terms"),
    )


@pytest.fixture(scope="module")
def foreign(make: Factory, trains: Site) -> dict[str, int]:
    """Ids of things on the other site, by type."""
    client = _one(make, CLIENT, site=trains.id, by=trains.owner.id)
    return {
        **_things(make, trains),
        "user": trains.member.user_id,
        "site": trains.id,
        "session_id": _one(
            make,
            "SELECT token_id FROM access_tokens WHERE user_id = %(user)s",
            user=trains.member.user_id,
        ),
        "webhook_id": make.webhook(trains),
        "subscription_id": make.push_subscription(trains.member),
        "id": make.ban(make.person(trains)),
        "bot": make.bot(trains.member),
        "watcher": _one(
            make, "SELECT watcher_id FROM watchers WHERE site_id = %(site)s", site=trains.id
        ),
        "client_id": client,
        "grant_id": _one(make, GRANT, site=trains.id, client=client, user=trains.member.user_id),
        "key_id": _one(make, KEY, site=trains.id, user=trains.member.user_id),
        "passkey": _one(make, PASSKEY, user=trains.member.user_id),
        "version": _one(make, VERSION, site=trains.id),
        **_moderated(make, trains),
    }


def _moderated(make: Factory, site: Site) -> dict[str, int]:
    """Ids of a report, its case, an action, its statement and an appeal against that."""
    report, case = make.report(make.comment(make.conversation(site)))
    action, statement = make.action(make.comment(make.conversation(site)))
    return {
        "report": report,
        "case": case,
        "action": action,
        "statement": statement,
        "appeal": make.appeal(statement, site.member),
        "rule": make.rule(site),
    }


@pytest.fixture(scope="module")
def own(make: Factory, bikes: Site) -> dict[str, int]:
    """Ids of things on the asking site, by type."""
    return _things(make, bikes)


def _things(make: Factory, site: Site) -> dict[str, int]:
    """Ids of new things of the site's member, by type; the role and its criterion hang in the root microcosm."""
    chat, poll = make.conversation(site), make.poll(site)
    role = make.role(site, site.root_id, "Readers", rights=("read",))
    return {
        "conversation": chat.id,
        "microcosm": site.root_id,
        "comment": make.comment(chat).id,
        "event": make.event(site).id,
        "huddle": make.huddle(site.member, site.owner).id,
        "profile": site.member.id,
        "poll": poll.id,
        "choice": _one(
            make, "SELECT choice_id FROM poll_choices WHERE item_id = %(poll)s", poll=poll.id
        ),
        "role": role[1],
        "criterion": make.criterion(role, "commentCount", "ge", 1_000_000),
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


# A part is one address of so many.
ONE_OF = 6


@pytest.mark.sliced(1)
@pytest.mark.parametrize("part", range(ONE_OF))
def test_a_foreign_id_is_answered_like_none(
    api: Api, bikes: Site, foreign: dict[str, int], part: int
) -> None:
    for method, url, kind in _addresses()[part::ONE_OF]:
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
                            _filled(url, id),
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


SEVERAL = [
    (method, url)
    for url, handler in routes.SITE.items()
    if len(_kinds(url)) > 1
    for method in handler.operations
]
ROLE_BODIES: dict[tuple[str, str], Any] = {
    ("POST", "criteria"): {"profileColumn": "commentCount", "predicate": "ge", "value": 3},
    ("PUT", "criterion"): {"profileColumn": "commentCount", "predicate": "ge", "value": 3},
    ("PATCH", "role"): [{"op": "replace", "path": "/read", "value": True}],
    ("PUT", "profiles"): [{"id": 1}],
    ("DELETE", "profiles"): [],
    ("PUT", "profileId"): {"rsvp": "yes"},
}


@pytest.mark.sliced(8)
@pytest.mark.parametrize(("method", "url"), SEVERAL)
def test_a_foreign_id_beside_an_own_one_is_answered_like_none(
    api: Api, bikes: Site, foreign: dict[str, int], own: dict[str, int], method: str, url: str
) -> None:
    api.checks_schema = False
    kinds = _kinds(url)
    last = url.rsplit("/", 1)[1].rstrip(">").rpartition(":")[2]
    body = ROLE_BODIES.get((method, last), BODIES.get(method))
    for name, by in _cast(bikes):
        api.get("/api/v1/microcosms", site=bikes, by=by)
        for of_others in product((False, True), repeat=len(kinds)):
            if not any(of_others):
                continue
            for _try in range(3):
                answers = [
                    api.request(
                        method,
                        _filled(
                            url,
                            *(
                                other if is_other else own[kind]
                                for kind, other, is_other in zip(
                                    kinds, others, of_others, strict=True
                                )
                            ),
                        ),
                        site=bikes,
                        by=by,
                        json=body,
                    )
                    for others in ([foreign[kind] for kind in kinds], [NEVER] * len(kinds))
                ]
                if answers[0].statements == answers[1].statements:
                    break
            assert _told(answers[0]) == _told(answers[1]), (name, of_others)
            # The end of what never began has come, whosever it was.
            assert answers[0].status >= 400 or method == "DELETE", (name, of_others)


# Every id that a body can hold: (verb, address, place in the body) -> the bodies with it. "@kind" stands for a foreign
# id or for one that never was, "$kind" for one of the site itself.
_EDIT = {"meta": {"editReason": "x"}}
_POLL = {"title": "x", "question": "x", "choices": [{"choice": "a"}, {"choice": "b"}]}
_RULE = {"title": "x", "event": "comment.created", "action": "hide", "reason": "x"}
_ACTION = {"kind": "hide", "reason": "x"}
_OWN = {"itemType": "conversation", "itemId": "$conversation"}
_COMMENT = {"itemType": "comment", "itemId": "$comment"}
_NAMED = ("conversation", "event", "poll", "huddle", "microcosm", "profile", "comment")
_WATCHED = [{"itemType": kind, "itemId": f"@{kind}"} for kind in _NAMED]


def _batch(bodies: list[Any]) -> list[Any]:
    return [[body] for body in bodies]


IN_BODIES: dict[tuple[str, str, str], list[Any]] = {
    ("post", "/bans", "profileId"): [{"profileId": "@profile", "reason": "x"}],
    ("post", "/comments", "itemId"): [{**body, "markdown": "x"} for body in _WATCHED],
    ("post", "/comments", "inReplyTo"): [
        {
            "itemType": "conversation",
            "itemId": "$conversation",
            "markdown": "x",
            "inReplyTo": "@comment",
        }
    ],
    ("put", "/comments/{id}", "itemId"): [{**body, "markdown": "x", **_EDIT} for body in _WATCHED],
    ("put", "/comments/{id}", "inReplyTo"): [{"markdown": "x", "inReplyTo": "@comment", **_EDIT}],
    ("post", "/conversations", "microcosmId"): [{"microcosmId": "@microcosm", "title": "x"}],
    ("put", "/conversations/{id}", "microcosmId"): [
        {"microcosmId": "@microcosm", "title": "x", **_EDIT}
    ],
    ("post", "/events", "microcosmId"): [{"microcosmId": "@microcosm", "title": "x"}],
    ("put", "/events/{id}", "microcosmId"): [{"microcosmId": "@microcosm", "title": "x", **_EDIT}],
    ("put", "/events/{id}/attendees", "[].profileId"): [[{"profileId": "@profile", "rsvp": "yes"}]],
    ("put", "/events/{id}/attendees/{profileId}", "profileId"): [
        {"profileId": "@profile", "rsvp": "maybe"}
    ],
    ("post", "/huddles", "participants.[].id"): [
        {"title": "x", "participants": [{"id": "@profile"}]}
    ],
    ("put", "/huddles/{id}/participants", "[].id"): [[{"id": "@profile"}]],
    ("put", "/ignored", "itemId"): _WATCHED,
    ("delete", "/ignored", "itemId"): _WATCHED,
    ("put", "/ignored/batch", "[].itemId"): _batch(_WATCHED),
    ("delete", "/ignored/batch", "[].itemId"): _batch(_WATCHED),
    ("post", "/microcosms", "parentId"): [
        {"parentId": "@microcosm", "title": "x", "description": "x"}
    ],
    ("put", "/microcosms/{id}", "parentId"): [
        {"parentId": "@microcosm", "title": "x", "description": "x", **_EDIT}
    ],
    ("delete", "/microcosms/{id}/roles/{role}/criteria", "[].id"): [[{"id": "@criterion"}]],
    ("put", "/microcosms/{id}/roles/{role}/profiles", "[].id"): [[{"id": "@profile"}]],
    ("delete", "/microcosms/{id}/roles/{role}/profiles", "[].id"): [[{"id": "@profile"}]],
    ("delete", "/roles/{role}/criteria", "[].id"): [[{"id": "@criterion"}]],
    ("put", "/roles/{role}/profiles", "[].id"): [[{"id": "@profile"}]],
    ("delete", "/roles/{role}/profiles", "[].id"): [[{"id": "@profile"}]],
    ("post", "/permission/batch", "[].itemId"): _batch(_WATCHED),
    ("post", "/permission/batch", "[].microcosmId"): [
        [{"itemType": "conversation", "microcosmId": "@microcosm"}]
    ],
    ("post", "/polls", "microcosmId"): [{**_POLL, "microcosmId": "@microcosm"}],
    ("post", "/polls", "choices.[].id"): [
        {**_POLL, "microcosmId": "$microcosm", "choices": [{"id": "@choice", "choice": "a"}] * 2}
    ],
    ("put", "/polls/{id}", "microcosmId"): [{**_POLL, "microcosmId": "@microcosm", **_EDIT}],
    ("put", "/polls/{id}", "choices.[].id"): [
        {
            **_POLL,
            "microcosmId": "$microcosm",
            "choices": [{"id": "@choice", "choice": "a"}, {"choice": "b"}],
            **_EDIT,
        }
    ],
    ("put", "/polls/{id}/votes", "[].id"): [[{"id": "@choice"}]],
    ("put", "/profiles/read", "itemId"): _WATCHED,
    ("put", "/profiles/read/batch", "[].itemId"): _batch(_WATCHED),
    ("post", "/watchers", "itemId"): _WATCHED,
    ("put", "/watchers", "itemId"): _WATCHED,
    ("patch", "/watchers/{watcher}", "itemId"): [{**body, "sendEmail": True} for body in _WATCHED],
    ("put", "/watchers/batch", "[].itemId"): _batch(_WATCHED),
    ("patch", "/watchers/batch", "[].itemId"): _batch(_WATCHED),
    ("delete", "/watchers/batch", "[].itemId"): _batch(_WATCHED),
    ("patch", "/watchers/delete", "itemId"): _WATCHED,
    ("patch", "/watchers/patch", "itemId"): [{**body, "sendEmail": True} for body in _WATCHED],
    ("post", "/site/offer", "profileId"): [{"profileId": "@profile"}],
    ("post", "/reports", "itemId"): [{**body, "kind": "spam"} for body in _WATCHED],
    ("post", "/reports", "shownIds.[]"): [{**_COMMENT, "kind": "spam", "shownIds": ["@comment"]}],
    ("post", "/reports/guest", "itemId"): [
        {**body, "kind": "spam", "email": "guest@example.org"} for body in _WATCHED
    ],
    ("post", "/reports/guest", "shownIds.[]"): [
        {**_COMMENT, "kind": "spam", "email": "guest@example.org", "shownIds": ["@comment"]}
    ],
    ("post", "/actions", "targets.[].itemId"): [
        {**_ACTION, "kind": kind, "targets": [body], "microcosmId": "$microcosm"}
        for kind in ("hide", "move", "silence")
        for body in _WATCHED
    ],
    ("post", "/actions", "query.createdBy"): [{**_ACTION, "query": {"createdBy": "@profile"}}],
    ("post", "/actions", "query.microcosmId"): [
        {**_ACTION, "query": {"createdBy": "$profile", "microcosmId": "@microcosm"}}
    ],
    ("post", "/actions", "microcosmId"): [
        {**_ACTION, "kind": "move", "targets": [_OWN], "microcosmId": "@microcosm"},
        {
            **_ACTION,
            "kind": "ban",
            "targets": [{"itemType": "profile", "itemId": "$profile"}],
            "microcosmId": "@microcosm",
        },
    ],
    ("post", "/actions", "into.itemId"): [
        {**_ACTION, "kind": "merge", "targets": [_OWN], "into": body}
        for body in _WATCHED
        if body["itemType"] in ("conversation", "event", "poll")
    ],
    ("post", "/actions", "caseId"): [{**_ACTION, "targets": [_OWN], "caseId": "@case"}],
    ("post", "/rules/dry-run", "ruleId"): [{**_RULE, "ruleId": "@rule"}],
    ("post", "/rules/dry-run", "roleIds.[]"): [{**_RULE, "roleIds": ["@role"]}],
    ("post", "/rules/dry-run", "notRoleIds.[]"): [{**_RULE, "notRoleIds": ["@role"]}],
    ("post", "/rules/dry-run", "microcosmIds.[]"): [{**_RULE, "microcosmIds": ["@microcosm"]}],
    ("post", "/rules/dry-run", "reporterRoleIds.[]"): [
        {**_RULE, "event": "item.reported", "minReports": 2, "reporterRoleIds": ["@role"]}
    ],
    ("post", "/rules/dry-run", "toMicrocosmId"): [
        {**_RULE, "event": "item.created", "action": "move", "toMicrocosmId": "@microcosm"}
    ],
    ("put", "/cases/{case}/assignment", "profileId"): [{"profileId": "@profile"}],
    ("put", "/site/checks", "rates.[].roleId"): [{"rates": [{"roleId": "@role", "perHour": 1}]}],
    ("post", "/preview", "itemId"): [{**body, "markdown": "x"} for body in _WATCHED],
    ("post", "/preview", "microcosmId"): [{"microcosmId": "@microcosm", "markdown": "x"}],
}
# Numbers in bodies that name nothing of a site.
_NO_IDS = (
    "addresses audit days deletedTexts duration firstPosts mail maxLength maxLinks minLength minReports orGroup perHour"
    " perMinute restrictDays revision rsvpLimit sameText styleId themeId updateTypeId value version"
)
NO_ID_FIELDS = frozenset(_NO_IDS.split())


def _numbers(schema: dict[str, Any], parts: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the place of every integer in a body."""
    if "$ref" in schema:
        yield from _numbers(parts[schema["$ref"].rpartition("/")[2]], parts, path)
    for key in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(key, ()):
            yield from _numbers(part, parts, path)
    for name, part in schema.get("properties", {}).items():
        yield from _numbers(part, parts, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from _numbers(schema["items"], parts, f"{path}.[]")
    if "integer" in (kinds := schema.get("type", ())) or kinds == "integer":
        yield path.lstrip(".")


def test_every_id_in_a_body_has_its_case() -> None:
    document = schema_check.host_documents()["site"]
    parts = document["components"]["schemas"]
    found = {
        (verb, url.removeprefix("/api/v1"), place)
        for url, operations in document["paths"].items()
        for verb in ("post", "put", "patch", "delete")
        for content in operations.get(verb, {}).get("requestBody", {}).get("content", {}).values()
        for place in _numbers(content.get("schema", {}), parts)
        if place.rpartition(".")[2] not in NO_ID_FIELDS
    }

    assert found == set(IN_BODIES)


def _put_in(value: Any, ids: Mapping[str, int]) -> Any:
    """Return a body with the ids that its marks stand for."""
    if isinstance(value, dict):
        return {key: _put_in(inner, ids) for key, inner in value.items()}
    if isinstance(value, list):
        return [_put_in(inner, ids) for inner in value]
    return ids.get(value, value) if isinstance(value, str) else value


@pytest.mark.sliced(20)
@pytest.mark.parametrize(("verb", "url", "place"), IN_BODIES)
def test_a_foreign_id_in_a_body_is_answered_like_none(
    api: Api,
    bikes: Site,
    foreign: dict[str, int],
    own: dict[str, int],
    verb: str,
    url: str,
    place: str,
) -> None:
    api.checks_schema = False
    kind = url.split("/")[1].rstrip("s")
    path = url.replace("{id}", str(own.get(kind, 0))).replace("{role}", str(own["role"]))
    path = path.replace("{profileId}", str(bikes.member.id)).replace("{watcher}", "1")
    ours = {f"${kind}": id for kind, id in own.items()}
    for by in (bikes.owner, bikes.member):
        api.get("/api/v1/microcosms", site=bikes, by=by)
    # Whoever may do most has the furthest way to go; a member meets the other refusals.
    for by, body in product((bikes.owner, bikes.member), IN_BODIES[verb, url, place]):
        for _try in range(3):
            answers = [
                api.request(
                    verb.upper(),
                    f"/api/v1{path}",
                    site=bikes,
                    by=by,
                    json=_put_in(body, ours | ids),
                )
                for ids in (
                    {f"@{kind}": id for kind, id in foreign.items()},
                    {f"@{kind}": NEVER for kind in foreign},
                )
            ]
            if answers[0].statements == answers[1].statements:
                break
        told = [_told(answer) for answer in answers]
        assert _without_ids(told[0]) == _without_ids(told[1]), (by.name, body)


def _without_ids(told: tuple[int, bytes, int, dict[str, str]]) -> tuple[int, bytes, int, str]:
    """Return an answer without the numbers in it: what was made, and what was named, have different ones."""
    status, body, statements, headers = told
    return (
        status,
        re.sub(rb"\d+", b"#", body),
        statements,
        re.sub(r"\d+", "#", headers.get("location", "")),
    )


def test_permission_tells_nothing_of_a_foreign_id(
    api: Api, bikes: Site, foreign: dict[str, int]
) -> None:
    for name, by in _cast(bikes):
        # The first request of a site and caller reads what others find in memory.
        api.get(f"/api/v1/permission?itemType=conversation&itemId={NEVER}", site=bikes, by=by)
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
