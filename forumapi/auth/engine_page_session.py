"""Sessions of the engine's own pages (consent to a client, device codes): a cookie of a few minutes, good for those
pages alone.

Its value is a random text until the sign-in, then the secret of a token that is bound to the site and has no scope at
all, so that a stolen cookie can't use the API. Forms carry an anti-forgery value made from the cookie and the page's
URL.
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
    "engine_page_session.confine",
    """
    UPDATE access_tokens t
       SET kind = 'page', scopes = '{}', site_id = %(site_id)s, name = '',
           expires = now() + make_interval(secs => %(life_s)s::int)
     WHERE t.token_hash = %(token_hash)s""",
    scope=PLATFORM,
)

END = Query(
    "engine_page_session.end",
    """
    DELETE FROM access_tokens t
     WHERE t.token_hash = %(token_hash)s AND t.site_id = %(site_id)s AND t.kind = 'page'""",
)


def new_value() -> str:
    """Make the value of a page session's cookie for a browser that is not signed in: a random text."""
    return secrets.token_urlsafe(32)


def is_value(text: str) -> bool:
    """Return True if the text has the form of a value of a page session's cookie; nothing is looked up."""
    return _VALUE.fullmatch(text) is not None


def confine(tx: Transaction, site_id: int, secret: str) -> None:
    """Turn the token with this secret, fresh from a sign-in, into a page session of this site: no scopes, ten
    minutes.
    """
    tx.run(CONFINE, token_hash=identity.token_hash(secret), site_id=site_id, life_s=LIFE_S)


def find(tx: Reader, site_id: int, value: str) -> Identity | None:
    """Return the identity of the person whom `value`, that of a page session's cookie, signs in, banned or not; None
    for a browser that is not signed in or no longer, for a person without a profile on this site, and if `value` is the
    secret of a token for the API.
    """
    try:
        found = identity.find(tx, site_id, value, IdentityQuery(IDENTITY))
    except Unauthorized:
        return None
    # A token for the API is no cookie: this one has the empty set of scopes.
    return found if found.scopes == frozenset() and found.profile_id else None


def end(tx: Transaction, site_id: int, value: str) -> None:
    """Sign out: delete the token of a page session on this site whose secret is `value`, that of the session's cookie;
    nothing happens if there is none.
    """
    tx.run(END, token_hash=identity.token_hash(value), site_id=site_id)


def mark(value: str) -> str:
    """Return a hash of the value of a page session's cookie, by which the browser is recognised later; the hash is
    stored, the value is not.
    """
    return hashlib.sha256(f"mark\0{value}".encode()).hexdigest()


def form_key(value: str, url: str) -> str:
    """Return the anti-forgery value (CSRF key) of forms on the page at `url` (path and query), for the browser whose
    page session's cookie has the value `value`.
    """
    return hmac.new(value.encode(), url.encode(), hashlib.sha256).hexdigest()


def is_form_key(given: Any, value: str, url: str) -> bool:
    """Return True if `given`, a form's field, is the `form_key` of the cookie's `value` and `url`; compares in constant
    time.
    """
    return isinstance(given, str) and hmac.compare_digest(
        given.encode(), form_key(value, url).encode()
    )
