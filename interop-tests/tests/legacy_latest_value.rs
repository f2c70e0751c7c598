//! Promise: with 1.x: a fast writer's values are whole, in order, and the last one arrives, in both directions.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("legacy-latest-value")
}
