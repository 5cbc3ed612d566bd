-- Constants of the wire contract (platform 11, discovery 2.2). Run at every migrate; changes nothing that is there already.

INSERT INTO item_types (item_type_id, name, search_rank) VALUES
    (1, 'site', 10), (2, 'microcosm', 8), (3, 'profile', 9), (4, 'comment', 2), (5, 'huddle', 5), (6, 'conversation', 4),
    (7, 'poll', 5), (8, 'article', 5), (9, 'event', 6), (10, 'question', 5), (11, 'classified', 5), (12, 'album', 5),
    (13, 'attendee', 0), (14, 'user', 0), (15, 'attribute', 0), (16, 'update', 0), (17, 'role', 0), (18, 'update_type', 0),
    (19, 'watcher', 0), (20, 'auth', 0), (21, 'attachment', 0)
ON CONFLICT DO NOTHING;

INSERT INTO value_types (value_type_id, name) VALUES (1, 'string'), (2, 'date'), (3, 'number'), (4, 'boolean')
ON CONFLICT DO NOTHING;

INSERT INTO attendee_states (state_id, name) VALUES (1, 'yes'), (2, 'maybe'), (3, 'invited'), (4, 'no')
ON CONFLICT DO NOTHING;

INSERT INTO update_types (update_type_id, name, description, send_email, send_push) VALUES
    (1, 'new_comment', 'Someone comments on something you follow', false, false),
    (2, 'reply_to_comment', 'Someone replies to a comment of yours', false, true),
    (3, 'mentioned', 'Someone mentions you in a comment', false, true),
    (4, 'new_comment_in_huddle', 'Someone writes in a huddle you follow', false, true),
    (5, 'new_attendee', 'Someone will attend an event you follow', false, false),
    (6, 'new_vote', 'Someone votes in a poll you follow', false, false),
    (7, 'event_reminder', 'An event you attend is close', false, true),
    (8, 'new_item', 'Something new is posted in a microcosm you follow', false, false),
    (9, 'new_user', 'A new person joins the site', true, false),
    (10, 'event_invitation', 'Someone invites you to an event', true, true),
    (11, 'statement', 'Moderators did something about what you wrote', true, false),
    (12, 'report_received', 'A report of yours is with the moderators', true, false),
    (13, 'report_decided', 'Moderators decided about a report of yours', true, false),
    (14, 'appeal_decided', 'Moderators decided about an appeal of yours', true, false)
ON CONFLICT DO NOTHING;

INSERT INTO platform_options (one) VALUES (true) ON CONFLICT DO NOTHING;

INSERT INTO themes (theme_id, title, logo_url, favicon_url, background_url) VALUES
    (1, 'Default', '/static/themes/1/logo.png', '/static/img/favico.png', '/static/themes/1/background.png')
ON CONFLICT DO NOTHING;

INSERT INTO reserved_subdomains (subdomain_key)
SELECT unnest(string_to_array('about abuse account accounts admin admins adminstrator adminstrators api assets atom billing billings '
    'blog bugs calendar chat code communities community contact contributors coppa copyright css customise customize demo dev '
    'developer developers development direct docs email example feedback files forum ftp git help hostmaster imap inbox jabber lab '
    'login mail manage mobile mx official owa pages payment policy pop postmaster press privacy prod production profile search '
    'secure signup sitemap sites smtp ssl staff stage staging static status support username usernames users webmail webmaster www '
    'xmpp administrator administrators root', ' '))
ON CONFLICT DO NOTHING;

-- The root site manages the others and has no content (platform 2.1).
INSERT INTO sites (site_id, title, description, subdomain_key)
VALUES (1, 'forumapi', 'The platform''s own site', 'root') ON CONFLICT DO NOTHING;
INSERT INTO site_options (site_id) VALUES (1) ON CONFLICT DO NOTHING;
INSERT INTO site_stats (site_id) VALUES (1) ON CONFLICT DO NOTHING;
SELECT setval(pg_get_serial_sequence('sites', 'site_id'), greatest(1, (SELECT max(site_id) FROM sites)));
