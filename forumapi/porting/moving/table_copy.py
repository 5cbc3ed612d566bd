"""Copy of a table's rows of one site to another platform: what differs there is inserted, updated and deleted, so that
the same call copies a whole table, brings what has changed since, and goes on where a killed one ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.sql import SQL, Composed, Identifier, Literal

from forumapi import itemtypes
from forumapi.porting.moving.carried_tables import LATE, MAILED, CarriedTable, Destination

Connection = psycopg.Connection[Any]
Key = tuple[int | str, ...]
# Called with the number of rows compared since the last call; may raise to end the copy.
Step = Callable[[int], None]

# Beginning of the keys of users whom profiles have between two rows of a copy.
LENT: Final = "moving:"

# Rows that are compared at a time, and written in one transaction.
_COMPARED: Final = 10_000
_WRITTEN: Final = 2_000


class SiteCopy(NamedTuple):
    """Connections for one copy of a site. `reader`: a transaction here, and `compared`: one on the other platform, each
    of which sees one moment; `writer`: a connection to the other platform, in autocommit. `site_id`: the site's id
    here; `to`: the site on the other platform.
    """

    reader: Connection
    compared: Connection
    writer: Connection
    site_id: int
    to: Destination

    @property
    def there(self) -> int:
        """Return the site's id on the other platform."""
        return self.to.site_id


class Fingerprint(NamedTuple):
    """Number of a table's rows of one site, and the SHA-256, in hexadecimal, of their keys and digests in the order of
    the keys.
    """

    rows: int
    digest: str


class TableChanges(NamedTuple):
    """Result of the copy of one table. `here`: fingerprint of the rows here; `written`: number of rows inserted or
    updated on the other platform; `gone`: keys of rows that are there alone, to be deleted by the caller once nothing
    refers to them; [] for the table of bans, where `copy` deletes them.
    """

    here: Fingerprint
    written: int
    gone: list[Key]


def copy(site: SiteCopy, table: CarriedTable, step: Step, *, is_late: bool = False) -> TableChanges:
    """Write the rows of a table that are missing or differ on the other platform to it, in transactions of up to 2,000
    rows; rows that are there alone are returned as `gone`, and not deleted (but in the table of bans). `step` is called
    with the number of rows compared since the last call. `is_late`: write missing rows alone, without the column that
    LATE names (`appeal_id` of `cases`), whose reference is to a table that comes later.

    Raises psycopg.Error, and what `step` raises.
    """
    there = _Rows(digests(site.compared, table, site.there, None, step))
    hashed = hashlib.sha256()
    rows = written = 0
    gone: list[Key] = []
    batch: list[Key] = []
    writer = _RowWriter(site, table, is_late=is_late)
    for key, digest in digests(site.reader, table, site.site_id, site.to, step):
        rows += 1
        hashed.update(_line(key, digest))
        while there.key is not None and there.key < key:
            gone.append(there.key)
            there.advance()
        if there.key == key:
            is_equal = is_late or there.digest == digest
            there.advance()
            if is_equal:
                continue
        batch.append(key)
        if len(batch) == _WRITTEN and not table.is_renumbered:
            written += writer.write(batch)
            batch = []
    while there.key is not None:
        gone.append(there.key)
        there.advance()
    if table.is_renumbered:
        # One that has changed is another one, and may be of the same domain. Nothing refers to any.
        delete(site, table, gone)
        gone = []
    for start in range(0, len(batch), _WRITTEN):
        written += writer.write(batch[start : start + _WRITTEN])
    writer.end()
    return TableChanges(Fingerprint(rows, hashed.hexdigest()), written, gone)


def delete(site: SiteCopy, table: CarriedTable, gone: list[Key]) -> None:
    """Delete the rows with the keys `gone` on the other platform, by descending key, in transactions of up to 2,000
    rows. Raises psycopg.Error.
    """
    gone = sorted(gone, reverse=True)
    for start in range(0, len(gone), _WRITTEN):
        statement = SQL("DELETE FROM {} t USING {} WHERE t.site_id = {} AND {}").format(
            Identifier(table.name),
            _wanted(table, gone[start : start + _WRITTEN]),
            Literal(site.there),
            _matches(table, None),
        )
        if table.name in ("attachments", "file_uploads"):
            # Were it the last one, the clean-up would know of the file by nothing else.
            statement = SQL(
                "WITH lost AS ({} RETURNING t.file_hash) INSERT INTO file_strays (file_hash)"
                " SELECT DISTINCT l.file_hash FROM lost l ON CONFLICT (file_hash) DO UPDATE SET since = now()"
            ).format(statement)
        site.writer.execute(statement)


def fingerprint(
    connection: Connection, table: CarriedTable, site_id: int, to: Destination | None, step: Step
) -> Fingerprint:
    """Return the fingerprint of a table's rows of a site. The connection must be in a transaction; `site_id`: the
    site's id on its platform. `to`: where the rows go; None for rows that stand there already. `step` is called with
    the number of rows read since the last call, and may raise.
    """
    hashed = hashlib.sha256()
    rows = 0
    for key, digest in digests(connection, table, site_id, to, step):
        rows += 1
        hashed.update(_line(key, digest))
    return Fingerprint(rows, hashed.hexdigest())


def digests(
    connection: Connection, table: CarriedTable, site_id: int, to: Destination | None, step: Step
) -> Iterator[tuple[Key, str]]:
    """Yield key and digest of each of a site's rows, by ascending key; of rows with equal keys the first; the key is ()
    in a table with one row a site. The connection must be in a transaction; `site_id`: the site's id on its platform.
    `to`: where the rows go; None for rows that stand there already. `step` is called with the number of rows read since
    the last call, and may raise.
    """
    keys = table.keys(to)
    order = [SQL(str(place)) for place in range(1, len(keys) + 1)]
    statement = SQL("SELECT {}{} FROM {} t WHERE t.site_id = {}{}").format(
        SQL("").join(SQL("{}, ").format(key) for key in keys),
        table.digest(to),
        Identifier(table.name),
        Literal(site_id),
        SQL(" ORDER BY {}").format(SQL(", ").join(order)) if order else SQL(""),
    )
    last: Key | None = None
    with connection.cursor(f"moving_{table.name}") as cursor:
        cursor.execute(statement)
        while found := cursor.fetchmany(_COMPARED):
            step(len(found))
            for *key, digest in found:
                if tuple(key) != last or not key:
                    last = tuple(key)
                    yield last, digest


def _line(key: Key, digest: str) -> bytes:
    return f"{key!r} {digest}\n".encode()


class _Rows:
    """Rows of one platform as keys and digests, one at a time; `key` is None behind the last one."""

    def __init__(self, found: Iterator[tuple[Key, str]]) -> None:
        self._found = found
        self.key: Key | None = None
        self.digest = ""
        self.advance()

    def advance(self) -> None:
        """Go on to the next row; behind the last one `key` becomes None."""
        self.key, self.digest = next(self._found, (None, ""))


def _wanted(table: CarriedTable, keys: list[Key]) -> sql.Composable:
    """Return the rows with these keys as an SQL item of a FROM list, `w` with the columns k0, k1, …; for a table that
    has one row a site, an item of one row without keys.
    """
    if not table.key_types:
        return SQL("(SELECT 1) AS w")
    arrays = [
        SQL("{}::{}[]").format(Literal([key[place] for key in keys]), SQL(kind))
        for place, kind in enumerate(table.key_types)
    ]
    names = [Identifier(f"k{place}") for place in range(len(arrays))]
    return SQL("unnest({}) AS w ({})").format(SQL(", ").join(arrays), SQL(", ").join(names))


def _matches(table: CarriedTable, to: Destination | None) -> sql.Composable:
    """Return the SQL condition that a row `t` of the table has the key in the row `w`, which `_wanted` makes. `to`:
    where the rows go; None for rows that stand there already.
    """
    kinds = dict(table.carried)
    conditions: list[sql.Composable] = []
    for place, key in enumerate(table.keys(to)):
        wanted = Identifier("w", f"k{place}")
        column = "" if table.is_renumbered else table.key[place]
        if kinds.get(column) == "text" and dict(table.columns)[column] == "text":
            # In the column's own collation, by its index.
            key = SQL("t.{}").format(Identifier(column))
        conditions.append(SQL("{} = {}").format(key, wanted))
    return SQL(" AND ").join(conditions) if conditions else SQL("true")


class _RowWriter:
    """Writer of a table's rows from here to the other platform, through a temporary table there, made at the first row.
    `is_late`: write missing rows alone, without the column that LATE names.
    """

    def __init__(self, site: SiteCopy, table: CarriedTable, *, is_late: bool) -> None:
        self._site = site
        self._table = table
        self._is_late = is_late
        self._is_begun = False

    def write(self, keys: list[Key]) -> int:
        """Insert or update the rows with these keys on the other platform, in one transaction; return the number of
        rows inserted or updated. If the table's triggers queue mail (MAILED), deletes all queued mail of the site
        there, and the events of updates that the triggers have just logged.
        """
        site, table = self._site, self._table
        if not self._is_begun:
            self._begin()
        with site.writer.transaction():
            read = SQL("COPY (SELECT {}{} FROM {} t JOIN {} ON {} WHERE t.site_id = {}) TO STDOUT")
            names = SQL(", ").join(Identifier(name) for name, _ in table.carried)
            statement = read.format(
                SQL("DISTINCT ") if table.is_renumbered else SQL(""),
                SQL(", ").join(table.read(name, site.to) for name, _ in table.carried),
                Identifier(table.name),
                _wanted(table, keys),
                _matches(table, site.to),
                Literal(site.site_id),
            )
            into = SQL("COPY moving_rows ({}) FROM STDIN").format(names)
            with (
                site.reader.cursor().copy(statement) as source,
                site.writer.cursor().copy(into) as target,
            ):
                for piece in source:
                    target.write(piece)
            self._make_way()
            count: int = site.writer.execute(self._upsert()).rowcount
            if table.name in MAILED:
                site.writer.execute("DELETE FROM mail_outbox m WHERE m.site_id = %s", [site.there])
                site.writer.execute(
                    "DELETE FROM event_log e WHERE e.site_id = %s AND e.item_type_id = %s"
                    " AND e.xid = pg_current_xact_id()",
                    [site.there, itemtypes.UPDATE],
                )
        return count

    def _begin(self) -> None:
        self._is_begun = True
        self._site.writer.execute("DROP TABLE IF EXISTS moving_rows")
        columns = SQL(", ").join(
            SQL("{} {}").format(Identifier(name), SQL(kind)) for name, kind in self._table.carried
        )
        self._site.writer.execute(
            SQL("CREATE TEMPORARY TABLE moving_rows ({}) ON COMMIT DELETE ROWS").format(columns)
        )

    def end(self) -> None:
        """Drop the temporary table."""
        if self._is_begun:
            self._site.writer.execute("DROP TABLE IF EXISTS moving_rows")

    def _make_way(self) -> None:
        """Free, on the other platform, unique values, such as a name, that a new row has now and another row still
        holds: give that row another value or delete it. The same copy writes that row later, or deletes it.
        """
        site, table = self._site, self._table
        if table.name == "comments":
            site.writer.execute(
                """UPDATE comments t SET seq = -1 - (t.comment_id %% 2000000000)::int
                     FROM moving_rows r
                    WHERE t.site_id = %s AND t.item_id = r.item_id AND t.seq = r.seq
                      AND t.comment_id <> r.comment_id""",
                [site.there],
            )
        elif table.name == "cases":
            site.writer.execute(
                """UPDATE cases t SET state = 'decided'
                     FROM moving_rows r
                    WHERE t.site_id = %s AND t.state = 'open' AND r.state = 'open'
                      AND t.item_type_id = r.item_type_id AND t.item_id = r.item_id AND t.case_id <> r.case_id""",
                [site.there],
            )
        elif table.name == "import_origins":
            site.writer.execute(
                """UPDATE import_origins t SET title = 'moving~' || t.origin_id
                     FROM moving_rows r
                    WHERE t.site_id = %s AND t.title = r.title AND t.origin_id <> r.origin_id""",
                [site.there],
            )
        elif table.name == "profiles":
            self._lend_users()
            site.writer.execute(
                """UPDATE profiles t SET profile_name = 'moving~' || t.profile_id
                     FROM moving_rows r
                    WHERE t.site_id = %s AND lower(t.profile_name) = lower(r.profile_name)
                      AND t.profile_id <> r.profile_id""",
                [site.there],
            )
        elif table.is_leaf and not table.is_renumbered:
            for columns in table.unique:
                same = SQL(" AND ").join(
                    SQL("t.{0} = r.{0}").format(Identifier(name)) for name in columns
                )
                other = SQL(", ").join(SQL("t.{}").format(Identifier(name)) for name in table.key)
                own = SQL(", ").join(SQL("r.{}").format(Identifier(name)) for name in table.key)
                site.writer.execute(
                    SQL(
                        "DELETE FROM {} t USING moving_rows r"
                        " WHERE t.site_id = {} AND {} AND ({}) IS DISTINCT FROM ({})"
                    ).format(Identifier(table.name), Literal(site.there), same, other, own)
                )

    def _lend_users(self) -> None:
        """Give a made-up user to each profile on the other platform whose user belongs to another profile by the new
        rows, until the profile's row is written or deleted: two members may have exchanged their addresses.
        """
        self._site.writer.execute(
            f"""WITH taken AS (
                    SELECT t.profile_id
                      FROM moving_rows r
                      JOIN users u ON u.person_key = r.user_id
                      JOIN profiles t ON t.site_id = %(there)s AND t.user_id = u.user_id
                     WHERE t.profile_id <> r.profile_id),
                lent AS (
                    INSERT INTO users (email, canonical_email, person_key)
                    SELECT k.key, k.key, k.key
                      FROM (SELECT '{LENT}' || %(there)s || ':' || n.profile_id AS key FROM taken n) k
                        ON CONFLICT (person_key) DO UPDATE SET person_key = EXCLUDED.person_key
                 RETURNING user_id, person_key)
                UPDATE profiles t SET user_id = l.user_id
                  FROM lent l
                 WHERE t.site_id = %(there)s AND l.person_key = '{LENT}' || %(there)s || ':' || t.profile_id""",
            {"there": self._site.there},
        )

    def _upsert(self) -> Composed:
        table = self._table
        late = LATE.get(table.name) if self._is_late else None
        names = [name for name, _ in table.carried if name != late]
        insert = SQL("INSERT INTO {} (site_id, {}) SELECT {}, {} FROM moving_rows r{} {}")
        order = (
            SQL(" ORDER BY {}").format(
                SQL(", ").join(SQL("r.{}").format(Identifier(name)) for name in table.key)
            )
            if table.key and not table.is_renumbered
            else SQL("")
        )
        changed = [name for name in names if name not in table.key]
        conflict: sql.Composable
        if table.is_renumbered:
            conflict = SQL("")
        elif not changed or late:
            conflict = SQL("ON CONFLICT DO NOTHING")
        else:
            conflict = SQL("ON CONFLICT ({}) DO UPDATE SET {}").format(
                SQL(", ").join(Identifier(name) for name in ("site_id", *table.key)),
                SQL(", ").join(
                    SQL("{0} = EXCLUDED.{0}").format(Identifier(name)) for name in changed
                ),
            )
        return insert.format(
            Identifier(table.name),
            SQL(", ").join(Identifier(name) for name in names),
            Literal(self._site.there),
            SQL(", ").join(table.stored(name) for name in names),
            order,
            conflict,
        )
