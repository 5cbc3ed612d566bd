"""Documents: answers of the server with their members as attributes, and pages that go on by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from .errors import BadAnswer

if TYPE_CHECKING:
    from .documents import Link
    from .operations import Client

T = TypeVar("T")

# Shape of a member: name of a class, or list, map, choice by the value of a member, choice by the members there are.
Kind = str | tuple[Any, ...]

CLASSES: dict[str, type[Document]] = {}


class Document:
    """Object of an answer. `raw` is what the server sent, with members that this client does not know yet.

    A member that may be absent is None then; AttributeError for another one that an older server does not send.
    """

    _nested: ClassVar[Mapping[str, Kind]] = {}
    _required: ClassVar[frozenset[str]] = frozenset()
    _known: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        raw: Mapping[str, Any],
        client: Client,
        address: str = "",
        keys: tuple[str | int, ...] = (),
    ) -> None:
        self.raw = raw
        self._client = client
        # Address of the answer, and the way to this part of it.
        self._address = address
        self._keys = keys

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        CLASSES[cls.__name__] = cls

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={self.raw[name]!r}" for name in ("id", "title") if name in self.raw
        )
        return f"{type(self).__name__}({shown})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Document) and self.raw == other.raw

    __hash__ = None  # type: ignore[assignment]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__") or name in ("raw", "_client", "_address", "_keys"):
                raise AttributeError(name)
            key = name.removesuffix("_")
            if key not in self.raw:
                if key in self._known and key not in self._required:
                    return None
                raise AttributeError(f"the server's {type(self).__name__} has no {key}")
            keys = (*self._keys, key)
            made = convert(self._nested.get(key), self.raw[key], self._client, self._address, keys)
            self.__dict__[name] = made
            return made


class Page(Document, Generic[T]):
    """Page of a list. `items` are those of this page; called or iterated, it gives those of the following ones too."""

    items: Sequence[T]
    limit: int
    links: Sequence[Link]

    def __call__(self) -> Iterator[T]:
        """Return an iterator over the items of this page and of all that follow."""
        return iter(self)

    def __iter__(self) -> Iterator[T]:
        page: Page[T] | None = self
        seen = {self._address}
        while page is not None:
            yield from page.items
            href = page._next_href()
            if href is not None and self._client.url(href) in seen:
                raise BadAnswer(f"{href} comes after itself")
            page = page.next()
            if page is not None:
                seen.add(page._address)

    def next(self) -> Page[T] | None:
        """Return the following page, None at the end."""
        href = self._next_href()
        return None if href is None else self._at(href)

    def _next_href(self) -> str | None:
        for link in self.raw.get("links") or ():
            if link.get("rel") == "next":
                return str(link["href"])
        return None

    def _at(self, href: str) -> Page[T]:
        data, address = self._client.read(href)
        for key in self._keys:
            try:
                data = data[key]
            except (KeyError, IndexError, TypeError) as error:
                raise BadAnswer(f"{address} has no page at {self._keys}") from error
        if not isinstance(data, dict) or not isinstance(data.get("items"), list):
            raise BadAnswer(f"{address} has no page at {self._keys}")
        return type(self)(data, self._client, address, self._keys)


def convert(
    kind: Kind | None, value: Any, client: Client, address: str, keys: tuple[str | int, ...] = ()
) -> Any:
    """Return a value of an answer as what `kind` says; as it is where there is nothing to make of it."""
    if kind is None or value is None:
        return value
    if isinstance(kind, str):
        if not isinstance(value, dict):
            return value
        return CLASSES[kind](value, client, address, keys)
    how, inner, *others = kind
    if how == "list" and isinstance(value, list):
        return [
            convert(inner, one, client, address, (*keys, place)) for place, one in enumerate(value)
        ]
    if how == "map" and isinstance(value, dict):
        return {
            name: convert(inner, one, client, address, (*keys, name)) for name, one in value.items()
        }
    if how == "by" and isinstance(value, dict):
        # A type that only a newer server knows.
        return convert(others[0].get(value.get(inner), "Document"), value, client, address, keys)
    if how == "any" and isinstance(value, dict):
        fits = [name for name in inner if CLASSES[name]._required <= value.keys()]
        # The one that explains most of what there is.
        fits.sort(key=lambda name: len(CLASSES[name]._known & value.keys()), reverse=True)
        return convert(fits[0] if fits else "Document", value, client, address, keys)
    return value


CLASSES["Document"] = Document
