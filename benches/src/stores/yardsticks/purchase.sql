-- The tables of a purchase as one would write them by hand, for PostgreSQL and MariaDB. {text} is text of at most
-- 200 bytes compared by bytes, {number} counts up by itself.
CREATE TABLE users (id {text} PRIMARY KEY, state {text} NOT NULL, roles {text} NOT NULL);
CREATE TABLE hubs (id {text} PRIMARY KEY, state {text} NOT NULL);
CREATE TABLE members (hub {text}, member {text}, PRIMARY KEY (hub, member));
CREATE TABLE products (id {text} PRIMARY KEY, hub {text} NOT NULL, state {text} NOT NULL, title {text} NOT NULL, topic {text} NOT NULL);
CREATE TABLE offers (id {text} PRIMARY KEY, product {text} NOT NULL, state {text} NOT NULL, messages bigint NOT NULL, price bigint NOT NULL, currency {text} NOT NULL);
CREATE TABLE balances (account {text} PRIMARY KEY, n bigint NOT NULL CHECK (n >= 0));
CREATE TABLE orders (id {text} PRIMARY KEY, buyer {text} NOT NULL, product {text} NOT NULL, hub {text} NOT NULL, offer {text} NOT NULL, state {text} NOT NULL, title {text} NOT NULL, topic {text} NOT NULL, messages bigint NOT NULL, price bigint NOT NULL, currency {text} NOT NULL, placed bigint NOT NULL);
CREATE INDEX orders_by_buyer ON orders (buyer, placed);
CREATE INDEX orders_by_hub ON orders (hub, placed);
CREATE TABLE grants (id {text} PRIMARY KEY, buyer {text} NOT NULL, product {text} NOT NULL, state {text} NOT NULL, epoch int NOT NULL, until bigint);
CREATE INDEX grants_by_end ON grants (state, until);
CREATE TABLE usages (id {text} PRIMARY KEY, admitted bigint NOT NULL, delivered bigint NOT NULL, held bigint NOT NULL, captured bigint NOT NULL);
CREATE TABLE ledger (transfer {text} NOT NULL, leg int NOT NULL, account {text} NOT NULL, currency {text} NOT NULL, amount bigint NOT NULL, memo {text} NOT NULL, at bigint NOT NULL, PRIMARY KEY (transfer, leg));
CREATE INDEX ledger_by_account ON ledger (account, at);
CREATE TABLE answers (actor {text}, request {text}, answer {text} NOT NULL, at bigint NOT NULL, PRIMARY KEY (actor, request));
CREATE TABLE audit (position {number}, actor {text} NOT NULL, command {text} NOT NULL, request {text} NOT NULL, answer {text} NOT NULL, at bigint NOT NULL);
CREATE TABLE outbox (position {number}, event {text} NOT NULL, at bigint NOT NULL);
INSERT INTO hubs VALUES ('hub_1', 'active');
INSERT INTO products VALUES ('prd_1', 'hub_1', 'listed', 'Readings', 'i3/bench-hub/bench-one');
INSERT INTO offers VALUES ('off_1', 'prd_1', 'published', 100000000000, 1, 'EUR');
