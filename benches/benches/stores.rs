//! Every store under the same work; see the README beside.

use std::process::ExitCode;

fn main() -> ExitCode {
    // On the disk that the build is on: the system's temporary directory is often in memory.
    i3_benches::stores::main(env!("CARGO_TARGET_TMPDIR"), Vec::new())
}
