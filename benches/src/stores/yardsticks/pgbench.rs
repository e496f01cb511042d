//! PostgreSQL's own load generator with a purchase written by hand as one statement.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection, Row as _};
use tempfile::TempDir;

use super::Yardstick;
use crate::callers::Calls;
use crate::rounds::percentile;
use crate::shop::ShopError;
use crate::stores::bars::PGBENCH;

/// The tables, as the two yardsticks of purchases share them.
pub(super) const TABLES: &str = include_str!("purchase.sql");

/// What a round adds to; the rest is as it was.
pub(super) const GROWING: [&str; 8] =
    ["balances", "orders", "grants", "usages", "ledger", "answers", "audit", "outbox"];

/// One statement does it all: it reads the buyer, offer, product and hub, pays with a conditional update, and writes
/// order, grant, usage, two ledger entries, balance held, answer, audit row and event.
const STATEMENT: &str = include_str!("purchase.pgbench.sql");

/// Buyers; each connection is one.
pub(super) const BUYERS: usize = 64;

/// pgbench beside a store on the same server.
#[derive(Debug)]
pub(in crate::stores) struct PgBench {
    program: PathBuf,
    options: PgConnectOptions,
    /// Its script and its logs.
    folder: TempDir,
}

impl PgBench {
    /// Makes the tables in the empty database at this URL. `None`, with a loud line, if pgbench is not installed.
    pub(in crate::stores) async fn open(url: &str) -> Result<Option<Self>, ShopError> {
        let Some(program) = find(PGBENCH) else {
            eprintln!("LEFT OUT: pgbench is not installed, so nothing is compared with it");
            return Ok(None);
        };
        let options: PgConnectOptions = url.parse()?;
        let folder = tempfile::Builder::new().prefix("i3-pgbench-").tempdir()?;
        std::fs::write(folder.path().join("purchase.sql"), STATEMENT)?;
        let tables = TABLES
            .replace("{text}", "text")
            .replace("{number}", "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY");
        let mut connection = options.connect().await?;
        connection.execute(AssertSqlSafe(tables)).await?;
        for buyer in 0..BUYERS {
            sqlx::query("INSERT INTO users VALUES ('usr_' || $1, 'active', 'consumer')")
                .bind(i64::try_from(buyer)?)
                .execute(&mut connection)
                .await?;
        }
        Ok(Some(Self { program, options, folder }))
    }

    fn run(&self, connections: usize, time: Duration) -> Result<Calls, ShopError> {
        // Whole seconds are all that it takes.
        let seconds = (time.as_secs_f64().round().max(1.0)).to_string();
        let connections = connections.to_string();
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.folder.path())
            .args(["-n", "-M", "prepared", "-f", "purchase.sql", "-l", "--log-prefix=times"])
            .args([
                "-c",
                &connections,
                "-j",
                &connections.parse::<usize>()?.min(2).to_string(),
                "-T",
                &seconds,
            ])
            .arg("-h")
            .arg(
                self.options
                    .get_socket()
                    .map_or(OsStr::new(self.options.get_host()), |path| path.as_os_str()),
            )
            .args(["-p", &self.options.get_port().to_string(), "-U", self.options.get_username()])
            .arg(self.options.get_database().unwrap_or("postgres"))
            .stdin(Stdio::null());
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("pgbench ended with {}: {complaint}", output.status).into());
        }
        let times = self.times()?;
        Ok(Calls {
            per_second: rate(&said).ok_or_else(|| format!("pgbench says no rate: {said}{complaint}"))?,
            p50: percentile(&times, 50),
            p99: percentile(&times, 99),
        })
    }

    /// The times of all purchases of the last run, sorted, whose logs are removed.
    fn times(&self) -> Result<Vec<Duration>, ShopError> {
        let mut times = Vec::new();
        for entry in std::fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("times")) {
                let log = std::fs::read_to_string(&path)?;
                times.extend(log.lines().filter_map(micros));
                std::fs::remove_file(path)?;
            }
        }
        times.sort_unstable();
        Ok(times)
    }
}

/// Client, number, microseconds, and more: <https://www.postgresql.org/docs/15/pgbench.html>, "Per-Transaction
/// Logging".
fn micros(line: &str) -> Option<Duration> {
    line.split_whitespace().nth(2)?.parse().ok().map(Duration::from_micros)
}

/// The line `tps = 1234.5 (without initial connection time)`, and none of transactions that failed.
fn rate(said: &str) -> Option<f64> {
    let failed = said.lines().find_map(|line| line.strip_prefix("number of failed transactions:"));
    if failed.is_some_and(|failed| !failed.trim().starts_with("0 ")) {
        return None;
    }
    said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
}

/// A program in `PATH` or where Debian puts PostgreSQL's.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    std::env::split_paths(&path)
        .chain(versions)
        .map(|folder| folder.join(name))
        .find(|file| Path::is_file(file))
}

#[async_trait]
impl Yardstick for PgBench {
    fn name(&self) -> &'static str {
        PGBENCH
    }

    fn workload(&self) -> &'static str {
        "purchase"
    }

    fn beside(&self, callers: usize) -> Option<usize> {
        match callers {
            1 | 8 => Some(callers),
            64 => Some(32),
            _ => None,
        }
    }

    async fn fresh(&self) -> Result<(), ShopError> {
        let mut connection = self.options.connect().await?;
        connection.execute(AssertSqlSafe(format!("TRUNCATE {}", GROWING.join(", ")))).await?;
        fill(&mut connection).await
    }

    async fn measure(&self, connections: usize, time: Duration) -> Result<Calls, ShopError> {
        let calls = tokio::task::block_in_place(|| self.run(connections, time))?;
        // What was counted is there: an order and two entries that sum to zero for each.
        let mut connection = self.options.connect().await?;
        let check = "SELECT (SELECT count(*) FROM orders) * 2 = count(*) AND sum(amount) = 0 FROM ledger";
        match connection.fetch_one(check).await?.try_get::<Option<bool>, _>(0)? {
            Some(true) => Ok(calls),
            _ => Err("pgbench's books do not balance".into()),
        }
    }
}

async fn fill(connection: &mut PgConnection) -> Result<(), ShopError> {
    connection
        .execute("INSERT INTO balances SELECT 'available/' || id || '/EUR', 1000000000000 FROM users")
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_and_a_run_with_failures_has_none() {
        let said = |failed: &str| {
            format!(
                "latency average = 0.5 ms\nnumber of failed transactions: {failed}\ntps = 1893.25 (without initial connection time)\n"
            )
        };
        assert_eq!(rate(&said("0 (0.000%)")), Some(1893.25));
        assert_eq!(rate(&said("3 (0.100%)")), None);
        assert_eq!(rate("nothing"), None);
    }

    #[test]
    fn the_third_field_of_a_log_line_is_its_time() {
        assert_eq!(micros("0 199 2241 0 1175850568 995598"), Some(Duration::from_micros(2_241)));
        assert_eq!(micros("0 199"), None);
    }
}
