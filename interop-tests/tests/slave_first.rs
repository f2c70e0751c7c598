//! Promise: a slave that starts first waits for its master, and says so when none comes.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("slave-first")
}
