"""Base class of the website's handlers: one class for each URL, with a method for GET and one for POST."""

from __future__ import annotations

from typing import Any, ClassVar

from forumapi.webclient.visit import Answer, Refused, Visit


class View:
    """Base class of the handler of one URL: `get` shows a page, `post` carries out a form; a method that a class lacks
    answers 405.

    `takes_files`: the forms that POST to it may carry files, so that they may be larger and take longer.

    A call of the API in a method raises Failure for a refusal and Moved for 301; the method, and each function that it
    calls, lets them pass, also from calls for a form that is shown again, unless its docstring says which refusals it
    deals with. `website.py` answers Failure and Refused with an error page of their status (403 for Refused where a
    docstring names none), SignInFirst with the sign-in page, AgreeFirst, which any write may raise, with the page to
    agree on, and Moved with a redirect (docs/architecture.md, "The website").
    """

    takes_files: ClassVar[bool] = False

    @classmethod
    def methods(cls) -> list[str]:
        """Return the HTTP methods that this URL answers, OPTIONS first, for the header Allow; HEAD wherever there is
        GET.
        """
        known = [name for name in ("get", "post") if hasattr(cls, name)]
        return ["OPTIONS", *(["HEAD"] if "get" in known else []), *(one.upper() for one in known)]

    def answer(self, visit: Visit, url_values: dict[str, Any]) -> Answer:
        """Answer a request by `get` (GET and HEAD) or `post`, and OPTIONS with 204 and the header Allow; `post` is
        called after `visit.check_origin`. `url_values`: variable parts of the URL by name, the called method's
        arguments. Raises Refused for another method (405) or origin (403), and what the called method raises.
        """
        name = "get" if visit.method in ("GET", "HEAD") else visit.method.lower()
        found = getattr(self, name, None) if name in ("get", "post") else None
        if found is None:
            if visit.method == "OPTIONS":
                return Answer(204, [("Allow", ", ".join(self.methods()))], b"")
            raise Refused(405)
        if name == "post":
            visit.check_origin()
        answer: Answer = found(visit, **url_values)
        return answer
