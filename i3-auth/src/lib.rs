//! Who is there and what they may do: passwords, device tokens, API tokens and the role-based policy of the
//! I3 `IoT` data marketplace.

pub mod broker_password;
pub mod device_token;
pub mod failures;
mod hashing;
mod mac;
mod master;
pub mod password;
pub mod remembered;
mod secret;

pub use master::{MasterKey, MasterKeyError};
pub use secret::Secret;
