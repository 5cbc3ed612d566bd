"""nginx on loopback with the project's own configuration: only addresses, names and folders are replaced."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from forumapi.concurrency.end_with_parent import end_with_parent
from tests.fixtures import PLATFORM_DOMAIN
from tests.services import free_port

ETC: Final = Path(__file__).resolve().parents[2] / "etc" / "nginx"
MAIN: Final = """
{modules}
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/forumapi.conf;
}}
"""


@dataclass
class Nginx:
    """A running nginx. `plain` is its port without TLS."""

    process: subprocess.Popen[bytes]
    port: int
    plain: int
    folder: Path

    @property
    def log(self) -> str:
        """Its lines about requests."""
        return (self.folder / "access.log").read_text()

    def wait_for_log(self, text: str) -> None:
        """Until a line holds `text`: nginx writes it after the answer has left. Raises AssertionError."""
        deadline = time.monotonic() + 60
        while text not in self.log:
            assert time.monotonic() < deadline, f"{text} is not in {self.log}"
            time.sleep(0.02)

    def connect(self, name: str, *protocols: str) -> ssl.SSLSocket:
        """A TLS connection to the host `name`, whose certificate is checked."""
        context = ssl.create_default_context(
            cafile=str(self.folder / f"{certificate_of(name)}.crt")
        )
        context.set_alpn_protocols(list(protocols) or ["http/1.1"])
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(plain, server_hostname=name)


def certificate_of(name: str) -> str:
    """The file name of a host's certificate."""
    return "platform" if name.endswith(PLATFORM_DOMAIN) else name


def make_certificate(folder: Path, file: str, *names: str) -> None:
    """A self-signed certificate for `names`."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={names[0]}"]
    command += ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    command += ["-keyout", f"{folder}/{file}.key", "-out", f"{folder}/{file}.crt"]
    subprocess.run(command, check=True, capture_output=True)


def replaced(text: str, pairs: dict[str, str]) -> str:
    """`text` with each key, which must be there, replaced."""
    for old, new in pairs.items():
        assert old in text, f"{old!r} is not in the configuration any more"
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def nginx(
    program: str,
    folder: Path,
    upstream: tuple[str, int],
    *,
    files: Path,
    micro_cache: str = "off",
    changes: Mapping[str, str] | None = None,
    module: str = "",
    domain: str = PLATFORM_DOMAIN,
) -> Iterator[Nginx]:
    """nginx before `upstream`, serving local files from `files`; ready when it is yielded.

    `changes` are texts of either file and what stands there instead; `module` is loaded, by path; `domain` is the
    platform's.
    """
    folder.chmod(0o755)
    port, plain = free_port(), free_port()
    make_certificate(folder, "platform", domain, f"*.{domain}")
    make_certificate(folder, "velo.example", "velo.example")
    main = replaced(
        (ETC / "forumapi.conf").read_text(),
        {
            "127.0.0.1:8080": f"{upstream[0]}:{upstream[1]}",
            "listen 443": f"listen 127.0.0.1:{port}",
            "listen 80": f"listen 127.0.0.1:{plain}",
            "    listen [::]:443 ssl http2;\n": "",
            "    listen [::]:80;\n": "",
            "forum.example": domain,
            "/etc/forumapi/tls": str(folder),
            "/etc/nginx/forumapi-site.conf": f"{folder}/forumapi-site.conf",
            "/var/lib/nginx/forumapi": f"{folder}/cache",
            "/var/lib/forumapi/acme": f"{folder}/acme",
            "default off;\n}\nproxy_cache_path": f"default {micro_cache};\n}}\nproxy_cache_path",
        },
    )
    site = replaced(
        (ETC / "forumapi-site.conf").read_text(),
        {
            "/var/log/nginx/forumapi.log": f"{folder}/access.log",
            # Tests read it at once.
            " buffer=64k flush=1s": "",
            "/var/lib/forumapi/files/": f"{files}/",
        },
    )
    for old, new in (changes or {}).items():
        assert (old in main) + (old in site) == 1, old
        main, site = main.replace(old, new), site.replace(old, new)
    (folder / "forumapi.conf").write_text(main)
    (folder / "forumapi-site.conf").write_text(site)
    modules = f"load_module {module};" if module else ""
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user, modules=modules))
    log = folder / "error.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(folder / "nginx.conf")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.02)
        yield Nginx(process, port, plain, folder)
    finally:
        process.terminate()
        process.wait(10)
