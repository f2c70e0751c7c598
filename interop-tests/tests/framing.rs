//! Promise: every message of 0 to N bytes arrives as it was sent, text is text again, one of N + 1 is refused.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("framing")
}
