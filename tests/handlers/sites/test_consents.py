"""Consents of members to a site's terms and privacy text: versions, who is asked, what is refused until they agree."""

from __future__ import annotations

import re
from typing import Any

import pytest

from forumapi.routes import SITE
from forumapi.wire import scopes
from tests.api import Api, Response
from tests.factories import Factory, Person, Site

TERMS = "/api/v1/site/legal/terms"
CONSENT = "/api/v1/consents/terms"
# Writes of members who have not agreed, beside signing in and what only reads.
ALWAYS = {
    "DELETE /api/v1/auth/<token>",
    "DELETE /api/v1/consents/<document>",
    "DELETE /api/v1/keys/<number:key_id>",
    "DELETE /api/v1/oauth/grants/<number:grant_id>",
    "DELETE /api/v1/profiles/<profile:item>",
    "DELETE /api/v1/profiles/<profile:item>/erasure",
    "DELETE /api/v1/profiles/<profile:item>/export",
    "DELETE /api/v1/sessions",
    "DELETE /api/v1/sessions/<number:session_id>",
    "DELETE /api/v1/users/<user:item>",
    "DELETE /api/v1/users/<user:item>/erasure",
    "POST /api/v1/appeals/<number:appeal>/messages",
    "POST /api/v1/preview",
    "POST /api/v1/profiles/<profile:item>/export",
    "POST /api/v1/reports",
    "POST /api/v1/statements/<number:statement>/appeal",
    "PUT /api/v1/consents/<document>",
}


def publish(api: Api, site: Site, html: str, consent: str, name: str = "terms") -> Response:
    """Publish a text of the site as its owner."""
    path = f"/api/v1/site/legal/{name}"
    return api.put(path, {"html": html, "consent": consent}, by=site.owner)


def agree(api: Api, by: Person, version: int, name: str = "terms") -> Response:
    """Agree to a version of a text."""
    return api.put(f"/api/v1/consents/{name}", {"version": version}, by=by)


def say(api: Api, make: Factory, by: Person) -> Response:
    """Write a comment on a new conversation of the site's member."""
    item = make.conversation(by.site)
    body = {"itemType": "conversation", "itemId": item.id, "markdown": "Words"}
    return api.post("/api/v1/comments", body, by=by)


def test_each_write_waits_until_a_member_has_agreed(api: Api, make: Factory) -> None:
    site = make.site()
    member = site.member
    assert say(api, make, member).status == 302
    assert publish(api, site, "<h1>Be kind</h1>", "ask").status == 302

    refused = say(api, make, member)
    assert refused.status == 403
    consent = refused.data["consent"]
    # A site without pages has the text in the API.
    assert consent["page"].startswith(f"http://{site.host}")
    assert consent["page"].endswith("/api/v1/legal/terms")
    assert (refused.data["code"], refused.data["errorCode"]) == ("consent_required", 0)
    assert (consent["text"], consent["version"], consent["href"]) == ("terms", 1, CONSENT)
    # What v1's clients show.
    assert refused.error == (
        f"Before you write here, read and agree to version 1 of this site's terms: {consent['page']}"
    )
    # Reading goes on at the same price, and so does what is no member's.
    assert api.get("/api/v1/microcosms", by=member).status == 200
    assert api.get("/api/v1/whoami", by=member).statements == 1
    assert refused.statements == 1
    assert say(api, make, site.owner).status == 302
    asked = api.get("/api/v1/consents", by=member).data
    assert asked["given"] == []
    assert asked["texts"] == [
        {
            "text": "terms",
            "version": 1,
            "askedSince": 1,
            "agreed": 0,
            "needed": True,
            "href": "/api/v1/legal/terms/versions/1",
        }
    ]
    assert api.get("/api/v1/consents", by=site.owner).data["texts"][0]["needed"] is False

    assert agree(api, member, 1).status == 302
    assert agree(api, member, 1).status == 302
    assert say(api, make, member).status == 302
    agreed = api.get("/api/v1/consents", by=member).data
    assert agreed["texts"][0]["needed"] is False
    assert [(one["text"], one["version"]) for one in agreed["given"]] == [("terms", 1)]
    # Another person has yet to agree.
    assert say(api, make, site.newcomer).status == 403


def test_a_correction_asks_nobody_again_and_a_new_version_does(api: Api, make: Factory) -> None:
    site = make.site()
    member, newcomer = site.member, site.newcomer
    publish(api, site, "<p>Be kind</p>", "ask")
    agree(api, member, 1)

    assert publish(api, site, "<p>Be kind.</p>", "correction").status == 302
    assert say(api, make, member).status == 302
    # Who has not agreed agrees to the text in force.
    assert say(api, make, newcomer).data["consent"]["version"] == 2
    assert agree(api, newcomer, 1).status == 409
    assert agree(api, newcomer, 2).status == 302
    assert say(api, make, newcomer).status == 302

    publish(api, site, "<p>Be kind and brief.</p>", "ask")
    assert say(api, make, member).data["consent"]["version"] == 3
    template = api.get(TERMS, by=site.owner).data
    assert (template["version"], template["askedSince"]) == (3, 3)
    assert agree(api, member, 3).status == 302
    assert say(api, make, member).status == 302

    # The second text is asked for by itself, first in the order of the alphabet.
    publish(api, site, "<p>We keep little</p>", "ask", "privacy")
    assert say(api, make, newcomer).data["consent"]["text"] == "privacy"
    assert agree(api, newcomer, 1, "privacy").status == 302
    assert say(api, make, newcomer).data["consent"] == {
        **say(api, make, newcomer).data["consent"],
        "text": "terms",
        "version": 3,
    }

    assert publish(api, site, "<p>As you like</p>", "none").status == 302
    assert say(api, make, newcomer).status == 302
    assert "version" not in api.get("/api/v1/legal/terms", site=site).data
    api.delete("/api/v1/site/legal/privacy", by=site.owner)
    assert say(api, make, member).status == 302
    (flag,) = make.sql("SELECT asks_consent FROM sites WHERE site_id = %(id)s", id=site.id)
    assert flag == (False,)
    # Numbers go on.
    publish(api, site, "<p>Be kind again</p>", "ask")
    assert say(api, make, member).data["consent"]["version"] == 4


def test_every_version_stays_readable_by_everybody(api: Api, make: Factory) -> None:
    site, other = make.site(), make.site()
    publish(api, site, "<h1>Rules of $site_title</h1><p>Be kind</p>", "ask")
    publish(api, site, "<h1>Rules of $site_title</h1><p>Be nice</p>", "correction")

    assert api.get("/api/v1/legal/terms", site=site).data["version"] == 2
    versions = api.get("/api/v1/legal/terms/versions", site=site).data["versions"]
    assert [(one["version"], one["asksAgain"]) for one in versions] == [(2, False), (1, True)]
    first = api.get(versions[1]["href"], site=site)
    assert first.data["html"] == f"<h1>Rules of Site {site.key}</h1><p>Be kind</p>"
    diff = api.get(f"{versions[0]['href']}/diff", site=site).data
    assert (diff["from"], diff["to"]) == (1, 2)
    changed = [(one["op"], one["text"]) for one in diff["changes"]]
    assert changed == [
        ("equal", f"Rules of Site {site.key}\nBe "),
        ("delete", "kind"),
        ("insert", "nice"),
    ]
    whole = api.get(f"{versions[0]['href']}/diff?from=0", site=site).data["changes"]
    assert [one["op"] for one in whole] == ["insert"]
    unchanged = api.get(
        versions[1]["href"], site=site, headers={"If-None-Match": first.headers["ETag"]}
    )
    assert unchanged.status == 304

    # Another site's numbers lead to nothing, and neither do documents that can't ask.
    assert api.get("/api/v1/legal/terms/versions", site=other).data == {"versions": []}
    for path in (
        "/api/v1/legal/terms/versions/3",
        "/api/v1/legal/terms/versions/2/diff?from=7",
        "/api/v1/legal/terms/versions/99999999999",
        "/api/v1/legal/cookies/versions",
        "/api/v1/legal/service/versions/1",
    ):
        assert api.get(path, site=site).status == 404
    assert api.get("/api/v1/legal/terms/versions/1", site=other).status == 404


def test_a_text_may_be_kept_elsewhere(api: Api, make: Factory) -> None:
    site = make.site()
    body = {"link": "https://club.example/terms", "consent": "ask"}
    assert api.put(TERMS, body, by=site.owner).status == 302

    shown = api.get("/api/v1/legal/terms/versions/1", site=site).data
    assert (shown["link"], "html" in shown) == ("https://club.example/terms", False)
    assert api.get("/api/v1/legal/terms/versions/1/diff", site=site).data["changes"] == []
    assert say(api, make, site.member).status == 403
    agree(api, site.member, 1)
    assert say(api, make, site.member).status == 302


def test_what_is_sent_wrong_is_refused_by_name(api: Api, make: Factory) -> None:
    site = make.site()
    member = site.member

    def refused(body: dict[str, Any], path: str = TERMS) -> str:
        answer = api.put(path, body, by=site.owner)
        assert answer.status == 400
        return str(answer.error).partition(":")[0]

    assert refused({"html": "x", "consent": "perhaps"}) == "consent"
    assert refused({"html": "x", "consent": "correction"}) == "consent"
    assert refused({"html": "x", "consent": "ask"}, "/api/v1/site/legal/cookies") == "consent"
    assert agree(api, member, 1).status == 404
    publish(api, site, "x", "ask")
    assert refused({"html": "y"}) == "consent"
    assert publish(api, site, "y", "ask", "terms").status == 302
    assert api.put(TERMS, {"html": "z", "consent": "ask"}, by=member).status == 403
    for body in ({}, {"version": 0}, {"version": -1}, {"version": "2"}, {"version": None}):
        assert api.put(CONSENT, body, by=member).status == 400
    assert agree(api, member, 3).status == 409
    assert agree(api, member, 2**40).status == 409
    assert agree(api, member, 1, "cookies").status == 404
    assert api.put(CONSENT, {"version": 2}, site=site).status == 403
    assert api.get("/api/v1/consents", site=site).status == 403
    assert api.get("/api/v1/consents", by=member).data["given"] == []


def test_only_people_themselves_agree(api: Api, make: Factory) -> None:
    site = make.site()
    publish(api, site, "x", "ask")
    member = site.member
    agree(api, member, 1)
    body = {"name": "A key", "scopes": ["profile:read", "comments:write", "profiles:write"]}
    key = api.post("/api/v1/keys", body, by=member).data["secret"]
    publish(api, site, "y", "ask")

    limited = {"Authorization": f"Bearer {key}"}
    refused = api.put(CONSENT, {"version": 2}, site=site, headers=limited)
    assert (refused.status, refused.data["code"]) == (403, "insufficient_scope")
    refused = api.delete(CONSENT, site=site, headers=limited)
    assert (refused.status, refused.data["code"]) == (403, "insufficient_scope")


def test_a_withdrawn_consent_is_asked_for_again(api: Api, make: Factory) -> None:
    site = make.site()
    member, newcomer = site.member, site.newcomer
    publish(api, site, "x", "ask")
    publish(api, site, "y", "ask", "privacy")
    for person in (member, newcomer):
        for name in ("terms", "privacy"):
            assert agree(api, person, 1, name).status == 302
    publish(api, site, "z", "correction")
    assert agree(api, member, 2).status == 302
    assert say(api, make, member).status == 302

    assert api.delete(CONSENT, by=member).status == 200
    # Both versions, at once, and nobody else's; the other text is as it was.
    refused = say(api, make, member)
    assert (refused.status, refused.data["consent"]["text"]) == (403, "terms")
    assert api.get("/api/v1/microcosms", by=member).status == 200
    assert say(api, make, newcomer).status == 302
    found = api.get("/api/v1/consents", by=member).data
    assert [(one["text"], one["version"]) for one in found["given"]] == [("privacy", 1)]
    assert [(one["text"], one["version"]) for one in found["withdrawn"]] == [
        ("terms", 2),
        ("terms", 1),
    ]
    assert all(one["given"] < one["withdrawn"] for one in found["withdrawn"])
    assert [(one["text"], one["needed"]) for one in found["texts"]] == [
        ("privacy", False),
        ("terms", True),
    ]
    # A second time it changes nothing, and the other text can be withdrawn while this one is needed.
    assert api.delete(CONSENT, by=member).status == 200
    assert api.get("/api/v1/consents", by=member).data == found
    assert api.delete("/api/v1/consents/privacy", by=member).status == 200
    assert say(api, make, member).data["consent"]["text"] == "privacy"

    # Who agrees again writes again, and the record keeps each time.
    assert agree(api, member, 1, "privacy").status == 302
    assert agree(api, member, 2).status == 302
    assert say(api, make, member).status == 302
    assert api.delete(CONSENT, by=member).status == 200
    kept = api.get("/api/v1/consents", by=member).data["withdrawn"]
    assert [one["version"] for one in kept if one["text"] == "terms"] == [2, 2, 1]
    # Where the text asks no more, nothing is refused.
    publish(api, site, "free", "none")
    assert say(api, make, member).status == 302
    assert api.delete(CONSENT, by=newcomer).status == 200
    assert api.get("/api/v1/consents", by=newcomer).data["withdrawn"][0]["text"] == "terms"

    assert api.delete("/api/v1/consents/cookies", by=member).status == 404
    assert api.delete(CONSENT, site=site).status == 403
    other = make.site()
    assert api.delete(CONSENT, by=other.member).status == 200


def test_the_owner_reads_how_many_agreed_to_each_version(api: Api, make: Factory) -> None:
    site, other = make.site(), make.site()
    path = "/api/v1/site/consents"
    assert api.get(path, by=site.owner).data == {"versions": []}
    publish(api, site, "x", "ask")
    publish(api, other, "x", "ask")
    people = [site.member, site.newcomer, site.moderator]
    for person in people:
        assert agree(api, person, 1).status == 302
    publish(api, site, "y", "correction")
    publish(api, site, "z", "ask", "privacy")
    assert agree(api, site.member, 2).status == 302
    assert agree(api, site.member, 1, "privacy").status == 302
    assert agree(api, other.member, 1).status == 302

    def counted() -> list[tuple[str, int, int, int]]:
        answer = api.get(path, by=site.owner)
        assert not [person.name for person in people if person.name in answer.body.decode()]
        return [
            (one["text"], one["version"], one["agreed"], one["withdrawn"])
            for one in answer.data["versions"]
        ]

    assert counted() == [("privacy", 1, 1, 0), ("terms", 2, 1, 0), ("terms", 1, 3, 0)]
    api.delete(CONSENT, by=site.member)
    api.delete(CONSENT, by=site.newcomer)
    assert counted() == [("privacy", 1, 1, 0), ("terms", 2, 0, 1), ("terms", 1, 1, 2)]
    # Who comes back and goes again is one person.
    for _ in range(2):
        assert agree(api, site.newcomer, 2).status == 302
        assert counted()[1] == ("terms", 2, 1, 1)
        api.delete(CONSENT, by=site.newcomer)
    assert counted() == [("privacy", 1, 1, 0), ("terms", 2, 0, 2), ("terms", 1, 1, 2)]

    assert api.get(path, by=site.owner).statements == 2
    for person in (site.moderator, site.member):
        assert api.get(path, by=person).status == 403
    assert api.get(path, site=site).status == 403


def test_a_consent_holds_no_address_of_a_machine(api: Api, make: Factory) -> None:
    site = make.site()
    publish(api, site, "x", "ask")
    before = make.sql("SELECT count(*) FROM audit_log WHERE site_id = %(id)s", id=site.id)
    agree(api, site.member, 1)
    api.delete(CONSENT, by=site.member)
    agree(api, site.member, 1)

    assert make.sql("SELECT count(*) FROM audit_log WHERE site_id = %(id)s", id=site.id) == before
    columns = make.sql(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'consents'::regclass AND attnum > 0 ORDER BY attnum"
    )
    assert [name for (name,) in columns] == ["site_id", "profile_id", "name", "version", "given"]


def test_what_no_consent_holds_back_is_listed_here() -> None:
    found = {
        f"{verb} {url}"
        for url, handler in SITE.items()
        for verb in handler.needs_no_consent
        if not handler.signs_in
    }
    unknown = [
        (url, verb)
        for url, handler in SITE.items()
        for verb in handler.needs_no_consent
        if verb not in handler.operations or verb == "GET"
    ]

    assert found == ALWAYS
    assert unknown == []


@pytest.mark.wide
def test_every_other_write_is_refused(api: Api, make: Factory) -> None:
    site = make.site()
    publish(api, site, "x", "ask")
    member = site.member
    taken = []
    for url, handler in SITE.items():
        for verb in handler.operations:
            if verb == "GET" or f"{verb} {url}" in ALWAYS or handler.signs_in:
                continue
            if not url.startswith("/api/v1/"):
                continue
            scope = scopes.of(url, verb)
            if scope == scopes.OPEN or scope.endswith(":read"):
                continue
            path = re.sub(r"<[^>]*>", "1", url)
            answer = api.request(verb, path, by=member)
            if answer.status != 403 or answer.data["code"] != "consent_required":
                taken.append((verb, url, answer.status))

    assert taken == []


def test_leaving_and_complaining_need_no_consent(api: Api, make: Factory) -> None:
    site = make.site()
    publish(api, site, "x", "ask")
    member, newcomer = site.member, site.newcomer
    thing = make.comment(make.conversation(site))
    report = {"itemType": "comment", "itemId": thing.id, "kind": "spam", "text": "Buys nothing"}

    assert api.post("/api/v1/reports", report, by=newcomer).status == 302
    preview = {"microcosmId": site.root_id, "markdown": "Words"}
    assert api.post("/api/v1/preview", preview, by=member).status == 200
    assert api.post(f"{member.path}/export", by=member).status == 200
    assert api.delete(f"{member.path}/export", by=member).status == 200
    assert api.delete(member.path, by=member).status == 200
    assert api.delete(f"{member.path}/erasure", by=member).status == 200
    batch = [{"id": thing.id, "type": "comment"}]
    assert api.post("/api/v1/permission/batch", batch, by=member).data is not None
    assert api.delete("/api/v1/sessions", by=newcomer).status == 200
    assert api.delete(f"/api/v1/auth/{member.token}", by=member).status == 200
