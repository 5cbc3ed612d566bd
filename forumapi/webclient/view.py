"""Base of the website's handlers: a class for each URL, whose methods are those of HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

from forumapi.webclient.visit import Answer, Refused, Visit


class View:
    """Handler of one URL. `get` shows, `post` does what a form asks for; a method that is not defined is 405.

    `takes_files`: the form that is sent to it may carry files.
    """

    takes_files: ClassVar[bool] = False

    @classmethod
    def methods(cls) -> list[str]:
        """Return the methods of this URL."""
        known = [name for name in ("get", "post") if hasattr(cls, name)]
        return ["OPTIONS", *(["HEAD"] if "get" in known else []), *(one.upper() for one in known)]

    def answer(self, visit: Visit, args: dict[str, Any]) -> Answer:
        """Choose by the method. Raises Refused."""
        name = "get" if visit.method in ("GET", "HEAD") else visit.method.lower()
        found = getattr(self, name, None) if name in ("get", "post") else None
        if found is None:
            if visit.method == "OPTIONS":
                return Answer(204, [("Allow", ", ".join(self.methods()))], b"")
            raise Refused(405)
        if name == "post":
            visit.check_origin()
        answer: Answer = found(visit, **args)
        return answer
