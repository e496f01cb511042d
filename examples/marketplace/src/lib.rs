//! The I3 `IoT` data marketplace as one program: its parts put together, its REST interface, and the commands
//! of the binary `i3-marketplace`.

mod assembly;
mod brokers;
mod demo;
mod discover;
mod explain;
mod failure;
mod floods;
mod listeners;
mod mail;
mod metrics;
mod reconcile;
mod rest;
mod serve;
mod sparql;
mod store;
mod store_url;
mod telling;
mod upstream;

pub use assembly::{Access, Assembly, AssemblyConfig, AssemblyError, Upstream};
pub use brokers::{BrokerOptions, PlainHttp, broker_router};
pub use demo::{DemoError, DemoOptions, demo};
pub use discover::discovery_router;
pub use explain::{ExplainAccess, ExplainCharge, ExplainTask, explain};
pub use failure::Failure;
pub use floods::{FloodLimits, Floods, ProtectionOptions};
pub use listeners::{ClientCertificateOption, MqttOptions};
pub use mail::{FolderNotifier, MailOptions, Mailer, PublicLinks, SmtpNotifier};
pub use metrics::{MetricsOptions, metrics_router};
pub use reconcile::{Report, reconcile, report};
pub use rest::{
    AppState, InvalidOrigin, Operation, RestConfig, Who, openapi, operations, router, router_with,
};

/// The codes of problems with what they mean, as Markdown: `docs/problems.md`.
pub fn problems() -> String {
    rest::problems()
}
pub use serve::{RegistrationOption, ServeOptions, StoreOptions, serve};
pub use sparql::{SPARQL_WORKER, sparql_pool, sparql_router, sparql_worker};
pub use store::{StoreTask, store, store_contents};
pub use store_url::{InvalidStoreUrl, ServerUrl, StoreUrl};
pub use upstream::UpstreamOptions;
