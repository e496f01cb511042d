//! For those who run the marketplace.

use clap::Subcommand;

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditTask {
    /// Who did what, in order
    List(ListArgs),
    /// Whether the audit log's chain holds
    Verify,
}

impl AuditTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::List(list) => context.list(client.list_audit(), &list).await,
            Self::Verify => context.ask(client.verify_audit()).await,
        }
    }
}
