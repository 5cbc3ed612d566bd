"""Account of where the engine answers otherwise than v1 on purpose, as data.

Each `Deviation` names its rule ("P-07", "C-21", or a section of platform or content that says so
without a number), the recordings it applies to, and what it changes in the recorded answer. An
entry that matches no recording, or a change that changes nothing, fails test_deviations.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from forumapi.wire.documented_headers import CORS_REQUEST

from .compare import Expected, Kind
from .recording import Body, Recording, take_apart

ROOT_HOST = "forum.example"
SITE_HOST = "peer.forum.example"
SITE_ID = 6
"""The platform domain, the site and its id as the recordings have them."""

TOKENS = frozenset({"member1token", "member2token", "member2othertoken", "letmein"})
"""The tokens of the recordings that were good; any other was refused."""

JSON_HEADERS = {
    "access-control-allow-origin": "*",
    "cache-control": "no-cache, max-age=0",
    "content-type": "application/json",
    "vary": "Authorization",
}


class UnchangedError(Exception):
    """A change left the recorded answer as it was, so the deviation does not apply to it."""


class Change(Protocol):
    """One thing that a deviation changes, in place. Raises UnchangedError if there is none."""

    def apply(self, expected: Expected) -> None: ...


@dataclass(frozen=True)
class Status:
    """Another status, on the status line and in the envelope."""

    status: int

    def apply(self, expected: Expected) -> None:
        if expected.status == self.status:
            raise UnchangedError(f"status is {self.status} already")
        expected.status = self.status
        if isinstance(expected.body.json, dict) and "status" in expected.body.json:
            expected.body.json["status"] = self.status


@dataclass(frozen=True)
class Header:
    """Another value of a header; None takes it away."""

    name: str
    value: str | None

    def apply(self, expected: Expected) -> None:
        if expected.headers.get(self.name) == self.value:
            raise UnchangedError(f"{self.name} is {self.value!r} already")
        if self.value is None:
            del expected.headers[self.name]
        else:
            expected.headers[self.name] = self.value


@dataclass(frozen=True)
class Allow:
    """OPTIONS with CORS headers and, if given, another list of methods."""

    methods: str | None = None

    def apply(self, expected: Expected) -> None:
        if self.methods is not None:
            Header("allow", self.methods).apply(expected)
        expected.headers |= {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": expected.headers["allow"],
            "access-control-allow-headers": CORS_REQUEST,
            "access-control-max-age": "86400",
        }


@dataclass(frozen=True)
class Answered:
    """OPTIONS that is answered like any other where v1 refused it."""

    methods: str

    def apply(self, expected: Expected) -> None:
        if expected.body.kind == "none":
            raise UnchangedError("it has no body already")
        expected.status = 200
        expected.body = Body("none")
        expected.headers = {}
        Header("allow", self.methods).apply(expected)
        Allow().apply(expected)


@dataclass(frozen=True)
class ErrorObject:
    """`data` is the detail object and `error` a list with one text. `code` None: any number.

    `unasked`: refused before anybody asks who the caller is, so no profile is named.
    """

    code: int | None = None
    unasked: bool = False

    def apply(self, expected: Expected) -> None:
        envelope = expected.body.json
        detail: dict[str, Any] = {"siteId": _site_id(expected.host)}
        if expected.signed_in and not self.unasked and expected.status != 401:
            detail["profileId"] = 7
        detail["errorCode"] = Kind((int,)) if self.code is None else self.code
        detail["errorDetail"] = "A sentence"
        detail["code"] = Kind((str,))
        if envelope["data"] == detail:
            raise UnchangedError("data is the detail object already")
        envelope["data"] = detail
        envelope["error"] = ["A sentence"]


@dataclass(frozen=True)
class NamedError:
    """The detail object with the stable name of its error, where v1 had the object without."""

    def apply(self, expected: Expected) -> None:
        detail = expected.body.json["data"]
        if "code" in detail:
            raise UnchangedError("it has the name already")
        detail["code"] = Kind((str,))


@dataclass(frozen=True)
class Envelope:
    """JSON with the usual headers where v1 sent plain text."""

    def apply(self, expected: Expected) -> None:
        if expected.body.kind != "text":
            raise UnchangedError("the answer is JSON already")
        expected.body = Body(
            "json", json={"context": "", "status": expected.status, "data": None, "error": None}
        )
        expected.headers = dict(JSON_HEADERS)


@dataclass(frozen=True)
class Data:
    """A success with this payload."""

    value: Any

    def apply(self, expected: Expected) -> None:
        envelope = expected.body.json
        if envelope["data"] == self.value and envelope["error"] is None:
            raise UnchangedError("data is this already")
        envelope["data"] = copy.deepcopy(self.value)
        envelope["error"] = None


@dataclass(frozen=True)
class Set:
    """Another value at each place that `path` names, keys joined by dots.

    `*` is any key or entry, `**` any number of them.
    """

    path: str
    value: Any

    def apply(self, expected: Expected) -> None:
        changed = False
        for holder, key in _places(expected.body.json, self.path.split(".")):
            if holder[key] != self.value or type(holder[key]) is not type(self.value):
                holder[key] = copy.deepcopy(self.value)
                changed = True
        if not changed:
            raise UnchangedError(f"nothing at {self.path} to change")


@dataclass(frozen=True)
class OwnPart:
    """Each comment of a page with what the caller, the profile `me`, may do with it."""

    me: int = 7

    def apply(self, expected: Expected) -> None:
        data = expected.body.json["data"]
        comments = [one for one in data["comments"]["items"] if isinstance(one, dict)]
        for comment in comments:
            own = comment["meta"]["createdBy"]["id"] == self.me
            comment["meta"]["permissions"] = {
                **data["meta"]["permissions"],
                **dict.fromkeys(("update", "delete", "owner"), own),
            }
        if not comments:
            raise UnchangedError("there is no comment")


@dataclass(frozen=True)
class Added:
    """One more member of the document, or of each in a list of them, before its `meta`."""

    name: str
    value: Any

    def apply(self, expected: Expected) -> None:
        data = expected.body.json["data"]
        for document in data if isinstance(data, list) else [data]:
            if isinstance(document, dict):
                meta = document.pop("meta")
                document |= {self.name: self.value, "meta": meta}


@dataclass(frozen=True)
class WithLink:
    """One more link of the document, at the end of its links."""

    rel: str
    href: str

    def apply(self, expected: Expected) -> None:
        links = expected.body.json["data"]["meta"]["links"]
        links.append({"rel": self.rel, "href": self.href})


@dataclass(frozen=True)
class Without:
    """Nothing at each place that `path` names, as in Set."""

    path: str

    def apply(self, expected: Expected) -> None:
        places = list(_places(expected.body.json, self.path.split(".")))
        for holder, key in places:
            del holder[key]
        if not places:
            raise UnchangedError(f"nothing at {self.path} to leave out")


@dataclass(frozen=True)
class Deviation:
    """One rule, the recordings it applies to (`*` allowed), what it changes there, and why."""

    rule: str
    recordings: tuple[str, ...]
    changes: tuple[Change, ...]
    says: str

    def applies(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.recordings)


_OWN_TOKEN = {
    "accessToken": "A token",
    "user": {
        "userId": 3,
        "email": "member2@example.org",
        "gender": Kind((str,), nullable=True),
        "created": "2026-11-23T21:12:25Z",
        "state": Kind((str,), nullable=True),
        "dobDay": Kind((int,), nullable=True),
        "dobMonth": Kind((int,), nullable=True),
        "dobYear": Kind((int,), nullable=True),
        "canonicalEmail": "member2@example.org",
        "meta": {"links": [{"rel": "self", "href": "/api/v1/users/3"}]},
    },
    "clientId": Kind((int,)),
    "created": "2026-11-23T21:12:25Z",
    "expires": "2027-11-23T21:12:25Z",
}

_METRIC = {
    "timestamp": "2026-11-23T21:12:25Z",
    **dict.fromkeys(("pageviews", "visits", "uniques"), 0),
    **dict.fromkeys(
        (
            "newProfiles",
            "editedProfiles",
            "totalProfiles",
            "signins",
            "comments",
            "conversations",
            "engagedForums",
            "totalForums",
        ),
        Kind((int,)),
    ),
}

DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "P-53",
        ("rootsite-owner-GET-metrics",),
        (Envelope(), Data({"metrics": [_METRIC]})),
        "The platform's figures are JSON, not a page of charts.",
    ),
    Deviation(
        "P-04",
        ("OPTIONS-rootsite-metrics",),
        (Allow("OPTIONS,GET,HEAD,PUT"),),
        "HEAD works wherever GET works, and OPTIONS carries the CORS headers.",
    ),
    Deviation(
        "platform 1.5",
        ("rootsite-*-GET-reserved-*",),
        (Header("cache-control", "no-cache, max-age=0"), Header("vary", "Authorization")),
        "Every JSON answer carries both; what is free now may be taken in a moment.",
    ),
    Deviation(
        "P-01",
        (
            "trailing-slash",
            "unknown-path",
            "member-GET-site-by-id",
            "member-GET-sites-on-subdomain",
        ),
        (Envelope(), ErrorObject(unasked=True)),
        "An unknown path is a 404 in the envelope, not plain text.",
    ),
    Deviation(
        "P-01",
        ("POST-sites-on-subdomain",),
        (Envelope(), ErrorObject(unasked=True)),
        "A path of the root host is unknown on a site host.",
    ),
    Deviation(
        "P-01",
        ("unknown-domain",),
        (Envelope(), ErrorObject(14)),
        "An unknown host is a 404 in the envelope with code 14, whatever the host looks like.",
    ),
    Deviation(
        "P-07",
        ("member-POST-comment-missingitem", "unknown-host"),
        (NamedError(),),
        "The detail object has the stable name of the error.",
    ),
    Deviation(
        "P-04",
        (
            "OPTIONS-attendee",
            "OPTIONS-attendees",
            "OPTIONS-attendeescsv",
            "OPTIONS-auth",
            "OPTIONS-auth0",
            "OPTIONS-comment",
            "OPTIONS-comment-attachment",
            "OPTIONS-comment-attachments",
            "OPTIONS-comment-incontext",
            "OPTIONS-comments",
            "OPTIONS-conversation",
            "OPTIONS-conversations",
            "OPTIONS-event",
            "OPTIONS-events",
            "OPTIONS-files",
            "OPTIONS-huddle",
            "OPTIONS-huddles",
            "OPTIONS-ignored",
            "OPTIONS-microcosm",
            "OPTIONS-microcosm-roles",
            "OPTIONS-microcosms",
            "OPTIONS-permission",
            "OPTIONS-poll",
            "OPTIONS-polls",
            "OPTIONS-profile",
            "OPTIONS-profiles",
            "OPTIONS-profiles-options",
            "OPTIONS-profiles-read",
            "OPTIONS-role",
            "OPTIONS-role-criteria",
            "OPTIONS-role-criterion",
            "OPTIONS-role-members",
            "OPTIONS-roles",
            "OPTIONS-rootsite-host",
            "OPTIONS-rootsite-reserved",
            "OPTIONS-rootsite-site",
            "OPTIONS-rootsite-site-status",
            "OPTIONS-site",
            "OPTIONS-search",
            "OPTIONS-trending",
            "OPTIONS-updates",
            "OPTIONS-updates-preference",
            "OPTIONS-updates-preferences",
            "OPTIONS-user",
            "OPTIONS-users",
            "OPTIONS-users-batch",
            "OPTIONS-watcher",
        ),
        (Allow(),),
        "OPTIONS carries the CORS headers.",
    ),
    Deviation(
        "P-04",
        (
            "OPTIONS-api",
            "OPTIONS-api-v1",
            "OPTIONS-file",
            "OPTIONS-lastcomment",
            "OPTIONS-legal",
            "OPTIONS-legals",
            "OPTIONS-newcomment",
            "OPTIONS-resolve",
            "OPTIONS-root",
            "OPTIONS-rootsite-out",
            "OPTIONS-whoami",
        ),
        (Allow("OPTIONS,GET,HEAD"),),
        "HEAD works wherever GET works, and OPTIONS carries the CORS headers.",
    ),
    Deviation(
        "P-04",
        ("OPTIONS-watchers",),
        (Allow("OPTIONS,GET,HEAD,PUT,POST"),),
        "HEAD works wherever GET works, and OPTIONS carries the CORS headers.",
    ),
    Deviation(
        "P-04",
        ("OPTIONS-geocode",),
        (Answered("OPTIONS,GET,HEAD"),),
        "OPTIONS of the geocoder is answered like any other.",
    ),
    Deviation(
        "P-04",
        ("OPTIONS-rootsite-sites",),
        (Allow("OPTIONS,POST,HEAD,GET"),),
        "The list of sites can be read, and Allow says so.",
    ),
    Deviation(
        "P-04",
        ("OPTIONS-tree",),
        (Allow("OPTIONS,HEAD,GET"),),
        "POST on the tree is refused, so Allow leaves it out.",
    ),
    Deviation(
        "P-04",
        ("OPTIONS-comment-attribute", "OPTIONS-comment-attributes"),
        (Allow("OPTIONS,GET,HEAD,PUT,DELETE"),),
        "POST on attributes is refused, so Allow leaves it out.",
    ),
    Deviation(
        "P-04",
        ("OPTIONS-role-profile", "OPTIONS-role-profiles"),
        (Allow("OPTIONS,GET,HEAD,PUT,DELETE"),),
        "POST on a role's profiles is refused, so Allow leaves it out.",
    ),
    Deviation(
        "P-20",
        ("OPTIONS-menu",),
        (Allow("OPTIONS,GET,HEAD,PUT,DELETE"),),
        "POST on the menu is refused, so Allow leaves it out.",
    ),
    Deviation(
        "P-04",
        ("405-DELETE-microcosms",),
        (Header("allow", "OPTIONS,POST,HEAD,GET"), ErrorObject(unasked=True)),
        "405 has Allow and an error text.",
    ),
    Deviation(
        "P-04",
        ("405-DELETE-search",),
        (Header("allow", "OPTIONS,HEAD,GET"), ErrorObject(unasked=True)),
        "405 has Allow and an error text.",
    ),
    Deviation(
        "P-04",
        ("405-DELETE-trending", "405-DELETE-whoami"),
        (Header("allow", "OPTIONS,GET,HEAD"), ErrorObject(unasked=True)),
        "405 has Allow and an error text.",
    ),
    Deviation(
        "P-04",
        ("member-GET-watcher", "member-PUT-watcher"),
        (Header("allow", "OPTIONS,DELETE,PATCH"), ErrorObject(unasked=True)),
        "405 has Allow and an error text.",
    ),
    Deviation(
        "P-04",
        ("member-GET-comments-405",),
        (Header("allow", "OPTIONS,POST"), ErrorObject(unasked=True)),
        "405 has Allow and an error text.",
    ),
    Deviation(
        "S-12",
        ("member-GET-search", "member-GET-search-sort-date", "member-GET-search-two-words"),
        (Set("data.results.items.*.rank", 0.1),),
        "Comments are ranked too.",
    ),
    Deviation(
        "S-02",
        ("member-GET-search-event-geo",),
        (Without("data.query.lon"),),
        "No geographic key filters, so each of them is named in `ignored`.",
    ),
    Deviation(
        "P-06",
        ("jsonp",),
        (Header("content-type", "application/javascript"),),
        "JSONP is labelled as what it is.",
    ),
    Deviation(
        "content 1.12",
        ("OPTIONS-huddle-participants",),
        (Allow("OPTIONS,GET,HEAD,PUT"),),
        "POST, which is 405, is left out.",
    ),
    Deviation(
        "content 1.12",
        ("OPTIONS-huddle-participant",),
        (Allow("OPTIONS,GET,HEAD,PUT,DELETE"),),
        "POST, which is 405, is left out.",
    ),
    Deviation(
        "C-37",
        ("member-PUT-huddle-participant",),
        (Status(302), Header("location", "/api/v1/huddles/1/participants/13"), Data(None)),
        "Any participant adds others to a huddle that is not confidential, one by one too.",
    ),
    Deviation(
        "C-48",
        ("member-DELETE-comment-attachment",),
        (Status(200), Data(None)),
        "The author of a comment may take files off it; v1's test is inverted.",
    ),
    Deviation(
        "P-07",
        ("member-POST-files-json",),
        (ErrorObject(1),),
        "Errors carry the detail object: bad content type.",
    ),
    Deviation(
        "P-07",
        ("member-POST-comment-attachment-unknown",),
        (ErrorObject(22),),
        "Errors carry the detail object: file never uploaded.",
    ),
    Deviation(
        "P-07",
        ("member-DELETE-huddle-participant-other",),
        (ErrorObject(0),),
        "Errors carry the detail object.",
    ),
    Deviation(
        "P-07",
        ("member-PUT-huddle-participants-confidential",),
        (ErrorObject(11),),
        "Errors carry the detail object: no update permission.",
    ),
    Deviation(
        "P-07",
        ("always200", "member-GET-conversation-404"),
        (ErrorObject(9),),
        "Errors carry the detail object: no read permission.",
    ),
    Deviation(
        "P-07",
        (
            "badtoken-GET-microcosms",
            "badtoken-GET-whoami",
            "badauth-basic-GET-whoami",
            "badauth-oneword-GET-whoami",
        ),
        (ErrorObject(7),),
        "Errors carry the detail object: token not valid.",
    ),
    Deviation(
        "P-07",
        ("member-PUT-ignored-bad",),
        (ErrorObject(),),
        "Errors carry the detail object: no such item type.",
    ),
    Deviation(
        "P-07",
        ("member-POST-comment-badctype",),
        (ErrorObject(1),),
        "Errors carry the detail object: content type not accepted.",
    ),
    Deviation(
        "P-07",
        ("member-POST-comment-badjson",),
        (ErrorObject(2),),
        "Errors carry the detail object: malformed JSON.",
    ),
    Deviation(
        "P-07",
        (
            "member-GET-conversation-limitx",
            "member-POST-comment-wrongtype",
            "member-PUT-event-attribute-bad",
        ),
        (ErrorObject(3),),
        "Errors carry the detail object: wrong type.",
    ),
    Deviation(
        "P-07",
        ("member-GET-conversation-hugeid",),
        (ErrorObject(3, unasked=True),),
        "Errors carry the detail object: the address names a number that is no id.",
    ),
    Deviation(
        "P-07",
        ("rootsite-*-GET-out-unknown",),
        (ErrorObject(unasked=True),),
        "Errors carry the detail object; nobody asks who follows a short link.",
    ),
    Deviation(
        "P-07",
        (
            "member-GET-conversation-badoffset",
            "member-GET-conversation-limit1000",
            "member-GET-conversation-limit7",
            "member-GET-conversation-limitneg",
            "member-GET-conversation-offsetpastend",
        ),
        (ErrorObject(4),),
        "Errors carry the detail object: out of range.",
    ),
    Deviation(
        "P-07",
        (
            "rootsite-POST-sites-guest",
            "rootsite-guest-GET-metrics",
            "rootsite-guest-GET-metrics-after-PUT",
            "rootsite-guest-GET-sites-owned",
            "rootsite-guest-GET-whoami",
        ),
        (ErrorObject(5),),
        "Errors carry the detail object: not available to guests.",
    ),
    Deviation(
        "P-07",
        (
            "member-POST-conversation-missingmicrocosm",
            "member-POST-conversation-nomicrocosm",
            "member-POST-microcosm",
        ),
        (ErrorObject(10),),
        "Errors carry the detail object: no create permission.",
    ),
    Deviation(
        "P-07",
        (
            "member-PATCH-comment-moderated",
            "member-PUT-comment-other",
            "member-PUT-microcosm",
            "member-PUT-profile-other",
        ),
        (ErrorObject(11),),
        "Errors carry the detail object: no update permission.",
    ),
    Deviation(
        "P-07",
        (
            "member-GET-comment-moderated",
            "member-DELETE-watcher-byitem",
            "member-GET-event-attribute-404",
            "member-GET-role-members",
            "member-PATCH-conversation-sticky",
            "member-POST-comment-baditemtype",
            "member-POST-comment-empty",
            "member-POST-comment-noitemtype",
            "member-POST-conversation-notitle",
            "member-POST-role",
            "member-POST-watcher-noitemtype",
            "member-PUT-profile-badname",
            "member-PUT-profiles-read-bad",
            "member-PUT-site-menu",
            "rootsite-guest-GET-host",
            "rootsite-guest-GET-host-unknown",
            "rootsite-guest-GET-site6-status",
            "rootsite-owner-GET-host",
            "rootsite-owner-GET-host-unknown",
        ),
        (ErrorObject(),),
        "Errors carry the detail object.",
    ),
    Deviation(
        "P-08",
        (
            "context-param",
            "jsonp",
            "member-GET-site",
            "rootsite-*-GET-site",
            "rootsite-*-GET-site6",
            "rootsite-*-GET-sites-limit5",
            "rootsite-owner-GET-site6-status",
            "rootsite-owner-GET-sites",
            "rootsite-owner-GET-sites-owned",
        ),
        (Set("**.menu", []),),
        "An empty menu is [], not null.",
    ),
    Deviation(
        "P-18",
        ("rootsite-POST-sites-disallowed", "rootsite-POST-sites-taken"),
        (Status(400), ErrorObject()),
        "A reserved or taken subdomain is 400, not 500.",
    ),
    Deviation(
        "P-23",
        ("POST-auth-badassertion", "POST-auth-badsecret", "POST-auth-empty"),
        (Status(401),),
        "A refused assertion, and a wrong or missing client secret, are 401, not 500.",
    ),
    Deviation(
        "P-25",
        ("GET-auth-token",),
        (Envelope(), Status(200), Data(_OWN_TOKEN)),
        "GET /auth/{token} shows the token to its bearer; v1 has no such route.",
    ),
    Deviation(
        "P-25",
        ("GET-auth-withheader",),
        (Status(200), Data(_OWN_TOKEN)),
        "GET /auth shows the token that was presented; v1 never finds it.",
    ),
    Deviation(
        "P-25",
        ("DELETE-auth",),
        (Status(200), Data(None)),
        "DELETE /auth revokes the token that was presented; v1 never finds it.",
    ),
    Deviation(
        "platform 1.5",
        ("DELETE-auth", "GET-auth-token", "GET-auth-withheader", "POST-auth"),
        (Header("cache-control", "no-store"),),
        "What holds a secret is kept nowhere on its way.",
    ),
    Deviation(
        "P-25",
        ("GET-whoami-after-DELETE-auth",),
        (Status(401), ErrorObject(7)),
        "A revoked token is refused from the next request on.",
    ),
    Deviation(
        "P-31",
        ("member-POST-profile",),
        (Status(302), Data(None), Header("location", "/api/v1/profiles/7")),
        "POST /profiles leads to the caller's own profile, which exists already.",
    ),
    Deviation(
        "P-07",
        ("member-POST-users-batch",),
        (ErrorObject(8),),
        "Errors carry the detail object: needs the owner of the site.",
    ),
    Deviation(
        "P-27",
        ("member-GET-user-self",),
        (
            Set("data.gender", None),
            Set("data.state", "valid"),
            Set("data.dobDay", None),
            Set("data.dobMonth", None),
            Set("data.dobYear", None),
        ),
        "A user's fields are plain values or null, not wrappers of a database.",
    ),
    Deviation(
        "P-32",
        ("member-PUT-profile-nametaken",),
        (Status(400), Header("location", None), ErrorObject()),
        "A taken name is refused, not silently replaced.",
    ),
    Deviation(
        "P-33",
        ("member-PATCH-profile-member",),
        (Status(403), ErrorObject()),
        "Only the site owner may make someone a member; anyone else is told so.",
    ),
    Deviation(
        "platform 2.3",
        ("member-PUT-site",),
        (Status(403), ErrorObject()),
        "PUT /site works as PUT on the root host does, so a member who is not owner is refused.",
    ),
    Deviation(
        "platform 6.1",
        ("rootsite-*-GET-legal",),
        (Set("data.links.*.rel", "service"),),
        "The link to the terms of service has rel service.",
    ),
    Deviation(
        "C-07",
        (
            "member-GET-ignored",
            "member-GET-microcosm-leaf",
            "member-GET-microcosm-leaf-page2",
            "member-GET-microcosm-top",
            "member-GET-microcosm-with-event-and-poll",
            "member-GET-microcosms",
            "member-GET-microcosms-with-ignored",
            "member-GET-watchers-after",
        ),
        (Set("**.moderators", []),),
        "moderators is an empty list, not null.",
    ),
    Deviation(
        "C-08",
        (
            "member-GET-ignored",
            "member-GET-microcosm-leaf",
            "member-GET-microcosm-leaf-page2",
            "member-GET-microcosm-top",
            "member-GET-microcosm-with-event-and-poll",
            "member-GET-microcosms",
            "member-GET-microcosms-with-ignored",
            "member-GET-watchers-after",
        ),
        (Set("**.visible", True),),
        "visible is computed: what is neither deleted nor moderated is visible from the start.",
    ),
    Deviation(
        "C-09",
        ("member-GET-conversation-moderated",),
        (WithLink("statement", "/api/v1/statements/1"),),
        "The author of what a moderator hid finds the reasons.",
    ),
    Deviation(
        "C-12",
        ("member-POST-comment-on-closed",),
        (Status(403), Header("location", None), ErrorObject(10)),
        "Nobody but a moderator comments on a closed conversation.",
    ),
    Deviation(
        "C-14",
        ("member-PUT-conversation-noreason",),
        (Status(400), Header("location", None), ErrorObject()),
        "Each edit needs its own reason.",
    ),
    Deviation(
        "N-06",
        (
            "member-GET-updates-preference-1",
            "member-GET-updates-preferences",
            "member-GET-updates-preferences-after",
        ),
        (Added("sendPush", Kind((bool,))),),
        "Each type is pushed to devices or not.",
    ),
    Deviation(
        "C-23",
        ("HEAD-conversations",),
        (Status(200),),
        "The list of conversations is there for anyone who may read the site's root.",
    ),
    Deviation(
        "C-24",
        (
            "member-GET-conversation-created",
            "member-GET-conversation-moderated",
            "member-GET-conversation-sticky-edited",
            "member-GET-poll",
            "member-GET-poll-with-comment",
        ),
        (Set("data.meta.permissions.delete", True),),
        "Authors delete their own conversations while nobody else has commented.",
    ),
    Deviation(
        "C-24",
        (
            "member-GET-attendees",
            "member-GET-attendees-attending",
            "member-GET-event",
            "member-GET-event-edited",
            "member-GET-event-minimal",
            "member-GET-event-with-comment",
        ),
        (Set("data.meta.permissions.delete", True),),
        "Authors delete their own events while nobody else has commented.",
    ),
    Deviation(
        "content 5.1",
        ("member-GET-attendee",),
        (Set("data.meta.permissions.delete", True),),
        "Whoever answered takes their answer back.",
    ),
    Deviation(
        "C-29",
        ("member-PUT-attendee",),
        (
            Status(302),
            Header("location", "/api/v1/events/1/attendees/7"),
            Set("error", None),
        ),
        "Members answer by the attendee's address too, and are led to it.",
    ),
    Deviation(
        "P-07",
        ("member-GET-attendee-404", "member-POST-event-badwhen", "member-PUT-attendees-badrsvp"),
        (ErrorObject(),),
        "Errors carry the detail object.",
    ),
    Deviation(
        "C-21",
        ("member-GET-event-lastcomment",),
        (Header("location", "/api/v1/events/1?comment_id=100006"),),
        "It leads to the page of the last comment and names it.",
    ),
    Deviation(
        "platform 1.5",
        ("member-GET-attendeescsv",),
        (Header("access-control-allow-origin", "*"),),
        "Every answer may be read from other origins.",
    ),
    Deviation(
        "C-31",
        ("member-POST-poll",),
        (Status(302), Data(None), Header("location", "/api/v1/polls/1")),
        "Whoever may create in the microcosm may ask something there.",
    ),
    Deviation(
        "C-31",
        ("member-POST-poll-nochoices",),
        (Status(400), ErrorObject()),
        "A poll without choices is refused for that, not for want of a permission.",
    ),
    Deviation(
        "ours",
        (
            "context-param",
            "jsonp",
            "member-GET-site",
            "rootsite-guest-GET-site",
            "rootsite-owner-GET-site",
        ),
        (Added("reactions", [{"name": "like", "text": "👍"}]),),
        "The site's own document names the reactions that can be given.",
    ),
    Deviation(
        "ours",
        (
            "member-GET-comment-incontext-follow",
            "member-GET-conversation",
            "member-GET-conversation-ignored",
            "member-GET-conversation-limit50-last",
            "member-GET-conversation-page2",
            "member-GET-conversation-watched",
            "member-GET-event-with-comment",
            "member-GET-poll-with-comment",
        ),
        (OwnPart(),),
        "A thread is one call: each comment says what the caller may do with it.",
    ),
    Deviation(
        "C-34",
        ("member-GET-comment-created", "member-GET-comment-edited"),
        (Set("data.meta.permissions.delete", True),),
        "Authors delete their own comments.",
    ),
)


def expectation(recording: Recording) -> Expected:
    """The recorded answer as it stands, before any deviation. The recording must have one."""
    response = recording.response
    if response is None:
        raise ValueError(f"{recording.name}: v1 gave no answer")
    authorization = recording.request.headers.get("authorization", "")
    body = take_apart(response.headers.get("content-type"), response.body)
    if recording.request.method == "HEAD":
        body = Body("none")
    return Expected(
        response.status,
        {name: value for name, value in response.headers.items() if name != "date"},
        body,
        host=recording.request.host,
        signed_in=authorization.removeprefix("Bearer ") in TOKENS,
    )


def deviations(name: str) -> list[Deviation]:
    """Return what applies to the recording `name`, in the order in which it is applied."""
    return [deviation for deviation in DEVIATIONS if deviation.applies(name)]


def expected(recording: Recording) -> Expected:
    """Return what this engine must answer. Raises UnchangedError when a deviation changes nothing."""
    answer = expectation(recording)
    for deviation in deviations(recording.name):
        for change in deviation.changes:
            change.apply(answer)
    return answer


def _site_id(host: str) -> int:
    return {SITE_HOST: SITE_ID, ROOT_HOST: 1}.get(host, 0)


def _places(value: Any, path: list[str]) -> Iterator[tuple[Any, Any]]:
    """Each holder and key that `path` leads to."""
    first, rest = path[0], path[1:]
    entries: Any = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    for key, inner in entries:
        if first == "**":
            yield from _places(inner, path)
            if rest[0] == key:
                yield from _ends(value, key, inner, rest[1:])
        elif first in ("*", key):
            yield from _ends(value, key, inner, rest)


def _ends(holder: Any, key: Any, inner: Any, rest: list[str]) -> Iterator[tuple[Any, Any]]:
    if rest:
        yield from _places(inner, rest)
    else:
        yield holder, key


def summary(name: str) -> str:
    """The rules that apply to the recording, for test ids and messages: `P-07 C-34`, or empty."""
    return " ".join(dict.fromkeys(deviation.rule for deviation in deviations(name)))


def explain(name: str) -> str:
    """One line for each deviation that applies."""
    return "\n".join(f"  {deviation.rule}: {deviation.says}" for deviation in deviations(name))


def show(answer: Expected) -> str:
    """Return what must come back, for messages."""
    return (
        json.dumps(answer.body.json, indent=1, default=str)
        if answer.body.json
        else answer.body.text
    )
