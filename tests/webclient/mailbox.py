"""Codes that were sent by mail, read where mail waits to be sent."""

from __future__ import annotations

import re

from tests.factories import Factory


def code_for(make: Factory, address: str) -> str:
    """Return the code of the newest mail to an address."""
    rows = make.sql(
        """SELECT subject || ' ' || text_body FROM mail_outbox
            WHERE recipient = %(address)s ORDER BY mail_id DESC LIMIT 1""",
        address=address,
    )
    found = re.search(r"\b(\d{4}) ?(\d{4})\b", rows[0][0]) if rows else None
    assert found is not None, f"no code was sent to {address}"
    return found[1] + found[2]
