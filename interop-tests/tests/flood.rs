//! Promise: a million messages of 0 bytes to the capacity pass through the queues, one at a time and in batches.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("flood")
}
