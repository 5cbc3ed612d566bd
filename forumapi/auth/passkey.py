"""Passkeys: sign-in with a key pair that a device keeps, and the registering of one (WebAuthn).

The device itself asks for a finger, a face or a PIN, so that a passkey counts as both factors. A passkey is good for
one domain: the platform's, on all its sites, or a site's own domain, on that site only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from forumapi.auth import sign_in_flow
from forumapi.auth.backends import Attempt, Backend, Begun, Verified
from forumapi.errors import Invalid, Unauthorized
from forumapi.models.access.passkey import Passkey, PasskeyCredential, credential_ids
from forumapi.observability.log import logger

if TYPE_CHECKING:
    from forumapi.database.connections import Transaction
    from forumapi.models.access.account_change_user import AccountChangeUser
    from forumapi.models.sites.site import Site

_REGISTER: Final = "passkey-registration"
_REFUSED: Final = "This passkey is not known here, or its answer is no good; begin again"


def domain(site: Site) -> str:
    """Return the domain (RP ID) of passkeys on a site's pages: the site's custom domain, if it has one, else the
    platform's.

    Browsers refuse a domain without a dot, such as `localhost`: in place of such a platform's domain it is the site's
    host.
    """
    if _has_own(site):
        return str(urlsplit(site.url).hostname)
    return site.platform_domain if "." in site.platform_domain else site.host


def _has_own(site: Site) -> bool:
    return bool(site.domain) and not site.is_root


class PasskeyBackend(Backend):
    """Sign-in with a passkey: POST /auth/begin, then POST /auth with `flow`, and the result of
    `navigator.credentials.get` as `credential`.
    """

    name = "passkey"
    title = "Passkey"
    kind = "passkey"

    def begin(self, attempt: Attempt) -> Begun:
        """Store a new flow with its challenge; return the flow's secret and the argument of
        `navigator.credentials.get`. No user is named: the device offers its passkeys for the site's domain. Raises
        TooMany beyond BEGINS_PER_CLIENT_ADDRESS.
        """
        from forumapi.auth import webauthn_ceremony

        sign_in_flow.count(attempt, sign_in_flow.BEGINS_PER_CLIENT_ADDRESS)
        asked = webauthn_ceremony.ask(domain(attempt.site))
        with attempt.write() as tx:
            flow = sign_in_flow.begin(
                tx, self.name, attempt.site.id, {"challenge": asked.challenge}
            )
        return Begun(flow, public_key=asked.public_key)

    def verify(self, attempt: Attempt) -> Verified:
        """Use up the flow; return the e-mail address of the user whose passkey has signed the flow's challenge, with
        `has_second_factor` True, and `is_platforms` False for passkeys of a site's custom domain. Raises Unauthorized
        for an unknown flow or passkey or a wrong answer, TooMany beyond STEPS_PER_CLIENT_ADDRESS.
        """
        from forumapi.auth import webauthn_ceremony

        given, site = attempt.sign_in, attempt.site
        flow = given.flow if isinstance(given.flow, str) else ""
        credential = given.credential if isinstance(given.credential, dict) else {}
        sign_in_flow.count(attempt, sign_in_flow.STEPS_PER_CLIENT_ADDRESS)
        with attempt.write() as tx:
            kept = sign_in_flow.take(tx, self.name, site.id, flow)
        if kept is None:
            raise Unauthorized(_REFUSED)
        with attempt.write() as tx:
            known = PasskeyCredential.lock(tx, domain(site), webauthn_ceremony.raw_id(credential))
            if known is None:
                raise Unauthorized(_REFUSED)
            try:
                seen = webauthn_ceremony.verified(
                    credential,
                    kept["challenge"],
                    domain(site),
                    site.url,
                    known.public_key,
                    known.sign_count,
                )
            except webauthn_ceremony.REFUSED as error:
                logger.warning("a passkey's answer is refused: %s", type(error).__name__)
                raise Unauthorized(_REFUSED) from None
            known.mark_used(tx, seen.new_sign_count, is_backed_up=seen.credential_backed_up)
        return Verified(known.email, is_platforms=not _has_own(site), has_second_factor=True)


def offer(tx: Transaction, site: Site, owner: AccountChangeUser) -> Begun:
    """Begin to register a passkey of the user `owner` for the site's domain: store a new flow with its challenge, and
    return the flow's secret and the argument of `navigator.credentials.create`.
    """
    from forumapi.auth import webauthn_ceremony

    rp_id = domain(site)
    known = credential_ids(tx, owner.user_id, rp_id)
    asked = webauthn_ceremony.ask_for_new(rp_id, owner.user_id, owner.email, known)
    kept = {"challenge": asked.challenge, "userId": owner.user_id}
    return Begun(sign_in_flow.begin(tx, _REGISTER, site.id, kept), public_key=asked.public_key)


def register(
    tx: Transaction,
    site: Site,
    owner: AccountChangeUser,
    flow: str,
    credential: dict[str, Any],
    name: str,
) -> int:
    """Use up the flow of `offer` and store the passkey in `credential`, the browser's answer, under `name`, a result of
    `checked_name`; return the id of its row. Raises Invalid for a flow that is unknown, too old or another user's, for
    an answer that does not fit it, for a passkey that is registered already, and beyond MAX passkeys of one user
    (models/access/passkey.py).
    """
    from forumapi.auth import webauthn_ceremony

    kept = sign_in_flow.take(tx, _REGISTER, site.id, flow)
    if kept is None or kept["userId"] != owner.user_id:
        raise Invalid("flow", "is unknown, used or expired; start again")
    try:
        made = webauthn_ceremony.verified_new(credential, kept["challenge"], domain(site), site.url)
    except webauthn_ceremony.REFUSED as error:
        logger.warning("a passkey is refused: %s", type(error).__name__)
        raise Invalid("credential", "is not what was asked for") from None
    return Passkey.insert(
        tx,
        owner.user_id,
        domain(site),
        name,
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        is_backed_up=made.credential_backed_up,
    )
