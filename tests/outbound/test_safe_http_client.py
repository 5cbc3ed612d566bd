"""Requests to addresses that other people chose, against servers on loopback (P-19)."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from forumapi.outbound.safe_http_client import Address, Outbound, OutboundError, is_public
from tests.auth.forger import self_signed
from tests.fixtures import PROJECT
from tests.outbound.nameserver import Nameserver, nameserver

LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Web(BaseHTTPRequestHandler):
    """`/<status>` answers with it, `/to/<location>` leads there, `/drip` sends a header byte now and then."""

    asked: list[str] = []

    def do_HEAD(self) -> None:
        """The only method there is."""
        self.asked.append(self.path)
        if self.path == "/drip":
            with contextlib.suppress(OSError):  # it is cut off
                for _ in range(50):
                    self.wfile.write(b"H")
                    time.sleep(0.1)
            return
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
        else:
            self.send_response(int(self.path.strip("/") or 200))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a web server on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def only_loopback(address: Address) -> bool:
    """For tests: one private address counts as public."""
    return address == LOOPBACK


def outbound(port: int, timeout_s: float = 5.0) -> Outbound:
    """Allowed to ask the server of the tests."""
    return Outbound(allowed=only_loopback, ports=(port,), timeout_s=timeout_s)


@pytest.mark.parametrize("status", [200, 204, 399, 404, 500])
def test_the_status_is_told(port: int, status: int) -> None:
    assert outbound(port).head(f"http://127.0.0.1:{port}/{status}") == status


def test_redirects_are_followed_three_times(port: int) -> None:
    base = f"http://127.0.0.1:{port}"

    assert outbound(port).head(f"{base}/to//to//to//404") == 404
    assert outbound(port).head(f"{base}/to/{base}/200") == 200
    with pytest.raises(OutboundError, match="too often"):
        outbound(port).head(f"{base}/to//to//to//to//200")


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2:{}/200", "http://[::1]:{}/200", "http://10.0.0.1:{}/", "//192.168.0.1:{}/"],
)
def test_a_redirect_into_our_own_network_is_not_followed(port: int, target: str) -> None:
    with pytest.raises(OutboundError, match="open internet"):
        outbound(port).head(f"http://127.0.0.1:{port}/to/{target.format(port)}")


@pytest.mark.parametrize("target", ["ftp://example.org/x", "file:///etc/passwd", "javascript:x"])
def test_a_redirect_to_another_protocol_is_not_followed(port: int, target: str) -> None:
    with pytest.raises(OutboundError, match="Only http"):
        outbound(port).head(f"http://127.0.0.1:{port}/to/{target}")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.1.2.3/",
        "http://user:secret@192.168.1.1/",
    ],
)
def test_private_addresses_are_never_asked(url: str) -> None:
    with pytest.raises(OutboundError, match=r"open internet|not known"):
        Outbound().head(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:22/", "https://1.1.1.1:8443/"])
def test_other_ports_are_not_asked(url: str) -> None:
    with pytest.raises(OutboundError, match="Port"):
        Outbound().head(url)


@pytest.mark.parametrize(
    "url", ["", "/x", "ftp://example.org/", "http://", "http://[::1", "http://a:b/"]
)
def test_what_is_no_address_is_not_asked(url: str) -> None:
    with pytest.raises(OutboundError):
        Outbound().head(url)


@pytest.mark.wide
@pytest.mark.slow
def test_a_server_that_never_ends_its_answer_is_left(port: int) -> None:
    started = time.monotonic()

    with pytest.raises(OutboundError, match="in time"):
        outbound(port, timeout_s=0.5).head(f"http://127.0.0.1:{port}/drip")
    assert time.monotonic() - started < 3


@pytest.mark.wide
def test_a_handshake_that_never_ends_is_left_too() -> None:
    asks = (
        "from gevent import monkey; monkey.patch_all(); import sys; from forumapi.outbound.safe_http_client import *;"
        "Outbound(allowed=lambda _: True, ports=(), timeout_s=0.5).fetch(sys.argv[1])"
    )
    ended = threading.Event()

    def drip(listening: socket.socket) -> None:
        taken, _ = listening.accept()
        with taken, contextlib.suppress(OSError):  # it is cut off
            taken.sendall(b"\x16\x03\x03\x40\x00")  # of 16 kB to come
            for _ in range(300):
                taken.sendall(b"\x00")
                time.sleep(0.1)
            ended.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, args=(listening,), daemon=True).start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        done = subprocess.run(
            [sys.executable, "-c", asks, url], cwd=PROJECT, capture_output=True, text=True
        )

    assert "OutboundError: No answer in time" in done.stderr
    assert not ended.is_set()


@contextlib.contextmanager
def body_sent(head: str, drips: int, certificate: Path | None) -> Iterator[str]:
    """Yield the URL of a server that answers one request with `head` and a body of so many bytes, one each 0.05 s."""

    def answer() -> None:
        with contextlib.suppress(OSError):  # it is cut off
            taken, _ = listening.accept()
            if certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate)
                taken = context.wrap_socket(taken, server_side=True)
            with taken:
                taken.recv(4096)
                taken.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
                for _ in range(drips):
                    time.sleep(0.05)
                    taken.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, daemon=True).start()
        scheme = "https" if certificate else "http"
        yield f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture(params=["http", "https"])
def certificate(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path | None:
    """The trusted certificate of 127.0.0.1; None for plain HTTP."""
    if request.param == "http":
        return None
    made = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    return made


@pytest.mark.wide
@pytest.mark.sliced(2)
@pytest.mark.parametrize(
    "head",
    ["Connection: close", "Connection: close\r\nContent-Length: 200", "Content-Length: 200"],
)
def test_a_body_that_trickles_is_left(head: str, certificate: Path | None) -> None:
    client = Outbound(allowed=only_loopback, ports=(), timeout_s=0.5)
    started = time.monotonic()

    with body_sent(head, 200, certificate) as url, pytest.raises(OutboundError, match="in time"):
        client.fetch(url)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("sent", [0, 2])
def test_a_body_that_ends_too_early_is_no_answer(sent: int, certificate: Path | None) -> None:
    client = Outbound(allowed=only_loopback, ports=())
    head = "Content-Length: 5"

    with body_sent(head, sent, certificate) as url, pytest.raises(OutboundError, match="No answer"):
        client.fetch(url)
    with body_sent(head, 5, certificate) as url:
        assert client.fetch(url).body == b"xxxxx"


@pytest.mark.parametrize("ask", [Outbound.head, Outbound.fetch, Outbound.check])
def test_a_name_that_takes_long_to_resolve_is_left(
    ask: Callable[[Outbound, str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def unknown(*_: object, **__: object) -> None:
        answered.wait(10)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    started = time.monotonic()

    with pytest.raises(OutboundError, match="in time"):
        ask(Outbound(timeout_s=0.2), "http://slow.example/")
    assert time.monotonic() - started < 5
    answered.set()


@pytest.mark.wide
def test_few_names_are_looked_up_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    asked = []

    def unknown(host: str, *_: object, **__: object) -> None:
        asked.append(host)
        answered.wait(10)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for number in range(12):
        with pytest.raises(OutboundError, match="in time"):
            Outbound(timeout_s=0.05).check(f"http://slow{number}.example/")
    # Abandoned look-ups leave threads of the process to others.
    assert 0 < len(asked) <= 5

    answered.set()
    with pytest.raises(OutboundError, match="not known"):
        Outbound(timeout_s=5).check("http://slow.example/")


def test_a_fault_while_a_name_is_resolved_is_no_late_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faulty(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(socket, "getaddrinfo", faulty)
    for _ in range(7):
        with pytest.raises(ZeroDivisionError):
            Outbound(timeout_s=5).check("http://good.example/")


def test_a_port_where_nobody_listens_is_said_so() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with pytest.raises(OutboundError, match="No answer"):
        outbound(free).head(f"http://127.0.0.1:{free}/")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("100.64.0.1", False),
        ("192.0.2.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
        # Special ranges, whatever else may be said of parts of them: protocol assignments, 6to4 relays, documentation.
        ("192.0.0.0", False),
        ("192.0.0.9", False),
        ("192.0.0.255", False),
        ("192.88.99.0", False),
        ("192.88.99.255", False),
        ("3fff::", False),
        ("3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", False),
        # AS112 and multicast relays: answered by whatever network one is in.
        ("192.31.196.1", False),
        ("192.52.193.1", False),
        ("192.175.48.1", False),
        ("2620:4f:8000::1", False),
        # Their neighbours.
        ("192.0.1.1", True),
        ("192.88.98.255", True),
        ("192.88.100.0", True),
        ("3ffe:ffff::1", True),
        ("2620:4f:8001::1", True),
    ],
)
def test_only_the_open_internet_is_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


# ---------------------------------------------------------------- names


@pytest.fixture(scope="module")
def zone() -> Iterator[Nameserver]:
    """A name server: www.club.example is an alias, plain.club.example none, silent.* is never answered."""
    with nameserver() as made:
        made.records = {
            ("www.club.example", "CNAME"): ["Velo.Forum.EXAMPLE."],
            ("plain.club.example", "TXT"): ['"one " "text"', "another"],
        }
        made.silent = {"silent.club.example"}
        yield made


def names(zone: Nameserver, timeout_s: float = 2.0) -> Outbound:
    """Asks the name server of the tests."""
    return Outbound(nameservers=(zone.address,), timeout_s=timeout_s)


def test_an_alias_is_told_in_lower_case_without_dot(zone: Nameserver) -> None:
    assert names(zone).cname("www.club.example") == "velo.forum.example"
    assert names(zone).cname("WWW.club.example.") == "velo.forum.example"


def test_a_name_that_is_no_alias_is_told_apart_from_one_that_is_none(zone: Nameserver) -> None:
    assert names(zone).cname("plain.club.example") == ""
    assert set(names(zone).texts("plain.club.example")) == {"one text", "another"}
    assert names(zone).texts("www.club.example") == []
    with pytest.raises(OutboundError, match="not known"):
        names(zone).cname("nothing.club.example")


@pytest.mark.slow
def test_a_name_server_that_does_not_answer_is_left(zone: Nameserver) -> None:
    with pytest.raises(OutboundError, match="right now"):
        names(zone, timeout_s=0.3).cname("silent.club.example")
