"""Sandboxes: content and rights of four people, every way out shut, bounded, and gone after a day."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from forumapi import routes
from forumapi.cron import site_deletions
from forumapi.models.sites import sandbox, sandbox_content
from forumapi.models.sites.sandbox import PEOPLE, NewSandbox
from tests import services
from tests.api import Response
from tests.handlers.platform import Platform
from tests.stage import Stage, new_address, staged

DOMAIN = "localhost"
SANDBOXES = "/sandboxes"
# Reached over the network or let others in: address -> method and body, for each address that is shut.
DOORS: dict[str, list[tuple[str, Any]]] = {
    "/api/v1/auth": [("POST", {"method": "email-code", "email": "a@example.com"})],
    "/api/v1/auth/begin": [("POST", {"method": "passkey"})],
    "/api/v1/auth0": [("POST", {"ClientSecret": "x", "Code": "y"})],
    "/api/v1/auth/email": [("POST", {"email": "a@example.com"}), ("PUT", {"code": "1"})],
    "/api/v1/geocode": [("GET", None)],
    "/api/v1/reports/guest": [("POST", {"itemType": "comment", "itemId": 1})],
    "/api/v1/site/auth": [("PUT", {"secondFactor": True})],
    "/api/v1/site/auth/<method>": [("PUT", {"enabled": True})],
    "/api/v1/site/avatars": [("PUT", {"gravatar": True})],
    "/api/v1/site/checks": [("PUT", {"maxLinks": 3})],
    "/api/v1/site/import": [("POST", None), ("PUT", {"task": "run"})],
    "/api/v1/site/offer": [("POST", {"profileId": 1}), ("PUT", {"accept": True})],
    "/api/v1/updates/push": [("POST", {"endpoint": "https://push.example/1", "keys": {}})],
    "/api/v1/users": [("POST", [{"email": "a@example.com"}])],
    "/api/v1/users/batch": [("POST", [{"email": "a@example.com", "isMember": True}])],
    "/api/v1/webhooks": [("POST", {"url": "https://hook.example/"})],
    "/oauth/authorize": [("GET", None), ("POST", None)],
    "/oauth/device": [("GET", None), ("POST", None)],
    "/oauth/link": [("GET", None), ("POST", None)],
}


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("sandboxes")
    with staged(database_url, folder, platform_domain=DOMAIN, max_sandboxes=1_000) as made:
        yield made


class Sandbox(NamedTuple):
    """A sandbox on a stage, as the answer shows it."""

    stage: Stage
    shown: Any

    @property
    def host(self) -> str:
        return urlsplit(self.shown["siteURL"]).hostname or ""

    @property
    def key(self) -> str:
        return self.host.partition(".")[0]

    def token(self, role: str) -> str:
        return str(self.shown["people"][role]["accessToken"]) if role else ""

    def ask(
        self, method: str, path: str, json: Any = None, *, by: str = "", **how: Any
    ) -> Response:
        """A request on the sandbox's host by one of its people, "" for a guest."""
        return self.stage.request(method, path, json, host=self.host, token=self.token(by), **how)

    def get(self, path: str, by: str = "") -> Any:
        """The data of a GET."""
        answer = self.ask("GET", path, by=by)
        assert answer.status == 200, answer.body
        return answer.data


def post(stage: Stage, ip: str = "") -> Response:
    return stage.post(SANDBOXES, host=stage.config.platform_domain, ip=ip or new_address())


def made(stage: Stage) -> Sandbox:
    answer = post(stage)
    assert answer.status == 200, answer.body
    return Sandbox(stage, answer.data)


@pytest.fixture(scope="module")
def trial(stage: Stage) -> Sandbox:
    """A sandbox of the tests that read one."""
    return made(stage)


def titles(trial: Sandbox, kind: str, by: str = "") -> set[str]:
    return {one["title"] for one in trial.get(f"/{kind}", by)[kind]["items"]}


# ---------------------------------------------------------------- what is made


def test_the_answer_is_kept_by_nobody_and_takes_no_key(stage: Stage) -> None:
    answer = post(stage)

    assert answer.headers["Cache-Control"] == "no-store"
    assert list(answer.data) == ["siteId", "siteURL", "ends", "people"]
    assert list(answer.data["people"]) == list(PEOPLE)
    refused = stage.post(
        SANDBOXES, host=DOMAIN, ip=new_address(), headers={"Idempotency-Key": "once"}
    )
    assert refused.status == 400


def test_it_has_content_and_each_of_four_people_a_token(trial: Sandbox) -> None:
    for role, name in PEOPLE.items():
        assert trial.get("/whoami", role)["profileName"] == name
    assert titles(trial, "events") == {"Sunday along the river"}
    assert titles(trial, "polls") == {"The stop on Sunday"}
    open_ones = titles(trial, "conversations")
    assert len(open_ones) == 3
    assert titles(trial, "conversations", "newcomer") == open_ones
    assert titles(trial, "conversations", "member") == open_ones | {"Who looks after what"}
    assert len(trial.get("/microcosms/tree")) == 4
    assert len(trial.get("/microcosms/tree", "moderator")) == 5
    wrote = {
        comment["meta"]["createdBy"]["profileName"]
        for one in trial.get("/conversations", "member")["conversations"]["items"]
        for comment in trial.get(f"/conversations/{one['id']}", "member")["comments"]["items"]
    }
    assert wrote == {*PEOPLE.values()}
    for role, huddles in (("owner", 0), ("moderator", 1), ("member", 1), ("newcomer", 0)):
        assert trial.get("/huddles", role)["huddles"]["total"] == huddles


def test_counts_are_those_of_what_is_there(stage: Stage, trial: Sandbox) -> None:
    counted = stage.sql(
        """SELECT i.item_id FROM items i
            WHERE i.site_id = %(id)s
              AND (i.comment_count, i.last_seq) <> (SELECT count(*), max(c.seq) FROM comments c
                                                     WHERE c.site_id = i.site_id AND c.item_id = i.item_id)""",
        id=trial.shown["siteId"],
    )
    assert counted == []


def test_each_may_do_what_their_part_allows(trial: Sandbox) -> None:
    chat = trial.get("/conversations")["conversations"]["items"][0]["id"]
    said = {"itemType": "conversation", "itemId": chat, "markdown": "Hello"}
    wrote = trial.ask("POST", "/comments", said, by="member")
    assert wrote.status == 302
    path = wrote.location.removeprefix("/api/v1")
    hide = [{"op": "replace", "path": "/meta/flags/moderated", "value": True}]

    refused = trial.ask("PATCH", path, hide, by="newcomer")
    assert (refused.status, refused.data["code"]) == (403, "no_update")
    assert trial.ask("PATCH", path, hide, by="moderator").status == 200
    assert trial.ask("GET", path, by="newcomer").status == 404
    assert trial.ask("PUT", "/site", {"title": "Mine"}, by="moderator").status == 403
    assert trial.ask("PUT", "/site", {"title": "Mine"}, by="owner").status == 302
    assert trial.ask("POST", "/comments", said).status == 403


def test_a_token_is_good_on_its_sandbox_alone(stage: Stage, trial: Sandbox) -> None:
    for host in (stage.site.host, DOMAIN, made(stage).host):
        assert stage.get("/whoami", host=host, token=trial.token("owner")).status == 401


def test_it_costs_a_bounded_number_of_round_trips(stage: Stage) -> None:
    with stage.app.database.write() as tx:
        new = NewSandbox.insert(tx, platform_domain=DOMAIN)
        site = stage.app.sites.by_id(new.site_id, tx)
        assert site is not None
        sandbox_content.fill(tx, site, new, short_links=stage.config.short_links)
        new.admit(tx, 1_000)
        assert tx.statements <= 180


# ---------------------------------------------------------------- what is shut


def asked(trial: Sandbox, url: str, method: str, body: Any, by: str = "owner") -> Response:
    path = url.removeprefix("/api/v1").replace("<method>", "openid")
    below = "/api/v1" if url.startswith("/api/v1") else ""
    return trial.ask(method, path, body, by=by, below=below)


def test_every_door_is_shut(trial: Sandbox) -> None:
    for url, calls in DOORS.items():
        for method, body in calls:
            for by in ("owner", ""):
                refused = asked(trial, url, method, body, by)
                assert refused.status == 403, (url, method, by)
                assert b"sandbox" in refused.body, (url, method, by, refused.body)


def test_the_doors_are_those_that_handlers_name() -> None:
    named = {
        (url, method)
        for url, handler in routes.SITE.items()
        for method in handler.closed_in_sandboxes
        if method in handler.operations
    }

    assert named == {(url, method) for url, calls in DOORS.items() for method, _ in calls}


def test_a_domain_and_another_tenant_are_refused(trial: Sandbox) -> None:
    for body in ({"domain": "club.example"}, {"auth0Domain": "x.auth0.com"}):
        refused = trial.ask("PUT", "/site", body, by="owner")
        assert (refused.status, refused.data["code"]) == (403, "sandbox_refused")
    assert trial.ask("PUT", "/site", {"domain": ""}, by="owner").status == 302
    assert trial.get("/auth/methods") == {"methods": []}


def test_a_site_that_is_none_is_not_shut(stage: Stage) -> None:
    refused = stage.get("/geocode", by=stage.site.member)
    assert refused.status == 400
    assert stage.post("/webhooks", {"url": "no"}, by=stage.site.owner).status == 400


def test_mail_of_a_sandbox_is_dropped(stage: Stage, trial: Sandbox) -> None:
    for to, site_id in (("inside", trial.shown["siteId"]), ("outside", stage.site.id)):
        stage.sql(
            """INSERT INTO mail_outbox (site_id, cause, recipient, subject, text_body)
               VALUES (%(id)s, 'sandbox test ' || %(to)s::text, %(to)s::text || '@example.com', 'Hello', '')
               RETURNING 1""",
            id=site_id,
            to=to,
        )
    # One about an update, whose text is made when it is sent.
    stage.sql(
        """INSERT INTO mail_outbox (site_id, cause, state, profile_id, update_type_id)
           VALUES (%(id)s, 'sandbox test', 'unwritten', %(profile)s, 1) RETURNING 1""",
        id=trial.shown["siteId"],
        profile=trial.shown["people"]["member"]["id"],
    )

    stage.app.mail.drain()

    states = stage.sql(
        "SELECT DISTINCT site_id, state FROM mail_outbox WHERE cause LIKE 'sandbox test%%' ORDER BY 1"
    )
    assert {*states} == {(trial.shown["siteId"], "dropped"), (stage.site.id, "sent")}
    sent = "".join(stage.mails())
    assert "outside@example.com" in sent
    assert "inside@example.com" not in sent
    assert ".invalid" not in sent


def test_its_plan_bounds_what_it_holds(trial: Sandbox) -> None:
    shown = trial.get("/site/plan", "owner")

    assert shown["plan"] == sandbox.PLAN
    assert {one["limit"]: one["most"] for one in shown["limits"]} == sandbox.LIMITS
    content = b"x" * (11 * 1024 * 1024)
    form = (
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n%b\r\n--b--\r\n'
    )
    refused = trial.ask(
        "POST", "/files", by="member", raw=(form % content, "multipart/form-data; boundary=b")
    )
    assert (refused.status, refused.data["code"]) == (403, "plan_limit")


# ---------------------------------------------------------------- what nobody finds


@pytest.mark.wide
def test_no_search_engine_and_no_list_shows_it(platform_database: str) -> None:
    site_of = Platform(platform_database, max_sandboxes=1_000, webclient=True)
    site_of.application.start()
    try:
        api = site_of.api
        answer = api.post("/api/v1/sandboxes")
        assert answer.status == 200
        host = urlsplit(answer.data["siteURL"]).netloc
        other = site_of.make.site().host
        for path in ("/api/v1/site", "/api/v1/conversations", "/api/v1/nothing"):
            assert api.get(path, host=host).headers["X-Robots-Tag"] == "noindex, nofollow"
            assert "X-Robots-Tag" not in api.get(path, host=other).headers
        listed = api.get("/api/v1/sites?q=sandbox").data["sites"]
        assert (listed["total"], listed["items"]) == (0, [])
        api.checks_schema = False
        for _ in range(2):  # The second page is one that was kept.
            assert api.get("/", host=host).headers["X-Robots-Tag"] == "noindex, nofollow"
        assert "X-Robots-Tag" not in api.get("/", host=other).headers
        assert api.get("/robots.txt", host=host).body == b"User-agent: *\nDisallow: /\n"
        assert b"Disallow: /\n" not in api.get("/robots.txt", host=other).body
    finally:
        site_of.application.stop()


# ---------------------------------------------------------------- bounds


def test_an_address_makes_three_a_day(stage: Stage) -> None:
    network = f"2001:db8:{len(new_address())}:1"
    answers = [post(stage, f"{network}::{number}") for number in range(1, 5)]

    assert [one.status for one in answers] == [200, 200, 200, 429]
    assert answers[3].error == "An address may make 3 sandboxes a day"
    assert answers[3].data["code"] == "rate_limited"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 86_400
    assert post(stage).status == 200


@pytest.mark.wide
def test_no_more_exist_at_a_time_than_the_setting_says(
    stage: Stage, database_url: str, tmp_path: Path
) -> None:
    ((count,),) = stage.sql("SELECT count(*) FROM sandboxes")
    with staged(database_url, tmp_path, platform_domain=DOMAIN, max_sandboxes=count + 1) as full:
        ((sites, users),) = full.sql(
            "SELECT (SELECT count(*) FROM sites), (SELECT count(*) FROM users)"
        )
        found: list[Response] = []
        threads = [threading.Thread(target=lambda: found.append(post(full))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(one.status for one in found) == [200, 503, 503, 503]
        refused = post(full)
        assert (refused.status, refused.data["code"]) == (503, "sandboxes_full")
        assert f"There are {count + 1} sandboxes" in refused.error
        assert 60 <= int(refused.headers["Retry-After"]) <= sandbox.LIFE_S
        assert full.sql("SELECT (SELECT count(*) FROM sites), (SELECT count(*) FROM users)") == [
            (sites + 1, users + 4)
        ]


def test_where_there_are_none_the_address_is_unknown(database_url: str, tmp_path: Path) -> None:
    with staged(database_url, tmp_path, platform_domain=DOMAIN) as off:
        refused = post(off)
        unknown = off.get("/nothing", host=DOMAIN)

        assert (refused.status, refused.data["code"]) == (404, "not_found")
        assert refused.error == unknown.error
        # Sites make none.
        assert off.post(SANDBOXES, ip=new_address()).status == 404


# ---------------------------------------------------------------- the end


def lived_in(stage: Stage) -> Sandbox:
    """A sandbox in which its people did what refers to them in other ways than its content does."""
    trial = made(stage)
    poll = trial.get("/polls", "newcomer")["polls"]["items"][0]["id"]
    choices = trial.get(f"/polls/{poll}")["choices"]
    voted = trial.ask("PUT", f"/polls/{poll}/votes", [{"id": choices[0]["id"]}], by="newcomer")
    assert voted.status == 302
    key = {"name": "A key", "scopes": ["comments:read"]}
    assert trial.ask("POST", "/keys", key, by="member").status == 200
    bot = trial.ask("POST", "/bots", {**key, "profileName": "Robot"}, by="owner")
    assert bot.status == 200, bot.body
    ban = {"profileId": trial.shown["people"]["newcomer"]["id"], "reason": "Spam"}
    assert trial.ask("POST", "/bans", ban, by="owner").status == 302
    return trial


def left(stage: Stage, trial: Sandbox) -> list[tuple[Any, ...]]:
    """Users, tokens, profiles and sites of a sandbox."""
    return stage.sql(
        """SELECT (SELECT count(*) FROM users WHERE email LIKE %(of)s),
                  (SELECT count(*) FROM access_tokens WHERE site_id = %(id)s),
                  (SELECT count(*) FROM profiles WHERE site_id = %(id)s),
                  (SELECT count(*) FROM sites WHERE site_id = %(id)s),
                  (SELECT count(*) FROM sandboxes WHERE site_id = %(id)s)""",
        of=f"%@{trial.key}.invalid",
        id=trial.shown["siteId"],
    )


def bots(stage: Stage) -> int:
    """Number of users of bots."""
    ((count,),) = stage.sql("SELECT count(*) FROM users WHERE person_key LIKE 'bot:%%'")
    return int(count)


def end(stage: Stage, trial: Sandbox, seconds: int) -> None:
    stage.sql(
        "UPDATE sandboxes SET ends = now() + make_interval(secs => %(s)s::int) WHERE site_id = %(id)s RETURNING 1",
        s=seconds,
        id=trial.shown["siteId"],
    )


def test_nothing_is_left_of_it_after_its_day(stage: Stage) -> None:
    trial, other = lived_in(stage), made(stage)
    tokens = stage.sql(
        """SELECT DISTINCT t.expires = b.ends, b.ends - now() BETWEEN interval '23:59' AND interval '24:00'
             FROM access_tokens t JOIN sandboxes b ON b.site_id = t.site_id
            WHERE t.site_id = %(id)s AND t.kind = 'session'""",
        id=trial.shown["siteId"],
    )
    assert tokens == [(True, True)]
    end(stage, trial, 60)
    assert site_deletions.work_off(stage.app.database, stage.config) == 0
    assert left(stage, trial) == [(4, 6, 5, 1, 1)]
    others = bots(stage) - 1
    end(stage, trial, 0)

    assert site_deletions.work_off(stage.app.database, stage.config) == 1

    assert left(stage, trial) == [(0, 0, 0, 0, 0)]
    assert bots(stage) == others
    assert left(stage, other) == [(4, 4, 4, 1, 1)]
    # A web process learns of what another process deleted within 0.3 s.
    services.wait_until(lambda: trial.ask("GET", "/site").status == 404, "it is still served")
    assert other.ask("GET", "/site").status == 200
    assert stage.sql(
        "SELECT is_silent, finished IS NOT NULL FROM site_deletions WHERE deleted_site = %(id)s",
        id=trial.shown["siteId"],
    ) == [(True, True)]
    assert not stage.sql(
        "SELECT 1 FROM mail_outbox WHERE recipient LIKE %(of)s", of=f"%@{trial.key}.invalid"
    )


@pytest.mark.wide
def test_one_that_its_owner_deleted_ends_too(stage: Stage) -> None:
    trial = made(stage)
    deleted = {"meta": {"flags": {"deleted": True}}}
    assert trial.ask("PUT", "/site", deleted, by="owner").status == 302
    assert trial.ask("GET", "/site").status == 404
    end(stage, trial, 0)

    assert site_deletions.work_off(stage.app.database, stage.config) == 1

    assert left(stage, trial) == [(0, 0, 0, 0, 0)]
