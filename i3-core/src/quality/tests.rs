use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_800_000_000 + seconds) * 1_000_000).unwrap()
}

fn every(seconds: i64, count: i64) -> Quality {
    let mut quality = Quality::default();
    for n in 0..count {
        let before = (n > 0).then(|| at((n - 1) * seconds));
        quality.observe(at(n * seconds), before, u64::try_from(n + 1).unwrap(), [100]);
    }
    quality
}

#[test]
fn a_steady_stream_has_its_rate_and_no_bursts_silences_or_missing_numbers() {
    let summary = every(10, 100).summary(at(995));
    assert_eq!((summary.messages, summary.bytes, summary.missing), (100, 10_000, 0));
    assert_eq!(summary.freshness_ms, Some(5_000));
    assert_eq!(summary.messages_per_hour, 100 * 3_600 / 995);
    // 10,000 ms, to a factor of two.
    assert_eq!(summary.median_interval_ms, Some(10_000));
    assert_eq!((summary.burst_per_mille, summary.silences), (Some(0), 0));
    assert_eq!(
        (summary.smallest_bytes, summary.median_bytes, summary.largest_bytes),
        (Some(100), Some(100), Some(100))
    );
}

#[test]
fn a_pause_is_a_silence_and_messages_at_once_are_a_burst() {
    let mut quality = every(1, 100);
    quality.observe(at(99 + 60), Some(at(99)), 101, [1]);
    assert_eq!(quality.summary(at(200)).silences, 1);

    let mut bursts = Quality::default();
    for n in 0..20 {
        let first = u64::try_from(n * 50 + 1).unwrap();
        bursts.observe(at(n * 60), (n > 0).then(|| at((n - 1) * 60)), first, [10; 50]);
    }
    let summary = bursts.summary(at(1_200));
    assert!(summary.burst_per_mille >= Some(900), "{summary:?}");
    assert_eq!(summary.missing, 0);
}

#[test]
fn numbers_that_nobody_used_are_missing() {
    let mut quality = Quality::default();
    quality.observe(at(0), None, 1, [1, 2, 3]);
    quality.observe(at(1), Some(at(0)), 65, [4]);
    assert_eq!(quality.summary(at(1)).missing, 61);
}

#[test]
fn conformance_is_told_with_the_last_fault_and_its_text_is_bounded() {
    let mut quality = Quality::default();
    for n in 0..9 {
        quality.checked(at(n), 1, Ok(()));
    }
    quality.checked(at(9), 7, Err("ü".repeat(300)));
    quality.checked(at(3), 4, Err("earlier".to_owned()));
    let summary = quality.summary(at(10));
    assert_eq!((summary.checked, summary.conforming_per_mille), (11, Some(818)));
    let fault = summary.last_fault.unwrap();
    assert_eq!((fault.sequence, fault.reason.len()), (7, MAX_REASON));
}

#[test]
fn a_day_later_only_the_whole_is_left() {
    let quality = every(1, 10);
    let summary = quality.summary(at(0).plus(Duration::from_hours(25)));
    assert_eq!((summary.messages, summary.messages_day, summary.messages_per_hour), (10, 0, 0));
    let mut quality = quality;
    for hour in 0..100 {
        quality.observe(at(hour * 3_600), None, 1, [1]);
    }
    assert_eq!(quality.hours.len(), 24);
}

#[test]
fn a_clock_that_went_back_makes_no_negative_time() {
    let mut quality = Quality::default();
    quality.observe(at(100), None, 1, [1]);
    quality.observe(at(50), Some(at(100)), 2, [1]);
    let summary = quality.summary(at(0));
    assert_eq!((summary.freshness_ms, summary.longest_interval_ms), (Some(0), Some(0)));
}

#[test]
fn what_is_stored_of_a_busy_year_is_small_and_reads_back() {
    let mut quality = Quality::default();
    // 30 million messages a day of all sizes and intervals, the text as long as it may be.
    for hour in 0..(365 * 24) {
        let time = at(hour * 3_600);
        for bucket in 0..30 {
            let before = time.minus(Duration::from_millis(1 << bucket));
            quality.observe(time, Some(before), 1 << 40, [1 << (bucket % 19)]);
        }
        quality.messages += 1_250_000;
        quality.bytes += 1_250_000 * 20_000;
        for count in quality.sizes.0.iter_mut().take(20).chain(quality.intervals.0.iter_mut().take(20)) {
            *count += 60_000;
        }
        for hour in &mut quality.hours {
            (hour.messages, hour.bytes, hour.checked, hour.failed) =
                (1_250_000, 25_000_000_000, 360_000, 360_000);
        }
        quality.checked(time, 1 << 40, Err("x".repeat(MAX_REASON)));
    }
    let text = serde_json::to_string(&quality).unwrap();
    assert!(text.len() < 2_048, "{} bytes: {text}", text.len());
    assert_eq!(serde_json::from_str::<Quality>(&text).unwrap(), quality);
    assert_eq!(serde_json::from_str::<Quality>("{}").unwrap(), Quality::default());
}

/// One thing that was measured: when, how long after the one before, its number, sizes, what a check said.
type Seen = (i64, Option<i64>, u64, Vec<usize>, Option<bool>);

fn seen() -> impl Strategy<Value = Seen> {
    let sizes = prop::collection::vec(0_usize..100_000, 1..5);
    (0_i64..200_000, prop::option::of(0_i64..5_000), 1_u64..1_000, sizes, prop::option::of(any::<bool>()))
}

fn measured(all: &[Seen]) -> Quality {
    let mut quality = Quality::default();
    for (time, before, number, sizes, check) in all {
        quality.observe(at(*time), before.map(|before| at(time - before)), *number, sizes.iter().copied());
        if let Some(good) = check {
            quality.checked(at(*time), *number, if *good { Ok(()) } else { Err(format!("no {number}")) });
        }
    }
    quality
}

fn merged(one: &Quality, two: &Quality) -> Quality {
    let mut sum = one.clone();
    sum.merge(two);
    sum
}

proptest! {
    #[test]
    fn merging_is_the_same_in_any_order_and_split(
        a in prop::collection::vec(seen(), 0..12),
        b in prop::collection::vec(seen(), 0..12),
        c in prop::collection::vec(seen(), 0..12),
    ) {
        let (one, two, three) = (measured(&a), measured(&b), measured(&c));
        prop_assert_eq!(merged(&one, &two), merged(&two, &one));
        prop_assert_eq!(merged(&merged(&one, &two), &three), merged(&one, &merged(&two, &three)));
        prop_assert_eq!(&merged(&one, &Quality::default()), &one);
        prop_assert_eq!(merged(&one, &two), measured(&[a, b].concat()));
    }

    #[test]
    fn shares_are_between_nothing_and_everything(all in prop::collection::vec(seen(), 0..20), now in 0_i64..400_000) {
        let summary = measured(&all).summary(at(now));
        for share in [summary.conforming_per_mille, summary.conforming_per_mille_day, summary.burst_per_mille] {
            prop_assert!(share.is_none_or(|share| share <= 1_000));
        }
        prop_assert_eq!(summary.messages, all.iter().map(|seen| u64::try_from(seen.3.len()).unwrap()).sum::<u64>());
    }
}
