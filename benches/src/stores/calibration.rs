//! The disk's sync rate beside a measurement.

use std::path::Path;
use std::time::Duration;

use crate::disk::{Pattern, sync_rate};
use crate::shop::ShopError;

/// Syncs in a second, by what is written before each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Disk {
    /// After 4 KiB at the end of a file.
    pub(super) append: f64,
    /// After 4 KiB over what is there.
    pub(super) overwrite: f64,
}

impl Disk {
    /// Measures both ways of writing for `time` each, now.
    pub(super) async fn measure(folder: &Path, time: Duration) -> Result<Self, ShopError> {
        let folder = folder.to_owned();
        let both = tokio::task::spawn_blocking(move || {
            let append = sync_rate(&folder, Pattern::Append, time)?.per_second;
            let overwrite = sync_rate(&folder, Pattern::Overwrite, time)?.per_second;
            Ok::<_, std::io::Error>(Self { append, overwrite })
        });
        Ok(both.await??)
    }

    /// In the middle between two measurements.
    pub(super) fn between(self, other: Self) -> Self {
        Self {
            append: f64::midpoint(self.append, other.append),
            overwrite: f64::midpoint(self.overwrite, other.overwrite),
        }
    }

    /// In the way of writing that this disk syncs fastest.
    pub(super) fn fastest(self) -> f64 {
        self.append.max(self.overwrite)
    }
}
