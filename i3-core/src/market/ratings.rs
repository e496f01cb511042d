//! Rating what was received.

use serde::{Deserialize, Serialize};

use super::{Command, Context, Decided, Refusal};
use crate::access::{Action, Resource};
use crate::hub::{Hub, Membership, MembershipId};
use crate::id::{GrantId, OrderId};
use crate::name::Prose;
use crate::order::Order;
use crate::outbox::Event;
use crate::rating::{Rating, Score, Stars};
use crate::store::{Entity, Halt, StoreError, StoreErrorKind, Units};
use crate::usage::Usage;

/// Rates the product of an order; rating again replaces the rating.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RateProduct {
    /// The order under which messages were received.
    pub order: OrderId,
    /// How good it is.
    pub stars: Stars,
    /// In words.
    pub comment: Option<Prose>,
}

impl Command for RateProduct {
    type Done = Rating;
    const NAME: &'static str = "rate_product";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Rating> {
        let grant = GrantId::of(self.order);
        context.tx.want([Order::key(&self.order)?, Usage::key(&grant)?, Rating::key(&grant)?])?;
        let order: Order = context.tx.need(&self.order, Refusal::NotFound { what: "order" })?;
        context.authorize(Action::Rate, &Resource::of_user(order.buyer))?;
        let membership = MembershipId { hub: order.terms.hub, user: order.buyer };
        context.tx.want([Hub::key(&order.terms.hub)?, Membership::key(&membership)?])?;
        // Guards that the rater is no member: who becomes one changes the hub.
        context.tx.need::<Hub>(&order.terms.hub, Refusal::NotFound { what: "hub" })?;
        if context.tx.get::<Membership>(&membership)?.is_some() {
            return Err(Halt::Refused(Refusal::OwnProduct));
        }
        let usage: Usage = context.tx.need(&grant, Refusal::NothingReceived)?;
        if usage.delivered == 0 {
            return Err(Halt::Refused(Refusal::NothingReceived));
        }
        let before: Option<Rating> = context.tx.get(&grant)?;
        let rating = Rating {
            grant,
            product: order.product,
            rater: order.buyer,
            stars: self.stars,
            comment: self.comment.clone(),
            at: context.tx.now(),
        };
        let stars = |rating: &Rating| i64::from(u8::from(rating.stars));
        let (more_ratings, more_stars) = match &before {
            Some(before) => (0, stars(&rating) - stars(before)),
            None => (1, stars(&rating)),
        };
        match before {
            Some(_) => context.tx.replace(&rating)?,
            None => context.tx.create(&rating)?,
        }
        let [ratings_key, stars_key] = Score::keys(order.product)?;
        context.tx.count(ratings_key, units(more_ratings)?)?;
        context.tx.count(stars_key, units(more_stars)?)?;
        context.emit(Event::Rated { grant, product: order.product });
        Ok(rating)
    }
}

fn units(number: i64) -> Result<Units, StoreError> {
    Units::new(number).map_err(|error| {
        StoreError::new(StoreErrorKind::Unsupported, "a score is out of range").with_source(error)
    })
}
