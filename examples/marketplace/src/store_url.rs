//! Which store, and where.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use i3_core::store::{DynStore, MemoryStore, StoreError, StoreErrorKind};
use i3_store_sled::SledStore;
use i3_store_sql::{SqliteOptions, SqliteStore};

/// Names a store: `sqlite:PATH`, `sled:PATH`, `memory:`, or a database server by its URL: `postgres://…`,
/// `mysql://…` or `mariadb://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// A SQLite database in this file.
    Sqlite(PathBuf),
    /// A sled database in this folder.
    Sled(PathBuf),
    /// A PostgreSQL, MySQL or MariaDB database. Several processes may use it at once.
    Server(ServerUrl),
    /// No file at all: the data end with the process.
    Memory,
}

/// The URL of a database on a server. It may hold a password, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

/// What the URLs of database servers begin with.
const SERVERS: [&str; 4] = ["postgres", "postgresql", "mysql", "mariadb"];

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        // Parameters may hold a password too.
        let (address, _) = rest.split_once('?').unwrap_or((rest, ""));
        match address.rsplit_once('@') {
            Some((login, place)) => {
                let user = login.split_once(':').map_or(login, |(user, _)| user);
                write!(f, "{scheme}://{user}@{place}")
            }
            None => write!(f, "{scheme}://{address}"),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

/// A text that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a store: `sqlite:PATH`, `sled:PATH`, `memory:`, `postgres://USER@HOST/DATABASE` or \
     `mysql://USER@HOST/DATABASE` is expected"
)]
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
            _ if SERVERS.contains(&scheme) && path.len() > 2 && path.starts_with("//") => {
                Ok(Self::Server(ServerUrl(text.to_owned())))
            }
            _ => Err(InvalidStoreUrl),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Sled(path) => write!(f, "sled:{}", path.display()),
            Self::Server(url) => url.fmt(f),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

impl StoreUrl {
    /// The file or folder that the data are in, if they are in one.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Sqlite(path) | Self::Sled(path) => Some(path),
            Self::Server(_) | Self::Memory => None,
        }
    }

    /// Whether other processes may use the same store at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// Opens the store, or creates it; the folder that it is in must exist.
    pub async fn open(&self) -> Result<DynStore, StoreError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteStore::open(path, SqliteOptions::default()).await?),
            Self::Sled(path) => Arc::new(SledStore::open(path)?),
            Self::Server(url) => i3_store_sql::open(&url.0).await?,
            Self::Memory => Arc::new(MemoryStore::new()),
        })
    }

    /// Opens a store that is there already, and creates no file. In a server's database that holds no store
    /// the tables are made.
    pub async fn open_existing(&self) -> Result<DynStore, StoreError> {
        match (self, self.path()) {
            (Self::Server(_), _) => self.open().await,
            (_, Some(path)) if path.exists() => self.open().await,
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
    fn the_password_in_a_server_s_url_is_not_shown() {
        for (text, shown) in [
            ("postgres://i3:s3cret@db.example:5432/market", "postgres://i3@db.example:5432/market"),
            ("mysql://i3:s3c@ret@db/market?ssl-mode=REQUIRED", "mysql://i3@db/market"),
            ("postgresql:///market?user=i3&password=s3cret", "postgresql:///market"),
            ("mariadb://localhost/market", "mariadb://localhost/market"),
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("s3c"), "{url:?}");
            assert!(url.is_shared() && url.path().is_none());
        }
    }

    #[test]
    fn what_names_no_store_is_refused() {
        for text in [
            "",
            "sqlite",
            "sqlite:",
            "sqlite://a.db",
            "sled:",
            "memory:x",
            "postgres:x",
            "mysql://",
            "a:b",
            "sled:\0",
        ] {
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
