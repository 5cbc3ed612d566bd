"""E-mail addresses are shown to their owner, and to the owner of a site where their profile is; to nobody else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from forumapi import routes
from tests.api import Api
from tests.factories import Factory, Person, Site

_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")


def _asked(host: dict[str, Any], ids: dict[str, int], names: dict[str, str]) -> list[str]:
    """Every address that can be read, with the ids of things that are there."""
    paths = []
    for url, handler in host.items():
        if "GET" in handler.operations and not url.endswith(
            ("<token>", "/docs", "/asyncapi.json", "/openapi.json")
        ):
            paths.append(
                _PARAMETER.sub(
                    lambda found: str(ids.get(found[1] or "", names.get(found[2], 1))), url
                )
            )
    return paths


@pytest.mark.wide
def test_no_route_shows_anybody_elses_address(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    chat = make.conversation(site, microcosm=place)
    comment = make.comment(chat, by=site.newcomer)
    make.comment(chat, by=site.moderator, reply_to=comment)
    make.comment(site.member, by=site.member)
    for by in site.cast().values():
        if by is not None:
            make.ignore(by, chat)
    make.ignore(site.moderator, site.newcomer)
    names = {"host": site.host, "subdomain": site.key}
    seen = 0
    for name, by in site.cast().items():
        asked = {(site.host, "/api/v1/profiles?q=@"), (site.host, "/api/v1/profiles?q=member@")}
        for whose in (site.member, site.owner):
            ids = {
                "conversation": chat.id,
                "microcosm": place.id,
                "comment": comment.id,
                "profile": whose.id,
                "user": whose.user_id,
                "site": site.id,
            }
            for host, table in ((site.host, routes.SITE), (api.platform_domain, routes.ROOT)):
                asked |= {(host, path) for path in _asked(dict(table), ids, names)}
        for host, path in sorted(asked):
            answer = api.get(path, host=host, by=by)
            found = re.findall(rb"[\w.+-]+@%b\.test" % site.key.encode(), answer.body)
            shown = {address.decode() for address in found}
            seen += len(shown)
            assert shown <= _allowed(by, site, path), (name, path)
    assert seen > 10


def _allowed(by: Person | None, site: Site, path: str) -> set[str]:
    """The addresses that `by` may find at `path`."""
    if by is None:
        return set()
    about = {
        address: person.email
        for person in site.cast().values()
        if person is not None
        for address in (person.path, f"/api/v1/users/{person.user_id}")
    }
    return {by.email} | ({about[path]} if by is site.owner and path in about else set())


@pytest.mark.wide
def test_no_write_answers_with_anybody_elses_address(api: Api, make: Factory) -> None:
    site = make.site()
    chat = make.conversation(site)
    batch = [{"email": site.newcomer.email, "isMember": True}]
    writes: list[tuple[str, str, Any]] = [
        ("POST", "/api/v1/users", [{"email": site.newcomer.email}]),
        ("POST", "/api/v1/users/batch?report=true", batch),
        ("POST", "/api/v1/users/batch", [{"email": f"{site.newcomer.email}@", "isMember": True}]),
        ("PUT", site.newcomer.path, {"profileName": site.member.name}),
        ("PUT", "/api/v1/ignored", {"itemType": "profile", "itemId": site.newcomer.id}),
        ("DELETE", chat.path, None),
    ]
    for name, by in site.cast().items():
        for method, path, body in writes:
            answer = api.request(method, path, site=site, by=by, json=body)
            is_report = by is site.owner and path == "/api/v1/users"
            assert is_report or site.newcomer.email.encode() not in answer.body, (name, path)
