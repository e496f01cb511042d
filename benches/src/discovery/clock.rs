//! Processor time of one thread, and how alike the machine did the same work again and again.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::things::Numbers;

/// How long this thread has been on a processor.
pub(super) fn processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// What this does, and the processor time it takes.
pub(super) fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let before = processor();
    let done = black_box(work());
    (done, processor().saturating_sub(before))
}

/// Milliseconds.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Times, the shortest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// So many of a hundred take no longer than this, in milliseconds.
    pub(super) fn share(&self, per_cent: usize) -> f64 {
        let at = self.0.len().saturating_sub(1) * per_cent / 100;
        self.0.get(at).map_or(0.0, |time| milliseconds(*time))
    }

    /// In milliseconds.
    pub(super) fn mean(&self) -> f64 {
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX).max(1);
        milliseconds(self.0.iter().sum::<Duration>() / count)
    }
}

/// What the same questions took, each asked several times.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// Of each question the median: what the question takes.
    pub(super) questions: Times,
    /// Every answer by itself: what the machine did meanwhile is in it.
    pub(super) answers: Times,
}

/// Asks all questions, `rounds` times over, once without being counted. What is answered is dropped outside of the time.
pub(super) fn asked<T, R>(questions: &[T], rounds: usize, mut answer: impl FnMut(&T) -> R) -> Asked {
    for question in questions {
        black_box(answer(question));
    }
    let mut times: Vec<Vec<Duration>> = vec![Vec::with_capacity(rounds); questions.len()];
    for _ in 0..rounds {
        for (question, times) in questions.iter().zip(&mut times) {
            times.push(timed(|| answer(question)).1);
        }
    }
    let answers = Times::new(times.iter().flatten().copied().collect());
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    Asked { questions: Times::new(times.into_iter().map(median).collect()), answers }
}

/// The same work done again and again: by how much its times differ, the machine differed.
#[derive(Debug, Default)]
pub(super) struct Noise {
    times: Vec<Duration>,
    wall: Duration,
}

impl Noise {
    /// Does it 200 times more: ten thousand random reads of 8 MiB each.
    pub(super) fn sample(&mut self) {
        let table: Vec<u64> = (0..1 << 20).collect();
        let began = Instant::now();
        for seed in 0..200 {
            let mut numbers = Numbers::new(seed);
            let work = || {
                let mut sum = 0_u64;
                for _ in 0..10_000 {
                    let at = usize::try_from(numbers.below(1 << 20)).unwrap_or(0);
                    sum = sum.wrapping_add(table.get(at).copied().unwrap_or(0));
                }
                sum
            };
            self.times.push(timed(work).1);
        }
        self.wall = self.wall.saturating_add(began.elapsed());
    }

    /// In a sentence.
    pub(super) fn told(&self) -> String {
        let times = Times::new(self.times.clone());
        let on: f64 = self.times.iter().map(Duration::as_secs_f64).sum();
        format!(
            "the same work {} times over the run: p50 {:.4} ms, p90 {:.4}, p99 {:.4} of processor time; on a processor \
             for {:.0} % of its wall time",
            self.times.len(),
            times.share(50),
            times.share(90),
            times.share(99),
            on / self.wall.as_secs_f64().max(1e-9) * 100.0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_sorted_times() {
        let times = Times::new((1..=101).rev().map(Duration::from_millis).collect());
        for (per_cent, expected) in [(0, 1.0), (50, 51.0), (99, 100.0)] {
            assert!((times.share(per_cent) - expected).abs() < 1e-9, "{per_cent}");
        }
        assert!((times.mean() - 51.0).abs() < 1e-9);
        assert!(Times::default().share(50).abs() < f64::EPSILON);
    }

    #[test]
    fn a_question_is_asked_once_more_than_it_counts() {
        let mut count = 0;
        let asked = asked(&[1, 2, 3], 5, |_| count += 1);
        assert_eq!((count, asked.answers.0.len(), asked.questions.0.len()), (18, 15, 3));
    }
}
