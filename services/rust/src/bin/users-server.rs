//! The server of all transports.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use users::service::Service;
use users::store::Store;
use users::transport::Transport;
use users::{DEFAULT_MAX_MESSAGE, grpc, log, rest, segment, socket, unix};

/// Serves users and items over sockets, REST, gRPC, a Unix socket and ESHM.
///
/// When all transports are served it prints one line, READY and a JSON object with the address of each. SIGTERM and
/// SIGINT end it.
#[derive(Parser)]
struct Arguments {
    /// What to serve; may be repeated; all five unless given
    #[arg(long = "transport", value_enum)]
    transports: Vec<Transport>,
    /// HOST:PORT of the socket; port 0: any that is free
    #[arg(long, default_value = "127.0.0.1:0")]
    socket_listen: String,
    /// HOST:PORT of REST
    #[arg(long, default_value = "127.0.0.1:0")]
    rest_listen: String,
    /// HOST:PORT of gRPC
    #[arg(long, default_value = "127.0.0.1:0")]
    grpc_listen: String,
    /// The Unix socket's file, which is made; users-PID.sock among the temporary files unless given
    #[arg(long, value_name = "PATH")]
    unix_listen: Option<PathBuf>,
    /// The segments are called NAME.0, NAME.1 …
    #[arg(long, default_value = "users", value_name = "NAME")]
    eshm_name: String,
    /// How many segments there are: one per client at a time
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    eshm_clients: u16,
    /// The capacity of each queue, two per segment: a message has to fit
    #[arg(long, default_value_t = eshm::DEFAULT_QUEUE_CAPACITY, value_name = "BYTES")]
    eshm_capacity: usize,
    /// The SQLite file that keeps the users, or :memory:
    #[arg(long, default_value = ":memory:", value_name = "PATH")]
    store: String,
    /// The largest message that is taken, below 32 MiB
    #[arg(long, default_value_t = DEFAULT_MAX_MESSAGE, value_name = "BYTES")]
    max_message: usize,
    /// One line per call on stderr
    #[arg(long)]
    log_calls: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("users-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    log::log_calls(arguments.log_calls);
    let most = arguments.max_message;
    anyhow::ensure!(
        (1..socket::frame::MAX_MESSAGE).contains(&most),
        "--max-message is {most}, expected 1 to {} bytes",
        socket::frame::MAX_MESSAGE - 1
    );
    let store = Store::open(&arguments.store).with_context(|| format!("the store {}", arguments.store))?;
    let service = Arc::new(Service::new(store));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Before READY, so that no signal can come between.
    let (mut terminate, mut interrupt) = {
        let _guard = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let (addresses, kept) = serve(arguments, &runtime, &service)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "READY {}", Value::Object(addresses))?;
    out.flush()?;
    runtime.block_on(async {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    });
    drop(kept);
    // Calls that wait have no claim on the end.
    runtime.shutdown_background();
    Ok(())
}

/// What lives no longer than it is kept.
#[derive(Default)]
#[allow(dead_code, reason = "what counts is when it is dropped")]
struct Kept {
    segments: Option<segment::server::Server>,
    unix: Option<unix::server::Server>,
}

/// Starts what is asked for. Returns the addresses, and what is to be kept.
fn serve(
    arguments: &Arguments,
    runtime: &Runtime,
    service: &Arc<Service>,
) -> anyhow::Result<(Map<String, Value>, Kept)> {
    let most = arguments.max_message;
    let mut addresses = Map::new();
    let mut kept = Kept::default();
    for transport in Transport::ALL {
        if !arguments.transports.is_empty() && !arguments.transports.contains(&transport) {
            continue;
        }
        let service = Arc::clone(service);
        let (key, address) = match transport {
            Transport::Socket => {
                let listen = &arguments.socket_listen;
                let address = socket::server::start(listen, most, service);
                ("socket", address.with_context(|| format!("the socket at {listen}"))?.to_string())
            }
            Transport::Rest => {
                let listen = &arguments.rest_listen;
                let address = runtime.block_on(rest::server::start(listen, most, service));
                ("rest", format!("http://{}", address.with_context(|| format!("REST at {listen}"))?))
            }
            Transport::Grpc => {
                let listen = &arguments.grpc_listen;
                let address = runtime.block_on(grpc::server::start(listen, most, service));
                ("grpc", address.with_context(|| format!("gRPC at {listen}"))?.to_string())
            }
            Transport::Unix => {
                let name = || format!("users-{}.sock", std::process::id());
                let path = arguments.unix_listen.clone().unwrap_or_else(|| std::env::temp_dir().join(name()));
                let server = unix::server::Server::start(&path, most, service);
                kept.unix = Some(server.with_context(|| format!("the Unix socket {}", path.display()))?);
                ("unix", path.display().to_string())
            }
            Transport::Eshm => {
                let config = segment::server::Config {
                    name: arguments.eshm_name.clone(),
                    clients: arguments.eshm_clients.into(),
                    capacity: arguments.eshm_capacity,
                    max_message: most,
                };
                kept.segments = Some(segment::server::Server::start(&config, &service)?);
                ("eshm", arguments.eshm_name.clone())
            }
        };
        addresses.insert(key.to_owned(), Value::String(address));
    }
    Ok((addresses, kept))
}
