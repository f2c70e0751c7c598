//! Promise: with 1.2: a parked reader is woken by the other's write; with 1.0: both poll.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("legacy-wake")
}
