//! SQL storage for the I3 marketplace: the `Store` contract of `i3-core` over a database that
//! operators can read with plain SQL.
//!
//! Every collection is a table of its name. Records have a typed column for every declared column, beside
//! `id`, `version` and `body` (JSON text); counters have `id` and `n`; streams have `id`, `position`,
//! `body` and `link` (hexadecimal).
//!
//! | feature | store | what a commit survives |
//! | --- | --- | --- |
//! | `sqlite` | `SqliteStore` | power loss (default) or a killed process |
//!
//! No feature is on by default.

#[cfg(feature = "sqlite")]
mod description;
#[cfg(feature = "sqlite")]
mod scan;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStats, SqliteStore, Synchronous};
