//! Every store under the same work; see the README beside.

use std::process::ExitCode;
use std::sync::Arc;

use i3_benches::stores::{self, InFolder};
use i3_core::store::DynStore;
use i3_embedding::RedbStore;

fn main() -> ExitCode {
    // The worked example of `docs/backends.md`, measured as anybody's own store is.
    let redb = InFolder::new("redb", |folder| async move {
        let store = tokio::task::spawn_blocking(move || RedbStore::open(folder.join("shop.redb")));
        Ok(Arc::new(store.await??) as DynStore)
    });
    // On the disk that the build is on: the system's temporary directory is often in memory.
    stores::main(env!("CARGO_TARGET_TMPDIR"), vec![Box::new(redb)])
}
