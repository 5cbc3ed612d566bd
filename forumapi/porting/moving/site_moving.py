"""Move of a site to another platform: copies while people write, a short time in which the site is read-only, and the
switch, after which the site is served there and its old address leads to it.

Nothing of a move stands in the memory of the process that makes it: `site_moves` on either platform says how far it
is, and a copy brings what differs. So a killed move is run again. The site becomes read-only by a lease that ends by
itself, and the switch is refused where the lease has ended meanwhile.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from forumapi.config import Config
from forumapi.events import event_log
from forumapi.files.storage import open_storage
from forumapi.porting.moving import carried_tables, shared_rows, table_copy
from forumapi.porting.moving.carried_tables import LATE, QUEUES, CarriedTable, Destination
from forumapi.porting.moving.table_copy import Connection, Fingerprint, Key, SiteCopy

# Most seconds for which a site takes no writes.
READ_ONLY_S: Final = 60
# The last copy has to take less: a longer one is not begun, or is given up.
_LAST_COPY_S: Final = 45
# Copies before the last one: each brings what was written during the one before, so each is shorter.
_MOST_COPIES: Final = 5
_SHORT_S: Final = 5.0
# Time in which every process has seen that the site is being moved, from when on each write asks for the lease.
_SEEN_S: Final = 2.5
# Transactions that began before that get this long to end.
_ENDED_S: Final = 60.0
# Readers of events (updates, mail) get this long to finish with the site's last events.
_READERS_S: Final = 5.0

Say = Callable[[str], None]
Progress = Callable[[str, int], None]

_SESSION: Final = (
    "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=1 -c statement_timeout=0"
    " -c idle_in_transaction_session_timeout=0 -c lock_timeout=15s -c bytea_output=hex"
)

# Of the site's row; its language is read as text. Settings of a provider that signs people in stay, with its secret.
_SITE_COLUMNS: Final = (
    "domain",
    "theme_id",
    "title",
    "description",
    "force_ssl",
    "created",
    "created_by",
    "owned_by",
    "root_microcosm_id",
    "logo_url",
    "favicon_url",
    "background_url",
    "background_color",
    "background_position",
    "link_color",
    "ga_web_property_id",
    "needs_second_factor",
    "asks_consent",
    "web_url",
    "web_url_is_operators",
    "names_moderators",
)


class MoveError(Exception):
    """Failure of a move; the message is for the operator. Until the switch the site stays where it was."""


class Platform(NamedTuple):
    """One of the two platforms: its settings, and the direct URL of its database."""

    config: Config
    url: str

    def address(self, key: str) -> str:
        """Return the address of a site with this subdomain, such as `https://bikes.forum.example`, without a slash at
        its end.
        """
        config = self.config
        return f"{config.scheme}://{key}.{config.platform_domain}{config.port_suffix}"


class Compared(NamedTuple):
    """Row of the table that a move prints: fingerprints of one database table here and on the other platform."""

    table: str
    here: Fingerprint
    there: Fingerprint


class FinishedMove(NamedTuple):
    """Result of a move. `read_only_s`: for how many seconds the site took no writes; `address`: of the site now;
    `rows`, `files`: numbers of those written in all `copies` copies; `missing_files`: number of files that the store
    here lacks; `compared`: a row for each table. All numbers are 0, and `compared` is empty, where the site had moved
    before.
    """

    address: str
    rows: int
    files: int
    missing_files: int
    copies: int
    read_only_s: float
    compared: list[Compared]


class Planned(NamedTuple):
    """Plan of a move. `rows`: number of rows to carry, and `left_behind`: of rows that stay, both by table, without
    tables that have none; `files`, `bytes`: number and total size of the site's files; `address`: of the site after the
    move; `problems`: reasons why the move can't be made.
    """

    rows: dict[str, int]
    bytes: int
    files: int
    left_behind: dict[str, int]
    address: str
    problems: list[str]


@contextlib.contextmanager
def connected(place: Platform) -> Iterator[Connection]:
    """Yield a connection in autocommit to the platform's database, with the session settings that both sides of a copy
    need; it is closed with the block.
    """
    connection = psycopg.connect(
        place.url,
        autocommit=True,
        connect_timeout=10,
        options=_SESSION,
        application_name="site move",
    )
    try:
        yield connection
    finally:
        connection.close()


class SiteMove:
    """Move of the site with the subdomain `key` from the platform `here` to the platform `there`, to be used in a with
    statement, which raises MoveError if such a move can't begin, psycopg.Error if a database can't be reached. `say` is
    called with a line on each finished copy but the last one, `progress` with the name of the running copy, or "check"
    for the comparison after it, and the number of rows compared since the last call.
    """

    def __init__(
        self, here: Platform, there: Platform, key: str, say: Say, progress: Progress
    ) -> None:
        self.here = here
        self.there = there
        self.key = key
        self._say = say
        self._progress = progress
        self._stack = contextlib.ExitStack()
        self.source: Connection
        self.target: Connection
        self.site_id = 0
        self._tables: list[CarriedTable] = []
        self._all: list[CarriedTable] = []

    def __enter__(self) -> SiteMove:
        self.source = self._stack.enter_context(connected(self.here))
        self.target = self._stack.enter_context(connected(self.there))
        try:
            self._begin()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _begin(self) -> None:
        found = self.source.execute(
            "SELECT s.site_id, s.is_deleted, coalesce(v.state, '') = 'switched' AND v.direction = 'out'"
            " FROM sites s LEFT JOIN site_moves v ON v.site_id = s.site_id WHERE s.subdomain_key = %s",
            [self.key],
        ).fetchone()
        if found is None or (found[1] and not found[2]):
            raise MoveError(f"there is no site {self.key}")
        if self.key == "root":
            raise MoveError("the platform's own site can't be moved")
        self.site_id = found[0]
        migrations = "SELECT name, checksum FROM schema_migrations ORDER BY name"
        if self.source.execute(migrations).fetchall() != self.target.execute(migrations).fetchall():
            raise MoveError(
                "the platforms have different releases: install the same one on both, and migrate both"
            )
        self._all = carried_tables.all_with_a_site(self.source)
        self._tables = carried_tables.carried(self._all)
        # Held as long as the connection: of two commands for one site the second ends here.
        # On both platforms: the other one may be a move back.
        name = f"forumapi site move {self.key}"
        sides = [self.source] if self._is_same_database() else [self.source, self.target]
        for side in sides:
            (is_mine,) = self._one(
                side, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]
            )
            if not is_mine:
                raise MoveError(f"another command is moving {self.key} at this moment")

    @staticmethod
    def _one(connection: Connection, query: Any, params: Any = None) -> tuple[Any, ...]:
        row = connection.execute(query, params).fetchone()
        assert row is not None
        return tuple(row)

    # ---------------------------------------------------------------- plan

    def plan(self) -> Planned:
        """Return what would be carried, and what stands in the way. Writes nothing."""
        rows: dict[str, int] = {}
        left: dict[str, int] = {}
        for table in self._all:
            (count,) = self._one(
                self.source,
                SQL("SELECT count(*) FROM {} t WHERE t.site_id = {}").format(
                    Identifier(table.name), Literal(self.site_id)
                ),
            )
            if count and table.name not in ("sites", "site_domains"):
                (left if table.name in carried_tables.LEFT_BEHIND else rows)[table.name] = count
        files, size = self._one(
            self.source,
            "SELECT count(*), coalesce(sum(f.file_size), 0)::bigint FROM files f WHERE f.file_hash IN"
            " (SELECT u.file_hash FROM file_uploads u WHERE u.site_id = %s)",
            [self.site_id],
        )
        return Planned(rows, size, files, left, self.there.address(self.key), self._problems())

    def _problems(self) -> list[str]:
        found = []
        if self._is_same_database():
            return ["both settings name the same database"]
        taken = self.target.execute(
            "SELECT v.address, v.direction, v.state FROM sites s LEFT JOIN site_moves v ON v.site_id = s.site_id"
            " WHERE s.subdomain_key = %s",
            [self.key],
        ).fetchone()
        # The copy of a move under way, or what stayed there when the site was moved here.
        ours = (
            (self.here.address(self.key), "in", "copying"),
            (self.here.address(self.key), "out", "switched"),
        )
        if taken and tuple(taken) not in ours:
            found.append(f"the other platform has a site {self.key} already")
        domain, theme = self._one(
            self.source,
            "SELECT s.domain, s.theme_id FROM sites s WHERE s.site_id = %s",
            [self.site_id],
        )
        if (
            domain
            and self.target.execute(
                "SELECT 1 FROM sites s WHERE s.domain = %s AND s.subdomain_key <> %s",
                [domain, self.key],
            ).fetchone()
        ):
            found.append(f"the other platform has a site with the domain {domain} already")
        domains = self.source.execute(
            f"SELECT d.domain FROM site_domains d WHERE d.site_id = %s AND {_SERVED}",
            [self.site_id],
        ).fetchall()
        if others := self.target.execute(
            "SELECT d.domain FROM site_domains d JOIN sites s ON s.site_id = d.site_id"
            f" WHERE d.domain = ANY(%s) AND s.subdomain_key <> %s AND {_SERVED} ORDER BY d.domain",
            [[row[0] for row in domains], self.key],
        ).fetchall():
            names = ", ".join(row[0] for row in others)
            found.append(f"another site of the other platform has the domains {names}")
        if not self.target.execute(
            "SELECT 1 FROM themes t WHERE t.theme_id = %s", [theme]
        ).fetchone():
            found.append("the other platform does not have the site's theme")
        return found + self._work_under_way()

    def _work_under_way(self) -> list[str]:
        """Return a sentence for each kind of background work on the site here that would go on while the site is
        read-only; [] for none.
        """
        found = []
        for what, query in (
            (
                "an action of moderators is being carried out: wait until it is done",
                "SELECT 1 FROM actions a WHERE a.site_id = %s AND a.state IN ('running', 'undoing')",
            ),
            (
                "an import is under way: wait until it is done",
                "SELECT 1 FROM site_imports i WHERE i.site_id = %s AND i.state IN ('waiting', 'running')",
            ),
        ):
            if self.source.execute(query, [self.site_id]).fetchone():
                found.append(what)
        return found

    def _is_same_database(self) -> bool:
        lock = secrets.randbits(62)
        self.source.execute("SELECT pg_advisory_lock(%s)", [lock])
        (is_other,) = self._one(self.target, "SELECT pg_try_advisory_lock(%s)", [lock])
        if is_other:
            self.target.execute("SELECT pg_advisory_unlock(%s)", [lock])
        self.source.execute("SELECT pg_advisory_unlock(%s)", [lock])
        return not is_other

    # ---------------------------------------------------------------- move

    def run(self, *, is_copy_only: bool = False) -> FinishedMove | None:
        """Move the site, or go on with a move that was killed; of a site that has moved, also with `is_copy_only`, open
        it there unless it is open, and return a result whose numbers are 0. `is_copy_only`: copy the site, while it
        takes writes, and return None; a later call goes on from there.

        Raises MoveError, StorageError, psycopg.Error; until the switch the site then stays where it was, and takes
        writes again.
        """
        if self._has_switched():
            self._open_there()
            return FinishedMove(self.there.address(self.key), 0, 0, 0, 0, 0.0, [])
        if problems := self._problems():
            raise MoveError("; ".join(problems))
        begun = time.monotonic()
        self._say_that_it_moves()
        there = self._site_there()
        rows = files = missing = 0
        took = 0.0
        copies = 0
        for copies in range(1, _MOST_COPIES + 1):
            began = time.monotonic()
            changed = self._copy(there, f"copy {copies}", is_last=False)
            rows += changed.written
            files += changed.files
            missing = changed.missing
            took = time.monotonic() - began
            self._say(
                f"copy {copies}: {changed.written:,} rows, {changed.files:,} files in {took:.1f} s"
            )
            if copies > 1 and (took < _SHORT_S or changed.written == 0):
                break
        if is_copy_only:
            return None
        if took > _LAST_COPY_S / 2:
            raise MoveError(
                f"a copy of what has changed takes {took:.0f} s, and the site would be read-only for twice as long,"
                f" longer than {READ_ONLY_S} s: move it at a quieter time, or from a faster machine"
            )
        time.sleep(max(0.0, _SEEN_S - (time.monotonic() - begun)))
        self._wait_for_transactions()
        self._make_read_only()
        began = time.monotonic()
        try:
            # What began during the copies; from now on nothing begins.
            if under_way := self._work_under_way():
                raise MoveError("; ".join(under_way))
            last = self._last_copy(there, began)
            self._switch(there, began)
        except BaseException:
            self._make_writable()
            raise
        return FinishedMove(
            self.there.address(self.key),
            rows + last.written,
            files + last.files,
            missing,
            copies + 1,
            time.monotonic() - began,
            last.compared,
        )

    def _has_switched(self) -> bool:
        """Return True if the site has moved to the other platform. Raises MoveError if the site has moved elsewhere."""
        row = self.source.execute(
            "SELECT v.address FROM site_moves v WHERE v.site_id = %s AND v.direction = 'out' AND v.state = 'switched'",
            [self.site_id],
        ).fetchone()
        if row is not None and row[0] != self.there.address(self.key):
            raise MoveError(f"{self.key} has moved to {row[0]}")
        return row is not None

    def _say_that_it_moves(self) -> None:
        """Record here that the site is being moved. Once processes have seen that, each write of the site first looks
        if the move's lease, during which the site is read-only, is running.
        """
        with self.source.transaction():
            self.source.execute(
                """
                INSERT INTO site_moves AS v (site_id, direction, address) VALUES (%(site)s, 'out', %(address)s)
                    ON CONFLICT (site_id) DO UPDATE
                   SET direction = 'out', state = 'copying', address = %(address)s, begun = now(), switched = NULL,
                       read_only_until = '-infinity'""",
                {"site": self.site_id, "address": self.there.address(self.key)},
            )
            self.source.execute(
                "UPDATE sites s SET version = s.version + 1 WHERE s.site_id = %s", [self.site_id]
            )

    def _site_there(self) -> int:
        """Return the id of the site on the other platform. If there is none the site is made, marked as deleted, so
        that it is not served yet.
        """
        row = self.target.execute(
            "SELECT s.site_id FROM sites s WHERE s.subdomain_key = %s", [self.key]
        ).fetchone()
        if row is not None:
            return int(row[0])
        row = self._one(
            self.source,
            "SELECT s.title, s.description, s.search_language::text, s.theme_id FROM sites s WHERE s.site_id = %s",
            [self.site_id],
        )
        with self.target.transaction():
            (there,) = self._one(
                self.target,
                "INSERT INTO sites (title, description, subdomain_key, search_language, theme_id, is_deleted)"
                " VALUES (%s, %s, %s, %s::regconfig, %s, true) RETURNING site_id",
                [row[0], row[1], self.key, row[2], row[3]],
            )
            self.target.execute(
                "INSERT INTO site_moves (site_id, direction, address) VALUES (%s, 'in', %s)",
                [there, self.here.address(self.key)],
            )
        return int(there)

    # ---------------------------------------------------------------- copy

    @contextlib.contextmanager
    def _moment(self, there: int) -> Iterator[SiteCopy]:
        """Yield the connections for one copy, whose transactions each see one moment of their platform. `there`: the
        site's id on the other platform.
        """
        with connected(self.here) as reader, connected(self.there) as compared:
            for connection in (reader, compared):
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            hosts = [
                place.address(self.key).partition("://")[2] for place in (self.here, self.there)
            ]
            to = Destination(there, *hosts)
            yield SiteCopy(reader, compared, self.target, self.site_id, to)

    def _copy(self, there: int, name: str, *, is_last: bool, until: float = 0.0) -> _Copied:
        """Bring what differs to the other platform. `there`: the site's id on it; `name`: the copy's, for the progress;
        `is_last`: rows of queues, which are work for cron processes, too; `until`: monotonic time at which to give up,
        0 for none. Raises MoveError then.
        """

        def step(rows: int) -> None:
            if until and time.monotonic() > until:
                raise MoveError(
                    f"the last copy took longer than {_LAST_COPY_S} s; the site takes writes again, and nothing is"
                    " lost: run the same command at a quieter time"
                )
            self._progress(name, rows)

        with self._moment(there) as site:
            shared_rows.make_users(site)
            shared_rows.make_suppressions(site)
            shared_rows.make_links(site)
            files, missing = shared_rows.copy_files(
                site, open_storage(self.here.config), open_storage(self.there.config)
            )
            written = 0
            here: dict[str, Fingerprint] = {}
            gone: list[tuple[CarriedTable, list[Key]]] = []
            tables = [table for table in self._tables if is_last or table.name not in QUEUES]
            for table, is_late in (
                *((one, one.name in LATE) for one in tables),
                # Rows that came without a reference are copied once more, behind those that it leads to.
                *((one, False) for one in tables if one.name in LATE),
            ):
                changes = table_copy.copy(site, table, step, is_late=is_late)
                if is_late:
                    continue
                here[table.name] = changes.here
                written += changes.written
                if changes.gone:
                    gone.append((table, changes.gone))
            order = {table.name: place for place, table in enumerate(tables)}
            for table, keys in sorted(gone, key=lambda one: order[one[0].name], reverse=True):
                table_copy.delete(site, table, keys)
            shared_rows.remove_lent_users(site)
            shared_rows.settle_files(site)
            if any(table.name in ("attachments", "file_uploads") for table, _ in gone):
                self.target.execute(_COUNT_STRAYS)
            return _Copied(written, files, missing, here, [])

    def _compare(self, there: int, copied: _Copied) -> _Copied:
        compared = []
        with self._moment(there) as site:
            for table in self._tables:
                found = table_copy.fingerprint(
                    site.compared, table, there, None, lambda rows: self._progress("check", rows)
                )
                compared.append(Compared(table.name, copied.here[table.name], found))
        return copied._replace(compared=compared)

    # ---------------------------------------------------------------- read-only

    def _make_read_only(self) -> None:
        """Wait for the writes to the site here that are under way, and begin the lease, during which no write of the
        site begins; it ends by itself after READ_ONLY_S (60) seconds. Raises MoveError if the writes under way take too
        long.
        """
        try:
            with self.source.transaction():
                self._lock_move()
                self.source.execute(
                    "UPDATE site_moves v SET read_only_until = clock_timestamp() + make_interval(secs => %s)"
                    " WHERE v.site_id = %s",
                    [READ_ONLY_S, self.site_id],
                )
        except psycopg.errors.LockNotAvailable:
            raise MoveError(
                "writes that take long are under way: run the same command again"
            ) from None

    def _wait_for_transactions(self) -> None:
        """Wait until every transaction that is under way here has ended: one that began before the move was recorded
        writes without looking at the lease, so that the site would not be read-only for it. The site takes writes
        meanwhile. Raises MoveError if one takes too long.
        """
        until = time.monotonic() + _ENDED_S
        under_way = {row[0] for row in self.source.execute(_TRANSACTIONS).fetchall()}
        while under_way:
            rows = self.source.execute(_TRANSACTIONS).fetchall()
            left = [row for row in rows if row[0] in under_way]
            under_way = {row[0] for row in left}
            if left and time.monotonic() > until:
                names = ", ".join(f"{pid} ({name})" if name else str(pid) for _, pid, name in left)
                raise MoveError(
                    f"transactions that began {_ENDED_S:.0f} s ago are under way in the database here, of the backends"
                    f" {names}: run the same command again when they have ended"
                )
            if left:
                time.sleep(0.05)

    def _lock_move(self) -> None:
        self.source.execute(
            "SELECT 1 FROM site_moves v WHERE v.site_id = %s FOR UPDATE", [self.site_id]
        )

    def _make_writable(self) -> None:
        """End the lease, and so the time in which the site is read-only, at once, unless the site has moved; if the
        database can't be reached, the lease ends by itself.
        """
        with contextlib.suppress(psycopg.Error), connected(self.here) as connection:
            connection.execute(
                "UPDATE site_moves v SET read_only_until = '-infinity' WHERE v.site_id = %s AND v.state = 'copying'",
                [self.site_id],
            )

    def _last_copy(self, there: int, began: float) -> _Copied:
        """Bring the last changes, and compare both platforms. `there`: the site's id on the other one; `began`:
        monotonic time since when the site has been read-only. Raises MoveError if the platforms still differ when the
        time is up, or if the copy takes too long.
        """
        until = began + _LAST_COPY_S
        self._wait_for_readers(began + _READERS_S)
        while True:
            copied = self._compare(there, self._copy(there, "last copy", is_last=True, until=until))
            different = [one for one in copied.compared if one.here != one.there]
            if not different:
                return copied
            if time.monotonic() > until - (time.monotonic() - began):
                names = ", ".join(
                    f"{one.table} ({one.here.rows:,} rows here, {one.there.rows:,} there)"
                    for one in different
                )
                raise MoveError(f"the copy differs in {names}; the site takes writes again")

    def _wait_for_readers(self, until: float) -> None:
        """Wait until updates of the site's last events are made and its mail is written here, but no longer than until
        this monotonic time; updates and mail that are not done by then are never made.
        """
        is_numbered = False
        while time.monotonic() < until:
            if not is_numbered:
                # Cursors are compared with numbers, so that an event without one would count as read.
                is_numbered = self.source.execute(_UNNUMBERED, [self.site_id]).fetchone() is None
            elif not self.source.execute(_UNREAD, {"site": self.site_id}).fetchone():
                return
            time.sleep(0.1)

    # ---------------------------------------------------------------- switch

    def _switch(self, there: int, began: float) -> None:
        """Close the site here and open it on the other platform. `there`: the site's id on it; `began`: monotonic time
        since when the site has been read-only, for a message.

        Raises MoveError, and changes nothing, if the lease has ended. A command that is killed in the instant between
        the commits of the two platforms leaves the site closed until it is run again.
        """
        try:
            self._commit_switch(there, began)
        except psycopg.Error:
            self._finish_switch()

    def _commit_switch(self, there: int, began: float) -> None:
        with self.target.transaction():
            self._prepare_there(there)
            with self.source.transaction():
                self._lock_move()
                (is_held,) = self._one(
                    self.source,
                    "SELECT v.read_only_until > clock_timestamp() FROM site_moves v WHERE v.site_id = %s",
                    [self.site_id],
                )
                if not is_held:
                    raise MoveError(
                        f"the site took no writes for {time.monotonic() - began:.0f} s, and takes them again;"
                        " nothing has moved: run the same command again"
                    )
                self.source.execute(
                    "UPDATE site_moves v SET state = 'switched', switched = now(), read_only_until = '-infinity'"
                    " WHERE v.site_id = %s",
                    [self.site_id],
                )
                self.source.execute(
                    "UPDATE sites s SET is_deleted = true, version = s.version + 1 WHERE s.site_id = %s",
                    [self.site_id],
                )
                # A change of the site's state must not bring it back here.
                self.source.execute(
                    "UPDATE site_states v SET was_deleted = true WHERE v.site_id = %s",
                    [self.site_id],
                )

    def _finish_switch(self) -> None:
        """Deal with the exception of a commit, in whose `except` block the call stands: open the site on the other
        platform if it is closed here, else raise that exception again. Raises MoveError if the site can't be opened
        there.
        """
        error = sys.exception()
        assert error is not None, "called while one is handled"
        with connected(self.here) as source:
            self.source = source
            if not self._has_switched():
                raise error
            try:
                with connected(self.there) as target:
                    self.target = target
                    self._open_there()
            except psycopg.Error as again:
                raise MoveError(
                    f"the site is closed here and could not be opened there ({again}): run the same command again,"
                    " which opens it"
                ) from again

    def _open_there(self) -> None:
        """Open the site on the other platform after a switch that was killed between its two commits; does nothing if
        the site is open there already. Raises MoveError if the site there is no copy of this move, or has been moved on
        since.
        """
        (switched,) = self._one(
            self.source,
            "SELECT v.switched FROM site_moves v WHERE v.site_id = %s",
            [self.site_id],
        )
        row = self.target.execute(
            "SELECT s.site_id, v.direction = 'in' AND v.state = 'switched',"
            " s.is_deleted AND (v.direction = 'in' OR v.state = 'switched' AND v.switched < %s)"
            " FROM sites s JOIN site_moves v ON v.site_id = s.site_id AND v.address = %s WHERE s.subdomain_key = %s",
            [switched, self.here.address(self.key), self.key],
        ).fetchone()
        if row is None:
            raise MoveError(f"{self.key} has moved, but not to this platform")
        if not row[1]:
            if not row[2]:
                raise MoveError(
                    f"{self.key} has moved to the other platform, and is being moved from there, or has been"
                )
            with self.target.transaction():
                self._prepare_there(row[0])

    def _prepare_there(self, there: int) -> None:
        """Open the site on the other platform, where its id is `there`, in the caller's transaction: write the site's
        row, domains, keys of links and waiting erasures of people, move sequences behind the ids that have come, and
        delete mail that the copy's rows have queued.
        """
        row = self._one(
            self.source,
            SQL("SELECT s.search_language::text, {} FROM sites s WHERE s.site_id = {}").format(
                SQL(", ").join(SQL("s.{}").format(Identifier(name)) for name in _SITE_COLUMNS),
                Literal(self.site_id),
            ),
        )
        domains = self.source.execute(
            "SELECT d.domain, d.state, d.since, d.next_check, d.checked, d.found, d.failures, d.failing_since,"
            " d.released FROM site_domains d WHERE d.site_id = %s",
            [self.site_id],
        ).fetchall()
        self.target.execute("DELETE FROM site_domains d WHERE d.site_id = %s", [there])
        for domain in domains:
            self.target.execute(
                "INSERT INTO site_domains (site_id, domain, state, since, next_check, checked, found, failures,"
                " failing_since, released) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [there, *domain],
            )
        for table in self._tables:
            if table.identity and not table.is_renumbered:
                self._advance(there, table)
        self.target.execute("DELETE FROM mail_outbox m WHERE m.site_id = %s", [there])
        shared_rows.make_erasures(self.site_id, self.source, self.target, there)
        shared_rows.make_link_keys(self.site_id, self.source, self.target, there)
        self.target.execute(
            "INSERT INTO site_people (site_id, total) SELECT %(there)s, count(*) FROM profiles p"
            " WHERE p.site_id = %(there)s ON CONFLICT (site_id) DO UPDATE SET total = EXCLUDED.total",
            {"there": there},
        )
        self.target.execute(
            SQL(
                "UPDATE sites s SET search_language = %s::regconfig, {}, is_deleted = false, version = s.version + 1,"
                " acl_version = s.acl_version + 1 WHERE s.site_id = %s"
            ).format(
                SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in _SITE_COLUMNS)
            ),
            [*row, there],
        )
        # Of a site that moves back.
        self.target.execute(
            "UPDATE site_states v SET was_deleted = false WHERE v.site_id = %s", [there]
        )
        old_host = self.here.address(self.key).partition("://")[2]
        self.target.execute(
            "UPDATE sites s SET web_url = NULL, web_url_is_operators = false"
            " WHERE s.site_id = %s AND starts_with(regexp_replace(s.web_url, '^https?://', '') || '/', %s)",
            [there, f"{old_host}/"],
        )
        self.target.execute(
            "UPDATE site_moves v SET direction = 'in', state = 'switched', switched = now(), address = %s"
            " WHERE v.site_id = %s",
            [self.here.address(self.key), there],
        )

    def _advance(self, there: int, table: CarriedTable) -> None:
        """Move the sequence of a table's ids on the other platform behind the ids that have come with the site, whose
        id is `there`. A short way is gone by drawing from the sequence, since other sites of that platform draw from it
        too; a long one by setting it.
        """
        name, column = table.name, table.identity
        (sequence, most) = self._one(
            self.target,
            SQL(
                "SELECT pg_get_serial_sequence({}, {}), coalesce(max(t.{}), 0) FROM {} t WHERE t.site_id = {}"
            ).format(
                Literal(name), Literal(column), Identifier(column), Identifier(name), Literal(there)
            ),
        )
        (last,) = self._one(self.target, SQL("SELECT last_value FROM {}").format(SQL(sequence)))
        if most - last > _FAR:
            self.target.execute("SELECT setval(%s::regclass, %s)", [sequence, most])
        elif most and most >= last:
            # Of a sequence that nobody has drawn from, the last value is the first one to come.
            self.target.execute(
                "SELECT count(nextval(%s::regclass)) FROM generate_series(1, %s)",
                [sequence, most - last + 1],
            )

    # ---------------------------------------------------------------- undo

    def undo(self) -> int:
        """Remove the site's copy from the other platform, and end the move here; return the number of rows removed.
        Raises MoveError once the site has moved, and changes nothing then; also if there is no copy, but ends the move
        here first.
        """
        row = self.target.execute(
            "SELECT s.site_id, v.state FROM sites s JOIN site_moves v ON v.site_id = s.site_id"
            " WHERE s.subdomain_key = %s AND v.direction = 'in' AND v.address = %s",
            [self.key, self.here.address(self.key)],
        ).fetchone()
        if self._has_switched() or (row and row[1] == "switched"):
            raise MoveError(f"{self.key} has moved: move it back in place of this")
        if row is None:
            self._forget()
            raise MoveError("the other platform has no copy")
        there = row[0]
        removed = 0
        with self.target.transaction():
            self.target.execute(_STRAYS, {"there": there})
            self.target.execute(
                "UPDATE sites s SET owned_by = NULL, created_by = NULL, root_microcosm_id = NULL WHERE s.site_id = %s",
                [there],
            )
            self.target.execute("UPDATE cases c SET appeal_id = NULL WHERE c.site_id = %s", [there])
            # Triggers note for caches and search what is deleted: their tables come last, once more.
            again = [one for one in self._all if one.name in carried_tables.LEFT_BEHIND]
            for table in [*reversed(self._all), *reversed(again)]:
                if table.name != "sites":
                    done = self.target.execute(
                        SQL("DELETE FROM {} t WHERE t.site_id = {}").format(
                            Identifier(table.name), Literal(there)
                        )
                    )
                    removed += done.rowcount
            self.target.execute("DELETE FROM sites s WHERE s.site_id = %s", [there])
            shared_rows.remove_made_users(self.site_id, self.source, self.target, there)
        self._forget()
        self.target.execute(_COUNT_STRAYS)
        return removed

    def _forget(self) -> None:
        self.source.execute("DELETE FROM site_moves v WHERE v.site_id = %s", [self.site_id])


_FAR: Final = 10_000

# Of a row of site_domains: a site of a platform alone may have such a one.
_SERVED: Final = "d.state IN ('proven', 'unproven')"

# Transactions of this database but one's own, by their virtual id, which every role sees.
_TRANSACTIONS: Final = """
    SELECT k.virtualtransaction, k.pid, coalesce(a.application_name, '')
      FROM pg_locks k
      JOIN pg_stat_activity a ON a.pid = k.pid
     WHERE k.locktype = 'virtualxid' AND k.granted AND k.virtualxid = k.virtualtransaction
       AND a.datname = current_database() AND a.pid <> pg_backend_pid()
       AND a.backend_type IS DISTINCT FROM 'autovacuum worker'"""
_UNNUMBERED: Final = f"SELECT 1 FROM event_log e WHERE e.site_id = %s AND {event_log.FRESH} LIMIT 1"
_UNREAD: Final = """
    SELECT 1 FROM event_heads h JOIN event_cursors c ON c.site_id = h.site_id
     WHERE h.site_id = %(site)s AND c.number < h.number
     UNION ALL SELECT 1 FROM mail_outbox m WHERE m.site_id = %(site)s AND m.state = 'unwritten' LIMIT 1"""

_STRAYS: Final = """
    INSERT INTO file_strays (file_hash)
    SELECT u.file_hash FROM file_uploads u WHERE u.site_id = %(there)s
     UNION SELECT a.file_hash FROM attachments a WHERE a.site_id = %(there)s
        ON CONFLICT (file_hash) DO UPDATE SET since = now()"""
_COUNT_STRAYS: Final = """
    UPDATE files f
       SET attach_count = n.hung
      FROM (SELECT s.file_hash, (SELECT count(*) FROM attachments a WHERE a.file_hash = s.file_hash) AS hung
              FROM file_strays s ORDER BY s.file_hash) n
     WHERE f.file_hash = n.file_hash AND f.attach_count <> n.hung"""


class _Copied(NamedTuple):
    """Result of one copy: numbers of rows and files written, and of files `missing` in the store here. `here`:
    fingerprints of the tables here, by name; `compared`: those of both platforms, after the last copy alone.
    """

    written: int
    files: int
    missing: int
    here: Mapping[str, Fingerprint]
    compared: list[Compared]
