//! Promise: bad names, sizes, files and fields are errors that say what was found, and never crash.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("bad-input")
}
