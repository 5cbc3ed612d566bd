"""forumapi: the engine of a hosted, multi-tenant forum platform."""

from importlib import resources

__version__ = "0.1.0"


def build() -> str:
    """Return the build of the running one-file program: its commit, marked if it had uncommitted changes; "source" if
    this is a checkout.
    """
    try:
        return (resources.files(__name__) / "BUILD").read_text().strip()
    except FileNotFoundError:
        return "source"
