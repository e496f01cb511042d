//! The password with which a buyer's client receives what one order bought.

use i3_core::id::OrderId;
use subtle::ConstantTimeEq;

use crate::mac::short_text;
use crate::{MasterKey, Secret};

/// Derives the broker password of each order; none is stored.
///
/// The password of an order's *generation* is the first 160 bits of HMAC-SHA256 under the master key over
/// the label `i3 order password`, the order's id and the generation (four bytes, most significant first),
/// each preceded by its length; in text, 32 characters of lower-case base 32. So buying again with the same
/// idempotency key gives the same password, a copy of the store gives none, and a password is changed by
/// raising the order's generation.
///
/// Knowing a password says only that the buyer gave it away: whether the order still gives access is the
/// gate's question.
#[derive(Debug, Clone)]
pub struct BrokerPasswords {
    master: MasterKey,
}

impl BrokerPasswords {
    /// The passwords under this key.
    pub fn new(master: &MasterKey) -> Self {
        Self { master: master.clone() }
    }

    /// The password of this generation of an order. Show it to the buyer only.
    pub fn of(&self, order: OrderId, generation: u32) -> Secret {
        let order = order.to_string();
        let parts: [&[u8]; 2] = [order.as_bytes(), &generation.to_be_bytes()];
        Secret::new(short_text(&self.master.mac("i3 order password", &parts)))
    }

    /// Whether this is the password. Takes the same time for every presented text of the right length.
    pub fn verify(&self, order: OrderId, generation: u32, presented: &[u8]) -> bool {
        self.of(order, generation).expose().as_bytes().ct_eq(presented).into()
    }
}

#[cfg(test)]
mod tests {
    use i3_core::id::TypedId;
    use proptest::prelude::*;

    use super::*;

    fn passwords() -> BrokerPasswords {
        BrokerPasswords::new(&MasterKey::from_bytes([7; 32]))
    }

    #[test]
    fn a_password_stays_the_same_from_release_to_release() {
        // `openssl dgst -sha256 -mac HMAC` over the label, the id and the generation with their lengths.
        let password = passwords().of(OrderId::from_bits(1), 3);
        assert_eq!(password.expose(), "oraqseevcgcrabuhrw3ya7m26xsmr4nn");
    }

    proptest! {
        #[test]
        fn only_the_password_of_that_order_generation_and_key_is_right(
            order: u128, other: u128, generation: u32, later: u32
        ) {
            let passwords = passwords();
            let password = passwords.of(OrderId::from_bits(order), generation);
            let right = |order, generation| {
                passwords.verify(OrderId::from_bits(order), generation, password.expose().as_bytes())
            };
            prop_assert!(right(order, generation));
            prop_assert_eq!(right(other, generation), other == order);
            prop_assert_eq!(right(order, later), later == generation);
            let stranger = BrokerPasswords::new(&MasterKey::from_bytes([8; 32]));
            prop_assert!(!stranger.verify(OrderId::from_bits(order), generation, password.expose().as_bytes()));
        }

        #[test]
        fn no_other_text_is_right(presented: Vec<u8>) {
            prop_assert!(!passwords().verify(OrderId::from_bits(1), 0, &presented));
        }
    }

    #[test]
    fn a_part_of_the_password_or_more_than_it_is_wrong() {
        let order = OrderId::from_bits(1);
        let password = passwords().of(order, 0);
        let text = password.expose();
        for wrong in [
            &text.as_bytes()[..31],
            &text.as_bytes()[1..],
            format!("{text}a").as_bytes(),
            text.to_uppercase().as_bytes(),
            b"",
        ] {
            assert!(!passwords().verify(order, 0, wrong));
        }
    }
}
