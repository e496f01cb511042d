use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use i3_core::device::KeyAlgorithm;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_795_296_422;
const HOUR: i64 = 3_600;

/// A key pair in the form in which devices and the marketplace have it.
struct Pair {
    private: String,
    public: String,
}

impl Pair {
    fn of(private: &[u8], public: &[u8]) -> Self {
        let text = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der));
        Self { private: text("PRIVATE KEY", private), public: text("PUBLIC KEY", public) }
    }

    fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        Self::of(private.as_ref(), public.as_ref())
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        let private = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref()).unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        Self::of(private.as_ref(), public.as_ref())
    }

    fn ed25519() -> Self {
        let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private.as_ref()).unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        Self::of(private.as_ref(), public.as_ref())
    }

    fn registered(&self) -> DevicePublicKey {
        DevicePublicKey::from_pem(None, &self.public).unwrap()
    }

    /// Signs any header and payload with any algorithm that the key can be used with.
    fn sign(&self, algorithm: Algorithm, header: &str, payload: &str) -> String {
        let pem = self.private.as_bytes();
        let key = EncodingKey::from_ed_pem(pem)
            .or_else(|_| EncodingKey::from_ec_pem(pem))
            .or_else(|_| EncodingKey::from_rsa_pem(pem))
            .unwrap();
        let message = message(header, payload);
        let signature = crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

static RSA: LazyLock<Pair> = LazyLock::new(Pair::rsa);
static P256: LazyLock<Pair> = LazyLock::new(|| Pair::ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING));
static ED: LazyLock<Pair> = LazyLock::new(Pair::ed25519);

fn message(header: &str, payload: &str) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(payload.as_bytes()))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).unwrap()
}

const EXPECT: Expect<'static> =
    Expect { audience: "i3.example", subject: "pump-7", skew: Duration::from_mins(10) };

fn check_with(keys: &[&Pair], token: &str) -> Result<Verified, TokenError> {
    let keys: Vec<_> = keys.iter().map(|pair| pair.registered()).collect();
    verify(token, &keys, &EXPECT, at(NOW))
}

/// A token of the Ed25519 key with this payload.
fn payload(payload: &str) -> Result<Verified, TokenError> {
    check_with(&[&ED], &ED.sign(Algorithm::EdDSA, r#"{"alg":"EdDSA"}"#, payload))
}

/// A token of the Ed25519 key with this header and good claims.
fn header(header: &str) -> Result<Verified, TokenError> {
    check_with(&[&ED], &ED.sign(Algorithm::EdDSA, header, &good()))
}

fn claims(iat: i64, exp: i64) -> String {
    format!(r#"{{"aud":"i3.example","sub":"pump-7","iat":{iat},"exp":{exp}}}"#)
}

fn good() -> String {
    claims(NOW, NOW + HOUR)
}

static GOOD: LazyLock<Result<Verified, TokenError>> =
    LazyLock::new(|| Ok(Verified { key: 0, until: at(NOW + HOUR + 600) }));

#[test]
fn a_token_that_a_device_issues_is_accepted_until_it_expires() {
    for (pair, algorithm) in
        [(&*RSA, KeyAlgorithm::Rs256), (&*P256, KeyAlgorithm::Es256), (&*ED, KeyAlgorithm::EdDsa)]
    {
        let key = DevicePrivateKey::from_pem(&pair.private).unwrap();
        assert_eq!((key.algorithm(), pair.registered().algorithm()), (algorithm, algorithm));
        let lifetime = Duration::from_hours(1);
        let claims = Claims { audience: "i3.example", subject: "pump-7", issued: at(NOW), lifetime };
        let token = issue(&claims, &key).unwrap();
        assert!(looks_like_token(token.expose().as_bytes()));
        assert_eq!(check_with(&[pair], token.expose()), *GOOD, "{algorithm:?}");
        let keys = [pair.registered()];
        let end = NOW + HOUR + 600;
        assert!(verify(token.expose(), &keys, &EXPECT, at(end - 1)).is_ok());
        assert_eq!(verify(token.expose(), &keys, &EXPECT, at(end)), Err(TokenError::Expired));
    }
}

#[test]
fn a_token_without_signature_is_refused() {
    let unsigned = message(r#"{"alg":"none"}"#, &good());
    for (token, why) in [
        (format!("{unsigned}."), TokenError::Algorithm),
        (format!("{unsigned}.AAAA"), TokenError::Algorithm),
        (format!("{}.", message(r#"{"alg":"EdDSA"}"#, &good())), TokenError::Signature),
        (unsigned, TokenError::Malformed),
    ] {
        assert_eq!(check_with(&[&ED], &token), Err(why), "{token}");
    }
    for spelling in ["None", "NONE", "nOnE", ""] {
        assert_eq!(header(&format!(r#"{{"alg":"{spelling}"}}"#)), Err(TokenError::Algorithm));
    }
}

#[test]
fn a_token_signed_with_the_public_key_as_hmac_secret_is_refused() {
    for pair in [&*RSA, &*P256, &*ED] {
        let der = pem::parse(&pair.public).unwrap().into_contents();
        for secret in [pair.public.as_bytes(), pair.public.trim().as_bytes(), &der] {
            for (algorithm, name) in
                [(Algorithm::HS256, "HS256"), (Algorithm::HS384, "HS384"), (Algorithm::HS512, "HS512")]
            {
                let message = message(&format!(r#"{{"alg":"{name}"}}"#), &good());
                let key = EncodingKey::from_secret(secret);
                let signature = crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
                let told = check_with(&[pair], &format!("{message}.{signature}"));
                assert_eq!(told, Err(TokenError::Algorithm), "{name}");
            }
        }
    }
}

#[test]
fn the_header_does_not_choose_the_algorithm() {
    for (algorithm, name) in
        [(Algorithm::RS384, "RS384"), (Algorithm::RS512, "RS512"), (Algorithm::PS256, "PS256")]
    {
        // The registered RSA key made this signature, but the key is registered for RS256.
        let honest = RSA.sign(algorithm, &format!(r#"{{"alg":"{name}"}}"#), &good());
        assert_eq!(check_with(&[&RSA], &honest), Err(TokenError::Algorithm), "{name}");
        let disguised = RSA.sign(algorithm, r#"{"alg":"RS256"}"#, &good());
        assert_eq!(check_with(&[&RSA], &disguised), Err(TokenError::Signature), "{name}");
    }
    let other_family = ED.sign(Algorithm::EdDSA, r#"{"alg":"ES256"}"#, &good());
    assert_eq!(check_with(&[&ED], &other_family), Err(TokenError::Algorithm));
    assert_eq!(check_with(&[&P256], &other_family), Err(TokenError::Signature));
    assert_eq!(header(r#"{"typ":"JWT"}"#), Err(TokenError::Algorithm));
}

#[test]
fn another_devices_key_and_a_removed_key_are_refused() {
    let token = ED.sign(Algorithm::EdDSA, r#"{"alg":"EdDSA"}"#, &good());
    assert_eq!(check_with(&[&Pair::ed25519()], &token), Err(TokenError::Signature));
    assert_eq!(check_with(&[], &token), Err(TokenError::Algorithm));
    assert_eq!(check_with(&[&RSA, &P256], &token), Err(TokenError::Algorithm));
}

#[test]
fn any_of_the_overlapping_keys_is_good_but_only_so_many_are_tried() {
    let token = ED.sign(Algorithm::EdDSA, r#"{"alg":"EdDSA"}"#, &good());
    let other = Pair::ed25519();
    assert_eq!(check_with(&[&other, &RSA, &ED], &token).map(|good| good.key), Ok(2));
    let mut keys = vec![&other; MAX_KEYS - 1];
    keys.push(&ED);
    assert_eq!(check_with(&keys, &token).map(|good| good.key), Ok(MAX_KEYS - 1));
    keys.insert(0, &other);
    assert_eq!(check_with(&keys, &token), Err(TokenError::Signature));
}

#[test]
fn another_subject_or_none_is_refused() {
    let with =
        |sub: &str| payload(&format!(r#"{{"aud":"i3.example",{sub}"iat":{NOW},"exp":{}}}"#, NOW + HOUR));
    assert_eq!(with(r#""sub":"pump-7","#), *GOOD);
    for other in ["pump-8", "Pump-7", "pump-7 ", ""] {
        assert_eq!(with(&format!(r#""sub":"{other}","#)), Err(TokenError::Subject), "{other}");
    }
    assert_eq!(with(""), Err(TokenError::Missing("sub")));
    assert_eq!(with(r#""sub":["pump-7"],"#), Err(TokenError::Malformed));
}

#[test]
fn the_audience_is_exactly_one_string() {
    let with = |aud: &str| payload(&format!(r#"{{{aud}"sub":"pump-7","iat":{NOW},"exp":{}}}"#, NOW + HOUR));
    assert_eq!(with(r#""aud":"i3.example","#), *GOOD);
    for other in ["i3.example.org", "i3.exampl", "I3.example", "https://i3.example", ""] {
        assert_eq!(with(&format!(r#""aud":"{other}","#)), Err(TokenError::Audience), "{other}");
    }
    assert_eq!(with(r#""aud":["i3.example"],"#), Err(TokenError::Malformed));
    assert_eq!(with(r#""aud":["i3.example","other"],"#), Err(TokenError::Malformed));
    assert_eq!(with(""), Err(TokenError::Missing("aud")));
    assert_eq!(with(r#""aud":null,"#), Err(TokenError::Missing("aud")));
}

#[test]
fn the_times_have_to_be_there_and_right() {
    let skew = 600;
    for (iat, exp, told) in [
        (NOW, NOW + HOUR, None),
        (NOW - HOUR, NOW - skew + 1, None),
        (NOW - HOUR, NOW - skew, Some(TokenError::Expired)),
        (NOW, NOW + 24 * HOUR + skew, None),
        (NOW, NOW + 24 * HOUR + skew + 1, Some(TokenError::Lifetime)),
        (NOW, NOW + 365 * 24 * HOUR, Some(TokenError::Lifetime)),
        (NOW - 1_000 * HOUR, NOW + HOUR, Some(TokenError::Lifetime)),
        (NOW + skew, NOW + HOUR, None),
        (NOW + skew + 1, NOW + HOUR, Some(TokenError::NotYet)),
        (NOW, NOW, Some(TokenError::Lifetime)),
        (NOW, NOW - 1, Some(TokenError::Lifetime)),
        (i64::MIN, NOW + HOUR, Some(TokenError::Malformed)),
        (NOW, i64::MAX, Some(TokenError::Malformed)),
    ] {
        assert_eq!(payload(&claims(iat, exp)).err(), told, "{iat} {exp}");
    }
    let names = r#""aud":"i3.example","sub":"pump-7""#;
    assert_eq!(payload(&format!(r#"{{{names},"iat":{NOW}}}"#)), Err(TokenError::Missing("exp")));
    assert_eq!(payload(&format!(r#"{{{names},"exp":{NOW}}}"#)), Err(TokenError::Missing("iat")));
    for unclean in ["1795296422.5", "\"1795296422\"", "1e400", "99999999999999999999", "true", "[1]", "{}"] {
        let told = payload(&format!(r#"{{{names},"iat":{unclean},"exp":{}}}"#, NOW + HOUR));
        assert_eq!(told, Err(TokenError::Malformed), "{unclean}");
    }
}

#[test]
fn a_token_that_is_not_valid_yet_is_refused() {
    let with = |nbf: i64| {
        let exp = NOW + HOUR;
        payload(&format!(r#"{{"aud":"i3.example","sub":"pump-7","iat":{NOW},"exp":{exp},"nbf":{nbf}}}"#))
    };
    assert_eq!(with(NOW + 600), *GOOD);
    assert_eq!(with(NOW + 601), Err(TokenError::NotYet));
}

#[test]
fn a_smaller_skew_is_kept_to_and_a_larger_one_is_not() {
    let token = ED.sign(Algorithm::EdDSA, r#"{"alg":"EdDSA"}"#, &claims(NOW, NOW + HOUR));
    let keys = [ED.registered()];
    let told = |skew, now| verify(&token, &keys, &Expect { skew, ..EXPECT }, at(now)).err();
    assert_eq!(told(Duration::ZERO, NOW), None);
    assert_eq!(told(Duration::ZERO, NOW - 1), Some(TokenError::NotYet));
    assert_eq!(told(Duration::ZERO, NOW + HOUR - 1), None);
    assert_eq!(told(Duration::ZERO, NOW + HOUR), Some(TokenError::Expired));
    assert_eq!(told(Duration::MAX, NOW - 601), Some(TokenError::NotYet));
    assert_eq!(told(Duration::MAX, NOW + HOUR + 600), Some(TokenError::Expired));
}

#[test]
fn a_claim_or_algorithm_that_is_there_twice_is_refused() {
    let good = good();
    let body = good.trim_end_matches('}');
    for twice in [
        r#""sub":"pump-7""#.to_owned(),
        r#""aud":"i3.example""#.to_owned(),
        format!(r#""exp":{}"#, NOW + HOUR),
        format!(r#""iat":{NOW}"#),
    ] {
        assert_eq!(payload(&format!("{body},{twice}}}")), Err(TokenError::Malformed), "{twice}");
    }
    assert_eq!(header(r#"{"alg":"EdDSA","alg":"EdDSA"}"#), Err(TokenError::Algorithm));
    assert_eq!(header(r#"{"alg":"none","alg":"EdDSA"}"#), Err(TokenError::Algorithm));
}

#[test]
fn keys_that_the_header_brings_or_points_to_are_not_looked_at() {
    let stranger = Pair::ed25519();
    let der = pem::parse(&stranger.public).unwrap().into_contents();
    let x = BASE64URL_NOPAD.encode(&der[der.len() - 32..]);
    for extra in [
        r#""kid":"../../../../dev/null""#.to_owned(),
        r#""kid":"' OR 1=1 --""#.to_owned(),
        r#""jku":"https://attacker.example/keys.json""#.to_owned(),
        r#""x5u":"https://attacker.example/cert.pem""#.to_owned(),
        format!(r#""x5c":["{}"]"#, data_encoding::BASE64.encode(&der)),
        format!(r#""jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#),
    ] {
        let text = format!(r#"{{"alg":"EdDSA",{extra}}}"#);
        let forged = stranger.sign(Algorithm::EdDSA, &text, &good());
        assert_eq!(check_with(&[&ED], &forged), Err(TokenError::Signature), "{extra}");
        assert_eq!(header(&text), *GOOD, "{extra}");
    }
}

#[test]
fn a_critical_extension_is_refused() {
    assert_eq!(header(r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#), Err(TokenError::Extension));
    assert_eq!(header(r#"{"alg":"EdDSA","crit":[]}"#), Err(TokenError::Extension));
}

#[test]
fn a_huge_token_is_refused_unread() {
    let fill = "x".repeat(MAX_TOKEN_BYTES);
    assert_eq!(header(&format!(r#"{{"alg":"EdDSA","kid":"{fill}"}}"#)), Err(TokenError::TooLong));
    assert_eq!(check_with(&[&ED], &fill), Err(TokenError::Malformed));
    assert_eq!(check_with(&[&ED], &format!("{fill}x")), Err(TokenError::TooLong));
    let deep = format!(r#"{{"alg":"EdDSA","kid":{}}}"#, "[".repeat(1_000));
    assert!(header(&deep).is_err());
}

#[test]
fn a_token_that_was_tampered_with_anywhere_is_refused() {
    for (pair, algorithm, name) in [
        (&*RSA, Algorithm::RS256, "RS256"),
        (&*P256, Algorithm::ES256, "ES256"),
        (&*ED, Algorithm::EdDSA, "EdDSA"),
    ] {
        let token = pair.sign(algorithm, &format!(r#"{{"alg":"{name}"}}"#), &good());
        let keys = [pair.registered()];
        let accepted = |text: &str| verify(text, &keys, &EXPECT, at(NOW)).is_ok();
        assert!(accepted(&token));
        for place in 0..token.len() {
            for flip in [1, 2, 16] {
                let mut bytes = token.clone().into_bytes();
                bytes[place] ^= flip;
                let text = String::from_utf8(bytes).unwrap();
                assert!(!accepted(&text), "{name} {place}");
            }
        }
        assert!(!accepted(&format!("{token}.")));
        assert!(!accepted(&format!(" {token}")));
        assert!(!accepted(&format!("{token}=")));
        let (_, rest) = token.split_once('.').unwrap();
        let (claims, signature) = rest.split_once('.').unwrap();
        let same = message(&format!(r#"{{"alg":"{name}" }}"#), "");
        assert!(!accepted(&format!("{same}{claims}.{signature}")), "the header is signed too");
    }
}

#[test]
fn only_what_looks_like_a_token_is_taken_as_one() {
    for token in ["eyJhbGciOiJub25lIn0.e30.AA", "eyJ.a.b", "eyJ_-.a.b"] {
        assert!(looks_like_token(token.as_bytes()), "{token}");
    }
    for password in ["", "a.b.c", "eyJ", "eyJ.a", "eyJ.a.", "eyJ..b", "eyJ.a.b.c", "eyJ.a b.c", "eyJ.a.ü"] {
        assert!(!looks_like_token(password.as_bytes()), "{password}");
    }
}

#[test]
fn a_key_is_for_one_algorithm_and_says_so() {
    for (pair, algorithm) in
        [(&*RSA, KeyAlgorithm::Rs256), (&*P256, KeyAlgorithm::Es256), (&*ED, KeyAlgorithm::EdDsa)]
    {
        for said in [KeyAlgorithm::Rs256, KeyAlgorithm::Es256, KeyAlgorithm::EdDsa] {
            let told = DevicePublicKey::from_pem(Some(said), &pair.public).map(|key| key.algorithm());
            let other = Err(KeyError::OtherAlgorithm { said, found: algorithm });
            assert_eq!(told, if said == algorithm { Ok(algorithm) } else { other });
        }
    }
}

/// 1024 bits, made with `openssl genrsa 1024 | openssl rsa -pubout`.
const SMALL_RSA: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDdT6dRWEEF06XtWNlJ1VYzNjtX
jTwn3rYNvadNA9znMJUzp5XuUQOHmsfKENF2XSTl1odY69hk6V0WtaWkv3GQeg6/
JknHurOODa79GO8MgRJMgFbXSQEHRWLMUyGyAkmc+7Ey17kkO5FBD8cMFO9nRkEF
6qZNrxsts4r9w6fEIQIDAQAB
-----END PUBLIC KEY-----
";

#[test]
fn a_key_that_no_device_can_have_is_refused_with_the_reason() {
    let p384 = Pair::ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING).public;
    let broken = {
        // A point that is not on the curve.
        let mut der = pem::parse(&P256.public).unwrap().into_contents();
        *der.last_mut().unwrap() ^= 1;
        pem::encode(&pem::Pem::new("PUBLIC KEY", der))
    };
    let retagged = |tag: &str| ED.public.replace("PUBLIC KEY", tag);
    for (text, why) in [
        (String::new(), KeyError::NotPem),
        ("ssh-ed25519 AAAA".to_owned(), KeyError::NotPem),
        (format!("{}{}", ED.public, RSA.public), KeyError::NotPem),
        (format!("{}{}", ED.public, " ".repeat(MAX_PEM_BYTES)), KeyError::NotPem),
        (ED.private.clone(), KeyError::Private),
        (RSA.private.clone(), KeyError::Private),
        (retagged("EC PRIVATE KEY"), KeyError::Private),
        (retagged("CERTIFICATE"), KeyError::NotPublicKey),
        (retagged("RSA PUBLIC KEY"), KeyError::NotPublicKey),
        (SMALL_RSA.to_owned(), KeyError::RsaSize),
        (p384, KeyError::Unsupported),
        (broken, KeyError::Unsupported),
        (pem::encode(&pem::Pem::new("PUBLIC KEY", [1, 2, 3])), KeyError::Unsupported),
    ] {
        assert_eq!(DevicePublicKey::from_pem(None, &text).err(), Some(why), "{text}");
    }
}

#[test]
fn a_private_key_that_does_not_sign_gives_no_token() {
    for text in ["", "no key", ED.public.as_str()] {
        assert_eq!(DevicePrivateKey::from_pem(text).err(), Some(IssueError::Key), "{text}");
    }
    let p384 = Pair::ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING).private;
    let key = DevicePrivateKey::from_pem(&p384).unwrap();
    let claims = Claims { audience: "a", subject: "s", issued: at(NOW), lifetime: Duration::from_mins(1) };
    assert_eq!(issue(&claims, &key).err(), Some(IssueError::Signing));
    assert_eq!(format!("{key:?} {:?}", ED.registered()), "DevicePrivateKey(ES256) DevicePublicKey(EdDSA)");
}

proptest! {
    #[test]
    fn no_text_makes_the_verifier_or_the_key_reader_panic_or_accept(text in "\\PC{0,200}") {
        prop_assert!(check_with(&[&ED], &text).is_err());
        prop_assert!(DevicePublicKey::from_pem(None, &text).is_err());
        prop_assert!(DevicePrivateKey::from_pem(&text).is_err());
    }

    #[test]
    fn a_signed_token_is_accepted_exactly_if_all_rules_hold(
        subject in prop_oneof![Just("pump-7"), Just("pump-8")],
        audience in prop_oneof![Just("i3.example"), Just("other")],
        iat in -100_i64..100, lifetime in -10_i64..200, key_is_registered: bool, skew in 0_i64..20,
    ) {
        let pair = &*ED;
        let other = &*P256;
        let hours = |count: i64| count * HOUR / 4;
        let (issued, expires) = (NOW + hours(iat), NOW + hours(iat) + hours(lifetime));
        let body = format!(r#"{{"aud":"{audience}","sub":"{subject}","iat":{issued},"exp":{expires}}}"#);
        let token = pair.sign(Algorithm::EdDSA, r#"{"alg":"EdDSA"}"#, &body);
        let keys = [if key_is_registered { pair.registered() } else { other.registered() }];
        let skew = skew * 60;
        let expect = Expect { skew: Duration::from_secs(skew.unsigned_abs()), ..EXPECT };
        let slack = skew.min(600);
        let holds = key_is_registered
            && subject == "pump-7"
            && audience == "i3.example"
            && issued <= NOW + slack
            && NOW < expires + slack
            && expires > issued
            && expires - issued <= 24 * HOUR + slack;
        prop_assert_eq!(verify(&token, &keys, &expect, at(NOW)).is_ok(), holds);
    }
}
