"""`make bench-edge`: cost of nginx in front, memory of clients that stay connected, and start of the one file.

nginx     the web process's CPU for a request behind nginx with TLS and HTTP/2, over that of the same request without it
memory    resident memory of a worker with very many clients that stay connected and ask now and then
start     from the start of the one file to the first 200 of /api/v1/ready
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.bench import data, database, load, proc, services
from scripts.bench.exchange import Request
from scripts.bench.pages import PAGES, Page
from tests.nginx import stage

PARTS: Final = ("nginx", "memory", "start")
CONNECTIONS: Final = 16

# nginx: at this share of what the worker can do without it, so that neither of them waits for a core.
PAGE_NAMES: Final = ("conversation", "guest-front", "whoami")
OFFERED_SHARE: Final = 0.5
RISE_TARGET: Final = 0.05
WARM_S: Final = 1.0
# As browsers do: what nginx spends on compressing is then part of the figure.
ACCEPTED: Final = "gzip, deflate, br"

# memory
CLIENTS: Final = (1, 100, 1_000, 5_000)
EVERY_S: Final = 5.0
CALM_SHARE: Final = 0.3
MEMORY_TARGET_MB: Final = 300
MEMORY_TARGET_CLIENTS: Final = 1_000
# How often each client asks.
TIMES: Final = 2.5

# start
STARTS: Final = 5
START_TARGET_S: Final = 3.0
START_LIMIT_S: Final = 120.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; return 0 if every answer was right, whatever the figures."""
    parser = argparse.ArgumentParser(
        prog="make bench-edge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), help="all of them without any")
    parser.add_argument("--size", default=os.environ.get("SIZE", "M"), choices=("S", "M", "L"))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each timed run")
    parser.add_argument("--rounds", type=int, default=4, help="runs without and behind nginx")
    parser.add_argument("--file", type=Path, default=services.ROOT / "dist/forumapi")
    parser.add_argument("--folder", type=Path, default=services.ROOT / "var/bench")
    parser.add_argument("--json", type=Path, default=services.ROOT / "var/bench-edge.json")
    args = parser.parse_args(argv)
    parts = args.parts or PARTS
    programs = Programs.find(needed="nginx" in parts)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    args.folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"size": args.size, "load_before": round(os.getloadavg()[0], 1)}
    core, other = services.cores()
    with (
        database.provided(args.folder, args.size, fresh=False) as url,
        services.memcached(other) as (memcached, _),
    ):
        bench = Bench(args, programs, url, memcached, core, other)
        for part in parts:
            figures[part] = getattr(bench, part)()
    print(report(figures))
    args.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"written to {args.json}")
    return 0


@dataclass(frozen=True)
class Programs:
    """Paths of the programs that are not part of the project; "" for one that is missing and not needed."""

    nginx: str
    h2load: str

    @classmethod
    def find(cls, *, needed: bool) -> Programs:
        """Find the programs; if one is `needed` and missing, raise SystemExit, which says what to install."""
        found = {name: shutil.which(name) or "" for name in ("nginx", "h2load")}
        found["nginx"] = found["nginx"] or shutil.which("nginx", path="/usr/sbin") or ""
        packages = {"nginx": "nginx-light", "h2load": "nghttp2-client"}
        missing = " ".join(packages[name] for name, path in found.items() if not path)
        if needed and missing:
            raise SystemExit(f"something is missing: apt-get install {missing}")
        return cls(**found)


@dataclass(frozen=True)
class Seen:
    """Result of one run of h2load: answers a second, and CPU milliseconds for each in the web process and in nginx."""

    per_s: float
    web_ms: float
    nginx_ms: float


class Bench:
    """Servers and settings of a run, shared by its three parts."""

    def __init__(
        self,
        args: argparse.Namespace,
        programs: Programs,
        url: str,
        memcached: str,
        core: int | None,
        other: int | None,
    ) -> None:
        self.args = args
        self.programs = programs
        self.url = url
        self.memcached = memcached
        self.core = core
        self.other = other

    def application(self, **settings: str) -> services.Server:
        """Start a web process with one worker that trusts nginx for client addresses."""
        return services.application(
            self.url,
            self.memcached,
            self.args.folder,
            self.core,
            trusted_proxies="127.0.0.1",
            **settings,
        )

    # ------------------------------------------------------------ nginx

    def nginx(self) -> list[dict[str, Any]]:
        """Measure for each page how many requests a worker answers without nginx, and what half as many cost with and
        without nginx.
        """
        rows = []
        with (
            self.application() as web,
            tempfile.TemporaryDirectory(prefix="forumapi-bench-edge-") as name,
            self._nginx(Path(name), web) as front,
        ):
            found = data.find(self.url, services.DOMAIN, web)
            for page in (page for page in PAGES if page.name in PAGE_NAMES):
                print(f"{page.name} …", flush=True)
                rows.append(self._page(page, found, web, front))
        return rows

    @contextlib.contextmanager
    def _nginx(self, folder: Path, web: services.Server) -> Iterator[stage.Nginx]:
        """Run nginx with the project's configuration, without its limit on requests of one address, from which all of
        these come.
        """
        with (
            proc.on(self.other),
            stage.nginx(
                self.programs.nginx,
                folder,
                ("127.0.0.1", web.port),
                files=self.args.folder / "data" / "files",
                # h2load opens no other connection when nginx ends one, as it does after 1,000 requests.
                changes={"rate=50r/s": "rate=1000000r/s;\nkeepalive_requests 1000000"},
                domain=services.DOMAIN,
            ) as front,
        ):
            yield front

    def _page(
        self, page: Page, found: data.Found, web: services.Server, front: stage.Nginx
    ) -> dict[str, Any]:
        requests = data.requests(page, found, web.ask)
        web.ask_all(requests)
        most = self._most(web, requests)
        offered = most * OFFERED_SHARE
        runs: dict[str, list[Seen]] = {"direct": [], "behind": []}
        for seconds in (WARM_S, *[self.args.seconds] * self.args.rounds):
            for way, seen in runs.items():
                one = self._offer(
                    requests, web, front if way == "behind" else None, offered, seconds
                )
                if seconds != WARM_S:
                    seen.append(one)
        direct, behind = (
            statistics.median(one.web_ms for one in runs[way]) for way in ("direct", "behind")
        )
        return {
            "page": page.name,
            "as": page.who,
            "most_per_s": most,
            "offered_per_s": offered,
            "direct_per_s": statistics.median(one.per_s for one in runs["direct"]),
            "behind_per_s": statistics.median(one.per_s for one in runs["behind"]),
            "direct_ms": direct,
            "behind_ms": behind,
            "rises": [
                with_it.web_ms / without.web_ms - 1
                for without, with_it in zip(runs["direct"], runs["behind"], strict=True)
            ],
            "rise": behind / direct - 1,
            "nginx_ms": statistics.median(one.nginx_ms for one in runs["behind"]),
        }

    def _most(self, web: services.Server, requests: Sequence[Request]) -> float:
        """Return the answers a second of a saturated worker that is asked without nginx."""
        seen = load.drive(
            web.port,
            requests,
            expected=[None] * len(requests),
            status=200,
            seconds=self.args.seconds,
            connections=CONNECTIONS,
            driver=load.wrk(),
            core=self.other,
        )
        if seen.wrong or seen.errors:
            raise SystemExit(f"{requests[0].path}: wrong answers: {seen.first_wrong} {seen.errors}")
        return seen.rate

    def _offer(
        self,
        requests: Sequence[Request],
        web: services.Server,
        front: stage.Nginx | None,
        rate: float,
        seconds: float,
    ) -> Seen:
        """Send `rate` requests a second over connections that stay open, to the worker or, with `front`, to nginx
        before it.
        """
        before = proc.exact_cpu_s(web.pid), proc.exact_cpu_s(front.process.pid) if front else 0.0
        count, per_s = self._h2load(requests, web.port, front, rate, seconds)
        after = proc.exact_cpu_s(web.pid), proc.exact_cpu_s(front.process.pid) if front else 0.0
        web_s, nginx_s = (new - old for new, old in zip(after, before, strict=True))
        return Seen(per_s, 1000 * web_s / count, 1000 * nginx_s / count)

    def _h2load(
        self,
        requests: Sequence[Request],
        port: int,
        front: stage.Nginx | None,
        rate: float,
        seconds: float,
    ) -> tuple[int, float]:
        """Run h2load; return the number of answers, and answers a second. Raises SystemExit unless each request got
        200.
        """
        first = requests[0]
        scheme, port = ("https", front.port) if front else ("http", port)
        count = int(rate * seconds) // CONNECTIONS * CONNECTIONS
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as addresses:
            addresses.writelines(f"{scheme}://{one.host}:{port}{one.path}\n" for one in requests)
            addresses.flush()
            command = [self.programs.h2load, "-i", addresses.name, "-n", str(count)]
            command += ["-c", str(CONNECTIONS), "-m", "1", "--rps", f"{rate / CONNECTIONS:.3f}"]
            # One client after the other, a little out of step: together their requests come evenly, not in volleys that
            # the worker would take at one go.
            step_ms = round(1000 * (CONNECTIONS + 1) / rate)
            command += ["-r", "1", "--rate-period", f"{max(step_ms, 1)}ms"]
            command += ["--connect-to", f"127.0.0.1:{port}", "-H", f"accept-encoding: {ACCEPTED}"]
            if front is None:
                command.append("--h1")
            if first.token is not None:
                command += ["-H", f"authorization: Bearer {first.token}"]
            with proc.on(self.other):
                done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        protocol = "http/1.1" if front is None else "h2"
        good = re.search(r"status codes: (\d+) 2xx", said)
        per_s = re.search(r"finished in [^,]*, ([\d.]+) req/s", said)
        if not good or not per_s or int(good[1]) != count or f"protocol: {protocol}" not in said:
            raise SystemExit(f"{first.path}: wrong answers over {protocol}: {said[-1000:]}")
        return count, float(per_s[1])

    # ------------------------------------------------------------ memory

    def memory(self) -> dict[str, Any]:
        """Measure the resident memory of one worker with ever more clients; its caches are filled before."""
        with self.application(worker_connections=str(CLIENTS[-1] + 1_000)) as web:
            found = data.find(self.url, services.DOMAIN, web)
            requests = [
                request
                for page in PAGES
                if page.name in (*PAGE_NAMES, "guest-conversation", "front")
                for request in data.requests(page, found, web.ask)
            ]
            web.ask_all(requests)
            most = self._most(web, requests)
            warm = proc.resident_mb(web.worker())
            rows = [self._clients(web, requests, count, most) for count in CLIENTS]
        return {"warm_mb": warm, "rows": rows}

    def _clients(
        self, web: services.Server, requests: Sequence[Request], count: int, most: float
    ) -> dict[str, Any]:
        """Connect `count` clients that ask in turn, each every few seconds, and measure the worker's memory."""
        print(f"{count} clients …", flush=True)
        every = max(EVERY_S, count / (most * CALM_SHARE))
        results: list[load.Result] = []

        def ask() -> None:
            results.append(
                load.drive(
                    web.port,
                    requests,
                    expected=[None] * len(requests),
                    status=200,
                    seconds=TIMES * every,
                    connections=count,
                    rate=count / every,
                    core=self.other,
                )
            )

        thread = threading.Thread(target=ask)
        thread.start()
        worker = web.worker()
        used, connected = 0.0, 0
        while thread.is_alive():
            used = max(used, proc.resident_mb(worker))
            connected = max(connected, _connections(web.port))
            time.sleep(0.2)
        thread.join()
        # Of a machine that others keep busy 503 is a right answer, and a column of the table.
        seen = results[0] if results else None
        if not seen or seen.errors or (seen.wrong and not seen.first_wrong.startswith("503")):
            raise SystemExit(f"{count} clients: {seen or 'the driver failed'}")
        if connected < count:
            raise SystemExit(f"{connected} of {count} clients were connected at once")
        return {
            "clients": count,
            "mb": used,
            "every_s": every,
            "requests": seen.requests,
            "refused": seen.wrong,
            "per_s": seen.rate,
            "p99_ms": seen.p99 * 1000,
        }

    # ------------------------------------------------------------ start

    def start(self) -> dict[str, Any]:
        """Measure the start of the one file, several times on an existing database; `first`: the start that has to
        unpack it.
        """
        file: Path = self.args.file.absolute()
        if not file.exists():
            subprocess.run([services.ROOT / "scripts/dist", file.parent], check=True)
        home = self.args.folder / "one-file"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        print("starting the one file …", flush=True)
        first = self._ready(file, home, "serve")
        commands = {
            name: [self._ready(file, home, *words) for _ in range(STARTS)]
            for name, words in {"serve": ("serve",), "hold": ("hold", str(file))}.items()
        }
        said = subprocess.run(
            [file, "--version"],
            env=self._bare(home),
            capture_output=True,
            text=True,
            check=True,
        )
        return {"file": said.stdout.strip(), "first": first, "starts": commands}

    def _bare(self, home: Path) -> dict[str, str]:
        """Return the environment variables of a machine without anything of the project."""
        return {
            "PATH": f"{sys.base_prefix}/bin:/usr/bin:/bin",
            "HOME": str(home),
            "PEX_ROOT": str(home / "unpacked"),
            "FORUMAPI_DATABASE_URL": self.url,
            "FORUMAPI_DATA_DIR": str(home / "data"),
            "FORUMAPI_PLATFORM_DOMAIN": services.DOMAIN,
            "FORUMAPI_ENVIRONMENT": "prod",
        }

    def _ready(self, file: Path, home: Path, *words: str) -> dict[str, float]:
        """Start a command and measure until the first 200 of /api/v1/ready, in seconds and in CPU seconds of all its
        processes; then end it.
        """
        port = services.free_port()
        environ = self._bare(home) | {"FORUMAPI_LISTEN": f"127.0.0.1:{port}"}
        log = home / "log.txt"
        with log.open("wb") as out:
            begun = time.monotonic()
            process = subprocess.Popen([file, *words], env=environ, stdout=out, stderr=out)
        try:
            while not _is_ready(port):
                if process.poll() is not None or time.monotonic() - begun > START_LIMIT_S:
                    raise SystemExit(f"the one file does not start: {log.read_text()[-2000:]}")
                time.sleep(0.01)
            took = time.monotonic() - begun
            return {"s": took, "cpu_s": proc.cpu_s(process.pid)}
        finally:
            process.terminate()
            process.wait(60)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/api/v1/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connections(port: int) -> int:
    """Return the number of established connections to a loopback port."""
    end, established = f"0100007F:{port:04X}", "01"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1] == end and line.split()[3] == established for line in lines)


# ---------------------------------------------------------------- the table


def report(figures: dict[str, Any]) -> str:
    """Format the figures as a table for people, with the targets that were missed."""
    lines, missed = [f"size {figures['size']}, load before {figures['load_before']}"], []
    if rows := figures.get("nginx"):
        head = (
            f"behind nginx, TLS and HTTP/2, at {OFFERED_SHARE:.0%} of what is answered without it, "
            f"{CONNECTIONS} connections; CPU in ms a request"
        )
        titles = (
            f"  {'page':22} {'most/s':>7} {'offered':>8} {'web':>6} {'behind':>7} {'rise':>6} "
            f"≤ {RISE_TARGET:.0%} {'nginx':>6}   rise of each round"
        )
        lines += [head, titles]
        for row in rows:
            rounds = " ".join(f"{rise:+.1%}" for rise in row["rises"])
            lines.append(
                f"  {row['page'] + ', ' + row['as']:22} {row['most_per_s']:7,.0f} {row['offered_per_s']:8,.0f} "
                f"{row['direct_ms']:6.3f} {row['behind_ms']:7.3f} {row['rise']:+6.1%}      "
                f" {row['nginx_ms']:6.3f}   {rounds}"
            )
            if row["rise"] > RISE_TARGET:
                missed.append(f"{row['page']}: {row['rise']:+.1%} behind nginx")
    if memory := figures.get("memory"):
        lines += [
            f"resident memory of a worker; {memory['warm_mb']:.0f} MB with full caches and no client",
            f"  {'clients':>8} {'MB':>6} {'kB each':>8} {'each asks':>10} {'asked/s':>8} {'p99 ms':>7} {'503':>5}",
        ]
        for row in memory["rows"]:
            each = (row["mb"] - memory["warm_mb"]) * 1000 / row["clients"]
            lines.append(
                f"  {row['clients']:8,} {row['mb']:6.0f} {each:8.1f} {row['every_s']:7.1f} s "
                f"{row['per_s']:8,.1f} {row['p99_ms']:7.1f} {row['refused']:5,}"
            )
            if row["clients"] <= MEMORY_TARGET_CLIENTS and row["mb"] >= MEMORY_TARGET_MB:
                missed.append(
                    f"{row['clients']:,} clients: {row['mb']:.0f} MB, {MEMORY_TARGET_MB} asked"
                )
    if start := figures.get("start"):
        lines.append(
            f"start to ready, s: {start['file']}, {STARTS} starts (< {START_TARGET_S:.0f})"
        )
        for name, seen in start["starts"].items():
            times = [one["s"] for one in seen]
            cpu = statistics.median(one["cpu_s"] for one in seen)
            lines.append(
                f"  {name:8} median {statistics.median(times):.2f}, slowest {max(times):.2f}; {cpu:.2f} of CPU"
            )
            if max(times) >= START_TARGET_S:
                missed.append(f"{name}: ready after {max(times):.2f} s")
        first = start["first"]
        lines.append(
            f"  {'serve':8} {first['s']:.2f} the first time, when it unpacks itself; {first['cpu_s']:.2f} of CPU"
        )
    return "\n".join([*lines, *(f"MISSED {text}" for text in missed)])


if __name__ == "__main__":
    sys.exit(main())
