//! What every backend must do, case by case.
//!
//! [`conformance_tests!`](crate::conformance_tests) makes one `#[tokio::test]` of each case in the calling
//! crate; [`run_all`] runs them in one go and reports how many ran, so that a build can tell "all passed"
//! from "none ran".
//!
//! ```
//! use std::sync::Arc;
//!
//! use i3_core::store::{DynStore, MemoryStore};
//! use i3_core::testkit::{Harness, Stop};
//!
//! struct Memory;
//!
//! #[async_trait::async_trait]
//! impl Harness for Memory {
//!     async fn open(&self) -> Result<DynStore, Stop> {
//!         Ok(Arc::new(MemoryStore::new()))
//!     }
//! }
//!
//! i3_core::conformance_tests!(memory, Memory);
//! ```

mod bank;
mod beside;
mod commit;
mod counters;
mod limits;
mod reading;
mod revision;
mod scanning;
mod schema;
mod streams;
mod text;
mod together;

use std::fmt;

use super::{Checked, Harness, Run, Stop, announce, sample};
use crate::store::DynStore;

/// One thing that every backend must do.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it must do, as a sentence.
    pub name: &'static str,
    run: for<'a> fn(&'a dyn Harness) -> Run<'a>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    /// Runs it over a fresh store.
    pub async fn run(&self, harness: &dyn Harness) -> Checked {
        (self.run)(harness).await
    }
}

/// The one list of cases; hands it to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_list {
    ($then:ident $with:tt) => {
        $crate::$then! { $with
            commit: a_created_record_is_read_back_with_its_version,
            commit: a_taken_key_is_not_created_again,
            commit: a_replaced_record_has_the_new_body_and_a_new_version,
            commit: a_replacement_of_another_version_is_stale,
            commit: a_replacement_of_an_absent_record_is_stale,
            commit: a_removed_record_is_gone,
            commit: a_removal_of_another_version_or_of_nothing_is_stale,
            commit: a_guard_holds_and_changes_nothing,
            commit: a_guard_on_another_version_or_on_nothing_is_stale,
            commit: a_removed_key_can_be_created_again_and_no_version_comes_back,
            commit: a_batch_whose_last_operation_fails_leaves_nothing,
            commit: the_first_failing_operation_is_named,
            commit: outcomes_stand_in_the_order_of_the_batch,
            commit: a_refused_batch_does_not_spoil_the_next,
            commit: records_of_one_batch_are_found_by_their_own_versions,
            counters: an_untouched_counter_is_absent,
            counters: a_first_adjustment_may_be_negative_down_to_its_floor,
            counters: a_fall_to_the_floor_is_allowed_and_below_it_refused,
            counters: a_rise_is_never_refused_by_its_floor,
            counters: a_counter_cannot_leave_its_range_in_either_direction,
            counters: a_refused_adjustment_changes_nothing,
            counters: counters_are_scanned_by_id,
            streams: entries_are_dense_and_linked,
            streams: several_entries_of_one_batch_follow_each_other,
            streams: streams_do_not_mix,
            streams: a_refused_batch_leaves_no_gap_in_a_stream,
            streams: entries_are_paged_in_both_directions,
            streams: a_cursor_beyond_the_end_gives_an_empty_page,
            streams: stream_ends_are_scanned_by_id,
            reading: cells_come_in_the_order_asked_with_absent_and_repeated_keys,
            reading: reading_no_keys_gives_no_cells,
            reading: as_many_keys_as_allowed_are_read_at_once,
            reading: the_same_id_in_two_collections_is_two_things,
            revision: a_revision_is_another_once_a_change_is_committed,
            revision: everybody_who_committed_sees_another_revision,
            scanning: a_scan_by_id_is_in_byte_order,
            scanning: a_prefix_is_no_pattern,
            scanning: a_prefix_tells_upper_case_from_lower,
            scanning: a_prefix_that_no_key_can_have_finds_nothing,
            scanning: a_prefix_of_the_last_characters_finds_its_rows,
            scanning: one_equal_value_selects_its_rows_ordered_by_id,
            scanning: a_range_includes_its_start_and_excludes_its_end,
            scanning: an_empty_or_reversed_range_is_empty,
            scanning: a_second_column_orders_and_bounds_the_rows_of_the_first,
            scanning: four_columns_order_by_each_in_turn,
            scanning: pages_give_every_row_once_in_both_directions,
            scanning: a_page_that_takes_the_last_row_promises_no_other,
            scanning: an_empty_scan_has_no_rows_and_no_cursor,
            scanning: a_record_without_a_value_is_not_in_the_index,
            scanning: a_replaced_record_moves_in_its_indexes,
            scanning: a_removed_record_leaves_its_indexes,
            scanning: a_cursor_outlives_its_row,
            scanning: a_cursor_outside_of_the_scan_is_kept_within_its_bounds,
            scanning: equal_rows_are_paged_by_id,
            text: index_texts_are_in_byte_order,
            text: index_texts_that_differ_in_case_or_space_are_different,
            text: an_empty_text_is_a_value,
            text: quotes_and_wildcards_in_values_are_plain_text,
            text: bodies_come_back_byte_for_byte,
            text: the_greatest_and_least_integers_are_ordered,
            limits: the_longest_keys_are_kept,
            limits: the_longest_index_texts_are_kept,
            limits: the_largest_body_is_kept,
            limits: the_largest_batches_are_kept,
            limits: the_largest_page_is_given,
            schema: preparing_twice_is_preparing_once,
            schema: a_higher_revision_may_add_a_collection,
            schema: a_collection_may_be_reworded_and_others_left_out,
            schema: a_lower_revision_is_refused,
            schema: a_contradicting_collection_is_refused,
            schema: an_undeclared_collection_is_refused,
            schema: a_store_that_was_not_prepared_refuses_everything,
            schema: everything_is_there_after_reopening,
            schema: versions_do_not_come_back_after_reopening,
            schema: a_lower_revision_is_refused_after_reopening,
            together: one_of_many_creates_wins,
            together: a_counter_gives_what_it_has_and_no_more,
            together: a_stream_stays_dense_under_many_writers,
            together: no_update_is_lost,
            together: refused_batches_do_not_touch_their_neighbours,
            together: buyers_in_a_rush_get_one_order_for_each_key_and_the_books_balance,
            bank: random_payments_have_one_order_that_explains_every_answer,
            beside: a_scan_beside_commits_shows_whole_records_in_order,
            beside: a_read_beside_commits_never_goes_back,
            beside: what_one_handle_commits_the_other_sees,
            beside: of_two_handles_only_one_wins,
            beside: payments_through_two_handles_have_one_order,
            beside: buyers_in_a_rush_through_two_handles_get_one_order_for_each_key,
        }
    };
}

/// One test of each conformance case: `conformance_tests!(name_of_a_module, expression_of_a_harness)`.
///
/// The calling crate needs tokio with `macros` and `rt`. The expression is evaluated for each test, in an
/// async function.
#[macro_export]
macro_rules! conformance_tests {
    ($module:ident, $harness:expr) => {
        $crate::conformance_list! { conformance_module [$module, $harness] }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_module {
    ([$module:ident, $harness:expr] $($group:ident: $case:ident,)+) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() -> $crate::testkit::Checked {
                    $crate::testkit::conformance::run(stringify!($case), &$harness).await
                }
            )+
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_table {
    ([] $($group:ident: $case:ident,)+) => {
        &[$(Case { name: stringify!($case), run: |harness| Box::pin($group::$case(harness)) },)+]
    };
}

/// All cases.
pub const CASES: &[Case] = conformance_list! { conformance_table [] };

/// Runs the case of this name. One that does not apply passes, and says so on standard error.
pub async fn run(name: &str, harness: &dyn Harness) -> Checked {
    let Some(case) = CASES.iter().find(|case| case.name == name) else {
        return Err(Stop::broken(format_args!("there is no case `{name}`")));
    };
    match case.run(harness).await {
        Err(Stop::NotApplicable(why)) => {
            announce(&format!("not applicable, {name}: {why}"));
            Ok(())
        }
        other => other,
    }
}

/// What [`run_all`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The cases that passed.
    pub passed: Vec<&'static str>,
    /// The cases that ask for what the backend does not promise, with the reason.
    pub not_applicable: Vec<(&'static str, &'static str)>,
    /// The cases that failed, with what was found.
    pub failed: Vec<(&'static str, String)>,
}

impl Report {
    /// Writes one line for the build's log to standard error, around the capture of test output, and
    /// gives an error if a case failed.
    pub fn announce(&self, backend: &str) -> Checked {
        announce(&format!(
            "conformance of {backend}: {} cases, {} passed, {} not applicable, {} failed",
            CASES.len(),
            self.passed.len(),
            self.not_applicable.len(),
            self.failed.len()
        ));
        if self.failed.is_empty() {
            Ok(())
        } else {
            let lines: Vec<String> =
                self.failed.iter().map(|(name, what)| format!("{name}: {what}")).collect();
            Err(Stop::Broken(lines.join("\n")))
        }
    }
}

/// Runs all cases, one after the other, each over a fresh store.
pub async fn run_all(harness: &dyn Harness) -> Report {
    let mut report = Report::default();
    for case in CASES {
        match case.run(harness).await {
            Ok(()) => report.passed.push(case.name),
            Err(Stop::NotApplicable(why)) => report.not_applicable.push((case.name, why)),
            Err(Stop::Broken(what)) => report.failed.push((case.name, what)),
        }
    }
    report
}

/// A fresh store, prepared for the sample collections.
async fn prepared(harness: &dyn Harness) -> Result<DynStore, Stop> {
    let store = harness.open().await?;
    store.prepare(&sample::schema()?).await?;
    Ok(store)
}
