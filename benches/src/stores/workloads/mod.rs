//! The workloads.

mod access;
mod metering;
mod page;
mod purchase;

pub(super) use access::Access;
pub(super) use metering::Metering;
pub(super) use page::Page;
pub(super) use purchase::Purchase;

/// A number that looks random and is the same in every run: `SplitMix64`.
fn scattered(caller: usize, call: u64) -> u64 {
    let seed =
        u64::try_from(caller).unwrap_or(0).wrapping_mul(0x9e37_79b9) ^ call.wrapping_mul(0x1_0000_0001);
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One of these, as the number says.
fn pick<T>(of: &[T], number: u64) -> Option<&T> {
    let place = number.checked_rem(u64::try_from(of.len()).ok()?)?;
    of.get(usize::try_from(place).ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn picks_are_spread_over_everything_and_repeat_in_the_next_run() {
        let of: Vec<u32> = (0..100).collect();
        let picked: BTreeSet<_> =
            (0..2_000).filter_map(|call| pick(&of, scattered(3, call)).copied()).collect();
        assert_eq!(picked.len(), 100);
        assert_ne!(scattered(0, 1), scattered(1, 0));
        assert_eq!(pick::<u8>(&[], 5), None);
    }
}
