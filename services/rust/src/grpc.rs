//! gRPC, by tonic.

pub mod client;
mod interceptor;
pub mod server;
