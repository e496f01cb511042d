//! One decision, however it is asked for.

use i3_core::gate::Principal;
use i3_core::id::{HubId, TypedId, UserId};
use proptest::prelude::*;

use super::world::*;
use crate::dialect::*;

fn worlds() -> impl Strategy<Value = World> {
    let topics = prop::sample::subsequence(vec![AIR, WATER], 0..=2);
    let order = prop::option::of((prop::sample::select(vec![AIR, WATER]), any::<bool>()));
    let until = prop::option::of(0_u64..3);
    let flags = (any::<bool>(), any::<bool>());
    (flags, topics, order, until).prop_map(|((device_active, counted), publishes, order, until)| World {
        device_active,
        publishes,
        order,
        counted,
        until: until.map(soon),
    })
}

fn topics() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(AIR.to_owned()),
        4 => Just(WATER.to_owned()),
        1 => Just("i3/acme/#".to_owned()),
        1 => "\\PC{0,12}",
        1 => "[i3/acme+#$]{0,12}",
    ]
}

proptest! {
    #[test]
    fn every_dialect_decides_as_the_marketplace_does(
        world in worlds(),
        topic in topics(),
        act in prop::sample::select(vec![Act::Publish, Act::Subscribe, Act::Receive]),
        who in 0_u8..3,
        password in prop::sample::select(vec![PASSWORD, "wrong"]),
    ) {
        let name = match who {
            0 => DEVICE.to_owned(),
            1 => order().to_string(),
            _ => "acme.nobody".to_owned(),
        };
        // What the rules say, in other words than the code.
        let live = world.until.is_none_or(|until| start() < until);
        let may = match (who, act) {
            (0, Act::Publish) => world.device_active && world.publishes.contains(&topic.as_str()),
            (1, Act::Subscribe | Act::Receive) => {
                live && !world.counted && world.order.is_some_and(|(own, open)| open && own == topic)
            }
            _ => false,
        };
        let enters = live && password == PASSWORD && match who {
            0 => world.device_active,
            1 => world.order.is_some(),
            _ => false,
        };
        let market = Market::new(world);
        let hooks = market.hooks();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for asked in questions(&name, act, &topic) {
                prop_assert_eq!(asked.allowed(&hooks).await, may, "{:?}", asked);
            }
            for asked in logins("c1", &name, password) {
                prop_assert_eq!(asked.allowed(&hooks).await, enters, "{:?}", asked);
            }
            let principal = match who {
                0 => Principal::Device { device: device(), hub: HubId::from_bits(2) },
                _ => Principal::Order { order: order(), buyer: UserId::from_bits(5) },
            };
            let decider = Decider::new(
                market.clone(), market.clone(), market.clone(), market.clock.clone(), DeciderConfig::default(),
            );
            // What EMQX is told in advance is what it would be told on asking.
            if let Ok(rights) = decider.rights(principal).await && who < 2 {
                let own = match act {
                    Act::Publish => &rights.publish,
                    _ => &rights.receive,
                };
                prop_assert_eq!(own.iter().any(|own| own.as_str() == topic), may);
            }
            let decision = decider.decide(Some(&name), act, &topic).await;
            prop_assert_eq!(decision.allow, may);
            prop_assert_eq!(decision.valid_for.is_zero(), !may);
            prop_assert_eq!(decision.reason == Reason::Allowed, may);
            Ok(())
        })?;
    }
}
