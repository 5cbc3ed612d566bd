"""Criteria: what they say, who is in by them, and when (platform 5.3)."""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from forumapi.command import doctor
from forumapi.config import Config
from forumapi.cron import maintenance_jobs
from forumapi.database.query import Query
from forumapi.models.people.ban import Ban
from forumapi.models.roles.criterion import COLUMNS
from forumapi.models.roles.role_recomputation_queue import Settling
from forumapi.models.roles.role_recomputation_worker import Settler
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing
from tests.handlers.trust.test_walk import act, done

Role = tuple[Site, int]


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


@pytest.fixture
def place(make: Factory, site: Site) -> Thing:
    """A microcosm of the site."""
    return make.microcosm(site)


@pytest.fixture
def role(make: Factory, site: Site, place: Thing) -> Role:
    """A role that reads the microcosm, which shuts everybody else out; nobody is in it."""
    return make.role(site, place.id, "Regulars", rights=("read", "create"))


def path(place: Thing, role: Role, *parts: object) -> str:
    """The address of the role, or of something below it."""
    return "/".join([f"{place.path}/roles/{role[1]}", *map(str, parts)])


def members(api: Api, place: Thing, role: Role, query: str = "") -> list[int]:
    """The ids of everyone whom the role covers."""
    listed = api.get(path(place, role, f"members?limit=250{query}"), by=role[0].owner)
    return [one["id"] for one in listed.data["profiles"]["items"]]


def doors(api: Api, place: Thing, person: Person) -> bool:
    """Return whether the microcosm is open to a person."""
    status = api.get(place.path, by=person).status
    assert status in (200, 403)
    return status == 200


def comments_ge(value: int) -> dict[str, Any]:
    """A criterion on the number of comments."""
    return {"profileColumn": "commentCount", "predicate": "ge", "value": value}


# ---------------------------------------------------------------- writing them


def test_a_criterion_is_written_read_changed_and_removed(
    api: Api, site: Site, place: Thing, role: Role
) -> None:
    address = path(place, role, "criteria")
    made = api.post(address, {"orGroup": 1, **comments_ge(50)}, by=site.moderator)
    assert made.status == 302
    assert made.location.startswith(address + "/")

    shown = api.follow(made, by=site.moderator).data
    id = shown.pop("id")
    assert shown == {"orGroup": 1, **comments_ge(50)}
    changed = api.put(made.location, {"value": 60, "id": 1, "roleId": 1}, by=site.moderator)
    assert changed.location == made.location
    shown = api.follow(changed, by=site.owner).data
    assert shown == {"id": id, "orGroup": 1, **comments_ge(60)}
    attribute = {"profileColumn": "", "attrKey": "vip", "predicate": "eq", "value": True}
    assert api.put(made.location, attribute, by=site.owner).status == 302
    assert api.get(made.location, by=site.owner).data == {
        "id": id,
        "orGroup": 1,
        "attrKey": "vip",
        "predicate": "eq",
        "value": True,
    }
    assert api.delete(made.location, by=site.moderator).status == 200
    assert api.get(made.location, by=site.owner).status == 404
    assert api.delete(made.location, by=site.owner).status == 404
    assert api.put(made.location, {"value": 1}, by=site.owner).status == 404


def test_a_role_has_so_many_criteria_at_most(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    most = Config().max_criteria_per_role
    make.sql(
        """INSERT INTO criteria (site_id, role_id, or_group, profile_column, predicate, value, kind, number_value)
           SELECT %(s)s, %(r)s, g, 'commentCount', 'ge', '1', 'commentCount', 1 FROM generate_series(2, %(n)s) AS g""",
        s=site.id,
        r=role[1],
        n=most,
    )
    address = path(place, role, "criteria")

    last = api.post(address, comments_ge(1), by=site.moderator)
    assert last.status == 302
    refused = api.post(address, comments_ge(2), by=site.owner)
    assert (refused.status, refused.error) == (400, f"A role has at most {most} criteria")
    assert api.put(last.location, comments_ge(3), by=site.moderator).status == 302
    assert api.get(address, by=site.owner).data["criteria"]["total"] == most
    assert api.delete(last.location, by=site.moderator).status == 200
    assert api.post(address, comments_ge(2), by=site.moderator).status == 302


def test_the_list_is_in_order_and_in_pages(api: Api, site: Site, place: Thing, role: Role) -> None:
    address = path(place, role, "criteria")
    sent = [
        {"orGroup": 2, **comments_ge(1)},
        {"orGroup": 1, "attrKey": "zoo", "predicate": "neq", "value": "x"},
        {"orGroup": 1, "attrKey": "ape", "predicate": "gt", "value": 1.5},
        {"orGroup": 1, "profileColumn": "id", "predicate": "ne", "value": 3},
        {"profileColumn": "gender", "predicate": "nsubstr", "value": " f "},
        {"orGroup": 1, "profileColumn": "created", "predicate": "lt", "value": "2031-02-03"},
    ]
    for one in sent:
        assert api.post(address, one, by=site.owner).status == 302

    page = api.get(address, by=site.moderator).data["criteria"]
    assert page["type"] == address
    listed = [
        (one["orGroup"], one.get("profileColumn") or one["attrKey"], one["predicate"], one["value"])
        for one in page["items"]
    ]
    assert listed == [
        (0, "gender", "nsubstr", "f"),
        (1, "created", "lt", "2031-02-03"),
        (1, "id", "ne", 3),
        (1, "ape", "gt", 1.5),
        (1, "zoo", "neq", "x"),
        (2, "commentCount", "ge", 1),
    ]
    second = api.get(f"{address}?limit=5&offset=5", by=site.owner).data["criteria"]
    assert (second["total"], len(second["items"])) == (6, 1)
    assert api.get(f"{address}?limit=5&offset=10", by=site.owner).status == 400

    two = [{"id": page["items"][0]["id"]}, {"id": page["items"][5]["id"]}, {"id": 987_654_321}]
    assert api.request("DELETE", address, json=two, by=site.moderator).status == 200
    assert api.get(address, by=site.owner).data["criteria"]["total"] == 4
    assert api.request("DELETE", address, json=[], by=site.owner).status == 200
    assert api.get(address, by=site.owner).data["criteria"]["items"] == []


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"profileColumn": ""}, "profileColumn", 0),
        ({"profileColumn": "password"}, "profileColumn", 0),
        ({"profileColumn": "", "attrKey": "x" * 51}, "attrKey", 4),
        ({"predicate": "like"}, "predicate", 0),
        ({"predicate": ""}, "predicate", 0),
        ({"predicate": "substr"}, "predicate", 3),
        ({"orGroup": 2**31}, "orGroup", 4),
        ({"orGroup": "1"}, "orGroup", 3),
        ({"value": "2014-02-14"}, "value", 3),
        ({"value": 1.5}, "value", 3),
        ({"value": True}, "value", 3),
        ({"value": [1]}, "value", 3),
        ({"value": " "}, "value", 4),
        ({"value": "x" * 251}, "value", 4),
        ({"value": None}, "value", 3),
        ({"profileColumn": "created", "value": "2014-02-30"}, "value", 3),
        ({"profileColumn": "created", "value": "soon"}, "value", 3),
        ({"profileColumn": "created", "value": False}, "value", 3),
        ({"profileColumn": "isBanned", "predicate": "eq", "value": "true"}, "value", 3),
        ({"profileColumn": "isBanned", "predicate": "ge", "value": True}, "predicate", 3),
        ({"profileColumn": "gender", "predicate": "lt", "value": "f"}, "predicate", 3),
        ({"profileColumn": "gender", "predicate": "eq", "value": True}, "value", 3),
        ({"profileColumn": "", "attrKey": "a", "predicate": "lt", "value": "x"}, "predicate", 3),
        ({"profileColumn": "", "attrKey": "a", "predicate": "lt", "value": True}, "predicate", 3),
        ({"profileColumn": "", "attrKey": "a", "predicate": "substr", "value": 1}, "predicate", 3),
    ],
)
def test_what_is_wrong_is_named(
    api: Api, site: Site, place: Thing, role: Role, wrong: dict[str, Any], field: str, code: int
) -> None:
    refused = api.post(path(place, role, "criteria"), comments_ge(1) | wrong, by=site.owner)

    assert refused.status == 400
    assert refused.error.startswith(field)
    assert refused.code == code


def test_a_change_is_checked_as_a_whole(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    address = path(place, role, "criteria", make.criterion(role, "commentCount", "ge", 3))

    assert api.put(address, {"value": "many"}, by=site.owner).status == 400
    assert api.put(address, {"profileColumn": "gender"}, by=site.owner).status == 400
    assert api.get(address, by=site.owner).data["value"] == 3
    # The column wins where both are sent.
    both = {"attrKey": "vip", "value": 4}
    assert api.put(address, both, by=site.owner).status == 302
    assert api.get(address, by=site.owner).data["profileColumn"] == "commentCount"


def test_only_the_owner_asks_for_addresses(api: Api, site: Site, place: Thing, role: Role) -> None:
    address = path(place, role, "criteria")
    sent = {"profileColumn": "email", "predicate": "substr", "value": "member@"}
    for query in ("", "?dryRun=true"):
        refused = api.post(address + query, sent, by=site.moderator)
        assert (refused.status, refused.code) == (403, 8)
    made = api.post(address, sent, by=site.owner)
    assert members(api, place, role) == [site.member.id]
    for query in ("", "?dryRun=true"):
        assert api.put(made.location + query, {"value": "new"}, by=site.moderator).status == 403
    told = api.get(path(place, role, "members?explain=true"), by=site.moderator).data["reasons"]
    assert told[0]["criteria"][0]["actual"] is None
    told = api.get(path(place, role, "members?explain=true"), by=site.owner).data["reasons"]
    assert told[0]["criteria"][0]["actual"] == site.member.email


@pytest.mark.wide
def test_an_owner_sees_and_compares_no_spelling_of_an_address_from_elsewhere(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    make.user(f"{site.key}.An.A+Elsewhere@GoogleMail.com")
    added = api.post("/api/v1/users", [{"email": f"{site.key}a.n.a@gmail.com"}], by=site.owner)
    (ana,) = [one["id"] for one in added.data]
    key = f"{site.key}ana@gmail.com"
    address = path(place, role, "criteria")
    sent = {"profileColumn": "email", "predicate": "substr", "value": "@"}
    made = api.post(address, sent, by=site.owner)
    told = api.get(path(place, role, "members?explain=true"), by=site.owner).data["reasons"]
    assert {one["profileId"]: one["criteria"][0]["actual"] for one in told}[ana] == key

    # Every spelling that signs in as the person finds them, and no part of another one does.
    same = [key, key.upper(), f"{site.key}.a.n.a+x@googlemail.com"]
    parts = [f"{site.key}an", "@googlemail.com", f".{site.key}ana+y@gmail.com"]
    for predicate, values in (("eq", same), ("substr", same + parts)):
        for value in values:
            change = {"predicate": predicate, "value": value}
            assert api.put(made.location, change, by=site.owner).status == 302
            assert members(api, place, role) == [ana], change
            shown = api.post(
                f"{address}?dryRun=true", {"orGroup": 1, **sent, **change}, by=site.owner
            )
            assert shown.data["joins"]["total"] == 0
            assert api.get(made.location, by=site.owner).data["value"] == value
    for value in ("elsewhere", ".an.a", "googlemail"):
        change = {"predicate": "substr", "value": value}
        assert api.put(made.location, change, by=site.owner).status == 302
        assert members(api, place, role) == [], change
    assert api.delete(made.location, by=site.owner).status == 200
    for value in same:
        shown = api.post(
            f"{address}?dryRun=true", {**sent, "predicate": "eq", "value": value}, by=site.owner
        )
        assert [one["id"] for one in shown.data["joins"]["items"]] == [ana]


# ---------------------------------------------------------------- what they say: against an obvious oracle


@dataclass
class Somebody:
    """A profile as the oracle sees it."""

    person: Person
    born: datetime.datetime
    days: int
    items: int
    comments: int
    gender: str
    is_banned: bool
    attributes: dict[str, Any] = field(default_factory=dict)
    # Of these keys, the one whose value they wrote themselves (P-34).
    own_key: str = ""


def people_of_all_sorts(make: Factory, site: Site, draw: random.Random) -> list[Somebody]:
    """A dozen profiles that differ in all that a criterion can name."""
    found = []
    for number in range(12):
        person = make.person(site, f"Sort{draw.choice('AaBb')}{number}x{site.id}")
        days = draw.randrange(5)
        one = Somebody(
            person,
            born=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days, hours=1),
            days=days,
            items=draw.randrange(4),
            comments=draw.randrange(4),
            gender=draw.choice(("", "f", "M", "F&m")),
            is_banned=draw.random() < 0.3,
            own_key=("size", "", "colour", "")[number % 4],
        )
        for key in ("colour", "size"):
            value: Any = draw.choice((None, "red", "Dark red", 1, 2, 2.5, True, False, "day"))
            if value == "day":
                value = datetime.date(2020, 1, draw.randrange(1, 4))
            if value is not None:
                one.attributes[key] = value
        found.append(one)
        store(make, site, one)
    return found


def store(make: Factory, site: Site, one: Somebody) -> None:
    """Write somebody down, as the parts that count and name do, without telling roles."""
    ids = {"s": site.id, "p": one.person.id}
    make.sql(
        """UPDATE profiles SET created = %(born)s, gender = nullif(%(gender)s::text, '')
            WHERE site_id = %(s)s AND profile_id = %(p)s""",
        born=one.born,
        gender=one.gender.replace("&", "&amp;"),
        **ids,
    )
    make.sql(
        """UPDATE profile_counters SET item_count = %(items)s, comment_count = %(comments)s
            WHERE site_id = %(s)s AND profile_id = %(p)s""",
        items=one.items,
        comments=one.comments,
        **ids,
    )
    if one.is_banned:
        with make.database.write() as tx:
            Ban.insert(tx, one.person.user_id, site_id=site.id)
    for key, value in one.attributes.items():
        kind = {str: 1, datetime.date: 2, bool: 4}.get(type(value), 3)
        columns = ("string_value", "date_value", "number_value", "boolean_value")
        make.sql(
            f"""INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, {columns[kind - 1]},
                                        written, is_granted)
                VALUES (%(s)s, 3, %(p)s, %(key)s, {kind}, %(value)s, now(), %(granted)s)""",
            key=key,
            granted=key != one.own_key,
            value=value,
            **ids,
        )


ORDERS = ("eq", "ne", "neq", "lt", "le", "ge", "gt")
PARTS = ("eq", "ne", "neq", "substr", "nsubstr")


def any_criterion(draw: random.Random, people: list[Somebody]) -> dict[str, Any]:
    """A criterion that means something to some of them."""
    kind = draw.randrange(11)
    group = {"orGroup": draw.randrange(2)}
    ordered = {"predicate": draw.choice(ORDERS)}
    part = {"predicate": draw.choice(PARTS)}
    equal = {"predicate": draw.choice(ORDERS[:3])}
    key = {"attrKey": draw.choice(("colour", "size", "none"))}
    one = draw.choice(people)
    day = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=draw.randrange(4))
    return (
        group
        | (
            {"profileColumn": "id", **ordered, "value": one.person.id},
            {"profileColumn": "itemCount", **ordered, "value": draw.randrange(-1, 4)},
            {"profileColumn": "commentCount", **ordered, "value": draw.randrange(-1, 4)},
            {"profileColumn": "created", **ordered, "value": draw.randrange(-1, 6)},
            {"profileColumn": "created", **ordered, "value": day.isoformat()},
            {
                "profileColumn": draw.choice(("profileName", "email")),
                **part,
                "value": one.person.name,
            },
            {"profileColumn": "gender", **part, "value": draw.choice(("f", "m", "&", "x"))},
            {"profileColumn": "isBanned", **equal, "value": draw.random() < 0.5},
            {**key, **part, "value": draw.choice(("red", "Red", "dark", "x"))},
            {**key, **ordered, "value": draw.choice((1, 2, 2.5, "2020-01-02"))},
            {**key, **equal, "value": draw.random() < 0.5},
        )[kind]
    )


def holds(sent: dict[str, Any], one: Somebody) -> bool:
    """Return what platform 5.3 says, word for word."""
    value, column = sent["value"], sent.get("profileColumn")
    is_day = isinstance(value, str) and value.startswith("20")
    actual: Any
    if column:
        actual = {
            "id": one.person.id,
            "itemCount": one.items,
            "commentCount": one.comments,
            "created": one.born.date().isoformat() if is_day else one.days,
            "profileName": one.person.name.lower(),
            "email": one.person.email.lower(),
            "gender": one.gender.lower(),
            "isBanned": one.is_banned,
        }[column]
        value = value.lower() if isinstance(value, str) else value
    else:
        is_own = sent["attrKey"] == one.own_key
        actual = None if is_own else one.attributes.get(sent["attrKey"])
        if is_day:
            actual = actual.isoformat() if isinstance(actual, datetime.date) else None
        elif isinstance(value, bool):
            actual = actual if isinstance(actual, bool) else None
        elif isinstance(value, str):
            actual = actual if isinstance(actual, str) else None
        else:
            is_number = isinstance(actual, (int, float)) and not isinstance(actual, bool)
            actual = actual if is_number else None
    predicate = sent["predicate"]
    if predicate in ("ne", "neq"):
        return bool(actual is None or actual != value)
    if predicate == "nsubstr":
        return actual is None or value.lower() not in actual.lower()
    if actual is None:
        return False
    return bool(
        {
            "eq": lambda: actual == value,
            "lt": lambda: actual < value,
            "le": lambda: actual <= value,
            "ge": lambda: actual >= value,
            "gt": lambda: actual > value,
            "substr": lambda: value.lower() in actual.lower(),
        }[predicate]()
    )


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.parametrize("seed", range(3))
def test_members_are_those_whom_the_words_of_the_specification_name(
    api: Api, make: Factory, site: Site, place: Thing, seed: int
) -> None:
    draw = random.Random(seed)
    people = people_of_all_sorts(make, site, draw)
    everybody = {one.person.id: one for one in people}
    seen = set()
    for number in range(40):
        role = make.role(site, place.id, f"Role {number}")
        sent = [any_criterion(draw, people) for _ in range(draw.randrange(1, 4))]
        for one in sent:
            answer = api.post(path(place, role, "criteria"), one, by=site.owner)
            assert answer.status == 302, (one, answer.body)
        named = draw.sample(people, draw.randrange(2))
        make.join(role, *(one.person for one in named))

        groups = {one["orGroup"] for one in sent}
        expected = {
            id
            for id, one in everybody.items()
            if one in named
            or any(all(holds(s, one) for s in sent if s["orGroup"] == group) for group in groups)
        }
        found = set(members(api, place, role)) & set(everybody)
        assert found == expected, sent
        stored = make.sql(
            "SELECT profile_id FROM profiles WHERE site_id = %(s)s AND %(r)s = ANY(role_ids)",
            s=site.id,
            r=role[1],
        )
        assert {row[0] for row in stored} & set(everybody) == expected, sent
        seen |= {(s.get("profileColumn", type(s["value"])), s["predicate"]) for s in sent}
    assert len(seen) > 20
    # Worked out anew, one by one, everybody is where they were.
    look = "SELECT profile_id, role_ids FROM profiles WHERE site_id = %(s)s ORDER BY profile_id"
    before = make.sql(look, s=site.id)
    make.settle(site)
    assert make.sql(look, s=site.id) == before


def test_a_stored_criterion_that_means_nothing_lets_nobody_in(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    for predicate in ("ne", "nsubstr", "ge"):
        make.sql(
            """INSERT INTO criteria (site_id, role_id, profile_column, predicate, value)
               VALUES (%(s)s, %(r)s, 'created', %(predicate)s, '"2014-02-31"')""",
            s=site.id,
            r=role[1],
            predicate=predicate,
        )
    make.settle(site)

    assert members(api, place, role) == []
    assert api.get(path(place, role, "criteria"), by=site.owner).data["criteria"]["total"] == 3
    assert not doors(api, place, site.member)


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 10**12])
@pytest.mark.parametrize("column", ["created", "id", "commentCount"])
def test_numbers_beyond_reason_are_only_numbers(
    api: Api, make: Factory, site: Site, place: Thing, role: Role, column: str, value: int
) -> None:
    for predicate, everybody in (("lt", value > 0), ("gt", value < 0), ("ne", True)):
        sent = {"profileColumn": column, "predicate": predicate, "value": value}
        made = api.post(path(place, role, "criteria"), sent, by=site.owner)
        assert made.status == 302
        assert doors(api, place, site.member) is everybody
        assert api.delete(made.location, by=site.owner).status == 200


# ---------------------------------------------------------------- when: their inputs change


def test_the_tenth_comment_opens_the_door(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    chat = make.conversation(site)
    api.post(path(place, role, "criteria"), comments_ge(3), by=site.owner)
    person = make.person(site)
    written = []
    for number in range(3):
        assert not doors(api, place, person)
        sent = {"itemType": "conversation", "itemId": chat.id, "markdown": f"Number {number}"}
        written.append(api.post("/api/v1/comments", sent, by=person))
    assert doors(api, place, person)

    # Costs no more than a comment does, but for the one that reaches what a criterion names.
    assert [one.statements for one in written][:2] == [5, 5]
    assert written[2].statements == 7
    assert api.delete(written[0].location, by=person).status == 200
    assert not doors(api, place, person)
    assert api.patch(written[0].location, ("deleted", False), by=site.owner).status == 200
    assert doors(api, place, person)


def test_a_comment_on_a_profile_and_in_a_huddle_counts_too(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    api.post(path(place, role, "criteria"), comments_ge(1), by=site.owner)
    for on in (site.member, make.huddle(site.owner, site.newcomer)):
        person = on if isinstance(on, Person) else site.newcomer
        assert not doors(api, place, person)
        sent = {
            "itemType": "profile" if isinstance(on, Person) else "huddle",
            "itemId": on.id,
            "markdown": "Hello",
        }
        assert api.post("/api/v1/comments", sent, by=person).status == 302
        assert doors(api, place, person)


def test_a_conversation_opens_the_door(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    items = {"profileColumn": "itemCount", "predicate": "eq", "value": 1}
    api.post(path(place, role, "criteria"), items, by=site.owner)
    person = make.person(site)

    def begin(title: str) -> Response:
        sent = {"microcosmId": site.root_id, "title": title}
        return api.post("/api/v1/conversations", sent, by=person)

    assert not doors(api, place, person)
    first = begin("First")
    assert doors(api, place, person)
    second = begin("Second")
    assert not doors(api, place, person)
    assert api.delete(second.location, by=person).status == 200
    assert doors(api, place, person)
    assert api.patch(first.location, ("moderated", True), by=site.owner).status == 200
    assert not doors(api, place, person)


@pytest.mark.parametrize(
    ("kind", "column"), [("comment", "commentCount"), ("conversation", "itemCount")]
)
def test_what_moderators_hide_together_shuts_the_door(
    api: Api, make: Factory, site: Site, place: Thing, role: Role, kind: str, column: str
) -> None:
    chat, person = make.conversation(site), make.person(site)
    criterion = {"profileColumn": column, "predicate": "ge", "value": 2}
    api.post(path(place, role, "criteria"), criterion, by=site.owner)
    where: dict[str, dict[str, Any]] = {
        "comment": {"itemType": "conversation", "itemId": chat.id},
        "conversation": {"microcosmId": site.root_id},
    }
    made = [
        api.post(f"/api/v1/{kind}s", {**where[kind], "title": one, "markdown": one}, by=person)
        for one in ("First", "Second")
    ]
    targets = [{"itemType": kind, "itemId": api.follow(one, by=person).data["id"]} for one in made]

    assert doors(api, place, person)
    done(act(api, site.moderator, "hide", targets=targets))
    assert not doors(api, place, person)
    done(act(api, site.moderator, "show", targets=targets))
    assert doors(api, place, person)


def test_name_and_gender_open_the_door(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    address = path(place, role, "criteria")
    api.post(address, {"profileColumn": "gender", "predicate": "eq", "value": "F"}, by=site.owner)
    named = {"orGroup": 1, "profileColumn": "profileName", "predicate": "substr", "value": "VIP"}
    api.post(address, named, by=site.owner)
    person = make.person(site)
    for sent, is_open in (
        ({"gender": "f"}, True),
        ({"gender": "m"}, False),
        ({"profileName": "theVip"}, True),
        ({"profileName": "nobody"}, False),
    ):
        assert api.put(person.path, sent, by=person).status == 302
        assert doors(api, place, person) is is_open


def test_attributes_open_the_door_and_are_the_owners_to_write(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    person = make.person(site)
    address = f"{person.path}/attributes/vip"
    assert api.put(address, {"value": False}, by=person).status == 302
    sent = {"attrKey": "vip", "predicate": "eq", "value": True}
    api.post(path(place, role, "criteria"), sent, by=site.owner)

    assert api.put(address, {"value": True}, by=person).status == 403
    assert not doors(api, place, person)
    assert api.put(address, {"value": True}, by=site.owner).status == 302
    assert doors(api, place, person)
    assert api.delete(address, by=site.owner).status == 200
    assert not doors(api, place, person)


def test_membership_of_the_site_opens_the_door(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    sent = {"attrKey": "is_member", "predicate": "eq", "value": True}
    api.post(path(place, role, "criteria"), sent, by=site.owner)
    for value in (True, False):
        assert api.patch(site.newcomer.path, ("/member", value), by=site.owner).status == 200
        assert doors(api, place, site.newcomer) is value


def test_days_pass_and_the_door_follows(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    # In on the third and fourth day.
    for predicate, value in (("ge", 3), ("le", 4)):
        sent = {"profileColumn": "created", "predicate": predicate, "value": value}
        api.post(path(place, role, "criteria"), sent, by=site.owner)
    person = make.person(site)
    for days, is_open in ((0, False), (2, False), (3, True), (4, True), (5, False)):
        # As if so much time had passed: nothing but the clock tells.
        make.sql(
            """UPDATE profiles
                  SET next_change_at = next_change_at - (created - (now() - make_interval(days => %(days)s::int,
                                                                                          mins => 1))),
                      created = now() - make_interval(days => %(days)s::int, mins => 1)
                WHERE site_id = %(s)s AND profile_id = %(p)s""",
            days=days,
            s=site.id,
            p=person.id,
        )
        assert doors(api, place, person) is is_open, days
    due = make.sql(
        "SELECT next_change_at FROM profiles WHERE site_id = %(s)s AND profile_id = %(p)s",
        s=site.id,
        p=person.id,
    )
    assert due == [(None,)]


def test_a_ban_that_lapses_lets_back_in(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    sent = {"profileColumn": "isBanned", "predicate": "ne", "value": True}
    api.post(path(place, role, "criteria"), sent, by=site.owner)
    assert doors(api, place, site.member)
    assert site.banned.id not in members(api, place, role)
    with make.database.write() as tx:
        id = Ban.insert(tx, site.member.user_id, site_id=site.id)
    assert not doors(api, place, site.member)
    assert site.member.id not in members(api, place, role)
    with make.database.write() as tx:
        Ban.delete(tx, site.id, id)
    assert doors(api, place, site.member)
    domain = {"domain": f"{site.key}.test"}
    made = api.post("/api/v1/bans", domain, by=site.owner)
    assert made.status == 302
    # P-26: the owner, whose address has the domain too, is not banned.
    assert members(api, place, role) == [site.owner.id]
    assert api.delete(made.location, by=site.owner).status == 200
    assert doors(api, place, site.member)
    assert site.member.id in members(api, place, role)


def test_a_new_profile_is_looked_at_before_its_first_request(
    api: Api, make: Factory, site: Site, place: Thing
) -> None:
    shut = make.role(site, place.id, "New here", banned=True)
    make.criterion(shut, "commentCount", "lt", 1)

    person = make.person(site)
    refused = api.get(place.path, by=person)
    assert (refused.status, refused.code) == (403, 13)
    # A user of another site comes by for the first time.
    other = make.person(make.site())
    assert api.get(place.path, site=site, token=other.token).status == 403
    assert api.get(place.path, by=site.owner).status == 200


def test_roles_that_time_changed_are_settled_for_those_who_stay_away(
    make: Factory, site: Site, place: Thing, role: Role
) -> None:

    make.criterion(role, "created", "ge", 3)
    make.sql(
        """UPDATE profiles SET created = now() - interval '4 days', next_change_at = now() - interval '1 day'
            WHERE site_id = %(s)s""",
        s=site.id,
    )
    with make.database.write() as tx:
        maintenance_jobs.due_roles(tx, Config())

    rows = make.sql(
        "SELECT role_ids, next_change_at FROM profiles WHERE site_id = %(s)s", s=site.id
    )
    assert all(role[1] in role_ids and due is None for role_ids, due in rows)


# ---------------------------------------------------------------- why, and what if


def test_members_are_explained(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    first = make.criterion(role, "commentCount", "lt", 1, group=1)
    second = make.criterion(role, "profileName", "substr", "NEW", group=1)
    make.criterion(role, "commentCount", "ge", 100, group=2)
    make.join(role, site.member)

    answer = api.get(path(place, role, "members?explain=true"), by=site.moderator)

    assert [one["id"] for one in answer.data["profiles"]["items"]] == [
        site.member.id,
        site.newcomer.id,
    ]
    comments = {"id": first, "orGroup": 1, "profileColumn": "commentCount", "predicate": "lt"}
    name = {"id": second, "orGroup": 1, "profileColumn": "profileName", "predicate": "substr"}
    assert answer.data["reasons"] == [
        {"profileId": site.member.id, "explicit": True, "everyone": False, "criteria": []},
        {
            "profileId": site.newcomer.id,
            "explicit": False,
            "everyone": False,
            "criteria": [
                {**comments, "value": 1, "actual": 0},
                {**name, "value": "NEW", "actual": "newcomer"},
            ],
        },
    ]
    assert "reasons" not in api.get(path(place, role, "members"), by=site.owner).data
    assert api.get(path(place, role, "members?explain=x"), by=site.owner).status == 400


@pytest.mark.wide
def test_a_dry_run_says_who_would_come_and_go_and_writes_nothing(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    address = path(place, role, "criteria")
    make.join(role, site.owner)
    name = {"profileColumn": "profileName", "predicate": "substr"}

    def moves(answer: Response) -> tuple[list[int], list[int]]:
        assert answer.status == 200, answer.body
        found = [[one["id"] for one in answer.data[side]["items"]] for side in ("joins", "leaves")]
        assert [answer.data[side]["total"] for side in ("joins", "leaves")] == [
            len(found[0]),
            len(found[1]),
        ]
        return found[0], found[1]

    before = everything(make, site)
    asked = api.post(f"{address}?dryRun=true", {**name, "value": "m"}, by=site.moderator)
    # The owner is named, and so in already.
    assert moves(asked) == ([site.moderator.id, site.member.id, site.newcomer.id], [])
    assert everything(make, site) == before
    made = api.post(f"{address}?dryRun=false", {**name, "value": "m"}, by=site.moderator)
    assert made.status == 302
    before = everything(make, site)
    # With another one in its group fewer are in; in a group of its own, more.
    asked = api.post(f"{address}?dryRun=1", {**name, "value": "new"}, by=site.owner)
    assert moves(asked) == ([], [site.moderator.id, site.member.id])
    other = {**name, "orGroup": 1, "value": "banned"}
    assert moves(api.post(f"{address}?dryRun=1", other, by=site.owner)) == ([site.banned.id], [])
    asked = api.put(f"{made.location}?dryRun=true", {"value": "er"}, by=site.owner)
    assert moves(asked) == ([], [])
    asked = api.put(f"{made.location}?dryRun=true", {"value": "ba"}, by=site.owner)
    everyone = [site.moderator.id, site.member.id, site.newcomer.id]
    assert moves(asked) == ([site.banned.id], everyone)
    assert everything(make, site) == before
    assert api.post(f"{address}?dryRun=x", other, by=site.owner).status == 400
    assert api.post(f"{address}?dryRun=1", {}, by=site.owner).status == 400
    assert api.post(f"{address}?dryRun=1", other, by=site.member).status == 403
    keyed = {"headers": {"Idempotency-Key": "one"}, "by": site.owner}
    assert api.post(f"{address}?dryRun=1", other, **keyed).status == 400
    assert api.post(address, other, **keyed).status == 302
    gone = path(place, (site, 987_654_321), "criteria")
    assert api.post(f"{gone}?dryRun=1", other, by=site.owner).status == 404
    api.patch(path(place, role), ("/includeUsers", True), by=site.owner)
    assert moves(api.post(f"{address}?dryRun=1", {**name, "value": "x"}, by=site.owner)) == ([], [])


def everything(make: Factory, site: Site) -> list[tuple[Any, ...]]:
    """Return what a change of criteria could leave behind."""
    return make.sql(
        """SELECT (SELECT json_agg(c ORDER BY c.criterion_id) FROM criteria c WHERE c.site_id = %(s)s)::text,
                  (SELECT json_agg(p.role_ids ORDER BY p.profile_id) FROM profiles p WHERE p.site_id = %(s)s)::text,
                  (SELECT count(*) FROM event_log e WHERE e.site_id = %(s)s),
                  (SELECT count(*) FROM audit_log a WHERE a.site_id = %(s)s), s.acl_version
             FROM sites s WHERE s.site_id = %(s)s""",
        s=site.id,
    )


def test_every_column_is_known_to_the_table(make: Factory) -> None:
    kinds = make.sql(
        """SELECT pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conrelid = 'criteria'::regclass AND conname = 'criteria_kind_check'"""
    )[0][0]
    for column in COLUMNS:
        assert f"'{column}'" in kinds


# ---------------------------------------------------------------- whose values count (P-34)


VIP: dict[str, Any] = {"attrKey": "vip", "predicate": "eq", "value": True}


def test_a_value_older_than_its_criterion_counts_only_if_the_owner_wrote_it(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    climber, guest_of_honour = make.person(site), make.person(site)
    own = f"{climber.path}/attributes/vip"
    granted = f"{guest_of_honour.path}/attributes/vip"
    assert api.put(own, {"value": True}, by=climber).status == 302
    assert api.put(granted, {"value": True}, by=site.owner).status == 302

    made = api.post(path(place, role, "criteria"), VIP, by=site.owner)
    assert made.status == 302

    assert members(api, place, role) == [guest_of_honour.id]
    assert (doors(api, place, climber), doors(api, place, guest_of_honour)) == (False, True)
    make.settle(site)  # one profile at a time comes to the same
    assert (doors(api, place, climber), doors(api, place, guest_of_honour)) == (False, True)
    # The owner vouches for it by writing it too.
    assert api.put(own, {"value": True}, by=site.owner).status == 302
    assert doors(api, place, climber)


def test_a_members_own_value_is_none_to_a_negation(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    person, suspended = make.person(site), make.person(site)
    api.put(f"{person.path}/attributes/suspended", {"value": True}, by=person)
    api.put(f"{suspended.path}/attributes/suspended", {"value": True}, by=site.owner)
    make.criterion(role, "", "ne", True, attribute="suspended")

    assert person.id in members(api, place, role)
    assert suspended.id not in members(api, place, role)


@pytest.mark.parametrize("wipe", ["overwrite", "batch", "remove", "remove some"])
def test_what_the_owner_wrote_of_a_member_is_not_the_members_to_change(
    api: Api, make: Factory, site: Site, wipe: str
) -> None:
    person = make.person(site)
    address = f"{person.path}/attributes"
    api.put(f"{address}/suspended", {"value": True}, by=site.owner)
    api.put(f"{address}/town", {"value": "London"}, by=person)

    refused = {
        "overwrite": lambda: api.put(f"{address}/suspended", {"value": False}, by=person),
        "batch": lambda: api.put(address, [{"key": "suspended", "value": False}], by=person),
        "remove": lambda: api.delete(f"{address}/suspended", by=person),
        "remove some": lambda: api.delete(address, json=[{"key": "suspended"}], by=person),
    }[wipe]()

    assert (refused.status, refused.code) == (403, 11)
    assert api.get(f"{address}/suspended", by=site.owner).data["value"] is True
    assert api.put(f"{address}/town", {"value": "Paris"}, by=person).status == 302
    assert api.delete(f"{address}/town", by=person).status == 200


def test_a_value_whose_writer_is_not_known_counts_as_the_members(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    """As the release before writes them, beside this one, while it is replaced."""
    old, overwritten, member_by_old = make.person(site), make.person(site), make.person(site)
    insert = """INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, boolean_value)
                VALUES (%(s)s, 3, %(p)s, %(k)s, 4, %(v)s)
                    ON CONFLICT (site_id, item_type_id, item_id, key) DO UPDATE
                   SET value_type_id = EXCLUDED.value_type_id, boolean_value = EXCLUDED.boolean_value"""
    make.sql(insert, s=site.id, p=old.id, k="vip", v=True)
    api.put(f"{overwritten.path}/attributes/vip", {"value": False}, by=site.owner)
    make.sql(insert, s=site.id, p=overwritten.id, k="vip", v=True)
    # What nobody but the owner could ever write has a known writer in either release.
    make.sql(insert, s=site.id, p=member_by_old.id, k="is_member", v=True)

    make.criterion(role, "", "eq", True, attribute="vip")
    assert members(api, place, role) == []
    make.criterion(role, "", "eq", True, attribute="is_member", group=1)
    assert members(api, place, role) == [member_by_old.id]


def test_each_way_to_make_a_member_counts_as_the_owners(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    make.criterion(role, "", "eq", True, attribute="is_member")
    patched, written, batched = make.person(site), make.person(site), make.person(site)
    assert api.patch(patched.path, ("/member", True), by=site.owner).status == 200
    api.put(f"{written.path}/attributes", [{"key": "is_member", "value": True}], by=site.owner)
    rows = [{"email": batched.email, "isMember": True}]
    assert api.post("/api/v1/users/batch", rows, by=site.owner).status == 200

    assert members(api, place, role) == [patched.id, written.id, batched.id]


def test_a_dry_run_says_who_put_themselves_there(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    climber, chosen, other = make.person(site), make.person(site), make.person(site)
    api.put(f"{climber.path}/attributes/vip", {"value": True}, by=climber)
    api.put(f"{other.path}/attributes/vip", {"value": False}, by=other)
    api.put(f"{chosen.path}/attributes/vip", {"value": True}, by=site.owner)

    asked = api.post(path(place, role, "criteria?dryRun=true"), VIP, by=site.owner).data

    found = {side: [one["id"] for one in asked[side]["items"]] for side in asked}
    assert found == {"joins": [chosen.id], "leaves": [], "selfGranted": [climber.id]}
    assert asked["selfGranted"]["total"] == 1
    make.join(role, climber)  # who is named is in by that
    asked = api.post(path(place, role, "criteria?dryRun=true"), VIP, by=site.moderator).data
    assert asked["selfGranted"]["total"] == 0


def in_by_their_own_word(api: Api, make: Factory, role: Role, *people: Person) -> None:
    """Let the role have a criterion, and people be in it as the release before stored it: by a value of their own."""
    for person in people:
        api.put(f"{person.path}/attributes/vip", {"value": True}, by=person)
    make.criterion(role, "", "eq", True, attribute="vip")
    make.sql(
        "UPDATE profiles SET role_ids = ARRAY[%(r)s::bigint] WHERE site_id = %(s)s AND profile_id = ANY(%(p)s)",
        r=role[1],
        s=role[0].id,
        p=[person.id for person in people],
    )


# As the migration queues a role.
UPGRADED = Query(
    "test.upgraded",
    """
    INSERT INTO role_settlings (site_id, role_id, passes, queued)
    VALUES (%(site_id)s, %(role_id)s, 2, now() - interval '5 hours')""",
)


def queued(make: Factory, role: Role) -> list[tuple[Any, ...]]:
    """Return how often the role is still to be worked out, and whether that is due."""
    return make.sql(
        "SELECT passes, not_before <= now() FROM role_settlings WHERE site_id = %(s)s AND role_id = %(r)s",
        s=role[0].id,
        r=role[1],
    )


def settler(make: Factory, **settings: Any) -> Settler:
    """The worker of queued roles."""
    config = Config(environment="prod", **settings)
    return Settler(make.database, lambda: config, lambda: True)


def test_the_list_and_doctor_say_who_would_lose_a_role(
    api: Api, make: Factory, site: Site, place: Thing, role: Role, database_url: str
) -> None:
    climber, chosen, named = make.person(site), make.person(site), make.person(site)
    in_by_their_own_word(api, make, role, climber, named)
    api.put(f"{chosen.path}/attributes/vip", {"value": True}, by=site.owner)
    make.join(role, named)

    def losing(by: Person) -> list[dict[str, Any]]:
        roles = api.get(f"{place.path}/roles", by=by).data["roles"]["items"]
        return [one["losing"] for one in roles if "losing" in one]

    (found,) = losing(site.owner)
    assert (found["total"], [one["id"] for one in found["items"]]) == (1, [climber.id])
    assert losing(site.moderator) == [found]
    assert losing(chosen) == []
    with psycopg.connect(database_url) as connection:
        lines = [one for one in doctor.roles(connection) if f"on {site.key} " in one.found]
    assert [(one.found, one.is_warning) for one in lines] == [
        (f'on {site.key} "Regulars" ({role[1]}) loses {climber.name}', True)
    ]


def test_doctor_says_it_of_a_database_that_knows_no_writers_yet(
    api: Api, make: Factory, site: Site, role: Role, database_url: str
) -> None:
    climber = make.person(site)
    in_by_their_own_word(api, make, role, climber)
    with psycopg.connect(database_url) as connection:
        # As it was before the migration; rolled back.
        connection.execute("DROP TRIGGER attribute_of_unknown_writer ON attributes")
        connection.execute("DROP TRIGGER attribute_of_unknown_writer_new ON attributes")
        connection.execute(
            "ALTER TABLE attributes DROP COLUMN is_granted, DROP COLUMN written, DROP COLUMN written_by"
        )
        lines = [one.found for one in doctor.roles(connection) if f"on {site.key} " in one.found]
        connection.rollback()

    assert lines == [f'on {site.key} "Regulars" ({role[1]}) loses {climber.name}']


def test_an_upgrade_puts_out_who_is_in_by_their_own_word(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    climber, chosen = make.person(site), make.person(site)
    in_by_their_own_word(api, make, role, climber, chosen)
    api.put(f"{chosen.path}/attributes/vip", {"value": True}, by=site.owner)
    assert doors(api, place, climber)

    with make.database.write() as tx:
        tx.run(UPGRADED, site_id=site.id, role_id=role[1])
    settler(make).poll()

    assert (doors(api, place, climber), doors(api, place, chosen)) == (False, True)
    # Workers of the release before may have brought somebody in meanwhile: once more, ten minutes later.
    assert queued(make, role) == [(1, False)]
    make.sql("UPDATE role_settlings SET not_before = now() WHERE role_id = %(r)s", r=role[1])
    settler(make).poll()
    assert queued(make, role) == []


def test_the_owners_may_be_given_time_before_that(make: Factory, role: Role) -> None:
    with pytest.raises(InterruptedError), make.database.write() as tx:
        tx.run(UPGRADED, site_id=role[0].id, role_id=role[1])
        early = Settling.claim(tx, 20, grace_h=6)
        late = Settling.claim(tx, 20, grace_h=4)
        raise InterruptedError  # nobody else is to see it

    assert early == []
    assert [(one.site_id, one.role_id) for one in late] == [(role[0].id, role[1])]


# ---------------------------------------------------------------- the roles of a profile


def held(api: Api, person: Person, by: Person) -> dict[str, dict[str, Any]]:
    """The roles that a person is in, by title."""
    answer = api.get(f"{person.path}/roles", by=by)
    assert answer.status == 200, answer.body
    return {one["title"]: one for one in answer.data["roles"]["items"]}


def test_a_profile_reads_its_roles_and_why(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    first = make.criterion(role, "commentCount", "ge", 0, group=1)
    leaders = make.role(site, place.id, "Leaders", moderator=True)
    make.join(leaders, site.member)
    make.criterion(leaders, "commentCount", "ge", 50)

    mine = held(api, site.member, site.member)
    assert list(mine) == ["Leaders", "Members", "Regulars"]
    reason = {"profileId": site.member.id, "explicit": False, "everyone": False, "criteria": []}
    assert mine["Leaders"]["reason"] == reason | {"explicit": True}
    assert mine["Members"]["reason"] == reason | {"everyone": True}
    assert mine["Regulars"]["reason"] == reason | {
        "criteria": [
            {
                "id": first,
                "orGroup": 1,
                "profileColumn": "commentCount",
                "predicate": "ge",
                "value": 0,
                "actual": 0,
            }
        ]
    }
    assert mine["Regulars"]["microcosmId"] == place.id
    assert not {"members", "losing"} & mine["Regulars"].keys()
    # The owner of the site reads the same, nobody else anything.
    seen = held(api, site.member, site.owner)
    assert {one: seen[one]["reason"] for one in seen} == {one: mine[one]["reason"] for one in mine}
    for by in (site.moderator, site.newcomer, None):
        assert api.get(f"{site.member.path}/roles", by=by, site=site).status == 403
    assert api.get("/api/v1/profiles/999999999/roles", by=site.owner).status == 404
    assert api.get("/api/v1/profiles/999999999/roles", by=site.member).status == 403


def test_roles_of_a_place_that_is_closed_to_a_profile_are_not_told(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    out = make.role(site, place.id, "Shut out", banned=True)
    make.join(out, site.member)

    assert "Shut out" not in held(api, site.member, site.member)
    assert "Shut out" in held(api, site.member, site.owner)


def test_the_roles_of_a_profile_move_the_tag_and_hide_addresses(
    api: Api, make: Factory, site: Site, place: Thing, role: Role
) -> None:
    address = f"{site.member.path}/roles"
    before = api.get(address, by=site.member)
    tagged = {"If-None-Match": before.headers["etag"]}
    assert api.get(address, by=site.member, headers=tagged).status == 304
    sent = {"profileColumn": "email", "predicate": "substr", "value": "@"}
    assert api.post(path(place, role, "criteria"), sent, by=site.owner).status == 302

    after = api.get(address, by=site.member, headers=tagged)
    assert after.status == 200
    (met,) = held(api, site.member, site.member)["Regulars"]["reason"]["criteria"]
    assert met["actual"] is None
    (met,) = held(api, site.member, site.owner)["Regulars"]["reason"]["criteria"]
    assert met["actual"] == site.member.email


def test_the_roles_of_a_profile_cost_two_statements_beside_who_asks(
    api: Api, make: Factory, site: Site
) -> None:
    roles = [make.role(site, site.root_id, f"Role {number}") for number in range(8)]
    for one in roles:
        make.join(one, site.member)
    address = f"{site.member.path}/roles"
    api.get(address, by=site.member)

    answer = api.get(f"{address}?limit=5", by=site.member)
    assert answer.data["roles"]["total"] == 9
    assert answer.statements == 3
