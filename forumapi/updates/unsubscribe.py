"""Unsubscribe links in mails (RFC 8058, M-04), signed for a site, a profile and a kind of mail. They never expire.

A link can only turn mail off, and is known only to those who have the mail. Links are signed by a key of the site,
derived from the platform's secret, which goes along when the site moves to another platform; so old links are good
there.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.notifications import mail_suppression, update_types
from forumapi.updates.message_context import MessageContext

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site

PATH: Final = "/mail/unsubscribe"

WATCHER: Final = "w"
PREFERENCE: Final = "p"
DIGEST: Final = "d"
INVITATION: Final = "i"

_KEY_BYTES: Final = 32

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

# For all sites: the owner of one may own others.
END_INVITATIONS = Query(
    "unsubscribe.invitations",
    f"""
    INSERT INTO invitation_refusals (address_hash)
    SELECT {mail_suppression.HASH}
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
    update_types.REPLY: "replies to your comments",
    update_types.MENTIONED: "comments that name you",
    update_types.EVENT_REMINDER: "events that you attend",
    update_types.EVENT_INVITATION: "events that others invite you to",
}
_OF_ITEM: Final = {
    itemtypes.SITE: "everything new on this site",
    itemtypes.MICROCOSM: "what is new in one of the forums you follow",
    itemtypes.HUDDLE: "one of your private messages",
    itemtypes.CONVERSATION: "one of the conversations you follow",
    itemtypes.POLL: "one of the polls you follow",
    itemtypes.EVENT: "one of the events you follow",
}


class MailKind(NamedTuple):
    """Kind of mail that a link turns off. `kind` with `type` and `id`: WATCHER with those of the followed thing,
    PREFERENCE with an update type and 0, DIGEST or INVITATION with 0 and 0.
    """

    kind: str
    type: int
    id: int

    @property
    def words(self) -> str:
        """Return a description of the kind for people, without titles and names, since a mail may have been
        passed on.
        """
        if self.kind == DIGEST:
            return "what is new, as a digest"
        if self.kind == INVITATION:
            return "invitations to this or any other site here"
        if self.kind == PREFERENCE:
            return _OF_TYPE.get(self.type, "one type of updates")
        if self.type == itemtypes.PROFILE:
            return "one of the people you follow" if self.id else "new people on this site"
        return _OF_ITEM.get(self.type, "something you follow")


INVITATIONS: Final = MailKind(INVITATION, 0, 0)


def kind_of(context: MessageContext) -> MailKind:
    """Return the kind of mail that the unsubscribe link in this mail turns off: the digest; the preference for its type
    of update, if that type is one that preferences decide on or nothing is followed; else the watcher of the nearest
    followed thing.
    """
    if context.type == update_types.DIGEST:
        return MailKind(DIGEST, 0, 0)
    if context.nearest is not None and context.type not in update_types.PREFERRED:
        return MailKind(WATCHER, *context.nearest)
    return MailKind(PREFERENCE, context.type, 0)


def link(secret: bytes, site: Site, profile_id: int, mail_kind: MailKind) -> str:
    """Return the unsubscribe link, at the address of the site's API, by which a profile turns off a kind of mail.
    `secret`: the platform's for mail.
    """
    return f"{site.origin}{PATH}?code={code(secret, site.id, profile_id, mail_kind)}"


def headers(unsubscribe_url: str) -> dict[str, str]:
    """Return the mail headers by which mail programs offer to unsubscribe with one click (RFC 8058)."""
    return {
        "List-Unsubscribe": f"<{unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def code(secret: bytes, site_id: int, profile_id: int, mail_kind: MailKind) -> str:
    """Return the code in an unsubscribe link: kind of mail and ids in clear, then their signature for this site.
    `secret`: the platform's for mail.
    """
    text = f"{mail_kind.kind}.{profile_id}.{mail_kind.type}.{mail_kind.id}"
    return f"{text}.{_sign(_site_key(secret, site_id), text)}"


def read(
    secret: bytes, site_id: int, given: str, carried: bytes = b""
) -> tuple[int, MailKind] | None:
    """Verify `given` as the code in an unsubscribe link of this site; return the profile's id and the kind of mail in
    the code, None for any other text. `secret`: the platform's for mail; `carried`: keys that came with the site.
    """
    match = _CODE.fullmatch(given)
    if match is None:
        return None
    text = given.rpartition(".")[0]
    known = [_sign(key, text) for key in _split(keys(secret, site_id, carried))]
    # Mails of earlier releases.
    known.append(_sign(secret, f"unsubscribe:{site_id}:{text}"))
    if not any(hmac.compare_digest(match[5], one) for one in known):
        return None
    return int(match[2]), MailKind(match[1], int(match[3]), int(match[4]))


def apply(tx: Transaction, site_id: int, profile_id: int, mail_kind: MailKind) -> None:
    """Turn a kind of mail off for a profile; invitations for its e-mail address on all sites. Nothing changes if the
    kind is off already, or the profile is gone.
    """
    params = {"kind": mail_kind.type, "id": mail_kind.id}
    tx.run(_ENDS[mail_kind.kind], site_id=site_id, profile_id=profile_id, **params)


def keys(secret: bytes, site_id: int, carried: bytes) -> bytes:
    """Return the keys of a site's links, one after the other: this platform's own, and those `carried` from others.
    They are good for this site alone, and tell nothing about the platform's `secret`.
    """
    own = _site_key(secret, site_id)
    return b"".join([own, *(key for key in _split(carried) if key != own)])


def _site_key(secret: bytes, site_id: int) -> bytes:
    return hmac.digest(secret, f"unsubscribe:{site_id}".encode(), "sha256")


def _split(keys: bytes) -> list[bytes]:
    return [keys[at : at + _KEY_BYTES] for at in range(0, len(keys), _KEY_BYTES)]


def _sign(key: bytes, text: str) -> str:
    made = hmac.digest(key, text.encode(), "sha256")
    return base64.urlsafe_b64encode(made[:16]).decode().rstrip("=")
