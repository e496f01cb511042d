use std::time::Instant;

use i3_core::time::{ManualClock, Timestamp};

use super::*;

/// As cheap as argon2 allows: most tests are not about the cost.
fn cheap() -> PasswordSettings {
    PasswordSettings { cost: Cost::new(8, 1, 1).unwrap(), ..PasswordSettings::default() }
}

/// About a tenth of a second for one hash.
fn slow() -> PasswordSettings {
    PasswordSettings {
        cost: Cost::new(32 * 1024, 6, 1).unwrap(),
        pool: PoolLimits { parallel: 1, waiting: 0, patience: Duration::from_secs(30) },
        ..PasswordSettings::default()
    }
}

fn passwords(settings: PasswordSettings) -> (Arc<Passwords>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_795_296_422_000_000).unwrap()));
    (Arc::new(Passwords::new(settings, clock.clone()).unwrap()), clock)
}

fn attempt<'a>(name: &'a str, password: &'a str, hashes: &'a [&'a SecretHash]) -> Attempt<'a> {
    Attempt { name, peer: Some([192, 0, 2, 1].into()), password: password.as_bytes(), hashes }
}

#[tokio::test]
async fn the_right_password_is_found_among_the_hashes_and_a_wrong_one_is_not() {
    let (passwords, _) = passwords(cheap());
    let old = passwords.hash(b"old secret").await.unwrap();
    let new = passwords.hash(b"new secret").await.unwrap();
    let hashes = [&old, &new];
    for (password, expected) in
        [("old secret", Some(0)), ("new secret", Some(1)), ("no secret", None), ("old secre", None)]
    {
        assert_eq!(passwords.check(attempt("pump", password, &hashes)).await, Ok(expected), "{password}");
    }
}

#[tokio::test]
async fn a_hash_is_argon2id_of_the_default_cost_with_its_own_salt() {
    let (passwords, _) = passwords(PasswordSettings::default());
    let first = passwords.hash(b"secret").await.unwrap();
    let second = passwords.hash(b"secret").await.unwrap();
    assert!(first.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_ne!(first, second);
}

#[tokio::test]
async fn empty_and_overlong_passwords_are_refused_before_hashing() {
    let settings = PasswordSettings {
        by_name: BudgetLimits { burst: 1, refill: Duration::from_secs(10), keys: 10 },
        ..cheap()
    };
    let (passwords, _) = passwords(settings);
    let hash = passwords.hash(&[b'x'; 256]).await.unwrap();
    assert_eq!(passwords.hash(b"").await, Err(PasswordError::Length));
    assert_eq!(passwords.hash(&[b'x'; 257]).await, Err(PasswordError::Length));
    // The budget of one failure is charged for whatever is hashed: it is still there after these.
    for password in [String::new(), "x".repeat(257), "x".repeat(65_535)] {
        for _ in 0..5 {
            assert_eq!(passwords.check(attempt("pump", &password, &[&hash])).await, Ok(None));
        }
    }
    let right = "x".repeat(256);
    assert_eq!(passwords.check(attempt("pump", &right, &[&hash])).await, Ok(Some(0)));
}

#[tokio::test]
async fn binary_passwords_work() {
    let (passwords, _) = passwords(cheap());
    let password = [0, 255, 128, 10];
    let hash = passwords.hash(&password).await.unwrap();
    let found = Attempt { name: "pump", peer: None, password: &password, hashes: &[&hash] };
    assert_eq!(passwords.check(found).await, Ok(Some(0)));
}

#[tokio::test]
async fn a_guesser_is_told_to_wait_even_with_the_right_guess() {
    let (passwords, clock) = passwords(cheap());
    let hash = passwords.hash(b"secret").await.unwrap();
    for _ in 0..10 {
        assert_eq!(passwords.check(attempt("pump", "wrong", &[&hash])).await, Ok(None));
    }
    for password in ["wrong", "secret"] {
        let told = passwords.check(attempt("pump", password, &[&hash])).await;
        assert_eq!(told, Err(PasswordError::Busy), "{password}");
    }
    assert_eq!(passwords.check(attempt("valve", "secret", &[&hash])).await, Ok(Some(0)));
    clock.advance(Duration::from_secs(30));
    assert_eq!(passwords.check(attempt("pump", "secret", &[&hash])).await, Ok(Some(0)));
}

#[tokio::test]
async fn a_peer_that_tries_many_names_is_told_to_wait_and_others_are_not() {
    let (passwords, _) = passwords(cheap());
    for name in 0..100 {
        assert_eq!(passwords.check(attempt(&format!("name {name}"), "guess", &[])).await, Ok(None));
    }
    let told = passwords.check(attempt("one more name", "guess", &[])).await;
    assert_eq!(told, Err(PasswordError::Busy));
    let elsewhere = Attempt { peer: Some([192, 0, 2, 2].into()), ..attempt("one more name", "guess", &[]) };
    assert_eq!(passwords.check(elsewhere).await, Ok(None));
}

#[tokio::test]
async fn successes_use_up_no_budget() {
    let settings = PasswordSettings { remember: Duration::ZERO, ..cheap() };
    let (passwords, _) = passwords(settings);
    let hash = passwords.hash(b"secret").await.unwrap();
    for _ in 0..200 {
        assert_eq!(passwords.check(attempt("pump", "secret", &[&hash])).await, Ok(Some(0)));
    }
}

#[tokio::test]
async fn a_remembered_success_needs_no_hash_until_it_expires_or_the_password_changes() {
    let by_name = BudgetLimits { burst: 1, refill: Duration::from_hours(1), keys: 10 };
    let (passwords, clock) = passwords(PasswordSettings { by_name, ..cheap() });
    let hash = passwords.hash(b"secret").await.unwrap();
    let other = passwords.hash(b"other").await.unwrap();
    assert_eq!(passwords.check(attempt("pump", "secret", &[&hash])).await, Ok(Some(0)));
    // With the budget gone, nothing is hashed for this name.
    assert_eq!(passwords.check(attempt("pump", "guess", &[&hash])).await, Ok(None));
    clock.advance(Duration::from_secs(59));
    assert_eq!(passwords.check(attempt("pump", "secret", &[&other, &hash])).await, Ok(Some(1)));
    let changed = passwords.check(attempt("pump", "secret", &[&other])).await;
    assert_eq!(changed, Err(PasswordError::Busy));
    clock.advance(Duration::from_secs(1));
    let expired = passwords.check(attempt("pump", "secret", &[&hash])).await;
    assert_eq!(expired, Err(PasswordError::Busy));
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_make_room_for_more_work() {
    let (passwords, _) = passwords(slow());
    // Where this task has no time itself, the work may be done before the second caller comes.
    for turn in 0..40 {
        let names = [format!("a{turn}"), format!("b{turn}")];
        let first = passwords.check(attempt(&names[0], "guess", &[]));
        if tokio::time::timeout(Duration::ZERO, first).await.is_ok() {
            continue;
        }
        let second = passwords.check(attempt(&names[1], "guess", &[])).await;
        if second == Err(PasswordError::Busy) {
            return;
        }
    }
    panic!("there is always room");
}

#[tokio::test]
async fn who_waits_too_long_is_told_so() {
    let pool = PoolLimits { parallel: 1, waiting: 1, patience: Duration::from_millis(5) };
    let (passwords, _) = passwords(PasswordSettings { pool, ..slow() });
    // Where this task has no time itself, the first may be done before the second looks at its watch.
    for _ in 0..50 {
        let (first, second) = tokio::join!(passwords.hash(b"one"), passwords.hash(b"two"));
        assert!(first.is_ok());
        if second == Err(PasswordError::Busy) {
            return;
        }
    }
    panic!("nobody is told");
}

#[tokio::test]
async fn an_unknown_name_takes_as_long_as_a_wrong_password() {
    let budget = BudgetLimits { burst: 1_000, refill: Duration::from_hours(1), keys: 10 };
    let (passwords, _) = passwords(PasswordSettings { by_name: budget, by_peer: budget, ..slow() });
    let hash = passwords.hash(b"secret").await.unwrap();
    // The quickest of enough tries is one that nothing else on the machine held up.
    let mut quickest = [Duration::MAX; 2];
    for _ in 0..100 {
        for (quickest, hashes) in quickest.iter_mut().zip([&[][..], &[&hash][..]]) {
            let start = Instant::now();
            assert_eq!(passwords.check(attempt("pump", "wrong", hashes)).await, Ok(None));
            *quickest = start.elapsed().min(*quickest);
        }
        let [unknown, wrong] = quickest;
        if unknown > wrong / 2 && wrong > unknown / 2 {
            return;
        }
    }
    panic!("{quickest:?}");
}

#[tokio::test]
async fn a_stored_hash_that_is_none_or_costs_too_much_is_a_failure() {
    let (passwords, _) = passwords(cheap());
    let right = passwords.hash(b"secret").await.unwrap();
    let text = right.expose();
    for stored in [
        String::new(),
        "secret".to_owned(),
        text.replace("argon2id", "argon2i"),
        text.replace("m=8,", "m=4194303,"),
        text.replace("t=1,", "t=4194303,"),
    ] {
        let damaged = SecretHash::new(stored.clone());
        let told = passwords.check(attempt("pump", "secret", &[&damaged])).await;
        assert_eq!(told, Err(PasswordError::Stored), "{stored}");
        // One that is readable beside it still counts.
        let told = passwords.check(attempt("pump", "secret", &[&damaged, &right])).await;
        assert_eq!(told, Ok(Some(1)), "{stored}");
    }
    assert_eq!(Cost::new(4_194_303, 1, 1), Err(PasswordError::Cost));
    assert_eq!(Cost::new(1, 1, 1), Err(PasswordError::Cost));
}

#[test]
fn a_password_is_not_in_the_debug_output_of_an_attempt() {
    let hash = SecretHash::new("$argon2id$x");
    let shown = format!("{:?}", attempt("pump", "hunter2", &[&hash]));
    assert_eq!(shown, "Attempt { name: \"pump\", peer: Some(192.0.2.1), .. }");
}
