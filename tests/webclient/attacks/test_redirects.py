"""Redirects never leave the host, headers take no lines of their own, cookies have their flags."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import pyotp
import pytest

from forumapi.webclient.routes import ROUTES
from forumapi.webclient.visit import is_own_path, own_path
from tests.factories import Factory, Site
from tests.fixtures import Server, running
from tests.webclient.crawl import Town, build, filled
from tests.webclient.visitor import Page, Visitor

# Where a redirect must not lead: other hosts in every dress, programs, lines of headers.
ELSEWHERE: Final = (
    "//evil.example",
    "///evil.example",
    "////evil.example/%2f..",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "HTTPS://evil.example/",
    "http://{host}@evil.example/",
    "http://{host}.evil.example/",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/ /evil.example",
    "\x00//evil.example",
    "/\x7f/evil.example",
    "/\x0b//evil.example",
    "javascript:alert(1)",
    "java\nscript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "/javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "evil.example",
    "./../..//evil.example",
    "/../../evil.example",
    "/..//evil.example",
    "/.//evil.example",
    "/%2f/evil.example",
    "/%2fevil.example",
    "/%5cevil.example",
    "/%09/evil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "/\r\nSet-Cookie: session=planted",
    "/%0d%0aSet-Cookie:%20session=planted",
    "/é\r\nX: y",
    "//",
    "/" + "a" * 5_000,
    "?next=//evil.example",
    "#//evil.example",
    "",
    "/login/?next=//evil.example",
    "/\u2028/evil.example",
    "/\uff0f/evil.example",
    "/\u3002evil.example",
)
NAMES: Final = ("next", "back", "url", "return", "return_to", "redirect", "to", "location")


@pytest.fixture(scope="module")
def town(make: Factory) -> Town:
    return build(make)


def leads_home(page: Page, host: str) -> bool:
    """Return True if a browser that follows the answer stays on the host."""
    if not page.location:
        return True
    # Browsers drop tabs and line ends, and take a backslash for a slash.
    followed = re.sub("[\t\r\n]", "", page.location.strip()).replace("\\", "/")
    parts = urlsplit(urljoin(f"http://{host}/x/", followed))
    return (parts.scheme, parts.netloc) == ("http", host)


def check(page: Page, host: str) -> None:
    """Check one answer."""
    assert page.status < 500, page.text
    assert leads_home(page, host), page.location
    assert page.location.isascii()
    assert not any("planted" in one.partition(";")[0] for one in page.set_cookies)


@pytest.mark.sliced(8)
@pytest.mark.parametrize("target", ELSEWHERE)
def test_signing_in_leads_to_no_other_host(target: str, website: Server, bikes: Site) -> None:
    wanted = target.replace("{host}", bikes.host)
    guest = Visitor(website.address, bikes.host)
    shown = guest.get(f"/login/?next={quote(wanted, safe='')}")
    form = {"step": "development", "email": bikes.member.email, "next": wanted}
    done = guest.post(f"/login/?next={quote(wanted, safe='')}", form)
    again = guest.get(f"/login/?next={quote(wanted, safe='')}")

    check(shown, bikes.host)
    check(done, bikes.host)
    check(again, bikes.host)
    assert (done.status, again.status) == (303, 303)
    for link in shown.tree.css("a[href], form[action]"):
        href = link.attributes.get("href") or link.attributes.get("action") or ""
        assert href.startswith(("/", "#")), href
        assert not href.startswith(("//", "/\\")), href


@pytest.mark.parametrize("target", ELSEWHERE)
def test_only_paths_of_the_host_are_its_own(target: str) -> None:
    if not is_own_path(target):
        with pytest.raises(ValueError, match="elsewhere"):
            own_path(target)
        return
    made = own_path(target)

    assert re.fullmatch(r"/([!-.0-\[\]-~][!-\[\]-~]*)?", made), made


@pytest.mark.sliced(10)
@pytest.mark.parametrize("path", ROUTES)
def test_no_parameter_of_any_page_leads_elsewhere(path: str, website: Server, town: Town) -> None:
    guest = Visitor(website.address, town.site.host)
    member = Visitor(website.address).of(town.site, town.site.member)
    for target in ELSEWHERE[:12]:
        wanted = quote(target.replace("{host}", town.site.host), safe="")
        query = "&".join(f"{name}={wanted}" for name in NAMES)
        for visitor in (guest, member):
            check(visitor.get(f"{filled(path, town.ids)}?{query}"), town.site.host)
    fields = dict.fromkeys(NAMES, "//evil.example")
    check(member.post(filled(path, town.ids), fields), town.site.host)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "//evil.example/conversations",
        "/\\evil.example/microcosms/1",
        "/%2f%2fevil.example",
        "/x%0d%0aSet-Cookie:%20session=planted",
        "/conversations%0d%0aSet-Cookie:%20session=planted",
        "/microcosms/1%0a/",
        "/profiles/1\u00e9".encode().decode("latin-1"),
    ],
)
def test_a_missing_slash_leads_to_no_other_host(path: str, website: Server, bikes: Site) -> None:
    guest = Visitor(website.address, bikes.host)
    page = guest.get(quote(path, safe="/%\\"))

    check(page, bikes.host)
    assert page.status in (301, 302, 303, 308, 404)


def test_a_guest_s_form_on_a_site_that_moved_away_is_gone(website: Server, make: Factory) -> None:
    site = make.site()
    make.sql("UPDATE sites SET is_deleted = true WHERE site_id = %(s)s", s=site.id)
    make.sql(
        """INSERT INTO site_moves (site_id, direction, state, address)
           VALUES (%(s)s, 'out', 'switched', 'https://bikes.there.test')""",
        s=site.id,
    )
    guest = Visitor(website.address, site.host)

    page = guest.get("/ignored/")
    # It needs a sign-in, whose page needs the API.
    sent = guest.post("/profiles/1/ignore/", {"do": "ignore"})

    assert page.status in (301, 303)
    assert (sent.status, sent.location) == (410, "")


# ---------------------------------------------------------------- cookies


@pytest.fixture(scope="module")
def secure(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A website whose people come over https."""
    folder = tmp_path_factory.mktemp("secure")
    with running(database_url, folder, webclient="true", public_scheme="https") as started:
        yield started


@pytest.mark.wide
def test_cookies_over_https_are_this_host_s_alone(secure: Server, bikes: Site) -> None:
    guest = Visitor(secure.address, bikes.host)
    shown = guest.get("/login/")
    done = guest.post(
        "/login/",
        {"step": "development", "email": bikes.member.email},
        origin=f"https://{bikes.host}",
    )
    out = guest.post("/logout/", origin=f"https://{bikes.host}")

    for text in (*shown.set_cookies, *done.set_cookies, *out.set_cookies):
        name, _, flags = text.partition("=")
        parts = {part.strip().partition("=")[0].lower() for part in flags.split(";")[1:]}
        assert name.startswith("__Host-"), text
        assert {"secure", "httponly", "path", "samesite", "max-age"} == parts, text
        assert "Path=/;" in text
        assert "SameSite=Lax" in text
    assert [len(one.set_cookies) for one in (shown, done, out)] == [1, 1, 1]
    assert "Max-Age=0" in out.set_cookies[0]
    assert done.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.wide
def test_a_cookie_without_the_prefix_is_none_over_https(secure: Server, bikes: Site) -> None:
    """A neighbour's site, or a page without TLS, could have set it."""
    guest = Visitor(secure.address, bikes.host)
    origin = f"https://{bikes.host}"
    guest.post("/login/", {"step": "development", "email": bikes.member.email}, origin=origin)
    planted = {"session": guest.cookies["__Host-session"]}

    page = Visitor(secure.address, bikes.host, planted).get("/")

    assert page.tree.css_first('form[action="/logout/"]') is None


@pytest.mark.wide
def test_a_form_of_a_page_without_tls_is_refused_over_https(secure: Server, bikes: Site) -> None:
    """Such a page can be written by whoever sits on the line."""
    guest = Visitor(secure.address, bikes.host)
    form = {"step": "development", "email": bikes.member.email}

    refused = guest.post("/login/", form, origin=f"http://{bikes.host}")
    taken = guest.post("/login/", form, origin=f"https://{bikes.host}")

    assert [refused.status, taken.status] == [403, 303]


def test_cookies_without_tls_have_what_can_be_had(website: Server, bikes: Site) -> None:
    guest = Visitor(website.address, bikes.host)
    guest.get("/login/")
    done = guest.post("/login/", {"step": "development", "email": bikes.member.email})

    (text,) = done.set_cookies
    assert re.fullmatch(r"session=[\w-]+; Path=/; HttpOnly; SameSite=Lax; Max-Age=\d+", text)


# ---------------------------------------------------------------- the second factor


def test_a_session_begins_with_the_second_factor_and_not_before(
    website: Server, bikes: Site, make: Factory
) -> None:
    person = make.person(bikes)
    member = Visitor(website.address).of(bikes, person)
    before = dict(member.cookies)
    api = website.api()
    begun = api.post("/api/v1/auth/totp", {}, host=bikes.host, by=person).data
    app = pyotp.TOTP(begun["secret"])
    api.put(
        "/api/v1/auth/totp", {"code": app.at(int(time.time()) - 30)}, host=bikes.host, by=person
    )
    api.close()
    guest = Visitor(website.address, bikes.host, {"visitor": "c" * 32})

    first = guest.post("/login/", {"step": "development", "email": person.email})
    flow = first.field("/login/", "flow")
    cookies_between = dict(guest.cookies)
    elsewhere = Visitor(website.address, make.site().host)
    stolen = elsewhere.post("/login/", {"step": "factor", "flow": flow, "code": app.now()})
    forged = guest.post(
        "/login/", {"step": "factor", "flow": flow[:-4] + "AAAA", "code": app.now()}
    )
    wrong = guest.post("/login/", {"step": "factor", "flow": flow, "code": "000000"})
    done = guest.post("/login/", {"step": "factor", "flow": flow, "code": app.now()})

    assert "session" not in cookies_between
    assert [one.status for one in (stolen, forged, wrong)] == [401, 401, 401]
    assert not [
        one for one in (stolen, forged, wrong) if any("session=" in c for c in one.set_cookies)
    ]
    assert (done.status, guest.cookies["session"] != before["session"]) == (303, True)
