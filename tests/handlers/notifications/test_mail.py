"""Templates of mail, one's own settings of it, and the link that ends it."""

from __future__ import annotations

import pytest

from forumapi import itemtypes
from forumapi.models.access import platform_secret
from forumapi.models.notifications import update_types
from forumapi.models.notifications.mail_suppression import REFUSED, Suppression
from forumapi.updates import mail_templates, unsubscribe
from forumapi.updates.unsubscribe import DIGEST, PREFERENCE, WATCHER, MailKind
from tests.api import Api
from tests.factories import Factory, Person, Site

TEMPLATES = "/api/v1/site/mail"
SETTINGS = "/api/v1/updates/email"
GOOD = {
    "subject": "$actor_name says hello",
    "text": "Hello $recipient_name, it costs $$5. $unsubscribe_url",
    "html": '<p style="color: red">$body</p><a href="$unsubscribe_url">No more</a>',
}


@pytest.fixture
def own_site(make: Factory) -> Site:
    return make.site()


# ---------------------------------------------------------------- templates


def test_the_owner_reads_replaces_and_resets_a_template(api: Api, own_site: Site) -> None:
    owner, path = own_site.owner, f"{TEMPLATES}/mentioned"
    before = api.get(path, by=owner).data
    assert not before["own"]
    put = api.put(path, GOOD, by=owner)
    assert (put.status, put.location) == (302, path)
    after = api.get(path, by=owner).data

    assert after == {
        **before,
        "own": True,
        "subject": GOOD["subject"],
        "text": GOOD["text"],
        "html": after["html"],
    }
    assert 'href="$unsubscribe_url"' in after["html"] and "color:red" in after["html"].replace(
        " ", ""
    )
    assert api.delete(path, by=owner).status == 200
    assert api.get(path, by=owner).data == before


@pytest.mark.wide
def test_the_list_has_every_kind_of_mail(api: Api, own_site: Site) -> None:
    listed = api.get(TEMPLATES, by=own_site.owner).data["templates"]

    assert [one["name"] for one in listed] == [kind.name for kind in mail_templates.KINDS.values()]
    for one in listed:
        sent = {part: one[part] for part in ("subject", "text", "html")}
        put = api.put(f"{TEMPLATES}/{one['name']}", sent, by=own_site.owner)
        assert put.status == 302, "what comes with the software passes its own rules"


@pytest.mark.parametrize(
    ("part", "value", "rule"),
    [
        ("subject", "", "may not be empty"),
        ("subject", "a\nb", "one line"),
        ("subject", "x" * 201, "at most 200"),
        ("subject", "$body", "may not contain $body; allowed are"),
        ("text", "$body $unsubscribe_url", "may not contain $body; allowed are"),
        ("text", "$nobody $unsubscribe_url", "may not contain $nobody; allowed are"),
        ("text", f"${'x' * 40_000} $unsubscribe_url", "x…; allowed are"),
        ("text", "costs $5, $unsubscribe_url", "has a $"),
        ("text", "no way out", "must contain $unsubscribe_url"),
        ("html", "<script>$unsubscribe_url</script>", "must contain $unsubscribe_url"),
        ("html", "x" * 50_001, "at most 50000"),
        ("html", "$body ${body} $unsubscribe_url", "may contain $body only once"),
        ("html", None, "required"),
    ],
)
def test_what_a_template_may_not_be(
    api: Api, own_site: Site, part: str, value: str | None, rule: str
) -> None:
    sent = {key: text for key, text in {**GOOD, part: value}.items() if text is not None}
    refused = api.put(f"{TEMPLATES}/mentioned", sent, by=own_site.owner)

    assert refused.status == 400
    assert refused.error.startswith(part) and rule in refused.error
    assert len(refused.error) < 500
    assert not api.get(f"{TEMPLATES}/mentioned", by=own_site.owner).data["own"]


def test_what_mail_programs_do_not_show_is_left_out(api: Api, own_site: Site) -> None:
    path = f"{TEMPLATES}/mentioned"
    html = (
        '<script>alert(1)</script><form action="/x"><b onclick="x()">hi</b></form>'
        '<a href="javascript:x()">$unsubscribe_url</a><iframe src="https://x.test"></iframe>'
    )
    api.put(path, {**GOOD, "html": html}, by=own_site.owner)

    kept = api.get(path, by=own_site.owner).data["html"]
    assert kept == "<b>hi</b><a>$unsubscribe_url</a>"


def test_a_template_that_is_costly_to_repair_stays_as_short_as_it_is(
    api: Api, own_site: Site
) -> None:
    path = f"{TEMPLATES}/mentioned"
    html = f"$unsubscribe_url<p>{''.join(f'<b title={n}>' for n in range(1_600))}{'<p>x' * 4_800}"
    assert api.put(path, {**GOOD, "html": html}, by=own_site.owner).status == 302

    kept = api.get(path, by=own_site.owner).data["html"]
    assert kept.count("x") == 4_800 and len(kept) < 2 * len(html)


def test_an_unknown_template_is_not_there(api: Api, own_site: Site) -> None:
    for verb in (api.get, api.delete):
        assert verb(f"{TEMPLATES}/postcard", by=own_site.owner).status == 404
    assert api.put(f"{TEMPLATES}/postcard", GOOD, by=own_site.owner).status == 404


# ---------------------------------------------------------------- one's own settings


def test_a_digest_is_chosen_with_its_zone(api: Api, make: Factory, bikes: Site) -> None:
    ana = make.person(bikes)
    assert api.get(SETTINGS, by=ana).data == {
        "profileId": ana.id,
        "email": ana.email,
        "bounce": None,
        "digest": "none",
        "timeZone": "UTC",
        "nextDigest": None,
    }
    put = api.put(SETTINGS, {"digest": "weekly", "timeZone": "Asia/Kathmandu"}, by=ana)
    assert (put.status, put.location) == (302, SETTINGS)
    chosen = api.get(SETTINGS, by=ana).data
    assert (chosen["digest"], chosen["timeZone"]) == ("weekly", "Asia/Kathmandu")
    assert api.get(SETTINGS, by=ana).statements == 2
    assert chosen["nextDigest"].endswith("T01:15:00Z"), "07:00 at a quarter to six ahead of UTC"
    api.put(SETTINGS, {"digest": "none"}, by=ana)
    ended = api.get(SETTINGS, by=ana).data
    assert (ended["digest"], ended["timeZone"], ended["nextDigest"]) == (
        "none",
        "Asia/Kathmandu",
        None,
    )


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"digest": "hourly"}, "digest"),
        ({"digest": "daily", "timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "localtime"}, "timeZone"),
        ({"timeZone": "'; DROP"}, "timeZone"),
    ],
)
def test_other_digests_there_are_not(
    api: Api, bikes: Site, sent: dict[str, str], field: str
) -> None:
    refused = api.put(SETTINGS, sent, by=bikes.member)

    assert refused.status == 400
    assert refused.error.startswith(field)


def test_an_address_that_is_off_is_shown_to_its_owner_until_a_code_arrives(
    api: Api, make: Factory, bikes: Site
) -> None:
    ana = make.person(bikes)
    with make.database.write() as tx:
        Suppression.insert(tx, ana.email, REFUSED, "550 no\r\nsuch user")
    bounce = api.get(SETTINGS, by=ana).data["bounce"]
    assert (bounce["reason"], bounce["detail"]) == ("refused", "550 no such user")
    assert "bounce" not in api.get(ana.path, by=bikes.owner).body.decode()

    asked = {"method": "email-code", "email": ana.email.upper()}
    api.post("/api/v1/auth", asked, site=bikes)
    ((text,),) = make.sql(
        "SELECT subject FROM mail_outbox WHERE recipient = %(a)s ORDER BY mail_id DESC LIMIT 1",
        a=ana.email.upper(),
    )
    assert api.post("/api/v1/auth", {**asked, "code": text[:8]}, site=bikes).status == 200
    assert api.get(SETTINGS, by=ana).data["bounce"] is None


# ---------------------------------------------------------------- the way out


def _path(make: Factory, person: Person, what: MailKind, site: Site | None = None) -> str:
    with make.database.write() as tx:
        secret = platform_secret.find(tx, platform_secret.MAIL)
    code = unsubscribe.code(secret, (site or person.site).id, person.id, what)
    return f"{unsubscribe.PATH}?code={code}"


def _wants(make: Factory, person: Person) -> tuple[list[bool], list[bool], str]:
    """Return what mail is still wanted: of watchers, of preferences, the digest."""
    of = {"s": person.site.id, "p": person.id}
    where = "WHERE site_id = %(s)s AND profile_id = %(p)s"
    watchers = make.sql(f"SELECT send_email FROM watchers {where} ORDER BY item_id", **of)
    options = make.sql(f"SELECT send_email FROM update_options {where}", **of)
    ((digest,),) = make.sql(f"SELECT digest FROM profile_options {where}", **of)
    return [row[0] for row in watchers], [row[0] for row in options], digest


def _with_everything(make: Factory, site: Site) -> tuple[Person, int]:
    """Somebody who follows two conversations by mail, wants mail of replies, and digests; and the first of the two."""
    ana = make.person(site)
    ids = [make.conversation(site).id for _ in range(2)]
    for id in ids:
        make.sql(
            """INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
               VALUES (%(s)s, %(p)s, 6, %(i)s, true)""",
            s=site.id,
            p=ana.id,
            i=id,
        )
    make.sql(
        """INSERT INTO update_options (site_id, profile_id, update_type_id, send_email, send_sms)
           VALUES (%(s)s, %(p)s, 2, true, false)""",
        s=site.id,
        p=ana.id,
    )
    make.sql(
        "UPDATE profile_options SET digest = 'daily', digest_due = now() + interval '1 day' WHERE profile_id = %(p)s",
        p=ana.id,
    )
    return ana, ids[0]


def test_the_page_changes_nothing_and_the_button_ends_one_thing(
    api: Api, make: Factory, bikes: Site
) -> None:
    ana, id = _with_everything(make, bikes)
    everything = ([True, True], [True], "daily")
    path = _path(make, ana, MailKind(WATCHER, itemtypes.CONVERSATION, id))
    page = api.get(path, site=bikes)

    assert page.status == 200
    assert "one of the conversations you follow" in page.body.decode()
    assert ana.name not in page.body.decode(), "whoever has the link may not be the reader"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"
    assert _wants(make, ana) == everything
    for _ in range(2):
        done = api.post(path, form={"List-Unsubscribe": "One-Click"}, site=bikes)
        assert done.status == 200 and b"It has ended" in done.body
        assert _wants(make, ana) == ([False, True], [True], "daily")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (MailKind(DIGEST, 0, 0), "what is new, as a digest"),
        (MailKind(PREFERENCE, update_types.REPLY, 0), "replies"),
    ],
)
def test_the_page_says_what_will_end(
    api: Api, make: Factory, bikes: Site, kind: MailKind, words: str
) -> None:
    ana, _ = _with_everything(make, bikes)

    page = api.get(_path(make, ana, kind), site=bikes).body.decode()

    assert words in page
    assert ("as a digest" in page) == (kind.kind == DIGEST)


def test_replies_and_digests_end_too_whatever_the_body(
    api: Api, make: Factory, bikes: Site
) -> None:
    ana, _ = _with_everything(make, bikes)
    multipart = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
    done = api.request(
        "POST",
        _path(make, ana, MailKind(PREFERENCE, update_types.REPLY, 0)),
        site=bikes,
        body=multipart,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert done.status == 200
    assert _wants(make, ana) == ([True, True], [False], "daily")
    assert api.post(_path(make, ana, MailKind(DIGEST, 0, 0)), site=bikes).status == 200
    assert _wants(make, ana) == ([True, True], [False], "none")


def test_a_link_that_was_tampered_with_or_is_of_another_site_does_nothing(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    ana, id = _with_everything(make, bikes)
    before = _wants(make, ana)
    what = MailKind(WATCHER, itemtypes.CONVERSATION, id)
    path = _path(make, ana, what)
    other = make.person(bikes)
    good = path.rpartition(".")[2]
    for bad in (
        _path(make, ana, what, trains),
        path[:-1],
        path + "A",
        _path(make, other, what).rpartition(".")[0] + "." + good,
        path.replace("=w.", "=d."),
        f"{unsubscribe.PATH}?code=",
        unsubscribe.PATH,
        f"{unsubscribe.PATH}?code=w.1.1.1.%C3%A9" + "A" * 21,
    ):
        for verb in (api.get, api.post):
            answer = verb(bad, site=bikes)
            assert answer.status == 400, bad
            assert b"Nothing has changed" in answer.body
    assert _wants(make, ana) == before
    assert api.post(path, site=bikes).status == 200
    assert _wants(make, ana) != before


def test_templates_are_called_as_the_updates_are() -> None:
    assert {number: kind.name for number, kind in mail_templates.KINDS.items()} == {
        0: "digest",
        **{
            number: name
            for number, name in update_types.NAMES.items()
            if number not in update_types.DECISIONS
        },
    }
