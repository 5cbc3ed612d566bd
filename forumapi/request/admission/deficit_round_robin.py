"""Deficit round-robin (Shreedhar and Varghese, 1995) between the sites of waiting requests, in the form of FQ-CoDel
(RFC 8290).

A site is served while its deficit is above zero; each turn adds a quantum times its weight, each request subtracts its
price. A site whose first request comes while others wait is served before those that have waited for turns: so whoever
asks for less than a share waits for no round.

Nothing here locks or reads a clock: the gate does both.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

# Price in milliseconds that a turn of a site of weight 1 is good for: about one page.
QUANTUM_MS: Final = 0.5


class WaitingRequest:
    """Request that waits, or has waited, for its turn. `price`: in milliseconds. `address`: client network of a guest
    whose requests are limited in number, "" for any other request. `is_member`: goes before the site's guests.
    `is_waiting`: still in the queue of `site`.
    """

    __slots__ = ("address", "is_member", "is_waiting", "price", "site")

    def __init__(self, site: SiteQueue, price: float, address: str, is_member: bool) -> None:
        self.site = site
        self.price = price
        self.address = address
        self.is_member = is_member
        self.is_waiting = True


class SiteQueue:
    """Queue of one site: its members' requests, first come first served, then those of its guests, whose addresses take
    turns.

    `weight`: multiplies what a turn of the site is good for; `running`: requests of the site in work; `guest_count`,
    `member_count`: numbers of those that wait. `deficit`: ms of price that the site has left of its turns, below 0:
    that it owes; `is_listed`: the site takes part in the turns. `has_ended`: one of its requests has ended since the
    last call of `free_hanging`; `hangs`: none had between two calls, so the site's limit is lifted until one ends.
    """

    __slots__ = (
        "deficit",
        "guest_count",
        "guests",
        "hangs",
        "has_ended",
        "id",
        "is_listed",
        "lanes",
        "member_count",
        "members",
        "running",
        "weight",
    )

    def __init__(self, id: int) -> None:
        self.id = id
        self.weight = 1
        self.deficit = 0.0
        self.running = 0
        self.has_ended = True
        self.hangs = False
        self.guest_count = 0
        self.member_count = 0
        self.is_listed = False
        self.members: deque[WaitingRequest] = deque()
        # All guests by address; and the addresses that are not at their limit, in the order of their turns.
        self.guests: dict[str, deque[WaitingRequest]] = {}
        self.lanes: OrderedDict[str, None] = OrderedDict()

    @property
    def count(self) -> int:
        """Return the number of the site's requests that wait."""
        return self.guest_count + self.member_count

    def waiting(self) -> Iterator[WaitingRequest]:
        """Yield all waiting requests, those of members first."""
        for lane in (self.members, *self.guests.values()):
            yield from lane


class DeficitRoundRobin:
    """Scheduler of waiting requests, to be used under a lock of the caller's; `count`: number of those that wait;
    `running`: of those in work. `site_limit`: most requests of one site in work; `address_limit`: most of one guest
    address in work, over all sites; 0: no limit.
    """

    def __init__(self, site_limit: int, address_limit: int) -> None:
        self.site_limit = site_limit
        self.address_limit = address_limit
        self.running = 0
        self.count = 0
        self.sites: dict[int, SiteQueue] = {}
        # Sites that came while others waited, and those that have had a turn (RFC 8290, section 4.2).
        self._new: deque[SiteQueue] = deque()
        self._old: deque[SiteQueue] = deque()
        self._held: dict[str, int] = {}
        # Addresses at their limit: the sites where more of their requests wait.
        self._parked: dict[str, list[SiteQueue]] = {}

    @property
    def is_empty(self) -> bool:
        """Return True if no site takes part in the turns: then no waiting request could begin now. False does not
        promise that one could.
        """
        return not (self._new or self._old)

    def site(self, id: int) -> SiteQueue:
        """Return the queue of the site with this id; make one if the site has none. `drop` forgets the queue."""
        found = self.sites.get(id)
        if found is None:
            found = self.sites[id] = SiteQueue(id)
        return found

    def drop(self, site: SiteQueue) -> None:
        """Forget the queue of a site; do nothing if requests of the site wait or are in work, or it still takes part in
        the turns.
        """
        if not (site.running or site.count or site.is_listed):
            self.sites.pop(site.id, None)

    def limit(self, site_limit: int, address_limit: int) -> None:
        """Set the limits anew, 0 for none; requests that the old limits held take part in the turns again."""
        self.site_limit, self.address_limit = site_limit, address_limit
        for address in list(self._parked):
            self._unpark(address)
        for site in self.sites.values():
            if site.count and not site.is_listed:
                self._list(site, self._old)

    def free_hanging(self) -> None:
        """Lift the limit of each site that is at its limit and of which no request has ended since the last call, until
        one ends: those that wait need not hang as well.
        """
        for site in self.sites.values():
            if site.count and not site.is_listed and not site.has_ended and self._is_full(site):
                site.hangs = True
                self._list(site, self._old)
            site.has_ended = False

    def has_room(self, site: SiteQueue, address: str) -> bool:
        """Return True if the limits of site and address let one more request begin."""
        return not (self._is_full(site) or self.is_held_by_address(address))

    def _is_full(self, site: SiteQueue) -> bool:
        return bool(self.site_limit) and site.running >= self.site_limit and not site.hangs

    def is_held_by_address(self, address: str) -> bool:
        """Return True if the requests of the address in work have reached `address_limit`; False for ""."""
        limit = self.address_limit
        return bool(address and limit) and self._held.get(address, 0) >= limit

    def begin(self, site: SiteQueue, address: str) -> None:
        """Count one more request of a site as in work, and of a guest `address` ("": none that is limited)."""
        self.running += 1
        site.running += 1
        if address:
            self._held[address] = self._held.get(address, 0) + 1

    def end(self, site: SiteQueue, address: str) -> None:
        """Count one request less as in work, with the parameters that `begin` had; requests that the limits of its site
        or address held take part in the turns again.
        """
        self.running -= 1
        site.running -= 1
        site.has_ended = True
        site.hangs = False
        if address:
            held = self._held[address] - 1
            if held:
                self._held[address] = held
            else:
                del self._held[address]
            if address in self._parked:
                self._unpark(address)
        if site.count and not site.is_listed:
            self._list(site, self._old)
        else:
            self.drop(site)

    def push(self, entry: WaitingRequest) -> None:
        """Put a request into the queue of its site, and let the site take part in the turns."""
        site = entry.site
        self.sites[site.id] = site
        is_first = not site.count
        self.count += 1
        if entry.is_member:
            site.member_count += 1
            site.members.append(entry)
        else:
            site.guest_count += 1
            lane = site.guests.get(entry.address)
            if lane is None:
                lane = site.guests[entry.address] = deque()
                site.lanes[entry.address] = None
            lane.append(entry)
        if site.is_listed:
            return
        if is_first:
            site.deficit = QUANTUM_MS * site.weight
        self._list(site, self._new if is_first else self._old)

    def remove(self, entry: WaitingRequest) -> None:
        """Take a request, which must be waiting, out of the queue of its site before its turn has come."""
        site = entry.site
        if entry.is_member:
            site.members.remove(entry)
        else:
            lane = site.guests[entry.address]
            lane.remove(entry)
            if not lane:
                del site.guests[entry.address]
                site.lanes.pop(entry.address, None)
        self._forget(entry)
        self.drop(site)

    def clear(self) -> None:
        """End all turns, and forget what sites owe; to be called only while no request waits."""
        for ring in (self._new, self._old):
            while ring:
                site = ring.popleft()
                site.is_listed = False
                self.drop(site)

    def is_held(self, entry: WaitingRequest) -> bool:
        """Return True if a waiting request is held back since its address, when its turn came, had `address_limit`
        requests in work; False for a request without an address.
        """
        return entry.address in self._parked

    def pop(self) -> WaitingRequest | None:
        """Take the request whose turn it is out of its queue; None if none may begin now. The price is subtracted from
        the site's `deficit`; the caller counts the request by `begin`.
        """
        while ring := self._new or self._old:
            site = ring[0]
            if site.deficit <= 0:
                # Paid also where nothing waits: a site could shed its debt by asking one by one.
                site.deficit += QUANTUM_MS * site.weight
                self._old.append(ring.popleft())
                continue
            has_room = not self._is_full(site)
            entry = self._take(site) if has_room else None
            if entry is not None:
                site.deficit -= entry.price
                return entry
            ring.popleft()
            if ring is self._new and has_room and self._old:
                # Else it would come back as new with each request, before all others.
                self._old.append(site)
            else:
                site.is_listed = False
                self.drop(site)
        return None

    def give_back(self, entry: WaitingRequest) -> None:
        """Undo the payment for a request that was taken by `pop` and does not begin."""
        entry.site.deficit += entry.price

    def _take(self, site: SiteQueue) -> WaitingRequest | None:
        if site.members:
            entry = site.members.popleft()
            self._forget(entry)
            return entry
        while site.lanes:
            address = next(iter(site.lanes))
            if address and self.address_limit and self._held.get(address, 0) >= self.address_limit:
                del site.lanes[address]
                self._parked.setdefault(address, []).append(site)
                continue
            lane = site.guests[address]
            entry = lane.popleft()
            if lane:
                site.lanes.move_to_end(address)
            else:
                del site.lanes[address], site.guests[address]
            self._forget(entry)
            return entry
        return None

    def _forget(self, entry: WaitingRequest) -> None:
        site = entry.site
        entry.is_waiting = False
        self.count -= 1
        if entry.is_member:
            site.member_count -= 1
        else:
            site.guest_count -= 1

    def _unpark(self, address: str) -> None:
        """Let requests of an address in `_parked` have turns again, on all sites where some wait."""
        for site in self._parked.pop(address):
            if address in site.guests:
                site.lanes[address] = None
                if not site.is_listed:
                    self._list(site, self._old)

    def _list(self, site: SiteQueue, ring: deque[SiteQueue]) -> None:
        site.is_listed = True
        ring.append(site)
