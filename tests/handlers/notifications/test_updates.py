"""The list of updates and the preferences, over HTTP. Who is told of what: tests/updates."""

from __future__ import annotations

import pytest

from forumapi import itemtypes
from tests.updates.stage import crowd, entries, heard, told, updates


@pytest.fixture
def ana(make, bikes):
    return make.person(bikes)


@pytest.fixture
def bob(make, bikes):
    return make.person(bikes)


def watch(make, person, item_type, item_id, *, ago="0"):
    make.sql(
        """
        INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, created)
        VALUES (%(site)s, %(who)s, %(type)s, %(item)s, now() - %(ago)s::interval)""",
        site=person.site.id,
        who=person.id,
        type=item_type,
        item=item_id,
        ago=ago,
    )


def test_a_comment_on_what_one_follows_is_listed_with_its_item(api, make, bikes, ana, bob):
    chat = make.conversation(bikes, by=ana, title="Which bolt?")
    comment = make.comment(chat, by=bob, markdown="The *short* one.")

    (entry,) = entries(api, ana)

    assert (entry["updateType"], entry["itemType"]) == ("new_comment", "comment")
    assert entry["item"]["id"] == comment.id
    assert entry["item"]["html"] == "<p>The <em>short</em> one.</p>\n"
    assert entry["item"]["meta"]["flags"]["unread"] is False
    assert entry["parentItemType"] == "conversation"
    assert entry["parentItem"]["title"] == "Which bolt?"
    assert entry["meta"]["createdBy"]["id"] == bob.id
    assert entry["meta"]["flags"] == {"unread": True}


def test_of_each_thing_one_follows_only_the_newest_comment_is_listed(api, make, bikes, ana, bob):
    chat, other = make.conversation(bikes, by=ana), make.conversation(bikes, by=ana)
    make.comments(chat, 2, by=bob)
    second = make.comment(other, by=bob)
    first = make.comment(chat, by=bob)

    assert heard(api, ana) == [
        ("new_comment", "comment", first.id),
        ("new_comment", "comment", second.id),
    ]


def test_one_hears_of_a_thread_as_long_as_one_follows_it(api, make, bikes, ana, bob):
    chat = make.conversation(bikes, by=ana)
    comment = make.comment(chat, by=bob)
    make.sql("DELETE FROM watchers WHERE profile_id = %(id)s", id=ana.id)
    assert heard(api, ana) == []

    watch(make, ana, itemtypes.CONVERSATION, chat.id)

    assert heard(api, ana) == [("new_comment", "comment", comment.id)]


def test_one_own_comment_is_an_update_too(api, make, bikes, ana):
    comment = make.comment(make.conversation(bikes, by=ana), by=ana)

    assert heard(api, ana) == [("new_comment", "comment", comment.id)]


def test_a_hidden_comment_gives_way_to_the_one_before_it(api, make, bikes, ana, bob):
    chat = make.conversation(bikes, by=ana)
    before, last = make.comments(chat, 2, by=bob)

    assert api.delete(last.path, by=bob).status == 200

    assert heard(api, ana) == [("new_comment", "comment", before.id)]


def test_a_comment_by_somebody_ignored_gives_way_to_the_one_before_it(api, make, bikes, ana, bob):
    chat = make.conversation(bikes, by=ana)
    before = make.comment(chat, by=bikes.member)
    deleted, moderated = make.comments(chat, 2, by=bikes.member)
    make.comments(chat, 2, by=bob)
    assert api.delete(deleted.path, by=bikes.member).status == 200
    assert api.patch(moderated.path, ("moderated", True), by=bikes.moderator).status == 200

    make.ignore(ana, bob)

    assert heard(api, ana) == [("new_comment", "comment", before.id)]


def test_a_comment_in_a_huddle_is_listed_with_the_huddle(api, make, bikes, ana, bob):
    huddle = make.huddle(ana, bob, title="Ride on Friday?")
    comment = make.comment(huddle, by=ana)

    (entry,) = entries(api, bob)

    assert entry["updateType"] == "new_comment_in_huddle"
    assert entry["item"]["id"] == comment.id
    assert entry["parentItemType"] == "huddle"
    assert entry["parentItem"]["title"] == "Ride on Friday?"
    assert [one["id"] for one in entry["parentItem"]["participants"]] == [ana.id, bob.id]
    assert entry["parentItem"]["lastCommentId"] == comment.id
    assert entry["meta"]["flags"] == {"unread": True}

    make.sql("DELETE FROM huddle_participants WHERE profile_id = %(id)s", id=bob.id)
    assert heard(api, bob) == []


def test_a_comment_on_a_profile_one_follows_is_listed_with_the_profile(api, make, bikes, ana, bob):
    watch(make, ana, itemtypes.PROFILE, bikes.newcomer.id)
    comment = make.comment(bikes.newcomer, by=bob)

    (entry,) = entries(api, ana)

    assert (entry["updateType"], entry["item"]["id"]) == ("new_comment", comment.id)
    assert (entry["parentItemType"], entry["parentItem"]["id"]) == ("profile", bikes.newcomer.id)
    assert entry["meta"]["flags"] == {"unread": False}
    up = next(one for one in entry["item"]["meta"]["links"] if one["rel"] == "up")
    assert up["title"] == bikes.newcomer.name

    deleted, moderated = make.comments(bikes.newcomer, 2, by=bob)
    assert api.delete(deleted.path, by=bob).status == 200
    assert api.patch(moderated.path, ("moderated", True), by=bikes.owner).status == 200
    assert heard(api, ana) == [("new_comment", "comment", comment.id)]

    make.ignore(ana, bikes.newcomer)
    assert heard(api, ana) == []


def test_a_reply_and_a_mention_are_listed_beside_the_thread(api, make, bikes, ana, bob):
    chat = make.conversation(bikes)
    mine = make.comment(chat, by=ana)
    make.sql("DELETE FROM watchers WHERE profile_id = %(id)s", id=ana.id)
    reply = make.comment(chat, by=bob, reply_to=mine)
    mention = make.comment(make.conversation(bikes), by=bob, markdown=f"Ask @{ana.name}!")
    told(make, bikes)

    found = entries(api, ana)

    assert [(one["updateType"], one["item"]["id"]) for one in found] == [
        ("mentioned", mention.id),
        ("reply_to_comment", reply.id),
    ]
    assert found[1]["item"]["inReplyTo"] == mine.id
    assert found[1]["meta"]["createdBy"]["id"] == bob.id

    assert api.patch(mention.path, ("moderated", True), by=bikes.moderator).status == 200
    assert heard(api, ana) == [("reply_to_comment", "comment", reply.id)]
    assert api.delete(reply.path, by=bob).status == 200
    assert heard(api, ana) == []


@pytest.mark.parametrize("item_type", ["conversation", "event", "poll"])
def test_a_new_item_is_listed_for_who_follows_its_microcosm(api, make, bikes, ana, bob, item_type):
    place = make.microcosm(bikes)
    watch(make, ana, itemtypes.MICROCOSM, place.id)
    item = getattr(make, item_type)(bikes, by=bob, microcosm=place)

    (entry,) = entries(api, ana)

    assert (entry["updateType"], entry["itemType"]) == ("new_item", item_type)
    assert entry["item"]["id"] == item.id
    link = next(one for one in entry["item"]["meta"]["links"] if one["rel"] == "microcosm")
    assert link["href"] == place.path
    assert "parentItem" not in entry
    assert entry["meta"]["flags"] == {"unread": True}


def test_new_items_are_listed_for_a_month_to_those_who_followed_then(api, make, ana, bob):
    site = make.site()
    fan, late = make.person(site), make.person(site)
    above = make.microcosm(site)
    place = make.microcosm(site, parent=above)
    below = make.microcosm(site, parent=place)
    watch(make, fan, itemtypes.MICROCOSM, place.id, ago="1 year")
    for where in (above, below):
        make.conversation(site, microcosm=where)
    old, new = make.conversation(site, microcosm=place), make.conversation(site, microcosm=place)
    make.sql(
        "UPDATE items SET created = now() - interval '32 days' WHERE item_id = %(id)s", id=old.id
    )
    watch(make, late, itemtypes.MICROCOSM, place.id)

    assert heard(api, fan) == [("new_item", "conversation", new.id)]
    assert heard(api, late) == []


def test_who_follows_the_site_hears_of_new_items_wherever_they_may_read(api, make):
    site = make.site()
    fan = make.person(site)
    watch(make, fan, itemtypes.SITE, site.id)
    hidden = make.microcosm(site)
    make.role(site, hidden.id, "Keepers", moderator=False, rights=("read",))
    make.conversation(site, microcosm=hidden)
    shown = make.conversation(site)

    assert heard(api, fan) == [("new_item", "conversation", shown.id)]
    make.ignore(fan, shown)
    assert heard(api, fan) == []


def test_that_somebody_comes_is_listed_for_who_follows_the_event(api, make, bikes, ana, bob):
    event = make.event(bikes, by=ana)
    make.attend(event, bob)
    told(make, bikes)

    (entry,) = entries(api, ana)

    assert (entry["updateType"], entry["itemType"]) == ("new_attendee", "event")
    assert entry["item"]["id"] == event.id
    assert entry["meta"]["createdBy"]["id"] == bob.id
    make.sql("DELETE FROM watchers WHERE profile_id = %(id)s", id=ana.id)
    assert heard(api, ana) == []


def test_votes_are_listed_for_who_follows_the_poll_and_not_who_voted(api, make, bikes, ana, bob):
    poll = make.poll(bikes, by=ana)
    choice = api.get(poll.path, by=bob).data["choices"][0]["id"]
    assert heard(api, ana) == []

    assert api.put(f"{poll.path}/votes", [{"id": choice}], by=bob).status == 302
    assert heard(api, ana) == [("new_vote", "poll", poll.id)]

    (first,) = entries(api, ana)
    assert first["meta"]["createdBy"]["id"] == ana.id
    assert api.put(f"{poll.path}/votes", [{"id": choice + 1}], by=bob).status == 302
    assert [one["meta"] for one in entries(api, ana)] == [first["meta"]]
    assert api.put(f"{poll.path}/votes", [{"id": choice}], by=bikes.member).status == 302
    (again,) = entries(api, ana)
    assert again["meta"]["created"] > first["meta"]["created"]


@pytest.mark.wide
def test_what_may_not_be_read_any_more_is_neither_listed_nor_counted(api, make):
    site = make.site()
    ana = make.person(site)
    place = make.microcosm(site)
    chat = make.conversation(site, by=ana, microcosm=place)
    mine = make.comment(chat, by=ana)
    make.comment(chat, by=site.member, markdown=f"@{ana.name} look", reply_to=mine)
    watch(make, ana, itemtypes.MICROCOSM, place.id, ago="1 day")
    told(make, site)
    types = {one["updateType"] for one in entries(api, ana)}
    assert types == {"new_comment", "reply_to_comment", "mentioned", "new_item"}

    make.role(site, place.id, "Keepers", rights=("read",))

    assert heard(api, ana) == []


@pytest.mark.wide
@pytest.mark.sliced(2)
@pytest.mark.parametrize(
    "state",
    [
        "UPDATE items SET is_deleted = true WHERE item_id = %(item)s",
        "UPDATE items SET is_moderated = true WHERE item_id = %(item)s",
        """WITH hidden AS (UPDATE microcosms SET is_deleted = true WHERE microcosm_id = %(place)s RETURNING site_id)
           UPDATE sites SET acl_version = acl_version + 1 WHERE site_id IN (SELECT site_id FROM hidden)""",
        "INSERT INTO ignores VALUES (%(site)s, %(who)s, 6, %(item)s)",
        "INSERT INTO ignores VALUES (%(site)s, %(who)s, 2, %(place)s)",
        "INSERT INTO ignores VALUES (%(site)s, %(who)s, 3, %(by)s)",
    ],
    ids=["deleted", "moderated", "in deleted", "ignored", "in ignored", "by ignored"],
)
def test_what_is_hidden_or_ignored_is_neither_listed_nor_counted(api, make, bikes, ana, bob, state):
    place = make.microcosm(bikes)
    watch(make, ana, itemtypes.MICROCOSM, place.id, ago="1 day")
    chat = make.conversation(bikes, by=bob, microcosm=place)
    watch(make, ana, itemtypes.CONVERSATION, chat.id)
    make.comment(chat, by=bob, markdown=f"@{ana.name} look")
    told(make, bikes)
    assert len(entries(api, ana)) == 3

    make.sql(state, site=bikes.id, who=ana.id, item=chat.id, place=place.id, by=bob.id)

    assert heard(api, ana) == []


def test_what_the_caller_wrote_or_began_is_left_out_if_so_asked(api, make, bikes, ana, bob):
    watch(make, ana, itemtypes.SITE, 0, ago="1 day")
    own = make.conversation(bikes, by=ana)
    theirs = make.conversation(bikes, by=bob)
    watch(make, ana, itemtypes.CONVERSATION, theirs.id)
    make.comment(own, by=ana)
    make.comment(theirs, by=bob)
    huddle = make.huddle(ana, bob)
    make.comment(huddle, by=ana)
    make.poll(bikes, by=ana)
    told(make, bikes)

    assert {one["meta"]["createdBy"]["id"] for one in entries(api, ana)} == {ana.id, bob.id}
    found = api.get("/api/v1/updates?byOthers=true", by=ana).data["updates"]
    assert {one["meta"]["createdBy"]["id"] for one in found["items"]} == {bob.id}
    assert found["total"] == len(found["items"])
    make.comment(huddle, by=bob)
    told(make, bikes)
    assert "new_comment_in_huddle" in {
        one["updateType"] for one in entries(api, ana, "?byOthers=true")
    }


@pytest.mark.wide
def test_reading_the_thread_clears_its_entries(api, make, bikes, ana, bob):
    chat = make.conversation(bikes, by=ana)
    make.comment(chat, by=bob, markdown=f"@{ana.name} look")
    told(make, bikes)
    assert [one["meta"]["flags"]["unread"] for one in entries(api, ana)] == [True, True]
    assert len(entries(api, ana, "?unread=true")) == 2

    assert api.get(chat.path, by=ana).status == 200

    assert [one["meta"]["flags"]["unread"] for one in entries(api, ana)] == [False, False]
    assert heard(api, ana, "?unread=true") == []


def test_a_huddle_is_not_unread_for_what_an_ignored_person_wrote(api, make, bikes, ana, bob):
    huddle = make.huddle(ana, bob, bikes.member)
    make.comment(huddle, by=bikes.member)
    assert api.get(huddle.path, by=ana).status == 200
    make.comment(huddle, by=bob)
    watch(make, ana, itemtypes.HUDDLE, huddle.id)
    assert [one["meta"]["flags"]["unread"] for one in entries(api, ana)] == [True]

    make.ignore(ana, bob)

    assert [one["meta"]["flags"]["unread"] for one in entries(api, ana)] == [False]


@pytest.mark.wide
def test_the_list_can_be_one_type_alone(api, make, bikes, ana, bob):
    chat = make.conversation(bikes, by=ana)
    comment = make.comment(chat, by=bob, markdown=f"@{ana.name} look")
    told(make, bikes)

    assert heard(api, ana, "?updateType=mentioned") == [("mentioned", "comment", comment.id)]
    refused = api.get("/api/v1/updates?updateType=rumour", by=ana)
    assert refused.status == 400
    assert "updateType" in refused.error
    assert api.get("/api/v1/updates?unread=perhaps", by=ana).status == 400


@pytest.mark.wide
def test_pages_follow_one_another_without_gaps_and_every_entry_has_an_id_of_its_own(
    api, make, bikes, ana, bob
):
    for _ in range(6):
        make.comment(make.conversation(bikes, by=ana), by=bob, markdown=f"@{ana.name} again")
    told(make, bikes)

    whole = entries(api, ana)
    pages = [updates(api, ana, f"?limit=5&offset={start}").data["updates"] for start in (0, 5, 10)]

    assert [page["total"] for page in pages] == [12, 12, 12]
    assert [one["id"] for page in pages for one in page["items"]] == [one["id"] for one in whole]
    assert len({one["id"] for one in whole}) == 12
    assert all(0 < one["id"] < 2**53 for one in whole)
    assert api.get("/api/v1/updates?limit=5&offset=15", by=ana).status == 400


def test_a_page_costs_two_statements_and_one_round_trip_to_the_cache(api, make, bikes, ana, bob):
    place = make.microcosm(bikes)
    watch(make, ana, itemtypes.MICROCOSM, place.id, ago="1 day")
    for kind in ("conversation", "event", "poll"):
        item = getattr(make, kind)(bikes, by=ana, microcosm=place)
        make.comment(item, by=bob, markdown=f"@{ana.name} look")
    make.comment(make.huddle(bob, ana), by=bob)
    told(make, bikes)
    updates(api, ana)

    warm = updates(api, ana)

    assert len(warm.data["updates"]["items"]) == 10
    assert warm.statements == 2
    assert warm.cache_trips <= 1


@pytest.mark.wide
def test_a_comment_costs_the_same_however_many_follow_and_they_hear_of_it_at_once(api, make):
    site = make.site()
    fan, bob = make.person(site), make.person(site)
    quiet, hot = make.conversation(site), make.conversation(site)
    crowd(make, site, 5000, itemtypes.CONVERSATION, hot.id)
    watch(make, fan, itemtypes.CONVERSATION, hot.id)

    def post(chat, text):
        body = {"itemType": "conversation", "itemId": chat.id, "markdown": text}
        answer = api.post("/api/v1/comments", body, by=bob)
        assert answer.status == 302
        return answer

    post(quiet, "The first one costs more")
    alone, among_many = post(quiet, "Nobody follows"), post(hot, "Five thousand follow")

    assert among_many.statements == alone.statements
    comment = int(among_many.location.rpartition("/")[2])
    assert heard(api, fan) == [("new_comment", "comment", comment)]


def test_the_tag_of_a_list_holds_until_it_changes(api, make, bikes, ana, bob):
    chat = make.conversation(bikes, by=ana)
    make.comment(chat, by=bob)
    tag = updates(api, ana).headers["ETag"]
    same = api.get("/api/v1/updates", by=ana, headers={"If-None-Match": tag})
    assert same.status == 304

    assert api.get(chat.path, by=ana).status == 200

    assert api.get("/api/v1/updates", by=ana, headers={"If-None-Match": tag}).status == 200


def test_guests_have_no_updates(api, bikes):
    for path in ("", "/preferences", "/preferences/1"):
        assert api.get(f"/api/v1/updates{path}", site=bikes).status == 403
    assert api.put("/api/v1/updates/preferences/1", {"sendEmail": True}, site=bikes).status == 403


# ---------------------------------------------------------------- preferences


def preference(api, person, number):
    answer = api.get(f"/api/v1/updates/preferences/{number}", by=person)
    assert answer.status == 200
    keys = ["profileId", "id", "description", "sendEmail", "sendSMS", "sendPush", "meta"]
    assert list(answer.data) == keys
    return answer.data["sendEmail"], answer.data["sendSMS"]


def test_there_is_a_preference_for_each_type_in_order(api, bikes, ana):
    found = api.get("/api/v1/updates/preferences", by=ana).data

    assert [one["id"] for one in found] == list(range(1, 11))
    assert {one["profileId"] for one in found} == {ana.id}
    assert all(one["description"] and one["meta"] == {} for one in found)
    assert [one["id"] for one in found if one["sendEmail"]] == [9, 10]
    assert not any(one["sendSMS"] for one in found)


def test_what_is_not_sent_stays_as_it_was(api, ana):
    path = "/api/v1/updates/preferences/9"

    done = api.put(path, {"id": 1, "sendSMS": True}, by=ana)

    assert (done.status, done.location) == (302, path)
    assert preference(api, ana, 9) == (True, True)
    assert api.put(path, {"sendEmail": False}, by=ana).status == 302
    assert preference(api, ana, 9) == (False, True)
    assert preference(api, ana, 1) == (False, False)


def test_a_type_that_is_not_there_is_not_found(api, ana):
    for number in (0, 11, 2**40):
        path = f"/api/v1/updates/preferences/{number}"
        assert api.get(path, by=ana).status == 404
        assert api.put(path, {"sendEmail": True}, by=ana).status == 404


def test_defaults_are_those_of_now_until_somebody_chooses(api, make):
    site = make.site()
    ana, bob = make.person(site), make.person(site)
    assert api.put("/api/v1/updates/preferences/9", {"sendSMS": False}, by=bob).status == 302
    make.sql("DELETE FROM profile_options WHERE site_id = %(id)s", id=site.id)
    assert preference(api, ana, 9) == (True, False)

    make.sql("UPDATE site_options SET send_email = false WHERE site_id = %(id)s", id=site.id)

    assert preference(api, ana, 9) == (False, False)
    assert preference(api, bob, 9) == (True, False)
    assert api.get("/api/v1/profiles/options", by=ana).data["sendEmail"] is False
    assert api.put("/api/v1/profiles/options", {"showDOB": True}, by=ana).status == 302
    assert api.get("/api/v1/profiles/options", by=ana).data["sendEmail"] is False
    assert api.put("/api/v1/profiles/options", {"sendEmail": True}, by=ana).status == 302
    assert preference(api, ana, 9) == (True, False)
