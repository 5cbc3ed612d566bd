"""Ways to sign in: each a small class found by its name, switched on and set up per site (platform 3.3 to 3.5).

A back end proves that the caller has an e-mail address and nothing more: users, profiles and tokens are made of that
elsewhere, alike for all. To add one, subclass `Backend`, name it, and import its module in `forumapi.auth.methods`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from forumapi import fragments
from forumapi.db import Database, Query
from forumapi.errors import Invalid, NotImplementedHere

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.site import Site

SETTINGS = Query(
    "backends.settings",
    """
    SELECT b.is_enabled, b.settings::text
      FROM site_auth_backends b
     WHERE b.site_id = %(site_id)s AND b.name = %(name)s""",
)


class SignIn(Struct):
    """The body of POST /auth. Without `method` it is the exchange of an assertion (platform 3.3)."""

    method: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    Assertion: str | UnsetType = UNSET
    ClientSecret: str | UnsetType = UNSET


class Attempt(NamedTuple):
    """One request to sign in: what was sent, where to and where from, and what a back end may use."""

    given: SignIn
    site: Site
    ip: str
    config: Config
    database: Database
    settings: Mapping[str, Any]  # of this back end on this site, from site_auth_backends


class Verified(NamedTuple):
    """An e-mail address that the caller has proven to have. `client_id`: the application that asked, 0 for none."""

    email: str
    client_id: int = 0


class Backend:
    """One way to sign in. Instances live for one request and hold no connection between calls.

    `verify` returns None when the proof has another step to come. It raises Unauthorized for a proof that is no good,
    TooMany beyond a limit, BadGateway where a provider fails.
    """

    name: ClassVar[str] = ""
    found: ClassVar[dict[str, type[Backend]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not cls.name or cls.name in Backend.found:
            raise TypeError(f"{cls.__name__} needs a name of its own, not {cls.name!r}")
        Backend.found[cls.name] = cls

    @classmethod
    def exists(cls, config: Config) -> bool:
        """Whether there is such a method at all under these settings."""
        return True

    @classmethod
    def is_default(cls, config: Config) -> bool:
        """Whether a site that says nothing about it has this method."""
        return True

    def verify(self, attempt: Attempt) -> Verified | None:
        """The address that the caller has proven to have, or None for "go on"."""
        raise NotImplementedError


def verify(
    given: SignIn, site: Site, ip: str, config: Config, database: Database
) -> Verified | None:
    """Let the back end that the body names do its step. Raises Invalid, NotImplementedHere and what it raises."""
    name = given.method if isinstance(given.method, str) else "assertion"
    backend = Backend.found.get(name)
    if backend is None or not backend.exists(config):
        names = sorted(name for name, one in Backend.found.items() if one.exists(config))
        raise Invalid("method", f"must be one of: {', '.join(names)}")
    reader = database.read()
    try:
        row = reader.row(SETTINGS, site_id=site.id, name=name)
    finally:
        reader.end()
    is_enabled = row[0] if row else backend.is_default(config)
    if not is_enabled:
        raise NotImplementedHere(f"Signing in by {name} is not configured here")
    settings = fragments.loads(row[1]) if row else {}
    return backend().verify(Attempt(given, site, ip, config, database, settings))
