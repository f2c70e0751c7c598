//! HTTP and JSON, by axum.

pub mod client;
pub mod openapi;
pub mod server;

/// The header with a call's deadline, in milliseconds.
pub const DEADLINE_HEADER: &str = "x-deadline-ms";
/// One JSON object per line.
pub const NDJSON: &str = "application/x-ndjson";
