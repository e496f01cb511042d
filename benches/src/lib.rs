//! What the benches of I3 measure with: the disk's sync rate, a closed-loop MQTT load generator,
//! Debian's Mosquitto as the yardstick, and rounds that are interleaved so that ratios hold on a busy
//! machine. See the package's README for how to run them and how to read them.

pub mod callers;
pub mod cpu;
pub mod discovery;
pub mod disk;
pub mod durable;
pub mod gate;
pub mod http_load;
pub mod memory;
pub mod mosquitto;
pub mod mqtt_idle;
pub mod mqtt_load;
pub mod mqtt_logins;
pub mod mqtt_pace;
pub mod mqtt_transports;
pub mod options;
pub mod rounds;
pub mod served;
pub mod shop;
pub mod stores;
pub mod things;

mod mqtt_frames;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// As in the marketplace's program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The topic of every message: as long as a topic of the marketplace usually is.
pub const TOPIC: &str = "i3/bench-hub/bench-one";

/// What a bench's `main` gives back; an error is printed with its causes.
pub fn exit(outcome: Result<(), shop::ShopError>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    eprintln!("the bench failed: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    ExitCode::FAILURE
}
