"""Programs of other people that ask the people of one site for leave to act for them. Docs: docs/api/oauth.md.

A confidential client has a secret, of which only a hash is stored; a public one (an app, a page) can keep none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.access.access_token import new_secret
from forumapi.models.pages import page_with_total
from forumapi.models.sites.site import lock_for_update
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

MOST_CLIENTS: Final = 50  # of one site
MOST_NAME: Final = 50
MOST_URIS: Final = 10
MOST_URI: Final = 1000

_COLUMNS: Final = """
    c.client_id, c.name, c.is_confidential, c.redirect_uris, c.scopes, c.device_flow, c.created, c.secret_hash"""

PAGE = Query(
    "oauth_client.page",
    f"""
    SELECT {_COLUMNS}, count(*) OVER ()
      FROM oauth_clients c
     WHERE c.site_id = %(site_id)s
     ORDER BY c.client_id LIMIT %(limit)s::int OFFSET %(offset)s::int""",
)

COUNT = Query(
    "oauth_client.count",
    "SELECT count(*) FROM oauth_clients c WHERE c.site_id = %(site_id)s",
)

FIND = Query(
    "oauth_client.find",
    f"SELECT {_COLUMNS} FROM oauth_clients c WHERE c.site_id = %(site_id)s AND c.client_id = %(client_id)s",
)

LOCK = Query(
    "oauth_client.lock",
    f"""
    SELECT {_COLUMNS}
      FROM oauth_clients c
     WHERE c.site_id = %(site_id)s AND c.client_id = %(client_id)s
       FOR UPDATE""",
)

INSERT = Query(
    "oauth_client.insert",
    """
    INSERT INTO oauth_clients (site_id, created_by, name, is_confidential, redirect_uris, scopes, device_flow,
                               secret_hash)
    VALUES (%(site_id)s, %(created_by)s, %(name)s, %(is_confidential)s, %(redirect_uris)s, %(scopes)s,
            %(device_flow)s, %(secret_hash)s)
 RETURNING client_id""",
)

UPDATE = Query(
    "oauth_client.update",
    """
    UPDATE oauth_clients c
       SET name = %(name)s, redirect_uris = %(redirect_uris)s, scopes = %(scopes)s, device_flow = %(device_flow)s,
           edited = now()
     WHERE c.site_id = %(site_id)s AND c.client_id = %(client_id)s""",
)

# What was granted beyond what the client may ask for now ends.
NARROW = Query(
    "oauth_client.narrow",
    """
    DELETE FROM oauth_grants g
     WHERE g.site_id = %(site_id)s AND g.client_id = %(client_id)s AND NOT g.scopes <@ %(scopes)s::text[]""",
)

SET_SECRET = Query(
    "oauth_client.set_secret",
    """
    UPDATE oauth_clients c
       SET secret_hash = %(secret_hash)s, edited = now()
     WHERE c.site_id = %(site_id)s AND c.client_id = %(client_id)s""",
)

END_GRANTS = Query(
    "oauth_client.end_grants",
    "DELETE FROM oauth_grants g WHERE g.site_id = %(site_id)s AND g.client_id = %(client_id)s",
)

DELETE = Query(
    "oauth_client.delete",
    "DELETE FROM oauth_clients c WHERE c.site_id = %(site_id)s AND c.client_id = %(client_id)s",
)


class Client(Struct, frozen=True):
    """One client of a site. `client_id` is a string, as the protocol has it."""

    id: int
    name: str
    is_confidential: bool
    redirect_uris: list[str]
    scopes: list[str]
    device_flow: bool
    created: Any
    secret_hash: bytes

    @property
    def client_id(self) -> str:
        """The id as the protocol sends it."""
        return str(self.id)


def page(tx: Reader, site_id: int, paging: Paging) -> tuple[list[Client], int]:
    """Clients of a site, oldest first, and how many there are."""
    rows, total = page_with_total.page(tx, PAGE, COUNT, paging, site_id=site_id)
    return [Client(*row) for row in rows], total


def find(tx: Reader, site_id: int, client_id: int) -> Client | None:
    """The client with this id on this site, or None."""
    row = tx.row(FIND, site_id=site_id, client_id=client_id)
    return Client(*row) if row else None


def lock(tx: Transaction, site_id: int, client_id: int) -> Client | None:
    """The same, its row locked."""
    row = tx.row(LOCK, site_id=site_id, client_id=client_id)
    return Client(*row) if row else None


def hash_secret(secret: str) -> bytes:
    """What is stored of a client's secret; not what the same secret of an operator's application hashes to."""
    return hashlib.sha256(b"client of a site\0" + secret.encode()).digest()


def insert(
    tx: Transaction,
    site_id: int,
    created_by: int,
    *,
    name: str,
    is_confidential: bool,
    redirect_uris: list[str],
    scopes: list[str],
    device_flow: bool,
) -> tuple[int, str]:
    """Register a client; its id and its secret ("" for a public one). Raises Invalid beyond the limit of the site."""
    # One after another, so that the limit holds.
    lock_for_update(tx, site_id)
    if tx.value(COUNT, site_id=site_id) >= MOST_CLIENTS:
        raise Invalid("", f"A site has at most {MOST_CLIENTS} clients")
    secret = new_secret() if is_confidential else ""
    id = tx.value(
        INSERT,
        site_id=site_id,
        created_by=created_by,
        name=name,
        is_confidential=is_confidential,
        redirect_uris=redirect_uris,
        scopes=scopes,
        device_flow=device_flow,
        secret_hash=hash_secret(secret) if secret else b"",
    )
    return int(id), secret


def update(
    tx: Transaction,
    site_id: int,
    client: Client,
    *,
    name: str,
    redirect_uris: list[str],
    scopes: list[str],
    device_flow: bool,
) -> None:
    """Change a locked client; grants that go beyond its new scopes end."""
    tx.run(
        UPDATE,
        site_id=site_id,
        client_id=client.id,
        name=name,
        redirect_uris=redirect_uris,
        scopes=scopes,
        device_flow=device_flow,
    )
    tx.run(NARROW, site_id=site_id, client_id=client.id, scopes=scopes)


def rotate(tx: Transaction, site_id: int, client: Client) -> str:
    """A new secret for a confidential client; the old one is worth nothing from now on."""
    secret = new_secret()
    tx.run(SET_SECRET, site_id=site_id, client_id=client.id, secret_hash=hash_secret(secret))
    return secret


def delete(tx: Transaction, site_id: int, client: Client) -> None:
    """Delete a locked client with every grant and token that it was given."""
    tx.run(END_GRANTS, site_id=site_id, client_id=client.id)
    tx.run(DELETE, site_id=site_id, client_id=client.id)


def document(client: Client, secret: str = "") -> dict[str, Any]:
    """A client as the site's owner sees it; `secret` only when it was made just now."""
    data: dict[str, Any] = {
        "id": client.id,
        "name": client.name,
        "confidential": client.is_confidential,
    }
    if secret:
        data["secret"] = secret
    return data | {
        "redirectUris": client.redirect_uris,
        "scopes": client.scopes,
        "deviceFlow": client.device_flow,
        "created": json_fragments.when(client.created),
        "meta": {"links": [{"rel": "self", "href": f"/api/v1/oauth/clients/{client.id}"}]},
    }


# ---------------------------------------------------------------- redirect URIs

# Nothing that a header, a page or a policy would have to escape.
_PLAIN: Final = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&()*+=%]+")
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)
_LOOPBACK: Final = frozenset(("127.0.0.1", "::1", "localhost"))


def checked_redirect_uris(given: Iterable[str]) -> list[str]:
    """Redirect URIs that may be registered, each once, in order. Raises Invalid.

    https on any host, or http on loopback (RFC 8252); no fragment, no user, no dots that lead upwards.
    """
    found = list(dict.fromkeys(given))
    if len(found) > MOST_URIS:
        raise Invalid("redirectUris", f"may have at most {MOST_URIS} entries", code=OUT_OF_RANGE)
    for index, uri in enumerate(found):
        if wrong := _fault(uri):
            raise Invalid(f"redirectUris[{index}]", wrong)
    return found


def _fault(uri: str) -> str | None:
    if len(uri) > MOST_URI:
        return f"may have at most {MOST_URI} characters"
    if not _PLAIN.fullmatch(uri):
        return "must be an address of plain characters, without a fragment"
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "must be an address"
    if "@" in parts.netloc:
        return "may not name a user"
    is_loopback = host in _LOOPBACK
    if not (_HOST.fullmatch(host) or is_loopback):
        return "must name a host"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback):
        return "must be https, or http on 127.0.0.1, [::1] or localhost"
    if any(part in (".", "..") for part in parts.path.lower().replace("%2e", ".").split("/")):
        return "may not lead upwards"
    return None


def allows_redirect(client: Client, uri: str) -> bool:
    """Whether `uri` is registered: the same text; of a numeric loopback address the port is free (RFC 8252, 7.3)."""
    if uri in client.redirect_uris:
        return True
    free = _without_port(uri)
    return free is not None and any(free == _without_port(known) for known in client.redirect_uris)


_LOCAL: Final = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?((?:/[^\s#]*)?)")


def _without_port(uri: str) -> str | None:
    match = _LOCAL.fullmatch(uri)
    return match[1] + match[2] if match and _PLAIN.fullmatch(uri) else None
