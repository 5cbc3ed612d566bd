"""Refresh of the identities of live callers, whose rights may have changed while they listen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from forumapi.database.connections import Database, Reader
from forumapi.models.access import identity as identities
from forumapi.models.roles import role_recomputation
from forumapi.realtime.delivery_permissions import Caller
from forumapi.realtime.live_clients import LiveClient
from forumapi.realtime.site_listeners import SiteListeners

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity

# Callers looked up in one statement.
PEOPLE: Final = 1000


class CallerRefresh:
    """Refresh of callers' identities from the database. `end(client, reason)` disconnects a client; `reason`: a key of
    `live_clients.CODES`.
    """

    def __init__(self, database: Database, end: Callable[[LiveClient, str], None]) -> None:
        self._database = database
        self._end = end

    def refresh(
        self, listeners: SiteListeners, callers: Sequence[Caller], reader: Reader | None = None
    ) -> None:
        """Read the identities of `callers`, none of them a guest, from the database again and give them to the callers;
        roles that are due are recomputed first, in a transaction of its own. Disconnect the clients of callers who are
        signed out or banned.

        `listeners`: those of the callers' site. `reader` None: over a connection taken for this call; a given reader
        may have given its connection back in between. Raises Unavailable.
        """
        own = reader or self._database.read()
        try:
            for at in range(0, len(callers), PEOPLE):
                some = callers[at : at + PEOPLE]
                ids = [caller.token_id for caller in some]
                found = identities.find_many(own, listeners.site.id, ids)
                due = [one.profile_id for one in found.values() if one.needs_roles]
                if due:
                    own.end()
                    with self._database.write() as tx:
                        role_recomputation.recompute_roles(tx, listeners.site.id, sorted(set(due)))
                    found = identities.find_many(own, listeners.site.id, ids)
                for caller in some:
                    self._become(caller, found.get(caller.token_id))
        finally:
            if reader is None:
                own.end()

    def _become(self, caller: Caller, identity: Identity | None) -> None:
        """Give a caller `identity`, the present one of the caller's token. Disconnect the caller's clients instead if
        `identity` is None (the token is no longer good), has no profile on the site, or is banned.
        """
        if identity is None or not identity.profile_id:
            reason = "signedOut"
        elif identity.ban_reason is not None:
            reason = "banned"
        else:
            caller.become(identity)
            return
        for client in list(caller.clients):
            listeners = client.listeners
            # A new connection with the same token reads its identity anew.
            if listeners.callers.get(caller.token_id) is caller:
                del listeners.callers[caller.token_id]
            listeners.index.leave(client)
            self._end(client, reason)


def stale_callers(listeners: SiteListeners, changed: set[int]) -> list[Caller]:
    """Return those callers among `listeners`, guests excepted, whose identity is to be read again: their rights may
    have changed, the token has expired, or roles are to be recomputed. `changed`: ids of users; with 0 among them, the
    rights of all may have changed.
    """
    now = time.time()
    return [
        caller
        for caller in listeners.callers.values()
        if caller.token_id
        and (
            0 in changed
            or caller.user_id in changed
            or (caller.expires is not None and caller.expires <= now)
            or (caller.due is not None and caller.due <= now)
        )
    ]
