use data_encoding::BASE64URL_NOPAD;
use i3_core::id::TypedId;
use jsonwebtoken::{EncodingKey, crypto};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::tests::{AUDIENCE, ISSUER, scopes, settings};
use super::*;
use crate::MasterKey;

const NOW: i64 = 1_795_296_422;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).unwrap()
}

fn tokens() -> AccessTokens {
    let settings = settings();
    AccessTokens::new(SigningKeys::new(&MasterKey::from_bytes([7; 32]), &settings), &settings)
}

fn good() -> AccessToken {
    AccessToken {
        family: FamilyId::from_bits(1),
        client: ClientId::from_bits(2),
        user: UserId::from_bits(3),
        machine: false,
        scopes: scopes(&["order:view", "order:create"]),
        issued: at(NOW),
        until: at(NOW + 300),
        number: 4,
    }
}

/// A token with this header and these claims, signed by the server's own key.
fn signed(header: &str, claims: &str) -> String {
    let tokens = tokens();
    let ring = tokens.keys.at(at(NOW)).unwrap();
    let key = ring.active(at(NOW)).unwrap();
    sealed(&header.replace("KID", &key.kid), claims, &key.encoding, Algorithm::EdDSA)
}

fn sealed(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.as_bytes()),
        BASE64URL_NOPAD.encode(claims.as_bytes())
    );
    let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

const HEADER: &str = r#"{"typ":"at+jwt","alg":"EdDSA","kid":"KID"}"#;

fn claims() -> Value {
    let (family, client, user) = (FamilyId::from_bits(1), ClientId::from_bits(2), UserId::from_bits(3));
    json!({
        "iss": ISSUER, "sub": user, "aud": AUDIENCE, "client_id": client,
        "scope": "order:create order:view", "iat": NOW, "exp": NOW + 300, "jti": format!("{family}.4"),
    })
}

fn told(header: &str, claims: &Value) -> Result<AccessToken, AccessTokenError> {
    told_at(header, claims, NOW)
}

fn told_at(header: &str, claims: &Value, now: i64) -> Result<AccessToken, AccessTokenError> {
    tokens().verify(&signed(header, &claims.to_string()), at(now)).map(|token| (*token).clone())
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[test]
fn what_is_signed_is_what_is_read() {
    let tokens = tokens();
    for machine in [false, true] {
        let token = AccessToken { machine, ..good() };
        let text = tokens.sign(&token).unwrap();
        for _ in 0..2 {
            assert_eq!(*tokens.verify(text.expose(), at(NOW)).unwrap(), token);
        }
    }
    assert_eq!(told(HEADER, &claims()), Ok(good()));
}

#[test]
fn a_token_of_another_type_is_refused() {
    for typ in
        [r#""typ":"JWT","#, "", r#""typ":"at","#, r#""typ":"logout+jwt","#, r#""typ":"application/jwt","#]
    {
        let header = format!(r#"{{{typ}"alg":"EdDSA","kid":"KID"}}"#);
        assert_eq!(told(&header, &claims()), Err(AccessTokenError::Type), "{typ}");
    }
    for typ in ["AT+JWT", "application/at+jwt", "application/AT+jwt"] {
        let header = format!(r#"{{"typ":"{typ}","alg":"EdDSA","kid":"KID"}}"#);
        assert_eq!(told(&header, &claims()), Ok(good()), "{typ}");
    }
}

#[test]
fn a_device_s_token_is_no_access_token() {
    // Signed by the server's key even: the type is another, and it has other claims.
    let header = r#"{"typ":"JWT","alg":"EdDSA","kid":"KID"}"#;
    let device = json!({ "aud": AUDIENCE, "sub": "acme.pump-7", "iat": NOW, "exp": NOW + 60 });
    assert_eq!(told(header, &device), Err(AccessTokenError::Type));
    assert_eq!(told(HEADER, &device), Err(AccessTokenError::Malformed));
}

#[test]
fn a_token_that_is_not_signed_is_refused() {
    let tokens = tokens();
    let text = tokens.sign(&good()).unwrap();
    let (message, _) = text.expose().rsplit_once('.').unwrap();
    let (_, body) = message.split_once('.').unwrap();
    let kid = tokens.keys.at(at(NOW)).unwrap().active(at(NOW)).unwrap().kid.to_string();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{kid}"}}"#);
        for signature in ["", "AA"] {
            let forged = format!("{}.{body}.{signature}", BASE64URL_NOPAD.encode(header.as_bytes()));
            let told = tokens.verify(&forged, at(NOW)).unwrap_err();
            assert!(
                matches!(told, AccessTokenError::Algorithm | AccessTokenError::Malformed),
                "{alg} {told:?}"
            );
        }
    }
    for damaged in [message.to_owned(), format!("{message}."), format!("{message}.AA"), String::new()] {
        assert!(tokens.verify(&damaged, at(NOW)).is_err(), "{damaged}");
    }
}

#[test]
fn the_public_key_is_no_hmac_secret() {
    let tokens = tokens();
    let set = serde_json::to_value(tokens.keys.jwks(at(NOW)).unwrap()).unwrap();
    let active = tokens.keys.at(at(NOW)).unwrap().active(at(NOW)).unwrap().kid.to_string();
    let key = set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == active).unwrap();
    let x = key["x"].as_str().unwrap();
    let raw = BASE64URL_NOPAD.decode(x.as_bytes()).unwrap();
    for secret in [x.as_bytes(), &raw, key.to_string().as_bytes(), set.to_string().as_bytes()] {
        for (algorithm, name) in
            [(Algorithm::HS256, "HS256"), (Algorithm::HS384, "HS384"), (Algorithm::HS512, "HS512")]
        {
            let header =
                format!(r#"{{"typ":"at+jwt","alg":"{name}","kid":"{}"}}"#, key["kid"].as_str().unwrap());
            let forged = sealed(&header, &claims().to_string(), &EncodingKey::from_secret(secret), algorithm);
            assert_eq!(tokens.verify(&forged, at(NOW)), Err(AccessTokenError::Algorithm), "{name}");
            let disguised = header.replace(name, "EdDSA");
            let forged =
                sealed(&disguised, &claims().to_string(), &EncodingKey::from_secret(secret), algorithm);
            assert_eq!(tokens.verify(&forged, at(NOW)), Err(AccessTokenError::Signature), "{name}");
        }
    }
}

#[test]
fn only_a_key_of_the_server_s_own_is_looked_at() {
    let pair = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
    let stranger = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
    let kid = tokens().keys.at(at(NOW)).unwrap().active(at(NOW)).unwrap().kid.to_string();
    let x = BASE64URL_NOPAD.encode(aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref());
    for (header, why) in [
        (HEADER.replace("KID", &kid), AccessTokenError::Signature),
        (HEADER.replace("KID", "../../dev/null"), AccessTokenError::Key),
        (HEADER.replace(r#","kid":"KID""#, ""), AccessTokenError::Key),
        (
            HEADER.replace(
                r#""kid":"KID""#,
                &format!(r#""kid":"{kid}","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#),
            ),
            AccessTokenError::Signature,
        ),
        (
            HEADER.replace(r#""kid":"KID""#, r#""kid":"x","jku":"https://attacker.example/jwks.json""#),
            AccessTokenError::Key,
        ),
    ] {
        let forged = sealed(&header, &claims().to_string(), &stranger, Algorithm::EdDSA);
        assert_eq!(tokens().verify(&forged, at(NOW)), Err(why), "{header}");
    }
    let critical = HEADER.replace("KID\"", "KID\",\"crit\":[\"b64\"],\"b64\":false");
    assert_eq!(told(&critical, &claims()), Err(AccessTokenError::Extension));
}

#[test]
fn the_issuer_and_the_audience_are_exactly_the_server_s() {
    for other in ["https://i3.example/", "https://attacker.example", "", "HTTPS://i3.example"] {
        assert_eq!(told(HEADER, &with("iss", json!(other))), Err(AccessTokenError::Issuer), "{other}");
        assert_eq!(told(HEADER, &with("aud", json!(other))), Err(AccessTokenError::Audience), "{other}");
    }
    for odd in [json!([AUDIENCE]), json!([AUDIENCE, "other"]), json!(null), json!(1)] {
        assert_eq!(told(HEADER, &with("aud", odd.clone())), Err(AccessTokenError::Malformed), "{odd}");
    }
}

#[test]
fn the_times_have_to_be_there_and_right() {
    for (iat, exp, result) in [
        (NOW, NOW + 600, None),
        (NOW, NOW + 601, Some(AccessTokenError::Lifetime)),
        (NOW, NOW + 1, None),
        (NOW, NOW, Some(AccessTokenError::Lifetime)),
        (NOW + 1, NOW, Some(AccessTokenError::Lifetime)),
        (NOW - 599, NOW + 1, None),
        (NOW - 600, NOW, Some(AccessTokenError::Expired)),
        (NOW - 9_000, NOW - 8_999, Some(AccessTokenError::Expired)),
        (NOW + 10, NOW + 60, None),
        (NOW + 11, NOW + 60, Some(AccessTokenError::NotYet)),
        (i64::MIN, NOW, Some(AccessTokenError::Malformed)),
        (NOW, i64::MAX, Some(AccessTokenError::Malformed)),
    ] {
        let mut claims = with("iat", json!(iat));
        claims["exp"] = json!(exp);
        assert_eq!(told(HEADER, &claims).err(), result, "{iat} {exp}");
    }
    assert_eq!(told(HEADER, &with("nbf", json!(NOW + 10))), Ok(good()));
    assert_eq!(told(HEADER, &with("nbf", json!(NOW + 11))), Err(AccessTokenError::NotYet));
    for name in ["iat", "exp", "sub", "client_id", "scope", "jti", "iss", "aud"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(told(HEADER, &claims), Err(AccessTokenError::Malformed), "{name}");
        let twice =
            format!("{},\"{name}\":{}}}", claims.to_string().trim_end_matches('}'), self::claims()[name]);
        let twice = format!("{},\"{name}\":{}}}", twice.trim_end_matches('}'), self::claims()[name]);
        assert_eq!(
            tokens().verify(&signed(HEADER, &twice), at(NOW)),
            Err(AccessTokenError::Malformed),
            "{name}"
        );
    }
}

#[test]
fn who_a_token_is_for_cannot_be_read_in_two_ways() {
    let (client, user) = (ClientId::from_bits(2).to_string(), UserId::from_bits(3).to_string());
    for (name, value) in [
        ("sub", json!(client)),
        ("owner", json!(user)),
        ("client_id", json!(user)),
        ("scope", json!("")),
        ("scope", json!("a  b")),
        ("scope", json!(["order:view"])),
        ("jti", json!("fam_x.1")),
        ("jti", json!("1")),
    ] {
        assert_eq!(
            told(HEADER, &with(name, value.clone())),
            Err(AccessTokenError::Malformed),
            "{name} {value}"
        );
    }
}

#[test]
fn a_remembered_token_still_expires_and_a_changed_one_is_not_remembered() {
    let tokens = tokens();
    let text = tokens.sign(&good()).unwrap();
    let now = |seconds| tokens.verify(text.expose(), at(seconds)).map(drop);
    assert_eq!(now(NOW), Ok(()));
    assert_eq!(now(NOW + 299), Ok(()));
    assert_eq!(now(NOW + 300), Err(AccessTokenError::Expired));
    assert_eq!(now(NOW - 11), Err(AccessTokenError::NotYet));
    for place in 0..text.expose().len() {
        let mut bytes = text.expose().as_bytes().to_vec();
        bytes[place] ^= 1;
        let changed = String::from_utf8(bytes).unwrap();
        assert!(tokens.verify(&changed, at(NOW)).is_err(), "{place}");
    }
    assert_eq!(tokens.verified.len(), 1, "only what is good is remembered");
}

#[test]
fn a_token_that_is_too_long_is_refused_unread() {
    assert_eq!(
        tokens().verify(&"x".repeat(MAX_TOKEN_BYTES + 1), at(NOW)).map(drop),
        Err(AccessTokenError::Malformed)
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_verifier_panic_or_accept(text in "\\PC{0,200}") {
        prop_assert!(tokens().verify(&text, at(NOW)).is_err());
    }
}

/// Rough figures: `cargo test -p i3-auth --release oauth2 -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures, asserts nothing about time"]
fn what_a_check_costs() {
    let tokens = tokens();
    let text = tokens.sign(&good()).unwrap();
    for (what, again) in [("signature", false), ("remembered", true)] {
        let start = std::time::Instant::now();
        for _ in 0..2_000 {
            let told = if again {
                tokens.verify(text.expose(), at(NOW)).map(drop)
            } else {
                tokens.verify_anew(text.expose(), at(NOW)).map(drop)
            };
            told.unwrap();
        }
        println!("{what}: {} ns", start.elapsed().as_nanos() / 2_000);
    }
}
