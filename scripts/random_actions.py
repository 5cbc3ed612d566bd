"""Random sequences of writes, actions of moderators and undos, by hand and for as long as wanted.

    .venv/bin/python -m scripts.random_actions --count 10000
    .venv/bin/python -m scripts.random_actions --count 10000 --seconds 600 --first 5000

Each sequence is one of tests/handlers/trust/test_random_actions.py, by its seed: after everything is undone the site's
tables are compared with those of a twin on which nobody acted. Several processes play, each with a database and a web
process of its own. Progress goes to stdout every ten seconds; seeds that differ are listed, and make the exit code 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests import services
from tests.fixtures import factory, running
from tests.handlers.trust.test_random_actions import play

PROGRESS_S: Final = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Play the sequences; return 0 if none of those played left a difference, 1 otherwise or if none was played."""
    parser = argparse.ArgumentParser(prog="scripts.random_actions", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="sequences to play")
    parser.add_argument("--first", type=int, default=100, help="seed of the first")
    parser.add_argument("--seconds", type=float, default=0.0, help="begin none later; 0: no limit")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(argv)

    context = multiprocessing.get_context("spawn")
    seeds, played = context.Queue(), context.Queue()
    for seed in range(args.first, args.first + args.count):
        seeds.put(seed)
    until = time.time() + args.seconds if args.seconds else 0.0
    with services.postgres() as url:
        # Made once, before the processes copy it.
        services.template(url)
        players = [
            context.Process(target=_player, args=(url, seeds, played, until), daemon=True)
            for _ in range(args.processes)
        ]
        for player in players:
            player.start()
        number, different = _follow(players, played, args.count)
        for player in players:
            player.join(60.0)
            player.terminate()
        seeds.cancel_join_thread()
    print(f"{number:,} of {args.count:,} sequences played, {len(different)} with differences")
    for seed in different:
        print(f"seed {seed}")
    return 0 if number and not different else 1


def _follow(players: Sequence[Any], played: Any, count: int) -> tuple[int, list[int]]:
    """Print progress until all `count` sequences are played, or every process has ended; return (number of sequences
    played, seeds of those that left a difference or failed otherwise).
    """
    number, different = 0, list[int]()
    began = told = time.monotonic()
    while number < count:
        try:
            seed, failure = played.get(timeout=1.0)
        except queue.Empty:
            if not any(player.is_alive() for player in players):
                break
        else:
            number += 1
            if failure:
                different.append(seed)
                print(f"seed {seed}:\n{failure}", flush=True)
        if time.monotonic() - told >= PROGRESS_S:
            told = time.monotonic()
            speed = number / (told - began)
            print(
                f"{number:,} played, {speed:.1f}/s, {len(different)} with differences", flush=True
            )
    return number, different


def _player(url: str, seeds: Any, played: Any, until: float) -> None:
    """Play seeds from the queue `seeds`, until it is empty or the Unix time `until` (0: no limit), and put (seed,
    traceback or "") of each into `played`. `url`: address of the server on which to make a database.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        services.database(url, f"actions{os.getpid()}") as own,
        running(own, Path(folder)) as server,
        factory(own) as make,
    ):
        api = server.api()
        api.checks_schema = False
        while not until or time.time() < until:
            try:
                seed = seeds.get(timeout=1.0)
            except queue.Empty:
                break
            try:
                play(api, make, seed)
            except Exception:  # noqa: BLE001 - whatever it is, this sequence left a difference
                played.put((seed, traceback.format_exc()))
            else:
                played.put((seed, ""))
        api.close()
    # What was put is sent by a thread, which has to end before this process does.
    played.close()
    played.join_thread()


if __name__ == "__main__":
    sys.exit(main())
