//! Promise: with 1.x: either end leaves and comes back, and both directions work again.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("legacy-close")
}
