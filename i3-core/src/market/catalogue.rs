//! Commands about products and offers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Command, Context, Decided, Refusal};
use crate::access::Action;
use crate::device::Device;
use crate::gate::{AccessChange, Principal};
use crate::id::{DeviceId, HubId, OfferId, ProductId};
use crate::money::Currency;
use crate::name::{Label, Prose, Slug, Topic};
use crate::offer::{InvalidPlan, Offer, OfferState, Plan};
use crate::outbox::Event;
use crate::product::{Product, ProductState, Source};
use crate::reservation::Reservation;
use crate::store::{Entity, Halt};
use crate::stream::{StreamDescription, StreamTerms};

/// Creates a product as a draft.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateProduct {
    /// Who sells it.
    pub hub: HubId,
    /// Its name in the hub, unique there; the last level of its topic.
    pub slug: Slug,
    /// What people read first.
    pub title: Label,
    /// What people read then.
    pub description: Prose,
    /// What people search by.
    pub tags: Vec<Slug>,
    /// The devices that publish it.
    pub devices: Vec<DeviceId>,
    /// What is said of its messages; [`DescribeStream`](super::DescribeStream) changes it.
    #[serde(default, skip_serializing_if = "StreamDescription::is_empty")]
    pub stream: StreamDescription,
}

impl Command for CreateProduct {
    type Done = Product;
    const NAME: &'static str = "create_product";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Product> {
        let hub = context.hub_for(self.hub, Action::ManageProducts)?;
        check_tags(&self.tags)?;
        let devices = distinct(&self.devices)?;
        let topic = Topic::new(&hub.slug, &self.slug);
        let name = Reservation::topic(&topic);
        let mut keys = vec![Reservation::key(&name)?];
        for device in &devices {
            keys.push(Device::key(device)?);
        }
        context.tx.want(keys)?;
        if context.tx.get::<Reservation>(&name)?.is_some() {
            return Err(Halt::Refused(Refusal::Taken { what: "product name" }));
        }
        let id: ProductId = context.tx.fresh_id()?;
        for device in &devices {
            add_source(context, hub.id, id, *device)?;
        }
        let product = Product {
            id,
            hub: hub.id,
            slug: self.slug.clone(),
            topic,
            title: self.title.clone(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            devices: self.devices.clone(),
            state: ProductState::Draft,
            created: context.tx.now(),
        };
        if !self.stream.is_empty() {
            super::streams::check(context, &self.stream)?;
            let description = self.stream.clone();
            context.tx.create(&StreamTerms { product: id, revision: 1, description })?;
        }
        context.tx.create(&Reservation { name, holder: id.to_string() })?;
        context.tx.create(&product)?;
        context.emit(Event::ProductChanged { product: id, hub: hub.id });
        Ok(product)
    }
}

/// The devices of a product: some, and none twice.
fn distinct(devices: &[DeviceId]) -> Decided<BTreeSet<DeviceId>> {
    let distinct: BTreeSet<DeviceId> = devices.iter().copied().collect();
    if !(1..=Product::MAX_DEVICES).contains(&distinct.len()) || distinct.len() != devices.len() {
        let reason = format!("1 to {} different devices are expected", Product::MAX_DEVICES);
        return Err(Halt::Refused(Refusal::Invalid { field: "devices", reason }));
    }
    Ok(distinct)
}

/// Lets a device of the hub publish the product.
fn add_source(
    context: &mut Context<'_, '_>,
    hub: HubId,
    product: ProductId,
    device: DeviceId,
) -> Decided<()> {
    let device: Device = context.tx.need(&device, Refusal::NotFound { what: "device" })?;
    if device.hub != hub {
        return Err(Halt::Refused(Refusal::NotFound { what: "device" }));
    }
    context.tx.create(&Source { device: device.id, product })
}

fn check_tags(tags: &[Slug]) -> Decided<()> {
    if tags.len() > Product::MAX_TAGS {
        return Err(Halt::Refused(Refusal::invalid(
            "tags",
            format!("at most {} are expected", Product::MAX_TAGS),
        )));
    }
    Ok(())
}

pub(super) fn managed(context: &mut Context<'_, '_>, product: ProductId) -> Decided<Product> {
    let product: Product = context.tx.need(&product, Refusal::NotFound { what: "product" })?;
    context.hub_for(product.hub, Action::ManageProducts)?;
    Ok(product)
}

/// Changes what people read about a product, and which devices publish it; what is `None` stays. What was sold keeps
/// its terms. Its name and its topic never change: buyers listen there.
///
/// A device that is to publish it no longer is disconnected, and may come back for what else it publishes; when the
/// command returns, nothing of it is taken in any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DescribeProduct {
    /// The product.
    pub product: ProductId,
    /// The new title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Label>,
    /// The new description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// The new tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Slug>>,
    /// The devices that publish it from now on, all of the hub. Refused for a product that is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<DeviceId>>,
}

impl Command for DescribeProduct {
    type Done = Product;
    const NAME: &'static str = "describe_product";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Product> {
        let mut product = managed(context, self.product)?;
        if let Some(title) = &self.title {
            product.title = title.clone();
        }
        if let Some(description) = &self.description {
            product.description = description.clone();
        }
        if let Some(tags) = &self.tags {
            check_tags(tags)?;
            product.tags.clone_from(tags);
        }
        if let Some(devices) = &self.devices {
            supply(context, &mut product, devices)?;
        }
        context.tx.replace(&product)?;
        context.emit(Event::ProductChanged { product: product.id, hub: product.hub });
        Ok(product)
    }
}

/// Lets these devices publish the product, and no others.
fn supply(context: &mut Context<'_, '_>, product: &mut Product, devices: &[DeviceId]) -> Decided<()> {
    if product.state == ProductState::Retired {
        return Err(Halt::Refused(Refusal::WrongState { what: "product", state: "retired" }));
    }
    let after = distinct(devices)?;
    let before: BTreeSet<DeviceId> = product.devices.iter().copied().collect();
    let source = |device: &DeviceId| Source { device: *device, product: product.id }.id();
    let mut keys = Vec::new();
    for device in after.symmetric_difference(&before) {
        keys.extend([Device::key(device)?, Source::key(&source(device))?]);
    }
    context.tx.want(keys)?;
    for device in after.difference(&before) {
        add_source(context, product.hub, product.id, *device)?;
        context.access_changed(AccessChange::Device(*device));
    }
    for device in before.difference(&after) {
        context.tx.remove::<Source>(&source(device))?;
        // Also a broker elsewhere, which may have been told that it may publish this.
        context.access_changed(AccessChange::Login {
            principal: Principal::Device { device: *device, hub: product.hub },
            credential: None,
        });
    }
    product.devices = devices.to_vec();
    Ok(())
}

/// Lists, pauses or retires a product. Only a listed product is published, sold and delivered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MoveProduct {
    /// The product.
    pub product: ProductId,
    /// The state that it shall be in.
    pub to: ProductState,
}

impl Command for MoveProduct {
    type Done = Product;
    const NAME: &'static str = "move_product";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Product> {
        let mut product = managed(context, self.product)?;
        if !product.state.may_become(self.to) {
            return Err(Halt::Refused(Refusal::WrongState {
                what: "product",
                state: product.state.as_str(),
            }));
        }
        product.state = self.to;
        context.tx.replace(&product)?;
        context.emit(Event::ProductChanged { product: product.id, hub: product.hub });
        context.access_changed(AccessChange::Product(product.id));
        Ok(product)
    }
}

/// Publishes an offer for a product. An offer never changes; a new price is a new offer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublishOffer {
    /// What is sold.
    pub product: ProductId,
    /// What is paid with.
    pub currency: Currency,
    /// How usage is priced.
    pub plan: Plan,
    /// For how many seconds access lasts, if not for ever.
    pub term_seconds: Option<u64>,
}

/// A hundred years.
const MAX_TERM: u64 = 100 * 366 * 24 * 60 * 60;

impl Command for PublishOffer {
    type Done = Offer;
    const NAME: &'static str = "publish_offer";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Offer> {
        let product = managed(context, self.product)?;
        if product.state == ProductState::Retired {
            return Err(Halt::Refused(Refusal::WrongState { what: "product", state: "retired" }));
        }
        self.plan.check(self.currency).map_err(|error| Halt::Refused(error.into()))?;
        if self.term_seconds.is_some_and(|term| !(1..=MAX_TERM).contains(&term)) {
            return Err(Halt::Refused(InvalidPlan::Term.into()));
        }
        let offer = Offer {
            id: context.tx.fresh_id()?,
            product: product.id,
            hub: product.hub,
            currency: self.currency,
            plan: self.plan,
            term_seconds: self.term_seconds,
            state: OfferState::Published,
            published: context.tx.now(),
        };
        context.tx.create(&offer)?;
        context.emit(Event::OfferChanged { offer: offer.id, product: product.id });
        Ok(offer)
    }
}

/// Withdraws an offer: it can be bought no longer. Orders that were placed keep their terms.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WithdrawOffer {
    /// The offer.
    pub offer: OfferId,
}

impl Command for WithdrawOffer {
    type Done = Offer;
    const NAME: &'static str = "withdraw_offer";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Offer> {
        let mut offer: Offer = context.tx.need(&self.offer, Refusal::NotFound { what: "offer" })?;
        managed(context, offer.product)?;
        if offer.state == OfferState::Withdrawn {
            return Err(Halt::Refused(Refusal::WrongState { what: "offer", state: "withdrawn" }));
        }
        offer.state = OfferState::Withdrawn;
        context.tx.replace(&offer)?;
        context.emit(Event::OfferChanged { offer: offer.id, product: offer.product });
        Ok(offer)
    }
}
