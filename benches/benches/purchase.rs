//! Durable purchases in a second with 1, 8 and 64 callers on each store; see the README beside.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use i3_benches::callers::closed_loop;
use i3_benches::disk::{Pattern, sync_rate};
use i3_benches::durable::Verdict;
use i3_benches::exit;
use i3_benches::options::Options;
use i3_benches::rounds::Rounds;
use i3_benches::shop::{Shop, ShopError};
use i3_core::store::{Durability, DynStore, MemoryStore};
use i3_store_sled::SledStore;
use i3_store_sql::{SqliteOptions, SqliteStore};

const CALLERS: [usize; 3] = [1, 8, 64];

/// How many times a measurement and one of the disk take turns.
const TURNS: u32 = 4;

/// How many times the commits of one caller 64 callers are promised to reach.
const GAIN: f64 = 12.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Memory,
    Sqlite,
    Sled,
}

impl Backend {
    const ALL: [Self; 3] = [Self::Memory, Self::Sqlite, Self::Sled];

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "SQLite",
            Self::Sled => "sled",
        }
    }

    async fn open(self, directory: &Path) -> Result<DynStore, ShopError> {
        Ok(match self {
            Self::Memory => Arc::new(MemoryStore::new()),
            Self::Sqlite => {
                Arc::new(SqliteStore::open(directory.join("shop.sqlite"), SqliteOptions::default()).await?)
            }
            Self::Sled => Arc::new(SledStore::open(directory.join("shop.sled"))?),
        })
    }
}

/// The rates on one backend.
struct Measured {
    backend: Backend,
    durability: Durability,
    commits: Rounds,
    appends: Rounds,
    overwrites: Rounds,
}

fn row(callers: usize) -> String {
    format!("{callers} at a time")
}

fn main() -> ExitCode {
    exit(tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(bench())))
}

async fn bench() -> Result<(), ShopError> {
    let options = Options::parse(std::env::args().skip(1))?;
    // On the disk that the build is on: the system's temporary directory is often in memory.
    let scratch = tempfile::Builder::new().prefix("purchase").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut all: Vec<Measured> = Vec::new();
    for round in 0..options.rounds {
        for backend in Backend::ALL {
            let directory = scratch.path().join(format!("{}-{round}", backend.name()));
            std::fs::create_dir(&directory)?;
            let store = backend.open(&directory).await?;
            let place = all.iter().position(|measured| measured.backend == backend).unwrap_or(all.len());
            if place == all.len() {
                let durability = store.durability();
                let (commits, appends, overwrites) = <(Rounds, Rounds, Rounds)>::default();
                all.push(Measured { backend, durability, commits, appends, overwrites });
            }
            let shop = Shop::open(store, CALLERS.into_iter().max().unwrap_or(1)).await?;
            for callers in CALLERS {
                let [commits, appends, overwrites] =
                    beside_the_disk(&shop, callers, &directory, options.measure).await?;
                if let Some(measured) = all.get_mut(place) {
                    measured.commits.record(&row(callers), commits);
                    measured.appends.record(&row(callers), appends);
                    measured.overwrites.record(&row(callers), overwrites);
                }
            }
            drop(shop);
            std::fs::remove_dir_all(&directory)?;
        }
    }
    for measured in &all {
        report(measured);
    }
    Ok(())
}

/// Purchases, appending syncs and overwriting syncs in a second, measured in turns, as a shared disk is fast and
/// slow by the second.
async fn beside_the_disk(
    shop: &Shop,
    callers: usize,
    directory: &Path,
    time: Duration,
) -> Result<[f64; 3], ShopError> {
    let (mut commits, mut appends, mut overwrites) = (0.0, 0.0, 0.0);
    for turn in 0..TURNS {
        appends += disk(directory, Pattern::Append, time / (3 * TURNS)).await?;
        commits += purchases(shop, callers, turn, time / TURNS).await?;
        overwrites += disk(directory, Pattern::Overwrite, time / (3 * TURNS)).await?;
    }
    Ok([commits, appends, overwrites].map(|sum| sum / f64::from(TURNS)))
}

/// Syncs in a second, now.
async fn disk(directory: &Path, pattern: Pattern, time: Duration) -> Result<f64, ShopError> {
    let directory = directory.to_owned();
    let rate = tokio::task::spawn_blocking(move || sync_rate(&directory, pattern, time));
    Ok(rate.await??.per_second)
}

async fn purchases(shop: &Shop, callers: usize, turn: u32, time: Duration) -> Result<f64, ShopError> {
    let shop = shop.clone();
    let calls = closed_loop::<_, _, ShopError>(callers, time, move |caller, call| {
        let shop = shop.clone();
        async move {
            shop.buy(caller, &format!("{callers}-{turn}-{call}")).await?;
            Ok(())
        }
    });
    Ok(calls.await?.per_second)
}

fn report(measured: &Measured) {
    let Measured { backend, durability, commits, appends, overwrites } = measured;
    let title = format!("purchases on {}, which survive: {durability}", backend.name());
    println!("{}", commits.table(&title, "commits/s", &row(1)));
    if *durability != Durability::PowerLoss {
        return;
    }
    let median =
        |rounds: &Rounds, callers| rounds.summary(&row(callers)).map_or(0.0, |summary| summary.median);
    for callers in CALLERS {
        let [commits, appends, overwrites] =
            [commits, appends, overwrites].map(|rates| median(rates, callers));
        println!(
            "  {:<14} {:>6.2} commits per appending sync ({appends:.0}/s), {:>6.2} per overwriting sync ({overwrites:.0}/s)",
            row(callers),
            commits / appends,
            commits / overwrites,
        );
    }
    let fastest = median(appends, 1).max(median(overwrites, 1));
    println!("  {}", Verdict::of_single_caller(median(commits, 1), fastest));
    if let Some(gain) = commits.ratio(&row(64), &row(1)) {
        let met = if gain >= GAIN { "met" } else { "NOT met" };
        println!("  64 at a time are {gain:.1} times one; at least {GAIN} are promised: {met}\n");
    }
}
