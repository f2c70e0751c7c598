//! Promise: with 1.x: in random lives of both ends, values are whole and in order, and service comes back.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("legacy-life")
}
