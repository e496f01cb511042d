//! The process that queries run in, for programs that do not start themselves again for it.

use std::io::{stdin, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    match i3_semantic::sparql::worker::run(stdin(), stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
