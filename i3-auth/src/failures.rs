//! How many wrong guesses are allowed, and how fast.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use i3_core::time::Timestamp;

/// The size of a [`FailureBudget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Failures that one key may have at once.
    pub burst: u32,
    /// The time after which one failure is forgiven.
    pub refill: Duration,
    /// Keys that are remembered. Memory is bounded by this, at about 100 bytes each.
    pub keys: usize,
}

/// A token bucket of failures for each key, of bounded size.
///
/// An attempt is paid for *before* it is made and refunded when it succeeds, so attempts in parallel
/// cannot share one token. A pure structure: the time is a parameter.
///
/// When more keys fail than are remembered, the key that will be forgiven soonest is forgotten; so to wipe
/// one key's failures, a stranger has to fail as often with every other remembered key. No key is locked
/// for longer than `burst` times `refill`, even if the clock is set back.
#[derive(Debug)]
pub struct FailureBudget {
    limits: BudgetLimits,
    /// Keys are names of a stranger's choice and length: kept as keyed 64-bit hashes.
    random: RandomState,
    /// When all failures of a key will be forgiven.
    clean_at: HashMap<u64, Timestamp>,
    by_time: BTreeSet<(Timestamp, u64)>,
}

impl FailureBudget {
    /// A budget in which nobody failed yet.
    pub fn new(limits: BudgetLimits) -> Self {
        Self { limits, random: RandomState::new(), clean_at: HashMap::new(), by_time: BTreeSet::new() }
    }

    /// Pays for one attempt; false, and nothing paid, if the key has none left.
    pub fn spend(&mut self, key: &(impl Hash + ?Sized), now: Timestamp) -> bool {
        let key = self.random.hash_one(key);
        let horizon = now.plus(self.limits.refill.saturating_mul(self.limits.burst));
        let clean_at = self.take(key).unwrap_or(now).clamp(now, horizon);
        let paid = clean_at.plus(self.limits.refill);
        let allowed = paid <= horizon;
        self.put(key, if allowed { paid } else { clean_at }, now);
        allowed
    }

    /// Gives one attempt back: it was a success, or was not made.
    pub fn refund(&mut self, key: &(impl Hash + ?Sized), now: Timestamp) {
        let key = self.random.hash_one(key);
        if let Some(clean_at) = self.take(key) {
            self.put(key, clean_at.minus(self.limits.refill), now);
        }
    }

    /// After how long the key can pay again; nothing if it can now.
    pub fn wait(&self, key: &(impl Hash + ?Sized), now: Timestamp) -> Duration {
        let horizon = now.plus(self.limits.refill.saturating_mul(self.limits.burst));
        let clean_at = self.clean_at.get(&self.random.hash_one(key)).copied().unwrap_or(now);
        clean_at.clamp(now, horizon).plus(self.limits.refill).since(horizon)
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.clean_at.len()
    }

    fn take(&mut self, key: u64) -> Option<Timestamp> {
        let clean_at = self.clean_at.remove(&key)?;
        self.by_time.remove(&(clean_at, key));
        Some(clean_at)
    }

    fn put(&mut self, key: u64, clean_at: Timestamp, now: Timestamp) {
        while let Some((soonest, other)) = self.by_time.first().copied() {
            if soonest > now && self.by_time.len() < self.limits.keys.max(1) {
                break;
            }
            self.by_time.pop_first();
            self.clean_at.remove(&other);
        }
        if clean_at > now {
            self.clean_at.insert(key, clean_at);
            self.by_time.insert((clean_at, key));
        }
    }
}

/// What counts as one peer: an IPv4 address, or the /64 of an IPv6 address, since one customer usually has
/// all of a /64 (RFC 6177).
pub fn peer_network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: BudgetLimits = BudgetLimits { burst: 3, refill: Duration::from_secs(10), keys: 8 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn the_burst_is_allowed_then_one_for_each_refill() {
        let mut budget = FailureBudget::new(LIMITS);
        for _ in 0..3 {
            assert!(budget.spend("pump", at(0)));
        }
        assert!(!budget.spend("pump", at(9)));
        assert_eq!(budget.wait("pump", at(9)), Duration::from_secs(1));
        assert_eq!(budget.wait("valve", at(9)), Duration::ZERO);
        assert!(budget.spend("valve", at(9)), "another key is not affected");
        assert!(budget.spend("pump", at(10)));
        assert!(!budget.spend("pump", at(10)));
    }

    #[test]
    fn a_success_costs_nothing() {
        let mut budget = FailureBudget::new(LIMITS);
        for _ in 0..100 {
            assert!(budget.spend("pump", at(0)));
            budget.refund("pump", at(0));
        }
        assert_eq!(budget.keys(), 0);
    }

    #[test]
    fn a_flood_of_names_does_not_wipe_out_a_locked_one() {
        let mut budget = FailureBudget::new(LIMITS);
        while budget.spend("target", at(0)) {}
        for name in 0..10_000 {
            budget.spend(&name, at(0));
        }
        assert_eq!(budget.keys(), LIMITS.keys);
        assert!(!budget.spend("target", at(0)));
    }

    #[test]
    fn a_clock_set_back_locks_nobody_for_longer_than_the_burst() {
        let mut budget = FailureBudget::new(LIMITS);
        while budget.spend("pump", at(1_000_000)) {}
        assert!(!budget.spend("pump", at(0)));
        assert!(budget.spend("pump", at(10)));
    }

    #[test]
    fn neighbours_in_an_ipv6_network_are_one_peer() {
        let peer = |text: &str| peer_network(text.parse().unwrap());
        assert_eq!(peer("2001:db8:1:2:3::4"), peer("2001:db8:1:2::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    }

    proptest! {
        #[test]
        fn memory_and_rate_are_bounded_whatever_comes(
            events in prop::collection::vec((0_u8..20, 0_i64..40, any::<bool>()), 1..200)
        ) {
            let mut budget = FailureBudget::new(LIMITS);
            let mut failed: HashMap<u8, Vec<i64>> = HashMap::new();
            let mut now = 0;
            for (key, later, success) in events {
                now += later;
                if budget.spend(&key, at(now)) {
                    if success {
                        budget.refund(&key, at(now));
                    } else {
                        failed.entry(key).or_default().push(now);
                    }
                }
                prop_assert!(budget.keys() <= LIMITS.keys);
                prop_assert_eq!(budget.keys(), budget.by_time.len());
            }
            // With no more keys than are remembered, no window has more failures than burst and refill give.
            if failed.len() <= LIMITS.keys {
                for times in failed.values() {
                    for (first, start) in times.iter().enumerate() {
                        for (last, end) in times.iter().enumerate().skip(first) {
                            let most = 3 + (end - start) / 10;
                            prop_assert!(i64::try_from(last - first).unwrap() < most);
                        }
                    }
                }
            }
        }
    }
}
