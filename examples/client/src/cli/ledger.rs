//! Accounts of the ledger.

use clap::Subcommand;
use i3_client::{EntryQuery, LedgerHolder};
use i3_core::market::TimeOrder;
use i3_core::money::Currency;
use i3_core::time::Timestamp;

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;
use super::given::named;

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
        /// Those from this time on: 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Those before this time
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        /// newest (by default) or oldest
        #[arg(long, value_parser = named::<TimeOrder>)]
        sort: Option<TimeOrder>,
        #[command(flatten)]
        list: ListArgs,
    },
}

impl AccountTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Balances { holder } => context.ask(client.list_balances(holder)).await,
            Self::Entries { holder, currency, since, until, sort, list } => {
                let query = EntryQuery { since, until, sort };
                context.list(client.list_entries(holder, currency, &query), &list).await
            }
        }
    }
}
