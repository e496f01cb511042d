//! Traces of the whole marketplace: equal over equal stores, and whole after every failure.

use std::sync::Arc;

use async_trait::async_trait;
use i3_core::market::Commands;
use i3_core::store::{DynStore, MemoryStore};
use i3_core::testkit::faults::{FailsAs, Fault};
use i3_core::testkit::sweep::{Trouble, sweep};
use i3_core::testkit::trace::{Backend, Tally, check, compare, tour, traces};
use i3_core::testkit::{Checked, Harness, Stop, announce};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

pub(crate) struct Memory;

#[async_trait]
impl Harness for Memory {
    async fn open(&self) -> Result<DynStore, Stop> {
        Ok(Arc::new(MemoryStore::new()))
    }
}

pub(crate) const MEMORY: Backend<'static> = Backend { name: "memory", harness: &Memory };

#[test]
fn two_marketplaces_over_equal_stores_answer_alike() -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let tally = check(&[MEMORY, MEMORY], 24, |run| runtime.block_on(run))?;
    announce(&format!("two memory stores: {tally}"));
    Ok(())
}

#[tokio::test]
async fn random_traces_reach_most_commands_and_most_refusals() -> Checked {
    // Always the same ones, so that this is no matter of luck.
    let mut runner = TestRunner::deterministic();
    let mut tally = Tally::default();
    for _ in 0..96 {
        let trace = traces(60).new_tree(&mut runner).unwrap().current();
        tally.add(compare(&[MEMORY], &trace).await?);
    }
    let refused = |code: &str| tally.refused.keys().any(|what| what.ends_with(code));
    for code in [
        "forbidden",
        "not_found",
        "name_taken",
        "wrong_state",
        "invalid_request",
        "insufficient_funds",
        "idempotency_key_reused",
        "own_product",
        "nothing_received",
        "last_owner",
        "quota_leased_elsewhere",
        "grant_not_active",
        "no_such_lease",
        "invitation_not_good",
        "wrong_password",
        "reset_not_good",
        "too_soon",
    ] {
        assert!(refused(code), "{code} was never the answer: {tally:#?}");
    }
    assert!(tally.done.len() >= 30, "{tally:#?}");
    Ok(())
}

#[tokio::test]
async fn the_tour_carries_out_every_command() -> Checked {
    let tally = compare(&[MEMORY], &tour()).await?;
    // One for each command that there is.
    assert_eq!(tally.done.len(), Commands::standard().names().count(), "{tally:#?}");
    assert!(tally.refused.len() >= 17, "{tally:#?}");
    Ok(())
}

/// The store dies in the moment of a commit whose outcome nobody knows.
fn dies(trouble: &Trouble) -> bool {
    trouble.then == Some(Fault::Fails(FailsAs::Unavailable))
        && trouble.fault != Fault::Fails(FailsAs::Unavailable)
}

#[tokio::test]
async fn every_command_is_whole_and_converges_whatever_call_fails() -> Checked {
    let mut troubles = Trouble::all();
    troubles.retain(|trouble| !dies(trouble));
    let swept = sweep(&Memory, &Arc::new(tour()), &troubles).await?;
    assert!(swept.answered > 0 && swept.failed > 0 && swept.given_up > 0, "{swept:?}");
    Ok(())
}

#[tokio::test]
async fn a_store_that_dies_in_a_commit_leaves_the_outcome_unknown() -> Checked {
    let mut troubles = Trouble::all();
    troubles.retain(dies);
    sweep(&Memory, &Arc::new(tour()), &troubles).await?;
    Ok(())
}
