//! What goes to a buyer.

use std::sync::Arc;
use std::time::Instant;

use i3_core::gate::{GrantView, LeaseRefusal, Principal};
use i3_core::id::GrantId;
use i3_core::name::Topic;

use super::{Connection, Ending};
use crate::config::GateConfig;
use crate::log::Reader;
use crate::message::Message;
use crate::meter::{GrantHandle, Grants, Lease, Phase, Reserve, Stop};
use crate::session::{grant_filters, may_subscribe};
use crate::shared::Shared;
use crate::signal::ConnHandle;
use crate::stats::add;
use crate::wire::{self, Qos, Subscribe, Unsubscribe};

/// The most messages that are put into the outbox at a time.
const BATCH: u64 = 1_024;

/// A session's place among those of its grant.
#[derive(Debug)]
struct Membership {
    grant: Arc<GrantHandle>,
    session: Arc<ConnHandle>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        Grants::leave(&self.grant, &self.session);
    }
}

/// A buyer's one subscription: an order opens one topic.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) reader: Reader,
    member: Membership,
    topic: Topic,
    qos: Qos,
    /// The grant's stamp when its phase was last looked at.
    stamp: u64,
    lease: Option<Arc<Lease>>,
    until: Option<Instant>,
    /// Since when messages wait for quota.
    waiting: Option<Instant>,
    retained: Option<Message>,
}

impl Subscription {
    /// The next moment at which deliveries end or waiting has taken too long.
    pub(super) fn deadline(&self, config: &GateConfig) -> Option<Instant> {
        let patience = self.waiting.map(|since| since + config.quota_wait);
        [self.until, patience].into_iter().flatten().min()
    }

    /// Whether one has passed.
    pub(super) fn check_time(&self, config: &GateConfig, now: Instant) -> Result<(), Ending> {
        if self.until.is_some_and(|until| until <= now) {
            return Err(Ending::Revoked);
        }
        if self.deadline(config).is_some_and(|deadline| deadline <= now) {
            return Err(Ending::Finished);
        }
        Ok(())
    }

    /// Learns what the grant allows, if that has changed. A frame of which a part was written is finished after
    /// the quota is used up, but not after access has ended.
    fn look(&mut self, all_written: bool) -> Result<(), Ending> {
        let stamp = self.member.grant.stamp();
        if stamp == self.stamp {
            return Ok(());
        }
        self.stamp = stamp;
        match self.member.grant.phase() {
            Phase::Waiting => self.lease = None,
            Phase::Open { lease, until, .. } => (self.lease, self.until) = (Some(lease), until),
            Phase::Ended(stop) => {
                tracing::debug!(grant = %self.member.grant.grant, ?stop, "deliveries end");
                let cut = matches!(stop, Stop::Closed | Stop::Refused(LeaseRefusal::NotActive));
                return Err(if cut && !all_written { Ending::Revoked } else { Ending::Finished });
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Puts what waits into the outbox, as far as quota and the client allow. Only while the outbox is empty: what
    /// cannot be written is not reserved.
    pub(super) fn fill(&mut self, now: Instant) -> Result<(), Ending> {
        let all_written = self.outbox.is_empty();
        if let Some(subscription) = &mut self.subscription {
            subscription.look(all_written)?;
        }
        self.held &= self.subscription.as_ref().is_some_and(|subscription| subscription.lease.is_none());
        if !all_written {
            return Ok(());
        }
        self.outbox.put_control(&mut self.control);
        self.wrote = now;
        let Some(subscription) = &mut self.subscription else { return Ok(()) };
        subscription.check_time(&self.shared.config, now)?;
        let (missed, waiting) = subscription.reader.waiting();
        add(&self.shared.counters.gaps, missed);
        let mut want = waiting.saturating_add(u64::from(subscription.retained.is_some())).min(BATCH);
        if subscription.qos != Qos::AtMostOnce {
            want = want.min(u64::try_from(self.window.room()).unwrap_or_default());
        }
        if want == 0 {
            subscription.waiting = None;
            self.outbox.rest_from_work();
            return Ok(());
        }
        let Some(lease) = &subscription.lease else {
            subscription.waiting.get_or_insert(now);
            return Ok(());
        };
        let (count, ask) = match lease.reserve(want) {
            Reserve::Got { count, ask } => (count, ask),
            Reserve::Empty { ask } => (0, ask),
            // The grant's next phase wakes this session.
            Reserve::Closed => (0, false),
        };
        if ask {
            subscription.member.grant.ask_for_quota();
        }
        if count == 0 {
            subscription.waiting.get_or_insert(now);
            return Ok(());
        }
        subscription.waiting = None;
        let lease = Arc::clone(lease);
        self.outbox.set_quota(&subscription.member.grant, &lease);
        let put = self.put(count, now);
        self.outbox.count();
        lease.unreserve(count.saturating_sub(put));
        Ok(())
    }

    /// Puts up to `count` reserved frames; how many it put.
    fn put(&mut self, count: u64, now: Instant) -> u64 {
        let Some(subscription) = &mut self.subscription else { return 0 };
        let (outbox, window) = (&mut self.outbox, &mut self.window);
        let mut left = count;
        let room = outbox.room(now);
        if let Some(message) = subscription.retained.take() {
            let id =
                if message.qos().min(subscription.qos) == Qos::AtMostOnce { None } else { window.take() };
            outbox.put_frame(None, id.is_some(), |out| wire::deliver(out, &message, id, true));
            left -= 1;
        }
        let qos = subscription.qos;
        let (_, missed) = subscription.reader.read(|number, message| {
            if left == 0 || outbox.len() >= room {
                return false;
            }
            let id = if message.qos().min(qos) == Qos::AtMostOnce { None } else { window.take() };
            outbox.put_frame(Some(number), id.is_some(), |out| wire::deliver(out, message, id, false));
            left -= 1;
            true
        });
        add(&self.shared.counters.gaps, missed);
        count - left
    }

    /// Takes back what was not written. The messages are not lost: should the grant stay open, they are
    /// delivered under its next lease.
    pub(super) fn pause(&mut self) {
        let taken = self.outbox.take_back();
        self.window.take_back(taken.ids);
        self.held = !self.outbox.is_empty();
        if let Some(subscription) = &mut self.subscription {
            subscription.lease = None;
            // The next look is a fresh one.
            subscription.stamp = 0;
            if let Some(first) = taken.first {
                subscription.reader.rewind(first);
            }
            if taken.retained {
                subscription.retained = self.shared.retained.of(&subscription.topic);
            }
        }
    }

    pub(super) async fn subscribe(&mut self, request: Subscribe) -> Result<(), Ending> {
        let granted = self.grant(&request).await?;
        let refused = granted.iter().filter(|qos| qos.is_none()).count();
        add(&self.shared.counters.subscriptions_refused, u64::try_from(refused).unwrap_or_default());
        if let (Some(subscription), Some(qos)) = (&mut self.subscription, granted.iter().flatten().last()) {
            subscription.qos = *qos;
            // 3.8.4-3: sent again for every SUBSCRIBE, and charged like any delivery.
            subscription.retained = self.shared.retained.of(&subscription.topic);
        }
        wire::suback(&mut self.control, request.packet_id, &granted);
        Ok(())
    }

    /// Works out what is granted, and makes the subscription if there is none yet. Unknown and forbidden topics
    /// are refused alike.
    async fn grant(&mut self, request: &Subscribe) -> Result<Vec<Option<Qos>>, Ending> {
        if let Some(subscription) = &self.subscription {
            return Ok(grant_filters(&request.filters, Some(&subscription.topic)));
        }
        let refused = grant_filters(&request.filters, None);
        let Principal::Order { order, .. } = self.principal else { return Ok(refused) };
        let possible = request.filters.iter().any(|(filter, _)| filter.parse::<Topic>().is_ok());
        if !may_subscribe(self.principal) || !possible {
            return Ok(refused);
        }
        let shared = Arc::clone(&self.shared);
        let grant = GrantId::of(order);
        // Asked first, so that a stranger's guesses take no leases.
        let topic = match self.ask(shared.ports.directory.grant(grant)).await? {
            Ok(Some(GrantView { open: true, topic, until, .. }))
                if until.is_none_or(|until| until > shared.ports.clock.now()) =>
            {
                topic
            }
            Ok(_) => return Ok(refused),
            Err(error) => {
                tracing::warn!(%grant, %error, "a grant could not be read");
                return Ok(refused);
            }
        };
        let granted = grant_filters(&request.filters, Some(&topic));
        if granted.iter().all(Option::is_none) {
            return Ok(refused);
        }
        let member = self.join(&shared, grant);
        let handle = Arc::clone(&member.grant);
        let Phase::Open { view, .. } = self.ask(async move { handle.settled_phase().await }).await? else {
            return Ok(refused);
        };
        if view.topic != topic {
            return Ok(refused);
        }
        let Ok(reader) = self.ask(shared.log.subscribe(&topic)).await? else {
            return Ok(refused);
        };
        let reader = reader.with_waker(Arc::clone(&self.handle.wake));
        self.subscription = Some(Subscription {
            reader,
            member,
            topic,
            qos: Qos::AtMostOnce,
            stamp: 0,
            lease: None,
            until: None,
            waiting: None,
            retained: None,
        });
        Ok(granted)
    }

    fn join(&self, shared: &Arc<Shared>, grant: GrantId) -> Membership {
        let grant = Grants::join(shared, grant, &self.handle);
        Membership { grant, session: Arc::clone(&self.handle) }
    }

    pub(super) fn unsubscribe(&mut self, request: &Unsubscribe) {
        let ends = |subscription: &Subscription| {
            request.filters.iter().any(|filter| filter.as_str() == subscription.topic.as_str())
        };
        if self.subscription.as_ref().is_some_and(ends) {
            let taken = self.outbox.take_back();
            self.window.take_back(taken.ids);
            self.subscription = None;
        }
        wire::unsuback(&mut self.control, request.packet_id);
    }
}
