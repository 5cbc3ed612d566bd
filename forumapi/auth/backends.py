"""Ways to sign in: each a small class found by its name, switched on and set up per site (platform 3.3 to 3.5).

A back end proves that the caller has an e-mail address and nothing more: users, profiles and tokens are made of that
elsewhere, alike for all. To add one, subclass `Backend`, name it, and import its module in
`forumapi.auth.backend_list`; tests/auth/test_contract.py then tests it against the docstrings here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from msgspec import UNSET, Struct, UnsetType

from forumapi.database.connections import Database, Reader, Transaction
from forumapi.errors import Invalid, NotImplementedHere
from forumapi.models.access.auth_backend import SiteAuthBackend

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.sites.site import Site

MAX_SETTING: Final = 2000
MAX_URLS: Final = 10


class SignIn(Struct):
    """Body of POST /auth. Without `method` it exchanges an assertion (platform 3.3)."""

    method: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    browser: str | UnsetType = UNSET
    link: str | UnsetType = UNSET
    flow: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    iss: str | UnsetType = UNSET
    credential: dict[str, Any] | UnsetType = UNSET
    Assertion: str | UnsetType = UNSET
    ClientSecret: str | UnsetType = UNSET


class Begin(Struct):
    """Body of POST /auth/begin."""

    method: str | UnsetType = UNSET
    redirectUri: str | UnsetType = UNSET


class Browser(NamedTuple):
    """Browser at a page of the engine: `mark` identifies it, `url` is the page, `link` the secret of a mail's link,
    "" for none.
    """

    mark: str
    url: str
    link: str = ""


class Attempt(NamedTuple):
    """One request to sign in: its body, site, client address, and the settings and database that a back end uses."""

    given: SignIn | Begin
    site: Site
    ip: str
    config: Config
    database: Database
    settings: Mapping[str, Any]  # of this back end on this site, from site_auth_backends
    # Reader of the request, to whose counters the statements are added.
    request_reader: Reader | None = None
    browser: Browser | None = None  # None: a client of the API

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction of its own, so that counts and used codes are kept even if the sign-in fails later."""
        with self.database.write() as tx:
            try:
                yield tx
            finally:
                if self.request_reader is not None:
                    self.request_reader.statements += tx.statements

    @property
    def sign_in(self) -> SignIn:
        """Return the body of POST /auth."""
        assert isinstance(self.given, SignIn)
        return self.given

    @property
    def redirect_uri(self) -> str:
        """Return the page to come back to that POST /auth/begin names, "" for none."""
        assert isinstance(self.given, Begin)
        return self.given.redirectUri if isinstance(self.given.redirectUri, str) else ""


class Verified(NamedTuple):
    """E-mail address that the caller has proven to have. `client_id`: the application that asked, 0 for none.

    `is_platforms`: the platform itself vouches for the address; what a site owner's own provider says proves nothing on
    other sites. `has_second_factor`: the method includes one, so that no code is asked for.
    """

    email: str
    client_id: int = 0
    is_platforms: bool = True
    has_second_factor: bool = False


class Begun(NamedTuple):
    """Result of a first step: the flow's secret, and the page to visit or the argument of the browser's passkey
    call.
    """

    flow: str
    location: str = ""
    public_key: Mapping[str, Any] | None = None


class Setting(NamedTuple):
    """Setting of a back end. A secret is written and never read back.

    `is_secret_destination`: URL that secrets are sent to.
    """

    name: str
    text: str
    kind: Literal["text", "secret", "url", "urls"] = "text"
    is_required: bool = False
    is_secret_destination: bool = False

    def checked(self, value: Any, place: str) -> Any:
        """Return `value` as it is stored; "" or an empty list clears the setting.

        Raises Invalid, which names `place`.
        """
        if self.kind == "urls":
            if not isinstance(value, list) or len(value) > MAX_URLS:
                raise Invalid(place, f"must be a list of at most {MAX_URLS} addresses")
            return [self._url(one, f"{place}[{index}]") for index, one in enumerate(value)]
        if not isinstance(value, str):
            raise Invalid(place, "must be a text")
        if len(value) > MAX_SETTING or not value.isprintable() or "\0" in value:
            raise Invalid(place, f"may have at most {MAX_SETTING} characters, none of them special")
        if self.kind == "url" and value:
            return self._url(value, place)
        return value.strip()

    def _url(self, value: Any, place: str) -> str:
        try:
            parts = urlsplit(value) if isinstance(value, str) and value.isprintable() else None
        except ValueError:
            parts = None
        if parts is None or not parts.scheme or not parts.netloc or len(value) > MAX_SETTING:
            raise Invalid(place, f"must be an address of at most {MAX_SETTING} characters")
        if parts.scheme in _NEVER or parts.fragment or parts.username is not None:
            raise Invalid(place, "must be an address without a fragment or user")
        return str(value)


_NEVER: Final = frozenset(("javascript", "data", "vbscript", "file", "blob"))


class Backend:
    """Sign-in method. An instance lives for one request and holds no connection between calls.

    `kind`: form of the sign-in, for clients. `is_listed` False: clients do not offer the method by itself. A class that
    only others inherit from passes `is_abstract=True`.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    kind: ClassVar[Literal["code", "redirect", "assertion", "passkey", "development"]] = "code"
    is_listed: ClassVar[bool] = True
    settings: ClassVar[tuple[Setting, ...]] = ()
    found: ClassVar[dict[str, type[Backend]]] = {}

    def __init_subclass__(cls, *, is_abstract: bool = False) -> None:
        super().__init_subclass__()
        if is_abstract:
            return
        if not cls.name or cls.name in Backend.found:
            raise TypeError(f"{cls.__name__} needs a name of its own, not {cls.name!r}")
        Backend.found[cls.name] = cls

    @classmethod
    def exists(cls, config: Config) -> bool:
        """Return True if the method exists under these settings of the platform."""
        return True

    @classmethod
    def is_default(cls, config: Config) -> bool:
        """Return True if a site without settings of its own has this method."""
        return True

    @classmethod
    def is_ready(cls, config: Config, settings: Mapping[str, Any]) -> bool:
        """Return True if all required settings are set."""
        return all(settings.get(one.name) for one in cls.settings if one.is_required)

    def refuse(self, attempt: Attempt) -> None:
        """Answer in place of `verify` if `is_ready` is False. Raises NotImplementedHere."""
        raise _not_here(self.name)

    def begin(self, attempt: Attempt) -> Begun:
        """Take the first step, for methods with a step before the proof. Raises Invalid for others."""
        raise Invalid("method", f"{self.name} begins with POST /auth")

    def verify(self, attempt: Attempt) -> Verified | None:
        """Return the e-mail address that the caller has proven to have, or None if another step follows.

        Raises Unauthorized for a wrong proof, TooMany beyond a limit of tries, BadGateway if a provider fails.
        """
        raise NotImplementedError


class State(NamedTuple):
    """State of a back end on a site. `is_own`: the site's owner configured it."""

    backend: type[Backend]
    is_enabled: bool
    settings: Mapping[str, Any]
    is_own: bool
    is_ready: bool


def state(backend: type[Backend], row: SiteAuthBackend | None, config: Config) -> State:
    """Return the state of `backend` under the settings in force on a site."""
    settings = row.settings if row else {}
    return State(
        backend,
        row.is_enabled if row else backend.is_default(config),
        settings,
        row is not None and row.is_own,
        backend.is_ready(config, settings),
    )


def find_all(tx: Reader, site: Site, config: Config) -> list[State]:
    """Return the state of every listed back end on this site, by name."""
    rows = SiteAuthBackend.find_all(tx, site.id)
    return [
        state(backend, rows.get(name), config)
        for name, backend in sorted(Backend.found.items())
        if backend.is_listed and backend.exists(config)
    ]


def find(name: str, config: Config) -> type[Backend] | None:
    """Return the back end with this name; None if there is none under these settings."""
    backend = Backend.found.get(name)
    return backend if backend is not None and backend.exists(config) else None


def merge_settings(
    backend: type[Backend], stored: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `stored` overlaid by the settings `given`; null leaves a setting as it is.

    Raises Invalid for an unknown setting, and if a URL changes without its secret being sent again, which the new URL
    would else receive.
    """
    settings = dict(stored)
    fields = {field.name: field for field in backend.settings}
    for name, value in given.items():
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise Invalid("settings", f"{backend.name} has only these settings: {known}")
        if value is None:
            continue
        settings[name] = fields[name].checked(value, f"settings.{name}")
    if any(
        (settings.get(name) or "") != stored.get(name, "")
        for name, one in fields.items()
        if one.is_secret_destination
    ):
        for name, one in fields.items():
            if one.kind == "secret" and stored.get(name) and given.get(name) is None:
                raise Invalid(f"settings.{name}", "is required when its address changes")
    return {name: value for name, value in settings.items() if value}


def begin(
    given: Begin,
    site: Site,
    ip: str,
    config: Config,
    database: Database,
    request_reader: Reader | None = None,
) -> Begun:
    """Take the first step of the back end that the body names.

    Raises Invalid for an unknown method, NotImplementedHere if it is not set up, and the errors of its `begin`.
    """
    name = given.method if isinstance(given.method, str) else ""
    found = _enabled(name, site, config, database, request_reader)
    if not found.is_ready:
        raise _not_here(name)
    attempt = Attempt(given, site, ip, config, database, found.settings, request_reader)
    return found.backend().begin(attempt)


def verify(
    given: SignIn,
    site: Site,
    ip: str,
    config: Config,
    database: Database,
    request_reader: Reader | None = None,
    browser: Browser | None = None,
) -> Verified | None:
    """Take the proving step of the back end that the body names; None if another step follows.

    Raises Invalid for an unknown method, NotImplementedHere if it is not set up, and the errors of its `verify`.
    """
    name = given.method if isinstance(given.method, str) else "assertion"
    found = _enabled(name, site, config, database, request_reader)
    attempt = Attempt(given, site, ip, config, database, found.settings, request_reader, browser)
    backend = found.backend()
    if not found.is_ready:
        backend.refuse(attempt)
    verified = backend.verify(attempt)
    # The owner of a provider controls its claims: those of a site's own provider count on that site alone.
    if verified is not None and found.is_own and found.settings:
        return verified._replace(is_platforms=False)
    return verified


def _enabled(
    name: str, site: Site, config: Config, database: Database, request_reader: Reader | None
) -> State:
    backend = find(name, config)
    if backend is None:
        listed = (one.name for one in Backend.found.values() if one.is_listed)
        names = sorted(one for one in listed if find(one, config))
        raise Invalid("method", f"must be one of: {', '.join(names)}")
    reader = database.read()
    try:
        row = SiteAuthBackend.find(reader, site.id, name)
    finally:
        reader.end()
        if request_reader is not None:
            request_reader.statements += reader.statements
    found = state(backend, row, config)
    if not found.is_enabled:
        raise _not_here(name)
    return found


def _not_here(name: str) -> NotImplementedHere:
    return NotImplementedHere(f"Signing in by {name} is not configured here")
