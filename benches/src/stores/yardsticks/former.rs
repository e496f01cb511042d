//! The reads of the SQLite store as they were through sqlx, in a process of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use async_trait::async_trait;

use super::Yardstick;
use crate::callers::Calls;
use crate::shop::ShopError;
use crate::stores::bars::FORMER;

/// A program of its own, because SQLite cannot be linked into one program twice.
#[derive(Debug)]
pub(in crate::stores) struct FormerReads {
    program: PathBuf,
    file: PathBuf,
}

impl FormerReads {
    /// Builds the program, beside the rest in the target folder. `None`, with a loud line, if that fails.
    pub(in crate::stores) fn open(file: PathBuf, target: &Path) -> Option<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("former-sqlite/Cargo.toml");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        eprintln!("building the yardstick of SQLite's reads ...");
        let built = Command::new(cargo)
            .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(target)
            // Cargo reads settings on the way up from here: the same ones wherever the bench is run.
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .status();
        if built.is_ok_and(|status| status.success()) {
            return Some(Self { program: target.join("release/i3-former-sqlite"), file });
        }
        eprintln!("LEFT OUT: the former reads of SQLite cannot be built, so nothing is compared with them");
        None
    }
}

#[async_trait]
impl Yardstick for FormerReads {
    fn name(&self) -> &'static str {
        FORMER
    }

    fn workload(&self) -> &'static str {
        "access"
    }

    fn beside(&self, callers: usize) -> Option<usize> {
        Some(callers)
    }

    async fn fresh(&self) -> Result<(), ShopError> {
        Ok(())
    }

    async fn measure(&self, connections: usize, time: Duration) -> Result<Calls, ShopError> {
        let mut command = Command::new(&self.program);
        command.arg(&self.file).args([time.as_secs_f64().to_string(), connections.to_string()]);
        let output = tokio::task::block_in_place(|| command.stdin(Stdio::null()).output())?;
        if !output.status.success() {
            return Err(
                format!("the former reads failed: {}", String::from_utf8_lossy(&output.stderr)).into()
            );
        }
        said(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| "the former reads said nothing".into())
    }
}

fn said(line: &str) -> Option<Calls> {
    let mut numbers = line.split_whitespace();
    let per_second = numbers.next()?.parse().ok()?;
    let mut time = || numbers.next()?.parse().ok().map(Duration::from_micros);
    Some(Calls { per_second, p50: time()?, p99: time()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_a_rate_and_two_times() {
        let expected =
            Calls { per_second: 5321.5, p50: Duration::from_micros(170), p99: Duration::from_micros(400) };
        assert_eq!(said("5321.5 170 400\n"), Some(expected));
        assert_eq!(said("5321.5 170"), None);
    }
}
