//! The object of a product that was bought.

use std::time::Duration;

use i3_core::access::Actor;
use i3_core::gate::Metering as _;
use i3_core::id::GrantId;
use i3_core::market::{CreateObject, LinkProduct, MarketError, Purchase, Refusal};
use i3_core::order::Order;
use i3_core::virtual_object::{Content, ObjectKind, ResourceUri};

use crate::fixture::{Fixture, fixed, per_message, refusal};

impl Fixture {
    async fn share_object(&self) {
        let mut content = Content::new(ObjectKind::Sensor, "Air".parse().unwrap());
        content.protocols.insert("http".parse().unwrap());
        content.resources.push("http://roof.example/air".parse().unwrap());
        let view = self.done(self.seller, &CreateObject { content, hub: None, submit: true }).await;
        let link = LinkProduct { object: view.object.id, product: Some(self.product.id), expect: None };
        self.done(self.seller, &link).await;
    }

    async fn ordered(&self, order: &Order) -> Result<Vec<String>, Refusal> {
        let brokers: Vec<ResourceUri> =
            ["mqtts://b.example/", "ws://b.example/mqtt", "mqtts://b.example", "http://b.example"]
                .map(|uri| uri.parse().unwrap())
                .to_vec();
        let found = self.market.ordered_object(Actor::User(self.buyer), order.id).await;
        let content = found.map_err(refusal)?.filled(&brokers);
        content.check().unwrap();
        Ok(content.resources.iter().map(ToString::to_string).collect())
    }
}

#[tokio::test]
async fn the_brokers_addresses_come_before_the_objects_own() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 1_000).await;
    let order = f.buy(fixed(2, 10)).await;
    assert_eq!(f.ordered(&order).await, Err(Refusal::NotFound { what: "virtual object" }));
    f.share_object().await;
    let expected = ["mqtts://b.example/i3/acme/air", "ws://b.example/mqtt", "http://roof.example/air"];
    assert_eq!(f.ordered(&order).await.unwrap(), expected);
    for other in [Actor::User(f.seller), Actor::System] {
        match f.market.ordered_object(other, order.id).await {
            Err(MarketError::Refused(Refusal::Forbidden { .. })) => {}
            found => panic!("{found:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_used_up_or_over_says_so() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 1_000).await;
    f.share_object().await;
    let order = f.buy(fixed(2, 10)).await;
    let lease = f.market.open(GrantId::of(order.id), "test", 2).await.unwrap();
    f.market.close(lease.lease, 2.into()).await.unwrap();
    assert_eq!(f.ordered(&order).await, Err(Refusal::WrongState { what: "order", state: "completed" }));

    let offer = f.offer_for(per_message(1, None), Some(60)).await;
    let order = f.done(f.buyer, &Purchase { offer }).await;
    assert!(f.ordered(&order).await.is_ok());
    f.pass(Duration::from_mins(1));
    assert_eq!(f.ordered(&order).await, Err(Refusal::WrongState { what: "grant", state: "expired" }));
}
