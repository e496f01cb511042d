//! The virtual object of what was bought, with where and as whom its data are received.

use i3_core::access::Action;
use i3_core::id::{OrderId, VirtualObjectId};
use i3_core::market::Caller;
use i3_core::name::Topic;
use i3_core::time::Timestamp;
use i3_core::virtual_object::{Content, ContentHash};
use schemars::JsonSchema;
use serde::Serialize;

use super::representation::{Linked, Links, Shown};
use super::request::{Answer, Api, InPath};
use super::route::{Routes, about};

pub(super) fn routes() -> Routes {
    Routes::new().get(
        "/orders/{order}/object",
        show,
        about(
            "show_ordered_object",
            "The virtual object of what was bought, with where its data are received and how; for the buyer, while there is access",
        )
        .permission(Action::ViewOrder)
        .permission(Action::ManageOrder)
        .relation("ordered-object")
        .refusal(axum::http::StatusCode::CONFLICT),
    )
}

/// A virtual object whose data somebody bought.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderedObject")]
struct Ordered {
    order: OrderId,
    object: VirtualObjectId,
    /// The number of the content that was filled in.
    version: u32,
    /// The hash of the content before it was filled in.
    hash: ContentHash,
    /// What the object says; the addresses where this buyer receives its data come first.
    content: Content,
    access: Access,
}

/// How its data are received.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderedAccess")]
struct Access {
    /// What to subscribe to.
    topic: Topic,
    /// What an MQTT client logs in as.
    username: OrderId,
    /// Where the buyer gets the password: it is in no other answer.
    password_at: String,
    /// When access ends, if it does by time.
    until: Option<Timestamp>,
}

impl Linked for Ordered {
    fn links(&self, _: &Caller, links: &mut Links<'_>) {
        links.own(format!("/orders/{}/object", self.order));
        links.to("order", format!("/orders/{}", self.order));
        links.to("describes", format!("/virtual_objects/{}", self.object));
        links.action("password", format!("/orders/{}/password", self.order));
    }
}

async fn show(api: Api, InPath(order): InPath<OrderId>) -> Answer<Shown<Ordered>> {
    let found = api.market().ordered_object(api.actor, order).await.map_err(|error| api.refused(error))?;
    let object = &found.view.object;
    let answer = Ordered {
        order,
        object: object.id,
        version: object.version,
        hash: object.content,
        content: found.filled(api.brokers()),
        access: Access {
            topic: found.order.terms.topic.clone(),
            username: order,
            password_at: api.place(&format!("/orders/{order}/password")),
            until: found.order.terms.until,
        },
    };
    api.show(answer).await
}
