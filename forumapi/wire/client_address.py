"""The client's address, believed only from configured proxies (P-60) and from front ends that the operator named."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

# So many answers are kept, of lists of addresses up to so many characters: a client behind the proxy comes again.
KEPT: Final = 4096
KEPT_CHARACTERS: Final = 100

# Who comes through a unix socket is on this machine.
_HERE: Final = "127.0.0.1"


class Proxies:
    """Who is believed about the clients behind them: addresses or networks, as the settings have them.

    Raises ValueError for a text that is neither.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in texts)
        self._kept = lru_cache(KEPT)(self._client)

    def client_ip(self, environ: dict[str, Any]) -> str:
        """The peer; behind proxies that are believed the rightmost address of X-Forwarded-For that is not one of them.

        A peer without an address (a unix socket) is "", and believed where 127.0.0.1 is.
        """
        peer = str(environ.get("REMOTE_ADDR") or "")
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        if not forwarded or not self._networks:
            return peer
        find = self._kept if len(forwarded) <= KEPT_CHARACTERS else self._client
        return find(peer, forwarded)

    def believes(self, peer: str) -> bool:
        """Return if a peer is believed about the clients behind it."""
        return bool(self._networks) and self._believes(peer or _HERE)

    def _client(self, peer: str, forwarded: str) -> str:
        if not self._believes(peer or _HERE):
            return peer
        last = peer
        for hop in reversed(forwarded.split(",")):
            try:
                last = str(ipaddress.ip_address(hop.strip()))
            except ValueError:
                return last
            if not self._believes(last):
                return last
        return last

    def _believes(self, address: str) -> bool:
        found = _plain(address)
        return any(found in network for network in self._networks)


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address; of IPv4 where it is written as one of IPv6, as a listener on [::] sees it."""
    found = ipaddress.ip_address(text)
    return (found.version == 6 and found.ipv4_mapped) or found


@lru_cache(KEPT)
def caller(ip: str) -> str:
    """What stands for the caller at an address: of IPv6 the /64, which is what one household or server has."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if address.version == 4:
        return ip
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


# ---------------------------------------------------------------- front ends

_FRONT_END: Final = re.compile(r"[a-z0-9-]{1,40}")
_KEY: Final = re.compile(r"[a-z0-9]{1,50}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
EVERY_SITE: Final = "*"


class FrontEnd(NamedTuple):
    """A program that shows sites to its own visitors, as the settings name it: known by `network` or by `digest`.

    `digest` is the SHA-256 of its secret. `keys` are those of its sites, or EVERY_SITE alone.
    """

    name: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    digest: str
    keys: frozenset[str]


def front_end(text: str) -> FrontEnd:
    """One of the setting `front_ends`: its name, an address, network or sha256:<hash>, and sites. Raises ValueError."""
    name, known_by, *keys = [*text.split(), "", ""][: max(2, len(text.split()))]
    if not _FRONT_END.fullmatch(name):
        raise ValueError("must begin with a name of small letters, digits and hyphens")
    network = None
    if not _DIGEST.fullmatch(known_by):
        try:
            network = ipaddress.ip_network(known_by, strict=False)
        except ValueError:
            network = None
        if network is None or network.prefixlen == 0:
            raise ValueError("must name an address, a network or sha256: with the hash of a secret")
    if keys != [EVERY_SITE] and (not keys or not all(map(_KEY.fullmatch, keys))):
        raise ValueError("must end with the keys of its sites, or with * for all of them")
    return FrontEnd(name, network, "" if network else known_by, frozenset(keys))


class FrontEnds:
    """Read from the settings who is believed about visitors. Raises ValueError for a text that is not in order."""

    def __init__(self, texts: Sequence[str]) -> None:
        named = [front_end(text) for text in texts]
        self._by_network = [one for one in named if one.network]
        self._by_digest: dict[str, list[FrontEnd]] = {}
        for one in named:
            if one.digest:
                self._by_digest.setdefault(one.digest, []).append(one)

    def find(self, peer: str, secret: str, key: str) -> str:
        """The name of the front end that calls from `peer`, or with `secret`, for the site of that key; "" for none."""
        if secret:
            digest = f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"
            known = self._by_digest.get(digest, [])
        else:
            known = self._at(peer)
        return next((one.name for one in known if not one.keys.isdisjoint((key, EVERY_SITE))), "")

    def holds(self, peer: str) -> bool:
        """Return if a front end calls from `peer`."""
        return bool(self._at(peer))

    def _at(self, peer: str) -> list[FrontEnd]:
        if not self._by_network or not peer:
            return []
        address = _plain(peer)
        return [one for one in self._by_network if one.network and address in one.network]
