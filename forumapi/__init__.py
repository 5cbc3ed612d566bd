"""forumapi: the engine of a hosted, multi-tenant forum platform."""

from importlib import resources

__version__ = "0.1.0"


def build() -> str:
    """Return the build of the one file: its commit, and a mark for uncommitted changes; "source" in a checkout."""
    try:
        return (resources.files(__name__) / "BUILD").read_text().strip()
    except FileNotFoundError:
        return "source"
