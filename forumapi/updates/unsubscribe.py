"""The link that ends mails like the one it stands in (RFC 8058, M-04): signed, good for its site and reader, for good.

It can do one thing: turn mail off. Whoever has it, has the mail.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Query, Transaction
from forumapi.models.notices import suppression, update
from forumapi.updates import mail_context
from forumapi.updates.mail_context import Fact

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site

PATH: Final = "/mail/unsubscribe"

WATCHER: Final = "w"
PREFERENCE: Final = "p"
DIGEST: Final = "d"
INVITATION: Final = "i"

_CODE: Final = re.compile(
    r"([wpdi])\.([0-9]{1,18})\.([0-9]{1,4})\.([0-9]{1,18})\.([A-Za-z0-9_-]{22})"
)

END_WATCHER = Query(
    "unsubscribe.watcher",
    """
    UPDATE watchers w
       SET send_email = false
     WHERE w.site_id = %(site_id)s AND w.profile_id = %(profile_id)s AND w.item_type_id = %(kind)s
       AND w.item_id = %(id)s AND w.send_email""",
)

END_PREFERENCE = Query(
    "unsubscribe.preference",
    """
    INSERT INTO update_options AS o (site_id, profile_id, update_type_id, send_email, send_sms)
    SELECT p.site_id, p.profile_id, ut.update_type_id, false, false
      FROM profiles p
      JOIN update_types ut ON ut.update_type_id = %(kind)s
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
        ON CONFLICT (site_id, profile_id, update_type_id) DO UPDATE SET send_email = false
     WHERE o.send_email""",
)

END_DIGEST = Query(
    "unsubscribe.digest",
    """
    UPDATE profile_options o
       SET digest = 'none', digest_due = NULL
     WHERE o.site_id = %(site_id)s AND o.profile_id = %(profile_id)s AND o.digest <> 'none'""",
)

# From all sites: whoever invites from one may own others.
END_INVITATIONS = Query(
    "unsubscribe.invitations",
    f"""
    INSERT INTO invitation_refusals (address_hash)
    SELECT {suppression.HASH}
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
        ON CONFLICT (address_hash) DO NOTHING""",
)

_ENDS: Final = {
    WATCHER: END_WATCHER,
    PREFERENCE: END_PREFERENCE,
    DIGEST: END_DIGEST,
    INVITATION: END_INVITATIONS,
}

_OF_TYPE: Final = {
    update.REPLY: "replies to your comments",
    update.MENTIONED: "comments that name you",
    update.EVENT_REMINDER: "events that you attend",
    update.EVENT_INVITATION: "events that others invite you to",
}
_OF_ITEM: Final = {
    itemtypes.SITE: "everything new on this site",
    itemtypes.MICROCOSM: "what is new in one of the forums you follow",
    itemtypes.HUDDLE: "one of your private messages",
    itemtypes.CONVERSATION: "one of the conversations you follow",
    itemtypes.POLL: "one of the polls you follow",
    itemtypes.EVENT: "one of the events you follow",
}


class What(NamedTuple):
    """Mail that a link ends: of a watcher (item type, id), type of updates (number, 0); digests, invitations (0, 0)."""

    kind: str
    type: int
    id: int

    @property
    def words(self) -> str:
        """What the mail is about, without naming anything: whoever has the link may not be the reader."""
        if self.kind == DIGEST:
            return "what is new, as a digest"
        if self.kind == INVITATION:
            return "invitations to this or any other site here"
        if self.kind == PREFERENCE:
            return _OF_TYPE.get(self.type, "one type of updates")
        if self.type == itemtypes.PROFILE:
            return "one of the people you follow" if self.id else "new people on this site"
        return _OF_ITEM.get(self.type, "something you follow")


INVITATIONS: Final = What(INVITATION, 0, 0)


def of(fact: Fact) -> What:
    """What the link in a mail ends."""
    if fact.type == mail_context.DIGEST:
        return What(DIGEST, 0, 0)
    if fact.nearest is not None and fact.type not in mail_context.PREFERRED:
        return What(WATCHER, *fact.nearest)
    return What(PREFERENCE, fact.type, 0)


def link(secret: bytes, site: Site, profile_id: int, what: What) -> str:
    """The address that ends `what` for a profile."""
    return f"{site.origin}{PATH}?code={code(secret, site.id, profile_id, what)}"


def headers(way_out: str) -> dict[str, str]:
    """The headers by which mail programs end a mail at once (RFC 8058)."""
    return {
        "List-Unsubscribe": f"<{way_out}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def code(secret: bytes, site_id: int, profile_id: int, what: What) -> str:
    """What the link carries."""
    text = f"{what.kind}.{profile_id}.{what.type}.{what.id}"
    return f"{text}.{_sign(secret, site_id, text)}"


def read(secret: bytes, site_id: int, given: str) -> tuple[int, What] | None:
    """(profile, what it ends) of a code that was made for this site; None for any other text."""
    match = _CODE.fullmatch(given)
    if match is None:
        return None
    text = given.rpartition(".")[0]
    if not hmac.compare_digest(match[5], _sign(secret, site_id, text)):
        return None
    return int(match[2]), What(match[1], int(match[3]), int(match[4]))


def apply(tx: Transaction, site_id: int, profile_id: int, what: What) -> None:
    """Turn that mail off. As often as one likes."""
    params = {"kind": what.type, "id": what.id}
    tx.run(_ENDS[what.kind], site_id=site_id, profile_id=profile_id, **params)


def _sign(secret: bytes, site_id: int, text: str) -> str:
    made = hmac.new(secret, f"unsubscribe:{site_id}:{text}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made[:16]).decode().rstrip("=")
