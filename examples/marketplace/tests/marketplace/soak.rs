//! Delivered = metered = billed, over many messages, while the program is killed again and again, clients go in every
//! way, one reads slowly, sessions go on without a connection, and orders are used up and expire.
//!
//! Random from a seed, that is printed: `I3_SOAK_SEED` gives the same choices again (not the same races).
//! `I3_SOAK_MESSAGES` is how many messages are published, `I3_SOAK_KILLS` how often the program is killed in the
//! middle of it; it is also killed just after it starts.
//!
//! What a client did not read when it dropped its connection, or when the program died, nobody can count. So some
//! clients are careful: they read to the end before a kill, and for them the books must be exact.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use i3_core::market::GrantLine;
use i3_core::usage::{Lease, LeaseState};
use i3_marketplace::{Report, StoreUrl};
use rumqttc::ConnectReturnCode;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::buyer::{Buyer, Manner, Tally};
use self::device::{Device, Product};
use crate::mqtt::{connack, eventually};
use crate::process::{Server, balanced, reconcile};
use crate::support::{Rest, Shop, text};

mod buyer;
mod device;
mod link;

/// For what takes no time on an idle machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Random numbers from a seed (`SplitMix64`).
#[derive(Debug, Clone)]
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than this.
    fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit
    }

    /// Another row of numbers.
    fn fork(&mut self) -> Self {
        Self(self.draw())
    }
}

/// What clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Run,
    /// The careful leave.
    KillNears,
    Killed,
    /// It is over: all leave in order.
    Leave,
}

fn received(counts: &[Arc<AtomicU64>]) -> u64 {
    counts.iter().map(|count| count.load(Ordering::SeqCst)).sum()
}

fn setting(name: &str, default: impl FnOnce() -> u64) -> u64 {
    std::env::var(name).map_or_else(|_| default(), |value| value.parse().unwrap())
}

/// A cent for each message, however it is bought, so that what is billed is what is delivered.
fn fixed(messages: u64) -> Value {
    json!({"kind": "fixed_count", "messages": messages, "price": messages})
}

fn each() -> Value {
    json!({"kind": "per_message", "unit_price": 10_000_000})
}

/// The market, and what is random about it.
struct Soak {
    messages: u64,
    chance: Chance,
    shop: Shop,
    products: [(String, Arc<Product>); 2],
    /// What each buyer's user paid in.
    paid_in: BTreeMap<String, i64>,
    buyers: Vec<Buyer>,
    devices: Vec<Device>,
    kills: u64,
    /// From then on the order with a term opens nothing.
    expiry: Instant,
}

impl Soak {
    async fn open(rest: Rest, messages: u64, mut chance: Chance) -> Self {
        let total = usize::try_from(messages / 2).unwrap();
        let shop = Shop::open(rest, each(), 0).await;
        let second = json!({
            "slug": "noise", "title": "Noise", "description": "Noise", "tags": [], "devices": [shop.device],
        });
        let rest = &shop.rest;
        let second = rest.post(&shop.seller, format!("/hubs/{}/products", shop.hub), second).await.ok();
        let (second, noise) = (text(&second["id"]), Product::new(text(&second["topic"]), total));
        rest.put(&shop.seller, format!("/products/{second}/state"), json!({"state": "listed"})).await.ok();
        let products = [(shop.product.clone(), Product::new(shop.topic.clone(), total)), (second, noise)];
        // The second is more than a slow reader's system holds.
        let devices = [(1, 200, &products[0]), (0, 2_000, &products[1])].map(|(qos, size, (_, product))| {
            Device { product: product.clone(), qos, size, chance: chance.fork() }
        });
        Self {
            messages,
            chance,
            shop,
            products,
            paid_in: BTreeMap::new(),
            buyers: Vec::new(),
            devices: devices.into(),
            kills: 0,
            expiry: Instant::now(),
        }
    }

    /// A new user with this money buys from an offer of its own.
    async fn sell(
        &mut self,
        rest: &Rest,
        name: &'static str,
        (product, plan, seconds): (usize, Value, Option<u64>),
        cents: u64,
        manner: Manner,
    ) {
        let (id, product) = &self.products[product];
        let offer = json!({"currency": "EUR", "plan": plan, "term_seconds": seconds});
        let offer = rest.post(&self.shop.seller, format!("/products/{id}/offers"), offer).await.ok();
        let (token, user) = rest.register(name, "consumer").await;
        let payment = json!({"amount": cents, "currency": "EUR", "reference": "cash"});
        rest.post(&self.shop.admin, format!("/users/{user}/top-ups"), payment).await.ok();
        self.paid_in.insert(user, i64::try_from(cents).unwrap());
        let bought = rest.post(&token, "/orders", json!({"offer": offer["id"]})).await.ok();
        self.buyers.push(Buyer {
            name,
            manner,
            product: product.clone(),
            order: text(&bought["order"]["id"]),
            password: text(&bought["mqtt"]["password"]),
            chance: self.chance.fork(),
            tally: Tally::default(),
            count: Arc::default(),
        });
    }

    async fn sell_all(&mut self, rest: &Rest) {
        let all = self.messages;
        // Less time than the publishing takes.
        let term = all / 6_000 + 5;
        let (five, persistent, abrupt, slow, careful) = (true, true, true, true, true);
        let usual = Manner { qos: 1, ..Manner::default() };
        let much = 4 * all + 2_000_000;

        let manner = Manner { abrupt, ..usual };
        self.sell(rest, "plain", (0, fixed(2 * all), None), 2 * all, manner).await;
        let manner = Manner { five, persistent, abrupt, ..usual };
        self.sell(rest, "few", (0, fixed(all / 8), None), all / 8, manner).await;
        self.sell(rest, "returning", (0, each(), None), much, manner).await;
        let manner = Manner { abrupt, qos: 0, ..usual };
        self.sell(rest, "poor", (1, each(), None), all / 10, manner).await;
        let manner = Manner { five, slow, qos: 0, ..usual };
        self.sell(rest, "slow", (1, fixed(2 * all), None), 2 * all, manner).await;

        let manner = Manner { five, careful, ..usual };
        self.sell(rest, "careful", (0, each(), None), much, manner).await;
        let manner = Manner { five, persistent, abrupt, careful, ..usual };
        self.sell(rest, "careful-returning", (0, fixed(2 * all), None), 2 * all, manner).await;
        let manner = Manner { five, slow, qos: 0, careful, ..usual };
        self.sell(rest, "careful-slow", (1, each(), None), much, manner).await;
        // It acknowledges nothing: what waits unread when a connection is cut is lost to who still sends.
        let manner = Manner { persistent, careful, qos: 0, ..usual };
        self.sell(rest, "brief", (0, each(), Some(term)), much, manner).await;
        self.expiry = Instant::now() + Duration::from_secs(term);
    }

    fn published(&self) -> usize {
        self.products.iter().map(|(_, product)| product.published()).sum()
    }

    async fn life(&mut self, server: Server, until: Option<usize>) -> Option<Server> {
        let (tell, stage) = watch::channel(Stage::Run);
        let counts: Vec<_> = self.buyers.iter().map(|buyer| buyer.count.clone()).collect();
        let (gate, rest) = (server.mqtt, server.rest());
        let careful: Vec<String> = self
            .buyers
            .iter()
            .filter(|buyer| buyer.manner.careful)
            .map(|buyer| buyer.order.clone())
            .collect();
        let (careful_ones, others): (Vec<_>, Vec<_>) =
            self.buyers.drain(..).partition(|buyer| buyer.manner.careful);
        if until.is_none() {
            self.products.iter().for_each(|(_, product)| product.let_all());
        }
        let start = |buyers: Vec<Buyer>| -> Vec<JoinHandle<Buyer>> {
            buyers.into_iter().map(|buyer| tokio::spawn(buyer.live(gate, stage.clone()))).collect()
        };
        let (careful_ones, others) = (start(careful_ones), start(others));
        let devices: Vec<_> =
            self.devices.drain(..).map(|device| tokio::spawn(device.live(gate, stage.clone()))).collect();
        let server = if let Some(until) = until {
            while self.published() < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tell.send_replace(Stage::KillNears);
            self.gather(careful_ones).await;
            self.await_closed(&rest, &careful).await;
            tokio::time::sleep(Duration::from_millis(self.chance.below(100))).await;
            server.kill();
            self.kills += 1;
            tell.send_replace(Stage::Killed);
            None
        } else {
            let total = usize::try_from(self.messages).unwrap() / 2 * 2;
            while self.published() < total {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep_until(self.expiry.into()).await;
            // Until nothing has come for a while.
            let mut before = (Instant::now(), received(&counts));
            while before.0.elapsed() < Duration::from_secs(2) {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let now = received(&counts);
                if now != before.1 {
                    before = (Instant::now(), now);
                }
            }
            tell.send_replace(Stage::Leave);
            self.gather(careful_ones).await;
            Some(server)
        };
        self.gather(others).await;
        for device in devices {
            self.devices.push(device.await.unwrap());
        }
        server
    }

    async fn gather(&mut self, buyers: Vec<JoinHandle<Buyer>>) {
        for buyer in buyers {
            self.buyers.push(buyer.await.unwrap());
        }
    }

    /// Until no gate holds anything for these orders.
    async fn await_closed(&self, rest: &Rest, orders: &[String]) {
        let closed = async || {
            let report = rest.get(&self.shop.admin, "/reconciliation").await.ok();
            let lines = report["grants"].as_array().unwrap();
            lines.iter().all(|line| line["usage"]["open"] == 0 || !orders.contains(&text(&line["order"])))
        };
        assert!(eventually(PATIENCE, closed).await, "leases of clients that left stay open");
    }

    async fn balances(&self, rest: &Rest) -> BTreeMap<String, i64> {
        let mut balances = BTreeMap::new();
        for user in self.paid_in.keys() {
            let found = rest.get(&self.shop.admin, format!("/accounts/{user}/balances")).await.ok();
            let amount = found["items"][0]["amount"].as_i64().unwrap_or(0);
            balances.insert(user.clone(), amount);
        }
        balances
    }
}

/// Starts the program again after it was killed; now and then it dies at once.
fn start_again(folder: &Path, store: &str, soak: &mut Soak) -> Server {
    loop {
        balanced(&reconcile(store));
        let server = Server::start(folder, store, &[]);
        if soak.chance.below(3) > 0 {
            return server;
        }
        std::thread::sleep(Duration::from_millis(soak.chance.below(100)));
        server.kill();
        soak.kills += 1;
    }
}

fn line_of<'a>(report: &'a Report, order: &str) -> &'a GrantLine {
    report.books.grants.iter().find(|line| line.order.to_string() == order).unwrap()
}

/// What the books say of an order is what its client counted, but for what is listed as in doubt.
fn check(buyer: &Buyer, report: &Report) {
    let Buyer { name, tally, manner, .. } = buyer;
    let GrantLine { usage, due, .. } = line_of(report, &buyer.order);
    println!(
        "{name:17} fresh {:8} torn {:2} again {:5} distinct {:8} | delivered {:8} in doubt {:7} | visits {:4} resumed {:4} \
         dropped {:3} told {:x?}{}",
        tally.fresh,
        tally.torn,
        tally.again,
        tally.distinct,
        usage.delivered,
        usage.in_doubt,
        tally.visits,
        tally.resumed,
        tally.dropped,
        tally.told,
        if tally.over { ", over" } else { "" },
    );
    assert!(tally.fresh > 0, "{name} received nothing");
    assert_eq!(usage.open, 0, "{name}");
    assert_eq!(usage.admitted, usage.delivered + usage.undelivered + usage.in_doubt, "{name}");
    assert_eq!(usage.captured, *due, "{name}: billed is what was delivered");
    assert_eq!(i64::try_from(usage.delivered).unwrap(), usage.captured.minor(), "{name}: a cent for each");
    let known = usage.delivered + usage.in_doubt;
    assert!(tally.fresh <= known, "{name}: something was delivered and is nowhere in the books");
    assert!(tally.distinct <= known, "{name}: something was delivered and is nowhere in the books");
    let in_doubt: u64 = report
        .leases
        .iter()
        .inspect(|lease| assert_eq!(lease.state, LeaseState::Reclaimed))
        .filter(|lease| lease.grant == usage.grant)
        .map(Lease::unreported)
        .sum();
    assert_eq!(in_doubt, usage.in_doubt, "{name}: each doubt is that of a lease");
    if manner.careful {
        assert_eq!(usage.in_doubt, 0, "{name}: its gate never died while it held anything for it");
        if !manner.abrupt {
            assert_eq!(
                tally.fresh + tally.torn,
                usage.delivered,
                "{name}: each frame is charged, and no more"
            );
        }
        if manner.persistent && !tally.over {
            assert_eq!(
                tally.distinct, usage.delivered,
                "{name}: all that was paid for came, again if need be"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_is_metered_and_billed_through_kills_drops_slow_readers_and_expiry() {
    let seed = setting("I3_SOAK_SEED", || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs());
    let messages = setting("I3_SOAK_MESSAGES", || 20_000);
    let kills = setting("I3_SOAK_KILLS", || (messages / 25_000).max(3));
    println!("I3_SOAK_SEED={seed} I3_SOAK_MESSAGES={messages} I3_SOAK_KILLS={kills}");
    let mut chance = Chance(seed);
    let mut cuts: Vec<usize> =
        (0..kills).map(|_| usize::try_from(chance.below(messages * 9 / 10)).unwrap()).collect();
    cuts.sort_unstable();
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("market.sqlite").display());

    let mut server = Server::start(folder.path(), &store, &[]);
    let mut soak = Soak::open(server.rest(), messages, chance).await;
    let started = Instant::now();
    soak.sell_all(&server.rest()).await;
    for cut in cuts {
        assert!(soak.life(server, Some(cut)).await.is_none());
        server = start_again(folder.path(), &store, &mut soak);
    }
    let late = Manner { five: true, careful: true, ..Manner::default() };
    soak.sell(&server.rest(), "late", (1, fixed(messages), None), messages, late).await;
    server = soak.life(server, None).await.unwrap();
    let rest = server.rest();
    let orders: Vec<String> = soak.buyers.iter().map(|buyer| buyer.order.clone()).collect();
    soak.await_closed(&rest, &orders).await;
    let mut refused = BTreeMap::new();
    for buyer in soak.buyers.iter().filter(|buyer| ["few", "brief"].contains(&buyer.name)) {
        refused.insert(buyer.name, connack(server.mqtt, (&buyer.order, &buyer.password)).await);
    }
    let balances = soak.balances(&rest).await;
    let seconds = started.elapsed().as_secs();
    server.end();

    let said = balanced(&reconcile(&store));
    println!("{said}{} messages, {} kills, {seconds} s", soak.published(), soak.kills);
    let report = i3_marketplace::reconcile(&store.parse::<StoreUrl>().unwrap()).await.unwrap();
    assert!(report.balances());
    for buyer in &soak.buyers {
        check(buyer, &report);
        let usage = &line_of(&report, &buyer.order).usage;
        match buyer.name {
            "few" => assert_eq!(usage.delivered + usage.in_doubt, messages / 8, "used up, and no more"),
            "poor" => {
                let came = buyer.tally.fresh;
                let prepaid = messages / 10;
                assert!(usage.delivered + usage.in_doubt <= prepaid, "no more than the balance paid for");
                assert!(came <= prepaid, "{came} came and {prepaid} were prepaid");
            }
            "brief" => {
                let last = buyer.product.time_of(buyer.tally.last.unwrap());
                assert!(last < soak.expiry, "nothing comes that was published after the term");
            }
            name => {
                assert!(!buyer.tally.over, "{name}");
                let ended = buyer.tally.told.iter().any(|reason| [0x87, 0x97].contains(reason));
                assert!(!ended, "{name} was cut off, for {:x?}", buyer.tally.told);
            }
        }
    }
    let no = ConnectReturnCode::NotAuthorized;
    assert_eq!(refused, [("brief", no), ("few", no)].into(), "expired, and used up");
    for (_, product) in &soak.products {
        assert!(product.assert_numbers_increase() > 0);
    }
    let held: i64 = report.books.grants.iter().map(|line| line.usage.held.minor()).sum();
    let captured: i64 = report.books.grants.iter().map(|line| line.usage.captured.minor()).sum();
    let paid_in: i64 = soak.paid_in.values().sum();
    assert_eq!(balances.values().sum::<i64>() + held + captured, paid_in, "no cent came or went");
    assert!(balances.values().all(|amount| *amount >= 0));
}
