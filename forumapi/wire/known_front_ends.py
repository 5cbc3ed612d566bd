"""Front ends: programs that show sites to visitors of their own, recognised by their network or a secret."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from forumapi.wire import client_address

_FRONT_END: Final = re.compile(r"[a-z0-9-]{1,40}")
_KEY: Final = re.compile(r"[a-z0-9]{1,50}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
EVERY_SITE: Final = "*"


class FrontEnd(NamedTuple):
    """Program that shows sites to visitors of its own, recognised by its `network` or, if that is None, by a secret.

    `name`: as in the settings; its requests are counted under it; `digest`: `sha256:` with the secret's hash in
    hexadecimal, "" if there is a network. `keys`: subdomain keys of the sites that the program shows, or EVERY_SITE
    alone.
    """

    name: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    digest: str
    keys: frozenset[str]


def front_end(text: str) -> FrontEnd:
    """Parse an entry of the setting `front_ends`: a name, then an address, network or `sha256:<hash>`, then subdomain
    keys of sites, or `*` for all.

    Raises ValueError for a malformed entry; the message says what the entry must have.
    """
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
    """All front ends that the setting `front_ends` names; `texts`: its entries. Raises ValueError for a malformed
    entry.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        named = [front_end(text) for text in texts]
        self._by_network = [one for one in named if one.network]
        self._by_digest: dict[str, list[FrontEnd]] = {}
        for one in named:
            if one.digest:
                self._by_digest.setdefault(one.digest, []).append(one)

    def find(self, peer: str, secret: str, key: str) -> str:
        """Return the name of the front end that a request comes from; "" if from none that shows the site with the
        subdomain key `key`.

        A front end is recognised by `secret`, as the request sent it, or, if that is "", by the address `peer`.
        """
        if secret:
            digest = f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"
            known = self._by_digest.get(digest, [])
        else:
            known = self._at(peer)
        return next((one.name for one in known if not one.keys.isdisjoint((key, EVERY_SITE))), "")

    def holds(self, peer: str) -> bool:
        """Return True if the address `peer` is in the network of a front end, whichever its sites; False for ""."""
        return bool(self._at(peer))

    def _at(self, peer: str) -> list[FrontEnd]:
        if not self._by_network or not peer:
            return []
        address = client_address.plain(peer)
        return [one for one in self._by_network if one.network and address in one.network]
