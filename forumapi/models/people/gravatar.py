"""Pictures of profiles from Gravatar: the site's setting, and the profiles that are still to be requested (P-36)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.models.content.attachment import Attachment
from forumapi.models.content.file import File, Quota
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.roles import role_recomputation
from forumapi.permissions.evaluator import Target

FIND = Query(
    "gravatar.find",
    "SELECT EXISTS (SELECT FROM site_gravatar g WHERE g.site_id = %(site_id)s)",
)
# Profiles without a picture are requested from the first on.
SWITCH_ON = Query(
    "gravatar.switch_on",
    "INSERT INTO site_gravatar (site_id) VALUES (%(site_id)s) ON CONFLICT DO NOTHING",
)
SWITCH_OFF = Query(
    "gravatar.switch_off", "DELETE FROM site_gravatar g WHERE g.site_id = %(site_id)s"
)

# The next profiles of each site in turn, so that a large site delays no other. Once a profile is a minute old, no
# profile with a lower id is still being created.
DUE = Query(
    "gravatar.due",
    """
    SELECT g.site_id, p.profile_id, u.email, p.avatar_id IS NOT NULL
      FROM site_gravatar g
      JOIN sites s ON s.site_id = g.site_id AND NOT s.is_deleted
     CROSS JOIN LATERAL (
           SELECT p.profile_id, p.user_id, p.avatar_id, row_number() OVER (ORDER BY p.profile_id) AS place
             FROM profiles p
            WHERE p.site_id = g.site_id AND p.profile_id > g.upto_id AND p.created < now() - interval '1 minute'
            ORDER BY p.profile_id
            LIMIT %(most)s) p
      JOIN users u ON u.user_id = p.user_id
     ORDER BY p.place, g.site_id
     LIMIT %(most)s""",
    scope=PLATFORM,
)
ADVANCE = Query(
    "gravatar.advance",
    """
    UPDATE site_gravatar g SET upto_id = greatest(g.upto_id, %(profile_id)s) WHERE g.site_id = %(site_id)s""",
)
LOCK = Query(
    "gravatar.lock",
    """
    SELECT p.site_id, p.profile_id
      FROM unnest(%(site_ids)s::bigint[], %(profile_ids)s::bigint[]) AS k (site_id, profile_id)
      JOIN profiles p ON p.site_id = k.site_id AND p.profile_id = k.profile_id
     WHERE p.avatar_id IS NULL
     ORDER BY p.site_id, p.profile_id
       FOR NO KEY UPDATE OF p""",
)

_NO_LIMIT: Final = Quota(0, 0)


class GravatarRequest(NamedTuple):
    """Profile whose picture is to be requested from Gravatar by its e-mail address. `has_picture`: it has one already,
    so that no request is needed.
    """

    site_id: int
    profile_id: int
    email: str
    has_picture: bool


def is_on(tx: Reader, site_id: int) -> bool:
    """Return True if the site uses pictures from Gravatar."""
    return bool(tx.value(FIND, site_id=site_id))


def switch(tx: Transaction, author: Author, *, on: bool) -> None:
    """Switch pictures from Gravatar for the author's site on (`on` True) or off, and record that in the journal; stored
    pictures stay. The site's row must be locked.
    """
    tx.run(SWITCH_ON if on else SWITCH_OFF, site_id=author.site_id)
    journal.record_site(tx, author)


def due(tx: Reader, most: int) -> list[GravatarRequest]:
    """Return up to `most` profiles, of all sites that use Gravatar, older than a minute and with an id above the last
    one that `advance` recorded for their site. Sites take turns in the result, each with its profiles by ascending id.
    """
    return [GravatarRequest(*row) for row in tx.rows(DUE, most=most)]


def advance(tx: Transaction, site_id: int, profile_id: int) -> None:
    """Record that pictures were requested for the site's profiles with ids up to `profile_id`, itself included."""
    tx.run(ADVANCE, site_id=site_id, profile_id=profile_id)


def lock(tx: Transaction, people: Sequence[GravatarRequest]) -> set[tuple[int, int]]:
    """Lock those of the profiles `people` that still have no picture; return them as (site id, profile id). Takes the
    shared lock on the roles of their sites before.

    A picture of a site's owner or creator changes the site's row too, which `add` locks, after the roles and all
    profiles.
    """
    for site_id in sorted({one.site_id for one in people}):
        role_recomputation.lock_roles_shared(tx, site_id)
    rows = tx.rows(
        LOCK,
        site_ids=[one.site_id for one in people],
        profile_ids=[one.profile_id for one in people],
    )
    return {(row[0], row[1]) for row in rows}


def add(tx: Transaction, site_id: int, profile_id: int, picture: File) -> None:
    """Store a picture, whose bytes are stored already, as the avatar of a locked profile."""
    picture.insert(tx, site_id, profile_id, _NO_LIMIT)
    carrier = Target(itemtypes.PROFILE, profile_id)
    attachment = Attachment(carrier, picture.hash, picture.name, picture.ext)
    attachment.insert(tx, Author(site_id, profile_id, ""))
