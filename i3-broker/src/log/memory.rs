//! A topic log without an engine: publishing appends to the feed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use i3_core::gate::Principal;
use i3_core::name::Topic;

use super::feed::OnDrop;
use super::{Backlog, Feed, LogDown, Reader, TopicLog};
use crate::message::Message;

/// A topic log in this process's memory: for tests, and the shortest way from publisher to reader.
#[derive(Debug)]
pub struct MemoryLog {
    feeds: Arc<RwLock<HashMap<Topic, Arc<Feed>>>>,
    feed_bytes: usize,
}

impl MemoryLog {
    /// A log whose feeds hold about `feed_bytes` bytes each.
    pub fn new(feed_bytes: usize) -> Self {
        Self { feeds: Arc::default(), feed_bytes }
    }
}

impl Default for MemoryLog {
    /// Feeds of 8 MiB.
    fn default() -> Self {
        Self::new(8 << 20)
    }
}

#[async_trait]
impl TopicLog for MemoryLog {
    fn publish(&self, _: Principal, topic: &Topic, messages: &[Message]) -> Result<Backlog, LogDown> {
        let feeds = self.feeds.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = feeds.get(topic) {
            feed.append(messages.iter().cloned());
        }
        Ok(Backlog::Low)
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Reader, LogDown> {
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        let feed = feeds.entry(topic.clone()).or_insert_with(|| Feed::new(self.feed_bytes));
        let (all, topic) = (Arc::clone(&self.feeds), topic.clone());
        let on_drop = OnDrop(Box::new(move || {
            let mut feeds = all.write().unwrap_or_else(PoisonError::into_inner);
            if feeds.get(&topic).is_some_and(|feed| !feed.is_read()) {
                feeds.remove(&topic);
            }
        }));
        Ok(feed.reader().with_on_drop(on_drop))
    }

    fn feeds(&self) -> Vec<Arc<Feed>> {
        self.feeds.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Qos;
    use i3_core::id::{DeviceId, HubId, TypedId};

    #[tokio::test]
    async fn messages_reach_readers_of_their_topic_only_and_unread_feeds_go() {
        let log = MemoryLog::default();
        let (a, b): (Topic, Topic) = ("i3/h/a".parse().unwrap(), "i3/h/b".parse().unwrap());
        let (mut at_a, mut at_b) = (log.subscribe(&a).await.unwrap(), log.subscribe(&b).await.unwrap());
        let message = Message::plain(b"1", Qos::AtMostOnce);
        let device = DeviceId::from_bits(1);
        let source = Principal::Device { device, hub: HubId::from_bits(1) };
        log.publish(source, &a, &[message]).unwrap();
        assert_eq!((at_a.waiting(), at_b.waiting()), ((0, 1), (0, 0)));
        assert_eq!(log.feeds().len(), 2);
        drop((at_a, at_b));
        assert!(log.feeds().is_empty());
    }
}
