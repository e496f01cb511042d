//! One workload harness over every store: the same work, the same rounds, the same tables.
//!
//! Whoever has a store of their own measures it beside the others by a bench with this `main`:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! use i3_benches::stores::{self, InFolder};
//! use i3_core::store::{DynStore, MemoryStore};
//!
//! fn main() -> ExitCode {
//!     // Called with an empty folder of the disk under test, and again with the same one after the store
//!     // was closed (its last handle dropped).
//!     let mine = InFolder::new("mine", |_folder| async {
//!         let store: DynStore = Arc::new(MemoryStore::new());
//!         Ok(store)
//!     });
//!     stores::main("/tmp", vec![Box::new(mine)]) // rather env!("CARGO_TARGET_TMPDIR") in a bench
//! }
//! ```

mod backend;
mod bars;
mod calibration;
mod machine;
mod named;
mod one_by_one;
mod plot;
mod report;
mod results;
mod run;
mod servers;
mod settings;
mod sync_floor;
mod workload;
mod workloads;
mod yardsticks;

use std::path::Path;
use std::process::ExitCode;

pub use backend::{Backend, InFolder, Place};
pub(crate) use machine::{describe, load};
pub use sync_floor::FLOOR_VARIABLE;
pub use yardsticks::Yardstick;

use crate::exit;

/// The whole bench: reads the command line, measures, prints and writes the tables. `own` are measured too,
/// unless the command line names others; they can be named there. Stores are made in (and removed from) the
/// folder `scratch` unless a URL names another; its disk is the one that is measured.
pub fn main(scratch: impl AsRef<Path>, own: Vec<Box<dyn Backend>>) -> ExitCode {
    match sync_floor::prepare(std::env::args_os().skip(1)) {
        Ok(sync_floor::Prepared::Here(settings)) => exit(run::bench(&settings, scratch.as_ref(), own)),
        Ok(sync_floor::Prepared::Done(code)) => code,
        Err(error) => exit(Err(error)),
    }
}
