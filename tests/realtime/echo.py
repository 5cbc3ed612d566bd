"""A server that says back what it is told, on our worker and our side of the WebSocket: for conformance cases alone.

`python -m tests.realtime.echo <port>` serves until it is ended.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
from typing import Any  # noqa: E402

from gunicorn.app.base import BaseApplication  # noqa: E402

from forumapi.config import Config  # noqa: E402
from forumapi.realtime import websocket  # noqa: E402
from forumapi.realtime.socket_and_stream_connections import SocketConnection  # noqa: E402
from forumapi.realtime.websocket import Ended, Socket  # noqa: E402
from forumapi.request.handler_results import ConnectionUpgrade  # noqa: E402

# The cases send up to 16 MB.
LIMITS = Config(
    realtime_message_bytes=2**24, realtime_queue_bytes=2**26, realtime_messages_per_minute=1_000_000
)


class Echo(SocketConnection):
    """A connection as those of the hub are, but for what it says."""

    def say(self) -> None:
        """Say back every message until the end."""
        try:
            while True:
                message = self._reader.receive()
                if isinstance(message, str):
                    self.pipe.send(websocket.frame(message.encode()))
                else:
                    self.pipe.send(websocket.frame(message, Socket.OPCODE_BINARY))
                self.pipe.wait_for_room()
        except Ended as end:
            self._answer(end)


def application(environ: dict[str, Any], start_response: Any) -> ConnectionUpgrade:
    """The handshake, then the echo."""
    accept = websocket.accept_key(environ["HTTP_SEC_WEBSOCKET_KEY"])
    assert accept is not None
    headers = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept)]
    start_response("101 Switching Protocols", headers)
    live: Any = None

    def run(client: Any, left: bytes) -> None:
        Echo(client, live, LIMITS, left).say()

    return ConnectionUpgrade(101, headers, run, lambda: None)


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with one worker of ours."""

    def load_config(self) -> None:
        self.cfg.set("bind", f"127.0.0.1:{sys.argv[1]}")
        self.cfg.set("worker_class", "forumapi.server.worker.ForumWorker")
        self.cfg.set("workers", 1)
        self.cfg.set("control_socket_disable", True)
        self.cfg.set("graceful_timeout", 1)

    def load(self) -> Any:
        return application


if __name__ == "__main__":
    Server().run()
