//! Orders: buying, receiving, ending and rating.

use clap::{Args, Subcommand};
use i3_client::{Opinion, OrderQuery};
use i3_core::id::{OfferId, OrderId, ProductId};
use i3_core::market::TimeOrder;
use i3_core::name::Prose;
use i3_core::order::OrderState;
use i3_core::time::Timestamp;

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;
use super::given::named;

/// Which orders; all by default.
#[derive(Debug, Args)]
pub(crate) struct WhichOrders {
    /// Those that are active, completed or cancelled
    #[arg(long, value_parser = named::<OrderState>)]
    state: Option<OrderState>,
    /// Those of this product
    #[arg(long)]
    product: Option<ProductId>,
    /// Those placed from this time on: 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Those placed before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// newest (by default) or oldest
    #[arg(long, value_parser = named::<TimeOrder>)]
    sort: Option<TimeOrder>,
}

impl From<WhichOrders> for OrderQuery {
    fn from(which: WhichOrders) -> Self {
        let WhichOrders { state, product, since, until, sort } = which;
        Self { state, product, since, until, sort }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrderTask {
    /// Buys an offer; answers with what an MQTT client logs in with
    Buy {
        /// Which
        offer: OfferId,
    },
    /// One's own orders
    List {
        #[command(flatten)]
        which: WhichOrders,
        #[command(flatten)]
        list: ListArgs,
    },
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
            Self::List { which, list } => context.list(client.list_orders(&which.into()), &list).await,
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
