//! Runs the demo as a newcomer would, and reads its account.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test stops at what it did not expect")]

use std::path::Path;
use std::process::{Command, Output};

/// Runs the demo, with temporary files in this folder.
fn demo(folder: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_i3-marketplace"));
    program.arg("demo").args(arguments).env("TMPDIR", folder);
    program.output().expect("the program was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The figures of an order in the account's table: bought, published, delivered, metered, billed, price.
fn row(account: &str, title: &str) -> Vec<String> {
    let line = account.lines().find_map(|line| line.trim_start().strip_prefix(title)?.strip_prefix("  "));
    let cells = line.expect("the order is in the table").split("  ");
    cells.map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
}

/// Runs the demo over this store and checks all that its account says.
fn balances_over(arguments: &[&str], durability: &str) {
    let folder = tempfile::tempdir().expect("a folder for temporary files can be made");
    let mut all = vec!["--messages", "60"];
    all.extend(arguments);
    let output = demo(folder.path(), &all);
    let (printed, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{printed}\n{complaints}");
    assert!(!printed.contains('\x1b'), "there is no colour where there is no terminal");

    let (_, account) = printed.split_once("\nAccount\n").expect("there is an account");
    let load = row(account, "Load and memory");
    assert_eq!(load, ["60", "140", "60", "60", "60", "1.20 EUR"], "{account}");
    let network = row(account, "Network traffic");
    assert_eq!(network[2], network[3], "{account}");
    assert_eq!(network[3], network[4], "{account}");
    let count: u64 = network[2].parse().expect("a count");
    assert!(count >= 60, "{account}");
    assert_eq!(network[5], format!("{}.{:02} EUR", count / 100, count % 100), "{account}");

    assert!(!account.contains("  NO  "), "{account}");
    for verdict in ["messages", "sequence", "revocation", "ledger", "audit"] {
        let good = |line: &str| line.trim_start().starts_with(verdict) && line.contains("  ok  ");
        assert!(account.lines().any(good), "{verdict}: {account}");
    }
    for line in ["entries sum to 0 EUR", "later, 0 of them delivered", durability] {
        assert!(account.contains(line), "{line}: {account}");
    }
    let refusals = printed.lines().filter(|line| line.trim_start().starts_with("refused")).count();
    assert_eq!(refusals, 7, "{printed}");
}

#[test]
fn the_demo_balances_over_sqlite_in_a_fresh_folder_by_default() {
    balances_over(&[], "power loss (what was committed survives it)");
}

#[test]
fn the_demo_balances_in_memory() {
    balances_over(&["--store", "memory:"], "memory (nothing is kept on disk)");
}

#[test]
fn the_demo_balances_over_sqlite_and_sled_where_it_is_told_to_and_wants_them_new() {
    let folder = tempfile::tempdir().expect("a folder for temporary files can be made");
    for scheme in ["sqlite", "sled"] {
        let url = format!("{scheme}:{}", folder.path().join(scheme).display());
        balances_over(&["--store", &url], "power loss (what was committed survives it)");
        let again = demo(folder.path(), &["--store", &url]);
        assert_eq!(again.status.code(), Some(1));
        let complaint = text(&again.stderr);
        assert!(complaint.contains("the demo wants a store of its own"), "{complaint}");
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_happens() {
    let folder = tempfile::tempdir().expect("a folder for temporary files can be made");
    for arguments in [["--store", "postgres:x"], ["--messages", "0"], ["--messages", "1000000"]] {
        let output = demo(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}
