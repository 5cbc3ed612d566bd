"""Main program of `make bench`: loads the data set, sends requests to one worker, prints the table, writes
var/bench.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psycopg

from scripts.bench import (
    compare,
    data,
    database,
    known_items,
    load,
    plans,
    proc,
    profiling,
    rights,
    searches,
    services,
    unread,
)
from scripts.bench.exchange import NUMBER, Request
from scripts.bench.pages import OFFERED_SHARE, PAGES, POSTERS, Page
from scripts.bench.report import Cpu, Report, Row

CONNECTIONS = 16
WARM_S = 1.0
FLOOR_S = 2.0
PROFILE_S = 10.0
PLANS_S = 3.0
WRONG_SHOWN = 3
COUNTS = re.compile(r"db;desc=(\d+).*cache;desc=(\d+)")


class Bench:
    """One run: its servers, and what was measured so far."""

    def __init__(
        self, args: argparse.Namespace, url: str, memcached: tuple[str, int | None]
    ) -> None:
        self.args = args
        self.folder: Path = args.folder
        self.url = url
        self.core, self.other_core = services.cores()
        self.memcached, self.memcached_pid = memcached
        self.driver = load.wrk() if args.driver != "bundled" else None
        self.connection = psycopg.connect(url, autocommit=True)
        self.postmaster = services.postmaster(self.connection)
        if self.postmaster is not None:
            proc.pin(proc.tree(self.postmaster), self.other_core)
        self.report = Report(about(args, self.connection, self.driver))
        self.most: dict[str, float] = {}
        """Measured requests a second by page, for the pages that are offered a share of it."""

    def run(self, pages: Sequence[Page]) -> Report:
        """Time these pages, each beside the minimal server with an answer of the same size."""
        with (
            self.application(counts=True) as counting,
            self.application() as web,
            self.application(**data.WEBSITE) as website,
            services.floor(self.url, self.folder, self.core) as floor,
        ):
            found = data.find(self.url, services.DOMAIN, counting)
            self.report.about["data"] = found.words
            for page in pages:
                print(f"{page.name} …", end=" ", flush=True)
                row = self.page(page, found, counting, website if page.is_website else web, floor)
                self.report.rows.append(row)
                words = f"; WRONG: {row.wrong[0]}" if row.wrong else ""
                print(f"{row.result.rate:,.0f} requests/s, {row.cpu.all_ms:.2f} ms of CPU{words}")
            if any(page.name == "front" for page in pages):
                at = found.landmarks
                self.report.flags = unread.measure(
                    self.url, at["site_id"], at["bench_member_1"], self.postmaster
                )
                print(self.report.flags.words())
            if any(page.name in found.searches for page in pages):
                self.report.search = self.judge(found, web)
                print(self.report.search.words())
            self.report.worker_mb = proc.resident_mb(web.worker())
            one = [Request("GET", "/one-query", services.DOMAIN)]
            self.drive(floor, one, [None], 200, WARM_S)
            self.report.one_query = self.measure(floor, one, [None], 200, FLOOR_S)
        if any(page.name == "permission" for page in pages):
            with self.application(**rights.SETTINGS) as web:
                self.report.rights = rights.Bench(self.url, web).run()
            print(self.report.rights.words())
        return self.report

    def profile(self, page: Page) -> str:
        """Return as text where the web worker's CPU goes on one page."""
        path = self.folder / f"profile-{page.name}.txt"
        path.unlink(missing_ok=True)
        with self.application(profile=path, **(data.WEBSITE if page.is_website else {})) as web:
            found = data.find(self.url, services.DOMAIN, web)
            requests = data.requests(page, found, web.ask)
            expected: list[bytes | None] = [None] * len(requests)
            self.drive(web, requests, expected, page.status, WARM_S)
            profiling.toggle(web)
            result, cpu = self.measure(web, requests, expected, page.status, PROFILE_S)
            profiling.toggle(web)
            profiling.wait_for(path)
        head = f"{page.name}: {result.rate:,.0f} requests/s while sampled; stacks in {path}"
        wrong = "".join(f"\nWRONG {words}" for words in faults(result, expected))
        return f"{head}{wrong}\n{profiling.summary(path, cpu.web_ms)}"

    def plans(self, page: Page) -> str:
        """Return as text how PostgreSQL runs the statements of one page."""
        log = self.folder / "data/postgres.log"
        path = self.folder / f"plans-{page.name}.txt"
        settings = data.WEBSITE if page.is_website else {}
        with self.application(pg_options=plans.OPTIONS, **settings) as web:
            found = data.find(self.url, services.DOMAIN, web)
            requests = data.requests(page, found, web.ask)
            expected: list[bytes | None] = [None] * len(requests)
            self.drive(web, requests, expected, page.status, WARM_S)
            begins_at = log.stat().st_size
            result, cpu = self.measure(web, requests, expected, page.status, PLANS_S)
        text = log.read_bytes()[begins_at:].decode(errors="replace")
        head = (
            f"{page.name}: PostgreSQL {cpu.postgresql_ms or 0:.2f} ms of CPU a request while its plans are "
            f"logged; whole plans in {path}"
        )
        wrong = "".join(f"\nWRONG {words}" for words in faults(result, expected))
        return f"{head}{wrong}\n{plans.summary(text, path)}"

    def application(
        self,
        *,
        counts: bool = False,
        profile: Path | None = None,
        pg_options: str = "",
        **others: str,
    ) -> services.Server:
        """Start a web process with one worker. `others`: settings; the rest as in services.application."""
        return services.application(
            self.url,
            self.memcached,
            self.folder,
            self.core,
            counts=counts,
            profile=profile,
            pg_options=pg_options,
            **others,
        )

    def page(
        self,
        page: Page,
        found: data.Found,
        counting: services.Server,
        web: services.Server,
        floor: services.Server,
    ) -> Row:
        """Measure one page and return its line of the table. `counting`: a server that states its round trips; `web`:
        the one under test.
        """
        requests = data.requests(page, found, counting.ask)
        is_write = page.method == "POST"
        # Twice: what is counted, and what timed answers are held against, is a warm answer.
        for _ in range(2):
            asked = web if page.is_website else counting
            answers = asked.ask_all(numbered(requests[:20]) if is_write else requests)
        wrong = [
            f"outside the benchmark {request.path} answered {answer.status}: {answer.body[:200]!r}"
            for request, answer in zip(requests, answers, strict=False)
            if answer.status != page.status
        ]
        size = int(statistics.median(len(answer.body) for answer in answers))
        # A page of the website tells how long ago something was, and its forms have keys of their own.
        is_its_own = is_write or page.is_website
        expected = [None] * len(requests) if is_its_own else [answer.body for answer in answers]
        rate = OFFERED_SHARE * self.most[page.offered] if page.offered else None
        seconds = self.args.seconds

        # Warm: each address was asked for before. The bundled generator goes on warming, whatever drives: it holds
        # each answer against its own address.
        if not is_write:
            web.ask_all(requests)
        warm = load.drive(
            web.port,
            requests,
            expected=expected,
            status=page.status,
            seconds=WARM_S,
            connections=CONNECTIONS,
            core=self.other_core,
        )
        before = newest_comment(self.connection)
        result, cpu = self.measure(web, requests, expected, page.status, seconds, rate)
        self.most[page.name] = result.rate
        for seen in (warm, result):
            wrong += faults(seen, expected)
        if is_write:
            wrong += lost(self.connection, before, result)

        constant = [Request("GET", f"/size/{size}", found.host, requests[0].token)]
        self.drive(floor, constant, [None], 200, WARM_S / 2)
        _, floor_cpu = self.measure(floor, constant, [None], 200, FLOOR_S)
        counts = [COUNTS.search(answer.headers.get("server-timing", "")) for answer in answers]
        return Row(
            page=page,
            addresses=len(requests),
            size=size,
            result=result,
            cpu=cpu,
            floor_per_cpu_s=1000 / floor_cpu.web_ms if floor_cpu.web_ms else None,
            statements=spread([int(count[1]) for count in counts if count]),
            cache_trips=spread([int(count[2]) for count in counts if count]),
            wrong=list(dict.fromkeys(wrong))[:WRONG_SHOWN],
        )

    def judge(self, found: data.Found, web: services.Server) -> known_items.Report:
        """Return how well search finds known items, and if operators find what they must."""
        site_id = found.landmarks["site_id"]
        tokens = found.tokens[POSTERS]
        searches.plant(self.connection, site_id, web.ask, found.host, tokens, found.conversations)

        def get(path: str) -> Any:
            return data.data_of(web.ask(Request("GET", path, found.host, None)))

        readable = [place["id"] for place in get(data.TREE)]
        return known_items.Judge(
            self.connection, site_id, readable, lambda query: get(f"/api/v1/search?{query}")
        ).run(scans=self.args.size != "L")

    def drive(
        self,
        server: services.Server,
        requests: Sequence[Request],
        expected: Sequence[bytes | None],
        status: int,
        seconds: float,
        rate: float | None = None,
    ) -> load.Result:
        """Send requests with the driver of this run."""
        return load.drive(
            server.port,
            requests,
            expected=expected,
            status=status,
            seconds=seconds,
            connections=CONNECTIONS,
            rate=rate,
            driver=self.driver,
            core=self.other_core,
        )

    def measure(
        self,
        server: services.Server,
        requests: Sequence[Request],
        expected: Sequence[bytes | None],
        status: int,
        seconds: float,
        rate: float | None = None,
    ) -> tuple[load.Result, Cpu]:
        """Send requests as `drive` does; return its result, and the CPU that each answer took in all processes but the
        driver.
        """
        before, machine, driver = self.cpu(server), proc.machine_cpu_s(), children_cpu_s()
        started = time.monotonic()
        result = self.drive(server, requests, expected, status, seconds, rate)
        took = time.monotonic() - started
        spent = [
            None if now is None or then is None else now - then
            for now, then in zip(self.cpu(server), before, strict=True)
        ]
        ours = sum(filter(None, spent)) + children_cpu_s() - driver
        web, postgresql, memcached = (
            None if cpu_s is None else cpu_s / max(result.requests, 1) * 1000 for cpu_s in spent
        )
        others = max(0.0, proc.machine_cpu_s() - machine - ours) / took / (os.cpu_count() or 1)
        return result, Cpu(web or 0.0, postgresql, memcached, others)

    def cpu(self, server: services.Server) -> list[float | None]:
        """Return the CPU seconds so far of the server, PostgreSQL and memcached; None for one that is not on this
        machine.
        """
        pids = (server.pid, self.postmaster, self.memcached_pid)
        return [None if pid is None else proc.cpu_s(pid) for pid in pids]


def children_cpu_s() -> float:
    """Return the CPU seconds of this process's ended children, which are the drivers so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def numbered(requests: Sequence[Request]) -> list[Request]:
    """Return the requests as a driver would send them, each with a number of its own."""
    return [
        Request(
            one.method,
            one.path,
            one.host,
            one.token,
            one.body.replace(NUMBER, b"%012d" % (time.time_ns() // 1000 % 10**12)),
        )
        for one in requests
    ]


def spread(values: Sequence[int]) -> list[int]:
    """Return [minimum, median, maximum]; [] if there are no values."""
    return [min(values), int(statistics.median(values)), max(values)] if values else []


def faults(result: load.Result, expected: Sequence[bytes | None]) -> list[str]:
    """Return a sentence for each thing that was wrong with the answers of a run."""
    found = []
    if result.wrong:
        found.append(f"{result.wrong} answers of another status, the first: {result.first_wrong}")
    if result.errors:
        found.append(f"{result.errors} requests without an answer")
    if result.kept:
        found += compare.unlike(expected, result.kept)
    return found


def newest_comment(connection: psycopg.Connection) -> int:
    """Return the highest id of a comment."""
    row = connection.execute("SELECT coalesce(max(c.comment_id), 0) FROM comments c").fetchone()
    return int(row[0]) if row else 0


def lost(connection: psycopg.Connection, before: int, result: load.Result) -> list[str]:
    """Return a sentence if comments that were acknowledged are missing or there twice; [] if not.

    Requests in flight when the driver stopped may have made one comment each without being counted.
    """
    row = connection.execute(
        "SELECT count(*), count(DISTINCT c.markdown) FROM comments c WHERE c.comment_id > %s",
        [before],
    ).fetchone()
    made, distinct = row or (0, 0)
    acknowledged = result.requests - result.wrong
    if made != distinct:
        return [f"{made} comments of {distinct} texts: some were made twice"]
    if not acknowledged <= made <= acknowledged + CONNECTIONS:
        return [f"{acknowledged} comments acknowledged, {made} stored"]
    return []


def about(
    args: argparse.Namespace, connection: psycopg.Connection, driver: str | None
) -> dict[str, Any]:
    """Return the circumstances of a run: machine, versions, sizes."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=services.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    server = connection.info.parameter_status("server_version") or "?"
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit.stdout.strip() or "?",
        "size": args.size,
        "machine": f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, Linux {platform.release()}",
        "python": platform.python_version(),
        "postgresql": server.split()[0],
        "versions": ", ".join(
            f"{name} {metadata.version(name)}"
            for name in ("gunicorn", "gevent", "werkzeug", "psycopg", "msgspec")
        ),
        "driver": f"{'wrk' if driver else 'bundled'}, {CONNECTIONS} connections, {args.seconds:g} s a page",
    }


def selected(names: str) -> list[Page]:
    """Return the pages in a comma-separated list, with those that they are compared with, in the order of the table;
    all for "".

    Raises SystemExit for an unknown name.
    """
    wanted = {name for name in names.split(",") if name}
    known = {page.name: page for page in PAGES}
    unknown = wanted - known.keys()
    if unknown:
        raise SystemExit(f"no page {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    wanted |= {known[name].offered for name in wanted}
    return [page for page in PAGES if page.name in wanted or not names]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 if every answer was right, whatever the figures, else 1."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--size", default=os.environ.get("SIZE", "M"), choices=("S", "M", "L"))
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each page is timed")
    parser.add_argument("--only", default="", help="pages, comma-separated (see --list)")
    parser.add_argument("--list", action="store_true", help="list the pages and end")
    parser.add_argument("--driver", default="auto", choices=("auto", "wrk", "bundled"))
    parser.add_argument("--profile", metavar="PAGE", help="sample the worker on this page instead")
    parser.add_argument(
        "--plans", metavar="PAGE", help="show how PostgreSQL runs this page instead"
    )
    parser.add_argument("--fresh", action="store_true", help="load the data set anew")
    parser.add_argument("--folder", type=Path, default=services.ROOT / "var/bench")
    parser.add_argument("--json", type=Path, default=services.ROOT / "var/bench.json")
    args = parser.parse_args(argv)
    if args.list:
        print("\n".join(f"{page.name:22} {page.who:8} {page.title.strip()}" for page in PAGES))
        return 0
    pages = [page.at(args.size) for page in selected(args.profile or args.plans or args.only)]
    if args.driver == "wrk" and load.wrk() is None:
        raise SystemExit("wrk is not installed; --driver bundled works everywhere")
    args.folder.mkdir(parents=True, exist_ok=True)
    _, other_core = services.cores()
    if args.plans and os.environ.get(database.ENV):
        raise SystemExit(f"--plans reads the embedded server's log; unset {database.ENV}")
    with (
        database.provided(args.folder, args.size, fresh=args.fresh) as url,
        services.memcached(other_core) as memcached,
    ):
        bench = Bench(args, url, memcached)
        if args.profile:
            print(bench.profile(pages[-1]))
            return 0
        if args.plans:
            print(bench.plans(pages[-1]))
            return 0
        done = bench.run(pages)
    of_m = args.json.with_name("bench-M.json")
    done.relate(json.loads(of_m.read_text()) if args.size == "L" and of_m.exists() else None)
    print(f"\n{done.table()}\n")
    done.write(args.json)
    if not args.only:
        done.write(args.json.with_name(f"bench-{args.size}.json"))
    print(f"written to {args.json}")
    return 0 if done.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
