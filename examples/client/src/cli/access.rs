//! Why a client may or may not do something, and why messages were or were not charged.

use clap::Subcommand;
use i3_core::id::{DeviceId, OrderId};

use super::context::{Context, Told};
use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum ExplainTask {
    /// Why a device may or may not publish a topic
    Publish {
        /// Which device
        device: DeviceId,
        /// What it publishes to
        topic: String,
    },
    /// Why an order may or may not receive
    Receive {
        /// Which order
        order: OrderId,
        /// What it subscribes to; its product's by default
        #[arg(long)]
        topic: Option<String>,
    },
    /// Why an order's messages were or were not charged
    Charge {
        /// Which order
        order: OrderId,
    },
    /// Why one message was or was not charged to an order
    Message {
        /// Which order
        order: OrderId,
        /// The message's number among those of the product, as in `i3-seq`
        number: u64,
    },
}

impl ExplainTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Publish { device, topic } => context.ask(client.explain_publish(device, &topic)).await,
            Self::Receive { order, topic } => {
                context.ask(client.explain_receive(order, topic.as_deref())).await
            }
            Self::Charge { order } => context.ask(client.explain_charge(order)).await,
            Self::Message { order, number } => context.ask(client.explain_message(order, number)).await,
        }
    }
}
