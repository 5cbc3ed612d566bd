"""Client of the website who speaks plain HTTP, keeps cookies, and reads pages with a second HTML parser."""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass, field
from urllib.parse import urlencode

from selectolax.lexbor import LexborHTMLParser, LexborNode

from tests.factories import Person, Site


@dataclass
class Page:
    """Answer of the website."""

    status: int
    headers: dict[str, str]
    set_cookies: list[str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def tree(self) -> LexborHTMLParser:
        """The body, parsed."""
        return LexborHTMLParser(self.text)

    @property
    def location(self) -> str:
        """Return the address that the answer leads to, "" for none."""
        return self.headers.get("location", "")

    def find(self, css: str) -> LexborNode:
        """Find the first element that a CSS selector fits."""
        found = self.tree.css_first(css)
        assert found is not None, f"no {css} in {self.text}"
        return found

    def value(self, css: str) -> str:
        """Return the value of the first field that a CSS selector fits."""
        return self.find(css).attributes.get("value") or ""

    @property
    def main(self) -> str:
        """The words of the page, without its frame."""
        return " ".join(self.find("main").text().split())

    def field(self, form: str, name: str) -> str:
        """Return the value of a field of the form with this action."""
        found = self.tree.css_first(f'form[action="{form}"] [name="{name}"]')
        assert found is not None, f"no field {name} in a form to {form}"
        return found.attributes.get("value") or found.text()


@dataclass
class Visitor:
    """Guest, or the person that `of` signed in."""

    address: tuple[str, int]
    host: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    def of(self, site: Site, person: Person | None = None) -> Visitor:
        """Return a visitor of a site, signed in as a person of it."""
        made = Visitor(self.address, site.host)
        if person is not None:
            page = made.post("/login/", {"step": "development", "email": person.email})
            assert page.status == 303, page.text
        return made

    def get(self, path: str, **headers: str) -> Page:
        """GET a page."""
        return self.request("GET", path, headers=headers)

    def post(
        self,
        path: str,
        form: dict[str, str] | list[tuple[str, str]] | None = None,
        *,
        origin: str | None = "",
        **headers: str,
    ) -> Page:
        """POST a form, from a page of the same host; `origin` names another one, None sends none."""
        sent = dict(headers)
        if origin is not None:
            sent["Origin"] = origin or f"http://{self.host}"
        sent["Content-Type"] = "application/x-www-form-urlencoded"
        return self.request("POST", path, urlencode(form or {}).encode(), sent)

    def send_half(self, path: str, body: bytes, kind: str) -> int:
        """POST the first half of a form of this Content-Type, and no more; the status of the answer."""
        length = f"Content-Length: {len(body)}"
        return self.send_raw(path, body[: len(body) // 2], kind, length)[0]

    def send_raw(self, path: str, body: bytes, kind: str, framing: str) -> tuple[int, bytes]:
        """POST these bytes as the whole of a body of this Content-Type, and close our end; the status of the answer,
        and what follows it. `framing`: the header that says how the body ends.
        """
        headers = {
            "Host": self.host,
            "Origin": f"http://{self.host}",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Content-Type": kind,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with socket.create_connection(self.address, timeout=30) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\n{head}{framing}\r\n\r\n".encode())
            connection.sendall(body)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answer:
                return int(answer.readline().split()[1]), answer.read()

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Page:
        """Send one request and keep the cookies of the answer. `_` in the name of a header stands for a hyphen."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        sent = {"Host": self.host}
        sent |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, path, body or None, sent)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        set_cookies = answer.headers.get_all("Set-Cookie") or []
        for text in set_cookies:
            name, _, value = text.partition(";")[0].partition("=")
            if "Max-Age=0" in text:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Page(answer.status, found, set_cookies, data)
