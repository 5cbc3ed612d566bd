"""Completion of a sign-in, alike for all methods: from a proven e-mail address to user, profile, token and audit
(platform 3.5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from forumapi import itemtypes
from forumapi.auth import owner_provider_confirmation, second_factor, spam_check
from forumapi.database.connections import Database, Reader, Transaction
from forumapi.errors import Forbidden, Unauthorized
from forumapi.models.access import known_network_limit, rate_counters
from forumapi.models.access.access_token import AccessToken
from forumapi.models.access.rate_counters import Limit
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.people.profile import Profile
from forumapi.models.people.user import User
from forumapi.models.sites import site_move_guard
from forumapi.observability import metrics

if TYPE_CHECKING:
    from forumapi.auth.backends import Verified
    from forumapi.config import Config
    from forumapi.models.sites.site import Site


# As the settings have it by default.
SIGN_UPS_PER_CLIENT_ADDRESS: Final = Limit("sign-up-ip", 100, 3600)


class SecondFactorNeeded(Unauthorized):
    """Refusal of a sign-in until the second factor is proven. `flow`: secret that the client sends with the code
    (auth/second_factor.py).
    """

    own_name = "second_factor_needed"

    def __init__(self, flow: str) -> None:
        super().__init__("A code of your second factor is needed to sign in")
        self.flow = flow


def complete(
    database: Database,
    config: Config,
    site: Site,
    verified: Verified,
    ip: str,
    user_agent: str = "",
    request_reader: Reader | None = None,
    take_member: Callable[[Transaction], None] | None = None,
) -> str:
    """Make an access token for the person with the proven address `verified`, and their user and profile if there are
    none; return the token's secret. Commits a transaction of its own, with the audit's entry, and with a mail about a
    sign-in through the owner's provider where that is due (`owner_provider_confirmation.tell`).

    The token is good on every site, unless only this site vouches for the address. A banned user gets one too, and is
    refused at its next requests. `ip`, `user_agent`: of the client, stored with the token; `request_reader`: reader
    whose count of statements grows by those of a completed sign-in, None for none; `take_member`: called with the
    transaction before a new profile is made, to raise PlanLimit, SiteReadOnly, SiteSuspended or SiteClosing on a site
    that takes no newcomers; None: every site takes them. Raises these errors; Forbidden for a new address reported for
    spam, TooMany beyond SIGN_UPS_PER_CLIENT_ADDRESS, SecondFactorNeeded for a person with a second factor that
    `verified` lacks, ReadOnly or SiteMoved on a site that is being moved or has moved.
    """
    _check_new(database, config, site, verified.email, ip)
    with database.write() as tx:
        person = User.find_or_create(tx, verified.email, is_verified=verified.is_platforms)
        if person.has_second_factor and not verified.has_second_factor:
            flow = second_factor.begin(tx, site.id, person.id, verified)
            tx.commit()
            raise SecondFactorNeeded(flow)
        # Asked always: since `site` was read, the provider of the sign-in may have taken long to answer.
        site_move_guard.check_writable(tx, site.id)
        # A one-time code of one's own, or a passkey, is nothing that the provider could make up.
        by_site = not verified.is_platforms and not verified.has_second_factor
        profile_id = Profile.find_or_create(
            tx,
            site.id,
            person.id,
            person.email,
            is_root=site.is_root,
            ip=ip,
            uses_platform=not by_site,
            claims=verified.is_platforms,
            take_member=take_member,
        )
        secret = AccessToken.insert_session(
            tx,
            person.id,
            days=config.token_days,
            client_id=verified.client_id,
            user_agent=user_agent,
            ip=ip,
            site_id=0 if verified.is_platforms else site.id,
            by_site=by_site,
        )
        if by_site:
            owner_provider_confirmation.tell(tx, site, profile_id, person.email)
        else:
            known_network_limit.note(tx, person.id, ip)
        journal.record(
            tx, Author(site.id, profile_id, ip), journal.CREATED, itemtypes.AUTH, profile_id
        )
        if request_reader is not None:
            request_reader.statements += tx.statements
    metrics.SIGN_INS.add()
    return secret


def _check_new(database: Database, config: Config, site: Site, address: str, ip: str) -> None:
    """Check an e-mail address, unless it has a user: raise TooMany beyond the limit of new users of the client address
    `ip`, Forbidden if it was reported for spam.

    The verdict on spam is stored; no database connection is held while the spam service is asked.
    """
    reader = database.read()
    try:
        is_known = User.find_by_email(reader, address) is not None
    finally:
        reader.end()
    if is_known:
        return
    with database.write() as tx:
        limit = SIGN_UPS_PER_CLIENT_ADDRESS._replace(most=config.sign_ups_per_client_address)
        rate_counters.take_client_address(tx, limit, ip)
    if config.spam_check:
        verdict = spam_check.check(address, config.spam_check_url or spam_check.URL)
        with database.write() as tx:
            spam_check.record(tx, site.id, address, verdict)
        if verdict.is_spam:
            raise Forbidden("This e-mail address was reported for spam")
