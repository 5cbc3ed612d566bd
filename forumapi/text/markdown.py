"""Conversion of Markdown to HTML (content 11.4): the only module that uses the Markdown engine.

The result is not safe: HTML that the author wrote passes through.
"""

import re

import comrak

_EXTENSIONS = comrak.ExtensionOptions()
_EXTENSIONS.autolink = True
_EXTENSIONS.strikethrough = True
_EXTENSIONS.table = True
_OUTPUT = comrak.RenderOptions()
_OUTPUT.hardbreaks = True
_OUTPUT.unsafe_ = True

_MAX_CELLS = 20_000
"""Table cells of one text. The engine fills up short rows, so 16 kB can become 15 MB and a second."""

_MAX_URLS = 100
"""Times `www.` in one word. The engine looks at the rest of the word at each: 50 kB take a second."""

_WORD = re.compile(r"\S++")
_DELIMITER_ROW = "|:- \t"


def to_html(source: str) -> str:
    """Convert Markdown to HTML, which is not sanitised."""
    if "|" in source:
        source = _with_bounded_tables(source)
    if source.count("www.") > _MAX_URLS:
        source = _WORD.sub(_with_bounded_urls, source)
    return comrak.render_markdown(source, extension_options=_EXTENSIONS, render_options=_OUTPUT)


def _with_bounded_tables(source: str) -> str:
    """Escape the delimiter row of each table whose cells would make it more than _MAX_CELLS in the whole `source`, so
    that this table stays text.
    """
    lines = source.split("\n")
    cells = 0
    blank = 0
    for number, line in enumerate(lines):
        start = len(line.rstrip(_DELIMITER_ROW))
        row = line[start:]
        if "|" not in row or "-" not in row:
            continue
        if blank <= number:
            blank = next(
                (after for after in range(number, len(lines)) if not lines[after].strip()),
                len(lines),
            )
        added = (row.count("|") + 1) * (blank - number)
        if cells + added <= _MAX_CELLS:
            cells += added
        else:
            start += len(row) - len(row.lstrip())
            lines[number] = f"{line[:start]}\\{line[start:]}"
    return "\n".join(lines)


def _with_bounded_urls(word: re.Match[str]) -> str:
    if word[0].count("www.") > _MAX_URLS:
        return word[0].replace("www.", r"www\.")
    return word[0]
