"""Operation ids of the OpenAPI document: names for methods of clients, made of route and method by one rule.

The verb comes first (`get` or `list`, `create`, `update`, `patch`, `delete`), then the parts of the address: singular
where a parameter follows, or where POST creates one (`GET /comments/{id}/attributes/{key}`: `getCommentAttribute`). A
part without a plural takes the parameter's name (`GET /site/mail/{template}`: `getThisSiteMailTemplate`).
An id is part of what clients are generated from, so tests/saved/routes.txt holds them all.
"""

from __future__ import annotations

import re
from typing import Final

_VERBS: Final = {
    "GET": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
# Last part of an address that POST executes, in place of creating anything: `undoAction`.
_ACTIONS: Final = frozenset(("begin", "ping", "replay", "undo"))
# Words that end in s and are no lists.
_SINGLE: Final = frozenset(
    ("Avatars", "Checks", "Cookies", "Metrics", "Options", "Status", "Terms")
)
_PLURALS: Final = {"Criteria": "Criterion", "Sandboxes": "Sandbox"}
# Parts of addresses that are several words, or that mean something else than the part says.
_WORDS: Final = {
    "asyncapi.json": "AsyncApiDocument",
    "attendeescsv": "AttendeesCsv",
    "auth0": "Auth0Token",
    "docs": "ReferencePage",
    "ical": "ICalendar",
    "incontext": "InContext",
    "lastcomment": "LastComment",
    "newcomment": "NewComment",
    "openapi.json": "OpenApiDocument",
}
# Ids that the rule would make equal to another one, or of words that nobody says.
EXCEPTIONS: Final = {
    "DELETE /api/v1/auth": "signOut",
    "DELETE /api/v1/watchers/delete": "deleteWatchersByDelete",
    "DELETE /api/v1/watchers/patch": "deleteWatchersByPatch",
    "GET /": "getHostIndex",
    "GET /.well-known/oauth-authorization-server": "getOAuthServerMetadata",
    "GET /.well-known/oauth-protected-resource": "getMcpMetadata",
    "GET /.well-known/oauth-protected-resource/api/v1/mcp": "getMcpMetadataByPath",
    "GET /api": "getApiIndex",
    "GET /api/v1": "getVersionIndex",
    "GET /api/v1/agents": "getAgentLevels",
    "GET /api/v1/auth": "getCurrentToken",
    "GET /api/v1/audit/me": "listOwnAuditEntries",
    "GET /api/v1/docs/{page}": "getReferenceSubjectPage",
    "GET /api/v1/docs/{page}/try": "getReferenceTryPage",
    "GET /api/v1/docs/scripts/{name}": "getReferenceScript",
    "GET /api/v1/docs/search.json": "getReferenceSearchIndex",
    "GET /api/v1/geocode": "geocode",
    "GET /api/v1/ignored": "listIgnored",
    "GET /api/v1/live": "openLiveSocket",
    "GET /api/v1/live/events": "streamLiveEvents",
    "GET /api/v1/live/poll": "pollLiveEvents",
    "GET /api/v1/out/{code}": "followShortLink",
    "GET /api/v1/resolve": "resolveLegacyUrl",
    "GET /api/v1/search": "search",
    "GET /api/v1/site/audit": "listThisSiteAuditEntries",
    "GET /api/v1/trending": "listTrending",
    "GET /api/v1/whoami": "whoAmI",
    "GET /out/{code}": "followPlatformShortLink",
    "PATCH /api/v1/watchers/delete": "patchWatchersByDelete",
    "PATCH /api/v1/watchers/patch": "patchWatchersByPatch",
    "POST /api/v1/auth": "signIn",
    "POST /api/v1/auth/begin": "beginSignIn",
    "POST /api/v1/auth/passkeys/begin": "beginPasskey",
    "POST /api/v1/auth/totp/recovery": "createTotpRecoveryCodes",
    "POST /api/v1/mcp": "sendAgentMessage",
    "POST /api/v1/oauth/device": "createOAuthDeviceCode",
    "POST /api/v1/oauth/introspect": "introspectOAuthToken",
    "POST /api/v1/oauth/revoke": "revokeOAuthToken",
    "POST /api/v1/permission/batch": "listPermissions",
    "POST /api/v1/preview": "previewMarkdown",
    "POST /api/v1/reports/guest": "createGuestReport",
    "PUT /api/v1/agents": "updateAgentLevel",
    "PUT /api/v1/profiles/read": "markRead",
    "PUT /api/v1/profiles/read/batch": "markReadBatch",
}


def operation_id(verb: str, template: str) -> str:
    """Return the id of the operation `verb` (upper case) at an address of the document (`{id}` for a parameter), such
    as `getConversation`: that in EXCEPTIONS if it is there, else by the module's rule.

    For an address outside /api/v1, an HTML page, the id ends in `Page`, and begins with `submit` for POST.
    """
    if exception := EXCEPTIONS.get(f"{verb} {template}"):
        return exception
    below = template.startswith("/api/v1/")
    parts = template.removeprefix("/api/v1").strip("/").split("/")
    words = [_word(part, first=place == 0 and below) for place, part in enumerate(parts)]
    named = [
        _singular(word) + _kind(word, follower) if follower.startswith("{") else word
        for word, part, follower in zip(words, parts, [*parts[1:], ""], strict=True)
        if not part.startswith("{")
    ]
    if not below:
        return ("submit" if verb == "POST" else _VERBS[verb]) + "".join(named) + "Page"
    is_one = parts[-1].startswith("{")
    if verb == "POST" and parts[-1] in _ACTIONS:
        return parts[-1] + "".join(named[:-1])
    if verb == "POST":
        named[-1] = _singular(named[-1])
    is_list = verb == "GET" and not is_one and _singular(named[-1]) != named[-1]
    return ("list" if is_list else _VERBS[verb]) + "".join(named)


def _word(part: str, *, first: bool) -> str:
    if first and part == "site":
        return "ThisSite"  # in contrast to /sites/{id}, on the platform's host
    if part in _WORDS:
        return _WORDS[part]
    capitals = "".join(word.capitalize() for word in re.findall(r"[a-zA-Z0-9]+", part))
    return re.sub("^Oauth", "OAuth", capitals)


def _kind(word: str, parameter: str) -> str:
    """Return what an operation id adds after `word`, a segment of the address, for the variable part `parameter` that
    follows it: `Key` for `{key}`; "" for `{id}`, and for a `word` in the plural, whose singular stands for the one
    thing.
    """
    if _singular(word) != word:
        return ""
    return "".join(part.capitalize() for part in re.findall("[a-z]+", parameter) if part != "id")


def _singular(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    if word in _SINGLE or not word.endswith("s"):
        return word
    return word[:-3] + "y" if word.endswith("ies") else word[:-1]
