"""Sign-in through a provider of OpenID Connect: authorization code with PKCE, state and nonce.

`POST /auth/begin` with `method` and `redirectUri` returns the URL to send the browser to, and the flow's secret, which
the client keeps. The provider sends the browser back to `redirectUri` with `code` and `state`; the page there posts
both to `/auth`, with `method` and the flow's secret. Refused unless the provider says that the e-mail address is
verified.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from oauthlib.common import add_params_to_uri
from oauthlib.oauth2 import WebApplicationClient

from forumapi.auth import identity_provider_client, sign_in_flow
from forumapi.auth.backends import Attempt, Backend, Begun, Setting, Verified
from forumapi.auth.identity_provider_client import Metadata, Provider
from forumapi.errors import Invalid, Unauthorized
from forumapi.text import email_address

CLIENT_ID: Final = Setting("clientId", "The id that the provider gave.", is_required=True)
CLIENT_SECRET: Final = Setting(
    "clientSecret", "The secret that the provider gave.", "secret", is_required=True
)
REDIRECT_URIS: Final = Setting(
    "redirectUris",
    "Pages that a sign-in may come back to, as the provider knows them; none: /login/ of the site.",
    "urls",
)
_STALE: Final = "This sign-in is unknown, used or expired; start again"


class RedirectBackend(Backend, is_abstract=True):
    """Base class of sign-ins on a provider's page (OAuth 2). `scopes`: those that the provider is asked for."""

    kind: ClassVar[Literal["redirect"]] = "redirect"
    scopes: ClassVar[str] = "openid email"

    def begin(self, attempt: Attempt) -> Begun:
        """Store a new flow; return its secret and the URL of the provider's page.

        Without a redirect URI in the request the first of the setting `redirectUris` is taken, or the site's /login/ if
        that setting is empty. Raises Invalid for a redirect URI that is not among those, TooMany beyond
        BEGINS_PER_CLIENT_ADDRESS, BadGateway if the provider fails.
        """
        sign_in_flow.count(attempt, sign_in_flow.BEGINS_PER_CLIENT_ADDRESS)
        redirect_uri = _redirect_uri(attempt)
        url = self.authorization_url(attempt)
        client = WebApplicationClient(attempt.settings["clientId"])
        verifier = client.create_code_verifier(64)
        state, nonce = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        asked = {
            "response_type": "code",
            "client_id": attempt.settings["clientId"],
            "redirect_uri": redirect_uri,
            "scope": self.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": client.create_code_challenge(verifier, "S256"),
            "code_challenge_method": "S256",
        }
        kept = {"redirectUri": redirect_uri, "nonce": nonce, "verifier": verifier}
        with attempt.write() as tx:
            flow = sign_in_flow.begin(tx, self.name, attempt.site.id, kept, state=state)
        return Begun(flow, add_params_to_uri(url, asked.items()))

    def verify(self, attempt: Attempt) -> Verified:
        """Use up the flow, exchange the code at the provider, and return the e-mail address that the provider verified.

        Raises Unauthorized for an unknown flow, a missing or wrong code or an address that is not verified, TooMany
        beyond STEPS_PER_CLIENT_ADDRESS, BadGateway if the provider fails.
        """
        given = attempt.sign_in
        flow, state, code = (
            one if isinstance(one, str) else "" for one in (given.flow, given.state, given.code)
        )
        sign_in_flow.count(attempt, sign_in_flow.STEPS_PER_CLIENT_ADDRESS)
        with attempt.write() as tx:
            kept = sign_in_flow.take(tx, self.name, attempt.site.id, flow, state=state)
        if kept is None or not code:
            raise Unauthorized(_STALE)
        client = WebApplicationClient(attempt.settings["clientId"])
        request = client.prepare_request_body(
            code=code, redirect_uri=kept["redirectUri"], code_verifier=kept["verifier"]
        )
        return Verified(self.email(attempt, request, kept["nonce"]))

    def authorization_url(self, attempt: Attempt) -> str:
        """Return the URL of the provider's page, without the parameters of the request. Raises BadGateway if the
        provider has to be asked for it and fails.
        """
        raise NotImplementedError

    def email(self, attempt: Attempt, request: str, nonce: str) -> str:
        """Send the token request `request` (form-encoded, with the code) to the provider; return the person's verified
        e-mail address.

        `nonce`: the one that the id_token must repeat. Raises Unauthorized if the provider refuses the code or has
        verified no address, BadGateway if it fails.
        """
        raise NotImplementedError


class OpenidBackend(RedirectBackend):
    """Sign-in through any OpenID Connect provider with a discovery document, by its issuer."""

    name = "openid"
    title = "OpenID Connect"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "issuer",
            "The provider's issuer address, exactly.",
            "url",
            is_required=True,
            is_secret_destination=True,
        ),
        CLIENT_ID,
        CLIENT_SECRET,
        REDIRECT_URIS,
        Setting("title", "What people see on the button."),
    )

    def issuer(self, settings: Mapping[str, Any]) -> str:
        """Return the provider's issuer from `settings`, those of this method on the site, exactly as the provider's own
        documents have it.
        """
        return str(settings["issuer"])

    def metadata(self, found: Provider) -> Metadata:
        """Return the discovery document of the provider `found`. Raises BadGateway if the document names another
        issuer, and as `Provider.metadata`.
        """
        return found.checked_metadata()

    def expected(self, metadata: Metadata) -> str | None:
        """Return the issuer that a token must name: here the one in the discovery document. A subclass may return None,
        and compare the issuer in `check`.
        """
        return metadata.issuer

    def authorization_url(self, attempt: Attempt) -> str:
        """Return the authorization endpoint in the provider's discovery document. Raises BadGateway as `metadata`."""
        return self.metadata(self._provider(attempt)).authorization

    def email(self, attempt: Attempt, request: str, nonce: str) -> str:
        """Exchange the code in `request`, the form-encoded body of a token request, and verify the id_token, which must
        repeat `nonce`; return the verified e-mail address in the id_token, or that of userinfo if the id_token has
        none. Raises Unauthorized if the provider refuses the code or has verified no address, and if the id_token, or
        the issuer that the browser brought back, is not as expected; BadGateway if the provider fails.
        """
        settings, found = attempt.settings, self._provider(attempt)
        metadata = self.metadata(found)
        named, expected = attempt.sign_in.iss, self.expected(metadata)
        # The issuer that the browser brought back must be the one that was asked (RFC 9207): no mix-up.
        if expected and (isinstance(named, str) or metadata.names_issuer) and named != expected:
            raise Unauthorized("The identity provider's answer is not valid")
        tokens = identity_provider_client.exchange(
            attempt.config,
            metadata.token,
            request,
            client_id=settings["clientId"],
            client_secret=settings["clientSecret"],
            takes_basic=metadata.takes_basic,
        )
        claims = found.claims(
            tokens.id_token,
            metadata,
            audience=settings["clientId"],
            issuer=self.expected(metadata),
            options={"require": ["iss", "sub", "aud", "exp", "iat"], "strict_aud": False},
        )
        self.check(claims, metadata, settings)
        _check_party(claims, settings["clientId"])
        if not identity_provider_client.equal_constant_time(claims.get("nonce"), nonce):
            raise Unauthorized("The identity provider's answer is not valid")
        if "email" not in claims and metadata.userinfo:
            claims |= found.userinfo(metadata, tokens.access_token, str(claims["sub"]))
        return verified_email(claims, is_verified=self.is_verified(claims))

    def check(
        self, claims: Mapping[str, Any], metadata: Metadata, settings: Mapping[str, Any]
    ) -> None:
        """Check what this provider needs of an id_token's `claims` beyond the standard: nothing here; a subclass raises
        Unauthorized. `metadata`: discovery document of the provider; `settings`: those of this method on the site.
        """

    def is_verified(self, claims: Mapping[str, Any]) -> bool:
        """Return True if `claims`, those of the id_token and perhaps of userinfo, say that the provider has verified
        the e-mail address.
        """
        return claims.get("email_verified") in (True, "true")

    def _provider(self, attempt: Attempt) -> Provider:
        return Provider(attempt.config, self.issuer(attempt.settings))


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    """Check that the authorized party (`azp`) of an id_token is `client_id`; it may be absent with a single audience.
    Raises Unauthorized.
    """
    audience, party = claims["aud"], claims.get("azp")
    if party is not None and party != client_id:
        raise Unauthorized("The identity provider's answer is not valid")
    if isinstance(audience, list) and len(audience) > 1 and party is None:
        raise Unauthorized("The identity provider's answer is not valid")


def verified_email(claims: Mapping[str, Any], *, is_verified: bool) -> str:
    """Return the e-mail address in the claims. `is_verified`: the provider says that the address is verified. Raises
    Unauthorized if it is not, or if there is no valid address.
    """
    claimed = claims.get("email")
    if not isinstance(claimed, str) or not email_address.valid(claimed):
        raise Unauthorized("The identity provider returned no e-mail address")
    if not is_verified:
        raise Unauthorized("The identity provider has not verified this e-mail address")
    return claimed


def _redirect_uri(attempt: Attempt) -> str:
    allowed = attempt.settings.get("redirectUris") or [f"{attempt.site.url}/login/"]
    given = attempt.redirect_uri or allowed[0]
    if given not in allowed:
        raise Invalid("redirectUri", "is not a return address of this sign-in method")
    return str(given)
