//! What a stranger has to do before the marketplace does something for strangers: a captcha of one's own, without a
//! service elsewhere.
//!
//! [`Challenge`] is the port; [`ProofOfWork`] is a challenge that costs the stranger's machine a moment of work and
//! nobody's attention. It speaks the format of the ALTCHA widget (version 1: `algorithm`, `challenge`, `maxnumber`,
//! `salt`, `signature`; the answer is base 64 of JSON with the `number` that was found), so that a page needs no
//! program of ours.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use i3_core::id::NoEntropy;
use i3_core::time::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::MasterKey;

/// An answer that does not do: it is forged, over, wrong, or was given before for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer to the challenge is not accepted: ask for another challenge")]
pub struct NotAccepted;

/// Asks strangers something and checks their answers.
pub trait Challenge: fmt::Debug + Send + Sync + 'static {
    /// Something to do, as JSON for who has to do it.
    fn ask(&self) -> Result<serde_json::Value, NoEntropy>;

    /// Whether this is the answer to something that was asked, still in time and for the first time. `request` names
    /// the request that it is for: sent again, the same request may bring the same answer.
    fn check(&self, answer: &str, request: Option<&str>) -> Result<(), NotAccepted>;
}

/// How much work is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkSettings {
    /// Hashes that finding the answer takes at most; half as many on the average.
    pub max_number: u32,
    /// How long an answer is good.
    pub lifetime: Duration,
    /// Answers that are remembered so that none is good twice. Memory is bounded by this, at about 200 bytes each; when
    /// more come within a lifetime, none is accepted until some are over.
    pub answers: usize,
}

impl Default for WorkSettings {
    /// 100,000 hashes (a fraction of a second for a browser), ten minutes, 100,000 answers.
    fn default() -> Self {
        Self { max_number: 100_000, lifetime: Duration::from_mins(10), answers: 100_000 }
    }
}

/// Asks for the number whose hash, after a given salt, is a given one: SHA-256 has to be tried for all numbers.
///
/// What was asked is signed with the master key and not stored. What was answered is remembered in memory, for one
/// process: with several, an answer may be given once to each.
pub struct ProofOfWork {
    settings: WorkSettings,
    master: MasterKey,
    clock: Arc<dyn Clock>,
    answered: Mutex<Answered>,
}

#[derive(Default)]
struct Answered {
    /// For which request, if it said.
    by: HashMap<[u8; 32], Option<String>>,
    ends: BTreeSet<(Timestamp, [u8; 32])>,
}

impl fmt::Debug for ProofOfWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofOfWork").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Asked {
    algorithm: &'static str,
    challenge: String,
    maxnumber: u32,
    salt: String,
    signature: String,
}

#[derive(Deserialize)]
struct Solution {
    algorithm: String,
    challenge: String,
    number: u64,
    salt: String,
    signature: String,
}

/// Longer answers are not read.
const MAX_ANSWER: usize = 2_048;

fn hash(salt: &str, number: u64) -> [u8; 32] {
    Sha256::digest(format!("{salt}{number}")).into()
}

impl ProofOfWork {
    /// Challenges of this key.
    pub fn new(settings: WorkSettings, master: &MasterKey, clock: Arc<dyn Clock>) -> Self {
        Self { settings, master: master.clone(), clock, answered: Mutex::default() }
    }

    fn signature(&self, challenge: &str, salt: &str) -> String {
        HEXLOWER.encode(&self.master.mac("i3 challenge", &[challenge.as_bytes(), salt.as_bytes()]))
    }

    /// Remembers an answer until it would be over.
    fn first(&self, answer: [u8; 32], until: Timestamp, request: Option<&str>, now: Timestamp) -> bool {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((end, over)) = answered.ends.first().copied()
            && end <= now
        {
            answered.ends.pop_first();
            answered.by.remove(&over);
        }
        match answered.by.get(&answer) {
            Some(by) => request.is_some() && by.as_deref() == request,
            None if answered.by.len() >= self.settings.answers => false,
            None => {
                answered.by.insert(answer, request.map(ToOwned::to_owned));
                answered.ends.insert((until, answer));
                true
            }
        }
    }
}

impl Challenge for ProofOfWork {
    fn ask(&self) -> Result<serde_json::Value, NoEntropy> {
        let mut random = [0_u8; 20];
        getrandom::fill(&mut random).map_err(|_| NoEntropy)?;
        let (salt, number) = random.split_at(12);
        let until = self.clock.now().plus(self.settings.lifetime).seconds();
        // The salt ends with a mark, so that no digit of it can be taken for one of the number.
        let salt = format!("{}?expires={until}&", HEXLOWER.encode(salt));
        let number = number.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        let number = number % (u64::from(self.settings.max_number) + 1);
        let challenge = HEXLOWER.encode(&hash(&salt, number));
        let asked = Asked {
            algorithm: "SHA-256",
            signature: self.signature(&challenge, &salt),
            maxnumber: self.settings.max_number,
            challenge,
            salt,
        };
        Ok(serde_json::to_value(asked).unwrap_or_default())
    }

    fn check(&self, answer: &str, request: Option<&str>) -> Result<(), NotAccepted> {
        if answer.len() > MAX_ANSWER {
            return Err(NotAccepted);
        }
        let json = BASE64.decode(answer.as_bytes()).map_err(|_| NotAccepted)?;
        let solution: Solution = serde_json::from_slice(&json).map_err(|_| NotAccepted)?;
        let signature = self.signature(&solution.challenge, &solution.salt);
        if !bool::from(signature.as_bytes().ct_eq(solution.signature.as_bytes())) {
            return Err(NotAccepted);
        }
        // Signed: from here on the salt is one of ours.
        let expires = solution.salt.split_once("?expires=").and_then(|(_, rest)| rest.strip_suffix('&'));
        let expires: i64 = expires.and_then(|expires| expires.parse().ok()).ok_or(NotAccepted)?;
        let until = Timestamp::from_micros(expires.saturating_mul(1_000_000)).map_err(|_| NotAccepted)?;
        let (now, found) = (self.clock.now(), hash(&solution.salt, solution.number));
        let right = solution.algorithm == "SHA-256" && HEXLOWER.encode(&found) == solution.challenge;
        if right && now < until && self.first(found, until, request, now) { Ok(()) } else { Err(NotAccepted) }
    }
}

#[cfg(test)]
mod tests {
    use i3_core::time::ManualClock;
    use serde_json::{Value, json};

    use super::*;

    const SETTINGS: WorkSettings =
        WorkSettings { max_number: 2_000, lifetime: Duration::from_mins(10), answers: 3 };

    fn challenges(key: u8) -> (ProofOfWork, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_800_000_000_000_000).unwrap()));
        (ProofOfWork::new(SETTINGS, &MasterKey::from_bytes([key; 32]), clock.clone()), clock)
    }

    /// What the widget does.
    fn solved(asked: &Value) -> Value {
        let (salt, challenge) = (asked["salt"].as_str().unwrap(), asked["challenge"].as_str().unwrap());
        let most = asked["maxnumber"].as_u64().unwrap();
        let number = (0..=most).find(|number| HEXLOWER.encode(&hash(salt, *number)) == challenge).unwrap();
        let mut solution = asked.clone();
        solution["number"] = json!(number);
        solution
    }

    fn text(solution: &Value) -> String {
        BASE64.encode(solution.to_string().as_bytes())
    }

    #[test]
    fn an_answer_is_good_once() {
        let (challenges, _) = challenges(1);
        let answer = text(&solved(&challenges.ask().unwrap()));
        assert_eq!(challenges.check(&answer, None), Ok(()));
        assert_eq!(challenges.check(&answer, None), Err(NotAccepted));
        assert_eq!(challenges.check(&answer, Some("other")), Err(NotAccepted));
    }

    #[test]
    fn the_same_request_may_bring_its_answer_again() {
        let (challenges, _) = challenges(1);
        let answer = text(&solved(&challenges.ask().unwrap()));
        assert_eq!(challenges.check(&answer, Some("key-1")), Ok(()));
        assert_eq!(challenges.check(&answer, Some("key-1")), Ok(()));
        assert_eq!(challenges.check(&answer, Some("key-2")), Err(NotAccepted));
    }

    #[test]
    fn an_answer_that_is_wrong_forged_or_late_is_not_accepted() {
        let (challenges, clock) = challenges(1);
        let good = solved(&challenges.ask().unwrap());
        let with = |name: &str, value: Value| {
            let mut other = good.clone();
            other[name] = value;
            text(&other)
        };
        let late = format!("{}0&", good["salt"].as_str().unwrap().trim_end_matches('&'));
        for bad in [
            String::new(),
            "not base 64!".to_owned(),
            BASE64.encode(b"{}"),
            "A".repeat(10_000),
            with("number", json!(good["number"].as_u64().unwrap() + 1)),
            with("number", json!(-1)),
            with("salt", json!(late)),
            with("signature", json!("00")),
            with("challenge", json!(HEXLOWER.encode(&hash("x", 1)))),
            with("algorithm", json!("SHA-1")),
            text(&solved(&self::challenges(2).0.ask().unwrap())),
        ] {
            assert_eq!(challenges.check(&bad, None), Err(NotAccepted), "{bad}");
        }
        clock.advance(SETTINGS.lifetime);
        assert_eq!(challenges.check(&text(&good), None), Err(NotAccepted));
    }

    #[test]
    fn memory_is_bounded_and_is_there_again_when_answers_are_over() {
        let (challenges, clock) = challenges(1);
        let answer = || text(&solved(&challenges.ask().unwrap()));
        for _ in 0..3 {
            assert_eq!(challenges.check(&answer(), None), Ok(()));
        }
        assert_eq!(challenges.check(&answer(), None), Err(NotAccepted));
        clock.advance(SETTINGS.lifetime);
        assert_eq!(challenges.check(&answer(), None), Ok(()));
        assert_eq!(challenges.answered.lock().unwrap().by.len(), 1);
    }
}
