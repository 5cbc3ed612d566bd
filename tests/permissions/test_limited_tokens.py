"""View of a limited token on things that its address is not named after: each takes the scope of its own kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from forumapi import itemtypes, routes
from forumapi.wire import scopes
from tests.factories import Person, Thing
from tests.stage import Stage, staged

_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
READING = [(url, "GET") for url, handler in routes.SITE.items() if "GET" in handler.operations]
KNOWN = scopes.known(
    (url, verb) for url, handler in routes.SITE.items() for verb in handler.operations
)
WITHOUT_HUDDLES = tuple(scope for scope in KNOWN if scope != "huddles:read")
NEVER = 987_654_321
TITLE, TEXT = "Pavlova recipe", "Meringue tomorrow"
# Its recorded examples have huddles of their own, under ids as low as the scene's.
DOCUMENT = "/openapi.json"


class Scene(NamedTuple):
    """A huddle of the site's owner and the member, with a comment, and all that leads to both."""

    huddle: Thing
    comment: Thing
    file: str

    def path(self, template: str) -> str:
        """An address with the huddle's things in its places, else with what never was."""
        names = {"huddle": self.huddle.id, "comment": self.comment.id}

        def fill(match: re.Match[str]) -> str:
            if match[2] == "name":
                return self.file
            return str(names.get(match[1], NEVER))

        return _PARAMETER.sub(fill, template)


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("limited"), file_access="readers") as made:
        yield made


@pytest.fixture(scope="module")
def scene(stage: Stage) -> Scene:
    make, site = stage.make, stage.site
    huddle = make.huddle(site.owner, site.member, title=TITLE)
    comment = make.comment(huddle, by=site.owner, markdown=TEXT)
    hash = make.file(site.owner, "A secret")
    stage.post(f"/comments/{comment.id}/attachments", {"fileHash": hash}, by=site.owner)
    watching = {"itemType": "huddle", "itemId": huddle.id}
    for person in (site.owner, site.member):
        stage.post("/watchers", watching, by=person)
        stage.put(f"/comments/{comment.id}/bookmark", by=person)
        stage.put(f"/huddles/{huddle.id}/bookmark", by=person)
        stage.put(f"/huddles/{huddle.id}/draft", {"content": {"markdown": TEXT}}, by=person)
    return Scene(huddle, comment, hash)


def limited(stage: Stage, person: Person, *granted: str) -> str:
    """A token of somebody, limited to these scopes."""
    secret = stage.make.token(person)
    stage.sql(
        """UPDATE access_tokens SET scopes = %(scopes)s
            WHERE token_hash = sha256(convert_to(%(secret)s, 'UTF8')) RETURNING 1""",
        scopes=list(granted),
        secret=secret,
    )
    return secret


def _asked(scene: Scene) -> list[str]:
    """Return what a GET could show a huddle at: every address, and searches for its words."""
    paths = [scene.path(url).removeprefix("/api/v1") for url, _ in READING if "/api/v1/" in url]
    return [
        *paths,
        "/search?q=pavlova",
        "/search?q=meringue",
        "/search?type=huddle",
        "/search?type=huddle&type=comment&q=meringue",
        f"/search?type=huddle&id={scene.huddle.id}&q=meringue+OR+pavlova",
        "/search/suggestions?q=merin",
        "/search/suggestions?q=pavl",
    ]


@pytest.mark.sliced(1)
@pytest.mark.parametrize("name", ["owner", "member"])
def test_without_huddles_read_no_address_shows_anything_of_a_huddle(
    stage: Stage, scene: Scene, name: str
) -> None:
    person: Person = getattr(stage.site, name)
    token = limited(stage, person, *WITHOUT_HUDDLES)
    shown, leaks = set(), []
    for path in _asked(scene):
        for secret in (TITLE, TEXT, f"/huddles/{scene.huddle.id}"):
            if secret in stage.get(path, by=person).body.decode():
                shown.add(path)
            answer = stage.get(path, site=stage.site, token=token)
            is_example = path == DOCUMENT and secret not in (TITLE, TEXT)
            # An address of the huddle itself is repeated in what is said of it.
            if secret in answer.body.decode() and answer.status < 400 and not is_example:
                leaks.append((path, answer.status, secret))

    assert leaks == []
    assert {"/updates", "/watchers", "/bookmarks", "/drafts", "/huddles"} <= shown
    assert {"/search?q=meringue", "/search?type=huddle"} <= shown
    assert f"/comments/{scene.comment.id}" in shown


@pytest.mark.parametrize("name", ["owner", "member"])
def test_without_huddles_read_a_comment_in_a_huddle_is_none(
    stage: Stage, scene: Scene, name: str
) -> None:
    token = limited(stage, getattr(stage.site, name), *WITHOUT_HUDDLES)
    flag = [{"op": "replace", "path": "/meta/flags/deleted", "value": True}]
    calls = [
        ("GET", "", None),
        ("GET", "/incontext", None),
        ("GET", "/revisions", None),
        ("GET", "/reactions", None),
        ("GET", "/attributes", None),
        ("GET", "/attachments", None),
        ("GET", "/bookmark", None),
        ("PUT", "", {"markdown": "Changed"}),
        ("PUT", "/bookmark", None),
        ("PUT", "/reactions/like", None),
        ("PATCH", "", flag),
        ("DELETE", "", None),
    ]
    for verb, below, body in calls:
        answers = [
            stage.request(verb, f"/comments/{id}{below}", body, site=stage.site, token=token)
            for id in (scene.comment.id, NEVER)
        ]
        seen, never = [(one.status, one.code, one.error) for one in answers]
        assert seen == never, (verb, below)
        assert seen[0] in (403, 404)


def test_writing_in_a_huddle_takes_the_scope_of_huddles(stage: Stage, scene: Scene) -> None:
    site, huddle = stage.site, scene.huddle
    body = {"itemType": "huddle", "itemId": huddle.id, "markdown": "From a program"}
    before = stage.get(f"/huddles/{huddle.id}", by=site.member).data["comments"]["total"]

    for granted in (("comments:write",), ("comments:read", "comments:write", "huddles:write")):
        token = limited(stage, site.member, *granted)
        refused = stage.post("/comments", body, site=site, token=token)
        never = stage.post("/comments", {**body, "itemId": NEVER}, site=site, token=token)
        assert (refused.status, refused.code) == (never.status, never.code) == (403, 10)
        assert stage.request("DELETE", f"/huddles/{huddle.id}", site=site, token=token).status in (
            403,
        )
    assert stage.get(f"/huddles/{huddle.id}", by=site.member).data["comments"]["total"] == before

    token = limited(stage, site.member, "comments:write", "huddles:read")
    assert stage.post("/comments", body, site=site, token=token).status == 302


def test_who_lacks_the_scope_of_huddles_has_none_unread_and_marks_none(
    stage: Stage, scene: Scene
) -> None:
    site = stage.site
    stage.make.comment(scene.huddle, by=site.owner, markdown="News")
    token = limited(stage, site.member, *WITHOUT_HUDDLES)

    def unread(**how: object) -> list[dict[str, object]]:
        stats: list[dict[str, object]] = stage.get("/whoami", **how).data["meta"]["stats"]
        return stats

    assert unread(by=site.member) == [{"metric": "unreadHuddles", "value": 1}]
    assert unread(site=site, token=token) == [{"metric": "unreadHuddles", "value": 0}]
    for id in (0, scene.huddle.id):
        stage.post("/profiles/read", {"itemType": "huddle", "itemId": id}, site=site, token=token)
    assert unread(by=site.member) == [{"metric": "unreadHuddles", "value": 1}]


def test_permission_is_that_of_somebody_outside_the_huddle(stage: Stage, scene: Scene) -> None:
    token = limited(stage, stage.site.member, "permission:read")
    for kind, id in (("huddle", scene.huddle.id), ("comment", scene.comment.id)):
        there, never = (
            stage.get(f"/permission?itemType={kind}&itemId={one}", site=stage.site, token=token)
            for one in (id, NEVER)
        )
        assert there.data == never.data
        batch = [{"itemType": kind, "itemId": id}, {"itemType": kind, "itemId": NEVER}]
        many = stage.post("/permission/batch", batch, site=stage.site, token=token).data
        assert many[0] == many[1] == there.data


# ---------------------------------------------------------------- every other kind


@pytest.fixture(scope="module")
def things(stage: Stage) -> dict[str, Thing]:
    """One thing of each kind, by its scope, which the member follows, bookmarks and ignores not; all hold a word."""
    make, site = stage.make, stage.site
    place = make.microcosm(site, "Rhubarb place")
    stage.watch(site.newcomer, place.type, place.id)
    conversation = make.conversation(site, title="Rhubarb talk", microcosm=place)
    event = make.event(site, title="Rhubarb party", microcosm=place)
    poll = make.poll(site, title="Rhubarb or not", microcosm=place)
    made = {
        "microcosms:read": place,
        "conversations:read": conversation,
        "events:read": event,
        "polls:read": poll,
    }
    for thing in made.values():
        if thing is not place:
            stage.watch(site.newcomer, thing.type, thing.id)
            comment = make.comment(thing, by=site.owner, markdown="Rhubarb comment")
            for one in (thing, comment):
                stage.put(f"{one.path.removeprefix('/api/v1')}/bookmark", by=site.newcomer)
    stage.watch(site.newcomer, itemtypes.PROFILE, site.owner.id)
    stage.sql("UPDATE items SET last_activity = now() WHERE site_id = %(s)s RETURNING 1", s=site.id)
    return made


def _kinds(stage: Stage, path: str, token: str, *keys: str) -> list[str]:
    """The types of the entries of a list, in alphabetical order, and that the list counts no others."""
    page = stage.get(path, site=stage.site, token=token).data
    for key in keys:
        page = page[key]
    if "total" in page:
        assert page["total"] == len(page["items"])
    found = set()
    for one in page["items"]:
        found.add(one["itemType"])
        if one["itemType"] == "comment":
            found.add(one.get("parentItemType") or "comment")
    return sorted(found)


LISTS = {
    "search:read": ("/search?q=rhubarb", ("results",)),
    "updates:read": ("/updates", ("updates",)),
    "watchers:read": ("/watchers", ("watchers",)),
    "bookmarks:read": ("/bookmarks", ("bookmarks",)),
    "trending:read": ("/trending", ("items",)),
}


@pytest.mark.parametrize("scope", LISTS)
def test_a_list_shows_things_of_the_kinds_that_the_token_may_read(
    stage: Stage, things: dict[str, Thing], scope: str
) -> None:
    path, keys = LISTS[scope]
    person = stage.site.newcomer
    if scope == "trending:read":
        stage.sql(
            """INSERT INTO trending_scores (site_id, item_id, score)
               SELECT i.site_id, i.item_id, 1 FROM items i
                WHERE i.site_id = %(s)s AND i.item_type_id IN (6, 7, 9)
                   ON CONFLICT DO NOTHING RETURNING 1""",
            s=stage.site.id,
        )
    whole = set(_kinds(stage, path, person.token, *keys))
    assert {"conversation", "event", "poll"} <= whole

    assert _kinds(stage, path, limited(stage, person, scope), *keys) == []
    assert _kinds(stage, path, limited(stage, person, scope, "comments:read"), *keys) == []
    for granted, thing in things.items():
        name = itemtypes.name_of(thing.type)
        expected = [name] if name in whole else []
        assert _kinds(stage, path, limited(stage, person, scope, granted), *keys) == expected
        both = _kinds(stage, path, limited(stage, person, scope, granted, "comments:read"), *keys)
        assert set(both) - {"comment"} == set(expected)
        assert ("comment" in both) == ("comment" in whole and name != "microcosm")


def test_completions_come_of_kinds_that_the_token_may_read(
    stage: Stage, things: dict[str, Thing]
) -> None:
    site = stage.site
    stage.make.comment(things["polls:read"], by=site.owner, markdown="Zabaglione")
    for word in ("rhubarb", "zabaglione"):
        stage.sql(
            "INSERT INTO search_words (site_id, word, documents) VALUES (%(s)s, %(w)s, 1) RETURNING 1",
            s=site.id,
            w=word,
        )

    def suggested(typed: str, *granted: str) -> list[str]:
        token = limited(stage, site.member, "search:read", *granted)
        found: list[str] = stage.get(f"/search/suggestions?q={typed}", site=site, token=token).data[
            "suggestions"
        ]
        return found

    assert suggested("rhub") == suggested("zabag") == []
    assert suggested("rhub", "events:read") == ["rhubarb"]
    assert suggested("zabag", "comments:read") == suggested("zabag", "polls:read") == []
    assert suggested("zabag", "comments:read", "conversations:read") == []
    assert suggested("zabag", "comments:read", "polls:read") == ["zabaglione"]


def test_a_bookmark_of_a_thing_takes_the_scope_of_the_thing(
    stage: Stage, things: dict[str, Thing]
) -> None:
    site, thing = stage.site, things["polls:read"]
    path = f"/polls/{thing.id}/bookmark"

    refused = stage.get(path, site=site, token=limited(stage, site.newcomer, "bookmarks:read"))
    assert (refused.status, refused.code, refused.data["scope"]) == (403, 25, "polls:read")
    token = limited(stage, site.newcomer, "bookmarks:read", "polls:read")
    assert stage.get(path, site=site, token=token).status == 200


def test_the_ignored_are_shown_by_kind(stage: Stage, things: dict[str, Thing]) -> None:
    site = stage.site
    for thing in things.values():
        stage.make.ignore(site.moderator, thing)
    stage.make.ignore(site.moderator, site.newcomer)

    for granted, thing in things.items():
        token = limited(stage, site.moderator, "ignored:read", granted)
        name = itemtypes.name_of(thing.type)
        assert _kinds(stage, "/ignored", token, "ignored") == [name]
    token = limited(stage, site.moderator, "ignored:read")
    assert _kinds(stage, "/ignored", token, "ignored") == []


def test_what_waits_for_moderation_is_shown_and_counted_by_kind(
    stage: Stage, things: dict[str, Thing]
) -> None:
    site = stage.site
    talk = stage.make.conversation(site, title="Waits")
    comment = stage.make.comment(talk, markdown="Waits too")
    for one in (comment, talk):
        flag = [{"op": "replace", "path": "/meta/flags/moderated", "value": True}]
        assert stage.request("PATCH", one.path[7:], flag, by=site.owner).status == 200

    def waits(*granted: str) -> dict[str, int]:
        token = limited(stage, site.owner, "moderation:read", *granted)
        answer = stage.get("/moderation", site=site, token=token).data
        assert len(answer["moderation"]["items"]) == answer["moderation"]["total"]
        return {kind: many for kind, many in answer["counts"].items() if many}

    assert waits() == waits("comments:read") == {}
    assert waits("conversations:read") == {"conversation": 1}
    assert waits("conversations:read", "comments:read") == {"conversation": 1, "comment": 1}
