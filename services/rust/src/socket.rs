//! TCP: a length and JSON, or lines of text.

pub mod client;
pub mod frame;
pub mod server;
