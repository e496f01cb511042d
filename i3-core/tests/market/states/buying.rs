//! Orders with their grants, and leases.

use std::time::Duration;

use i3_core::access::Actor;
use i3_core::gate::Metering as _;
use i3_core::grant::{Grant, GrantState};
use i3_core::id::{GrantId, LeaseId, OfferId, OrderId, TypedId};
use i3_core::market::{
    CancelOrder, CloseLease, ExpireGrant, ExtendLease, OpenLease, Purchase, ReclaimLease,
    ReplaceOrderPassword, RevokeGrant,
};
use i3_core::order::{Order, OrderState};
use i3_core::store::StoreExt as _;
use i3_core::usage::{Lease, LeaseState, Missed};

use super::people::lease;
use super::selling::rate;
use super::{FREE, Page, Scene, World};
use crate::fixture::fixed;

pub(super) async fn tables(page: &mut Page) {
    orders(page).await;
    leases(page).await;
}

const TERM: Duration = Duration::from_mins(10);

/// An order of ten messages for ten minutes.
struct Bought {
    world: World,
    offer: OfferId,
    order: OrderId,
    state: &'static str,
}

impl Scene for Bought {
    const WHAT: &'static str = "An order and its grant";
    const STATES: &'static [&'static str] = &[
        "active, nothing received",
        "active",
        "active, its time over",
        "completed, its grant expired",
        "completed, its grant exhausted",
        "cancelled, its grant revoked",
    ];
    const NOTES: &'static str = "\
Between the end of its time and the command that notes it (`expire_grant`), an order delivers nothing any more and can still be \
cancelled, with the same refund. Another password of an order that has ended lets nobody in; it is replaced all the same, so that \
one that leaked is gone in every case. What was received can be rated however the order ended. `expire_grant` looks at the time first: of a grant that ended \
early it says that its time is not over.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        world.f.top_up(world.f.buyer, 1_000).await;
        let offer = world.f.offer_for(fixed(10, 300), Some(TERM.as_secs())).await;
        let order = if state == "active, nothing received" {
            world.run(world.buyer, &Purchase { offer }).await.id
        } else {
            world.received(offer).await
        };
        match state {
            "active, its time over" => world.f.pass(TERM),
            "completed, its grant expired" => {
                world.f.pass(TERM);
                world.run(Actor::System, &ExpireGrant { grant: GrantId::of(order) }).await;
            }
            "completed, its grant exhausted" => {
                let rest = world.f.market.open(GrantId::of(order), "gate", 9).await.unwrap().lease;
                world.f.market.close(rest, 9.into()).await.unwrap();
            }
            "cancelled, its grant revoked" => world.run(world.buyer, &CancelOrder { order }).await,
            _ => {}
        }
        Self { world, offer, order, state }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let store = &self.world.f.store;
        let order = store.get::<Order>(&self.order).await.unwrap().unwrap().entity;
        let grant = store.get::<Grant>(&GrantId::of(self.order)).await.unwrap().unwrap().entity;
        let over = order.terms.until.is_some_and(|until| until <= self.world.f.clock_now());
        match (order.state, grant.state) {
            (OrderState::Active, GrantState::Active) if over => "active, its time over",
            (OrderState::Active, GrantState::Active) if self.state == Self::STATES[0] => Self::STATES[0],
            (OrderState::Active, GrantState::Active) => "active",
            (OrderState::Completed, GrantState::Expired) => "completed, its grant expired",
            (OrderState::Completed, GrantState::Exhausted) => "completed, its grant exhausted",
            (OrderState::Cancelled, GrantState::Revoked) => "cancelled, its grant revoked",
            other => panic!("{other:?}"),
        }
    }
}

async fn orders(page: &mut Page) {
    page.table::<Bought>();
    page.row("by its buyer", |s: &Bought| (s.world.buyer, CancelOrder { order: s.order })).await;
    page.row("by its seller", |s: &Bought| (s.world.seller, RevokeGrant { grant: GrantId::of(s.order) }))
        .await;
    page.row("", |s: &Bought| (Actor::System, ExpireGrant { grant: GrantId::of(s.order) })).await;
    page.row("", |s: &Bought| (s.world.buyer, ReplaceOrderPassword { order: s.order })).await;
    page.row("", |s: &Bought| (s.world.buyer, rate(s.order))).await;
    page.row("", |s: &Bought| (Actor::System, lease(s.order))).await;
    page.row("of the same offer", |s: &Bought| (s.world.buyer, Purchase { offer: s.offer })).await;
}

/// A lease of three messages, of which one was reported.
struct Leased {
    world: World,
    order: OrderId,
    lease: LeaseId,
}

impl Scene for Leased {
    const WHAT: &'static str = "A lease of a gate";
    const STATES: &'static [&'static str] =
        &["not taken", "open", "open, its grant revoked", "closed", "reclaimed"];
    const NOTES: &'static str = "\
A gate may send each report again: the same lease asked for twice is the same lease, in every state, and totals are totals. \
What was delivered before a grant ended is billed when the gate tells it, and no more is leased out.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        let offer = world.f.offer(FREE).await;
        let order = world.run(world.buyer, &Purchase { offer }).await.id;
        let lease = LeaseId::from_bits(1 << 99);
        if state != "not taken" {
            world.run(Actor::System, &take(lease, order)).await;
            world
                .run(
                    Actor::System,
                    &ExtendLease { lease, delivered: 1, missed: Missed::default(), granted: 3 },
                )
                .await;
        }
        match state {
            "open, its grant revoked" => world.run(world.buyer, &CancelOrder { order }).await,
            "closed" => {
                world
                    .run(Actor::System, &CloseLease { lease, delivered: 1, missed: Missed::default() })
                    .await;
            }
            "reclaimed" => drop(world.run(Actor::System, &ReclaimLease { lease, hold: true }).await),
            _ => {}
        }
        Self { world, order, lease }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let store = &self.world.f.store;
        let grant = store.get::<Grant>(&GrantId::of(self.order)).await.unwrap().unwrap().entity;
        match store.get::<Lease>(&self.lease).await.unwrap().map(|found| found.entity.state) {
            None => "not taken",
            Some(LeaseState::Open) if grant.state == GrantState::Revoked => "open, its grant revoked",
            Some(LeaseState::Open) => "open",
            Some(LeaseState::Closed) => "closed",
            Some(LeaseState::Reclaimed) => "reclaimed",
        }
    }
}

fn take(lease: LeaseId, order: OrderId) -> OpenLease {
    OpenLease { lease, grant: GrantId::of(order), holder: "gate".to_owned(), messages: 3 }
}

async fn leases(page: &mut Page) {
    page.table::<Leased>();
    page.row("", |s: &Leased| (Actor::System, take(s.lease, s.order))).await;
    page.row("", |s: &Leased| {
        (Actor::System, ExtendLease { lease: s.lease, delivered: 2, missed: Missed::default(), granted: 5 })
    })
    .await;
    page.row("with fewer than before", |s: &Leased| {
        (Actor::System, ExtendLease { lease: s.lease, delivered: 0, missed: Missed::default(), granted: 3 })
    })
    .await;
    page.row("with more than it was granted", |s: &Leased| {
        (Actor::System, ExtendLease { lease: s.lease, delivered: 4, missed: Missed::default(), granted: 5 })
    })
    .await;
    page.row("", |s: &Leased| {
        (Actor::System, CloseLease { lease: s.lease, delivered: 3, missed: Missed::default() })
    })
    .await;
    page.row("with more than it was granted", |s: &Leased| {
        (Actor::System, CloseLease { lease: s.lease, delivered: 4, missed: Missed::default() })
    })
    .await;
    page.row("", |s: &Leased| (Actor::System, ReclaimLease { lease: s.lease, hold: true })).await;
}
