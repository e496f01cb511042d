//! Embedded storage for I3 in a folder of its own, kept by [sled](https://docs.rs/sled/0.34.7) 0.34.7.
//!
//! For one process that wants to store durably without a database server and without C code. If you are
//! free to choose, the SQLite backend of `i3-store-sql` is the better kept one; see the limits below.
//!
//! ```
//! use i3_core::store::{Collection, Key, Kind, Schema, Store, Units, BatchBuilder};
//! use i3_store_sled::SledStore;
//!
//! static COUNTERS: Collection =
//!     Collection { name: "counters", kind: Kind::Counters, about: "", columns: &[], indexes: &[] };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let store = SledStore::open(folder)?;
//! store.prepare(&Schema::new(1, &[&COUNTERS])?).await?;
//! let hits = Key::new(&COUNTERS, "hits")?;
//! store.commit(&BatchBuilder::new().adjust(hits, Units::new(1)?, Units::MIN).build()?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! - **One thread writes.** Commits go to it over a bounded queue; it decides on all that wait (at most 256
//!   batches or about 1 MiB), writes them as one atomic batch, flushes and syncs once, and then answers
//!   all. So many callers share the price of one sync.
//! - **Reads and scans go straight to sled**, never through the writer. A page of more than 100 rows is
//!   read by [`spawn_blocking`](tokio::task::spawn_blocking); other reads are done in place and block the
//!   calling task if the disk must be asked. Needs a tokio runtime.
//! - **Durable against loss of power** by default: on Linux sled's `flush` only hands pages to the
//!   device (`sync_file_range`) and syncs the file about twice a second, so this crate calls
//!   [`sync_data`](std::fs::File::sync_data) on a handle of its own after each group.
//!   [`SledOptions::without_sync`] leaves that out.
//! - **After an I/O error nothing is written any more.** The commits of that group have an unknown
//!   outcome ([`Applied::Unknown`](i3_core::store::Applied)), later ones fail, until the store is opened
//!   again.
//!
//! # What it does not do
//!
//! - Only one process, and one handle, can have the folder open.
//! - sled has no snapshots: a scan sees commits that happen while it runs, each whole as far as one key is
//!   concerned. Records that moved or went between an index entry and the record are left out.
//! - sled holds a lock that is shared by *all* its databases of a process while it writes: two stores in one
//!   process slow each other down.
//! - sled 0.34 gets no more releases, and two of its dependencies (`fxhash`, `instant`) are unmaintained. Its
//!   files take several times the space of the data, are not made smaller, and have to be read in part to
//!   open the store. Its memory use grows with the data beyond the cache that was asked for.
//! - It was tested by killing the process while it commits, not by cutting the power, and on Linux only.
//! - Columns and indexes of a collection cannot be changed afterwards, only collections added.

mod committer;
mod description;
mod error;
mod layout;
mod reader;
mod store;

pub use store::{SledOptions, SledStore};
