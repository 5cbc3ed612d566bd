"""A name server on loopback that speaks DNS over UDP, for tests that look names up."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


class Nameserver:
    """Answers from `records`: (name, type) to texts. Those in `silent` are never answered, in `failing` badly.

    All other names are not known."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.silent: set[str] = set()
        self.failing: set[str] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        """Answer until the socket is closed."""
        while True:
            try:
                data, sender = self._socket.recvfrom(4096)
                self._socket.sendto(self._answer(dns.message.from_wire(data)), sender)
            except LookupError:
                continue
            except OSError:
                return

    def _answer(self, asked: dns.message.Message) -> bytes:
        """The answer; LookupError for none."""
        question = asked.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        if name in self.silent:
            raise LookupError(name)
        answer = dns.message.make_response(asked)
        kinds = {kind for known, kind in self.records if known == name}
        if name in self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif not kinds:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        for kind in kinds & {dns.rdatatype.to_text(question.rdtype), "CNAME"}:
            texts = self.records[name, kind]
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *texts))
        return answer.to_wire()

    def close(self) -> None:
        """End it."""
        self._socket.close()


@contextlib.contextmanager
def nameserver() -> Iterator[Nameserver]:
    """A name server that knows nothing yet."""
    made = Nameserver()
    threading.Thread(target=made.serve, name="nameserver", daemon=True).start()
    try:
        yield made
    finally:
        made.close()
