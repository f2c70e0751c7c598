//! gRPC, by tonic.

pub mod client;
mod log_layer;
pub mod server;
