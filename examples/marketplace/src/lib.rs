//! The I3 `IoT` data marketplace as one program: its parts put together, its REST interface, and the commands
//! of the binary `i3-marketplace`.

mod assembly;
mod brokers;
mod demo;
mod explain;
mod failure;
mod reconcile;
mod rest;
mod serve;
mod store;
mod store_url;

pub use assembly::{Access, Assembly, AssemblyConfig, AssemblyError};
pub use brokers::{BrokerOptions, PlainHttp, broker_router};
pub use demo::{DemoError, DemoOptions, demo};
pub use explain::{ExplainAccess, ExplainCharge, ExplainTask, explain};
pub use failure::Failure;
pub use reconcile::{Report, reconcile, report};
pub use rest::{AppState, router};
pub use serve::{RegistrationOption, ServeOptions, StoreOptions, serve};
pub use store::{StoreTask, store, store_contents};
pub use store_url::{InvalidStoreUrl, ServerUrl, StoreUrl};
