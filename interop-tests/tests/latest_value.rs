//! Promise: under a writer 100 times faster than the reader, received + skipped = written, and no value is torn.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("latest-value")
}
