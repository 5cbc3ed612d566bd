"""Exchange of POST /auth0 for clients of v1 (platform 3.4): through the Auth0 tenant of the site.

Unlike v1 it believes an e-mail address only where the tenant says that it is verified, and an access token only
where it was issued to this site's client (P-24).
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
    "auth0.settings",
    """
    SELECT s.auth0_domain, s.auth0_client_id, s.auth0_client_secret
      FROM sites s
     WHERE s.site_id = %(site_id)s AND s.auth0_domain <> '' AND s.auth0_client_id <> ''
       AND s.auth0_client_secret <> ''""",
)
_REFUSED: Final = "This access token was not issued to this site"


class Tenant(NamedTuple):
    """A site's three settings for Auth0."""

    domain: str
    client_id: str
    client_secret: str


def tenant(tx: Reader, site_id: int) -> Tenant:
    """Return the site's settings for Auth0. Raises Invalid if one of the three is missing."""
    row = tx.row(SETTINGS, site_id=site_id)
    if row is None:
        raise Invalid("", "This site has no Auth0 domain, client id and client secret")
    return Tenant(*row)


def email_of_code(config: Config, found: Tenant, code: str, site_url: str) -> str:
    """Return the verified e-mail address of the person whom Auth0 issued the code for.

    Raises Unauthorized, BadGateway.
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
    """Return the verified e-mail address of the access token's bearer. Raises Unauthorized, BadGateway.

    A token of another client is refused, and so is one that is not a JWT, since it does not name its client.
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
