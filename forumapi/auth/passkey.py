"""Passkeys: signing in with a key pair that a device keeps, and registering one (WebAuthn).

The device itself asks for a finger, a face or a PIN, so that a passkey is both factors at once. It is good for one
domain: the platform's, whose pages are those of all sites, or a site's own domain, and then on that site only.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from forumapi.auth import flows
from forumapi.auth.backends import Attempt, Backend, Begun, Verified
from forumapi.errors import Invalid, Unauthorized
from forumapi.log import logger
from forumapi.models import passkey

if TYPE_CHECKING:
    from forumapi.db import Transaction
    from forumapi.models.bearer import Bearer
    from forumapi.models.site import Site

_REGISTER: Final = "passkey-registration"
_REFUSED: Final = "This passkey is not known here, or its answer is no good; begin again"
_CHALLENGE_BYTES: Final = 32
_VERIFIED: Final = UserVerificationRequirement.REQUIRED
# What malformed input raises inside the library.
_MALFORMED: Final = (WebAuthnException, ValueError, TypeError, KeyError, IndexError, OverflowError)


def domain(site: Site) -> str:
    """The domain that passkeys of a site's pages are good for."""
    return str(urlsplit(site.url).hostname) if _has_own(site) else site.platform_domain


def _has_own(site: Site) -> bool:
    return bool(site.domain) and not site.is_root


class PasskeyBackend(Backend):
    """`POST /auth/begin`, then `flow` and what `navigator.credentials.get` gave as `credential`."""

    name = "passkey"
    title = "Passkey"
    kind = "passkey"

    def begin(self, attempt: Attempt) -> Begun:
        """Nothing is said about whom it may be: the device offers what it has for this domain."""
        flows.count(attempt, flows.BEGINS_PER_CALLER)
        options = webauthn.generate_authentication_options(
            rp_id=domain(attempt.site), user_verification=_VERIFIED
        )
        kept = {"challenge": bytes_to_base64url(options.challenge)}
        with attempt.write() as tx:
            flow = flows.begin(tx, self.name, attempt.site.id, kept)
        return Begun(flow, public_key=options_to_json_dict(options))

    def verify(self, attempt: Attempt) -> Verified:
        """Raises Unauthorized."""
        given, site = attempt.sign_in, attempt.site
        flow = given.flow if isinstance(given.flow, str) else ""
        credential = given.credential if isinstance(given.credential, dict) else {}
        flows.count(attempt, flows.STEPS_PER_CALLER)
        with attempt.write() as tx:
            kept = flows.take(tx, self.name, site.id, flow)
        if kept is None:
            raise Unauthorized(_REFUSED)
        with attempt.write() as tx:
            known = passkey.lock(tx, domain(site), _raw_id(credential))
            if known is None:
                raise Unauthorized(_REFUSED)
            try:
                seen = webauthn.verify_authentication_response(
                    credential=credential,
                    expected_challenge=base64url_to_bytes(kept["challenge"]),
                    expected_rp_id=domain(site),
                    expected_origin=site.url,
                    credential_public_key=known.public_key,
                    credential_current_sign_count=known.sign_count,
                    require_user_verification=True,
                )
            except _MALFORMED as error:
                logger.warning("a passkey's answer is refused: %s", type(error).__name__)
                raise Unauthorized(_REFUSED) from None
            passkey.used(tx, known.id, seen.new_sign_count, is_backed_up=seen.credential_backed_up)
        return Verified(known.email, is_platforms=not _has_own(site), has_second_factor=True)


def _raw_id(credential: dict[str, Any]) -> bytes:
    """What the authenticator calls the passkey; b"" where it says nothing of use."""
    try:
        return base64url_to_bytes(credential["rawId"])
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        return b""


def offer(tx: Transaction, site: Site, bearer: Bearer) -> Begun:
    """The first step of registering a passkey of the bearer's: what `navigator.credentials.create` takes."""
    rp_id = domain(site)
    options = webauthn.generate_registration_options(
        rp_id=rp_id,
        rp_name=rp_id,
        user_id=str(bearer.user_id).encode(),
        user_name=bearer.email,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_VERIFIED
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=id)
            for id in passkey.credentials(tx, bearer.user_id, rp_id)
        ],
    )
    kept = {"challenge": bytes_to_base64url(options.challenge), "userId": bearer.user_id}
    flow = flows.begin(tx, _REGISTER, site.id, kept)
    return Begun(flow, public_key=options_to_json_dict(options))


def register(
    tx: Transaction, site: Site, bearer: Bearer, flow: str, credential: dict[str, Any], name: str
) -> int:
    """Keep the passkey that the browser made; its id. Raises Invalid."""
    kept = flows.take(tx, _REGISTER, site.id, flow)
    if kept is None or kept["userId"] != bearer.user_id:
        raise Invalid("flow", "is unknown, used or too old; begin again")
    try:
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=base64url_to_bytes(kept["challenge"]),
            expected_rp_id=domain(site),
            expected_origin=site.url,
            require_user_verification=True,
        )
    except _MALFORMED as error:
        logger.warning("a passkey is refused: %s", type(error).__name__)
        raise Invalid("credential", "is not what was asked for") from None
    return passkey.insert(
        tx,
        bearer.user_id,
        domain(site),
        name,
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        is_backed_up=made.credential_backed_up,
    )
