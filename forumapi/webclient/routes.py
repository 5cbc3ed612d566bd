"""Table of the website's addresses, those of the official client included, so that every old link is good."""

from __future__ import annotations

from typing import Final

from werkzeug.routing import Map, Rule

from forumapi.webclient.handlers import (
    administration,
    conversations,
    documents,
    events,
    integrations,
    legal,
    microcosms,
    people,
    polls,
    search,
    sign_in,
    trending,
)
from forumapi.webclient.view import View

# Things with comments that have pages of their own.
THREADS: Final = "<any(conversations, events, polls, huddles):kind>"

ROUTES: Final[dict[str, type[View]]] = {
    "/": microcosms.FrontView,
    "/microcosms/": microcosms.MicrocosmsView,
    "/microcosms/<int:microcosm>/": microcosms.MicrocosmPageView,
    "/conversations/": conversations.ConversationsView,
    "/conversations/<int:item>/": conversations.ConversationView,
    f"/{THREADS}/<int:item>/newest/": conversations.NewestView,
    f"/{THREADS}/<int:item>/last/": conversations.LastView,
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
    "/profiles/": people.PeopleView,
    "/profiles/<int:profile>/": people.ProfileView,
    "/search/": search.SearchView,
    "/search/suggestions/": search.SuggestionsView,
    "/today/": search.TodayView,
    "/trending/": trending.TrendingPageView,
    "/legal/": legal.LegalTextsView,
    "/legal/<any(cookies, privacy, terms, service):name>/": legal.LegalTextView,
    "/login/": sign_in.SignInView,
    "/logout/": sign_in.SignOutView,
    "/admin/": administration.AdminView,
    "/admin/site/": administration.SiteView,
    "/admin/menu/": administration.MenuView,
    "/admin/reactions/": administration.ReactionsView,
    "/admin/legal/": administration.OwnLegalTextsView,
    "/admin/legal/<name>/": administration.OwnLegalTextView,
    "/admin/mail/": administration.MailTextsView,
    "/admin/mail/<name>/": administration.MailTextView,
    "/admin/bans/": administration.BansView,
    "/admin/bans/<int:ban>/lift/": administration.LiftBanView,
    "/admin/sign-in/": administration.SignInMethodsView,
    "/admin/sign-in/<method>/": administration.SignInMethodView,
    "/admin/figures/": administration.FiguresView,
    "/admin/webhooks/": integrations.WebhooksView,
    "/admin/webhooks/<int:webhook>/": integrations.WebhookView,
    "/admin/clients/": integrations.ClientsView,
    "/admin/clients/<int:client>/": integrations.ClientView,
    "/static/<name>": documents.StaticView,
    "/theme.<key>.css": documents.ThemeView,
    "/favicon.ico": documents.IconView,
}

MAP: Final = Map(
    [Rule(path, endpoint=page, methods=["GET"]) for path, page in ROUTES.items()],
    strict_slashes=True,
    merge_slashes=False,
)
