"""Scopes of tokens, `<resource>:read` and `<resource>:write`: which each operation needs, and their descriptions.

Scopes follow from the routing tables: an operation's resource is the first part of its address below /api/v1, so that a
new address has scopes at once. The tables here hold the exceptions. Docs: docs/api/oauth.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from forumapi import itemtypes

# Results of `of` for operations that any token may call, and for those that only a token without scopes may.
OPEN: Final = ""
WHOLE: Final = "*"

_BELOW: Final = "/api/v1/"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")

# URLs that reveal nothing about the caller and change nothing in their name.
_OPEN: Final = frozenset(
    (
        "/",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/api/v1/mcp",
        "/api",
        "/api/v1",
        # Each tool needs the scope of its operation.
        "/api/v1/mcp",
        "/api/v1/oauth/device",
        "/api/v1/oauth/introspect",
        "/api/v1/oauth/revoke",
        "/api/v1/oauth/scopes",
        "/api/v1/oauth/token",
        "/auth/huddles",
        "/live",
        "/mail/appeal",
        "/mail/report",
        "/mail/unsubscribe",
        "/oauth/authorize",
        "/oauth/device",
        "/oauth/link",
        "/out/<code>",
    )
)
_OPEN_RESOURCES: Final = frozenset(
    ("asyncapi.json", "auth0", "docs", "legal", "openapi.json", "out", "sandboxes")
)

# With these a limited token could make itself an unlimited one, close or delete a site or change its plan; the audit
# has all kinds of things in it. People agree to texts themselves.
_WHOLE_RESOURCES: Final = frozenset(
    ("agents", "audit", "auth", "bots", "consents", "keys", "oauth", "sessions")
)
_WHOLE_ADDRESSES: Final = frozenset(
    (
        "/api/v1/site/audit",
        "/api/v1/site/auth",
        "/api/v1/site/auth/<method>",
        "/api/v1/site/deletion",
        "/api/v1/site/export",
        "/api/v1/site/export/archive",
        "/api/v1/site/import",
        "/api/v1/site/import/leftovers",
        "/api/v1/site/offer",
        "/api/v1/sites/<site:item>/plan",
        "/api/v1/sites/<site:item>/state",
    )
)

# Parts of a URL that, wherever they stand, decide before the first part.
_PARTS: Final[Mapping[str, str]] = {
    "appeal": "appeals",
    "bookmark": "bookmarks",
    "draft": "drafts",
    "ical": "events",
    "roles": "roles",
}

_RESOURCES: Final[Mapping[str, str]] = {
    "hosts": "sites",
    "menu": "sites",
    "preview": "comments",
    "reserved": "sites",
    "site": "sites",
    "whoami": "profile",
}
_ADDRESSES: Final[Mapping[str, str]] = {
    "/api/v1/profiles/options": "profile",
    "/api/v1/profiles/read": "profile",
    "/api/v1/profiles/read/batch": "profile",
    "/api/v1/updates/email": "profile",
}
# The presented token itself: introspection and revocation.
_OWN_TOKEN: Final = frozenset(("/api/v1/auth", "/api/v1/auth/<token>"))
_OF_OWN_TOKEN: Final[Mapping[str, str]] = {"GET": "profile:read", "POST": OPEN, "DELETE": OPEN}

# Batch reads, and tickets for live events: they change nothing.
_READ_BY_POST: Final = frozenset(("live", "permission", "search"))

_WORDS: Final[Mapping[str, str]] = {
    "actions:read": "See what moderators did, where you may moderate",
    "actions:write": "Hide, delete, move and close things and undo that, where you may moderate",
    "appeals:read": "See your appeals, and those of others where you may decide",
    "appeals:write": "Write to the moderators about your appeals, and decide those of others where you may",
    "cases:read": "See what was reported and by whom, where you may moderate",
    "cases:write": "Take and decide what was reported, where you may moderate",
    "reports:read": "See what you reported",
    "reports:write": "Report things to the moderators",
    "statements:read": "See what moderators decided about what you wrote, and why",
    "bookmarks:read": "See what you bookmarked",
    "bookmarks:write": "Bookmark things and take bookmarks away",
    "comments:read": "Read comments",
    "comments:write": "Write, change and delete comments",
    "conversations:read": "Read conversations",
    "conversations:write": "Start, change and delete conversations",
    "drafts:read": "Read your drafts",
    "drafts:write": "Keep drafts for you and throw them away",
    "events:read": "Read events and who attends",
    "events:write": "Make, change and delete events, and attend them",
    "files:write": "Upload files",
    "huddles:read": "Read your private huddles",
    "huddles:write": "Start private huddles, invite to them and leave them",
    "ignored:read": "See what you ignore",
    "ignored:write": "Change what you ignore",
    "live:read": "Be told what happens on this site as it happens",
    "links:read": "See the links of this site and where they stand, where you may",
    "metrics:read": "See the platform's figures, where you may",
    "metrics:write": "Have the platform's figures counted, where you may",
    "microcosms:read": "See the forums of this site and what is in them",
    "microcosms:write": "Make, change and delete forums where you may",
    "moderation:read": "See what waits for moderation, where you may moderate",
    "permission:read": "Ask what you may do",
    "polls:read": "Read polls",
    "polls:write": "Make, change and delete polls, and vote in them",
    "profile:read": "See your profile with your e-mail address, and your settings",
    "profile:write": "Change your settings and mark things as read",
    "profiles:read": "See the people of this site, and your own profile with your e-mail address",
    "profiles:write": "Change your profile",
    "resolve:read": "Look up where addresses of an old site are now",
    "roles:read": "See who may do what",
    "roles:write": "Change who may do what, where you may",
    "rules:read": "See the rules by which things are hidden by themselves, where you may",
    "rules:write": "Change the rules by which things are hidden by themselves, where you may",
    "search:read": "Search this site",
    "sites:read": "See what this site is called and how it is set up",
    "sites:write": "Change how this site is set up, where you may",
    "updates:read": "Read your notifications",
    "updates:write": "Mark notifications as read and choose which you get",
    "users:read": "See your account, and those of others where you may",
    "users:write": "Add people to this site, where you may",
    "webhooks:read": "See which addresses are told of what happens here, where you may",
    "webhooks:write": "Have addresses told of what happens here, where you may",
    "watchers:read": "See what you follow",
    "watchers:write": "Follow things and stop following them",
}


def of(template: str, verb: str) -> str:
    """Return the scope that a token with limited scopes needs for the method `verb` (upper case) at an address as the
    routing tables write it, such as `/api/v1/auth/<token>`.

    OPEN: no scope is needed; WHOLE: no limited token will do. Raises LookupError for an address outside of /api/v1 that
    no table here names.
    """
    if template in _OPEN:
        return OPEN
    if template in _OWN_TOKEN:
        return _OF_OWN_TOKEN[verb]
    first, *rest = template.removeprefix(_BELOW).split("/")
    if first in _OPEN_RESOURCES:
        return OPEN
    if first in _WHOLE_RESOURCES or template in _WHOLE_ADDRESSES:
        return WHOLE
    if not template.startswith(_BELOW) or not _NAME.fullmatch(first):
        raise LookupError(f"no scope is known for {template}")
    resource = _ADDRESSES.get(template) or _RESOURCES.get(first, first)
    for part in rest:
        resource = _PARTS.get(part, resource)
    is_read = verb in ("GET", "HEAD") or resource in _READ_BY_POST
    return f"{resource}:{'read' if is_read else 'write'}"


# Scope for reading an object of a type. An object that belongs to another takes that one's scope alone; users and
# sign-in methods are readable by their owner alone.
_OF_KIND: Final[Mapping[int, str]] = {
    kind.id: of(kind.path, "GET")
    for kind in itemtypes.TYPES
    if kind.path.startswith(_BELOW) and kind.id not in (itemtypes.USER, itemtypes.AUTH)
} | {
    itemtypes.ATTENDEE: of(itemtypes.BY_ID[itemtypes.EVENT].path, "GET"),
    itemtypes.ATTACHMENT: OPEN,
    itemtypes.ATTRIBUTE: OPEN,
}


def kinds(granted: frozenset[str] | None) -> frozenset[int]:
    """Return the ids of the item types that a token with the scopes `granted` may read; None (no limits): all types."""
    if granted is None:
        return itemtypes.ALL
    return frozenset(kind for kind, scope in _OF_KIND.items() if scope in (OPEN, *granted))


def of_kind(item_type: int) -> str:
    """Return the scope for reading objects of the item type with the id `item_type`, OPEN for attachments and
    attributes. Raises KeyError for a type that has none, such as users.
    """
    return _OF_KIND[item_type]


def words(scope: str) -> str:
    """Return the description, in English, of a scope for a person who is asked to grant it; if the table has none, a
    description made of the scope's name.
    """
    resource, _, kind = scope.partition(":")
    return _WORDS.get(scope) or f"{'Read' if kind == 'read' else 'Change'} {resource}"


def known(operations: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return all scopes that these operations, (address, method) each as for `of`, need: sorted, each once, without
    OPEN and WHOLE.
    """
    found = {of(template, verb) for template, verb in operations}
    return tuple(sorted(found - {OPEN, WHOLE}))


def split(text: str) -> list[str]:
    """Split a text of scopes with spaces between into a list of them, in the same order, each once."""
    return list(dict.fromkeys(text.split()))
