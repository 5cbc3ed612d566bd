"""Mail about updates."""

from __future__ import annotations

from collections.abc import Sequence

from forumapi.db import Transaction
from forumapi.updates.notice import Notice


def queue(tx: Transaction, site_id: int, notices: Sequence[Notice]) -> None:
    """Take up mail for these notices of one site, in the transaction that made them."""
