"""`make bench-mail`: number of mails about updates that are sent in a minute, to a mail server that accepts all at
once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from forumapi.app import App
from forumapi.config import Config
from scripts.bench import data, database, services

# Takes everything, keeps nothing.
SINK = """
import signal, sys
from aiosmtpd.controller import Controller

class Sink:
    async def handle_DATA(self, server, session, envelope):
        return "250 OK"

Controller(Sink(), hostname="127.0.0.1", port=int(sys.argv[1])).start()
print("ready", flush=True)
signal.pause()
"""

# The newest comments of the site in conversations, each for members who did not write it; these follow what they are
# told about, and what was added for that is marked by its time.
QUEUE = """
    WITH written AS (
        SELECT c.site_id, c.comment_id, c.item_id, c.created_by
          FROM comments c
          JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id AND i.item_type_id = 6
          JOIN sites s ON s.site_id = c.site_id AND s.subdomain_key = %(site)s
         WHERE NOT c.is_deleted AND NOT c.is_moderated AND NOT i.is_deleted AND NOT i.is_moderated
         ORDER BY c.comment_id DESC LIMIT 40),
    told AS (
        SELECT w.site_id, w.comment_id, w.item_id, w.created_by, p.profile_id
          FROM written w
         CROSS JOIN LATERAL (SELECT p.profile_id FROM profiles p
                              WHERE p.site_id = w.site_id AND p.profile_id <> w.created_by
                              ORDER BY p.profile_id LIMIT %(count)s / 40) p),
    following AS (
        INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email, created)
        SELECT DISTINCT t.site_id, t.profile_id, 6, t.item_id, true, timestamptz '1999-01-01' FROM told t
            ON CONFLICT (site_id, profile_id, item_type_id, item_id) DO NOTHING)
    INSERT INTO mail_outbox (site_id, cause, state, profile_id, update_type_id, item_type_id, item_id, comment_id,
                             by_profile_id)
    SELECT t.site_id, 'bench:' || t.comment_id || ':' || t.profile_id, 'unwritten', t.profile_id, 1, 6, t.item_id,
           t.comment_id, t.created_by
      FROM told t"""
STATES = "SELECT state, count(*)::int FROM mail_outbox WHERE cause LIKE 'bench:%%' GROUP BY state"
CLEAR = (
    "DELETE FROM mail_outbox WHERE cause LIKE 'bench:%%'",
    "DELETE FROM watchers WHERE created = timestamptz '1999-01-01'",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0 if every mail was sent or rightly dropped, whatever the figures."""
    parser = argparse.ArgumentParser(prog="make bench-mail", description=__doc__)
    parser.add_argument("--size", default=os.environ.get("SIZE", "M"), choices=("S", "M", "L"))
    parser.add_argument("--mails", type=int, default=2000)
    parser.add_argument("--folder", type=Path, default=services.ROOT / "var/bench")
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    _, other = services.cores()
    with (
        database.provided(args.folder, args.size, fresh=False) as url,
        sink(other) as smtp_url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        clear(connection)
        connection.execute(QUEUE, {"site": data.SITE, "count": args.mails})
        try:
            found = drained(url, smtp_url, args.folder)
            states: dict[str, int] = dict(connection.execute(STATES).fetchall())
        finally:
            clear(connection)
    sent = states.get("sent", 0)
    print(
        f"{sent} mails sent in {found['seconds']:.1f} s: {60 * sent / found['seconds']:,.0f} a minute, "
        f"{1000 * found['cpu_s'] / max(sent, 1):.2f} ms of CPU each; "
        f"{states.get('dropped', 0)} that nobody may read or wants were not"
    )
    return 0 if sent and set(states) <= {"sent", "dropped"} else 1


def clear(connection: psycopg.Connection[Any]) -> None:
    """Remove from the database what this benchmark has written."""
    for statement in CLEAR:
        connection.execute(statement)


@contextmanager
def sink(core: int | None) -> Iterator[str]:
    """Run a mail server that accepts everything, on the other core; yield its address."""
    port = services.free_port()
    with subprocess.Popen(
        [sys.executable, "-c", SINK, str(port)], stdout=subprocess.PIPE
    ) as process:
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            assert process.stdout is not None
            process.stdout.readline()
            yield f"smtp://127.0.0.1:{port}"
        finally:
            process.terminate()


def drained(url: str, smtp_url: str, folder: Path) -> dict[str, float]:
    """Send all mails that are due with one Sender, as a web worker does, but without requests beside it; return the
    figures.
    """
    config = Config(
        environment="prod",
        smtp_url=smtp_url,
        data_dir=str(folder / "data"),
        platform_domain=services.DOMAIN,
    )
    app = App(config, {}, {}, url)
    try:
        began, cpu = time.perf_counter(), time.process_time()
        app.mail.drain()
        return {
            "seconds": time.perf_counter() - began,
            "cpu_s": time.process_time() - cpu,
        }
    finally:
        app.database.close()


if __name__ == "__main__":
    sys.exit(main())
