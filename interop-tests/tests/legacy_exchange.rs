//! Promise: with 1.x: every value of 0 to N bytes arrives in both directions, one of N + 1 is refused.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("legacy-exchange")
}
