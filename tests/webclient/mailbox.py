"""Codes and links that were sent by mail, read where mail waits to be sent, and where it was put."""

from __future__ import annotations

import email
import email.policy
import re
import time
from pathlib import Path

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


def link_for(folder: Path, address: str) -> str:
    """Wait for a mail to an address; return the path of its link. `folder`: of any web process of these tests; they
    share an outbox, so that any of them may put the mail into its mailbox.
    """
    for _ in range(200):
        for path in sorted(folder.parent.glob("*/mailbox/**/*"), reverse=True):
            if not path.is_file():
                continue
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            part = mail.get_body(("plain",)) if mail["To"] == address else None
            found = re.search(
                r"https?://[^/\s]+(/\S*\?(?:key|code)=[\w-]+)", part.get_content() if part else ""
            )
            if found:
                return found[1]
        time.sleep(0.05)
    raise AssertionError(f"no link was sent to {address}")
