"""Sign-in methods for known providers, of which an owner need not set the URL: Google, Microsoft, Auth0 (OpenID
Connect), and GitHub (plain OAuth 2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from forumapi.auth import identity_provider_client
from forumapi.auth.backends import Attempt, Setting
from forumapi.auth.identity_provider_client import Metadata, Provider
from forumapi.auth.openid import (
    CLIENT_ID,
    CLIENT_SECRET,
    REDIRECT_URIS,
    OpenidBackend,
    RedirectBackend,
    verified_email,
)
from forumapi.errors import BadGateway, Unauthorized

_CLIENT: Final = (CLIENT_ID, CLIENT_SECRET, REDIRECT_URIS)
_TENANT: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class GoogleBackend(OpenidBackend):
    """Sign-in with Google accounts."""

    name = "google"
    title = "Google"
    settings = _CLIENT

    def issuer(self, settings: Mapping[str, Any]) -> str:
        """Return Google's issuer, whatever the `settings`."""
        return "https://accounts.google.com"


class MicrosoftBackend(OpenidBackend):
    """Sign-in with Microsoft accounts, personal ones and those of organisations.

    An organisation can write any e-mail address into its accounts. An address counts as verified only if Microsoft says
    so by the optional claim `xms_edov`, which must be switched on where the application is registered.
    """

    name = "microsoft"
    title = "Microsoft"
    settings = (
        *_CLIENT,
        Setting("tenant", "A directory's id; common (else), organizations or consumers."),
        Setting(
            "authority",
            "Of a national cloud; else https://login.microsoftonline.com.",
            "url",
            is_secret_destination=True,
        ),
    )

    def issuer(self, settings: Mapping[str, Any]) -> str:
        """Return the address below which the discovery document of the tenant in `settings` stands, such as
        …/common/v2.0.
        """
        authority = str(settings.get("authority") or "https://login.microsoftonline.com")
        return f"{authority.rstrip('/')}/{settings.get('tenant') or 'common'}/v2.0"

    def metadata(self, found: Provider) -> Metadata:
        """Return the discovery document, whose issuer is that of `found` or, for tenants such as `common` that stand
        for many, a template with {tenantid}. Raises BadGateway for a document with another issuer, and as
        `Provider.metadata`.
        """
        said = found.metadata()
        authority = found.issuer.rpartition("/v2.0")[0].rpartition("/")[0]
        if said.issuer not in (found.issuer, f"{authority}/{{tenantid}}/v2.0"):
            raise BadGateway("The identity provider failed")
        return said

    def expected(self, metadata: Metadata) -> str | None:
        """Return the issuer that a token must name; None if the discovery document has a template, which `check`
        compares.
        """
        return None if "{tenantid}" in metadata.issuer else metadata.issuer

    def check(
        self, claims: Mapping[str, Any], metadata: Metadata, settings: Mapping[str, Any]
    ) -> None:
        """Check, where the discovery document's issuer is a template, that the token's issuer is this template filled
        with the token's own tenant. Raises Unauthorized. `settings` play no part.
        """
        tenant = claims.get("tid")
        if "{tenantid}" not in metadata.issuer:
            return
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise Unauthorized("The identity provider's answer is not valid")
        if claims["iss"] != metadata.issuer.replace("{tenantid}", tenant):
            raise Unauthorized("The identity provider's answer is not valid")

    def is_verified(self, claims: Mapping[str, Any]) -> bool:
        """Return True if the claim `xms_edov` says that the address's domain is verified; Microsoft has no claim
        `email_verified`.
        """
        return claims.get("xms_edov") in (True, 1, "1", "true")


class Auth0Backend(OpenidBackend):
    """Sign-in through an Auth0 tenant, by OpenID Connect. `POST /auth0` of v1 is another method, with settings of its
    own (auth0_v1_exchange.py).
    """

    name = "auth0"
    title = "Auth0"
    settings = (
        Setting("domain", "The tenant's host name.", is_required=True, is_secret_destination=True),
        *_CLIENT,
        Setting("title", "What people see on the button."),
    )

    def issuer(self, settings: Mapping[str, Any]) -> str:
        """Return the URL of the tenant whose host name `settings` have as `domain`, with a slash at its end."""
        return f"https://{settings['domain']}/"


class GithubBackend(RedirectBackend):
    """Sign-in with GitHub: the primary e-mail address of the account, if it is verified."""

    name = "github"
    title = "GitHub"
    scopes = "user:email"
    settings = (
        *_CLIENT,
        Setting(
            "url",
            "Of an enterprise server; else https://github.com.",
            "url",
            is_secret_destination=True,
        ),
        Setting("apiUrl", "Of its interface; else https://api.github.com.", "url"),
    )

    def authorization_url(self, attempt: Attempt) -> str:
        """Return the URL of the page on which GitHub, or the enterprise server in the settings, asks for consent."""
        return f"{_site(attempt.settings)}/login/oauth/authorize"

    def email(self, attempt: Attempt, request: str, nonce: str) -> str:
        """Exchange the code in `request`, the form-encoded body of a token request; return the account's primary e-mail
        address. `nonce` is not used, as GitHub gives no id_token.

        Raises Unauthorized if the code is wrong (GitHub answers that with status 200 and `error`) or there is no
        primary address, or it is not verified, BadGateway if GitHub fails.
        """
        settings = attempt.settings
        tokens = identity_provider_client.exchange(
            attempt.config,
            f"{_site(settings)}/login/oauth/access_token",
            request,
            client_id=settings["clientId"],
            client_secret=settings["clientSecret"],
            takes_basic=False,
        )
        api = str(settings.get("apiUrl") or "https://api.github.com").rstrip("/")
        said = identity_provider_client.get_json(
            attempt.config, f"{api}/user/emails", tokens.access_token
        )
        if not isinstance(said, list):
            raise BadGateway("The identity provider failed")
        for one in said:
            if isinstance(one, dict) and one.get("primary") is True:
                return verified_email(one, is_verified=one.get("verified") is True)
        raise Unauthorized("The identity provider returned no e-mail address")


def _site(settings: Mapping[str, Any]) -> str:
    return str(settings.get("url") or "https://github.com").rstrip("/")
