//! A digest that does not depend on the order of what it is of.

use std::fmt;
use std::str::FromStr;

use oxigraph::model::Quad;
use sha2::{Digest as _, Sha256};

/// The sum of the SHA-256 of quads, as a number of 256 bits. What was added can be taken out again. It shows that two sets
/// agree; it does not resist somebody who makes up data to fool it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum([u8; 32]);

impl Sum {
    pub(crate) fn add(&mut self, quad: &Quad) {
        let mut carry = 0_u16;
        for (digit, more) in self.0.iter_mut().zip(Sha256::digest(quad.to_string())) {
            let [low, high] = (u16::from(*digit) + u16::from(more) + carry).to_le_bytes();
            (*digit, carry) = (low, u16::from(high));
        }
    }

    pub(crate) fn take(&mut self, quad: &Quad) {
        let mut borrowed = false;
        for (digit, less) in self.0.iter_mut().zip(Sha256::digest(quad.to_string())) {
            let (once, below) = digit.overflowing_sub(less);
            let (twice, again) = once.overflowing_sub(u8::from(borrowed));
            (*digit, borrowed) = (twice, below || again);
        }
    }
}

impl<'a> FromIterator<&'a Quad> for Sum {
    fn from_iter<T: IntoIterator<Item = &'a Quad>>(quads: T) -> Self {
        quads.into_iter().fold(Self::default(), |mut sum, quad| {
            sum.add(quad);
            sum
        })
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl FromStr for Sum {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(drop)?;
        bytes.try_into().map(Self).map_err(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxigraph::model::{GraphName, NamedNode};

    #[test]
    fn what_was_added_in_any_order_and_taken_out_again_leaves_the_sum_of_the_rest() {
        let quad = |name: u32| {
            let node = NamedNode::new(format!("urn:x:{name}")).unwrap();
            Quad::new(node.clone(), node.clone(), node, GraphName::DefaultGraph)
        };
        let quads: Vec<Quad> = (0..50).map(quad).collect();
        let mut sum: Sum = quads.iter().collect();
        assert_eq!(sum, quads.iter().rev().collect());
        assert_eq!(sum.to_string().parse(), Ok(sum));
        for quad in quads.iter().skip(1) {
            sum.take(quad);
        }
        assert_eq!(sum, quads.iter().take(1).collect());
        assert!("00".parse::<Sum>().is_err() && "x".parse::<Sum>().is_err());
    }
}
