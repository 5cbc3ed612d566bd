"""Export of a site to a folder or a ZIP file, from one snapshot of the database."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from forumapi.database.connections import Database, Transaction
from forumapi.porting.exports import layout_writer
from forumapi.porting.exports.layout_writer import FolderSink, LayoutWritten, Step, ZipSink
from forumapi.porting.exports.site_reader import SiteReader

_TIMEOUT_MS: Final = 120_000
_COPY: Final = 1024 * 1024

# A page of comments may wait for a slow disk, and the transaction for the store of files. It gets no transaction id, so
# that it holds up neither the numbering of events nor confirmations of kept pages.
_OPTIONS: Final = " ".join(
    f"-c {name}={value}"
    for name, value in (
        ("default_transaction_isolation", r"repeatable\ read"),
        ("default_transaction_read_only", "on"),
        ("statement_timeout", _TIMEOUT_MS),
        ("idle_in_transaction_session_timeout", 0),
    )
)


@contextlib.contextmanager
def snapshot(url: str) -> Iterator[Transaction]:
    """Yield a read-only REPEATABLE READ transaction on a connection of its own; both end with the block. `url`: the
    database's direct URL, not a pooler's.
    """
    options = f"{conninfo_to_dict(url).get('options') or ''} {_OPTIONS}"
    database = Database(make_conninfo(url, options=options.strip()), size=1, timeout_ms=_TIMEOUT_MS)
    try:
        tx = Transaction(database)
        try:
            yield tx
        finally:
            tx.end()
    finally:
        database.close()


def to_folder(reader: SiteReader, folder: Path, step: Step) -> LayoutWritten:
    """Write a site's documents and files into a folder, empty or new, in the neutral layout; return their numbers and
    the canonical hash. `step` is called after each document and each file with the number of documents so far, and may
    raise to end the export.
    """
    return layout_writer.write(reader, FolderSink(folder), step)


class Archived(NamedTuple):
    """Result of `to_archive`. `written`: counts and canonical hash; `size`: bytes of the ZIP file; `sha256`: of the ZIP
    file, in hexadecimal.
    """

    written: LayoutWritten
    size: int
    sha256: str


def to_archive(reader: SiteReader, path: Path, step: Step) -> Archived:
    """Write a site's documents and files into the ZIP file `path`, in the neutral layout; an existing file is
    overwritten. `step` is called after each document and each file with the number of documents so far, and may raise
    to end the export.
    """
    with layout_writer.zip_file(path) as archive:
        written = layout_writer.write(reader, ZipSink(archive), step)
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_COPY):
            digest.update(piece)
    return Archived(written, path.stat().st_size, digest.hexdigest())
