-- Small SMF board, as mysqldump writes it.
/*!40101 SET NAMES utf8mb4 */;
CREATE TABLE `s_settings` (
  `variable` text,
  `value` text
);
INSERT INTO `s_settings` VALUES ('smileys_url','http://old.example.org/smf/Smileys'),('recycle_board','4'),('attachmentUploadDir','{"1":"/srv/smf/attachments","2":"/srv/smf/more"}');
CREATE TABLE `s_members` (
  `id_member` int,
  `member_name` text,
  `real_name` text,
  `email_address` text,
  `is_activated` int,
  `id_group` int,
  `id_post_group` int,
  `additional_groups` text,
  `signature` text,
  `buddy_list` text,
  `pm_ignore_list` text,
  `ignore_boards` text,
  `member_ip` varbinary(16)
);
INSERT INTO `s_members` VALUES
(1,'admin','Admin','a@example.org',1,1,4,'','','','','',0x7F000001),
(2,'ann','Ann &lt;A&gt;','ann@example.org',1,0,4,'','[b]hi[/b]','3','4','2',NULL),
(3,'bob','Bob','bob@example.org',11,0,4,'','','','','',NULL),
(4,'cy','Cy','cy@example.org',3,9,4,'','','','','',NULL),
(5,'mod','Mod','mod@example.org',1,0,4,'9','','','','',NULL);
CREATE TABLE `s_membergroups` (
  `id_group` int,
  `group_name` text,
  `description` text,
  `min_posts` int
);
INSERT INTO `s_membergroups` VALUES (1,'Administrator','',-1),(3,'Moderator','',-1),(4,'Newbie','',0),(9,'Crew &amp; co','',-1);
CREATE TABLE `s_categories` (
  `id_cat` int,
  `cat_order` int,
  `name` text,
  `description` text
);
INSERT INTO `s_categories` VALUES (1,0,'Front','');
CREATE TABLE `s_boards` (
  `id_board` int,
  `id_cat` int,
  `id_parent` int,
  `board_order` int,
  `member_groups` text,
  `deny_member_groups` text,
  `id_profile` int,
  `name` text,
  `description` text,
  `redirect` text
);
INSERT INTO `s_boards` VALUES
(2,1,1,2,'0,9','',1,'Sub','',''),
(1,1,0,1,'-1,0','9',1,'Talk &amp; more','All [b]of[/b] it',''),
(3,1,0,3,'9','',1,'Crew','',''),
(4,1,0,4,'-1,0,9','',1,'Recycled','','');
CREATE TABLE `s_board_permissions` (
  `id_group` int,
  `id_profile` int,
  `permission` text,
  `add_deny` int
);
INSERT INTO `s_board_permissions` VALUES
(0,1,'post_new',1),(0,1,'post_reply_any',1),(9,1,'post_new',0),(3,1,'modify_any',1),(3,1,'delete_any',1),(3,1,'approve_posts',1),(3,1,'lock_any',1);
CREATE TABLE `s_moderators` (
  `id_board` int,
  `id_member` int
);
INSERT INTO `s_moderators` VALUES (2,5);
CREATE TABLE `s_topics` (
  `id_topic` int,
  `id_board` int,
  `is_sticky` int,
  `locked` int,
  `approved` int,
  `id_first_msg` int,
  `id_poll` int,
  `id_member_started` int,
  `num_views` int,
  `id_redirect_topic` int
);
INSERT INTO `s_topics` VALUES (1,1,1,0,1,11,7,2,5,0),(2,3,0,1,0,13,0,0,0,0),(3,1,0,0,1,14,0,2,0,1),(4,9,0,0,1,15,0,2,0,0);
CREATE TABLE `s_messages` (
  `id_msg` int,
  `id_topic` int,
  `id_member` int,
  `poster_time` int,
  `poster_name` text,
  `poster_ip` varbinary(16),
  `subject` text,
  `body` mediumtext,
  `smileys_enabled` int,
  `modified_time` int,
  `modified_reason` text,
  `approved` int
);
INSERT INTO `s_messages` VALUES
(12,1,0,900,'Guest &lt;g&gt;',NULL,'Re: Hello &amp;amp;','[quote author=Ann link=msg=11 date=1000]hi[/quote]<br>yes',1,0,'',0),
(11,1,2,1000,'Ann',0xC0000201,'Hello &amp;amp;','hi :) [attach id=1]pic[/attach]',1,1500,'typo &amp;',1),
(13,2,0,1000,'Gone',NULL,'Crew','x',1,0,'',0),
(14,3,2,1000,'Ann',NULL,'MOVED: Hello','moved',1,0,'',1),
(15,4,2,1000,'Ann',NULL,'Lost','x',1,0,'',1),
(16,8,2,1000,'Ann',NULL,'Nowhere','x',1,0,'',1);
CREATE TABLE `s_smileys` (
  `code` text
);
INSERT INTO `s_smileys` VALUES (':)');
CREATE TABLE `s_polls` (
  `id_poll` int,
  `question` text,
  `voting_locked` int,
  `max_votes` int,
  `expire_time` int,
  `hide_results` int,
  `id_member` int,
  `poster_name` text
);
INSERT INTO `s_polls` VALUES (7,'Which &lt;one&gt;?',1,2,2000,2,2,'Ann');
CREATE TABLE `s_poll_choices` (
  `id_poll` int,
  `id_choice` int,
  `label` text,
  `votes` int
);
INSERT INTO `s_poll_choices` VALUES (7,1,'b',0),(7,0,'[b]a[/b]',5);
CREATE TABLE `s_log_polls` (
  `id_poll` int,
  `id_member` int,
  `id_choice` int
);
INSERT INTO `s_log_polls` VALUES (7,3,0),(7,0,0),(7,99,0);
CREATE TABLE `s_attachments` (
  `id_attach` int,
  `id_msg` int,
  `id_member` int,
  `id_folder` int,
  `attachment_type` int,
  `filename` text,
  `file_hash` text,
  `size` int,
  `width` int,
  `height` int,
  `mime_type` text,
  `approved` int
);
INSERT INTO `s_attachments` VALUES
(1,11,0,1,0,'a & b.png','aa',3,1,1,'image/png',1),
(2,11,0,2,0,'late.txt','bb',3,0,0,'text/plain',0),
(3,11,0,1,3,'thumb','cc',3,0,0,'image/png',1),
(4,0,2,1,1,'avatar_2.png','',3,0,0,'image/png',1),
(5,12,0,2,0,'../x','../../../secret',3,0,0,'text/plain',1);
CREATE TABLE `s_personal_messages` (
  `id_pm` int,
  `id_pm_head` int,
  `id_member_from` int,
  `deleted_by_sender` int,
  `from_name` text,
  `msgtime` int,
  `subject` text,
  `body` text
);
INSERT INTO `s_personal_messages` VALUES (1,1,2,0,'Ann',1000,'Hi &amp;','[quote author=Bob link=msg=11 date=1]x[/quote]y'),(2,1,3,1,'Bob',2000,'Re: Hi','y'),(3,3,0,0,'Gone &lt;x&gt;',3000,'Bye','z'),(4,4,2,1,'Ann',3000,'Void','z');
CREATE TABLE `s_pm_recipients` (
  `id_pm` int,
  `id_member` int,
  `bcc` int,
  `is_read` int,
  `deleted` int
);
INSERT INTO `s_pm_recipients` VALUES (1,3,0,3,0),(1,4,1,0,0),(1,5,0,0,1),(2,2,0,0,0),(3,2,0,0,0),(4,3,0,0,1);
CREATE TABLE `s_user_likes` (
  `id_member` int,
  `content_type` text,
  `content_id` int,
  `like_time` int
);
INSERT INTO `s_user_likes` VALUES (3,'msg',11,1000),(99,'msg',11,1000),(3,'other',11,1000);
CREATE TABLE `s_ban_groups` (
  `id_ban_group` int,
  `ban_time` int,
  `expire_time` int,
  `cannot_access` int,
  `cannot_post` int,
  `cannot_login` int,
  `reason` text,
  `notes` text
);
INSERT INTO `s_ban_groups` VALUES (1,1000,NULL,1,0,0,'rude &amp; loud','n'),(2,1000,1500,1,0,0,'over',''),(3,-2000,-1000,1,0,0,'over','');
CREATE TABLE `s_ban_items` (
  `id_ban` int,
  `id_ban_group` int,
  `ip_low` varbinary(16),
  `ip_high` varbinary(16),
  `email_address` text,
  `id_member` int
);
INSERT INTO `s_ban_items` VALUES (1,1,NULL,NULL,'',3),(2,1,NULL,NULL,'%@spam.example.com',0),(3,1,0xC0000200,0xC00002FF,'',0),(4,2,NULL,NULL,'',2),(5,3,NULL,NULL,'',2);
CREATE TABLE `s_log_notify` (
  `id_member` int,
  `id_topic` int,
  `id_board` int
);
INSERT INTO `s_log_notify` VALUES (2,1,0),(2,0,2);
