"""Part `notifications` of the smoke test: what two people are notified of, in the list and by mail; search,
trending.
"""

from __future__ import annotations

import datetime
import secrets
import subprocess
import sys
from urllib.parse import quote_plus

from scripts.smoke.forum import Forum, Person, SmokeError, expect, same, say, until

# Replies, mentions, comments on what is followed, in huddles, answers, new items (docs/api/updates.md).
ASKED_FOR = (2, 3, 1, 4, 5, 8)
LISTED = 25


def run(forum: Forum, owner: str) -> None:
    """Run this part. `owner`: token of the site's owner."""
    ana, bo = forum.newcomer("ana"), forum.newcomer("bo")
    for who in (ana, bo):
        for kind in ASKED_FOR:
            who.put(f"/updates/preferences/{kind}", {"sendEmail": True})
    place = forum.microcosm(owner, "Signals", "Who hears what")
    talk, replied = mention_and_reply(ana, bo, place)
    watch(ana, bo, place)
    huddle(ana, bo)
    invite(ana, bo, place)
    turn_off(ana, bo, talk, replied)
    take_back(ana, bo, talk)
    search(ana, bo, place)
    trend(ana, bo, talk)
    say(command("list"))


def heard(who: Person) -> list[tuple[str, int]]:
    """Return (update type, id of the item) for each entry in a person's list of updates, the newest first."""
    found = who.get(f"/updates?limit={LISTED}")["updates"]["items"]
    return [(one["updateType"], one["item"]["id"]) for one in found]


def hears(who: Person, kind: str, id: int) -> None:
    """Wait until a person's list of updates has an entry about this item."""
    for _ in until(f"{kind} of {id} in the list of {who.name}"):
        if (kind, id) in heard(who):
            break
    say(f"  {who.name} is told: {kind}, {id}")


def is_mailed(who: Person, words: str) -> None:
    """Wait for exactly one mail to a person whose text contains `words`."""
    for _ in until(f"a mail to {who.name} with {words!r}"):
        if found := who.mails_with(words):
            break
    same(len(found), 1, f"mails to {who.name} with {words!r}")
    say(f"  and mailed: {found[0]['Subject']}")


def mention_and_reply(ana: Person, bo: Person, place: int) -> tuple[int, int]:
    """Let Bo mention Ana in his conversation, Ana answer and Bo reply; return the ids of the conversation and of her
    comment.
    """
    talk = bo.make("/conversations", {"microcosmId": place, "title": title("Semaphores")})
    say(f"{bo.name} mentions {ana.name}")
    named = bo.comment("conversation", talk, f"What does @{ana.name} make of the green lamp?")
    hears(ana, "mentioned", named)
    is_mailed(ana, "make of the green lamp")
    hers = ana.comment("conversation", talk, "Clear means clear.")
    say(f"{bo.name} replies to {ana.name}")
    reply = bo.comment("conversation", talk, "And amber means ready?", reply_to=hers)
    hears(ana, "reply_to_comment", reply)
    hears(ana, "new_comment", reply)
    is_mailed(ana, "And amber means ready")
    return talk, hers


def watch(ana: Person, bo: Person, place: int) -> None:
    """Let Ana follow a conversation in which she never wrote, and the microcosm."""
    quiet = bo.make("/conversations", {"microcosmId": place, "title": title("Lamp oil")})
    for kind, id in (("conversation", quiet), ("microcosm", place)):
        expect(ana.ask("POST", "/watchers", {"itemType": kind, "itemId": id}), 200)
    say(f"{ana.name} watches conversation {quiet} and microcosm {place}; {bo.name} writes in both")
    comment = bo.comment("conversation", quiet, "Paraffin, or rapeseed?")
    hears(ana, "new_comment", comment)
    is_mailed(ana, "Paraffin, or rapeseed")
    new = title("Fog signals")
    item = bo.make("/conversations", {"microcosmId": place, "title": new})
    hears(ana, "new_item", item)
    is_mailed(ana, new)
    followed = {
        (one["itemType"], one["itemId"]) for one in ana.get("/watchers")["watchers"]["items"]
    }
    for kind, id in (("conversation", quiet), ("microcosm", place)):
        if (kind, id) not in followed:
            raise SmokeError(f"{kind} {id} is not among what {ana.name} watches")


def huddle(ana: Person, bo: Person) -> None:
    """Write in a huddle, and check that it counts as unread until it is read."""
    say(f"{bo.name} begins a huddle with {ana.name}")
    huddle = bo.make("/huddles", {"title": title("Between us"), "participants": [{"id": ana.id}]})
    comment = bo.comment("huddle", huddle, "The branch line will close.")
    hears(ana, "new_comment_in_huddle", comment)
    is_mailed(ana, "The branch line will close")
    same(unread_huddles(ana), 1, "unread huddles before reading")
    ana.get(f"/huddles/{huddle}")
    same(unread_huddles(ana), 0, "unread huddles after reading")
    outside = expect(ana.forum.call("GET", f"/huddles/{huddle}"), 403)
    say(f"  unread until read; for a guest {outside.status}")


def unread_huddles(who: Person) -> int:
    """Return the number of unread huddles that whoami states."""
    stats = who.get("/whoami")["meta"]["stats"]
    return sum(one["value"] for one in stats if one["metric"] == "unreadHuddles")


def invite(ana: Person, bo: Person, place: int) -> None:
    """Let Bo invite Ana to an event, and check that he, who follows it, is notified that she comes."""
    begins = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)
    event = bo.make(
        "/events",
        {
            "microcosmId": place,
            "title": title("Signal box, open day"),
            "when": begins.strftime("%Y-%m-%dT09:30:00"),
            "tz": "Europe/Lisbon",
            "duration": 120,
            "where": "Platform 1",
        },
    )
    say(f"{bo.name} invites {ana.name} to event {event}, and she comes")
    hears(ana, "new_item", event)
    bo.put(f"/events/{event}/attendees", [{"profileId": ana.id, "rsvp": "invited"}])
    invited = ana.get(f"/events/{event}/attendees/{ana.id}")
    same(invited["rsvp"], "invited", "the invitation")
    ana.put(f"/events/{event}/attendees/{ana.id}", {"rsvp": "yes"})
    same(ana.get(f"/events/{event}")["rsvpAttend"], 1, "who comes")
    hears(bo, "new_attendee", event)


def turn_off(ana: Person, bo: Person, talk: int, hers: int) -> None:
    """Turn Ana's preferences for mail off, and check that she is notified in the list, and not mailed."""
    for kind in (2, 3):
        ana.put(f"/updates/preferences/{kind}", {"sendEmail": False})
    off = {"itemType": "conversation", "itemId": talk, "sendEmail": False}
    expect(ana.ask("PATCH", "/watchers/patch", off), 200)
    say(f"{ana.name} turns mail of replies, mentions and the conversation off")
    silent = bo.comment("conversation", talk, f"@{ana.name}, are you still there?", reply_to=hers)
    hears(ana, "reply_to_comment", silent)
    # Bo is mailed of what is written after it: by then hers would have left.
    his = bo.comment("conversation", talk, "I am.")
    ana.comment("conversation", talk, "Reading, and not mailed.", reply_to=his)
    is_mailed(bo, "Reading, and not mailed")
    same(len(ana.mails_with("are you still there")), 0, "mails of what is turned off")
    say(f"  and {ana.name} is not mailed")


def take_back(ana: Person, bo: Person, talk: int) -> None:
    """Check that a deleted comment leaves the lists, and so does a conversation that is followed no more."""
    regretted = bo.comment("conversation", talk, f"@{ana.name}, forget what I said.")
    hears(ana, "mentioned", regretted)
    expect(bo.ask("DELETE", f"/comments/{regretted}"), 200)
    same([id for _, id in heard(ana) if id == regretted], [], "entries of a deleted comment")
    say(f"{bo.name} deletes comment {regretted}: nothing of it is listed any more")

    def followed() -> bool:
        """Return True if Ana's list has the newest comment of the conversation because she follows it."""
        found = ana.get(f"/updates?limit={LISTED}&updateType=new_comment")["updates"]["items"]
        return any(one["parentItem"]["id"] == talk for one in found)

    same(followed(), True, "the thread that is followed")
    path = f"/watchers/delete?itemType=conversation&itemId={talk}"
    expect(ana.ask("DELETE", path), 200)
    same(followed(), False, "the thread that is not followed")
    say(f"{ana.name} follows conversation {talk} no more: its comments are gone from the list")


def search(ana: Person, bo: Person, place: int) -> None:
    """Search for words of this run alone, with each operator, and check what is found."""
    red, blue, low = (f"{colour}{secrets.token_hex(4)}" for colour in ("ruby", "azure", "umber"))
    talk = bo.make("/conversations", {"microcosmId": place, "title": f"Lamps {red} {blue}"})
    both = bo.comment("conversation", talk, f"First {red} {blue}, then nothing.")
    turned = ana.comment("conversation", talk, f"No: {blue} for the signalman, then {red}.")
    alone = ana.comment("conversation", talk, f"Neither, but {low}.")
    for query, expected in (
        (f"{red} {blue} type:comment", {both, turned}),
        (f'"{red} {blue}" type:comment', {both}),
        (f"{red} OR {low} type:comment", {both, turned, alone}),
        (f"{blue} -signalman type:comment", {both}),
        (f"{red} type:comment authorId:{ana.id}", {turned}),
        (f"{red} inTitle:true", {talk}),
        (f"{low} forumId:{place}", {alone}),
    ):
        found = ana.get(f"/search?q={quote_plus(query)}")["results"]["items"]
        same({one["item"]["id"] for one in found}, expected, f"what {query!r} finds")
        say(f"search {query}: {len(found)} found")


def trend(ana: Person, bo: Person, talk: int) -> None:
    """Write in a conversation, and check that it is among the trending items."""
    for number in range(6):
        (ana, bo)[number % 2].comment("conversation", talk, f"More traffic, {number}")
    say(command("run", "trending_scores"))
    found = [one["item"]["id"] for one in ana.get("/trending")["items"]["items"]]
    if talk not in found:
        raise SmokeError(f"conversation {talk} is not among what is trending: {found}")
    say(f"trending: conversation {talk} is number {found.index(talk) + 1} of {len(found)}")


def command(*words: str) -> str:
    """Run `forumapi cron` with these arguments; return its output. Raises SmokeError if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "forumapi", "cron", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise SmokeError(f"forumapi cron {' '.join(words)}: {done.stderr.strip()}")
    return f"forumapi cron {' '.join(words)}:\n{done.stdout.rstrip()}"


def title(words: str) -> str:
    """Return a title that no other run has used: the same title twice within minutes is one conversation."""
    return f"{words} {secrets.token_hex(3)}"
