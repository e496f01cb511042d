#!/usr/bin/env bash
# The README's story by hand: `serve`, curl, and Mosquitto's clients. Fails unless the buyer receives exactly what
# was paid for and the books balance.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in curl jq mosquitto_pub mosquitto_sub; do
    command -v "$tool" >/dev/null || { echo "story: $tool is missing (Debian: curl jq mosquitto-clients)" >&2; exit 1; }
done

work=$(mktemp -d)
server=""
cleanup() {
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet -p i3-marketplace
HTTP=${I3_STORY_HTTP:-127.0.0.1:18080}
MQTT_PORT=${I3_STORY_MQTT_PORT:-11883}
API=http://$HTTP/api/v1

start() {
    I3_ADMIN_PASSWORD=correct-horse-battery "$target/release/i3-marketplace" serve \
        --data-dir "$work/data" --http "$HTTP" --mqtt "127.0.0.1:$MQTT_PORT" >>"$work/serve.log" 2>&1 &
    server=$!
    for _ in $(seq 600); do
        curl -sf "$API/health" >/dev/null && return
        sleep 0.1
    done
    cat "$work/serve.log" >&2
    echo "story: serve did not come up" >&2
    exit 1
}

post() { # path token json
    curl -sf --json "$3" ${2:+-H "Authorization: Bearer $2"} "$API$1"
}
put() {
    curl -sf -X PUT --json "$3" ${2:+-H "Authorization: Bearer $2"} "$API$1"
}
ask() {
    curl -sf ${2:+-H "Authorization: Bearer $2"} "$API$1"
}
token() { # name password
    post /tokens "" "{\"name\":\"$1\",\"password\":\"$2\"}" | jq -r .token
}
comes() { # what expected command...: waits for a minute
    local what=$1 expected=$2
    shift 2
    for _ in $(seq 600); do
        [ "$("$@")" = "$expected" ] && return
        sleep 0.1
    done
    echo "story: never: $what" >&2
    cat "$work/serve.log" >&2
    exit 1
}
of_statement() { # jq's way
    ask "/orders/$ORDER_ID/statement" "$BUYER" | jq -r "$1"
}
received() {
    wc -l <"$work/received"
}
check() { # what expected actual
    if [ "$2" = "$3" ]; then echo "  $1: $3"; else echo "story: $1 is $3, not $2" >&2; cat "$work/serve.log" >&2; exit 1; fi
}

start
echo "story: a seller lists a product"
post /users "" '{"name":"sally","roles":["provider"],"password":"sells-weather-data"}' >/dev/null
SELLER=$(token sally sells-weather-data)
HUB=$(post /hubs "$SELLER" '{"slug":"acme","title":"Acme Weather"}' | jq -r .id)
DEVICE=$(post "/hubs/$HUB/devices" "$SELLER" \
    '{"name":"roof","title":"Roof sensor","credential":{"kind":"password","password":"roof-sensor-password"}}' | jq -r .id)
PRODUCT=$(post "/hubs/$HUB/products" "$SELLER" \
    "{\"slug\":\"air\",\"title\":\"Air on the roof\",\"description\":\"One reading a second\",\"devices\":[\"$DEVICE\"]}" | jq -r .id)
OFFER=$(post "/products/$PRODUCT/offers" "$SELLER" \
    '{"currency":"EUR","plan":{"kind":"fixed_count","messages":5,"price":250}}' | jq -r .id)
put "/products/$PRODUCT/state" "$SELLER" '{"state":"listed"}' >/dev/null

echo "story: a buyer pays"
BUYER_ID=$(post /users "" '{"name":"bob","roles":["consumer"],"password":"buys-weather-data"}' | jq -r .id)
ADMIN=$(token admin correct-horse-battery)
post "/users/$BUYER_ID/top-ups" "$ADMIN" '{"amount":1000,"currency":"EUR","reference":"bank transfer 1"}' >/dev/null
BUYER=$(token bob buys-weather-data)
ORDER=$(curl -sf --json "{\"offer\":\"$OFFER\"}" -H "Authorization: Bearer $BUYER" -H 'Idempotency-Key: first-order' "$API/orders")
AGAIN=$(curl -sf --json "{\"offer\":\"$OFFER\"}" -H "Authorization: Bearer $BUYER" -H 'Idempotency-Key: first-order' "$API/orders")
check "the same request again is the same order" "$(jq -r .order.id <<<"$ORDER")" "$(jq -r .order.id <<<"$AGAIN")"
ORDER_ID=$(jq -r .mqtt.username <<<"$ORDER")
PASSWORD=$(jq -r .mqtt.password <<<"$ORDER")
TOPIC=$(jq -r .mqtt.topic <<<"$ORDER")

echo "story: the device publishes more than was bought"
mosquitto_sub -h 127.0.0.1 -p "$MQTT_PORT" -u "$ORDER_ID" -P "$PASSWORD" -t "$TOPIC" -q 1 >"$work/received" 2>"$work/sub.log" &
subscriber=$!
comes "the subscription, and what was bought with it" 5 of_statement .open
for reading in $(seq 20); do echo "{\"celsius\":$reading}"; done |
    mosquitto_pub -h 127.0.0.1 -p "$MQTT_PORT" -u acme.roof -P roof-sensor-password -t "$TOPIC" -q 1 -l
comes "all that was bought" 5 received
# Time for more, if more came.
sleep 1
kill "$subscriber" 2>/dev/null || true
wait "$subscriber" 2>/dev/null || true
check "messages received" 5 "$(received)"

echo "story: strangers are refused"
if mosquitto_pub -h 127.0.0.1 -p "$MQTT_PORT" -u acme.roof -P wrong -t "$TOPIC" -m x 2>/dev/null; then
    echo "story: a wrong password was accepted" >&2
    exit 1
fi
check "a consumer tops up" 403 "$(curl -s -o /dev/null -w '%{http_code}' --json '{"amount":1,"currency":"EUR"}' \
    -H "Authorization: Bearer $BUYER" "$API/users/$BUYER_ID/top-ups")"
check "a negative amount" 400 "$(curl -s -o /dev/null -w '%{http_code}' --json '{"amount":-1,"currency":"EUR"}' \
    -H "Authorization: Bearer $ADMIN" "$API/users/$BUYER_ID/top-ups")"

echo "story: the buyer rates, and the books balance"
put "/orders/$ORDER_ID/rating" "$BUYER" '{"stars":5}' >/dev/null
comes "the gate's report" 0 of_statement .open
STATEMENT=$(ask "/orders/$ORDER_ID/statement" "$BUYER")
check "messages billed" 5 "$(jq -r .line.quantity <<<"$STATEMENT")"
check "paid, in cents" 250 "$(jq -r .paid <<<"$STATEMENT")"
check "balance left, in cents" 750 "$(ask "/accounts/$BUYER_ID/balances" "$BUYER" | jq -r '.items[0].amount')"

kill -TERM "$server" && wait "$server"
server=""
"$target/release/i3-marketplace" reconcile --store "sqlite:$work/data/marketplace.sqlite"
echo "story: told"
