//! Promise: a wrong magic, version or size is refused, explained, and left untouched.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("foreign-segment")
}
