"""Leases: what one process of all does at a time, with a number for each turn (decision 0026).

Who holds a lease renews it each second; after three seconds without, or as soon as its connection is gone, another
process takes it and raises its epoch. Time alone would not do: a process that is frozen does not notice that its turn
is over, and goes on with what it had begun. So each effect is a transaction that holds the row of the lease at the
epoch of its turn (`hold`): it can't begin in a later one, and whoever takes over first ends those that are under way.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from typing import Final

import psycopg

from forumapi.database.connections import Connection, Query, Reader
from forumapi.errors import Unavailable

# Another process leads within TTL_S and TRY_S after one was frozen.
TTL_S: Final = 3.0
RENEW_S: Final = 1.0
TRY_S: Final = 1.0
# Beyond this a renewal has failed, whatever becomes of it.
_LIMIT_S: Final = 5.0

_FREE: Final = """
       (l.expires < clock_timestamp() OR NOT EXISTS (SELECT FROM pg_stat_activity h WHERE h.pid = l.backend))"""
IS_FREE = Query("lease.is_free", f"SELECT {_FREE} FROM leases l WHERE l.name = %(name)s")

# Effects of the turn that is over name themselves by it. Waits until they are gone, for half a second each at most.
END = Query(
    "lease.end",
    f"""
    SELECT bool_and(pg_terminate_backend(a.pid, 500))
      FROM leases l
      JOIN pg_stat_activity a ON a.datname = current_database()
                             AND a.application_name = 'forumapi ' || l.name || ' ' || l.epoch
     WHERE l.name = %(name)s AND {_FREE}""",
)

# Never waits: who finds an effect under way tries again.
TAKE = Query(
    "lease.take",
    f"""
    UPDATE leases t
       SET epoch = t.epoch + 1, backend = pg_backend_pid(),
           expires = clock_timestamp() + make_interval(secs => %(ttl_s)s::float8)
      FROM (SELECT l.name FROM leases l WHERE l.name = %(name)s AND {_FREE} FOR UPDATE SKIP LOCKED) free
     WHERE t.name = free.name
 RETURNING t.epoch, clock_timestamp()""",
)

RENEW = Query(
    "lease.renew",
    """
    UPDATE leases l
       SET expires = clock_timestamp() + make_interval(secs => %(ttl_s)s::float8)
     WHERE l.name = %(name)s AND l.epoch = %(epoch)s
 RETURNING clock_timestamp()""",
)

GIVE_BACK = Query(
    "lease.give_back",
    "UPDATE leases l SET expires = '-infinity' WHERE l.name = %(name)s AND l.epoch = %(epoch)s",
)

HOLD = Query(
    "lease.hold",
    """
    SELECT set_config('application_name', 'forumapi ' || l.name || ' ' || l.epoch, true)
      FROM leases l
     WHERE l.name = %(name)s AND l.epoch = %(epoch)s
       FOR KEY SHARE""",
)


class LostError(Unavailable):
    """Another process has taken over what this one was about to do."""

    def __init__(self) -> None:
        super().__init__("Another process has taken over")


class Lease:
    """The lease called `name`, as one process sees it. `url` is the direct address of the database.

    `take` and `release` are for one thread; whoever works under the lease may ask `holds` and `hold` in any.
    """

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url
        self._epoch = 0
        self._until = 0.0
        self._told = (datetime.datetime.now(datetime.UTC), time.monotonic())
        self._connection: Connection | None = None
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def holds(self) -> bool:
        """Return if it is this process's turn, as far as it can know. Costs nothing."""
        return time.monotonic() < self._until

    @property
    def turn(self) -> dict[str, object]:
        """Return the parameters of HOLD: the turn that is, or was, this process's."""
        return {"name": self._name, "epoch": self._epoch}

    def hold(self, tx: Reader) -> None:
        """Let the transaction `tx` be an effect of this process's turn: it is committed before the next one begins, or
        not at all. Raises LostError when another has begun."""
        if tx.row(HOLD, **self.turn) is None:
            raise LostError

    def now(self) -> datetime.datetime:
        """Return the time of the database's clock, as of the last look: the machine's may be off, or be set."""
        told, since = self._told
        return told + datetime.timedelta(seconds=time.monotonic() - since)

    def take(self) -> bool:
        """Begin a turn if nobody has it, and renew it in the background; whether it is this process's.

        Raises psycopg.Error.
        """
        if self.holds():
            return True
        self._end_thread()
        if self._connection is None:
            self._connection = Connection(self._url, prepare=False, timeout_s=_LIMIT_S)
        try:
            return self._try(self._connection)
        except BaseException:
            self._close()
            raise

    def _try(self, connection: Connection) -> bool:
        params = {"name": self._name, "ttl_s": TTL_S}
        rows, _ = connection.execute(IS_FREE, params)
        if not rows or not rows[0][0]:
            return False
        connection.execute(END, params)
        sent = time.monotonic()
        rows, _ = connection.execute(TAKE, params)
        if not rows:
            return False
        self._epoch, now = rows[0]
        self._know(sent, now)
        self._done.clear()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()
        return True

    def _know(self, sent: float, now: datetime.datetime) -> None:
        self._until = sent + TTL_S
        self._told = (now.astimezone(datetime.UTC), time.monotonic())

    def _renew(self) -> None:
        params = {**self.turn, "ttl_s": TTL_S}
        while not self._done.wait(RENEW_S):
            connection = self._connection
            sent = time.monotonic()
            try:
                rows = connection.execute(RENEW, params)[0] if connection is not None else []
            except psycopg.Error:
                rows = []
            if not rows:
                self._until = 0.0
                return
            self._know(sent, rows[0][0])

    def release(self) -> None:
        """End the turn, and close the connection."""
        self._until = 0.0
        was_held = self._end_thread()
        if was_held and self._connection is not None:
            # Else the next one would have to find out that the connection is gone.
            with contextlib.suppress(psycopg.Error):
                self._connection.execute(GIVE_BACK, self.turn)
        self._close()

    def _end_thread(self) -> bool:
        """Renew no more; whether that was under way."""
        thread, self._thread = self._thread, None
        if thread is None:
            return False
        was_held = thread.is_alive()
        self._done.set()
        thread.join()
        return was_held

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                connection.close()
