//! `i3-former-sqlite FILE SECONDS CALLERS`: access checks on a SQLite store's file, as the store made them until
//! it left sqlx: every `read` is one query, sent to the thread of one of four connections. Prints checks a second,
//! and the p50 and p99 of one in microseconds.
//!
//! The marketplace above is the present one; so what is compared is how a store reads, and nothing else.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use i3_auth::RolePolicy;
use i3_core::gate::Directory as _;
use i3_core::id::GrantId;
use i3_core::market::Marketplace;
use i3_core::store::{
    Batch, Body, Cell, CommitError, Durability, Key, Page, Receipt, Scan, Schema, Store, StoreError,
    StoreErrorKind, Version,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection};
use tokio::sync::Semaphore;

/// The store's default.
const READERS: usize = 4;

/// Reads records of a SQLite store; anything else is refused.
#[derive(Debug)]
struct Former {
    options: SqliteConnectOptions,
    idle: Mutex<Vec<SqliteConnection>>,
    permits: Semaphore,
}

impl Former {
    async fn rows(
        &self,
        sql: String,
        binds: Vec<String>,
    ) -> Result<Vec<SqliteRow>, Box<dyn Error + Send + Sync>> {
        let _permit = self.permits.acquire().await?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for bind in binds {
            query = query.bind(bind);
        }
        let rows = query.fetch_all(&mut connection).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(rows)
    }

    async fn cells(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, Box<dyn Error + Send + Sync>> {
        let (sql, binds) = if let [key] = keys {
            let table = key.collection().name;
            let sql = format!(
                "SELECT '{table}', t.\"id\", t.\"version\", t.\"body\" FROM \"{table}\" t WHERE t.\"id\" = ?"
            );
            (sql, vec![key.id().to_owned()])
        } else {
            let mut tables: Vec<(&str, Vec<&str>)> = Vec::new();
            for key in keys {
                let name = key.collection().name;
                match tables.iter_mut().find(|(table, _)| *table == name) {
                    Some((_, ids)) => ids.push(key.id()),
                    None => tables.push((name, vec![key.id()])),
                }
            }
            let (mut sql, mut binds) = (String::new(), Vec::new());
            for (table, ids) in tables {
                sql.push_str(&format!(
                    "SELECT '{table}', t.\"id\", t.\"version\", t.\"body\" FROM json_each(?) k \
                     CROSS JOIN \"{table}\" t ON t.\"id\" = k.value; "
                ));
                binds.push(serde_json::to_string(&ids)?);
            }
            (sql, binds)
        };
        let mut cells = HashMap::new();
        for row in self.rows(sql, binds).await? {
            let version = u64::try_from(row.try_get::<i64, _>(2)?)?;
            let version = Version::from_number(version).ok_or("a version is out of range")?;
            let body = Body::new(row.try_get::<String, _>(3)?)?;
            let place = (row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?);
            cells.insert(place, Cell::Record { version, body });
        }
        Ok(keys
            .iter()
            .map(|key| cells.get(&(key.collection().name.to_owned(), key.id().to_owned())).cloned())
            .collect())
    }
}

fn only_reads() -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, "this store only reads")
}

#[async_trait]
impl Store for Former {
    async fn prepare(&self, _: &Schema) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        let failed = |error| StoreError::new(StoreErrorKind::Unavailable, "a read failed").with_source(error);
        self.cells(keys).await.map_err(|error| failed(std::io::Error::other(error)))
    }

    async fn scan(&self, _: &Scan) -> Result<Page, StoreError> {
        Err(only_reads())
    }

    async fn commit(&self, _: &Batch) -> Result<Receipt, CommitError> {
        Err(only_reads().into())
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }
}

/// The same order of grants as in the workload `access`.
fn scattered(caller: u64, call: u64) -> u64 {
    let seed = caller.wrapping_mul(0x9e37_79b9) ^ call.wrapping_mul(0x1_0000_0001);
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: i3-former-sqlite FILE SECONDS CALLERS");
    let (file, seconds, callers) = (next()?, next()?, next()?);
    let (time, callers) = (Duration::from_secs_f64(seconds.parse()?), callers.parse::<u64>()?);

    let options = SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(true)
        .row_buffer_size(1024)
        .read_only(true)
        .disable_statement_logging();
    let first = options.connect().await?;
    let former = Former { options, idle: Mutex::new(vec![first]), permits: Semaphore::new(READERS) };
    let ids = former.rows("SELECT \"id\" FROM \"grants\" ORDER BY \"id\"".to_owned(), Vec::new()).await?;
    let mut grants = Vec::new();
    for row in &ids {
        grants.push(row.try_get::<String, _>(0)?.parse::<GrantId>()?);
    }
    let grants = Arc::new(grants);
    let market = Marketplace::open(Arc::new(former), Arc::new(RolePolicy), i3_auth::COLLECTIONS).await?;

    let begun = Instant::now();
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let (market, grants) = (market.clone(), Arc::clone(&grants));
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            for call in 0_u64.. {
                let before = begun.elapsed();
                if before >= time {
                    break;
                }
                let place = scattered(caller, call) % u64::try_from(grants.len())?.max(1);
                let grant = grants.get(usize::try_from(place)?).ok_or("the store has no orders")?;
                if !market.grant(*grant).await?.is_some_and(|view| view.open) {
                    return Err("a grant is not open".into());
                }
                times.push(begun.elapsed().saturating_sub(before));
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let elapsed = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default().as_micros();
    let count = u32::try_from(times.len())?;
    println!("{:.1} {} {}", f64::from(count) / elapsed, at(50), at(99));
    Ok(())
}
