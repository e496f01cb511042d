//! What happens, from the purchase to the last message.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use i3_auth::Secret;
use i3_auth::device_token::{Claims, issue};
use i3_core::access::Actor;
use i3_core::id::GrantId;
use i3_core::market::{Marketplace, Purchase, RateProduct, RevokeGrant, TopUp};
use i3_core::order::Order;
use i3_core::time::Clock;
use rumqttc::ConnectReturnCode;
use tokio::task::JoinHandle;

use super::DemoError;
use super::account::{Check, in_order};
use super::cast::{CURRENCY, Cast, amount};
use super::client::{Arrival, Client, ClientError};
use super::screen::Screen;
use super::sensor::Sensor;
use crate::Access;

/// What the story is played on.
pub(super) struct Stage<'a, W> {
    pub(super) market: &'a Marketplace,
    pub(super) access: &'a Access,
    pub(super) audience: &'a str,
    pub(super) gate: SocketAddr,
    pub(super) screen: &'a mut Screen<W>,
    pub(super) messages: u64,
}

/// An order with what its streaming showed.
#[derive(Debug)]
pub(super) struct Streamed {
    pub(super) order: Order,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) checks: Vec<Check>,
}

/// What a lifetime of the demo's tokens is.
const TOKEN_LIFETIME: Duration = Duration::from_mins(10);

impl<W: Write> Stage<'_, W> {
    /// The whole story; both orders are over at its end.
    pub(super) async fn play(&mut self, cast: &Cast) -> Result<[Streamed; 2], DemoError> {
        self.screen.heading("Buying")?;
        let [load, network] = self.buy(cast).await?;
        self.screen.heading("Refusals")?;
        self.refusals(cast, &load).await?;
        self.screen.heading("Streaming")?;
        let load = self.stream_into_the_quota(cast, load).await?;
        let network = self.stream_until_revoked(cast, network).await?;
        Ok([load, network])
    }

    fn password(&self, order: &Order) -> Secret {
        self.access.broker_passwords.of(order.id, order.password_generation)
    }

    /// A token of the second device, as if it were `age` old.
    fn token(&self, cast: &Cast, age: Duration) -> Result<Secret, DemoError> {
        let claims = Claims {
            audience: self.audience,
            subject: cast.probe.as_str(),
            issued: self.market.now().minus(age),
            lifetime: TOKEN_LIFETIME,
        };
        Ok(issue(&claims, &cast.probe_keys.private).map_err(super::key::KeysError::from)?)
    }

    async fn buy(&mut self, cast: &Cast) -> Result<[Order; 2], DemoError> {
        let buyer = Actor::User(cast.buyer);
        let [load, network] = [&cast.load, &cast.network].map(|(_, offer)| Purchase { offer: *offer });
        let Err(refusal) = self.market.execute(buyer, None, &load).await else {
            return Err(DemoError::Unexpected("something was sold to somebody without money"));
        };
        self.screen.step("refused", &format!("bea has no money yet: {refusal} ({})", refusal.code()))?;

        // Enough for the first order and for far more of the second than will be sent.
        let messages = i64::try_from(self.messages).unwrap_or(i64::MAX);
        let credit = amount(messages.saturating_mul(27).saturating_add(1_000))?;
        let reference = "demo".to_owned();
        let top_up = TopUp { user: cast.buyer, amount: credit, currency: CURRENCY, reference };
        self.market.execute(cast.administrator, None, &top_up).await?;
        self.screen.step("top-up", &format!("bea gets {}", credit.display(CURRENCY)))?;

        let load = self.market.execute(buyer, None, &load).await?;
        let network = self.market.execute(buyer, None, &network).await?;
        for (order, how) in [(&load, "paid in advance"), (&network, "paid for message by message")] {
            self.screen.step("order", &format!("{}, {how}: {}", order.terms.title, order.id))?;
        }
        Ok([load, network])
    }

    /// Tries what must not work.
    async fn refusals(&mut self, cast: &Cast, order: &Order) -> Result<(), DemoError> {
        let gauge = cast.gauge.as_str();
        self.refused_login(gauge, "a guess", "the device's login with a wrong password").await?;
        let old = self.token(cast, Duration::from_hours(1))?;
        self.refused_login(cast.probe.as_str(), old.expose(), "a device token of an hour ago, replayed")
            .await?;

        let (id, password) = (order.id.to_string(), self.password(order));
        let mut buyer = Client::connect(self.gate, "bea-curious", &id, password.expose()).await?;
        for filter in [cast.network.0.topic.as_str(), "i3/harbour/#"] {
            if buyer.subscribe(filter).await? {
                return Err(DemoError::Unexpected("a filter was granted that nobody paid for"));
            }
            self.screen.step("refused", &format!("SUBSCRIBE {filter} by the buyer of another product"))?;
        }
        let topic = cast.load.0.topic.as_str();
        buyer.publish(topic, b"{\"seq\":0}".to_vec()).await?;
        let seen = buyer.until("the end", |seen| seen.ended.is_some() || seen.acknowledged > 0).await?;
        if seen.acknowledged > 0 {
            return Err(DemoError::Unexpected("a buyer's publish was accepted"));
        }
        self.screen.step("refused", &format!("PUBLISH {topic} by the buyer: the connection is closed"))?;
        Ok(())
    }

    async fn refused_login(&mut self, username: &str, password: &str, what: &str) -> Result<(), DemoError> {
        match Client::connect(self.gate, "stranger", username, password).await {
            Ok(_) => Err(DemoError::Unexpected("a login was accepted that must be refused")),
            Err(ClientError::Refused { code, .. }) => {
                self.screen.step("refused", &format!("{what}: {}", meaning(code)))?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Publishes more of the first product than was bought.
    async fn stream_into_the_quota(&mut self, cast: &Cast, order: Order) -> Result<Streamed, DemoError> {
        let topic = order.terms.topic.as_str();
        let (id, password) = (order.id.to_string(), self.password(&order));
        let mut buyer = Client::connect(self.gate, "bea-load", &id, password.expose()).await?;
        granted(buyer.subscribe(topic).await?)?;
        let mut device =
            Client::connect(self.gate, "gauge", cast.gauge.as_str(), cast.gauge_password.expose()).await?;

        let published = self.messages + self.messages / 2 + 50;
        let begun = Instant::now();
        for seq in 1..=published {
            let reading = Sensor::Load.read(seq, self.market.now())?;
            if seq == 1 {
                self.screen.step("sensor", &String::from_utf8_lossy(&reading))?;
            }
            device.publish(topic, reading).await?;
        }
        device.until("acknowledgements", |seen| seen.acknowledged == published).await?;
        device.disconnect().await?;
        let seen = buyer.until("the end of the quota", |seen| seen.ended.is_some()).await?;
        let took = begun.elapsed();
        let delivered = seen.received;
        let text = format!(
            "{} bought, {published} published, {delivered} received in {}, then cut off",
            self.messages,
            millis(took)
        );
        self.screen.step("quota", &text)?;
        let checks = vec![in_order(order.terms.title.as_str(), &buyer.arrivals())];
        Ok(Streamed { order, published, delivered, checks })
    }

    /// Publishes the second product until the seller takes the access away, and a while longer.
    async fn stream_until_revoked(&mut self, cast: &Cast, order: Order) -> Result<Streamed, DemoError> {
        let topic = order.terms.topic.as_str();
        let (id, password) = (order.id.to_string(), self.password(&order));
        let mut buyer = Client::connect(self.gate, "bea-network", &id, password.expose()).await?;
        granted(buyer.subscribe(topic).await?)?;
        let token = self.token(cast, Duration::ZERO)?;
        let device = Client::connect(self.gate, "probe", cast.probe.as_str(), token.expose()).await?;
        let feed = Feed::start(device, topic.to_owned(), Arc::clone(self.market.clock()), self.messages);

        let wanted = self.messages;
        buyer.until("messages", |seen| seen.received >= wanted).await?;
        let revoke = RevokeGrant { grant: GrantId::of(order.id) };
        let called = Instant::now();
        self.market.execute(cast.seller, None, &revoke).await?;
        let returned = Instant::now();
        let sent_before = feed.sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(250)).await;
        let published = feed.stop().await?;
        buyer.until("the end", |seen| seen.ended.is_some()).await?;

        let arrivals = buyer.arrivals();
        let title = order.terms.title.as_str();
        let took = millis(returned - called);
        self.screen
            .step("revoked", &format!("by the seller, in mid-stream: the call returned after {took}"))?;
        let check = revocation(called, returned, &arrivals, sent_before, published);
        self.refused_login(&id, password.expose(), "the revoked order's login, with its right password")
            .await?;
        let checks = vec![in_order(title, &arrivals), check];
        let delivered = buyer.seen().received;
        Ok(Streamed { order, published, delivered, checks })
    }

    /// The buyer's opinion: only who received something may have one, so the usage must have been reported.
    pub(super) async fn rate(
        &mut self,
        cast: &Cast,
        order: &Order,
        stars: u8,
        words: &str,
    ) -> Result<(), DemoError> {
        let unfit = |_| DemoError::Unexpected("a rating of the demo's own is not allowed");
        let rating = RateProduct {
            order: order.id,
            stars: stars.try_into().map_err(|_| DemoError::Unexpected("there are one to five stars"))?,
            comment: Some(words.parse().map_err(unfit)?),
        };
        self.market.execute(Actor::User(cast.buyer), None, &rating).await?;
        self.screen.step("rating", &format!("bea gives {} {stars} stars: \"{words}\"", order.terms.title))?;
        Ok(())
    }
}

fn granted(granted: bool) -> Result<(), DemoError> {
    if granted { Ok(()) } else { Err(DemoError::Unexpected("what was paid for cannot be subscribed to")) }
}

/// A return code as the standard words it (MQTT 3.1.1, table 3.1).
fn meaning(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::Success => "accepted",
        ConnectReturnCode::RefusedProtocolVersion => "unacceptable protocol version",
        ConnectReturnCode::BadClientId => "identifier rejected",
        ConnectReturnCode::ServiceUnavailable => "server unavailable",
        ConnectReturnCode::BadUserNamePassword => "bad user name or password",
        ConnectReturnCode::NotAuthorized => "not authorized",
    }
}

/// Milliseconds with one decimal.
fn millis(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1_000.0)
}

/// How long a revocation took; and that nothing arrived that was published after it.
fn revocation(
    called: Instant,
    returned: Instant,
    arrivals: &[Arrival],
    sent_before: u64,
    published: u64,
) -> Check {
    let took = millis(returned - called);
    let last = arrivals.last().map_or("no message arrived".to_owned(), |last| {
        match returned.checked_duration_since(last.at) {
            Some(before) => format!("the last message arrived {} before it returned", millis(before)),
            // Written before, and still on its way when the call returned.
            None => format!("the last message arrived {} after it returned", millis(last.at - returned)),
        }
    });
    let after = published.saturating_sub(sent_before);
    let late = arrivals.iter().filter(|arrival| arrival.seq > sent_before).count();
    let found =
        format!("the call took {took}; {last}; {after} were published later, {late} of them delivered");
    Check { about: "revocation", holds: late == 0 && after > 0, found }
}

/// A device that publishes at a steady pace until it is told to stop.
struct Feed {
    /// The number of the message that was sent last.
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<u64, DemoError>>,
}

impl Feed {
    /// Sends `messages` in about a quarter of a second, and goes on.
    fn start(mut device: Client, topic: String, clock: Arc<dyn Clock>, messages: u64) -> Self {
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (Arc::clone(&sent), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(2));
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while !stopped.load(Ordering::SeqCst) {
                pace.tick().await;
                for _ in 0..(messages / 125).max(1) {
                    let seq = counter.fetch_add(1, Ordering::SeqCst) + 1;
                    device.publish(&topic, Sensor::Network.read(seq, clock.now())?).await?;
                }
            }
            let published = counter.load(Ordering::SeqCst);
            device.until("acknowledgements", |seen| seen.acknowledged == published).await?;
            device.disconnect().await?;
            Ok(published)
        });
        Self { sent, stop, task }
    }

    /// Stops; gives how many messages were published and acknowledged.
    async fn stop(self) -> Result<u64, DemoError> {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.map_err(|_| DemoError::Unexpected("the device's task did not end"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_published_after_the_revocation_must_not_arrive() {
        let now = Instant::now();
        let arrivals = [7, 8].map(|seq| Arrival { at: now, seq });
        assert!(revocation(now, now, &arrivals, 8, 20).holds);
        assert!(!revocation(now, now, &arrivals, 7, 20).holds);
        assert!(!revocation(now, now, &arrivals, 8, 8).holds, "nothing was tried");
    }
}
