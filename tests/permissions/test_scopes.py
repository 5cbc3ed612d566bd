"""Tests of what a limited token may do: every operation with every scope, and that no operation is without a
decision."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from forumapi import routes
from forumapi.request.processor import respond
from forumapi.wire import scopes
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.stage import ADDRESS, Stage, staged

_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
OPERATIONS = [
    (table, url, verb)
    for table in ("ROOT", "SITE")
    for url, handler in getattr(routes, table).items()
    for verb in handler.operations
]
KNOWN = scopes.known((url, verb) for table, url, verb in OPERATIONS if table == "SITE")


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("scopes")) as made:
        yield made


def test_every_operation_has_been_decided_on() -> None:
    for _, url, verb in OPERATIONS:
        found = scopes.of(url, verb)
        assert found in (scopes.OPEN, scopes.WHOLE) or re.fullmatch(
            r"[a-z0-9_-]+:(read|write)", found
        )


def test_an_address_that_nobody_decided_on_is_an_error() -> None:
    for url in ("/metrics", "/api/v2/comments", "/api/v1/<token>"):
        with pytest.raises(LookupError):
            scopes.of(url, "GET")


def test_a_new_address_has_its_scopes_at_once() -> None:
    assert scopes.of("/api/v1/bookmarks/<number:id>", "GET") == "bookmarks:read"
    assert scopes.of("/api/v1/bookmarks", "POST") == "bookmarks:write"
    assert scopes.of("/api/v1/microcosms/<microcosm:item>/roles", "POST") == "roles:write"
    assert scopes.of("/api/v1/microcosms/<microcosm:item>/draft", "GET") == "drafts:read"
    assert scopes.of("/api/v1/comments/<comment:item>/bookmark", "PUT") == "bookmarks:write"
    assert scopes.of("/api/v1/profiles/<profile:item>/ical", "GET") == "events:read"
    assert scopes.words("things:write") == "Change things"


def test_making_tokens_takes_a_token_without_scopes() -> None:
    for _, url, verb in OPERATIONS:
        if url.startswith(
            (
                "/api/v1/agents",
                "/api/v1/bots",
                "/api/v1/keys",
                "/api/v1/sessions",
                "/api/v1/oauth/clients",
            )
        ):
            assert scopes.of(url, verb) == scopes.WHOLE


def test_what_ends_a_site_takes_a_token_without_scopes() -> None:
    whole = {url for _, url, verb in OPERATIONS if scopes.of(url, verb) == scopes.WHOLE}
    of_site = "/api/v1/sites/<site:item>"

    assert {"/api/v1/site/deletion", f"{of_site}/plan", f"{of_site}/state"} < whole
    # Owners' settings, and what they read of their own plan.
    assert scopes.of("/api/v1/site/crawling", "PUT") == "sites:write"
    assert scopes.of("/api/v1/site/plan", "GET") == "sites:read"


@pytest.mark.wide
def test_a_limited_token_of_an_operator_sets_no_state_and_no_plan(stage: Stage) -> None:
    site, operator = stage.site, stage.make.person(stage.site)
    limited = _token(stage.make, operator, ("sites:read", "sites:write"))
    host, before = stage.config.platform_domain, stage.app.config
    stage.app.config = replace(before, admin_user_ids=(operator.user_id,))
    try:
        for setting, value in (("state", "suspended"), ("plan", "")):
            path, body = f"/sites/{site.id}/{setting}", {setting: value}
            refused = stage.request("PUT", path, body, host=host, token=limited)
            assert (refused.status, refused.code) == (403, 25)
        path = f"/sites/{site.id}/state"
        assert stage.request("GET", path, host=host, token=operator.token).data == {
            "state": "active"
        }
    finally:
        stage.app.config = before
    limited = _token(stage.make, site.owner, ("sites:read", "sites:write"))
    for method in ("POST", "DELETE"):
        refused = stage.request(method, "/site/deletion", {}, site=site, token=limited)
        assert (refused.status, refused.code) == (403, 25)


def _token(make: Factory, person: Person, granted: tuple[str, ...]) -> str:
    secret = make.token(person)
    make.sql(
        "UPDATE access_tokens SET scopes = %(scopes)s WHERE token_hash = sha256(convert_to(%(secret)s, 'UTF8'))",
        scopes=list(granted),
        secret=secret,
    )
    return secret


def test_who_may_change_a_site_through_a_limited_token_opens_no_way_to_sign_in(
    stage: Stage,
) -> None:
    site = stage.make.site()
    limited = _token(stage.make, site.owner, ("sites:read", "sites:write"))
    settings = {"auth0Domain": "tenant.example", "auth0ClientId": "c", "auth0ClientSecret": "s"}

    for name, value in settings.items():
        refused = stage.request("PUT", "/site", {name: value}, site=site, token=limited)
        assert (refused.status, refused.code) == (403, 25)
    assert stage.request("PUT", "/site", settings, by=site.owner).status == 302
    # What it sees it may send back.
    shown = stage.get("/site", site=site, token=limited).data
    assert shown["auth0Domain"] == "tenant.example"
    changed = {**shown, "description": "Changed"}
    assert stage.request("PUT", "/site", changed, site=site, token=limited).status == 302
    assert stage.get("/site", site=site, token=limited).data["description"] == "Changed"


# What is subscribed to is read: a token that writes alone may not have it sent.
ALSO_NEEDED = {("POST", "/api/v1/updates/push"): ("updates:read",)}


def _visit(stage: Stage, granted: tuple[str, ...], *asked: str) -> int:
    """Ask for every operation of a site that asks for one of `asked`; how many were visited.

    A token limited to `granted` gets at exactly the operations of those scopes, and of all others it is told which it
    lacks.
    """
    token = _token(stage.make, stage.make.person(stage.site), granted)
    visited = 0
    for table, url, verb in OPERATIONS:
        wanted = scopes.of(url, verb)
        if table == "ROOT" or routes.SITE[url].ignores_token or wanted not in asked:
            continue
        if wanted == scopes.OPEN and verb == "DELETE":
            continue  # giving up the token itself, below
        # Nothing is there, so that nothing happens where nothing is refused.
        status, headers, body = _ask(
            stage, verb, _PARAMETER.sub(token if "<token>" in url else "987654321", url), token
        )
        refused = status == 403 and b'"errorCode":25' in body
        needed = [wanted, *ALSO_NEEDED.get((verb, url), ())]
        missing = [scope for scope in needed if scope not in (scopes.OPEN, *granted)]
        assert refused == bool(missing), (verb, url, granted)
        if refused and wanted != scopes.WHOLE:
            assert json.loads(body)["data"]["scope"] == missing[0]
            told = f'Bearer error="insufficient_scope", scope="{missing[0]}"'
            assert headers["WWW-Authenticate"] == told
        visited += 1
    return visited


def _ask(stage: Stage, verb: str, path: str, token: str) -> tuple[int, dict[str, str], bytes]:
    """One request, without what thousands of them need not pay for: a socket, a look at the API document."""
    environ = {
        "REQUEST_METHOD": verb,
        "PATH_INFO": path,
        "HTTP_HOST": stage.site.host,
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "REMOTE_ADDR": ADDRESS,
        "CONTENT_LENGTH": "0",
        "wsgi.input": io.BytesIO(),
    }
    line, headers, body = respond(stage.app, environ)
    assert isinstance(body, bytes)
    return int(line[:3]), dict(headers), body


@pytest.mark.wide
def test_every_operation_without_its_scope_and_with_it_alone(stage: Stage) -> None:
    for scope in KNOWN:
        others = tuple(one for one in KNOWN if one != scope)
        assert _visit(stage, others, scope)
        assert _visit(stage, (scope,), scope)
    assert _visit(stage, KNOWN, scopes.WHOLE, scopes.OPEN)


@pytest.mark.slow
@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.wide)])
def test_every_operation_with_every_scope(stage: Stage, every: int) -> None:
    everything = (*KNOWN, scopes.WHOLE, scopes.OPEN)

    visited = sum(_visit(stage, (scope,), *everything) for scope in KNOWN[::every])

    assert visited > 500 // every


def test_a_refusal_is_made_before_anything_is_looked_at(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    token = _token(make, bikes.member, ("comments:read",))
    api.get(chat.path, by=bikes.member)

    for path in (chat.path, "/api/v1/conversations/987654321"):
        answer = api.get(path, site=bikes, token=token)
        assert (answer.status, answer.statements) == (403, 1)
        assert answer.code == 25
        assert answer.error == "This token lacks the scope conversations:read"


def test_a_scope_gives_no_more_than_its_user_may(api: Api, make: Factory, bikes: Site) -> None:
    token = _token(make, bikes.member, ("sites:write", "conversations:read"))
    chat = make.conversation(bikes)

    assert api.get(chat.path, site=bikes, token=token).status == 200
    answer = api.put("/api/v1/site", {"title": "Mine"}, site=bikes, token=token)
    assert (answer.status, answer.code) == (403, 8)


def test_scopes_cost_no_statement(api: Api, make: Factory, bikes: Site) -> None:
    token = _token(make, bikes.member, ("conversations:read",))
    chat = make.conversation(bikes)
    api.get(chat.path, by=bikes.member)

    full = api.get(chat.path, by=bikes.member).statements
    assert api.get(chat.path, site=bikes, token=token).statements == full


def test_a_token_without_any_scope_can_only_be_given_up(
    api: Api, make: Factory, bikes: Site
) -> None:
    token = _token(make, bikes.member, ())

    assert api.get("/api/v1/whoami", site=bikes, token=token).code == 25
    assert api.get("/api/v1/auth", site=bikes, token=token).code == 25
    assert api.get("/api/v1/keys", site=bikes, token=token).code == 25
    assert api.delete("/api/v1/auth", site=bikes, token=token).status == 200
    assert api.get("/api/v1/whoami", site=bikes, token=token).status == 401


def test_a_method_that_is_overridden_asks_for_the_scope_of_what_is_meant(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    token = _token(make, bikes.member, ("conversations:read",))

    answer = api.post(f"{chat.path}?method=DELETE", site=bikes, token=token)

    assert answer.data["scope"] == "conversations:write"
    assert api.post(f"{chat.path}?method=GET", site=bikes, token=token).status == 200
