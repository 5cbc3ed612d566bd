"""Life cycle of sites over HTTP and by commands: read-only, suspended, the export window, and who may do what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pyotp
import pytest

from forumapi.command import cli
from forumapi.cron import site_deletions
from tests.api import Response
from tests.factories import Person, Site
from tests.stage import Stage, staged

DELETION, EXPORT = "/site/deletion", "/site/export"


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("states")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    return stage.make.site()


@pytest.fixture
def operator(stage: Stage) -> Person:
    """An operator of the platform, who owns no site."""
    person = stage.make.person(stage.site)
    stage.app.config = replace(stage.config, admin_user_ids=(person.user_id,))
    return person


def mails(stage: Stage, person: Person) -> list[str]:
    return [
        str(subject)
        for (subject,) in stage.sql(
            "SELECT subject FROM mail_outbox WHERE recipient = %(email)s ORDER BY mail_id",
            email=person.email,
        )
    ]


def audited(stage: Stage, site: Site) -> list[str]:
    """Actions on a site in the audit of the platform's own site."""
    return [
        str(action)
        for (action,) in stage.sql(
            """SELECT action FROM audit_log WHERE site_id = 1 AND item_type_id = 1 AND item_id = %(id)s
                ORDER BY audit_id""",
            id=site.id,
        )
    ]


def at_platform(
    stage: Stage, method: str, path: str, json: object = None, *, by: Person | None
) -> Response:
    """A request to the platform's own host."""
    token = by.token if by else ""
    return stage.request(method, path, json, host=stage.config.platform_domain, token=token)


def set_state(stage: Stage, site: Site, state: str, by: Person | None) -> int:
    return at_platform(stage, "PUT", f"/sites/{site.id}/state", {"state": state}, by=by).status


def state(stage: Stage, site: Site, by: Person) -> str:
    return str(at_platform(stage, "GET", f"/sites/{site.id}/state", by=by).data["state"])


@pytest.mark.wide
def test_an_owner_closes_the_site_exports_it_and_keeps_it(stage: Stage, site: Site) -> None:
    talk = stage.make.conversation(site).path.removeprefix("/api/v1")
    assert stage.get(DELETION, by=site.owner).status == 404

    asked = stage.post(DELETION, {}, by=site.owner)

    assert (asked.status, asked.location) == (302, f"/api/v1{DELETION}")
    shown = stage.get(DELETION, by=site.owner)
    assert (shown.data["state"], shown.data["byOperator"]) == ("export-window", False)
    for by in (None, site.member, site.owner):
        refused = stage.get(talk, by=by, site=site)
        assert (refused.status, refused.data["code"]) == (403, "site_closing")
    assert "will be deleted on" in refused.error
    assert stage.get("/site", site=site).status == 200
    assert stage.get("/whoami", by=site.owner).status == 200
    assert stage.get("/auth/methods", site=site).status == 200
    assert stage.post(EXPORT, {}, by=site.owner).status == 302
    assert stage.get(EXPORT, by=site.owner).data["state"] == "waiting"
    assert stage.put("/site", {"title": "Other"}, by=site.owner).status == 403
    # Twice does no harm.
    for _ in range(2):
        assert stage.request("DELETE", DELETION, by=site.owner).status == 200
    assert stage.get(talk, site=site).status == 200
    assert stage.sql("SELECT is_deleted FROM sites WHERE site_id = %(id)s", id=site.id) == [
        (False,)
    ]
    title = f"Site {site.key}"
    found = mails(stage, site.owner)
    assert found[0].startswith(f"{title} will be deleted on")
    assert found[-1] == f"{title} will not be deleted"
    assert audited(stage, site) == ["U", "U"]


def test_only_the_owner_with_a_fresh_sign_in_and_their_second_factor_closes_it(
    stage: Stage, site: Site
) -> None:
    for by in (None, site.member, site.moderator, site.banned):
        for method in ("GET", "POST", "DELETE"):
            assert stage.request(method, DELETION, {}, by=by, site=site).status in (401, 403)
    stage.sql(
        "UPDATE access_tokens SET created = created - interval '11 minutes' WHERE user_id = %(id)s RETURNING 1",
        id=site.owner.user_id,
    )
    stale = stage.post(DELETION, {}, by=site.owner)
    assert (stale.status, stale.data["code"]) == (403, "sign_in_again")
    stage.sql(
        "UPDATE access_tokens SET created = now() WHERE user_id = %(id)s RETURNING 1",
        id=site.owner.user_id,
    )
    secret = pyotp.random_base32()
    stage.sql(
        "INSERT INTO one_time_secrets (user_id, secret, confirmed) VALUES (%(id)s, %(secret)s, now()) RETURNING 1",
        id=site.owner.user_id,
        secret=secret,
    )
    assert stage.post(DELETION, {}, by=site.owner).status == 400
    assert stage.post(DELETION, {"secondFactor": "000000"}, by=site.owner).status == 400
    assert stage.get(DELETION, by=site.owner).status == 404


@pytest.mark.wide
def test_operators_hold_a_site_back(stage: Stage, site: Site, operator: Person) -> None:
    talk = stage.make.conversation(site)
    path = talk.path.removeprefix("/api/v1")
    words = {"itemType": "conversation", "itemId": talk.id, "markdown": "Hi"}
    newcomer = stage.make.person(stage.make.site())
    for by in (None, site.owner, site.member):
        assert set_state(stage, site, "suspended", by) in (401, 403)
    assert at_platform(stage, "GET", f"/sites/{site.id}/state", by=newcomer).status == 403
    assert (state(stage, site, operator), state(stage, site, site.owner)) == ("active", "active")

    assert set_state(stage, site, "read-only", operator) == 302

    assert stage.get(path, by=site.member).status == 200
    refused = stage.post("/comments", words, by=site.member)
    assert (refused.status, refused.data["code"]) == (403, "site_read_only")
    # Who has no profile here reads as a guest, and gets none.
    assert stage.get(path, token=newcomer.token, site=site).status == 200
    assert stage.request("HEAD", path, token=newcomer.token, site=site).status == 200
    for method, where in (("GET", "/whoami"), ("POST", "/comments")):
        refused = stage.request(method, where, words, token=newcomer.token, site=site)
        assert (refused.status, refused.data["code"]) == (403, "site_read_only")
    change = {"title": "Other"}
    refused = at_platform(stage, "PUT", f"/sites/{site.id}", change, by=site.owner)
    assert (refused.status, refused.data["code"]) == (403, "site_read_only")

    assert set_state(stage, site, "suspended", operator) == 302

    refused = stage.get(path, by=site.member)
    assert (refused.status, refused.data["code"]) == (403, "site_suspended")
    assert stage.post(EXPORT, {}, by=site.owner).status == 302
    back = {"meta": {"flags": {"deleted": False}}}
    assert at_platform(stage, "PUT", f"/sites/{site.id}", back, by=site.owner).status == 403
    listed = at_platform(stage, "GET", f"/sites?q={site.key}", by=operator).data["sites"]
    assert listed["total"] == 0
    # An owner may delete a suspended site, which is suspended again if they take that back.
    assert stage.post(DELETION, {}, by=site.owner).status == 302
    assert stage.request("DELETE", DELETION, by=site.owner).status == 200
    assert state(stage, site, operator) == "suspended"

    assert set_state(stage, site, "active", operator) == 302
    assert stage.post("/comments", words, by=site.member).status == 302
    assert set_state(stage, site, "frozen", operator) == 400
    for id, status in ((1, 403), (999_999, 404)):
        asked = {"state": "suspended"}
        assert at_platform(stage, "PUT", f"/sites/{id}/state", asked, by=operator).status == status


def test_posts_that_read_are_answered_while_a_site_is_read_only(
    stage: Stage, site: Site, operator: Person
) -> None:
    def statuses() -> list[int]:
        return [
            stage.post("/permission/batch", [{"itemType": "site"}], by=site.member).status,
            stage.post("/live/tickets", {}, by=site.member).status,
            stage.post("/oauth/token", {}, site=site).status,
            # Its link is none of this site's.
            stage.page("POST", "/mail/unsubscribe?code=x", site).status,
            stage.page("GET", "/mail/unsubscribe?code=x", site).status,
        ]

    active = statuses()
    assert set_state(stage, site, "read-only", operator) == 302
    assert statuses() == [200, 200, *active[2:]]
    for name in ("suspended", "export-window"):
        assert set_state(stage, site, name, operator) == 302
        assert statuses() == [403, 403, 403, *active[3:]]


def test_operators_see_plan_and_usage_of_a_site_that_is_held_back(
    stage: Stage, site: Site, operator: Person
) -> None:
    stranger = stage.make.person(stage.make.site())
    for name in ("suspended", "export-window"):
        assert set_state(stage, site, name, operator) == 302
        for page in ("plan", "usage", "usage/csv"):
            path = f"/sites/{site.id}/{page}"
            for by, status in ((operator, 200), (site.owner, 200), (stranger, 404)):
                assert at_platform(stage, "GET", path, by=by).status == status, (name, page)
    assert at_platform(stage, "GET", "/sites/999999999/usage", by=operator).status == 404


def test_a_site_that_is_held_back_has_no_newcomers_and_its_people_sign_in(
    stage: Stage, site: Site, operator: Person
) -> None:
    def sign_in(email: str) -> Response:
        return stage.post("/auth", {"method": "development", "email": email}, site=site)

    people = "SELECT count(*) FROM profiles WHERE site_id = %(id)s"
    before = stage.sql(people, id=site.id)
    elsewhere = stage.make.person(stage.make.site())
    for name, said in (
        ("read-only", "read-only"),
        ("suspended", "suspended"),
        ("export-window", "will be deleted"),
    ):
        assert set_state(stage, site, name, operator) == 302
        for email in (elsewhere.email, f"new-{site.key}@states.test"):
            refused = sign_in(email)
            assert (refused.status, said in refused.error) == (403, True)
        for one in (site.owner, site.member):
            assert sign_in(one.email).status == 200
    assert stage.get("/site", token=elsewhere.token, site=site).status == 200
    assert stage.sql(people, id=site.id) == before
    assert not stage.sql("SELECT FROM users WHERE email = %(e)s", e=f"new-{site.key}@states.test")


def test_an_owner_does_not_take_back_what_an_operator_asked_for(
    stage: Stage, site: Site, operator: Person
) -> None:
    assert set_state(stage, site, "export-window", operator) == 302
    assert stage.request("DELETE", DELETION, by=site.owner).status == 403
    assert stage.get(DELETION, by=site.owner).data["byOperator"] is True
    assert set_state(stage, site, "active", operator) == 302
    assert stage.get("/microcosms", by=site.member).status == 200


def test_an_operator_makes_a_deletion_that_the_owner_asked_for_the_operators(
    stage: Stage, site: Site, operator: Person
) -> None:
    stage.post(DELETION, {}, by=site.owner)
    asked = stage.get(DELETION, by=site.owner).data
    assert len(mails(stage, site.owner)) == 1

    for _ in range(2):
        assert set_state(stage, site, "export-window", operator) == 302

    # The day that the owner was told stays.
    assert stage.get(DELETION, by=site.owner).data == {**asked, "byOperator": True}
    assert len(mails(stage, site.owner)) == 2
    assert audited(stage, site) == ["U", "U"]
    assert stage.request("DELETE", DELETION, by=site.owner).status == 403
    assert stage.post(DELETION, {}, by=site.owner).status == 302
    assert stage.get(DELETION, by=site.owner).data["byOperator"] is True
    assert set_state(stage, site, "active", operator) == 302


@pytest.mark.wide
def test_owners_get_a_mail_a_week_before_and_at_the_end(stage: Stage, site: Site) -> None:
    stage.post(DELETION, {}, by=site.owner)
    site_deletions.work_off(stage.app.database, stage.config)
    assert len(mails(stage, site.owner)) == 1
    stage.sql(
        "UPDATE site_states SET due = now() + interval '6 days' WHERE site_id = %(id)s RETURNING 1",
        id=site.id,
    )
    for _ in range(2):
        site_deletions.work_off(stage.app.database, stage.config)
    assert len(mails(stage, site.owner)) == 2
    stage.sql("UPDATE site_states SET due = now() WHERE site_id = %(id)s RETURNING 1", id=site.id)

    assert site_deletions.work_off(stage.app.database, stage.config) == 1

    assert mails(stage, site.owner) == [f"{site.host} was deleted"]
    assert audited(stage, site) == ["U", "U", "D"]
    assert stage.get("/site", site=site).status == 404


def test_a_site_that_its_owner_had_deleted_is_so_again(
    stage: Stage, site: Site, operator: Person
) -> None:
    stage.put("/site", {"meta": {"flags": {"deleted": True}}}, by=site.owner)
    assert stage.get("/site", site=site).status == 404
    assert set_state(stage, site, "export-window", operator) == 302
    assert stage.get("/microcosms", site=site).status == 403
    assert set_state(stage, site, "active", operator) == 302
    assert stage.get("/site", site=site).status == 404


def test_read_only_shows_no_site_that_its_owner_had_deleted(
    stage: Stage, site: Site, operator: Person
) -> None:
    stage.put("/site", {"meta": {"flags": {"deleted": True}}}, by=site.owner)
    for name in ("read-only", "suspended", "read-only"):
        assert set_state(stage, site, name, operator) == 302
        asked = stage.get("/microcosms", site=site)
        assert asked.status == (403 if name == "suspended" else 404)
        stage.app.sites.poll()
        assert stage.get("/microcosms", site=site).status == asked.status
    back = {"meta": {"flags": {"deleted": False}}}
    assert at_platform(stage, "PUT", f"/sites/{site.id}", back, by=site.owner).status in (403, 404)


@pytest.mark.wide
def test_operators_do_so_on_the_command_line(
    stage: Stage, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", stage.url)
    monkeypatch.setenv("FORUMAPI_DATA_DIR", stage.config.data_dir)

    def said(*words: str) -> list[dict[str, object]]:
        assert cli.main(["site", *words, "--json"]) == 0
        found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
        return found

    assert said("state", site.key)[0]["state"] == "active"
    assert said("state", site.key, "suspended")[0]["state"] == "suspended"
    assert said("delete", site.key)[0]["state"] == "export-window"
    (waits,) = [one for one in said("deletions") if one["site"] == site.id]
    assert (waits["state"], waits["signature"]) == ("waits", "")
    assert said("state", site.key, "active")[0]["state"] == "active"
    said("delete", site.key)
    stage.sql("UPDATE site_states SET due = now() WHERE site_id = %(id)s RETURNING 1", id=site.id)
    site_deletions.work_off(stage.app.database, stage.config)

    (done,) = [one for one in said("deletions") if one["site"] == site.id]

    assert (done["state"], done["signature"], done["left"]) == ("deleted", "good", 0)
    assert len(str(done["sha256"])) == 64
    stage.sql(
        "UPDATE site_deletions SET receipt = receipt || ' ' WHERE deleted_site = %(id)s RETURNING 1",
        id=site.id,
    )
    (forged,) = [one for one in said("deletions") if one["site"] == site.id]
    assert forged["signature"] == "BAD"
