"""Client id metadata documents (draft-ietf-oauth-client-id-metadata-document): OAuth clients that nobody has registered
with a site. Such a client's id is the URL of a JSON document that describes the client. Docs: docs/api/oauth.md.

A document is cached for ten minutes in this process. Redirects are not followed: the URL itself is the identity.
"""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from forumapi.auth.identity_provider_client import NO_JSON
from forumapi.cache.lru_cache import Lru, plainly
from forumapi.errors import Invalid
from forumapi.models.access.oauth_client import (
    LOOPBACK,
    MOST_NAME,
    OAuthClient,
    address_fault,
    checked_redirect_uris,
)
from forumapi.models.access.rate_counters import Limit
from forumapi.outbound.safe_http_client import Outbound, OutboundError, TooLongError
from forumapi.text import short_text_cleaning

if TYPE_CHECKING:
    from forumapi.config import Config

CACHE_S: Final = 600.0
KEPT_BYTES: Final = 1024 * 1024
MOST_BYTES: Final = 5 * 1024
TIMEOUT_S: Final = 3.0
# Documents that are fetched for the people of one network, and for those of one site.
PER_ADDRESS: Final = Limit("client-metadata-address", 30, 3600)
PER_SITE: Final = Limit("client-metadata-site", 600, 3600)


class RefusedClientError(Exception):
    """Refusal of a client by its URL or its document; the message, a clause without a full stop, is for the person who
    is asked to allow the client.
    """


class ClientDocument(NamedTuple):
    """Checked document of a client. `name`: HTML-escaped; `scopes`: those that the document names, which need not
    exist, None if it names none.
    """

    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...] | None

    def client(self, site_id: int, url: str, known: Iterable[str]) -> OAuthClient:
        """Make the client, whose document is at `url`, of a site, without a row in the database: its `id` is 0. The
        client may ask for the document's scopes that exist, or, if the document has no `scope`, for every scope that
        exists. `known`: names of all existing scopes. Raises RefusedClientError if the client may ask for none.
        """
        scopes = [one for one in sorted(known) if self.scopes is None or one in self.scopes]
        if not scopes:
            raise RefusedClientError("its document names no scope that there is here")
        now = datetime.datetime.now(datetime.UTC)
        return OAuthClient(
            *(site_id, 0, self.name, False, list(self.redirect_uris), scopes, False, now, b""),
            metadata_url=url,
        )


def is_url(client_id: str) -> bool:
    """Return True if `client_id` begins as a URL does, so that it is no registered client's."""
    return client_id.startswith(("https://", "http://"))


def check_url(config: Config, url: str) -> None:
    """Check the form of a client's id that is a URL; nothing is fetched. Raises RefusedClientError unless it is https,
    or in the embedded mode http on loopback, has a path, and passes `address_fault` as a redirect URI has to: no
    fragment, user, `..` or unusual character.
    """
    fault = address_fault(url)
    if fault is None and not urlsplit(url).path:
        fault = "must have a path"
    if fault is None and not url.startswith("https:") and not config.is_embedded:
        fault = "must be https"
    if fault is not None:
        raise RefusedClientError(f"its client_id {fault}")


class DocumentCache:
    """Cache of checked documents by URL, for all requests and sites of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # With the time, of the monotonic clock, until which the document is good.
        self._kept: Lru[str, tuple[float, ClientDocument]] = Lru(KEPT_BYTES, plainly)

    def get(self, url: str) -> ClientDocument | None:
        """Return the document at `url`; None unless it was stored in the last CACHE_S seconds (ten minutes)."""
        with self._lock:
            found = self._kept.get(url)
        return found[1] if found and found[0] > time.monotonic() else None

    def add(self, url: str, document: ClientDocument) -> None:
        """Store the document at `url` in place of an earlier one."""
        with self._lock:
            self._kept.add(url, (time.monotonic() + CACHE_S, document))


cached: Final = DocumentCache()


def outbound(config: Config) -> Outbound:
    """Make the HTTP client for documents: https on its usual port to public addresses alone; in the embedded mode also
    http, any port and any address.
    """
    if config.is_embedded:
        return Outbound(allowed=lambda _: True, ports=(), timeout_s=TIMEOUT_S)
    return Outbound(ports=(443,), schemes=("https",), timeout_s=TIMEOUT_S)


def fetch(config: Config, url: str) -> ClientDocument:
    """Fetch the document at `url`, which `check_url` has accepted, check it, and cache it; block for TIMEOUT_S (3 s) at
    most. Raises RefusedClientError if it can't be fetched within that time, is no answer with status 200 (a redirect is
    none), has more than MOST_BYTES (5 kB), or is refused by `parsed`; such a document is not cached.
    """
    try:
        got = outbound(config).fetch(
            url, headers={"Accept": "application/json"}, max_bytes=MOST_BYTES
        )
    except TooLongError:
        raise RefusedClientError(f"its document has more than {MOST_BYTES} bytes") from None
    except OutboundError as error:
        raise RefusedClientError(f"its document can't be fetched ({error})") from None
    if got.status != 200:
        raise RefusedClientError(f"its document is answered with status {got.status}")
    found = parsed(url, got.body)
    cached.add(url, found)
    return found


def parsed(url: str, body: bytes) -> ClientDocument:
    """Parse and check the document `body` that was fetched from `url`.

    Raises RefusedClientError for a body that is no JSON object, for another `client_id` than `url`, a client secret, a
    `token_endpoint_auth_method` other than "none", redirect URIs that are missing, not allowed, or neither on the host
    of `url` nor on loopback, a client that does not use the authorization code grant, and a member of another type than
    expected. Only `client_id` and `redirect_uris` are required; members that are unknown are ignored.
    """
    try:
        said = json.loads(body)
    except NO_JSON:
        said = None
    if not isinstance(said, dict):
        raise RefusedClientError("its document is not a JSON object")
    if said.get("client_id") != url:
        raise RefusedClientError("its document has another client_id")
    if "client_secret" in said or "client_secret_expires_at" in said:
        raise RefusedClientError("its document has a secret, which everybody could read")
    if said.get("token_endpoint_auth_method", "none") != "none":
        raise RefusedClientError("its token_endpoint_auth_method must be none")
    for name, needed in (("grant_types", "authorization_code"), ("response_types", "code")):
        if needed not in _texts(said, name, [needed]):
            raise RefusedClientError(f"its {name} must have {needed}")
    scope = said.get("scope")
    if not isinstance(scope, str | None):
        raise RefusedClientError("its scope must be a text")
    scopes = None if scope is None else tuple(dict.fromkeys(scope.split()))
    return ClientDocument(_name(said, url), _redirect_uris(said, url), scopes)


def _texts(said: dict[str, Any], name: str, absent: list[str]) -> list[str]:
    """Return the member `name` of a document, a list of texts; `absent` if there is none. Raises RefusedClientError for
    anything else.
    """
    found = said.get(name, absent)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise RefusedClientError(f"its {name} must be a list of texts")
    return found


def _redirect_uris(said: dict[str, Any], url: str) -> tuple[str, ...]:
    try:
        uris = checked_redirect_uris(_texts(said, "redirect_uris", []))
    except Invalid as error:
        raise RefusedClientError(f"its redirect_uris are not in order ({error.message})") from None
    own = urlsplit(url).hostname
    if not uris or not all(urlsplit(one).hostname in (own, *LOOPBACK) for one in uris):
        raise RefusedClientError("its redirect_uris must be on its own host, or on loopback")
    return tuple(uris)


def _name(said: dict[str, Any], url: str) -> str:
    """Return the `client_name` of a document, cleaned and HTML-escaped, or the host of `url` if it has none; a longer
    one is cut until the result has MOST_NAME characters at most. Raises RefusedClientError for a name that is no text.
    """
    text = said.get("client_name", "")
    if not isinstance(text, str):
        raise RefusedClientError("its client_name must be a text")
    for source in (text[:MOST_NAME], (urlsplit(url).hostname or "")[:MOST_NAME]):
        name = short_text_cleaning.sentence(source, quiet=False)
        while len(name) > MOST_NAME:
            source = source[:-1]
            name = short_text_cleaning.sentence(source, quiet=False)
        if name:
            break
    return name
