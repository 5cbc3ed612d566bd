"""Part `conversations` of the smoke test: a microcosm, a conversation in it, comments with replies, pages, and
rights.
"""

from __future__ import annotations

import secrets

from scripts.smoke.forum import Forum, Person, SmokeError, expect, pages, same, say

COMMENTS = 12
# An id that nothing has had yet.
NONE = 2_000_000_000


def run(forum: Forum, other: Forum, owner: str) -> None:
    """Run this part. `owner`: token of the site's owner; `other`: another site of the platform."""
    ana, bo = forum.newcomer("ana"), forum.newcomer("bo")
    place = forum.microcosm(owner, "Tandems", "For two")
    talk = ana.make(
        "/conversations", {"microcosmId": place, "title": f"Who steers? {secrets.token_hex(3)}"}
    )
    say(f"the owner begins microcosm {place}, {ana.name} conversation {talk} in it")
    comments = converse(ana, bo, talk)
    edit(ana, comments[0])
    delete_and_restore(forum, owner, ana, bo, talk, comments[-2])
    refuse(bo, talk, comments[0])
    nothing_of_others(other, ana, bo)
    as_a_guest(forum, talk)


def converse(ana: Person, bo: Person, talk: int) -> list[int]:
    """Write comments in turn, each a reply to the one before, and read them in pages of five; return their ids."""
    comments: list[int] = []
    for number in range(COMMENTS):
        author = (ana, bo)[number % 2]
        before = comments[-1] if comments else 0
        comments.append(
            author.comment("conversation", talk, f"Remark **{number}**", reply_to=before)
        )
    found = pages(bo, f"/conversations/{talk}?limit=5", "comments")
    read = [one for page in found for one in page]
    same([len(page) for page in found], [5, 5, 2], "comments on each page")
    same([one["id"] for one in read], comments, "the comments in order")
    same([one.get("inReplyTo", 0) for one in read], [0, *comments[:-1]], "what they reply to")
    same(read[3]["html"], "<p>Remark <strong>3</strong></p>\n", "a comment's HTML")
    say(f"{len(comments)} comments, each a reply to the one before, on pages of 5, 5 and 2")
    return comments


def edit(ana: Person, comment: int) -> None:
    """Edit a comment, and check that it has a second revision."""
    ana.put(f"/comments/{comment}", {"markdown": "Remark *nought*"})
    found = ana.get(f"/comments/{comment}")
    same((found["revisions"], found["html"]), (2, "<p>Remark <em>nought</em></p>\n"), "an edit")
    say(f"comment {comment} is edited: revision {found['revisions']}, {found['html'].strip()}")


def delete_and_restore(
    forum: Forum, owner: str, ana: Person, bo: Person, talk: int, comment: int
) -> None:
    """Delete a comment, check that only moderators see it, and restore it."""

    def counted() -> int:
        return int(bo.get(f"/conversations/{talk}")["comments"]["total"])

    expect(ana.ask("DELETE", f"/comments/{comment}"), 200)
    gone = expect(bo.ask("GET", f"/comments/{comment}"), 404)
    same(counted(), COMMENTS - 1, "comments without the deleted one")
    restore = [{"op": "replace", "path": "/meta/flags/deleted", "value": False}]
    expect(bo.ask("PATCH", f"/comments/{comment}", restore), 403, 404)
    expect(forum.call("PATCH", f"/comments/{comment}", restore, owner), 200)
    back = expect(bo.ask("GET", f"/comments/{comment}"), 200)
    same(counted(), COMMENTS, "comments with the restored one")
    say(f"comment {comment} deleted: {gone.status}; restored by the owner: {back.status}")


def refuse(bo: Person, talk: int, comment: int) -> None:
    """Check that one member can't change what another has written."""
    for method, path, body in (
        ("PUT", f"/comments/{comment}", {"markdown": "Mine now"}),
        ("DELETE", f"/comments/{comment}", None),
        ("PUT", f"/conversations/{talk}", {"title": "Mine now"}),
    ):
        answer = expect(bo.ask(method, path, body), 403)
        say(f"{bo.name}: {method} {path} {answer.status}")


def nothing_of_others(other: Forum, ana: Person, bo: Person) -> None:
    """Check that another site's conversation is answered here like an id that never existed."""
    found = expect(other.call("GET", "/conversations?limit=5"), 200).data["conversations"]["items"]
    if not found:
        raise SmokeError(f"{other.host} has no conversation that a guest may read")
    # Ids are those of one sequence for all sites.
    foreign = max(one["id"] for one in found)
    for who in (ana, bo):
        answers = [
            expect(who.ask("GET", f"/conversations/{id}"), 403, 404) for id in (foreign, NONE)
        ]
        same(answers[0].body, answers[1].body, "a foreign id and one that never was")
        same(answers[0].status, answers[1].status, "their statuses")
    say(
        f"conversation {foreign} of {other.host} is {answers[0].status} here, as {NONE} is, word for word"
    )


def as_a_guest(forum: Forum, talk: int) -> None:
    """Check that a guest may read, and write nothing."""
    found = expect(forum.call("GET", f"/conversations/{talk}"), 200).data
    may = found["meta"]["permissions"]
    same((found["comments"]["total"], may["read"]), (COMMENTS, True), "what a guest reads")
    same((may["create"], may["update"], may["delete"]), (False, False, False), "what a guest may")
    comment = {"itemType": "conversation", "itemId": talk, "markdown": "Anonymous"}
    refused = expect(forum.call("POST", "/comments", comment), 401, 403)
    say(f"a guest reads all {COMMENTS} comments; POST /comments {refused.status}")
