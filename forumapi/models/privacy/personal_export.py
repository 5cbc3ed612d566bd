"""Copies of what belongs to a person on a site: requested, made in the background, kept for a day.

The rows of a copy are those that the persons' inventory names, and the messages of the huddles in which the person
participates. No text from a place that the person may not read is in it: items of others are only named by their ids.
"""

from __future__ import annotations

import datetime
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database import site_turns
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, SITE, Query
from forumapi.models.privacy.inventory import PERSON_TABLES, PersonTable
from forumapi.wire import json_fragments

HOURS: Final = 24
# After so long without a word of the process that makes a copy, another one begins anew.
SILENT_S: Final = 120

QUEUED: Final = "queued"
READY: Final = "ready"

# A copy that is waited for stays as it is; the object of an earlier one becomes a stray.
INSERT = Query(
    "personal_export.insert",
    """
    WITH old AS (
        INSERT INTO file_strays (file_hash)
        SELECT x.object FROM personal_exports x
         WHERE x.site_id = %(site_id)s AND x.profile_id = %(profile_id)s AND x.state = 'ready'
            ON CONFLICT (file_hash) DO UPDATE SET since = now())
    INSERT INTO personal_exports AS x (site_id, profile_id)
    VALUES (%(site_id)s, %(profile_id)s)
        ON CONFLICT (site_id, profile_id) DO UPDATE
       SET state = 'queued', requested = now(), seen = NULL, rows_done = 0,
           rows_total = 0, object = '', bytes = 0, finished = NULL
     WHERE x.state IN ('ready', 'failed')
 RETURNING true""",
)

FIND = Query(
    "personal_export.find",
    """
    SELECT x.state, x.requested, x.rows_done, x.rows_total, x.bytes, x.object,
           x.finished + make_interval(hours => %(hours)s::int)
      FROM personal_exports x
     WHERE x.site_id = %(site_id)s AND x.profile_id = %(profile_id)s
       AND (x.finished IS NULL OR x.finished > now() - make_interval(hours => %(hours)s::int))""",
)

DELETE = Query(
    "personal_export.delete",
    """
    WITH gone AS (
        DELETE FROM personal_exports x
         WHERE x.site_id = %(site_id)s AND x.profile_id = %(profile_id)s
     RETURNING x.object),
    strays AS (
        INSERT INTO file_strays (file_hash)
        SELECT g.object FROM gone g WHERE g.object <> ''
            ON CONFLICT (file_hash) DO UPDATE SET since = now())
    SELECT g.object FROM gone g""",
)

CLAIM = Query(
    "personal_export.claim",
    f"""{
        site_turns.claim(
            "personal_exports",
            "q.site_id, q.profile_id",
            waits="q.state IN ('queued', 'running')",
            is_due="(q.state = 'queued' OR q.seen < now() - make_interval(secs => %(silent_s)s::int))",
            order="q.requested",
        )
    }
    UPDATE personal_exports x
       SET state = 'running', seen = now(), rows_done = 0
      FROM due
      JOIN profiles p ON p.site_id = due.site_id AND p.profile_id = due.profile_id
      JOIN sites s ON s.site_id = due.site_id
     WHERE x.site_id = due.site_id AND x.profile_id = due.profile_id
 RETURNING x.site_id, x.profile_id, p.user_id, x.requested, s.title, p.profile_name""",
    scope=PLATFORM,
)

# False once another request or an erasure has taken the place of this one.
BEAT = Query(
    "personal_export.beat",
    """
    UPDATE personal_exports x
       SET seen = now(), rows_done = %(done)s, rows_total = %(total)s
     WHERE x.site_id = %(site_id)s AND x.profile_id = %(profile_id)s AND x.requested = %(requested)s
       AND x.state = 'running'""",
)

FINISH = Query(
    "personal_export.finish",
    """
    WITH kept AS (
        UPDATE personal_exports x
           SET state = 'ready', object = %(object)s, bytes = %(bytes)s, rows_done = x.rows_total, finished = now()
         WHERE x.site_id = %(site_id)s AND x.profile_id = %(profile_id)s AND x.requested = %(requested)s
           AND x.state = 'running'
     RETURNING x.object)
    DELETE FROM file_strays f USING kept WHERE f.file_hash = kept.object""",
)

FAIL = Query(
    "personal_export.fail",
    """
    UPDATE personal_exports x
       SET state = 'failed', finished = now()
     WHERE x.site_id = %(site_id)s AND x.profile_id = %(profile_id)s AND x.requested = %(requested)s""",
)

EXPIRE = Query(
    "personal_export.expire",
    """
    WITH gone AS (
        DELETE FROM personal_exports x
         WHERE x.finished < now() - make_interval(hours => %(hours)s::int)
     RETURNING x.object)
    INSERT INTO file_strays (file_hash)
    SELECT g.object FROM gone g WHERE g.object <> ''
        ON CONFLICT (file_hash) DO UPDATE SET since = now()
 RETURNING file_hash""",
    scope=PLATFORM,
)

COUNT = Query(
    "personal_export.count",
    "SELECT c.comment_count FROM profile_counters c WHERE c.site_id = %(site_id)s AND c.profile_id = %(profile_id)s",
)


def _rows_of(table: PersonTable) -> Query:
    assert table.export is not None, "only tables with an export have rows in it"
    return Query(
        f"personal_export.{table.name}",
        f"SELECT {table.export.columns} FROM {table.name} t WHERE {table.export.rows}",
        scope=PLATFORM if table.name == "access_tokens" else SITE,
        unrestricted="what the person themself has written, or set up"
        if table.name in _UNRESTRICTED
        else "",
    )


_UNRESTRICTED: Final = frozenset(
    (
        "items",
        "comments",
        "comment_revisions",
        "events",
        "polls",
        "poll_choices",
        "huddle_participants",
        "attendees",
        "reactions",
        "attachments",
        "imported_items",
    )
)
# Rows of each table, in the order of the inventory.
ROWS: Final = {table.name: _rows_of(table) for table in PERSON_TABLES if table.export is not None}

# All messages, by whomever, of the huddles that the person takes part in.
MESSAGES = Query(
    "personal_export.messages",
    f"""
    SELECT t.item_id, i.title, t.comment_id, t.created, t.created_by, p.profile_name, t.markdown, t.html
      FROM huddle_participants h
      JOIN items i ON i.site_id = h.site_id AND i.item_id = h.item_id AND i.item_type_id = {itemtypes.HUDDLE}
      JOIN comments t ON t.site_id = i.site_id AND t.item_id = i.item_id AND NOT t.is_deleted AND NOT t.is_moderated
      JOIN profiles p ON p.site_id = t.site_id AND p.profile_id = t.created_by
     WHERE h.site_id = %(site_id)s AND h.profile_id = %(profile_id)s
     ORDER BY t.item_id, t.seq""",
    unrestricted="the huddles that the person themself takes part in",
)
MESSAGE_COLUMNS: Final = (
    "item_id",
    "title",
    "comment_id",
    "created",
    "created_by",
    "profile_name",
    "markdown",
    "html",
)

# Files of the person, and what they called them.
FILES = Query(
    "personal_export.files",
    """
    SELECT u.file_hash, u.file_name, f.file_ext, f.file_size
      FROM file_uploads u
      JOIN files f ON f.file_hash = u.file_hash
     WHERE u.site_id = %(site_id)s AND u.profile_id = %(profile_id)s
     ORDER BY u.file_hash""",
)


def columns_of(table: PersonTable) -> list[str]:
    """Return the names of the columns of a table that a copy holds, in the order of the table's `export`, which it must
    have.
    """
    assert table.export is not None, "only tables with an export have columns in it"
    return [one.strip().removeprefix("t.") for one in table.export.columns.split(",")]


class Claimed(NamedTuple):
    """Copy, for a profile on a site, that this process makes. `requested`: time of the request, which distinguishes it
    from a later one of the same profile; `name`: the profile's name.
    """

    site_id: int
    profile_id: int
    user_id: int
    requested: datetime.datetime
    site_title: str
    name: str

    @property
    def where(self) -> dict[str, object]:
        """Return the parameters that the statements about this copy share: site_id, profile_id and requested."""
        return {
            "site_id": self.site_id,
            "profile_id": self.profile_id,
            "requested": self.requested,
        }


class PersonalExport(NamedTuple):
    """Copy of what belongs to a person on a site, as that person sees it. `state`: QUEUED, "running", READY or
    "failed"; `rows_done` of `rows_total` rows are written so far; `object`: name of its archive in the store of files,
    "" before; `bytes`: size of that archive, 0 before; `ends`: time at which the copy is deleted, HOURS after its
    making ended, well or not; None before.
    """

    state: str
    requested: datetime.datetime
    rows_done: int
    rows_total: int
    bytes: int
    object: str
    ends: datetime.datetime | None

    @classmethod
    def find(cls, tx: Reader, site_id: int, profile_id: int) -> PersonalExport | None:
        """Return the copy of a profile's data, made, failed or not made yet; None if there is none, or its time `ends`
        has passed.
        """
        row = tx.row(FIND, site_id=site_id, profile_id=profile_id, hours=HOURS)
        return cls(*row) if row else None

    @staticmethod
    def insert(tx: Transaction, site_id: int, profile_id: int) -> bool:
        """Store a request for a copy, in place of a copy that was made or failed; return False, and change nothing, if
        one waits or is being made.
        """
        return bool(tx.value(INSERT, site_id=site_id, profile_id=profile_id))

    @staticmethod
    def delete(tx: Transaction, site_id: int, profile_id: int) -> bool:
        """Delete the profile's copy, also one that is being made, and have its archive deleted by a job; return False
        if there is none.
        """
        return tx.row(DELETE, site_id=site_id, profile_id=profile_id) is not None

    def document(self, href: str) -> dict[str, Any]:
        """Return the state of the copy as a dict for JSON: how far it is and, once it is ready, its size, its end and
        the link to its file. `href`: address of that state in the API.
        """
        is_ready = self.state == READY
        links = [{"rel": "self", "href": href}]
        data: dict[str, Any] = {
            "state": self.state,
            "requested": json_fragments.format_time(self.requested),
            "done": self.rows_done,
            "total": max(self.rows_total, self.rows_done),
        }
        if is_ready and self.ends:
            data |= {"bytes": self.bytes, "ends": json_fragments.format_time(self.ends)}
            links.append({"rel": "download", "href": f"{href}/file"})
        return data | {"meta": {"links": links}}


def claim(tx: Transaction, *, after: int = 0) -> Claimed | None:
    """Claim for this process, of the next site after the site `after` that has one, the copy that was asked for first
    and waits, or whose process was silent for SILENT_S seconds, and mark it as being made; None if there is none. After
    the highest id the lowest follows.
    """
    row = tx.row(CLAIM, silent_s=SILENT_S, batch=1, after=after)
    return Claimed(*row) if row else None


def expire(tx: Transaction) -> list[str]:
    """Delete the rows of all copies, of all sites, whose time `ends` has passed; return, in any order, the names of
    their archives, which the calling job deletes from the store.
    """
    return [row[0] for row in tx.rows(EXPIRE, hours=HOURS)]
