"""Looks at DNS for proofs of custom domains, and acts on what is there (platform 2.1)."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from forumapi.config import Config
from forumapi.database.connections import Transaction
from forumapi.models.sites import site_domain
from forumapi.models.sites.site_domain import Due, Proof
from forumapi.outbound.safe_http_client import Outbound

# Two rounds of look-ups at the most, of two questions each: this run keeps the others waiting.
MOST: Final = 32
AT_ONCE: Final = 16
TIMEOUT_S: Final = 2.0


def custom_domains(tx: Transaction, config: Config) -> str:
    """Look for proofs of claimed and of served domains; serve what is proven, take away what is proven no more."""
    outbound = Outbound(nameservers=config.dns_servers, timeout_s=TIMEOUT_S)

    def look(one: Due) -> Proof:
        host = f"{one.key}.{config.platform_domain}"
        return site_domain.look(outbound, one.domain, host)

    due = site_domain.due(tx, MOST)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        proofs = list(pool.map(look, due))
    states = Counter(
        site_domain.settle(tx, one, proof) for one, proof in zip(due, proofs, strict=True)
    )
    said = ", ".join(f"{count} {state or 'forgotten'}" for state, count in sorted(states.items()))
    return said or "none were due"
