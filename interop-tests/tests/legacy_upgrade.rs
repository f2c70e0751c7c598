//! Promise: two 1.x processes are replaced one after the other, and nothing is lost from then on.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("legacy-upgrade")
}
