//! Which transport: by name, on command lines.

use crate::client::Client;
use crate::{grpc, rest, segment, socket, unix};

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// TCP with JSON in frames.
    Socket,
    /// HTTP with JSON.
    Rest,
    /// gRPC.
    Grpc,
    /// A Unix socket with the frames of ESHM.
    Unix,
    /// Shared memory.
    Eshm,
}

impl Transport {
    /// All of them.
    pub const ALL: [Transport; 5] =
        [Transport::Socket, Transport::Rest, Transport::Grpc, Transport::Unix, Transport::Eshm];

    /// A client of the server that said in its READY line that it is at `address`.
    ///
    /// # Errors
    /// That there can be no client: too few threads or descriptors.
    pub fn client(self, address: &str, max_message: usize) -> std::io::Result<Box<dyn Client>> {
        Ok(match self {
            Transport::Socket => Box::new(socket::client::Client::new(address)),
            Transport::Rest => Box::new(rest::client::Client::new(address)?),
            Transport::Grpc => Box::new(grpc::client::Client::new(address, max_message)?),
            Transport::Unix => Box::new(unix::client::Client::new(address)),
            Transport::Eshm => Box::new(segment::client::Client::new(address)),
        })
    }
}
