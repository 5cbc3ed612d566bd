"""Website behind caches that many people share: nothing of one person's page is ever given to another."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from forumapi.concurrency.end_with_parent import end_with_parent
from tests import services
from tests.factories import Factory
from tests.fixtures import Server
from tests.webclient.crawl import Town, build
from tests.webclient.visitor import Page, Visitor

pytestmark = pytest.mark.skipif(services.nginx_program() is None, reason="nginx is not installed")

CONF: Final = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=shared:1m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://{upstream};
            proxy_set_header Host $host;
            proxy_http_version 1.1;
            proxy_cache shared;
            proxy_cache_key $host$request_uri;
            {ignored}
            add_header X-Cache $upstream_cache_status always;
        }}
    }}
}}
"""


@contextlib.contextmanager
def cache(folder: Path, upstream: tuple[str, int], ignored: str) -> Iterator[tuple[str, int]]:
    """A cache that keeps whatever it may; its address."""
    program = services.nginx_program()
    assert program is not None
    folder.chmod(0o755)
    port = services.free_port()
    text = CONF.format(
        folder=folder,
        port=port,
        upstream=f"{upstream[0]}:{upstream[1]}",
        user="user root;",
        ignored=ignored,
    )
    (folder / "nginx.conf").write_text(text)
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(folder / "nginx.conf")],
        stderr=(folder / "error.log").open("wb"),
        preexec_fn=end_with_parent,  # noqa: PLW1509
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.02)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def town(make: Factory) -> Town:
    return build(make)


def marks(visitor: Visitor, page: Page) -> set[str]:
    """Marks on a page that are one visitor's alone: proofs, keys, the cookie itself."""
    found = set(re.findall(r'name="(?:proof|key)" value="([^"]+)"', page.text))
    return found | set(visitor.cookies.values())


@pytest.mark.wide
@pytest.mark.parametrize(
    ("ignored", "every"),
    [
        pytest.param("", 4, id="by the standard, some pages"),
        pytest.param("", 1, id="by the standard", marks=pytest.mark.wide),
        # A cache that takes an address for all that an answer depends on.
        pytest.param("proxy_ignore_headers Vary;", 1, id="without Vary", marks=pytest.mark.wide),
    ],
)
def test_nothing_of_a_page_reaches_another_person(
    ignored: str, every: int, website: Server, town: Town, tmp_path: Path
) -> None:
    site = town.site
    with cache(tmp_path, website.address, ignored) as address:
        people = {
            "member": Visitor(website.address).of(site, site.member),
            "owner": Visitor(website.address).of(site, site.owner),
            "guest": Visitor(website.address, site.host),
            "other guest": Visitor(website.address, site.host),
            "member of another site": Visitor(website.address, site.host, {"session": "x" * 90}),
        }
        for one in people.values():
            one.address = address
        # Guests who have been at the sign-in have a cookie of their own.
        for name in ("guest", "other guest"):
            people[name].get("/login/")
        seen: dict[str, set[str]] = {name: set() for name in people}
        kept = 0
        for path in town.starts()[::every]:
            if not path.isascii() or "logout" in path:
                continue
            for name in (*people, *people):
                page = people[name].get(path)
                if not page.headers.get("content-type", "").startswith("text/html"):
                    continue
                kept += page.headers["x-cache"] == "HIT"
                if page.headers["x-cache"] == "HIT":
                    assert not page.set_cookies
                    assert "/logout/" not in page.text
                for other, theirs in seen.items():
                    if other != name:
                        assert not {one for one in theirs if one in page.text}, (path, name, other)
                seen[name] |= marks(people[name], page)
                if name not in ("member", "owner") and page.status == 200:
                    assert f'href="/profiles/{site.owner.id}/">owner</a>\n' not in page.text

    # Guests' pages are what a cache is for.
    assert kept > 3
    assert len(seen["member"] & seen["owner"]) == 0


@pytest.mark.wide
def test_only_plain_pages_of_guests_are_public(website: Server, town: Town) -> None:
    site = town.site
    member = Visitor(website.address).of(site, site.member)
    guest = Visitor(website.address, site.host)
    public = [
        path for path in town.starts() if guest.get(path).headers["cache-control"][:6] == "public"
    ]

    assert "/" in public
    for path in town.starts():
        page = member.get(path)
        if page.headers.get("content-type", "").startswith("text/html"):
            assert "private" in page.headers["cache-control"], path
            assert "Cookie" in page.headers["vary"], path
        if (shown := guest.get(path)).status >= 400:
            assert "private" in shown.headers["cache-control"], path
    login = [guest.get("/login/"), guest.get("/login/")]
    assert all("private" in one.headers["cache-control"] for one in login)
