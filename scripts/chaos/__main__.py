"""Main program of `make chaos`: runs the scenarios one after the other, prints a table, writes var/chaos.json.

Each scenario runs in a process of its own with a time limit, so that one that fails or hangs costs its own row alone.
What it started is ended with it, also when the whole run is interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from forumapi.concurrency.end_with_parent import end_with_parent
from scripts.bench import proc
from scripts.chaos.scenarios import SCENARIOS
from scripts.chaos.stage import LeftOut, Wrong, prepare, stage

ROOT = Path(__file__).resolve().parents[2]

# Making the data set, and putting a copy of it on a server.
PREPARE_S: Final = 25.0
STAGE_S: Final = 8.0
# What a scenario that was told to end may take to take down its servers.
END_S: Final = 60.0
PROGRESS_S: Final = 20.0

_PR_SET_CHILD_SUBREAPER: Final = 36
_LIBC: Final = ctypes.CDLL(None)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the scenarios; return 0 if each passed or was left out for a missing program, 1 if not, 130 if
    interrupted.
    """
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--only", default="", help=f"of {', '.join(SCENARIOS)}; commas between")
    parser.add_argument(
        "--scale",
        type=float,
        default=float(os.environ.get("SCALE") or "1"),
        help="1 is what the table is about, 0.1 a try",
    )
    parser.add_argument("--json", type=Path, default=ROOT / "var/chaos.json")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--prepared", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    wanted = [name for name in args.only.split(",") if name] or list(SCENARIOS)
    if unknown := set(wanted) - SCENARIOS.keys():
        raise SystemExit(f"no scenario {', '.join(sorted(unknown))}")
    if args.inside is not None:
        return inside(wanted[0], args.inside, args.prepared, args.scale)
    return outside(wanted, args.json, args.scale)


# ---------------------------------------------------------------- outside: one after the other


def estimate_s(name: str, scale: float) -> float:
    """Return roughly the seconds that a scenario takes on two idle cores."""
    scenario = SCENARIOS[name]
    return STAGE_S + scenario.fixed_s + scenario.scaled_s * scale


def limit_s(name: str, scale: float) -> float:
    """Return the seconds after which a scenario is ended and has failed."""
    return 120 + 1.5 * estimate_s(name, scale)


def outside(names: Sequence[str], path: Path, scale: float) -> int:
    """Run scenarios, each in a process of its own; return the exit code."""
    # Whatever a scenario leaves behind becomes a child of this process, which ends it.
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    about = (PREPARE_S + sum(estimate_s(name, scale) for name in names)) / 60
    most = sum(limit_s(name, scale) for name in names) / 60
    began = time.monotonic()
    print(
        f"{len(names)} scenarios at scale {scale:g}, about {about:.0f} minutes (never more than {most:.0f})",
        flush=True,
    )
    lines: list[dict[str, Any]] = []
    code = 0
    try:
        with _folder() as prepared:
            prepare(prepared)
            for name in names:
                lines.append(run(name, prepared, scale))
                print(line(lines[-1]), flush=True)
    except (KeyboardInterrupt, SystemExit):
        print("interrupted: everything that was started is ended", flush=True)
        code = 130
    took = time.monotonic() - began
    states = [one["state"] for one in lines]
    document = {
        "scale": scale,
        "seconds": round(took, 1),
        "interrupted": code == 130,
        "scenarios": lines,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    print(f"{counts or 'nothing was run'} in {took / 60:.1f} minutes; written to {path}")
    return code or int(any(state == "FAIL" for state in states))


def run(name: str, prepared: Path, scale: float) -> dict[str, Any]:
    """Run one scenario in a process of its own; return its line of the table."""
    began = time.monotonic()
    limit, about = limit_s(name, scale), estimate_s(name, scale)
    print(f"{name}: about {about:.0f} s", flush=True)
    with _folder() as folder:
        command = [sys.executable, "-m", "scripts.chaos", "--only", name, "--scale", str(scale)]
        process = subprocess.Popen(
            [*command, "--inside", str(folder), "--prepared", str(prepared)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            # Ctrl-C in a terminal reaches this process alone, which ends the other in order.
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.monotonic() - began < limit:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PROGRESS_S)
                if process.returncode is None:
                    print(f"    {time.monotonic() - began:.0f} s of about {about:.0f}", flush=True)
        finally:
            is_late = process.poll() is None
            _end(process)
        try:
            found = json.loads((folder / "result.json").read_text())
        except (OSError, ValueError):
            found = {"figures": {}, "wrong": [f"it ended with {process.returncode}"]}
    wrong = found["wrong"] + ([f"not done within {limit:.0f} s"] if is_late else [])
    left_out = found.get("left out", "")
    return {
        "name": name,
        "words": SCENARIOS[name].words,
        "state": "FAIL" if wrong else "left out" if left_out else "ok",
        "figures": found["figures"],
        "wrong": wrong or ([left_out] if left_out else []),
        "seconds": round(time.monotonic() - began, 1),
        "load": os.getloadavg()[0],
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a scenario's process, and then all that it has started."""
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        while left := [pid for pid in proc.tree(os.getpid())[1:] if pid != process.pid]:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.05)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Yield a temporary folder that the users of PostgreSQL and memcached can enter; what was mounted in it is
    unmounted afterwards.
    """
    folder = Path(tempfile.mkdtemp(prefix="forumapi-chaos-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        clear(folder)


def clear(folder: Path) -> None:
    """Remove a folder, and what the PostgreSQL servers in it keep elsewhere."""
    for entry in Path("/proc/self/mounts").read_text().splitlines():
        if (where := entry.split()[1]).startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", where], check=False)
    for noted in folder.rglob("postmaster.pid"):
        with contextlib.suppress(OSError, IndexError):
            shutil.rmtree(noted.read_text().splitlines()[4], ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


# ---------------------------------------------------------------- inside: one scenario


def inside(name: str, folder: Path, prepared: Path, scale: float) -> int:
    """Run one scenario below `folder` on a copy of `prepared`, and write its result to `result.json` there; return the
    exit code.
    """
    signal.signal(signal.SIGTERM, _stop)
    # Whoever waits for this process may be killed; it was the last who could end this one.
    end_with_parent()
    parent = os.getppid()
    found: dict[str, Any] = {"figures": {}, "wrong": []}
    try:
        with stage(folder, prepared, scale) as (made, server):
            found.update(figures=made.figures, wrong=made.missed)
            try:
                SCENARIOS[name].function(made, server)
            except Wrong as error:
                made.missed.append(str(error))
            except LeftOut as error:
                found["left out"] = str(error)
    except Exception as error:  # noqa: BLE001 - the edge: whatever it is, the row has failed
        traceback.print_exc()
        found["wrong"].append(f"{type(error).__name__}: {error}")
    finally:
        if os.getppid() == parent:
            (folder / "result.json").write_text(json.dumps(found))
        else:
            clear(folder)
    return 0


def _stop(number: int, frame: object) -> None:
    """Raise an exception at the first signal, so that every with statement is left: handler of signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


# ---------------------------------------------------------------- the table


def line(done: Mapping[str, Any]) -> str:
    """Format the result of one scenario as a line for people."""
    said = ", ".join(f"{name} {number(value)}" for name, value in done["figures"].items())
    rows = [f"{done['state']:8} {done['name']:17} {done['words']}"]
    rows += [f"{'':26} {said} ({done['seconds']:.0f} s, load {done['load']:.1f})"]
    rows += [f"{'':26} {done['state']}: {why}" for why in done["wrong"]]
    return "\n".join(rows)


def number(value: object) -> str:
    """Format a figure shortly."""
    return (
        f"{value:,.1f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


if __name__ == "__main__":
    sys.exit(main())
