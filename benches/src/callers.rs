//! Several callers that each send one command after another, as fast as they are answered.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::rounds::percentile;

/// What came of some callers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calls {
    /// Commands answered in a second, all callers together.
    pub per_second: f64,
    /// The time that half of the commands stay under.
    pub p50: Duration,
    /// The time that 99 of 100 commands stay under.
    pub p99: Duration,
}

/// Lets `callers` tasks call `command` with their number (from 0) and the call's number until `time` has
/// passed, but at least once. The rate counts every call up to the end of the last one.
///
/// # Errors
/// The first error of a command; the others are then stopped.
pub async fn closed_loop<F, R, E>(callers: usize, time: Duration, command: F) -> Result<Calls, E>
where
    F: Fn(usize, u64) -> R + Clone + Send + 'static,
    R: Future<Output = Result<(), E>> + Send,
    E: From<tokio::task::JoinError> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for caller in 0..callers {
        let command = command.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            for call in 0_u64.. {
                let before = start.elapsed();
                if call > 0 && before >= time {
                    break;
                }
                command(caller, call).await?;
                times.push(start.elapsed().saturating_sub(before));
            }
            Ok::<_, E>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(finished) = tasks.join_next().await {
        times.extend(finished??);
    }
    let elapsed = start.elapsed();
    times.sort_unstable();
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    Ok(Calls {
        per_second: f64::from(count) / elapsed.as_secs_f64(),
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug)]
    struct Failed;

    impl From<tokio::task::JoinError> for Failed {
        fn from(_: tokio::task::JoinError) -> Self {
            Self
        }
    }

    #[tokio::test]
    async fn every_caller_calls_in_turn_until_the_time_is_over() {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let log = Arc::clone(&seen);
        let calls = closed_loop(3, Duration::from_millis(60), move |caller, call| {
            let log = Arc::clone(&log);
            async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                assert!(log.lock().unwrap().insert((caller, call)), "called twice");
                Ok::<_, Failed>(())
            }
        })
        .await
        .unwrap();
        let seen = seen.lock().unwrap();
        for caller in 0..3 {
            let of_caller: Vec<_> =
                seen.iter().filter(|(c, _)| *c == caller).map(|(_, call)| *call).collect();
            assert!(!of_caller.is_empty());
            assert_eq!(of_caller, (0..u64::try_from(of_caller.len()).unwrap()).collect::<Vec<_>>());
        }
        assert!(calls.p50 >= Duration::from_millis(5) && calls.p50 <= calls.p99);
        assert!(calls.per_second > 0.0 && calls.per_second <= 600.0);
    }

    #[tokio::test]
    async fn an_error_of_a_command_is_the_outcome() {
        let outcome = closed_loop(2, Duration::from_hours(1), |caller, call| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if caller == 1 && call == 3 { Err(Failed) } else { Ok(()) }
        });
        let outcome = tokio::time::timeout(Duration::from_mins(1), outcome).await;
        assert!(matches!(outcome, Ok(Err(Failed))), "{outcome:?}");
    }
}
