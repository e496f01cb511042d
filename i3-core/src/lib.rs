//! Domain model, storage contract and commands of the I3 IoT data marketplace.
//!
//! Sellers register hubs and devices and list data products; buyers buy; every message that is delivered is
//! metered and billed; access that was revoked or used up ends. This crate has the rules of all that, and
//! no I/O: no runtime, no database, no network.
//!
//! | to | see |
//! |---|---|
//! | carry out commands and ask questions | [`market::Marketplace`] |
//! | write a storage backend | [`store::Store`], and the feature `testkit` to prove it |
//! | decide who may do what | [`access::Policy`]; `i3-auth` has the role-based default |
//! | write a gate that delivers messages | [`gate`]; `i3-broker` has one for MQTT |
//! | follow what happens | [`outbox`], [`audit`] |
//! | tell people of it | [`notice`] |
//! | remember what people look at and buy | [`analytics`] |
//! | move a store's content elsewhere, check it | [`portable`] |
//!
//! # The smallest marketplace
//!
//! ```
//! use std::{collections::BTreeSet, sync::Arc};
//!
//! use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
//! use i3_core::role::RoleName;
//! use i3_core::market::{Marketplace, RegisterHub, RegisterUser};
//! use i3_core::store::MemoryStore;
//! use i3_core::user::Profile;
//!
//! #[derive(Debug)]
//! struct Everybody;
//!
//! impl Policy for Everybody {
//!     fn decide(&self, _: &Subject, _: Action, _: &Resource) -> Decision {
//!         Decision::allow("everybody may do everything here")
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let market = Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(Everybody), &[]).await?;
//! let alice = RegisterUser {
//!     name: "alice".parse()?,
//!     display: "Alice".parse()?,
//!     email: None,
//!     roles: BTreeSet::from([RoleName::PROVIDER]),
//!     profile: Profile::default(),
//!     invitation: None,
//!     password: None,
//! };
//! let alice = market.execute(Actor::Anonymous, None, &alice).await?;
//! let hub = RegisterHub { slug: "acme".parse()?, title: "Acme weather".parse()? };
//! let hub = market.execute(Actor::User(alice.id), Some(&"request-1".parse()?), &hub).await?;
//! assert_eq!(hub.slug.as_str(), "acme");
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! Real payments (a top-up is the record of one), taxes, invoices as documents, subscriptions and tiers,
//! and search by meaning are not here yet.

pub mod access;
pub mod analytics;
pub mod audit;
pub mod denial;
pub mod device;
pub mod gate;
pub mod grant;
pub mod hub;
pub mod id;
pub mod invitation;
pub mod ledger;
pub mod market;
mod merge_patch;
pub mod money;
pub mod name;
pub mod notice;
pub mod oauth;
pub mod offer;
pub mod ontology;
pub mod order;
pub mod outbox;
pub mod portable;
pub mod product;
pub mod quality;
pub mod rating;
pub mod reservation;
pub mod role;
#[cfg(feature = "schemars")]
mod schema;
pub mod secret;
pub mod statement;
pub mod store;
pub mod stream;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod thing;
pub mod time;
pub mod usage;
pub mod user;
pub mod virtual_object;
pub mod waiting;
