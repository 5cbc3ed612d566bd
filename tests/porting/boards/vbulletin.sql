-- MySQL dump 10.13

/*!40101 SET NAMES utf8mb4 */;

CREATE TABLE `vb_setting` (
  `varname` mediumtext,
  `value` mediumtext
) ENGINE=InnoDB;

INSERT INTO `vb_setting` VALUES
('bbtitle','Old &amp; co'),
('bburl','https://vb.example.org/forum');

CREATE TABLE `vb_usergroup` (
  `usergroupid` int unsigned NOT NULL,
  `title` mediumtext,
  `description` mediumtext,
  `forumpermissions` int unsigned NOT NULL,
  `genericoptions` int unsigned NOT NULL,
  `adminpermissions` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_usergroup` VALUES
(1,'Guests','',528387,32,0),
(2,'Registered &amp; co','',659667,48,0),
(3,'Awaiting mail','',528387,32,0),
(4,'Awaiting approval','',528387,32,0),
(5,'Super','',659667,48,1),
(6,'Admins','',659667,48,3),
(8,'Banned','',0,0,0),
(9,'Crew','',659667,48,0),
(10,'Plain','',659667,32,0);

CREATE TABLE `vb_user` (
  `userid` int unsigned NOT NULL,
  `usergroupid` int unsigned NOT NULL,
  `membergroupids` mediumtext,
  `username` mediumtext,
  `email` mediumtext,
  `joindate` int unsigned NOT NULL,
  `lastactivity` int unsigned NOT NULL,
  `usertitle` mediumtext,
  `homepage` mediumtext,
  `ipaddress` mediumtext,
  `avatarrevision` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_user` VALUES
(1,6,'','Ann &amp; co','ann@example.org',1500000000,1600000000,'Chief','https://a.example','192.0.2.7',2),
(2,2,'','Bob','bob@example.org',1500000001,0,'','','',0),
(3,2,'9','Cid','cid@example.org',1500000002,0,'','','',0),
(4,8,'','Dan','dan@example.org',1500000003,0,'','','',0),
(5,3,'','Eve','eve@example.org',1500000004,0,'','','',0),
(6,4,'','Fay','fay@example.org',1500000004,0,'','','',0),
(7,10,'5,9','Gus','gus@example.org',1500000005,0,'','','',0);

CREATE TABLE `vb_usertextfield` (
  `userid` int unsigned NOT NULL,
  `signature` mediumtext,
  `buddylist` mediumtext,
  `ignorelist` mediumtext
) ENGINE=InnoDB;

INSERT INTO `vb_usertextfield` VALUES
(1,'[B]sig[/B]','2 3','4');

CREATE TABLE `vb_userfield` (
  `userid` int unsigned NOT NULL,
  `field1` mediumtext,
  `field2` mediumtext,
  `field5` mediumtext
) ENGINE=InnoDB;

INSERT INTO `vb_userfield` VALUES
(1,'Bio &amp; more','Larch Lane','555');

CREATE TABLE `vb_profilefield` (
  `profilefieldid` int unsigned NOT NULL,
  `hidden` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_profilefield` VALUES
(1,0),
(2,0),
(5,1);

CREATE TABLE `vb_userban` (
  `userid` int unsigned NOT NULL,
  `bandate` int unsigned NOT NULL,
  `liftdate` int unsigned NOT NULL,
  `reason` mediumtext
) ENGINE=InnoDB;

INSERT INTO `vb_userban` VALUES
(4,1500000000,0,'rude'),
(3,1500000000,1500000009,'over'),
(1,-2000,-1000,'over');

CREATE TABLE `vb_customavatar` (
  `userid` int unsigned NOT NULL,
  `filename` mediumtext,
  `visible` int unsigned NOT NULL,
  `filedata` mediumblob
) ENGINE=InnoDB;

INSERT INTO `vb_customavatar` VALUES
(1,'me.png',1,0x89504e47);

CREATE TABLE `vb_forum` (
  `forumid` int unsigned NOT NULL,
  `parentid` int unsigned NOT NULL,
  `title` mediumtext,
  `description` mediumtext,
  `displayorder` int unsigned NOT NULL,
  `options` int unsigned NOT NULL,
  `password` mediumtext,
  `link` mediumtext
) ENGINE=InnoDB;

INSERT INTO `vb_forum` VALUES
(1,-1,'Main &amp; first','',1,1,'',''),
(2,1,'Talk &lt;b&gt;','About [b]it[/b]',2,7,'',''),
(3,1,'Crew','',3,7,'',''),
(4,3,'Below the crew','',4,7,'',''),
(5,-1,'Secret word','',5,7,'larch',''),
(6,-1,'Off','',6,6,'',''),
(7,-1,'Shop','',7,1,'','https://shop.example/'),
(8,-1,'Own threads alone','',8,7,'','');

CREATE TABLE `vb_forumpermission` (
  `forumpermissionid` int unsigned NOT NULL,
  `forumid` int unsigned NOT NULL,
  `usergroupid` int unsigned NOT NULL,
  `forumpermissions` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_forumpermission` VALUES
(1,3,1,0),
(2,3,2,0),
(3,3,5,0),
(4,4,2,659667),
(5,8,1,1),
(6,8,2,524289),
(7,3,9,655571),
(8,3,10,0),
(9,8,10,0);

CREATE TABLE `vb_moderator` (
  `moderatorid` int unsigned NOT NULL,
  `userid` int unsigned NOT NULL,
  `forumid` int unsigned NOT NULL,
  `permissions` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_moderator` VALUES
(1,2,2,71);

CREATE TABLE `vb_thread` (
  `threadid` int unsigned NOT NULL,
  `forumid` int unsigned NOT NULL,
  `title` mediumtext,
  `postuserid` int unsigned NOT NULL,
  `postusername` mediumtext,
  `dateline` int unsigned NOT NULL,
  `open` int unsigned NOT NULL,
  `sticky` int unsigned NOT NULL,
  `visible` int unsigned NOT NULL,
  `pollid` int unsigned NOT NULL,
  `views` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_thread` VALUES
(10,2,'Hello &amp; &lt;b&gt;',1,'Ann &amp; co',1500000100,1,1,1,1,7),
(11,2,'Gone',2,'Bob',1500000200,0,0,2,0,0),
(12,2,'Waits',99,'Deleted &amp; one',1500000300,1,0,0,0,0),
(13,3,'Crew only',3,'Cid',1500000300,1,0,1,0,0),
(14,2,'Hello &amp; &lt;b&gt;',1,'Ann',1500000100,10,0,1,10,0);

CREATE TABLE `vb_post` (
  `postid` int unsigned NOT NULL,
  `threadid` int unsigned NOT NULL,
  `userid` int unsigned NOT NULL,
  `username` mediumtext,
  `title` mediumtext,
  `dateline` int unsigned NOT NULL,
  `pagetext` mediumtext,
  `allowsmilie` int unsigned NOT NULL,
  `visible` int unsigned NOT NULL,
  `ipaddress` mediumtext
) ENGINE=InnoDB;

INSERT INTO `vb_post` VALUES
(100,10,1,'Ann &amp; co','Hello &amp; &lt;b&gt;',1500000100,'[B]Hi[/B] [ATTACH]1[/ATTACH] :) <i> &#1055; &amp;',1,1,'192.0.2.7'),
(101,10,2,'Bob','Re: Hello &amp; &lt;b&gt;',1500000110,'[QUOTE=Ann & co;100]Hi[/QUOTE]\nYes :)',0,1,''),
(102,10,99,'Deleted &amp; one','Own',1500000120,'gone',1,2,''),
(103,10,2,'Bob','',1500000130,'waits',1,0,''),
(104,11,2,'Bob','',1500000200,'x',1,1,''),
(105,12,99,'Deleted &amp; one','',1500000300,'y',1,1,''),
(106,13,3,'Cid','',1500000300,'z[ATTACH]5[/ATTACH]',1,1,''),
(107,77,3,'Cid','',1500000300,'lost',1,1,'');

CREATE TABLE `vb_editlog` (
  `postid` int unsigned NOT NULL,
  `userid` int unsigned NOT NULL,
  `dateline` int unsigned NOT NULL,
  `reason` mediumtext
) ENGINE=InnoDB;

INSERT INTO `vb_editlog` VALUES
(100,2,1500000150,'typo &amp; co');

CREATE TABLE `vb_poll` (
  `pollid` int unsigned NOT NULL,
  `question` mediumtext,
  `dateline` int unsigned NOT NULL,
  `options` mediumtext,
  `votes` mediumtext,
  `active` int unsigned NOT NULL,
  `timeout` int unsigned NOT NULL,
  `multiple` int unsigned NOT NULL,
  `voters` int unsigned NOT NULL,
  `public` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_poll` VALUES
(1,'Which &amp; why?',1500000100,'Front &amp; rim|||Back','1|||1',1,2,0,2,1);

CREATE TABLE `vb_pollvote` (
  `pollvoteid` int unsigned NOT NULL,
  `pollid` int unsigned NOT NULL,
  `userid` int unsigned NOT NULL,
  `voteoption` int unsigned NOT NULL,
  `votedate` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_pollvote` VALUES
(1,1,2,1,1500000120),
(2,1,99,2,1500000120);

CREATE TABLE `vb_contenttype` (
  `contenttypeid` int unsigned NOT NULL,
  `class` mediumtext
) ENGINE=InnoDB;

INSERT INTO `vb_contenttype` VALUES
(1,'Post'),
(2,'Album');

CREATE TABLE `vb_attachment` (
  `attachmentid` int unsigned NOT NULL,
  `contenttypeid` int unsigned NOT NULL,
  `contentid` int unsigned NOT NULL,
  `userid` int unsigned NOT NULL,
  `dateline` int unsigned NOT NULL,
  `filedataid` int unsigned NOT NULL,
  `state` mediumtext,
  `filename` mediumtext
) ENGINE=InnoDB;

INSERT INTO `vb_attachment` VALUES
(1,1,100,1,1500000100,21,'visible','map.png'),
(2,2,100,1,1500000100,21,'visible','album.png'),
(3,1,101,12,1500000100,22,'visible','disk.txt'),
(4,1,101,1,1500000100,21,'moderation','waits.png'),
(5,1,106,3,1500000300,21,'visible','crew.png');

CREATE TABLE `vb_filedata` (
  `filedataid` int unsigned NOT NULL,
  `filedata` mediumblob
) ENGINE=InnoDB;

INSERT INTO `vb_filedata` VALUES
(21,0x89504e47),
(22,'');

CREATE TABLE `vb_pmtext` (
  `pmtextid` int unsigned NOT NULL,
  `fromuserid` int unsigned NOT NULL,
  `fromusername` mediumtext,
  `title` mediumtext,
  `message` mediumtext,
  `touserarray` mediumtext,
  `dateline` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_pmtext` VALUES
(1,1,'Ann &amp; co','Glue &amp; co','psst','a:2:{s:2:"cc";a:1:{i:2;s:3:"Bob";}s:3:"bcc";a:1:{i:3;s:3:"Cid";}}',1500000400),
(2,2,'Bob','Re: Glue &amp; co','[QUOTE=Ann;100]yes[/QUOTE]','a:1:{i:1;s:12:"Ann &amp; co";}',1500000500),
(3,2,'Bob','Nobody','gone','',1500000500),
(4,1,'Ann','Broken','x','a:9:{i:2',1500000600);

CREATE TABLE `vb_pm` (
  `pmid` int unsigned NOT NULL,
  `pmtextid` int unsigned NOT NULL,
  `userid` int unsigned NOT NULL,
  `folderid` int unsigned NOT NULL,
  `messageread` int unsigned NOT NULL,
  `parentpmid` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_pm` VALUES
(10,1,1,-1,1,0),
(11,1,2,0,1,0),
(12,1,3,0,0,0),
(13,2,1,0,0,11),
(14,2,2,-1,1,11),
(15,4,2,0,0,0),
(16,4,3,0,0,0);

CREATE TABLE `vb_subscribethread` (
  `subscribethreadid` int unsigned NOT NULL,
  `userid` int unsigned NOT NULL,
  `threadid` int unsigned NOT NULL,
  `emailupdate` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_subscribethread` VALUES
(1,2,10,1);

CREATE TABLE `vb_subscribeforum` (
  `subscribeforumid` int unsigned NOT NULL,
  `userid` int unsigned NOT NULL,
  `forumid` int unsigned NOT NULL,
  `emailupdate` int unsigned NOT NULL
) ENGINE=InnoDB;

INSERT INTO `vb_subscribeforum` VALUES
(1,2,2,0);

-- Dump completed on 2021-01-01
