//! Backends in processes of their own: throwaway servers from local binaries, or servers that run already.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use i3_core::store::DynStore;
use i3_store_sql::testkit::{Durable, Mariadb, Postgres, ServerError};
use sqlx::{Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _};

use super::backend::{Backend, Place};
use super::named::Found;
use super::yardsticks::{ByHand, PgBench, Yardstick};
use crate::shop::ShopError;

/// A server that makes databases.
enum Server {
    Postgres(Postgres),
    Mariadb(Mariadb),
}

impl Server {
    /// An empty database, by its URL.
    async fn database(self: &Arc<Self>, name: &str) -> Result<String, ShopError> {
        let (server, name) = (Arc::clone(self), name.to_owned());
        let made = tokio::task::spawn_blocking(move || match &*server {
            Self::Postgres(postgres) => postgres.database(&name),
            Self::Mariadb(mariadb) => mariadb.database(&name),
        });
        Ok(made.await??)
    }

    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Postgres(postgres) => postgres.folder(),
            Self::Mariadb(mariadb) => mariadb.folder(),
        }
    }
}

/// A kind of store in databases of one server.
pub(super) struct OnServer {
    name: String,
    server: Arc<Server>,
}

impl fmt::Debug for OnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnServer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl OnServer {
    /// A PostgreSQL of our own that waits for the disk, or the one at this URL.
    pub(super) fn postgres(name: &str, url: Option<&str>) -> Result<Found, ShopError> {
        let server = match url {
            Some(url) => Postgres::existing(url),
            None => Postgres::start(Durable::Yes),
        };
        Self::found(name, server.map(Server::Postgres))
    }

    /// As [`postgres`](Self::postgres), MariaDB.
    pub(super) fn mariadb(name: &str, url: Option<&str>) -> Result<Found, ShopError> {
        let server = match url {
            Some(url) => Mariadb::existing(url),
            None => Mariadb::start(Durable::Yes),
        };
        Self::found(name, server.map(Server::Mariadb))
    }

    fn found(name: &str, server: Result<Server, ServerError>) -> Result<Found, ShopError> {
        match server {
            Ok(server) => {
                Ok(Found::Backend(Box::new(Self { name: name.to_owned(), server: Arc::new(server) })))
            }
            Err(missing @ ServerError::Missing { .. }) => Ok(Found::Missing(missing.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl Backend for OnServer {
    fn name(&self) -> &str {
        &self.name
    }

    fn folder(&self) -> Option<&Path> {
        self.server.folder()
    }

    fn settle(&mut self, _: &Path) -> Result<(), ShopError> {
        // The testkit makes the server's folder where the system makes temporary ones.
        Ok(())
    }

    async fn version(&self) -> Option<String> {
        let url = self.server.database("version").await.ok()?;
        match &*self.server {
            Server::Postgres(_) => {
                let mut connection = PgConnection::connect(&url).await.ok()?;
                let row = connection.fetch_one("SHOW server_version").await.ok()?;
                row.try_get(0).ok()
            }
            Server::Mariadb(_) => {
                let mut connection = MySqlConnection::connect(&url).await.ok()?;
                let row = connection.fetch_one("SELECT VERSION()").await.ok()?;
                row.try_get(0).ok()
            }
        }
    }

    async fn place(&self, name: &str) -> Result<Box<dyn Place>, ShopError> {
        let url = self.server.database(name).await?;
        Ok(Box::new(Database { url, server: Arc::clone(&self.server) }))
    }

    async fn yardsticks(&self) -> Result<Vec<Box<dyn Yardstick>>, ShopError> {
        let url = self.server.database("yardstick").await?;
        Ok(match &*self.server {
            Server::Postgres(_) => match PgBench::open(&url).await? {
                Some(pgbench) => vec![Box::new(pgbench)],
                None => Vec::new(),
            },
            Server::Mariadb(_) => vec![Box::new(ByHand::open(&url).await?)],
        })
    }
}

struct Database {
    url: String,
    server: Arc<Server>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

#[async_trait]
impl Place for Database {
    async fn open(&self) -> Result<DynStore, ShopError> {
        Ok(i3_store_sql::open(&self.url).await?)
    }

    /// Tables and indexes as the server counts them, without its logs.
    async fn bytes(&self) -> Result<Option<u64>, ShopError> {
        let bytes: i64 = match &*self.server {
            Server::Postgres(_) => {
                let mut connection = PgConnection::connect(&self.url).await?;
                connection.fetch_one("SELECT pg_database_size(current_database())").await?.try_get(0)?
            }
            Server::Mariadb(_) => {
                let mut connection = MySqlConnection::connect(&self.url).await?;
                let names = connection
                    .fetch_all(
                        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
                    )
                    .await?;
                for row in names {
                    let name: String = row.try_get(0)?;
                    // Else the sizes are those of some earlier moment. Safe: the server's own name of a table.
                    let analyze = format!("ANALYZE TABLE `{}`", name.replace('`', "``"));
                    connection.fetch_all(sqlx::AssertSqlSafe(analyze)).await?;
                }
                let sum = "SELECT CAST(SUM(data_length + index_length) AS SIGNED) FROM information_schema.tables \
                           WHERE table_schema = DATABASE()";
                connection.fetch_one(sum).await?.try_get::<Option<i64>, _>(0)?.unwrap_or(0)
            }
        };
        Ok(u64::try_from(bytes).ok())
    }
}
