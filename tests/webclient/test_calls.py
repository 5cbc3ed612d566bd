"""Calls of the API that a page costs: few, and no more for a long list than for a short one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from forumapi.webclient.session import WebSession
from forumapi.webclient.transport import OverHttp
from forumapi.webclient.website import Website
from tests.factories import Factory, Person, Site
from tests.fixtures import Server
from tests.webclient.attacks.test_hostile import Recorder

# Page, and the calls that it costs a guest and a member: who the latter is comes with the site.
PAGES = {
    "/": (4, 4),
    "/microcosms/": (2, 2),
    "/conversations/": (2, 2),
    "/conversations/{talk}/": (2, 2),
    "/profiles/": (2, 2),
    "/profiles/{member}/": (3, 3),
    "/profiles/{member}/roles/": (0, 2),
    "/search/": (2, 2),
    "/search/?q=comment&type=comment": (3, 3),
    "/search/?q=zzz": (4, 4),
    "/search/?q=comment&author=member": (4, 4),
    "/trending/": (2, 2),
    "/legal/terms/": (2, 2),
}


@pytest.fixture(scope="module")
def place(make: Factory) -> tuple[Site, int]:
    """A site, and a conversation in it."""
    site = make.site()
    talk = make.conversation(site)
    make.comments(talk, 12)
    return site, talk.id


@pytest.mark.parametrize("path", list(PAGES))
def test_a_page_costs_few_calls(path: str, server: Server, place: tuple[Site, int]) -> None:
    site, talk = place
    guests, members = PAGES[path]
    target = path.format(talk=talk, member=site.member.id)

    assert asked(server, site, target, None) == guests
    assert asked(server, site, target, site.member) == members


def asked(server: Server, site: Site, target: str, by: Person | None) -> int:
    """The calls that a page costs."""
    recorder = Recorder(OverHttp(f"http://{server.address[0]}:{server.address[1]}"))
    website = Website(
        recorder,
        ["secret"],
        is_secure=False,
        address_of=lambda _: "127.0.0.1",
        upload_limit=1,
        upload_timeout_s=10,
    )
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": site.host,
        "wsgi.input": None,
    }
    if by is not None:
        session = WebSession(by.token, int(time.time()))
        sealed = website.seal.seal_session(site.host, session)
        environ["HTTP_COOKIE"] = f"{website.session_cookie}={sealed}"
    answer = website.respond(environ)
    assert answer.status in (200, 302, 303), answer.status
    return len(recorder.calls)
