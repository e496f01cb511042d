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
//! | `postgres` | `PostgresStore` | what the server is set to: power loss, as servers come |
//! | `mysql` | `MysqlStore` | what the server is set to: power loss, as servers come |
//!
//! No feature is on by default. [`open`] opens any of them by an address.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use i3_core::store::{BatchBuilder, Collection, Key, Kind, Schema, Store, StoreExt, Units};
//! use i3_store_sql::{SqliteOptions, SqliteStore};
//!
//! static STOCK: Collection =
//!     Collection { name: "stock", kind: Kind::Counters, about: "what is left", columns: &[], indexes: &[] };
//!
//! let folder = tempfile::tempdir()?;
//! let store = SqliteStore::open(folder.path().join("i3.db"), SqliteOptions::default()).await?;
//! store.prepare(&Schema::new(1, &[&STOCK])?).await?;
//! let sensors = Key::new(&STOCK, "sensors")?;
//! let delivery = BatchBuilder::new().adjust(sensors.clone(), Units::new(12)?, Units::ZERO).build()?;
//! store.commit(&delivery).await?;
//! assert_eq!(store.counter(&sensors).await?.get(), 12);
//! store.close().await?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod description;
#[cfg(feature = "mysql")]
mod mysql;
mod open;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod scan;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "mysql")]
pub use mysql::{MysqlOptions, MysqlStore};
pub use open::open;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use server::ServerStats;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStats, SqliteStore, Synchronous};

#[cfg(all(feature = "testkit", unix, any(feature = "postgres", feature = "mysql")))]
pub mod testkit;
