"""Moves of sites to another platform, as requests see them: writes wait while the last changes are carried over, and
the address of a site that has moved leads to the new one.

A write of a site that is being moved locks the move's row in share mode until it commits. The row is changed under a
lock that excludes those, so that no write commits between the end of a copy and the switch. porting/moving moves.
"""

from __future__ import annotations

import math
from typing import Final

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import ReadOnly, SiteMoved

HOLD: Final = Query(
    "site_move_guard.hold",
    """
    SELECT v.direction = 'out' AND v.state = 'switched', v.address,
           greatest(extract(epoch FROM v.read_only_until - clock_timestamp())::float8, 0)
      FROM site_moves v
     WHERE v.site_id = %(site_id)s
       FOR SHARE""",
)
# Of a site that is served no longer.
ADDRESS_BY_KEY: Final = Query(
    "site_move_guard.address_by_key",
    """
    SELECT v.address
      FROM site_moves v
      JOIN sites s ON s.site_id = v.site_id
     WHERE s.subdomain_key = %(key)s AND s.is_deleted AND v.direction = 'out' AND v.state = 'switched'""",
    scope=PLATFORM,
)
ADDRESS_BY_DOMAIN: Final = Query(
    "site_move_guard.address_by_domain",
    """
    SELECT v.address
      FROM site_moves v
      JOIN sites s ON s.site_id = v.site_id
     WHERE s.domain = %(domain)s AND s.is_deleted AND v.direction = 'out' AND v.state = 'switched'""",
    scope=PLATFORM,
)


def check_writable(tx: Transaction, site_id: int) -> None:
    """Check that a site takes writes, and keep one that is being moved from becoming read-only until the transaction
    ends. Raises ReadOnly while its move keeps the site read-only, SiteMoved if it has moved to another platform.
    """
    row = tx.row(HOLD, site_id=site_id)
    if row is None:
        return
    has_moved, address, seconds = row
    if has_moved:
        raise SiteMoved(address)
    if seconds > 0:
        raise ReadOnly(math.ceil(seconds))


def address_of(tx: Reader, host: str, platform_domain: str) -> str:
    """Return the address to which the site with the host name `host`, in lower case, has moved, without a slash at its
    end; "" if no site that had this host has moved. `platform_domain`: the domain below which sites have their
    subdomains; any other host is looked up as a custom domain.
    """
    key = host.removesuffix("." + platform_domain)
    if key != host:
        return tx.value(ADDRESS_BY_KEY, key=key) or ""
    return tx.value(ADDRESS_BY_DOMAIN, domain=host) or ""
