--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';

CREATE TABLE public.site_settings (
    id integer,
    name text,
    data_type integer,
    value text
);

COPY public.site_settings (id, name, data_type, value) FROM stdin;
1	title	1	Old & co
2	force_hostname	1	talk.example.org
3	login_required	5	f
\.

CREATE TABLE public.users (
    id integer,
    username text,
    name text,
    created_at timestamp without time zone,
    last_seen_at timestamp without time zone,
    active boolean,
    staged boolean,
    admin boolean,
    moderator boolean,
    trust_level integer,
    title text,
    suspended_at timestamp without time zone,
    suspended_till timestamp without time zone,
    silenced_till timestamp without time zone,
    registration_ip_address text,
    uploaded_avatar_id integer
);

COPY public.users (id, username, name, created_at, last_seen_at, active, staged, admin, moderator, trust_level, title, suspended_at, suspended_till, silenced_till, registration_ip_address, uploaded_avatar_id) FROM stdin;
-1	system	\N	2020-01-01 10:00:00	\N	t	f	t	t	4	\N	\N	\N	\N	\N	\N
1	Ann	Ann B.	2020-01-01 10:00:00	2020-01-09 10:00:00	t	f	t	f	2	Chief	\N	\N	\N	192.0.2.7	1
2	mod.mia	Mia M.	2020-01-01 10:00:00	\N	t	f	f	t	1	Keeper	\N	\N	\N	\N	\N
3	Иван	\N	2020-01-02 10:00:00	\N	t	f	f	f	0	\N	\N	\N	\N	\N	\N
4	bad	\N	2020-01-02 10:00:00	\N	t	f	f	f	0	\N	2020-01-03 10:00:00	2999-01-01 00:00:00	\N	\N	\N
5	3	\N	2020-01-02 10:00:00	\N	f	f	f	f	0	\N	\N	2020-02-01 00:00:00	\N	\N	\N
\.

CREATE TABLE public.user_emails (
    id integer,
    user_id integer,
    email text,
    "primary" boolean
);

COPY public.user_emails (id, user_id, email, "primary") FROM stdin;
1	1	ann@example.org	t
2	1	other@example.org	f
3	3	ivan@example.org	t
\.

CREATE TABLE public.user_profiles (
    user_id integer,
    location text,
    website text,
    bio_raw text
);

COPY public.user_profiles (user_id, location, website, bio_raw) FROM stdin;
1	Larch Lane	\N	I *glue*
2	Elm End	https://b.example	hidden
3	Fir Ford	https://c.example	hidden too
\.

CREATE TABLE public.user_options (
    user_id integer,
    timezone text,
    hide_profile boolean,
    hide_profile_and_presence boolean
);

COPY public.user_options (user_id, timezone, hide_profile, hide_profile_and_presence) FROM stdin;
1	Europe/Berlin	f	f
2	\N	t	f
3	\N	\N	t
\.

CREATE TABLE public.user_fields (
    id integer,
    name text,
    show_on_profile boolean,
    show_on_user_card boolean
);

COPY public.user_fields (id, name, show_on_profile, show_on_user_card) FROM stdin;
1	Place	t	f
2	Phone	f	f
\.

CREATE TABLE public.user_custom_fields (
    id integer,
    user_id integer,
    name text,
    value text
);

COPY public.user_custom_fields (id, user_id, name, value) FROM stdin;
1	1	user_field_1	Attic
2	1	user_field_2	555
3	3	user_field_1	Cellar
\.

CREATE TABLE public.groups (
    id integer,
    name text,
    full_name text,
    bio_raw text
);

COPY public.groups (id, name, full_name, bio_raw) FROM stdin;
0	everyone	\N	\N
3	staff	\N	\N
41	crew	The crew	\N
\.

CREATE TABLE public.group_users (
    id integer,
    group_id integer,
    user_id integer
);

COPY public.group_users (id, group_id, user_id) FROM stdin;
1	41	3
2	3	2
\.

CREATE TABLE public.categories (
    id integer,
    name text,
    description text,
    position integer,
    parent_category_id integer,
    read_restricted boolean,
    created_at timestamp without time zone
);

COPY public.categories (id, name, description, position, parent_category_id, read_restricted, created_at) FROM stdin;
6	Below	\N	1	5	f	2020-01-01 10:00:00
5	Talk & more	About **it**	2	\N	f	2020-01-01 10:00:00
7	Crew		3	\N	t	2020-01-01 10:00:00
8	Staff		4	\N	t	2020-01-01 10:00:00
9	News		5	\N	f	2020-01-01 10:00:00
\.

CREATE TABLE public.category_groups (
    id integer,
    category_id integer,
    group_id integer,
    permission_type integer
);

COPY public.category_groups (id, category_id, group_id, permission_type) FROM stdin;
1	7	41	1
2	8	3	1
3	9	0	3
4	9	3	1
\.

CREATE TABLE public.topics (
    id integer,
    title text,
    category_id integer,
    user_id integer,
    created_at timestamp without time zone,
    views integer,
    closed boolean,
    archived boolean,
    pinned_at timestamp without time zone,
    pinned_until timestamp without time zone,
    visible boolean,
    deleted_at timestamp without time zone,
    archetype text
);

COPY public.topics (id, title, category_id, user_id, created_at, views, closed, archived, pinned_at, pinned_until, visible, deleted_at, archetype) FROM stdin;
10	Hello & <b>	5	1	2020-01-02 10:00:00	7	f	f	2020-01-02 10:00:00	\N	t	\N	regular
11	Gone	5	3	2020-01-03 10:00:00	0	t	f	\N	\N	t	2020-01-04 10:00:00	regular
12	Not listed	6	3	2020-01-03 10:00:00	0	f	f	\N	\N	f	\N	regular
13	Psst	\N	1	2020-01-04 10:00:00	0	f	f	\N	\N	t	\N	private_message
14	For the crew	7	3	2020-01-04 10:00:00	0	f	f	\N	\N	t	\N	regular
15	Nowhere	\N	3	2020-01-04 10:00:00	0	f	f	\N	\N	t	\N	regular
\.

CREATE TABLE public.posts (
    id integer,
    topic_id integer,
    post_number integer,
    post_type integer,
    user_id integer,
    raw text,
    created_at timestamp without time zone,
    last_version_at timestamp without time zone,
    last_editor_id integer,
    edit_reason text,
    reply_to_post_number integer,
    deleted_at timestamp without time zone,
    user_deleted boolean,
    hidden boolean
);

COPY public.posts (id, topic_id, post_number, post_type, user_id, raw, created_at, last_version_at, last_editor_id, edit_reason, reply_to_post_number, deleted_at, user_deleted, hidden) FROM stdin;
100	10	1	1	1	Hi @mod.mia ![a map|690x388, 50%](upload://r3AYqESanERjladb4vBB7VsMBm6.png)\n\n[poll name=p1 type=regular]\n# Which?\n* Front\n* Back <rim>\n[/poll]\n\n<b>x</b>	2020-01-02 10:00:00	2020-01-03 10:00:00	2	typo	\N	\N	f	f
101	10	2	1	3	[quote="Ann, post:1, topic:10"]\nHi\n[/quote]\n\nSee [there](/t/not-listed/12) and [that](/t/hello/10/1), [list|attachment](upload://zzz.pdf)	2020-01-02 10:00:00	2020-01-02 10:00:00	3	\N	1	\N	f	f
102	10	3	3	2		2020-01-03 10:00:00	2020-01-03 10:00:00	\N	\N	\N	\N	f	f
103	10	4	4	2	for staff	2020-01-03 10:00:00	2020-01-03 10:00:00	\N	\N	\N	\N	f	f
104	10	5	1	-1	[details="More & more"]\nhidden\n[/details]	2020-01-03 10:00:00	2020-01-03 10:00:00	\N	\N	\N	\N	f	f
105	10	6	1	3	flagged	2020-01-03 10:00:00	2020-01-03 10:00:00	\N	\N	\N	\N	f	t
106	10	7	1	99	removed	2020-01-03 10:00:00	2020-01-03 10:00:00	\N	\N	\N	2020-01-04 10:00:00	f	f
107	11	1	1	3	old	2020-01-03 10:00:00	2020-01-03 10:00:00	\N	\N	\N	\N	f	f
108	12	1	1	3	by link	2020-01-03 10:00:00	2020-01-03 10:00:00	\N	\N	\N	\N	f	f
109	13	1	1	1	secret	2020-01-04 10:00:00	2020-01-04 10:00:00	\N	\N	\N	\N	f	f
110	13	2	1	2	yes	2020-01-05 10:00:00	2020-01-05 10:00:00	\N	\N	1	\N	f	f
111	13	3	1	4	I have left	2020-01-06 10:00:00	2020-01-06 10:00:00	\N	\N	\N	\N	f	f
112	13	4	1	1	oops	2020-01-06 10:00:00	2020-01-06 10:00:00	\N	\N	\N	2020-01-07 10:00:00	f	f
113	14	1	1	3	crew only	2020-01-04 10:00:00	2020-01-04 10:00:00	\N	\N	\N	\N	f	f
114	77	1	1	3	lost	2020-01-04 10:00:00	2020-01-04 10:00:00	\N	\N	\N	\N	f	f
\.

CREATE TABLE public.topic_allowed_users (
    id integer,
    topic_id integer,
    user_id integer
);

COPY public.topic_allowed_users (id, topic_id, user_id) FROM stdin;
1	13	1
2	13	2
\.

CREATE TABLE public.topic_allowed_groups (
    id integer,
    topic_id integer,
    group_id integer
);

COPY public.topic_allowed_groups (id, topic_id, group_id) FROM stdin;
1	13	41
\.

CREATE TABLE public.polls (
    id integer,
    post_id integer,
    name text,
    title text,
    type integer,
    status integer,
    results integer,
    visibility integer,
    min integer,
    max integer,
    close_at timestamp without time zone,
    created_at timestamp without time zone,
    anonymous_voters integer
);

COPY public.polls (id, post_id, name, title, type, status, results, visibility, min, max, close_at, created_at, anonymous_voters) FROM stdin;
1	100	p1	Which?	0	0	0	1	\N	\N	\N	2020-01-02 10:00:00	\N
2	103	poll	\N	0	0	0	1	\N	\N	\N	2020-01-02 10:00:00	\N
3	104	poll	\N	0	0	3	1	\N	\N	\N	2020-01-02 10:00:00	\N
\.

CREATE TABLE public.poll_options (
    id integer,
    poll_id integer,
    digest text,
    html text,
    anonymous_votes integer
);

COPY public.poll_options (id, poll_id, digest, html, anonymous_votes) FROM stdin;
1	1	a	Front	2
2	1	b	Back &lt;rim&gt;	0
3	2	c	x	0
4	3	c	x	0
\.

CREATE TABLE public.poll_votes (
    poll_id integer,
    poll_option_id integer,
    user_id integer,
    created_at timestamp without time zone
);

COPY public.poll_votes (poll_id, poll_option_id, user_id, created_at) FROM stdin;
1	1	3	2020-01-03 10:00:00
1	2	77	2020-01-03 10:00:00
\.

CREATE TABLE public.post_actions (
    id integer,
    post_id integer,
    user_id integer,
    post_action_type_id integer,
    created_at timestamp without time zone,
    deleted_at timestamp without time zone
);

COPY public.post_actions (id, post_id, user_id, post_action_type_id, created_at, deleted_at) FROM stdin;
1	100	3	2	2020-01-03 10:00:00	\N
2	100	2	2	2020-01-03 10:00:00	2020-01-04 10:00:00
3	100	2	8	2020-01-03 10:00:00	\N
4	109	2	2	2020-01-05 10:00:00	\N
\.

CREATE TABLE public.bookmarks (
    id integer,
    user_id integer,
    bookmarkable_id integer,
    bookmarkable_type text,
    name text,
    created_at timestamp without time zone
);

COPY public.bookmarks (id, user_id, bookmarkable_id, bookmarkable_type, name, created_at) FROM stdin;
1	3	100	Post	look	2020-01-03 10:00:00
2	3	10	Topic	\N	2020-01-03 10:00:00
3	3	1	ChatMessage	\N	2020-01-03 10:00:00
\.

CREATE TABLE public.topic_users (
    user_id integer,
    topic_id integer,
    notification_level integer,
    last_read_post_number integer,
    bookmarked boolean
);

COPY public.topic_users (user_id, topic_id, notification_level, last_read_post_number, bookmarked) FROM stdin;
3	10	3	4	t
2	13	1	2	f
3	11	0	\N	f
\.

CREATE TABLE public.category_users (
    id integer,
    user_id integer,
    category_id integer,
    notification_level integer
);

COPY public.category_users (id, user_id, category_id, notification_level) FROM stdin;
1	3	9	4
2	3	6	0
\.

CREATE TABLE public.muted_users (
    id integer,
    user_id integer,
    muted_user_id integer
);

COPY public.muted_users (id, user_id, muted_user_id) FROM stdin;
1	3	4
\.

CREATE TABLE public.uploads (
    id integer,
    user_id integer,
    original_filename text,
    filesize integer,
    width integer,
    height integer,
    url text,
    sha1 text,
    created_at timestamp without time zone
);

COPY public.uploads (id, user_id, original_filename, filesize, width, height, url, sha1, created_at) FROM stdin;
1	1	map.png	7	690	388	/uploads/default/original/1X/bda2c513e1da04f7b4e99230851ea2aafeb8cc4e.png	bda2c513e1da04f7b4e99230851ea2aafeb8cc4e	2020-01-02 10:00:00
2	1	unused.png	7	1	1	/uploads/default/original/1X/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.png	aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa	2020-01-02 10:00:00
\.

CREATE TABLE public.chat_channels (
    id integer,
    chatable_id integer,
    chatable_type text,
    name text
);

COPY public.chat_channels (id, chatable_id, chatable_type, name) FROM stdin;
1	5	DirectMessage	\N
2	5	Category	General
\.

CREATE TABLE public.direct_message_users (
    id integer,
    direct_message_channel_id integer,
    user_id integer
);

COPY public.direct_message_users (id, direct_message_channel_id, user_id) FROM stdin;
1	5	1
2	5	3
\.

CREATE TABLE public.chat_messages (
    id integer,
    chat_channel_id integer,
    user_id integer,
    message text,
    created_at timestamp without time zone,
    deleted_at timestamp without time zone
);

COPY public.chat_messages (id, chat_channel_id, user_id, message, created_at, deleted_at) FROM stdin;
1	1	1	ping	2020-01-05 10:00:00	\N
2	1	3	pong	2020-01-05 10:00:00	2020-01-06 10:00:00
3	2	1	all	2020-01-05 10:00:00	\N
\.

--
-- PostgreSQL database dump complete
--
