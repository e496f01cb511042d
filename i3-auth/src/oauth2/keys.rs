//! The keys that access tokens are signed with.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use i3_core::time::Timestamp;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::settings::{MAX_ACCESS_LIFETIME, MAX_SKEW, Settings};
use crate::MasterKey;

/// A public key as a set shows it (RFC 7517 and RFC 8037, section 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: String,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
}

impl Jwk {
    /// The key's name: its thumbprint (RFC 7638).
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

/// The public keys that tokens may be signed with now or soon (RFC 7517, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwks {
    /// The keys: the retired one while tokens of it may be good, the one that signs, and the next one.
    pub keys: Vec<Jwk>,
}

/// One key and its time.
pub(super) struct SigningKey {
    pub(super) kid: Arc<str>,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    x: String,
    /// The first second in which it signs, and the first one in which it does not any more.
    signs: (Timestamp, Timestamp),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}

impl SigningKey {
    /// Whether a signature of it may be good.
    pub(super) fn may_have_signed(&self, now: Timestamp) -> bool {
        self.signs.0.minus(MAX_SKEW) <= now && now < self.signs.1.plus(MAX_ACCESS_LIFETIME + MAX_SKEW)
    }
}

/// The keys around one time: the last one, the one that signs, and the next one.
#[derive(Debug)]
pub(super) struct Ring {
    number: i64,
    keys: Vec<SigningKey>,
}

impl Ring {
    /// The key that signs now.
    pub(super) fn active(&self, now: Timestamp) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.signs.0 <= now && now < key.signs.1)
    }

    /// The key of this name, if a signature of it may be good now.
    pub(super) fn verifying(&self, kid: &str, now: Timestamp) -> Option<&SigningKey> {
        self.keys.iter().find(|key| *key.kid == *kid && key.may_have_signed(now))
    }
}

/// Ed25519 keys that are derived from the master key, one for each period of time, so that all processes have the
/// same and nothing secret is stored. They rotate by the clock: before a key signs it is published for a whole
/// period, and after its last signature it is published until no token of it can be good.
///
/// The seed of a key is HMAC-SHA256 under the master key over the label `i3 oauth signing key`, the generation (four
/// bytes) and the number of the period since 1970 (eight bytes), each preceded by its length.
#[derive(Debug)]
pub(super) struct SigningKeys {
    master: MasterKey,
    generation: u32,
    /// Whole seconds.
    period: i64,
    ring: RwLock<Option<Arc<Ring>>>,
}

impl SigningKeys {
    pub(super) fn new(master: &MasterKey, settings: &Settings) -> Self {
        crate::device_token::settle_on_provider();
        let period = i64::try_from(settings.lifetimes().signing_key.as_secs()).unwrap_or(i64::MAX);
        Self {
            master: master.clone(),
            generation: settings.key_generation(),
            period,
            ring: RwLock::default(),
        }
    }

    /// The keys around this time. Derived once in a period. `None` if the cryptography fails.
    pub(super) fn at(&self, now: Timestamp) -> Option<Arc<Ring>> {
        let number = now.seconds().div_euclid(self.period);
        let known = self.ring.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(ring) = known.filter(|ring| ring.number == number) {
            return Some(ring);
        }
        let keys: Option<Vec<_>> = (number - 1..=number + 1).map(|number| self.derive(number)).collect();
        let ring = Arc::new(Ring { number, keys: keys? });
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Some(ring.clone());
        Some(ring)
    }

    fn derive(&self, number: i64) -> Option<SigningKey> {
        let parts: [&[u8]; 2] = [&self.generation.to_be_bytes(), &number.to_be_bytes()];
        let seed = Zeroizing::new(self.master.mac("i3 oauth signing key", &parts));
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).ok()?;
        let document = pair.to_pkcs8v1().ok()?;
        let x = data_encoding::BASE64URL_NOPAD.encode(pair.public_key().as_ref());
        let second = |number: i64| Timestamp::from_micros(number.saturating_mul(1_000_000));
        let starts = number.saturating_mul(self.period);
        let signs = (
            second(starts).unwrap_or(Timestamp::MIN),
            second(starts.saturating_add(self.period)).unwrap_or(Timestamp::MAX),
        );
        Some(SigningKey {
            kid: thumbprint(&x).into(),
            encoding: EncodingKey::from_ed_der(document.as_ref()),
            decoding: DecodingKey::from_ed_der(pair.public_key().as_ref()),
            x,
            signs,
        })
    }

    /// The public keys.
    pub(super) fn jwks(&self, now: Timestamp) -> Option<Jwks> {
        let ring = self.at(now)?;
        let keys = ring.keys.iter().filter(|key| key.signs.0 > now || key.may_have_signed(now));
        let keys = keys.map(|key| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            x: key.x.clone(),
            kid: key.kid.to_string(),
            alg: "EdDSA",
            usage: "sig",
        });
        Some(Jwks { keys: keys.collect() })
    }
}

/// The name of a key: RFC 7638 with the members of RFC 8037, section 2.
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(members.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn keys(generation: u32) -> SigningKeys {
        let scope = ("x".parse().unwrap(), "about");
        let settings =
            Settings::new("https://i3.example", "api", [scope]).unwrap().with_key_generation(generation);
        SigningKeys::new(&MasterKey::from_bytes([7; 32]), &settings)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    /// 30 days.
    const PERIOD: i64 = 2_592_000;
    const START: i64 = 700 * PERIOD;

    fn published(keys: &SigningKeys, seconds: i64) -> Vec<String> {
        keys.jwks(at(seconds)).unwrap().keys.iter().map(|key| key.kid().to_owned()).collect()
    }

    #[test]
    fn a_key_s_name_is_its_thumbprint() {
        // RFC 8037, appendix A.3.
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_until_its_tokens_are_over() {
        let keys = keys(0);
        let signer = |seconds| keys.at(at(seconds)).unwrap().active(at(seconds)).unwrap().kid.to_string();
        let (first, second) = (signer(START), signer(START + PERIOD));
        assert_ne!(first, second);
        assert_eq!(signer(START + PERIOD - 1), first);
        for (seconds, has_first, has_second) in [
            (START - PERIOD, true, false),
            (START, true, true),
            (START + PERIOD, true, true),
            (START + PERIOD + 609, true, true),
            (START + PERIOD + 610, false, true),
            (START + 2 * PERIOD, false, true),
        ] {
            let names = published(&keys, seconds);
            assert_eq!(
                (names.contains(&first), names.contains(&second)),
                (has_first, has_second),
                "{seconds}"
            );
        }
    }

    #[test]
    fn a_key_verifies_only_around_the_time_in_which_it_signs() {
        let keys = keys(0);
        let name = keys.at(at(START)).unwrap().active(at(START)).unwrap().kid.to_string();
        for (seconds, good) in [
            (START - 11, false),
            (START - 10, true),
            (START + PERIOD, true),
            (START + PERIOD + 609, true),
            (START + PERIOD + 610, false),
            (START - 5 * PERIOD, false),
        ] {
            let ring = keys.at(at(seconds)).unwrap();
            assert_eq!(ring.verifying(&name, at(seconds)).is_some(), good, "{seconds}");
        }
    }

    #[test]
    fn all_processes_with_one_master_key_have_the_same_keys_and_another_generation_has_others() {
        assert_eq!(published(&keys(0), START), published(&keys(0), START));
        let (old, new) = (published(&keys(0), START), published(&keys(1), START));
        assert!(old.iter().all(|name| !new.contains(name)));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = keys(0);
        shown.at(at(START));
        let (debug, set) =
            (format!("{shown:?}"), serde_json::to_string(&shown.jwks(at(START)).unwrap()).unwrap());
        assert!(debug.contains("MasterKey(…)") && debug.contains("SigningKey("), "{debug}");
        assert!(!set.contains("\"d\""), "{set}");
        assert!(Duration::from_secs(PERIOD.unsigned_abs()) == Duration::from_hours(24 * 30));
    }
}
