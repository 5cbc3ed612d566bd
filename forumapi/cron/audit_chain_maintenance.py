"""Job of the audit: chains entries that no event led to, deletes entries past their time, signs the checkpoints that
remain of them, and signs the heads of all chains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from forumapi.config import Config
from forumapi.database.connections import Transaction
from forumapi.models.journal import audit_address_hashing, audit_chain, audit_hash
from forumapi.models.journal.audit_hash import Head
from forumapi.models.privacy import retention
from forumapi.observability.log import logger

# Entries that one statement deletes, and that one run deletes or appends in all.
AT_ONCE: Final = 5_000
MOST: Final = 200_000


def audit_heads(tx: Transaction, config: Config) -> str:
    """Chain up to AT_ONCE audit rows that are not in a chain yet, delete entries older than `audit_retention_days`, or
    than the shorter period that their site has set, until MOST are deleted, sign the head of each chain that has grown,
    and log the heads after the commit (P-60).

    Return the result in words.
    """
    keys = audit_hash.keys(config.audit_key, config.data_path)
    adopted = audit_chain.adopt(tx, AT_ONCE)
    most_days = config.audit_retention_days
    forgotten = audit_address_hashing.forget(tx, most_days, AT_ONCE)
    aged = dict.fromkeys(audit_chain.aged(tx, most_days), most_days)
    for site in retention.of_sites(tx):
        if site.days.get(retention.AUDIT, most_days) < most_days:
            aged[site.site_id] = site.days[retention.AUDIT]
    for site_id, days in sorted(aged.items()):
        while forgotten < MOST:
            found = audit_chain.forget(tx, site_id, days, keys, AT_ONCE)
            forgotten += found
            if found < AT_ONCE:
                break
    heads = [audit_chain.sign(tx, site_id, keys) for site_id in audit_chain.unsigned(tx)]
    tx.after_commit(lambda: _tell(heads))
    return f"{len(heads)} heads signed, {adopted} rows added, {forgotten} rows deleted"


def _tell(heads: Sequence[Head]) -> None:
    """Write the heads to the log, where an operator finds them for `forumapi audit verify`."""
    for head in heads:
        logger.info("audit head %s", head)
