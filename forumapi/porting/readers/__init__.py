"""Readers of other forums' storage as documents of the layout, one module a product, and one for the layout itself;
modules of rights beside some.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from forumapi.porting.layout import ForumReader

# Products that can be read, by the names of the command.
NAMES: Final = (
    "discourse",
    "mbox",
    "microcosm",
    "misago",
    "nodebb",
    "phpbb",
    "smf",
    "vbulletin",
    "xenforo",
)


def open_reader(
    product: str,
    source: Path | str,
    files: Path | None = None,
    *,
    prefix: str | None = None,
    encoding: str = "",
    folder: Path | None = None,
    most: int | None = None,
) -> ForumReader:
    """Open the reader of a product, one of NAMES, such as "phpbb"; the caller closes it. `source`: a Path of a dump
    file (for mbox and microcosm also of a folder), or as str the URL of a live PostgreSQL (for neither of these two).
    Raises LayoutError, DumpError, OSError.

    `files`: folder of the board's uploads, None without. `prefix`: that of the tables' names, where a database holds
    several boards; None for the product's usual one, or for the only one that there is. `encoding`: of the dump's text,
    "" for the one that the dump names. `folder`: for temporary files, None for the system's. `most`: bytes that a dump
    may have after decompression, None for MAX_DUMP. Of these options a live database takes `files` and `prefix` alone,
    mbox `folder` and `most`, microcosm none; the others do nothing.
    """
    if product == "microcosm":
        from forumapi.porting.readers.layout_reader import LayoutReader

        return LayoutReader(Path(source))
    if product == "mbox":
        from forumapi.porting.readers.mbox import MboxReader

        return MboxReader(Path(source), folder=folder, most=most)
    from forumapi.porting.dumps.live_source import LiveSource
    from forumapi.porting.dumps.source import MAX_DUMP, DumpSource, Source
    from forumapi.porting.readers import discourse, misago, nodebb, phpbb, smf, vbulletin, xenforo

    module, reader = {
        "discourse": (discourse, discourse.DiscourseReader),
        "misago": (misago, misago.MisagoReader),
        "nodebb": (nodebb, nodebb.NodebbReader),
        "phpbb": (phpbb, phpbb.PhpbbReader),
        "smf": (smf, smf.SmfReader),
        "vbulletin": (vbulletin, vbulletin.VbulletinReader),
        "xenforo": (xenforo, xenforo.XenforoReader),
    }[product]
    marker, chosen = module.MARKER, prefix if prefix is not None else module.PREFIX
    tables: Source
    if isinstance(source, str):
        tables = LiveSource(source, module.TABLES, marker=marker, prefix=chosen)
    else:
        tables = DumpSource(
            source,
            module.TABLES,
            marker=marker,
            prefix=chosen,
            encoding=encoding,
            folder=folder,
            most=MAX_DUMP if most is None else most,
        )
    return reader(tables, files)
