"""Exchange of an Auth0 code or access token for an e-mail address: POST /auth0, for clients of v1 (platform 3.4).

Uses the site's own Auth0 tenant. Unlike v1 it accepts an e-mail address only if the tenant says that it is verified,
and an access token only if it was issued to this site's client (P-24).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from oauthlib.oauth2 import WebApplicationClient

from forumapi.auth import identity_provider_client
from forumapi.auth.identity_provider_client import Provider
from forumapi.auth.openid import verified_email
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.errors import BadGateway, Invalid, Unauthorized

if TYPE_CHECKING:
    from forumapi.config import Config

SETTINGS = Query(
    "auth0_v1_exchange.settings",
    """
    SELECT s.auth0_domain, s.auth0_client_id, s.auth0_client_secret
      FROM sites s
     WHERE s.site_id = %(site_id)s AND s.auth0_domain <> '' AND s.auth0_client_id <> ''
       AND s.auth0_client_secret <> ''""",
)
_REFUSED: Final = "This access token was not issued to this site"


class Tenant(NamedTuple):
    """Auth0 tenant of a site: host name, client id and client secret, all three set."""

    domain: str
    client_id: str
    client_secret: str


def tenant(tx: Reader, site_id: int) -> Tenant:
    """Return the Auth0 tenant of a site. Raises Invalid if one of its three settings is empty."""
    row = tx.row(SETTINGS, site_id=site_id)
    if row is None:
        raise Invalid("", "This site has no Auth0 domain, client id and client secret")
    return Tenant(*row)


def email_of_code(config: Config, found: Tenant, code: str, site_url: str) -> str:
    """Exchange an authorization code at Auth0; return the verified e-mail address of the person who signed in there.

    `site_url`: URL of the site, of which the code's redirect URI is made. `found`: Auth0 tenant of that site. Raises
    Unauthorized if Auth0 refuses the code or names no verified address, BadGateway if Auth0 fails.
    """
    client = WebApplicationClient(found.client_id)
    tokens = identity_provider_client.exchange(
        config,
        f"https://{found.domain}/oauth/token",
        client.prepare_request_body(code=code, redirect_uri=f"{site_url}/auth0login/"),
        client_id=found.client_id,
        client_secret=found.client_secret,
        takes_basic=False,
    )
    return _email(config, found, tokens.access_token)


def email_of_token(config: Config, found: Tenant, access_token: str) -> str:
    """Return the verified e-mail address of the person whose Auth0 access token this is. The token must be a JWT issued
    to the site's client at its Auth0 tenant, `found`.

    Raises Unauthorized for any other token, and if Auth0 names no verified address; BadGateway if Auth0 fails.
    """
    there = Provider(config, f"https://{found.domain}/")
    claims = there.claims(
        access_token,
        there.checked_metadata(),
        issuer=there.issuer,
        options={"require": ["iss", "sub", "aud", "exp"], "verify_aud": False},
    )
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if claims.get("azp") != found.client_id and found.client_id not in audience:
        raise Unauthorized(_REFUSED)
    return _email(config, found, access_token, str(claims["sub"]))


def _email(config: Config, found: Tenant, access_token: str, subject: str = "") -> str:
    said = identity_provider_client.get_json(
        config, f"https://{found.domain}/userinfo", access_token
    )
    if not isinstance(said, dict):
        raise BadGateway("The identity provider failed")
    if subject and said.get("sub") != subject:
        raise Unauthorized(_REFUSED)
    return verified_email(said, is_verified=said.get("email_verified") is True)
