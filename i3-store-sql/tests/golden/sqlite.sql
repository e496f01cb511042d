CREATE TABLE "_i3_collections" (
        "name" TEXT NOT NULL PRIMARY KEY,
        "about" TEXT NOT NULL,
        "description" TEXT NOT NULL  -- JSON: kind, columns, indexes
    ) STRICT, WITHOUT ROWID;
CREATE TABLE "_i3_store" (
        "one" INTEGER PRIMARY KEY CHECK ("one" = 1),
        "format" INTEGER NOT NULL,   -- the layout of the tables
        "revision" INTEGER NOT NULL, -- the schema's
        "clock" INTEGER NOT NULL     -- batches committed so far: the last version that was given
    ) STRICT;
CREATE TABLE "fillings" ("id" TEXT NOT NULL PRIMARY KEY, "version" INTEGER NOT NULL, "body" TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE "group" ("id" TEXT NOT NULL PRIMARY KEY, "n" INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE "items" ("id" TEXT NOT NULL PRIMARY KEY, "version" INTEGER NOT NULL, "owner" TEXT, "at" INTEGER, "tag" TEXT, "order" INTEGER, "body" TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE "streams" ("id" TEXT NOT NULL, "position" INTEGER NOT NULL, "body" TEXT NOT NULL, "link" TEXT NOT NULL, PRIMARY KEY ("id", "position")) STRICT, WITHOUT ROWID;
CREATE INDEX "items.by_all" ON "items" ("owner", "at", "tag", "order", "id");
CREATE INDEX "items.by_at" ON "items" ("at", "id");
CREATE INDEX "items.by_order_tag" ON "items" ("order", "tag", "id");
CREATE INDEX "items.by_owner" ON "items" ("owner", "id");
CREATE INDEX "items.by_owner_at" ON "items" ("owner", "at", "id");
INSERT INTO "_i3_collections" VALUES ('fillings', 'there while the store is being filled by a copy, import or replay that is not finished', '{"kind":"records","columns":{},"indexes":{}}');
INSERT INTO "_i3_collections" VALUES ('group', 'counters', '{"kind":"counters","columns":{},"indexes":{}}');
INSERT INTO "_i3_collections" VALUES ('items', 'records with columns', '{"kind":"records","columns":{"at":"int","order":"int","owner":"text","tag":"text"},"indexes":{"by_all":["owner","at","tag","order"],"by_at":["at"],"by_order_tag":["order","tag"],"by_owner":["owner"],"by_owner_at":["owner","at"]}}');
INSERT INTO "_i3_collections" VALUES ('streams', 'streams', '{"kind":"streams","columns":{},"indexes":{}}');
INSERT INTO "_i3_store" VALUES (1, 1, 1, 3);
INSERT INTO "group" VALUES ('down', -1152921504606846976);
INSERT INTO "group" VALUES ('up', 1152921504606846969);
INSERT INTO "group" VALUES ('zero', 0);
INSERT INTO "items" VALUES ('a', 1, NULL, NULL, NULL, NULL, '{"id":"a","owner":null,"at":null,"tag":null,"order":null,"note":""}');
INSERT INTO "items" VALUES ('b', 1, '', 0, 't', -1, '{"id":"b","owner":"","at":0,"tag":"t","order":-1,"note":""}');
INSERT INTO "items" VALUES ('c', 1, 'ü😀''"\%_', -9223372036854775808, 'T', 9223372036854775807, '{"id":"c","owner":"ü😀''\"\\%_","at":-9223372036854775808,"tag":"T","order":9223372036854775807,"note":"a\nb\tc"}');
INSERT INTO "items" VALUES ('e', 2, 'p', 6, 'again', 7, '{"id":"e","owner":"p","at":6,"tag":"again","order":7,"note":"written twice"}');
INSERT INTO "streams" VALUES ('other', 1, '[]', 'e77b194c7811734fd8286a8d69cdc60c3e2c9174e685c2b2797d2170232f89f7');
INSERT INTO "streams" VALUES ('s', 1, '{"n":1}', '71c7c5b9355835ebd870619966b2b42262ff5037b1a82ffb7bf05a6d5605bfb3');
INSERT INTO "streams" VALUES ('s', 2, '"ü"', '33c32cec49b39dc58313dc1f9f0006842474d064e19bc6966a0953ceec710146');
INSERT INTO "streams" VALUES ('s', 3, '3', '51e162872536108f9ad73a8b88adb6610c4124aebd6f7ef38b895293d12f3354');
