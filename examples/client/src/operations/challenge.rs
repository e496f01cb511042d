//! What strangers have to do before they may register, where the operator wants it.

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Client, Query};

/// A number to be found: the format of the ALTCHA widget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Challenge {
    /// How it is hashed: `SHA-256`.
    pub algorithm: String,
    /// The hash, in hexadecimal digits.
    pub challenge: String,
    /// The highest number that it can be.
    pub maxnumber: u64,
    /// What stands before the number.
    pub salt: String,
    /// The server's.
    pub signature: String,
}

/// More work than this is not done for any server: some seconds.
const MOST: u64 = 20_000_000;

#[derive(Serialize)]
struct Solution<'a> {
    algorithm: &'a str,
    challenge: &'a str,
    number: u64,
    salt: &'a str,
    signature: &'a str,
}

impl Challenge {
    /// The answer, for [`UserRegistration::challenge`](crate::UserRegistration::challenge). Takes a hash for each number
    /// up to the one that is looked for: off the threads that others wait for, if `maxnumber` is large. `None` if there is
    /// no such number, if it is hashed in a way that is not known here, or if more than 20 million hashes are asked for.
    pub fn solve(&self) -> Option<String> {
        if !self.algorithm.eq_ignore_ascii_case("SHA-256") || self.maxnumber > MOST {
            return None;
        }
        let wanted = HEXLOWER.decode(self.challenge.as_bytes()).ok()?;
        let begun = Sha256::new_with_prefix(&self.salt);
        let number = (0..=self.maxnumber)
            .find(|number| begun.clone().chain_update(number.to_string()).finalize().as_slice() == wanted)?;
        let Self { algorithm, challenge, salt, signature, .. } = self;
        let solution = Solution { algorithm, challenge, number, salt, signature };
        serde_json::to_vec(&solution).ok().map(|json| BASE64.encode(&json))
    }
}

impl Client {
    /// What has to be done to register; `not_found` if nothing.
    pub fn ask_challenge(&self) -> Query<Challenge> {
        self.get("/challenge")
    }
}
