//! Whether a rate of commits can be durable at all, judged by the disk's sync rate beside it.

use std::fmt;

/// A single caller cannot have more durable commits than the disk has syncs; half as many again is left
/// for the swings of a shared disk.
const MOST: f64 = 1.5;

/// What a single caller's rate says about durability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The rate is one that a disk which syncs every commit can have.
    Plausible {
        /// Commits for each sync that the disk could have done in the time.
        per_sync: f64,
    },
    /// The rate is beyond what the disk can sync: the commits are not durable, or the disk was slower when its
    /// rate was measured than when the commits were.
    TooFast {
        /// Commits for each sync that the disk could have done in the time.
        per_sync: f64,
    },
}

impl Verdict {
    /// Judges the commits in a second of one caller against the syncs in a second of the same disk, in the
    /// way of writing that it syncs fastest.
    pub fn of_single_caller(commits: f64, syncs: f64) -> Self {
        let per_sync = commits / syncs;
        if per_sync <= MOST { Self::Plausible { per_sync } } else { Self::TooFast { per_sync } }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plausible { per_sync } => {
                write!(f, "a single caller makes {per_sync:.2} commits per sync, as a disk can do")
            }
            Self::TooFast { per_sync } => write!(
                f,
                "NOT SHOWN TO BE DURABLE: a single caller makes {per_sync:.2} commits per sync, \
                 more than {MOST}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_commits_than_syncs_are_not_called_durable() {
        assert_eq!(Verdict::of_single_caller(240.0, 250.0), Verdict::Plausible { per_sync: 0.96 });
        let fast = Verdict::of_single_caller(2000.0, 250.0);
        assert_eq!(fast, Verdict::TooFast { per_sync: 8.0 });
        assert!(fast.to_string().contains("NOT SHOWN TO BE DURABLE"));
    }
}
