//! Promise: with 1.x: either end is killed and started again, and both directions work again.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("legacy-restart")
}
