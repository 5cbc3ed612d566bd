"""Result of the conversion of one text, and the files that the text may refer to, for texts of any product."""

from __future__ import annotations

from typing import NamedTuple


class PostFile(NamedTuple):
    """File attached to a post or private message. `id`: old id of the attachment; `name`: of the file, plain text;
    `is_picture`: a text shows it in place, others it links.

    phpBB's texts refer to it by its position in the list of the post's files, texts of XenForo, vBulletin and SMF by
    `id`, Discourse's by a hash or path.
    """

    id: str
    name: str
    is_picture: bool


class Converted(NamedTuple):
    """Text as Markdown. `answered`: old ids of the posts that the outermost quotations name; `shown`: ids of the files
    that the text shows in place.
    """

    markdown: str
    answered: tuple[str, ...] = ()
    shown: frozenset[str] = frozenset()
