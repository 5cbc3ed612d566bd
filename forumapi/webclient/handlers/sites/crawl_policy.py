"""Form of the site's policy for crawlers, for its owner: whom it refuses, if texts may train language models, and the
budget of unknown programs.
"""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.sites.administration import marked, owner
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

_POLICY: Final = "/site/crawling"
# Crawlers that the API knows: those of search engines, and those that collect texts for language models.
ENGINES: Final = (
    *("Googlebot", "Bingbot", "Applebot", "YandexBot", "Baiduspider", "SeznamBot", "Qwantbot"),
    *("MojeekBot", "PetalBot"),
)
TRAINERS: Final = (
    *("Amazonbot", "CCBot", "GPTBot", "ClaudeBot", "Google-Extended", "Applebot-Extended"),
    *("meta-externalagent", "Bytespider", "PerplexityBot", "cohere-ai", "Diffbot"),
)
# Values of the API, and what the page calls them.
_PREFERENCES: Final = (
    ("", marked("The site does not say")),
    ("n", marked("No")),
    ("y", marked("Yes")),
)


class CrawlPolicyView(View):
    """Form of the site's policy for crawlers; for the owner."""

    def get(self, visit: Visit) -> Answer:
        """Show the form with the policy in force. Raises Refused for members who do not own the site, SignInFirst for
        guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return self._show(visit, visit.api.get(_POLICY))

    def post(self, visit: Visit) -> Answer:
        """Store the sent policy, and lead to the form; an empty number of requests is 0. A refusal whose status is in
        FORM_REFUSALS (400, 403 and others) shows the form as it was filled in, with that status. Raises Refused for
        members who do not own the site, SignInFirst for guests and for a sign-in older than 30 minutes, Failure for
        other refusals.
        """
        owner(visit)
        text = visit.field("perMinute").strip()
        number = typed_number(text or "0", most_digits=9)
        names = ("trainers", "engines")
        chosen = [one for name in names for one in visit.form.getlist(name)] if visit.form else []
        # What is no number goes as it is: the API says what is wrong with it.
        policy = {
            "refused": chosen,
            "trainAi": visit.field("trainAi"),
            "perMinute": text if number is None else number,
        }
        try:
            visit.api.put(_POLICY, policy)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, policy, failure)
        return visit.redirect(f"{visit.path}?saved=1")

    def _show(self, visit: Visit, policy: dict[str, Any], failure: Failure | None = None) -> Answer:
        return visit.page(
            "admin_crawling.html",
            status=failure.status if failure else 200,
            failure=failure,
            policy=policy,
            preferences=_PREFERENCES,
            engines=ENGINES,
            trainers=TRAINERS,
            is_saved="saved" in visit.query and failure is None,
        )
