"""OAuth clients of a site: third-party programs that act for its people with their consent. Docs: docs/api/oauth.md.

A confidential client has a secret, of which only a hash is stored; a public one (an app, a page) can keep no secret.
A described client is a public one that nobody has registered: its id is the URL of a document about it
(auth/client_metadata.py), and its row stands for those that people have allowed, so that grants can refer to it.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct, structs

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.access.access_token import new_secret
from forumapi.models.journal.journal import Author
from forumapi.models.pages import page_with_total
from forumapi.models.sites.site import lock_for_update
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

MOST_CLIENTS: Final = 50  # registered ones of one site
MOST_DESCRIBED: Final = 200  # of one site
MOST_NAME: Final = 50
MOST_URIS: Final = 10
MOST_URI: Final = 1000

_COLUMNS: Final = """
    c.client_id, c.name, c.is_confidential, c.redirect_uris, c.scopes, c.device_flow, c.created, c.secret_hash,
    coalesce(c.metadata_url, '')"""

PAGE = Query(
    "oauth_client.page",
    f"""
    SELECT {_COLUMNS}, count(*) OVER ()
      FROM oauth_clients c
     WHERE c.site_id = %(site_id)s AND c.metadata_url IS NULL
     ORDER BY c.client_id LIMIT %(limit)s::int OFFSET %(offset)s::int""",
)

COUNT = Query(
    "oauth_client.count",
    "SELECT count(*) FROM oauth_clients c WHERE c.site_id = %(site_id)s AND c.metadata_url IS NULL",
)

FIND = Query(
    "oauth_client.find",
    f"""
    SELECT {_COLUMNS}
      FROM oauth_clients c
     WHERE c.site_id = %(site_id)s AND c.client_id = %(client_id)s AND c.metadata_url IS NULL""",
)

LOCK = Query(
    "oauth_client.lock",
    f"""
    SELECT {_COLUMNS}
      FROM oauth_clients c
     WHERE c.site_id = %(site_id)s AND c.client_id = %(client_id)s AND c.metadata_url IS NULL
       FOR UPDATE""",
)

INSERT = Query(
    "oauth_client.insert",
    f"""
    INSERT INTO oauth_clients AS c (site_id, created_by, name, is_confidential, redirect_uris, scopes, device_flow,
                                    secret_hash)
    VALUES (%(site_id)s, %(created_by)s, %(name)s, %(is_confidential)s, %(redirect_uris)s, %(scopes)s,
            %(device_flow)s, %(secret_hash)s)
 RETURNING {_COLUMNS}""",
)

UPDATE = Query(
    "oauth_client.update",
    """
    UPDATE oauth_clients c
       SET name = %(name)s, redirect_uris = %(redirect_uris)s, scopes = %(scopes)s, device_flow = %(device_flow)s,
           edited = now()
     WHERE c.site_id = %(site_id)s AND c.client_id = %(client_id)s""",
)

# Ends grants that exceed the scopes that the client may ask for now.
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


FIND_DESCRIBED = Query(
    "oauth_client.find_described",
    f"""
    SELECT {_COLUMNS}
      FROM oauth_clients c
     WHERE c.site_id = %(site_id)s AND c.metadata_url = %(metadata_url)s""",
)

UPDATE_DESCRIBED = Query(
    "oauth_client.update_described",
    """
    UPDATE oauth_clients c
       SET name = %(name)s, redirect_uris = %(redirect_uris)s, scopes = %(scopes)s, edited = now()
     WHERE c.site_id = %(site_id)s AND c.metadata_url = %(metadata_url)s
 RETURNING c.client_id""",
)

# A code leads to a grant within a minute.
PRUNE_DESCRIBED = Query(
    "oauth_client.prune_described",
    """
    DELETE FROM oauth_clients c
     WHERE c.site_id = %(site_id)s AND c.metadata_url IS NOT NULL
       AND coalesce(c.edited, c.created) < now() - interval '1 hour'
       AND NOT EXISTS (SELECT FROM oauth_grants g WHERE g.site_id = c.site_id AND g.client_id = c.client_id)""",
)

COUNT_DESCRIBED = Query(
    "oauth_client.count_described",
    "SELECT count(*) FROM oauth_clients c WHERE c.site_id = %(site_id)s AND c.metadata_url IS NOT NULL",
)

INSERT_DESCRIBED = Query(
    "oauth_client.insert_described",
    """
    INSERT INTO oauth_clients (site_id, name, is_confidential, redirect_uris, scopes, secret_hash, metadata_url)
    VALUES (%(site_id)s, %(name)s, false, %(redirect_uris)s, %(scopes)s, '', %(metadata_url)s)
 RETURNING client_id""",
)


class OAuthClientSettings(NamedTuple):
    """Settings of a client that the site's owner chooses. `name`: HTML-escaped; `scopes`: those that it may ask for;
    `device_flow`: it may use codes for devices (RFC 8628).
    """

    name: str
    redirect_uris: list[str]
    scopes: list[str]
    device_flow: bool


class OAuthClient(Struct, frozen=True):
    """OAuth client of a site. `id`: its number, 0 for a described client without a row; `metadata_url`: URL of the
    document of a described client, "" for a registered one; `is_confidential`: it has a secret, else it is a public
    client; `secret_hash`: hash of that secret, a result of the function `hash_secret`, b"" for a public client; the
    other fields as in OAuthClientSettings.
    """

    site_id: int
    id: int
    name: str
    is_confidential: bool
    redirect_uris: list[str]
    scopes: list[str]
    device_flow: bool
    created: datetime.datetime
    secret_hash: bytes
    metadata_url: str = ""

    @property
    def client_id(self) -> str:
        """Return the protocol's client_id: the `metadata_url` of a described client, else `id` as a string."""
        return self.metadata_url or str(self.id)

    @property
    def host(self) -> str:
        """Return the host, with its port if it names one, of a described client's document; "" for a registered
        client.
        """
        return host_of(self.metadata_url)

    @classmethod
    def page(cls, tx: Reader, site_id: int, paging: Paging) -> tuple[list[OAuthClient], int]:
        """Return the page `paging` of the site's registered clients, oldest first, and the number of all of them."""
        rows, total = page_with_total.page(tx, PAGE, COUNT, paging, site_id=site_id)
        return [cls(site_id, *row) for row in rows], total

    @classmethod
    def find(cls, tx: Reader, site_id: int, client_id: int) -> OAuthClient | None:
        """Return the registered client with this id on this site; None if there is none."""
        row = tx.row(FIND, site_id=site_id, client_id=client_id)
        return cls(site_id, *row) if row else None

    @classmethod
    def find_described(cls, tx: Reader, site_id: int, url: str) -> OAuthClient | None:
        """Return the described client whose document is at `url`, as it was when somebody last allowed it on this site;
        None if nobody has. A client to which nobody's grant is left may be gone too.
        """
        row = tx.row(FIND_DESCRIBED, site_id=site_id, metadata_url=url)
        return cls(site_id, *row) if row else None

    def stored(self, tx: Transaction) -> OAuthClient | None:
        """Store a described client, in place of what an earlier document said, and return it with its `id`.

        For a client that is new on the site, lock the site's row and delete its described clients that were stored over
        an hour ago and have no grant; return None, and store nothing, if MOST_DESCRIBED are left.
        """
        described = {
            "site_id": self.site_id,
            "metadata_url": self.metadata_url,
            "name": self.name,
            "redirect_uris": self.redirect_uris,
            "scopes": self.scopes,
        }
        id = tx.value(UPDATE_DESCRIBED, **described)
        if id is None:
            # The site's lock makes them take turns, so that the limit holds.
            lock_for_update(tx, self.site_id)
            id = tx.value(UPDATE_DESCRIBED, **described)
        if id is None:
            tx.run(PRUNE_DESCRIBED, site_id=self.site_id)
            if tx.value(COUNT_DESCRIBED, site_id=self.site_id) >= MOST_DESCRIBED:
                return None
            id = tx.value(INSERT_DESCRIBED, **described)
        return structs.replace(self, id=id)

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, client_id: int) -> OAuthClient | None:
        """Lock the row of the registered client with this id on this site and return the client; None if there is
        none.
        """
        row = tx.row(LOCK, site_id=site_id, client_id=client_id)
        return cls(site_id, *row) if row else None

    @classmethod
    def insert(
        cls,
        tx: Transaction,
        author: Author,
        settings: OAuthClientSettings,
        *,
        is_confidential: bool,
    ) -> tuple[OAuthClient, str]:
        """Register a client of the author's site, and lock the site's row before; return the client and its secret, ""
        for a public client, which `is_confidential` False makes.

        Raises Invalid for a site that has MOST_CLIENTS.
        """
        # The site's lock makes registrations take turns, so that the limit holds.
        lock_for_update(tx, author.site_id)
        if tx.value(COUNT, site_id=author.site_id) >= MOST_CLIENTS:
            raise Invalid("", f"A site has at most {MOST_CLIENTS} clients")
        secret = new_secret() if is_confidential else ""
        row = tx.row(
            INSERT,
            site_id=author.site_id,
            created_by=author.profile_id,
            is_confidential=is_confidential,
            secret_hash=hash_secret(secret) if secret else b"",
            **settings._asdict(),
        )
        assert row is not None  # the statement returns one row
        return cls(author.site_id, *row), secret

    def update(self, tx: Transaction, settings: OAuthClientSettings) -> None:
        """Store new settings of the client, whose row is locked; delete grants that have scopes which the settings no
        longer allow.
        """
        tx.run(UPDATE, site_id=self.site_id, client_id=self.id, **settings._asdict())
        tx.run(NARROW, site_id=self.site_id, client_id=self.id, scopes=settings.scopes)

    def rotate_secret(self, tx: Transaction) -> str:
        """Replace the secret of a confidential client and return the new one; the old one is refused from now on."""
        secret = new_secret()
        tx.run(
            SET_SECRET,
            site_id=self.site_id,
            client_id=self.id,
            secret_hash=hash_secret(secret),
        )
        return secret

    def delete(self, tx: Transaction) -> None:
        """Delete the client, whose row is locked, with all its grants and tokens."""
        tx.run(END_GRANTS, site_id=self.site_id, client_id=self.id)
        tx.run(DELETE, site_id=self.site_id, client_id=self.id)

    def allows_redirect(self, uri: str) -> bool:
        """Return True if `uri` is one of the client's redirect URIs, letter for letter; only the port of an IP loopback
        address may differ (RFC 8252, 7.3).
        """
        if uri in self.redirect_uris:
            return True
        free = _without_port(uri)
        return free is not None and any(
            free == _without_port(registered) for registered in self.redirect_uris
        )

    def document(self, secret: str = "") -> dict[str, Any]:
        """Return the client as JSON members for the site's owner. `secret`: the one just made; "" leaves the member
        out.
        """
        data: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "confidential": self.is_confidential,
        }
        if secret:
            data["secret"] = secret
        return data | {
            "redirectUris": self.redirect_uris,
            "scopes": self.scopes,
            "deviceFlow": self.device_flow,
            "created": json_fragments.format_time(self.created),
            "meta": {"links": [{"rel": "self", "href": f"/api/v1/oauth/clients/{self.id}"}]},
        }


def hash_secret(secret: str) -> bytes:
    """Return the hash by which a client's secret is stored and compared; an operator's application has another hash for
    the same secret.
    """
    return hashlib.sha256(b"client of a site\0" + secret.encode()).digest()


def host_of(metadata_url: str) -> str:
    """Return the host, with its port if it names one, in the URL of a described client; "" for ""."""
    return urlsplit(metadata_url).netloc


# ---------------------------------------------------------------- redirect URIs

# Characters that no header, page or policy has to escape.
_PLAIN: Final = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&()*+=%]+")
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)
LOOPBACK: Final = frozenset(("127.0.0.1", "::1", "localhost"))


def checked_redirect_uris(given: Iterable[str]) -> list[str]:
    """Return the URIs in `given`, each once, in their order. Raises Invalid for more than MOST_URIS, and for a URI that
    is not allowed.

    Allowed are https on any host, and http on loopback (RFC 8252); no URI has more than MOST_URI characters, a
    character that a page or header would escape, a fragment, a user name before the host, or a path segment `.` or
    `..`.
    """
    found = list(dict.fromkeys(given))
    if len(found) > MOST_URIS:
        raise Invalid("redirectUris", f"may have at most {MOST_URIS} entries", code=OUT_OF_RANGE)
    for index, uri in enumerate(found):
        if wrong := address_fault(uri):
            raise Invalid(f"redirectUris[{index}]", wrong)
    return found


def address_fault(uri: str) -> str | None:
    """Return what is wrong with a redirect URI or a described client's URL, a clause that begins with a verb; None if
    it is allowed, as `checked_redirect_uris` says.
    """
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
    is_loopback = host in LOOPBACK
    if not (_HOST.fullmatch(host) or is_loopback):
        return "must name a host"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback):
        return "must be https, or http on 127.0.0.1, [::1] or localhost"
    if any(part in (".", "..") for part in parts.path.lower().replace("%2e", ".").split("/")):
        return "may not lead upwards"
    return None


_LOCAL: Final = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?((?:/[^\s#]*)?)")


def _without_port(uri: str) -> str | None:
    match = _LOCAL.fullmatch(uri)
    return match[1] + match[2] if match and _PLAIN.fullmatch(uri) else None
