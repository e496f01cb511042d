//! Devices, products, offers and orders in traces.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::known::{absent, note, pick};
use super::step::{Act, Step};
use super::world::{World, fit, titled};
use crate::access::Actor;
use crate::device::{DeviceState, KeyAlgorithm};
use crate::id::GrantId;
use crate::market::{
    AddCredential, AmendStream, CancelOrder, CreateProduct, DescribeDevice, DescribeProduct, DescribeStream,
    ExpireGrant, MoveProduct, NewCredential, PublishOffer, Purchase, RateProduct, RegisterDevice,
    RemoveCredential, ReplaceOrderPassword, RevokeGrant, SetDeviceState, TopUp, WithdrawOffer,
};
use crate::money::{Amount, Currency};
use crate::secret::SecretHash;
use crate::store::StoreError;
use crate::stream::{SampleTerms, StreamDescription};
use crate::time::Clock as _;

/// What is said of a stream. A `schema` of 2 and a sample of 0 messages are none; what a schema of 3 refers to
/// is not there, which is refused.
fn stream(schema: u8, last: u8) -> StreamDescription {
    let schema = match schema {
        1 => Some("{\"type\": \"object\"}".to_owned()),
        3 => Some("{\"$ref\": \"#/nowhere\"}".to_owned()),
        _ => None,
    };
    let redact = vec!["/who".to_owned()];
    let sample = (last > 0).then_some(SampleTerms { last, redact, per_person_per_day: 2 });
    StreamDescription { schema, sample }
}

/// What changes of a stream. A `schema` of 0 stays, one of 1 goes away, one of 4 is refused; a sample of 0 messages
/// stays, one of 1 goes away, and others are merged, which is refused if there was none.
fn amendment(schema: u8, last: u8) -> Map<String, Json> {
    let schema = match schema {
        0 => None,
        1 => Some(Json::Null),
        4 => Some(json!({"$ref": "#/nowhere"})),
        number => Some(json!({"title": format!("No. {number}"), "type": null})),
    };
    let sample = match last {
        0 => None,
        1 => Some(Json::Null),
        2 => Some(json!({"redact": null})),
        last => Some(json!({"last": last, "per_person_per_day": 3})),
    };
    let members = [("schema", schema), ("sample", sample)];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

impl World {
    pub(super) async fn sale(&mut self, step: &Step) -> Result<String, StoreError> {
        let words = match &step.act {
            Act::RegisterDevice { hub, name, key } => {
                let (hub, founder) = self.hub(*hub);
                let credential = if *key {
                    NewCredential::PublicKey { algorithm: KeyAlgorithm::EdDsa, pem: "a key".to_owned() }
                } else {
                    NewCredential::Password { hash: SecretHash::new("hash") }
                };
                let (name, title) =
                    (fit(format!("device-{name}").parse())?, fit(format!("No. {name}").parse())?);
                let command = RegisterDevice { hub, name, title, credential };
                let (done, words) = self.run(self.sent(step, founder)?, &command).await?;
                if let (Some(device), Actor::User(founder)) = (done, founder) {
                    note(&mut self.known.devices, Some((device.id, founder)));
                    for credential in &device.credentials {
                        note(&mut self.known.credentials, Some((credential.id, device.id, founder)));
                    }
                }
                words
            }
            Act::AddCredential { device, from, until } => {
                let (device, founder) = pick(&self.known.devices, *device, (absent(), absent()));
                let later = |seconds: &Option<u64>| {
                    seconds.map(|seconds| self.clock.now().plus(Duration::from_secs(seconds)))
                };
                let credential = NewCredential::Password { hash: SecretHash::new("another hash") };
                let command =
                    AddCredential { device, credential, not_before: later(from), not_after: later(until) };
                let (done, words) = self.run(self.sent(step, Actor::User(founder))?, &command).await?;
                note(&mut self.known.credentials, done.map(|credential| (credential, device, founder)));
                words
            }
            Act::RemoveCredential { credential } => {
                let (credential, device, founder) =
                    pick(&self.known.credentials, *credential, (absent(), absent(), absent()));
                let command = RemoveCredential { device, credential };
                self.run(self.sent(step, Actor::User(founder))?, &command).await?.1
            }
            Act::SetDeviceState { device, active } => {
                let (device, founder) = pick(&self.known.devices, *device, (absent(), absent()));
                let state = if *active { DeviceState::Active } else { DeviceState::Disabled };
                let command = SetDeviceState { device, state };
                self.run(self.sent(step, Actor::User(founder))?, &command).await?.1
            }
            Act::DescribeDevice { device, title } => {
                let (device, founder) = pick(&self.known.devices, *device, (absent(), absent()));
                let command = DescribeDevice { device, title: titled("Device", *title)? };
                self.run(self.sent(step, Actor::User(founder))?, &command).await?.1
            }
            Act::CreateProduct { hub, slug, devices } => {
                let (hub, founder) = self.hub(*hub);
                let devices = devices.iter().map(|n| pick(&self.known.devices, *n, (absent(), absent())).0);
                let command = CreateProduct {
                    hub,
                    slug: fit(format!("product-{slug}").parse())?,
                    title: fit(format!("Product {slug}").parse())?,
                    description: fit("It's 100% \"air\"_\\".parse())?,
                    tags: vec![fit("air".parse())?, fit(format!("no-{slug}").parse())?],
                    devices: devices.collect(),
                    stream: stream(*slug, *slug),
                };
                let (done, words) = self.run(self.sent(step, founder)?, &command).await?;
                if let (Some(product), Actor::User(founder)) = (done, founder) {
                    note(&mut self.known.products, Some((product.id, founder)));
                }
                words
            }
            Act::DescribeProduct { product, title } => {
                let (product, founder) = self.product(*product);
                let command = DescribeProduct {
                    product,
                    title: Some(fit(format!("Title {title} é").parse())?),
                    description: if title % 2 == 0 { Some(fit("".parse())?) } else { None },
                    tags: None,
                    devices: None,
                };
                self.run(self.sent(step, Actor::User(founder))?, &command).await?.1
            }
            Act::SupplyProduct { product, devices } => {
                let (product, founder) = self.product(*product);
                let devices = devices.iter().map(|n| pick(&self.known.devices, *n, (absent(), absent())).0);
                let devices = Some(devices.collect());
                let command =
                    DescribeProduct { product, title: None, description: None, tags: None, devices };
                self.run(self.sent(step, Actor::User(founder))?, &command).await?.1
            }
            Act::AmendStream { product, schema, last } => {
                let (product, founder) = self.product(*product);
                let command = AmendStream { product, patch: amendment(*schema, *last) };
                self.run(self.sent(step, Actor::User(founder))?, &command).await?.1
            }
            Act::DescribeStream { product, schema, last } => {
                let (product, founder) = self.product(*product);
                let command = DescribeStream { product, stream: stream(*schema, *last) };
                self.run(self.sent(step, Actor::User(founder))?, &command).await?.1
            }
            Act::MoveProduct { product, to } => {
                let (product, founder) = self.product(*product);
                let command = MoveProduct { product, to: *to };
                self.run(self.sent(step, Actor::User(founder))?, &command).await?.1
            }
            Act::PublishOffer { product, plan, term } => {
                let (product, founder) = self.product(*product);
                let command =
                    PublishOffer { product, currency: Currency::EUR, plan: *plan, term_seconds: *term };
                let (done, words) = self.run(self.sent(step, Actor::User(founder))?, &command).await?;
                note(&mut self.known.offers, done.map(|offer| (offer.id, founder)));
                words
            }
            Act::WithdrawOffer { offer } => {
                let (offer, founder) = pick(&self.known.offers, *offer, (absent(), absent()));
                self.run(self.sent(step, Actor::User(founder))?, &WithdrawOffer { offer }).await?.1
            }
            _ => "no command of a seller".to_owned(),
        };
        Ok(words)
    }

    pub(super) async fn trade(&mut self, step: &Step) -> Result<String, StoreError> {
        let words = match &step.act {
            Act::TopUp { user, minor } => {
                let (user, amount) = (self.user(*user), fit(Amount::new(*minor))?);
                let reference = format!("payment {minor}");
                let command = TopUp { user, amount, currency: Currency::EUR, reference };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::Purchase { buyer, offer } => {
                let buyer = self.user(*buyer);
                let (offer, founder) = pick(&self.known.offers, *offer, (absent(), absent()));
                let (done, words) =
                    self.run(self.sent(step, Actor::User(buyer))?, &Purchase { offer }).await?;
                note(&mut self.known.orders, done.map(|order| (order.id, order.buyer, founder)));
                words
            }
            Act::CancelOrder { order } => {
                let (order, buyer, _) = self.order(*order);
                self.run(self.sent(step, Actor::User(buyer))?, &CancelOrder { order }).await?.1
            }
            Act::RevokeGrant { order } => {
                let (order, _, founder) = self.order(*order);
                let command = RevokeGrant { grant: GrantId::of(order) };
                self.run(self.sent(step, Actor::User(founder))?, &command).await?.1
            }
            Act::ExpireGrant { order } => {
                let command = ExpireGrant { grant: GrantId::of(self.order(*order).0) };
                self.run(self.sent(step, Actor::System)?, &command).await?.1
            }
            Act::ReplaceOrderPassword { order } => {
                let (order, buyer, _) = self.order(*order);
                self.run(self.sent(step, Actor::User(buyer))?, &ReplaceOrderPassword { order }).await?.1
            }
            Act::RateProduct { order, stars } => {
                let (order, buyer, _) = self.order(*order);
                let (stars, comment) = (fit((*stars).try_into())?, Some(fit("nice 👍".parse())?));
                let command = RateProduct { order, stars, comment };
                self.run(self.sent(step, Actor::User(buyer))?, &command).await?.1
            }
            _ => "no command of a buyer".to_owned(),
        };
        Ok(words)
    }
}
