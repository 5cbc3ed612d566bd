"""Every route × method × caller of the cast -> the status, in one table: tests/saved/permissions.txt.

REFRESH_PERMISSIONS=1 in the environment writes the table anew: read the difference before you commit it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest

from forumapi import routes
from tests.api import Api
from tests.factories import Factory, Site, Thing

SAVED = Path(__file__).resolve().parents[1] / "saved" / "permissions.txt"
CAST = ("guest", "newcomer", "member", "moderator", "owner", "banned")
_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")

# What each address is asked with. Things belong to the member, so `member` is the author and `newcomer` a stranger.
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/v1/polls"): {
        "microcosmId": "@root",
        "title": "A title",
        "question": "Which?",
        "choices": [{"choice": "This"}, {"choice": "That"}],
    },
    ("PUT", "/api/v1/polls/<poll:item>/votes"): [],
    ("PUT", "/api/v1/site/mail/<template>"): {
        "subject": "Hello",
        "text": "$unsubscribe_url",
        "html": "$unsubscribe_url",
    },
    # Codes to an address are few, however many ask for them.
    ("POST", "/api/v1/auth/email"): {"email": "none"},
    ("PUT", "/api/v1/site/legal/<document>"): {"html": "Be kind"},
    ("PUT", "/api/v1/consents/<document>"): {"version": 1},
    ("PUT", "/api/v1/site/options"): {"sendSMS": False},
    ("POST", "/api/v1/site/offer"): {"profileId": "@member"},
    ("PUT", "/api/v1/updates/email"): {"digest": "daily"},
    ("PUT", "/api/v1/site/avatars"): {"gravatar": False},
    ("PUT", "/api/v1/site/privacy"): {"keepsWords": False},
    ("PUT", "/api/v1/site/retention"): {"mail": 0},
    ("PUT", "/api/v1/site/search"): {"language": "german"},
    ("PUT", "/api/v1/site/reactions"): [{"name": "like", "text": "+1"}],
    ("PUT", "/api/v1/site/report-kinds"): [{"kind": "illegal", "title": "Against the law"}],
    ("POST", "/api/v1/reports/guest"): {
        "itemType": "comment",
        "itemId": "@comment",
        "email": "none",
        "goodFaith": True,
    },
    ("POST", "/api/v1/conversations"): {"microcosmId": "@root", "title": "A title"},
    ("POST", "/api/v1/events"): {"microcosmId": "@root", "title": "A title"},
    ("PUT", "/api/v1/events/<event:item>/attendees"): [{"profileId": "@member", "rsvp": "maybe"}],
    ("PUT", "/api/v1/events/<event:item>/attendees/<profile:profileId>"): {"rsvp": "maybe"},
    ("POST", "/api/v1/microcosms"): {"title": "A title", "description": "A place"},
    ("POST", "/api/v1/comments"): {
        "itemType": "conversation",
        "itemId": "@conversation",
        "markdown": "A text",
    },
    ("POST", "/api/v1/comments/<comment:item>/revisions"): {"revision": 1},
    ("POST", "/api/v1/huddles"): {"title": "A title", "participants": []},
    ("PUT", "/api/v1/huddles/<huddle:item>/participants"): [],
    ("PUT", "/api/v1/profiles/<profile:item>"): {"gender": "f"},
    ("PUT", "/api/v1/agents"): {"own": "read"},
    ("POST", "/api/v1/bots"): {"profileName": "Robot", "scopes": ["comments:read"]},
    ("PUT", "/api/v1/bots/<number:bot>/key"): {"scopes": ["comments:read"]},
    ("POST", "/api/v1/keys"): {"name": "A key", "scopes": ["comments:read"]},
    ("POST", "/api/v1/rules"): {"ticket": "9"},
    ("PUT", "/api/v1/rules/<number:rule>"): {"mode": "off"},
    ("POST", "/api/v1/rules/dry-run"): {
        "title": "A title",
        "event": "comment.created",
        "action": "hide",
        "reason": "No",
    },
    ("POST", "/api/v1/webhooks"): {"url": "http://127.0.0.1:9/hook"},
    ("POST", "/api/v1/webhooks/<number:webhook_id>/replay"): {"id": "none"},
    ("POST", "/api/v1/updates/push"): {
        "endpoint": "http://127.0.0.1:9/push",
        "keys": {
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "auth": "BTBZMqHH6r4Tts7J_aSIgg",
        },
    },
    ("PUT", "/api/v1/site/menu"): [{"href": "/microcosms/1/", "text": "Start"}],
    ("PUT", "/api/v1/ignored"): {"itemType": "conversation", "itemId": "@conversation"},
    ("PUT", "/api/v1/ignored/batch"): [{"itemType": "conversation", "itemId": "@conversation"}],
    ("DELETE", "/api/v1/ignored"): {"itemType": "conversation", "itemId": "@conversation"},
    ("DELETE", "/api/v1/ignored/batch"): [{"itemType": "conversation", "itemId": "@conversation"}],
    ("POST", "/api/v1/reports"): {
        "itemType": "comment",
        "itemId": "@others",
        "kind": "spam",
        "text": "Buys nothing",
    },
    ("PUT", "/api/v1/cases/<number:case>/assignment"): {"profileId": "@member"},
    ("POST", "/api/v1/cases/<number:case>/notes"): {"text": "Look at this"},
    ("POST", "/api/v1/cases/<number:case>/decision"): {"outcome": "dismissed"},
    ("POST", "/api/v1/statements/<number:statement>/appeal"): {"text": "This was no spam"},
    ("POST", "/api/v1/appeals/<number:appeal>/messages"): {"text": "Please look again"},
    ("POST", "/api/v1/appeals/<number:appeal>/decision"): {"outcome": "granted", "text": "So"},
    ("POST", "/api/v1/actions"): {
        "kind": "hide",
        "targets": [{"itemType": "comment", "itemId": "@comment"}],
        "reason": "Spam",
    },
    ("POST", "/api/v1/bans"): {"domain": "spam.example", "reason": "Spam"},
    ("POST", "/api/v1/users"): [{"email": "somebody@example.test"}],
    ("POST", "/api/v1/users/batch"): [{"email": "somebody@example.test", "isMember": True}],
    ("POST", "/api/v1/comments/<comment:item>/attachments"): {"fileHash": "@file"},
    ("POST", "/api/v1/profiles/<profile:item>/attachments"): {"fileHash": "@file"},
    ("POST", "/api/v1/preview"): {
        "itemType": "conversation",
        "itemId": "@conversation",
        "markdown": "A text",
    },
    ("POST", "/api/v1/permission/batch"): [{"itemType": "conversation", "itemId": "@conversation"}],
    ("PUT", "/api/v1/profiles/read"): {"itemType": "conversation", "itemId": "@conversation"},
    ("PUT", "/api/v1/profiles/read/batch"): [
        {"itemType": "conversation", "itemId": "@conversation"}
    ],
    ("POST", "/api/v1/watchers"): {"itemType": "conversation", "itemId": "@conversation"},
    ("PUT", "/api/v1/watchers"): {"itemType": "conversation", "itemId": "@conversation"},
    ("PUT", "/api/v1/watchers/batch"): [{"itemType": "conversation", "itemId": "@conversation"}],
    ("PATCH", "/api/v1/watchers/batch"): [{"itemType": "conversation", "itemId": "@conversation"}],
    ("DELETE", "/api/v1/watchers/batch"): [{"itemType": "conversation", "itemId": "@conversation"}],
}
DEFAULT_BODIES: dict[str, Any] = {
    "PUT": {
        "title": "Another title",
        "markdown": "Another text",
        "sendEmail": True,
        "value": 56.5,
        "content": {"markdown": "A text"},
        "itemType": "poll",
        "meta": {"editReason": "why not"},
    },
    "PATCH": [{"op": "replace", "path": "/meta/flags/moderated", "value": False}],
}
PATCHES: dict[str, Any] = {
    "/api/v1/profiles/<profile:item>": [{"op": "replace", "path": "/member", "value": True}],
    "/api/v1/watchers/<number:watcher>": {"sendEmail": True},
    "/api/v1/watchers/delete": {"itemType": "conversation", "itemId": "@conversation"},
    "/api/v1/watchers/patch": {"itemType": "conversation", "itemId": "@conversation"},
}
# Below the roles of a microcosm or of the site: what is sent to each address, by its end.
CRITERION = {"profileColumn": "commentCount", "predicate": "ge", "value": 3}
ROLE_BODIES: dict[tuple[str, str], Any] = {
    ("POST", "roles"): {"title": "A title"},
    ("PUT", "<role>"): {"title": "Another title"},
    ("PATCH", "<role>"): [{"op": "replace", "path": "/read", "value": True}],
    ("POST", "criteria"): CRITERION,
    ("DELETE", "criteria"): [],
    ("PUT", "<criterion>"): CRITERION,
    ("PUT", "profiles"): [{"id": "@newcomer"}],
    ("DELETE", "profiles"): [],
}
SKIPPED = frozenset(
    (
        "/api/v1/auth",
        "/api/v1/auth/<token>",
        "/api/v1/auth0",
        "/api/v1/auth/begin",
        "/api/v1/out/<code>",
        "/api/v1/docs",
        "/api/v1/docs/<page>",
        "/api/v1/docs/<page>/try",
        "/api/v1/docs/scripts/<name>",
        "/api/v1/docs/search.json",
        "/api/v1/asyncapi.json",
        "/api/v1/openapi.json",
        "/api/v1/sessions",
        "/api/v1/sessions/<number:session_id>",
    )
)


class Things:
    """Record of what a request can name -> its id. The member's own things are made when they are first named."""

    def __init__(self, make: Factory, site: Site, **ids: int) -> None:
        self.ids: dict[str, int | str] = {
            "@member": site.member.id,
            "profile": site.member.id,
            "profileId": site.member.id,
            "site": site.id,
            "user": site.member.id,
            **ids,
        }
        self._make = make
        self._site = site
        self._makers: dict[str, Callable[[], int | str]] = {
            "@root": lambda: self["microcosm"],
            "@comment": lambda: self["comment"],
            "@others": lambda: make.comment(self._talk[0], by=make.person(site)).id,
            "microcosm": lambda: self._place.id,
            "@conversation": lambda: self["conversation"],
            "conversation": lambda: self._talk[0].id,
            "comment": lambda: self._talk[1].id,
            "event": lambda: make.event(site, microcosm=self._place).id,
            "poll": lambda: make.poll(site, microcosm=self._place).id,
            "huddle": lambda: make.huddle(site.member, site.moderator).id,
            "@file": lambda: make.file(site.member),
        }

    def __getitem__(self, name: str) -> int | str:
        if name not in self.ids:
            self.ids[name] = self._makers[name]()
        return self.ids[name]

    def get(self, name: str, otherwise: int) -> int | str:
        """The id, `otherwise` where nothing of that name is known."""
        return self[name] if name in self.ids or name in self._makers else otherwise

    @cached_property
    def _place(self) -> Thing:
        return self._make.microcosm(self._site)

    @cached_property
    def _talk(self) -> tuple[Thing, Thing]:
        """A conversation with the member's comment, and that comment."""
        chat = self._make.conversation(self._site, microcosm=self._place)
        comment = self._make.comment(chat)
        self._make.comment(chat, by=self._site.owner)
        return chat, comment


def _fill(value: Any, ids: Things) -> Any:
    if isinstance(value, dict):
        return {key: _fill(inner, ids) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, ids) for inner in value]
    if isinstance(value, str) and value.startswith("@"):
        return ids[value]
    return value


def _id(part: re.Match[str], ids: Things) -> str:
    """Return what stands for `<type:item>` or `<number:name>` of an address."""
    name = part[1] if part[2] == "item" else part[2]
    return str(ids.get(name, 1))


def _end(url: str) -> str:
    """The last part of an address; of a parameter its name."""
    return _PARAMETER.sub(r"<\2>", url).rpartition("/")[2]


def _role(make: Factory, site: Site, microcosm_id: int) -> dict[str, int]:
    """A regular role with a criterion, in which the member is named."""
    role = make.role(site, microcosm_id, "Readers", users=True, rights=("read",))
    make.join(role, site.member)
    return {
        "role": role[1],
        "criterion": make.criterion(role, "commentCount", "ge", 5),
        "profile": site.member.id,
        "@newcomer": site.newcomer.id,
    }


def asked(make: Factory, site: Site, url: str, method: str, hook: int = 0) -> tuple[str, Any]:
    """A good request to an address: its path and body. What it names is made anew, since DELETE and PUT use things up.

    `hook` is a webhook of the site, of which it has few.
    """
    ids = Things(make, site, webhook_id=hook)
    if "/roles" in url:
        at = int(ids["microcosm"]) if "<microcosm:item>" in url else site.root_id
        ids.ids |= _role(make, site, at)
    if "/bans/" in url:
        ids.ids["id"] = make.ban(make.person(site))
    if "<number:case>" in url or "<number:report>" in url:
        ids.ids["report"], ids.ids["case"] = make.report(make.comment(make.conversation(site)))
    if "<number:action>" in url or "<number:statement>" in url:
        ids.ids["action"], ids.ids["statement"] = make.action(make.comment(make.conversation(site)))
    if "<number:appeal>" in url:
        _, statement = make.action(make.comment(make.conversation(site)))
        ids.ids["appeal"] = make.appeal(statement, site.member)
    if "<number:bot>" in url:
        ids.ids["bot"] = make.bot(site.member)
    if "<number:rule>" in url:
        ids.ids["rule"] = make.rule(site)
    if "<number:subscription_id>" in url:
        ids.ids["subscription_id"] = make.push_subscription(site.member)
    if "<number:watcher>" in url:
        ((ids.ids["watcher"],),) = make.sql(
            "SELECT watcher_id FROM watchers WHERE site_id = %(s)s AND item_id = %(i)s",
            s=site.id,
            i=make.conversation(site).id,
        )
    path = (
        url.replace("<method>", "google")
        .replace("<template>", "mentioned")
        .replace("<document>", "terms")
    )
    if url == "/api/v1/resolve":
        path += "?url=/thread1.html"
    if method == "DELETE":
        path = path.replace("/delete", "/delete?itemType=conversation&itemId=1")
    if "/reactions/" in url:
        path = path.replace("<key:key>", "like")
    path = _PARAMETER.sub(partial(_id, ids=ids), path)
    body = BODIES.get((method, url), DEFAULT_BODIES.get(method))
    if url.endswith("/attributes") and method != "GET":
        body = [{"key": "colour", "value": "red"}]
    if method == "PATCH":
        body = PATCHES.get(url, body)
    if "/roles" in url:
        body = ROLE_BODIES.get((method, _end(url)))
    return path, _fill(body, ids)


@pytest.mark.slow
@pytest.mark.parametrize("every", [24, pytest.param(1, marks=pytest.mark.wide)])
def test_every_route_answers_every_caller_as_the_table_says(
    api: Api, make: Factory, every: int
) -> None:
    lines = []
    for url, handler in list(routes.SITE.items())[::every]:
        if url in SKIPPED:
            continue
        # The fewer things stand on a site, the sooner a changed right is known.
        site = make.site()
        for method in handler.operations:
            statuses = []
            # One for all who ask: a site has few.
            hook = make.webhook(site) if "/webhooks/" in url else 0
            for name in CAST:
                path, body = asked(make, site, url, method, hook)
                if "<user:item>" in url and name == "member":
                    # To oneself the id is the user's.
                    path = url.replace("<user:item>", str(site.member.user_id))
                answer = api.request(method, path, site=site, by=site.cast()[name], json=body)
                statuses.append(str(answer.status))
            lines.append(f"{method:6} {url:58} {' '.join(statuses)}")
    head = f"{'':65} {' '.join(CAST)}"
    if os.environ.get("REFRESH_PERMISSIONS") and every == 1:
        SAVED.write_text("\n".join([head, *lines]) + "\n")

    saved = SAVED.read_text().splitlines()
    if every == 1:
        assert [head, *lines] == saved
    assert set(lines) - set(saved) == set()
