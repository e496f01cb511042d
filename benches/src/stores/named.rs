//! Backends by their names and URLs.

use std::path::Path;
use std::sync::Arc;

use i3_core::store::DynStore;
use i3_store_sled::SledStore;
use i3_store_sql::{SqliteOptions, SqliteStore};

use super::backend::{Backend, InFolder, Memory};
use super::one_by_one::OneByOne;
use super::servers::OnServer;
use crate::shop::ShopError;

/// The names, in the order of the tables.
pub(super) const NAMES: [&str; 5] = ["memory", "sqlite", "sled", "postgres", "mariadb"];

/// SQLite with a query for each record and nothing remembered. Only if it is named: it is no store of ours.
pub(super) const ONE_BY_ONE: &str = "sqlite-one-by-one";

/// What a SQLite store's file is called in its folder.
const SQLITE_FILE: &str = "shop.sqlite";

/// A backend, or why there is none.
pub(super) enum Found {
    /// Here it is.
    Backend(Box<dyn Backend>),
    /// Its software is not installed here.
    Missing(String),
}

/// The backend of this name or URL, with its stores in `scratch` unless the URL says otherwise.
pub(super) fn find(named: &str, scratch: &Path) -> Result<Found, ShopError> {
    let (kind, folder) = match named.split_once(':') {
        Some((kind, folder)) => (kind, Some(Path::new(folder))),
        None => (named, None),
    };
    match kind {
        "postgres" | "postgresql" => return OnServer::postgres(kind, folder.map(|_| named)),
        "mariadb" | "mysql" => return OnServer::mariadb(kind, folder.map(|_| named)),
        _ => {}
    }
    let mut backend: Box<dyn Backend> = match kind {
        "memory" => Box::new(Memory),
        "sqlite" => Box::new(InFolder::new(named, |folder| async move {
            let store = SqliteStore::open(folder.join(SQLITE_FILE), SqliteOptions::default()).await?;
            Ok(Arc::new(store) as DynStore)
        })),
        ONE_BY_ONE => Box::new(InFolder::new(named, |folder| async move {
            let options = SqliteOptions { cache_bytes: 0, ..SqliteOptions::default() };
            let store = SqliteStore::open(folder.join(SQLITE_FILE), options).await?;
            Ok(Arc::new(OneByOne(store)) as DynStore)
        })),
        "sled" => Box::new(InFolder::new(named, |folder| async move {
            let store = tokio::task::spawn_blocking(move || SledStore::open(folder.join("shop.sled")));
            Ok(Arc::new(store.await??) as DynStore)
        })),
        _ => return Err(format!("there is no backend {named}; there are {}", NAMES.join(", ")).into()),
    };
    backend.settle(folder.unwrap_or(scratch))?;
    Ok(Found::Backend(backend))
}

/// Whether a name or URL is of a store that runs in processes of its own.
pub(super) fn is_server(named: &str) -> bool {
    let kind = named.split_once(':').map_or(named, |(kind, _)| kind);
    matches!(kind, "postgres" | "postgresql" | "mariadb" | "mysql")
}
