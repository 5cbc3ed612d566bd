"""Redaction in huddles: the owner removes the one comment that a case is about, and touches nothing else there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing
from tests.handlers.trust.test_redaction import LAW

WORDS = "I will find you"


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


@pytest.fixture
def huddle(make: Factory, site: Site) -> Thing:
    return make.huddle(site.member, site.newcomer, title="Between us")


def reported(api: Api, said: Thing, by: Person, owner: Person, *shown: Thing) -> int:
    """Report a comment of a huddle; the id of its case."""
    sent = {
        "itemType": "comment",
        "itemId": said.id,
        "kind": "abuse",
        "text": "A threat",
        "shownIds": [one.id for one in shown],
    }
    assert api.post("/api/v1/reports", sent, by=by).status == 302
    items = api.get("/api/v1/cases", by=owner).data["cases"]["items"]
    (case,) = (one["id"] for one in items if one["itemId"] == said.id)
    return int(case)


def act(api: Api, by: Person, said: Thing, **more: Any) -> Response:
    """Act on a comment, by default redact it."""
    sent = LAW | {"targets": [{"itemType": "comment", "itemId": said.id}]} | more
    return api.post("/api/v1/actions", sent, by=by)


def counts(make: Factory, site: Site, huddle: Thing) -> list[Any]:
    """Return what is counted of a huddle and of its people; of the member without what they have read by writing."""
    return make.sql(
        """
        SELECT i.comment_count, n.profile_id, n.comment_count,
               CASE WHEN n.profile_id = %(reader)s THEN n.unread_huddles END
          FROM items i JOIN profile_counters n ON n.site_id = i.site_id
         WHERE i.site_id = %(site)s AND i.item_id = %(huddle)s AND n.profile_id = ANY(%(people)s)
         ORDER BY n.profile_id""",
        site=site.id,
        huddle=huddle.id,
        people=[site.member.id, site.newcomer.id],
        reader=site.newcomer.id,
    )


def test_the_reported_comment_is_redacted_from_its_case(
    api: Api, make: Factory, site: Site, huddle: Thing
) -> None:
    member, reporter = site.member, site.newcomer
    other = make.comment(huddle, by=reporter, markdown="Nobody's affair")
    before = counts(make, site, huddle)
    said = make.comment(huddle, by=member, markdown=WORDS)
    assert api.put(said.path, {"markdown": f"{WORDS} soon"}, by=member).status == 302
    # Each participant's own copy holds the huddle.
    for person in (member, reporter):
        assert api.post(f"{person.path}/export", by=person).status == 200
    case = reported(api, said, reporter, site.owner)

    plan = act(api, site.owner, said, caseId=case, dryRun=True).data
    assert (plan["total"], plan["targets"][0].get("text")) == (1, None)
    done = api.post("/api/v1/actions", {"ticket": plan["ticket"]}, by=site.owner)
    assert (done.status, done.data["counts"]["done"]) == (200, 1), done.body
    assert api.get(f"/api/v1/cases/{case}", by=site.owner).data["outcome"] == "acted"
    tables = make.sql(
        """
        SELECT (SELECT count(*) FROM comments WHERE site_id = %(s)s AND markdown || html LIKE %(w)s),
               (SELECT count(*) FROM comment_revisions WHERE site_id = %(s)s AND markdown LIKE %(w)s),
               (SELECT count(*) FROM mail_outbox WHERE site_id = %(s)s AND comment_id = %(id)s),
               (SELECT count(*) FROM search_documents
                 WHERE site_id = %(s)s AND item_type_id = 4 AND item_id = %(id)s),
               (SELECT count(*) FROM personal_exports WHERE site_id = %(s)s)""",
        s=site.id,
        w=f"%{WORDS}%",
        id=said.id,
    )
    assert tables == [(0, 0, 0, 0, 0)]
    for path in (said.path, huddle.path, f"{said.path}/revisions", f"/api/v1/cases/{case}"):
        for person in (member, reporter, site.owner):
            assert WORDS.encode() not in api.get(path, by=person).body
    assert api.get(said.path, by=reporter).status == 404
    assert api.get(other.path, by=reporter).data["markdown"] == "Nobody's affair"
    # Counts are those of before it was written, and the author reads why.
    assert counts(make, site, huddle) == before
    (stated,) = api.get("/api/v1/statements", by=member).data["statements"]["items"]
    assert (stated["action"], stated["facts"]) == ("redact", LAW["reason"])
    undo = api.post(f"/api/v1/actions/{done.data['id']}/undo", {}, by=site.owner)
    assert undo.status == 409
    assert api.get(huddle.path, by=site.owner).status in (403, 404)


def test_nothing_else_in_a_huddle_is_touched(
    api: Api, make: Factory, site: Site, huddle: Thing
) -> None:
    member, reporter, owner = site.member, site.newcomer, site.owner
    said, shown, other = (make.comment(huddle, by=member, markdown=WORDS) for _ in range(3))
    public = make.comment(make.conversation(site), by=member)
    case = reported(api, said, reporter, owner, shown)
    elsewhere = reported(api, public, reporter, owner)
    never = Thing(site, said.type, 987_654_321)

    # Without its case, with another one's, of what stands beside it, and by any other kind.
    refused = [act(api, owner, said), act(api, owner, said, caseId=elsewhere)]
    refused += [act(api, owner, one, caseId=case) for one in (shown, other, never)]
    both = [{"itemType": "comment", "itemId": one.id} for one in (said, shown)]
    refused += [act(api, owner, said, caseId=case, targets=both)]
    refused += [act(api, owner, said, caseId=case, kind=kind) for kind in ("hide", "delete")]
    assert {answer.status for answer in refused} == {403}
    assert len({answer.body for answer in refused}) == 1
    everything = {"query": {"createdBy": member.id}, "dryRun": True}
    found = api.post("/api/v1/actions", LAW | everything, by=owner).data
    things = {(one["itemType"], one["itemId"]) for one in found["targets"]}
    assert ("comment", public.id) in things
    assert ("comment", said.id) not in things
    # By nobody else: not who reported, takes part or moderates, nor the owner of another site.
    strangers = (site.moderator, reporter, member, make.site().owner)
    assert {act(api, one, said, caseId=case).status for one in strangers} <= {403, 404}
    for one in (said, shown, other):
        assert api.get(one.path, by=reporter).data["markdown"] == WORDS

    # What is decided is decided.
    dismissed = {"outcome": "dismissed"}
    assert api.post(f"/api/v1/cases/{case}/decision", dismissed, by=owner).status == 302
    assert act(api, owner, said, caseId=case).status == 409
    assert api.get(said.path, by=reporter).data["markdown"] == WORDS


def test_an_owner_redacts_nothing_of_their_own_in_a_huddle(
    api: Api, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.owner, site.newcomer)
    said = make.comment(huddle, by=site.owner, markdown=WORDS)
    sent = {"itemType": "comment", "itemId": said.id, "kind": "abuse", "text": "A threat"}
    assert api.post("/api/v1/reports", sent, by=site.newcomer).status == 302
    ((case,),) = make.sql("SELECT case_id FROM cases WHERE site_id = %(s)s", s=site.id)

    assert act(api, site.owner, said, caseId=case).status == 404
    assert act(api, site.owner, said).status == 403
    assert api.get(said.path, by=site.newcomer).data["markdown"] == WORDS
