//! Whether a rate of commits can be durable at all, judged by the disk's sync rate beside it.

use std::fmt;

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
        /// How many would have been believed.
        most: f64,
    },
}

impl Verdict {
    /// Judges the commits in a second of one caller against the syncs in a second of the same disk, of which
    /// it may do `most` for each. A little above 1 leaves room for the swings of a shared disk; a store
    /// that overwrites what is allocated already needs less time for a sync than the appends that the
    /// disk is measured by.
    pub fn of_single_caller(commits: f64, syncs: f64, most: f64) -> Self {
        let per_sync = commits / syncs;
        if per_sync <= most { Self::Plausible { per_sync } } else { Self::TooFast { per_sync, most } }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plausible { per_sync } => write!(f, "{per_sync:.2} commits per sync of a single caller"),
            Self::TooFast { per_sync, most } => write!(
                f,
                "NOT SHOWN TO BE DURABLE: {per_sync:.2} commits per sync of a single caller, more than {most}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_commits_than_syncs_are_not_called_durable() {
        assert_eq!(Verdict::of_single_caller(240.0, 250.0, 1.5), Verdict::Plausible { per_sync: 0.96 });
        let fast = Verdict::of_single_caller(2000.0, 250.0, 1.5);
        assert_eq!(fast, Verdict::TooFast { per_sync: 8.0, most: 1.5 });
        assert!(fast.to_string().contains("NOT SHOWN TO BE DURABLE"));
    }
}
