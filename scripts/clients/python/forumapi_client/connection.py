"""One exchange with the server: retries, idempotency keys, memory of entity tags, limits on time and size."""

from __future__ import annotations

import datetime
import email.utils
import json
import random
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from .errors import BadAnswer, ConnectionFailed, OAuthRefused, TimedOut, error_class
from .errors_base import ApiError
from .version import VERSION

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_TOKEN_CODES = frozenset((6, 7))


class Credentials(Protocol):
    """Source of access tokens that can be renewed."""

    def access_token(self) -> str:
        """Return the token to send, "" for none."""

    def renew(self, refused: str) -> bool:
        """Get another token in place of `refused`; return False if that can't be done."""


@dataclass(frozen=True)
class Settings:
    """Limits of a client. Times are in seconds, sizes in bytes."""

    # Waiting for a connection, and between two parts of an answer.
    timeout: float = 30.0
    # From the request to the end of the answer, of one try.
    deadline: float = 120.0
    largest_answer: int = 64 * 1024 * 1024
    # Tries in all, and the longest Retry-After that is waited for.
    tries: int = 4
    longest_wait: float = 60.0
    # First wait where the server names none; doubled each time, a random part of it.
    first_wait: float = 0.5
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


@dataclass(frozen=True)
class Answer:
    """Answer of the server with its whole body."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str

    def json(self) -> Any:
        """Return the parsed body; BadAnswer if it is not JSON."""
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise BadAnswer(
                f"{self.status} without JSON from {self.url}", self.status, self.content[:1000]
            ) from error


@dataclass(frozen=True)
class Body:
    """Body of a request; `open` begins it anew for each try."""

    media_type: str
    open: Callable[[], bytes | Iterator[bytes]]
    length: int

    @classmethod
    def of(cls, media_type: str, content: bytes) -> Body:
        """Return a body that is in memory."""
        return cls(media_type, lambda: content, len(content))


class EtagMemory:
    """Cache of answers by address and token, each good as long as the server confirms its tag.

    The least recently used go first: `entries` at most, of `size` bytes together.
    """

    def __init__(self, entries: int = 256, size: int = 8 * 1024 * 1024) -> None:
        self._entries = entries
        self._size = size
        self._used = 0
        self._kept: OrderedDict[tuple[str, str], Answer] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, url: str, token: str) -> Answer | None:
        """Return the answer that is kept, None without one."""
        with self._lock:
            found = self._kept.get((url, token))
            if found is not None:
                self._kept.move_to_end((url, token))
            return found

    def keep(self, token: str, answer: Answer) -> None:
        """Keep an answer that has a tag, in place of the one before."""
        with self._lock:
            old = self._kept.pop((answer.url, token), None)
            self._used -= len(old.content) if old else 0
            if "etag" not in answer.headers or len(answer.content) > self._size:
                return
            self._kept[answer.url, token] = answer
            self._used += len(answer.content)
            while len(self._kept) > self._entries or self._used > self._size:
                _, gone = self._kept.popitem(last=False)
                self._used -= len(gone.content)


class Connection:
    """Client of one host: `address` with scheme, `token` a text, a source of tokens, or "" for a guest."""

    def __init__(
        self,
        address: str,
        token: str | Credentials = "",
        *,
        settings: Settings | None = None,
        etags: EtagMemory | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.address = address.rstrip("/")
        self.token = token
        self.settings = settings or Settings()
        self.etags = etags or EtagMemory()
        self.http = httpx.Client(
            headers={"User-Agent": f"forumapi-client/{VERSION}", **(headers or {})},
            timeout=self.settings.timeout,
            transport=transport,
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close its connections."""
        self.http.close()

    def bearer(self) -> str:
        """Return the token to send now."""
        return self.token if isinstance(self.token, str) else self.token.access_token()

    def renew(self, refused: str) -> bool:
        """Return True if there is another token now in place of `refused`."""
        return not isinstance(self.token, str) and self.token.renew(refused)

    def url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """Return the whole address of a path; BadAnswer for one of another host, which must not get the token.

        A parameter of the query that is None is not sent, one with a list is sent as so many.
        """
        whole = urljoin(self.address + "/", path)
        if urlsplit(whole)[:2] != urlsplit(self.address)[:2]:
            raise BadAnswer(f"{path} is not on {self.address}")
        pairs = [
            (name, str(one).lower() if isinstance(one, bool) else str(one))
            for name, value in (query or {}).items()
            for one in (value if isinstance(value, list | tuple) else [value])
            if one is not None
        ]
        return f"{whole}?{urlencode(pairs)}" if pairs else whole

    def exchange(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        takes_key: bool = False,
        remembers: bool = True,
    ) -> Answer:
        """Return an answer of 200 to 399, after as many tries as are safe.

        A read, and a write with an idempotency key, is repeated when the connection fails, and on 409, 502, 503 and
        504; anything on 429 and when no connection was made. Raises ApiError for a refusal.
        """
        url = self.url(path, query or {})
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if takes_key:
            sent.setdefault("idempotency-key", uuid.uuid4().hex)
        renewed = False
        attempt = 1
        while True:
            token = self.bearer()
            # The server looks at keys of callers who are signed in alone.
            repeatable = verb in _SAFE or (bool(token) and "idempotency-key" in sent)
            try:
                answer = self._try(verb, url, token, sent, body, remembers)
            except ConnectionFailed as error:
                refused = isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout)
                if attempt >= self.settings.tries or not (repeatable or refused):
                    raise
                self.pause(attempt)
                attempt += 1
                continue
            if answer.status < 400:
                return answer
            refusal = self.refusal(answer)
            if answer.status == 401 and token and not renewed:
                renewed = True
                code = refusal.code if isinstance(refusal, ApiError) else 0
                if code in _TOKEN_CODES and self.renew(token):
                    continue
            wait = refusal.retry_after if isinstance(refusal, ApiError) else None
            again = answer.status == 429 or (
                repeatable
                and (
                    answer.status in (502, 503, 504) or (answer.status == 409 and wait is not None)
                )
            )
            if not again or attempt >= self.settings.tries:
                raise refusal
            if wait is not None and wait > self.settings.longest_wait:
                raise refusal
            self.pause(attempt, wait)
            attempt += 1

    def pause(self, attempt: int, wait: float | None = None) -> None:
        """Wait for what the server asked for, else a random part of a time that doubles."""
        longest = min(self.settings.first_wait * 2 ** (attempt - 1), self.settings.longest_wait)
        # Those who were all refused at once should not all come back at once.
        self.settings.sleep(longest * random.random() if wait is None else wait)

    def request(
        self,
        verb: str,
        url: str,
        token: str,
        headers: Mapping[str, str],
        body: Body | None = None,
        timeout: float | None = None,
    ) -> httpx.Request:
        """Return a request as httpx sends it."""
        made = dict(headers)
        if token:
            made["authorization"] = f"Bearer {token}"
        if body is not None:
            made |= {"content-type": body.media_type, "content-length": str(body.length)}
        limit = httpx.USE_CLIENT_DEFAULT if timeout is None else timeout
        return self.http.build_request(
            verb, url, headers=made, content=body.open() if body else None, timeout=limit
        )

    def refusal(self, answer: Answer) -> Exception:
        """Return the error that an answer of 400 and more stands for."""
        wait = _seconds(answer.headers.get("retry-after", ""))
        request_id = answer.headers.get("x-request-id", "")
        try:
            told = json.loads(answer.content)
        except ValueError:
            told = None
        if isinstance(told, dict) and isinstance(told.get("error"), str):
            return OAuthRefused(told["error"], str(told.get("error_description", "")))
        data = told.get("data") if isinstance(told, dict) else None
        data = data if isinstance(data, dict) else {}
        texts = told.get("error") if isinstance(told, dict) else None
        message = data.get("errorDetail") or (
            str(texts[0]) if isinstance(texts, list) and texts else ""
        )
        code = data.get("errorCode", 0)
        code = code if isinstance(code, int) else 0
        return error_class(answer.status, code)(
            answer.status,
            str(message) or f"{answer.url} answered {answer.status}",
            code=code,
            data=data,
            request_id=request_id,
            retry_after=wait,
        )

    def _try(
        self,
        verb: str,
        url: str,
        token: str,
        headers: Mapping[str, str],
        body: Body | None,
        remembers: bool,
    ) -> Answer:
        known = None
        if verb == "GET" and remembers and not {"if-none-match", "range"} & headers.keys():
            known = self.etags.find(url, token)
            if known is not None:
                headers = {**headers, "if-none-match": known.headers["etag"]}
        try:
            answer = self._read(self.http, self.request(verb, url, token, headers, body), url)
        except httpx.TimeoutException as error:
            raise TimedOut(f"{url}: {error or 'no answer in time'}") from error
        except httpx.RequestError as error:
            raise ConnectionFailed(f"{url}: {error}") from error
        if answer.status == 304 and known is not None:
            return known
        if verb == "GET" and remembers and answer.status == 200:
            self.etags.keep(token, answer)
        return answer

    def _read(self, client: httpx.Client, request: httpx.Request, url: str) -> Answer:
        began = time.monotonic()
        response = client.send(request, stream=True)
        try:
            parts = bytearray()
            for part in response.iter_bytes():
                parts += part
                if len(parts) > self.settings.largest_answer:
                    raise BadAnswer(f"{url}: more than {self.settings.largest_answer} bytes")
                if time.monotonic() - began > self.settings.deadline:
                    raise TimedOut(f"{url}: not complete after {self.settings.deadline:g} s")
        finally:
            response.close()
        return Answer(response.status_code, response.headers, bytes(parts), url)


def _seconds(value: str) -> float | None:
    """Return Retry-After in seconds; None for one that can't be read."""
    if value.isdecimal():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=datetime.UTC)
    return max(0.0, (until - datetime.datetime.now(datetime.UTC)).total_seconds())
