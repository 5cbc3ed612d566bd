"""Verification of custom domains by DNS (platform 2.1)."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from forumapi.config import Config
from forumapi.database.connections import Transaction
from forumapi.models.sites.site_domain import DomainProof, DueDomain, check_dns
from forumapi.outbound.safe_http_client import Outbound

# Domains of one run, at most two rounds of two queries: other jobs wait meanwhile.
MOST: Final = 32
AT_ONCE: Final = 16
TIMEOUT_S: Final = 2.0


def custom_domains(tx: Transaction, config: Config) -> str:
    """Look up the DNS records of domains that sites claim or use, MOST a run: a domain that is proven now gets served;
    one whose proof has been missing for FAILING (72 hours), or that was served without one for GRACE (60 days), both in
    models/sites/site_domain.py, is served no longer.

    Return the result in words.
    """
    outbound = Outbound(nameservers=config.dns_servers, timeout_s=TIMEOUT_S)

    def check(due: DueDomain) -> DomainProof:
        return check_dns(outbound, due.domain, f"{due.key}.{config.platform_domain}")

    domains = DueDomain.page(tx, MOST)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        proofs = list(pool.map(check, domains))
    states = Counter(due.apply_proof(tx, proof) for due, proof in zip(domains, proofs, strict=True))
    counts = ", ".join(f"{count} {state or 'forgotten'}" for state, count in sorted(states.items()))
    return counts or "none were due"
