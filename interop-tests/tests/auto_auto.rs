//! Promise: of two endpoints that start at the same instant exactly one becomes master, whatever was left behind.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("auto-auto")
}
