"""Order in which one builds a client (docs/api/guide.md), as the index of the reference shows it."""

from __future__ import annotations

from typing import Final, NamedTuple


class GuideStep(NamedTuple):
    """Step of building a client: its title, what to do, and the ids of the operations that it takes."""

    title: str
    text: str
    operations: tuple[str, ...]


GUIDE: Final = (
    GuideStep(
        "Sign in",
        "Ask what the site offers, and get a token by it: by a code in a mail, OAuth with PKCE, or an API key.",
        ("listAuthMethods", "signIn", "createOAuthToken", "createKey", "whoAmI"),
    ),
    GuideStep(
        "First page",
        "The tree of places, the newest items, and one of them with its comments; `links` has the next page.",
        ("getMicrocosmsTree", "listConversations", "getConversation"),
    ),
    GuideStep(
        "Write",
        "With `Prefer: return=representation`, an `Idempotency-Key` for each thing done, and `If-Match` on changes.",
        ("createComment", "updateComment", "deleteComment", "createFile"),
    ),
    GuideStep(
        "Live",
        "Follow from the `Live-Cursor` of the answer that is on the screen, and miss nothing.",
        ("pollLiveEvents", "streamLiveEvents", "openLiveSocket"),
    ),
    GuideStep(
        "Offline",
        "Keep answers with their `ETag`, ask with `If-None-Match`, and send what waited with its key.",
        ("listUpdates", "listDrafts"),
    ),
    GuideStep(
        "Errors",
        "`code` in the answer is stable; each has a meaning and what a client does, at `/api/v1/docs/errors`.",
        (),
    ),
)
