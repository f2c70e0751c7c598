//! Promise: 10 000 numbered messages go out and back, none lost, doubled, reordered or torn.

use std::process::ExitCode;

fn main() -> ExitCode {
    interop_tests::runner::test("echo")
}
