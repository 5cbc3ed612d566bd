"""Build both clients into dist/clients: `python -m scripts.clients`."""

from __future__ import annotations

import shutil
import sys

from scripts.clients import build


def main() -> int:
    """Generate, compile and pack; return the exit code: 1 where the TypeScript client can't be built here."""
    made_from = build.document()
    target = build.ROOT / "dist" / "clients"
    source = build.ROOT / "build" / "clients"
    shutil.rmtree(source, ignore_errors=True)
    print(build.wheel(build.python(source / "python", made_from), target))
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        print("clients: the TypeScript client needs Node 20 or later, and npm", file=sys.stderr)
        return 1
    if build.compiler() is None:
        build.install_compiler(npm)
    tsc = build.compiler()
    if tsc is None:
        print("clients: npm could not install TypeScript", file=sys.stderr)
        return 1
    folder = build.typescript(source / "typescript", made_from)
    build.compiled(folder, tsc)
    print(build.package(folder, target, npm))
    return 0


if __name__ == "__main__":
    sys.exit(main())
