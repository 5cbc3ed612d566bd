"""Plans of sites: what one allows is refused beyond it, by an error of its own; the owner is told once, and gets in."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from forumapi.errors import PlanLimit
from forumapi.models.usage.site_plan import PlanNotice
from forumapi.request.admission.plan_limits import PlanLimits
from tests.api import Response
from tests.factories import Site, Thing
from tests.files.pictures import png, post
from tests.handlers.platform import Platform

IDLE = (
    "members=0 storage_mb=0 comments_per_day=0 sockets=0 mails_per_day=0 invitations_per_day=0"
    " webhooks=0 imports_per_day=0"
)
PLANS = (
    f"none {IDLE} calls_per_minute=0",
    f"idle {IDLE}",
    "small members=5 comments_per_day=10 webhooks=1 storage_mb=1 invitations_per_day=1",
    "slow calls_per_minute=10",
    "heavy weight=7",
)
HOOK = {"url": "http://127.0.0.1:9/", "kinds": ["created"]}


@pytest.fixture(scope="module")
def limited(platform_database: str) -> Iterator[Platform]:
    """Platform with PLANS, whose operator is the user 1."""
    made = Platform(
        platform_database,
        environment="embedded",
        private_webhooks=True,
        plans=PLANS,
        workers=1,
        webclient=True,
        comment_rate_per_minute=0,
    )
    made.application.start()
    yield made
    made.application.stop()


def planned(limited: Platform, plan: str, **fields: Any) -> Site:
    site = limited.make.site(**fields)
    limited.sql(
        "INSERT INTO site_plans (site_id, plan) VALUES (%(site)s, %(plan)s)",
        site=site.id,
        plan=plan,
    )
    return site


def said(limited: Platform, chat: Thing, text: str) -> Response:
    sent = {"itemType": "conversation", "itemId": chat.id, "markdown": text}
    return limited.api.post("/api/v1/comments", sent, by=chat.site.member)


def code_of(refused: Response) -> str:
    return str(refused.json()["data"]["code"])


def notices(limited: Platform, site: Site) -> list[str]:
    """Subjects of the mails about limits, without the site's title."""
    limited.app.plans.poll()
    rows = limited.sql(
        "SELECT subject FROM mail_outbox WHERE site_id = %(site)s AND cause LIKE 'plan:%%' ORDER BY mail_id",
        site=site.id,
    )
    return [subject.rpartition(": ")[2] for (subject,) in rows]


@pytest.mark.wide
def test_comments_are_refused_beyond_the_plan_and_the_owner_is_told_twice(
    limited: Platform,
) -> None:
    site = planned(limited, "small")
    chat = limited.make.conversation(site, by=site.member)
    answers = [said(limited, chat, f"Comment {n}") for n in range(12)]
    assert [one.status for one in answers] == [302] * 10 + [429] * 2
    assert code_of(answers[-1]) == "plan_limit"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 86_400
    assert "small" in answers[-1].error and "comments_per_day: 10" in answers[-1].error
    assert notices(limited, site) == ["100 % of comments per day are used"]
    # What the counter has not written yet counts too, once.
    limited.app.plans.poll()
    limited.app.plans.poll()
    assert said(limited, chat, "One more").status == 429
    limited.app.usage.poll()
    assert said(limited, chat, "One more").status == 429
    assert notices(limited, site) == ["100 % of comments per day are used"]
    shown = limited.api.get("/api/v1/site/usage", by=site.owner).data
    assert shown["totals"]["comments"] == 10


def test_a_limited_comment_costs_no_further_statement(limited: Platform) -> None:
    site, free = planned(limited, "small"), limited.make.site()
    counts = []
    for one in (free, site):
        chat = limited.make.conversation(one, by=one.member)
        said(limited, chat, "What is read at first")
        counts.append([said(limited, chat, f"{n}").statements for n in range(3)])
    assert counts[0] == counts[1]


def test_the_weight_of_its_plan_goes_with_each_request_of_a_site(
    limited: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, seen = limited.app.gate, []
    enter = gate.enter

    def watched(*given: Any, **named: Any) -> Any:
        seen.append((given[1], named["weight"]))
        return enter(*given, **named)

    monkeypatch.setattr(gate, "enter", watched)
    heavy, light, free = planned(limited, "heavy"), planned(limited, "small"), limited.make.site()
    counts = []
    for site in (heavy, light, free):
        path = limited.make.conversation(site).path
        limited.api.get(path, site=site)
        counts.append(limited.api.get(path, site=site).statements)

    assert dict(seen) == {heavy.key: 7, light.key: 1, free.key: 1}
    assert len(set(counts)) == 1
    shown = limited.api.get("/api/v1/site/plan", by=heavy.owner).data
    assert shown == {"plan": "heavy", "limits": []}


def test_near_the_limit_the_owner_is_told_once_in_a_period(limited: Platform) -> None:
    site = planned(limited, "small")
    chat = limited.make.conversation(site, by=site.member)
    for n in range(8):
        assert said(limited, chat, f"Comment {n}").status == 302
    assert notices(limited, site) == ["80 % of comments per day are used"]
    assert said(limited, chat, "The ninth").status == 302
    assert len(notices(limited, site)) == 1
    notice = PlanNotice(site.id, "comments_per_day", "small", 10, 80)
    today = datetime.datetime.now(datetime.UTC).date()
    with limited.app.database.write() as tx:
        assert notice.note(tx, today) is None
        assert notice.note(tx, today + datetime.timedelta(days=1)) is not None


@pytest.mark.wide
def test_members_webhooks_storage_and_invitations_are_limited(limited: Platform) -> None:
    site, other = planned(limited, "small"), limited.make.site()
    api = limited.api
    total = limited.app.sites.by_id(site.id, limited.app.database.read()).stats[2]  # type: ignore[union-attr]
    newcomers = [limited.make.person(other) for _ in range(7)]
    answers = [api.get("/api/v1/whoami", by=one, site=site).status for one in newcomers]
    room = max(0, 5 - total)
    assert answers == [307] * room + [403] * (7 - room) or answers == [200] * room + [403] * (
        7 - room
    )
    refused = api.get("/api/v1/whoami", by=newcomers[-1], site=site)
    assert (refused.status, code_of(refused)) == (403, "plan_limit")
    # Reading makes nobody a member, and is not refused.
    assert api.get("/api/v1/microcosms", by=newcomers[-1], site=site).status == 200
    mine = "SELECT FROM profiles WHERE site_id = %(site)s AND user_id = %(user)s"
    assert not limited.sql(mine, site=site.id, user=newcomers[-1].user_id)
    refused = api.post("/api/v1/users", [{"email": "more@plans.test"}], by=site.owner)
    assert (refused.status, code_of(refused)) == (403, "plan_limit")
    assert not limited.sql("SELECT FROM users WHERE email = 'more@plans.test'")

    assert api.post("/api/v1/webhooks", HOOK, by=site.owner).status == 200
    assert code_of(api.post("/api/v1/webhooks", HOOK, by=site.owner)) == "plan_limit"

    limited.sql(
        "INSERT INTO file_usage (site_id, profile_id, bytes) VALUES (%(site)s, 0, 1048570)",
        site=site.id,
    )
    assert code_of(upload(limited, site)) == "plan_limit"


def upload(limited: Platform, site: Site) -> Response:
    return post(limited.api, site.owner, ("a.png", png(), ""))


@pytest.mark.wide
def test_a_plan_of_nothing_refuses_and_the_owner_reads_exports_and_signs_in(
    limited: Platform,
) -> None:
    api = limited.api
    for name in ("none", "idle"):
        site, other = limited.make.site(), limited.make.site()
        chat = limited.make.conversation(site, by=site.member)
        limited.sql(
            "INSERT INTO site_plans (site_id, plan) VALUES (%(site)s, %(plan)s)",
            site=site.id,
            plan=name,
        )
        limited.app.sites.forget(site.id)
        refused = [
            said(limited, chat, "Nothing"),
            api.get("/api/v1/whoami", by=limited.make.person(other), site=site),
            api.post("/api/v1/webhooks", HOOK, by=site.owner),
            api.get("/api/v1/live/poll?topic=site", by=site.owner),
            api.post("/api/v1/users", [{"email": "nobody@plans.test"}], by=site.owner),
            upload(limited, site),
        ]
        if name == "none":
            refused += [api.get(chat.path, site=site), api.get(chat.path, by=site.member)]
        for answer in refused:
            assert answer.status in (403, 429) and code_of(answer) == "plan_limit", answer.json()
        assert api.get(chat.path, by=site.owner).status == 200
        assert api.get("/api/v1/site", site=site).status == 200
        api.checks_schema = False
        assert api.get("/login/", site=site).status == 200, "the website's page of signing in"
        api.checks_schema = True
        signed = api.post(
            "/api/v1/auth", {"method": "development", "email": site.owner.email}, site=site
        )
        assert signed.status == 200 and isinstance(signed.data, str)
        exported = api.post("/api/v1/site/export", {}, by=site.owner)
        assert exported.status == 302, exported.json()


def test_an_upload_is_one_call(limited: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    site = planned(limited, "slow")
    calls: list[object] = []
    monkeypatch.setattr(limited.app.plans, "take_call", calls.append)
    assert post(limited.api, site.member, ("a.png", png(), "")).status < 400
    assert len(calls) == 1


def test_a_notice_of_a_site_that_is_gone_keeps_no_other_back(limited: Platform) -> None:
    deleted, site = planned(limited, "small"), planned(limited, "small")
    limited.sql("UPDATE sites SET is_deleted = true WHERE site_id = %(id)s", id=deleted.id)
    limited.app.sites.forget(deleted.id)
    for id in (deleted.id, 999_999, site.id):
        limited.app.plans._note(id, "webhooks", "small", 1, 100)
    assert notices(limited, site) == ["100 % of webhooks are used"]
    assert not notices(limited, deleted)


def test_calls_are_refused_beyond_the_rate_but_not_the_owners(limited: Platform) -> None:
    site = planned(limited, "slow")
    path = "/api/v1/microcosms"
    answers = [limited.api.get(path, site=site) for _ in range(12)]
    assert [one.status for one in answers] == [200] * 10 + [429] * 2
    assert code_of(answers[-1]) == "plan_limit" and int(answers[-1].headers["Retry-After"]) <= 60
    assert limited.api.get(path, by=site.member).status == 429
    assert limited.api.get(path, by=site.owner).status == 200
    assert notices(limited, site) == ["100 % of calls per minute are used"]


def test_mails_beyond_the_plan_are_not_queued(limited: Platform) -> None:
    site, free = planned(limited, "idle"), limited.make.site()
    plans = limited.app.plans
    with limited.app.database.write() as tx:
        assert not plans.may_mail(tx, site.id, lambda: limited.app.sites.current(site.id, tx), 1)
        assert plans.may_mail(tx, free.id, lambda: limited.app.sites.current(free.id, tx), 1)


def test_the_platforms_own_site_has_no_limits(limited: Platform) -> None:
    root = limited.app.sites.by_id(1, limited.app.database.read())
    assert root is not None
    root.plan = "none"
    assert not limited.app.plans.limits(root)
    limited.app.plans.take_call(root)


@pytest.mark.wide
def test_an_operator_sets_the_plan_and_the_owner_sees_what_is_used(
    platform_database: str, limited: Platform
) -> None:
    keeper = limited.make.site().owner
    runs = Platform(platform_database, plans=PLANS, admin_user_ids=(keeper.user_id,))
    runs.application.start()
    try:
        site = runs.make.site()
        path, api = f"{runs.path(site)}/plan", runs.api
        there = {"by": keeper, "host": runs.domain}
        assert api.get(path, **there).data == {"plan": "", "limits": []}
        assert api.put(path, {"plan": "small"}, by=site.owner, host=runs.domain).status == 403
        assert api.put(path, {"plan": "grand"}, **there).status == 400
        assert api.put(path, {}, **there).status == 400
        assert api.put(path, {"plan": "small"}, **there).status == 302
        shown = api.get("/api/v1/site/plan", by=site.owner).data
        assert shown == api.get(path, by=site.owner, host=runs.domain).data
        assert shown["plan"] == "small"
        used = {one["limit"]: (one["most"], one.get("used")) for one in shown["limits"]}
        assert used["comments_per_day"] == (10, 0) and used["webhooks"] == (1, 0)
        assert used["members"][1] >= 2
        for person in (site.member, site.moderator):
            assert api.get("/api/v1/site/plan", by=person).status == 403
            assert api.get(path, by=person, host=runs.domain).status == 403
        assert api.put(path, {"plan": ""}, **there).status == 302
        assert api.get("/api/v1/site/plan", by=site.owner).data["limits"] == []
    finally:
        runs.application.stop()


@pytest.mark.parametrize(("workers", "most", "here"), [(1, 3, 3), (2, 5, 2), (4, 2, 1), (4, 0, 0)])
def test_each_process_has_its_share_of_sockets_and_one_at_least(
    limited: Platform, workers: int, most: int, here: int
) -> None:
    app, open_now = limited.app, {0: 0}
    plans = PlanLimits(
        app.database, lambda: app.config, app.usage, lambda: open_now, lambda id, tx: ""
    )
    plans.apply(dataclasses.replace(app.config, plans=(f"idle sockets={most}",), workers=workers))
    site = app.sites.by_id(planned(limited, "idle").id, app.database.read())
    assert site is not None
    for count in range(here):
        open_now[site.id] = count
        plans.check_socket(site)
    open_now[site.id] = here
    with pytest.raises(PlanLimit, match=f"sockets: {most}"):
        plans.check_socket(site)


def test_the_error_names_limit_and_plan() -> None:
    error = PlanLimit("webhooks", "small", 1)
    assert (error.status, error.name, error.headers) == (403, "plan_limit", ())
    assert error.message == "The plan small of this site allows webhooks: 1"
