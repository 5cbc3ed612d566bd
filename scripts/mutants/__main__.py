"""Main program of mutation testing, `make mutants`: puts faults into copies of the code and lists those that no test
finds.

A sample is drawn once, by a seed. What was tried is kept in var/mutants/session.sqlite, so that a run that was cut off
can go on. Two copies of the project (var/mutants/0 and 1) are tried at the same time; mutants whose tests reach the
time limit are tried once more at the end, one at a time. The exit code is 1 if of any group fewer mutants are killed
than plan.LEAST says.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shlex
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import use_mutation
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from scripts.mutants import plan, sql

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "var" / "mutants"
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
COPIES = 2
# A mutant may make a test wait for ever: that is a kill if the test does so also when nothing else is tried.
LIMIT_S = 240
# Output that Cosmic Ray gives to tests that reach the limit, and the one kept once they reached it again alone.
TIMED_OUT = "timeout"
TIMED_OUT_ALONE = "timeout alone"

# Operators whose mutants change what happens; numbers and annotations mostly do not.
COMPARISONS = (
    "Eq_NotEq",
    "NotEq_Eq",
    "Lt_LtE",
    "LtE_Lt",
    "Gt_GtE",
    "GtE_Gt",
    "In_NotIn",
    "NotIn_In",
    "Is_IsNot",
    "IsNot_Is",
)
CORE = (
    *(f"core/ReplaceComparisonOperator_{name}" for name in COMPARISONS),
    "core/AddNot",
    "core/ReplaceAndWithOr",
    "core/ReplaceOrWithAnd",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceUnaryOperator_Delete_Not",
    "core/ReplaceContinueWithBreak",
    "core/ReplaceBreakWithContinue",
)


def operators() -> dict[str, type]:
    """Return every mutation operator by name."""
    known = set(plugins.operator_names())
    return {name: plugins.get_operator(name) for name in CORE if name in known} | sql.OPERATORS


def candidates() -> Iterator[MutationSpec]:
    """Yield every possible mutant, except of what is imported for type checkers alone."""
    for module in plan.modules(ROOT):
        tree = get_ast_from_path(ROOT / module)
        lines = (ROOT / module).read_text().splitlines()
        nodes = list(ast_nodes(tree))
        for name, operator in operators().items():
            made = operator()
            places = (place for node in nodes for place in made.mutation_positions(node))
            for occurrence, (start, end) in enumerate(places):
                if lines[start[0] - 1] != "if TYPE_CHECKING:":
                    yield MutationSpec(Path(module), name, occurrence, start, end)


def draw(database: WorkDB, seed: int, count: int) -> None:
    """Draw a sample of mutants, of each group its share, and store it."""
    groups: dict[str, list[MutationSpec]] = {}
    for mutant in candidates():
        group = plan.group_of(str(mutant.module_path), mutant.operator_name, sql.SITE)
        groups.setdefault(group, []).append(mutant)
    chance = random.Random(seed)
    drawn: list[MutationSpec] = []
    for group, share in plan.SHARES.items():
        found = groups[group]
        wanted = min(len(found), round(share * count / 300))
        drawn += chance.sample(found, wanted)
        print(f"{group}: {wanted} of {len(found)}")
    # A run that is cut off has tried some of each.
    chance.shuffle(drawn)
    database.add_work_items(WorkItem.single(uuid.uuid4().hex, mutant) for mutant in drawn)


def copy(number: int) -> Path:
    """Make a copy of the files that git knows, with this virtual environment and a PostgreSQL of its own; return its
    folder.
    """
    folder = FOLDER / str(number)
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for part in ("forumapi", "tests", "scripts", "sql"):
        shutil.rmtree(folder / part, ignore_errors=True)
    for name in filter(None, files):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(ROOT / name, target)
    link = folder / ".venv"
    if not link.is_symlink():
        link.symlink_to(ROOT / ".venv")
    testdb(folder, "start")
    return folder


def testdb(folder: Path, command: str) -> None:
    """Start or stop the PostgreSQL of a copy."""
    subprocess.run(
        [str(folder / ".venv/bin/python"), "scripts/testdb", command],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


def _command(folder: Path, part: str, files: list[str]) -> str:
    """Return the command that runs one part of the tests in a copy."""
    python = folder / ".venv/bin/python"
    return shlex.join(
        [
            *("env", "-C", str(folder), f"PYTHONPATH={folder}", str(python), "-m", "pytest"),
            *("-q", "-x", "-p", "no:cacheprovider", "-m", part, *files),
        ]
    )


def attempt(folder: Path, mutant: MutationSpec, sound: dict[str, bool]) -> WorkResult | None:
    """Put one mutant into a copy and run its tests there; `sound` remembers by command that they pass without the
    mutant. Wide tests run where the others find nothing.

    Return None, so that it stays to be tried, if they fail twice without the mutant.
    """
    module = str(mutant.module_path)
    group = plan.group_of(module, mutant.operator_name, sql.SITE)
    files = plan.tests_of(ROOT, module, group)
    commands = [_command(folder, part, files) for part in ("not wide", "wide")]
    for command in commands:
        if command not in sound:
            # A second time, as a busy machine can fail tests that wait.
            sound[command] = any(
                run_tests(command, LIMIT_S)[0] is TestOutcome.SURVIVED for _ in range(2)
            )
    if not sound[commands[0]]:
        print(f"not tried, without any mutant these fail: {' '.join(files)}", flush=True)
        return None
    operator = operators()[mutant.operator_name]()
    with use_mutation(folder / module, operator, mutant.occurrence) as (before, after):
        if after is None:
            return WorkResult(WorkerOutcome.NO_TEST)
        # Files without a wide test fail there for want of one, with or without a mutant.
        for command in filter(sound.__getitem__, commands):
            outcome, output = run_tests(command, LIMIT_S)
            if outcome is not TestOutcome.SURVIVED:
                break
    changed = [
        (old, new)
        for old, new in zip(before.splitlines(), after.splitlines(), strict=False)
        if old != new
    ]
    text = "\n".join(f"- {old.strip()}\n+ {new.strip()}" for old, new in changed[:1])
    return WorkResult(WorkerOutcome.NORMAL, output[-2000:], outcome, text)


def verdict(result: WorkResult) -> str:
    """Return the verdict on a mutant as printed, such as "killed", "survived" or "timed out"."""
    if result.output == TIMED_OUT:
        return "timed out"
    if result.output == TIMED_OUT_ALONE:
        return "killed by time limit"
    return result.test_outcome.value if result.test_outcome else "no test"


def work(
    database_path: Path,
    folder: Path,
    queue: list[WorkItem],
    lock: threading.Lock,
    *,
    is_alone: bool = False,
) -> None:
    """Try mutants of the queue in one copy until none is left: body of a thread."""
    sound: dict[str, bool] = {}
    while True:
        with lock:
            if not queue:
                return
            item = queue.pop()
        mutant = item.mutations[0]
        began = time.monotonic()
        result = attempt(folder, mutant, sound)
        if result is None:
            continue
        if is_alone and result.output == TIMED_OUT:
            result = attrs.evolve(result, output=TIMED_OUT_ALONE)
        with lock, use_db(str(database_path), WorkDB.Mode.open) as database:
            database.set_result(item.job_id, result)
            place = f"{mutant.module_path}:{mutant.start_pos[0]} {mutant.operator_name}"
            print(
                f"{verdict(result):9} {time.monotonic() - began:5.1f} s  {len(queue):3} left  {place}",
                flush=True,
            )


def timed_out(database_path: Path) -> list[WorkItem]:
    """Return the mutants whose tests reached the time limit and that were not yet tried alone."""
    with use_db(str(database_path), WorkDB.Mode.open) as database:
        return [
            item for item, result in database.completed_work_items if result.output == TIMED_OUT
        ]


def report(database_path: Path) -> bool:
    """Print the mutants that survived, and how many of each group were killed; return False if those are too few."""
    excused = EQUIVALENT.read_text().splitlines()
    verdicts: dict[str, Counter[str]] = {group: Counter() for group in plan.LEAST}
    with use_db(str(database_path), WorkDB.Mode.open) as database:
        for item, result in database.completed_work_items:
            mutant = item.mutations[0]
            module = str(mutant.module_path)
            group = plan.group_of(module, mutant.operator_name, sql.SITE)
            first = (result.diff or "").partition("\n")[0].removeprefix("- ")
            said = verdict(result)
            if f"{module} {mutant.operator_name} {first}" in excused:
                said = "equivalent"
            verdicts[group][said] += 1
            if said in ("survived", "timed out", "killed by time limit"):
                place = f"{module}:{mutant.start_pos[0]} {mutant.operator_name}"
                print(f"\n{said}: {place}\n{result.diff}")
    print()
    is_enough = True
    for group, least in plan.LEAST.items():
        count = verdicts[group]
        tried = count.total() - count["equivalent"] - count["no test"]
        killed = tried - count["survived"] - count["timed out"]
        share = killed / tried if tried else 1.0
        is_enough = is_enough and share >= least
        print(
            f"{group:16} {killed:3} of {tried:3} killed, {share:.0%} (at least {least:.0%}):"
            f" {count['survived']} survived, {count['timed out']} timed out,"
            f" {count['killed by time limit']} killed by time limit, {count['equivalent']} equivalent"
        )
    return is_enough


def main() -> int:
    """Draw a sample or go on with one, try it, and report; return the exit code."""
    arguments = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    arguments.add_argument("--seed", type=int, default=12)
    arguments.add_argument("--count", type=int, default=300)
    arguments.add_argument("--anew", action="store_true", help="forget what was tried")
    asked = arguments.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "session.sqlite"
    if asked.anew:
        path.unlink(missing_ok=True)
    is_new = not path.exists()
    with use_db(str(path), WorkDB.Mode.create) as database:
        if is_new:
            draw(database, asked.seed, asked.count)
        queue = list(database.pending_work_items)
    print(f"{len(queue)} mutants to try")
    if queue or timed_out(path):
        began = time.monotonic()
        folders = [copy(number) for number in range(COPIES)]
        lock = threading.Lock()
        threads = [
            threading.Thread(target=work, args=(path, folder, queue, lock), daemon=True)
            for folder in folders
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            work(path, folders[0], timed_out(path), lock, is_alone=True)
        finally:
            for folder in folders:
                testdb(folder, "stop")
        print(f"{(time.monotonic() - began) / 60:.1f} minutes")
    return 0 if report(path) else 1


if __name__ == "__main__":
    sys.exit(main())
