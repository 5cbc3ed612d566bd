"""Invitations by mail to people whom the owner of a site has added, with limits and a link to refuse more.

The owner (over all sites) and the site have limits a day, an address has one for 30 days over all sites. The owner does
not learn which addresses were left out, since that would reveal what is known of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from forumapi.database.connections import Query, Transaction
from forumapi.mail import outbox
from forumapi.models.access import platform_secret, rate_counters
from forumapi.models.access.rate_counters import DAY_S, Limit
from forumapi.models.notices import suppression
from forumapi.models.people.bulk_users import Enrolled
from forumapi.models.sites.site import Site
from forumapi.text import email
from forumapi.updates import unsubscribe
from forumapi.wire import json_fragments

if TYPE_CHECKING:
    from forumapi.config import Config

# Defaults of the settings.
BY_OWNER: Final = Limit("invitation-owner", 1_000, DAY_S)
BY_SITE: Final = Limit("invitation-site", 500, DAY_S)
THROUGH: Final = Limit("invitation-front-end", 5_000, DAY_S)
TO_ADDRESS: Final = Limit(rate_counters.LONG, 3, 30 * DAY_S)

# An address is counted under the hash of its refusal. A profile that was invited to this site before gets no mail.
QUEUE = Query(
    "invitation.queue",
    f"""
    WITH wanted AS (
        SELECT w.profile_id, w.email, w.text, w.headers, {suppression.hashed("w.person_key")} AS address_hash
          FROM unnest(%(profile_ids)s::bigint[], %(emails)s::text[], %(person_keys)s::text[], %(texts)s::text[],
                      %(headers)s::text[]) AS w (profile_id, email, person_key, text, headers)),
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
    INSERT INTO mail_outbox (site_id, cause, recipient, subject, text_body, headers)
    SELECT %(site_id)s, 'invitation:' || %(site_id)s::bigint || ':' || o.profile_id, o.email, %(subject)s, o.text,
           o.headers::jsonb
      FROM open o
      JOIN counted c ON c.subject = o.subject
     WHERE c.attempts <= %(most)s
        ON CONFLICT (cause) DO NOTHING""",
)

_TEXT: Final = """\
You have been added to {title}.

Sign in with this e-mail address: {url}

You did not ask for this? Then you need not do anything. No more invitations, from any site here:
{unsubscribe_url}
"""


def send(
    tx: Transaction,
    config: Config,
    site: Site,
    owner_user_id: int,
    people: Sequence[Enrolled],
    front_end: str = "",
) -> None:
    """Queue an invitation to each person that wants and may get one.

    Raises TooMany when the limit of the owner, the site or the front end is reached, Invalid when the number is above
    the limit itself.
    """
    if not people:
        return
    owner = BY_OWNER._replace(most=config.invitations_per_owner)
    here = BY_SITE._replace(most=config.invitations_per_site)
    rate_counters.take_many(tx, owner, str(owner_user_id), len(people), "invite")
    rate_counters.take_many(tx, here, str(site.id), len(people), "invite")
    if front_end:
        through = THROUGH._replace(most=config.invitations_per_front_end)
        rate_counters.take_many(tx, through, front_end, len(people), "invite")
    secret = platform_secret.find(tx, platform_secret.MAIL)
    title = outbox.plain(site.title)
    texts, headers = [], []
    for one in people:
        unsubscribe_url = unsubscribe.link(secret, site, one.profile_id, unsubscribe.INVITATIONS)
        texts.append(_TEXT.format(title=title, url=site.page(""), unsubscribe_url=unsubscribe_url))
        headers.append(json_fragments.dumps(unsubscribe.headers(unsubscribe_url)).decode())
    tx.run(
        QUEUE,
        kind=TO_ADDRESS.kind,
        window_s=TO_ADDRESS.window_s,
        most=config.invitations_per_address,
        site_id=site.id,
        subject=f"Welcome to {title}",
        profile_ids=[one.profile_id for one in people],
        emails=[one.email for one in people],
        person_keys=[email.same_person_key(one.email) for one in people],
        texts=texts,
        headers=headers,
    )
