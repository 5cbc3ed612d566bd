"""Table of the website's addresses, those of the official client included, so that every old link is good."""

from __future__ import annotations

from typing import Final

from werkzeug.routing import Map, Rule

from forumapi.webclient.handlers import conversations, documents, microcosms, people, sign_in
from forumapi.webclient.view import View

ROUTES: Final[dict[str, type[View]]] = {
    "/": microcosms.FrontView,
    "/microcosms/<int:microcosm>/": microcosms.MicrocosmPageView,
    "/conversations/<int:item>/": conversations.ConversationView,
    "/conversations/<int:item>/newest/": conversations.NewestView,
    "/comments/<int:comment>/": conversations.CommentView,
    "/comments/<int:comment>/incontext/": conversations.InContextView,
    "/comments/create/": conversations.CreateCommentView,
    "/profiles/<int:profile>/": people.ProfileView,
    "/login/": sign_in.SignInView,
    "/logout/": sign_in.SignOutView,
    "/static/<name>": documents.StaticView,
    "/theme.<key>.css": documents.ThemeView,
    "/favicon.ico": documents.IconView,
}

MAP: Final = Map(
    [Rule(path, endpoint=page, methods=["GET"]) for path, page in ROUTES.items()],
    strict_slashes=True,
    merge_slashes=False,
)
