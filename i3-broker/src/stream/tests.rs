//! Streams over a marketplace that is switched off, dies, and comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use i3_core::gate::StreamsError;
use i3_core::id::TypedId as _;
use i3_core::quality::Quality;
use i3_core::store::{StoreError, StoreErrorKind};
use i3_core::stream::{
    Sample, SampleTerms, SequenceBlock, StreamDescription, StreamHead, StreamReport, StreamTerms,
};
use i3_core::time::Timestamp;

use super::*;

/// What outlives gates.
#[derive(Debug, Default)]
struct Kept {
    heads: Mutex<BTreeMap<ProductId, StreamHead>>,
    quality: Mutex<Quality>,
    samples: Mutex<Vec<Sample>>,
    down: AtomicBool,
    /// Milliseconds.
    slow: AtomicU64,
    reserved: AtomicU64,
}

impl Kept {
    async fn reach(&self) -> Result<(), StreamsError> {
        let slow = self.slow.load(Ordering::SeqCst);
        if slow > 0 {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "it is switched off").into());
        }
        Ok(())
    }
}

#[async_trait]
impl Streams for Kept {
    async fn reserve(
        &self,
        product: ProductId,
        holder: &str,
        count: u64,
    ) -> Result<SequenceBlock, StreamsError> {
        self.reach().await?;
        self.reserved.fetch_add(1, Ordering::SeqCst);
        let mut heads = self.heads.lock().unwrap();
        Ok(heads.entry(product).or_insert_with(|| StreamHead::new(product)).reserve(holder, count)?)
    }

    async fn release(
        &self,
        product: ProductId,
        holder: &str,
        rest: SequenceBlock,
    ) -> Result<(), StreamsError> {
        self.reach().await?;
        if let Some(head) = self.heads.lock().unwrap().get_mut(&product) {
            head.release(holder, rest);
        }
        Ok(())
    }

    async fn report(&self, _: ProductId, report: StreamReport) -> Result<(), StreamsError> {
        self.reach().await?;
        self.quality.lock().unwrap().merge(&report.quality);
        self.samples.lock().unwrap().extend(report.samples);
        Ok(())
    }
}

const LIMIT: Duration = Duration::from_mins(1);

fn gate(kept: &Arc<Kept>, holder: &str) -> Arc<ProductStreams> {
    Arc::new(ProductStreams::new(kept.clone(), holder.to_owned(), Handle::current()))
}

fn right(product: u128) -> PublishRight {
    PublishRight {
        product: ProductId::from_bits(product),
        topic: "i3/acme/air".parse().unwrap(),
        terms: None,
    }
}

fn described(schema: Option<&str>, sample: Option<SampleTerms>, revision: u32) -> PublishRight {
    let description = StreamDescription { schema: schema.map(str::to_owned), sample };
    let terms = StreamTerms { product: ProductId::from_bits(1), revision, description };
    PublishRight { terms: Some(Arc::new(terms)), ..right(1) }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_800_000_000 + seconds) * 1_000_000).unwrap()
}

/// Hands messages over as a connection does; their numbers, which were in `log` when the turn ended.
fn hand_over(
    streams: &ProductStreams,
    right: &PublishRight,
    time: Timestamp,
    payloads: &[&[u8]],
    log: &Mutex<Vec<u64>>,
) -> Result<Vec<u64>, NoNumbers> {
    let stream = streams.of(right);
    let mut turn = stream.turn(right.terms.as_ref(), time);
    let numbers: Vec<u64> = turn.numbers(payloads.len())?.take(payloads.len()).collect();
    log.lock().unwrap().extend(&numbers);
    turn.took(&payloads.iter().copied());
    Ok(numbers)
}

async fn publish(streams: &ProductStreams, right: &PublishRight, payloads: &[&[u8]]) -> Vec<u64> {
    let begun = std::time::Instant::now();
    loop {
        match hand_over(streams, right, at(0), payloads, &Mutex::default()) {
            Ok(numbers) => return numbers,
            Err(NoNumbers) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
        assert!(begun.elapsed() < LIMIT, "no numbers come");
    }
}

async fn until(mut come: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !come() {
        assert!(begun.elapsed() < LIMIT, "it does not come true");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn numbers_rise_by_one_over_batches_and_orderly_restarts() {
    let kept = Arc::new(Kept::default());
    let mut numbers = Vec::new();
    for run in 0..3 {
        let streams = gate(&kept, "gate");
        for size in [1, 40, 3, 500] {
            numbers.extend(publish(&streams, &right(1), &vec![b"x".as_slice(); size + run]).await);
        }
        streams.close(LIMIT).await;
        assert_eq!(streams.count(), 0);
    }
    assert_eq!(numbers, (1..=numbers.len()).map(|n| u64::try_from(n).unwrap()).collect::<Vec<_>>());
    let quality = kept.quality.lock().unwrap().summary(at(0));
    assert_eq!((quality.messages, quality.missing), (u64::try_from(numbers.len()).unwrap(), 0));
}

#[tokio::test]
async fn after_a_crash_numbers_go_on_above_all_that_were_used() {
    let kept = Arc::new(Kept::default());
    let mut highest = 0;
    for _ in 0..5 {
        // Between taking a block and using it, and after using some, nothing is given back.
        let streams = gate(&kept, "gate");
        let numbers = publish(&streams, &right(1), &[b"x", b"y"]).await;
        assert!(numbers[0] > highest, "{numbers:?} after {highest}");
        highest = numbers[1];
        drop(streams);
    }
    assert!(highest > 5 * 2, "the rests of the blocks were skipped");
}

#[tokio::test]
async fn a_turn_that_hands_nothing_over_uses_no_number() {
    let kept = Arc::new(Kept::default());
    let streams = gate(&kept, "gate");
    assert_eq!(publish(&streams, &right(1), &[b"x"]).await, [1]);
    for _ in 0..10 {
        // The log was down.
        let stream = streams.of(&right(1));
        let mut turn = stream.turn(None, at(0));
        assert_eq!(turn.numbers(3).unwrap().take(3).collect::<Vec<_>>(), [2, 3, 4]);
    }
    assert_eq!(publish(&streams, &right(1), &[b"x", b"y"]).await, [2, 3]);
    assert_eq!(streams.of(&right(1)).measured().messages(), 3);
}

#[tokio::test]
async fn without_the_store_what_is_held_is_used_up_and_then_nothing_is_taken() {
    let kept = Arc::new(Kept::default());
    let streams = gate(&kept, "gate");
    publish(&streams, &right(1), &[b"x"]).await;
    kept.down.store(true, Ordering::SeqCst);
    let log = Mutex::default();
    let mut used = 1;
    while hand_over(&streams, &right(1), at(0), &[b"x"], &log).is_ok() {
        used += 1;
        assert!(used <= 64, "more than the block was used");
    }
    assert_eq!(used, 64);
    assert_eq!(hand_over(&streams, &right(2), at(0), &[b"x"], &log), Err(NoNumbers));
    let waited = streams.ready(&right(2), 1, Duration::from_millis(20)).await;
    assert_eq!(waited, Err(NoNumbers));
    kept.down.store(false, Ordering::SeqCst);
    assert_eq!(publish(&streams, &right(1), &[b"x"]).await, [65]);
    assert_eq!(streams.ready(&right(2), 1, LIMIT).await, Ok(()));
}

#[tokio::test]
async fn blocks_are_taken_ahead_of_need() {
    let kept = Arc::new(Kept::default());
    let streams = gate(&kept, "gate");
    publish(&streams, &right(1), &[b"x"]).await;
    publish(&streams, &right(1), &[b"x".as_slice(); 40]).await;
    // Most of the first block is used: the next one is on its way before it is needed.
    until(|| kept.reserved.load(Ordering::SeqCst) >= 2).await;
    streams.ready(&right(1), 60, LIMIT).await.unwrap();
    let log = Mutex::default();
    assert_eq!(
        hand_over(&streams, &right(1), at(0), &[b"x".as_slice(); 60], &log).unwrap(),
        (42..=101).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_publishers_of_two_gates_and_streams_that_come_and_go_never_repeat_a_number() {
    let kept = Arc::new(Kept::default());
    let logs: [Arc<Mutex<Vec<u64>>>; 2] = Default::default();
    let gates = [gate(&kept, "gate-1"), gate(&kept, "gate-2")];
    let mut tasks = Vec::new();
    for (streams, log) in gates.iter().zip(&logs) {
        for publisher in 0..4 {
            let (streams, log) = (Arc::clone(streams), Arc::clone(log));
            tasks.push(tokio::spawn(async move {
                let begun = std::time::Instant::now();
                for round in 0..100 {
                    let payloads = vec![b"x".as_slice(); 1 + (round + publisher) % 7];
                    while hand_over(&streams, &right(1), at(0), &payloads, &log).is_err() {
                        assert!(begun.elapsed() < LIMIT, "no numbers come");
                        tokio::time::sleep(Duration::from_micros(200)).await;
                    }
                    if round % 10 == publisher {
                        // Streams are given up whenever nobody is in the middle of a turn.
                        streams.round(Duration::ZERO).await;
                    }
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    for streams in &gates {
        streams.close(LIMIT).await;
    }
    let mut seen = BTreeSet::new();
    for log in &logs {
        let log = log.lock().unwrap();
        assert!(log.is_sorted(), "the order in the log is not the order of the numbers");
        for number in log.iter() {
            assert!(seen.insert(*number), "{number} twice");
        }
    }
    assert_eq!(kept.quality.lock().unwrap().messages(), u64::try_from(seen.len()).unwrap());
}

#[tokio::test]
async fn a_stream_that_nobody_uses_is_reported_given_back_and_forgotten() {
    let kept = Arc::new(Kept::default());
    let streams = gate(&kept, "gate");
    publish(&streams, &right(1), &[b"x", b"y"]).await;
    publish(&streams, &right(2), &[b"x"]).await;
    streams.round(Duration::from_hours(1)).await;
    assert_eq!((streams.count(), kept.quality.lock().unwrap().messages()), (2, 3));
    until(|| !streams.of(&right(1)).is_asked() && !streams.of(&right(2)).is_asked()).await;
    streams.round(Duration::ZERO).await;
    assert_eq!(streams.count(), 0);
    assert_eq!(publish(&streams, &right(1), &[b"z"]).await, [3]);

    streams.keep(Duration::from_millis(2), Duration::ZERO);
    until(|| streams.count() == 0).await;
    assert_eq!(kept.quality.lock().unwrap().messages(), 4);
}

#[tokio::test]
async fn who_waits_while_a_stream_is_given_up_gets_numbers_of_the_next_one() {
    let kept = Arc::new(Kept::default());
    let streams = gate(&kept, "gate");
    publish(&streams, &right(1), &[b"x"]).await;
    kept.slow.store(100, Ordering::SeqCst);
    let closing = {
        let streams = Arc::clone(&streams);
        tokio::spawn(async move { streams.round(Duration::ZERO).await })
    };
    until(|| hand_over(&streams, &right(1), at(0), &[], &Mutex::default()).is_err()).await;
    assert_eq!(streams.ready(&right(1), 1, LIMIT).await, Ok(()));
    closing.await.unwrap();
    assert_eq!(publish(&streams, &right(1), &[b"y"]).await, [2]);
}

#[tokio::test]
async fn what_could_not_be_reported_is_reported_later() {
    let kept = Arc::new(Kept::default());
    let streams = gate(&kept, "gate");
    let sampled = SampleTerms { last: 2, redact: Vec::new(), per_person_per_day: 1 };
    let right = described(None, Some(sampled), 1);
    publish(&streams, &right, &[b"1", b"2", b"3"]).await;
    kept.down.store(true, Ordering::SeqCst);
    streams.round(Duration::ZERO).await;
    assert_eq!(streams.count(), 1, "it is not forgotten with what is not told");
    assert_eq!(streams.of(&right).measured().messages(), 3);
    kept.down.store(false, Ordering::SeqCst);
    streams.close(LIMIT).await;
    assert_eq!(kept.quality.lock().unwrap().messages(), 3);
    assert_eq!(kept.samples.lock().unwrap().iter().map(|sample| sample.sequence).collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test]
async fn a_close_without_an_answer_ends_in_time_and_skips_the_numbers() {
    let kept = Arc::new(Kept::default());
    let streams = gate(&kept, "gate");
    publish(&streams, &right(1), &[b"x"]).await;
    kept.slow.store(60_000, Ordering::SeqCst);
    let begun = std::time::Instant::now();
    streams.close(Duration::from_millis(50)).await;
    assert!(begun.elapsed() < LIMIT);
    assert_eq!(hand_over(&streams, &right(1), at(0), &[b"x"], &Mutex::default()), Err(NoNumbers));
    kept.slow.store(0, Ordering::SeqCst);
    let next = gate(&kept, "gate");
    assert!(publish(&next, &right(1), &[b"x"]).await[0] > 1);
}

#[tokio::test]
async fn samples_are_the_last_messages_redacted_before_they_leave_the_gate() {
    let kept = Arc::new(Kept::default());
    let streams = gate(&kept, "gate");
    let sample = |redact: &[&str]| {
        let redact = redact.iter().map(ToString::to_string).collect();
        Some(SampleTerms { last: 3, redact, per_person_per_day: 1 })
    };
    let right = described(None, sample(&["/who"]), 1);
    let payloads: Vec<Vec<u8>> =
        (0..10).map(|n| format!("{{\"n\": {n}, \"who\": \"secret\"}}").into_bytes()).collect();
    let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    publish(&streams, &right, &payloads).await;
    streams.round(LIMIT).await;
    let told = serde_json::to_string(&*kept.samples.lock().unwrap()).unwrap();
    assert!(
        told.contains("{\"n\":9}") && told.contains("{\"n\":7}") && !told.contains("{\"n\":6}"),
        "{told}"
    );
    assert!(!told.contains("secret"));

    // New terms: what was looked at under the old ones is forgotten, and who comes with old rights changes nothing.
    let (log, later) = (Mutex::default(), described(None, sample(&["/n"]), 2));
    hand_over(&streams, &right, at(1), &payloads, &log).unwrap();
    hand_over(&streams, &later, at(2), &payloads[..1], &log).unwrap();
    hand_over(&streams, &right, at(3), &payloads[1..2], &log).unwrap();
    kept.samples.lock().unwrap().clear();
    streams.round(LIMIT).await;
    let told = serde_json::to_string(&*kept.samples.lock().unwrap()).unwrap();
    assert_eq!((told.matches("\"who\"").count(), told.contains("\"n\"")), (2, false), "{told}");
}

#[tokio::test]
async fn a_fast_stream_is_looked_at_in_part() {
    let kept = Arc::new(Kept::default());
    let streams = gate(&kept, "gate");
    let sample = Some(SampleTerms { last: 16, redact: Vec::new(), per_person_per_day: 1 });
    let right = described(Some(r#"{"type": "object"}"#), sample, 1);
    streams.ready(&right, 10_000, LIMIT).await.unwrap();
    publish(&streams, &right, &[b"{}"]).await;
    until(|| streams.of(&right).is_checked()).await;
    let log = Mutex::default();
    let begun = std::time::Instant::now();
    for n in 0..1_000 {
        // All within one second of the stream's time.
        let payload: &[u8] = if n % 2 == 0 { b"{}" } else { b"[]" };
        hand_over(&streams, &right, at(5), &[payload; 3], &log).unwrap();
        if n % 10 == 0 && begun.elapsed() < Duration::from_secs(2) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    streams.close(LIMIT).await;
    let summary = kept.quality.lock().unwrap().summary(at(6));
    assert_eq!((summary.messages, summary.messages_day), (3_001, 3_001));
    // At most 100 in a second, however many pass; some of each kind.
    assert!((2..=100).contains(&summary.checked), "{summary:?}");
    let conforming = summary.conforming_per_mille.unwrap();
    assert!((1..1_000).contains(&conforming), "{summary:?}");
    assert!(summary.last_fault.unwrap().reason.contains("type"));
    assert!(kept.samples.lock().unwrap().len() <= 16);
}
