//! For those who run the marketplace.

use clap::Subcommand;
use i3_client::DenialQuery;
use i3_core::id::UserId;
use i3_core::time::Timestamp;

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditTask {
    /// Who did what, in order
    List(ListArgs),
    /// What was denied, newest first
    Denials {
        /// Only those of this user
        #[arg(long, value_name = "ID")]
        user: Option<UserId>,
        /// Only those that were answered with this code
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
        /// Only those from this time on
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Only those before this time
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Whether the audit log's chain holds
    Verify,
}

impl AuditTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::List(list) => context.list(client.list_audit(), &list).await,
            Self::Denials { user, code, since, until, list } => {
                let query = DenialQuery { user, code, since, until };
                context.list(client.list_denials(&query), &list).await
            }
            Self::Verify => context.ask(client.verify_audit()).await,
        }
    }
}
