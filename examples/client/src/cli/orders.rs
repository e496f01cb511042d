//! Orders: buying, receiving, ending and rating.

use clap::Subcommand;
use i3_client::Opinion;
use i3_core::id::{OfferId, OrderId};
use i3_core::name::Prose;

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum OrderTask {
    /// Buys an offer; answers with what an MQTT client logs in with
    Buy {
        /// Which
        offer: OfferId,
    },
    /// One's own orders, newest first
    List(ListArgs),
    /// An order: for its buyer and for its seller
    Show {
        /// Which
        order: OrderId,
    },
    /// What the buyer's MQTT client logs in with
    Password {
        /// For which
        order: OrderId,
    },
    /// Replaces the MQTT password
    ReplacePassword {
        /// For which
        order: OrderId,
    },
    /// The virtual object of what was bought, with where its data are received and how
    Object {
        /// Of which
        order: OrderId,
    },
    /// Ends an order; what was not delivered is paid back
    Cancel {
        /// Which
        order: OrderId,
    },
    /// Takes an order's access away
    Revoke {
        /// Which
        order: OrderId,
    },
    /// The access that an order gives
    Grant {
        /// Which
        order: OrderId,
    },
    /// What was used and what it cost
    Statement {
        /// Of which
        order: OrderId,
    },
    /// Rates what was received
    Rate {
        /// Under which
        order: OrderId,
        /// 1 to 5
        stars: u8,
        /// In words
        #[arg(long)]
        comment: Option<Prose>,
    },
}

impl OrderTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Buy { offer } => context.change(client.purchase(offer)).await,
            Self::List(list) => context.list(client.list_orders(), &list).await,
            Self::Show { order } => context.ask(client.show_order(order)).await,
            Self::Password { order } => context.ask(client.show_order_password(order)).await,
            Self::ReplacePassword { order } => context.change(client.replace_order_password(order)).await,
            Self::Object { order } => context.ask(client.show_ordered_object(order)).await,
            Self::Cancel { order } => context.change(client.cancel_order(order)).await,
            Self::Revoke { order } => context.change(client.revoke_grant(order)).await,
            Self::Grant { order } => context.ask(client.show_grant(order)).await,
            Self::Statement { order } => context.ask(client.show_statement(order)).await,
            Self::Rate { order, stars, comment } => {
                let stars = stars.try_into().map_err(|error| Failure::Usage(format!("{stars}: {error}")))?;
                context.change(client.rate(order, &Opinion { stars, comment })).await
            }
        }
    }
}
