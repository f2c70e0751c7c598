//! shmipc: one round trip at a time, and its own shape, many tasks with a request each.
//!
//! The settings are those of its own benchmark, with the eventfd wake-up that it recommends for low latency. With a
//! single request under way the buffer is smaller: it takes both ends a second to fill 256 MiB with small slices.
//! Each process has one core, so each has a runtime of one thread.

use std::os::unix::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::shmipc::buffer::BufferReader;
use ::shmipc::config::SizePercentPair;
use ::shmipc::consts::MemMapType;
use ::shmipc::session::{SessionManager, SessionManagerConfig};
use ::shmipc::stream::Stream;
use ::shmipc::transport::{DefaultUnixConnect, DefaultUnixListen};
use ::shmipc::{Error, Listener};
use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;
use tokio::sync::{Barrier, mpsc};

use super::shared::path;
use super::{Args, Side, ready, stay};
use crate::duplex::Duplex;
use crate::payload::{self, REPLY, STOP};
use crate::timing::Observation;

type Client = SessionManager<DefaultUnixConnect>;
type Server = Listener;

/// How long the two ends of a session may take to be ready.
const INITIALIZE: Duration = Duration::from_secs(10);

fn config(args: &Args) -> Result<SessionManagerConfig> {
    let slices = [(args.size as u32 + 256, 70), ((16 << 10) + 256, 20), ((64 << 10) + 256, 10)];
    let mut manager = SessionManagerConfig::new().with_session_num(1);
    let config = manager.config_mut();
    config.mem_map_type = MemMapType::MemMapTypeMemFd;
    config.queue_cap = 65536;
    config.share_memory_buffer_cap = match args.window {
        // Both ends fill all of it before the first message, in pairs of processes at once.
        1 => (32 << 20) + 16 * args.size as u32,
        _ if args.size >= 4 << 20 => 1 << 30,
        _ => 256 << 20,
    };
    config.buffer_slice_sizes =
        slices.into_iter().map(|(size, percent)| SizePercentPair { size, percent }).collect();
    // With the default of a second, 16 pairs on two processors with 256 MiB each fail: "v4 negotiation failed".
    config.initialize_timeout = INITIALIZE;
    config.share_memory_path_prefix = format!("/dev/shm/{}", args.name);
    *config = std::mem::take(config).with_v4_eventfd();
    config.verify()?;
    Ok(manager)
}

fn address(args: &Args) -> Result<SocketAddr> {
    Ok(SocketAddr::from_pathname(path(&args.name, "sock"))?)
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn connect(args: &Args) -> Result<Client> {
    SessionManager::new(config(args)?, DefaultUnixConnect, address(args)?).await.context("connecting")
}

async fn listen(args: &Args) -> Result<Server> {
    let config = config(args)?.config().clone();
    let server = Listener::new(DefaultUnixListen, address(args)?, config).await.context("listening")?;
    ready();
    Ok(server)
}

async fn send(stream: &mut Stream, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
    fill(stream.reserve(size)?);
    while let Err(error) = stream.flush(false).await {
        match error {
            // What its own benchmark does.
            Error::QueueFull => tokio::time::sleep(Duration::from_micros(1)).await,
            error => return Err(error.into()),
        }
    }
    Ok(())
}

async fn recv<T>(stream: &mut Stream, size: usize, side: Side, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
    let seen = look(&stream.read_exact_bytes(size).await?);
    match side {
        Side::Lead => stream.release_read_and_reuse(),
        Side::Follow => stream.recv_buf().release_previous_read(),
    }
    Ok(seen)
}

/// One stream, one request at a time.
pub struct Link {
    stream: Stream,
    side: Side,
    runtime: Runtime,
    _session: Session,
}

enum Session {
    Client(#[expect(dead_code, reason = "keeps the session")] Client),
    Server(#[expect(dead_code, reason = "keeps the session")] Server),
}

impl Link {
    /// Opens one side. A stream comes into being with its first message, so the server's `open` waits for it.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        let runtime = runtime()?;
        let (stream, session) = runtime.block_on(async {
            match side {
                Side::Lead => {
                    let client = connect(args).await?;
                    anyhow::Ok((client.get_stream()?, Session::Client(client)))
                }
                Side::Follow => {
                    let mut server = listen(args).await?;
                    Ok((server.accept().await?, Session::Server(server)))
                }
            }
        })?;
        Ok(Link { stream, side, runtime, _session: session })
    }
}

impl Duplex for Link {
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        self.runtime.block_on(send(&mut self.stream, size, fill))
    }

    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.runtime.block_on(recv(&mut self.stream, size, self.side, look))
    }
}

/// Its own benchmark's shape: `window` tasks, each with a stream and one request under way.
pub fn concurrent(args: &Args, side: Side) -> Result<Observation> {
    let runtime = runtime()?;
    match side {
        Side::Lead => {
            let client = runtime.block_on(connect(args))?;
            let observed = runtime.block_on(request_all(args, &client))?;
            stay();
            Ok(observed)
        }
        Side::Follow => {
            let server = runtime.block_on(listen(args))?;
            runtime.block_on(serve_all(args, server))
        }
    }
}

async fn request_all(args: &Args, client: &Client) -> Result<Observation> {
    let start = Arc::new(Barrier::new(args.window + 1));
    let mut tasks = Vec::with_capacity(args.window);
    for _ in 0..args.window {
        let stream = client.get_stream()?;
        tasks.push(tokio::spawn(request(args.clone(), stream, Arc::clone(&start))));
    }
    start.wait().await;
    let started = Instant::now();
    let (mut messages, mut lost, mut streams) = (0, 0, Vec::new());
    for task in tasks {
        let (stream, done, wrong) = task.await??;
        messages += done;
        lost += wrong;
        streams.push(stream);
    }
    let elapsed = started.elapsed();
    ensure!(messages > 0, "no message in {elapsed:?}");
    if let Some(stream) = streams.first_mut() {
        send(stream, args.size, |bytes| payload::write(bytes, STOP, args.touched)).await?;
    }
    let ns = elapsed.as_nanos() as f64 / messages as f64;
    Ok(Observation { ns, messages, lost, ..Observation::default() })
}

async fn request(args: Args, mut stream: Stream, start: Arc<Barrier>) -> Result<(Stream, u64, u64)> {
    let size = args.size;
    for seq in 0..args.verify {
        send(&mut stream, size, |bytes| payload::write_ramp(bytes, seq)).await?;
        let right = recv(&mut stream, size, Side::Lead, |bytes| payload::is_ramp(bytes, seq + REPLY)).await?;
        ensure!(right, "message {seq} of the check does not have the content that was sent");
    }
    start.wait().await;
    let started = Instant::now();
    let (mut seq, mut lost) = (0, 0);
    while started.elapsed() < args.budget() {
        send(&mut stream, size, |bytes| payload::write(bytes, seq, args.touched)).await?;
        let answer = recv(&mut stream, size, Side::Lead, |bytes| payload::read(bytes, args.touched)).await?;
        lost += u64::from(answer != Some(seq));
        seq += 1;
    }
    Ok((stream, seq, lost))
}

async fn serve_all(args: &Args, mut server: Server) -> Result<Observation> {
    let (ended, mut endings) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            stream = server.accept() => {
                let (args, stream, ended) = (args.clone(), stream?, ended.clone());
                tokio::spawn(async move {
                    if let Some(ending) = serve(&args, stream).await.transpose() {
                        // Only the first is listened to.
                        let _ = ended.send(ending);
                    }
                });
            }
            Some(ending) = endings.recv() => return ending.map(|()| Observation::default()),
        }
    }
}

/// Answers one stream. `None` when it was closed, and the run is not over.
async fn serve(args: &Args, mut stream: Stream) -> Result<Option<()>> {
    let size = args.size;
    for seq in 0..args.verify {
        let right = recv(&mut stream, size, Side::Follow, |bytes| payload::is_ramp(bytes, seq)).await?;
        ensure!(right, "request {seq} of the check does not have the content that was sent");
        send(&mut stream, size, |bytes| payload::write_ramp(bytes, seq + REPLY)).await?;
    }
    loop {
        let seq = match recv(&mut stream, size, Side::Follow, |bytes| payload::read(bytes, args.touched))
            .await
        {
            Ok(seq) => seq,
            Err(error) if matches!(error.downcast_ref(), Some(Error::StreamClosed | Error::EndOfStream)) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if seq == Some(STOP) {
            return Ok(Some(()));
        }
        // A damaged request gets an answer that the client counts as lost.
        send(&mut stream, size, |bytes| payload::write(bytes, seq.unwrap_or(STOP), args.touched)).await?;
    }
}
