//! Promise: a stopped peer shows as frozen, then as alive, and nothing is lost.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("stop-continue")
}
