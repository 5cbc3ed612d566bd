"""The client's address, believed only from configured proxies (P-60)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Proxy addresses or networks as written in the settings. Raises ValueError."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def client_ip(environ: dict[str, Any], trusted: Sequence[Network]) -> str:
    """The peer; behind trusted proxies the rightmost address of X-Forwarded-For that is not one of them.

    "" for a peer without an address (a unix socket) that sends none.
    """
    peer = str(environ.get("REMOTE_ADDR") or "")
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
    if not forwarded or not trusted:
        return peer
    hops = [peer, *(hop.strip() for hop in reversed(forwarded.split(",")))]
    last = peer
    for hop in hops:
        try:
            address = ipaddress.ip_address(hop)
        except ValueError:
            return last
        last = str(address)
        if not any(address in network for network in trusted):
            return last
    return last


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
