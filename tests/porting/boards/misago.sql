--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';

CREATE TABLE public.misago_conf_setting (
    id integer,
    setting text,
    dry_value text
);

COPY public.misago_conf_setting (id, setting, dry_value) FROM stdin;
1	forum_address	http://old.example.org
2	forum_name	Old & co
\.

CREATE TABLE public.misago_acl_role (
    id integer,
    name text,
    special_role text
);

COPY public.misago_acl_role (id, name, special_role) FROM stdin;
1	Member	authenticated
2	Guest	anonymous
3	Moderator	\N
\.

CREATE TABLE public.misago_categories_category (
    id integer,
    special_role text,
    name text,
    description text,
    is_closed boolean,
    lft integer,
    tree_id integer,
    level integer,
    parent_id integer
);

COPY public.misago_categories_category (id, special_role, name, description, is_closed, lft, tree_id, level, parent_id) FROM stdin;
1	private_threads	Private		f	1	1	0	\N
2	root_category	Root		f	1	0	0	\N
3	\N	Talk	All **of** it	f	2	0	1	2
4	\N	Staff		f	4	0	1	2
5	\N	Below staff		t	5	0	2	4
\.

CREATE TABLE public.misago_categories_categoryrole (
    id integer,
    permissions text
);

COPY public.misago_categories_categoryrole (id, permissions) FROM stdin;
1	{"misago.categories.permissions": {"can_see": 1, "can_browse": 1}, "misago.threads.permissions.threads": {"can_see_all_threads": 1, "can_start_threads": 1, "can_reply_threads": 1}}
2	{"misago.categories.permissions": {"can_see": 1, "can_browse": 1}, "misago.threads.permissions.threads": {"can_see_all_threads": 1, "can_edit_posts": 2, "can_hide_posts": 2, "can_approve_content": 1, "can_close_threads": 1}}
3	{"misago.categories.permissions": {"can_see": 1, "can_browse": 1}, "misago.threads.permissions.threads": {"can_see_all_threads": 0}}
\.

CREATE TABLE public.misago_categories_rolecategoryacl (
    id integer,
    category_id integer,
    category_role_id integer,
    role_id integer
);

COPY public.misago_categories_rolecategoryacl (id, category_id, category_role_id, role_id) FROM stdin;
1	3	1	1
2	3	3	2
3	4	2	3
4	5	1	1
5	5	1	3
\.

CREATE TABLE public.misago_users_user (
    id integer,
    username text,
    slug text,
    email text,
    is_active boolean,
    requires_activation integer,
    rank_id integer,
    is_superuser boolean,
    profile_fields text,
    signature text,
    joined_on timestamp with time zone
);

COPY public.misago_users_user (id, username, slug, email, is_active, requires_activation, rank_id, is_superuser, profile_fields, signature, joined_on) FROM stdin;
1	Ann	ann	ann@example.org	t	0	1	t	"bio"=>"Likes \\"glue\\"", "gone"=>NULL	**hi**	2020-01-05 10:00:00+00
2	Bob	bob	bob@example.org	t	0	2	f			2020-01-05 10:00:00.5+02
3	Cy	cy	cy@example.org	f	0	2	f			2020-01-05 10:00:00+00
\.

CREATE TABLE public.misago_users_rank_roles (
    id integer,
    rank_id integer,
    role_id integer
);

COPY public.misago_users_rank_roles (id, rank_id, role_id) FROM stdin;
1	1	3
\.

CREATE TABLE public.misago_users_user_roles (
    id integer,
    user_id integer,
    role_id integer
);

COPY public.misago_users_user_roles (id, user_id, role_id) FROM stdin;
1	1	1
\.

CREATE TABLE public.misago_threads_thread (
    id integer,
    title text,
    category_id integer,
    starter_id integer,
    starter_name text,
    started_on timestamp with time zone,
    weight integer,
    is_closed boolean,
    is_hidden boolean,
    is_unapproved boolean
);

COPY public.misago_threads_thread (id, title, category_id, starter_id, starter_name, started_on, weight, is_closed, is_hidden, is_unapproved) FROM stdin;
1	Hello & <b>	3	1	Ann	2021-01-01 10:00:00+00	2	t	f	f
2	Hidden	4	\N	Gone	2021-01-01 10:00:00+00	0	f	t	f
3	Private talk	1	2	Bob	2021-01-01 10:00:00+00	0	f	f	f
\.

CREATE TABLE public.misago_threads_threadparticipant (
    id integer,
    thread_id integer,
    user_id integer,
    is_owner boolean
);

COPY public.misago_threads_threadparticipant (id, thread_id, user_id, is_owner) FROM stdin;
1	3	1	t
2	3	3	f
\.

CREATE TABLE public.misago_threads_post (
    id integer,
    thread_id integer,
    category_id integer,
    poster_id integer,
    poster_name text,
    original text,
    posted_on timestamp with time zone,
    updated_on timestamp with time zone,
    edits integer,
    last_editor_id integer,
    is_event boolean,
    is_hidden boolean,
    is_unapproved boolean
);

COPY public.misago_threads_post (id, thread_id, category_id, poster_id, poster_name, original, posted_on, updated_on, edits, last_editor_id, is_event, is_hidden, is_unapproved) FROM stdin;
11	1	3	1	Ann	Hi @bob <b>x</b> ![p](/a/0a1b/1/)	2021-01-01 10:00:00+00	2021-01-02 10:00:00+00	1	2	f	f	f
12	1	3	\N	Gone	[quote="@Ann"]\nHi\n[/quote]\n\nYes	2021-01-01 11:00:00+00	\N	0	\N	f	t	f
13	1	3	1	Ann	closed	2021-01-01 12:00:00+00	\N	0	\N	t	f	f
14	2	4	1	Ann	x	2021-01-01 12:00:00+00	\N	0	\N	f	f	t
15	3	1	2	Bob	psst	2021-01-01 12:00:00+00	\N	0	\N	f	f	f
16	3	1	1	Ann	here	2021-01-01 13:00:00+00	\N	0	\N	f	f	f
\.

CREATE TABLE public.misago_threads_attachment (
    id integer,
    post_id integer,
    uploader_id integer,
    filename text,
    size integer,
    image text,
    file text,
    filetype_id integer
);

COPY public.misago_threads_attachment (id, post_id, uploader_id, filename, size, image, file, filetype_id) FROM stdin;
1	11	1	p.png	3	attachments/p.png		1
\.

CREATE TABLE public.misago_threads_attachmenttype (
    id integer,
    mimetypes text
);

COPY public.misago_threads_attachmenttype (id, mimetypes) FROM stdin;
1	image/png,image/x
\.

CREATE TABLE public.misago_threads_poll (
    id integer,
    thread_id integer,
    category_id integer,
    question text,
    choices text,
    allowed_choices integer,
    length integer,
    posted_on timestamp with time zone,
    poster_id integer,
    is_public boolean
);

COPY public.misago_threads_poll (id, thread_id, category_id, question, choices, allowed_choices, length, posted_on, poster_id, is_public) FROM stdin;
1	1	3	Which?	[{"hash": "aa", "label": "A", "votes": 3}, {"hash": "bb", "label": "B", "votes": 0}]	2	3	2021-01-01 10:00:00+00	1	t
\.

CREATE TABLE public.misago_threads_pollvote (
    id integer,
    poll_id integer,
    voter_id integer,
    choice_hash text
);

COPY public.misago_threads_pollvote (id, poll_id, voter_id, choice_hash) FROM stdin;
1	1	2	aa
2	1	\N	aa
\.

CREATE TABLE public.misago_threads_postlike (
    id integer,
    post_id integer,
    liker_id integer,
    liked_on timestamp with time zone,
    category_id integer
);

COPY public.misago_threads_postlike (id, post_id, liker_id, liked_on, category_id) FROM stdin;
1	11	2	2021-01-01 10:00:00+00	3
\.

CREATE TABLE public.misago_users_ban (
    id integer,
    check_type integer,
    banned_value text,
    user_message text,
    staff_message text,
    expires_on timestamp with time zone,
    registration_only boolean
);

COPY public.misago_users_ban (id, check_type, banned_value, user_message, staff_message, expires_on, registration_only) FROM stdin;
1	0	bob	rude	note	\N	f
2	1	*@spam.example.com			\N	f
3	0	ann			2021-01-01 10:00:00+00	f
\.

CREATE TABLE public.misago_users_user_follows (
    id integer,
    from_user_id integer,
    to_user_id integer
);

COPY public.misago_users_user_follows (id, from_user_id, to_user_id) FROM stdin;
1	1	2
\.

CREATE TABLE public.misago_users_user_blocks (
    id integer,
    from_user_id integer,
    to_user_id integer
);

COPY public.misago_users_user_blocks (id, from_user_id, to_user_id) FROM stdin;
1	1	3
\.

--
-- PostgreSQL database dump complete
--
