"""Mail against the API, over random states: who may not read a comment by asking is never mailed it."""

from __future__ import annotations

import random

import pytest

from forumapi.models.notifications import update_types
from tests.factories import RIGHTS, Person, Site, Thing
from tests.mail.postbox import Postbox, mail_request

READERS = 4
PLACES = 5
ROUNDS = 6


def _shake(box: Postbox, site: Site, draw: random.Random, people: list[Person], at: Thing) -> None:
    """Change who may read in a place, in one of the ways there are."""
    some = draw.sample(people, 2)
    title = f"Role {draw.random()}"
    match draw.randrange(7):
        case 0:
            box.make.join(box.make.role(site, at.id, title, banned=True), *some)
        case 1:
            box.make.join(box.make.role(site, at.id, title, rights=("read",)), *some)
        case 2:
            box.make.join(box.make.role(site, at.id, title, moderator=True, rights=RIGHTS), *some)
        case 3:
            box.make.role(site, at.id, title, users=True, rights=draw.choice([(), ("read",)]))
        case 4:
            box.make.ban(some[0])
        case _:
            flag = draw.choice(("is_deleted", "is_moderated"))
            table, key = draw.choice(
                (("items", "item_id"), ("comments", "item_id"), ("microcosms", ""))
            )
            where = (
                f"{key} IN (SELECT item_id FROM items WHERE microcosm_id = %(m)s)"
                if key
                else "microcosm_id = %(m)s"
            )
            box.stage.sql(
                f"UPDATE {table} SET {flag} = NOT {flag} WHERE site_id = %(s)s AND {where}",
                s=site.id,
                m=at.id,
            )
            box.stage.sql(
                "UPDATE sites SET acl_version = acl_version + 1 WHERE site_id = %(s)s", s=site.id
            )


@pytest.mark.wide
def test_who_may_not_read_a_comment_is_never_mailed_it_and_who_may_is(box: Postbox) -> None:
    draw = random.Random(20261127)
    outcomes = set()
    for _ in range(ROUNDS):
        site = box.make.site()
        people = [box.make.person(site) for _ in range(READERS)]
        # The owner of the site, who may everything, and the writer's own rights are not what this is about.
        writer = site.member
        places: list[Thing] = []
        for _ in range(PLACES):
            parent = draw.choice([None, *places])
            places.append(box.make.microcosm(site, parent=parent))
        between = box.make.huddle(writer, *people[:2])
        told = {}
        for at in [*places, between]:
            item = at if at is between else box.make.conversation(site, by=writer, microcosm=at)
            comment = box.make.comment(item, by=writer)
            type = update_types.NEW_COMMENT_IN_HUDDLE if at is between else update_types.NEW_COMMENT
            for person in people:
                box.watch(person, item)
                told[mail_request(person, type, item, by=writer, comment=comment)] = (
                    person,
                    comment,
                )
        box.queue(*told, site_id=site.id)
        for _ in range(5):
            _shake(box, site, draw, people, draw.choice(places))
        box.send()
        for one, (state, reason) in zip(told, box.states(*told), strict=True):
            person, comment = told[one]
            status = box.stage.request(
                "GET", comment.path.removeprefix("/api/v1"), by=person
            ).status
            if status == 200 and state == "dropped":
                # Moderators are shown what is hidden; mail is about what is there for everybody.
                shown = box.stage.request(
                    "GET", comment.path.removeprefix("/api/v1"), by=person
                ).data["meta"]
                assert shown["permissions"]["moderator"] or shown["permissions"]["owner"], reason
            else:
                assert (state == "sent") == (status == 200), (state, reason, status)
            outcomes.add((state, status))

    assert {("sent", 200), ("dropped", 403)} <= outcomes
    assert len(outcomes) >= 3
