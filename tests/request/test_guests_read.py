"""guests_read, the account in SQL of where guests read, against the evaluator's."""

from __future__ import annotations

import random

import pytest

from forumapi.models.microcosms.tree import load_tree
from forumapi.permissions.evaluator import GUEST_CALLER
from tests.factories import Factory


@pytest.mark.parametrize("seed", range(2))
def test_sql_and_evaluator_agree_on_where_guests_read(make: Factory, seed: int) -> None:
    rng = random.Random(seed)
    site = make.site()
    places = [make.microcosm(site)]
    for _ in range(24):
        places.append(
            make.microcosm(site, parent=rng.choice(places) if rng.random() < 0.8 else None)
        )
    for place in places:
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
            kind = rng.random()
            make.role(
                site,
                place.id,
                "Role",
                moderator=kind < 0.15,
                banned=0.15 <= kind < 0.25,
                guests=rng.random() < 0.6,
                users=rng.random() < 0.3,
                rights=("read",) if rng.random() < 0.7 else ("create",),
            )
    for column in ("is_deleted", "is_moderated"):
        make.sql(
            f"UPDATE microcosms SET {column} = true WHERE site_id = %(s)s AND microcosm_id = %(m)s RETURNING 1",
            s=site.id,
            m=rng.choice(places).id,
        )
    rows = make.sql(
        "SELECT m.microcosm_id, guests_read(m.site_id, m.microcosm_id) FROM microcosms m WHERE m.site_id = %(s)s",
        s=site.id,
    )
    with make.database.write() as tx:
        expected = load_tree(tx, site.id, 1).view(GUEST_CALLER).set
    assert {id for id, reads in rows if reads} == expected
    assert 3 < len(expected) < len(rows) - 3
    assert make.sql("SELECT guests_read(%(s)s, 0)", s=site.id) == [(False,)]
