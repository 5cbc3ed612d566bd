"""The transparency report: equal to a recount of a seeded year, over HTTP and by command, for the owner alone."""

from __future__ import annotations

import csv
import datetime
import io
import itertools
import json
import random
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from forumapi import itemtypes
from forumapi.command import cli
from forumapi.models.trust.action_kinds import KINDS
from forumapi.models.trust.dsa_terms import CATEGORIES, GROUNDS
from forumapi.models.trust.dsa_terms import KINDS as REPORT_KINDS
from tests.api import Api
from tests.factories import Factory, Site, Thing

START = datetime.datetime(2025, 6, 1, tzinfo=datetime.UTC)
DAYS = 400
DAY = datetime.timedelta(days=1)
NAMES = (
    *("part", "source", "kind", "category", "ground", "decision", "contentType"),
    *("automatedDetection", "automatedDecision", "outcome"),
)
Row = dict[str, Any]
# Kinds of actions whose decision depends on where and until when they restrict somebody.
RESTRICTING = ("silence", "ban")
# Values of the fields of the European Commission's database of statements, as that names them.
TERMS: dict[str, set[Any]] = {
    "source": {"SOURCE_ARTICLE_16", "SOURCE_TRUSTED_FLAGGER", "SOURCE_VOLUNTARY"},
    "contentType": {
        f"CONTENT_TYPE_{name}"
        for name in (
            "APP",
            "AUDIO",
            "IMAGE",
            "PRODUCT",
            "SYNTHETIC_MEDIA",
            "TEXT",
            "VIDEO",
            "OTHER",
        )
    },
    "ground": {"DECISION_GROUND_ILLEGAL_CONTENT", "DECISION_GROUND_INCOMPATIBLE_CONTENT"},
    "decision": {
        "DECISION_VISIBILITY_CONTENT_REMOVED",
        "DECISION_VISIBILITY_CONTENT_DISABLED",
        "DECISION_VISIBILITY_CONTENT_DEMOTED",
        "DECISION_VISIBILITY_OTHER",
        "DECISION_PROVISION_PARTIAL_SUSPENSION",
        "DECISION_PROVISION_TOTAL_SUSPENSION",
        "DECISION_PROVISION_PARTIAL_TERMINATION",
        "DECISION_PROVISION_TOTAL_TERMINATION",
        "DECISION_ACCOUNT_SUSPENDED",
        "DECISION_ACCOUNT_TERMINATED",
    },
    "category": {
        f"STATEMENT_CATEGORY_{name}"
        for name in (
            *("PIRACY", "DISCRIMINATION", "COUNTERFEIT", "FRAUD", "TERRORISM", "CHILD_SAFETY"),
            *("NON_CONSENT", "MISINFORMATION", "VIOLATION_TOS", "UNCATEGORISED"),
        )
    },
    "automatedDetection": {True, False},
    "automatedDecision": {True, False},
}
# Kind of action -> its decision, of those that do not depend on place and end.
DECISIONS = {
    "hide": "DECISION_VISIBILITY_CONTENT_DISABLED",
    "delete": "DECISION_VISIBILITY_CONTENT_REMOVED",
    "redact": "DECISION_VISIBILITY_CONTENT_REMOVED",
    "lock": "DECISION_VISIBILITY_OTHER",
    "warn": "DECISION_VISIBILITY_OTHER",
}
# Values that each part of the report has; a decision has them all.
OF_PART = {"notice": {"source", "category"}, "decision": set(TERMS), "appeal": set[str]()}


def moment(draw: random.Random) -> datetime.datetime:
    if draw.random() < 0.05:
        # Where one period ends and another begins.
        return START + datetime.timedelta(days=draw.choice((30, 100, 131, 200, 201, 395)))
    return START + datetime.timedelta(
        seconds=draw.randrange(DAYS * 86_400), microseconds=draw.randrange(10**6)
    )


def later(draw: random.Random, time: datetime.datetime) -> datetime.datetime:
    return time + datetime.timedelta(seconds=draw.expovariate(1 / 90_000))


def sow(make: Factory, site: Site, draw: random.Random, cases: int) -> None:
    """Notices, decisions and appeals of thirteen months."""
    people = [site.member.id, site.newcomer.id, site.owner.id]
    reporters = [make.person(site).id for _ in range(6)]
    decided = [name for name, kind in KINDS.items() if kind.decision]
    for thing in range(1, cases + 1):
        opened = moment(draw)
        state = draw.choice(("open", "acted", "acted", "dismissed"))
        closed = None if state == "open" else later(draw, opened)
        item_type = draw.choice((3, 4, 6))
        ((case,),) = make.sql(
            """INSERT INTO cases (site_id, item_type_id, item_id, microcosm_id, author_id, state, outcome, priority,
                                  opened, due, decided, decided_by)
               VALUES (%(site)s, %(type)s, %(thing)s, 1, %(author)s, %(state)s, %(outcome)s, 2, %(opened)s, %(opened)s,
                       %(closed)s, %(by)s) RETURNING case_id""",
            site=site.id,
            type=item_type,
            thing=10**9 + thing,
            author=draw.choice(people),
            state="open" if state == "open" else "decided",
            outcome="" if state == "open" else state,
            opened=opened,
            closed=closed,
            by=site.moderator.id if closed else None,
        )
        for reporter in draw.sample(reporters, draw.choice((0, 1, 1, 2, 4))):
            make.sql(
                """INSERT INTO reports (site_id, case_id, item_type_id, item_id, reporter_id, kind, category, created)
                   VALUES (%(site)s, %(case)s, %(type)s, %(thing)s, %(reporter)s, %(kind)s, %(category)s, %(created)s)
                   RETURNING 1""",
                site=site.id,
                case=case,
                type=item_type,
                thing=10**9 + thing,
                reporter=reporter,
                kind=draw.choice(sorted(REPORT_KINDS)),
                category=draw.choice(CATEGORIES[:4]),
                created=opened,
            )
        if state == "dismissed":
            continue
        told = closed or opened
        is_automated = draw.random() < 0.3
        ((action,),) = make.sql(
            """INSERT INTO actions (site_id, kind, state, actor_id, is_automated, case_id, ground, category, created,
                                    place_id, ends)
               VALUES (%(site)s, %(kind)s, 'done', %(actor)s, %(automated)s, %(case)s, %(ground)s, %(category)s,
                       %(told)s, %(place)s, %(ends)s)
               RETURNING action_id""",
            site=site.id,
            kind=(kind := draw.choice(decided)),
            place=draw.choice((0, site.root_id)) if kind in RESTRICTING else 0,
            ends=draw.choice((None, later(draw, told))) if kind in RESTRICTING else None,
            actor=None if is_automated else site.moderator.id,
            automated=is_automated,
            case=case if state == "acted" and draw.random() < 0.8 else None,
            ground=draw.choice(sorted(GROUNDS)),
            category=draw.choice(CATEGORIES[:4]),
            told=told,
        )
        place = 0
        for person in draw.sample(people, draw.choice((1, 1, 2, 3))):
            ((statement,),) = make.sql(
                """INSERT INTO statements (site_id, action_id, profile_id, created, revoked)
                   VALUES (%(site)s, %(action)s, %(person)s, %(told)s, %(revoked)s) RETURNING statement_id""",
                site=site.id,
                action=action,
                person=person,
                told=told,
                revoked=later(draw, told) if draw.random() < 0.2 else None,
            )
            for _ in range(draw.choice((1, 1, 3, 7))):
                place += 1
                make.sql(
                    """INSERT INTO action_changes (site_id, action_id, place, item_type_id, item_id, author_id, state,
                                                   statement_id)
                       VALUES (%(site)s, %(action)s, %(place)s::int, %(type)s, %(place)s::int, %(person)s, 'done',
                               %(stated)s)
                       RETURNING 1""",
                    site=site.id,
                    action=action,
                    place=place,
                    type=item_type,
                    person=person,
                    stated=statement,
                )
            if draw.random() < 0.4:
                made = later(draw, told)
                outcome = draw.choice(("open", "granted", "refused"))
                make.sql(
                    """INSERT INTO appeals (site_id, statement_id, action_id, profile_id, state, created, decided)
                       VALUES (%(site)s, %(stated)s, %(action)s, %(person)s, %(state)s, %(made)s, %(decided)s)
                       RETURNING 1""",
                    site=site.id,
                    stated=statement,
                    action=action,
                    person=person,
                    state=outcome,
                    made=made,
                    decided=None if outcome == "open" else later(draw, made),
                )


def decision(kind: str, place: int, ends: datetime.datetime | None) -> str:
    """The decision of an action, as the law's database calls it."""
    if kind not in RESTRICTING:
        return DECISIONS[kind]
    if ends is None:
        return f"DECISION_PROVISION_{'PARTIAL' if place else 'TOTAL'}_TERMINATION"
    return f"DECISION_PROVISION_{'PARTIAL' if place else 'TOTAL'}_SUSPENSION"


def table(make: Factory, site: Site, name: str, columns: str) -> list[Row]:
    rows = make.sql(f"SELECT {columns} FROM {name} WHERE site_id = %(id)s", id=site.id)
    return [dict(zip(columns.split(", "), row, strict=True)) for row in rows]


def recount(
    make: Factory, site: Site, since: datetime.datetime, until: datetime.datetime
) -> tuple[Row, dict[tuple[Any, ...], tuple[int, int | None, float | None]]]:
    """The totals, and (count, things, median) by the values of NAMES, from all rows of the tables one by one."""
    cases = {
        one["case_id"]: one
        for one in table(make, site, "cases", "case_id, state, outcome, decided")
    }
    reports = table(make, site, "reports", "case_id, kind, category, created")
    actions = {
        one["action_id"]: one
        for one in table(
            make,
            site,
            "actions",
            "action_id, kind, is_automated, case_id, ground, category, place_id, ends",
        )
    }
    changes = table(make, site, "action_changes", "statement_id, item_type_id")
    groups: dict[tuple[Any, ...], list[tuple[int | None, float | None]]] = defaultdict(list)

    def seconds(begin: datetime.datetime | None, end: datetime.datetime | None) -> float | None:
        return (
            None if begin is None or end is None else (end - begin) // datetime.timedelta(seconds=1)
        )

    for one in reports:
        if since <= one["created"] < until:
            case = cases[one["case_id"]]
            key: tuple[Any, ...] = (
                "notice",
                "SOURCE_ARTICLE_16",
                one["kind"],
                one["category"],
                None,
                None,
                None,
                None,
                None,
            )
            outcome = "open" if case["state"] == "open" else case["outcome"]
            groups[*key, outcome].append((None, seconds(one["created"], case["decided"])))
    granted = {
        one["statement_id"]
        for one in table(make, site, "appeals", "statement_id, state")
        if one["state"] == "granted"
    }
    for one in table(make, site, "statements", "statement_id, action_id, created, revoked"):
        corrected = "corrected" if one["statement_id"] in granted else "inForce"
        if since <= one["created"] < until:
            action = actions[one["action_id"]]
            noticed = [
                r["created"]
                for r in reports
                if action["case_id"] and r["case_id"] == action["case_id"]
            ]
            about = [c["item_type_id"] for c in changes if c["statement_id"] == one["statement_id"]]
            key = (
                *(
                    "decision",
                    "SOURCE_ARTICLE_16" if noticed else "SOURCE_VOLUNTARY",
                    action["kind"],
                ),
                *(action["category"], GROUNDS[action["ground"]]),
                decision(action["kind"], action["place_id"], action["ends"]),
                "CONTENT_TYPE_OTHER" if set(about) == {3} else "CONTENT_TYPE_TEXT",
                *[action["is_automated"]] * 2,
                "revoked" if one["revoked"] else corrected,
            )
            groups[key].append((len(about), seconds(min(noticed, default=None), one["created"])))
    for one in table(make, site, "appeals", "action_id, state, created, decided"):
        if since <= one["created"] < until:
            key = ("appeal", None, actions[one["action_id"]]["kind"], *(None,) * 6, one["state"])
            groups[key].append((None, seconds(one["created"], one["decided"])))

    def median(members: list[tuple[int | None, float | None]]) -> float | None:
        known = [took for _, took in members if took is not None]
        return float(statistics.median(known)) if known else None

    counted = {
        key: (
            len(members),
            sum(things or 0 for things, _ in members) if key[0] == "decision" else None,
            median(members),
        )
        for key, members in groups.items()
    }
    totals: Row = {}
    for part in ("notice", "decision", "appeal"):
        members = [one for key, found in groups.items() if key[0] == part for one in found]
        totals[f"{part}s"] = len(members)
        totals[f"{part}MedianSeconds"] = median(members)
        if part == "decision":
            totals["things"] = sum(things or 0 for things, _ in members)
    return totals, counted


@pytest.fixture(scope="module")
def year(make: Factory) -> Site:
    """A site with a seeded year of moderation."""
    site = make.site()
    sow(make, site, random.Random(15), 400)
    return site


def address(path: str = "", **query: object) -> str:
    return f"/api/v1/site/transparency{path}?{urlencode(query)}"


PERIODS = [(0, DAYS + 60), (30, 395), (100, 131), (200, 201), (DAYS + 100, DAYS + 200)]


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.parametrize(("first", "last"), PERIODS)
def test_the_report_equals_a_recount(
    api: Api, make: Factory, year: Site, first: int, last: int
) -> None:
    since, until = (START + datetime.timedelta(days=days) for days in (first, last))
    period = {"since": since.isoformat(), "until": until.isoformat()}
    totals, counted = recount(make, year, since, until)

    answer = api.get(address(**period), by=year.owner)

    assert answer.status == 200, answer.body
    assert answer.data["totals"] == totals
    found = {
        tuple(row[name] for name in NAMES): (row["count"], row["things"], row["medianSeconds"])
        for row in answer.data["rows"]
    }
    assert found == counted
    assert len(answer.data["rows"]) == len(found)
    # The same as CSV.
    rows = list(
        csv.DictReader(io.StringIO(api.get(address("/csv", **period), by=year.owner).body.decode()))
    )
    words = {None: "", True: "Yes", False: "No"}
    assert [
        {
            name: words.get(value, str(value))
            if value is None or isinstance(value, bool)
            else str(value)
            for name, value in row.items()
        }
        for row in answer.data["rows"]
    ] == [{name: value for name, value in row.items() if name not in period} for row in rows]


def test_the_year_is_large_enough_to_show_a_miscount(make: Factory, year: Site) -> None:
    totals, counted = recount(make, year, START, START + datetime.timedelta(days=DAYS + 60))
    assert (totals["notices"] > 500, totals["decisions"] > 400, totals["appeals"] > 100) == (
        True,
    ) * 3
    assert len(counted) > 100


def test_reports_and_statements_speak_in_the_terms_of_the_law(api: Api, year: Site) -> None:
    period = {"since": START.isoformat(), "until": (START + DAYS * DAY).isoformat()}
    rows = api.get(address(**period), by=year.owner).data["rows"]
    assert {row["part"] for row in rows} == set(OF_PART)
    for row in rows:
        for name, values in TERMS.items():
            fits = row[name] in values if name in OF_PART[row["part"]] else row[name] is None
            assert fits, (name, row)
    # Of each kind of decision on either ground.
    seen = set()
    for person in (year.member, year.newcomer):
        path = "/api/v1/statements?limit=250"
        while path:
            page = api.get(path, by=person).data["statements"]
            for one in page["items"]:
                assert all(one[name] in TERMS[name] for name in TERMS if name in one), one
                assert {"decision", "ground", "category", "facts", "applied", "ends"} <= set(one)
                seen.add((one["action"], one["ground"], one["automatedDecision"]))
            path = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    kinds = {name for name, kind in KINDS.items() if kind.decision}
    assert seen == set(itertools.product(kinds, TERMS["ground"], (True, False)))
    assert set(CATEGORIES) == TERMS["category"]


def test_what_really_happened_is_in_the_report_of_the_last_year(api: Api, make: Factory) -> None:
    site = make.site()
    comment = make.comment(make.conversation(site, by=site.member), by=site.member)
    make.report(comment)
    _, statement = make.action(comment)
    make.appeal(statement, site.member)

    data = api.get("/api/v1/site/transparency", by=site.owner).data

    assert [
        (row["part"], row["kind"], row["source"], row["outcome"], row["count"])
        for row in data["rows"]
    ] == [
        ("notice", "spam", "SOURCE_ARTICLE_16", "open", 1),
        ("decision", "delete", "SOURCE_VOLUNTARY", "inForce", 1),
        ("appeal", "delete", None, "open", 1),
    ]
    assert data["rows"][1]["decision"] == "DECISION_VISIBILITY_CONTENT_REMOVED"
    assert "profile" not in json.dumps(data)


def test_a_statement_of_each_kind_of_action_says_what_was_decided(api: Api, make: Factory) -> None:
    site = make.site()
    place = {"microcosmId": make.microcosm(site).id}
    end = {"ends": "2999-01-01T00:00:00Z"}
    sent: list[tuple[str, dict[str, Any], str]] = [
        *((kind, {}, name) for kind, name in DECISIONS.items()),
        ("silence", end, "DECISION_PROVISION_PARTIAL_SUSPENSION"),
        ("silence", place, "DECISION_PROVISION_PARTIAL_TERMINATION"),
        ("ban", place | end, "DECISION_PROVISION_PARTIAL_SUSPENSION"),
        ("ban", place, "DECISION_PROVISION_PARTIAL_TERMINATION"),
        ("ban", end, "DECISION_PROVISION_TOTAL_SUSPENSION"),
        ("ban", {}, "DECISION_PROVISION_TOTAL_TERMINATION"),
    ]
    nobodys = {"show", "restore", "unlock", "pin", "unpin", "move", "merge", "split"}
    assert {kind for kind, _, _ in sent} == set(KINDS) - nobodys

    expected = []
    for kind, options, name in sent:
        person = make.person(site)
        thing = make.conversation(site, by=person)
        if kind in ("warn", *RESTRICTING):
            thing = Thing(site, itemtypes.PROFILE, person.id)
        target = {"itemType": itemtypes.name_of(thing.type), "itemId": thing.id}
        action = {"kind": kind, "reason": "Against it", "ground": "illegal", "rule": "§ 1"}
        answer = api.request(
            *("POST", "/api/v1/actions"),
            by=site.owner,
            json={**action, **options, "targets": [target]},
        )
        assert (answer.status, answer.data["counts"]["done"]) == (200, 1), answer.body
        expected.append((kind, name))
        ((id,),) = make.sql(
            "SELECT statement_id FROM statements WHERE profile_id = %(p)s", p=person.id
        )
        stated = api.get(f"/api/v1/statements/{id}", by=person).data
        assert (stated["action"], stated["decision"]) == (kind, name)
        assert all(stated[field] in TERMS[field] for field in TERMS if field in stated), stated
    rows = api.get("/api/v1/site/transparency", by=site.owner).data["rows"]
    assert sorted((one["kind"], one["decision"]) for one in rows) == sorted(expected)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-01-01"}, "until"),
        ({"until": "0001-01-01T00:00:00Z"}, "until"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-02T00:00:00Z"}, "since"),
    ],
)
def test_a_bad_period_is_named(api: Api, bikes: Site, query: dict[str, str], field: str) -> None:
    for path in ("", "/csv"):
        answer = api.get(address(path, **query), by=bikes.owner)
        assert (answer.status, answer.error.startswith(field)) == (400, True)


def test_only_the_owner_reads_it(api: Api, bikes: Site) -> None:
    for path in ("", "/csv"):
        for person in (bikes.moderator, bikes.member):
            assert api.get(address(path), by=person).status == 403
        assert api.get(address(path), site=bikes).status in (401, 403)


@pytest.mark.wide
def test_an_operator_prints_it(
    api: Api,
    year: Site,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", database_url)
    monkeypatch.setenv("FORUMAPI_DATA_DIR", str(tmp_path))
    period = {"since": "2025-07-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    words = [
        "site",
        "transparency",
        year.key,
        *(f"--{name}={time}" for name, time in period.items()),
    ]

    assert cli.main(words) == 0
    assert json.loads(capsys.readouterr().out) == api.get(address(**period), by=year.owner).data
    assert cli.main([*words, "--csv"]) == 0
    assert (
        capsys.readouterr().out.encode() == api.get(address("/csv", **period), by=year.owner).body
    )
    assert cli.main([*words[:3], "--since", "nonsense"]) == 1
