"""Sandboxes: sites for trying the API, of four people with tokens, each deleted a day after it was made.

`Site.is_sandbox` tells one from other sites. sandbox_content.py fills a new one; cron/site_deletions.py deletes those
whose time has come.
"""

from __future__ import annotations

import datetime
import secrets
import string
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import SandboxesFull
from forumapi.models.access import access_token
from forumapi.models.access.access_token import AccessToken
from forumapi.models.people.profile import Profile
from forumapi.models.sites import site_deletion
from forumapi.models.sites.site import Site
from forumapi.models.sites.site_validation import SiteBody
from forumapi.models.usage.site_plan import COMMENTS, MEMBERS, SOCKETS, STORAGE

LIFE_S: Final = 86_400
OWNER: Final = "owner"
MODERATOR: Final = "moderator"
MEMBER: Final = "member"
NEWCOMER: Final = "newcomer"
# Name of each person's profile, by what the person is there.
PEOPLE: Final[Mapping[str, str]] = MappingProxyType(
    {OWNER: "olivia", MODERATOR: "marco", MEMBER: "mei", NEWCOMER: "nils"}
)
# Plan of all sandboxes: they are made by strangers, who pay for nothing.
PLAN: Final = "sandbox"
LIMITS: Final[Mapping[str, int]] = MappingProxyType(
    {MEMBERS: 20, STORAGE: 10, COMMENTS: 1_000, SOCKETS: 20}
)
_PREFIX: Final = "sandbox"
_KEY_LETTERS: Final = string.ascii_lowercase + string.digits
_KEY_LENGTH: Final = 12

# ---------------------------------------------------------------- begin

COUNT = Query(
    "sandbox.count",
    """
    SELECT count(*), coalesce(ceil(extract(epoch FROM min(b.ends) - now()))::int, 0) FROM sandboxes b""",
    scope=PLATFORM,
)
# A statement of its own, so that INSERT counts what was committed while the lock was awaited.
LOCK = Query("sandbox.lock", "SELECT pg_advisory_xact_lock(hashtextextended('sandboxes', 0))")
INSERT = Query(
    "sandbox.insert",
    """
    INSERT INTO sandboxes (site_id, ends)
    SELECT %(site_id)s, now() + make_interval(secs => %(life_s)s::int)
     WHERE (SELECT count(*) FROM sandboxes b) < %(most)s
 RETURNING ends""",
    scope=PLATFORM,
)
# Nobody proves these addresses, and no mail server has them (RFC 2606).
INSERT_USERS = Query(
    "sandbox.insert_users",
    """
    INSERT INTO users (email, canonical_email, person_key)
    SELECT w.email, w.email, w.email
      FROM unnest(%(emails)s::text[]) WITH ORDINALITY AS w (email, place)
     ORDER BY w.place
 RETURNING user_id""",
)

# ---------------------------------------------------------------- end

# A site that is locked waits for the next run.
DUE = Query(
    "sandbox.due",
    """
    SELECT b.site_id
      FROM sandboxes b
      JOIN sites v ON v.site_id = b.site_id
     WHERE b.ends <= now()
       AND NOT EXISTS (SELECT FROM site_deletions d WHERE d.deleted_site = b.site_id AND d.finished IS NULL)
     ORDER BY b.ends
     LIMIT 1
       FOR NO KEY UPDATE OF v SKIP LOCKED""",
    scope=PLATFORM,
)
DELETE_USERS = Query(
    "sandbox.delete_users",
    """
    DELETE FROM users u
     WHERE u.person_key = ANY(%(emails)s::text[])
       AND NOT EXISTS (SELECT FROM profiles p WHERE p.user_id = u.user_id)
       AND NOT EXISTS (SELECT FROM access_tokens t WHERE t.user_id = u.user_id)
       AND NOT EXISTS (SELECT FROM bans b WHERE b.user_id = u.user_id)""",
    scope=PLATFORM,
)


class SandboxPerson(NamedTuple):
    """Person of a new sandbox. `id`: the profile's; `name`: the profile's; `token`: secret of an access token that is
    good on this site alone, until the sandbox ends.
    """

    id: int
    name: str
    token: str


class NewSandbox(NamedTuple):
    """Sandbox that is being made. `people`: its people, by the keys of PEOPLE."""

    site_id: int
    people: Mapping[str, SandboxPerson]

    @classmethod
    def insert(cls, tx: Transaction, *, platform_domain: str, ip: str = "") -> NewSandbox:
        """Store a new site with a random subdomain, and the profiles and tokens of four new users, of whom one owns the
        site. It is no sandbox before `admit`. `platform_domain`, `ip`: as in Site.insert.
        """
        key = _PREFIX + "".join(secrets.choice(_KEY_LETTERS) for _ in range(_KEY_LENGTH))
        users = dict(
            zip(
                PEOPLE,
                (row[0] for row in tx.rows(INSERT_USERS, emails=_addresses(key))),
                strict=True,
            )
        )
        body = SiteBody(
            title="Sandbox",
            description="A site for trying the API, deleted a day after it was made.",
            subdomainKey=key,
        )
        site_id = Site.insert(
            tx,
            body,
            user_id=users[OWNER],
            platform_domain=platform_domain,
            ip=ip,
            owner_name=PEOPLE[OWNER],
        )
        people = {}
        for role, name in PEOPLE.items():
            # Finds the profile of the owner, which came with the site.
            id = Profile.insert(tx, site_id, users[role], name, ip=ip)
            token = AccessToken.insert(
                tx,
                users[role],
                kind=access_token.SESSION,
                life_s=LIFE_S,
                name=_PREFIX,
                site_id=site_id,
            )
            people[role] = SandboxPerson(id, name, token.secret)
        return cls(site_id, people)

    def admit(self, tx: Transaction, most: int) -> datetime.datetime:
        """Make the site a sandbox, and return the time at which it ends, LIFE_S seconds from now. Of two that are
        admitted at the same time the second waits for the end of the first one's transaction, so call it last. Raises
        SandboxesFull if there are `most` sandboxes already, after which the transaction may not be committed.
        """
        tx.rows(LOCK)
        ends: datetime.datetime | None = tx.value(
            INSERT, site_id=self.site_id, life_s=LIFE_S, most=most
        )
        if ends is None:
            raise SandboxesFull(most, _counted(tx)[1])
        return ends


def check_room(tx: Reader, most: int) -> None:
    """Check that fewer than `most` sandboxes exist. Raises SandboxesFull."""
    count, left_s = _counted(tx)
    if count >= most:
        raise SandboxesFull(most, left_s)


def _counted(tx: Reader) -> tuple[int, int]:
    """Return the number of sandboxes, and the seconds until the first of them ends: 0 or fewer if it has ended, 0
    without sandboxes.
    """
    row = tx.row(COUNT)
    assert row is not None, "an aggregate has a row"
    return row[0], row[1]


def begin_deletion(tx: Transaction) -> bool:
    """Begin the deletion of a sandbox that has ended, without a mail at its end: of those whose deletion has not begun
    and whose site nobody has locked, the one that ended first; return False if there is none.
    """
    site_id = tx.value(DUE)
    return site_id is not None and site_deletion.begin(tx, site_id, is_silent=True)


def delete_people(tx: Transaction, key: str) -> None:
    """Delete the users that the sandbox with the subdomain `key` came with, once nothing of its site is left; nothing
    happens for another site's key. Who has been banned from the platform stays.
    """
    if key.startswith(_PREFIX):
        tx.run(DELETE_USERS, emails=_addresses(key))


def _addresses(key: str) -> list[str]:
    """Return the e-mail addresses of the people of the sandbox with the subdomain `key`, in the order of PEOPLE."""
    return [f"{role}@{key}.invalid" for role in PEOPLE]
