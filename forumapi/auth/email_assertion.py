"""Sign-in with an assertion of an e-mail address by a third party, which a verifier checks over HTTP (P-23)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from forumapi.auth import identity_provider_client
from forumapi.auth.backends import Attempt, Backend, Setting, Verified
from forumapi.errors import BadGateway, Unauthorized
from forumapi.models.access import rate_counters
from forumapi.models.access.operator_application import OperatorApplication
from forumapi.models.access.rate_counters import Limit
from forumapi.observability.log import logger
from forumapi.outbound.safe_http_client import Outbound, OutboundError
from forumapi.text import email_address

if TYPE_CHECKING:
    from forumapi.config import Config


# As the settings have it by default.
TRIES_PER_CLIENT_ADDRESS: Final = Limit("assertion-ip", 60, 3600)


class AssertionBackend(Backend):
    """Sign-in by the fields `Assertion`, in which a third party vouches for an e-mail address, and `ClientSecret`, of
    an application that the operator registered, as in v1 (platform 3.3).
    """

    name = "assertion"
    title = "Assertion"
    kind = "assertion"
    settings = (Setting("url", "The verifier's address; none: the platform's.", "url"),)

    @classmethod
    def is_ready(cls, config: Config, settings: Mapping[str, Any]) -> bool:
        """Return True if the verifier's URL is set, in the method's `settings` or in the platform's (`config`)."""
        return bool(settings.get("url") or config.assertion_verifier_url)

    def refuse(self, attempt: Attempt) -> None:
        """Raise NotImplementedHere, since no verifier is set; before that Unauthorized or TooMany, if the application's
        secret is wrong or was tried too often.
        """
        _client(attempt)
        super().refuse(attempt)

    def verify(self, attempt: Attempt) -> Verified:
        """Return the e-mail address that the verifier reads from the assertion, with the id of the application whose
        secret was sent.

        Raises Unauthorized if the application's secret is wrong or the verifier rejects the assertion or names no valid
        address, TooMany after too many tries from the client address, BadGateway if the verifier fails.
        """
        given, client_id = attempt.sign_in, _client(attempt)
        own = attempt.settings.get("url")
        # The operator's verifier may be on a private network; a site's own may not.
        trusted = Outbound(
            allowed=lambda _: True, ports=(), timeout_s=identity_provider_client.TIMEOUT_S
        )
        out = identity_provider_client.outbound(attempt.config) if own else trusted
        assertion = given.Assertion if isinstance(given.Assertion, str) else ""
        url = str(own or attempt.config.assertion_verifier_url)
        address = ask(out, url, assertion, attempt.site.domain or attempt.site.host)
        return Verified(address, client_id)


def _client(attempt: Attempt) -> int:
    """Return the id of the operator's application with the secret that was sent.

    Counts the try by client address, so that secrets can't be guessed. Raises Unauthorized for an unknown or
    missing secret, TooMany after too many tries from the client address.
    """
    given = attempt.sign_in.ClientSecret
    tries = TRIES_PER_CLIENT_ADDRESS._replace(most=attempt.config.sign_in_tries_per_client_address)
    with attempt.write() as tx:
        rate_counters.take_client_address(tx, tries, attempt.ip)
    reader = attempt.database.read()
    try:
        return OperatorApplication.check_secret(reader, given if isinstance(given, str) else "")
    finally:
        reader.end()


def ask(out: Outbound, url: str, assertion: str, audience: str) -> str:
    """Send the assertion by the HTTP client `out` to the verifier at `url`; return the e-mail address in its answer.
    `audience`: host of the site that is signed in to.

    Raises Unauthorized if the verifier rejects the assertion or names no valid address, BadGateway if it fails: no
    answer, another status than 200, or no JSON object.
    """
    body = json.dumps({"assertion": assertion, "audience": audience}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    try:
        # An assertion is not carried on to a URL that nobody configured: no redirects.
        got = out.fetch(url, body=body, headers=headers)
        said = json.loads(got.body) if got.status == 200 else None
    except (OutboundError, *identity_provider_client.NO_JSON) as error:
        logger.warning("the assertion verifier failed: %s", type(error).__name__)
        said = None
    if not isinstance(said, dict):
        raise BadGateway("The service that verifies sign-ins failed")
    address = said.get("email")
    if (
        said.get("status") != "okay"
        or not isinstance(address, str)
        or not email_address.valid(address)
    ):
        raise Unauthorized("This assertion is not valid")
    return address
