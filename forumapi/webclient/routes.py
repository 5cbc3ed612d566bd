"""Table of the website's addresses, those of the official client included, so that every old link is good."""

from __future__ import annotations

from typing import Final

from werkzeug.routing import Map, Rule

from forumapi.webclient.handlers import (
    conversations,
    documents,
    events,
    microcosms,
    people,
    polls,
    sign_in,
)
from forumapi.webclient.view import View

ROUTES: Final[dict[str, type[View]]] = {
    "/": microcosms.FrontView,
    "/microcosms/<int:microcosm>/": microcosms.MicrocosmPageView,
    "/conversations/<int:item>/": conversations.ConversationView,
    "/conversations/<int:item>/newest/": conversations.NewestView,
    "/comments/<int:comment>/": conversations.CommentView,
    "/comments/<int:comment>/incontext/": conversations.InContextView,
    "/comments/create/": conversations.CreateCommentView,
    "/events/": events.EventsView,
    "/events/<int:item>/": events.EventView,
    "/events/<int:item>/edit/": events.EditEventView,
    "/events/<int:item>/attending/": events.AttendView,
    "/events/<int:item>/attendees/": events.AttendeesView,
    "/events/<int:item>/attendees.csv": events.AttendeesFileView,
    "/events/<int:item>/event.ics": events.CalendarView,
    "/microcosms/<int:microcosm>/create/event/": events.CreateEventView,
    "/polls/": polls.PollsView,
    "/polls/<int:item>/": polls.PollView,
    "/polls/<int:item>/edit/": polls.EditPollView,
    "/polls/<int:item>/vote/": polls.VoteView,
    "/polls/<int:item>/voters/": polls.VotersView,
    "/microcosms/<int:microcosm>/create/poll/": polls.CreatePollView,
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
