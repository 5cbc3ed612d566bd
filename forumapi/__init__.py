"""forumapi: the engine of a hosted, multi-tenant forum platform."""

from importlib import resources

__version__ = "0.1.0"


def build() -> str:
    """What the one file was built from: its commit, and more where that was not all; "source" in a checkout."""
    try:
        return (resources.files(__name__) / "BUILD").read_text().strip()
    except FileNotFoundError:
        return "source"
