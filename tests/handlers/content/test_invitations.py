"""Invitations by mail: bounded for owner, site and recipient, and refused for good by the link in each."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from email import message_from_string, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest

from forumapi.models.notifications.mail_suppression import REFUSED, REPORTED, Suppression
from forumapi.request.processor import respond
from tests.api import Headers, Response
from tests.factories import Person, Site
from tests.stage import Stage, staged

PER_OWNER, PER_SITE, PER_ADDRESS = 7, 5, 2


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(
        database_url,
        tmp_path_factory.mktemp("invitations"),
        invitations_per_owner=PER_OWNER,
        invitations_per_site=PER_SITE,
        invitations_per_email=PER_ADDRESS,
    ) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    return stage.make.site()


def invite(stage: Stage, by: Person, *addresses: str, flag: str = "true") -> Response:
    """A batch of these people."""
    body = [{"email": one, "isMember": False} for one in addresses]
    return stage.post(f"/users/batch?report=true&invite={flag}", body, by=by)


def people(site: Site, tag: str, count: int) -> list[str]:
    return [f"{tag}{number}@{site.key}.example" for number in range(count)]


def invited(stage: Stage, site: Site) -> list[str]:
    """Return whom a mail of this site waits for, or went to."""
    rows = stage.sql(
        "SELECT recipient FROM mail_outbox WHERE site_id = %(s)s ORDER BY 1", s=site.id
    )
    return [row[0] for row in rows]


def mail_to(stage: Stage, address: str) -> EmailMessage:
    (text,) = [one for one in stage.mails() if f"To: {address}" in one]
    made = message_from_string(text, policy=policy.default)
    assert isinstance(made, EmailMessage)
    return made


def follow(stage: Stage, link: str, method: str) -> Response:
    parts = urlsplit(link)
    body = b"List-Unsubscribe=One-Click" if method == "POST" else b""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": parts.path,
        "QUERY_STRING": parts.query,
        "HTTP_HOST": parts.netloc,
        "REMOTE_ADDR": "192.0.2.7",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    line, headers, data = respond(stage.app, environ)
    assert isinstance(data, bytes)
    return Response(int(line[:3]), Headers(headers), data)


def test_a_site_invites_so_many_a_day(stage: Stage, site: Site) -> None:
    assert invite(stage, site.owner, *people(site, "a", PER_SITE - 1)).status == 200

    refused = invite(stage, site.owner, *people(site, "b", 2))

    assert (refused.status, refused.code) == (429, 16)
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    # All or nothing: nobody of the refused batch is there, and what is left is left.
    assert not stage.sql("SELECT 1 FROM users WHERE email = ANY(%(e)s)", e=people(site, "b", 2))
    assert invite(stage, site.owner, *people(site, "b", 1)).status == 200
    assert len(invited(stage, site)) == PER_SITE
    # Without mail there is no such bound.
    assert invite(stage, site.owner, *people(site, "c", 20), flag="false").status == 200


def test_more_than_there_ever_are_is_wrong_whenever_it_is_asked(stage: Stage, site: Site) -> None:
    answer = invite(stage, site.owner, *people(site, "a", PER_SITE + 1))
    assert (answer.status, answer.code) == (400, 4)
    assert "invite" in answer.error
    assert str(PER_SITE) in answer.error
    assert invited(stage, site) == []


def test_an_owner_of_many_sites_invites_no_more_by_that(stage: Stage, site: Site) -> None:
    other = stage.make.site()
    stage.sql(
        """UPDATE profiles SET user_id = %(u)s WHERE site_id = %(s)s AND profile_id = %(p)s""",
        u=site.owner.user_id,
        s=other.id,
        p=other.owner.id,
    )
    same = Person(other, other.owner.id, site.owner.user_id, "owner", "", site.owner.token)
    assert invite(stage, site.owner, *people(site, "a", 4)).status == 200

    assert invite(stage, same, *people(other, "b", PER_OWNER - 3)).status == 429
    assert invite(stage, same, *people(other, "b", PER_OWNER - 4)).status == 200


def test_an_address_gets_a_few_from_all_sites(stage: Stage, site: Site) -> None:
    address = f"wanted@{site.key}.example"
    sites = [stage.make.site() for _ in range(PER_ADDRESS + 1)]

    answers = [invite(stage, one.owner, address) for one in sites]

    assert [len(invited(stage, one)) for one in sites] == [1] * PER_ADDRESS + [0]
    # The answer does not tell.
    assert {one.data["invited"] for one in answers} == {1}


@pytest.mark.parametrize("reason", [REFUSED, REPORTED])
def test_an_address_that_mail_comes_back_from_gets_none(
    stage: Stage, site: Site, reason: str
) -> None:
    gone, there = f"gone@{site.key}.example", f"there@{site.key}.example"
    with stage.app.database.write() as tx:
        Suppression.insert(tx, gone, reason, "550 no such user")

    answer = invite(stage, site.owner, gone, there)

    assert invited(stage, site) == [there]
    assert (answer.data["invited"], answer.data["profiles"]) == (2, 2)


def test_the_link_in_the_mail_ends_invitations_from_every_site(stage: Stage, site: Site) -> None:
    address = f"enough@{site.key}.example"
    invite(stage, site.owner, address)
    mail = mail_to(stage, address)
    link = str(mail["List-Unsubscribe"]).strip("<>")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for part in mail.iter_parts():
        assert link in re.findall(r"http[^\s\"]+", part.get_content())

    # Programs that look at links change nothing.
    page = follow(stage, link, "GET")
    assert page.status == 200
    assert b"invitations" in page.body
    second = stage.make.site()
    invite(stage, second.owner, address)
    assert invited(stage, second) == [address]

    assert follow(stage, link, "POST").status == 200
    third = stage.make.site()
    # However the address is spelt.
    invite(stage, third.owner, address.upper(), f"other@{site.key}.example")
    assert invited(stage, third) == [f"other@{site.key}.example"]
    # Mail about what they follow is another matter.
    with stage.app.database.write() as tx:
        assert Suppression.find(tx, address) is None
    assert follow(stage, link, "POST").status == 200


def test_a_link_of_another_site_or_person_is_none(stage: Stage, site: Site) -> None:
    address = f"link@{site.key}.example"
    invite(stage, site.owner, address)
    link = str(mail_to(stage, address)["List-Unsubscribe"]).strip("<>")
    other = stage.make.site()
    assert follow(stage, link.replace(site.host, other.host), "POST").status == 400
    assert follow(stage, re.sub(r"i\.\d+", f"i.{site.member.id}", link), "POST").status == 400
    third = stage.make.site()
    invite(stage, third.owner, address)
    assert invited(stage, third) == [address]
