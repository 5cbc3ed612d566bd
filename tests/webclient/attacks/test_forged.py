"""Requests that other pages make in a visitor's name: forms of other hosts, frames, sessions that somebody planted.

Forms are found, not listed: by parsing templates, by the table of routes, by opening every page as each of the cast.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import pytest

from forumapi.webclient.routes import ROUTES
from tests.factories import Factory, Person, Site
from tests.fixtures import Server
from tests.updates.stage import told
from tests.webclient.crawl import Crawl, Town, build, crawl, filled, route_of, template_forms
from tests.webclient.visitor import Page, Visitor

CAST: Final = ("guest", "member", "moderator", "owner")
# Origins of pages that are not this host's. None: the header is not sent, and no proof either.
ORIGINS: Final = (
    "https://evil.example",
    "null",
    "http://{host}.evil.example",
    "http://sharedtrains.forum.test",
    "http://forum.test",
    "http://{host}:1",
    "file://",
    "http://[",
    "{host}",
    None,
)
# Tables that change while somebody only reads, or nobody does anything.
RESTLESS: Final = re.compile(
    "access_tokens|audit_(entries|heads)|event_(cursors|heads|sequence.*)|item_views|site_(changes|usage)|task_runs|.*(counter|lease).*"
)


@pytest.fixture(scope="module")
def town(make: Factory) -> Town:
    return build(make)


@pytest.fixture(scope="module")
def crawls(website: Server, town: Town) -> Callable[[str], Crawl]:
    """Findings of one of the cast, looked for once."""
    cast = town.site.cast()
    return cache(lambda name: crawl(website.address, town, cast[name]))


def refused(page: Page) -> bool:
    """Return True for the answer to a form that no page of the site has sent."""
    return page.status == 403 and "not sent by a page of this site" in page.text


# ---------------------------------------------------------------- forms by template


def test_every_form_of_every_template_carries_the_proof_and_has_a_case() -> None:
    without_proof = [one[:2] for one in template_forms() if not one.has_proof]
    # Where it goes: a route that takes it, each of which is attacked below.
    without_case = [
        one[:2] for one in template_forms() if one.example and not route_of(one.example, "POST")
    ]

    assert len(template_forms()) > 5
    assert not without_proof
    assert not without_case


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.parametrize("name", CAST)
def test_every_form_that_is_shown_carries_the_proof_and_has_a_case(
    name: str, crawls: Callable[[str], Crawl]
) -> None:
    forms = crawls(name).forms.values()

    assert forms
    assert not [one for one in forms if "proof" not in dict(one.fields)]
    assert not [one for one in forms if not route_of(one.action, "POST")]


# ---------------------------------------------------------------- what is refused


def snapshot(make: Factory, site: Site) -> dict[str, Any]:
    """Every table's rows of the site and of no site, as one hash, once all that was written before is read by those who
    tell of it. Mails that wait are sent meanwhile: of these only which there are.
    """
    told(make, site)
    names = make.sql(
        """
        SELECT c.relname::text,
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'site_id')
          FROM pg_class c
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"""
    )
    return {
        name: make.sql(
            f"""
            SELECT count(*), md5(coalesce(string_agg({row}, ' ' ORDER BY {row}), ''))
              FROM {name} t WHERE {"t.site_id IS NULL OR t.site_id = %(site)s" if has_site else "true"}""",
            site=site.id,
        )
        for name, has_site in names
        if not RESTLESS.fullmatch(name)
        for row in ["t.cause" if name == "mail_outbox" else "t::text"]
    }


@pytest.mark.sliced(1)
@pytest.mark.parametrize("name", CAST)
def test_no_form_is_taken_from_elsewhere(
    name: str, crawls: Callable[[str], Crawl], website: Server, town: Town, make: Factory
) -> None:
    visitor = Visitor(website.address).of(town.site, town.site.cast()[name])
    other = Visitor(website.address).of(town.site, town.site.newcomer)
    other_proof = other.get("/").field("/logout/", "proof")
    # A guest's proof needs the cookie that comes with it.
    visitor.get("/login/")
    forms = crawls(name).forms.values()
    before = snapshot(make, town.site)
    taken = []
    for form in forms:
        fields = dict(form.fields) | ({form.button[0]: form.button[1]} if form.button[0] else {})
        for origin in ORIGINS:
            sent = {key: value for key, value in fields.items() if key != "proof"}
            if origin is not None:
                # Whoever sends an Origin is judged by it, whatever else they know.
                sent = fields
                origin = origin.replace("{host}", town.site.host)
            if not refused(visitor.post(form.action, sent, origin=origin)):
                taken.append((form.page, form.action, origin))
        stolen = {**fields, "proof": other_proof}
        if not refused(visitor.post(form.action, stolen, origin=None)):
            taken.append((form.page, form.action, "another's proof"))

    assert not taken
    assert snapshot(make, town.site) == before


@pytest.mark.wide
def test_no_address_takes_a_form_from_elsewhere(website: Server, town: Town) -> None:
    for name in CAST:
        visitor = Visitor(website.address, town.site.host)
        person = town.site.cast()[name]
        if person is not None:
            visitor = signed_in(website, town.site, person)
        for path in [path for path, view in ROUTES.items() if "POST" in view.methods()]:
            target = filled(path, town.ids)
            answers = [
                visitor.post(target, {"step": "email"}, origin=origin) for origin in ("null", None)
            ]

            assert all(map(refused, answers)), (name, path)


_signed_in: dict[int, Visitor] = {}


def signed_in(website: Server, site: Site, person: Person) -> Visitor:
    """A person's visitor, signed in once."""
    if person.id not in _signed_in:
        _signed_in[person.id] = Visitor(website.address).of(site, person)
    return _signed_in[person.id]


def test_a_form_of_the_site_itself_is_taken_with_origin_or_with_proof(
    website: Server, town: Town
) -> None:
    member = Visitor(website.address).of(town.site, town.site.member)
    path = f"/conversations/{town.ids['item']}/"
    form = {"itemType": "conversation", "itemId": str(town.ids["item"]), "markdown": "By origin"}
    proof = member.get(path).field("/comments/create/", "proof")

    by_origin = member.post("/comments/create/", form)
    by_proof = member.post(
        "/comments/create/", {**form, "markdown": "By proof", "proof": proof}, origin=None
    )

    assert [by_origin.status, by_proof.status] == [303, 303]


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.parametrize(
    "method",
    ["GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"],
)
def test_no_other_method_does_what_a_form_does(
    method: str, website: Server, town: Town, make: Factory
) -> None:
    member = Visitor(website.address).of(town.site, town.site.member)
    before = snapshot(make, town.site)
    answers = {
        path: member.request(
            method, f"{filled(path, town.ids)}?step=email&do=post&markdown=x"
        ).status
        for path, view in ROUTES.items()
        if "POST" in view.methods() and not (method in ("GET", "HEAD") and "GET" in view.methods())
    }

    expected = {"OPTIONS": {204}}.get(method, {405})
    assert set(answers.values()) <= expected
    assert snapshot(make, town.site) == before


# ---------------------------------------------------------------- frames


@pytest.mark.sliced(2)
@pytest.mark.parametrize("name", CAST)
def test_no_page_is_shown_in_a_frame(name: str, crawls: Callable[[str], Crawl]) -> None:
    for path, page in crawls(name).pages.items():
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert page.headers["x-frame-options"] == "DENY", path
        assert page.headers["x-content-type-options"] == "nosniff", path
        assert page.headers["cross-origin-opener-policy"] == "same-origin", path


def test_refusals_have_the_same_headers(website: Server, town: Town) -> None:
    guest = Visitor(website.address, town.site.host)
    nobody = Visitor(website.address, "nobody.example")
    pages = [
        guest.get("/nothing/here/"),
        guest.request("PUT", "/"),
        guest.post("/logout/", origin="null"),
        guest.get("/microcosms/9/?" + "&".join(f"a{one}=" for one in range(200))),
        nobody.get("/"),
        guest.get("/static/none.css"),
    ]

    assert [page.status for page in pages] == [404, 405, 403, 400, 404, 404]
    for page in pages:
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"


# ---------------------------------------------------------------- sessions that somebody planted


def test_signing_in_makes_a_new_session_and_takes_none_that_was_planted(
    website: Server, bikes: Site
) -> None:
    attacker = Visitor(website.address).of(bikes, bikes.newcomer)
    planted = dict(attacker.cookies)
    victim = Visitor(website.address, bikes.host, dict(planted))
    victim.post("/login/", {"step": "development", "email": bikes.member.email})
    member = Visitor(website.address).of(bikes, bikes.member)
    again = Visitor(website.address).of(bikes, bikes.member)

    assert victim.cookies["session"] != planted["session"]
    # What was planted ended with the sign-in, and shows nothing of the victim's.
    seen = attacker.get("/")
    assert seen.status == 200 and seen.tree.css_first('form[action="/logout/"]') is None
    assert "session" not in attacker.cookies
    assert f"/profiles/{bikes.member.id}/" in victim.get("/").text
    assert member.cookies["session"] != again.cookies["session"]


def test_what_a_guest_had_is_worth_nothing_after_signing_in(website: Server, bikes: Site) -> None:
    guest = Visitor(website.address, bikes.host)
    page = guest.get("/login/")
    proof = page.field("/login/", "proof")
    visitor_cookie = guest.cookies["visitor"]
    guest.post("/login/", {"step": "development", "email": bikes.member.email})

    by_old_proof = guest.post("/logout/", {"proof": proof}, origin=None)

    assert refused(by_old_proof)
    assert guest.get("/").field("/logout/", "proof") != proof
    assert len(visitor_cookie) == 32


@pytest.mark.parametrize("value", ["", "x", "a" * 32, "..", "é", "A" * 4_000, "a.b.c", "%00"])
def test_a_session_of_one_s_own_making_is_none(value: str, website: Server, bikes: Site) -> None:
    guest = Visitor(website.address, bikes.host, {"session": value.encode().decode("latin-1")})
    page = guest.get("/")

    assert page.status == 200
    assert page.tree.css_first('form[action="/logout/"]') is None


def test_a_session_of_another_site_is_none(website: Server, bikes: Site, trains: Site) -> None:
    member = Visitor(website.address).of(bikes, bikes.member)
    elsewhere = Visitor(website.address, trains.host, dict(member.cookies))

    assert elsewhere.get("/").tree.css_first('form[action="/logout/"]') is None


def test_a_visitor_cookie_that_was_planted_proves_nothing_about_a_member(
    website: Server, bikes: Site
) -> None:
    planted = "b" * 32
    attacker = Visitor(website.address, bikes.host, {"visitor": planted})
    proof = attacker.get("/login/").field("/login/", "proof")
    member = Visitor(website.address).of(bikes, bikes.member)
    member.cookies["visitor"] = planted

    assert refused(member.post("/logout/", {"proof": proof}, origin=None))
