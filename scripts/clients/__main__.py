"""Build both clients into dist/clients: `python -m scripts.clients`."""

from __future__ import annotations

import shutil
import sys

from scripts.clients import build


def main() -> int:
    """Generate, build and pack; return the exit code."""
    made_from = build.document()
    target = build.ROOT / "dist" / "clients"
    source = build.ROOT / "build" / "clients"
    shutil.rmtree(source, ignore_errors=True)
    print(build.wheel(build.python(source / "python", made_from), target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
