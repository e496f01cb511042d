//! A client of the I3 `IoT` data marketplace's REST interface.
//!
//! ```no_run
//! use i3_client::{Client, HubRegistration, ProductQuery, Secret, Settings, SignIn};
//!
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let market = Client::new(Settings::new("http://127.0.0.1:8080".parse()?))?;
//! let signed = market.sign_in(&SignIn::new("seller", Secret::new("correct horse"))).await?;
//! let seller = market.with_token(&signed.token)?;
//!
//! let hub = seller.register_hub(&HubRegistration { slug: "acme".parse()?, title: "Acme".parse()? }).await?;
//! println!("{} is {}", hub.slug, hub.id);
//! for product in seller.list_products(hub.id, &ProductQuery::default()).all().await? {
//!     println!("{} at {}", product.title, product.topic);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - For each operation of the interface there is a method with the operation's name. Records are the types of
//!   `i3-core`; what only the interface has is here.
//! - Whatever changes something has an `Idempotency-Key` of its own: it is sent again when an answer was lost, and done
//!   once. The few operations that a key means nothing to ([`sign_in`](Client::sign_in) and its like) say so, and are
//!   sent again only if they surely were not carried out.
//! - Errors are one type, [`Error`], with the stable code of the problem and a [`Class`].
//! - Passwords and tokens are [`Secret`]s. They are sent to other machines by TLS only, unless that is
//!   [allowed](Settings::unprotected).
//!
//! The `OAuth2` endpoints are not part of it: there are client libraries of that protocol.

mod call;
mod client;
mod connector;
mod error;
mod operations;
mod request;
mod secret;
mod server;
mod tag;

pub use call::{Answer, Change, Page, Pages, Query};
pub use client::{Client, Settings};
pub use error::{Class, Error, PartFault, Problem};
pub use operations::*;
pub use secret::Secret;
pub use server::{InvalidServer, Server};
pub use tag::{EntityTag, InvalidEntityTag};
