//! Proof keys for code exchange (RFC 7636): only who asked for a code can redeem it.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::Refusal;

/// The challenge of an authorization request. Only `S256` is accepted, and none is refused: `plain` shows the
/// verifier to whoever sees the request (RFC 7636, section 7.2; RFC 9700, section 2.1.1).
pub(super) fn challenge(challenge: Option<&str>, method: Option<&str>) -> Result<String, Refusal> {
    let challenge = challenge.ok_or(Refusal::request("code_challenge is missing: PKCE is required"))?;
    // Without a method it would be `plain` (RFC 7636, section 4.3).
    if method != Some("S256") {
        return Err(Refusal::request("code_challenge_method has to be S256"));
    }
    let digest = data_encoding::BASE64URL_NOPAD.decode(challenge.as_bytes());
    if !digest.is_ok_and(|digest| digest.len() == 32) {
        return Err(Refusal::request("code_challenge is no SHA-256 in base64url without padding"));
    }
    Ok(challenge.to_owned())
}

/// Whether this is what the challenge was made of (RFC 7636, section 4.6): 43 to 128 unreserved characters
/// (section 4.1).
pub(super) fn proves(verifier: &str, challenge: &str) -> bool {
    let unreserved = verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let made = data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()));
    unreserved
        && (43..=128).contains(&verifier.len())
        && bool::from(made.as_bytes().ct_eq(challenge.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_standard_s_example_is_right() {
        assert_eq!(challenge(Some(CHALLENGE), Some("S256")).as_deref(), Ok(CHALLENGE));
        assert!(proves(VERIFIER, CHALLENGE));
    }

    #[test]
    fn no_challenge_no_method_and_plain_are_refused() {
        for (text, method) in [
            (None, None),
            (None, Some("S256")),
            (Some(CHALLENGE), None),
            (Some(CHALLENGE), Some("plain")),
            (Some(CHALLENGE), Some("s256")),
            (Some(VERIFIER), Some("plain")),
            (Some(""), Some("S256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="), Some("S256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c"), Some("S256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"), Some("S256")),
            // The same digest in other letters: the last one has bits that do not count.
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN"), Some("S256")),
        ] {
            assert!(challenge(text, method).is_err(), "{text:?} {method:?}");
        }
    }

    #[test]
    fn another_verifier_or_the_challenge_itself_proves_nothing() {
        for wrong in
            ["", CHALLENGE, VERIFIER.trim_start_matches('d'), &VERIFIER.to_lowercase(), "dBjftJeZ4CVP"]
        {
            assert!(!proves(wrong, CHALLENGE), "{wrong}");
        }
        let digest = |text: &str| data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(text.as_bytes()));
        for (text, right) in [
            ("a".repeat(42), false),
            ("a".repeat(43), true),
            ("~._-".repeat(32), true),
            ("a".repeat(129), false),
            ("a b".repeat(20), false),
        ] {
            assert_eq!(proves(&text, &digest(&text)), right, "{text}");
        }
    }
}
