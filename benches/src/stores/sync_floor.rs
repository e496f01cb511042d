//! Syncs that take as long as on a slow disk.
//!
//! On Linux, `sync_floor.c` defines `fsync` and `fdatasync` in the benches themselves, so that SQLite (which is
//! linked in), sled and Rust's own files all call those. They read the floor once, from the environment; a
//! running process cannot set that without unsafe code, so the bench runs itself again.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use clap::Parser as _;

use super::settings::Settings;
use crate::shop::ShopError;

/// Says in the environment how many microseconds a sync takes at least.
pub const FLOOR_VARIABLE: &str = "I3_BENCH_SYNC_FLOOR_US";

/// What is left to do.
pub(super) enum Prepared {
    /// Measure, in this process.
    Here(Box<Settings>),
    /// Nothing: another process has done it, or the command line asked for no more than help.
    Done(ExitCode),
}

/// Reads the command line; runs this program again if a floor is asked for that is not there yet.
pub(super) fn prepare(arguments: impl Iterator<Item = OsString>) -> Result<Prepared, ShopError> {
    let arguments: Vec<_> = arguments.collect();
    let settings = match Settings::try_parse_from(&arguments) {
        Ok(settings) => settings,
        Err(message) => {
            message.print()?;
            let code = if message.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            return Ok(Prepared::Done(code));
        }
    };
    let wanted = settings.sync_floor.map(|floor| floor.as_micros().to_string());
    if wanted == std::env::var(FLOOR_VARIABLE).ok() {
        return Ok(Prepared::Here(Box::new(settings)));
    }
    if !cfg!(target_os = "linux") {
        return Err("--sync-floor is for Linux".into());
    }
    let mut again = Command::new(std::env::current_exe()?);
    again.args(arguments);
    match wanted {
        Some(micros) => again.env(FLOOR_VARIABLE, micros),
        None => again.env_remove(FLOOR_VARIABLE),
    };
    Ok(Prepared::Done(if again.status()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}
