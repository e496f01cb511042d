//! Who is there and what they may do: passwords, device tokens, API tokens and the role-based policy of the
//! I3 `IoT` data marketplace.

pub mod api_token;
pub mod broker_password;
pub mod device_token;
pub mod failures;
mod hashing;
mod mac;
mod master;
pub mod password;
mod policy;
pub mod remembered;
mod secret;

use i3_core::store::Collection;

pub use master::{MasterKey, MasterKeyError};
pub use policy::RolePolicy;
pub use secret::Secret;

/// What this crate stores: for the program's [`Schema`](i3_core::store::Schema).
pub static COLLECTIONS: &[&Collection] = &[&api_token::API_TOKENS];
