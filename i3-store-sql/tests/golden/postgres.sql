CREATE TABLE public._i3_collections (
    name text NOT NULL COLLATE pg_catalog."C",
    about text NOT NULL,
    description text NOT NULL
);
COMMENT ON TABLE public._i3_collections IS 'the collections, each with a table of its name';
COMMENT ON COLUMN public._i3_collections.description IS 'JSON: kind, columns, indexes';
CREATE TABLE public._i3_store (
    one integer NOT NULL,
    format bigint NOT NULL,
    revision bigint NOT NULL,
    clock bigint NOT NULL,
    CONSTRAINT _i3_store_one_check CHECK ((one = 1))
)
WITH (fillfactor='10');
COMMENT ON TABLE public._i3_store IS 'one row about the whole store';
COMMENT ON COLUMN public._i3_store.format IS 'migrations that were applied to the store''s own tables';
COMMENT ON COLUMN public._i3_store.revision IS 'of the program''s schema';
COMMENT ON COLUMN public._i3_store.clock IS 'batches committed so far: the last version that was given';
CREATE TABLE public.fillings (
    id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    body text NOT NULL
);
COMMENT ON TABLE public.fillings IS 'there while the store is being filled by a copy, import or replay that is not finished';
COMMENT ON COLUMN public.fillings.version IS 'another one after every change';
COMMENT ON COLUMN public.fillings.body IS 'the record, as JSON; other columns are copies out of it, for the indexes';
CREATE TABLE public."group" (
    id text NOT NULL COLLATE pg_catalog."C",
    n bigint NOT NULL
);
COMMENT ON TABLE public."group" IS 'counters';
COMMENT ON COLUMN public."group".n IS 'what the counter stands at';
CREATE TABLE public.items (
    id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    owner text COLLATE pg_catalog."C",
    at bigint,
    tag text COLLATE pg_catalog."C",
    "order" bigint,
    body text NOT NULL
);
COMMENT ON TABLE public.items IS 'records with columns';
COMMENT ON COLUMN public.items.version IS 'another one after every change';
COMMENT ON COLUMN public.items.body IS 'the record, as JSON; other columns are copies out of it, for the indexes';
CREATE TABLE public.streams (
    id text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    body text NOT NULL,
    link text NOT NULL COLLATE pg_catalog."C"
);
COMMENT ON TABLE public.streams IS 'streams';
COMMENT ON COLUMN public.streams.id IS 'the stream';
COMMENT ON COLUMN public.streams."position" IS '1, 2, 3 and so on in each stream';
COMMENT ON COLUMN public.streams.body IS 'the entry, as JSON';
COMMENT ON COLUMN public.streams.link IS 'SHA-256 over the link before, the position and the body, in hexadecimal';
INSERT INTO public._i3_collections VALUES ('items', 'records with columns', '{"kind":"records","columns":{"at":"int","order":"int","owner":"text","tag":"text"},"indexes":{"by_all":["owner","at","tag","order"],"by_at":["at"],"by_order_tag":["order","tag"],"by_owner":["owner"],"by_owner_at":["owner","at"]}}');
INSERT INTO public._i3_collections VALUES ('group', 'counters', '{"kind":"counters","columns":{},"indexes":{}}');
INSERT INTO public._i3_collections VALUES ('streams', 'streams', '{"kind":"streams","columns":{},"indexes":{}}');
INSERT INTO public._i3_collections VALUES ('fillings', 'there while the store is being filled by a copy, import or replay that is not finished', '{"kind":"records","columns":{},"indexes":{}}');
INSERT INTO public._i3_store VALUES (1, 1, 1, 3);
INSERT INTO public."group" VALUES ('down', -1152921504606846976);
INSERT INTO public."group" VALUES ('zero', 0);
INSERT INTO public."group" VALUES ('up', 1152921504606846969);
INSERT INTO public.items VALUES ('a', 1, NULL, NULL, NULL, NULL, '{"id":"a","owner":null,"at":null,"tag":null,"order":null,"note":""}');
INSERT INTO public.items VALUES ('b', 1, '', 0, 't', -1, '{"id":"b","owner":"","at":0,"tag":"t","order":-1,"note":""}');
INSERT INTO public.items VALUES ('c', 1, 'ü😀''"\%_', -9223372036854775808, 'T', 9223372036854775807, '{"id":"c","owner":"ü😀''\"\\%_","at":-9223372036854775808,"tag":"T","order":9223372036854775807,"note":"a\nb\tc"}');
INSERT INTO public.items VALUES ('e', 2, 'p', 6, 'again', 7, '{"id":"e","owner":"p","at":6,"tag":"again","order":7,"note":"written twice"}');
INSERT INTO public.streams VALUES ('other', 1, '[]', 'e77b194c7811734fd8286a8d69cdc60c3e2c9174e685c2b2797d2170232f89f7');
INSERT INTO public.streams VALUES ('s', 1, '{"n":1}', '71c7c5b9355835ebd870619966b2b42262ff5037b1a82ffb7bf05a6d5605bfb3');
INSERT INTO public.streams VALUES ('s', 2, '"ü"', '33c32cec49b39dc58313dc1f9f0006842474d064e19bc6966a0953ceec710146');
INSERT INTO public.streams VALUES ('s', 3, '3', '51e162872536108f9ad73a8b88adb6610c4124aebd6f7ef38b895293d12f3354');
ALTER TABLE ONLY public._i3_collections
    ADD CONSTRAINT "_i3_collections.(name)" PRIMARY KEY (name);
ALTER TABLE ONLY public._i3_store
    ADD CONSTRAINT "_i3_store.(one)" PRIMARY KEY (one);
ALTER TABLE ONLY public.fillings
    ADD CONSTRAINT "fillings.(id)" PRIMARY KEY (id);
ALTER TABLE ONLY public."group"
    ADD CONSTRAINT "group.(id)" PRIMARY KEY (id);
ALTER TABLE ONLY public.items
    ADD CONSTRAINT "items.(id)" PRIMARY KEY (id);
ALTER TABLE ONLY public.streams
    ADD CONSTRAINT "streams.(id)" PRIMARY KEY (id, "position");
CREATE INDEX "items.by_all" ON public.items USING btree (owner, at, tag, "order", id);
CREATE INDEX "items.by_at" ON public.items USING btree (at, id);
CREATE INDEX "items.by_order_tag" ON public.items USING btree ("order", tag, id);
CREATE INDEX "items.by_owner" ON public.items USING btree (owner, id);
CREATE INDEX "items.by_owner_at" ON public.items USING btree (owner, at, id);
