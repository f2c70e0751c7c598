//! One service of users and items behind four transports: sockets, REST, gRPC and ESHM.
//!
//! [`service`] is what it does, [`store`] where it keeps it, [`status`] how it says no. A transport is a module with a
//! `server` and a `client`; `../README.md` is the contract on what they put on the wire.

pub mod base64_bytes;
pub mod bench;
pub mod call;
pub mod client;
pub mod deadline;
pub mod grpc;
pub mod json;
pub mod log;
pub mod named;
pub mod rest;
pub mod segment;
pub mod service;
pub mod socket;
pub mod status;
pub mod store;
pub mod transport;
pub mod unix;
pub mod worker;

/// What `../proto` declares.
pub mod proto {
    #![allow(missing_docs, clippy::all, reason = "generated; the protos have the comments")]
    tonic::include_proto!("eshm.services.v1");
}

/// The largest message that a server takes unless told otherwise, in bytes.
pub const DEFAULT_MAX_MESSAGE: usize = 16 << 20;
