//! The fault suites that `scripts/test_faults.sh` runs. Each prints rows.

mod account;
mod duel;
pub mod kill;
mod row;
pub mod sandbox;
pub mod storm;
pub mod waiters;
mod workshop;

pub use row::{Row, table};
