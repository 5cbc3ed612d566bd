"""Every recorded exchange, accounted for: replayed, or cut off by the recording.

Where we deviate, deviations.py says so. test_accounting.py holds the sums together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .recording import load
from .replay import play
from .world import Scene

RECORDED_IN_ALL = 331
"""How many exchanges were recorded with the v1 server."""

Situation = Callable[[Scene], None]
"""Brings about what a recording presupposes, and says which of our ids stand for recorded ones."""


def standing(scene: Scene) -> None:
    """The site as every scene finds it: sections, forums, conversations, and two new members."""


def something_new(scene: Scene) -> None:
    """Somebody has just commented, so the forums have something that the members have not read."""
    scene.comment(scene.world.owner, "conversation", scene.world.busy_in_section)
    scene.comment(scene.world.owner, "conversation", scene.world.busy_in_forum)


def without_content(scene: Scene) -> None:
    """member1 has written nothing; a conversation of the owner's without comments is 4993."""
    scene.ids["conversations/4993"] = scene.conversation(scene.world.owner)


def followed_thread(scene: Scene) -> None:
    """A long thread in which member1 has commented, and so follows."""
    scene.ids["conversations/4993"] = scene.world.followed
    scene.ids["comments/99554"] = scene.world.early_comment
    scene.comment(scene.member1, "conversation", scene.world.followed)


def own_conversation(scene: Scene) -> None:
    """member1 has just begun a conversation; nobody has commented."""
    scene.ids["conversations/5001"] = scene.conversation(scene.member1)


def closed_conversation(scene: Scene) -> None:
    """member1 has closed their conversation."""
    own_conversation(scene)
    scene.flag(scene.member1, f"conversations/{scene.ids['conversations/5001']}", "open", False)


def pinned_and_closed_conversation(scene: Scene) -> None:
    """member1 renamed their conversation, the owner pinned it, member1 closed it."""
    own_conversation(scene)
    path = f"conversations/{scene.ids['conversations/5001']}"
    scene.put(
        scene.member1, path, {"title": "A renamed conversation", "meta": {"editReason": "better"}}
    )
    scene.flag(scene.world.owner, path, "sticky", True)
    scene.flag(scene.member1, path, "open", False)


def moderated_conversation(scene: Scene) -> None:
    """The owner has put member1's conversation under moderation."""
    scene.ids["conversations/5003"] = scene.conversation(scene.member1)
    scene.flag(
        scene.world.owner, f"conversations/{scene.ids['conversations/5003']}", "moderated", True
    )


def watched_conversation(scene: Scene) -> None:
    """member1 watches a thread and wants e-mail about it."""
    scene.watch(scene.member1, scene.world.other_thread, email=True)


def ignored_conversation(scene: Scene) -> None:
    """member1 ignores a thread."""
    scene.ignore(scene.member1, "conversation", scene.world.other_thread)


def ignored_microcosm(scene: Scene) -> None:
    """member1 ignores a forum in the last section."""
    something_new(scene)
    scene.ignore(scene.member1, "microcosm", scene.world.last_forum)


def ignorable(scene: Scene) -> None:
    """A forum, a thread and a person that member1 does not ignore yet."""
    scene.ids["microcosms/26"] = scene.world.last_forum
    scene.ids["profiles/27"] = scene.member2.id


def ignored_things(scene: Scene) -> None:
    """member1 ignores a forum and a person."""
    ignorable(scene)
    scene.ignore(scene.member1, "microcosm", scene.world.last_forum)
    scene.ignore(scene.member1, "profile", scene.member2.id)


def role_of_another(scene: Scene) -> None:
    """A role of a forum that member1 has no part in."""
    scene.ids["roles/20"] = scene.world.create(
        f"microcosms/{scene.ids['microcosms/19']}/roles",
        {"title": "Keepers", "moderator": True},
        by=scene.world.owner,
    )


def own_comment(scene: Scene) -> None:
    """member1 has commented, with emphasis, a link, a hashtag and a mention."""
    without_content(scene)
    scene.ids["comments/100001"] = scene.comment(
        scene.member1,
        "conversation",
        scene.ids["conversations/4993"],
        "Hello **world**, see http://www.example.com/page and #hashtag "
        f"and @{scene.member2.name}.\n\n> quoted\n\n`code`",
    )


def edited_comment(scene: Scene) -> None:
    """member1 has edited a comment, and member2 has replied to it."""
    own_comment(scene)
    comment = scene.ids["comments/100001"]
    scene.ids["comments/100002"] = scene.comment(
        scene.member2, "conversation", scene.ids["conversations/4993"], reply_to=comment
    )
    scene.put(scene.member1, f"comments/{comment}", {"markdown": "Edited *text*."})


def comment_of_another(scene: Scene) -> None:
    """member2 has commented."""
    without_content(scene)
    scene.ids["comments/100002"] = scene.comment(
        scene.member2, "conversation", scene.ids["conversations/4993"]
    )


def moderated_comment(scene: Scene) -> None:
    """The owner has put member2's comment under moderation."""
    comment_of_another(scene)
    scene.flag(scene.world.owner, f"comments/{scene.ids['comments/100002']}", "moderated", True)


def huddle(scene: Scene) -> None:
    """member1 has begun a huddle with member2; two more people are on the site."""
    scene.ids["huddles/1"] = scene.huddle("A private talk")
    scene.ids["participants/8"] = scene.member2.id
    for recorded in (12, 13):
        stranger = scene.stranger()
        scene.ids |= {f"profiles/{recorded}": stranger, f"participants/{recorded}": stranger}


def confidential_huddle(scene: Scene) -> None:
    """member1 has begun a confidential huddle with member2; somebody else is on the site."""
    scene.ids["huddles/2"] = scene.huddle("Confidential", is_confidential=True)
    scene.ids["profiles/12"] = scene.stranger()


def said_before(scene: Scene) -> None:
    """member1 has sent the very same comment a moment ago."""
    without_content(scene)
    first = play(scene, load("member-POST-comment-duplicate"))
    scene.ids["comments/100001"] = int(first.headers["location"].rpartition("/")[2])


def commented_profile(scene: Scene) -> None:
    """member1 has written about themselves."""
    scene.ids["comments/100008"] = scene.comment(
        scene.member1, "profile", scene.member1.id, "About me"
    )


def own_event(scene: Scene) -> None:
    """member1 has announced an event."""
    made = play(scene, load("member-POST-event"))
    scene.ids["events/1"] = int(made.headers["location"].rpartition("/")[2])


def minimal_event(scene: Scene) -> None:
    """member1 has announced an event of which nothing but its title is known."""
    made = play(scene, load("member-POST-event-minimal"))
    scene.ids["events/2"] = int(made.headers["location"].rpartition("/")[2])


def edited_event(scene: Scene) -> None:
    """member1 has moved their event by a day."""
    own_event(scene)
    play(scene, load("member-PUT-event"))


def answered_event(scene: Scene) -> None:
    """member1 comes to their event, member2 perhaps."""
    edited_event(scene)
    play(scene, load("member-PUT-attendees"))
    scene.answer(scene.member2, scene.ids["events/1"], "maybe")
    scene.ids["attendees/7"] = scene.member1.id
    scene.ids["attendees/57"] = scene.world.owner.id
    scene.texts |= {"member1@example.org": scene.member1.email, ",7,": f",{scene.member1.id},"}


def commented_event(scene: Scene) -> None:
    """member1 has asked who comes."""
    answered_event(scene)
    made = play(scene, load("member-POST-comment-event"))
    scene.ids["comments/100006"] = int(made.headers["location"].rpartition("/")[2])


def pinned_event(scene: Scene) -> None:
    """Somebody who moderates has pinned member1's event after it was commented."""
    commented_event(scene)
    scene.ids["profiles/2"] = scene.world.owner.id
    scene.flag(scene.world.owner, f"events/{scene.ids['events/1']}", "sticky", True)


def made_member(scene: Scene) -> None:
    """The owner has made member1 a member; member1 has written about themselves."""
    commented_profile(scene)
    scene.make_member(scene.member1)


def own_language(scene: Scene) -> None:
    """member1 speaks British English."""
    scene.speak(scene.member1, "en-gb")


def another_token(scene: Scene) -> None:
    """member2 has signed in a second time."""
    scene.sign_in_again()


def signed_out(scene: Scene) -> None:
    """member2 has signed in a second time and out again."""
    scene.sign_in_again()
    scene.sign_out()


def link(scene: Scene) -> None:
    """A comment holds a link to elsewhere, which got a short code."""
    scene.texts["/out/kb"] = f"/out/{scene.short_link('http://www.example.com/page')}"


def another_site(scene: Scene) -> None:
    """The owner has one more site, whose menu nobody else reads."""
    scene.ids["sites/6"] = scene.world.new_site(scene.free_key())


def many_members(scene: Scene) -> None:
    """The site has more members than a page lists."""
    scene.world.fill_up(60)


def few_online(scene: Scene) -> None:
    """Nobody but the two members and the owner was there in the last hours."""
    scene.leave_all_but(scene.member1, scene.member2, scene.world.owner)


def namesakes(scene: Scene) -> None:
    """A few people's names begin alike."""
    beginning = f"alike{scene.world.unique()}x"
    scene.texts["q=member"] = f"q={beginning}"
    for ending in ("one", "two", "three", "four"):
        scene.world.member(beginning + ending)


def own_options(scene: Scene) -> None:
    """member1 shows their birthday and wants no e-mail."""
    options = {"showDOB": True, "showDOBYear": True, "sendEmail": False}
    scene.put(scene.member1, "profiles/options", options)


def new_site(scene: Scene) -> None:
    """The name of the site to come is free."""
    scene.texts['"subdomainKey": "peer"'] = f'"subdomainKey": "{scene.free_key()}"'
    del scene.ids["sites/6"]


def uploaded_file(scene: Scene) -> None:
    """member1 has uploaded a picture, and commented."""
    play(scene, load("member-POST-files"))
    without_content(scene)
    scene.ids["comments/100004"] = scene.comment(
        scene.member1, "conversation", scene.ids["conversations/4993"]
    )


def attached_file(scene: Scene) -> None:
    """member1 has attached the picture to their comment."""
    uploaded_file(scene)
    play(scene, load("member-POST-comment-attachment"))


def own_avatar(scene: Scene) -> None:
    """The picture is member1's avatar; they have written about themselves."""
    play(scene, load("member-POST-files"))
    play(scene, load("member-POST-profile-attachment"))
    commented_profile(scene)


def event_with_attributes(scene: Scene) -> None:
    """member1 has announced an event and given it four attributes."""
    own_event(scene)
    play(scene, load("member-PUT-event-attributes"))


def event_and_poll(scene: Scene) -> None:
    """A section of three pages, watched and read, with an event, pinned, and a poll, which no page shows."""
    scene.ids["microcosms/19"] = scene.world.new_section()
    own_poll(scene)
    pinned_event(scene)
    section = scene.ids["microcosms/19"]
    scene.watch(scene.member1, section, email=False, item_type="microcosm")
    body = {"itemType": "microcosm", "itemId": section}
    scene.world.write("PUT", "profiles/read", body, by=scene.member1, expect=200)


def sampled(scene: Scene) -> None:
    """The platform's figures were counted today, and never before."""
    scene.forget_samples()
    play(scene, load("rootsite-owner-PUT-metrics"))


def watched_things(scene: Scene) -> None:
    """member1 watches a thread, and no more."""
    scene.watch(scene.member1, scene.world.other_thread, email=False)
    scene.ids["watchers/14360"] = scene.watcher_of(scene.member1, scene.world.other_thread)


def watching_much(scene: Scene) -> None:
    """member1 watches two pages of conversations."""
    for conversation in scene.world.in_forum[:36]:
        scene.watch(scene.member1, conversation, email=False)


def watching_more(scene: Scene) -> None:
    """member1 watches a section with a commented event that they come to, and many people."""
    event_and_poll(scene)
    scene.watch(scene.member1, scene.member1.id, email=False, item_type="profile")
    for _ in range(30):
        scene.watch(scene.member1, scene.stranger(), email=False, item_type="profile")


def own_poll(scene: Scene) -> None:
    """A poll of member1's, already closed; it came in by another way, so member1 does not watch it."""
    scene.ids["polls/1"] = scene.poll(scene.member1)


def commented_poll(scene: Scene) -> None:
    """member1 has changed the poll, which leaves two choices, and commented on it."""
    own_poll(scene)
    play(scene, load("member-PUT-poll"))
    play(scene, load("member-POST-comment-poll"))


def much_heard(scene: Scene) -> None:
    """member1 follows a conversation with news, and has had 52 replies, all but one before them."""
    chat = scene.conversation(scene.world.owner)
    scene.watch(scene.member1, chat, email=False)
    scene.comment(scene.world.owner, "conversation", chat)
    comments = scene.plain_comments(scene.world.followed, 51)
    comments.insert(26, scene.plain_comments(scene.world.busy_in_section, 1)[0])
    scene.hear_replies(scene.member1, comments)


def trending(scene: Scene) -> None:
    """The long threads are hotter than anything else."""
    scene.ids["conversations/4993"] = scene.hottest()


def words_of_comments(scene: Scene) -> None:
    """Return what is searched for stands in comments alone."""
    scene.texts["bicycle"] = "velocipede"


def followed_bicycles(scene: Scene) -> None:
    """member1 watches two conversations with the word in their titles."""
    scene.watch(scene.member1, scene.world.busy_in_section, email=False)
    scene.watch(scene.member1, scene.world.busy_in_forum, email=False)


def only_event(scene: Scene) -> None:
    """member1's pinned event is the only one that member1 does not ignore."""
    pinned_event(scene)
    for event in scene.other_events(scene.ids["events/1"]):
        scene.ignore(scene.member1, "event", event)


def unknown_key(scene: Scene) -> None:
    """A key that means nothing is sent as it was recorded."""
    scene.ids["microcosms/24"] = 24


CASES: Mapping[str, Situation] = {
    "405-DELETE-microcosms": standing,
    "405-DELETE-search": standing,
    "405-DELETE-trending": standing,
    "405-DELETE-whoami": standing,
    "DELETE-auth": another_token,
    "GET-auth-token": another_token,
    "GET-auth-withheader": another_token,
    "GET-whoami-after-DELETE-auth": signed_out,
    "HEAD-conversation": standing,
    "HEAD-conversations": standing,
    "HEAD-microcosms": standing,
    "OPTIONS-api": standing,
    "OPTIONS-api-v1": standing,
    "OPTIONS-attendee": standing,
    "OPTIONS-attendees": standing,
    "OPTIONS-attendeescsv": standing,
    "OPTIONS-auth": standing,
    "OPTIONS-auth0": standing,
    "OPTIONS-comment": standing,
    "OPTIONS-comment-attachment": standing,
    "OPTIONS-comment-attachments": standing,
    "OPTIONS-comment-attribute": standing,
    "OPTIONS-comment-attributes": standing,
    "OPTIONS-comment-incontext": standing,
    "OPTIONS-comments": standing,
    "OPTIONS-conversation": standing,
    "OPTIONS-conversations": standing,
    "OPTIONS-event": standing,
    "OPTIONS-events": standing,
    "OPTIONS-file": standing,
    "OPTIONS-files": standing,
    "OPTIONS-geocode": standing,
    "OPTIONS-huddle": standing,
    "OPTIONS-huddle-participant": standing,
    "OPTIONS-huddle-participants": standing,
    "OPTIONS-huddles": standing,
    "OPTIONS-ignored": standing,
    "OPTIONS-lastcomment": standing,
    "OPTIONS-legal": standing,
    "OPTIONS-legals": standing,
    "OPTIONS-menu": standing,
    "OPTIONS-microcosm": standing,
    "OPTIONS-microcosm-roles": standing,
    "OPTIONS-microcosms": standing,
    "OPTIONS-newcomment": standing,
    "OPTIONS-permission": standing,
    "OPTIONS-poll": standing,
    "OPTIONS-polls": standing,
    "OPTIONS-profile": standing,
    "OPTIONS-profiles": standing,
    "OPTIONS-profiles-options": standing,
    "OPTIONS-profiles-read": standing,
    "OPTIONS-resolve": standing,
    "OPTIONS-role": standing,
    "OPTIONS-role-criteria": standing,
    "OPTIONS-role-criterion": standing,
    "OPTIONS-role-members": standing,
    "OPTIONS-role-profile": standing,
    "OPTIONS-role-profiles": standing,
    "OPTIONS-roles": standing,
    "OPTIONS-root": standing,
    "OPTIONS-rootsite-host": standing,
    "OPTIONS-rootsite-metrics": standing,
    "OPTIONS-rootsite-out": standing,
    "OPTIONS-rootsite-reserved": standing,
    "OPTIONS-rootsite-site": standing,
    "OPTIONS-rootsite-site-status": standing,
    "OPTIONS-rootsite-sites": standing,
    "OPTIONS-search": standing,
    "OPTIONS-site": standing,
    "OPTIONS-tree": standing,
    "OPTIONS-trending": standing,
    "OPTIONS-updates": standing,
    "OPTIONS-updates-preference": standing,
    "OPTIONS-updates-preferences": standing,
    "OPTIONS-user": standing,
    "OPTIONS-users": standing,
    "OPTIONS-users-batch": standing,
    "OPTIONS-watcher": standing,
    "OPTIONS-watchers": standing,
    "OPTIONS-whoami": standing,
    "POST-auth": standing,
    "POST-auth-badassertion": standing,
    "POST-auth-badsecret": standing,
    "POST-auth-empty": standing,
    "POST-auth0-unconfigured": standing,
    "POST-sites-created": new_site,
    "POST-sites-on-subdomain": standing,
    "always200": standing,
    "badauth-basic-GET-whoami": standing,
    "badauth-oneword-GET-whoami": standing,
    "badtoken-GET-microcosms": standing,
    "badtoken-GET-whoami": standing,
    "context-param": standing,
    "disableBoiler": standing,
    "disableBoiler-header": standing,
    "jsonp": standing,
    "member-DELETE-comment-attachment": attached_file,
    "member-DELETE-event-attribute": event_with_attributes,
    "member-DELETE-huddle": huddle,
    "member-DELETE-huddle-participant-other": huddle,
    "member-DELETE-ignored-conversation": ignored_conversation,
    "member-DELETE-ignored-microcosm": ignored_things,
    "member-DELETE-ignored-profile": ignored_things,
    "member-DELETE-watcher-byid": watched_things,
    "member-DELETE-watcher-byitem": watched_things,
    "member-GET-attendee": answered_event,
    "member-GET-attendee-404": answered_event,
    "member-GET-attendees": answered_event,
    "member-GET-attendees-attending": answered_event,
    "member-GET-attendeescsv": answered_event,
    "member-GET-comment": standing,
    "member-GET-comment-attachments-empty": standing,
    "member-GET-comment-created": own_comment,
    "member-GET-comment-edited": edited_comment,
    "member-GET-comment-incontext-follow": followed_thread,
    "member-GET-comment-incontext-limit": standing,
    "member-GET-comment-incontext2": standing,
    "member-GET-comment-moderated": moderated_comment,
    "member-GET-comments-405": standing,
    "member-GET-conversation": standing,
    "member-GET-conversation-404": standing,
    "member-GET-conversation-badoffset": standing,
    "member-GET-conversation-created": own_conversation,
    "member-GET-conversation-hugeid": standing,
    "member-GET-conversation-ignored": ignored_conversation,
    "member-GET-conversation-lastcomment-none": own_conversation,
    "member-GET-conversation-limit1000": standing,
    "member-GET-conversation-limit50-last": standing,
    "member-GET-conversation-limit7": standing,
    "member-GET-conversation-limitneg": standing,
    "member-GET-conversation-limitx": standing,
    "member-GET-conversation-moderated": moderated_conversation,
    "member-GET-conversation-newcomment-none": own_conversation,
    "member-GET-conversation-offsetpastend": standing,
    "member-GET-conversation-page2": standing,
    "member-GET-conversation-sticky-edited": pinned_and_closed_conversation,
    "member-GET-conversation-watched": watched_conversation,
    "member-GET-event": own_event,
    "member-GET-event-attribute": event_with_attributes,
    "member-GET-event-attribute-404": event_with_attributes,
    "member-GET-event-attributes": event_with_attributes,
    "member-GET-event-edited": edited_event,
    "member-GET-event-lastcomment": commented_event,
    "member-GET-event-minimal": minimal_event,
    "member-GET-event-newcomment": commented_event,
    "member-GET-event-with-comment": pinned_event,
    "member-GET-huddle": huddle,
    "member-GET-huddle-confidential": confidential_huddle,
    "member-GET-huddle-participant": huddle,
    "member-GET-huddle-participants": huddle,
    "member-GET-ignored": ignored_things,
    "member-GET-ignored-empty": standing,
    "member-GET-microcosm-leaf": something_new,
    "member-GET-microcosm-leaf-page2": something_new,
    "member-GET-microcosm-top": something_new,
    "member-GET-microcosm-with-event-and-poll": event_and_poll,
    "member-GET-microcosms": something_new,
    "member-GET-microcosms-with-ignored": ignored_microcosm,
    "member-GET-permission": standing,
    "member-GET-permission-conv": standing,
    "member-GET-poll": own_poll,
    "member-GET-poll-lastcomment": own_poll,
    "member-GET-poll-with-comment": commented_poll,
    "member-GET-profile": standing,
    "member-GET-profile-attachments": standing,
    "member-GET-profile-self": standing,
    "member-GET-profile-with-comment": commented_profile,
    "member-GET-profiles": many_members,
    "member-GET-profiles-online": few_online,
    "member-GET-profiles-options": own_options,
    "member-GET-profiles-q": namesakes,
    "member-GET-profiles-top": many_members,
    "member-GET-role-members": role_of_another,
    "member-GET-search": words_of_comments,
    "member-GET-search-authorid": standing,
    "member-GET-search-event": only_event,
    "member-GET-search-event-after": only_event,
    "member-GET-search-event-attendee": only_event,
    "member-GET-search-event-geo": only_event,
    "member-GET-search-following": followed_bicycles,
    "member-GET-search-intitle": standing,
    "member-GET-search-metadata-microcosm": unknown_key,
    "member-GET-search-noresult": standing,
    "member-GET-search-sort-date": words_of_comments,
    "member-GET-search-two-words": words_of_comments,
    "member-GET-search-type-conversation": standing,
    "member-GET-search-type-profile": standing,
    "member-GET-site": standing,
    "member-GET-site-by-id": standing,
    "member-GET-sites-on-subdomain": standing,
    "member-GET-trending": trending,
    "member-GET-updates": much_heard,
    "member-GET-updates-page2": much_heard,
    "member-GET-updates-preference-1": standing,
    "member-GET-updates-preferences": own_options,
    "member-GET-updates-preferences-after": own_options,
    "member-GET-user-self": own_language,
    "member-GET-watcher": watched_things,
    "member-GET-watchers": watching_much,
    "member-GET-watchers-after": watching_more,
    "member-GET-whoami": standing,
    "member-GET-whoami-avatar": own_avatar,
    "member-GET-whoami-is-member": made_member,
    "member-PATCH-comment-moderated": comment_of_another,
    "member-PATCH-conversation-open": own_conversation,
    "member-PATCH-conversation-sticky": own_conversation,
    "member-PATCH-profile-member": standing,
    "member-PATCH-watcher": watched_things,
    "member-POST-comment": without_content,
    "member-POST-comment-attachment": uploaded_file,
    "member-POST-comment-attachment-unknown": uploaded_file,
    "member-POST-comment-badctype": standing,
    "member-POST-comment-baditemtype": standing,
    "member-POST-comment-badjson": standing,
    "member-POST-comment-duplicate": said_before,
    "member-POST-comment-empty": standing,
    "member-POST-comment-event": answered_event,
    "member-POST-comment-form": without_content,
    "member-POST-comment-huddle": huddle,
    "member-POST-comment-missingitem": standing,
    "member-POST-comment-noitemtype": standing,
    "member-POST-comment-on-closed": closed_conversation,
    "member-POST-comment-poll": own_poll,
    "member-POST-comment-profile": standing,
    "member-POST-comment-unknownfields": without_content,
    "member-POST-comment-wrongtype": standing,
    "member-POST-conversation": standing,
    "member-POST-conversation-missingmicrocosm": standing,
    "member-POST-conversation-nomicrocosm": standing,
    "member-POST-conversation-notitle": standing,
    "member-POST-conversation-shouting": standing,
    "member-POST-conversation2": standing,
    "member-POST-event": standing,
    "member-POST-event-badwhen": standing,
    "member-POST-event-minimal": standing,
    "member-POST-files": standing,
    "member-POST-files-json": standing,
    "member-POST-huddle": standing,
    "member-POST-huddle-confidential": standing,
    "member-POST-microcosm": standing,
    "member-POST-poll": standing,
    "member-POST-poll-nochoices": standing,
    "member-POST-profile": standing,
    "member-POST-profile-attachment": uploaded_file,
    "member-POST-role": standing,
    "member-POST-users-batch": standing,
    "member-POST-watcher-conversation": standing,
    "member-POST-watcher-microcosm": standing,
    "member-POST-watcher-noitemtype": standing,
    "member-PUT-attendee": answered_event,
    "member-PUT-attendees": edited_event,
    "member-PUT-attendees-badrsvp": edited_event,
    "member-PUT-comment": own_comment,
    "member-PUT-comment-noreason": own_comment,
    "member-PUT-comment-other": standing,
    "member-PUT-conversation": own_conversation,
    "member-PUT-conversation-noreason": own_conversation,
    "member-PUT-event": own_event,
    "member-PUT-event-attribute": event_with_attributes,
    "member-PUT-event-attribute-bad": event_with_attributes,
    "member-PUT-event-attributes": event_with_attributes,
    "member-PUT-huddle-participant": huddle,
    "member-PUT-huddle-participants": huddle,
    "member-PUT-huddle-participants-confidential": confidential_huddle,
    "member-PUT-ignored-bad": standing,
    "member-PUT-ignored-conversation": ignorable,
    "member-PUT-ignored-microcosm": ignorable,
    "member-PUT-ignored-profile": ignorable,
    "member-PUT-microcosm": standing,
    "member-PUT-poll": own_poll,
    "member-PUT-profile": standing,
    "member-PUT-profile-attributes": standing,
    "member-PUT-profile-badname": standing,
    "member-PUT-profile-nametaken": standing,
    "member-PUT-profile-other": standing,
    "member-PUT-profiles-options": standing,
    "member-PUT-profiles-read-bad": standing,
    "member-PUT-profiles-read-conversation": standing,
    "member-PUT-profiles-read-microcosm": standing,
    "member-PUT-site": standing,
    "member-PUT-site-menu": standing,
    "member-PUT-updates-preference-1": standing,
    "member-PUT-watcher": watched_things,
    "method-override-header": standing,
    "method-override-query": standing,
    "rootsite-POST-sites-disallowed": standing,
    "rootsite-POST-sites-guest": standing,
    "rootsite-POST-sites-taken": standing,
    "rootsite-guest-GET-host": standing,
    "rootsite-guest-GET-host-unknown": standing,
    "rootsite-guest-GET-legal": standing,
    "rootsite-guest-GET-metrics": standing,
    "rootsite-guest-GET-metrics-after-PUT": sampled,
    "rootsite-guest-GET-out": link,
    "rootsite-guest-GET-out-unknown": standing,
    "rootsite-guest-GET-reserved-disallowed": standing,
    "rootsite-guest-GET-reserved-free": standing,
    "rootsite-guest-GET-reserved-used": standing,
    "rootsite-guest-GET-site": standing,
    "rootsite-guest-GET-site6": standing,
    "rootsite-guest-GET-site6-menu": standing,
    "rootsite-guest-GET-site6-status": standing,
    "rootsite-guest-GET-sites": standing,
    "rootsite-guest-GET-sites-limit5": standing,
    "rootsite-guest-GET-sites-owned": standing,
    "rootsite-guest-GET-whoami": standing,
    "rootsite-owner-GET-host": standing,
    "rootsite-owner-GET-host-unknown": standing,
    "rootsite-owner-GET-legal": standing,
    "rootsite-owner-GET-metrics": sampled,
    "rootsite-owner-GET-out-unknown": standing,
    "rootsite-owner-GET-reserved-disallowed": standing,
    "rootsite-owner-GET-reserved-free": standing,
    "rootsite-owner-GET-reserved-used": standing,
    "rootsite-owner-GET-site": standing,
    "rootsite-owner-GET-site6": standing,
    "rootsite-owner-GET-site6-menu": standing,
    "rootsite-owner-GET-site6-status": standing,
    "rootsite-owner-GET-sites": standing,
    "rootsite-owner-GET-sites-limit5": standing,
    "rootsite-owner-GET-sites-owned": standing,
    "rootsite-owner-GET-whoami": standing,
    "rootsite-owner-PUT-metrics": standing,
    "rootsite-owner-PUT-site-menu": another_site,
    "trailing-slash": standing,
    "unknown-domain": standing,
    "unknown-host": standing,
    "unknown-path": standing,
}

CUT: Mapping[str, str] = {
    "member-POST-files-maxwidth": "the recording ends within the request; tests/files holds C-45",
    "rootsite-owner-GET-metrics-after-PUT": "v1 closed the connection; tests/handlers holds P-53",
}
"""Recordings without an answer, and why."""
