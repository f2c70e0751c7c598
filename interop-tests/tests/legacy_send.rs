//! Promise: with 1.x: send is acknowledged by reading, and times out where nobody reads; recv gets every value.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("legacy-send")
}
