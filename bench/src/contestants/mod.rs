//! Who is measured, and the command line that every program of a measurement obeys, whatever its language:
//! `<drive|echo|source|sink> <what> <name> --size N --budget-ms N --verify N --window N [--many] [--touched]
//! [--burst N --rest-ms N] [--settle-ms N] [--gate]`.
//!
//! The side that must be there first, `echo` or `sink`, prints `READY` when the other can come. With `--gate`, the
//! other side prints it too, after the check, and starts the timing when it has read a line. Each prints one
//! [`Observation`] at its end. `drive` and `source` then stay until their standard input closes, so that nothing
//! on its way is lost with them.

mod epoll;
#[cfg(feature = "iceoryx2")]
mod iceoryx2;
mod limit;
mod loops;
mod ours;
mod shared;
#[cfg(feature = "shmipc")]
mod shmipc;
mod sockets;

use std::io::Read;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use eshm::tokio::AsyncEndpoint;

use crate::duplex::{Duplex, Job, drive, echo, sink, source};
use crate::payload;
use crate::timing::Observation;

/// What a process of a measurement does.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Role {
    /// Makes round trips.
    Drive,
    /// Answers.
    Echo,
    /// Streams.
    Source,
    /// Counts.
    Sink,
}

/// Which of the two comes first: `Follow` makes what `Lead` opens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    /// `drive` or `source`.
    Lead,
    /// `echo` or `sink`.
    Follow,
}

/// What is measured. Programs in other languages know those of ESHM only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum What {
    /// Limit: one cache line bounces.
    Line,
    /// Limit: slots of one cache line.
    Ring,
    /// Limit: both sides sleep in a futex.
    Futex,
    /// Limit: both sides sleep in epoll, for an eventfd.
    EventFd,
    /// Limit: a flag and a memcpy on each side.
    Copy,
    /// Limit: a flag, and a payload that each side writes and reads in place.
    InPlace,
    /// Limit: memcpy in one process.
    Memcpy,
    /// ESHM: `send` and `recv`.
    Queue,
    /// ESHM: the same, with a queue of 4 MiB.
    Roomy,
    /// ESHM: `send` and `recv`, and what arrives is copied out.
    Copied,
    /// ESHM: `loan` and `recv`.
    Loan,
    /// ESHM: the same, with the default options.
    LoanDefault,
    /// ESHM: `send_many` and `recv_many`.
    Batch,
    /// ESHM: `send` and `recv`, parking at once.
    Park,
    /// ESHM: `send` and `recv`, sleeping in epoll for the event descriptor.
    Events,
    /// ESHM in the event loop of the language: tokio, asyncio.
    Loop,
    /// Unix stream socket in the same event loop.
    LoopUnix,
    /// ESHM: `write` and `read`.
    Mailbox,
    /// ESHM: a receiver that waits for nothing.
    Idle,
    /// ESHM: many endpoints that nobody uses.
    Idlers,
    /// ESHM: many endpoints in one wait set, to which nothing happens.
    IdleSet,
    /// ESHM: `open`, of the side that takes longer, without the reservation of memory.
    Open,
    /// ESHM: `open` of a slave, of a segment whose queues have the size as their capacity.
    Attach,
    /// ESHM: the first message after it.
    First,
    /// iceoryx2, publish–subscribe by loan, polling.
    Iceoryx2,
    /// iceoryx2, the same, and its events: a receiver sleeps in a listener.
    Iceoryx2Event,
    /// shmipc.
    Shmipc,
    /// Unix stream socket.
    Unix,
    /// Unix socket that keeps messages apart.
    Seqpacket,
    /// TCP on the loopback device.
    Tcp,
    /// Named pipes.
    Pipe,
}

impl What {
    /// What must have been built: the name of a feature of this program, or its own.
    pub fn package(self) -> String {
        if self == What::Iceoryx2Event { What::Iceoryx2 } else { self }.word()
    }
}

/// The command line of a process of a measurement.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What this process does.
    pub role: Role,
    /// What is measured.
    pub what: What,
    /// Unique to this measurement.
    pub name: String,
    /// Bytes per message.
    #[arg(long, default_value_t = 56)]
    pub size: usize,
    /// How long the timing takes.
    #[arg(long, default_value_t = 200)]
    pub budget_ms: u64,
    /// How many messages are checked for content before.
    #[arg(long, default_value_t = 16)]
    pub verify: u64,
    /// How many requests are under way at once.
    #[arg(long, default_value_t = 1)]
    pub window: usize,
    /// The window is a number of connections, with one request under way on each.
    #[arg(long)]
    pub many: bool,
    /// Write and read the whole payload.
    #[arg(long)]
    pub touched: bool,
    /// Make so many round trips after each rest; 0: no rests.
    #[arg(long, default_value_t = 0)]
    pub burst: u32,
    /// How long a rest takes.
    #[arg(long, default_value_t = 0)]
    pub rest_ms: u64,
    /// How long both ends rest between the check and the timing.
    #[arg(long, default_value_t = 0)]
    pub settle_ms: u64,
    /// Let the runner say when the timing starts.
    #[arg(long)]
    pub gate: bool,
    /// After how many messages the consumer of a bare slot ring stores its count. Not used by the runner: for experiments.
    #[arg(long)]
    pub acknowledge: Option<u64>,
    /// A bouncing cache line: the answer goes into a second one. Not used by the runner: for experiments.
    #[arg(long)]
    pub two_lines: bool,
    /// Expect the numbers of the messages to begin again at 0 after so many.
    #[arg(long, default_value_t = payload::STOP)]
    pub period: u64,
}

impl Args {
    /// How long the timing takes.
    pub fn budget(&self) -> Duration {
        Duration::from_millis(self.budget_ms)
    }

    fn job(&self) -> Job {
        Job {
            size: self.size,
            touched: self.touched,
            verify: self.verify,
            budget: self.budget(),
            burst: (self.burst > 0).then(|| (self.burst, Duration::from_millis(self.rest_ms))),
            gate: self.gate,
            settle: Duration::from_millis(self.settle_ms),
            period: self.period,
        }
    }

    fn side(&self) -> Side {
        match self.role {
            Role::Drive | Role::Source => Side::Lead,
            Role::Echo | Role::Sink => Side::Follow,
        }
    }
}

/// Runs one process of a measurement.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.size >= 8, "a message of {} bytes has no room for its number: 8 at least", args.size);
    let observed = observe(args)?;
    println!("{}", serde_json::to_string(&observed)?);
    Ok(())
}

fn observe(args: &Args) -> Result<Observation> {
    let side = args.side();
    match args.what {
        What::Memcpy => Ok(limit::memcpy(args)),
        What::Line => {
            let line = limit::Line::open(args, side)?;
            if side == Side::Lead { line.drive(args.budget()) } else { Ok(line.echo()) }
        }
        What::Futex => {
            let futex = limit::Futex::open(args, side)?;
            if side == Side::Lead { futex.drive(args.budget()) } else { Ok(futex.echo()) }
        }
        What::Ring => act(limit::Ring::open(args, side)?, args),
        What::Copy => act(limit::Copy::open(args, side)?, args),
        What::InPlace => act(limit::InPlace(limit::Copy::open(args, side)?), args),
        What::Queue | What::Roomy => act(ours::Queue::open(args, side)?, args),
        What::Copied => act(ours::CopiedOut(ours::Queue::open(args, side)?), args),
        What::Mailbox => act(ours::Mailbox(ours::Queue::open(args, side)?), args),
        What::Idle => ours::idle(args, side),
        What::Idlers => ours::idlers(args, side),
        What::IdleSet => ours::idle_set(args, side),
        What::EventFd => act(epoll::EventFds::open(args, side)?, args),
        What::Events => act(epoll::Events::open(args, side)?, args),
        What::Loop if args.many => loops::many::<AsyncEndpoint>(args, side),
        What::LoopUnix if args.many => loops::many::<loops::Socket>(args, side),
        What::Loop => act(loops::Looped::<AsyncEndpoint>::open(args, side)?, args),
        What::LoopUnix => act(loops::Looped::<loops::Socket>::open(args, side)?, args),
        What::Open => ours::open_time(args, |spent| spent.open),
        What::Attach => ours::open_time(args, |spent| spent.attach),
        What::First => ours::open_time(args, |spent| spent.first),
        What::Park => act(ours::Queue::open(args, side)?, args),
        What::Loan if args.window > 1 => ours::concurrent(args, side),
        What::Loan | What::LoanDefault => act(ours::Loans::open(args, side)?, args),
        What::Batch => act(ours::Batches::open(args, side)?, args),
        What::Unix => act(sockets::unix(args, side)?, args),
        What::Seqpacket => act(sockets::Seqpacket::open(args, side)?, args),
        What::Tcp => act(sockets::tcp(args, side)?, args),
        What::Pipe => act(sockets::pipe(args, side)?, args),
        #[cfg(feature = "iceoryx2")]
        What::Iceoryx2 => act(iceoryx2::Ports::open(args, side)?, args),
        #[cfg(feature = "iceoryx2")]
        What::Iceoryx2Event => act(iceoryx2::Events::open(args, side)?, args),
        #[cfg(feature = "shmipc")]
        What::Shmipc if args.window > 1 => shmipc::concurrent(args, side),
        #[cfg(feature = "shmipc")]
        What::Shmipc => act(shmipc::Link::open(args, side)?, args),
        #[cfg(not(all(feature = "iceoryx2", feature = "shmipc")))]
        what => anyhow::bail!("built without this rival: add `--features {}`", what.package()),
    }
}

fn act(mut link: impl Duplex, args: &Args) -> Result<Observation> {
    let job = args.job();
    let observed = match args.role {
        Role::Drive => drive(&mut link, &job),
        Role::Echo => echo(&mut link, &job),
        Role::Source => source(&mut link, &job),
        Role::Sink => sink(&mut link, &job),
    }?;
    if args.side() == Side::Lead {
        stay();
    }
    Ok(observed)
}

/// Tells the runner that the other side can come.
pub fn ready() {
    println!("READY");
}

/// Waits until the runner says, by closing standard input, that the other side is done.
fn stay() {
    // Whatever ends the wait, an error too, ends it.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
