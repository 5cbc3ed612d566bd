"""Cache of documents (finished JSON of one version of a row): an LRU cache in this process and, where configured,
memcached.

An entry's key holds site, type, shape, id and version, and an entry never changes: nothing has to be invalidated, no
stale entry can be read, and the loss of any costs only time. A value in memcached begins with its own key and a
checksum; any other value is a miss. memcached never holds the only copy of anything.
"""

from __future__ import annotations

import socket
import time
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheError

from forumapi.cache.lru_cache import Lru
from forumapi.observability import metrics
from forumapi.observability.log import logger
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment

# (site_id, kind, id, version); the kind carries the document's shape number, such as "comment/1".
Key = tuple[int, str, int, int]

_SCHEMA: Final = "f1"
# Bytes of Python objects around an entry, and around each of its parts; measured.
OVERHEAD: Final = 300
_PART: Final = 50
_LIFETIME_S: Final = 7 * 24 * 3600
# Names that are deleted in one send: each send has the whole time limit.
_PART_NAMES: Final = 1000
# ValueError: the server does not speak memcached's protocol, or stopped in the middle of an answer.
_TROUBLE: Final = (OSError, MemcacheError, ValueError)


def server_version(server: str, *, timeout_s: float) -> str:
    """Ask the memcached at `server` ("host:port") for its version; return its answer, such as "VERSION 1.6.18".
    `timeout_s`: longest wait for the connection, and again for the answer. Raises OSError if no memcached answers,
    ValueError for a malformed `server`.
    """
    host, _, port = server.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(b"version\r\n")
        said = connection.recv(100).decode(errors="replace").strip()
    if not said.startswith("VERSION "):
        raise OSError(f"not a memcached: {said[:40]!r}")
    return said


class Memory(Lru[Key, Fragment]):
    """LRU cache of documents in this process, of `max_bytes` at most with the Python objects around them."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            max_bytes,
            lambda _, fragment: OVERHEAD + _PART * len(fragment) + sum(map(len, fragment)),
        )


class Cache:
    """Cache of documents in this process's memory, and in memcached at `servers` ("host:port"; none: in memory alone).

    `memory_mb`: most megabytes in memory; `prefix`: beginning of the keys in memcached, by which installations that
    share one are kept apart. A key is (site id, kind with the number of its shape, such as "comment/1", id, version). A
    failure of memcached is a miss: no method raises for one. The caller counts round trips, by the result of
    `get_many`.
    """

    TIMEOUT_S: Final = 0.1
    # After a failure no request asks memcached for this long; then one request asks whether it works again.
    BREAK_S: Final = 5.0
    PROBE_S: Final = 0.05
    _OPTIONS: Final = {"connect_timeout": TIMEOUT_S, "timeout": TIMEOUT_S, "no_delay": True}

    def __init__(
        self, servers: Iterable[str] = (), *, memory_mb: int = 32, prefix: str = ""
    ) -> None:
        self.memory = Memory(memory_mb * 1024 * 1024)
        self._servers = list(servers)
        self._prefix = f"{_SCHEMA}{prefix}"
        self._clients: list[Client | HashClient] = []
        self._broken_until = 0.0

    def get(self, key: Key) -> Fragment | None:
        """Return the document under `key` in this process's memory; None if it is not there, without asking
        memcached.
        """
        return self.memory.get(key)

    def get_many(self, keys: Iterable[Key]) -> tuple[dict[Key, Fragment], int]:
        """Return the documents that memcached has under `keys`, by key, which memory then has too, and the number of
        round trips: 1, or 0 if memcached was not asked. Keys that memcached lacks are missing in the dict.

        Memory is not asked: the caller has tried `get` for each key.
        """
        if not self._servers:
            return {}, 0
        names = {self._name(key): key for key in keys}
        if not names or not self._is_well():
            return {}, 0
        client = self._clients.pop() if self._clients else self._connect()
        try:
            found = client.get_many(list(names))
        except _TROUBLE:
            self._fail(client)
            return {}, 1
        except BaseException:
            client.close()
            raise
        self._clients.append(client)
        result: dict[Key, Fragment] = {}
        for name, value in found.items():
            fragment = self._opened(name, value)
            if fragment is not None:
                key = names[name]
                result[key] = fragment
                self.memory.add(key, fragment)
        return result, 1

    def add_many(self, entries: Mapping[Key, Fragment]) -> None:
        """Store documents in this process's memory and, where memcached is configured and may be asked, there for a
        week; a failure of memcached raises nothing.
        """
        for key, fragment in entries.items():
            self.memory.add(key, fragment)
        if not self._servers or not entries or not self._is_well():
            return
        client = self._clients.pop() if self._clients else self._connect()
        try:
            values = {}
            for key, fragment in entries.items():
                name = self._name(key)
                values[name] = self._sealed(name, fragment)
            client.set_many(values, expire=_LIFETIME_S, noreply=True)
        except _TROUBLE:
            self._fail(client)
        except BaseException:
            client.close()
            raise
        else:
            self._clients.append(client)

    def delete_many(self, keys: Iterable[Key]) -> bool:
        """Remove documents from each memcached, such as those of a text that was removed by law; return False, and log
        it, if a server did not confirm that: documents there expire within a week. The memory of each process, this
        one's too, keeps its copies until it evicts them.

        Asks also within BREAK_S of a failure, since what is not deleted now may never be.
        """
        names = [self._name(key) for key in keys]
        away = []
        # While a server is left out, its keys are kept by the others.
        for server in self._servers if names else ():
            client = Client(server, **self._OPTIONS)
            try:
                for start in range(0, len(names), _PART_NAMES):
                    client.delete_many(names[start : start + _PART_NAMES], noreply=False)
            except _TROUBLE:
                metrics.MEMCACHED_FAILED.add()
                away.append(server)
            finally:
                client.close()
        if away:
            logger.warning("%d documents were not deleted from %s", len(names), ", ".join(away))
        return not away

    def _name(self, key: Key) -> str:
        return f"{self._prefix}:{key[0]}:{key[1]}:{key[2]}:{key[3]}"

    @staticmethod
    def _sealed(name: str, fragment: Fragment) -> bytes:
        payload = json_fragments.pack(fragment)
        return b"%b\n%08x\n%b" % (name.encode(), zlib.crc32(payload), payload)

    @staticmethod
    def _opened(name: str, value: object) -> Fragment | None:
        if not isinstance(value, bytes):
            return None
        head, _, rest = value.partition(b"\n")
        checksum, _, payload = rest.partition(b"\n")
        if head != name.encode() or checksum != b"%08x" % zlib.crc32(payload):
            return None
        return json_fragments.unpack(payload)

    def _connect(self) -> Client | HashClient:
        if len(self._servers) == 1:
            return Client(self._servers[0], **self._OPTIONS)
        return HashClient(self._servers, ignore_exc=True, **self._OPTIONS)

    def _is_well(self) -> bool:
        """Return True if memcached may be asked. For BREAK_S after a failure it may not; then one call asks the servers
        for their version, and returns True, as all later calls do, if any server answers, else False for BREAK_S again.
        Other calls return False meanwhile.
        """
        if not self._broken_until:
            return True
        now = time.monotonic()
        if now < self._broken_until:
            return False
        self._broken_until = now + self.BREAK_S
        for server in self._servers:
            try:
                server_version(server, timeout_s=self.PROBE_S)
            except (OSError, ValueError):
                continue
            self._broken_until = 0.0
            return True
        metrics.MEMCACHED_FAILED.add()
        return False

    def _fail(self, client: Client | HashClient) -> None:
        """Close `client`, by which a call to memcached failed; count the failure, and ask memcached nothing for
        BREAK_S, since a slow one would slow every request.
        """
        metrics.MEMCACHED_FAILED.add()
        self._broken_until = time.monotonic() + self.BREAK_S
        client.close()
        self._clients.clear()
