//! The I3 `IoT` data marketplace as one program: its parts put together, its REST interface, and the commands
//! of the binary `i3-marketplace`.

mod analytics;
mod assembly;
mod brokers;
mod configuration;
mod demo;
mod explain;
mod failure;
mod floods;
mod knowledge;
mod listeners;
mod mail;
mod metrics;
mod reconcile;
mod rest;
mod serve;
mod sparql_store;
mod store;
mod store_url;
mod telling;
mod upstream;

pub use analytics::AnalyticsOptions;
pub use assembly::{Access, Assembly, AssemblyConfig, AssemblyError, Upstream};
pub use brokers::{BrokerOptions, PlainHttp, broker_router};
pub use configuration::{configuration, configured};
pub use demo::{DemoError, DemoOptions, demo};
pub use explain::{ExplainAccess, ExplainCharge, ExplainTask, explain};
pub use failure::Failure;
pub use floods::{FloodLimits, Floods, ProtectionOptions};
pub use knowledge::{Knowledge, KnowledgeError, SPARQL_WORKER, sparql_worker};
pub use listeners::{ClientCertificateOption, MqttOptions};
pub use mail::{FolderNotifier, MailOptions, Mailer, PublicLinks, SmtpNotifier};
pub use metrics::{MetricsOptions, metrics_router};
pub use reconcile::{Report, reconcile, report};
pub use rest::{
    AppParts, AppState, InvalidOrigin, Operation, RestConfig, Who, openapi, operations, router, router_with,
};

/// The codes of problems with what they mean, as Markdown: `docs/problems.md`.
pub fn problems() -> String {
    rest::problems()
}
pub use serve::{RegistrationOption, ServeOptions, StoreOptions, serve};
pub use sparql_store::{HttpEndpoint, SparqlStoreOptions};
pub use store::{StoreTask, store, store_contents};
pub use store_url::{InvalidStoreUrl, ServerUrl, StoreUrl};
pub use upstream::UpstreamOptions;
