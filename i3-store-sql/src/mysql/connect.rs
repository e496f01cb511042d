//! From an address to connections.

use std::str::FromStr as _;
use std::time::Duration;

use i3_core::store::{Durability, StoreErrorKind};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};

use super::MysqlOptions;
use crate::server::{Failure, Meaning};

/// How connections are made. Knows the password, so it is not for output.
#[derive(Clone)]
pub(super) struct Target {
    options: MySqlConnectOptions,
    /// What every connection is told first.
    session: String,
    /// How long to wait for a connection.
    connect_timeout: Duration,
    /// How long to wait for an answer before the connection is given up.
    pub(super) patience: Duration,
}

impl Target {
    /// Where `url` leads.
    pub(super) fn of(url: &str, options: &MysqlOptions) -> Result<Self, Failure> {
        let misconfigured = || {
            let message = "not an address of a MySQL or MariaDB database: \
                           mysql://USER:PASSWORD@HOST:PORT/DATABASE?ssl-mode=REQUIRED is expected, \
                           with special characters percent-encoded";
            Failure::new(StoreErrorKind::Misconfigured, message)
        };
        // Reads `mariadb://` too. Its error may quote what it did not understand, which may be the password.
        let common = MySqlConnectOptions::from_str(url).map_err(|_| misconfigured())?;
        if !(url.starts_with("mysql://") || url.starts_with("mariadb://")) || common.get_database().is_none()
        {
            return Err(misconfigured());
        }
        // The settings are said below, whole, and not added to what the server has.
        let common = common.pipes_as_concat(false).no_engine_substitution(false).disable_statement_logging();
        let wait = options.lock_timeout.as_secs().clamp(1, 3600);
        // Strict, so that nothing is cut or replaced on its way in. The server may have other ideas of
        // autocommit too.
        let session = format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, \
             innodb_lock_wait_timeout = {wait}, lock_wait_timeout = {wait}"
        );
        let patience = options.statement_timeout;
        Ok(Self { options: common, session, connect_timeout: options.connect_timeout, patience })
    }

    /// For the pool, together with [`session`](Self::session).
    pub(super) fn reading(&self) -> MySqlConnectOptions {
        self.options.clone()
    }

    /// What every connection is told first.
    pub(super) fn session(&self) -> String {
        self.session.clone()
    }

    /// The writer's connection.
    pub(super) async fn connect(&self) -> Result<MySqlConnection, Failure> {
        let connect = async {
            let mut connection = self.options.connect().await?;
            connection.execute(AssertSqlSafe(self.session())).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        match tokio::time::timeout(self.connect_timeout, connect).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(Failure::of(Meaning::lost(
                "the database did not let us in within the time limit: check that it runs, and its address",
            ))),
        }
    }

    /// Runs a text of one or several statements; the answer is all rows of all of them. The text must be made
    /// of declared names, numbers and [`literal`](super::sql::literal)s.
    pub(super) async fn run(
        &self,
        connection: &mut MySqlConnection,
        text: String,
    ) -> Result<Vec<MySqlRow>, Failure> {
        let rows = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(connection);
        match tokio::time::timeout(self.patience, rows).await {
            Ok(rows) => Ok(rows?),
            Err(_) => Err(Failure::of(LATE)),
        }
    }
}

/// The database does not answer; the connection cannot be used any more.
pub(super) const LATE: Meaning = Meaning {
    kind: StoreErrorKind::Busy,
    advice: "the database did not answer within the time limit: look at its load and locks, or allow more time",
    again: false,
    lost: true,
};

/// What the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// What a commit survives.
    pub(super) durability: Durability,
    /// Bytes of the longest text that it should be sent.
    pub(super) text_limit: usize,
}

/// The shortest `max_allowed_packet`: the largest row as a literal takes less than a fifth.
const LEAST_PACKET: usize = 1024 * 1024;
/// No text needs to be longer, even if the server would take it.
const LONGEST_TEXT: usize = 2 * 1024 * 1024;

impl Facts {
    /// Asks the server.
    pub(super) async fn of(target: &Target, connection: &mut MySqlConnection) -> Result<Self, Failure> {
        // As texts, because the types differ between MySQL, MariaDB and their versions.
        let question = "SELECT \
            CAST(@@innodb_flush_log_at_trx_commit AS CHAR), CAST(@@innodb_flush_method AS CHAR), \
            CAST(@@innodb_doublewrite AS CHAR), CAST(@@log_bin AS CHAR), CAST(@@sync_binlog AS CHAR), \
            CAST(@@max_allowed_packet AS CHAR)";
        let rows = target.run(connection, question.to_owned()).await?;
        let row = rows.first().ok_or_else(|| Failure::corrupt("the server says nothing of itself"))?;
        let texts: Result<Vec<Option<String>>, sqlx::Error> =
            (0..6).map(|place| row.try_get(place)).collect();
        let texts: Vec<String> = texts?.into_iter().map(Option::unwrap_or_default).collect();
        let [flush, method, doublewrite, log, sync, packet] = texts.as_slice() else {
            return Err(Failure::corrupt("the server says nothing of itself"));
        };
        let packet: usize = packet.parse().unwrap_or(LEAST_PACKET);
        if packet < LEAST_PACKET {
            let message = "the database server takes packets of too few bytes: set max_allowed_packet to 1 MiB \
                           or more (16 MiB is usual), and open the store again";
            return Err(Failure::new(StoreErrorKind::Misconfigured, message));
        }
        let durability = durability(flush, method, doublewrite, log, sync);
        // Half of it is left for one row and the protocol.
        Ok(Self { durability, text_limit: (packet / 2).min(LONGEST_TEXT) })
    }
}

/// What a commit survives under these settings. With `innodb_flush_log_at_trx_commit` 0, the death of the
/// server's process takes back the last second; that of ours takes back nothing.
fn durability(flush: &str, method: &str, doublewrite: &str, log: &str, sync: &str) -> Durability {
    let off = |text: &str| matches!(text.to_ascii_lowercase().as_str(), "0" | "off");
    let synced = flush == "1" && !method.eq_ignore_ascii_case("nosync");
    let logged = off(log) || sync == "1";
    if synced && logged && !off(doublewrite) { Durability::PowerLoss } else { Durability::ProcessCrash }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        let failure = Target::of(url, &MysqlOptions::default()).err().unwrap();
        let error = failure.told();
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
        format!("{error} {error:?}")
    }

    #[test]
    fn an_address_of_something_else_is_misconfigured_and_its_password_not_told() {
        for url in
            ["", "what", "postgres://u:hunter2@h/db", "mysql://u:hunter2@h", "mysql://u:hunter2@h:x/db"]
        {
            let told = refused(url);
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn only_a_server_that_syncs_everything_at_each_commit_survives_a_power_loss() {
        use Durability::{PowerLoss, ProcessCrash};
        assert_eq!(durability("1", "fsync", "ON", "0", "0"), PowerLoss);
        assert_eq!(durability("1", "O_DIRECT", "1", "1", "1"), PowerLoss);
        assert_eq!(durability("2", "fsync", "ON", "0", "0"), ProcessCrash);
        assert_eq!(durability("0", "fsync", "ON", "0", "0"), ProcessCrash);
        assert_eq!(durability("1", "nosync", "ON", "0", "0"), ProcessCrash);
        assert_eq!(durability("1", "fsync", "OFF", "0", "0"), ProcessCrash);
        assert_eq!(durability("1", "fsync", "ON", "1", "0"), ProcessCrash);
    }
}
