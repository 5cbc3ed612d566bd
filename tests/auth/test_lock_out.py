"""Strangers can't keep anybody from signing in by mail: an allowance of one's own, and a link beside the code."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pyotp
import pytest

from forumapi.auth import email_code
from forumapi.request.processor import respond
from tests.api import Headers, Response
from tests.auth.test_email_code import code_of, newest_mail
from tests.factories import Person, Site
from tests.stage import Stage, new_address, staged

PAGE = "/oauth/device?user_code=ABC"
WRONG = "00000000"


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("lock-out")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    return stage.make.site()


def ask(stage: Stage, person: Person, ip: str, **more: str) -> Response:
    body = {"method": "email-code", "email": person.email, **more}
    return stage.post("/auth", body, site=person.site, ip=ip)


def at_home(stage: Stage, person: Person) -> str:
    """An address that the person has signed in from."""
    ip = new_address()
    assert ask(stage, person, ip).status == 200
    assert ask(stage, person, ip, code=code_of(stage, person.email)).status == 200
    return ip


def use_up(stage: Stage, person: Person, *, tries: bool = False) -> None:
    """Do what strangers all over the net do to an address."""
    limit = email_code.TRIES_PER_EMAIL if tries else email_code.SENDS_PER_EMAIL
    more = {"code": WRONG} if tries else {}
    statuses = [ask(stage, person, new_address(), **more).status for _ in range(limit.most + 1)]
    assert statuses[-1] == 429


# ---------------------------------------------------------------- where one has signed in before


@pytest.mark.usefixtures("within_one_hour")
def test_strangers_do_not_use_up_codes_where_one_signed_in_before(stage: Stage, site: Site) -> None:
    me = site.member
    home = at_home(stage, me)
    use_up(stage, me)

    assert ask(stage, me, home).status == 200
    assert ask(stage, me, new_address()).status == 429
    # On another site, too, and it is an allowance, not a way around all of them.
    body = {"method": "email-code", "email": me.email}
    more = [stage.post("/auth", body, ip=home).status for _ in range(6)]
    assert 200 in more
    assert more[-1] == 429


@pytest.mark.usefixtures("within_one_hour")
def test_strangers_do_not_use_up_tries_where_one_signed_in_before(stage: Stage, site: Site) -> None:
    me = site.member
    home = at_home(stage, me)
    use_up(stage, me, tries=True)

    assert ask(stage, me, home).status == 200
    assert ask(stage, me, home, code=code_of(stage, me.email)).status == 200
    assert ask(stage, me, new_address(), code=WRONG).status == 429


@pytest.mark.usefixtures("within_one_hour")
def test_an_allowance_is_of_the_person_who_signed_in(stage: Stage, site: Site) -> None:
    home = at_home(stage, site.newcomer)
    use_up(stage, site.member)
    assert ask(stage, site.member, home).status == 429


@pytest.mark.wide
def test_a_household_of_ipv6_is_one_place(stage: Stage, site: Site) -> None:
    me = site.member
    assert ask(stage, me, "2001:db8:7:7::1").status == 200
    code = code_of(stage, me.email)
    assert ask(stage, me, "2001:db8:7:7::2", code=code).status == 200
    rows = stage.sql("SELECT 1 FROM sign_in_places WHERE user_id = %(u)s", u=me.user_id)
    assert len(rows) == 1
    for _ in range(12):
        stage.sql("DELETE FROM attempt_counters RETURNING 1")
        at_home(stage, me)
    rows = stage.sql("SELECT p::text FROM sign_in_places p WHERE user_id = %(u)s", u=me.user_id)
    assert len(rows) == 10
    assert not any("2001:" in row[0] or "198.51." in row[0] for row in rows)


@pytest.mark.usefixtures("within_one_hour")
def test_wrong_tries_from_elsewhere_do_not_wear_a_code_out(stage: Stage, site: Site) -> None:
    me, ip = site.member, new_address()
    ask(stage, me, ip)
    code = code_of(stage, me.email)
    for _ in range(email_code.TRIES + 2):
        assert ask(stage, me, new_address(), code=WRONG).status == 401
    assert ask(stage, me, ip, code=code).status == 200


# ---------------------------------------------------------------- the link


def page(
    stage: Stage, site: Site, address: str, cookie: str = "", ip: str = "", **form: str
) -> Response:
    """A page, or with `form` what a button of it sends."""
    parts = urlsplit(address)
    body = urlencode(form).encode()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST" if form else "GET",
        "PATH_INFO": parts.path,
        "QUERY_STRING": parts.query,
        "HTTP_HOST": site.host,
        "HTTP_COOKIE": f"oauth={cookie}",
        "REMOTE_ADDR": ip or new_address(),
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    line, headers, data = respond(stage.app, environ)
    assert isinstance(data, bytes)
    return Response(int(line[:3]), Headers(headers), data)


def hidden(shown: Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', shown.body.decode())
    assert found, shown.body.decode()
    return html.unescape(found[1])


def cookie_of(answer: Response) -> str:
    return answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]


def asked_on_a_page(stage: Stage, person: Person) -> tuple[str, str]:
    """(cookie, link in the mail) of somebody who asked for a code on a page of the site."""
    first = page(stage, person.site, PAGE)
    cookie = cookie_of(first)
    sent = page(
        stage,
        person.site,
        PAGE,
        cookie,
        csrf=hidden(first, "csrf"),
        step="email",
        email=person.email,
    )
    assert sent.status == 200
    return cookie, link_of(stage, person)


def link_of(stage: Stage, person: Person) -> str:
    text = newest_mail(stage, person.email).replace("=\n", "").replace("=3D", "=")
    found = re.findall(rf"http://{person.site.host}\S*(/oauth/link\?key=[\w-]+)", text)
    return str(found[-1])


def test_the_link_signs_in_the_browser_that_asked(stage: Stage, site: Site) -> None:
    cookie, link = asked_on_a_page(stage, site.member)
    shown = page(stage, site, link, cookie)
    assert shown.status == 200
    assert "Sign in" in shown.body.decode()

    into = page(stage, site, link, cookie, csrf=hidden(shown, "csrf"), step="link")

    assert (into.status, into.location) == (303, PAGE)
    signed_in = cookie_of(into)
    assert signed_in != cookie
    assert "Sign in to" not in page(stage, site, PAGE, signed_in).body.decode()
    # Once, and the code beside it is worth nothing any more.
    assert page(stage, site, link, cookie).status == 400
    again = page(stage, site, link, cookie, csrf=hidden(shown, "csrf"), step="link")
    assert again.status == 400
    code = code_of(stage, site.member.email)
    assert ask(stage, site.member, new_address(), code=code).status == 401


def test_looking_at_the_link_changes_nothing_and_elsewhere_it_shows_the_code(
    stage: Stage, site: Site
) -> None:
    cookie, link = asked_on_a_page(stage, site.member)
    code = code_of(stage, site.member.email)
    other = cookie_of(page(stage, site, PAGE))
    for somebody in ("", other):
        shown = page(stage, site, link, somebody)
        assert shown.status == 200
        assert f"{code[:4]} {code[4:]}" in shown.body.decode()
        assert "<form" not in shown.body.decode()
        # A form that nobody was shown does nothing either.
        key = hidden(page(stage, site, PAGE, somebody), "csrf")
        assert page(stage, site, link, somebody, csrf=key, step="link").status == 400
    assert f"{code[:4]} {code[4:]}" not in page(stage, site, link, cookie).body.decode()
    assert ask(stage, site.member, new_address(), code=code).status == 200


def test_a_form_from_elsewhere_does_not_press_the_button(stage: Stage, site: Site) -> None:
    cookie, link = asked_on_a_page(stage, site.member)
    assert page(stage, site, link, cookie, csrf="0" * 64, step="link").status == 400
    assert page(stage, site, link, cookie).status == 200


def test_who_asks_by_api_gets_a_link_that_shows_the_code(stage: Stage, site: Site) -> None:
    ask(stage, site.member, new_address())
    link, code = link_of(stage, site.member), code_of(stage, site.member.email)
    assert f"{code[:4]} {code[4:]}" in page(stage, site, link).body.decode()


def test_the_link_of_a_client_with_pages_signs_in_its_browser(stage: Stage, site: Site) -> None:
    put = stage.put("/site", {"webUrl": f"https://{site.host}"}, by=site.owner)
    assert put.status == 302, put.body
    mine, other, ip = "a" * 32, "b" * 32, new_address()
    assert ask(stage, site.member, ip, browser=mine).status == 200
    text = newest_mail(stage, site.member.email).replace("=\n", "").replace("=3D", "=")
    key = re.findall(rf"https://{site.host}/login/\?key=([\w-]+)", text)[-1]

    def follow(browser: str, link: str = key) -> Response:
        body = {"method": "email-code", "link": link, "browser": browser}
        return stage.post("/auth", body, site=site, ip=new_address())

    # In another browser it is the code that is shown.
    assert [follow(one).status for one in (other, "", mine[1:], "a" * 129)] == [401, 400, 400, 400]
    code = code_of(stage, site.member.email)
    shown = page(stage, site, f"/oauth/link?key={key}")
    assert f"{code[:4]} {code[4:]}" in shown.body.decode()
    assert follow(mine, f"{key}x").status == 401

    signed_in = follow(mine)
    assert signed_in.status == 200, signed_in.body
    assert stage.get("/whoami", site=site, token=signed_in.data).data["id"] == site.member.id
    assert follow(mine).status == 401
    assert ask(stage, site.member, ip, code=code).status == 401


def test_who_asked_without_a_browser_can_follow_no_link(stage: Stage, site: Site) -> None:
    ask(stage, site.member, new_address())
    key = link_of(stage, site.member).partition("key=")[2]
    body = {"method": "email-code", "link": key, "browser": "a" * 32}
    assert stage.post("/auth", body, site=site, ip=new_address()).status == 401


def test_a_link_is_good_for_ten_minutes_on_its_own_site(stage: Stage, site: Site) -> None:
    cookie, link = asked_on_a_page(stage, site.member)
    assert page(stage, stage.make.site(), link, cookie).status == 400
    ((left,),) = stage.sql(
        """SELECT extract(epoch FROM expires - now()) FROM single_use
            WHERE kind = 'email-link' AND subject = %(s)s""",
        s=site.member.email,
    )
    assert 0 < left <= 600
    stage.sql(
        "UPDATE single_use SET expires = now() - interval '1 second' WHERE subject = %(s)s RETURNING 1",
        s=site.member.email,
    )
    assert page(stage, site, link, cookie).status == 400


@pytest.mark.usefixtures("within_one_hour")
def test_the_link_works_while_strangers_use_up_all_tries(stage: Stage, site: Site) -> None:
    cookie, link = asked_on_a_page(stage, site.member)
    use_up(stage, site.member, tries=True)
    shown = page(stage, site, link, cookie)
    assert page(stage, site, link, cookie, csrf=hidden(shown, "csrf"), step="link").status == 303


def test_the_second_factor_is_asked_for_after_the_link(stage: Stage, site: Site) -> None:
    secret = stage.post("/auth/totp", by=site.member).data["secret"]
    stage.put("/auth/totp", {"code": pyotp.TOTP(secret).now()}, by=site.member)
    stage.sql(
        "UPDATE one_time_secrets SET last_step = 0 WHERE user_id = %(u)s RETURNING 1",
        u=site.member.user_id,
    )
    cookie, link = asked_on_a_page(stage, site.member)
    shown = page(stage, site, link, cookie)

    asked = page(stage, site, link, cookie, csrf=hidden(shown, "csrf"), step="link")

    assert "second factor" in asked.body.decode()
    action = re.search(r'action="([^"]+)"', asked.body.decode())
    assert action and html.unescape(action[1]) == PAGE
    form = {name: hidden(asked, name) for name in ("csrf", "flow", "email")}
    into = page(stage, site, PAGE, cookie, **form, step="factor", code=pyotp.TOTP(secret).now())
    assert (into.status, into.location) == (303, PAGE)


# ---------------------------------------------------------------- a rule that would lock out its maker


def test_an_owner_without_a_second_factor_can_not_demand_one(stage: Stage, site: Site) -> None:
    refused = stage.put("/site/auth", {"secondFactor": True}, by=site.owner)
    assert (refused.status, refused.code) == (400, 0)
    assert refused.error.startswith("secondFactor: ")
    assert "/api/v1/auth/totp" in refused.error
    # Nobody is locked out, and what is not demanded may be said so.
    assert stage.put("/site/auth", {"secondFactor": False}, by=site.owner).status == 302
    begun = stage.post("/auth/totp", by=site.owner).data["secret"]
    assert stage.put("/site/auth", {"secondFactor": True}, by=site.owner).status == 400

    stage.put("/auth/totp", {"code": pyotp.TOTP(begun).now()}, by=site.owner)

    assert stage.put("/site/auth", {"secondFactor": True}, by=site.owner).status == 302
    assert stage.put("/site", {"title": "Still mine"}, by=site.owner).status == 302
