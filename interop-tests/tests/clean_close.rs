//! Promise: a clean close reaches the other side, after all that was sent, and leaves no segment.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("clean-close")
}
