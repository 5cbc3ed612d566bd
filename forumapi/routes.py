"""Routing tables: the handler class of each address. ROOT has those of the platform's own host, SITE those of site
hosts.

One address a line, whole and in alphabetical order, so that grep finds it and a diff shows a change of the API.
"""

from __future__ import annotations

from forumapi.handlers.access.agent_levels import AgentLevelsHandler
from forumapi.handlers.access.api_keys import KeyHandler, KeysHandler
from forumapi.handlers.access.auth import Auth0Handler, AuthBeginHandler, AuthHandler, TokenHandler
from forumapi.handlers.access.mcp import McpHandler, McpMetadataHandler
from forumapi.handlers.access.oauth import (
    OAuthDeviceHandler,
    OAuthIntrospectHandler,
    OAuthMetadataHandler,
    OAuthRevokeHandler,
    OAuthTokenHandler,
)
from forumapi.handlers.access.oauth_clients import (
    ClientHandler,
    ClientSecretHandler,
    ClientsHandler,
    GrantHandler,
    GrantsHandler,
    ScopesHandler,
)
from forumapi.handlers.access.oauth_pages import (
    AuthorizeHandler,
    DevicePageHandler,
    EmailLinkHandler,
)
from forumapi.handlers.access.owner_provider_confirmation import (
    HuddlesConfirmedHandler,
    HuddlesPageHandler,
)
from forumapi.handlers.access.passkeys import PasskeyBeginHandler, PasskeyHandler, PasskeysHandler
from forumapi.handlers.access.permission import PermissionBatchHandler, PermissionHandler
from forumapi.handlers.access.second_factor_and_email import (
    EmailAddressHandler,
    OneTimeHandler,
    RecoveryCodesHandler,
)
from forumapi.handlers.access.sessions import SessionHandler, SessionsHandler
from forumapi.handlers.access.sign_in_methods import (
    AuthMethodsHandler,
    SiteAuthHandler,
    SiteAuthMethodHandler,
)
from forumapi.handlers.content.attachments import AttachmentHandler, AttachmentsHandler
from forumapi.handlers.content.attendees import (
    AttendeeHandler,
    AttendeesCsvHandler,
    AttendeesHandler,
)
from forumapi.handlers.content.attributes import AttributeHandler, AttributesHandler
from forumapi.handlers.content.bookmarks import BookmarkHandler, BookmarksHandler
from forumapi.handlers.content.calendars import (
    EventCalendarHandler,
    MicrocosmCalendarHandler,
    ProfileCalendarHandler,
)
from forumapi.handlers.content.comments import (
    CommentHandler,
    CommentInContextHandler,
    CommentsHandler,
)
from forumapi.handlers.content.conversations import ConversationHandler, ConversationsHandler
from forumapi.handlers.content.drafts import DraftHandler, DraftsHandler
from forumapi.handlers.content.events import EventHandler, EventsHandler
from forumapi.handlers.content.files import FileHandler, FilesHandler
from forumapi.handlers.content.geocode import GeocodeHandler
from forumapi.handlers.content.huddles import (
    HuddleHandler,
    HuddleLastCommentHandler,
    HuddleNewCommentHandler,
    HuddlesHandler,
    ParticipantHandler,
    ParticipantsHandler,
)
from forumapi.handlers.content.last_and_new_comment_redirects import (
    LastCommentHandler,
    NewCommentHandler,
)
from forumapi.handlers.content.polls import PollHandler, PollsHandler, VotesHandler
from forumapi.handlers.content.preview import PreviewHandler
from forumapi.handlers.content.reactions import (
    ReactionHandler,
    ReactionKindsHandler,
    ReactionsHandler,
)
from forumapi.handlers.content.revisions import DifferenceHandler, RevisionHandler, RevisionsHandler
from forumapi.handlers.content.short_links import LinksHandler, OutHandler, PlatformLinksHandler
from forumapi.handlers.discovery.search import SearchHandler, SiteSearchHandler, SuggestionsHandler
from forumapi.handlers.discovery.trending import TrendingHandler
from forumapi.handlers.microcosms.microcosms import (
    MicrocosmHandler,
    MicrocosmsHandler,
    MicrocosmTreeHandler,
)
from forumapi.handlers.microcosms.moderation_queue import ModerationHandler
from forumapi.handlers.notifications.live import (
    LiveEventsHandler,
    LiveHandler,
    LivePollHandler,
    TicketsHandler,
)
from forumapi.handlers.notifications.live_demo import LivePageHandler
from forumapi.handlers.notifications.mail_settings_and_unsubscribe import (
    EmailSettingsHandler,
    UnsubscribeHandler,
)
from forumapi.handlers.notifications.mail_template_settings import (
    MailTemplateHandler,
    MailTemplatesHandler,
)
from forumapi.handlers.notifications.push import PushSubscriptionHandler, PushSubscriptionsHandler
from forumapi.handlers.notifications.updates import (
    PreferenceHandler,
    PreferencesHandler,
    UpdatesHandler,
)
from forumapi.handlers.notifications.watchers import (
    WatcherByItemHandler,
    WatcherHandler,
    WatchersBatchHandler,
    WatchersHandler,
)
from forumapi.handlers.notifications.webhooks import (
    WebhookDeliveriesHandler,
    WebhookHandler,
    WebhookPingHandler,
    WebhookReplayHandler,
    WebhookSecretHandler,
    WebhooksHandler,
)
from forumapi.handlers.operators.plan import OwnPlanHandler, PlanHandler
from forumapi.handlers.operators.platform_growth import MetricsHandler
from forumapi.handlers.operators.site_states import SiteDeletionHandler, SiteStateHandler
from forumapi.handlers.operators.usage import (
    OwnUsageCsvHandler,
    OwnUsageHandler,
    UsageCsvHandler,
    UsageHandler,
)
from forumapi.handlers.people.bans import BanHandler, BansHandler
from forumapi.handlers.people.bots import BotHandler, BotKeyHandler, BotsHandler
from forumapi.handlers.people.consents import ConsentHandler, ConsentsHandler, SiteConsentsHandler
from forumapi.handlers.people.criteria import CriteriaHandler, CriterionHandler
from forumapi.handlers.people.erasures import (
    AccountErasureHandler,
    ProfileErasureHandler,
    QuotationsHandler,
)
from forumapi.handlers.people.ignored import IgnoredBatchHandler, IgnoredHandler
from forumapi.handlers.people.personal_exports import (
    PersonalExportFileHandler,
    PersonalExportHandler,
)
from forumapi.handlers.people.profiles import (
    ProfileHandler,
    ProfileOptionsHandler,
    ProfileReadBatchHandler,
    ProfileReadHandler,
    ProfilesHandler,
)
from forumapi.handlers.people.role_members_and_held_roles import (
    HeldRolesHandler,
    RoleMembersHandler,
)
from forumapi.handlers.people.roles import (
    DefaultRolesHandler,
    RoleHandler,
    RoleProfileHandler,
    RoleProfilesHandler,
    RolesHandler,
)
from forumapi.handlers.people.users import UserHandler, UsersBatchHandler, UsersHandler
from forumapi.handlers.people.whoami import WhoamiHandler
from forumapi.handlers.sites.api_docs import (
    AsyncapiHandler,
    DocsHandler,
    DocsPageHandler,
    DocsScriptHandler,
    DocsSearchHandler,
    DocsTryHandler,
    OpenapiHandler,
)
from forumapi.handlers.sites.api_index import ApiHandler, TopHandler, V1Handler
from forumapi.handlers.sites.audit import AuditHandler, OwnAuditHandler
from forumapi.handlers.sites.avatar_source import SiteAvatarsHandler
from forumapi.handlers.sites.configuration_checks import StatusHandler
from forumapi.handlers.sites.crawl_policy import CrawlingHandler
from forumapi.handlers.sites.erasure_rule import SitePrivacyHandler
from forumapi.handlers.sites.export import ExportArchiveHandler, SiteExportHandler
from forumapi.handlers.sites.forum_import import ImportLeftoversHandler, SiteImportHandler
from forumapi.handlers.sites.host_lookups import HostHandler, ReservedHandler
from forumapi.handlers.sites.legacy_urls import ResolveHandler
from forumapi.handlers.sites.legal import (
    CookiesHandler,
    LegalDifferenceHandler,
    LegalHandler,
    LegalVersionHandler,
    LegalVersionsHandler,
    PrivacyHandler,
    ServiceHandler,
    TermsHandler,
)
from forumapi.handlers.sites.legal_editing import SiteLegalDocumentHandler, SiteLegalHandler
from forumapi.handlers.sites.menu import MenuHandler, OwnMenuHandler
from forumapi.handlers.sites.ownership_transfer import SiteOfferHandler
from forumapi.handlers.sites.retention import SiteRetentionHandler
from forumapi.handlers.sites.sandboxes import SandboxesHandler
from forumapi.handlers.sites.site_options import SiteOptionsHandler
from forumapi.handlers.sites.sites import OwnSiteHandler, SiteHandler, SitesHandler
from forumapi.handlers.trust.actions import ActionHandler, ActionsHandler, ActionUndoHandler
from forumapi.handlers.trust.appeal_without_sign_in import MailedAppealHandler
from forumapi.handlers.trust.appeals import (
    AppealDecisionHandler,
    AppealHandler,
    AppealMessagesHandler,
    AppealsHandler,
    StatementAppealHandler,
)
from forumapi.handlers.trust.cases import (
    CaseAssignmentHandler,
    CaseDecisionHandler,
    CaseHandler,
    CaseLeaseHandler,
    CaseNotesHandler,
    CasesHandler,
)
from forumapi.handlers.trust.checks import ChecksHandler
from forumapi.handlers.trust.guest_report_confirmation import MailedReportHandler
from forumapi.handlers.trust.reports import (
    GuestReportsHandler,
    ReportHandler,
    ReportKindsHandler,
    ReportsHandler,
)
from forumapi.handlers.trust.rules import (
    ModerationRuleDryRunHandler,
    ModerationRuleHandler,
    ModerationRuleHitsHandler,
    ModerationRulesHandler,
    ModerationRuleVersionsHandler,
)
from forumapi.handlers.trust.statements import StatementHandler, StatementsHandler
from forumapi.handlers.trust.transparency import TransparencyCsvHandler, TransparencyHandler
from forumapi.request.handler import Handler

ROOT: dict[str, type[Handler]] = {
    "/api/v1/auth": AuthHandler,
    "/api/v1/auth/<token>": TokenHandler,
    "/api/v1/auth/begin": AuthBeginHandler,
    "/api/v1/auth/email": EmailAddressHandler,
    "/api/v1/auth/methods": AuthMethodsHandler,
    "/api/v1/auth/passkeys": PasskeysHandler,
    "/api/v1/auth/passkeys/<number:passkey>": PasskeyHandler,
    "/api/v1/auth/passkeys/begin": PasskeyBeginHandler,
    "/api/v1/auth/totp": OneTimeHandler,
    "/api/v1/auth/totp/recovery": RecoveryCodesHandler,
    "/api/v1/auth0": Auth0Handler,
    "/api/v1/docs": DocsHandler,
    "/api/v1/docs/<page>": DocsPageHandler,
    "/api/v1/docs/<page>/try": DocsTryHandler,
    "/api/v1/docs/scripts/<name>": DocsScriptHandler,
    "/api/v1/docs/search.json": DocsSearchHandler,
    "/api/v1/hosts/<host>": HostHandler,
    "/api/v1/legal": LegalHandler,
    "/api/v1/legal/service": ServiceHandler,
    "/api/v1/metrics": MetricsHandler,
    "/api/v1/metrics/links": PlatformLinksHandler,
    "/api/v1/openapi.json": OpenapiHandler,
    "/api/v1/profiles/<profile:item>": ProfileHandler,
    "/api/v1/profiles/<profile:item>/attachments": AttachmentsHandler,
    "/api/v1/profiles/<profile:item>/attachments/<name>": AttachmentHandler,
    "/api/v1/profiles/<profile:item>/attributes": AttributesHandler,
    "/api/v1/profiles/<profile:item>/attributes/<key:key>": AttributeHandler,
    "/api/v1/profiles/<profile:item>/erasure": ProfileErasureHandler,
    "/api/v1/profiles/<profile:item>/export": PersonalExportHandler,
    "/api/v1/profiles/<profile:item>/export/file": PersonalExportFileHandler,
    "/api/v1/reserved/<subdomain>": ReservedHandler,
    "/api/v1/sandboxes": SandboxesHandler,
    "/api/v1/site": OwnSiteHandler,
    "/api/v1/sites": SitesHandler,
    "/api/v1/sites/<site:item>": SiteHandler,
    "/api/v1/sites/<site:item>/menu": MenuHandler,
    "/api/v1/sites/<site:item>/plan": PlanHandler,
    "/api/v1/sites/<site:item>/state": SiteStateHandler,
    "/api/v1/sites/<site:item>/status": StatusHandler,
    "/api/v1/sites/<site:item>/usage": UsageHandler,
    "/api/v1/sites/<site:item>/usage/csv": UsageCsvHandler,
    "/api/v1/whoami": WhoamiHandler,
    "/live": LivePageHandler,
    "/oauth/link": EmailLinkHandler,
    "/out/<code>": OutHandler,
}

SITE: dict[str, type[Handler]] = {
    "/": TopHandler,
    "/.well-known/oauth-authorization-server": OAuthMetadataHandler,
    "/.well-known/oauth-protected-resource": McpMetadataHandler,
    "/.well-known/oauth-protected-resource/api/v1/mcp": McpMetadataHandler,
    "/api": ApiHandler,
    "/api/v1": V1Handler,
    "/api/v1/actions": ActionsHandler,
    "/api/v1/actions/<number:action>": ActionHandler,
    "/api/v1/actions/<number:action>/undo": ActionUndoHandler,
    "/api/v1/agents": AgentLevelsHandler,
    "/api/v1/appeals": AppealsHandler,
    "/api/v1/appeals/<number:appeal>": AppealHandler,
    "/api/v1/appeals/<number:appeal>/decision": AppealDecisionHandler,
    "/api/v1/appeals/<number:appeal>/messages": AppealMessagesHandler,
    "/api/v1/asyncapi.json": AsyncapiHandler,
    "/api/v1/audit/me": OwnAuditHandler,
    "/api/v1/auth": AuthHandler,
    "/api/v1/auth/<token>": TokenHandler,
    "/api/v1/auth/begin": AuthBeginHandler,
    "/api/v1/auth/email": EmailAddressHandler,
    "/api/v1/auth/huddles": HuddlesConfirmedHandler,
    "/api/v1/auth/methods": AuthMethodsHandler,
    "/api/v1/auth/passkeys": PasskeysHandler,
    "/api/v1/auth/passkeys/<number:passkey>": PasskeyHandler,
    "/api/v1/auth/passkeys/begin": PasskeyBeginHandler,
    "/api/v1/auth/totp": OneTimeHandler,
    "/api/v1/auth/totp/recovery": RecoveryCodesHandler,
    "/api/v1/auth0": Auth0Handler,
    "/api/v1/bans": BansHandler,
    "/api/v1/bans/<number:id>": BanHandler,
    "/api/v1/bookmarks": BookmarksHandler,
    "/api/v1/bots": BotsHandler,
    "/api/v1/bots/<number:bot>": BotHandler,
    "/api/v1/bots/<number:bot>/key": BotKeyHandler,
    "/api/v1/cases": CasesHandler,
    "/api/v1/cases/<number:case>": CaseHandler,
    "/api/v1/cases/<number:case>/assignment": CaseAssignmentHandler,
    "/api/v1/cases/<number:case>/decision": CaseDecisionHandler,
    "/api/v1/cases/<number:case>/lease": CaseLeaseHandler,
    "/api/v1/cases/<number:case>/notes": CaseNotesHandler,
    "/api/v1/comments": CommentsHandler,
    "/api/v1/comments/<comment:item>": CommentHandler,
    "/api/v1/comments/<comment:item>/attachments": AttachmentsHandler,
    "/api/v1/comments/<comment:item>/attachments/<name>": AttachmentHandler,
    "/api/v1/comments/<comment:item>/attributes": AttributesHandler,
    "/api/v1/comments/<comment:item>/attributes/<key:key>": AttributeHandler,
    "/api/v1/comments/<comment:item>/bookmark": BookmarkHandler,
    "/api/v1/comments/<comment:item>/incontext": CommentInContextHandler,
    "/api/v1/comments/<comment:item>/reactions": ReactionsHandler,
    "/api/v1/comments/<comment:item>/reactions/<key:key>": ReactionHandler,
    "/api/v1/comments/<comment:item>/revisions": RevisionsHandler,
    "/api/v1/comments/<comment:item>/revisions/<number:revision>": RevisionHandler,
    "/api/v1/comments/<comment:item>/revisions/<number:revision>/diff": DifferenceHandler,
    "/api/v1/consents": ConsentsHandler,
    "/api/v1/consents/<document>": ConsentHandler,
    "/api/v1/conversations": ConversationsHandler,
    "/api/v1/conversations/<conversation:item>": ConversationHandler,
    "/api/v1/conversations/<conversation:item>/attributes": AttributesHandler,
    "/api/v1/conversations/<conversation:item>/attributes/<key:key>": AttributeHandler,
    "/api/v1/conversations/<conversation:item>/bookmark": BookmarkHandler,
    "/api/v1/conversations/<conversation:item>/draft": DraftHandler,
    "/api/v1/conversations/<conversation:item>/lastcomment": LastCommentHandler,
    "/api/v1/conversations/<conversation:item>/newcomment": NewCommentHandler,
    "/api/v1/conversations/<conversation:item>/reactions": ReactionsHandler,
    "/api/v1/conversations/<conversation:item>/reactions/<key:key>": ReactionHandler,
    "/api/v1/docs": DocsHandler,
    "/api/v1/docs/<page>": DocsPageHandler,
    "/api/v1/docs/<page>/try": DocsTryHandler,
    "/api/v1/docs/scripts/<name>": DocsScriptHandler,
    "/api/v1/docs/search.json": DocsSearchHandler,
    "/api/v1/drafts": DraftsHandler,
    "/api/v1/events": EventsHandler,
    "/api/v1/events/<event:item>": EventHandler,
    "/api/v1/events/<event:item>/attendees": AttendeesHandler,
    "/api/v1/events/<event:item>/attendees/<profile:profileId>": AttendeeHandler,
    "/api/v1/events/<event:item>/attendeescsv": AttendeesCsvHandler,
    "/api/v1/events/<event:item>/attributes": AttributesHandler,
    "/api/v1/events/<event:item>/attributes/<key:key>": AttributeHandler,
    "/api/v1/events/<event:item>/bookmark": BookmarkHandler,
    "/api/v1/events/<event:item>/draft": DraftHandler,
    "/api/v1/events/<event:item>/ical": EventCalendarHandler,
    "/api/v1/events/<event:item>/lastcomment": LastCommentHandler,
    "/api/v1/events/<event:item>/newcomment": NewCommentHandler,
    "/api/v1/events/<event:item>/reactions": ReactionsHandler,
    "/api/v1/events/<event:item>/reactions/<key:key>": ReactionHandler,
    "/api/v1/files": FilesHandler,
    "/api/v1/files/<name>": FileHandler,
    "/api/v1/geocode": GeocodeHandler,
    "/api/v1/huddles": HuddlesHandler,
    "/api/v1/huddles/<huddle:item>": HuddleHandler,
    "/api/v1/huddles/<huddle:item>/bookmark": BookmarkHandler,
    "/api/v1/huddles/<huddle:item>/draft": DraftHandler,
    "/api/v1/huddles/<huddle:item>/lastcomment": HuddleLastCommentHandler,
    "/api/v1/huddles/<huddle:item>/newcomment": HuddleNewCommentHandler,
    "/api/v1/huddles/<huddle:item>/participants": ParticipantsHandler,
    "/api/v1/huddles/<huddle:item>/participants/<profile:profileId>": ParticipantHandler,
    "/api/v1/ignored": IgnoredHandler,
    "/api/v1/ignored/batch": IgnoredBatchHandler,
    "/api/v1/keys": KeysHandler,
    "/api/v1/keys/<number:key_id>": KeyHandler,
    "/api/v1/legal": LegalHandler,
    "/api/v1/legal/<document>/versions": LegalVersionsHandler,
    "/api/v1/legal/<document>/versions/<number:version>": LegalVersionHandler,
    "/api/v1/legal/<document>/versions/<number:version>/diff": LegalDifferenceHandler,
    "/api/v1/legal/cookies": CookiesHandler,
    "/api/v1/legal/privacy": PrivacyHandler,
    "/api/v1/legal/terms": TermsHandler,
    "/api/v1/links": LinksHandler,
    "/api/v1/live": LiveHandler,
    "/api/v1/live/events": LiveEventsHandler,
    "/api/v1/live/poll": LivePollHandler,
    "/api/v1/live/tickets": TicketsHandler,
    "/api/v1/mcp": McpHandler,
    "/api/v1/microcosms": MicrocosmsHandler,
    "/api/v1/microcosms/<microcosm:item>": MicrocosmHandler,
    "/api/v1/microcosms/<microcosm:item>/attributes": AttributesHandler,
    "/api/v1/microcosms/<microcosm:item>/attributes/<key:key>": AttributeHandler,
    "/api/v1/microcosms/<microcosm:item>/draft": DraftHandler,
    "/api/v1/microcosms/<microcosm:item>/ical": MicrocosmCalendarHandler,
    "/api/v1/microcosms/<microcosm:item>/roles": RolesHandler,
    "/api/v1/microcosms/<microcosm:item>/roles/<key:role>": RoleHandler,
    "/api/v1/microcosms/<microcosm:item>/roles/<role:role>/criteria": CriteriaHandler,
    "/api/v1/microcosms/<microcosm:item>/roles/<role:role>/criteria/<number:criterion>": CriterionHandler,
    "/api/v1/microcosms/<microcosm:item>/roles/<role:role>/members": RoleMembersHandler,
    "/api/v1/microcosms/<microcosm:item>/roles/<role:role>/profiles": RoleProfilesHandler,
    "/api/v1/microcosms/<microcosm:item>/roles/<role:role>/profiles/<profile:profile>": RoleProfileHandler,
    "/api/v1/microcosms/tree": MicrocosmTreeHandler,
    "/api/v1/moderation": ModerationHandler,
    "/api/v1/oauth/clients": ClientsHandler,
    "/api/v1/oauth/clients/<number:client_id>": ClientHandler,
    "/api/v1/oauth/clients/<number:client_id>/secret": ClientSecretHandler,
    "/api/v1/oauth/device": OAuthDeviceHandler,
    "/api/v1/oauth/grants": GrantsHandler,
    "/api/v1/oauth/grants/<number:grant_id>": GrantHandler,
    "/api/v1/oauth/introspect": OAuthIntrospectHandler,
    "/api/v1/oauth/revoke": OAuthRevokeHandler,
    "/api/v1/oauth/scopes": ScopesHandler,
    "/api/v1/oauth/token": OAuthTokenHandler,
    "/api/v1/openapi.json": OpenapiHandler,
    "/api/v1/out/<code>": OutHandler,
    "/api/v1/permission": PermissionHandler,
    "/api/v1/permission/batch": PermissionBatchHandler,
    "/api/v1/polls": PollsHandler,
    "/api/v1/polls/<poll:item>": PollHandler,
    "/api/v1/polls/<poll:item>/attributes": AttributesHandler,
    "/api/v1/polls/<poll:item>/attributes/<key:key>": AttributeHandler,
    "/api/v1/polls/<poll:item>/bookmark": BookmarkHandler,
    "/api/v1/polls/<poll:item>/draft": DraftHandler,
    "/api/v1/polls/<poll:item>/lastcomment": LastCommentHandler,
    "/api/v1/polls/<poll:item>/newcomment": NewCommentHandler,
    "/api/v1/polls/<poll:item>/reactions": ReactionsHandler,
    "/api/v1/polls/<poll:item>/reactions/<key:key>": ReactionHandler,
    "/api/v1/polls/<poll:item>/votes": VotesHandler,
    "/api/v1/preview": PreviewHandler,
    "/api/v1/profiles": ProfilesHandler,
    "/api/v1/profiles/<profile:item>": ProfileHandler,
    "/api/v1/profiles/<profile:item>/attachments": AttachmentsHandler,
    "/api/v1/profiles/<profile:item>/attachments/<name>": AttachmentHandler,
    "/api/v1/profiles/<profile:item>/attributes": AttributesHandler,
    "/api/v1/profiles/<profile:item>/attributes/<key:key>": AttributeHandler,
    "/api/v1/profiles/<profile:item>/draft": DraftHandler,
    "/api/v1/profiles/<profile:item>/erasure": ProfileErasureHandler,
    "/api/v1/profiles/<profile:item>/export": PersonalExportHandler,
    "/api/v1/profiles/<profile:item>/export/file": PersonalExportFileHandler,
    "/api/v1/profiles/<profile:item>/ical": ProfileCalendarHandler,
    "/api/v1/profiles/<profile:item>/quotations": QuotationsHandler,
    "/api/v1/profiles/<profile:item>/roles": HeldRolesHandler,
    "/api/v1/profiles/options": ProfileOptionsHandler,
    "/api/v1/profiles/read": ProfileReadHandler,
    "/api/v1/profiles/read/batch": ProfileReadBatchHandler,
    "/api/v1/reports": ReportsHandler,
    "/api/v1/reports/<number:report>": ReportHandler,
    "/api/v1/reports/guest": GuestReportsHandler,
    "/api/v1/resolve": ResolveHandler,
    "/api/v1/roles": DefaultRolesHandler,
    "/api/v1/roles/<role:role>": RoleHandler,
    "/api/v1/roles/<role:role>/criteria": CriteriaHandler,
    "/api/v1/roles/<role:role>/criteria/<number:criterion>": CriterionHandler,
    "/api/v1/roles/<role:role>/members": RoleMembersHandler,
    "/api/v1/roles/<role:role>/profiles": RoleProfilesHandler,
    "/api/v1/roles/<role:role>/profiles/<profile:profile>": RoleProfileHandler,
    "/api/v1/rules": ModerationRulesHandler,
    "/api/v1/rules/<number:rule>": ModerationRuleHandler,
    "/api/v1/rules/<number:rule>/hits": ModerationRuleHitsHandler,
    "/api/v1/rules/<number:rule>/versions": ModerationRuleVersionsHandler,
    "/api/v1/rules/dry-run": ModerationRuleDryRunHandler,
    "/api/v1/search": SearchHandler,
    "/api/v1/search/suggestions": SuggestionsHandler,
    "/api/v1/sessions": SessionsHandler,
    "/api/v1/sessions/<number:session_id>": SessionHandler,
    "/api/v1/site": OwnSiteHandler,
    "/api/v1/site/<site:item>/attributes": AttributesHandler,
    "/api/v1/site/<site:item>/attributes/<key:key>": AttributeHandler,
    "/api/v1/site/audit": AuditHandler,
    "/api/v1/site/auth": SiteAuthHandler,
    "/api/v1/site/auth/<method>": SiteAuthMethodHandler,
    "/api/v1/site/avatars": SiteAvatarsHandler,
    "/api/v1/site/checks": ChecksHandler,
    "/api/v1/site/consents": SiteConsentsHandler,
    "/api/v1/site/crawling": CrawlingHandler,
    "/api/v1/site/deletion": SiteDeletionHandler,
    "/api/v1/site/export": SiteExportHandler,
    "/api/v1/site/export/archive": ExportArchiveHandler,
    "/api/v1/site/import": SiteImportHandler,
    "/api/v1/site/import/leftovers": ImportLeftoversHandler,
    "/api/v1/site/legal": SiteLegalHandler,
    "/api/v1/site/legal/<document>": SiteLegalDocumentHandler,
    "/api/v1/site/mail": MailTemplatesHandler,
    "/api/v1/site/mail/<template>": MailTemplateHandler,
    "/api/v1/site/menu": OwnMenuHandler,
    "/api/v1/site/offer": SiteOfferHandler,
    "/api/v1/site/options": SiteOptionsHandler,
    "/api/v1/site/plan": OwnPlanHandler,
    "/api/v1/site/privacy": SitePrivacyHandler,
    "/api/v1/site/reactions": ReactionKindsHandler,
    "/api/v1/site/report-kinds": ReportKindsHandler,
    "/api/v1/site/retention": SiteRetentionHandler,
    "/api/v1/site/search": SiteSearchHandler,
    "/api/v1/site/transparency": TransparencyHandler,
    "/api/v1/site/transparency/csv": TransparencyCsvHandler,
    "/api/v1/site/usage": OwnUsageHandler,
    "/api/v1/site/usage/csv": OwnUsageCsvHandler,
    "/api/v1/statements": StatementsHandler,
    "/api/v1/statements/<number:statement>": StatementHandler,
    "/api/v1/statements/<number:statement>/appeal": StatementAppealHandler,
    "/api/v1/trending": TrendingHandler,
    "/api/v1/updates": UpdatesHandler,
    "/api/v1/updates/email": EmailSettingsHandler,
    "/api/v1/updates/preferences": PreferencesHandler,
    "/api/v1/updates/preferences/<number:type>": PreferenceHandler,
    "/api/v1/updates/push": PushSubscriptionsHandler,
    "/api/v1/updates/push/<number:subscription_id>": PushSubscriptionHandler,
    "/api/v1/users": UsersHandler,
    "/api/v1/users/<user:item>": UserHandler,
    "/api/v1/users/<user:item>/erasure": AccountErasureHandler,
    "/api/v1/users/batch": UsersBatchHandler,
    "/api/v1/watchers": WatchersHandler,
    "/api/v1/watchers/<number:watcher>": WatcherHandler,
    "/api/v1/watchers/batch": WatchersBatchHandler,
    "/api/v1/watchers/delete": WatcherByItemHandler,
    "/api/v1/watchers/patch": WatcherByItemHandler,
    "/api/v1/webhooks": WebhooksHandler,
    "/api/v1/webhooks/<number:webhook_id>": WebhookHandler,
    "/api/v1/webhooks/<number:webhook_id>/deliveries": WebhookDeliveriesHandler,
    "/api/v1/webhooks/<number:webhook_id>/ping": WebhookPingHandler,
    "/api/v1/webhooks/<number:webhook_id>/replay": WebhookReplayHandler,
    "/api/v1/webhooks/<number:webhook_id>/secret": WebhookSecretHandler,
    "/api/v1/whoami": WhoamiHandler,
    "/auth/huddles": HuddlesPageHandler,
    "/mail/appeal": MailedAppealHandler,
    "/mail/report": MailedReportHandler,
    "/mail/unsubscribe": UnsubscribeHandler,
    "/oauth/authorize": AuthorizeHandler,
    "/oauth/device": DevicePageHandler,
    "/oauth/link": EmailLinkHandler,
}
