//! Runs the programs as a reader would.

use std::process::Command;

/// What a program prints; it must end well and complain of nothing.
#[expect(clippy::expect_used, reason = "without the program there is no test")]
fn printed(program: &str) -> Vec<String> {
    let output = Command::new(program).output().expect("the program was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_marketplace_in_memory_sells_ten_messages_and_no_more() {
    let mut lines = printed(env!("CARGO_BIN_EXE_memory_marketplace"));
    lines.retain(|line| !line.starts_with("Bought:"));
    assert_eq!(
        lines,
        [
            "Listed:     Water temperature at buoy 7 (i3/aqua/water), 10 messages for 2.00 EUR",
            "Delivered:  6 messages, then 4 more; the 11th is refused: the order's quota is used up",
            "Statement:  10 messages, 2.00 EUR paid",
            "Balance:    Bea has 3.00 EUR left",
            "Books:      8 ledger entries, 0 differences",
        ]
    );
}

#[test]
fn every_store_gives_the_same_answers() {
    let answers = "12 want one name: 1 account; 12 times the same payment: 5.00 EUR";
    assert_eq!(
        printed(env!("CARGO_BIN_EXE_swap_store")),
        [
            format!("memory   durability: memory         {answers}"),
            format!("sqlite   durability: power loss     {answers}"),
            format!("sled     durability: power loss     {answers}"),
            format!("redb     durability: power loss     {answers}"),
        ]
    );
}

#[test]
fn an_own_policy_allows_and_denies_by_its_own_rules() {
    assert_eq!(
        printed(env!("CARGO_BIN_EXE_own_policy")),
        [
            "Bea credits herself: 10.00 EUR in her account",
            "Bea credits Carl:    the permission `account:top-up` is missing: \
             no role allows it",
            "Carl opens a hub:    the permission `hub:create` is missing: in the trial, who buys does not sell",
        ]
    );
}
