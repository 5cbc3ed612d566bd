"""Client of the public API for one request of a visitor to the website: calls, their failures, and a record of the
GETs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from forumapi.webclient.transport import ApiTransport, FormBody, Unreachable, Visitor

PREFIX: Final = "/api/v1"
# Statuses of refusals after which a form stands again, with what was typed; after others a page of its own says why.
FORM_REFUSALS: Final = frozenset((400, 403, 409, 412, 413, 429, 503))


class Failure(Exception):
    """Refusal of the API: HTTP status, error code (docs/api/README.md, "Errors"; 0 without one), its English text
    (`detail`, "" without one), and `Retry-After` in seconds (0 without that header, or if it is no number).

    `data`: the answer's `data` where that is an object, else {}. An API that can't be reached is a Failure too: status
    503, `retry_after` 5, `is_unreachable`. The website raises a Failure with code 0 itself for a value that it can't
    send to the API or use; its `detail` is in the visitor's language, but for a header's value (English) and for a
    draft whose form the website refused ("").
    """

    def __init__(
        self,
        status: int,
        code: int = 0,
        detail: str = "",
        retry_after: int = 0,
        data: Any = None,
        *,
        is_unreachable: bool = False,
    ) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.data = data if isinstance(data, dict) else {}
        # The API did not answer at all.
        self.is_unreachable = is_unreachable


class Moved(Exception):
    """Answer 301 of the API: the thing that was asked for has another address, `location`: one of the same API for a
    conversation that moderators have merged into another one, a whole URL for a site that has moved to another
    platform.
    """

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


class AgreeFirst(Exception):
    """Refusal of a write by the API since the visitor has yet to agree to a legal text of the site, `text`: its name,
    such as terms.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Document:
    """Answer of the API below 400: status; the headers ETag and Location, "" where absent; all `headers` by name in
    lower case; and `body`, the bytes as they came.
    """

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.etag = headers.get("etag", "")
        self.location = headers.get("location", "")
        self.headers = headers
        self.body = body

    @cached_property
    def data(self) -> Any:
        """`data` of the body's envelope, decoded when it is first read; None without one."""
        return _envelope(self.headers, self.body).get("data")


def _envelope(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the JSON object that an answer with these headers and this body holds; {} if it is no JSON."""
    if not body or not headers.get("content-type", "").startswith("application/json"):
        return {}
    found: dict[str, Any] = msgspec.json.decode(body)
    return found


class Asked(NamedTuple):
    """GET that a page was made of: path below /api/v1, encoded query, and the entity tag of its answer."""

    path: str
    query: str
    etag: str


class Api:
    """Client of the public API for one request of a visitor. `token`: access token of the visitor, "" for guests;
    `headers`: sent with every call, besides those of the single call; `calls`: number of requests sent so far;
    `live_cursor`: position in the site's live events before the first answer, "" if no answer named one; `robots`:
    X-Robots-Tag of the first answer that had one, else "".

    `asked`: the GETs so far, by which `still_holds` can tell later whether a page is unchanged; None as soon as a call
    was anything but a plain GET with an entity tag, was answered with 301 or a refusal, or had no answer. The requests
    that `still_holds` sends are not among `asked`, and make it None only where `still_holds` raises.

    `failed`: True once a call had no answer, or was answered with 429 or from 500 on: what it asked for may come later.

    Every call raises Failure for an answer of 400 or above and without an answer, and Moved for 301; exceptions: `find`
    (404) and `still_holds` (most refusals). A write may raise AgreeFirst unless `is_for_script`, with which that is a
    Failure too: the page is made for a script, which can't lead on.
    """

    def __init__(
        self, transport: ApiTransport, visitor: Visitor, token: str, headers: Mapping[str, str]
    ) -> None:
        self._transport = transport
        self._visitor = visitor
        self._headers = dict(headers)
        self.calls = 0
        # Position in the live stream before the first answer: nothing on the page is older.
        self.live_cursor = ""
        self.robots = ""
        self.asked: list[Asked] | None = []
        self.failed = False
        self.is_for_script = False
        # Documents that were read to confirm a kept page, and differ: they are not read again.
        self._read: dict[tuple[str, str], Document] = {}
        self.token = token

    @property
    def token(self) -> str:
        """Access token that calls carry; "" for a guest."""
        return self._token

    @token.setter
    def token(self, token: str) -> None:
        self._token = token
        self._headers.pop("Authorization", None)
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **query: Any) -> Any:
        """GET `path` below /api/v1 and return the answer's `data`, None without one. `query`: parameters by name; None
        and "" are not sent, a list is sent as a repeated parameter. Raises Failure from status 400 on and without an
        answer, Moved for 301.
        """
        return self.document(path, **query).data

    def find(self, path: str, **query: Any) -> Any:
        """GET `path` as `get` does; return None if the API answers 404. Raises Failure for other refusals and without
        an answer, Moved for 301.
        """
        try:
            return self.get(path, **query)
        except Failure as failure:
            if failure.status != 404:
                raise
            return None

    def document(self, path: str, *, etag: str = "", **query: Any) -> Document:
        """GET `path` below /api/v1 and return the answer with its headers. With `etag`, an entity tag, the answer is
        conditional: status 304 and data None if the document still has that tag. `query`: parameters by name; None and
        "" are not sent, a list is sent as a repeated parameter. Raises Failure from status 400 on and without an
        answer, Moved for 301.
        """
        headers = {"If-None-Match": etag} if etag else {}
        return self.call("GET", path, query=query, headers=headers)

    def post(self, path: str, body: Any = None, *, key: str = "", **query: Any) -> Document:
        """POST `body` as JSON, unless it is None, to `path` below /api/v1 and return the document that the write led
        to. `key`: Idempotency-Key, not sent if it is "" or for a guest. `query`: parameters by name; None and "" are
        not sent. Raises Failure from status 400 on and without an answer, Moved for 301, AgreeFirst (with
        `is_for_script` Failure) if the visitor has yet to agree to a legal text.
        """
        return self.write("POST", path, body, key=key, **query)

    def put(
        self, path: str, body: Any = None, *, key: str = "", match: str = "", **query: Any
    ) -> Document:
        """PUT `body` as JSON, unless it is None, to `path` below /api/v1 and return the document that the write led to.
        `match`: entity tag that the document must still have, else Failure with 412, "" for any. `key`:
        Idempotency-Key, not sent if it is "" or for a guest. `query`: parameters by name; None and "" are not sent.
        Raises Failure from status 400 on and without an answer, Moved for 301, AgreeFirst (with `is_for_script`
        Failure) if the visitor has yet to agree to a legal text.
        """
        return self.write("PUT", path, body, key=key, match=match, **query)

    def patch(self, path: str, values: Mapping[str, bool], *, key: str = "") -> Document:
        """PATCH flags of the document at `path` below /api/v1 and return the changed document. `values`: new value by
        JSON path, such as `/meta/flags/deleted`. `key`: Idempotency-Key, not sent if it is "" or for a guest. Raises
        Failure from status 400 on and without an answer, Moved for 301, AgreeFirst (with `is_for_script` Failure) if
        the visitor has yet to agree to a legal text.
        """
        body = [{"op": "replace", "path": one, "value": value} for one, value in values.items()]
        return self.write("PATCH", path, body, key=key)

    def delete(self, path: str, body: Any = None, *, key: str = "", **query: Any) -> Document:
        """DELETE `path` below /api/v1, with `body` as JSON unless it is None, and return the answer. `key`:
        Idempotency-Key, not sent if it is "" or for a guest. `query`: parameters by name; None and "" are not sent.
        Raises Failure from status 400 on and without an answer, Moved for 301, AgreeFirst (with `is_for_script`
        Failure) if the visitor has yet to agree to a legal text.
        """
        return self.write("DELETE", path, body, key=key, **query)

    def write(
        self, method: str, path: str, body: Any, *, key: str = "", match: str = "", **query: Any
    ) -> Document:
        """Send a request of the unsafe HTTP method `method` to `path` below /api/v1, with `body` as JSON unless it is
        None, and return the changed document, which is asked for in place of a redirect (`Prefer:
        return=representation`).

        `key`: Idempotency-Key, not sent if it is "" or for a guest; `match`: entity tag that the document must still
        have, else Failure with 412, "" for any. `query`: parameters by name; None and "" are not sent. Raises Failure
        from status 400 on and without an answer, Moved for 301, AgreeFirst (with `is_for_script` Failure) if the
        visitor has yet to agree to a legal text.
        """
        headers = {"Prefer": "return=representation"}
        if key and self.token:
            headers["Idempotency-Key"] = key
        if match:
            headers["If-Match"] = match
        return self.call(method, path, body, query=query, headers=headers)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        form: FormBody | None = None,
    ) -> Document:
        """Send one request of the HTTP method `method` to `path` below /api/v1 and return its answer. The request's
        body is `body` as JSON, else the upload `form`, or empty if both are None.
        A plain GET (no body, no headers of its own) that `still_holds` has just read anew is answered from there, once.

        `headers`: headers of this request alone. `query`: query parameters by name; those that are None or "" are not
        sent, a list is sent as a repeated parameter. Raises Failure from status 400 on and without an answer, with 400
        before sending if a header's value is not printable ASCII; Moved for 301, AgreeFirst (with `is_for_script`
        Failure) if the visitor has yet to agree to a legal text.
        """
        named = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        asked = urlencode(named, doseq=True) if named else ""
        is_plain = method == "GET" and not headers and body is None and form is None
        document = self._read.pop((path, asked), None) if is_plain else None
        if document is None:
            document = self._send(method, path, body, asked, headers or {}, form)
        if self.asked is not None:
            if is_plain and document.etag:
                self.asked.append(Asked(path, asked, document.etag))
            else:
                self.asked = None
        return document

    def still_holds(self, calls: Iterable[Asked]) -> bool:
        """Return True if the API answers 304 to each of the GETs `calls`, sent with its entity tag one after the other,
        so that a page made of them is unchanged; True without calls.

        The first other answer, also a refusal, gives False, and no further call is sent. Raises Failure for 429, from
        500 on and without an answer, Moved for 301.
        """
        for call in calls:
            try:
                found = self._send("GET", call.path, None, call.query, {"If-None-Match": call.etag})
            except Failure as failure:
                if failure.status >= 500 or failure.status == 429:
                    raise
                # It is made anew, and says itself what is missing.
                self.asked = []
                return False
            if found.status != 304:
                self._read[(call.path, call.query)] = found
                return False
        return True

    def _send(
        self,
        method: str,
        path: str,
        body: Any,
        asked: str,
        headers: Mapping[str, str],
        form: FormBody | None = None,
    ) -> Document:
        self.calls += 1
        sent = {**self._headers, **headers}
        data: bytes | FormBody = b""
        if body is not None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        elif form is not None:
            data = form
            sent["Content-Type"] = form.kind
        if not all(value.isascii() and value.isprintable() for value in sent.values()):
            raise Failure(400, 0, "A header may hold printable ASCII alone")
        try:
            reply = self._transport.send(self._visitor, method, PREFIX + path, asked, sent, data)
        except Unreachable as error:
            self.asked, self.failed = None, True
            raise Failure(503, 0, str(error), 5, is_unreachable=True) from None
        self.live_cursor = self.live_cursor or reply.headers.get("live-cursor", "")
        self.robots = self.robots or reply.headers.get("x-robots-tag", "")
        if reply.status >= 400:
            found = _envelope(reply.headers, reply.body)
            self.asked = None
            self.failed = self.failed or reply.status == 429 or reply.status >= 500
            detail = found.get("data")
            code = detail.get("errorCode", 0) if isinstance(detail, dict) else 0
            if isinstance(detail, dict) and "consent" in detail and not self.is_for_script:
                raise AgreeFirst(detail["consent"]["text"])
            texts = found.get("error") or [""]
            after = reply.headers.get("retry-after", "0")
            seconds = int(after) if after.isdigit() else 0
            raise Failure(reply.status, code, texts[0], seconds, detail)
        if reply.status == 301:
            self.asked = None
            raise Moved(reply.headers.get("location", ""))
        return Document(reply.status, reply.headers, reply.body)
