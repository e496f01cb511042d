//! Finding virtual objects; see the README beside.

use std::process::ExitCode;

fn main() -> ExitCode {
    i3_benches::discovery::main()
}
