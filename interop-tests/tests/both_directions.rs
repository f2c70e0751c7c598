//! Promise: both ends send and receive at once without loss.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("both-directions")
}
