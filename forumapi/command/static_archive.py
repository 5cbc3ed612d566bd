"""Archive of a site's public part as static HTML files under the old addresses, for a community that ends.

Each page is made of the API's answer to a guest, so that it shows what guests may read and nothing else. Links are
relative: the archive works below any address, and from a disk.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from html import escape, unescape
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from markupsafe import Markup

from forumapi import itemtypes, templates
from forumapi.app import App
from forumapi.database.query import Query
from forumapi.files.storage import MissingError
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.sites.site import Site
from forumapi.permissions.evaluator import Tree
from forumapi.request.processor import respond

# Comments, or lines of a list, on one page.
PAGE: Final = 100

_KINDS: Final[Mapping[int, str]] = {
    itemtypes.CONVERSATION: "conversations",
    itemtypes.EVENT: "events",
    itemtypes.POLL: "polls",
}
_TYPES: Final = f"({itemtypes.CONVERSATION}, {itemtypes.EVENT}, {itemtypes.POLL})"

ITEMS = Query(
    "static_archive.items",
    f"""
    SELECT i.item_id, i.item_type_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id > %(after)s AND i.microcosm_id = ANY(%(readable)s::bigint[])
       AND i.item_type_id IN {_TYPES} AND NOT i.is_deleted AND NOT i.is_moderated
     ORDER BY i.item_id
     LIMIT %(limit)s""",
)

LIST = Query(
    "static_archive.list",
    f"""
    SELECT i.item_id, i.item_type_id, i.title, i.comment_count, i.last_activity, p.profile_name, i.is_sticky
      FROM items i
      JOIN profiles p ON p.site_id = i.site_id AND p.profile_id = i.created_by
     WHERE i.site_id = %(site_id)s AND i.microcosm_id = %(id)s
       AND i.item_type_id IN {_TYPES} AND NOT i.is_deleted AND NOT i.is_moderated
     ORDER BY i.is_sticky DESC, i.last_activity DESC, i.item_id DESC
     LIMIT %(limit)s OFFSET %(offset)s""",
)

COMMENT_PLACE = Query(
    "static_archive.comment_place",
    """
    SELECT c.item_id
      FROM comments c
      JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s AND NOT c.is_deleted AND NOT c.is_moderated""",
)

# The list of people, and so the archive, lacks the placeholder that inherits a person's content.
IS_LISTED = Query(
    "static_archive.is_listed",
    """
    SELECT p.profile_name <> 'deleted'
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(id)s""",
)

SHORT_LINK = Query(
    "static_archive.short_link",
    """
    SELECT l.url
      FROM links l
     WHERE l.code = %(code)s
       AND NOT EXISTS (SELECT 1 FROM blocked_link_domains b
                        WHERE l.host = b.domain OR l.host LIKE '%%.' || b.domain)""",
)

_ATTRIBUTE: Final = re.compile(r'\s(href|src)="([^"]*)"')
_IMAGE: Final = re.compile(r"<img\b[^>]*>")
_ALT: Final = re.compile(r'\salt="([^"]*)"')
_SRCSET: Final = re.compile(r'\s(?:srcset|sizes)="[^"]*"')
_FILE: Final = re.compile(r"/api/v1/files/([0-9a-f]{40}|profile-\d+)(\.[0-9a-z]{1,10})?")
_THING: Final = re.compile(
    r"(?:/api/v1)?/(microcosms|conversations|events|polls|profiles|comments)/(\d{1,18})(?:/.*)?"
)
_CODE: Final = re.compile(r"/out/([0-9A-Za-z]{2,40})")
_SUFFIX: Final = re.compile(r"\.[0-9a-z]{1,10}")


class ArchiveWritten(NamedTuple):
    """Result of `StaticArchive.write`: number of HTML pages, and of files such as pictures."""

    pages: int
    files: int


class StaticArchive:
    """Writer of one site's archive, static HTML pages as guests see them, into the folder `folder`, which the caller
    has made and found empty. `app`: the API, on the platform's database.

    `step` is called with the number of pages so far. Memory holds the ids and types of all items that guests may read,
    and the ids of the profiles and files that are linked.
    """

    def __init__(self, app: App, site: Site, folder: Path, step: Callable[[int], None]) -> None:
        self._app = app
        self._site = site
        self._folder = folder
        self._step = step
        self._host = f"{site.key}.{app.sites.domain}"
        self._hosts = {host.lower() for host in (self._host, site.domain) if host}
        self._tx = app.database.read()
        self._tree: Tree = load_tree(self._tx, site.id, site.acl_version)
        self._readable = self._tree.access(None).view.ids
        self._items: dict[int, int] = {}
        # Linked profiles by id: True for those of the archive.
        self._profiles: dict[int, bool] = {}
        self._files: dict[str, str] = {}
        self._pages = 0

    def write(self) -> ArchiveWritten:
        """Write all pages and files, and return their numbers. Raises OSError, StorageError, psycopg.Error."""
        try:
            for row in self._all_items():
                self._items[row[0]] = row[1]
            self._front()
            for id in self._tree.order:
                if id in self._tree.access(None).view.set:
                    self._microcosm(id)
            for id in list(self._items):
                self._item(id)
            self._people()
        finally:
            self._tx.end()
        return ArchiveWritten(self._pages, sum(map(bool, self._files.values())))

    # ------------------------------------------------------------ answers to a guest

    def _ask(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        """Call the API as a guest of the site; return status and body of its answer. `path`: with the query."""
        address, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": address,
            "QUERY_STRING": query,
            "HTTP_HOST": self._host,
            "REMOTE_ADDR": "",
            "wsgi.input": io.BytesIO(),
        }
        line, _, data = respond(self._app, environ)
        return int(line[:3]), data if isinstance(data, bytes) else b"".join(data)

    def _get(self, path: str) -> Any:
        """Return the decoded `data` of the API's answer to a guest; None unless the status is 200. `path`: below
        `/api/v1`, with the query.
        """
        status, body = self._ask(f"/api/v1{path}")
        return msgspec.json.decode(body)["data"] if status == 200 else None

    def _all_items(self) -> Iterator[tuple[int, int]]:
        after = 0
        while rows := self._tx.rows(
            ITEMS, site_id=self._site.id, after=after, readable=self._readable, limit=1_000
        ):
            yield from ((row[0], row[1]) for row in rows)
            after = rows[-1][0]

    # ------------------------------------------------------------ pages

    def _page(self, address: str, template: str, number: int, last: int, **values: Any) -> None:
        """Write page `number`, from 1, of a thing's `last` pages: the first at `address`, the thing's path from the
        archive's root, others below it. `template`: name in `archive/`, filled with `values`.
        """
        path = _path(address, number)
        depth = path.count("/")
        up = "../" * depth
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        html = templates.render(
            f"archive/{template}.html",
            up=up,
            site_title=Markup(self._site.title),
            numbers=[(one, up + _path(address, one)) for one in _near(number, last)],
            number=number,
            last=last,
            **values,
        )
        target.write_text(html, encoding="utf-8")
        self._pages += 1
        self._step(self._pages)

    def _front(self) -> None:
        forums = []
        view = self._tree.access(None).view.set
        for id in self._tree.order:
            node = self._tree.nodes[id]
            if id in view:
                forums.append(
                    (max(node.level - 1, 0), f"microcosms/{id}/index.html", Markup(node.title))
                )
        self._page("", "front", 1, 1, forums=forums, description=Markup(self._site.description))

    def _microcosm(self, id: int) -> None:
        found = self._get(f"/microcosms/{id}")
        if found is None:
            return
        node = self._tree.nodes[id]
        view = self._tree.access(None).view.set
        up = "../" * 2
        below = [
            (f"{up}microcosms/{child}/index.html", Markup(self._tree.nodes[child].title))
            for child in node.children
            if child in view
        ]
        number, rows = 1, self._lines(id, 1)
        while number == 1 or rows:
            following = self._lines(id, number + 1)
            up = "../" * (2 if number == 1 else 3)
            self._page(
                f"microcosms/{id}",
                "microcosm",
                number,
                number + bool(following),
                title=Markup(found["title"]),
                description=Markup(found["description"]),
                trail=self._trail(node.path[:-1], up),
                below=below if number == 1 else [],
                rows=[
                    (
                        f"{up}{_KINDS[kind]}/{item}/index.html",
                        Markup(title),
                        Markup(name),
                        count,
                        at.date().isoformat(),
                    )
                    for item, kind, title, count, at, name, _ in rows
                    if item in self._items
                ],
            )
            number, rows = number + 1, following

    def _lines(self, id: int, number: int) -> list[tuple[Any, ...]]:
        return self._tx.rows(
            LIST,
            site_id=self._site.id,
            id=id,
            limit=PAGE,
            offset=(number - 1) * PAGE,
        )

    def _trail(self, path: tuple[int, ...], up: str) -> list[tuple[str, Markup]]:
        view = self._tree.access(None).view.set
        return [
            (f"{up}microcosms/{id}/index.html", Markup(self._tree.nodes[id].title))
            for id in path
            if id in view
        ]

    def _item(self, id: int) -> None:
        kind = _KINDS[self._items[id]]
        number, last = 1, 1
        while number <= last:
            found = self._get(f"/{kind}/{id}?limit={PAGE}&offset={(number - 1) * PAGE}")
            if found is None:
                # Deleted meanwhile.
                return
            up = "../" * (2 if number == 1 else 3)
            comments = found["comments"]
            last = max(comments["totalPages"], 1)
            home = self._tree.nodes.get(found["microcosmId"])
            self._page(
                f"{kind}/{id}",
                "item",
                number,
                last,
                title=Markup(found["title"]),
                trail=self._trail(home.path if home is not None else (), up),
                facts=_facts(found) if number == 1 else [],
                choices=_choices(found) if number == 1 else [],
                question=Markup(found.get("question", "")) if number == 1 else "",
                comments=[self._comment(one, up) for one in comments["items"]],
            )
            number += 1

    def _comment(self, comment: Any, up: str) -> dict[str, Any]:
        files = []
        if comment.get("attachments"):
            found = self._get(f"/comments/{comment['id']}/attachments?limit=250")
            for one in found["attachments"]["items"] if found else ():
                name = f"{one['fileHash']}.{one['fileExt']}".rstrip(".")
                if address := self._file(f"/api/v1/files/{name}"):
                    files.append((up + address, one["fileName"]))
        author = comment["meta"]["createdBy"]
        return {
            "id": comment["id"],
            "by": Markup(author["profileName"]),
            "profile": self._page_of("profiles", author["id"], up),
            "at": comment["meta"]["created"],
            "by_agent": comment["meta"].get("byAgent", False),
            "html": Markup(self._rewritten(comment["html"], up)),
            "files": files,
        }

    def _people(self) -> None:
        number, last = 1, 1
        while number <= last:
            found = self._get(f"/profiles?limit={PAGE}&offset={(number - 1) * PAGE}")
            if found is None:
                return
            listed = found["profiles"]
            last = max(listed["totalPages"], 1)
            up = "../" * (1 if number == 1 else 2)
            people = []
            for one in listed["items"]:
                self._profile(one["id"])
                people.append((f"{up}profiles/{one['id']}/index.html", Markup(one["profileName"])))
            self._page("profiles", "people", number, last, people=people)
            number += 1

    def _profile(self, id: int) -> None:
        found = self._get(f"/profiles/{id}")
        if found is None:
            return
        up = "../" * 2
        about = found.get("profileComment")
        picture = self._local(found["avatar"], up)
        self._page(
            f"profiles/{id}",
            "profile",
            1,
            1,
            title=Markup(found["profileName"]),
            picture=picture or "",
            since=found["created"][:10],
            comment_count=found["commentCount"],
            about=Markup(self._rewritten(about["html"], up)) if about else "",
        )

    # ------------------------------------------------------------ links and files

    def _rewritten(self, html: str, up: str) -> str:
        """Return HTML whose links to pages and files of the archive are relative, and whose short links are replaced by
        their targets; a link to what the archive lacks loses its address, a picture leaves its alternative text. `up`:
        path from the page to the archive's root.
        """

        def image(found: re.Match[str]) -> str:
            source = re.search(r'\ssrc="([^"]*)"', found[0])
            address = self._local(unescape(source[1]), up) if source else None
            if address is None:
                alt = _ALT.search(found[0])
                return alt[1] if alt else ""
            return _SRCSET.sub("", found[0])

        def attribute(found: re.Match[str]) -> str:
            address = self._local(unescape(found[2]), up)
            return f' {found[1]}="{escape(address)}"' if address is not None else ""

        return _ATTRIBUTE.sub(attribute, _IMAGE.sub(image, html))

    def _local(self, url: str, up: str) -> str | None:
        """Return the address to write in place of the link `url`: relative for what the archive holds; the target for a
        short link, `url` itself for other hosts and for other kinds of pages, None for what the archive lacks and for a
        blocked or unknown short link. `up`: path from the page to the archive's root.
        """
        parts = urlsplit(url)
        is_own = not parts.netloc or parts.netloc.lower() in self._hosts
        # The platform has had several addresses of short links, perhaps, so the code alone counts.
        if (short := _CODE.fullmatch(parts.path)) is not None:
            found: str | None = self._tx.value(SHORT_LINK, code=short[1])
            if found is not None or is_own or url.startswith(self._app.config.short_links):
                return found
        if not is_own or parts.scheme not in ("", "http", "https"):
            return url
        if (file := _FILE.fullmatch(parts.path)) is not None:
            address = self._file(file[0])
            return up + address if address else None
        if (thing := _THING.fullmatch(parts.path)) is not None:
            return self._page_of(thing[1], int(thing[2]), up)
        return url

    def _page_of(self, kind: str, id: int, up: str) -> str | None:
        if kind == "comments":
            # An item that guests may not read is not among those of the archive.
            item = self._tx.value(COMMENT_PLACE, site_id=self._site.id, id=id)
            return self._page_of("items", item, up) if item else None
        if kind == "profiles":
            if id not in self._profiles:
                listed = self._tx.value(IS_LISTED, site_id=self._site.id, id=id)
                self._profiles[id] = bool(listed)
            return f"{up}profiles/{id}/index.html" if self._profiles[id] else None
        if kind == "microcosms":
            is_there = id in self._tree.access(None).view.set
            return f"{up}microcosms/{id}/index.html" if is_there else None
        return f"{up}{_KINDS[self._items[id]]}/{id}/index.html" if id in self._items else None

    def _file(self, path: str) -> str:
        """Copy the file at `path` of the site, unless it has been copied, and return its path in the archive; "" for
        one that guests may not read or the store lacks.
        """
        known = self._files.get(path)
        if known is None:
            known = self._files[path] = self._copied(path)
        return known

    def _copied(self, path: str) -> str:
        name = path.rpartition("/")[2]
        hash = name.partition(".")[0]
        status, _ = self._ask(path, "HEAD")
        if status not in (200, 307):
            return ""
        # `.svg` and `.html` of strangers stay what a browser only downloads.
        suffix = _SUFFIX.fullmatch(name[len(hash) :])
        is_plain = suffix is not None and suffix[0] not in (
            ".svg",
            ".html",
            ".htm",
            ".xhtml",
            ".js",
        )
        target = f"files/{hash}{suffix[0] if suffix is not None and is_plain else '.bin'}"
        (self._folder / "files").mkdir(parents=True, exist_ok=True)
        if hash.startswith("profile-"):
            _, data = self._ask(path)
            (self._folder / target).write_bytes(data)
            return target
        storage = self._app.storage
        size = storage.size(hash)
        if size is None:
            return ""
        try:
            with (self._folder / target).open("wb") as handle:
                for piece in storage.read(hash, 0, size):
                    handle.write(piece)
        except MissingError:
            return ""
        return target


def _path(address: str, number: int) -> str:
    """Return the path, from the archive's root, of the HTML file for page `number` (from 1) of the thing at `address`;
    the front page's `address` is "".
    """
    folder = f"{address}/" if address else ""
    return f"{folder}index.html" if number == 1 else f"{folder}page-{number}/index.html"


def _near(number: int, last: int) -> list[int]:
    """Return in ascending order, each once, the page numbers that a page links to: the first, the last, itself and
    those beside it.
    """
    return sorted({1, last, *(one for one in (number - 1, number, number + 1) if 1 <= one <= last)})


def _facts(found: Any) -> list[tuple[str, Markup]]:
    """Return label and text of what an event (`found`, an item of the API) has beside its title: time and place, if it
    has them, status, and the number of people who come; [] for other items.
    """
    if "rsvpAttend" not in found:
        return []
    facts = [("Status", Markup(escape(found["status"])))]
    if found.get("when"):
        facts.insert(0, ("When", Markup(escape(f"{found['when']} ({found['tz']})"))))
    if found.get("where"):
        facts.append(("Where", Markup(found["where"])))
    facts.append(("Attending", Markup(str(found["rsvpAttend"]))))
    return facts


def _choices(found: Any) -> list[tuple[Markup, int | None]]:
    """Return text and votes of the choices of a poll (`found`, an item of the API), in their order; votes are None
    where guests do not see them; [] for other items.
    """
    return [(Markup(one["choice"]), one.get("votes")) for one in found.get("choices", ())]
