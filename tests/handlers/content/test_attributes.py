"""Attributes: typed values on everything that can carry them (content 9, P-34, C-41, C-42)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from forumapi import itemtypes
from forumapi.config import Config
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.fixtures import Server

ALL = [
    {"key": "difficulty", "value": "easy"},
    {"key": "distance", "value": 42.5},
    {"key": "helmet", "value": True},
    {"key": "published", "value": "2027-01-31"},
]


def _carriers() -> dict[str, Callable[[Factory, Site], str]]:
    """By name: makes a thing of the site's owner, who may change and delete it; its address."""

    def item(item_type: int) -> Callable[[Factory, Site], str]:
        return lambda make, site: make.conversation(site, by=site.owner, item_type=item_type).path

    return {
        "microcosm": lambda make, site: make.microcosm(site).path,
        "conversation": item(itemtypes.CONVERSATION),
        "event": lambda make, site: make.event(site, by=site.owner).path,
        "poll": lambda make, site: make.poll(site, by=site.owner).path,
        "comment": lambda make, site: make.comment(make.conversation(site), by=site.owner).path,
        "profile": lambda make, site: make.person(site).path,
        "site": lambda make, site: f"/api/v1/site/{site.id}",
    }


CARRIERS = _carriers()


@pytest.mark.parametrize("kind", CARRIERS)
def test_everything_but_a_huddle_carries_attributes(api: Api, make: Factory, kind: str) -> None:
    site = make.site()
    path = f"{CARRIERS[kind](make, site)}/attributes"

    assert api.put(path, ALL, by=site.owner).status == 200
    shown = api.get(path, by=site.member)
    assert list(shown.data) == ["attributes"]
    page = shown.data["attributes"]
    assert page["items"] == ALL
    assert (page["total"], page["type"]) == (4, f"{path.rsplit('/', 2)[0]}/0/attributes")
    made = api.put(f"{path}/distance", {"value": 50}, by=site.owner)
    assert (made.status, made.location) == (302, f"{path}/distance")
    assert api.follow(made, site=site).data == {"key": "distance", "value": 50}
    assert api.delete(f"{path}/helmet", by=site.owner).status == 200
    assert api.get(f"{path}/helmet", site=site).status == 404
    assert (
        api.delete(path, json=[{"key": "distance"}, {"key": "none"}], by=site.owner).status == 200
    )
    left = api.get(path, site=site).data["attributes"]["items"]
    assert [entry["key"] for entry in left] == ["difficulty", "published"]


def test_a_huddle_has_none(api: Api, bikes: Site) -> None:
    assert api.get("/api/v1/huddles/1/attributes", by=bikes.member).status == 404


def test_they_come_in_pages_by_key(api: Api, bikes: Site, make: Factory) -> None:
    path = f"{make.conversation(bikes).path}/attributes"
    keys = [f"key_{number:02}" for number in range(12)]
    api.put(path, [{"key": key, "value": 1} for key in reversed(keys)], by=bikes.member)

    second = api.get(f"{path}?limit=5&offset=5", by=bikes.member).data["attributes"]

    assert [entry["key"] for entry in second["items"]] == keys[5:10]
    assert (second["total"], second["maxOffset"]) == (12, 10)
    assert api.get(f"{path}?offset=25", by=bikes.member).code == 4


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("easy", "easy"),
        ("  Tom & Jerry's  ", "Tom &amp; Jerry&#39;s"),
        ("FIXED GEAR", "fixed gear"),
        ("<b>x</b>", "x"),
        ("2027-01-31", "2027-01-31"),
        ("2027-02-31", "2027-02-31"),
        (50, 50),
        (-0.125, -0.125),
        (56.50, 56.5),
        (1e21, 1e21),
        (-1e300, -1e300),
        (5e-324, 5e-324),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2.0**63, 2.0**63),
        (False, False),
        ("true", "true"),
    ],
)
def test_a_value_keeps_its_type(
    api: Api, bikes: Site, make: Factory, sent: object, stored: object
) -> None:
    path = f"{make.conversation(bikes).path}/attributes/one"

    assert api.put(path, {"value": "before"}, by=bikes.member).status == 302
    assert api.put(path, {"value": sent}, by=bikes.member).status == 302
    value = api.get(path, by=bikes.member).data["value"]
    assert value == stored
    assert isinstance(value, bool) == isinstance(stored, bool)
    assert api.put(path, {"value": value}, by=bikes.member).status == 302
    assert api.get(path, by=bikes.member).data["value"] == stored


def test_a_date_is_stored_as_a_date(api: Api, bikes: Site, make: Factory) -> None:
    chat = make.conversation(bikes)
    for key, value in (("good", "2028-02-29"), ("bad", "2027-02-29"), ("text", "on 2027-01-31")):
        api.put(f"{chat.path}/attributes/{key}", {"value": value}, by=bikes.member)

    rows = make.sql(
        """
        SELECT a.key, a.value_type_id FROM attributes a
         WHERE a.site_id = %(site)s AND a.item_id = %(id)s AND a.item_type_id = 6 ORDER BY a.key""",
        site=bikes.id,
        id=chat.id,
    )

    assert rows == [("bad", 1), ("good", 2), ("text", 1)]


@pytest.mark.parametrize(
    "value", [None, [1], {"a": 1}, "", "   ", "<script>x</script>", "x" * 10_001, 2**63]
)
def test_a_bad_value_is_refused(api: Api, bikes: Site, make: Factory, value: object) -> None:
    path = f"{make.conversation(bikes).path}/attributes"

    single = api.put(f"{path}/one", {"value": value}, by=bikes.member)
    batch = api.put(
        path, [{"key": "ok", "value": 1}, {"key": "one", "value": value}], by=bikes.member
    )

    assert (single.status, batch.status) == (400, 400)
    assert "value" in single.error
    assert "[1].value" in batch.error
    assert api.get(path, by=bikes.member).data["attributes"]["total"] == 0


@pytest.mark.parametrize("key", [None, "", "a b", "é", "a/b", "x" * 51])
def test_a_bad_key_is_refused(api: Api, bikes: Site, make: Factory, key: object) -> None:
    path = f"{make.conversation(bikes).path}/attributes"

    put = api.put(path, [{"key": key, "value": 1}], by=bikes.member)
    gone = api.delete(path, json=[{"key": key}], by=bikes.member)

    assert (put.status, gone.status) == (400, 400)
    assert "[0].key" in put.error
    assert "[0].key" in gone.error


def test_a_key_beyond_the_limit_in_an_address(api: Api, bikes: Site, make: Factory) -> None:
    path = f"{make.conversation(bikes).path}/attributes/{'x' * 51}"

    assert api.put(path, {"value": 1}, by=bikes.member).status == 400
    assert api.get(path, by=bikes.member).status == 404


def test_keys_keep_their_case(api: Api, bikes: Site, make: Factory) -> None:
    path = f"{make.conversation(bikes).path}/attributes"

    api.put(path, [{"key": "BMX", "value": 1}, {"key": "bmx", "value": 2}], by=bikes.member)

    assert api.get(f"{path}/BMX", by=bikes.member).data == {"key": "BMX", "value": 1}
    assert api.get(f"{path}/bmx", by=bikes.member).data == {"key": "bmx", "value": 2}


def test_a_batch_has_at_most_a_hundred_entries(api: Api, bikes: Site, make: Factory) -> None:
    path = f"{make.conversation(bikes).path}/attributes"
    entries: list[dict[str, Any]] = [{"key": f"k{n}", "value": n} for n in range(101)]

    assert api.put(path, entries, by=bikes.member).code == 4
    assert api.delete(path, json=entries, by=bikes.member).code == 4
    assert api.put(path, entries[:100], by=bikes.member).status == 200
    assert api.put(path, [], by=bikes.member).status == 200
    assert api.get(path, by=bikes.member).data["attributes"]["total"] == 100


def test_the_later_of_two_equal_keys_counts(api: Api, bikes: Site, make: Factory) -> None:
    path = f"{make.conversation(bikes).path}/attributes"

    api.put(path, [{"key": "a", "value": 1}, {"key": "a", "value": "two"}], by=bikes.member)

    assert api.get(path, by=bikes.member).data["attributes"]["items"] == [
        {"key": "a", "value": "two"}
    ]


def test_only_who_may_change_the_carrier_writes(api: Api, bikes: Site, make: Factory) -> None:
    chat = make.conversation(bikes, by=bikes.member)
    path = f"{chat.path}/attributes"
    api.put(path, ALL, by=bikes.member)

    for person in (None, bikes.newcomer):
        assert api.put(path, ALL, site=bikes, by=person).code == 11
        assert api.put(f"{path}/a", {"value": 1}, site=bikes, by=person).code == 11
        assert api.delete(path, json=[{"key": "helmet"}], site=bikes, by=person).code == 12
        # C-41: the single one as well.
        assert api.delete(f"{path}/helmet", site=bikes, by=person).code == 12
    assert api.get(path, site=bikes).data["attributes"]["total"] == 4


def test_whoever_may_only_delete_the_carrier_removes_attributes(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    role = make.role(site, place.id, "Sweepers", users=True, rights=("read", "delete"))
    sweeper = make.person(site)
    make.join(role, sweeper)
    path = f"{make.conversation(site, microcosm=place).path}/attributes"
    api.put(path, ALL, by=site.owner)

    assert api.put(f"{path}/helmet", {"value": False}, by=sweeper).code == 11
    assert api.delete(f"{path}/helmet", by=sweeper).status == 200


def test_hidden_carriers_hide_their_attributes(api: Api, bikes: Site, make: Factory) -> None:
    chat = make.conversation(bikes, by=bikes.member)
    path = f"{chat.path}/attributes"
    api.put(path, ALL, by=bikes.member)
    api.patch(chat.path, ("deleted", True), by=bikes.moderator)

    assert api.get(path, by=bikes.member).status == 404
    assert api.put(path, ALL, by=bikes.member).status == 404
    assert api.get(f"{path}/helmet", by=bikes.moderator).status == 200


def test_what_may_not_be_read_has_no_attributes_either(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    make.role(site, place.id, "Nobody", users=True)
    secret = make.conversation(site, microcosm=place, by=site.owner)
    api.put(f"{secret.path}/attributes", ALL, by=site.owner)

    known = api.get(f"{secret.path}/attributes/helmet", by=site.member)
    never = api.get("/api/v1/conversations/987654321/attributes/helmet", by=site.member)

    assert (known.status, known.body) == (never.status, never.body)
    assert known.status == 403


def test_another_sites_attributes_are_not_there(api: Api, bikes: Site, trains: Site) -> None:
    path = f"/api/v1/site/{trains.id}/attributes"

    assert api.get(path, by=bikes.owner).status == 404
    assert api.put(path, ALL, by=bikes.owner).status == 404
    assert api.delete(f"{path}/helmet", by=bikes.owner).status == 404


# ---------------------------------------------------------------- of profiles


def _role_of(make: Factory, site: Site, attr_key: str) -> None:
    _, role_id = make.role(site, site.root_id, "By attribute", rights=("read",))
    make.sql(
        """
        INSERT INTO criteria (site_id, role_id, attr_key, predicate, value)
        VALUES (%(site)s, %(role)s, %(key)s, 'eq', 'true')""",
        site=site.id,
        role=role_id,
        key=attr_key,
    )


def test_a_profile_writes_its_own(api: Api, bikes: Site) -> None:
    path = f"{bikes.member.path}/attributes"

    assert api.put(path, [{"key": "town", "value": "London"}], by=bikes.member).status == 200
    assert api.put(path, [{"key": "town", "value": "Paris"}], by=bikes.newcomer).code == 11
    assert api.delete(f"{path}/town", by=bikes.newcomer).code == 12
    assert api.get(f"{path}/town", site=bikes).data["value"] == "London"


@pytest.mark.parametrize("key", ["is_member", "vetted"])
def test_nobody_grants_themselves_what_decides_who_they_are(
    api: Api, make: Factory, key: str
) -> None:
    site = make.site()
    _role_of(make, site, "vetted")
    path = f"{site.member.path}/attributes"
    batch = [{"key": "town", "value": "London"}, {"key": key, "value": True}]

    for person in (site.member, site.moderator):
        assert api.put(path, batch, by=person).code == 11
        assert api.put(f"{path}/{key}", {"value": True}, by=person).code == 11
    assert api.get(path, by=site.member).data["attributes"]["total"] == 0
    assert api.put(path, batch, by=site.owner).status == 200
    assert api.delete(f"{path}/{key}", by=site.member).code == 11
    assert api.delete(path, json=[{"key": key}], by=site.member).code == 11
    assert api.get(path, by=site.member).data["attributes"]["total"] == 2


def _is_member(api: Api, person: Person) -> bool:
    return bool(api.get(person.path, by=person.site.owner).data.get("member", False))


def test_the_member_flag_is_the_attribute(api: Api, make: Factory) -> None:
    site = make.site()
    path = f"{site.member.path}/attributes/is_member"

    for value, is_member in ((True, True), (False, False), (True, True), ("yes", False)):
        assert api.put(path, {"value": value}, by=site.owner).status == 302
        assert _is_member(api, site.member) == is_member
    api.put(path, {"value": True}, by=site.owner)
    assert api.delete(path, by=site.owner).status == 200
    assert not _is_member(api, site.member)
    assert api.patch(site.member.path, ("/member", True), by=site.owner).status == 200
    assert api.get(path, by=site.member).data == {"key": "is_member", "value": True}


def test_an_attribute_lets_into_a_role_at_once(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    role = make.role(site, place.id, "Riders", rights=("read",))
    make.criterion(role, "", "ge", 3, attribute="bikes")
    chat = make.conversation(site, microcosm=place, by=site.owner)
    path = f"{site.member.path}/attributes/bikes"

    assert api.get(chat.path, by=site.member).code == 9
    for value, status in ((3, 200), (2, 403), ("3", 403), (3.5, 200)):
        assert api.put(path, {"value": value}, by=site.owner).status == 302
        assert api.get(chat.path, by=site.member).status == status
    assert api.delete(path, by=site.owner).status == 200
    assert api.get(chat.path, by=site.member).code == 9


@pytest.mark.wide
def test_attributes_and_criteria_written_at_once_agree(server: Server, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    role = make.role(site, place.id, "Riders", rights=("read",))
    people = [make.person(site) for _ in range(4)]

    def write(number: int) -> None:
        if number % 5 == 0:
            make.criterion(role, "", "ge", number, attribute="bikes", group=number)
            return
        api = server.api()
        path = f"{people[number % 4].path}/attributes/bikes"
        assert api.put(path, {"value": number}, by=site.owner).status == 302
        api.close()

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(write, range(5, 45)))

    rows = make.sql(
        """
        SELECT %(role)s = ANY(p.role_ids), a.number_value >= 5
          FROM profiles p
          JOIN attributes a ON a.site_id = p.site_id AND a.item_type_id = 3 AND a.item_id = p.profile_id
         WHERE p.site_id = %(site)s AND a.key = 'bikes'""",
        site=site.id,
        role=role[1],
    )
    assert len(rows) == 4
    assert all(is_in == should_be for is_in, should_be in rows)


def test_profile_attributes_answer_on_the_root_host(api: Api, make: Factory) -> None:
    root = Site(1, "root", api.platform_domain, 0)
    person = make.person(root)
    path = f"{person.path}/attributes"

    assert api.put(path, ALL, by=person).status == 200
    assert api.get(f"{path}/distance", by=person).data["value"] == 42.5


# ---------------------------------------------------------------- what it costs, what it leaves behind


def test_reading_takes_three_statements(api: Api, bikes: Site, make: Factory) -> None:
    path = f"{make.conversation(bikes).path}/attributes"
    api.put(path, ALL, by=bikes.member)

    # Once a second the site is looked at too.
    assert min(api.get(path, by=bikes.member).statements for _ in range(3)) == 3
    assert min(api.get(path, site=bikes).statements for _ in range(3)) == 2


def test_an_unchanged_list_is_not_sent_again(api: Api, bikes: Site, make: Factory) -> None:
    path = f"{make.conversation(bikes).path}/attributes"
    api.put(path, ALL, by=bikes.member)
    tag = api.get(path, by=bikes.member).headers["ETag"]

    assert api.get(path, by=bikes.member, headers={"If-None-Match": tag}).status == 304
    api.put(f"{path}/helmet", {"value": False}, by=bikes.member)
    assert api.get(path, by=bikes.member, headers={"If-None-Match": tag}).status == 200


def test_each_write_is_audited_and_logged(api: Api, bikes: Site, make: Factory) -> None:
    chat = make.conversation(bikes, by=bikes.member)
    path = f"{chat.path}/attributes"
    api.put(path, ALL, by=bikes.member)
    api.delete(f"{path}/helmet", by=bikes.member)
    api.delete(f"{path}/helmet", by=bikes.member)

    events = make.sql(
        """
        SELECT e.kind, e.parent_type_id FROM event_log e
         WHERE e.site_id = %(site)s AND e.item_type_id = 15 AND e.parent_id = %(id)s ORDER BY e.event_id""",
        site=bikes.id,
        id=chat.id,
    )
    audited = make.sql(
        """
        SELECT a.action FROM audit_log a
         WHERE a.site_id = %(site)s AND a.item_type_id = 15 AND a.item_id = %(id)s ORDER BY a.audit_id""",
        site=bikes.id,
        id=chat.id,
    )

    assert events == [("replaced", 6), ("deleted", 6)]
    assert audited == [("R",), ("D",)]


def test_a_thing_has_so_many_attributes_at_most(api: Api, make: Factory) -> None:
    most = Config().max_attributes_per_thing
    site = make.site()
    chat = make.conversation(site, by=site.owner)
    make.sql(
        """INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, boolean_value)
           SELECT %(s)s, 6, %(i)s, 'k' || g, 4, true FROM generate_series(2, %(n)s) AS g""",
        s=site.id,
        i=chat.id,
        n=most,
    )
    address = f"{chat.path}/attributes"

    two = [{"key": "one", "value": 1}, {"key": "two", "value": 2}, {"key": "k2", "value": 3}]
    refused = api.put(address, two, by=site.owner)
    assert (refused.status, refused.error) == (400, f"A thing has at most {most} attributes")
    assert api.get(f"{address}/one", site=site).status == 404
    assert api.get(f"{address}/k2", site=site).data["value"] is True
    assert api.put(f"{address}/one", {"value": 1}, by=site.owner).status == 302
    assert api.put(f"{address}/two", {"value": 2}, by=site.owner).status == 400
    assert api.put(address, [two[0], two[2]], by=site.owner).status == 200
    assert api.delete(f"{address}/k2", by=site.owner).status == 200
    assert api.put(f"{address}/two", {"value": 2}, by=site.owner).status == 302
