//! Promise: a slave killed ten times under traffic comes back in time, with nothing lost or doubled.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("slave-restart")
}
