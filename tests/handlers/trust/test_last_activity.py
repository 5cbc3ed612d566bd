"""Last activity of an item whose last live comment an undo hides: what it was before any comment was shown."""

from __future__ import annotations

import datetime

import pytest

from tests.api import Api
from tests.factories import Factory, Site, Thing

ACTIVITY = "SELECT last_activity FROM items WHERE site_id = %(s)s AND item_id = %(i)s"


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of one test."""
    return make.site()


def deleted(api: Api, make: Factory, site: Site) -> tuple[Thing, list[Thing]]:
    """A conversation with three comments, which are all deleted."""
    chat = make.conversation(site)
    comments = make.comments(chat, 3, by=site.member)
    for one in comments:
        assert api.patch(one.path, ("deleted", True), by=site.owner).status == 200
    return chat, comments


def activity(make: Factory, chat: Thing) -> datetime.datetime:
    """Last activity of a conversation."""
    found: datetime.datetime = make.sql(ACTIVITY, s=chat.site.id, i=chat.id)[0][0]
    return found


def act(api: Api, site: Site, kind: str, *comments: Thing) -> int:
    """Do something to comments; return the action's id."""
    targets = [{"itemType": "comment", "itemId": one.id} for one in comments]
    sent = {"kind": kind, "reason": "Because", "targets": targets}
    answer = api.request("POST", "/api/v1/actions", by=site.moderator, json=sent)
    assert answer.data["counts"]["done"] == len(comments), answer.body
    return int(answer.data["id"])


def undo(api: Api, site: Site, id: int) -> None:
    """Undo an action without a conflict."""
    answer = api.post(f"/api/v1/actions/{id}/undo", {}, by=site.moderator)
    assert (answer.status, answer.data["counts"]["conflict"]) == (200, 0), answer.body


def test_an_undo_that_shows_a_comment_keeps_what_was_before(
    api: Api, make: Factory, site: Site
) -> None:
    chat, (first, _, _) = deleted(api, make, site)
    before = activity(make, chat)
    hidden = act(api, site, "hide", first)
    restored = act(api, site, "restore", first)
    undo(api, site, hidden)
    assert activity(make, chat) < before
    undo(api, site, restored)
    assert activity(make, chat) == before


def test_a_later_change_begins_from_what_was_before_an_undone_one(
    api: Api, make: Factory, site: Site
) -> None:
    chat, (first, second, _) = deleted(api, make, site)
    before = activity(make, chat)
    earlier = act(api, site, "restore", first)
    later = act(api, site, "restore", second)
    undo(api, site, earlier)
    undo(api, site, later)
    assert activity(make, chat) == before


def test_what_was_shown_together_is_undone_together(api: Api, make: Factory, site: Site) -> None:
    chat, comments = deleted(api, make, site)
    before = activity(make, chat)
    shown = act(api, site, "restore", comments[0], comments[1])
    assert activity(make, chat) < before
    undo(api, site, shown)
    assert activity(make, chat) == before


def test_an_undone_merge_leaves_no_time_of_comments_that_were_hidden_meanwhile(
    api: Api, make: Factory, site: Site
) -> None:
    chat, (first, _, _) = deleted(api, make, site)
    shown = act(api, site, "restore", first)
    into = make.conversation(site)
    before = activity(make, into)
    sent = {
        "kind": "merge",
        "reason": "Because",
        "into": {"itemType": "conversation", "itemId": into.id},
        "targets": [{"itemType": "conversation", "itemId": chat.id}],
    }
    merged = api.post("/api/v1/actions", sent, by=site.moderator)
    assert merged.data["counts"]["done"] == 1, merged.body
    assert activity(make, into) < before
    undo(api, site, shown)
    undo(api, site, merged.data["id"])
    assert activity(make, into) == before


def test_an_undo_gives_the_activity_of_before_a_merge_to_no_other_item(
    api: Api, make: Factory, site: Site
) -> None:
    chat, (first, _, _) = deleted(api, make, site)
    kept = activity(make, chat)
    shown = act(api, site, "restore", first)
    into = make.conversation(site)
    sent = {
        "kind": "merge",
        "reason": "Because",
        "into": {"itemType": "conversation", "itemId": into.id},
        "targets": [{"itemType": "conversation", "itemId": chat.id}],
    }
    merged = api.post("/api/v1/actions", sent, by=site.moderator)
    moved = activity(make, into)
    undo(api, site, shown)
    # It has no live comment left, and keeps what it had.
    assert activity(make, into) == moved != kept
    undo(api, site, merged.data["id"])
    assert activity(make, chat) == kept
