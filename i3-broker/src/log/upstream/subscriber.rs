//! A connection that subscribes, for the topics that fall to it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use i3_core::name::Topic;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Publish, RetainForwardRule, SubAck, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, Incoming};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument as _;

use super::carry::{Arrived, arrived};
use super::line::{Backoff, Ended, Line};
use super::origins::{Origins, Verdict};
use super::{Core, milliseconds};
use crate::log::feed::OnDrop;
use crate::log::{Feed, LogDown, Reader};
use crate::message::Message;
use crate::stats::add;

/// How long the broker may take to answer a SUBSCRIBE.
const ANSWER: Duration = Duration::from_secs(5);

/// How many topics are subscribed at once after a connection was made again.
const AT_ONCE: usize = 64;

/// A connection that subscribes. Its task is [`Subscriber::run`].
#[derive(Debug)]
pub(super) struct Subscriber {
    client_id: String,
    feeds: RwLock<HashMap<Topic, Arc<Entry>>>,
    /// The present connection, when all its topics are subscribed.
    line: watch::Sender<Option<AsyncClient>>,
    /// Held by whoever sends SUBSCRIBE or UNSUBSCRIBE, until the answer: at any time there is at most one without.
    asking: tokio::sync::Mutex<()>,
    answer: Mutex<Option<oneshot::Sender<SubAck>>>,
    /// Topics that lost their last reader.
    leaving: mpsc::UnboundedSender<Topic>,
}

#[derive(Debug)]
struct Entry {
    feed: Arc<Feed>,
    origins: Mutex<Origins>,
    /// Whether the broker has said yes.
    subscribed: AtomicBool,
}

impl Subscriber {
    pub(super) fn new(client_id: String) -> (Arc<Self>, mpsc::UnboundedReceiver<Topic>) {
        let (leaving, left) = mpsc::unbounded_channel();
        let subscriber = Self {
            client_id,
            feeds: RwLock::default(),
            line: watch::Sender::new(None),
            asking: tokio::sync::Mutex::default(),
            answer: Mutex::default(),
            leaving,
        };
        (Arc::new(subscriber), left)
    }

    pub(super) fn feeds(&self) -> Vec<Arc<Feed>> {
        let feeds = self.feeds.read().unwrap_or_else(PoisonError::into_inner);
        feeds.values().map(|entry| Arc::clone(&entry.feed)).collect()
    }

    pub(super) fn is_up(&self) -> bool {
        self.line.borrow().is_some()
    }

    /// Returns when it is connected.
    pub(super) async fn ready(&self) -> Option<AsyncClient> {
        self.line.subscribe().wait_for(Option::is_some).await.ok().and_then(|line| line.clone())
    }

    /// A reader of this topic; the broker has said yes when this returns.
    pub(super) async fn subscribe(self: Arc<Self>, core: Arc<Core>, topic: Topic) -> Result<Reader, LogDown> {
        if let Some(reader) = self.reader(&topic) {
            return Ok(reader);
        }
        let client = tokio::time::timeout(ANSWER, self.ready()).await.ok().flatten().ok_or(LogDown)?;
        let asking = self.asking.lock().await;
        if let Some(reader) = self.reader(&topic) {
            return Ok(reader);
        }
        let entry = Arc::new(Entry {
            feed: Feed::new(core.config.feed_bytes),
            origins: Mutex::new(Origins::new(core.max_age())),
            subscribed: AtomicBool::new(false),
        });
        // It is there before the first message.
        let reader = entry.feed.reader().with_on_drop(self.forget(&topic));
        self.feeds.write().unwrap_or_else(PoisonError::into_inner).insert(topic.clone(), Arc::clone(&entry));
        let codes = self.ask(&client, std::slice::from_ref(&topic)).await;
        let yes = codes.is_ok_and(|codes| matches!(codes.first(), Some(SubscribeReasonCode::Success(_))));
        entry.subscribed.store(yes, Ordering::Release);
        drop(asking);
        if yes { Ok(reader) } else { Err(LogDown) }
    }

    /// A reader of a feed that the broker fills.
    fn reader(self: &Arc<Self>, topic: &Topic) -> Option<Reader> {
        // The write lock keeps the last reader's farewell out.
        let feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        let entry = feeds.get(topic).filter(|entry| entry.subscribed.load(Ordering::Acquire))?;
        Some(entry.feed.reader().with_on_drop(self.forget(topic)))
    }

    fn forget(self: &Arc<Self>, topic: &Topic) -> OnDrop {
        let (subscriber, topic) = (Arc::clone(self), topic.clone());
        OnDrop(Box::new(move || {
            let mut feeds = subscriber.feeds.write().unwrap_or_else(PoisonError::into_inner);
            if feeds.get(&topic).is_some_and(|entry| !entry.feed.is_read()) {
                feeds.remove(&topic);
                drop(feeds);
                // An error means that the log is gone.
                let _ = subscriber.leaving.send(topic);
            }
        }))
    }

    /// Subscribes to topics; what the broker says to each. Only while holding `asking`.
    async fn ask(&self, client: &AsyncClient, topics: &[Topic]) -> Result<Vec<SubscribeReasonCode>, LogDown> {
        let (answer, answered) = oneshot::channel();
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        let filters = topics.iter().map(|topic| Filter {
            path: topic.as_str().to_owned(),
            qos: QoS::AtLeastOnce,
            nolocal: false,
            preserve_retain: true,
            // The gate has its own retained messages, each charged when it is delivered.
            retain_forward_rule: RetainForwardRule::Never,
        });
        let asking = async {
            client.subscribe_many(filters).await.map_err(|_| LogDown)?;
            answered.await.map_err(|_| LogDown)
        };
        if let Ok(answer) = tokio::time::timeout(ANSWER, asking).await {
            return answer.map(|answer| answer.return_codes);
        }
        // A late answer must not be taken for the next one: the connection is given up.
        let _ = client.disconnect().await;
        Err(LogDown)
    }

    /// Keeps the connection, and all subscriptions on it, for ever.
    pub(super) async fn run(self: Arc<Self>, core: Arc<Core>, left: mpsc::UnboundedReceiver<Topic>) {
        let span = tracing::info_span!("gate.upstream", client_id = self.client_id);
        self.keep(core, left).instrument(span).await;
    }

    async fn keep(self: Arc<Self>, core: Arc<Core>, mut left: mpsc::UnboundedReceiver<Topic>) {
        let mut backoff = Backoff::new();
        let mut met = false;
        let session = core.config.session_expiry;
        loop {
            // What an earlier life of this gate left is of no use; what this one left is.
            match Line::open(&core.config, &self.client_id, !met, Some(session)).await {
                Ok((client, mut line, _)) => {
                    if std::mem::replace(&mut met, true) {
                        add(&core.counters.reconnects, 1);
                    }
                    backoff.reset();
                    let ended = tokio::select! {
                        ended = self.follow(&core, &mut line) => ended,
                        ended = self.tend(&client, &mut left) => ended,
                    };
                    tracing::warn!(%ended, "a subscribing connection to the upstream broker ended");
                }
                Err(error) => {
                    tracing::warn!(%error, "no subscribing connection to the upstream broker");
                }
            }
            self.line.send_replace(None);
            self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
            backoff.wait().await;
        }
    }

    /// Subscribes again to all that is read, then unsubscribes from what is not read any more.
    async fn tend(&self, client: &AsyncClient, left: &mut mpsc::UnboundedReceiver<Topic>) -> Ended {
        let asking = self.asking.lock().await;
        let topics: Vec<Topic> =
            self.feeds.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        for topics in topics.chunks(AT_ONCE) {
            let Ok(codes) = self.ask(client, topics).await else { return Ended::Silent };
            for (topic, code) in topics.iter().zip(codes) {
                if !matches!(code, SubscribeReasonCode::Success(_)) {
                    tracing::error!(
                        topic = topic.as_str(),
                        ?code,
                        "the upstream broker refuses a subscription"
                    );
                }
            }
        }
        drop(asking);
        self.line.send_replace(Some(client.clone()));
        while let Some(topic) = left.recv().await {
            let _asking = self.asking.lock().await;
            let read_again = self.feeds.read().unwrap_or_else(PoisonError::into_inner).contains_key(&topic);
            if !read_again && client.unsubscribe(topic.as_str()).await.is_err() {
                break;
            }
        }
        // The connection's end is told by the other half.
        std::future::pending().await
    }

    /// Follows the connection until it ends.
    async fn follow(&self, core: &Core, line: &mut Line) -> Ended {
        let mut batch = Batch::default();
        loop {
            match line.next().await {
                Ok(event) => self.happened(core, event, &mut batch),
                Err(ended) => {
                    // Some of it may have been acknowledged.
                    line.rest().for_each(|event| self.happened(core, event, &mut batch));
                    batch.deliver();
                    return ended;
                }
            }
            if !line.has_more() {
                batch.deliver();
            }
        }
    }

    fn happened(&self, core: &Core, event: Event, batch: &mut Batch) {
        match event {
            Event::Incoming(Incoming::Publish(publish)) => self.came(core, &publish, batch),
            Event::Incoming(Incoming::SubAck(ack)) => {
                if let Some(answer) = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    // Whoever asked may have gone.
                    let _ = answer.send(ack);
                }
            }
            _ => {}
        }
    }

    fn came(&self, core: &Core, publish: &Publish, batch: &mut Batch) {
        let topic = std::str::from_utf8(&publish.topic).ok().and_then(|topic| topic.parse::<Topic>().ok());
        let Some(topic) = topic else { return };
        let entry = self.feeds.read().unwrap_or_else(PoisonError::into_inner).get(&topic).cloned();
        // Nobody reads it any more.
        let Some(entry) = entry else { return };
        let counters = &core.counters;
        let now = milliseconds(core.clock.now());
        let message = match arrived(&core.seal, topic.as_str(), publish, now) {
            Arrived::Ours(envelope, message) => {
                let verdict =
                    entry.origins.lock().unwrap_or_else(PoisonError::into_inner).judge(&envelope, now);
                match verdict {
                    Verdict::Fresh { lost } => {
                        add(&counters.lost, lost);
                        message
                    }
                    Verdict::Repeated => return add(&counters.repeated, 1),
                    Verdict::Stale => return add(&counters.forged, 1),
                }
            }
            Arrived::Foreign(message) => {
                add(&counters.foreign, 1);
                if !core.config.accept_foreign {
                    return;
                }
                message
            }
            Arrived::Forged => return add(&counters.forged, 1),
        };
        batch.put(&entry, message);
    }
}

/// Messages of one topic that are put into its feed together.
#[derive(Debug, Default)]
struct Batch {
    entry: Option<Arc<Entry>>,
    messages: Vec<Message>,
}

impl Batch {
    fn put(&mut self, entry: &Arc<Entry>, message: Message) {
        if !self.entry.as_ref().is_some_and(|present| Arc::ptr_eq(present, entry)) {
            self.deliver();
            self.entry = Some(Arc::clone(entry));
        }
        self.messages.push(message);
    }

    fn deliver(&mut self) {
        if let Some(entry) = &self.entry
            && !self.messages.is_empty()
        {
            entry.feed.append(self.messages.drain(..));
        }
    }
}
