"""Parser of `mysqldump` text: definitions and rows of tables, as a stream. Nothing in it is executed."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from typing import Final

from forumapi.porting.dumps.dump_types import MAX_VALUE, DumpError, DumpRow, DumpTable, Value

_CHUNK: Final = 1 << 20
# No statement but INSERT is longer than this, except for definitions of routines, which end the same way.
_MAX_STATEMENT: Final = 4 * 1024 * 1024

_SPACE = re.compile(rb"(?:\s++|--(?=\s)[^\n]*+\n|#[^\n]*+\n|/\*(?!!).*?\*/)*+", re.S)
_INSERT = re.compile(
    rb"(?:INSERT|REPLACE)\s++(?:(?:IGNORE|DELAYED|LOW_PRIORITY)\s++)*+(?:INTO\s++)?+"
    rb"(?P<name>`(?:[^`]|``)++`(?:\s*+\.\s*+`(?:[^`]|``)++`)?+|[\w.$]++)\s*+"
    rb"(?:\((?P<columns>[^()]*+)\)\s*+)?+VALUES?\s*+",
    re.I,
)
_IS_INSERT = re.compile(rb"(?:INSERT|REPLACE)\s", re.I)
_CREATE = re.compile(
    rb"CREATE\s++TABLE\s++(?:IF\s++NOT\s++EXISTS\s++)?+"
    rb"(?P<name>`(?:[^`]|``)++`(?:\s*+\.\s*+`(?:[^`]|``)++`)?+|[\w.$]++)\s*+\(",
    re.I,
)
_COLUMN = re.compile(rb"^\s*+`((?:[^`]|``)++)`\s++([a-zA-Z]++[^,\n]*+)", re.M)
# Of a definition by hand, with names that are not quoted, or on one line.
_BARE_COLUMN = re.compile(
    rb"[(,]\s*+`?+(?!(?:PRIMARY|UNIQUE|KEY|INDEX|FULLTEXT|CONSTRAINT|FOREIGN)\b)([A-Za-z_]\w*+)`?+\s++"
    rb"([a-zA-Z]++(?:\([^()]*+\))?+[^,()]*+)",
    re.I,
)
_IDENTIFIER = re.compile(rb"`(?:[^`]|``)++`|[^\s`,.]++")
_NAMES = re.compile(rb"SET\s++NAMES\s++'?([a-z0-9]++)", re.I)
# Up to the semicolon that ends a statement: quoted parts and comments may hold others.
_STATEMENT_PART = re.compile(
    rb"(?:[^;'\"`/#-]++|'(?:[^'\\]++|\\.|'')*+'|\"(?:[^\"\\]++|\\.|\"\")*+\"|`[^`]*+`"
    rb"|/\*.*?\*/|--(?=\s)[^\n]*+\n|[/#-])*+",
    re.S,
)
_VALUE = re.compile(
    rb"\s*+(?:(?:_binary|_utf8mb4|_utf8mb3|_utf8|_latin1)\s*+)?+(?:"
    rb"'(?P<text>(?:[^'\\]++|\\.|'')*+)'(?!')"
    rb"|0x(?P<hex>[0-9A-Fa-f]*+)"
    rb"|[xX]'(?P<hexed>[0-9A-Fa-f]*+)'"
    rb"|(?P<number>[-+]?+[0-9]++(?:\.[0-9]*+)?+(?:[eE][-+]?+[0-9]++)?+)"
    rb"|(?P<null>NULL)"
    rb"|b'(?P<bits>[01]*+)'"
    rb")\s*+(?P<after>[,)])",
    re.S,
)
_TEXT_START = re.compile(rb"\s*+(?:_binary\s*+)?+'")
_TEXT_PART = re.compile(rb"(?:[^'\\]++|\\.|'')*+", re.S)
_ESCAPE = re.compile(r"\\(.)|''", re.S)
_ESCAPES: Final = {
    "0": "\0",
    "b": "\b",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "Z": "\x1a",
    "%": "\\%",
    "_": "\\_",
}
ENCODINGS: Final = {
    "utf8": "utf-8",
    "utf8mb3": "utf-8",
    "utf8mb4": "utf-8",
    "latin1": "cp1252",
    "binary": "utf-8",
    "ascii": "ascii",
    "cp1250": "cp1250",
    "cp1251": "cp1251",
    "latin2": "iso8859-2",
    "koi8r": "koi8-r",
    "greek": "iso8859-7",
    "hebrew": "iso8859-8",
}


class _Window:
    """Part of a stream in memory, as `data`. `position`: index in `data` of the first byte that has not been parsed;
    `ended`: the stream has no further bytes.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self.data = b""
        self.position = 0
        self.ended = False

    def more(self) -> bool:
        """Read the next chunk of the stream behind the bytes in memory, and drop those that have been parsed; return
        True, or False at the end of the stream.
        """
        chunk = self._stream.read(_CHUNK)
        if not chunk:
            self.ended = True
            return False
        self.data = self.data[self.position :] + chunk
        self.position = 0
        return True

    def size(self) -> int:
        return len(self.data) - self.position


def read(
    stream: io.BufferedReader, is_wanted: Callable[[str], bool], encoding: str = ""
) -> Iterator[DumpTable | DumpRow]:
    """Parse a dump: yield, in its order, definitions and rows of the tables whose whole names, with any prefix, pass
    `is_wanted`; a table may be defined again before further rows. `encoding`: of the text, "" for the one that the dump
    names. Raises DumpError for a dump that is cut off (one without mysqldump's first comment only if the cut is within
    a statement) or is no SQL text, rows of a table whose columns nothing before them names, or with another number of
    values, and text in another or an unknown character set. A row with a text above MAX_VALUE (16 MiB) is yielded with
    a problem.
    """
    return _Reader(stream, is_wanted, encoding).run()


class _Reader:
    def __init__(
        self, stream: io.BufferedReader, is_wanted: Callable[[str], bool], encoding: str
    ) -> None:
        self._window = _Window(stream)
        self._is_wanted = is_wanted
        self._is_given = bool(encoding)
        self._encoding = _known(encoding or "utf-8")
        self._types: dict[str, dict[str, str]] = {}
        self._counts: dict[str, int] = {}
        self._last = ""

    def run(self) -> Iterator[DumpTable | DumpRow]:
        window = self._window
        window.more()
        if window.data.startswith(b"\xef\xbb\xbf"):
            window.position = 3
        is_marked = (
            b"-- MySQL dump" in window.data[:4096] or b"-- MariaDB dump" in window.data[:4096]
        )
        tail = b""
        while True:
            tail = self._skip_space() or tail
            if not window.size():
                break
            while window.size() < 4096 and window.more():
                pass
            if _IS_INSERT.match(window.data, window.position):
                yield from self._insert()
            else:
                yield from self._other()
        if is_marked and b"Dump completed" not in tail:
            raise DumpError(f"the dump is cut off after {self._place()}: its last line is missing")

    def _place(self) -> str:
        if not self._last:
            return "its beginning"
        return f"row {self._counts.get(self._last, 0)} of {self._last}"

    def _skip_space(self) -> bytes:
        """Skip white space and comments; return the last 4,096 bytes of what was skipped, of which the dump's last
        comment tells if the dump is whole; b"" if nothing was skipped.
        """
        window = self._window
        while True:
            match = _SPACE.match(window.data, window.position)
            assert match is not None
            rest = window.data[match.end() : match.end() + 3]
            # A comment may go on behind the window.
            is_cut = len(rest) < 3 or rest.startswith((b"--", b"#", b"/*"))
            if is_cut and not rest.startswith(b"/*!") and window.more():
                continue
            skipped = match[0]
            window.position = match.end()
            if window.ended and rest.startswith((b"--", b"#")):
                skipped += window.data[window.position :]
                window.position = len(window.data)
            return skipped[-4096:]

    def _other(self) -> Iterator[DumpTable]:
        """Read a statement that is no INSERT: take over the character set that it sets, unless the caller gave one, and
        yield the table that it defines, if that is wanted. Raises DumpError for a statement without an end or above 4
        MiB, and for a character set that is not known.
        """
        window = self._window
        while True:
            match = _STATEMENT_PART.match(window.data, window.position)
            assert match is not None
            if (
                match.end() < len(window.data)
                and window.data[match.end() : match.end() + 1] == b";"
            ):
                statement = match[0]
                window.position = match.end() + 1
                break
            if window.size() > _MAX_STATEMENT or not window.more():
                raise DumpError(
                    f"a statement without end after {self._place()}: the dump is cut off there, or is no SQL text"
                )
        if (names := _NAMES.search(statement)) and not self._is_given:
            self._encoding = _charset(names[1].decode().lower())
        if not (created := _CREATE.search(statement)):
            return
        name = _name(created["name"])
        if self._is_wanted(name):
            columns = {
                _decoded_name(column): kind.decode("utf-8", "replace").lower()
                for column, kind in _COLUMN.findall(statement, created.end())
                or _BARE_COLUMN.findall(statement, created.end() - 1)
            }
            self._types[name] = columns
            self._last = name
            yield DumpTable(name, columns)

    def _insert(self) -> Iterator[DumpTable | DumpRow]:
        window = self._window
        while True:
            heading = _INSERT.match(window.data, window.position)
            if heading and (heading.end() < len(window.data) or window.ended):
                break
            if heading is None and (window.size() > 65536 or window.ended):
                line = window.data[window.position : window.position + 60].decode(
                    "utf-8", "replace"
                )
                raise DumpError(
                    f"after {self._place()}: no rows of values follow {line!r}, or the dump is cut off"
                )
            window.more()
        name = _name(heading["name"])
        window.position = heading.end()
        wanted = self._is_wanted(name)
        if wanted:
            self._last = name
            types = self._types.get(name, {})
            if heading["columns"] is not None:
                types = {
                    column: types.get(column, "")
                    for column in map(_name, _IDENTIFIER.findall(heading["columns"]))
                }
                yield DumpTable(name, types)
            elif not types:
                raise DumpError(f"{name}: rows without names of columns, and no definition before")
            width = len(types)
            is_bytes = [_holds_bytes(kind) for kind in types.values()]
        while True:
            values, problem = self._row(name, wanted)
            if wanted:
                number = self._counts[name] = self._counts.get(name, 0) + 1
                if not problem and len(values) != width:
                    raise DumpError(
                        f"row {number} of {name} has {len(values)} values, the table {width} columns"
                    )
                if problem:
                    yield DumpRow(name, number, (), problem)
                else:
                    yield DumpRow(name, number, self._typed(values, is_bytes, name, number, types))
            after = self._next_byte()
            if after == b";":
                return
            if after != b",":
                raise self._broken(name, "neither another row nor the statement's end follows")

    def _row(self, name: str, wanted: bool) -> tuple[list[tuple[str, bytes]], str]:
        """Read a row in parentheses of the table `name`. Return a list with kind and bytes of each value, as `_literal`
        returns them, [] unless `wanted`; and why the row can't be used, in which case values may be missing, "" if it
        can. Raises DumpError for what is no row.
        """
        window = self._window
        if self._next_byte() != b"(":
            raise self._broken(name, "a row in parentheses is expected")
        values: list[tuple[str, bytes]] = []
        problem = ""
        count = 0
        while True:
            match = _VALUE.match(window.data, window.position)
            if match is None:
                if window.size() <= MAX_VALUE and window.more():
                    continue
                if window.size() <= MAX_VALUE:
                    raise self._broken(
                        name, f"value {count + 1} is no literal, or the dump is cut off"
                    )
                self._skip_long_text(name, count + 1)
                problem = f"value {count + 1} is longer than {MAX_VALUE} bytes"
                after = self._next_byte()
            else:
                after = match["after"]
                window.position = match.end()
                if wanted:
                    values.append(_literal(match))
            count += 1
            if after == b")":
                return values, problem
            if after != b",":
                raise self._broken(name, f"neither a comma nor a parenthesis follows value {count}")

    def _skip_long_text(self, name: str, number: int) -> None:
        """Skip a quoted text that is longer than allowed, value `number` of a row of the table `name`, without keeping
        it. Raises DumpError if the text has no end, or the value is no quoted text.
        """
        window = self._window
        start = _TEXT_START.match(window.data, window.position)
        if start is None:
            raise self._broken(name, f"value {number} is no literal")
        window.position = start.end()
        while True:
            match = _TEXT_PART.match(window.data, window.position)
            assert match is not None
            end = match.end()
            # The quotation mark may be the first of two.
            if end < len(window.data) - 1 and window.data[end : end + 1] == b"'":
                window.position = end + 1
                return
            window.position = end
            if not window.more():
                raise self._broken(name, f"value {number} has no end: the dump is cut off")

    def _next_byte(self) -> bytes:
        window = self._window
        while True:
            match = _SPACE.match(window.data, window.position)
            assert match is not None
            if match.end() < len(window.data):
                window.position = match.end() + 1
                return window.data[match.end() : match.end() + 1]
            if not window.more():
                return b""

    def _broken(self, name: str, problem: str) -> DumpError:
        window = self._window
        where = f"row {self._counts.get(name, 0) + 1} of {name}"
        there = window.data[window.position : window.position + 40].decode("utf-8", "replace")
        if not there:
            return DumpError(f"{where}: the dump is cut off")
        return DumpError(f"{where}: {problem}; there stands {there!r}")

    def _typed(
        self,
        values: list[tuple[str, bytes]],
        is_bytes: list[bool],
        name: str,
        number: int,
        types: dict[str, str],
    ) -> list[Value]:
        typed: list[Value] = []
        for place, (kind, data) in enumerate(values):
            if kind == "number":
                typed.append(_number(data))
            elif kind == "null":
                typed.append(None)
            elif kind in ("hex", "hexed"):
                whole = bytes.fromhex(data.decode() if len(data) % 2 == 0 else "0" + data.decode())
                typed.append(
                    whole if is_bytes[place] else self._text(whole, name, number, types, place)
                )
            elif kind == "bits":
                typed.append(int(data or b"0", 2))
            elif is_bytes[place]:
                typed.append(_unescaped_bytes(data))
            else:
                text = self._text(data, name, number, types, place)
                typed.append(
                    _ESCAPE.sub(_unescaped, text) if "\\" in text or "''" in text else text
                )
        return typed

    def _text(self, data: bytes, name: str, number: int, types: dict[str, str], place: int) -> str:
        try:
            return data.decode(self._encoding)
        except UnicodeDecodeError as error:
            column = list(types)[place]
            raise DumpError(
                f"row {number} of {name}, column {column}: byte 0x{data[error.start]:02x} is not {self._encoding};"
                " name the character set that the dump is in"
            ) from None


# The digits of a number that fits 64 bits, whatever they are.
_MAX_DIGITS: Final = 18
_LITERALS: Final = ("text", "number", "null", "hex", "hexed", "bits")


def _literal(match: re.Match[bytes]) -> tuple[str, bytes]:
    """Return the kind of the SQL value that the match holds ("text", "number", "null", "hex", "hexed" or "bits"), and
    the value's bytes as they are written, without quotation marks and prefix, escapes not decoded.
    """
    for kind in _LITERALS:
        if (data := match[kind]) is not None:
            return kind, data
    raise AssertionError("a value matches without any literal")


def _number(data: bytes) -> int | float | str:
    """Return the number that `data` writes, as int, or as float if it has a fraction or an exponent; one of more than
    18 characters as the text in which it is written.
    """
    if len(data) > _MAX_DIGITS:
        return data.decode()
    try:
        return int(data)
    except ValueError:
        return float(data)


def _unescaped(match: re.Match[str]) -> str:
    character = match[1]
    return "'" if character is None else _ESCAPES.get(character, character)


def _unescaped_bytes(data: bytes) -> bytes:
    return _ESCAPE.sub(_unescaped, data.decode("latin-1")).encode("latin-1")


def _holds_bytes(kind: str) -> bool:
    word = kind.split("(", maxsplit=1)[0].split(maxsplit=1)[0] if kind.strip() else ""
    return "blob" in word or "binary" in word


def _name(written: bytes) -> str:
    """Return a name from SQL, of a table or a column, without the database's name and quotation marks."""
    last: bytes = (_IDENTIFIER.findall(written) or [b""])[-1]
    return _decoded_name(last[1:-1] if last.startswith(b"`") else last)


def _decoded_name(written: bytes) -> str:
    return written.replace(b"``", b"`").decode("utf-8", "replace")


def _charset(name: str) -> str:
    if name not in ENCODINGS:
        raise DumpError(f"the dump's character set {name} is not known here: dump with utf8mb4")
    return ENCODINGS[name]


def _known(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise DumpError(f"{name} is no character set") from None
