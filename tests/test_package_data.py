"""Files beside the code: an installation has every one of them."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path, PurePath

PROJECT = Path(__file__).resolve().parent.parent


def test_every_file_of_the_package_is_installed() -> None:
    parser = ConfigParser()
    parser.read(PROJECT / "setup.cfg")
    patterns = {name: text.split() for name, text in parser["options.package_data"].items()}
    files = [
        path
        for path in sorted((PROJECT / "forumapi").rglob("*"))
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    ]
    left = []
    for path in files:
        # Patterns are those of the package that a file is in or below.
        package = next(folder for folder in path.parents if (folder / "__init__.py").exists())
        name = ".".join(package.relative_to(PROJECT).parts)
        within = PurePath(path.relative_to(package))
        wanted = [*patterns.get("*", []), *patterns.get(name, [])]
        if not any(
            within.match(one) and len(within.parts) == len(PurePath(one).parts) for one in wanted
        ):
            left.append(str(path.relative_to(PROJECT)))

    assert len(files) > 50
    assert not left
