"""Settings of a site beside its document: options, legal texts, and who is to own the site."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_string, policy
from email.message import EmailMessage
from typing import Any

import pyotp
import pytest

from forumapi.models.notifications.mail_suppression import REPORTED, Suppression
from tests.api import Response
from tests.factories import Person, Site
from tests.stage import Stage, staged

OPTIONS, LEGAL, OFFER = "/site/options", "/site/legal", "/site/offer"
ACCEPT = {"accept": True}
# Mails about offers: of a site and an owner within a day, to an address within 30 days.
OFFERS_OF_SITE, OFFERS_OF_OWNER, MAILS_TO_ADDRESS = 10, 20, 3


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("settings")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    return stage.make.site()


def everybody_else(site: Site) -> list[Person | None]:
    return [None, site.member, site.moderator, site.banned]


# ---------------------------------------------------------------- options


def test_an_owner_lets_members_make_microcosms(stage: Stage, site: Site) -> None:
    place = {"title": "Mine", "description": "A place"}
    assert stage.get(OPTIONS, by=site.owner).data == {
        "agents": "off",
        "membersCreateMicrocosms": False,
        "membersMakeBots": False,
        "sendEmail": True,
        "sendSMS": False,
    }
    assert stage.post("/microcosms", place, by=site.member).status == 403

    answer = stage.put(OPTIONS, {"membersCreateMicrocosms": True}, by=site.owner)

    assert (answer.status, answer.location) == (302, f"/api/v1{OPTIONS}")
    assert "create" in stage.can(site.member, itemType="site", itemId=site.id)
    assert stage.post("/microcosms", place, by=site.member).status == 302
    assert stage.get(OPTIONS, by=site.owner).data["sendEmail"] is True
    stage.put(OPTIONS, {"membersCreateMicrocosms": False}, by=site.owner)
    assert stage.post("/microcosms", place, by=site.newcomer).status == 403


def test_an_owner_says_what_new_profiles_are_sent(stage: Stage, site: Site) -> None:
    def sent(person: Person) -> tuple[bool, bool]:
        data = stage.get("/profiles/options", by=person).data
        return data["sendEmail"], data["sendSMS"]

    before = stage.make.person(site)
    assert stage.put(OPTIONS, {"sendEmail": False, "sendSMS": True}, by=site.owner).status == 302
    assert sent(before) == (True, False)
    assert sent(stage.make.person(site)) == (False, True)
    # null leaves it as it is, anything else is no boolean.
    stage.put(OPTIONS, {"sendEmail": None}, by=site.owner)
    assert stage.get(OPTIONS, by=site.owner).data["sendEmail"] is False
    assert stage.put(OPTIONS, {"sendEmail": "yes"}, by=site.owner).status == 400


def test_settings_are_the_owners(stage: Stage, site: Site) -> None:
    for by in everybody_else(site):
        for path in (OPTIONS, LEGAL, f"{LEGAL}/terms"):
            assert stage.get(path, by=by, site=site).status == 403
        assert stage.put(OPTIONS, {"sendSMS": True}, by=by, site=site).status == 403
        assert stage.put(f"{LEGAL}/terms", {"html": "x"}, by=by, site=site).status == 403
        assert stage.request("DELETE", f"{LEGAL}/terms", by=by, site=site).status == 403


# ---------------------------------------------------------------- legal texts


def test_an_owner_replaces_a_legal_text(stage: Stage, site: Site) -> None:
    path = f"{LEGAL}/terms"
    packaged = stage.get("/legal/terms", site=site).data["html"]
    before = stage.get(path, by=site.owner).data
    assert (before["own"], before["link"]) == (False, "")
    assert "$site_title" in before["html"]
    html = "<h1>Rules of $site_title</h1><p onclick='x()'>Be kind.</p><script>x()</script>"

    assert stage.put(path, {"html": html}, by=site.owner).status == 302

    shown = stage.get("/legal/terms", site=site).data["html"]
    assert shown == f"<h1>Rules of Site {site.key}</h1><p>Be kind.</p>"
    after = stage.get(path, by=site.owner).data
    assert (after["own"], after["html"]) == (True, "<h1>Rules of $site_title</h1><p>Be kind.</p>")
    documents = stage.get(LEGAL, by=site.owner).data["documents"]
    assert [(one["name"], one["own"]) for one in documents] == [
        ("cookies", False),
        ("privacy", False),
        ("terms", True),
    ]

    stage.put(path, {"link": "https://club.example/terms"}, by=site.owner)
    there = stage.get("/legal/terms", site=site).data
    assert (there["link"], "html" in there) == ("https://club.example/terms", False)

    assert stage.request("DELETE", path, by=site.owner).status == 200
    assert stage.get("/legal/terms", site=site).data["html"] == packaged
    assert stage.request("DELETE", path, by=site.owner).status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "html"),
        ({"html": "x", "link": "https://a.example/"}, "html"),
        ({"html": " "}, "html"),
        ({"html": "a\0b"}, "html"),
        ({"html": "x" * 200_001}, "html"),
        ({"html": "costs $5"}, "html"),
        ({"html": "$nobody"}, "html"),
        ({"link": "javascript:x()"}, "link"),
        ({"link": "/terms"}, "link"),
        ({"link": "https://"}, "link"),
    ],
)
def test_what_is_no_legal_text_is_refused_by_name(
    stage: Stage, body: dict[str, Any], field: str
) -> None:
    refused = stage.put(f"{LEGAL}/privacy", body, by=stage.site.owner)
    assert refused.status == 400
    assert refused.error.startswith(f"{field}: ")
    assert stage.get(f"{LEGAL}/privacy", by=stage.site.owner).data["own"] is False
    assert stage.put(f"{LEGAL}/service", {"html": "x"}, by=stage.site.owner).status == 404


def test_a_legal_text_that_is_costly_to_repair_stays_as_short_as_it_is(
    stage: Stage, site: Site
) -> None:
    html = f"<p>{''.join(f'<b title={n}>' for n in range(6_000))}{'<p>x' * 20_000}"
    assert stage.put(f"{LEGAL}/terms", {"html": html}, by=site.owner).status == 302

    kept = stage.get(f"{LEGAL}/terms", by=site.owner).data["html"]
    assert kept.count("x") == 20_000 and len(kept) < 2 * len(html)


# ---------------------------------------------------------------- handing a site over


def offer(stage: Stage, site: Site, to: Person) -> Response:
    return stage.post(OFFER, {"profileId": to.id}, by=site.owner)


def test_a_site_is_handed_over_when_the_new_owner_accepts(stage: Stage, site: Site) -> None:
    old, new = site.owner, site.member
    assert stage.get(OFFER, by=old).status == 404

    assert offer(stage, site, new).status == 302
    for by in (old, new):
        shown = stage.get(OFFER, by=by).data
        assert (shown["to"]["id"], shown["by"]["id"]) == (new.id, old.id)
    assert any(f"To: {new.email}\n" in mail and "offers you" in mail for mail in stage.mails())
    # Nothing has changed yet, and nobody else gets to know or can accept.
    assert stage.put("/site", {"title": "Early"}, by=new).status == 403
    for by in (site.newcomer, site.moderator):
        assert stage.get(OFFER, by=by).status == 404
        assert stage.put(OFFER, ACCEPT, by=by).status == 404
        assert stage.request("DELETE", OFFER, by=by).status == 200
    assert stage.put(OFFER, ACCEPT, by=old).status == 403

    for stray in ({}, {"accept": False}):
        assert stage.put(OFFER, stray, by=new).status == 400

    accepted = stage.put(OFFER, ACCEPT, by=new)

    assert (accepted.status, accepted.location) == (302, "/api/v1/site")
    assert stage.get("/site", by=new).data["ownedBy"]["id"] == new.id
    assert stage.put("/site", {"title": "Mine now"}, by=new).status == 302
    assert stage.put("/site", {"title": "Still mine?"}, by=old).status == 403
    root = f"/microcosms/{site.root_id}"
    assert stage.post(f"{root}/roles", {"title": "Mine"}, by=old).status == 403
    assert stage.post(f"{root}/roles", {"title": "Mine"}, by=new).status == 302
    assert stage.can(old, itemType="site", itemId=site.id) == "read"
    for person in (old, new):
        assert any(
            f"To: {person.email}\n" in mail and "offers you" not in mail for mail in stage.mails()
        )
    # The offer is used up.
    assert stage.get(OFFER, by=new).status == 404
    assert stage.put(OFFER, ACCEPT, by=new).status == 404


def test_whom_a_ban_begins_to_count_for_as_the_owner_goes_is_in_the_roles_for_that(
    stage: Stage, site: Site
) -> None:
    old, new = site.owner, site.member
    place = f"/microcosms/{stage.make.microcosm(site).id}"
    role = f"{stage.post(f'{place}/roles', {'title': 'Out'}, by=old).location}"[len("/api/v1") :]
    sent = {"profileColumn": "isBanned", "predicate": "eq", "value": True}
    assert stage.post(f"{role}/criteria", sent, by=old).status == 302
    assert stage.post("/bans", {"domain": old.email.partition("@")[2]}, by=old).status == 302
    stage.make.sql(
        "UPDATE users SET email = %(mail)s WHERE user_id = %(id)s",
        mail=f"{site.key}@x.test",
        id=new.user_id,
    )

    def members() -> list[int]:
        """Those of the role, after a request of each party."""
        for person in (old, new):
            stage.get(place, by=person)
        found = stage.make.sql(
            """SELECT profile_id FROM profiles
                WHERE site_id = %(site)s AND role_ids @> ARRAY[%(role)s::bigint] AND next_change_at IS NULL""",
            site=site.id,
            role=int(role.rpartition("/")[2]),
        )
        return [id for (id,) in found if id in (old.id, new.id)]

    assert members() == []
    assert offer(stage, site, new).status == 302
    assert stage.put(OFFER, ACCEPT, by=new).status == 302
    assert members() == [old.id]


def test_an_offer_is_declined_withdrawn_replaced_and_runs_out(stage: Stage, site: Site) -> None:
    for by in (site.member, site.owner):
        offer(stage, site, site.member)
        assert stage.request("DELETE", OFFER, by=by).status == 200
        assert stage.put(OFFER, ACCEPT, by=site.member).status == 404
    offer(stage, site, site.member)
    offer(stage, site, site.newcomer)
    assert stage.put(OFFER, ACCEPT, by=site.member).status == 404
    stage.sql(
        """UPDATE site_offers SET created = now() - interval '8 days' WHERE site_id = %(s)s RETURNING 1""",
        s=site.id,
    )
    assert stage.put(OFFER, ACCEPT, by=site.newcomer).status == 404
    # An offer of somebody who owns it no more is none.
    offer(stage, site, site.newcomer)
    stage.sql(
        """UPDATE sites SET owned_by = %(p)s, version = version + 1, acl_version = acl_version + 1
            WHERE site_id = %(s)s RETURNING 1""",
        s=site.id,
        p=site.moderator.id,
    )
    assert stage.put(OFFER, ACCEPT, by=site.newcomer).status == 404


def test_only_people_of_the_site_are_offered_it(stage: Stage, site: Site) -> None:
    other = stage.make.site()
    foreign, none = (
        stage.post(OFFER, {"profileId": id}, by=site.owner) for id in (other.member.id, 987_654_321)
    )
    assert (foreign.status, foreign.body) == (none.status, none.body)
    assert foreign.status == 404
    assert offer(stage, site, site.owner).status == 400
    assert stage.post(OFFER, {}, by=site.owner).status == 400
    for by in everybody_else(site):
        body = {"profileId": site.newcomer.id}
        assert stage.post(OFFER, body, by=by, site=site).status == 403
    # Who is banned can't accept.
    assert offer(stage, site, site.banned).status == 302
    assert stage.put(OFFER, ACCEPT, by=site.banned).status == 403


def test_who_takes_a_site_over_has_the_second_factor_that_it_demands(
    stage: Stage, site: Site
) -> None:
    offer(stage, site, site.member)
    stage.sql(
        "UPDATE sites SET needs_second_factor = true WHERE site_id = %(s)s RETURNING 1", s=site.id
    )
    refused = stage.put(OFFER, ACCEPT, by=site.member)
    assert refused.status == 409
    assert "second factor" in refused.error
    secret = stage.post("/auth/totp", by=site.member).data["secret"]
    stage.put("/auth/totp", {"code": pyotp.TOTP(secret).now()}, by=site.member)
    assert stage.put(OFFER, ACCEPT, by=site.member).status == 302


def offers_mailed(stage: Stage, site: Site) -> list[str]:
    """Return whom a mail about an offer of this site waits for, or went to."""
    rows = stage.sql(
        """SELECT recipient FROM mail_outbox
            WHERE site_id = %(s)s AND cause LIKE 'site-offer:%%' ORDER BY mail_id""",
        s=site.id,
    )
    return [row[0] for row in rows]


def test_an_offer_that_counts_is_mailed_once(stage: Stage, site: Site) -> None:
    for _ in range(3):
        assert offer(stage, site, site.member).status == 302
    assert offers_mailed(stage, site) == [site.member.email]
    # Another person, and an offer after one that has ended, are news.
    offer(stage, site, site.newcomer)
    stage.request("DELETE", OFFER, by=site.owner)
    offer(stage, site, site.newcomer)
    assert offers_mailed(stage, site) == [site.member.email] + [site.newcomer.email] * 2


def test_offers_of_a_site_are_bounded(stage: Stage, site: Site) -> None:
    people = [stage.make.person(site) for _ in range(OFFERS_OF_SITE + 1)]
    answers = [offer(stage, site, one) for one in people]
    assert [one.status for one in answers] == [302] * (len(people) - 1) + [429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 86_400
    assert offers_mailed(stage, site) == [one.email for one in people[:-1]]
    # The refused one changed nothing.
    assert stage.get(OFFER, by=people[-2]).status == 200


@pytest.mark.wide
def test_an_owner_of_many_sites_offers_no_more_by_that(stage: Stage, site: Site) -> None:
    others = [stage.make.site() for _ in range(2)]
    owners = [site.owner]
    for other in others:
        stage.sql(
            "UPDATE profiles SET user_id = %(u)s WHERE site_id = %(s)s AND profile_id = %(p)s",
            u=site.owner.user_id,
            s=other.id,
            p=other.owner.id,
        )
        owners.append(
            Person(other, other.owner.id, site.owner.user_id, "owner", "", site.owner.token)
        )
    answers = []
    for place, owner in zip([site, *others], owners, strict=True):
        for _ in range(OFFERS_OF_SITE):
            body = {"profileId": stage.make.person(place).id}
            answers.append(stage.post(OFFER, body, by=owner).status)
    assert answers == [302] * OFFERS_OF_OWNER + [429] * (len(answers) - OFFERS_OF_OWNER)


def test_an_address_is_offered_a_few_sites_by_mail(stage: Stage, site: Site) -> None:
    for _ in range(MAILS_TO_ADDRESS + 2):
        # The answer does not tell.
        assert offer(stage, site, site.member).status == 302
        assert stage.get(OFFER, by=site.member).status == 200
        stage.request("DELETE", OFFER, by=site.owner)
    assert offers_mailed(stage, site) == [site.member.email] * MAILS_TO_ADDRESS


def test_an_address_that_mail_comes_back_from_is_offered_nothing_by_mail(
    stage: Stage, site: Site
) -> None:
    with stage.app.database.write() as tx:
        Suppression.insert(tx, site.member.email, REPORTED, "550 no such user")
    assert offer(stage, site, site.member).status == 302
    assert offers_mailed(stage, site) == []
    assert stage.put(OFFER, ACCEPT, by=site.member).status == 302


@pytest.mark.wide
def test_the_link_in_an_offer_ends_mail_of_the_kind(stage: Stage, site: Site) -> None:
    offer(stage, site, site.member)
    stage.app.mail.drain()
    (text,) = [one for one in stage.mails() if f"To: {site.member.email}\n" in one]
    mail = message_from_string(text, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    link = str(mail["List-Unsubscribe"]).strip("<>")
    assert all(link in part.get_content() for part in mail.iter_parts())
    assert stage.page("POST", link[link.index("/mail/") :], site).status == 200
    stage.request("DELETE", OFFER, by=site.owner)
    assert offer(stage, site, site.member).status == 302
    assert offers_mailed(stage, site) == [site.member.email]
