"""Run the scenarios one after the other, print a table, write var/chaos.json."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.chaos.scenarios import SCENARIOS, Scenario
from scripts.chaos.stage import Wrong, open_folder, stage

ROOT = Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """0 when nothing was lost or wrong; 1 otherwise."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--only", default="", help=f"of {', '.join(SCENARIOS)}; commas between")
    parser.add_argument(
        "--scale",
        type=float,
        default=float(os.environ.get("SCALE", "1")),
        help="1 is what the table is about, 0.1 a try",
    )
    parser.add_argument("--json", type=Path, default=ROOT / "var/chaos.json")
    args = parser.parse_args(argv)
    wanted = [name for name in args.only.split(",") if name] or list(SCENARIOS)
    if unknown := set(wanted) - SCENARIOS.keys():
        raise SystemExit(f"no scenario {', '.join(sorted(unknown))}")
    lines: list[dict[str, Any]] = []
    for name in wanted:
        lines.append(run(name, SCENARIOS[name], args.scale))
        print(line(lines[-1]), flush=True)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"scale": args.scale, "scenarios": lines}, indent=1) + "\n")
    print(f"written to {args.json}")
    return 1 if any(one["wrong"] for one in lines) else 0


def run(name: str, scenario: Scenario, scale: float) -> dict[str, Any]:
    """A scenario on a stage of its own."""
    began = time.monotonic()
    wrong, figures = "", {}
    with open_folder() as folder, stage(folder, scale) as (made, server):
        try:
            figures = dict(scenario(made, server))
        except Wrong as error:
            wrong = str(error)
    words = (scenario.__doc__ or "").strip()
    seconds = round(time.monotonic() - began, 1)
    return {"name": name, "words": words, "figures": figures, "wrong": wrong, "seconds": seconds}


def line(done: Mapping[str, Any]) -> str:
    """One scenario as a person reads it."""
    said = ", ".join(f"{name} {number(value)}" for name, value in done["figures"].items())
    state = f"WRONG: {done['wrong']}" if done["wrong"] else said
    return f"{done['name']:17} {done['words']}\n{'':17} {state} ({done['seconds']:.0f} s)"


def number(value: object) -> str:
    """A figure, short."""
    return (
        f"{value:,.1f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


if __name__ == "__main__":
    sys.exit(main())
