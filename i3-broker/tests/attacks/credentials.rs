//! Attacks 9 and 10 on the real authenticator: passwords and device tokens.

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;

use crate::client::{Client, Fate};
use crate::packets::*;
use crate::shop::{AUDIENCE, DEVICE, Key, Shop, signed_part};

const HOUR: i64 = 3_600;

fn claims(subject: &str, iat: i64, exp: i64) -> String {
    format!(r#"{{"aud":"{AUDIENCE}","sub":"{subject}","iat":{iat},"exp":{exp}}}"#)
}

const EDDSA: &str = r#"{"alg":"EdDSA"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_10_a_token_that_was_not_signed_for_this_device_and_time_is_refused() {
    let shop = Shop::open().await;
    let gate = shop.gate().await;
    let (key, other) = (Key::new(), Key::new());
    shop.add_key(&key).await;
    shop.add_device("other", &other).await;
    let now = Shop::seconds();
    let good = claims(DEVICE, now, now + HOUR);
    let by_secret = |header: &str, secret: &[u8]| {
        let signed = signed_part(header, &good);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
    };
    let unsigned = |header: &str| format!("{}.", signed_part(header, &good));
    let pem = key.pem();
    let mut forged = vec![
        ("alg none", unsigned(r#"{"alg":"none"}"#)),
        ("alg None with a signature", key.sign(r#"{"alg":"None"}"#, &good)),
        ("no signature", unsigned(EDDSA)),
        ("an HMAC with the public key as secret", by_secret(r#"{"alg":"HS256"}"#, pem.as_bytes())),
        ("an HMAC with the raw key as secret", by_secret(r#"{"alg":"HS256"}"#, key.raw())),
        ("an HMAC that says EdDSA", by_secret(EDDSA, pem.as_bytes())),
        ("another device's key", other.sign(EDDSA, &good)),
        ("another device's key and name", other.sign(EDDSA, &claims("acme.other", now, now + HOUR))),
        ("a key that nobody registered", Key::new().sign(EDDSA, &good)),
        ("another device's name", key.sign(EDDSA, &claims("acme.other", now, now + HOUR))),
        ("no name", key.sign(EDDSA, &format!(r#"{{"aud":"{AUDIENCE}","iat":{now},"exp":{}}}"#, now + HOUR))),
        ("expired", key.sign(EDDSA, &claims(DEVICE, now - 3 * HOUR, now - 2 * HOUR))),
        ("good for a year", key.sign(EDDSA, &claims(DEVICE, now, now + 365 * 24 * HOUR))),
        ("issued tomorrow", key.sign(EDDSA, &claims(DEVICE, now + 24 * HOUR, now + 25 * HOUR))),
        ("another audience", key.sign(EDDSA, &good.replace(AUDIENCE, "i3.example.org"))),
        ("an array as audience", key.sign(EDDSA, &good.replace("\"i3.example\"", "[\"i3.example\"]"))),
        (
            "no audience",
            key.sign(EDDSA, &format!(r#"{{"sub":"{DEVICE}","iat":{now},"exp":{}}}"#, now + HOUR)),
        ),
        ("an end twice", key.sign(EDDSA, &good.replace('}', &format!(r#","exp":{}}}"#, now + HOUR)))),
        ("a huge header", key.sign(&format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "x".repeat(40_000)), &good)),
        ("a payload that is no JSON", key.sign(EDDSA, "good")),
    ];
    let jwk = format!(
        r#"{{"alg":"EdDSA","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{}"}}}}"#,
        BASE64URL_NOPAD.encode(other.raw())
    );
    for header in [
        r#"{"alg":"EdDSA","kid":"acme.other"}"#,
        r#"{"alg":"EdDSA","kid":"../../../../dev/null"}"#,
        r#"{"alg":"EdDSA","jku":"https://attacker.example/keys.json"}"#,
        r#"{"alg":"EdDSA","x5u":"https://attacker.example/cert.pem"}"#,
        &jwk,
    ] {
        forged.push(("a header that brings its own key", other.sign(header, &good)));
    }
    for &version in VERSIONS {
        let mut answers = Vec::new();
        for (what, token) in &forged {
            let mut client = Client::open(gate.local_addr(), version).await;
            let answer = client.hello(&Hello::new(version, "pump", DEVICE).password(token)).await;
            let code = answer.map(|(_, code, _)| code);
            assert!(code.is_some_and(|code| code > 0), "{version:?} {what}: {code:?}");
            answers.push((code, client.end().await));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "all alike: {answers:02x?}");
        // The same key with nothing forged is good.
        let mut client = Client::open(gate.local_addr(), version).await;
        let hello = Hello::new(version, "pump", DEVICE).password(key.sign(EDDSA, &good));
        assert_eq!(client.hello(&hello).await.map(|(_, code, _)| code), Some(0));
    }
    shop.ends_well(gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_10_a_key_that_is_removed_ends_the_connections_that_it_let_in() {
    let shop = Shop::open().await;
    let gate = shop.gate().await;
    for &version in VERSIONS {
        let (old, new) = (Key::new(), Key::new());
        let (old_id, _) = (shop.add_key(&old).await, shop.add_key(&new).await);
        let now = Shop::seconds();
        let mut clients = Vec::new();
        for (name, key) in [("old", &old), ("new", &new)] {
            let token = key.sign(EDDSA, &claims(DEVICE, now, now + HOUR));
            let mut client = Client::open(gate.local_addr(), version).await;
            let hello = Hello::new(version, name, DEVICE).password(&token);
            assert_eq!(client.hello(&hello).await.map(|(_, code, _)| code), Some(0));
            clients.push((client, hello));
        }
        shop.remove_credential(old_id).await;
        assert!(clients[0].0.told_at_end().await.is_none_or(|told| [0x87, 0x98].contains(&told)));
        assert!(clients[1].0.lives().await, "the other key's connection goes on");
        let mut again = Client::open(gate.local_addr(), version).await;
        assert_ne!(
            again.hello(&clients[0].1).await.map(|(_, code, _)| code),
            Some(0),
            "nor does it come back"
        );
    }
    shop.ends_well(gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_09_a_storm_of_wrong_passwords_is_answered_alike_and_tokens_get_through() {
    let shop = Shop::open().await;
    let gate = shop.gate().await;
    let key = Key::new();
    shop.add_key(&key).await;
    let address = gate.local_addr();
    for &version in VERSIONS {
        let storm: Vec<_> = (0..200)
            .map(|number| {
                tokio::spawn(async move {
                    let mut client = Client::open(address, version).await;
                    // Of devices that exist and of others, of any length.
                    let user =
                        if number % 2 == 0 { DEVICE.to_owned() } else { format!("acme.nobody-{number}") };
                    let length = if number % 10 == 0 { 65_535 } else { number };
                    let hello = Hello::new(version, "x", &user).password(vec![b'x'; length]);
                    let answer = client.hello(&hello).await.map(|(_, code, _)| code);
                    client.end().await;
                    answer
                })
            })
            .collect();
        // A device with a token does not wait for all of that.
        let now = Shop::seconds();
        let mut client = Client::open(address, version).await;
        let hello =
            Hello::new(version, "pump", DEVICE).password(key.sign(EDDSA, &claims(DEVICE, now, now + HOUR)));
        assert_eq!(client.hello(&hello).await.map(|(_, code, _)| code), Some(0));
        for attempt in storm {
            // Refused, or put off for there were too many: never let in, never left without an answer.
            let code = attempt.await.unwrap().expect("an answer");
            let expected: &[u8] =
                if version == V5 { &[0x86, 0x87, 0x88, 0x89, 0x97, 0x9f] } else { &[3, 4, 5] };
            assert!(expected.contains(&code), "{code:#x}");
        }
    }
    // The device's own budget of failures is used up; after a while its password is good again. The order's is not
    // concerned.
    gate.shutdown().await;
    let gate = shop.gate().await;
    let order = shop.buy(10, None).await;
    shop.receiver(&gate, V311, &order, 1).await;
    gate.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_21_people_have_no_login_at_the_gate_not_even_administrators() {
    let shop = Shop::open().await;
    let gate = shop.gate().await;
    let (order, password) = shop.buy(10, None).await;
    for &version in VERSIONS {
        let ids = [shop.seller.id.to_string(), shop.buyer.id.to_string(), shop.device.id.to_string()];
        let names = ["admin", "seller", "buyer", "acme", "pump", &order.product.to_string()];
        for user in names.iter().copied().chain(ids.iter().map(String::as_str)) {
            for password in ["a secret", &password] {
                let mut client = Client::open(gate.local_addr(), version).await;
                let hello = Hello::new(version, "x", user).password(password);
                assert_ne!(client.hello(&hello).await.map(|(_, code, _)| code), Some(0), "{user}");
            }
        }
        // The seller's device does not receive what it sells, and the order's client does not publish it.
        let mut device = shop.device(&gate, version).await;
        let refused = [if version == V5 { 0x87 } else { 0x80 }];
        assert_eq!(device.subscribe(&[(shop.product.topic.as_str(), 1)]).await, refused);
    }
    let order = (order, password);
    let mut receiver = shop.receiver(&gate, V311, &order, 1).await;
    assert_eq!(receiver.publish(shop.product.topic.as_str(), b"forged", 1).await, Fate::Closed(None));
    assert_eq!(shop.line(&order.0).await.usage.delivered, 0);
    shop.ends_well(gate).await;
}
