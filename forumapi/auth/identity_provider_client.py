"""Client of identity providers (OpenID Connect): discovery, keys, tokens. Every answer is checked before it is used.

Discovery documents and keys are cached for an hour in this process. For a key id that is not among them the keys are
fetched again, a few times in five minutes at most, so that made-up key ids do not become requests.
"""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from forumapi.cache.lru_cache import Lru, plainly
from forumapi.errors import BadGateway, Unauthorized
from forumapi.observability.log import logger
from forumapi.outbound.safe_http_client import Outbound, OutboundError

if TYPE_CHECKING:
    from forumapi.config import Config

CACHE_S: Final = 3600.0
REFETCHES: Final = 5
REFETCH_WINDOW_S: Final = 300.0
KEPT_BYTES: Final = 8 * 1024 * 1024
REFETCHED_BYTES: Final = 1024 * 1024
TIMEOUT_S: Final = 5.0
# Signatures by a key pair alone: with a shared secret, or none, a token could be made from what is public.
ALGORITHMS: Final = (
    "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA".split()  # noqa: SIM905
)
# Errors of the parser for malformed JSON, and for JSON that is nested too deeply.
NO_JSON: Final = (ValueError, RecursionError)
_FAILED: Final = "The identity provider failed"
_REFUSED: Final = "The identity provider's answer is not valid"
_FORM: Final = "application/x-www-form-urlencoded"


class Metadata(NamedTuple):
    """Discovery document of a provider: `issuer` as it is written there, URLs of its endpoints (`userinfo`: "" for
    none) and of its `keys`, and the `algorithms` of its signatures that are accepted.

    `takes_basic`: the client's secret goes into a Basic header, else into the body; `names_issuer`: the answer to an
    authorization request names the issuer (RFC 9207).
    """

    issuer: str
    authorization: str
    token: str
    userinfo: str
    keys: str
    algorithms: tuple[str, ...]
    takes_basic: bool
    names_issuer: bool  # in the answer to an authorization request (RFC 9207)


class Tokens(NamedTuple):
    """Tokens that a provider gave in exchange for a code; `id_token` is "" from one of plain OAuth 2."""

    access_token: str
    id_token: str


def outbound(config: Config) -> Outbound:
    """Make the HTTP client for requests to providers: https to public addresses alone; any address and http in the
    embedded mode, or if `private_providers` is set.
    """
    if config.is_embedded or config.private_providers:
        return Outbound(allowed=lambda _: True, ports=(), timeout_s=TIMEOUT_S)
    return Outbound(ports=(), schemes=("https",), timeout_s=TIMEOUT_S)


class _Kept(NamedTuple):
    until: float
    value: Any


class _Cache:
    """Cache of JSON documents by URL, for all requests of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: Lru[tuple[str, bool], _Kept] = Lru(KEPT_BYTES, plainly)
        self._refetched: Lru[tuple[str, bool], list[float]] = Lru(REFETCHED_BYTES, plainly)

    def get(self, out: Outbound, url: str, *, is_plain: bool) -> Any:
        """Return the JSON object at `url`, from the cache if it was fetched in the last CACHE_S seconds (an hour), else
        by `out`. Raises as `_object`.

        `is_plain`: True if http and private networks are allowed; part of the key.
        """
        key = (url, is_plain)
        with self._lock:
            found = self._kept.get(key)
        if found is not None and found.until > time.monotonic():
            return found.value
        return self._fetch(out, key)

    def again(self, out: Outbound, url: str, *, is_plain: bool) -> Any:
        """Fetch the JSON object at `url` even if it is cached; after REFETCHES such fetches of the URL within
        REFETCH_WINDOW_S, return what `get` does. Raises as `_object`. `is_plain`: as in `get`.
        """
        key, now = (url, is_plain), time.monotonic()
        with self._lock:
            before = self._refetched.get(key) or []
            recent = [at for at in before if now - at < REFETCH_WINDOW_S]
            may_ask = len(recent) < REFETCHES
            self._refetched.add(key, [*recent, now] if may_ask else recent)
        return self._fetch(out, key) if may_ask else self.get(out, url, is_plain=is_plain)

    def _fetch(self, out: Outbound, key: tuple[str, bool]) -> Any:
        value = _object(out, key[0])
        with self._lock:
            self._kept.add(key, _Kept(time.monotonic() + CACHE_S, value))
        return value


_cache: Final = _Cache()


def _object(
    out: Outbound, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Send a request to an identity provider, a GET or, with a `body`, a POST, and return the JSON object that it
    answers with. `headers`: sent besides Accept. A POST with a body is taken to send the code of the person who signs
    in, a GET with headers their access token; other requests send nothing of a person.

    Raises Unauthorized if the provider refuses that code or token: by an object with a member `error`, not about this
    client, under a status below 500, or for a token by an object under 401 or 403. Raises BadGateway for any other
    status than 200, for any other object with `error`, for an answer that is not a JSON object, and without an answer.
    """
    try:
        got = out.fetch(url, body=body, headers={"Accept": "application/json", **(headers or {})})
        said = json.loads(got.body) if got.body else None
    except (OutboundError, *NO_JSON) as error:
        logger.warning("an identity provider failed: %s", type(error).__name__)
        raise BadGateway(_FAILED) from None
    if not isinstance(said, dict):
        raise BadGateway(_FAILED)
    # invalid_client is ours to mend; any other refusal is about what the caller brought, if that was sent at all.
    brought = body is not None or headers
    if brought and "error" in said and got.status < 500 and said["error"] not in _OUR_FAULT:
        raise Unauthorized("The identity provider refused this sign-in")
    if got.status in (401, 403) and body is None and headers:
        raise Unauthorized("The identity provider refused this sign-in")
    if got.status != 200 or "error" in said:
        logger.warning("an identity provider answered with status %d", got.status)
        raise BadGateway(_FAILED)
    return said


_OUR_FAULT: Final = ("invalid_client", "unauthorized_client", "invalid_request", "server_error")


class Provider:
    """OpenID Connect provider, by its `issuer`, written exactly as in the provider's own documents (a slash at the end
    included).
    """

    def __init__(self, config: Config, issuer: str) -> None:
        self._out = outbound(config)
        self._is_plain = config.is_embedded or config.private_providers
        self.issuer = issuer

    def metadata(self) -> Metadata:
        """Return the provider's discovery document, cached for an hour; its issuer is not compared. Raises BadGateway
        if it can't be fetched, or if its issuer, keys, authorization or token endpoint is missing or no https URL (nor
        http, where `outbound` allows http).
        """
        url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        said = _cache.get(self._out, url, is_plain=self._is_plain)
        schemes = ("https://", "http://") if self._is_plain else ("https://",)
        ends = [
            said.get(name)
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "issuer")
        ]
        if not all(isinstance(end, str) and end.startswith(schemes) for end in ends):
            raise BadGateway(_FAILED)
        authorization, token, keys, issuer = map(str, ends)
        offered = said.get("id_token_signing_alg_values_supported")
        methods = said.get("token_endpoint_auth_methods_supported")
        return Metadata(
            issuer,
            authorization,
            token,
            str(said.get("userinfo_endpoint") or ""),
            keys,
            tuple(one for one in ALGORITHMS if not isinstance(offered, list) or one in offered),
            not isinstance(methods, list) or "client_secret_basic" in methods,
            said.get("authorization_response_iss_parameter_supported") is True,
        )

    def checked_metadata(self) -> Metadata:
        """Return the discovery document. Raises BadGateway as `metadata`, and if the document names another issuer than
        `issuer`.
        """
        found = self.metadata()
        if found.issuer != self.issuer:
            logger.warning("a discovery document names another issuer")
            raise BadGateway(_FAILED)
        return found

    def claims(self, token: str, metadata: Metadata, **how: Any) -> dict[str, Any]:
        """Verify a token with this provider's keys; return its claims. `metadata`: discovery document of the provider,
        which names the keys and the algorithms. `how`: what PyJWT shall check besides (`audience`, `issuer`, …).

        Raises Unauthorized for a token that none of the keys has signed, that is expired, or that fails one of those
        checks, BadGateway if the keys can't be fetched.
        """
        from forumapi.auth import id_token

        def keys(get: Callable[..., dict[str, Any]]) -> dict[str, Any]:
            return get(self._out, metadata.keys, is_plain=self._is_plain)

        try:
            return id_token.claims(
                token,
                metadata.algorithms,
                (partial(keys, _cache.get), partial(keys, _cache.again)),
                **how,
            )
        except id_token.REFUSED as error:
            logger.warning("a token of an identity provider is refused: %s", type(error).__name__)
            raise Unauthorized(_REFUSED) from None

    def userinfo(self, metadata: Metadata, access_token: str, subject: str) -> dict[str, Any]:
        """Fetch the claims about a person from the userinfo endpoint in `metadata`, which must have one. Raises
        BadGateway if the provider fails.

        Raises Unauthorized if the provider refuses the access token, or its claims are not about `subject` (the `sub`
        of the id_token).
        """
        said = _object(
            self._out, metadata.userinfo, headers={"Authorization": f"Bearer {access_token}"}
        )
        if said.get("sub") != subject:
            raise Unauthorized(_REFUSED)
        return said


def exchange(
    config: Config,
    url: str,
    body: str,
    *,
    client_id: str,
    client_secret: str,
    takes_basic: bool = True,
) -> Tokens:
    """Send the token request `body`, form-encoded, with the code and the client's id, to the token endpoint `url` as
    the client `client_id`; return the tokens.

    `takes_basic`: the secret goes into a Basic header, else into the body; a `client_secret` that is "" is not sent.
    Raises Unauthorized if the code is refused, BadGateway if the provider fails.
    """
    headers = {"Content-Type": _FORM}
    if takes_basic and client_secret:
        pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    elif client_secret:
        body = f"{body}&{urlencode({'client_secret': client_secret})}"
    said = _object(outbound(config), url, body.encode(), headers)
    access, identity = said.get("access_token"), said.get("id_token", "")
    if not isinstance(access, str) or not access or not isinstance(identity, str):
        raise BadGateway(_FAILED)
    return Tokens(access, identity)


def get_json(config: Config, url: str, access_token: str) -> Any:
    """Fetch `url` with the bearer token `access_token`; return the parsed JSON, of any type.

    Raises Unauthorized for status 401 or 403, BadGateway for any other status than 200, without an answer, and,
    whatever the status, for a body that is not JSON.
    """
    headers = {"Accept": "application/json", "Authorization": f"Bearer {access_token}"}
    try:
        got = outbound(config).fetch(url, headers=headers)
        said = json.loads(got.body)
    except (OutboundError, *NO_JSON):
        raise BadGateway(_FAILED) from None
    if got.status in (401, 403):
        raise Unauthorized("The identity provider refused this sign-in")
    if got.status != 200:
        raise BadGateway(_FAILED)
    return said


def equal_constant_time(given: object, expected: str) -> bool:
    """Compare two secrets in constant time; False if `given`, a field of a body, is no text."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())
