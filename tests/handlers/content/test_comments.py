"""Comments over real HTTP: content 7, read marks of discovery 7.3 to 7.7."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from forumapi import itemtypes
from forumapi.models.content import item_page as item_model
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import Server

COMMENTS = "/api/v1/comments"


def write(api: Api, on: Thing | Person, by: Person | None, markdown: str, **more: Any) -> Response:
    """A new comment over HTTP."""
    item_type = itemtypes.name_of(itemtypes.PROFILE if isinstance(on, Person) else on.type)
    body = {"itemType": item_type, "itemId": on.id, "markdown": markdown, **more}
    return api.post(COMMENTS, body, by=by, site=on.site)


def id_of(answer: Response) -> int:
    """The id that a Location names."""
    assert answer.status == 302, answer.body
    return int(answer.location.rpartition("/")[2])


def link(data: Any, rel: str) -> str:
    """The href of a link of `meta`, "" without it."""
    return next((one["href"] for one in data["meta"]["links"] if one["rel"] == rel), "")


def ids(page: Any) -> list[int]:
    """The ids of a page's comments."""
    return [one["id"] for one in page.data["comments"]["items"]]


# ---------------------------------------------------------------- writing one (content 7.1, 7.2, 7.4)


def test_a_comment_is_written_and_read_back_whole(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    body = {"title": "Dynamo & hub", "meta": {"editReason": "x"}}
    assert api.put(chat.path, body, by=bikes.member).status == 302

    made = write(api, chat, bikes.newcomer, "  Agreed, see **fig 2**\n")
    shown = api.follow(made, by=bikes.newcomer).data

    assert made.json() == {"context": "", "status": 302, "data": None, "error": None}
    assert list(shown) == [
        "id",
        "itemType",
        "itemId",
        "revisions",
        "inReplyTo",
        "attachments",
        "firstLine",
        "markdown",
        "html",
        "meta",
    ]
    assert (shown["itemType"], shown["itemId"]) == ("conversation", chat.id)
    assert (shown["revisions"], shown["inReplyTo"], shown["attachments"]) == (1, 0, 0)
    assert shown["firstLine"] == ""
    assert shown["markdown"] == "  Agreed, see **fig 2**\n"
    assert shown["html"] == "<p>Agreed, see <strong>fig 2</strong></p>\n"
    meta = shown["meta"]
    assert meta["createdBy"]["id"] == meta["editedBy"]["id"] == bikes.newcomer.id
    assert "edited" not in meta
    assert meta["flags"] == {
        "deleted": False,
        "moderated": False,
        "visible": True,
        "unread": False,
    }
    assert [(one["rel"], one["href"], one.get("title")) for one in meta["links"]] == [
        ("self", made.location, None),
        ("conversation", chat.path, "Dynamo &amp; hub"),
        ("up", chat.path, "Dynamo &amp; hub"),
        ("commentPage", chat.path, None),
    ]
    assert len(meta["permissions"]) == 12


def test_writing_one_costs_six_statements_at_most(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    write(api, chat, bikes.newcomer, "warm")

    assert write(api, chat, bikes.newcomer, "plain").statements <= 6
    reply = write(api, chat, bikes.member, "reply", inReplyTo=make.comment(chat).id)
    assert reply.statements <= 6


def test_reports_rules_and_checks_cost_one_statement_at_most(api: Api, make: Factory) -> None:
    site = make.site()
    chat = make.conversation(site, by=site.owner)
    author = make.person(site)
    make.comments(chat, 5, by=author)

    def cost(what: str) -> int:
        # Long enough to be compared with texts of other sites.
        texts = [f"{what}, which nobody and nothing holds, number {number}" for number in range(3)]
        answers = [write(api, chat, author, text) for text in texts]
        assert [api.get(one.location, by=site.member).status for one in answers] == [200] * 3
        return min(one.statements for one in answers)

    def check(**checks: Any) -> None:
        assert api.put("/api/v1/site/checks", checks, by=site.owner).status == 200

    without = cost("No report, rule or check")
    make.report(make.comment(chat))
    make.report(chat, by=author)
    reported = cost("A thread with open cases")
    check(firstPosts=3, maxLinks=1, perHour=1_000)
    checked_later = cost("Checks in the background")
    check(firstPosts=3, maxLinks=1, perHour=1_000, beforeShown=True)
    checked = cost("Checks before it is shown")
    check()
    save_rule(api, site, minLength=20_000, action="hold")
    ruled = cost("A rule that hides what is too long")
    assert (reported, checked_later) == (without, without)
    assert (checked, ruled) == (without + 1, without + 1)


def save_rule(api: Api, site: Site, **rule: Any) -> None:
    """Make an active rule about new comments."""
    sent = {"title": "New", "mode": "active", "event": "comment.created", "reason": "Too much"}
    plan = api.post("/api/v1/rules/dry-run", sent | rule, by=site.owner)
    assert plan.status == 200, plan.body
    made = api.post("/api/v1/rules", {"ticket": plan.data["ticket"]}, by=site.owner)
    assert made.status == 302, made.body


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"itemType": "article"}, 400),
        ({"itemType": "question"}, 400),
        ({"itemType": "microcosm"}, 400),
        ({"itemType": "nonsense"}, 400),
        ({"itemType": None}, 400),
        ({"itemType": "CONVERSATION"}, 302),
        ({"itemId": None}, 400),
        ({"itemId": 987_654_321}, 403),
        ({"itemType": "event"}, 403),  # an id of another type
        ({"markdown": None}, 400),
        ({"markdown": ""}, 400),
        ({"markdown": " \n\t\u00a0 "}, 400),
        ({"markdown": "x" * 50_000}, 302),
        ({"markdown": "\U0001f6b2" * 50_000}, 302),
        ({"markdown": "\U0001f6b2" * 50_001}, 400),
    ],
)
def test_what_may_be_sent(
    api: Api, make: Factory, bikes: Site, change: dict[str, Any], status: int
) -> None:
    chat = make.conversation(bikes)
    body = {"itemType": "conversation", "itemId": chat.id, "markdown": "x"} | change

    assert api.post(COMMENTS, body, by=bikes.member).status == status


def test_an_item_that_never_was_is_403_and_404_for_the_sites_owner(api: Api, bikes: Site) -> None:
    body = {"itemType": "conversation", "itemId": 987_654_321, "markdown": "x"}

    refused = api.post(COMMENTS, body, by=bikes.moderator)
    assert refused.status == 403
    assert refused.code == 10
    assert api.post(COMMENTS, body, by=bikes.owner).status == 404
    for method in ("GET", "PUT", "DELETE"):
        path = f"{COMMENTS}/987654321"
        assert api.request(method, path, by=bikes.moderator, json={}).status == 403
        assert api.request(method, path, by=bikes.owner, json={}).status == 404


def test_values_are_looked_at_before_the_right(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)

    assert write(api, chat, None, "  ").status == 400
    assert write(api, chat, None, "text").status == 403


def test_closed_is_closed_for_all_but_moderators(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    assert api.patch(chat.path, ("open", False), by=bikes.moderator).status == 200

    for by in (bikes.member, bikes.newcomer):
        refused = write(api, chat, by, "too late")
        assert refused.status == 403
        assert refused.code == 10
    assert write(api, chat, bikes.moderator, "last word").status == 302


@pytest.mark.wide
def test_under_a_hidden_parent_nothing_is_written(api: Api, make: Factory, bikes: Site) -> None:
    place = make.microcosm(bikes)
    for thing, flag in ((place, "moderated"), (None, "deleted"), (None, "moderated")):
        chat = make.conversation(bikes, microcosm=place)
        comment = make.comment(chat)
        hidden = thing or chat
        assert api.patch(hidden.path, (flag, True), by=bikes.owner).status == 200

        assert write(api, chat, bikes.newcomer, "hello?").status == 404
        assert api.put(comment.path, {"markdown": "?"}, by=bikes.member).status == 404
        assert api.get(comment.path, by=bikes.newcomer).status == 404
        assert api.get(f"{comment.path}/incontext", by=bikes.newcomer).status == 404
        assert api.get(comment.path, by=bikes.owner).status == 200
        assert write(api, chat, bikes.owner, "I see it").status == 302
        assert api.patch(hidden.path, (flag, False), by=bikes.owner).status == 200


def test_a_write_leaves_audit_event_and_a_watcher(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    author = make.person(bikes)
    id = id_of(write(api, chat, author, "first"))
    path = f"{COMMENTS}/{id}"
    assert api.put(path, {"markdown": "second"}, by=author).status == 302
    assert api.patch(path, ("moderated", True), by=bikes.moderator).status == 200
    assert api.delete(path, by=bikes.moderator).status == 200
    assert api.delete(path, by=bikes.moderator).status == 200

    audit = make.sql(
        """SELECT action, profile_id, host(ip) FROM audit_log
            WHERE site_id = %(s)s AND item_type_id = 4 AND item_id = %(c)s ORDER BY audit_id""",
        s=bikes.id,
        c=id,
    )
    assert [row[0] for row in audit] == ["C", "R", "U", "D"]
    assert [row[1] for row in audit] == [author.id] * 2 + [bikes.moderator.id] * 2
    assert {row[2] for row in audit} == {"127.0.0.1"}
    events = make.sql(
        """SELECT kind, parent_type_id, parent_id, microcosm_id, actor_id, version FROM event_log
            WHERE site_id = %(s)s AND item_type_id = 4 AND item_id = %(c)s ORDER BY event_id""",
        s=bikes.id,
        c=id,
    )
    assert [row[0] for row in events] == ["created", "replaced", "patched", "deleted"]
    assert {row[1:4] for row in events} == {(6, chat.id, bikes.root_id)}
    assert [row[5] for row in events] == [1, 2, 3, 4]
    watching = make.sql(
        "SELECT count(*) FROM watchers WHERE site_id = %(s)s AND profile_id = %(p)s AND item_id = %(i)s",
        s=bikes.id,
        p=author.id,
        i=chat.id,
    )
    assert watching == [(1,)]


# ---------------------------------------------------------------- said twice (content 1.11, C-15)


def test_the_same_text_again_leads_to_the_first(api: Api, make: Factory, bikes: Site) -> None:
    chat, other = make.conversation(bikes), make.conversation(bikes)
    first = write(api, chat, bikes.member, "Said twice")

    assert write(api, chat, bikes.member, "Said twice").location == first.location
    assert write(api, chat, bikes.newcomer, "Said twice").location != first.location
    assert write(api, other, bikes.member, "Said twice").location != first.location
    assert write(api, chat, bikes.member, "Said twice!").location != first.location
    assert api.get(chat.path, site=bikes).data["comments"]["total"] == 3
    assert api.delete(first.location, by=bikes.member).status == 200
    assert write(api, chat, bikes.member, "Said twice").location != first.location


@pytest.mark.parametrize("kind", ["conversation", "profile"])
def test_the_same_text_at_the_same_time_is_written_once(
    server: Server, make: Factory, database_url: str, kind: str
) -> None:
    site = make.site()
    on: Thing | Person = make.conversation(site) if kind == "conversation" else site.member
    table = "items WHERE item_id" if kind == "conversation" else "profiles WHERE profile_id"

    def send(_: int) -> Response:
        api = server.api()
        answer = write(api, on, site.member, "At once")
        api.close()
        return answer

    with psycopg.connect(database_url) as other, ThreadPoolExecutor(4) as pool:
        # All of them are on their way before the first one can get through.
        other.execute(f"SELECT 1 FROM {table} = %s FOR NO KEY UPDATE", [on.id])
        answers = pool.map(send, range(4))
        make.wait_for_locks(4)
        other.rollback()
        locations = {answer.location for answer in answers}

    assert len(locations) == 1
    made = make.sql("SELECT count(*) FROM comments WHERE site_id = %(s)s", s=site.id)
    assert made == [(1,)]


# ---------------------------------------------------------------- replies (7.2 to 7.4)


def test_a_reply_and_what_it_replies_to_show_each_other(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    first = make.comment(chat, by=bikes.newcomer, markdown="Question")
    answers = [
        id_of(write(api, chat, bikes.member, f"Answer {n}", inReplyTo=first.id)) for n in range(3)
    ]
    nested = id_of(write(api, chat, bikes.newcomer, "Thanks", inReplyTo=answers[0]))

    reply = api.get(f"{COMMENTS}/{answers[0]}", site=bikes).data
    assert reply["inReplyTo"] == first.id
    assert reply["meta"]["inReplyTo"]["id"] == first.id
    assert reply["meta"]["inReplyTo"]["markdown"] == "Question"
    assert "inReplyTo" not in reply["meta"]["inReplyTo"]
    assert [one["id"] for one in reply["meta"]["replies"]] == [nested]
    assert link(reply, "inReplyTo") == first.path
    assert link(reply, "inReplyToAuthor") == bikes.newcomer.path
    question = api.get(first.path, site=bikes).data
    assert question["inReplyTo"] == 0
    assert "inReplyTo" not in question["meta"]
    assert [one["id"] for one in question["meta"]["replies"]] == answers
    shown = [reply["meta"]["inReplyTo"], *question["meta"]["replies"]]
    assert [one["meta"]["flags"]["unread"] for one in shown] == [False] * 4
    embedded = api.get(chat.path, site=bikes).data["comments"]["items"]
    assert [one.get("inReplyTo") for one in embedded] == [None, *[first.id] * 3, answers[0]]
    title = next(
        one["title"] for one in embedded[1]["meta"]["links"] if one["rel"] == "inReplyToAuthor"
    )
    assert title == "newcomer"


@pytest.mark.wide
def test_a_reply_to_what_is_not_there_is_a_plain_comment(
    api: Api, make: Factory, bikes: Site, trains: Site
) -> None:
    chat, other = make.conversation(bikes), make.conversation(bikes)
    gone = make.comment(chat)
    hidden = make.comment(chat)
    assert api.delete(gone.path, by=bikes.moderator).status == 200
    assert api.patch(hidden.path, ("moderated", True), by=bikes.moderator).status == 200
    elsewhere = make.comment(other)
    far = make.comment(make.conversation(trains))
    bio = make.comment(bikes.member, by=bikes.member)

    for number, id in enumerate(
        (gone.id, hidden.id, elsewhere.id, far.id, bio.id, 987_654_321, 0, -3, None)
    ):
        made = write(api, chat, bikes.newcomer, f"Reply {number}", inReplyTo=id)
        assert api.follow(made, by=bikes.newcomer).data["inReplyTo"] == 0, id


def test_a_hidden_target_leaves_the_number_and_takes_the_links(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    first = make.comment(chat)
    reply = make.comment(chat, reply_to=first, by=bikes.newcomer)

    for flag in ("deleted", "moderated"):
        assert api.patch(first.path, (flag, True), by=bikes.moderator).status == 200
        for shown in (
            api.get(reply.path, site=bikes).data,
            api.get(chat.path, site=bikes).data["comments"]["items"][0],
        ):
            assert shown["inReplyTo"] == first.id
            assert link(shown, "inReplyTo") == link(shown, "inReplyToAuthor") == ""
            assert "inReplyTo" not in shown["meta"]
        assert api.patch(first.path, (flag, False), by=bikes.moderator).status == 200
        assert link(api.get(reply.path, site=bikes).data, "inReplyTo") == first.path


def test_replies_leave_out_the_hidden_and_the_ignored(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    first = make.comment(chat)
    noisy, reader = make.person(bikes), make.person(bikes)
    kept = make.comment(chat, reply_to=first)
    ignored = make.comment(chat, by=noisy, reply_to=first)
    gone, held = (make.comment(chat, reply_to=first) for _ in range(2))
    assert api.delete(gone.path, by=bikes.moderator).status == 200
    assert api.patch(held.path, ("moderated", True), by=bikes.moderator).status == 200
    make.ignore(reader, noisy)

    def replies(by: Person | None) -> list[int]:
        meta = api.get(first.path, site=bikes, by=by).data["meta"]
        return [one["id"] for one in meta["replies"]]

    assert replies(None) == [kept.id, ignored.id]
    assert replies(reader) == [kept.id]


def test_what_a_comment_replies_to_never_changes(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    first, second = make.comments(chat, 2)
    reply = make.comment(chat, reply_to=first)

    body = {"markdown": "edited", "inReplyTo": second.id, "itemId": 1, "itemType": "profile"}
    assert api.put(reply.path, {**body, "id": first.id}, by=bikes.member).status == 302

    shown = api.get(reply.path, site=bikes).data
    assert shown["markdown"] == "edited"
    assert (shown["inReplyTo"], shown["itemId"]) == (first.id, chat.id)
    assert api.get(first.path, site=bikes).data["markdown"] != "edited"


# ---------------------------------------------------------------- editing (content 7.6)


def test_every_text_is_kept_as_a_revision(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    comment = make.comment(chat, markdown="One")

    def put(text: str, by: Person) -> Any:
        answer = api.put(comment.path, {"markdown": text}, by=by)
        assert answer.status == 302
        assert answer.location == comment.path
        return api.follow(answer, by=by).data

    assert put("Two", bikes.member)["revisions"] == 2
    shown = put("Three", bikes.moderator)
    assert shown["revisions"] == 3
    assert shown["html"] == "<p>Three</p>\n"
    assert shown["meta"]["edited"] > shown["meta"]["created"]
    assert shown["meta"]["editedBy"]["id"] == bikes.moderator.id
    assert shown["meta"]["createdBy"]["id"] == bikes.member.id
    # The same text again is no new revision, nor is a body without one.
    assert put("Three", bikes.member)["revisions"] == 3
    assert api.put(comment.path, {"meta": {"editReason": "x"}}, by=bikes.member).status == 302
    kept = make.sql(
        """SELECT revision, markdown, created_by FROM comment_revisions
            WHERE site_id = %(s)s AND comment_id = %(c)s ORDER BY revision""",
        s=bikes.id,
        c=comment.id,
    )
    assert kept == [(1, "One", bikes.member.id), (2, "Two", bikes.member.id)]
    assert api.get(chat.path, site=bikes).data["comments"]["items"][0]["revisions"] == 3


def test_only_authors_and_those_with_the_right_edit(api: Api, make: Factory, bikes: Site) -> None:
    comment = make.comment(make.conversation(bikes), markdown="Mine")

    refused = api.put(comment.path, {"markdown": "Yours"}, by=bikes.newcomer)
    assert refused.status == 403
    assert refused.code == 11
    assert api.put(comment.path, {"markdown": "Yours"}, site=bikes).status == 403
    assert api.put(comment.path, {"markdown": " "}, by=bikes.member).status == 400
    assert api.get(comment.path, site=bikes).data["markdown"] == "Mine"
    assert api.put(comment.path, {"markdown": "Ours"}, by=bikes.moderator).status == 302


def test_an_edit_moves_no_count_and_no_activity(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    comment = make.comment(chat)
    look = "SELECT comment_count, last_activity, last_comment_at, version FROM items WHERE item_id = %(i)s"
    before = make.sql(look, i=chat.id)

    assert api.put(comment.path, {"markdown": "Edited"}, by=bikes.member).status == 302

    assert make.sql(look, i=chat.id) == before


# ---------------------------------------------------------------- deleting, moderating, restoring (C-09, C-34)


def test_authors_delete_what_they_wrote_and_nothing_else(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    mine = make.comment(chat, by=bikes.newcomer)

    shown = api.get(mine.path, by=bikes.newcomer).data["meta"]["permissions"]
    assert shown["delete"] is True
    assert api.get(mine.path, by=bikes.member).data["meta"]["permissions"]["delete"] is False
    refused = api.delete(mine.path, by=bikes.member)
    assert refused.status == 403
    assert refused.code == 12
    assert api.delete(mine.path, site=bikes).status == 403
    assert api.delete(mine.path, by=bikes.newcomer).status == 200
    assert api.get(mine.path, by=bikes.newcomer).status == 404
    assert api.delete(mine.path, by=bikes.newcomer).status == 200
    # By PATCH as well, but not back.
    other = make.comment(chat, by=bikes.newcomer)
    assert api.patch(other.path, ("deleted", True), by=bikes.newcomer).status == 200
    assert api.patch(other.path, ("deleted", False), by=bikes.newcomer).status == 404
    third = make.comment(chat, by=bikes.newcomer)
    assert api.patch(third.path, ("moderated", True), by=bikes.newcomer).status == 403
    assert api.patch(third.path, ("deleted", False), by=bikes.newcomer).status == 403


@pytest.mark.parametrize("flag", ["deleted", "moderated"])
def test_hidden_comments_are_seen_by_moderators_who_bring_them_back(
    api: Api, make: Factory, bikes: Site, flag: str
) -> None:
    chat = make.conversation(bikes)
    comment = make.comment(chat, by=bikes.newcomer)
    assert api.patch(comment.path, (flag, True), by=bikes.moderator).status == 200

    flags = api.get(comment.path, by=bikes.moderator).data["meta"]["flags"]
    assert flags[flag] is True
    assert flags["visible"] is False
    assert api.get(comment.path, by=bikes.member).status == 404
    assert api.get(comment.path, site=bikes).status == 404
    # The author sees it with a link to the reasons, and can do nothing with it.
    links = api.get(comment.path, by=bikes.newcomer).data["meta"]["links"]
    assert "statement" in [link["rel"] for link in links]
    assert api.put(comment.path, {"markdown": "x"}, by=bikes.newcomer).status == 404
    assert api.get(chat.path, by=bikes.moderator).data["comments"]["total"] == 0
    assert api.patch(comment.path, (flag, False), by=bikes.member).status == 403
    assert api.patch(comment.path, (flag, False), by=bikes.moderator).status == 200
    assert api.get(comment.path, site=bikes).status == 200
    assert ids(api.get(chat.path, site=bikes)) == [comment.id]


def test_a_patch_says_nothing_about_an_edit(api: Api, make: Factory, bikes: Site) -> None:
    comment = make.comment(make.conversation(bikes))

    assert api.patch(comment.path, ("moderated", True), by=bikes.moderator).status == 200

    shown = api.get(comment.path, by=bikes.moderator).data
    assert "edited" not in shown["meta"]
    assert shown["meta"]["editedBy"]["id"] == bikes.member.id
    assert shown["revisions"] == 1
    for path in ("/meta/flags/sticky", "/meta/flags/open", "/markdown"):
        assert api.patch(comment.path, (path, True), by=bikes.moderator).status == 400


# ---------------------------------------------------------------- counters (C-16, R-07)


def counts(api: Api, make: Factory, chat: Thing, author: Person) -> tuple[int, int, int, int]:
    """Comments of the conversation in its own page and in the list, of the microcosm, of the author."""
    site = chat.site
    total = api.get(chat.path, site=site).data["comments"]["total"]
    listed = api.get("/api/v1/conversations", site=site).data["conversations"]["items"]
    in_list = next((one["totalComments"] for one in listed if one["id"] == chat.id), -1)
    ((microcosm_id,),) = make.sql("SELECT microcosm_id FROM items WHERE item_id = %(i)s", i=chat.id)
    root = api.get("/api/v1/microcosms", site=site).data["items"]["items"]
    places = {one["item"]["id"]: one["item"] for one in root if one["itemType"] == "microcosm"}
    by_author = api.get(author.path, site=site).data["commentCount"]
    return total, in_list, places[microcosm_id]["totalComments"], by_author


@pytest.mark.wide
@pytest.mark.slow
def test_counts_follow_every_change_at_once_folded_or_not(api: Api, make: Factory) -> None:
    site = make.site()
    place, other = make.microcosm(site), make.microcosm(site)
    chat = make.conversation(site, microcosm=place)
    author = make.person(site)

    def expect(*expected: int) -> None:
        assert counts(api, make, chat, author) == expected
        make.fold(site)
        assert counts(api, make, chat, author) == expected

    expect(0, 0, 0, 0)
    made = [write(api, chat, author, f"n {n}").location for n in range(4)]
    expect(4, 4, 4, 4)
    assert api.delete(made[1], by=author).status == 200
    expect(3, 3, 3, 3)
    assert api.delete(made[1], by=site.moderator).status == 200
    expect(3, 3, 3, 3)
    assert api.patch(made[2], ("moderated", True), by=site.moderator).status == 200
    expect(2, 2, 2, 2)
    # One of two reasons to hide it is taken away.
    assert api.patch(made[1], ("moderated", True), by=site.moderator).status == 200
    assert api.patch(made[1], ("deleted", False), by=site.moderator).status == 200
    expect(2, 2, 2, 2)
    assert api.patch(made[1], ("moderated", False), by=site.moderator).status == 200
    assert api.patch(made[2], ("moderated", False), by=site.moderator).status == 200
    expect(4, 4, 4, 4)
    # A moved conversation takes them along.
    body = {"microcosmId": other.id, "meta": {"editReason": "there"}}
    assert api.put(chat.path, body, by=site.owner).status == 302
    expect(4, 4, 4, 4)
    # Written while the conversation is hidden: counted once it is back.
    assert api.patch(chat.path, ("deleted", True), by=site.owner).status == 200
    assert write(api, chat, site.moderator, "unseen").status == 302
    assert api.delete(made[0], by=site.moderator).status == 200
    assert api.patch(chat.path, ("deleted", False), by=site.owner).status == 200
    expect(4, 4, 4, 3)


def test_the_last_comment_and_the_activity_are_those_of_the_newest_live_one(
    api: Api, make: Factory
) -> None:
    site = make.site()
    older, chat = make.conversation(site), make.conversation(site)
    first = make.comment(chat)
    make.comment(older)
    last = make.comment(chat, by=site.newcomer)

    def shown() -> tuple[list[int], Any]:
        listed = api.get("/api/v1/conversations", site=site).data["conversations"]["items"]
        one = next(one for one in listed if one["id"] == chat.id)
        return [each["id"] for each in listed], one.get("lastComment", {}).get("id")

    assert shown() == ([chat.id, older.id], last.id)
    assert api.delete(last.path, by=site.newcomer).status == 200
    assert shown() == ([older.id, chat.id], first.id)
    assert api.patch(last.path, ("deleted", False), by=site.moderator).status == 200
    assert shown() == ([chat.id, older.id], last.id)
    assert api.patch(first.path, ("moderated", True), by=site.moderator).status == 200
    assert api.delete(last.path, by=site.newcomer).status == 200
    assert shown()[1] is None
    assert api.patch(first.path, ("moderated", False), by=site.moderator).status == 200
    assert shown()[1] == first.id
    assert api.delete(first.path, by=site.member).status == 200
    assert shown()[1] is None


# ---------------------------------------------------------------- comments on a profile


def test_a_profile_is_commented_on_by_itself_and_the_sites_owner(
    api: Api, make: Factory, bikes: Site
) -> None:
    someone = make.person(bikes)
    for by in (bikes.member, bikes.moderator, None):
        refused = write(api, someone, by, "Hello")
        assert refused.status == 403
        assert refused.code == 10

    mine = write(api, someone, someone, "About me")
    shown = api.follow(mine, site=bikes).data
    assert (shown["itemType"], shown["itemId"]) == ("profile", someone.id)
    rels = [(one["rel"], one["href"]) for one in shown["meta"]["links"]]
    assert ("profile", someone.path) in rels
    assert ("up", someone.path) in rels
    profile = api.get(someone.path, site=bikes).data
    assert profile["profileComment"]["id"] == shown["id"]
    assert profile["commentCount"] == 1
    welcome = write(api, someone, bikes.owner, "Welcome")
    assert api.get(someone.path, site=bikes).data["profileComment"]["id"] == id_of(welcome)
    for is_moderated, first in ((True, shown["id"]), (False, id_of(welcome))):
        api.patch(welcome.location, ("moderated", is_moderated), by=bikes.owner)
        assert api.get(someone.path, site=bikes).data["profileComment"]["id"] == first
    # Whoever wrote it and the site's owner take it away; the one before shows again.
    assert api.delete(welcome.location, by=someone).status == 403
    assert api.delete(welcome.location, by=bikes.moderator).status == 403
    assert api.delete(welcome.location, by=bikes.owner).status == 200
    assert api.get(someone.path, site=bikes).data["profileComment"]["id"] == shown["id"]
    assert api.delete(mine.location, by=someone).status == 200
    assert api.get(someone.path, site=bikes).data["profileComment"] is None


def test_a_comment_on_a_profile_marks_nothing_read(api: Api, make: Factory, bikes: Site) -> None:
    bio = make.comment(bikes.member, by=bikes.member)
    reader = make.person(bikes)

    assert api.get(bio.path, by=reader).status == 200
    assert api.get(f"{bio.path}/incontext", by=reader).status == 307
    assert marks(make, reader) == {}


# ---------------------------------------------------------------- the page that holds a comment (content 3.4, 7.1, 7.4)


def query(location: str) -> dict[str, str]:
    """The query of a Location, one value a key."""
    return {key: values[0] for key, values in parse_qs(urlsplit(location).query).items()}


@pytest.fixture(scope="module")
def long(make: Factory, bikes: Site) -> tuple[Thing, list[Thing]]:
    """A conversation of 61 comments."""
    chat = make.conversation(bikes)
    return chat, make.comments(chat, 61)


@pytest.mark.parametrize(
    ("number", "limit", "expected"),
    [
        (1, "", ""),
        (25, "", ""),
        (26, "", "offset=25"),
        (50, "", "offset=25"),
        (51, "", "offset=50"),
        (61, "", "offset=50"),
        (5, "5", ""),
        (6, "5", "limit=5&offset=5"),
        (61, "10", "limit=10&offset=60"),
        (61, "250", ""),
        (26, "25", "offset=25"),
    ],
)
def test_a_comment_says_on_which_page_it_stands(
    api: Api,
    bikes: Site,
    long: tuple[Thing, list[Thing]],
    number: int,
    limit: str,
    expected: str,
) -> None:
    chat, comments = long
    comment = comments[number - 1]
    asked = f"?limit={limit}" if limit else ""

    page = link(api.get(f"{comment.path}{asked}", site=bikes).data, "commentPage")
    assert page == chat.path + (f"?{expected}" if expected else "")
    assert comment.id in ids(api.get(page + ("" if expected else asked), site=bikes))
    moved = api.get(f"{comment.path}/incontext{asked}", site=bikes)
    assert moved.status == 307
    assert moved.json() == {"context": "", "status": 307, "data": None, "error": None}
    more = f"&{expected}" if expected else ""
    assert moved.location == f"{chat.path}?comment_id={comment.id}{more}"


@pytest.mark.wide
@pytest.mark.slow
def test_the_page_is_the_viewers_own(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    noisy, reader = make.person(bikes), make.person(bikes)
    ours = []
    for number in range(12):
        make.comment(chat, by=noisy)
        ours.append(make.comment(chat))
        if number % 4 == 0:
            hidden = make.comment(chat)
            assert api.delete(hidden.path, by=bikes.moderator).status == 200
    make.ignore(reader, noisy)

    for by in (reader, None, bikes.moderator):
        for comment in (ours[0], ours[4], ours[5], ours[9], ours[11]):
            moved = api.get(f"{comment.path}/incontext?limit=5", site=bikes, by=by)
            assert comment.id in ids(api.get(moved.location + "&limit=5", site=bikes, by=by))
            shown = api.get(f"{comment.path}?limit=5", site=bikes, by=by).data
            page = link(shown, "commentPage")
            page += "" if "limit" in page else "?limit=5"
            assert comment.id in ids(api.get(page, site=bikes, by=by))


def test_a_bad_limit_is_refused_after_the_right(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    comment = make.comment(chat)
    for path in (
        comment.path,
        f"{comment.path}/incontext",
        f"{chat.path}/lastcomment",
        f"{chat.path}/newcomment",
    ):
        assert api.get(f"{path}?limit=7", site=bikes).status == 400
    for rest in ("", "/incontext"):
        assert api.get(f"{COMMENTS}/987654321{rest}?limit=7", by=bikes.member).status == 403
    for rest in ("lastcomment", "newcomment"):
        path = f"/api/v1/conversations/987654321/{rest}?limit=7"
        assert api.get(path, by=bikes.member).status == 403


def test_lastcomment_leads_to_the_last_live_one_that_is_not_ignored(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    last = f"{chat.path}/lastcomment"
    assert api.get(last, site=bikes).location == chat.path
    assert api.get(f"{last}?b=2&a=1", site=bikes).location == f"{chat.path}?a=1&b=2"
    comments = make.comments(chat, 27)
    noisy, reader = make.person(bikes), make.person(bikes)
    ignored = make.comment(chat, by=noisy)
    make.ignore(reader, noisy)

    assert api.get(last, site=bikes).location == f"{chat.path}?comment_id={ignored.id}&offset=25"
    seen = f"{chat.path}?comment_id={comments[26].id}&offset=25"
    assert api.get(last, by=reader).location == seen
    assert api.delete(comments[26].path, by=bikes.moderator).status == 200
    assert api.delete(comments[25].path, by=bikes.moderator).status == 200
    assert api.get(last, by=reader).location == f"{chat.path}?comment_id={comments[24].id}"
    # Keys sorted, others kept, its own replaced.
    found = api.get(f"{last}?z=1&comment_id=5&limit=5&offset=0&a=%20", by=reader)
    assert found.location == f"{chat.path}?a=+&comment_id={comments[24].id}&limit=5&offset=20&z=1"


@pytest.mark.wide
@pytest.mark.slow
def test_newcomment_leads_to_where_one_stopped_reading(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    new = f"{chat.path}/newcomment"
    reader = make.person(bikes)
    assert api.get(new, by=reader).location == chat.path
    comments = make.comments(chat, 60)

    # A guest begins at the beginning, somebody new as well.
    assert api.get(new, site=bikes).location == f"{chat.path}?comment_id={comments[0].id}"
    assert api.get(new, by=reader).location == f"{chat.path}?comment_id={comments[0].id}"
    assert api.get(chat.path, by=reader).status == 200
    at = api.get(new, by=reader).location
    assert at == f"{chat.path}?comment_id={comments[25].id}&offset=25"
    # It marks nothing itself; following it does.
    assert api.get(new, by=reader).location == at
    assert comments[25].id in ids(api.get(at, by=reader))
    assert query(api.get(new, by=reader).location)["comment_id"] == str(comments[50].id)
    assert api.get(f"{chat.path}?offset=50", by=reader).status == 200
    # All is read: the last one.
    end = f"{chat.path}?comment_id={comments[59].id}&offset=50"
    assert api.get(new, by=reader).location == end
    hidden, ignored, next_one = make.comments(chat, 3)
    noisy = make.person(bikes)
    make.sql(
        "UPDATE comments SET created_by = %(p)s WHERE comment_id = %(c)s", p=noisy.id, c=ignored.id
    )
    make.ignore(reader, noisy)
    assert api.delete(hidden.path, by=bikes.moderator).status == 200
    assert query(api.get(new, by=reader).location)["comment_id"] == str(next_one.id)
    assert api.get(f"{new}?limit=7", by=reader).status == 400


# ---------------------------------------------------------------- unread flags and marks (discovery 7.3, 7.4, R-08)


def marks(make: Factory, who: Person) -> dict[int, Any]:
    """Item id -> time of a person's read marks."""
    rows = make.sql(
        "SELECT item_id, read_at FROM read_marks WHERE site_id = %(s)s AND profile_id = %(p)s",
        s=who.site.id,
        p=who.id,
    )
    return dict(rows)


def unread(answer: Response) -> list[bool]:
    """The unread flags of a page's comments."""
    return [one["meta"]["flags"]["unread"] for one in answer.data["comments"]["items"]]


def test_comments_are_unread_until_they_were_shown(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    before = make.comments(chat, 2)
    reader = make.person(bikes)
    make.comments(chat, 2)

    # What was there before one came is read.
    assert unread(api.get(chat.path, by=reader)) == [False, False, True, True]
    assert unread(api.get(chat.path, by=reader)) == [False] * 4
    assert unread(api.get(chat.path, site=bikes)) == [False] * 4
    late = make.comment(chat)
    assert unread(api.get(chat.path, by=reader)) == [*[False] * 4, True]
    assert unread(api.get(chat.path, by=reader)) == [False] * 5
    for comment in (before[0], late):
        shown = api.get(comment.path, by=make.person(bikes)).data
        assert shown["meta"]["flags"]["unread"] is False


def test_a_page_marks_up_to_its_last_comment_and_the_last_page_everything(
    api: Api, make: Factory, bikes: Site
) -> None:
    reader = make.person(bikes)
    chat = make.conversation(bikes)
    comments = make.comments(chat, 12)
    created = dict(
        make.sql("SELECT comment_id, created FROM comments WHERE item_id = %(i)s", i=chat.id)
    )

    assert unread(api.get(f"{chat.path}?limit=5", by=reader)) == [True] * 5
    assert marks(make, reader) == {chat.id: created[comments[4].id]}
    # A page before it moves nothing back, a comment moves it up to itself.
    assert api.get(f"{chat.path}?limit=5", by=reader).status == 200
    assert marks(make, reader) == {chat.id: created[comments[4].id]}
    assert api.get(comments[1].path, by=reader).status == 200
    assert marks(make, reader) == {chat.id: created[comments[4].id]}
    assert api.get(comments[7].path, by=reader).status == 200
    assert marks(make, reader) == {chat.id: created[comments[7].id]}
    page = api.get(f"{chat.path}?limit=5&offset=5", by=reader)
    assert unread(page) == [False, False, False, True, True]
    assert unread(api.get(f"{chat.path}?limit=5&offset=10", by=reader)) == [True, True]
    assert marks(make, reader)[chat.id] == created[comments[11].id]
    assert marks(make, bikes.newcomer).get(chat.id) is None


def test_an_item_without_comments_is_marked_read(api: Api, make: Factory, bikes: Site) -> None:
    reader = make.person(bikes)
    chat = make.conversation(bikes)

    assert api.get(chat.path, by=reader).status == 200

    assert list(marks(make, reader)) == [chat.id]


def test_writing_marks_nothing_and_reading_what_one_wrote_does(
    api: Api, make: Factory, bikes: Site
) -> None:
    writer = make.person(bikes)
    chat = make.conversation(bikes)
    make.comment(chat)

    made = write(api, chat, writer, "Mine")
    assert marks(make, writer) == {}
    assert api.follow(made, by=writer).status == 200
    assert unread(api.get(chat.path, by=writer)) == [False, False]


def test_a_comment_on_its_way_is_unread_when_it_arrives(
    server: Server, api: Api, make: Factory, bikes: Site, database_url: str
) -> None:
    author, reader = make.person(bikes), make.person(bikes)
    chat = make.conversation(bikes)
    make.comment(chat)
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as pool:
        # It has its time and its place already, and waits for the author's counter.
        other.execute(
            "SELECT 1 FROM profile_counters WHERE profile_id = %s FOR UPDATE", [author.id]
        )
        sent = pool.submit(lambda: write(server.api(), chat, author, "On its way"))
        make.wait_for_locks(1)
        assert len(ids(api.get(chat.path, by=reader))) == 1
        other.rollback()
        assert sent.result().status == 302

    assert unread(api.get(chat.path, by=reader)) == [False, True]


def test_a_refused_page_marks_nothing(api: Api, make: Factory, bikes: Site) -> None:
    reader = make.person(bikes)
    chat = make.conversation(bikes)
    make.comment(chat)

    for bad in ("?limit=7", "?offset=25", "?offset=x"):
        assert api.get(chat.path + bad, by=reader).status == 400
    assert marks(make, reader) == {}


def test_no_mark_moves_back(api: Api, make: Factory) -> None:
    site = make.site()
    reader, chat = site.member, make.conversation(site)
    huddle = make.huddle(reader, site.owner)
    comment = make.comment(chat, by=site.owner)
    now = datetime.datetime.now(datetime.UTC)
    late = {"s": site.id, "p": reader.id, "late": now + datetime.timedelta(days=1)}
    for item in (chat, huddle):
        make.sql(
            "INSERT INTO read_marks VALUES (%(s)s, %(p)s, %(type)s, %(id)s, %(late)s)",
            type=item.type,
            id=item.id,
            **late,
        )
    make.sql(
        """UPDATE profiles SET all_read_at = %(late)s, huddles_read_at = %(late)s
            WHERE site_id = %(s)s AND profile_id = %(p)s""",
        **late,
    )

    for named in (
        {"itemType": "conversation", "itemId": chat.id},
        {"itemType": "huddle", "itemId": huddle.id},
        {"itemType": "huddle", "itemId": 0},
        {"itemType": "site"},
    ):
        assert api.put("/api/v1/profiles/read", named, by=reader).status == 200
    assert api.get(chat.path, by=reader).status == api.get(huddle.path, by=reader).status == 200
    assert write(api, huddle, reader, "One's own is read").status == 302
    # A page that was read before the mark moved, and is marked after it.
    shown = {"site_id": site.id, "me": reader.id, "item_type": chat.type, "item_id": chat.id}
    with make.database.write() as tx:
        tx.run(item_model.MARK_ALL, read_at=now, **shown)
        tx.run(item_model.MARK_AT, comment_id=comment.id, **shown)

    assert set(marks(make, reader).values()) == {late["late"]}
    times = "SELECT all_read_at, huddles_read_at FROM profiles WHERE profile_id = %(p)s"
    assert make.sql(times, p=reader.id) == [(late["late"], late["late"])]


def test_marking_a_microcosm_or_the_site_read_covers_comments(
    api: Api, make: Factory, bikes: Site
) -> None:
    reader = make.person(bikes)
    place = make.microcosm(bikes)
    chat = make.conversation(bikes, microcosm=place)
    for body in (
        {"itemType": "microcosm", "itemId": place.id},
        {"itemType": "site"},
        {"itemType": "conversation", "itemId": chat.id},
    ):
        comment = make.comment(chat)
        new = api.get(f"{chat.path}/newcomment", by=reader).location
        assert query(new)["comment_id"] == str(comment.id)
        assert api.put("/api/v1/profiles/read", body, by=reader).status == 200
        assert not any(unread(api.get(chat.path, by=reader)))
