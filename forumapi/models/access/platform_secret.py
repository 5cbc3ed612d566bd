"""Secrets that the platform makes for itself, one for each purpose, and never changes; and keys that came with sites
from other platforms.
"""

from __future__ import annotations

import secrets
from typing import Final

from forumapi.database.connections import Reader
from forumapi.database.query import Query

# Secret that signs links and message ids of mail, and keys the hashes of suppressed addresses.
MAIL: Final = "mail"
# Private key by which push services know the platform, unless a setting has one.
PUSH: Final = "push"
# With a site's id: keys by which other platforms, from which the site has moved here, signed links in its mails.
CARRIED: Final = "unsubscribe:"

FIND = Query(
    "platform_secret.find", "SELECT s.secret FROM platform_secrets s WHERE s.name = %(name)s"
)

# The second of two concurrent requests gets the secret that the first has made.
MAKE = Query(
    "platform_secret.make",
    """
    INSERT INTO platform_secrets (name, secret) VALUES (%(name)s, %(secret)s)
        ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name
 RETURNING secret""",
)


def find(tx: Reader, name: str) -> bytes:
    """Return the platform's secret of that name, 32 random bytes; the first call makes and stores it, so `tx` must be
    one that can write.
    """
    found = tx.value(FIND, name=name)
    if found is None:
        found = tx.value(MAKE, name=name, secret=secrets.token_bytes(32))
    return bytes(found)


def carried(tx: Reader, site_id: int) -> bytes:
    """Return the keys that came with a site from other platforms, one after the other; b"" for none."""
    return bytes(tx.value(FIND, name=f"{CARRIED}{site_id}") or b"")
