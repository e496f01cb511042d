//! The I3 `IoT` data marketplace as one program: its parts put together, its REST interface, and the commands
//! of the binary `i3-marketplace`.

mod assembly;
mod rest;
mod store_url;

pub use assembly::{Access, Assembly, AssemblyConfig, AssemblyError};
pub use rest::{AppState, router};
pub use store_url::{InvalidStoreUrl, StoreUrl};
