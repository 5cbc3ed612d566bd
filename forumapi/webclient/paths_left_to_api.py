"""Paths that stay with the API on a host that has a website. etc/nginx/forumapi.conf sends exactly these paths to the
API.
"""

from __future__ import annotations

from typing import Final

# Whole paths, and what begins with one of them and a slash.
API_PATHS: Final = (
    "/api",
    "/live",
    "/out",
    "/oauth",
    "/auth",
    "/mail/appeal",
    "/mail/report",
    "/mail/unsubscribe",
    "/.well-known",
)
_WHOLE: Final = frozenset(API_PATHS)
_BELOW: Final = tuple(f"{path}/" for path in API_PATHS)


def is_page(path: str) -> bool:
    """Return True for a path that the website answers, False for one of the API."""
    return path not in _WHOLE and not path.startswith(_BELOW)
