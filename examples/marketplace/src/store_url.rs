//! Which store, and where.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use i3_core::store::{DynStore, MemoryStore, StoreError, StoreErrorKind};
use i3_store_sled::SledStore;
use i3_store_sql::{SqliteOptions, SqliteStore};

/// Names a store: `sqlite:PATH`, `sled:PATH` or `memory:`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// A SQLite database in this file.
    Sqlite(PathBuf),
    /// A sled database in this folder.
    Sled(PathBuf),
    /// No file at all: the data end with the process.
    Memory,
}

/// A text that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a store: `sqlite:PATH`, `sled:PATH` or `memory:` is expected")]
pub struct InvalidStoreUrl;

impl InvalidStoreUrl {
    /// A stable code for programs.
    pub const CODE: &'static str = "invalid_store_url";
}

impl FromStr for StoreUrl {
    type Err = InvalidStoreUrl;

    fn from_str(text: &str) -> Result<Self, InvalidStoreUrl> {
        let (scheme, path) = text.split_once(':').ok_or(InvalidStoreUrl)?;
        // `sqlite://path` is a URL elsewhere and would be a file in the root folder here.
        let usable = !path.is_empty() && !path.starts_with("//") && !path.contains('\0');
        match scheme {
            "sqlite" if usable => Ok(Self::Sqlite(path.into())),
            "sled" if usable => Ok(Self::Sled(path.into())),
            "memory" if path.is_empty() => Ok(Self::Memory),
            _ => Err(InvalidStoreUrl),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Sled(path) => write!(f, "sled:{}", path.display()),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

impl StoreUrl {
    /// Where the data are, if anywhere.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Sqlite(path) | Self::Sled(path) => Some(path),
            Self::Memory => None,
        }
    }

    /// Opens the store, or creates it; the folder that it is in must exist.
    pub async fn open(&self) -> Result<DynStore, StoreError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteStore::open(path, SqliteOptions::default()).await?),
            Self::Sled(path) => Arc::new(SledStore::open(path)?),
            Self::Memory => Arc::new(MemoryStore::new()),
        })
    }

    /// Opens a store that is there already, and creates none.
    pub async fn open_existing(&self) -> Result<DynStore, StoreError> {
        match self.path() {
            Some(path) if path.exists() => self.open().await,
            _ => {
                Err(StoreError::new(StoreErrorKind::Misconfigured, format!("there is no store at `{self}`")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_url_reads_back() {
        for text in ["sqlite:a.db", "sqlite:/var/lib/i3/market.sqlite", "sled:data", "memory:"] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_names_no_store_is_refused() {
        for text in
            ["", "sqlite", "sqlite:", "sqlite://a.db", "sled:", "memory:x", "postgres:x", "a:b", "sled:\0"]
        {
            assert_eq!(text.parse::<StoreUrl>(), Err(InvalidStoreUrl), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_store_that_is_not_there_is_not_made_by_looking() {
        let folder = tempfile::tempdir().unwrap();
        for scheme in ["sqlite", "sled"] {
            let path = folder.path().join("none");
            let url: StoreUrl = format!("{scheme}:{}", path.display()).parse().unwrap();
            assert_eq!(url.open_existing().await.unwrap_err().kind(), StoreErrorKind::Misconfigured);
            assert!(!path.exists());
        }
    }
}
