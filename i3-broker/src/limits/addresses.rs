//! How many connections come from where.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections by the network that they come from. Holds no more entries than there are connections.
#[derive(Debug)]
pub(crate) struct Addresses {
    most: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

impl Addresses {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, counts: Mutex::default() })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more, for as long as the place is kept; `None` if there are too many from there.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = network(address);
        let mut counts = self.counts();
        let count = counts.entry(network).or_default();
        if *count >= self.most {
            if *count == 0 {
                counts.remove(&network);
            }
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { addresses: Arc::clone(self), network })
    }
}

/// A connection's place among those of its address.
#[derive(Debug)]
pub(crate) struct Place {
    addresses: Arc<Addresses>,
    network: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts();
        if let Some(count) = counts.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

/// Whom an address stands for: an IPv4 address for itself, also in its IPv6 form; an IPv6 address for its /64,
/// of which one subscriber has all addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let addresses = Addresses::new(2);
        let first = addresses.enter(ip("192.0.2.1")).unwrap();
        let _second = addresses.enter(ip("::ffff:192.0.2.1")).unwrap();
        assert!(addresses.enter(ip("192.0.2.1")).is_none());
        let other = addresses.enter(ip("192.0.2.2")).unwrap();
        drop(first);
        let _third = addresses.enter(ip("192.0.2.1")).unwrap();
        drop(other);
        assert_eq!(addresses.counts().len(), 1, "who has left is forgotten");
    }

    #[test]
    fn an_ipv6_subscriber_is_counted_as_one() {
        let addresses = Addresses::new(2);
        let _places =
            ["2001:db8:0:1::1", "2001:db8:0:1:ffff::"].map(|from| addresses.enter(ip(from)).unwrap());
        assert!(addresses.enter(ip("2001:db8:0:1:2::3")).is_none());
        assert!(addresses.enter(ip("2001:db8:0:2::1")).is_some());
    }

    #[test]
    fn nobody_is_let_in_without_places_and_nothing_is_remembered() {
        let addresses = Addresses::new(0);
        assert!(addresses.enter(ip("192.0.2.1")).is_none());
        assert!(addresses.counts().is_empty());
    }
}
