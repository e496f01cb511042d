//! What a thing has, in few bytes.
//!
//! There are some forty numbers for each thing: its terms, the classes that were said of it, its words. Each of the three
//! is kept sorted, as how many there are and how far each is from the one before, in the variable length of LEB128.

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Held(Box<[u8]>);

impl Held {
    pub(super) fn new(terms: Vec<u32>, kinds: Vec<u32>, words: Vec<u32>) -> Self {
        let mut bytes = Vec::with_capacity(2 * (terms.len() + kinds.len() + words.len()) + 3);
        for mut row in [terms, kinds, words] {
            row.sort_unstable();
            write(&mut bytes, u32::try_from(row.len()).unwrap_or(u32::MAX));
            let mut last = 0;
            for number in row {
                write(&mut bytes, number.saturating_sub(last));
                last = number;
            }
        }
        Self(bytes.into_boxed_slice())
    }

    /// The terms, the lowest number first.
    pub(super) fn terms(&self) -> impl Iterator<Item = u32> {
        self.row(0)
    }

    /// Those of the classes that were said.
    pub(super) fn kinds(&self) -> impl Iterator<Item = u32> {
        self.row(1)
    }

    /// The words.
    pub(super) fn words(&self) -> impl Iterator<Item = u32> {
        self.row(2)
    }

    fn row(&self, number: usize) -> impl Iterator<Item = u32> {
        let mut rest = &*self.0;
        for _ in 0..number {
            for _ in 0..read(&mut rest) {
                read(&mut rest);
            }
        }
        (0..read(&mut rest)).scan(0_u32, move |last, _| {
            *last = last.saturating_add(read(&mut rest));
            Some(*last)
        })
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u32) {
    while number > 0x7f {
        bytes.push(0x80 | u8::try_from(number & 0x7f).unwrap_or(0));
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
}

fn read(rest: &mut &[u8]) -> u32 {
    let (mut number, mut shift) = (0_u32, 0);
    while let Some((byte, after)) = rest.split_first() {
        *rest = after;
        number |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if *byte < 0x80 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(prop_oneof![0..300_u32, any::<u32>(), Just(u32::MAX)], 0..60)
    }

    proptest! {
        #[test]
        fn what_is_held_is_what_was_put_in_sorted(terms in row(), kinds in row(), words in row()) {
            let held = Held::new(terms.clone(), kinds.clone(), words.clone());
            let sorted = |mut row: Vec<u32>| {
                row.sort_unstable();
                row
            };
            prop_assert_eq!(held.terms().collect::<Vec<_>>(), sorted(terms));
            prop_assert_eq!(held.kinds().collect::<Vec<_>>(), sorted(kinds));
            prop_assert_eq!(held.words().collect::<Vec<_>>(), sorted(words));
        }
    }
}
