"""Mails in which a site's owner invites people that were added to it, or offers the site to one of its members.

There are daily limits of invitations and of offers, for the owner (over all sites) and for the site; an address gets a
limited number of both together in 30 days, over all sites. Each mail has a link to refuse more. The owner does not
learn which addresses were left out, since that would reveal what is known of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.mail import outbox
from forumapi.models.access import platform_secret, rate_counters
from forumapi.models.access.rate_counters import DAY_S, Limit
from forumapi.models.notifications import mail_suppression
from forumapi.models.people.bulk_users import Enrolled
from forumapi.models.sites.site import Site
from forumapi.text import email_address
from forumapi.updates import unsubscribe
from forumapi.wire import json_fragments

if TYPE_CHECKING:
    from forumapi.config import Config

# Defaults of the settings.
BY_OWNER: Final = Limit("invitation-owner", 1_000, DAY_S)
BY_SITE: Final = Limit("invitation-site", 500, DAY_S)
THROUGH: Final = Limit("invitation-front-end", 5_000, DAY_S)
TO_ADDRESS: Final = Limit(rate_counters.LONG, 3, 30 * DAY_S)
# Apart from invitations, so that a site can be handed over on the day of a large batch.
OFFERS_BY_OWNER: Final = Limit("site-offer-owner", 20, DAY_S)
OFFERS_BY_SITE: Final = Limit("site-offer-site", 10, DAY_S)

# An address is counted under the hash of its refusal. A profile gets one mail for each cause.
QUEUE = Query(
    "site_invitation_mail.queue",
    f"""
    WITH wanted AS (
        SELECT w.profile_id, w.email, w.text, w.html, w.headers,
               {mail_suppression.hashed("w.person_key")} AS address_hash
          FROM unnest(%(profile_ids)s::bigint[], %(emails)s::text[], %(person_keys)s::text[], %(texts)s::text[],
                      %(htmls)s::text[], %(headers)s::text[])
                      AS w (profile_id, email, person_key, text, html, headers)),
    open AS (
        SELECT w.*, encode(w.address_hash, 'hex') AS subject
          FROM wanted w
         WHERE NOT EXISTS (SELECT FROM mail_suppressions x WHERE x.address_hash = w.address_hash)
           AND NOT EXISTS (SELECT FROM invitation_refusals r WHERE r.address_hash = w.address_hash)),
    counted AS (
        INSERT INTO attempt_counters AS a (kind, subject, window_start, attempts)
        SELECT %(kind)s, o.subject, {rate_counters.WINDOW}, 1 FROM open o ORDER BY o.subject
            ON CONFLICT (kind, subject, window_start) DO UPDATE SET attempts = a.attempts + 1
     RETURNING a.subject, a.attempts)
    INSERT INTO mail_outbox (site_id, cause, recipient, subject, text_body, html_body, headers)
    SELECT %(site_id)s, %(cause)s || ':' || o.profile_id, o.email, %(subject)s, o.text, o.html,
           o.headers::jsonb
      FROM open o
      JOIN counted c ON c.subject = o.subject
     WHERE c.attempts <= %(most)s
        ON CONFLICT (cause) DO NOTHING""",
)


def send(
    tx: Transaction,
    config: Config,
    site: Site,
    owner_user_id: int,
    people: Sequence[Enrolled],
    front_end: str = "",
) -> None:
    """Queue an invitation to each of `people`, except those who refuse invitations, whose mail came back, who were
    invited to this site before (as long as the outbox keeps that mail), or have had too many; nobody learns who was
    left out, and those left out count to the limits too.

    `owner_user_id`: user who invites, the site's owner, to count against their limit; `front_end`: name of the front
    end that sent the request, with a limit of its own, "" for none. Raises TooMany if these are more people than the
    owner, the site or the front end may invite today still, Invalid if they are more than it may on a whole day.
    """
    if not people:
        return
    owner = BY_OWNER._replace(most=config.invitations_per_owner)
    here = BY_SITE._replace(most=config.invitations_per_site)
    rate_counters.take_many(tx, owner, str(owner_user_id), len(people), "invite")
    rate_counters.take_many(tx, here, str(site.id), len(people), "invite")
    _queue(
        tx,
        config,
        site,
        [(one.profile_id, one.email) for one in people],
        front_end,
        cause=f"invitation:{site.id}",
        subject="Welcome to {title}",
        template="invitation",
        field="invite",
    )


def offer(
    tx: Transaction,
    config: Config,
    site: Site,
    owner_user_id: int,
    profile_id: int,
    address: str,
    front_end: str = "",
) -> None:
    """Queue a mail to the profile that the site is offered to, unless mail to its person came back or its person
    refuses such mail or has had too much. `address`: the profile's e-mail address.

    `owner_user_id`: user who offers the site, its owner; `front_end`: name of the front end that sent the request, ""
    for none. Raises TooMany if the owner, the site or the front end has reached its limit.
    """
    rate_counters.take_many(tx, OFFERS_BY_OWNER, str(owner_user_id), 1, "profileId")
    rate_counters.take_many(tx, OFFERS_BY_SITE, str(site.id), 1, "profileId")
    _queue(
        tx,
        config,
        site,
        [(profile_id, address)],
        front_end,
        cause=f"site-offer:{secrets.token_hex(16)}",
        subject="You are offered {title}",
        template="site_offer",
        field="profileId",
    )


def _queue(
    tx: Transaction,
    config: Config,
    site: Site,
    people: Sequence[tuple[int, str]],
    front_end: str,
    *,
    cause: str,
    subject: str,
    template: str,
    field: str,
) -> None:
    """Render and queue a mail to each of `people`, (profile id, e-mail address), with a link of its own to refuse more;
    addresses that may get none are left out.

    `cause`: key of this mail, which no profile gets twice as long as the outbox keeps it; `subject`: with `{title}` in
    place of the site's title; `template`: name of the notice, such as `site_offer`; `field`: what the owner sent, as
    errors name it. Raises TooMany or Invalid by the limit of `front_end`, "" for none.
    """
    if front_end:
        through = THROUGH._replace(most=config.invitations_per_front_end)
        rate_counters.take_many(tx, through, front_end, len(people), field)
    secret = platform_secret.find(tx, platform_secret.MAIL)
    title = outbox.plain(site.title)
    subject = subject.format(title=title)
    texts, htmls, headers = [], [], []
    for profile_id, _ in people:
        unsubscribe_url = unsubscribe.link(secret, site, profile_id, unsubscribe.INVITATIONS)
        text, html = outbox.notice(
            template,
            subject,
            site_title=title,
            url=site.page(""),
            unsubscribe_url=unsubscribe_url,
        )
        texts.append(text)
        htmls.append(html)
        headers.append(json_fragments.dumps(unsubscribe.headers(unsubscribe_url)).decode())
    tx.run(
        QUEUE,
        kind=TO_ADDRESS.kind,
        window_s=TO_ADDRESS.window_s,
        most=config.invitations_per_email,
        site_id=site.id,
        cause=cause,
        subject=subject,
        profile_ids=[profile_id for profile_id, _ in people],
        emails=[address for _, address in people],
        person_keys=[email_address.same_person_key(address) for _, address in people],
        texts=texts,
        htmls=htmls,
        headers=headers,
    )
