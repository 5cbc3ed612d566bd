"""Job of the audit: signs the heads of its chains, and deletes entries past their time, of which checkpoints remain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from forumapi.config import Config
from forumapi.database.connections import Transaction
from forumapi.models.journal import audit, audit_chain, audit_hash
from forumapi.models.journal.audit_hash import Head
from forumapi.observability.log import logger

# Entries that one statement deletes, and that one run deletes or appends in all.
AT_ONCE: Final = 5_000
MOST: Final = 200_000


def audit_heads(tx: Transaction, config: Config) -> str:
    """Sign the head of each chain that has grown, and write it to the log; delete old entries (P-60)."""
    keys = audit_hash.keys(config.audit_key, config.data_path)
    adopted = audit_chain.adopt(tx, AT_ONCE)
    forgotten = audit.forget(tx, config.audit_retention_days, AT_ONCE)
    for site_id in audit_chain.aged(tx, config.audit_retention_days):
        while forgotten < MOST:
            found = audit_chain.forget(tx, site_id, config.audit_retention_days, keys, AT_ONCE)
            forgotten += found
            if found < AT_ONCE:
                break
    heads = [audit_chain.sign(tx, site_id, keys) for site_id in audit_chain.unsigned(tx)]
    tx.after_commit(lambda: _tell(heads))
    return f"{len(heads)} heads signed, {adopted} rows added, {forgotten} rows deleted"


def _tell(heads: Sequence[Head]) -> None:
    """Write the heads to the log, from where `forumapi audit verify` is given them."""
    for head in heads:
        logger.info("audit head %s", head)
