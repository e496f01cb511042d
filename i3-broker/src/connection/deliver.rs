//! What goes to a buyer.

use std::sync::Arc;
use std::time::Instant;

use i3_core::gate::{GrantView, LeaseRefusal};
use i3_core::id::GrantId;
use i3_core::usage::Miss;

use super::Connection;
use super::outbox::Source;
use crate::config::GateConfig;
use crate::message::Message;
use crate::meter::{GrantHandle, Grants, Lease, Phase, Reserve, Stop};
use crate::parked::Standing;
use crate::session::{Ending, Options, Sent};
use crate::shared::Shared;
use crate::signal::ConnHandle;
use crate::wire::{self, Delivery, Qos, Reason, Version};

/// The most messages that are put into the outbox at a time.
const BATCH: u64 = 1_024;

/// What stands for the one topic that a buyer receives, for clients that take aliases (MQTT 5, 3.3.2.3.4).
const ALIAS: u16 = 1;

/// What the client knows of [`ALIAS`], once it has read what is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alias {
    New,
    Known,
}

/// A session's place among those of its grant.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) grant: Arc<GrantHandle>,
    session: Arc<ConnHandle>,
}

impl Membership {
    pub(super) fn join(shared: &Arc<Shared>, grant: GrantId, session: &Arc<ConnHandle>) -> Self {
        Self { grant: Grants::join(shared, grant, session), session: Arc::clone(session) }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        Grants::leave(&self.grant, &self.session);
    }
}

/// A buyer's one subscription: an order opens one topic.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) standing: Standing,
    member: Membership,
    /// The grant's stamp when its phase was last looked at.
    stamp: u64,
    lease: Option<Arc<Lease>>,
    until: Option<Instant>,
    /// Since when messages wait for quota.
    waiting: Option<Instant>,
    alias: Alias,
}

impl Subscription {
    pub(super) fn new(standing: Standing, member: Membership) -> Self {
        Self { standing, member, stamp: 0, lease: None, until: None, waiting: None, alias: Alias::New }
    }

    /// What outlives the connection, and the grant as it is known to be; `None` if it is not known to be open.
    pub(super) fn into_standing(self) -> (Standing, Membership, Option<Arc<GrantView>>) {
        let view = match self.member.grant.phase() {
            Phase::Open { view, until, .. } if until.is_none_or(|until| until > Instant::now()) => Some(view),
            _ => None,
        };
        (self.standing, self.member, view)
    }

    pub(super) fn grant(&self) -> Arc<GrantHandle> {
        Arc::clone(&self.member.grant)
    }

    /// Whether it is not known at the moment what the grant allows.
    pub(super) fn is_waiting(&self) -> bool {
        self.lease.is_none()
    }

    /// The next moment at which deliveries end or waiting has taken too long.
    pub(super) fn deadline(&self, config: &GateConfig) -> Option<Instant> {
        let patience = self.waiting.map(|since| since + config.quota_wait);
        [self.until, patience].into_iter().flatten().min()
    }

    /// Whether one has passed.
    pub(super) fn check_time(&self, config: &GateConfig, now: Instant) -> Result<(), Ending> {
        if self.until.is_some_and(|until| until <= now) {
            return Err(Ending::Cut(Reason::NotAuthorized));
        }
        if self.deadline(config).is_some_and(|deadline| deadline <= now) {
            return Err(Ending::Finished(Reason::ServerBusy));
        }
        Ok(())
    }

    /// Learns what the grant allows, if that has changed. A frame of which a part was written is finished after
    /// the quota is used up, but not after access has ended.
    pub(super) fn look(&mut self, all_written: bool) -> Result<(), Ending> {
        let stamp = self.member.grant.stamp();
        if stamp == self.stamp {
            return Ok(());
        }
        self.stamp = stamp;
        match self.member.grant.phase() {
            Phase::Waiting => self.lease = None,
            Phase::Open { lease, until, view } => {
                (self.lease, self.until, self.standing.view) = (Some(lease), until, view);
            }
            Phase::Ended(stop) => {
                let grant = &self.member.grant;
                tracing::debug!(grant = %grant.grant, ?stop, "deliveries end");
                let cut = matches!(stop, Stop::Closed | Stop::Refused(LeaseRefusal::NotActive));
                let reason = match stop {
                    _ if cut && grant.is_suspended() => Reason::AdministrativeAction,
                    _ if cut => Reason::NotAuthorized,
                    Stop::Refused(LeaseRefusal::Exhausted | LeaseRefusal::InsufficientFunds) => {
                        Reason::QuotaExceeded
                    }
                    _ => Reason::ServerBusy,
                };
                return Err(if cut && !all_written { Ending::Cut(reason) } else { Ending::Finished(reason) });
            }
        }
        Ok(())
    }
}

/// Makes deliveries of messages, for one subscription.
struct Writer<'a> {
    shared: &'a Shared,
    version: Version,
    topic: &'a str,
    options: Options,
    /// The longest packet that the client takes.
    longest: usize,
    /// `None` if the topic is to be written in full.
    alias: Option<Alias>,
    /// The time, once it was needed: most messages do not expire.
    now: Option<u64>,
}

impl<'a> Writer<'a> {
    /// The delivery of a message, still without packet identifier; or why it is passed over, uncharged.
    fn delivery<'m>(&mut self, message: &'m Message, retained: bool) -> Result<Delivery<'m>, Miss>
    where
        'a: 'm,
    {
        let mut expiry = None;
        if message.expiry().is_some() {
            let now = *self.now.get_or_insert_with(|| self.shared.now());
            expiry = message.expiry_at(now).map_err(|_| Miss::Expired)?;
        }
        let delivery = Delivery {
            topic: self.topic,
            alias: None,
            content: message.content(),
            qos: message.qos().min(self.options.qos),
            packet_id: 0,
            dup: false,
            // 3.3.1-8 and -9; MQTT 5, 3.3.1-12 and -13
            retain: retained || (self.options.retain_as_published && message.retain()),
            subscription_identifier: self.options.identifier,
            expiry,
        };
        if !self.fits(&delivery) {
            return Err(Miss::TooLarge);
        }
        Ok(self.shortened(delivery))
    }

    /// The same with the topic's alias: instead of the topic if the client knows it, else beside it.
    fn shortened<'m>(&self, plain: Delivery<'m>) -> Delivery<'m> {
        let topic = match self.alias {
            None => return plain,
            Some(Alias::New) => plain.topic,
            Some(Alias::Known) => "",
        };
        let short = Delivery { topic, alias: Some(ALIAS), ..plain };
        if self.fits(&short) { short } else { plain }
    }

    /// The delivery of a message that was sent before, if the client still takes such a size. That it was begun in
    /// time is enough.
    fn again<'m>(&self, sent: &'m Sent, qos: Qos, packet_id: u16, now: u64) -> Option<Delivery<'m>>
    where
        'a: 'm,
    {
        let message = &sent.message;
        let delivery = Delivery {
            topic: self.topic,
            alias: None,
            content: message.content(),
            qos,
            packet_id,
            dup: true,
            retain: sent.retain,
            subscription_identifier: self.options.identifier,
            expiry: message.expiry_at(now).unwrap_or(Some(0)),
        };
        self.fits(&delivery).then_some(delivery)
    }

    fn fits(&self, delivery: &Delivery<'_>) -> bool {
        self.longest == usize::MAX
            || wire::delivered_len(self.version, delivery).is_some_and(|len| len <= self.longest)
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
        self.outbox.remember_in(&subscription.standing.writing.history);
        subscription.check_time(&self.shared.config, now)?;
        if self.session.window.owes() {
            if subscription.lease.is_none() {
                subscription.waiting.get_or_insert(now);
                return Ok(());
            }
            self.put_again(now);
            if self.session.window.owes() {
                return Ok(());
            }
        }
        let Some(subscription) = &mut self.subscription else { return Ok(()) };
        let standing = &mut subscription.standing;
        let (missed, waiting) = standing.reader.waiting();
        subscription.member.grant.missed(Miss::Slow, missed);
        let mut want = waiting.saturating_add(u64::from(standing.retained.is_some())).min(BATCH);
        if standing.options.qos != Qos::AtMostOnce {
            want = want.min(u64::try_from(self.session.window.room()).unwrap_or_default());
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
        self.outbox.count_passed();
        self.outbox.count();
        lease.unreserve(count.saturating_sub(put));
        Ok(())
    }

    /// Puts up to `count` reserved frames; how many it put.
    fn put(&mut self, count: u64, now: Instant) -> u64 {
        let keeps = self.session.expiry() > 0;
        let (version, longest) = (self.session.version(), self.session.longest());
        let takes_alias = self.session.takes_alias();
        let Some(Subscription { standing, member, alias, .. }) = &mut self.subscription else { return 0 };
        let (outbox, window) = (&mut self.outbox, &mut self.session.window);
        let Standing { reader, topic, options, retained, turn, writing, .. } = standing;
        let (shared, topic, options) = (&*self.shared, topic.as_str(), *options);
        let history = &*writing.history;
        let known = takes_alias.then_some(*alias);
        let mut writer = Writer { shared, version, topic, options, longest, alias: known, now: None };
        let mut left = count;
        let room = outbox.room(now);
        // Whether it was taken, be it only to be passed over.
        let mut put = |source: Source, message: &Message| {
            let number = message.sequence();
            let mut delivery = match writer.delivery(message, source == Source::Retained) {
                Ok(delivery) => delivery,
                Err(why) => {
                    let passed = outbox.pass_over(source, number, why);
                    if let (Source::Feed(place), true) = (source, passed) {
                        turn.pass(place, number, history);
                    }
                    return passed;
                }
            };
            if left == 0 || outbox.len() >= room {
                return false;
            }
            let has_id = delivery.qos != Qos::AtMostOnce;
            if has_id {
                if window.room() == 0 {
                    return false;
                }
                let kept = keeps.then(|| {
                    let sent = Sent { message: message.owned(), retain: delivery.retain };
                    (sent, message.frame().len())
                });
                let Some(id) = window.take(delivery.qos, kept) else { return false };
                delivery.packet_id = id;
            }
            if let Source::Feed(place) = source {
                turn.pass(place, number, history);
            }
            outbox.put_frame(source, number, has_id, |out| {
                wire::deliver(out, version, &delivery);
            });
            if delivery.alias.is_some() {
                (*alias, writer.alias) = (Alias::Known, Some(Alias::Known));
            }
            left -= 1;
            true
        };
        if let Some(message) = retained.take()
            && !put(Source::Retained, &message)
        {
            *retained = Some(message);
        }
        let (_, missed) = reader.read(|number, message| put(Source::Feed(number), message));
        member.grant.missed(Miss::Slow, missed);
        count - left
    }

    /// Puts messages that were sent on an earlier connection and not acknowledged, as many as the client takes.
    fn put_again(&mut self, instant: Instant) {
        let (version, longest) = (self.session.version(), self.session.longest());
        let Some(Subscription { standing, .. }) = &self.subscription else { return };
        let shared = &*self.shared;
        let (topic, options) = (standing.topic.as_str(), standing.options);
        let writer = Writer { shared, version, topic, options, longest, alias: None, now: None };
        let now = shared.now();
        let room = self.outbox.room(instant);
        while self.outbox.len() < room {
            let Some((id, qos, sent)) = self.session.window.resend() else { break };
            let number = sent.message.sequence();
            match writer.again(sent, qos, id, now) {
                Some(delivery) => self.outbox.put_again(id, number, |out| {
                    wire::deliver(out, version, &delivery);
                }),
                // It was delivered, and charged, on the earlier connection: nothing that was missed.
                None => self.session.window.drop_message(id),
            }
        }
        self.outbox.count();
    }

    /// Takes back what was not written. The messages are not lost: should the grant stay open, they are
    /// delivered under its next lease.
    pub(super) fn pause(&mut self) {
        let taken = self.outbox.take_back();
        self.session.window.take_back(taken.ids);
        self.session.window.unsend(&taken.again);
        self.held = !self.outbox.is_empty();
        if let Some(subscription) = &mut self.subscription {
            subscription.lease = None;
            // The next look is a fresh one.
            subscription.stamp = 0;
            // What told the client of it may have been taken back.
            subscription.alias = Alias::New;
            let standing = &mut subscription.standing;
            if let Some((place, number)) = taken.first {
                standing.reader.rewind(place);
                standing.turn.back_to(place, number);
            }
            if taken.retained {
                standing.retained = self.shared.retained.of(&standing.topic, self.shared.now());
            }
        }
    }
}
