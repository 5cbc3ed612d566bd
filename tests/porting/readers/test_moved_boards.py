"""Boards that other products made, loaded into a site: who reads what, and what a text shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import unescape
from typing import Any

import pytest

from forumapi.config import Config
from forumapi.itemtypes import ATTACHMENT, COMMENT, CONVERSATION, HUDDLE, MICROCOSM, PROFILE
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.sites import legacy_ids
from forumapi.models.sites.site_cache import SiteCache
from forumapi.permissions import evaluator
from forumapi.porting.dumps.row_values import decoded
from forumapi.porting.loading.verification import Verifier, table
from forumapi.porting.markup.smilies import EMOJI
from forumapi.porting.readers import open_reader
from forumapi.wire import legacy_urls
from tests.factories import Factory
from tests.porting.fixtures import board, comparison, needs_fixtures
from tests.porting.moved import Moved
from tests.porting.readers.test_old_addresses import Known


def _phpbb(html: str) -> str:
    return re.sub(
        r'<img class="smilies"[^>]*? alt="([^"]*)"[^>]*>',
        lambda match: EMOJI.get(decoded(match[1]), decoded(match[1])),
        html,
    )


def _smf(html: str) -> str:
    return re.sub(
        r'<img src="[^"]*/Smileys/[^"]*" alt="([^"]*)"[^>]*>',
        lambda match: EMOJI.get(unescape(match[1]), match[1]),
        html,
    )


RULES = legacy_urls.load()
# Posts whose text differs for a reason that the reader gives, and the first posts of polls, which link to these.
EXPLAINED = {
    "phpbb-3.3": {64, 102, 166, 170, 208},
    "smf-2.1": {100, 111, 126, 336, 339, 397, 399},
    "misago-0.39": {14, 15, 18, 46, 47},
    "nodebb-4": {15, 22, 28, 29},
}


@needs_fixtures
@pytest.mark.wide
@pytest.mark.parametrize(
    ("name", "guest", "theirs"),
    [
        ("phpbb-3.3", "1", _phpbb),
        ("smf-2.1", "0", _smf),
        ("misago-0.39", "0", str),
        ("nodebb-4", "0", str),
    ],
)
def test_a_board_of_the_product_moves_in(
    make: Factory, config: Config, name: str, guest: str, theirs: Callable[[str], str]
) -> None:
    fixture = board(name, "mysql" if name in ("phpbb-3.3", "smf-2.1") else "postgresql")
    expected = fixture.expected
    product = expected["product"]["name"]
    reader = open_reader(product, fixture.dump, fixture.files)
    moved = Moved(make, config, make.site(), reader)
    moved.load()

    posts, comments = expected["posts"], moved.ids(COMMENT)
    notices = {post for one in expected["topics"] if one["shadow_of"] for post in one["posts"]}
    assert {one["id"] for one in posts if str(one["id"]) not in comments} == notices
    html = dict(moved.rows("SELECT comment_id, html FROM comments WHERE site_id = %(s)s"))
    visible, loose = comparison()
    different = {
        post["id"]
        for post in posts
        if (id := comments.get(str(post["id"])))
        and loose(visible(html[id])) != loose(visible(theirs(post["html"])))
    }
    assert different - _with_polls(expected) == EXPLAINED[name] - _with_polls(expected)

    tx = make.database.read()
    tree = load_tree(tx, moved.site.id, 0)
    roles = dict(moved.rows("SELECT profile_id, role_ids FROM profiles WHERE site_id = %(s)s"))
    people, forums = moved.ids(PROFILE), moved.ids(MICROCOSM)
    members = {str(one["id"]) for one in expected["users"]}
    everybody = {
        guest: None,
        **{old: roles[id] for old, id in people.items() if old in members - {guest}},
    }
    for forum in expected["forums"]:
        if not forum["access"]:
            continue
        allowed = {str(one) for one in forum["access"]["read"]}
        place = forums[str(forum["id"])]
        reading = {
            old
            for old, member in everybody.items()
            if tree.access(None if member is None else tuple(member)).rights[place] & evaluator.READ
        }
        assert reading <= allowed, (forum["name"], reading - allowed)

    make.sql(
        "UPDATE import_origins SET is_resolved = true WHERE site_id = %(s)s RETURNING 1",
        s=moved.site.id,
    )
    known = Known(expected)
    here = {MICROCOSM: forums, PROFILE: people, COMMENT: comments}
    for kind in (HUDDLE, CONVERSATION, ATTACHMENT):
        here[kind] = moved.ids(kind)
    wrong = []
    for row in expected["addresses"]:
        match = legacy_ids.find(tx, moved.site.id, RULES, row["url"])
        best = known.first(list(RULES[product].read_all(row["url"])))
        wanted = 0
        if best is not None and best[1]:
            # Lost files, and those that wait for approval, do not come.
            absent = 0 if best[0].item_type == ATTACHMENT else -1
            things = here[best[0].item_type]
            # Some readers have ids of their own for what the addresses name.
            wanted = things.get(best[1]) or things.get(best[0].old_id, absent)
        if (match.item_id if match else 0) != wanted:
            wrong.append((row["url"], match, best, wanted))
    tx.end()
    assert not wrong, (len(wrong), wrong[:5])

    with make.database.write() as writing:
        directory = SiteCache(make.database, make.platform_domain)
        site = directory.by_id(moved.site.id, writing)
        assert site is not None
        report = Verifier(writing, config, site, moved.origin, reader).run()
    reader.close()
    assert report.is_right, "\n".join([*table(report), *map(str, report.differences[:20])])


def _with_polls(expected: Mapping[str, Any]) -> set[int]:
    return {one["posts"][0] for one in expected["topics"] if one["poll"]}
