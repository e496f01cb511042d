//! How much memory a process has, as Linux counts it; nothing elsewhere.

/// The bytes of a process that are in memory (`VmRSS`).
pub fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_to_counts() {
        let grown = || {
            let before = resident(std::process::id()).unwrap();
            let held = std::hint::black_box(vec![1_u8; 64 << 20]);
            let after = resident(std::process::id()).unwrap();
            drop(held);
            after.saturating_sub(before)
        };
        // Tests beside this one may give back theirs meanwhile, but not each time.
        assert!((0..20).any(|_| grown() >= 48 << 20));
        assert_eq!(resident(u32::MAX), None);
    }
}
