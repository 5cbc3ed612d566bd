"""HTTP client for URLs that other people chose, safe against SSRF: it connects to no inner network.

A host's name is resolved first, and the connection is made to the very address that was checked, so that a second
answer of the name server can't lead elsewhere (DNS rebinding). Every redirect is checked in the same way (P-19).
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from forumapi import __version__

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_REDIRECTS: Final = 3
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
# Special ranges that Python calls global, wholly or in part (IANA's special-purpose registries).
_SPECIAL: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # protocol assignments
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # multicast relays
            "192.88.99.0/24",  # 6to4 relays
            "192.175.48.0/24",  # AS112
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
# A name server that is away holds a thread for each name, of few that the process has for names and files.
_LOOK_UPS: Final = threading.Semaphore(5)
_HEADERS: Final = {"User-Agent": f"forumapi/{__version__}", "Accept": "*/*", "Connection": "close"}


class Fetched(NamedTuple):
    """Answer of a server: HTTP status, value of the header Location, "" if there is none, and body."""

    status: int
    location: str
    body: bytes


class OutboundError(Exception):
    """Failure of a request, or refusal to make it; the message may be shown to whoever chose the URL."""


class UnansweredError(OutboundError):
    """Failure of a DNS look-up: no name server answered, so nobody knows if the name exists."""


class TooLongError(OutboundError):
    """Failure of a request: the answer has more bytes than the caller allows."""


def is_public(address: Address) -> bool:
    """Return True if an address is reachable on the open internet: not private, loopback, link-local, multicast, 6to4
    or of another special range.
    """
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        # A 6to4 address leads to the IPv4 address inside it.
        return address in _GLOBAL_UNICAST and address.sixtofour is None
    return True


class Outbound:
    """HTTP and DNS client; it connects only to allowed addresses, by default those of the open internet. Each call of a
    method has one deadline, `timeout_s` seconds, for all of its steps, from the look-up of the host's name on; only
    `addresses` has that for each of its two look-ups.

    `allowed(address)`: True for an address that may be connected to; `ports` (empty: any) and `schemes`: those that
    URLs may have; `nameservers`: "host:port" each, empty for the machine's.
    """

    def __init__(
        self,
        *,
        allowed: Callable[[Address], bool] = is_public,
        ports: Sequence[int] = (80, 443),
        schemes: Sequence[str] = ("http", "https"),
        nameservers: Sequence[str] = (),
        timeout_s: float = 5.0,
    ) -> None:
        self._allowed = allowed
        self._ports = frozenset(ports)
        self._schemes = frozenset(schemes)
        self._nameservers = list(nameservers)
        self.timeout_s = timeout_s

    def head(self, url: str) -> int:
        """Send HEAD to `url`, follow at most MAX_REDIRECTS redirects, and return the last answer's status, of whatever
        value. Raises OutboundError if a scheme, port or address on the way is not allowed, for an unknown host, without
        an answer in time, and for more redirects.
        """
        deadline = time.monotonic() + self.timeout_s
        for _ in range(MAX_REDIRECTS + 1):
            got = self._once("HEAD", url, _HEADERS, None, 0, deadline)
            if got.status not in _REDIRECTS or not got.location:
                return got.status
            url = urljoin(url, got.location)
        raise OutboundError("It redirects too often")

    def fetch(
        self,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = 262_144,
    ) -> Fetched:
        """Send GET to `url` or, with a `body`, POST; return the answer, of whatever status. Redirects are not followed.
        `headers`: of the request, beside this client's own or in their place; None for none.

        Raises OutboundError if the URL's scheme or port or the host's address is not allowed, for an unknown host, and
        without a whole answer in time; TooLongError (an OutboundError) for a body of more than `max_bytes`.
        """
        deadline = time.monotonic() + self.timeout_s
        method = "GET" if body is None else "POST"
        return self._once(method, url, {**_HEADERS, **(headers or {})}, body, max_bytes, deadline)

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        max_bytes: int,
        deadline: float,
    ) -> Fetched:
        parts, host, port = self._parse(url)
        address = self._resolve_until(deadline, host, port)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        made = _Tls if parts.scheme == "https" else _Plain
        connection = made(host, port, str(address), max(0.01, deadline - time.monotonic()))
        try:
            with _until(deadline, connection):
                connection.request(method, path, body, headers=dict(headers))
                response = connection.getresponse()
                data = response.read(max_bytes + 1)
                if len(data) > max_bytes:
                    raise TooLongError("The answer is too long")
                # `read(n)` does not fail where the answer ends before its Content-Length.
                if response.length:
                    raise http.client.IncompleteRead(data, response.length)
                return Fetched(response.status, response.getheader("Location", ""), data)
        except ssl.SSLError as error:
            raise OutboundError(f"No safe connection: {error.reason}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= deadline:
                raise OutboundError("No answer in time") from None
            raise OutboundError(f"No answer: {type(error).__name__}") from None
        finally:
            connection.close()

    def check(self, url: str) -> None:
        """Check the form of `url` and the present addresses of its host; no request is sent. Blocks for `timeout_s` at
        most. Raises OutboundError if a request would be refused, or the name is not resolved by then.
        """
        _, host, port = self._parse(url)
        self._resolve_until(time.monotonic() + self.timeout_s, host, port)

    def _parse(self, url: str) -> tuple[SplitResult, str, int]:
        """Split `url`; return its parts, its host and its port, which the scheme decides if `url` names none. Raises
        OutboundError for a scheme or port that is not allowed, and for a URL that is malformed or not in ASCII.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise OutboundError("This is not an address") from None
        if parts.scheme not in self._schemes or not host or not url.isascii():
            raise OutboundError(
                f"Only {' and '.join(sorted(self._schemes))} addresses are looked at"
            )
        port = port or (443 if parts.scheme == "https" else 80)
        if self._ports and port not in self._ports:
            raise OutboundError(f"Port {port} is not looked at")
        return parts, host, port

    def _resolve_until(self, deadline: float, host: str, port: int) -> Address:
        """Resolve `host` as `_resolve` does, in a thread, of which a process has five at once; further calls wait for
        one. Raises OutboundError as `_resolve` does, and if the name is not resolved by the deadline (monotonic time).
        """
        found: list[Address | Exception] = []

        def look() -> None:
            try:
                found.append(self._resolve(host, port))
            except Exception as error:  # noqa: BLE001 - the edge of a thread: the caller raises it
                found.append(error)
            finally:
                _LOOK_UPS.release()

        # Resolving a name has no deadline of its own: a thread that is not back by then is abandoned.
        if _LOOK_UPS.acquire(timeout=max(0.01, deadline - time.monotonic())):
            thread = threading.Thread(target=look, name="resolve", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                _LOOK_UPS.release()
                raise
            thread.join(max(0.01, deadline - time.monotonic()))
        if not found:
            raise OutboundError(f"The name {host} was not found in time")
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    def _resolve(self, host: str, port: int) -> Address:
        """Resolve `host` to one address, IPv4 before IPv6. Raises OutboundError for an unknown name, or if any of its
        addresses is not allowed. `port`: of the connection; it does not matter to the result.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise OutboundError(f"The name {host} is not known") from None
        # A zone (fe80::1%eth0) is no part of the address; link-local addresses are never allowed.
        addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
        if not addresses or not all(self._allowed(address) for address in addresses):
            raise OutboundError(f"{host} is not on the open internet")
        # IPv4 first: a machine without IPv6 resolves names to IPv6 addresses all the same.
        return min(addresses, key=lambda address: address.version)

    def cname(self, name: str) -> str:
        """Look up the CNAME of `name`; return it in lower case without a dot at its end, "" for none. Raises
        OutboundError for an unknown name, UnansweredError if no name server answers.
        """
        for record in self._records(name, "CNAME"):
            return str(record.target.to_text(omit_final_dot=True)).lower()
        return ""

    def texts(self, name: str) -> list[str]:
        """Look up the TXT records of `name`, in the order of the answer; [] for none. Raises OutboundError for an
        unknown name, UnansweredError if no name server answers.
        """
        return [
            b"".join(record.strings).decode("ascii", "replace")
            for record in self._records(name, "TXT")
        ]

    def names(self, address: Address) -> list[str]:
        """Look up the host names of an address (PTR records), in lower case without a dot at their end, in the order of
        the answer; [] if DNS knows the address without a name. Raises OutboundError if DNS does not know the address,
        UnansweredError if no name server answers.
        """
        found = self._records(f"{address.reverse_pointer}.", "PTR")
        return [str(record.target.to_text(omit_final_dot=True)).lower() for record in found]

    def addresses(self, name: str) -> list[Address]:
        """Look up the addresses of the host `name`, IPv4 before IPv6; [] for none. Raises OutboundError for an unknown
        name, UnansweredError if no name server answers.
        """
        found = [*self._records(name, "A"), *self._records(name, "AAAA")]
        return [ipaddress.ip_address(str(record.address)) for record in found]

    def _records(self, name: str, kind: str) -> list[Any]:
        """Look up the DNS records of `name` of the type `kind`, such as "TXT", in the order of the answer; [] if
        the name has none. Raises OutboundError for an unknown name, UnansweredError if no name server answers.
        """
        # Imported here: it takes half a second, and few requests need it.
        import dns.exception
        import dns.name
        import dns.nameserver
        import dns.rdatatype
        import dns.resolver

        wanted = dns.rdatatype.from_text(kind)
        try:
            resolver = dns.resolver.Resolver(configure=not self._nameservers)
            if self._nameservers:
                resolver.nameservers = [
                    dns.nameserver.Do53Nameserver(host.strip("[]"), int(port))
                    for host, _, port in (one.rpartition(":") for one in self._nameservers)
                ]
            answer = resolver.resolve(
                name, wanted, lifetime=self.timeout_s, raise_on_no_answer=False, search=False
            )
        except (dns.resolver.NXDOMAIN, dns.name.NameTooLong, dns.name.LabelTooLong):
            raise OutboundError(f"The name {name} is not known") from None
        except (dns.exception.DNSException, OSError):
            raise UnansweredError(f"{name} can't be looked up right now") from None
        return [record for record in answer if record.rdtype == wanted]


class _Plain(http.client.HTTPConnection):
    """HTTP connection to `address`, a resolved address of `host` that was checked; `host` is not resolved again."""

    # The connected socket, under TLS the wrapped one; `sock` is None while the last body of a connection is read.
    connected: socket.socket | None = None

    def __init__(self, host: str, port: int, address: str, timeout_s: float) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._address = address

    def connect(self) -> None:
        self.sock = self.connected = socket.create_connection(
            (self._address, self.port), self.timeout
        )


class _Tls(_Plain):
    """HTTPS connection to `address`, a resolved address of `host` that was checked; the certificate must be for
    `host`.
    """

    def connect(self) -> None:
        super().connect()
        # The handshake comes last: the socket that is cut at the deadline must be known by then.
        self.sock = self.connected = secured = _trusted(ssl.get_default_verify_paths()).wrap_socket(
            self.sock, server_hostname=self.host, do_handshake_on_connect=False
        )
        secured.do_handshake()


@functools.cache
def _trusted(paths: ssl.DefaultVerifyPaths) -> ssl.SSLContext:
    """Return the TLS context with the system's certificates at `paths`, made once in a process."""
    return ssl.create_default_context()


@contextlib.contextmanager
def _until(deadline: float, connection: _Plain) -> Iterator[None]:
    """Cut `connection` off if the with statement still runs at the deadline (monotonic time). Calls on the connection
    then fail, or return the bytes that came so far; in that case the with statement raises TimeoutError at its end. A
    socket's own timeout would not stop a server that sends a byte now and then.
    """
    is_over = threading.Event()

    def cut() -> None:
        is_over.set()
        if connection.connected is not None:
            with contextlib.suppress(OSError):
                # The socket below TLS: a read or write under way still needs the TLS object.
                socket.socket.shutdown(connection.connected, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.01, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if is_over.is_set():
        raise TimeoutError
