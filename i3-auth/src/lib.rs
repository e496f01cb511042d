//! Who is there and what they may do: passwords, device tokens, API tokens and the role-based policy of the
//! I3 `IoT` data marketplace.
//!
//! For programs that run a marketplace of `i3-core`, and for programs on devices, which sign their tokens
//! with [`device_token::issue`].
//!
//! | who | proves it with | checked by |
//! |---|---|---|
//! | a device | a password, or a token that its key signed | [`MarketAuthenticator`], with [`password`] and [`device_token`] |
//! | a buyer's MQTT client | the order's derived password | [`MarketAuthenticator`], with [`broker_password`] |
//! | a person | a password | [`MarketAuthenticator::user`] |
//! | a person's program, or browser | an API token, or a session | [`api_token`] |
//! | a program that people let act for them | an access token | [`oauth2`] |
//! | a guest, and who forgot the password | a text that was mailed or shown | [`leave`] |
//!
//! What they may do then is decided by [`RolePolicy`], or by any other
//! [`Policy`](i3_core::access::Policy).
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use i3_auth::broker_password::BrokerPasswords;
//! use i3_auth::password::{PasswordSettings, Passwords};
//! use i3_auth::{COLLECTIONS, MarketAuthenticator, MasterKey, RolePolicy};
//! use i3_core::gate::{Authenticator, Login};
//! use i3_core::market::Marketplace;
//! use i3_core::store::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new());
//! let market = Marketplace::open(store, Arc::new(RolePolicy), COLLECTIONS).await?;
//! let passwords = Arc::new(Passwords::new(PasswordSettings::default(), market.clock().clone())?);
//! let orders = BrokerPasswords::new(&MasterKey::generate()?);
//! let authenticator = MarketAuthenticator::new(market, passwords, orders, "i3.example");
//!
//! let stranger = Login {
//!     client_id: "anything",
//!     username: Some("acme.pump-7"),
//!     password: Some(b"a guess"),
//!     peer: None,
//! };
//! assert!(authenticator.authenticate(stranger).await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! No second factor. No rules for what makes a good password but its
//! length. No logging: refusals are returned, and what is told to a stranger never says why. Failure budgets
//! and remembered logins are kept in memory, for one process; several processes allow that many guesses
//! each. The master key is not rotated: a store recognizes its own, and another is refused ([`MasterKey::adopt`]).

mod adopt;
pub mod api_token;
mod authenticator;
pub mod broker_password;
pub mod challenge;
pub mod device_token;
pub mod failures;
mod hashing;
pub mod leave;
mod mac;
mod master;
pub mod oauth2;
pub mod password;
mod policy;
mod remembered;
mod secret;
mod verified;

use i3_core::portable::Part;
use i3_core::store::Collection;

pub use adopt::MASTER_KEYS;
pub use authenticator::MarketAuthenticator;
pub use master::{MasterKey, MasterKeyError};
pub use policy::RolePolicy;
pub use secret::Secret;

/// What this crate stores: for the program's [`Schema`](i3_core::store::Schema).
pub static COLLECTIONS: &[&Collection] = &[&api_token::API_TOKENS, &MASTER_KEYS, &oauth2::FAMILIES];

/// The same for who moves a store's content elsewhere. No command writes any of them. What recognizes the
/// master key counts as a secret: an imported store belongs to the first key that it sees.
pub fn parts() -> [Part; 3] {
    [
        Part::records::<api_token::ApiToken>().unlogged(),
        Part::records::<adopt::Mark>().secret(),
        Part::records::<oauth2::Family>().unlogged(),
    ]
}
