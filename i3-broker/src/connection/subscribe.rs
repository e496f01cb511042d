//! SUBSCRIBE and UNSUBSCRIBE (3.8, 3.10).

use std::sync::Arc;

use i3_core::gate::{GrantView, LeaseRefusal, Principal};
use i3_core::id::GrantId;
use i3_core::name::Topic;

use super::Connection;
use super::deliver::{Membership, Subscription};
use crate::denials::Denied;
use crate::history::Turn;
use crate::meter::{Phase, Stop};
use crate::parked::Standing;
use crate::session::{Ending, Granted, Options, grant_filters};
use crate::stats::add;
use crate::wire::{self, FilterKind, Qos, Reason, RetainHandling, Subscribe, Unsubscribe};

impl Connection {
    pub(super) async fn subscribe(&mut self, request: Subscribe) -> Result<(), Ending> {
        let is_new = self.subscription.is_none();
        let Granted { reasons, filter } = self.grant(&request).await?;
        let refused = reasons.iter().filter(|reason| reason.is_error()).count();
        add(&self.shared.counters.subscriptions_refused, u64::try_from(refused).unwrap_or_default());
        for (filter, reason) in request.filters.iter().zip(&reasons) {
            if *reason == Reason::NotAuthorized {
                let denied = Denied::Subscribe(&filter.filter);
                self.shared.denied(Some(self.principal()), Some(self.peer), denied);
            }
        }
        if let (Some(subscription), Some(filter)) = (&mut self.subscription, filter) {
            let standing = &mut subscription.standing;
            standing.options = Options {
                qos: filter.qos,
                retain_as_published: filter.retain_as_published,
                identifier: request.identifier,
            };
            // 3.8.4-3; MQTT 5, 3.3.1-9 to -11. Charged like any delivery.
            let wanted = match filter.retain_handling {
                RetainHandling::Always => true,
                RetainHandling::IfNew => is_new,
                RetainHandling::Never => false,
            };
            if wanted {
                standing.retained = self.shared.retained.of(&standing.topic, self.shared.now());
            }
        }
        let id = request.packet_id;
        self.session.answer(&mut self.control, |out, version| wire::suback(out, version, id, &reasons));
        Ok(())
    }

    /// Works out what is granted, and makes the subscription if there is none yet. Unknown and forbidden topics
    /// are refused alike.
    async fn grant<'a>(&mut self, request: &'a Subscribe) -> Result<Granted<'a>, Ending> {
        let version = self.session.version();
        let filters = &request.filters;
        if let Some(subscription) = &self.subscription {
            return Ok(grant_filters(version, filters, Some(&subscription.standing.topic)));
        }
        let refused = grant_filters(version, filters, None);
        let Principal::Order { order, .. } = self.principal() else { return Ok(refused) };
        let possible = filters
            .iter()
            .any(|filter| filter.kind() == FilterKind::Exact && filter.filter.parse::<Topic>().is_ok());
        if !possible {
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
        let granted = grant_filters(version, filters, Some(&topic));
        if granted.filter.is_none() {
            return Ok(granted);
        }
        let member = Membership::join(&shared, grant, &self.handle);
        let handle = Arc::clone(&member.grant);
        let view = match self.ask(async move { handle.settled_phase().await }).await? {
            Phase::Open { view, .. } if view.topic == topic => view,
            Phase::Ended(Stop::Refused(LeaseRefusal::Exhausted | LeaseRefusal::InsufficientFunds)) => {
                return Ok(granted.instead(Reason::QuotaExceeded));
            }
            _ => return Ok(refused),
        };
        let Ok(reader) = self.ask(shared.log.subscribe(&topic)).await? else {
            return Ok(refused);
        };
        let reader = reader.with_waker(Arc::clone(&self.handle.wake));
        let options = Options { qos: Qos::AtMostOnce, retain_as_published: false, identifier: None };
        let (turn, writing) = (Turn::at(reader.place()), shared.histories.begin(grant, &self.name));
        let standing = Standing { reader, topic, options, view, retained: None, turn, writing };
        self.subscription = Some(Subscription::new(standing, member));
        Ok(granted)
    }

    pub(super) async fn unsubscribe(&mut self, request: &Unsubscribe) -> Result<(), Ending> {
        let topic = self.subscription.as_ref().map(|subscription| &subscription.standing.topic);
        let mut ended = false;
        let mut reasons = Vec::with_capacity(request.filters.len());
        for filter in &request.filters {
            let ends = !ended && topic.is_some_and(|topic| topic.as_str() == filter);
            ended |= ends;
            reasons.push(if ends { Reason::Success } else { Reason::NoSubscriptionExisted });
        }
        if ended {
            self.settle().await?;
            // What was begun is finished (3.10.4-3).
            self.pause();
            self.subscription = None;
            self.held = false;
        }
        let id = request.packet_id;
        self.session.answer(&mut self.control, |out, version| wire::unsuback(out, version, id, &reasons));
        Ok(())
    }

    /// While a part of a frame is held back, waits until it is known how deliveries go on.
    async fn settle(&mut self) -> Result<(), Ending> {
        while self.held
            && let Some(grant) = self.subscription.as_ref().map(Subscription::grant)
        {
            self.ask(async move { grant.settled_phase().await }).await?;
            let Some(subscription) = &mut self.subscription else { break };
            subscription.look(false)?;
            self.held = subscription.is_waiting();
        }
        Ok(())
    }
}
