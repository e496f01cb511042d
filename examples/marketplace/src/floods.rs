//! How much one address and one client may ask, and how often strangers may have something done.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use i3_auth::failures::{BudgetLimits, FailureBudget, peer_network};
use i3_core::id::UserId;
use i3_core::time::Clock;

/// The limits of floods: a bucket of tokens for each address, client or account. Each is of bounded size; when more keys
/// ask than are remembered, the one that has asked least is forgotten.
#[derive(Debug, Clone)]
pub struct FloodLimits {
    /// Requests from one address (of IPv6, from one /64).
    pub requests: BudgetLimits,
    /// Requests of one user or one OAuth2 client.
    pub clients: BudgetLimits,
    /// Registrations from one address.
    pub registrations: BudgetLimits,
    /// Leave to set a password that is asked for from one address.
    pub resets: BudgetLimits,
    /// Leave to set a password that is asked for, for one name or e-mail address.
    pub resets_of_one: BudgetLimits,
    /// Records that a person, or an address that nobody is known at, asked too much.
    pub records: BudgetLimits,
}

const KEYS: usize = 65_536;

/// So many at once, and one more each `refill`.
const fn limits(burst: u32, refill: Duration) -> BudgetLimits {
    BudgetLimits { burst, refill, keys: KEYS }
}

impl Default for FloodLimits {
    /// 2,000 requests at once and 200 a second from an address, half of that from a client; 30 registrations and one a
    /// minute; 5 resets and one a minute from an address, and 3 and one each ten minutes for an account; one record a
    /// minute.
    fn default() -> Self {
        Self {
            requests: limits(2_000, Duration::from_millis(5)),
            clients: limits(1_000, Duration::from_millis(10)),
            registrations: limits(30, Duration::from_mins(1)),
            resets: limits(5, Duration::from_mins(1)),
            resets_of_one: limits(3, Duration::from_mins(10)),
            records: limits(1, Duration::from_mins(1)),
        }
    }
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood<'a> {
    Request(IpAddr),
    Client(&'a str),
    Registration(IpAddr),
    Reset(IpAddr),
    ResetOfOne(&'a str),
    /// A record that this person asked too much, or somebody at this address.
    Record(Option<UserId>, Option<IpAddr>),
}

/// Who has asked how much lately, in this process.
#[derive(Debug)]
pub struct Floods {
    clock: Arc<dyn Clock>,
    requests: Mutex<FailureBudget>,
    clients: Mutex<FailureBudget>,
    registrations: Mutex<FailureBudget>,
    resets: Mutex<FailureBudget>,
    resets_of_one: Mutex<FailureBudget>,
    records: Mutex<FailureBudget>,
}

impl Floods {
    /// Nobody has asked yet.
    pub fn new(limits: &FloodLimits, clock: Arc<dyn Clock>) -> Self {
        let bucket = |limits: BudgetLimits| Mutex::new(FailureBudget::new(limits));
        Self {
            clock,
            requests: bucket(limits.requests),
            clients: bucket(limits.clients),
            registrations: bucket(limits.registrations),
            resets: bucket(limits.resets),
            resets_of_one: bucket(limits.resets_of_one),
            records: bucket(limits.records),
        }
    }

    /// Lets one more pass, or says after how long one will.
    pub(crate) fn admit(&self, flood: Flood<'_>) -> Result<(), Duration> {
        match flood {
            Flood::Request(peer) => self.spend(&self.requests, &peer_network(peer)),
            Flood::Client(client) => self.spend(&self.clients, client),
            Flood::Registration(peer) => self.spend(&self.registrations, &peer_network(peer)),
            Flood::Reset(peer) => self.spend(&self.resets, &peer_network(peer)),
            Flood::ResetOfOne(account) => self.spend(&self.resets_of_one, account),
            Flood::Record(Some(user), _) => self.spend(&self.records, &user),
            Flood::Record(None, peer) => self.spend(&self.records, &peer.map(peer_network)),
        }
    }

    fn spend(&self, bucket: &Mutex<FailureBudget>, key: &(impl Hash + ?Sized)) -> Result<(), Duration> {
        let now = self.clock.now();
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.spend(key, now) { Ok(()) } else { Err(bucket.wait(key, now)) }
    }
}

/// How floods are held off.
#[derive(Debug, Clone, Args)]
pub struct ProtectionOptions {
    /// Requests a second from one address, ten times as many at once; one client may make half of that
    #[arg(long, env = "I3_REQUESTS_PER_SECOND", value_name = "NUMBER", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub requests_per_second: u32,
    /// Whoever registers has to let the machine work for it (`GET /challenge`): this many hashes at most
    #[arg(long, env = "I3_CAPTCHA", value_name = "HASHES", num_args = 0..=1, default_missing_value = "100000",
          value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub captcha: Option<u32>,
    /// How many of the newest requests that were denied are kept for administrators to look at
    #[arg(long, env = "I3_DENIALS_KEPT", value_name = "NUMBER", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub denials_kept: u64,
}

impl ProtectionOptions {
    /// The limits that are meant.
    pub fn limits(&self) -> FloodLimits {
        let rate = self.requests_per_second.max(1);
        let refill = |rate: u32| Duration::from_secs(1) / rate.max(1);
        FloodLimits {
            requests: limits(rate.saturating_mul(10), refill(rate)),
            clients: limits(rate.saturating_mul(5), refill(rate.div_ceil(2))),
            ..FloodLimits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use i3_core::time::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn each_key_has_its_bucket_and_is_told_when_to_come_back() {
        let clock = Arc::new(ManualClock::at(Timestamp::default()));
        let few = FloodLimits { clients: limits(2, Duration::from_secs(30)), ..FloodLimits::default() };
        let floods = Floods::new(&few, clock.clone());
        for _ in 0..2 {
            floods.admit(Flood::Client("a")).unwrap();
        }
        assert_eq!(floods.admit(Flood::Client("a")), Err(Duration::from_secs(30)));
        floods.admit(Flood::Client("b")).unwrap();
        clock.advance(Duration::from_secs(29));
        assert_eq!(floods.admit(Flood::Client("a")), Err(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        floods.admit(Flood::Client("a")).unwrap();
    }

    #[test]
    fn neighbours_in_a_network_of_ipv6_share_a_bucket() {
        let clock = Arc::new(ManualClock::at(Timestamp::default()));
        let one = FloodLimits { registrations: limits(1, Duration::from_secs(1)), ..FloodLimits::default() };
        let floods = Floods::new(&one, clock);
        floods.admit(Flood::Registration("2001:db8::1".parse().unwrap())).unwrap();
        floods.admit(Flood::Registration("2001:db8::2".parse().unwrap())).unwrap_err();
        floods.admit(Flood::Registration("2001:db8:0:1::1".parse().unwrap())).unwrap();
    }
}
