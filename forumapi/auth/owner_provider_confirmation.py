"""Confirmation, by a person, of sign-ins through the identity provider that a site's owner set up.

The owner's provider can name any person, so a sign-in through it opens no huddles (models/access/identity.py) to a
person who used another method before, until that person confirms it once: by the link in the mail that they get, or
with a token of the other method (decision 9).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from typing import TYPE_CHECKING, Final

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.mail import outbox
from forumapi.models.access import platform_secret
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site

PATH: Final = "/auth/huddles"
LINK_DAYS: Final = 30
_DAY_S: Final = 86_400
_CODE: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,12})\.([A-Za-z0-9_-]{22})")

IS_CLOSED = Query(
    "owner_provider_confirmation.is_closed",
    """
    SELECT p.uses_platform AND p.huddles_confirmed IS NULL
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s""",
)

CONFIRM = Query(
    "owner_provider_confirmation.confirm",
    """
    UPDATE profiles p
       SET huddles_confirmed = now()
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s AND p.huddles_confirmed IS NULL""",
)


def tell(tx: Transaction, site: Site, profile_id: int, address: str) -> None:
    """Queue a mail with the confirmation link to `address`, the e-mail address of the profile, if the profile's huddles
    are closed to sign-ins through the owner's provider, else do nothing; each profile gets one such mail a week at
    most.
    """
    if not tx.value(IS_CLOSED, site_id=site.id, profile_id=profile_id):
        return
    secret = platform_secret.find(tx, platform_secret.MAIL)
    now = int(time.time())
    link = (
        f"{site.origin}{PATH}?code={_code(secret, site.id, profile_id, now + LINK_DAYS * _DAY_S)}"
    )
    title = outbox.plain(site.title)
    outbox.queue_notice(
        tx,
        "own_provider",
        cause=f"own-provider:{site.id}:{profile_id}:{now // (7 * _DAY_S)}",
        site_id=site.id,
        recipient=address,
        subject=f"A sign-in to {title} as you",
        site_title=title,
        link=link,
        days=LINK_DAYS,
    )


def profile_of_code(tx: Reader, site_id: int, given: str) -> int:
    """Return the id of the profile for which the code `given`, of a mailed confirmation link, was signed; 0 for a
    forged code, an expired one or one of another site.

    The code may be used any number of times.
    """
    match = _CODE.fullmatch(given)
    if match is None:
        return 0
    profile_id, until = int(match[1]), int(match[2])
    secret = platform_secret.find(tx, platform_secret.MAIL)
    wanted = _code(secret, site_id, profile_id, until)
    return profile_id if hmac.compare_digest(wanted, given) and until > time.time() else 0


def confirm(tx: Transaction, author: Author) -> None:
    """Open the huddles of the profile that `author` names to sign-ins through the owner's provider, from now on and for
    good, and record that in audit and event log, as done by `author`; nothing happens if that was confirmed before.
    """
    if tx.run(CONFIRM, site_id=author.site_id, profile_id=author.profile_id):
        journal.record(tx, author, journal.PATCHED, itemtypes.PROFILE, author.profile_id)


def _code(secret: bytes, site_id: int, profile_id: int, until: int) -> str:
    text = f"{profile_id}.{until}"
    made = hmac.new(secret, f"huddles:{site_id}:{text}".encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(made[:16]).decode().rstrip('=')}"
