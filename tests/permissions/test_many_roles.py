"""A site with 50 roles and 200 criteria costs its members what any site does (architecture, access lists)."""

from __future__ import annotations

import itertools

import pytest

from forumapi.models.roles import role_recomputation
from forumapi.models.roles.criterion import Criterion
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing

ROLES = 50
CRITERIA = 200
COLUMNS = (
    ("commentCount", "ge"),
    ("itemCount", "lt"),
    ("created", "ge"),
    ("id", "ne"),
)


@pytest.fixture(scope="module")
def crowded(make: Factory) -> Site:
    """A site whose microcosms have 50 roles in all, with four criteria each."""
    site = make.site()
    places = [make.microcosm(site) for _ in range(10)]
    with make.database.write() as tx:
        role_recomputation.lock_roles(tx, site.id)
    for number in range(ROLES):
        role = make.role(
            site, places[number % 10].id, f"Role {number}", users=True, rights=("read", "create")
        )
        with make.database.write() as tx:
            for group, (column, predicate) in itertools.product(range(1), COLUMNS):
                new = Criterion.make(group, column, "", predicate, number)
                new.insert(tx, site.id, role[1], most=1_000)
    make.settle(site)
    return site


def warm(api: Api, site: Site, path: str, by: Person) -> int:
    """Statements of a GET that was asked before."""
    for _ in range(2):
        answer = api.get(path, site=site, by=by)
        assert answer.status == 200
    return answer.statements


def test_the_site_is_as_crowded_as_it_says(make: Factory, crowded: Site) -> None:
    counts = make.sql(
        """SELECT (SELECT count(*) FROM roles WHERE site_id = %(s)s AND title LIKE 'Role%%'),
                  (SELECT count(*) FROM criteria WHERE site_id = %(s)s)""",
        s=crowded.id,
    )
    assert counts == [(ROLES, CRITERIA)]


def test_members_pay_what_they_pay_anywhere(api: Api, make: Factory, crowded: Site) -> None:
    chat = make.conversation(crowded)
    make.comments(chat, 3)
    quiet = make.site()
    other = make.conversation(quiet)
    make.comments(other, 3)
    paths = (
        ("/api/v1/whoami", "/api/v1/whoami", 1),
        ("/api/v1/site", "/api/v1/site", 1),
        (f"/api/v1/permission?microcosmId={crowded.root_id}",) * 2 + (1,),
        ("/api/v1/microcosms", "/api/v1/microcosms", 3),
        ("/api/v1/conversations", "/api/v1/conversations", 3),
        (chat.path, other.path, 3),
    )
    for here, there, budget in paths:
        cost = warm(api, crowded, here, crowded.newcomer)
        assert cost == warm(api, quiet, there, quiet.newcomer), here
        assert cost <= budget, here


def test_a_comment_that_reaches_nothing_costs_what_it_costs_anywhere(
    api: Api, make: Factory, crowded: Site
) -> None:
    chat: Thing = make.conversation(crowded)
    # Every count up to 49 is named by a criterion; the next ones are not.
    person = make.person(crowded)
    make.sql(
        "UPDATE profile_counters SET comment_count = 90 WHERE site_id = %(s)s AND profile_id = %(p)s",
        s=crowded.id,
        p=person.id,
    )
    api.get("/api/v1/microcosms", by=person)
    sent = {"itemType": "conversation", "itemId": chat.id, "markdown": "One more"}
    assert api.post("/api/v1/comments", sent, by=person).statements <= 6
