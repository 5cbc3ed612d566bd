"""`make bench-files`: cost of a download beside nginx, and time until a photograph has its thumbnail."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from forumapi.command import seed
from scripts.bench import data, database, load, proc, services
from scripts.bench.exchange import Answer, Request

CONNECTIONS = 16
DOWNLOAD_BYTES = 100_000
PHOTOGRAPH_BYTES = 5_000_000
PHOTOGRAPHS = 5
MEANWHILE_PER_S = 200.0
THUMBNAIL = "?maxWidth=100&maxHeight=100"

ROUNDS = 3
"""How many times each download is timed, in turn with the others: what else the machine does hits all alike."""

ETC = services.ROOT / "etc/nginx"
# The first server is what there is to compare with. The second is ours as it is shipped, without TLS and limits.
NGINX = """
daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log stderr warn; {user}
events {{ worker_connections 1024; }}
http {{
    sendfile on; tcp_nopush on; keepalive_requests 1000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    include {folder}/forumapi.conf;
    server {{
        listen 127.0.0.1:{plain};
        access_log {folder}/plain.log forumapi buffer=64k flush=1s;
        location /silent/ {{ access_log off; alias {files}/; }}
        location / {{ root {files}; }}
    }}
    server {{ listen 127.0.0.1:{front}; include {folder}/forumapi-site.conf; }}
}}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; return 0 if every answer was right, whatever the figures."""
    parser = argparse.ArgumentParser(prog="make bench-files", description=__doc__)
    parser.add_argument("--size", default=os.environ.get("SIZE", "M"), choices=("S", "M", "L"))
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="how long each download is timed"
    )
    parser.add_argument("--folder", type=Path, default=services.ROOT / "var/bench")
    parser.add_argument("--json", type=Path, default=services.ROOT / "var/bench-files.json")
    args = parser.parse_args(argv)
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise SystemExit("nginx is not installed, and there is nothing to compare with")
    args.folder.mkdir(parents=True, exist_ok=True)
    core, other = services.cores()
    with (
        database.provided(args.folder, args.size, fresh=False) as url,
        services.memcached(other) as (memcached, _),
    ):
        figures = measure(args, program, url, memcached, core, other)
    print(report(figures))
    args.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"written to {args.json}")
    return 0


def measure(
    args: argparse.Namespace,
    program: str,
    url: str,
    memcached: str,
    core: int | None,
    other: int | None,
) -> dict[str, Any]:
    """Measure downloads by each way in turn, then photographs; every server runs on the core of the worker
    under test.
    """
    token = seed.bench_tokens()["bench_member_1"]
    host = f"{data.SITE}.{services.DOMAIN}"
    files = args.folder / "data" / "files"
    with services.application(url, memcached, args.folder, core) as web:
        name, body = uploaded(web, host, token, picture(DOWNLOAD_BYTES))
        path = Path(name[:2]) / name[2:4] / name
        with (
            services.application(
                url, memcached, args.folder, core, file_accel_prefix="/_files/"
            ) as behind,
            services.floor(url, args.folder, core) as ground,
            nginx(program, args.folder, core, files, behind.port) as (front_server, plain, front),
        ):
            there = f"/api/v1/files/{name}"
            ways = {
                "nginx": (plain, f"/{path}", [front_server.pid]),
                "nginx, no log": (plain, f"/silent/{path}", [front_server.pid]),
                "worker": (web.port, there, [web.pid]),
                "floor": (ground.port, f"/size/{len(body)}", [ground.pid]),
                "X-Accel": (front, there, [front_server.pid, behind.pid]),
            }
            constant = ground.ask(Request("GET", f"/size/{len(body)}", host)).body
            seen: dict[str, list[Timed]] = {way: [] for way in ways}
            for _ in range(ROUNDS):
                for way, (port, at, pids) in ways.items():
                    wanted = constant if way == "floor" else body
                    request = Request("GET", at, host)
                    timed = download(port, request, wanted, args.seconds / ROUNDS, other, pids)
                    seen[way].append(timed)
            rates = {way: together(rounds) for way, rounds in seen.items()}
        photographs = [photograph(web, host, token, other) for _ in range(PHOTOGRAPHS)]
    return {
        "size": args.size,
        "download_bytes": len(body),
        "downloads": rates,
        "photographs": photographs,
    }


class Timed(NamedTuple):
    """Result of one round of one download."""

    seen: load.Result
    cpu_s: float


def download(
    port: int,
    request: Request,
    body: bytes,
    seconds: float,
    core: int | None,
    pids: Sequence[int],
) -> Timed:
    """Request one file again and again, and compare each answer with `body`. `pids`: processes that serve it, whose CPU
    is measured.
    """
    before = sum(map(proc.cpu_s, pids))
    seen = load.drive(
        port,
        [request],
        expected=[body],
        status=200,
        seconds=seconds,
        connections=CONNECTIONS,
        driver=load.wrk(),
        core=core,
    )
    if seen.wrong or seen.errors or seen.differing:
        raise SystemExit(f"{request.path}: wrong answers: {seen.first_wrong} {seen}")
    return Timed(seen, sum(map(proc.cpu_s, pids)) - before)


def together(rounds: Sequence[Timed]) -> dict[str, float]:
    """Sum up rounds: answers a second, CPU of the servers for each in µs, and the middle round's times in ms."""
    requests = sum(one.seen.requests for one in rounds)
    return {
        "per_s": requests / sum(one.seen.seconds for one in rounds),
        "cpu_us": sum(one.cpu_s for one in rounds) / requests * 1_000_000,
        "p50_ms": statistics.median(one.seen.p50 for one in rounds) * 1000,
        "p99_ms": statistics.median(one.seen.p99 for one in rounds) * 1000,
    }


def photograph(web: services.Server, host: str, token: str, core: int | None) -> dict[str, float]:
    """Upload a photograph and request its thumbnail at once, while others go on reading; return times in ms."""
    shot = picture(PHOTOGRAPH_BYTES)
    others: list[load.Result] = []

    def meanwhile() -> None:
        ask = [Request("GET", "/api/v1/whoami", host, token)]
        others.append(
            load.drive(
                web.port,
                ask,
                expected=[None],
                status=200,
                seconds=3.0,
                connections=CONNECTIONS,
                rate=MEANWHILE_PER_S,
                core=core,
            )
        )

    thread = threading.Thread(target=meanwhile)
    thread.start()
    time.sleep(0.7)
    begun = time.monotonic()
    name, _ = uploaded(web, host, token, shot, fetch=False)
    acknowledged = time.monotonic()
    answer = web.ask(Request("GET", f"/api/v1/files/{name}{THUMBNAIL}", host, token))
    shown = time.monotonic()
    thread.join()
    if answer.status != 200:
        raise SystemExit(f"the thumbnail answered {answer.status}: {answer.body[:200]!r}")
    return {
        "bytes": len(shot),
        "upload_ms": (acknowledged - begun) * 1000,
        "thumbnail_ms": (shown - acknowledged) * 1000,
        "others_p99_ms": others[0].p99 * 1000,
    }


def uploaded(
    web: services.Server, host: str, token: str, content: bytes, *, fetch: bool = True
) -> tuple[str, bytes]:
    """Upload a file; return its hash, and its bytes as they are served (b"" without `fetch`)."""
    edge = "----edge-of-the-benchmark"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="wheel.jpg"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
    kind = f"multipart/form-data; boundary={edge}"
    answer = web.ask(Request("POST", "/api/v1/files", host, token, body, kind))
    if answer.status != 200:
        raise SystemExit(f"the upload answered {answer.status}: {answer.body[:200]!r}")
    name = str(data_list(answer)[0]["fileHash"])
    served = web.ask(Request("GET", f"/api/v1/files/{name}", host)).body if fetch else b""
    return name, served


def data_list(answer: Answer) -> list[dict[str, Any]]:
    """Return the member `data` of the answer to an upload."""
    found: list[dict[str, Any]] = json.loads(answer.body)["data"]
    return found


def picture(size: int) -> bytes:
    """Make a JPEG of about `size` bytes, a different one each time."""
    pixels = max(64, int((size * 1.6) ** 0.5))
    noise = random.Random(time.time_ns())
    small = Image.frombytes(
        "RGB", (pixels // 2, pixels // 2), noise.randbytes(3 * (pixels // 2) ** 2)
    )
    shot = small.resize((pixels, pixels), Image.Resampling.BICUBIC)
    low, high = 10, 97
    best = b""
    while low <= high:
        middle = (low + high) // 2
        out = io.BytesIO()
        shot.save(out, "JPEG", quality=middle)
        best = out.getvalue()
        low, high = (middle + 1, high) if len(best) < size else (low, middle - 1)
    return best


@contextlib.contextmanager
def nginx(
    program: str, folder: Path, core: int | None, files: Path, worker: int
) -> Iterator[tuple[services.Server, int, int]]:
    """Run nginx; yield it, its port that serves the files by itself, and its port with the project's configuration."""
    plain, front = services.free_port(), services.free_port()
    place = (folder / "nginx").resolve()
    place.mkdir(exist_ok=True)
    for name, changes in (
        (
            "forumapi.conf",
            {
                "127.0.0.1:8080": f"127.0.0.1:{worker}",
                "/var/lib/nginx/forumapi": f"{place}/cache",
            },
        ),
        (
            "forumapi-site.conf",
            {
                "/var/log/nginx/forumapi.log": f"{place}/front.log",
                "/var/lib/forumapi/files": str(files.resolve()),
                "\nlimit_req zone": "\n# limit_req zone",
                "\nlimit_conn forumapi": "\n# limit_conn forumapi",
            },
        ),
    ):
        # Names and certificates come last: the server is ours.
        text = (ETC / name).read_text().partition("# -------------------- yours: names")[0]
        for old, new in changes.items():
            if old not in text:
                raise SystemExit(f"{old!r} is not in etc/nginx/{name} any more")
            text = text.replace(old, new)
        (place / name).write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""
    config = place / "nginx.conf"
    config.write_text(
        NGINX.format(folder=place, user=user, plain=plain, front=front, files=files.resolve())
    )
    command = [program, "-p", str(place), "-c", str(config)]
    with services.Server(
        "nginx", command, plain, env=dict(os.environ), core=core, log=place / "nginx.log"
    ) as server:
        yield server, plain, front


def report(figures: dict[str, Any]) -> str:
    """Format the figures as a table for people."""
    rates = figures["downloads"]
    base = rates["nginx"]
    lines = [
        f"download of {figures['download_bytes']:,} bytes, {CONNECTIONS} connections, one core"
    ]
    for way, seen in rates.items():
        lines.append(
            f"  {way:13} {seen['per_s']:8,.0f}/s {seen['per_s'] / base['per_s']:5.0%} of nginx   "
            f"{seen['cpu_us']:6.1f} µs of CPU: {base['cpu_us'] / seen['cpu_us']:5.0%}   "
            f"p50 {seen['p50_ms']:.1f} ms, p99 {seen['p99_ms']:.1f} ms"
        )
    lines.append(f"a photograph of 5 MB, while {MEANWHILE_PER_S:.0f} other requests come a second")
    for shot in figures["photographs"]:
        lines.append(
            f"  {shot['bytes']:,} bytes: upload {shot['upload_ms']:.0f} ms, thumbnail "
            f"{shot['thumbnail_ms']:.0f} ms after that; others' p99 {shot['others_p99_ms']:.1f} ms"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
