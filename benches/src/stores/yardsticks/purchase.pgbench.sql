\set request random(1, 9000000000000000000)
WITH terms AS (
    SELECT users.id AS buyer, offers.id AS offer, messages, price, currency, products.id AS product, title, topic,
        hubs.id AS hub, 'ord_' || replace(gen_random_uuid()::text, '-', '') AS bought,
        'trf_' || replace(gen_random_uuid()::text, '-', '') AS transfer,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
    FROM users, offers JOIN products ON products.id = offers.product JOIN hubs ON hubs.id = products.hub
    WHERE users.id = 'usr_' || :client_id AND users.state = 'active' AND offers.id = 'off_1'
        AND offers.state = 'published' AND products.state = 'listed' AND hubs.state = 'active'
        AND NOT EXISTS (SELECT FROM members WHERE members.hub = hubs.id AND members.member = users.id)
), paid AS (
    UPDATE balances SET n = n - price FROM terms
    WHERE account = 'available/' || buyer || '/EUR' AND n >= price RETURNING terms.*
), held AS (
    INSERT INTO balances SELECT 'held/' || bought || '/EUR', price FROM paid
), placed AS (
    INSERT INTO orders SELECT bought, buyer, product, hub, offer, 'active', title, topic, messages, price, currency, now FROM paid
), granted AS (
    INSERT INTO grants SELECT bought, buyer, product, 'active', 0, NULL FROM paid
), metered AS (
    INSERT INTO usages SELECT bought, 0, 0, price, 0 FROM paid
), posted AS (
    INSERT INTO ledger
    SELECT transfer, 0, 'available/' || buyer || '/EUR', currency, -price, 'hold ' || bought, now FROM paid
    UNION ALL SELECT transfer, 1, 'held/' || bought || '/EUR', currency, price, 'hold ' || bought, now FROM paid
), answered AS (
    INSERT INTO answers SELECT buyer, :request::text, bought, now FROM paid
), audited AS (
    INSERT INTO audit (actor, command, request, answer, at) SELECT buyer, 'purchase', :request::text, bought, now FROM paid
), told AS (
    INSERT INTO outbox (event, at) SELECT 'purchased ' || bought || ' ' || buyer || ' ' || product, now FROM paid
)
SELECT bought FROM paid;
