//! What must be found after a process was killed while it committed.
//!
//! A test calls [`survive`]: it starts the test's own executable again as a child, which commits numbered
//! batches from several callers and prints each number once its commit returned; kills the child at a
//! random moment; opens the store again and checks; and so on for some rounds. The last entry of each
//! batch says which batch it was, so the checker can repeat the whole history on a
//! [`MemoryStore`] and compare everything.
//!
//! This shows what survives the death of a process ([`Durability::ProcessCrash`](crate::store::Durability)),
//! not loss of power.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::dump::{dump, index_check};
use super::sample::{
    ITEMS, Item, STREAMS, add, append, cell, commit, create, key, replace, row_id, rows, schema,
};
use super::sweep::difference;
use super::{Checked, Run, Stop, announce, asked, ensure, join_all};
use crate::store::{Cell, Cursor, DynStore, MemoryStore, Op, Row, Scan, Store, Version, limits};

const PLACE: &str = "I3_TESTKIT_CRASH_PLACE";
const WORD: &str = "acknowledged ";
const CALLERS: u64 = 6;
/// How long a child may take until its first acknowledgement, on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(5);

/// What a batch's entry in the log says.
#[derive(Debug, Serialize, Deserialize)]
struct Numbered {
    number: u64,
}

/// Opens the store that is kept at this place, for [`survive`].
pub type Open<'a> = &'a (dyn Fn(&Path) -> Run<'static, Result<DynStore, Stop>> + Sync);

/// Runs a future to its end, for [`survive`]: `|run| runtime.block_on(run)`.
pub type BlockOn<'a> = &'a dyn Fn(Run<'_>) -> Checked;

/// How often [`survive`] kills, in place of the number that it was called with.
pub const ROUNDS: &str = "I3_CRASH_ROUNDS";

/// Lets a child commit to the store at `place` and kills it, `rounds` times; checks the store after each. The
/// environment variable `I3_CRASH_ROUNDS` overrides the number.
///
/// `test` is the name of the calling test as the test harness knows it (with its modules), which must do
/// nothing before this call: the child enters here too, and never leaves.
///
/// Each check looks at everything that all rounds wrote, so the time of a long run grows with the square of
/// its rounds.
pub fn survive(test: &str, place: &Path, rounds: u32, open: Open<'_>, block_on: BlockOn<'_>) -> Checked {
    if let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) {
        return block_on(Box::pin(async move { child(open(&place).await?).await }));
    }
    let rounds = asked(ROUNDS).unwrap_or(rounds);
    let mut history = History::default();
    for round in 0..rounds {
        // Every third round is killed while it opens or recovers, the others while they commit.
        let busy = round % 3 != 2;
        let delay = Duration::from_millis(u64::from(getrandom::u32()? % 400));
        history.acknowledged.extend(run_and_kill(test, place, busy, delay)?);
        let history = &mut history;
        let checked = block_on(Box::pin(async move { history.check(&*open(place).await?).await }));
        if let Err(stop) = checked {
            return Err(Stop::broken(format_args!("round {round}, killed after {delay:?}: {stop}")));
        }
    }
    let count = history.acknowledged.len();
    ensure!(count > 0, "no child ever acknowledged a batch");
    announce(&format!("{test}: {rounds} kills, none of {count} acknowledged batches lost"));
    Ok(())
}

/// Starts the child, kills it, and gives the numbers that it acknowledged.
fn run_and_kill(test: &str, place: &Path, busy: bool, delay: Duration) -> Result<Vec<u64>, Stop> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([test, "--exact", "--nocapture"])
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or_else(|| Stop::broken("the child has no output"))?;
    let (first, begun) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut numbers = Vec::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // The test harness may have begun the line with words of its own.
            if let Some(number) = line.split_once(WORD).and_then(|(_, number)| number.parse().ok()) {
                numbers.push(number);
                // Nobody listens any more after the first.
                let _ = first.send(());
            }
        }
        numbers
    });
    let started = Instant::now();
    let waited = if busy { begun.recv_timeout(PATIENCE).is_ok() } else { true };
    std::thread::sleep(delay);
    let ended = child.try_wait()?;
    child.kill()?;
    child.wait()?;
    let numbers = reader.join().map_err(|_| Stop::broken("the reader of the child's output panicked"))?;
    ensure!(ended.is_none(), "the child ended by itself: {ended:?}");
    ensure!(waited, "the child acknowledged nothing in {:?}", started.elapsed());
    Ok(numbers)
}

/// Commits numbered batches for ever, and prints each number after its commit returned.
pub async fn child(store: DynStore) -> Checked {
    store.prepare(&schema()?).await?;
    let start = highest(&*store).await? + 1;
    let store = &store;
    let callers = (0..CALLERS).map(|caller| -> Run<'_> {
        Box::pin(async move {
            let mut number = start - start % CALLERS + CALLERS + caller;
            loop {
                commit(&**store, batch(&**store, number).await?).await?;
                let mut output = std::io::stdout().lock();
                // In one write, so that a kill cannot cut the line.
                output.write_all(format!("{WORD}{number}\n").as_bytes())?;
                output.flush()?;
                drop(output);
                number += CALLERS;
            }
        })
    });
    join_all(callers.collect()).await.into_iter().collect()
}

/// The highest number of any batch in the store; zero if there is none.
async fn highest(store: &dyn Store) -> Result<u64, Stop> {
    let page = store.scan(&Scan::prefix(&ITEMS, "batch-").backward().limit(1)).await?;
    match page.rows.first().map(row_id) {
        Some(id) => {
            let number = id.split('-').nth(1).ok_or_else(|| Stop::broken(format_args!("the id `{id}`")))?;
            Ok(number.parse()?)
        }
        None => Ok(0),
    }
}

/// The batch of this number, over the store as its caller finds it: creates, replaces and removes records,
/// adjusts shared counters, appends to a shared stream and to one of the caller's.
async fn batch(store: &dyn Store, number: u64) -> Result<Vec<Op>, Stop> {
    let caller = number % CALLERS;
    let signed = i64::try_from(number)?;
    let mut ops = Vec::new();
    for part in 0..3_i64 {
        let item =
            Item::new(format!("batch-{number:012}-{part}")).owner(format!("caller{caller}")).at(signed);
        ops.push(create(&item.tag(format!("part{part}")).order(-part))?);
    }
    let place = Item::new(format!("caller-{caller}")).owner("place").at(signed).note("x".repeat(300));
    ops.push(match version(store, &place.id).await? {
        Some(expect) => replace(expect, &place)?,
        None => create(&place)?,
    });
    let flag = Item::new(format!("flag-{caller}")).owner("flag").order(signed);
    ops.push(match version(store, &flag.id).await? {
        Some(expect) => Op::Remove { key: key(&ITEMS, &flag.id)?, expect },
        None => create(&flag)?,
    });
    ops.push(add("left", signed)?);
    ops.push(add("right", -signed)?);
    ops.push(add(&format!("batches-of-{caller}"), 1)?);
    ops.push(append(&format!("log-of-{caller}"), format!("{number} once"))?);
    ops.push(append(&format!("log-of-{caller}"), format!("{number} twice"))?);
    ops.push(append("log", serde_json::to_string(&Numbered { number })?)?);
    Ok(ops)
}

async fn version(store: &dyn Store, id: &str) -> Result<Option<Version>, Stop> {
    Ok(match cell(store, &key(&ITEMS, id)?).await? {
        Some(Cell::Record { version, .. }) => Some(version),
        _ => None,
    })
}

/// What the rounds so far wrote.
#[derive(Debug, Default)]
pub struct History {
    /// The numbers that children acknowledged.
    pub acknowledged: BTreeSet<u64>,
    present: BTreeSet<u64>,
    /// The store as its log says it should be, up to the log's entry number `read`.
    model: MemoryStore,
    read: u64,
}

impl History {
    /// Makes sure that every acknowledged batch is there, that every batch is there whole or not at all,
    /// that streams are dense and their links right, and that indexes say what the records say.
    pub async fn check(&mut self, store: &dyn Store) -> Checked {
        store.prepare(&schema()?).await?;
        self.model.prepare(&schema()?).await?;
        self.read_log(store).await?;
        let lost: Vec<&u64> = self.acknowledged.difference(&self.present).collect();
        let of = self.acknowledged.len();
        ensure!(lost.is_empty(), "{} of {of} acknowledged batches are lost: {lost:?}", lost.len());
        while let Err(stop) = self.compare(store).await {
            // A server may still carry out what the killed process had asked for.
            let read = self.read;
            self.read_log(store).await?;
            if self.read == read {
                return Err(stop);
            }
        }
        Ok(())
    }

    /// Brings the model to where the store's log is.
    async fn read_log(&mut self, store: &dyn Store) -> Checked {
        let log = Scan::entries(key(&STREAMS, "log")?)?.limit(limits::PAGE_ROWS);
        for row in rows(store, log.after(Cursor::after_position(self.read))?).await? {
            let Row::Entry { position, body, .. } = row else {
                return Err(Stop::broken(format_args!("the log holds {row:?}")));
            };
            let Numbered { number } = serde_json::from_str(body.as_str())?;
            ensure!(self.present.insert(number), "batch {number} is in the log twice");
            commit(&self.model, batch(&self.model, number).await?).await?;
            self.read = position;
        }
        Ok(())
    }

    async fn compare(&self, store: &dyn Store) -> Checked {
        index_check::<Item>(store).await?;
        let (found, wanted) = (dump(store, &schema()?).await?, dump(&self.model, &schema()?).await?);
        ensure!(found == wanted, "the store is not what its log says: {}", difference(&found, &wanted));
        Ok(())
    }
}
