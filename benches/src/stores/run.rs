//! The rounds.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use i3_core::store::Durability;
use tokio::task::JoinSet;

use super::backend::{Backend, Place};
use super::calibration::Disk;
use super::named::{self, Found};
use super::results::{Results, Sample, Tested};
use super::settings::Settings;
use super::workload::{BYTES, Call, Ground, OPEN, Workload, all};
use super::yardsticks::Yardstick;
use super::{machine, report};
use crate::callers::{Calls, closed_loop};
use crate::shop::{Deed, Shop, ShopError};

/// How many times a measurement of commits and one of the disk take turns.
const TURNS: u32 = 2;

/// Buyers of a shop: as many as there are ever callers.
const BUYERS: usize = 64;

/// One store that is open for measuring.
struct Stall {
    backend: usize,
    shop: Shop,
}

/// A place with a filled shop, closed between the rounds.
struct Filled {
    place: Box<dyn Place>,
    deed: Arc<Deed>,
}

/// Something to hold a backend against.
struct Beside {
    backend: usize,
    yardstick: Box<dyn Yardstick>,
}

/// Measures, prints and writes.
pub(super) fn bench(
    settings: &Settings,
    scratch: &Path,
    own: Vec<Box<dyn Backend>>,
) -> Result<(), ShopError> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(run(settings, scratch, own))
}

async fn run(settings: &Settings, scratch: &Path, own: Vec<Box<dyn Backend>>) -> Result<(), ShopError> {
    let workloads: Vec<_> = all().into_iter().filter(|workload| settings.wants(workload.name())).collect();
    check_names(settings)?;

    let mut about = machine::describe();
    about.extend(machine::load().map(|load| ("load before", load)));
    let begun = Instant::now();
    let mut run = Run::new(settings, workloads);
    run.backends = run.find(own, scratch)?;
    let mut filled = Vec::new();
    for backend in 0..run.backends.len() {
        filled.push(run.fill(backend).await?);
    }
    run.yardsticks = run.beside().await?;
    for round in 0..settings.rounds() {
        eprintln!("round {} of {}, {} s", round + 1, settings.rounds(), begun.elapsed().as_secs());
        run.fresh_round(round).await?;
        run.filled_round(round, &filled).await?;
    }
    about.extend(machine::load().map(|load| ("load after", load)));
    report::deliver(settings, scratch, &about, &run.results)
}

/// Refuses workloads that there are not: a run of nothing would look like a success.
fn check_names(settings: &Settings) -> Result<(), ShopError> {
    let known: Vec<_> = all().iter().map(|workload| workload.name()).chain([OPEN, BYTES]).collect();
    match settings.workloads.iter().find(|named| !known.contains(&named.as_str())) {
        Some(unknown) => {
            Err(format!("there is no workload {unknown}; there are {}", known.join(", ")).into())
        }
        None => Ok(()),
    }
}

struct Run<'a> {
    settings: &'a Settings,
    results: Results,
    backends: Vec<Box<dyn Backend>>,
    workloads: Vec<Box<dyn Workload>>,
    yardsticks: Vec<Beside>,
}

impl<'a> Run<'a> {
    fn new(settings: &'a Settings, workloads: Vec<Box<dyn Workload>>) -> Self {
        let (results, backends, yardsticks) = (Results::default(), Vec::new(), Vec::new());
        Self { settings, results, backends, workloads, yardsticks }
    }

    /// The backends that the command line names, or all.
    fn find(
        &mut self,
        own: Vec<Box<dyn Backend>>,
        scratch: &Path,
    ) -> Result<Vec<Box<dyn Backend>>, ShopError> {
        let mut found: Vec<Box<dyn Backend>> = Vec::new();
        let mut own: Vec<Option<_>> = own.into_iter().map(Some).collect();
        let everything: Vec<_> = named::NAMES.iter().map(|name| (*name).to_owned()).collect();
        let all = self.settings.backends.is_empty();
        for name in if all { &everything } else { &self.settings.backends } {
            let (kind, folder) =
                name.split_once(':').map_or((name.as_str(), None), |(kind, rest)| (kind, Some(rest)));
            let mine = own.iter_mut().find(|mine| mine.as_ref().is_some_and(|mine| mine.name() == kind));
            let backend = match mine.and_then(Option::take) {
                Some(mut mine) => {
                    mine.settle(folder.map_or(scratch, Path::new))?;
                    mine
                }
                None if self.settings.sync_floor.is_some() && named::is_server(name) => {
                    self.leave_out(format!("{name}: the floor of --sync-floor does not reach a server"));
                    continue;
                }
                None => match named::find(name, scratch)? {
                    Found::Backend(backend) => backend,
                    Found::Missing(why) => {
                        self.leave_out(format!("{name}: {why}"));
                        continue;
                    }
                },
            };
            found.push(backend);
        }
        if all {
            for mut mine in own.into_iter().flatten() {
                mine.settle(scratch)?;
                found.push(mine);
            }
        }
        Ok(found)
    }

    /// What the backends are held against.
    async fn beside(&self) -> Result<Vec<Beside>, ShopError> {
        let mut all = Vec::new();
        for (number, backend) in self.backends.iter().enumerate() {
            let mut found = backend.yardsticks().await?;
            found.retain(|yardstick| self.settings.wants(yardstick.workload()));
            all.extend(found.into_iter().map(|yardstick| Beside { backend: number, yardstick }));
        }
        Ok(all)
    }

    fn leave_out(&mut self, what: String) {
        eprintln!("LEFT OUT: {what}");
        self.results.left_out.push(what);
    }

    fn name(&self, backend: usize) -> String {
        self.backends.get(backend).map(|backend| backend.name().to_owned()).unwrap_or_default()
    }

    fn folder(&self, backend: usize) -> Option<&Path> {
        self.backends.get(backend).and_then(|backend| backend.folder())
    }

    /// Opens a backend for the first time, and fills a shop if anything is measured in one.
    async fn fill(&mut self, number: usize) -> Result<Option<Filled>, ShopError> {
        let backend = self.backends.get(number).ok_or("no such backend")?;
        let place = backend.place("filled").await?;
        let store = place.open().await?;
        let durability = store.durability();
        let tested = Tested {
            name: backend.name().to_owned(),
            durability,
            version: backend.version().await,
            disk: backend.folder().and_then(machine::file_system),
        };
        eprintln!("{}: survives {durability}", tested.name);
        self.results.tested.push(tested);
        let filled_ones = self.workloads.iter().any(|workload| workload.ground() == Ground::Filled);
        if !filled_ones && !self.settings.wants(OPEN) && !self.settings.wants(BYTES) {
            return Ok(None);
        }

        let shop = Shop::open(store, BUYERS).await?;
        let deed = shop.deed();
        close(shop).await?;
        let before = place.bytes().await?;
        let shop = Shop::reopen(place.open().await?, Arc::clone(&deed)).await?;
        let begun = Instant::now();
        orders(&shop, self.settings.orders()).await?;
        eprintln!(
            "{}: {} orders in {:.1} s",
            self.name(number),
            self.settings.orders(),
            begun.elapsed().as_secs_f64()
        );
        close(shop).await?;
        if let (Some(before), Some(after)) = (before, place.bytes().await?)
            && self.settings.wants(BYTES)
        {
            let more = u32::try_from(after.saturating_sub(before) / 1024)?;
            let count = u32::try_from(self.settings.orders())?;
            let value = f64::from(more) * 1024.0 / f64::from(count);
            let sample = Sample { round: 0, value, times: None, disk: None };
            let about = "what each order has added to the closed store on the disk, with its grant, usage record, \
                         ledger entries, audit entry, outbox event and answer, and their indexes";
            self.results.record((BYTES, about, "bytes/order"), (&self.name(number), 0, false), sample);
        }
        Ok(Some(Filled { place, deed }))
    }

    /// Which backends, beginning with another one in each round.
    fn order(&self, round: usize) -> Vec<usize> {
        let count = self.backends.len();
        (0..count).cycle().skip(round % count.max(1)).take(count).collect()
    }

    /// The workloads that need no orders, in new stores.
    async fn fresh_round(&mut self, round: usize) -> Result<(), ShopError> {
        if !self.workloads.iter().any(|workload| workload.ground() == Ground::Fresh) {
            return Ok(());
        }
        let mut stalls = Vec::new();
        for number in self.order(round) {
            let backend = self.backends.get(number).ok_or("no such backend")?;
            let store = backend.place("fresh").await?.open().await?;
            stalls.push(Stall { backend: number, shop: Shop::open(store, BUYERS).await? });
        }
        for beside in &self.yardsticks {
            beside.yardstick.fresh().await?;
        }
        let workloads = std::mem::take(&mut self.workloads);
        for workload in workloads.iter().filter(|workload| workload.ground() == Ground::Fresh) {
            for &callers in workload.callers() {
                for stall in &stalls {
                    self.measure(round, &**workload, callers, stall).await?;
                    self.hold_against(round, &**workload, callers, stall.backend).await?;
                }
            }
        }
        self.workloads = workloads;
        for stall in stalls {
            close(stall.shop).await?;
        }
        Ok(())
    }

    /// The workloads that need orders, in the filled stores, opened again one after another.
    async fn filled_round(&mut self, round: usize, filled: &[Option<Filled>]) -> Result<(), ShopError> {
        for number in self.order(round) {
            let Some(Some(Filled { place, deed })) = filled.get(number) else { continue };
            let begun = Instant::now();
            let store = place.open().await?;
            let persistent = store.durability() != Durability::Memory;
            let shop = Shop::reopen(store, Arc::clone(deed)).await?;
            let sample =
                Sample { round, value: begun.elapsed().as_secs_f64() * 1e3, times: None, disk: None };
            if persistent && self.settings.wants(OPEN) {
                let about = "opening the store that has all orders and was closed in good order, until it is \
                             ready for commands; the files are still in the system's cache";
                self.results.record((OPEN, about, "ms"), (&self.name(number), 0, false), sample);
            }
            let stall = Stall { backend: number, shop };
            let workloads = std::mem::take(&mut self.workloads);
            for workload in workloads.iter().filter(|workload| workload.ground() == Ground::Filled) {
                for &callers in workload.callers() {
                    self.measure(round, &**workload, callers, &stall).await?;
                }
            }
            close(stall.shop).await?;
            // Only now: another program may not be let into a store that is open.
            for workload in workloads.iter().filter(|workload| workload.ground() == Ground::Filled) {
                for &callers in workload.callers() {
                    self.hold_against(round, &**workload, callers, number).await?;
                }
            }
            self.workloads = workloads;
        }
        Ok(())
    }

    /// Measures what a backend is held against in this workload.
    async fn hold_against(
        &mut self,
        round: usize,
        workload: &dyn Workload,
        callers: usize,
        backend: usize,
    ) -> Result<(), ShopError> {
        let yardsticks = std::mem::take(&mut self.yardsticks);
        for Beside { yardstick, .. } in yardsticks
            .iter()
            .filter(|beside| beside.backend == backend && beside.yardstick.workload() == workload.name())
        {
            let Some(connections) = yardstick.beside(callers) else { continue };
            let time = self.settings.measure();
            let folder = self.folder(backend).filter(|_| workload.commits());
            let before = syncs(folder, time / 10).await?;
            let calls = yardstick.measure(connections, time).await?;
            let disk = match (before, syncs(folder, time / 10).await?) {
                (Some(before), Some(after)) => Some(before.between(after)),
                _ => None,
            };
            let sample = Sample { round, value: calls.per_second, times: Some((calls.p50, calls.p99)), disk };
            let unit = format!("{}/s", workload.counts());
            let who = (yardstick.name(), connections, true);
            self.results.record((workload.name(), workload.about(), &unit), who, sample);
        }
        self.yardsticks = yardsticks;
        Ok(())
    }

    async fn measure(
        &mut self,
        round: usize,
        workload: &dyn Workload,
        callers: usize,
        stall: &Stall,
    ) -> Result<(), ShopError> {
        let time = self.settings.measure();
        let name = self.name(stall.backend);
        let call = workload
            .prepare(&stall.shop, callers, &format!("{round}"))
            .await
            .map_err(|error| format!("{name}, {}, {callers} callers: {error}", workload.name()))?;
        let folder = self.folder(stall.backend).filter(|_| workload.commits());
        let (calls, disk) = beside_the_disk(callers, time, &call, folder)
            .await
            .map_err(|error| format!("{name}, {}, {callers} callers: {error}", workload.name()))?;
        let sample = Sample { round, value: calls.per_second, times: Some((calls.p50, calls.p99)), disk };
        let unit = format!("{}/s", workload.counts());
        self.results.record((workload.name(), workload.about(), &unit), (&name, callers, false), sample);
        Ok(())
    }
}

async fn syncs(folder: Option<&Path>, time: Duration) -> Result<Option<Disk>, ShopError> {
    match folder {
        Some(folder) => Ok(Some(Disk::measure(folder, time).await?)),
        None => Ok(None),
    }
}

/// Calls and syncs, measured in turns, as a shared disk is fast and slow by the second. The times of calls are
/// the middle of the turns' medians, and the worst of their p99.
async fn beside_the_disk(
    callers: usize,
    time: Duration,
    call: &Call,
    folder: Option<&Path>,
) -> Result<(Calls, Option<Disk>), ShopError> {
    let Some(folder) = folder else { return Ok((calls(callers, 0, time, call).await?, None)) };
    let mut disk = Disk::measure(folder, time / 10).await?;
    let mut turns = Vec::new();
    for turn in 0..TURNS {
        turns.push(calls(callers, turn, time / TURNS, call).await?);
        disk = disk.between(Disk::measure(folder, time / 10).await?);
    }
    let per_second = turns.iter().map(|turn| turn.per_second).sum::<f64>() / f64::from(TURNS);
    let p50 = turns.iter().map(|turn| turn.p50).sum::<Duration>() / TURNS;
    let p99 = turns.iter().map(|turn| turn.p99).max().unwrap_or_default();
    Ok((Calls { per_second, p50, p99 }, Some(disk)))
}

async fn calls(callers: usize, turn: u32, time: Duration, call: &Call) -> Result<Calls, ShopError> {
    let call = Arc::clone(call);
    // Numbers of calls are not used twice in the turns of one run.
    let first = u64::from(turn) << 40;
    closed_loop(callers, time, move |caller, number| call(caller, first + number)).await
}

/// Places orders, as many at a time as there are buyers.
async fn orders(shop: &Shop, count: usize) -> Result<(), ShopError> {
    let mut buying = JoinSet::new();
    for buyer in 0..BUYERS {
        let shop = shop.clone();
        buying.spawn(async move {
            for order in (buyer..count).step_by(BUYERS) {
                shop.buy(buyer, &format!("fill-{order}")).await?;
            }
            Ok::<_, ShopError>(())
        });
    }
    while let Some(bought) = buying.join_next().await {
        bought??;
    }
    Ok(())
}

/// Drops the last handle of a store where that may block.
async fn close(shop: Shop) -> Result<(), ShopError> {
    tokio::task::spawn_blocking(move || drop(shop)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_workload_runs_on_a_store_that_is_closed_and_opened_between() {
        let settings =
            Settings::try_parse_from(["--quick", "--backend", "memory", "--backend", "sqlite"]).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let workloads = all();
        let mut run = Run::new(&settings, workloads);
        run.backends = run.find(Vec::new(), scratch.path()).unwrap();
        let mut filled = Vec::new();
        for backend in 0..run.backends.len() {
            filled.push(run.fill(backend).await.unwrap());
        }
        run.fresh_round(0).await.unwrap();
        run.filled_round(0, &filled).await.unwrap();
        for (table, callers) in [("purchase", 64), ("metering", 64), ("access", 8), ("page", 8)] {
            for who in ["memory", "sqlite"] {
                let row = run.results.row(table, who, callers).unwrap();
                assert_eq!(row.samples.len(), 1);
                assert!(row.samples[0].value > 0.0, "{table} on {who}");
                assert_eq!(
                    row.samples[0].disk.is_some(),
                    who == "sqlite" && callers == 64,
                    "{table} on {who}"
                );
            }
        }
        assert!(run.results.row("open", "sqlite", 0).is_some());
        // An order is a handful of records, none of which is smaller than its ids.
        let bytes = run.results.row("bytes", "sqlite", 0).unwrap().samples[0].value;
        assert!((1_000.0..100_000.0).contains(&bytes), "{bytes} bytes for an order");
        assert!(run.results.row("open", "memory", 0).is_none());
    }

    #[test]
    fn a_workload_that_does_not_exist_is_refused() {
        let settings = Settings::try_parse_from(["--workload", "purchases"]).unwrap();
        assert!(check_names(&settings).unwrap_err().to_string().contains("purchase, metering"));
    }
}
