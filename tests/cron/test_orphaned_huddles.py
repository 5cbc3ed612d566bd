"""Huddles that nobody is in any more: gone with all that hung on them, and the counts are right."""

from __future__ import annotations

import pytest

from forumapi.config import Config
from forumapi.cron import orphaned_huddles
from tests.api import Api
from tests.factories import Factory, Site, Thing

# Where something of a huddle, or of a comment in it, can be found by its id.
PLACES = {
    "items": "item_id = %(huddle)s",
    "huddles": "item_id = %(huddle)s",
    "huddle_participants": "item_id = %(huddle)s",
    "comments": "item_id = %(huddle)s",
    "item_authors": "item_id = %(huddle)s",
    "watchers": "item_type_id = 5 AND item_id = %(huddle)s",
    "read_marks": "item_type_id = 5 AND item_id = %(huddle)s",
    "ignores": "item_type_id = 5 AND item_id = %(huddle)s",
    "drafts": "place_type_id = 5 AND place_id = %(huddle)s",
    "bookmarks": "(item_type_id, item_id) IN ((5, %(huddle)s), (4, %(comment)s))",
    "reactions": "item_type_id = 4 AND item_id = %(comment)s",
    "attributes": "item_type_id = 4 AND item_id = %(comment)s",
    "attachments": "item_type_id = 4 AND item_id = %(comment)s",
    "comment_revisions": "comment_id = %(comment)s",
    "updates": "parent_item_type_id = 5 AND parent_item_id = %(huddle)s",
}


def perform(make: Factory) -> str:
    with make.database.write() as tx:
        return orphaned_huddles.orphaned_huddles(tx, Config())


def furnish(api: Api, make: Factory, site: Site) -> dict[str, int]:
    """A huddle of member and newcomer with something in every place; its id, and that of a comment."""
    huddle = make.huddle(site.member, site.newcomer)
    comment, _ = make.comments(huddle, 2)
    make.comment(huddle, by=site.newcomer, reply_to=comment)
    make.ignore(site.newcomer, huddle)
    api.put(comment.path, {"markdown": "Edited"}, by=site.member)
    api.get(huddle.path, by=site.newcomer)
    for path in (f"{huddle.path}/bookmark", f"{comment.path}/bookmark"):
        assert api.put(path, by=site.newcomer).status in (200, 302), path
    assert api.put(f"{comment.path}/reactions/like", by=site.newcomer).status in (200, 302)
    attribute = api.put(f"{comment.path}/attributes/colour", {"value": "red"}, by=site.member)
    assert attribute.status in (200, 302)
    draft = {"version": 0, "content": {"markdown": "on its way"}}
    assert api.put(f"{huddle.path}/draft", draft, by=site.member).status in (200, 302)
    ids = {"huddle": huddle.id, "comment": comment.id}
    make.sql(
        """
        INSERT INTO updates (site_id, profile_id, update_type_id, item_type_id, item_id, parent_item_type_id,
                             parent_item_id, created_by)
        VALUES (%(site)s, %(to)s, 4, 4, %(comment)s, 5, %(huddle)s, %(by)s)""",
        site=site.id,
        to=site.newcomer.id,
        by=site.member.id,
        **ids,
    )
    make.sql(
        "INSERT INTO files (file_hash, file_name, file_size, mime_type, attach_count)"
        " VALUES (%(hash)s, 'a', 1, 'text/plain', 1)",
        hash=file_of(comment),
    )
    make.sql(
        "INSERT INTO attachments (site_id, item_type_id, item_id, profile_id, file_hash, file_name)"
        " VALUES (%(site)s, 4, %(id)s, %(by)s, %(hash)s, 'a')",
        site=site.id,
        id=comment.id,
        by=site.member.id,
        hash=file_of(comment),
    )
    return ids


def file_of(comment: Thing) -> str:
    """The hash of the file that hangs on a comment."""
    return f"{comment.id:040x}"


def found(make: Factory, ids: dict[str, int]) -> list[str]:
    """The tables that still have something of a huddle."""
    return [
        table
        for table, where in PLACES.items()
        if make.sql(
            f"SELECT 1 FROM {table} WHERE {where}"
            " AND (%(huddle)s::bigint, %(comment)s::bigint) IS NOT NULL",
            **ids,
        )
    ]


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of its own."""
    return make.site()


def test_with_the_last_participant_goes_all_that_hung_on_it(
    api: Api, make: Factory, site: Site
) -> None:
    kept, orphan = (furnish(api, make, site) for _ in range(2))
    path = f"/api/v1/huddles/{orphan['huddle']}"
    for by in (site.member, site.newcomer):
        perform(make)  # whatever others have left behind goes too
        assert api.delete(path, by=by).status == 200
        assert "comments" in found(make, orphan)

    assert perform(make) == "1 huddles"

    assert found(make, orphan) == []
    assert found(make, kept) == list(PLACES)
    counts = make.sql(
        "SELECT profile_id, comment_count FROM profile_counters WHERE site_id = %(s)s AND comment_count > 0",
        s=site.id,
    )
    assert sorted(counts) == [(site.member.id, 2), (site.newcomer.id, 1)]
    hung = make.sql(
        "SELECT file_hash, attach_count FROM files WHERE file_hash = ANY(%(hashes)s)",
        hashes=[f"{one['comment']:040x}" for one in (kept, orphan)],
    )
    assert dict(hung) == {f"{kept['comment']:040x}": 1, f"{orphan['comment']:040x}": 0}
    assert perform(make) == "0 huddles"
