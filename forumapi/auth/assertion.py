"""Signing in with a third party's assertion of an e-mail address, through a configured verifier (P-23)."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any, Final

from forumapi.auth.backends import Attempt, Backend, Verified
from forumapi.content import email
from forumapi.errors import BadGateway, NotImplementedHere, Unauthorized
from forumapi.log import logger
from forumapi.models import access_token

TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 65_536


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A verifier answers itself: an assertion is not carried on to an address that nobody configured."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener: Final = urllib.request.build_opener(_NoRedirect)


class AssertionBackend(Backend):
    """`Assertion` and `ClientSecret` of a registered application; wire-compatible with the reference."""

    name = "assertion"

    def verify(self, attempt: Attempt) -> Verified:
        """Raises Unauthorized, NotImplementedHere without a verifier, BadGateway where it fails."""
        given = attempt.given
        secret = given.ClientSecret if isinstance(given.ClientSecret, str) else ""
        reader = attempt.database.read()
        try:
            client_id = access_token.check_client(reader, secret)
        finally:
            reader.end()
        url = str(attempt.settings.get("url") or attempt.config.assertion_verifier_url)
        if not url:
            raise NotImplementedHere("Signing in with an assertion is not configured here")
        assertion = given.Assertion if isinstance(given.Assertion, str) else ""
        address = ask(url, assertion, attempt.site.domain or attempt.site.host)
        return Verified(address, client_id)


def ask(url: str, assertion: str, audience: str) -> str:
    """The address that the verifier at `url` finds in the assertion. Raises Unauthorized, BadGateway."""
    body = json.dumps({"assertion": assertion, "audience": audience}).encode()
    request = urllib.request.Request(
        url, body, {"Content-Type": "application/json", "Accept": "application/json"}
    )
    try:
        with _opener.open(request, timeout=TIMEOUT_S) as answer:
            said = json.loads(answer.read(_MOST_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        logger.warning("the assertion verifier failed: %s", error)
        raise BadGateway("The service that verifies sign-ins failed") from None
    if not isinstance(said, dict):
        raise BadGateway("The service that verifies sign-ins failed")
    address = said.get("email")
    if said.get("status") != "okay" or not isinstance(address, str) or not email.valid(address):
        raise Unauthorized("This assertion is not valid")
    return address
