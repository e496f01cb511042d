//! MariaDB, or a MySQL that runs by itself.

use std::sync::OnceLock;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use super::places::program;
use super::server::{Folder, PATIENCE, Product, Server};
use super::{Durable, ServerError, around_path, blocking, database_name, or_skip};

const PRODUCT: Product = Product { name: "MariaDB", user: "mysql", signal: "KILL" };
const MISSING: ServerError =
    ServerError::Missing { product: PRODUCT.name, looked_for: "mariadbd, mysqld and mariadb-install-db" };

/// A MariaDB server: one of our own, or one that runs by itself.
#[derive(Debug)]
pub struct Mariadb {
    options: MySqlConnectOptions,
    /// What a URL has before and after the database's name.
    url: (String, String),
    server: Option<Server>,
}

impl Mariadb {
    /// Starts a server with an empty folder; returns when it answers.
    ///
    /// The account `root` needs no password; the socket's folder is closed to other users of the machine.
    /// [`Durable::Yes`] is `innodb_flush_log_at_trx_commit=1` without a binary log.
    pub fn start(durable: Durable) -> Result<Self, ServerError> {
        let install = program(&["mariadb-install-db", "mysql_install_db"], &[]).ok_or(MISSING)?;
        let daemon = program(&["mariadbd", "mysqld"], &[]).ok_or(MISSING)?;
        let folder = Folder::new(PRODUCT)?;
        let data = format!("--datadir={}", folder.path().join("data").display());
        let common = ["--no-defaults", &*data];
        let fresh = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"];
        folder.run(&install, &[&common[..], &fresh[..], &["--innodb-flush-method=nosync"]].concat())?;
        let socket = folder.path().join("s");
        let mut arguments = common.map(str::to_owned).to_vec();
        arguments.push(format!("--socket={}", socket.display()));
        arguments.push(format!("--pid-file={}", folder.path().join("pid").display()));
        let settings: &[&str] = match durable {
            Durable::Yes => &["--innodb-flush-log-at-trx-commit=1"],
            Durable::No => &[
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-flush-method=nosync",
                "--innodb-doublewrite=0",
                // Tables come and go with every test; files of their own make that slow.
                "--skip-innodb-file-per-table",
            ],
        };
        let always = [
            "--skip-networking",
            "--skip-log-bin",
            "--max-connections=500",
            "--innodb-buffer-pool-size=256M",
        ];
        arguments.extend(always.iter().chain(settings).map(|&argument| argument.to_owned()));
        let server = folder.serve(&daemon, &arguments)?;
        let mariadb = Self {
            options: MySqlConnectOptions::new().username("root").socket(&socket),
            url: ("mysql://root@localhost".to_owned(), format!("?socket={}", socket.display())),
            server: Some(server),
        };
        mariadb.wait()?;
        Ok(mariadb)
    }

    /// The server at this URL, whose account may create and drop databases (those whose names begin with
    /// `i3_test_`; they stay when the process ends).
    pub fn existing(url: &str) -> Result<Self, ServerError> {
        let options: MySqlConnectOptions = url.parse().map_err(ServerError::Refused)?;
        let existing = Self { options, url: around_path(url), server: None };
        existing.execute("DO 1")?;
        Ok(existing)
    }

    /// Makes an empty database, and drops the one that was called so before. The answer is its URL.
    pub fn database(&self, name: &str) -> Result<String, ServerError> {
        let database = database_name(name, self.server.is_some());
        self.execute(&format!("DROP DATABASE IF EXISTS `{database}`"))?;
        self.execute(&format!("CREATE DATABASE `{database}` CHARACTER SET utf8mb4"))?;
        Ok(self.url(name))
    }

    /// The URL of the database of this name, whether or not it is there.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{}{}", self.url.0, database_name(name, self.server.is_some()), self.url.1)
    }

    /// Runs a statement as the account of the tests, in no database.
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

    /// The server's process; `None` while it is down, and for a server that runs by itself.
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
            Some(server) => server.wait_until(|| self.run("DO 1")),
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

/// The server that the tests of this process share: that of `I3_TEST_MYSQL_URL`, or one of our own that does
/// not wait for the disk. `None` if it is not installed, said in one line; an error if `CI` is set.
pub fn mariadb_or_skip(test: &str) -> Result<Option<&'static Mariadb>, ServerError> {
    static SHARED: OnceLock<Mariadb> = OnceLock::new();
    static STARTING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(server) = SHARED.get() {
        return Ok(Some(server));
    }
    let started = match std::env::var("I3_TEST_MYSQL_URL") {
        Ok(url) => Mariadb::existing(&url),
        Err(_) => Mariadb::start(Durable::No),
    };
    Ok(or_skip(test, started)?.map(|server| SHARED.get_or_init(|| server)))
}

/// A server for this test alone, which it may kill. `None` if it is not installed, said in one line; an error
/// if `CI` is set.
pub fn own_mariadb_or_skip(test: &str, durable: Durable) -> Result<Option<Mariadb>, ServerError> {
    or_skip(test, Mariadb::start(durable))
}
