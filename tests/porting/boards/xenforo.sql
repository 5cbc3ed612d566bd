-- MySQL dump 10.13

/*!40101 SET NAMES utf8mb4 */;

CREATE TABLE `xf_option` (
  `option_id` mediumblob,
  `option_value` mediumblob
) ENGINE=InnoDB;

INSERT INTO `xf_option` VALUES
(0x626f6172645469746c65,0x4f6c64202620636f),
(0x626f61726455726c,0x68747470733a2f2f78662e6578616d706c652e6f72672f);

CREATE TABLE `xf_user` (
  `user_id` int unsigned NOT NULL,
  `username` mediumtext,
  `email` mediumtext,
  `user_group_id` int unsigned NOT NULL,
  `secondary_group_ids` mediumblob,
  `register_date` int unsigned NOT NULL,
  `last_activity` int unsigned NOT NULL,
  `user_state` mediumtext,
  `is_admin` int unsigned NOT NULL,
  `custom_title` mediumtext,
  `avatar_date` int unsigned NOT NULL,
  `timezone` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_user` VALUES
(1,'Ann','ann@example.org',2,0x33,1500000000,1600000000,'valid',1,'Chief',5,'Europe/Berlin'),
(2,'Bob & co','bob@example.org',2,'',1500000001,0,'valid',0,'',0,''),
(3,'Cid','cid@example.org',2,0x35,1500000002,0,'valid',0,'Mate',0,''),
(4,'New','new@example.org',2,'',1500000003,0,'email_confirm',0,'',0,''),
(5,'Refused','r@example.org',2,'',1500000003,0,'rejected',0,'',0,'');

CREATE TABLE `xf_user_profile` (
  `user_id` int unsigned NOT NULL,
  `signature` mediumtext,
  `website` mediumtext,
  `location` mediumtext,
  `about` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_user_profile` VALUES
(1,'[b]sig[/b]','https://a.example','Larch Lane','I [i]glue[/i]'),
(2,'sig','https://b.example','Elm End','for members'),
(3,'sig','https://c.example','Fir Ford','for nobody'),
(4,'','','','for everyone'),
(5,'','','','not said');

CREATE TABLE `xf_user_privacy` (
  `user_id` int unsigned NOT NULL,
  `allow_view_profile` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_user_privacy` VALUES
(1,'everyone'),
(2,'members'),
(3,'none'),
(4,'everyone');

CREATE TABLE `xf_user_field` (
  `field_id` mediumblob,
  `viewable_profile` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_user_field` VALUES
(0x62696b65,1),
(0x70686f6e65,0);

CREATE TABLE `xf_user_field_value` (
  `user_id` int unsigned NOT NULL,
  `field_id` mediumblob,
  `field_value` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_user_field_value` VALUES
(1,0x62696b65,'red'),
(1,0x70686f6e65,'555'),
(3,0x62696b65,'blue');

CREATE TABLE `xf_user_group` (
  `user_group_id` int unsigned NOT NULL,
  `title` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_user_group` VALUES
(1,'Unregistered'),
(2,'Registered'),
(3,'Administrative'),
(5,'Crew');

CREATE TABLE `xf_user_ban` (
  `user_id` int unsigned NOT NULL,
  `ban_date` int unsigned NOT NULL,
  `end_date` int unsigned NOT NULL,
  `user_reason` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_user_ban` VALUES
(2,1500000000,0,'rude'),
(3,1500000000,1500000009,'over'),
(1,-2000,-1000,'over'),
(5,1500000000,0,'twice');

CREATE TABLE `xf_user_follow` (
  `user_id` int unsigned NOT NULL,
  `follow_user_id` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_user_follow` VALUES
(1,2);

CREATE TABLE `xf_user_ignored` (
  `user_id` int unsigned NOT NULL,
  `ignored_user_id` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_user_ignored` VALUES
(1,3);

CREATE TABLE `xf_node` (
  `node_id` int unsigned NOT NULL,
  `title` mediumtext,
  `description` mediumtext,
  `node_type_id` mediumblob,
  `parent_node_id` int unsigned NOT NULL,
  `display_order` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_node` VALUES
(1,'Main & first','',0x43617465676f7279,0,1),
(2,'Talk <b>','About [b]it[/b]',0x466f72756d,1,2),
(3,'Crew','',0x466f72756d,1,3),
(4,'Below the crew','',0x466f72756d,3,4),
(5,'Shop','',0x4c696e6b466f72756d,0,5),
(9,'Private node','',0x466f72756d,0,9),
(6,'For Bob','',0x466f72756d,0,6),
(7,'Read alone','',0x466f72756d,0,7),
(8,'Page','',0x50616765,0,8);

CREATE TABLE `xf_link_forum` (
  `node_id` int unsigned NOT NULL,
  `link_url` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_link_forum` VALUES
(5,'https://shop.example/');

CREATE TABLE `xf_forum` (
  `node_id` int unsigned NOT NULL,
  `allow_posting` int unsigned NOT NULL,
  `moderate_threads` int unsigned NOT NULL,
  `moderate_replies` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_forum` VALUES
(2,1,0,0),
(3,1,1,0),
(7,0,0,0);

CREATE TABLE `xf_permission_entry` (
  `user_group_id` int unsigned NOT NULL,
  `user_id` int unsigned NOT NULL,
  `permission_group_id` mediumblob,
  `permission_id` mediumblob,
  `permission_value` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_permission_entry` VALUES
(1,0,0x67656e6572616c,0x76696577,'allow'),
(1,0,0x67656e6572616c,0x766965774e6f6465,'allow'),
(1,0,0x666f72756d,0x76696577436f6e74656e74,'allow'),
(1,0,0x666f72756d,0x766965774f7468657273,'allow'),
(2,0,0x67656e6572616c,0x76696577,'allow'),
(2,0,0x67656e6572616c,0x766965774e6f6465,'allow'),
(2,0,0x666f72756d,0x76696577436f6e74656e74,'allow'),
(2,0,0x666f72756d,0x766965774f7468657273,'allow'),
(2,0,0x666f72756d,0x706f7374546872656164,'allow'),
(2,0,0x666f72756d,0x706f73745265706c79,'allow'),
(2,0,0x666f72756d,0x656469744f776e506f7374,'allow'),
(2,0,0x67656e6572616c,0x7375626d6974576974686f7574417070726f76616c,'allow'),
(3,0,0x666f72756d,0x65646974416e79506f7374,'allow'),
(3,0,0x666f72756d,0x64656c657465416e79506f7374,'allow'),
(3,0,0x666f72756d,0x617070726f7665556e617070726f7665,'allow'),
(3,0,0x666f72756d,0x6c6f636b556e6c6f636b546872656164,'allow'),
(1,0,0x666f72756d,0x706f73745265706c79,'allow'),
(1,0,0x666f72756d,0x766965774174746163686d656e74,'allow'),
(2,0,0x666f72756d,0x766965774174746163686d656e74,'allow'),
(2,0,0x67656e6572616c,0x696e76697465,'allow');

CREATE TABLE `xf_permission_entry_content` (
  `content_type` mediumblob,
  `content_id` int unsigned NOT NULL,
  `user_group_id` int unsigned NOT NULL,
  `user_id` int unsigned NOT NULL,
  `permission_group_id` mediumblob,
  `permission_id` mediumblob,
  `permission_value` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_permission_entry_content` VALUES
(0x6e6f6465,3,1,0,0x67656e6572616c,0x766965774e6f6465,'reset'),
(0x6e6f6465,3,2,0,0x67656e6572616c,0x766965774e6f6465,'reset'),
(0x6e6f6465,3,5,0,0x67656e6572616c,0x766965774e6f6465,'content_allow'),
(0x6e6f6465,3,3,0,0x67656e6572616c,0x766965774e6f6465,'content_allow'),
(0x6e6f6465,4,3,0,0x67656e6572616c,0x766965774e6f6465,'deny'),
(0x6e6f6465,6,1,0,0x67656e6572616c,0x766965774e6f6465,'deny'),
(0x6e6f6465,6,2,0,0x67656e6572616c,0x766965774e6f6465,'reset'),
(0x6e6f6465,6,0,2,0x67656e6572616c,0x766965774e6f6465,'content_allow'),
(0x6e6f6465,7,2,0,0x666f72756d,0x706f7374546872656164,'reset'),
(0x6e6f6465,9,0,0,0x67656e6572616c,0x766965774e6f6465,'reset'),
(0x6e6f6465,9,5,0,0x67656e6572616c,0x766965774e6f6465,'content_allow'),
(0x6e6f6465,3,5,0,0x666f72756d,0x766965774174746163686d656e74,'reset'),
(0x6f74686572,2,2,0,0x67656e6572616c,0x766965774e6f6465,'deny');

CREATE TABLE `xf_thread` (
  `thread_id` int unsigned NOT NULL,
  `node_id` int unsigned NOT NULL,
  `title` mediumtext,
  `view_count` int unsigned NOT NULL,
  `user_id` int unsigned NOT NULL,
  `username` mediumtext,
  `post_date` int unsigned NOT NULL,
  `sticky` int unsigned NOT NULL,
  `discussion_state` mediumtext,
  `discussion_open` int unsigned NOT NULL,
  `discussion_type` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_thread` VALUES
(10,2,'Hello & <b>',7,1,'Ann',1500000100,1,'visible',1,'poll'),
(11,2,'Gone',0,2,'Bob & co',1500000200,0,'deleted',0,'discussion'),
(12,2,'Waits',0,99,'Deleted one',1500000300,0,'moderated',1,'discussion'),
(13,3,'Crew only',0,3,'Cid',1500000300,0,'visible',1,'discussion'),
(14,2,'Hello & <b>',0,1,'Ann',1500000100,0,'visible',1,'redirect');

CREATE TABLE `xf_thread_redirect` (
  `thread_id` int unsigned NOT NULL,
  `target_url` mediumtext,
  `redirect_key` mediumblob
) ENGINE=InnoDB;

INSERT INTO `xf_thread_redirect` VALUES
(14,'threads/hello.10/',0x7468726561642d31302d322d);

CREATE TABLE `xf_post` (
  `post_id` int unsigned NOT NULL,
  `thread_id` int unsigned NOT NULL,
  `user_id` int unsigned NOT NULL,
  `username` mediumtext,
  `post_date` int unsigned NOT NULL,
  `message` mediumtext,
  `ip_id` int unsigned NOT NULL,
  `message_state` mediumtext,
  `last_edit_date` int unsigned NOT NULL,
  `last_edit_user_id` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_post` VALUES
(100,10,1,'Ann',1500000100,'[B]Hi[/B] [USER=2]@Bob & co[/USER] [ATTACH type="full"]1[/ATTACH] :)\n[SPOILER="x"]hidden[/SPOILER]',1,'visible',1500000150,2),
(101,10,2,'Bob & co',1500000110,'[QUOTE="Ann, post: 100, member: 1"]\nHi\n[/QUOTE]\nYes [ICODE]<i>[/ICODE] [URL=\'https://xf.example.org/threads/hello.10/\']there[/URL] [COLOR=red]red[/COLOR]',0,'visible',0,0),
(102,10,99,'Deleted one',1500000120,'gone',0,'deleted',0,0),
(103,10,2,'Bob & co',1500000130,'waits',0,'moderated',0,0),
(104,11,2,'Bob & co',1500000200,'x',0,'visible',0,0),
(105,12,99,'Deleted one',1500000300,'y',0,'visible',0,0),
(106,13,3,'Cid',1500000300,'z[ATTACH]4[/ATTACH]',0,'visible',0,0),
(107,77,3,'Cid',1500000300,'lost',0,'visible',0,0);

CREATE TABLE `xf_ip` (
  `ip_id` int unsigned NOT NULL,
  `ip` mediumblob
) ENGINE=InnoDB;

INSERT INTO `xf_ip` VALUES
(1,0xc0000207);

CREATE TABLE `xf_poll` (
  `poll_id` int unsigned NOT NULL,
  `content_type` mediumblob,
  `content_id` int unsigned NOT NULL,
  `question` mediumtext,
  `voter_count` int unsigned NOT NULL,
  `public_votes` int unsigned NOT NULL,
  `max_votes` int unsigned NOT NULL,
  `close_date` int unsigned NOT NULL,
  `view_results_unvoted` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_poll` VALUES
(1,0x746872656164,10,'Which & why?',2,1,1,0,0);

CREATE TABLE `xf_poll_response` (
  `poll_response_id` int unsigned NOT NULL,
  `poll_id` int unsigned NOT NULL,
  `response` mediumtext,
  `response_vote_count` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_poll_response` VALUES
(1,1,'Front',1),
(2,1,'Back',1);

CREATE TABLE `xf_poll_vote` (
  `user_id` int unsigned NOT NULL,
  `poll_response_id` int unsigned NOT NULL,
  `poll_id` int unsigned NOT NULL,
  `vote_date` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_poll_vote` VALUES
(2,1,1,1500000120),
(99,2,1,1500000120);

CREATE TABLE `xf_attachment` (
  `attachment_id` int unsigned NOT NULL,
  `data_id` int unsigned NOT NULL,
  `content_type` mediumblob,
  `content_id` int unsigned NOT NULL,
  `unassociated` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_attachment` VALUES
(1,1001,0x706f7374,100,0),
(2,1001,0x706f7374,0,1),
(3,1001,0x636f6e766572736174696f6e5f6d657373616765,200,0),
(4,1001,0x706f7374,106,0);

CREATE TABLE `xf_attachment_data` (
  `data_id` int unsigned NOT NULL,
  `user_id` int unsigned NOT NULL,
  `filename` mediumtext,
  `file_size` int unsigned NOT NULL,
  `file_hash` mediumblob,
  `upload_date` int unsigned NOT NULL,
  `width` int unsigned NOT NULL,
  `height` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_attachment_data` VALUES
(1001,1,'map.png',7,0x616263,1500000100,1,1);

CREATE TABLE `xf_conversation_master` (
  `conversation_id` int unsigned NOT NULL,
  `title` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_conversation_master` VALUES
(1,'Glue'),
(2,'Left');

CREATE TABLE `xf_conversation_message` (
  `message_id` int unsigned NOT NULL,
  `conversation_id` int unsigned NOT NULL,
  `message_date` int unsigned NOT NULL,
  `user_id` int unsigned NOT NULL,
  `username` mediumtext,
  `message` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_conversation_message` VALUES
(200,1,1500000400,1,'Ann','[QUOTE="Bob & co, post: 101, member: 2"]q[/QUOTE] psst'),
(201,1,1500000500,3,'Cid','I left'),
(202,2,1500000500,3,'Cid','nobody');

CREATE TABLE `xf_conversation_recipient` (
  `conversation_id` int unsigned NOT NULL,
  `user_id` int unsigned NOT NULL,
  `recipient_state` mediumtext,
  `last_read_date` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_conversation_recipient` VALUES
(1,1,'active',1500000400),
(1,2,'active',1500000450),
(1,3,'deleted',0),
(2,3,'deleted_ignored',0);

CREATE TABLE `xf_reaction_content` (
  `reaction_id` int unsigned NOT NULL,
  `content_type` mediumblob,
  `content_id` int unsigned NOT NULL,
  `reaction_user_id` int unsigned NOT NULL,
  `reaction_date` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_reaction_content` VALUES
(1,0x706f7374,100,2,1500000200),
(9,0x706f7374,100,3,1500000200),
(1,0x70726f66696c655f706f7374,1,3,1500000200);

CREATE TABLE `xf_thread_watch` (
  `user_id` int unsigned NOT NULL,
  `thread_id` int unsigned NOT NULL,
  `email_subscribe` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_thread_watch` VALUES
(2,10,1);

CREATE TABLE `xf_forum_watch` (
  `user_id` int unsigned NOT NULL,
  `node_id` int unsigned NOT NULL,
  `send_email` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `xf_forum_watch` VALUES
(2,2,0);

CREATE TABLE `xf_bookmark_item` (
  `bookmark_id` int unsigned NOT NULL,
  `user_id` int unsigned NOT NULL,
  `content_type` mediumblob,
  `content_id` int unsigned NOT NULL,
  `bookmark_date` int unsigned NOT NULL,
  `message` mediumtext
) ENGINE=InnoDB;

INSERT INTO `xf_bookmark_item` VALUES
(1,2,0x706f7374,100,1500000200,'look'),
(2,2,0x746872656164,10,1500000200,'');

-- Dump completed on 2021-01-01
