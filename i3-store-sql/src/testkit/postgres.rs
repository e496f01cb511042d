//! PostgreSQL.

use std::sync::OnceLock;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use super::places::{program, versions};
use super::server::{Folder, PATIENCE, Product, Server};
use super::{Durable, ServerError, around_path, blocking, database_name, or_skip};

// An immediate shutdown: unlike a kill, it leaves no shared memory behind.
const PRODUCT: Product = Product { name: "PostgreSQL", user: "postgres", signal: "QUIT" };
const MISSING: ServerError =
    ServerError::Missing { product: PRODUCT.name, looked_for: "initdb and postgres" };

/// A PostgreSQL server: one of our own, or one that runs by itself.
#[derive(Debug)]
pub struct Postgres {
    options: PgConnectOptions,
    /// What a URL has before and after the database's name.
    url: (String, String),
    server: Option<Server>,
}

impl Postgres {
    /// Starts a server with an empty folder, the newest version that is installed; returns when it answers.
    ///
    /// The account `postgres` needs no password; the socket's folder is closed to other users of the machine.
    pub fn start(durable: Durable) -> Result<Self, ServerError> {
        let debian = versions("/usr/lib/postgresql");
        let daemon = program(&["postgres"], &debian).ok_or(MISSING)?;
        // Of the same version.
        let beside: Vec<_> = daemon.parent().map(Into::into).into_iter().chain(debian).collect();
        let initdb = program(&["initdb"], &beside).ok_or(MISSING)?;
        let folder = Folder::new(PRODUCT)?;
        let data = folder.path().join("data").display().to_string();
        let fresh = [
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "-D",
            &data,
        ];
        folder.run(&initdb, &fresh)?;
        let sockets = folder.path().display().to_string();
        let mut arguments = vec!["-D".to_owned(), data, "-k".to_owned(), sockets.clone()];
        // Without shared memory that has a name outside of the folder.
        let always = ["listen_addresses=", "max_connections=300", "dynamic_shared_memory_type=mmap"];
        let settings: &[&str] = match durable {
            Durable::Yes => &["fsync=on", "synchronous_commit=on"],
            Durable::No => &["fsync=off", "synchronous_commit=off", "full_page_writes=off"],
        };
        for setting in always.iter().chain(settings) {
            arguments.extend(["-c".to_owned(), (*setting).to_owned()]);
        }
        let server = folder.serve(&daemon, &arguments)?;
        let postgres = Self {
            options: PgConnectOptions::new_without_pgpass()
                .username("postgres")
                .database("postgres")
                .socket(&sockets),
            url: ("postgres://postgres@localhost".to_owned(), format!("?host={sockets}")),
            server: Some(server),
        };
        postgres.wait()?;
        Ok(postgres)
    }

    /// The server at this URL, whose account may create and drop databases (those whose names begin with
    /// `i3_test_`; they stay when the process ends).
    pub fn existing(url: &str) -> Result<Self, ServerError> {
        let options: PgConnectOptions = url.parse().map_err(ServerError::Refused)?;
        let existing = Self { options, url: around_path(url), server: None };
        existing.execute("SELECT 1")?;
        Ok(existing)
    }

    /// Makes an empty database, and drops the one that was called so before, connections to it included. The
    /// answer is its URL. Takes about 0.1 s; see [`schema`](Self::schema).
    pub fn database(&self, name: &str) -> Result<String, ServerError> {
        let database = database_name(name, self.server.is_some());
        self.execute(&format!("DROP DATABASE IF EXISTS \"{database}\" WITH (FORCE)"))?;
        self.execute(&format!("CREATE DATABASE \"{database}\" TEMPLATE template0 ENCODING 'UTF8'"))?;
        Ok(self.url(name))
    }

    /// Makes an empty schema in the account's own database, and drops the one that was called so before. The
    /// answer is a URL under which it is the schema that is searched. Much quicker than a database.
    pub fn schema(&self, name: &str) -> Result<String, ServerError> {
        let schema = database_name(name, self.server.is_some());
        self.execute(&format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE; CREATE SCHEMA \"{schema}\""))?;
        let database = self.options.get_database().unwrap_or("postgres");
        let and = if self.url.1.is_empty() { '?' } else { '&' };
        Ok(format!("{}/{database}{}{and}options=-csearch_path%3D{schema}", self.url.0, self.url.1))
    }

    /// The URL of the database of this name, whether or not it is there.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{}{}", self.url.0, database_name(name, self.server.is_some()), self.url.1)
    }

    /// Runs statements as the account of the tests, in its own database.
    pub fn execute(&self, sql: &str) -> Result<(), ServerError> {
        self.run(sql)?.map_err(ServerError::Refused)
    }

    /// Kills all processes of the server, with the signal that cannot be caught. Returns when they are gone.
    pub fn kill(&self) -> Result<(), ServerError> {
        self.server.as_ref().ok_or(ServerError::NotOurs)?.kill()
    }

    /// Starts the server again after [`kill`](Self::kill), on the same folder; returns when it answers.
    /// A server that runs is killed first.
    pub fn restart(&self) -> Result<(), ServerError> {
        let server = self.server.as_ref().ok_or(ServerError::NotOurs)?;
        server.kill()?;
        server.start()?;
        self.wait()
    }

    /// The server's first process; `None` while it is down, and for a server that runs by itself.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().and_then(Server::pid)
    }

    /// What the server has logged; empty for a server that runs by itself.
    pub fn log(&self) -> String {
        self.server.as_ref().map(Server::log).unwrap_or_default()
    }

    /// Its temporary folder; `None` for a server that runs by itself.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.server.as_ref().map(Server::folder)
    }

    fn wait(&self) -> Result<(), ServerError> {
        match &self.server {
            Some(server) => server.wait_until(|| self.run("SELECT 1")),
            None => Ok(()),
        }
    }

    fn run(&self, sql: &str) -> Result<Result<(), sqlx::Error>, ServerError> {
        blocking(async {
            let work = async {
                let mut connection = self.options.connect().await?;
                // Safe: the texts are made here, of names that are checked, or by the tests themselves.
                connection.execute(AssertSqlSafe(sql)).await?;
                connection.close().await
            };
            tokio::time::timeout(PATIENCE, work)
                .await
                .unwrap_or_else(|late| Err(sqlx::Error::Io(late.into())))
        })
    }
}

/// The server that the tests of this process share: that of `I3_TEST_POSTGRES_URL`, or one of our own that
/// does not wait for the disk. `None` if it is not installed, said in one line; an error if `CI` is set.
pub fn postgres_or_skip(test: &str) -> Result<Option<&'static Postgres>, ServerError> {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    static STARTING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(server) = SHARED.get() {
        return Ok(Some(server));
    }
    let started = match std::env::var("I3_TEST_POSTGRES_URL") {
        Ok(url) => Postgres::existing(&url),
        Err(_) => Postgres::start(Durable::No),
    };
    Ok(or_skip(test, started)?.map(|server| SHARED.get_or_init(|| server)))
}

/// A server for this test alone, which it may kill. `None` if it is not installed, said in one line; an error
/// if `CI` is set.
pub fn own_postgres_or_skip(test: &str, durable: Durable) -> Result<Option<Postgres>, ServerError> {
    or_skip(test, Postgres::start(durable))
}
