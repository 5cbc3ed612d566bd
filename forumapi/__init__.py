"""forumapi: the engine of a hosted, multi-tenant forum platform."""

__version__ = "0.1.0"
