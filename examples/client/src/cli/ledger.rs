//! Accounts of the ledger.

use clap::Subcommand;
use i3_client::LedgerHolder;
use i3_core::money::Currency;

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum AccountTask {
    /// What an account holds
    Balances {
        /// The id of a user, a hub or an order, fees or external
        holder: LedgerHolder,
    },
    /// How an account came to what it holds
    Entries {
        /// The id of a user, a hub or an order, fees or external
        holder: LedgerHolder,
        /// Of what
        currency: Currency,
        #[command(flatten)]
        list: ListArgs,
    },
}

impl AccountTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Balances { holder } => context.ask(client.list_balances(holder)).await,
            Self::Entries { holder, currency, list } => {
                context.list(client.list_entries(holder, currency), &list).await
            }
        }
    }
}
