//! What `scripts/test_faults.sh` runs: suites of faults, each of which prints rows.

mod row;

pub use row::{Row, table};
