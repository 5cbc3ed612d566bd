"""Behind nginx, with TLS, as etc/nginx says it: what passes, what is kept, what is refused, whose address counts."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forumapi.wire.documented_headers import CORS_RESPONSE
from tests import services
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.files.pictures import BOUNDARY, form, upload
from tests.fixtures import Server, start_server
from tests.nginx.stage import ETC, Nginx, make_certificate, nginx
from tests.services import free_port

pytestmark = pytest.mark.skipif(services.nginx_program() is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def program() -> str:
    found = services.nginx_program()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def web(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The web process behind nginx."""
    started = start_server(
        database_url,
        tmp_path_factory.mktemp("behind"),
        trusted_proxies="127.0.0.1",
        file_accel_prefix="/_files/",
        access_log="true",
    )
    yield started
    started.stop()


@pytest.fixture(scope="module")
def front(program: str, web: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    with nginx(program, folder, web.address, files=web.log.parent / "files") as running:
        yield running


class Got:
    """An answer that came through nginx."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    front: Nginx,
    host: str,
    path: str,
    method: str = "GET",
    *,
    by: Person | None = None,
    body: bytes | None = None,
    **headers: str,
) -> Got:
    """One request over TLS. Underscores in names of headers stand for hyphens."""
    connection = http.client.HTTPSConnection(host)
    connection.sock = front.connect(host)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if by is not None:
        sent["Authorization"] = f"Bearer {by.token}"
    try:
        connection.request(method, path, body, sent)
        return Got(connection.getresponse())
    finally:
        connection.close()


@pytest.mark.wide
def test_a_page_comes_compressed_over_tls(front: Nginx, bikes: Site) -> None:
    got = ask(front, bikes.host, "/api/v1/microcosms", Accept_Encoding="gzip")

    assert (got.status, got.headers["Content-Encoding"]) == (200, "gzip")
    assert json.loads(gzip.decompress(got.body))["status"] == 200
    assert "Accept-Encoding" in got.headers["Vary"]
    assert got.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert got.headers["Server"] == "nginx"


@pytest.mark.wide
def test_brotli_is_spoken_where_its_module_is(
    program: str, web: Server, bikes: Site, tmp_path: Path
) -> None:
    module = services.brotli_module()
    if module is None:
        pytest.skip("nginx's module for brotli is not installed")
    changes = {"# brotli on; brotli_types": "brotli on; brotli_types"}
    with nginx(
        program, tmp_path, web.address, files=tmp_path, changes=changes, module=module
    ) as front:
        sent = {
            words: ask(front, bikes.host, "/api/v1/microcosms", Accept_Encoding=words)
            for words in ("gzip, br", "gzip", "identity")
        }
    encodings = [answer.headers["Content-Encoding"] for answer in sent.values()]
    sizes = [len(answer.body) for answer in sent.values()]

    assert encodings == ["br", "gzip", None]
    assert sizes[0] < sizes[2]
    assert len({answer.headers["ETag"].removeprefix("W/") for answer in sent.values()}) == 1


@pytest.mark.wide
def test_a_compressed_answer_is_known_again_by_its_tag(front: Nginx, bikes: Site) -> None:
    tag = ask(front, bikes.host, "/api/v1/microcosms", Accept_Encoding="gzip").headers["ETag"]
    again = ask(front, bikes.host, "/api/v1/microcosms", If_None_Match=tag)

    assert (again.status, again.body) == (304, b"")


def test_http_2_is_spoken(front: Nginx, bikes: Site) -> None:
    with front.connect(bikes.host, "h2", "http/1.1") as connection:
        assert connection.selected_alpn_protocol() == "h2"
    if (curl := shutil.which("curl")) is None:
        return
    command = [curl, "-sS", "--http2", "--cacert", str(front.folder / "platform.crt")]
    command += ["--resolve", f"{bikes.host}:{front.port}:127.0.0.1", "-w", "\n%{http_version}"]
    done = subprocess.run(
        [*command, f"https://{bikes.host}:{front.port}/api/v1/site"],
        capture_output=True,
        check=True,
        text=True,
    )
    body, _, version = done.stdout.rpartition("\n")

    assert version == "2"
    assert json.loads(body)["data"]["siteId"] == bikes.id


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_refused(front: Nginx, bikes: Site) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    plain = socket.create_connection(("127.0.0.1", front.port), timeout=10)
    with plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname=bikes.host)


def test_forumapi_is_told_the_port_that_the_client_names(program: str, tmp_path: Path) -> None:
    class Upstream(http.server.BaseHTTPRequestHandler):
        """Answers each request with the header Host that came with it."""

        def do_GET(self) -> None:
            said = self.headers["Host"].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

    with (
        http.server.HTTPServer(("127.0.0.1", 0), Upstream) as upstream,
        nginx(program, tmp_path, ("127.0.0.1", upstream.server_port), files=tmp_path) as front,
    ):
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        for host in ("bikes.forum.test", "bikes.forum.test:8443"):
            got = ask(front, "bikes.forum.test", "/api/v1/site", Host=host)
            assert got.body.decode() == host
        upstream.shutdown()


def test_plain_http_is_sent_to_tls(front: Nginx, bikes: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", front.plain)
    connection.request("GET", "/api/v1/site?a=1", headers={"Host": bikes.host})
    answer = connection.getresponse()
    connection.close()

    assert (answer.status, answer.headers["Location"]) == (
        301,
        f"https://{bikes.host}/api/v1/site?a=1",
    )


def test_a_custom_domain_has_its_own_certificate(front: Nginx) -> None:
    got = ask(front, "velo.example", "/api/v1/version")

    assert got.status == 200
    unknown = ssl.create_default_context()
    unknown.check_hostname, unknown.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", front.port), timeout=10)
    with plain, pytest.raises((ssl.SSLError, ConnectionError)):
        unknown.wrap_socket(plain, server_hostname="nobody.example")


def test_the_id_of_a_request_goes_through(front: Nginx, web: Server, bikes: Site) -> None:
    given = ask(front, bikes.host, "/api/v1/site", X_Request_Id="from-the-client-7")
    made = ask(front, bikes.host, "/api/v1/site", X_Request_Id="bad id")

    assert given.headers.get_all("X-Request-Id") == ["from-the-client-7"]
    assert len(made.headers["X-Request-Id"]) == 32
    for answer in (given, made):
        front.wait_for_log(f'"request":"{answer.headers["X-Request-Id"]}"')


def test_an_address_that_the_client_claims_is_dropped(
    front: Nginx, bikes: Site, make: Factory
) -> None:
    body = json.dumps({"microcosmId": make.microcosm(bikes).id, "title": "Whose address"}).encode()
    wrote = ask(
        front,
        bikes.host,
        "/api/v1/conversations",
        "POST",
        by=bikes.member,
        body=body,
        X_Forwarded_For="203.0.113.9",
        Content_Type="application/json",
    )
    rows = make.sql(
        "SELECT host(a.ip) FROM audit_log a WHERE a.site_id = %(s)s ORDER BY a.audit_id DESC LIMIT 1",
        s=bikes.id,
    )

    assert wrote.status == 302
    assert rows == [("127.0.0.1",)]


def test_behind_a_trusted_proxy_the_address_is_the_one_it_tells(
    program: str, web: Server, bikes: Site, make: Factory, tmp_path: Path
) -> None:
    changes = {
        "# set_real_ip_from 10.0.0.0/8;": "set_real_ip_from 127.0.0.1;",
        "# real_ip_header": "real_ip_header",
        "# real_ip_recursive": "real_ip_recursive",
    }
    body = json.dumps({"microcosmId": make.microcosm(bikes).id, "title": "Behind two"}).encode()
    with nginx(program, tmp_path, web.address, files=tmp_path, changes=changes) as front:
        wrote = ask(
            front,
            bikes.host,
            "/api/v1/conversations",
            "POST",
            by=bikes.member,
            body=body,
            # What the client claimed comes first, what the proxy saw last.
            X_Forwarded_For="198.51.100.4, 203.0.113.9",
            Content_Type="application/json",
        )
    rows = make.sql(
        "SELECT host(a.ip) FROM audit_log a WHERE a.site_id = %(s)s ORDER BY a.audit_id DESC LIMIT 1",
        s=bikes.id,
    )

    assert wrote.status == 302
    assert rows == [("203.0.113.9",)]


@pytest.mark.wide
def test_a_download_is_sent_by_nginx_and_stays_harmless(front: Nginx, bikes: Site) -> None:
    data = b"<script>alert(1)</script>" * 1000
    body = form(("a.html", data, "text/html"))
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    up = ask(
        front, bikes.host, "/api/v1/files", "POST", by=bikes.member, body=body, Content_Type=kind
    )
    path = f"/api/v1/files/{up.json['data'][0]['fileHash']}"
    whole = ask(front, bikes.host, path)
    part = ask(front, bikes.host, path, Range="bytes=8-13")

    assert (whole.status, whole.body) == (200, data)
    assert "X-Accel-Redirect" not in whole.headers
    assert whole.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.headers["Access-Control-Expose-Headers"] == CORS_RESPONSE
    assert whole.headers["Content-Disposition"].startswith("attachment")
    assert (part.status, part.body) == (206, data[8:14])
    assert ask(front, bikes.host, "/_files/ab/cd/abcd").status == 404


def test_a_body_that_is_too_large_is_refused_in_the_envelope(front: Nginx, bikes: Site) -> None:
    got = ask(front, bikes.host, "/api/v1/comments", "POST", Content_Length="5000000")

    assert (got.status, got.json["status"]) == (413, 413)
    assert got.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.wide
def test_nobody_asks_without_a_limit(front: Nginx) -> None:
    statuses = set()
    connection = http.client.HTTPSConnection("forum.test")
    connection.sock = front.connect("forum.test")
    for _ in range(600):
        connection.request("GET", "/api/v1/version")
        answer = connection.getresponse()
        body = json.loads(answer.read())
        statuses.add((answer.status, body["status"]))
        if answer.status == 429:
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            break
    connection.close()

    assert statuses == {(200, 200), (429, 429)}


@pytest.mark.wide
def test_without_a_web_process_the_answer_is_503_in_the_envelope(
    program: str, tmp_path: Path
) -> None:
    with nginx(program, tmp_path, ("127.0.0.1", free_port()), files=tmp_path) as alone:
        got = ask(alone, "forum.test", "/api/v1/site")
        stream = ask(alone, "bikes.forum.test", "/api/v1/live/events?topic=site&ticket=s3cret")
        poll = ask(alone, "bikes.forum.test", "/api/v1/live/poll?topic=site&ticket=s3cret")
        logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))

    assert (got.status, got.json["status"], got.headers["Retry-After"]) == (503, 503, "1")
    assert got.headers["Access-Control-Allow-Origin"] == "*"
    assert got.headers["Access-Control-Expose-Headers"] == "Retry-After, X-Request-Id"
    # An EventSource would never come back after 503.
    assert (stream.status, stream.body) == (200, b"retry: 3000\n\n")
    assert stream.headers["Content-Type"] == "text/event-stream"
    assert poll.status == 503
    assert "/api/v1/live/events" in logs
    assert "s3cret" not in logs


@contextlib.contextmanager
def taking(*, closes: bool) -> Iterator[tuple[tuple[str, int], list[bytes]]]:
    """Upstream that reads requests and closes the connection unanswered, or leaves it open; and what it read."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as upstream, contextlib.ExitStack() as kept:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = upstream.accept()
                    seen.append(peer.recv(4000))
                    if closes:
                        peer.close()
                    else:
                        kept.enter_context(peer)

        threading.Thread(target=serve, daemon=True).start()
        yield upstream.getsockname(), seen
        upstream.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("closes", "status"), [(True, 502), pytest.param(False, 504, marks=pytest.mark.wide)]
)
def test_a_write_that_was_read_may_have_been_made_and_the_answer_says_so(
    program: str, tmp_path: Path, closes: bool, status: int
) -> None:
    soon = {"proxy_read_timeout 40s": "proxy_read_timeout 1s"}
    with (
        taking(closes=closes) as (address, seen),
        nginx(program, tmp_path, address, files=tmp_path, changes=soon) as front,
    ):
        writes = [
            ask(front, "forum.test", "/api/v1/comments", method, body=b"{}")
            for method in ("POST", "PATCH", "PUT", "DELETE")
        ]
        read = ask(front, "forum.test", "/api/v1/site")

    assert len(seen) >= 5
    for got in writes:
        assert (got.status, got.json["status"]) == (status, status)
        assert got.headers["Retry-After"] is None
        assert "Idempotency-Key" in got.json["error"][0]
        assert got.headers["Access-Control-Allow-Origin"] == "*"
    assert (read.status, read.headers["Retry-After"]) == (503, "1")


def test_a_write_that_nobody_read_is_503(program: str, tmp_path: Path) -> None:
    with nginx(program, tmp_path, ("127.0.0.1", free_port()), files=tmp_path) as alone:
        got = ask(alone, "forum.test", "/api/v1/comments", "POST", body=b"{}")

    assert (got.status, got.headers["Retry-After"]) == (503, "1")


def test_it_goes_beside_the_site_that_debian_brings(program: str, tmp_path: Path) -> None:
    """As it is told: both files in /etc/nginx, the one linked into conf.d; all that Debian has there stays."""
    debian = tmp_path / "nginx"
    shutil.copytree("/etc/nginx", debian, symlinks=True)
    (debian / "sites-enabled" / "default").unlink()
    shutil.copy("/etc/nginx/sites-available/default", debian / "sites-enabled" / "default")
    for path in ETC.iterdir():
        shutil.copy(path, debian)
    (debian / "conf.d" / "forumapi.conf").symlink_to("../forumapi.conf")
    port, tls = free_port(), free_port()
    make_certificate(tmp_path, "platform", "forum.example", "*.forum.example")
    places = {
        "listen [::]:80": f"listen [::1]:{port}",
        "listen 80": f"listen 127.0.0.1:{port}",
        "listen [::]:443": f"listen [::1]:{tls}",
        "listen 443": f"listen 127.0.0.1:{tls}",
        "/etc/nginx": str(debian),
        "/etc/forumapi/tls": str(tmp_path),
        "/var/lib/nginx": str(tmp_path),
        "/var/log/nginx": str(tmp_path),
        "/run/nginx.pid": f"{tmp_path}/pid",
        "user www-data;": "user root;" if os.geteuid() == 0 else "",
    }
    for path in [
        debian / "nginx.conf",
        debian / "sites-enabled" / "default",
        *debian.glob("forumapi*"),
    ]:
        text = path.read_text()
        for old, new in places.items():
            text = text.replace(old, new)
        path.write_text(text)

    command = [program, "-c", f"{debian}/nginx.conf", "-g", "daemon off;", "-e", "stderr"]
    said = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        answers = {host: plainly(port, host) for host in ("bikes.forum.example", "velo.example")}
    finally:
        process.terminate()
        process.wait(10)
    assert answers == {host: (301, f"https://{host}/") for host in answers}


def plainly(port: int, host: str) -> tuple[int, str | None]:
    """Status and Location of a page without TLS, as soon as somebody answers."""
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.headers["Location"]
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        finally:
            connection.close()


def test_a_socket_is_upgraded(program: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(10)
        seen: list[bytes] = []

        def serve() -> None:
            peer, _ = upstream.accept()
            with peer:
                seen.append(peer.recv(4000))
                peer.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\n\r\n"
                )
                peer.sendall(peer.recv(100).upper())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with (
            nginx(program, tmp_path, upstream.getsockname(), files=tmp_path) as front,
            front.connect("forum.test") as client,
        ):
            client.sendall(
                b"GET /api/v1/live HTTP/1.1\r\nHost: forum.test\r\n"
                b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            )
            assert client.recv(4000).startswith(b"HTTP/1.1 101 ")
            client.sendall(b"frame")
            assert client.recv(100) == b"FRAME"
        thread.join()

    assert b"\r\nConnection: upgrade\r\n" in seen[0]


@pytest.fixture(scope="module")
def keeping(program: str, web: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx with the micro-cache on."""
    folder = tmp_path_factory.mktemp("keeping")
    files = web.log.parent / "files"
    with nginx(program, folder, web.address, files=files, micro_cache="on") as running:
        yield running


@pytest.fixture
def direct(web: Server) -> Iterator[Api]:
    """The web process without nginx."""
    api = web.api()
    yield api
    api.close()


def last_state(front: Nginx, got: Got) -> str:
    """Return how nginx's cache met this request."""
    mark = f'"request":"{got.headers["X-Request-Id"]}"'
    front.wait_for_log(mark)
    line = next(line for line in front.log.splitlines() if mark in line)
    return str(json.loads(line)["cache"])


def ask_until(front: Nginx, host: str, path: str, state: str) -> Got:
    """Ask as a guest until the cache says so: an answer is kept to the end of its second, which may be near."""
    deadline = time.monotonic() + 60
    while True:
        got = ask(front, host, path)
        if last_state(front, got) == state:
            return got
        assert time.monotonic() < deadline, f"never {state}: {front.log}"
        time.sleep(0.02)


def states(front: Nginx, path: str, count: int) -> list[str]:
    """Return how nginx's cache met each of `count` requests for a path; a line is written after its answer has left."""
    deadline = time.monotonic() + 60
    while True:
        lines = map(json.loads, front.log.splitlines())
        met = [line["cache"] for line in lines if line["path"] == path]
        if len(met) >= count or time.monotonic() > deadline:
            return met
        time.sleep(0.02)


@pytest.mark.wide
def test_the_micro_cache_is_for_guests_alone(keeping: Nginx, make: Factory, bikes: Site) -> None:
    path = make.conversation(bikes).path
    first, second = (ask(keeping, bikes.host, path, X_Request_Id=f"r{n}") for n in (1, 2))
    member = ask(keeping, bikes.host, path, by=bikes.member)
    query = ask(keeping, bikes.host, f"{path}?access_token={bikes.member.token}")
    bare = ask(keeping, bikes.host, path, X_Disable_Boiler="1")
    known = ask(keeping, bikes.host, path, by=bikes.member, If_None_Match=member.headers["ETag"])

    assert states(keeping, path, 6) == ["MISS", "HIT", "", "", "", ""]
    assert first.body == second.body
    assert second.headers.get_all("X-Request-Id") == ["r2"]
    assert member.json["data"] == query.json["data"] != first.json["data"]
    assert bare.json == first.json["data"]
    assert (known.status, known.body) == (304, b"")


@pytest.mark.wide
def test_who_comes_after_a_pause_is_not_shown_what_was_there_before_it(
    keeping: Nginx, direct: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    ask_until(keeping, bikes.host, chat.path, "HIT")
    assert direct.patch(chat.path, ("deleted", True), by=bikes.moderator).status == 200

    # The two seconds that a page may be old.
    time.sleep(2.0)

    assert ask(keeping, bikes.host, chat.path).status == 404


@pytest.mark.wide
def test_what_is_not_public_is_never_kept(keeping: Nginx, bikes: Site) -> None:
    for _ in range(2):
        assert ask(keeping, bikes.host, "/api/v1/version").status == 200
        assert ask(keeping, bikes.host, "/api/v1/conversations/999999999").status >= 400

    assert set(states(keeping, "/api/v1/version", 2)) == {"MISS"}
    assert set(states(keeping, "/api/v1/conversations/999999999", 2)) == {"MISS"}


# ---------------------------------------------------------------- downloads


def hang(api: Api, by: Person, to: Thing, data: bytes) -> str:
    """The path of a new file that hangs on a comment."""
    hash = upload(api, by, data, "notes.bin")
    answer = api.post(f"{to.path}/attachments", {"fileHash": hash}, by=by)
    assert answer.status == 302, answer.body
    return f"/api/v1/files/{hash}"


@pytest.mark.wide
def test_a_small_file_for_everybody_is_kept_and_is_the_same(
    keeping: Nginx, direct: Api, make: Factory, bikes: Site
) -> None:
    data = bytes(range(256)) * 400
    comment = make.comment(make.conversation(bikes), by=bikes.member)
    path = hang(direct, bikes.member, comment, data)

    first = ask(keeping, bikes.host, path)
    kept = ask_until(keeping, bikes.host, path, "HIT")

    names = {"X-Request-Id", "Date", "Expires"}
    for got in (first, kept):
        assert (got.status, got.body) == (200, data)
        assert got.headers["Cache-Control"] == "max-age=31536000, immutable"
        assert got.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert got.headers["Content-Disposition"].startswith("attachment")
        assert got.headers.get_all("X-Content-Type-Options") == ["nosniff"]
        assert got.headers.get_all("Access-Control-Allow-Origin") == ["*"]
        assert got.headers.get_all("Access-Control-Expose-Headers") == [CORS_RESPONSE]
        assert len(got.headers.get_all("X-Request-Id", [])) == 1
        assert got.headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]
        assert not [name for name in got.headers if name.startswith(("X-Accel", "RateLimit"))]
    assert [pair for pair in first.headers.items() if pair[0] not in names] == [
        pair for pair in kept.headers.items() if pair[0] not in names
    ]
    # When its second is over, forumapi says that it may stay, and its bytes do not come again.
    assert ask_until(keeping, bikes.host, path, "REVALIDATED").body == data


@pytest.mark.wide
def test_of_what_is_kept_parts_and_heads_are_right(
    keeping: Nginx, direct: Api, bikes: Site
) -> None:
    data = bytes(range(256)) * 300
    path = f"/api/v1/files/{upload(direct, bikes.member, data, 'parts.bin')}"
    kept = ask_until(keeping, bikes.host, path, "HIT")
    tag = kept.headers["ETag"]

    part = ask(keeping, bikes.host, path, Range="bytes=100-199")
    last = ask(keeping, bikes.host, path, Range="bytes=-5", If_Range=tag)
    other = ask(keeping, bikes.host, path, Range="bytes=-5", If_Range='"another"')
    beyond = ask(keeping, bikes.host, path, Range=f"bytes={len(data)}-")
    known = ask(keeping, bikes.host, path, If_None_Match=tag)
    unknown = ask(keeping, bikes.host, path, If_None_Match='"another"')
    head = ask(keeping, bikes.host, path, "HEAD")

    assert tag == f'"{path.rpartition("/")[2]}"'
    assert (part.status, part.body) == (206, data[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(data)}"
    assert (last.status, last.body) == (206, data[-5:])
    assert (other.status, other.body) == (200, data)
    assert beyond.status == 416
    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", tag)
    assert (unknown.status, unknown.body) == (200, data)
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(data)))


@pytest.mark.wide
def test_a_large_file_is_not_kept_and_parts_and_tags_of_it_are_right(
    keeping: Nginx, direct: Api, bikes: Site
) -> None:
    data = bytes(range(256)) * 1100
    path = f"/api/v1/files/{upload(direct, bikes.member, data, 'large.bin')}"
    whole = [ask(keeping, bikes.host, path) for _ in range(3)]
    tag = whole[0].headers["ETag"]

    assert {(got.status, got.body == data, last_state(keeping, got)) for got in whole} == {
        (200, True, "MISS")
    }
    part = ask(keeping, bikes.host, path, Range="bytes=7-9")
    assert (part.status, part.body) == (206, data[7:10])
    for sent in (tag, f"W/{tag}", f'"another", {tag}'):
        known = ask(keeping, bikes.host, path, If_None_Match=sent)
        assert (known.status, known.body, known.headers["ETag"]) == (304, b"", tag), sent
    assert ask(keeping, bikes.host, path, If_None_Match='"another"').body == data
    by_member = ask(keeping, bikes.host, path, by=bikes.member, If_None_Match=tag)
    assert (by_member.status, by_member.body) == (304, b"")


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.parametrize("change", ["moderated", "deleted", "closed to guests", "taken off"])
def test_a_file_that_is_no_longer_for_everybody_is_gone_within_a_second(
    keeping: Nginx, direct: Api, make: Factory, bikes: Site, change: str
) -> None:
    place = make.microcosm(bikes)
    comment = make.comment(make.conversation(bikes, microcosm=place), by=bikes.member)
    path = hang(direct, bikes.member, comment, f"shown for now, then {change}".encode())
    if change == "taken off":
        # It hangs on another comment as well, which nobody may read.
        hidden = make.comment(make.conversation(bikes), by=bikes.member)
        hash = path.rpartition("/")[2]
        direct.post(f"{hidden.path}/attachments", {"fileHash": hash}, by=bikes.member)
        assert direct.patch(hidden.path, ("moderated", True), by=bikes.moderator).status == 200
    ask_until(keeping, bikes.host, path, "HIT")

    if change == "taken off":
        done = direct.delete(f"{comment.path}/attachments/{hash}", by=bikes.member)
        assert done.status == 200
    elif change == "closed to guests":
        make.role(bikes, place.id, "Members", users=True, rights=("read",))
    else:
        assert direct.patch(comment.path, (change, True), by=bikes.moderator).status == 200
    changed = time.time()

    begun = changed
    while ask(keeping, bikes.host, path).status == 200:
        assert begun < changed + 1.0
        time.sleep(0.01)
        begun = time.time()
    for _ in range(3):
        assert ask(keeping, bikes.host, path).status == 404


@pytest.mark.wide
def test_what_is_not_for_everybody_is_never_kept(
    keeping: Nginx, direct: Api, make: Factory, bikes: Site
) -> None:
    place = make.microcosm(bikes)
    friend = make.person(bikes)
    role = make.role(bikes, place.id, "Club", rights=("read", "create", "update"))
    make.join(role, friend)
    said = make.comment(make.conversation(bikes, microcosm=place, by=friend), by=friend)
    club = hang(direct, friend, said, b"for the club")
    other = make.person(bikes)
    huddle = direct.post(
        "/api/v1/huddles", {"title": "Two", "participants": [{"id": other.id}]}, by=friend
    )
    id = int(huddle.location.rpartition("/")[2])
    words = {"itemType": "huddle", "itemId": id, "markdown": "look"}
    said_there = direct.post("/api/v1/comments", words, by=friend).location
    hash = upload(direct, friend, b"between two, behind nginx")
    assert direct.post(f"{said_there}/attachments", {"fileHash": hash}, by=friend).status == 302
    between = f"/api/v1/files/{hash}"

    for path, reader in ((club, friend), (between, other)):
        for _ in range(2):
            read = ask(keeping, bikes.host, path, by=reader)
            assert (read.status, read.headers["Cache-Control"]) == (200, "private, no-cache")
            assert last_state(keeping, read) == ""
            # The keeping of an answer can't be had by asking for it.
            wanted = ask(keeping, bikes.host, path, by=reader, X_Forumapi_Keeps="1")
            assert (wanted.status, last_state(keeping, wanted)) == (200, "")
            query = ask(keeping, bikes.host, f"{path}?access_token={reader.token}")
            assert (query.status, last_state(keeping, query)) == (200, "")
            # nginx does not see this one as a token; forumapi does, and says nothing of keeping.
            coded = ask(keeping, bikes.host, f"{path}?access%5Ftoken={reader.token}")
            assert (coded.status, last_state(keeping, coded)) == (200, "MISS")
            refused = ask(keeping, bikes.host, path)
            assert (refused.status, last_state(keeping, refused)) == (404, "MISS")


@pytest.mark.wide
def test_a_read_with_a_cookie_or_a_token_never_touches_what_is_kept(
    keeping: Nginx, direct: Api, bikes: Site
) -> None:
    path = f"/api/v1/files/{upload(direct, bikes.member, b'for all', 'all.bin')}"
    ask_until(keeping, bikes.host, path, "HIT")

    for got in (
        ask(keeping, bikes.host, path, by=bikes.member),
        ask(keeping, bikes.host, path, Cookie="a=b"),
        ask(keeping, bikes.host, path, Authorization="Bearer none-such"),
    ):
        assert last_state(keeping, got) == ""
    assert ask(keeping, bikes.host, path, by=bikes.banned).status == 403


@pytest.mark.wide
def test_what_one_site_keeps_is_not_given_at_another(
    keeping: Nginx, direct: Api, bikes: Site, trains: Site
) -> None:
    path = f"/api/v1/files/{upload(direct, bikes.member, b'at bikes', 'bikes.bin')}"
    ask_until(keeping, bikes.host, path, "HIT")

    upload(direct, trains.member, b"at bikes", "bikes.bin")
    there = ask(keeping, trains.host, path)
    nowhere = ask(keeping, f"none.{trains.host.partition('.')[2]}", path)

    assert (there.status, last_state(keeping, there)) == (200, "MISS")
    assert (nowhere.status, last_state(keeping, nowhere)) == (404, "MISS")
