//! Commands about money, orders and grants.

use serde::{Deserialize, Serialize};

use super::command::unreadable;
use super::{Command, Context, Decided, Refusal};
use crate::access::{Action, Resource};
use crate::gate::{AccessChange, Principal};
use crate::grant::{Grant, GrantState};
use crate::hub::{Hub, HubState, Membership, MembershipId};
use crate::id::{GrantId, OfferId, OrderId, UserId};
use crate::ledger::{Account, Holder, Memo, Transfer, Unbalanced};
use crate::money::{Amount, Currency};
use crate::offer::{Offer, OfferState};
use crate::order::{Order, OrderState, Terms};
use crate::outbox::Event;
use crate::product::{Product, ProductState};
use crate::store::{Entity, Halt, Key, StoreError, StoreErrorKind, Tx};
use crate::usage::Usage;
use crate::user::User;

fn unbalanced(error: Unbalanced) -> Halt<Refusal> {
    match error {
        Unbalanced::Overflow(error) => Halt::Refused(error.into()),
        Unbalanced::Sum => Halt::Failed(
            StoreError::new(StoreErrorKind::Corrupt, "a transfer does not balance").with_source(error),
        ),
    }
}

/// Brings the money of an order in line with its usage, and stores both.
pub(super) fn settle(
    context: &mut Context<'_, '_>,
    order: &Order,
    usage: &mut Usage,
    memo: &Memo,
    short: &Refusal,
) -> Decided<()> {
    let legs = usage.settle(order).map_err(|error| Halt::Refused(error.into()))?;
    Transfer::of(legs).map_err(unbalanced)?.post(context.tx, memo, short)
}

/// Credits a buyer's account with money that came in from outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TopUp {
    /// Whose account.
    pub user: UserId,
    /// How much: more than nothing.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// What the payment is called outside; at most 100 characters.
    pub reference: String,
}

impl Command for TopUp {
    type Done = ();
    const NAME: &'static str = "top_up";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        context.authorize(Action::TopUp, &Resource::of_user(self.user))?;
        context.tx.need::<User>(&self.user, Refusal::NotFound { what: "user" })?;
        if !self.amount.is_positive() {
            return Err(Halt::Refused(Refusal::invalid("amount", "more than nothing is expected")));
        }
        if self.reference.chars().count() > 100 || self.reference.contains('\0') {
            return Err(Halt::Refused(Refusal::invalid("reference", "at most 100 characters are expected")));
        }
        let account = |holder| Account { holder, currency: self.currency };
        let legs = [
            (account(Holder::Available(self.user)), self.amount),
            (account(Holder::External), self.amount.negated()),
        ];
        let memo = Memo::TopUp { reference: self.reference.clone() };
        let transfer = Transfer::of(legs).map_err(unbalanced)?;
        transfer.post(context.tx, &memo, &Refusal::InsufficientFunds)?;
        context.emit(Event::ToppedUp { user: self.user });
        Ok(())
    }
}

/// Buys an offer: order, payment or hold, and grant in one step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Purchase {
    /// What to buy.
    pub offer: OfferId,
}

impl Command for Purchase {
    type Done = Order;
    const NAME: &'static str = "purchase";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(vec![Offer::key(&self.offer)?])
    }

    fn keep(order: &Order) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(order.id)
    }

    /// The order as it was placed: only its state and the number of its password change ever after.
    fn answer_again(kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<Order> {
        let id: OrderId = serde_json::from_value(kept).map_err(unreadable)?;
        let order: Order = tx.need(&id, Refusal::NotFound { what: "order" })?;
        Ok(Order { state: OrderState::Active, password_generation: 0, ..order })
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Order> {
        let Some(buyer) = context.user() else {
            return Err(Halt::Refused(Refusal::invalid("actor", "only a user can buy")));
        };
        context.authorize(Action::Purchase, &Resource::of_user(buyer))?;
        let offer: Offer = context.tx.need(&self.offer, Refusal::NotFound { what: "offer" })?;
        let membership = MembershipId { hub: offer.hub, user: buyer };
        context.tx.want([
            Product::key(&offer.product)?,
            Hub::key(&offer.hub)?,
            Membership::key(&membership)?,
        ])?;
        let product: Product = context.tx.need(&offer.product, Refusal::NotFound { what: "product" })?;
        if context.tx.get::<Membership>(&membership)?.is_some() {
            return Err(Halt::Refused(Refusal::OwnProduct));
        }
        if product.state == ProductState::Draft {
            return Err(Halt::Refused(Refusal::NotFound { what: "offer" }));
        }
        if product.state != ProductState::Listed {
            return Err(Halt::Refused(Refusal::WrongState {
                what: "product",
                state: product.state.as_str(),
            }));
        }
        if offer.state != OfferState::Published {
            return Err(Halt::Refused(Refusal::WrongState { what: "offer", state: "withdrawn" }));
        }
        let hub: Hub = context.tx.need(&product.hub, Refusal::NotFound { what: "hub" })?;
        if hub.state != HubState::Active {
            return Err(Halt::Refused(Refusal::WrongState { what: "hub", state: "suspended" }));
        }

        let now = context.tx.now();
        let id: OrderId = context.tx.fresh_id()?;
        let until = offer.ends(now);
        let order = Order {
            id,
            buyer,
            product: product.id,
            offer: offer.id,
            terms: Terms {
                title: product.title,
                topic: product.topic,
                hub: hub.id,
                currency: offer.currency,
                plan: offer.plan,
                until,
                fee_points: context.settings().fee_points,
            },
            state: OrderState::Active,
            password_generation: 0,
            placed: now,
        };
        let grant = Grant {
            id: GrantId::of(id),
            buyer,
            product: product.id,
            epoch: 0,
            state: GrantState::Active,
            until,
        };
        let mut usage = Usage::unused(grant.id);
        settle(context, &order, &mut usage, &Memo::Hold { order: id }, &Refusal::InsufficientFunds)?;
        context.tx.create(&order)?;
        context.tx.create(&grant)?;
        context.tx.create(&usage)?;
        context.emit(Event::Purchased { order: id, buyer, product: product.id });
        Ok(order)
    }
}

/// Loads an order with its grant and usage.
pub(super) fn order_parts(context: &mut Context<'_, '_>, id: OrderId) -> Decided<(Order, Grant, Usage)> {
    let grant = GrantId::of(id);
    context.tx.want([Order::key(&id)?, Grant::key(&grant)?, Usage::key(&grant)?])?;
    let missing = || Refusal::NotFound { what: "order" };
    Ok((
        context.tx.need(&id, missing())?,
        context.tx.need(&grant, missing())?,
        context.tx.need(&grant, missing())?,
    ))
}

/// Ends an active grant: nothing more is delivered, and what is not needed any more is released. What is
/// leased out stays held until the gate reports or the lease is reclaimed.
pub(super) fn end_grant(
    context: &mut Context<'_, '_>,
    (mut order, grant, mut usage): (Order, Grant, Usage),
    grant_state: GrantState,
    order_state: OrderState,
) -> Decided<()> {
    if grant.state != GrantState::Active {
        return Err(Halt::Refused(Refusal::WrongState { what: "grant", state: grant.state.as_str() }));
    }
    order.state = order_state;
    let grant = grant.ended(grant_state);
    settle(context, &order, &mut usage, &Memo::Release { order: order.id }, &Refusal::InsufficientFunds)?;
    context.tx.replace(&order)?;
    context.tx.replace(&grant)?;
    context.tx.replace(&usage)?;
    context.emit(Event::GrantEnded { grant: grant.id, epoch: grant.epoch });
    Ok(())
}

/// Cancels an order: access ends, and what was not delivered is paid back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CancelOrder {
    /// The order.
    pub order: OrderId,
}

impl Command for CancelOrder {
    type Done = ();
    const NAME: &'static str = "cancel_order";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        let parts = order_parts(context, self.order)?;
        context.authorize(Action::ManageOrder, &Resource::of_user(parts.0.buyer))?;
        let grant = parts.1.id;
        end_grant(context, parts, GrantState::Revoked, OrderState::Cancelled)?;
        context.emit(Event::OrderCancelled { order: self.order });
        context.access_changed(AccessChange::Grant(grant));
        Ok(())
    }
}

/// Takes a buyer's access away; what was not delivered is paid back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevokeGrant {
    /// The grant.
    pub grant: GrantId,
}

impl Command for RevokeGrant {
    type Done = ();
    const NAME: &'static str = "revoke_grant";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        let parts = order_parts(context, self.grant.order())?;
        let hub = parts.0.terms.hub;
        let role = context.membership(hub)?.map(|membership| membership.role);
        context.authorize(Action::RevokeGrant, &Resource::of_hub(role))?;
        end_grant(context, parts, GrantState::Revoked, OrderState::Cancelled)?;
        context.access_changed(AccessChange::Grant(self.grant));
        Ok(())
    }
}

/// Ends a grant whose time is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExpireGrant {
    /// The grant.
    pub grant: GrantId,
}

impl Command for ExpireGrant {
    type Done = ();
    const NAME: &'static str = "expire_grant";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        context.authorize(Action::Meter, &Resource::MARKETPLACE)?;
        let parts = order_parts(context, self.grant.order())?;
        if parts.1.until.is_none_or(|until| context.tx.now() < until) {
            return Err(Halt::Refused(Refusal::WrongState { what: "grant", state: "not at its end" }));
        }
        end_grant(context, parts, GrantState::Expired, OrderState::Completed)?;
        context.access_changed(AccessChange::Grant(self.grant));
        Ok(())
    }
}

/// Makes an order's broker password invalid; the next one takes its place. Connections that used the
/// old one end. The answer is the number of the new password's generation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplaceOrderPassword {
    /// The order.
    pub order: OrderId,
}

impl Command for ReplaceOrderPassword {
    type Done = u32;
    const NAME: &'static str = "replace_order_password";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<u32> {
        let mut order: Order = context.tx.need(&self.order, Refusal::NotFound { what: "order" })?;
        context.authorize(Action::ManageOrder, &Resource::of_user(order.buyer))?;
        order.password_generation = order.password_generation.saturating_add(1);
        context.tx.replace(&order)?;
        context.emit(Event::PasswordReplaced { order: order.id });
        context.access_changed(AccessChange::Login {
            principal: Principal::Order { order: order.id, buyer: order.buyer },
            credential: None,
        });
        Ok(order.password_generation)
    }
}
