"""WebAuthn ceremonies (registering a passkey, signing in with one): the challenge for the device, and the verification
of its answer.

Loaded when a process sees its first passkey: the library takes 6 MB, and a tenth of a process' start.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import webauthn
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

_VERIFIED: Final = UserVerificationRequirement.REQUIRED
# Errors of the library for invalid answers, malformed ones included.
REFUSED: Final = (WebAuthnException, ValueError, TypeError, KeyError, IndexError, OverflowError)


class PasskeyChallenge(NamedTuple):
    """Challenge of a registration of or a sign-in with a passkey: `challenge` is the text to store until the answer
    comes, `public_key` the whole argument for the browser's call.
    """

    challenge: str
    public_key: dict[str, Any]


def ask(rp_id: str) -> PasskeyChallenge:
    """Make the challenge for a sign-in with any passkey of the domain `rp_id`, of whichever user."""
    options = webauthn.generate_authentication_options(rp_id=rp_id, user_verification=_VERIFIED)
    return PasskeyChallenge(bytes_to_base64url(options.challenge), options_to_json_dict(options))


def ask_for_new(rp_id: str, user_id: int, email: str, known: Iterable[bytes]) -> PasskeyChallenge:
    """Make the challenge to register a new passkey of a user for the domain `rp_id`; a device that holds one of the
    credentials `known` (by id) refuses. `email`: name under which the device shows the passkey.
    """
    options = webauthn.generate_registration_options(
        rp_id=rp_id,
        rp_name=rp_id,
        user_id=str(user_id).encode(),
        user_name=email,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_VERIFIED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=id) for id in known],
    )
    return PasskeyChallenge(bytes_to_base64url(options.challenge), options_to_json_dict(options))


def raw_id(credential: dict[str, Any]) -> bytes:
    """Return the id of the credential that the device's answer names; b"" if the answer is malformed."""
    try:
        return base64url_to_bytes(credential["rawId"])
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        return b""


def verified(
    credential: dict[str, Any],
    challenge: str,
    rp_id: str,
    origin: str,
    public_key: bytes,
    sign_count: int,
) -> VerifiedAuthentication:
    """Verify a device's answer `credential` to `challenge` of `ask`, with the stored `public_key` and signature counter
    of its passkey. Return what the device said, such as the counter to store next (`new_sign_count`). Raises one of the
    errors in REFUSED for an answer that is not valid.

    `rp_id`: domain of the passkey; `origin`: scheme and host of the page that must have asked.
    """
    return webauthn.verify_authentication_response(
        credential=credential,
        expected_challenge=base64url_to_bytes(challenge),
        expected_rp_id=rp_id,
        expected_origin=origin,
        credential_public_key=public_key,
        credential_current_sign_count=sign_count,
        require_user_verification=True,
    )


def verified_new(
    credential: dict[str, Any], challenge: str, rp_id: str, origin: str
) -> VerifiedRegistration:
    """Verify a device's answer `credential` to `challenge` of `ask_for_new`; the result has the new public key. Raises
    one of the errors in REFUSED for an answer that is not valid. `rp_id`, `origin`: as in `verified`.
    """
    return webauthn.verify_registration_response(
        credential=credential,
        expected_challenge=base64url_to_bytes(challenge),
        expected_rp_id=rp_id,
        expected_origin=origin,
        require_user_verification=True,
    )
