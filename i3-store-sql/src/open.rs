//! From an address to a store.

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
use std::sync::Arc;

use i3_core::store::{DynStore, StoreError, StoreErrorKind};

/// Opens the store at this address: a SQLite file, `sqlite:PATH`; a PostgreSQL database,
/// `postgres://USER:PASSWORD@HOST/DATABASE` (or `postgresql://`); a MySQL or MariaDB database,
/// `mysql://USER:PASSWORD@HOST/DATABASE` (or `mariadb://`). Options are the defaults; what parameters an
/// address may have, the stores' own `open` tell.
///
/// # Errors
/// `Misconfigured` for an address of no such kind; `Unsupported` if the feature for it (`sqlite`, `postgres`,
/// `mysql`) was not compiled in, with its name; otherwise as the store itself. No message holds the address,
/// which may have a password.
pub async fn open(url: &str) -> Result<DynStore, StoreError> {
    match url.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) if !path.is_empty() => {
            Ok(Arc::new(crate::SqliteStore::open(path, crate::SqliteOptions::default()).await?))
        }
        #[cfg(not(feature = "sqlite"))]
        Some(("sqlite", path)) if !path.is_empty() => Err(missing("sqlite")),
        #[cfg(feature = "postgres")]
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
            Ok(Arc::new(crate::PostgresStore::open(url, crate::PostgresOptions::default()).await?))
        }
        #[cfg(not(feature = "postgres"))]
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Err(missing("postgres")),
        #[cfg(feature = "mysql")]
        Some(("mysql" | "mariadb", rest)) if rest.starts_with("//") => {
            Ok(Arc::new(crate::MysqlStore::open(url, crate::MysqlOptions::default()).await?))
        }
        #[cfg(not(feature = "mysql"))]
        Some(("mysql" | "mariadb", rest)) if rest.starts_with("//") => Err(missing("mysql")),
        _ => {
            let message = "not the address of a store: sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE or \
                           mysql://USER:PASSWORD@HOST/DATABASE is expected";
            Err(StoreError::new(StoreErrorKind::Misconfigured, message))
        }
    }
}

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
fn missing(feature: &str) -> StoreError {
    let message = format!("this program was built without the feature `{feature}` of i3-store-sql");
    StoreError::new(StoreErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_of_another_kind_is_refused_and_not_repeated() {
        for url in
            ["", "geheim", "redis://u:geheim@h", "postgres:geheim", "mysql:/geheim", "sqlite:", "Sqlite:x"]
        {
            let refused = open(url).await.err().unwrap();
            assert_eq!(refused.kind(), StoreErrorKind::Misconfigured, "{url}");
            assert!(!format!("{refused:?}").contains("geheim"));
        }
    }

    #[tokio::test]
    async fn a_feature_that_is_missing_is_named() {
        let known = [
            (cfg!(feature = "sqlite"), "sqlite:/nowhere/at/all", "sqlite"),
            (cfg!(feature = "postgres"), "postgres://u:geheim@localhost:1/d", "postgres"),
            (cfg!(feature = "mysql"), "mysql://u:geheim@localhost:1/d", "mysql"),
        ];
        for (compiled, url, feature) in known {
            let refused = open(url).await.err().unwrap();
            if !compiled {
                assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
                assert!(refused.to_string().contains(&format!("`{feature}`")), "{refused}");
            }
            assert!(!format!("{refused:?}").contains("geheim"), "{refused:?}");
        }
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn a_path_opens_a_sqlite_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i3.db");
        let store = open(&format!("sqlite:{}", path.display())).await.unwrap();
        assert_eq!(store.durability(), i3_core::store::Durability::PowerLoss);
        assert!(path.exists());
    }
}
