//! In the event loop of tokio: ESHM, and a Unix socket.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use eshm::tokio::AsyncEndpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{self, Runtime};
use tokio::task::LocalSet;

use super::shared::path;
use super::{Args, Side, ours, ready, stay};
use crate::duplex::Duplex;
use crate::payload::{self, STOP};
use crate::timing::{Observation, Usage};

/// One end of a connection whose calls are awaited.
pub trait Link: Sized + 'static {
    /// Opens one side of `count` connections. The side that is there first says so.
    fn open(args: &Args, side: Side, count: usize) -> impl Future<Output = Result<Vec<Self>>>;

    /// Sends a message.
    fn send(&mut self, bytes: &[u8]) -> impl Future<Output = Result<()>>;

    /// Waits for the next message, of `size` bytes, and shows it to `look`.
    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> impl Future<Output = Result<T>>;
}

impl Link for AsyncEndpoint {
    async fn open(args: &Args, side: Side, count: usize) -> Result<Vec<Self>> {
        let names = (0..count).map(|index| Args { name: format!("{}-{index}", args.name), ..args.clone() });
        let opened = names.map(|args| ours::open_alone(&args, side)).collect::<Result<Vec<_>>>()?;
        if side == Side::Follow {
            ready();
        }
        let mut links = opened.into_iter().map(AsyncEndpoint::new).collect::<Result<Vec<_>, _>>()?;
        for link in &mut links {
            link.wait_for_peer().await?;
        }
        Ok(links)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.send(bytes).await?)
    }

    async fn recv<T>(&mut self, _size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(&self.recv().await?))
    }
}

/// A Unix stream socket, with a buffer for what arrives.
pub struct Socket(UnixStream, Vec<u8>);

impl Link for Socket {
    async fn open(args: &Args, side: Side, count: usize) -> Result<Vec<Self>> {
        let address = path(&args.name, "sock");
        let mut streams = Vec::new();
        if side == Side::Follow {
            let listener = UnixListener::bind(address)?;
            ready();
            for _ in 0..count {
                streams.push(listener.accept().await?.0);
            }
        } else {
            for _ in 0..count {
                streams.push(UnixStream::connect(&address).await?);
            }
        }
        Ok(streams.into_iter().map(|stream| Socket(stream, vec![0; args.size])).collect())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.0.write_all(bytes).await?)
    }

    async fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let Socket(stream, buffer) = self;
        stream.read_exact(&mut buffer[..size]).await?;
        Ok(look(&buffer[..size]))
    }
}

fn runtime() -> Result<Runtime> {
    Ok(runtime::Builder::new_current_thread().enable_all().build()?)
}

/// One connection, each of whose calls is awaited by itself.
pub struct Looped<L> {
    runtime: Runtime,
    link: L,
    buffer: Vec<u8>,
}

impl<L: Link> Looped<L> {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        let runtime = runtime()?;
        let link = runtime.block_on(L::open(args, side, 1))?.remove(0);
        Ok(Looped { runtime, link, buffer: vec![0; args.size] })
    }
}

impl<L: Link> Duplex for Looped<L> {
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let message = &mut self.buffer[..size];
        fill(message);
        self.runtime.block_on(self.link.send(message))
    }

    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.runtime.block_on(self.link.recv(size, look))
    }
}

/// `window` connections at once, each with a task of its own that makes or answers round trips.
pub fn many<L: Link>(args: &Args, side: Side) -> Result<Observation> {
    let runtime = runtime()?;
    let tasks = LocalSet::new();
    let (size, budget, touched) = (args.size, args.budget(), args.touched);
    let observed = tasks.block_on(&runtime, async {
        let links = L::open(args, side, args.window).await?;
        let (started, usage) = (Instant::now(), Usage::now()?);
        let conversations: Vec<_> = links
            .into_iter()
            .map(|link| match side {
                Side::Lead => tokio::task::spawn_local(ask(link, size, touched, budget)),
                Side::Follow => tokio::task::spawn_local(answer(link, size, touched)),
            })
            .collect();
        let mut trips = 0;
        for conversation in conversations {
            trips += conversation.await??;
        }
        let ns = started.elapsed().as_nanos() as f64 / trips as f64;
        let ns = if side == Side::Lead { ns } else { 0.0 };
        let messages = if side == Side::Lead { trips } else { 0 };
        Observation { ns, messages, ..Observation::default() }.used_since(usage)
    })?;
    if side == Side::Lead {
        stay();
    }
    Ok(observed)
}

/// Makes round trips, and returns how many.
async fn ask(mut link: impl Link, size: usize, touched: bool, budget: Duration) -> Result<u64> {
    let (started, mut message, mut seq) = (Instant::now(), vec![0; size], 0);
    while started.elapsed() < budget {
        payload::write(&mut message, seq, touched);
        link.send(&message).await?;
        let answered = link.recv(size, |bytes| payload::read(bytes, touched)).await?;
        ensure!(answered == Some(seq), "{answered:?} came, expected {seq}");
        seq += 1;
    }
    payload::write(&mut message, STOP, touched);
    link.send(&message).await?;
    Ok(seq)
}

/// Answers until the end.
async fn answer(mut link: impl Link, size: usize, touched: bool) -> Result<u64> {
    let (mut message, mut count) = (vec![0; size], 0);
    loop {
        let Some(seq) = link.recv(size, |bytes| payload::read(bytes, touched)).await? else {
            anyhow::bail!("a message was damaged");
        };
        if seq == STOP {
            return Ok(count);
        }
        payload::write(&mut message, seq, touched);
        link.send(&message).await?;
        count += 1;
    }
}
