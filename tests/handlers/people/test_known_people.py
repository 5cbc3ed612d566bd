"""An owner of some site can't find out who has an account on the platform, and nobody can tell people across sites."""

from __future__ import annotations

import csv as csvlib
import io
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api import Response
from tests.factories import Person, Site
from tests.stage import Stage, staged


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("people")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    return stage.make.site()


def user_ids(data: Any) -> set[tuple[int, int]]:
    """(id, userId) of every profile in an answer."""
    found: set[tuple[int, int]] = set()
    if isinstance(data, dict):
        if "userId" in data and "profileName" in data:
            found.add((data["id"], data["userId"]))
        data = list(data.values())
    if isinstance(data, list):
        for one in data:
            found |= user_ids(one)
    return found


# Of a row alone: the picture is md5 of the address, the times are compared by themselves.
_OWN = ("avatar", "row", "created", "lastActive")


def shape(rows: list[dict[str, Any]], addresses: list[str]) -> set[str]:
    """Return what of rows about added people does not follow from the request: nothing may differ between them."""
    ids = [row.get("profileId") or row["id"] for row in rows]
    assert ids == sorted(ids), "numbered as they were asked for, not by the age of their accounts"
    assert len({(row.get("created"), row.get("lastActive")) for row in rows}) == 1
    made = set()
    for id, row, address in zip(ids, rows, addresses, strict=True):
        kept = {key: row[key] for key in row if key not in _OWN}
        if "email" in kept:
            assert kept.pop("email") == address.lower().replace(".k.n.o.w.n@", "known@")
        made.add(repr(kept).replace(str(id + 5830), "<name>").replace(str(id), "<id>"))
    return made


def old_and_new(stage: Stage, site: Site) -> list[str]:
    """Addresses in spellings of their own: each second belongs to an account elsewhere, the others to nobody."""
    other = stage.make.site()
    stage.make.user(f"{site.key}known@gmail.com")
    known = [other.member.email.upper(), f"{site.key}.k.n.o.w.n@gmail.com", other.newcomer.email]
    fresh = [f"Fresh{number}@{site.key}.example" for number in range(3)]
    return [one for pair in zip(fresh, known, strict=True) for one in pair]


@pytest.mark.wide
def test_adding_somebody_does_not_tell_whether_they_are_known(stage: Stage, site: Site) -> None:
    mixed = old_and_new(stage, site)
    answer = stage.post("/users", [{"email": one} for one in mixed], by=site.owner)
    assert len(shape(answer.data, mixed)) == 1


def test_nor_does_a_batch(stage: Stage, site: Site) -> None:
    mixed = old_and_new(stage, site)
    body = [{"email": one, "isMember": False} for one in mixed]

    answer = stage.post("/users/batch?report=true", body, by=site.owner)

    assert len(shape(answer.data["rows"], mixed)) == 1
    # Six are new to the site; how many of them to the platform is not said.
    assert answer.data["profiles"] == 6
    assert 3 not in answer.data.values()


def test_a_taken_name_tells_nothing_either(stage: Stage, site: Site) -> None:
    ((last,),) = stage.sql("SELECT max(profile_id) FROM profiles")
    stage.sql(
        """UPDATE profiles SET profile_name = 'user' || (%(n)s::bigint + 5832), version = version + 1
            WHERE site_id = %(s)s AND profile_id = %(p)s""",
        n=last,
        s=site.id,
        p=site.newcomer.id,
    )
    mixed = [f"{number}@{site.key}.example" for number in range(6)]
    answer = stage.post("/users", [{"email": one} for one in mixed], by=site.owner)
    assert [one["profileName"] for one in answer.data] == [
        f"user{one['id'] + 5830}" for one in answer.data
    ]


def test_an_owner_sees_what_belongs_to_their_site(stage: Stage, site: Site) -> None:
    other = stage.make.site()
    stage.sql(
        """UPDATE users SET created = '2001-01-01', language = 'de', gender = 'x', state = 'valid', dob_year = 1980
            WHERE user_id = %(u)s""",
        u=other.member.user_id,
    )
    added = stage.post("/users", [{"email": other.member.email}], by=site.owner).data[0]

    seen = stage.get(f"/users/{added['userId']}", by=site.owner)

    assert seen.status == 200
    assert seen.data == {
        "userId": added["id"],
        "email": other.member.email,
        "gender": None,
        "created": added["created"],
        "state": None,
        "dobDay": None,
        "dobMonth": None,
        "dobYear": None,
        "meta": {"links": [{"rel": "self", "href": f"/api/v1/users/{added['id']}"}]},
    }
    # The platform's number leads nowhere, and oneself is seen whole.
    assert stage.get(f"/users/{other.member.user_id}", by=site.owner).status == 403
    own = stage.get(f"/users/{other.member.user_id}", by=other.member)
    assert (own.data["dobYear"], own.data["language"]) == (1980, "de")


def test_rights_are_asked_for_by_the_same_numbers(stage: Stage, site: Site) -> None:
    one, own = site.member.id, site.owner.user_id
    for by, id, wanted in (
        (site.owner, one, "read update moderator siteOwner"),
        (site.owner, own, "read update owner moderator siteOwner"),
        (site.member, site.member.user_id, "read update owner"),
        (site.newcomer, one, ""),
        (site.owner, site.member.user_id, ""),
    ):
        single = stage.get(f"/permission?itemType=user&itemId={id}", by=by).data
        many = stage.post("/permission/batch", [{"itemType": "user", "itemId": id}], by=by).data
        assert many == [single]
        assert " ".join(name for name, value in single.items() if value) == wanted


def test_the_number_of_an_account_is_shown_to_nobody_else(stage: Stage, site: Site) -> None:
    chat = make_thread(stage, site)
    paths = [
        "/site",
        "/profiles",
        f"/profiles/{site.member.id}",
        f"/microcosms/{site.root_id}",
        f"/conversations/{chat}",
        "/roles",
        "/search?q=thread",
    ]
    for by in (None, site.owner, site.member, site.newcomer):
        for path in paths:
            answer = stage.get(path, by=by, site=site)
            for id, user_id in user_ids(answer.data):
                own = by is not None and id == by.id
                assert user_id == (by.user_id if by and own else id), (path, by and by.name)
    # Oneself among others, in a document that everybody is shown.
    assert (site.member.id, site.member.user_id) in user_ids(
        stage.get(f"/conversations/{chat}", by=site.member).data
    )


def make_thread(stage: Stage, site: Site) -> int:
    chat = stage.make.conversation(site, by=site.member)
    stage.make.comment(chat, by=site.newcomer)
    stage.make.comment(chat, by=site.member)
    return chat.id


def rows(answer: Response) -> list[list[str]]:
    return list(csvlib.reader(io.StringIO(answer.body.decode())))[1:]


def test_who_runs_an_event_gets_no_addresses(stage: Stage, site: Site) -> None:
    event = stage.make.event(site, by=site.member)
    for one in (site.member, site.newcomer):
        stage.put(f"/events/{event.id}/attendees", [{"profileId": one.id, "rsvp": "yes"}], by=one)
    path = f"/events/{event.id}/attendeescsv"

    def seen(by: Person) -> dict[str, str]:
        return {row[0]: row[2] for row in rows(stage.get(path, by=by))}

    assert seen(site.member) == {"member": site.member.email, "newcomer": ""}
    assert seen(site.moderator) == {"member": "", "newcomer": ""}
    assert seen(site.owner) == {"member": site.member.email, "newcomer": site.newcomer.email}
    assert stage.get(path, by=site.newcomer).status == 403
