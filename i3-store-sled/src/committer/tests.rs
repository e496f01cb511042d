use std::sync::Mutex;
use std::thread;

use i3_core::store::{Applied, BatchBuilder, Collection, Kind, Units};

use super::*;

static COUNTERS: Collection =
    Collection { name: "counters", kind: Kind::Counters, about: "", columns: &[], indexes: &[] };

fn one_more(id: &str) -> Batch {
    let key = Key::new(&COUNTERS, id).unwrap();
    BatchBuilder::new().adjust(key, Units::new(1).unwrap(), Units::MIN).build().unwrap()
}

/// A refusal that rests on what the group did before.
fn too_much(id: &str, below: i64) -> Batch {
    let key = Key::new(&COUNTERS, id).unwrap();
    BatchBuilder::new().adjust(key, Units::new(-1).unwrap(), Units::new(below).unwrap()).build().unwrap()
}

struct Bench {
    queue: Option<mpsc::Sender<Request>>,
    thread: Option<thread::JoinHandle<()>>,
    _db: sled::Db,
}

impl Bench {
    fn new(sync: Sync) -> Self {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let committer = Committer::new((*db).clone(), sync, Arc::default(), Arc::default()).unwrap();
        let (queue, requests) = mpsc::channel(1_024);
        let thread = thread::spawn(move || committer.run(requests));
        Self { queue: Some(queue), thread: Some(thread), _db: db }
    }

    fn begin(&self, batch: Batch) -> oneshot::Receiver<Result<Receipt, CommitError>> {
        let (answer, decided) = oneshot::channel();
        let request = Request::Commit(Waiting { batch, answer });
        self.queue.as_ref().unwrap().blocking_send(request).unwrap();
        decided
    }

    fn commit(&self, batch: Batch) -> Result<Receipt, CommitError> {
        self.begin(batch).blocking_recv().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(self.queue.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn batches_that_wait_are_made_durable_with_one_sync() {
    let syncs = Arc::new(Mutex::new(0));
    let (enter, entered) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let counted = Arc::clone(&syncs);
    let bench = Bench::new(Box::new(move || {
        *counted.lock().unwrap() += 1;
        enter.send(()).unwrap();
        // Once the test lets go of the sender, syncs are not held back any more.
        let _ = left.recv();
        Ok(())
    }));
    let first = bench.begin(one_more("a"));
    entered.recv().unwrap();
    // While the first is being synced, more come to wait.
    let others: Vec<_> = (0..100).map(|n| bench.begin(one_more(&format!("b{}", n % 7)))).collect();
    drop(leave);
    assert!(first.blocking_recv().unwrap().is_ok());
    assert!(others.into_iter().all(|other| other.blocking_recv().unwrap().is_ok()));
    assert_eq!(*syncs.lock().unwrap(), 2);
}

#[test]
fn after_a_failed_sync_the_outcome_is_unknown_and_nothing_is_written_any_more() {
    let mut calls = 0;
    let bench = Bench::new(Box::new(move || {
        calls += 1;
        if calls == 2 { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }));
    assert!(bench.commit(one_more("a")).is_ok());
    let Err(CommitError::Store(error)) = bench.commit(one_more("a")) else { panic!("the sync failed") };
    assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Unavailable, Applied::Unknown));
    assert_eq!(error.to_string(), "could not sync the store's file: the disk is gone");
    for _ in 0..2 {
        let Err(CommitError::Store(error)) = bench.commit(one_more("b")) else {
            panic!("the store had failed")
        };
        assert_eq!((error.kind(), error.applied()), (StoreErrorKind::Unavailable, Applied::No));
    }
}

#[test]
fn a_refusal_is_not_answered_before_what_it_rests_on_is_durable() {
    let (enter, entered) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let mut calls = 0;
    let bench = Bench::new(Box::new(move || {
        calls += 1;
        enter.send(()).unwrap();
        let _ = left.recv();
        if calls == 2 { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }));
    let first = bench.begin(one_more("a"));
    entered.recv().unwrap();
    let applied = bench.begin(one_more("b"));
    let refused = bench.begin(too_much("b", 1));
    drop(leave);
    assert!(first.blocking_recv().unwrap().is_ok());
    let Err(CommitError::Store(error)) = applied.blocking_recv().unwrap() else { panic!("the sync failed") };
    assert_eq!(error.applied(), Applied::Unknown);
    // Not `Floor`: that `b` stands at one is not certain.
    let Err(CommitError::Store(error)) = refused.blocking_recv().unwrap() else { panic!("the sync failed") };
    assert_eq!(error.applied(), Applied::No);
}

#[test]
fn what_was_queued_is_finished_when_the_last_sender_is_gone() {
    let bench = Bench::new(Box::new(|| Ok(())));
    let waiting: Vec<_> = (0..300).map(|_| bench.begin(one_more("a"))).collect();
    drop(bench);
    let receipts = waiting.into_iter().map(|answer| answer.blocking_recv().unwrap().unwrap());
    assert_eq!(receipts.count(), 300);
}
