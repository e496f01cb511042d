//! What the programs of this package share: a storage backend of its own.
//!
//! [`RedbStore`] is the worked example of the [`guide`]: small, whole, and checked by the same test-kit as the
//! backends that I3 brings along.

#[doc = include_str!("../../../docs/backends.md")]
pub mod guide {}

mod redb_store;

pub use redb_store::RedbStore;
