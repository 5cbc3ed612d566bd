-- Small phpBB board, 3.0's columns with texts of both forms, as mysqldump writes it.
/*!40101 SET NAMES utf8mb4 */;
CREATE TABLE `p_config` (
  `config_name` text,
  `config_value` text
);
INSERT INTO `p_config` VALUES
('sitename','Bikes &amp; co'),
('server_name','old.example.org'),
('server_protocol','https://'),
('script_path','/board'),
('avatar_salt','salt'),
('version','3.0.14');
CREATE TABLE `p_users` (
  `user_id` int(8),
  `user_type` int(8),
  `username` text,
  `user_email` text,
  `user_avatar` text,
  `user_avatar_type` int(8),
  `user_sig` text
);
INSERT INTO `p_users` VALUES
(1,2,'Anonymous','','','',''),
(2,3,'Ada &lt;A&gt;','ada@example.org','2_1.png','1',''),
(3,0,'Bob','bob@example.org','','','[b:x]no'),
(4,0,'Cy','','','',''),
(5,1,'Dot','','','',''),
(6,2,'Bot','','','','');
CREATE TABLE `p_groups` (
  `group_id` int(8),
  `group_name` text
);
INSERT INTO `p_groups` VALUES
(1,'GUESTS'),
(2,'REGISTERED'),
(6,'BOTS'),
(7,'Riders &amp; co');
CREATE TABLE `p_user_group` (
  `group_id` int(8),
  `user_id` int(8),
  `user_pending` int(8),
  `group_leader` int(8)
);
INSERT INTO `p_user_group` VALUES
(1,1,0,0),
(2,2,0,0),
(2,3,0,0),
(2,4,0,0),
(2,5,0,0),
(7,3,0,0),
(7,4,1,0);
CREATE TABLE `p_acl_options` (
  `auth_option_id` int(8),
  `auth_option` text
);
INSERT INTO `p_acl_options` VALUES
(1,'f_read'),
(2,'f_post'),
(3,'f_reply'),
(4,'f_noapprove'),
(5,'m_edit'),
(6,'m_delete'),
(7,'m_approve'),
(8,'m_lock'),
(9,'a_board');
CREATE TABLE `p_acl_roles_data` (
  `role_id` int(8),
  `auth_option_id` int(8),
  `auth_setting` int(8)
);
INSERT INTO `p_acl_roles_data` VALUES
(10,1,1),
(10,2,1),
(10,3,1),
(11,5,1),
(11,6,1),
(11,7,1),
(11,8,1);
CREATE TABLE `p_acl_groups` (
  `group_id` int(8),
  `forum_id` int(8),
  `auth_option_id` int(8),
  `auth_role_id` int(8),
  `auth_setting` int(8)
);
INSERT INTO `p_acl_groups` VALUES
(1,1,1,0,1),
(2,1,0,10,0),
(7,2,0,10,0),
(1,3,1,0,1),
(2,3,0,10,0);
CREATE TABLE `p_acl_users` (
  `user_id` int(8),
  `forum_id` int(8),
  `auth_option_id` int(8),
  `auth_role_id` int(8),
  `auth_setting` int(8)
);
INSERT INTO `p_acl_users` VALUES
(2,0,0,11,0),
(4,2,1,0,1),
(4,1,1,0,0);
CREATE TABLE `p_forums` (
  `forum_id` int(8),
  `parent_id` int(8),
  `left_id` int(8),
  `forum_name` text,
  `forum_desc` text,
  `forum_desc_uid` text,
  `forum_password` text,
  `forum_type` int(8),
  `forum_status` int(8)
);
INSERT INTO `p_forums` VALUES
(2,1,2,'Riders &amp; co','','','',1,0),
(1,0,1,'All','<t>For all</t>','','',1,0),
(3,0,5,'Locked','','','$x',1,1);
CREATE TABLE `p_topics` (
  `topic_id` int(8),
  `forum_id` int(8),
  `topic_title` text,
  `topic_poster` text,
  `topic_time` int(8),
  `topic_status` int(8),
  `topic_type` int(8),
  `topic_first_post_id` int(8),
  `topic_first_poster_name` text,
  `topic_moved_id` int(8),
  `topic_approved` int(8),
  `poll_title` text,
  `poll_start` int(8),
  `poll_length` int(8),
  `poll_max_options` int(8)
);
INSERT INTO `p_topics` VALUES
(1,1,'Hello &amp;amp; &#128690;',2,1000,0,1,11,'Ada',0,1,'Which?',1000,60,2),
(2,2,'Secret',3,1000,1,0,13,'Bob',0,0,'',0,0,1),
(3,1,'Secret',3,1000,2,0,13,'Bob',2,1,'',0,0,1),
(4,9,'Lost',3,1000,0,0,13,'Bob',0,1,'',0,0,1),
(5,1,'Empty',3,1000,0,0,13,'Bob',0,1,'',0,0,1);
CREATE TABLE `p_posts` (
  `post_id` int(8),
  `topic_id` int(8),
  `poster_id` int(8),
  `post_time` int(8),
  `post_username` text,
  `post_subject` text,
  `post_text` text,
  `bbcode_uid` text,
  `post_attachment` int(8),
  `post_approved` int(8),
  `post_edit_time` int(8),
  `post_edit_user` int(8),
  `post_edit_reason` text,
  `enable_smilies` int(8),
  `enable_magic_url` int(8),
  `poster_ip` text
);
INSERT INTO `p_posts` VALUES
(12,1,1,3000,'Guest &lt;x&gt;','Re: Hello &amp;amp; &#128690;','<r><QUOTE author="Ada" post_id="11">hi</QUOTE>me</r>','',0,0,0,0,'',1,1,''),
(11,1,2,2000,'','Hello &amp;amp; &#128690;','hi [attachment=2:ab]<!-- ia2 -->x<!-- ia2 -->[/attachment:ab]','ab',1,1,2500,2,'typo &amp;',1,1,'192.0.2.1'),
(13,2,3,1000,'','Secret','<t>./viewtopic.php?t=1</t>','',0,1,0,0,'',1,1,''),
(14,8,3,1000,'','Nowhere','<t>x</t>','',0,1,0,0,'',1,1,'');
CREATE TABLE `p_poll_options` (
  `poll_option_id` int(8),
  `topic_id` int(8),
  `poll_option_text` text,
  `poll_option_total` int(8)
);
INSERT INTO `p_poll_options` VALUES
(1,1,'[b:ab]one[/b:ab]',2),
(2,1,'two',5);
CREATE TABLE `p_poll_votes` (
  `topic_id` int(8),
  `poll_option_id` int(8),
  `vote_user_id` int(8)
);
INSERT INTO `p_poll_votes` VALUES
(1,2,3),
(1,1,3),
(1,2,1),
(1,2,99);
CREATE TABLE `p_attachments` (
  `attach_id` int(8),
  `post_msg_id` int(8),
  `in_message` int(8),
  `poster_id` int(8),
  `is_orphan` int(8),
  `physical_filename` text,
  `real_filename` text,
  `attach_comment` text,
  `mimetype` text
);
INSERT INTO `p_attachments` VALUES
(1,11,0,2,0,'2_aa','a &amp; b.png','&quot;x&quot;','image/png'),
(2,11,0,2,0,'2_bb','gone.txt','','text/plain'),
(3,0,0,2,1,'2_cc','orphan','',''),
(4,21,1,2,0,'2_dd','private.txt','',''),
(5,11,0,2,0,'../../etc/passwd','x','','');
CREATE TABLE `p_privmsgs` (
  `msg_id` int(8),
  `root_level` int(8),
  `author_id` int(8),
  `message_time` int(8),
  `message_subject` text,
  `message_text` text,
  `bbcode_uid` text,
  `message_attachment` int(8),
  `to_address` text,
  `bcc_address` text,
  `enable_smilies` int(8),
  `enable_magic_url` int(8)
);
INSERT INTO `p_privmsgs` VALUES
(21,0,2,5000,'Hi &amp; ho','<t>x</t>','',0,'u_3','u_4',1,1),
(22,21,3,6000,'Re: Hi','<t>y</t>','',0,'u_2','',1,1),
(23,0,2,7000,'To riders','<t>z</t>','',0,'g_7','',1,1),
(24,0,2,8000,'Gone','<t>z</t>','',0,'u_3','',1,1);
CREATE TABLE `p_privmsgs_to` (
  `msg_id` int(8),
  `user_id` int(8),
  `author_id` int(8),
  `pm_deleted` int(8),
  `pm_unread` int(8),
  `folder_id` int(8)
);
INSERT INTO `p_privmsgs_to` VALUES
(21,2,2,0,0,-1),
(21,3,2,0,0,0),
(21,4,2,0,1,-3),
(22,2,3,0,1,0),
(23,2,2,0,0,-2),
(23,3,2,0,1,-3);
CREATE TABLE `p_banlist` (
  `ban_id` int(8),
  `ban_userid` int(8),
  `ban_email` text,
  `ban_ip` text,
  `ban_start` int(8),
  `ban_end` int(8),
  `ban_exclude` int(8),
  `ban_reason` text,
  `ban_give_reason` text
);
INSERT INTO `p_banlist` VALUES
(1,4,'','',1000,0,0,'note','said'),
(2,3,'','',1000,2000,0,'over',''),
(4,2,'','',-2000,-1000,0,'over',''),
(3,0,'','192.0.2.*',1000,0,1,'','');
CREATE TABLE `p_warnings` (
  `warning_id` int(8),
  `user_id` int(8),
  `post_id` int(8),
  `log_id` int(8),
  `warning_time` int(8)
);
INSERT INTO `p_warnings` VALUES
(1,3,13,7,1000);
CREATE TABLE `p_log` (
  `log_id` int(8),
  `user_id` int(8),
  `log_data` text
);
INSERT INTO `p_log` VALUES
(7,2,'a:1:{i:0;s:13:"Be &lt;é&gt;";}');
CREATE TABLE `p_zebra` (
  `user_id` int(8),
  `zebra_id` int(8),
  `friend` int(8),
  `foe` int(8)
);
INSERT INTO `p_zebra` VALUES
(2,3,1,0),
(2,4,0,1),
(3,99,1,0);
CREATE TABLE `p_topics_watch` (
  `topic_id` int(8),
  `user_id` int(8)
);
INSERT INTO `p_topics_watch` VALUES
(1,2),
(1,99);
CREATE TABLE `p_bookmarks` (
  `topic_id` int(8),
  `user_id` int(8)
);
INSERT INTO `p_bookmarks` VALUES
(1,3);
CREATE TABLE `p_reports_reasons` (
  `reason_id` int(8),
  `reason_title` text
);
INSERT INTO `p_reports_reasons` VALUES
(1,'spam');
CREATE TABLE `p_reports` (
  `report_id` int(8),
  `reason_id` int(8),
  `post_id` int(8),
  `pm_id` int(8),
  `user_id` int(8),
  `report_closed` int(8),
  `report_time` int(8),
  `report_text` text
);
INSERT INTO `p_reports` VALUES
(1,1,11,0,3,0,1000,'look &amp; see'),
(2,1,0,21,3,1,1000,'');
