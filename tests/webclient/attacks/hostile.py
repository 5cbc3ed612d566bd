"""Requests that mean harm, as bytes: one list, for every way in which the website is served."""

from __future__ import annotations

from typing import Final, NamedTuple

# Places in the bytes: the site's host, a member's cookies, a conversation's id.
HOST: Final = b"{host}"
COOKIE: Final = b"{cookie}"
ITEM: Final = b"{item}"


class Attack(NamedTuple):
    """Request with its name. `is_refused` by the parser, which closes the connection."""

    name: str
    data: bytes


def _get(
    target: bytes = b"/conversations/{item}/", *headers: bytes, method: bytes = b"GET"
) -> bytes:
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: {host}", *headers, b"Connection: close"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _post(target: bytes, form: bytes, *headers: bytes) -> bytes:
    lines = [
        b"POST " + target + b" HTTP/1.1",
        b"Host: {host}",
        b"Origin: http://{host}",
        b"Cookie: {cookie}",
        b"Content-Type: application/x-www-form-urlencoded",
        b"Content-Length: %d" % len(form),
        *headers,
        b"Connection: close",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + form


_BY_HEADER: Final = {
    "a visitor of our own naming": b"X-Forumapi-Visitor: 192.0.2.99",
    "no address as a visitor": b"X-Forumapi-Visitor: nobody",
    "a front end's secret": b"X-Forumapi-Front-End: a secret of a front end",
    "nginx's word on keeping": b"X-Forumapi-Keeps: 1",
    "any header of ours": b"X-Forumapi-Anything: 1",
    "a name like WSGI's own": b"HTTP_HOST: sharedtrains.forum.test",
    "a name like WSGI's own, with a hyphen": b"HTTP-X-FORUMAPI-VISITOR: 192.0.2.99",
    "a server's name": b"REMOTE-ADDR: 192.0.2.99",
    "an environ key": b"forumapi.private: 1",
    "an environ key of WSGI": b"wsgi.url_scheme: https",
    "a path": b"PATH-INFO: /api/v1/metrics",
    "a path's prefix": b"SCRIPT_NAME: /api",
    "a token beside the cookie": b"Authorization: Bearer 0000000000000000000000000000000000000000",
    "an override of the method": b"X-HTTP-Method-Override: DELETE",
    "a switch of the envelope": b"X-Always-200: 1",
    "another switch": b"X-Disable-Boiler: 1",
    "another host": b"X-Forwarded-Host: sharedtrains.forum.test",
    "another scheme": b"X-Forwarded-Proto: https",
    "an original address": b"X-Original-URL: /api/v1/metrics",
    "a rewritten address": b"X-Rewrite-URL: /api/v1/metrics",
    "lies about the address": b"X-Forwarded-For: 127.0.0.1, ::1, 10.0.0.1",
    "nonsense about the address": b"X-Forwarded-For: <script>, \xff, 999.1.1.1",
    "an address of another kind": b"Forwarded: for=127.0.0.1;host=sharedtrains.forum.test",
    "a forged cookie": b"Cookie: session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; visitor="
    + b"a" * 32,
    "a broken cookie": b'Cookie: session="; visitor; =; \xff\xfe=1; session=a\x7fb',
    "a cookie of the API's pages": b"Cookie: oauth=x; access_token=y; __Host-oauth=z",
    "many cookies": b"Cookie: " + b"; ".join(b"c%d=%d" % (one, one) for one in range(500)),
    "a huge header": b"X-Much: " + b"a" * 20_000,
    "a header that is just too long": b"X-Much: " + b"a" * 8_190,
    "many headers": b"\r\n".join(b"X-%d: 1" % one for one in range(150)),
    "a folded header": b"X-Folded: a\r\n b: c",
    "a line feed alone": b"X-One: a\nX-Forumapi-Visitor: 192.0.2.99",
    "a carriage return alone": b"X-One: a\rX-Forumapi-Visitor: 192.0.2.99",
    "a space before the colon": b"X-Forumapi-Visitor : 192.0.2.99",
    "a header without a name": b": 192.0.2.99",
    "a NUL in a header": b"User-Agent: a\x00b",
    "a language that is none": b"Accept-Language: " + b"xx-" * 300,
    "bytes in the user agent": b"User-Agent: \xff\xfe\x80",
    "a request id with blanks": b"X-Request-Id: a b\tc",
    "two hosts": b"Host: sharedtrains.forum.test",
    "a length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5",
    "an unknown coding": b"Transfer-Encoding: gzip",
    "an expectation": b"Expect: everything",
    "an upgrade": b"Connection: Upgrade\r\nUpgrade: websocket",
    "a condition of the API": b'If-Match: "1"\r\nIf-None-Match: *',
    "an idempotency key": b"Idempotency-Key: someone-elses-key",
    "a preference": b"Prefer: return=representation",
}
_BY_TARGET: Final = {
    "an override of the method in the query": b"/conversations/{item}/?method=DELETE",
    "a token in the query": b"/conversations/{item}/?access_token=0000000000000000000000000000000000000000",
    "a callback in the query": b"/conversations/{item}/?callback=alert",
    "switches in the query": b"/conversations/{item}/?always200=1&disableBoiler=1&context=x",
    "an offset that is none": b"/conversations/{item}/?offset=25%26method%3DDELETE",
    "an offset with a line break": b"/conversations/{item}/?offset=0%0d%0aX-Forumapi-Visitor:%20192.0.2.99",
    "many parameters": b"/?" + b"&".join(b"a%d=1" % one for one in range(300)),
    "a query that is no UTF-8": b"/?offset=%ff%fe",
    "a query with a NUL": b"/conversations/{item}/?offset=%00",
    "an absolute target": b"http://{host}/conversations/{item}/",
    "an absolute target elsewhere": b"http://sharedtrains.forum.test/conversations/{item}/",
    "an authority with a password": b"http://a:b@{host}/",
    "an asterisk": b"*",
    "no path": b"?a=b",
    "two slashes": b"//sharedtrains.forum.test/",
    "two slashes further on": b"/conversations//{item}/",
    "an encoded slash": b"/conversations%2f{item}%2f",
    "an encoded slash to the API": b"/%2fapi/v1/whoami",
    "the API by dots": b"/x/../api/v1/whoami",
    "the API by encoded dots": b"/x/%2e%2e/api/v1/whoami",
    "the API in capitals": b"/API/v1/whoami",
    "a backslash": b"/\\sharedtrains.forum.test/",
    "an encoded backslash": b"/%5csharedtrains.forum.test",
    "a NUL": b"/conversations/{item}%00/",
    "a line break": b"/a%0d%0aSet-Cookie:%20session=x",
    "a path that is no UTF-8": b"/%ff%fe/",
    "bytes in the path": b"/\xff\xfe/",
    "a path of markup": b"/%3Cscript%3Ealert(1)%3C/script%3E",
    "an id that is too large": b"/conversations/99999999999999999999999/",
    "an id that is negative": b"/conversations/-1/",
    "an id in other digits": "/conversations/\N{ARABIC-INDIC DIGIT ONE}/".encode(),
    "a long path": b"/" + b"a" * 6_000,
    "a path that is too long": b"/" + b"a" * 9_000,
    "a fragment": b"/conversations/{item}/#<script>",
}
_BY_FORM: Final = {
    "an override in a form": b"itemType=conversation&itemId={item}&markdown=x&method=DELETE&access_token=x",
    "another type": b"itemType=site&itemId=1&markdown=x",
    "a path as a type": b"itemType=..%2fsite&itemId=1&markdown=x",
    "an id that is none": b"itemType=conversation&itemId=1%3fmethod=DELETE&markdown=x",
    "a key with a line break": b"itemType=conversation&itemId={item}&markdown=key&key=a%0d%0aAuthorization:%20x",
    "a key that is no ASCII": b"itemType=conversation&itemId={item}&markdown=key&key=%c3%a9%e4%b8%ad",
    "a key that is too long": b"itemType=conversation&itemId={item}&markdown=key&key="
    + b"k" * 2_000,
    "a text that is no UTF-8": b"itemType=conversation&itemId={item}&markdown=%ff%fe%00",
    "a text with a NUL": b"itemType=conversation&itemId={item}&markdown=a%00b",
    "surrogates": b"itemType=conversation&itemId={item}&markdown=%ed%a0%80",
    "a parent that is none": b"itemType=conversation&itemId={item}&markdown=x&inReplyTo=999999999",
    "many fields": b"&".join(b"f%d=1" % one for one in range(3_000)),
}
_METHODS: Final = (
    b"PUT",
    b"PATCH",
    b"DELETE",
    b"TRACE",
    b"CONNECT",
    b"OPTIONS",
    b"HEAD",
    b"PROPFIND",
    b"get",
)

ATTACKS: Final = (
    *(Attack(name, _get(b"/conversations/{item}/", header)) for name, header in _BY_HEADER.items()),
    *(
        Attack(f"{name}, of a member", _get(b"/conversations/{item}/", header, b"Cookie: {cookie}"))
        for name, header in _BY_HEADER.items()
        if b"Cookie:" not in header
    ),
    *(Attack(name, _get(target)) for name, target in _BY_TARGET.items()),
    *(
        Attack(f"{name}, of a member", _get(target, b"Cookie: {cookie}"))
        for name, target in _BY_TARGET.items()
    ),
    *(Attack(name, _post(b"/comments/create/", form)) for name, form in _BY_FORM.items()),
    *(Attack(f"the method {method.decode()}", _get(method=method)) for method in _METHODS),
    Attack(
        "a post with a query",
        _post(b"/comments/create/?method=DELETE&access_token=x", b"itemType=site"),
    ),
    Attack("a post of JSON", _post(b"/comments/create/", b"{}", b"Content-Type: application/json")),
    Attack("a body that ends early", _post(b"/comments/create/", b"a=b")[:-1] + b""),
    Attack("no host", b"GET / HTTP/1.0\r\n\r\n"),
    Attack(
        "a host of nobody", b"GET / HTTP/1.1\r\nHost: nobody.example\r\nConnection: close\r\n\r\n"
    ),
    Attack(
        "a host with a port", b"GET / HTTP/1.1\r\nHost: {host}:99999\r\nConnection: close\r\n\r\n"
    ),
    Attack("a host of markup", b"GET / HTTP/1.1\r\nHost: <script>\r\nConnection: close\r\n\r\n"),
    Attack(
        "a host with a path", b"GET / HTTP/1.1\r\nHost: {host}/api\r\nConnection: close\r\n\r\n"
    ),
    Attack("an empty host", b"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"),
    Attack("bytes as a host", b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\nConnection: close\r\n\r\n"),
    Attack(
        "no request", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x00" * 30 + b"\r\n\r\n"
    ),
)
