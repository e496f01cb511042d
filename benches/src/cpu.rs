//! Processor time, as Linux counts it; nothing elsewhere.

use std::path::Path;
use std::time::Duration;

/// How long this thread has been on a processor.
pub(crate) fn thread_time() -> Option<Duration> {
    on_processor(Path::new("/proc/thread-self"))
}

/// How long the present threads of a process have been on a processor, all together.
pub fn process_time(process: u32) -> Option<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    // A thread that ends meanwhile is left out.
    Some(threads.flatten().filter_map(|thread| on_processor(&thread.path())).sum())
}

/// The first number of `schedstat` is nanoseconds spent running.
fn on_processor(thread: &Path) -> Option<Duration> {
    let line = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    line.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_takes_processor_time_and_sleep_does_not() {
        let before = thread_time().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let slept = thread_time().unwrap();
        assert!(slept.saturating_sub(before) < Duration::from_millis(50));
        let start = std::time::Instant::now();
        while thread_time().unwrap().saturating_sub(slept) < Duration::from_millis(20) {
            assert!(start.elapsed() < Duration::from_mins(1), "no time is counted");
        }
        assert!(process_time(std::process::id()).unwrap() >= thread_time().unwrap());
        assert_eq!(process_time(u32::MAX), None);
    }
}
