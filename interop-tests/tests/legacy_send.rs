//! Promise: with 1.x: send is acknowledged by reading, and times out if the value is not read; recv gets every value.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("legacy-send")
}
