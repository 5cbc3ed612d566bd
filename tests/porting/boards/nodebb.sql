--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';

CREATE TABLE public.legacy_hash (
    _key text NOT NULL,
    data jsonb NOT NULL
);

COPY public.legacy_hash (_key, data) FROM stdin;
config	{"title": "Old & co"}
global	{"userCount": 3, "topicCount": 3, "postCount": 4, "messageCount": 3}
category:1	{"cid": 1, "name": "Talk", "order": 2, "parentCid": 0, "disabled": 0, "description": "All **of** it"}
category:2	{"cid": 2, "name": "Staff", "order": 1, "parentCid": 1, "disabled": 0}
category:3	{"cid": 3, "name": "Off", "order": 3, "parentCid": 0, "disabled": 1}
user:1	{"uid": 1, "username": "Admin", "userslug": "admin", "email": "a@example.org", "joindate": 1612173600000}
user:2	{"uid": 2, "username": "Ann A", "userslug": "ann-a", "email": "ann@example.org", "picture": "/assets/uploads/profile/uid-2/2-a.png", "aboutme": "Likes *glue*", "signature": "**hi**"}
user:3	{"uid": 3, "username": "Bob", "userslug": "bob", "banned:expire": 0}
uid:3:ban:5	{"uid": 3, "reason": "rude", "timestamp": 5000, "expire": 0}
group:administrators	{"name": "administrators"}
group:Crew	{"name": "Crew", "description": "They"}
topic:1	{"tid": 1, "cid": 1, "uid": 2, "title": "Hello & <b>", "mainPid": 11, "timestamp": 1646150400123, "pinned": 1, "viewcount": "7"}
topic:2	{"tid": 2, "cid": 2, "uid": 0, "title": " ", "mainPid": 13, "timestamp": 1646150400000, "deleted": 1}
topic:3	{"tid": 3, "cid": 1, "uid": 2, "title": "Merged", "mainPid": 0, "mergeIntoTid": 1, "deleted": 1}
topic:4	{"tid": 4, "cid": 9, "uid": 2, "title": "Lost", "mainPid": 14}
post:11	{"pid": 11, "tid": 1, "uid": 2, "content": "Hi @bob <b>x</b> ![w](/assets/uploads/files/1649000000001-w.png)", "uploads": "[\\"/files/1649000000001-w.png\\"]", "timestamp": 1646150400123, "edited": 1646150500000, "editor": 1}
post:12	{"pid": 12, "tid": 1, "uid": 9, "toPid": "11", "content": "see [it](/post/11) :smile:", "timestamp": 1646150400999}
post:13	{"pid": 13, "tid": 2, "uid": 0, "handle": "A guest", "content": "[b]x[/b]", "timestamp": 1646150400000, "deleted": 1}
chat:room:1	{"roomId": 1, "roomName": "Us", "timestamp": 5000}
chat:room:2	{"roomId": 2, "public": 1, "timestamp": 5000}
message:1	{"mid": 1, "fromuid": 2, "content": "psst", "timestamp": 6000}
message:2	{"mid": 2, "fromuid": 1, "content": "later", "timestamp": 90000}
message:3	{"mid": 3, "fromuid": 1, "content": "joined", "timestamp": 7000, "system": 1}
message:4	{"mid": 4, "fromuid": 1, "content": "gone", "timestamp": 8000, "deleted": 1}
flag:1	{"type": "post", "targetId": 11, "state": "resolved"}
\.

CREATE TABLE public.legacy_zset (
    _key text NOT NULL,
    value text NOT NULL,
    score numeric NOT NULL
);

COPY public.legacy_zset (_key, value, score) FROM stdin;
groups:createtime	administrators	1
groups:createtime	cid:1:privileges:groups:read	2
groups:createtime	Crew	3
groups:createtime	registered-users	4
groups:createtime	spiders	5
group:administrators:members	1	1
group:Crew:members	3	1
group:registered-users:members	1	1
group:registered-users:members	2	1
group:cid:1:privileges:groups:read:members	registered-users	1
group:cid:1:privileges:groups:topics:read:members	registered-users	1
group:cid:1:privileges:groups:read:members	guests	1
group:cid:1:privileges:groups:topics:read:members	guests	1
group:cid:1:privileges:groups:read:members	spiders	1
group:cid:1:privileges:groups:topics:read:members	spiders	1
group:cid:1:privileges:groups:topics:create:members	registered-users	1
group:cid:1:privileges:groups:topics:reply:members	registered-users	1
group:cid:2:privileges:groups:read:members	registered-users	1
group:cid:2:privileges:groups:topics:read:members	Crew	1
group:cid:2:privileges:groups:read:members	Crew	1
group:cid:2:privileges:topics:read:members	2	1
group:cid:1:privileges:moderate:members	2	1
group:cid:3:privileges:groups:read:members	registered-users	1
group:cid:3:privileges:groups:topics:read:members	registered-users	1
tid:1:posts	12	1646150400999
users:banned	3	5000
uid:3:bans:timestamp	uid:3:ban:5	5000
chat:room:1:uids	1	5000
chat:room:1:uids	2	5001
chat:room:1:uids	3	50000
chat:room:1:mids	1	6000
chat:room:1:mids	3	7000
chat:room:1:mids	4	8000
chat:room:1:mids	2	90000
chat:room:2:uids	1	5000
chat:room:2:mids	1	6000
flag:1:reports	3;rude & bad	5000
following:2	1	1
uid:2:blocked_uids	3	1
cid:1:uid:watch:state	2	4
cid:2:uid:watch:state	2	1
\.

CREATE TABLE public.legacy_set (
    _key text NOT NULL,
    member text NOT NULL
);

COPY public.legacy_set (_key, member) FROM stdin;
tid:1:followers	2
pid:11:upvote	1
pid:11:downvote	3
pid:11:users_bookmarked	2
pid:11:upvote	99
\.

--
-- PostgreSQL database dump complete
--
