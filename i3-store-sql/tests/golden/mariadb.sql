CREATE TABLE `_i3_collections` (
  `name` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `about` text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `description` mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'JSON: kind, columns, indexes',
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci ROW_FORMAT=DYNAMIC COMMENT='I3: the collections, each a table of its name';
INSERT INTO `_i3_collections` VALUES ('fillings','there while the store is being filled by a copy, import or replay that is not finished','{\"kind\":\"records\",\"columns\":{},\"indexes\":{}}');
INSERT INTO `_i3_collections` VALUES ('group','counters','{\"kind\":\"counters\",\"columns\":{},\"indexes\":{}}');
INSERT INTO `_i3_collections` VALUES ('items','records with columns','{\"kind\":\"records\",\"columns\":{\"at\":\"int\",\"order\":\"int\",\"owner\":\"text\",\"tag\":\"text\"},\"indexes\":{\"by_all\":[\"owner\",\"at\",\"tag\",\"order\"],\"by_at\":[\"at\"],\"by_order_tag\":[\"order\",\"tag\"],\"by_owner\":[\"owner\"],\"by_owner_at\":[\"owner\",\"at\"]}}');
INSERT INTO `_i3_collections` VALUES ('streams','streams','{\"kind\":\"streams\",\"columns\":{},\"indexes\":{}}');
CREATE TABLE `_i3_store` (
  `one` tinyint(4) NOT NULL CHECK (`one` = 1),
  `format` bigint(20) NOT NULL COMMENT 'the layout of the tables',
  `revision` bigint(20) NOT NULL COMMENT 'the schema''s',
  `clock` bigint(20) NOT NULL COMMENT 'batches committed so far: the last version that was given',
  PRIMARY KEY (`one`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci ROW_FORMAT=DYNAMIC COMMENT='I3: one row about the store; its lock orders commits';
INSERT INTO `_i3_store` VALUES (1,1,1,3);
CREATE TABLE `fillings` (
  `id` varchar(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `version` bigint(20) NOT NULL,
  `body` mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci ROW_FORMAT=DYNAMIC COMMENT='there while the store is being filled by a copy, import or replay that is not finished';
CREATE TABLE `group` (
  `id` varchar(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `n` bigint(20) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci ROW_FORMAT=DYNAMIC COMMENT='counters';
INSERT INTO `group` VALUES ('down',-1152921504606846976);
INSERT INTO `group` VALUES ('up',1152921504606846969);
INSERT INTO `group` VALUES ('zero',0);
CREATE TABLE `items` (
  `id` varchar(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `version` bigint(20) NOT NULL,
  `owner` varbinary(255) DEFAULT NULL,
  `at` bigint(20) DEFAULT NULL,
  `tag` varbinary(255) DEFAULT NULL,
  `order` bigint(20) DEFAULT NULL,
  `body` mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (`id`),
  KEY `by_owner` (`owner`,`id`),
  KEY `by_at` (`at`,`id`),
  KEY `by_owner_at` (`owner`,`at`,`id`),
  KEY `by_order_tag` (`order`,`tag`,`id`),
  KEY `by_all` (`owner`,`at`,`tag`,`order`,`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci ROW_FORMAT=DYNAMIC COMMENT='records with columns';
INSERT INTO `items` VALUES ('a',1,NULL,NULL,NULL,NULL,'{\"id\":\"a\",\"owner\":null,\"at\":null,\"tag\":null,\"order\":null,\"note\":\"\"}');
INSERT INTO `items` VALUES ('b',1,'',0,0x74,-1,'{\"id\":\"b\",\"owner\":\"\",\"at\":0,\"tag\":\"t\",\"order\":-1,\"note\":\"\"}');
INSERT INTO `items` VALUES ('c',1,0xC3BCF09F988027225C255F,-9223372036854775808,0x54,9223372036854775807,'{\"id\":\"c\",\"owner\":\"ü😀\'\\\"\\\\%_\",\"at\":-9223372036854775808,\"tag\":\"T\",\"order\":9223372036854775807,\"note\":\"a\\nb\\tc\"}');
INSERT INTO `items` VALUES ('e',2,0x70,6,0x616761696E,7,'{\"id\":\"e\",\"owner\":\"p\",\"at\":6,\"tag\":\"again\",\"order\":7,\"note\":\"written twice\"}');
CREATE TABLE `streams` (
  `id` varchar(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `position` bigint(20) NOT NULL,
  `body` mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `link` char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  PRIMARY KEY (`id`,`position`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci ROW_FORMAT=DYNAMIC COMMENT='streams';
INSERT INTO `streams` VALUES ('other',1,'[]','e77b194c7811734fd8286a8d69cdc60c3e2c9174e685c2b2797d2170232f89f7');
INSERT INTO `streams` VALUES ('s',1,'{\"n\":1}','71c7c5b9355835ebd870619966b2b42262ff5037b1a82ffb7bf05a6d5605bfb3');
INSERT INTO `streams` VALUES ('s',2,'\"ü\"','33c32cec49b39dc58313dc1f9f0006842474d064e19bc6966a0953ceec710146');
INSERT INTO `streams` VALUES ('s',3,'3','51e162872536108f9ad73a8b88adb6610c4124aebd6f7ef38b895293d12f3354');
