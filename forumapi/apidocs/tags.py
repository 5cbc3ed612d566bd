"""Tags of the OpenAPI document: subjects in reading order, each with the modules of handlers that belong to it.

A module that no tag names belongs to the tag of its folder.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Tag(NamedTuple):
    """Tag of operations, a page of the reference; `modules`: names of the modules of handlers whose operations
    have the tag, without their folders; `folders`: folders below `handlers/` whose modules have it unless another tag
    names them.
    """

    name: str
    description: str
    modules: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


TAGS: Final = (
    Tag(
        "Signing in",
        "A token by each method of the site, passkeys, the second factor, and signing out.",
        ("auth", "sign_in_methods", "passkeys", "second_factor_and_email"),
    ),
    Tag(
        "Caller",
        "The caller's own profile, what they may do, their sessions and API keys.",
        ("whoami",),
        ("access",),
    ),
    Tag(
        "Microcosms", "The nodes of a site's tree, singly and all at once.", folders=("microcosms",)
    ),
    Tag("Conversations", "Items of a title and comments.", ("conversations",)),
    Tag(
        "Comments",
        "Writing, reading and changing comments; their revisions; the page that holds one.",
        ("comments", "revisions"),
    ),
    Tag(
        "Events",
        "Items with a time and a place, who attends, and calendars to subscribe to.",
        ("events", "attendees", "calendars"),
    ),
    Tag("Polls", "Items with a question, choices and votes.", ("polls",)),
    Tag(
        "Huddles",
        "Private conversations among their participants.",
        ("huddles", "owner_provider_confirmation"),
    ),
    Tag(
        "Items",
        "What conversations, events, polls and huddles have in common.",
        folders=("content",),
    ),
    Tag(
        "Composing",
        "Drafts, previews, and the coordinates of a place by its name.",
        ("drafts", "preview", "geocode"),
    ),
    Tag("Files", "Upload, download, and files attached to something.", ("files", "attachments")),
    Tag("Reactions", "Reactions, and the kinds of them that a site offers.", ("reactions",)),
    Tag("Bookmarks", "What a profile saved for itself alone.", ("bookmarks",)),
    Tag("Attributes", "Keys with values, of a site, item, comment or profile.", ("attributes",)),
    Tag(
        "People",
        "Profiles on a site, users of the platform, and whom or what the caller ignores.",
        folders=("people",),
    ),
    Tag(
        "Search",
        "Search, what is trending, short links, and addresses of a site's earlier software.",
        ("short_links", "legacy_urls"),
        ("discovery",),
    ),
    Tag(
        "Updates",
        "Notifications: their list, what the caller follows, mail and push.",
        folders=("notifications",),
    ),
    Tag(
        "Live",
        "Events of a site as they happen, by WebSocket, Server-Sent Events or long polling.",
        ("live", "live_demo"),
    ),
    Tag(
        "Reports",
        "Reports to moderators, the reasons for decisions, and appeals against them.",
        ("reports", "guest_report_confirmation", "statements", "appeals", "appeal_without_sign_in"),
    ),
    Tag(
        "Moderation",
        "What waits for moderators, cases, actions with undo, checks of texts, rules, and bans.",
        ("moderation_queue", "bans"),
        ("trust",),
    ),
    Tag(
        "Roles",
        "Roles of a microcosm or of the whole site, their members and criteria.",
        ("roles", "role_members_and_held_roles", "criteria"),
    ),
    Tag(
        "Sites",
        "This host's site with its settings and legal texts; on the platform's host all sites.",
        folders=("sites", "operators"),
    ),
    Tag("Audit", "Who did what, and the transparency report.", ("audit", "transparency")),
    Tag(
        "Taking out and erasing",
        "Exports of a person's data or of a whole site, the erasure of a person, and consents to legal texts.",
        ("personal_exports", "export", "erasures", "consents"),
    ),
    Tag("Webhooks", "Webhooks of a site, for its owner.", ("webhooks",)),
    Tag(
        "OAuth",
        "The OAuth provider: its endpoints, pages, clients and grants.",
        ("oauth", "oauth_clients", "oauth_pages"),
    ),
    Tag(
        "Agents",
        "The MCP server of a site, for agents of its people, its metadata, and how far they may go; and bots.",
        ("mcp", "agent_levels", "bots"),
    ),
    Tag(
        "Platform",
        "Entry points, documents about the API, sandboxes, look-ups of hosts, and metrics of the platform.",
        ("api_index", "api_docs", "sandboxes", "host_lookups", "platform_growth"),
    ),
)

BY_MODULE: Final = {module: tag for tag in TAGS for module in tag.modules}
BY_FOLDER: Final = {folder: tag for tag in TAGS for folder in tag.folders}
