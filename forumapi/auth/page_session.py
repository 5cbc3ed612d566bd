"""Sessions of the engine's own pages: a cookie of a few minutes, good for those pages alone.

Its value is at first a random text, then the secret of a token that is bound to the site and has no scope at all, so
that whoever gets hold of it can't use the API. Forms carry a text made from it and from the page's URL.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Any, Final

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import Unauthorized
from forumapi.models.access import identity
from forumapi.models.access.identity import IDENTITY, Identity, IdentityQuery

LIFE_S: Final = 600
_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{32,128}")

# Narrows a fresh access token to one for pages.
CONFINE = Query(
    "page_session.confine",
    """
    UPDATE access_tokens t
       SET kind = 'page', scopes = '{}', site_id = %(site_id)s, name = '',
           expires = now() + make_interval(secs => %(life_s)s::int)
     WHERE t.token_hash = %(token_hash)s""",
    scope=PLATFORM,
)

END = Query(
    "page_session.end",
    """
    DELETE FROM access_tokens t
     WHERE t.token_hash = %(token_hash)s AND t.site_id = %(site_id)s AND t.kind = 'page'""",
)


def new_value() -> str:
    """Make the cookie of a browser that is not signed in."""
    return secrets.token_urlsafe(32)


def is_value(text: str) -> bool:
    """Return True if the text has the form of the cookie."""
    return _VALUE.fullmatch(text) is not None


def confine(tx: Transaction, site_id: int, secret: str) -> None:
    """Limit a token that a sign-in returned to the pages of this site, for ten minutes."""
    tx.run(CONFINE, token_hash=identity.token_hash(secret), site_id=site_id, life_s=LIFE_S)


def find(tx: Reader, site_id: int, value: str) -> Identity | None:
    """Return the identity that is signed in with this cookie, banned or not; None for none."""
    try:
        found = identity.find(tx, site_id, value, IdentityQuery(IDENTITY))
    except Unauthorized:
        return None
    # A token for the API is no cookie: this one has the empty set of scopes.
    return found if found.scopes == frozenset() and found.profile_id else None


def end(tx: Transaction, site_id: int, value: str) -> None:
    """End the page session of this cookie."""
    tx.run(END, token_hash=identity.token_hash(value), site_id=site_id)


def mark(value: str) -> str:
    """Hash a cookie, to recognise the browser later."""
    return hashlib.sha256(f"mark\0{value}".encode()).hexdigest()


def form_key(value: str, url: str) -> str:
    """Return the anti-forgery value of forms on the page at `url` (path and query) for this cookie."""
    return hmac.new(value.encode(), url.encode(), hashlib.sha256).hexdigest()


def is_form_key(given: Any, value: str, url: str) -> bool:
    """Return True if `given` is the anti-forgery value of forms on the page at `url` for the cookie `value`."""
    return isinstance(given, str) and hmac.compare_digest(
        given.encode(), form_key(value, url).encode()
    )
