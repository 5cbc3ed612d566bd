"""Random changes in the audit's tables: each is found, cut tails and recomputed chains by a signed head."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import ApiError
from forumapi.models.journal import audit_address_hashing, audit_chain, audit_hash, journal
from forumapi.models.journal.audit_hash import ChainEntry, Head, Keys
from forumapi.models.journal.journal import Author
from tests.factories import Factory, Site
from tests.models.journal.chains import KEYS, act, age, chain, sign, verify

TABLES = ("audit_log", "audit_entries", "audit_heads")
# Of a chain that was made anew: a false signature in it shows that without any head.
SIGNED = "with a false signature"
FORGER = Keys(["the forger's own"])


class Undone(Exception):
    """Ends a transaction that is not to be committed."""


class Forger:
    """Somebody who can write to the database, and has not the key."""

    def __init__(self, tx: Transaction, site: Site, other: Site, draw: random.Random) -> None:
        self.tx = tx
        self.site = site
        self.other = other
        self.draw = draw

    def sql(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        name = f"test.forged.{hash(statement)}"
        query = Query.all.get(name) or Query(name, statement, scope=PLATFORM)
        return self.tx.rows(query, **params)

    def columns(self, table: str) -> list[tuple[str, str]]:
        rows = self.sql(
            """SELECT column_name::text, data_type::text FROM information_schema.columns
                WHERE table_name = %(table)s ORDER BY ordinal_position""",
            table=table,
        )
        return [(name, type) for name, type in rows]

    def some_row(self, table: str) -> str:
        """The place of a random row of the site."""
        rows = self.sql(
            f"SELECT ctid::text FROM {table} t WHERE site_id = %(id)s ORDER BY t::text",
            id=self.site.id,
        )
        place: str = self.draw.choice(rows)[0]
        return place

    # ------------------------------------------------------------ one row

    def edit(self) -> str:
        """Give one column of one row another value."""
        table = self.draw.choice(TABLES)
        column, type = self.draw.choice(self.columns(table))
        value: object = {
            "bigint": lambda: self.draw.choice(
                (0, 1, self.other.id, self.draw.randrange(1, 2**40))
            ),
            "smallint": lambda: self.draw.randrange(1, 22),
            "boolean": lambda: self.draw.random() < 0.5,
            "text": lambda: self.draw.choice("CRUDESX"),
            "bytea": lambda: self.draw.choice(
                (b"", self.draw.randbytes(16), self.draw.randbytes(32), self.draw.randbytes(64))
            ),
            "inet": lambda: f"192.0.2.{self.draw.randrange(256)}",
            "jsonb": lambda: f'{{"reason": "{self.draw.randrange(99)}"}}',
            "timestamp with time zone": lambda: (
                f"2026-11-{self.draw.randrange(1, 30):02} 12:00:00+00"
            ),
        }[type]()
        if self.draw.random() < 0.15:
            value = None
        row = self.some_row(table)
        changed = self.sql(
            f"""UPDATE {table} SET {column} = %(value)s
                 WHERE ctid = %(row)s::tid AND {column} IS DISTINCT FROM %(value)s::{type} RETURNING 1""",
            value=value,
            row=row,
        )
        return f"{table}.{column} = {value!r}" if changed else ""

    def swap(self) -> str:
        """Exchange the contents of two entries' erasable rows, or the things of two entries."""
        table, columns = self.draw.choice(
            (
                ("audit_log", ("salt", "detail", "ip", "ip_hash")),
                ("audit_log", ("profile_id",)),
                ("audit_entries", ("item_type_id", "item_id")),
                ("audit_entries", ("hash", "detail_hash")),
            )
        )
        one, two = self.some_row(table), self.some_row(table)
        pairs = ", ".join(f"{name} = o.{name}" for name in columns)
        differ = " OR ".join(f"t.{name} IS DISTINCT FROM o.{name}" for name in columns)
        changed = self.sql(
            f"""UPDATE {table} t SET {pairs} FROM {table} o
                 WHERE (t.ctid, o.ctid) IN ((%(one)s::tid, %(two)s::tid), (%(two)s::tid, %(one)s::tid)) AND ({differ})
             RETURNING 1""",
            one=one,
            two=two,
        )
        return f"{table}: {columns} of two rows" if changed else ""

    def delete(self) -> str:
        """Delete one row or several."""
        table = self.draw.choice(TABLES)
        count = self.draw.choice((1, 1, 2, 5))
        rows = {self.some_row(table) for _ in range(count)}
        self.sql(
            f"DELETE FROM {table} WHERE ctid = ANY(%(rows)s::tid[]) RETURNING 1", rows=sorted(rows)
        )
        return f"{len(rows)} rows of {table} deleted"

    def delete_pair(self) -> str:
        """Delete an entry and its erasable row."""
        row = self.some_row("audit_entries")
        self.sql(
            """WITH gone AS (DELETE FROM audit_entries WHERE ctid = %(row)s::tid RETURNING site_id, audit_id)
               DELETE FROM audit_log a USING gone g
                WHERE a.site_id = g.site_id AND a.audit_id = g.audit_id RETURNING 1""",
            row=row,
        )
        return "an entry and its row deleted"

    def insert(self) -> str:
        """Insert a copy of a row, or an entry after the last one."""
        row = self.some_row("audit_log")
        event = self.draw.choice(("event_id", "NULL", "0", "event_id + 1000000"))
        (new,) = self.sql(
            f"""INSERT INTO audit_log (site_id, item_type_id, item_id, profile_id, action, ip, event_id, salt, detail,
                                       created)
                SELECT site_id, item_type_id, item_id + {self.draw.randrange(3)}, profile_id, action, ip, {event}, salt,
                       detail, created
                  FROM audit_log WHERE ctid = %(row)s::tid RETURNING audit_id""",
            row=row,
        )
        if self.draw.random() < 0.5:
            return "a row inserted"
        entry, hash = self.entries()[-1]
        forged = entry._replace(number=entry.number + 1, audit_id=new[0], action="U")
        self.store(forged, audit_hash.entry_hash(hash, forged))
        return "an entry inserted"

    # ------------------------------------------------------------ the whole chain

    def entries(self) -> list[tuple[ChainEntry, bytes]]:
        rows = self.sql(
            """SELECT site_id, number, event_number, coalesce(audit_id, 0), created, action, item_type_id, item_id,
                      parent_type_id, parent_id, actor_id, subject_id, is_private, detail_hash, hash
                 FROM audit_entries WHERE site_id = %(id)s ORDER BY number""",
            id=self.site.id,
        )
        return [(ChainEntry._make(row[:-1]), row[-1]) for row in rows]

    def store(self, entry: ChainEntry, hash: bytes, signature: bytes | None = None) -> None:
        self.sql(
            """INSERT INTO audit_entries (site_id, number, event_number, audit_id, created, action, item_type_id,
                                          item_id, parent_type_id, parent_id, actor_id, subject_id, is_private,
                                          detail_hash, hash, signature)
               VALUES (%(site_id)s, %(number)s, %(event_number)s, nullif(%(audit_id)s::bigint, 0), %(created)s,
                       %(action)s, %(item_type)s, %(item_id)s, %(parent_type)s, %(parent_id)s, %(actor_id)s,
                       %(subject_id)s, %(is_private)s, %(detail_hash)s, %(hash)s, %(signature)s) RETURNING 1""",
            **entry._asdict(),
            hash=hash,
            signature=signature,
        )

    def set_head(self, number: int, hash: bytes) -> None:
        self.sql(
            "UPDATE audit_heads SET number = %(number)s, hash = %(hash)s WHERE site_id = %(id)s RETURNING 1",
            id=self.site.id,
            number=number,
            hash=hash,
        )

    def cut(self) -> str:
        """Take the end of the chain away, without a trace: rows, entries and head."""
        entries = self.entries()
        kept = self.draw.randrange(len(entries))
        self.drop(entries[kept][0].number)
        if kept:
            self.set_head(entries[kept - 1][0].number, entries[kept - 1][1])
        else:
            ((number, hash),) = self.sql(
                "SELECT base_number, base_hash FROM audit_heads WHERE site_id = %(id)s",
                id=self.site.id,
            )
            self.set_head(number, hash)
        return f"{len(entries) - kept} of {len(entries)} entries cut off"

    def drop(self, first: int) -> None:
        self.sql(
            """WITH gone AS (DELETE FROM audit_entries
                              WHERE site_id = %(id)s AND number >= %(first)s RETURNING audit_id)
               DELETE FROM audit_log a USING gone g WHERE a.site_id = %(id)s AND a.audit_id = g.audit_id RETURNING 1""",
            id=self.site.id,
            first=first,
        )

    def wipe(self) -> str:
        """Take everything away that the tables have of the site."""
        for table in TABLES:
            self.sql(f"DELETE FROM {table} WHERE site_id = %(id)s RETURNING 1", id=self.site.id)
        return "everything deleted"

    def recompute(self) -> str:
        """Change the chain somewhere, and make all hashes after it anew, as the software makes them."""
        entries = self.entries()
        ((before,),) = self.sql(
            "SELECT base_hash FROM audit_heads WHERE site_id = %(id)s", id=self.site.id
        )
        first = entries[0][0].number
        place = self.draw.randrange(len(entries))
        how = self.draw.choice(("edit", "drop", "erase", "insert"))
        chosen = entries[place][0]
        forged = [entry for entry, _ in entries]
        if how == "drop":
            del forged[place]
        elif how == "edit":
            forged[place] = chosen._replace(actor_id=chosen.actor_id + 1)
            self.sql(
                """UPDATE audit_log SET profile_id = %(actor)s
                    WHERE site_id = %(id)s AND audit_id = %(audit_id)s RETURNING 1""",
                actor=chosen.actor_id + 1,
                id=self.site.id,
                audit_id=chosen.audit_id,
            )
        else:
            note = chosen._replace(audit_id=0, action="X", item_type=3, item_id=chosen.actor_id)
            forged.insert(place if how == "insert" else len(forged), note)
        signatures = self.draw.choice(("dropped", "kept", "forged"))
        old = dict(
            self.sql(
                "SELECT number, signature FROM audit_entries WHERE site_id = %(id)s AND signature IS NOT NULL",
                id=self.site.id,
            )
        )
        self.sql("DELETE FROM audit_entries WHERE site_id = %(id)s RETURNING 1", id=self.site.id)
        if how == "drop":
            self.sql(
                "DELETE FROM audit_log WHERE site_id = %(id)s AND audit_id = %(audit_id)s RETURNING 1",
                id=self.site.id,
                audit_id=chosen.audit_id,
            )
        number = first - 1
        for entry in forged:
            if entry.action == "S" and signatures == "dropped":
                continue
            number += 1
            stored = entry._replace(number=number)
            before = audit_hash.entry_hash(before, stored)
            signature = None
            if entry.action == "S":
                signature = old[entry.number]
                if signatures == "forged":
                    signature = FORGER.sign(
                        audit_hash.HEAD, self.site.id, number, entry.created, before
                    )
            self.store(stored, before, signature)
        self.set_head(number, before)
        is_signed = signatures != "dropped" and any(
            e.action == "S" for e, _ in entries[place + 1 :]
        )
        return (
            f"made anew after {how} of entry {chosen.number}, {SIGNED if is_signed else signatures}"
        )

    def move_base(self) -> str:
        """Take the beginning away, as retention does, with a signature of another purpose."""
        signed = [(entry, hash) for entry, hash in self.entries() if entry.action == "S"]
        entry, hash = self.draw.choice(signed)
        ((signature,),) = self.sql(
            "SELECT signature FROM audit_entries WHERE site_id = %(id)s AND number = %(number)s",
            id=self.site.id,
            number=entry.number,
        )
        self.sql(
            """WITH gone AS (DELETE FROM audit_entries
                              WHERE site_id = %(id)s AND number <= %(number)s RETURNING audit_id)
               DELETE FROM audit_log a USING gone g WHERE a.site_id = %(id)s AND a.audit_id = g.audit_id RETURNING 1""",
            id=self.site.id,
            number=entry.number,
        )
        self.sql(
            """UPDATE audit_heads SET base_number = %(number)s, base_hash = %(hash)s, base_created = %(created)s,
                                      base_signature = %(signature)s WHERE site_id = %(id)s RETURNING 1""",
            id=self.site.id,
            number=entry.number,
            hash=hash,
            created=entry.created,
            signature=signature,
        )
        return f"the beginning up to {entry.number} deleted"


# Those that a signed head from the log is needed for.
WHOLE: tuple[Callable[[Forger], str], ...] = (Forger.cut, Forger.wipe, Forger.recompute)
ANY: tuple[Callable[[Forger], str], ...] = (
    *(Forger.edit,) * 6,
    *(Forger.delete,) * 2,
    *(Forger.insert,) * 2,
    *(Forger.cut,) * 2,
    *(Forger.recompute,) * 2,
    *(Forger.swap, Forger.delete_pair, Forger.wipe, Forger.move_base),
)


@pytest.fixture(scope="module")
def audited(make: Factory, database_url: str) -> tuple[Site, Head]:
    """A site with an audit of all kinds: retention, erasure, hashed addresses, three signatures; and its last head."""
    site = make.site()
    chat = make.conversation(site, by=site.newcomer)
    make.comments(chat, 8, by=site.member)
    age(make, database_url, site, 100, 5)
    chain(make, database_url, site)
    sign(make, site)
    with make.database.write() as tx:
        assert audit_chain.forget(tx, site.id, 90, KEYS, 100) == 5
    act(
        make,
        site.moderator,
        journal.DELETED,
        itemtypes.COMMENT,
        *range(10**9, 10**9 + 8),
        verb="hide",
        reason="Spam",
    )
    make.comment(make.huddle(site.member, site.newcomer), by=site.newcomer)
    chain(make, database_url, site)
    sign(make, site)
    with make.database.write() as tx:
        secret = tx.value(audit_address_hashing.SECRET, secret=b"x")
        audit_chain.erase(
            tx, Author(site.id, site.owner.id, "192.0.2.9"), site.newcomer.id, "asked for"
        )
    make.sql(
        """UPDATE audit_log SET ip_hash = sha256(%(secret)s::bytea || convert_to(host(ip), 'UTF8')), ip = NULL
            WHERE site_id = %(id)s AND item_id < 1000000004 AND ip IS NOT NULL RETURNING 1""",
        id=site.id,
        secret=secret,
    )
    make.comments(chat, 4, by=site.member)
    chain(make, database_url, site)
    head = sign(make, site)
    check = verify(make, site, head)
    assert (check.faults, check.first, check.entries > 25) == ([], 6, True)
    return site, head


@contextlib.contextmanager
def undone(make: Factory) -> Iterator[Transaction]:
    """A transaction that is rolled back."""
    with contextlib.suppress(Undone), make.database.write() as tx:
        yield tx
        raise Undone


@pytest.mark.parametrize(
    "count", [120, pytest.param(1000, marks=pytest.mark.wide)], ids=lambda count: f"{count} of them"
)
def test_every_change_in_the_audits_tables_is_found(
    make: Factory, audited: tuple[Site, Head], trains: Site, count: int
) -> None:
    site, head = audited
    draw = random.Random(20261130 + count)
    found: dict[str, int] = {}
    missed: list[str] = []
    while sum(found.values()) + len(missed) < count:
        forge = draw.choice(ANY)
        with contextlib.suppress(ApiError, psycopg.Error), undone(make) as tx:
            told = forge(Forger(tx, site, trains, draw))
            if told:
                heads = [head] if forge in WHOLE and SIGNED not in told else []
                if verify(make, site, *heads, tx=tx).faults:
                    found[forge.__name__] = found.get(forge.__name__, 0) + 1
                else:
                    missed.append(told)
    sys.stdout.write(f"{sum(found.values())} of {count} changes found: {found}\n")
    assert missed == []
    assert verify(make, site, head).faults == []
