"""Readers of other forums' storage, one module a product, that write nothing; rights of some stand beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from forumapi.porting.layout import ForumReader

# Products that can be read, by the names of the command.
NAMES: Final = ("microcosm", "misago", "nodebb", "phpbb", "smf")


def open_reader(product: str, source: Path, files: Path | None = None) -> ForumReader:
    """Open a forum's storage. `files`: folder of its uploads. Raises LayoutError, DumpError, OSError."""
    if product == "microcosm":
        from forumapi.porting.readers.microcosm import MicrocosmReader

        return MicrocosmReader(source)
    if product == "misago":
        from forumapi.porting.readers.misago import open_misago

        return open_misago(source, files)
    if product == "nodebb":
        from forumapi.porting.readers.nodebb import open_nodebb

        return open_nodebb(source, files)
    if product == "phpbb":
        from forumapi.porting.readers.phpbb import open_phpbb

        return open_phpbb(source, files)
    if product == "smf":
        from forumapi.porting.readers.smf import open_smf

        return open_smf(source, files)
    raise ValueError(f"no reader of {product}")
