"""A cron process that is stopped between the check of its turn and its commit: `python -m tests.cron.frozen URL`."""

from __future__ import annotations

import os
import signal
import sys

from forumapi.config import Config, Settings
from forumapi.cron.runner import Runner
from forumapi.database.connections import Transaction
from tests.cron.test_runner import HOURLY, NOTE, Clock


def note(tx: Transaction, config: Config) -> str:
    """Write a note, and stop the whole process."""
    tx.run(NOTE, task="frozen")
    sys.stdout.write("frozen\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGSTOP)
    return "noted"


if __name__ == "__main__":
    clock = Clock("2026-01-01T05:00:10")
    job = HOURLY._replace(work=note)
    failed = Runner(sys.argv[1], Settings(Config()), [job], clock).run_pending()
    sys.stdout.write(f"{failed} failed\n")
