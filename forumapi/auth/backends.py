"""Interface of sign-in methods ("back ends"): a small class each, found by its name, switched on and set up for each
site (platform 3.3 to 3.5).

A back end proves that the caller has an e-mail address and nothing more; sign_in.py makes user, profile and token from
that, for all methods alike. To add one, subclass `Backend`, name it, and import its module in
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
from forumapi.models.access.auth_backend_settings import SiteAuthBackend

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.sites.site import Site

MAX_SETTING: Final = 2000
MAX_URLS: Final = 10


class SignIn(Struct):
    """Body of POST /auth: the method's name, and the fields of all methods. Without `method` the method is "assertion"
    (platform 3.3). `email`, `code`, `browser` (secret that a client keeps for one browser) and `link` (secret of a
    mail's link) are of the method email-code, `email` also of development; `flow`, `state`, `code` and `iss` of
    identity providers; `flow` and `credential` of passkeys; `flow` and `code` of the second factor; `Assertion` and
    `ClientSecret` of assertions.
    """

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
    """Body of POST /auth/begin: the method's name, and, for a method with a provider's page, the URL to which the
    provider sends the browser back; without that the first of the setting `redirectUris`, else the site's /login/.
    """

    method: str | UnsetType = UNSET
    redirectUri: str | UnsetType = UNSET


class Browser(NamedTuple):
    """Browser that signs in. `mark`: hash of the cookie that the engine's own pages gave it or, of a client of the API,
    of the secret that the client sent; "" without one.

    `url`: page of the engine's own on which it signs in, "" for a client; `link`: secret of a mail's link that it
    follows, "" for none.
    """

    mark: str
    url: str
    link: str = ""


class Attempt(NamedTuple):
    """Request to begin or prove a sign-in, one for each call of a back end (a sign-in method's instance). `given`: its
    body; `ip`: address of the client, "" on a Unix socket; `settings`: those of this back end on this site.

    `request_reader`: reader of the request, whose count of statements grows by those of `write`; None: nothing is
    counted. `browser`: the one on the engine's own pages, None for a client of the API.
    """

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
        """Open a transaction of its own for the block of a `with` statement, committed when the block ends without an
        error, so that counted tries and used codes stay when the sign-in fails later.
        """
        with self.database.write() as tx:
            try:
                yield tx
            finally:
                if self.request_reader is not None:
                    self.request_reader.statements += tx.statements

    @property
    def sign_in(self) -> SignIn:
        """Return the body; only for requests of POST /auth."""
        assert isinstance(self.given, SignIn)
        return self.given

    @property
    def redirect_uri(self) -> str:
        """Return the field `redirectUri` of POST /auth/begin, "" without one; only for requests of that address."""
        assert isinstance(self.given, Begin)
        return self.given.redirectUri if isinstance(self.given.redirectUri, str) else ""


class Verified(NamedTuple):
    """E-mail address that the caller has proven to have. `client_id`: the operator's application that the sign-in is
    for, 0 for none.

    `is_platforms`: the proof counts on all sites; False, on this site alone: where the method runs on settings that the
    site's owner stored, such as those of a provider, and for a passkey of the site's custom domain.
    `has_second_factor`: the method itself includes a second factor, so no code is asked for.
    """

    email: str
    client_id: int = 0
    is_platforms: bool = True
    has_second_factor: bool = False


class Begun(NamedTuple):
    """Result of the first step of a sign-in, or of a passkey's registration: the flow's secret, and either `location`,
    the provider's page to visit (else ""), or `public_key`, the argument of the browser's passkey call (else None).
    """

    flow: str
    location: str = ""
    public_key: Mapping[str, Any] | None = None


class Setting(NamedTuple):
    """Setting of a back end, which a site's owner may set. `text`: description for the owner. A value of the kind
    "secret" is stored and never shown again; "urls" is a list of URLs.

    `is_required`: without it the back end can't be used. `is_secret_destination`: secrets are sent to this URL, so that
    a change of it needs the secret again.
    """

    name: str
    text: str
    kind: Literal["text", "secret", "url", "urls"] = "text"
    is_required: bool = False
    is_secret_destination: bool = False

    def checked(self, value: Any, place: str) -> Any:
        """Return `value`, checked by the setting's kind, in the form to be stored: a text without spaces around it, a
        URL as it is, or a list of URLs; "" or [] clears the setting. Raises Invalid for a value of another type,
        unprintable characters, more than MAX_SETTING (2,000) characters or MAX_URLS (10) URLs, and for a URL that lacks
        scheme or host, has a fragment or user, or a scheme such as javascript.

        `place`: name of the field in that error.
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
    """Base class of sign-in methods. An instance is made for one request and holds no database connection between
    calls.

    `name`: what bodies name as `method`; `title`: name of the method for people; `settings`: those that an owner may
    set; `kind`: type of the sign-in, by which clients choose the form to show. `is_listed` False: not offered as a
    first step. `is_abstract=True` in the class statement: only a base of others, so it needs no name. `found`: all
    methods by name, whether allowed here or not.
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
        """Return True if this platform's settings (`config`) allow the method at all; here always."""
        return True

    @classmethod
    def is_default(cls, config: Config) -> bool:
        """Return True if the method is on where neither the site nor the platform has stored settings for it; here
        always.
        """
        return True

    @classmethod
    def is_ready(cls, config: Config, settings: Mapping[str, Any]) -> bool:
        """Return True if `settings`, those of the method on a site, have a value for each required one; a subclass may
        count the platform's (`config`) too, or in their place.
        """
        return all(settings.get(one.name) for one in cls.settings if one.is_required)

    def refuse(self, attempt: Attempt) -> None:
        """Raise NotImplementedHere; called before `verify` where the method is on but not `is_ready`. A subclass may
        raise another error first.
        """
        raise _not_here(self.name)

    def begin(self, attempt: Attempt) -> Begun:
        """Take the first step, that of POST /auth/begin, and return what the client needs for the second, POST /auth.
        Raises Invalid for a method whose first step is POST /auth itself, as here.
        """
        raise Invalid("method", f"{self.name} begins with POST /auth")

    def verify(self, attempt: Attempt) -> Verified | None:
        """Return the e-mail address that the caller has proven to have, or None if another step follows.

        Raises Unauthorized for a wrong proof, Invalid for a malformed field, TooMany beyond a limit of tries,
        BadGateway if a provider fails.
        """
        raise NotImplementedError


class State(NamedTuple):
    """State of a back end on a site: on or off, its settings there, and if all that are required are set (`is_ready`).
    `is_own`: the site's owner has set it, not the platform.
    """

    backend: type[Backend]
    is_enabled: bool
    settings: Mapping[str, Any]
    is_own: bool
    is_ready: bool


def state(backend: type[Backend], row: SiteAuthBackend | None, config: Config) -> State:
    """Return the state of `backend` on a site. `row`: its stored settings, the site's or else the platform's; None for
    none.
    """
    settings = row.settings if row else {}
    return State(
        backend,
        row.is_enabled if row else backend.is_default(config),
        settings,
        row is not None and row.is_own,
        backend.is_ready(config, settings),
    )


def find_all(tx: Reader, site: Site, config: Config) -> list[State]:
    """Return the states on a site of all back ends with `is_listed` that the platform allows, sorted by name; those
    switched off are included.
    """
    rows = SiteAuthBackend.find_all(tx, site.id)
    return [
        state(backend, rows.get(name), config)
        for name, backend in sorted(Backend.found.items())
        if backend.is_listed and backend.exists(config)
    ]


def find(name: str, config: Config) -> type[Backend] | None:
    """Return the back end with this name; None if there is none, or the platform's settings do not allow it."""
    backend = Backend.found.get(name)
    return backend if backend is not None and backend.exists(config) else None


def merge_settings(
    backend: type[Backend], stored: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the back end's settings `stored`, changed by `given`: null leaves a setting as it is, "" or [] clears it,
    and cleared ones are not among those returned.

    Raises Invalid for an unknown setting, for an unsuitable value, and if the URL that receives secrets changes while a
    stored secret is not sent again: its new receiver would learn the secret.
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
    """Take the first step of a sign-in on `site`, by the back end that the body `given` names; return its result.

    `ip`: address of the client; `request_reader`: reader of the request, whose count of statements grows by those run
    here; None: nothing is counted. Raises Invalid for a method that is unknown or that the platform does not allow,
    NotImplementedHere for one that is off or not set up on the site, and what the back end's `begin` raises.
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
    """Return the e-mail address that the caller proves to the back end that the body `given` names ("assertion" without
    a name), for a sign-in on `site`; None if another step follows (a code was mailed). `is_platforms` of the result is
    False where the back end's settings are the site's own.

    `ip`, `request_reader`: as in `begin`; `browser`: for the engine's own pages, None for clients of the API. Raises
    Invalid for a method that is unknown or that the platform does not allow, NotImplementedHere for one that is off or
    not set up on the site, and what the back end's `refuse` and `verify` raise.
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
