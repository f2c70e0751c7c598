//! ESHM from Rust.

use std::time::{Duration, Instant};

use anyhow::Result;
use eshm::{Endpoint, Error, Interest, Role, WaitSet, WaitStrategy};
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;

use super::{Args, Side, What, ready, stay};
use crate::cases::SMALL;
use crate::duplex::{Duplex, echo};
use crate::payload::{self, STOP};
use crate::timing::{Observation, Usage, median};

const PATIENCE: Duration = Duration::from_secs(5);
/// How many messages make a batch.
const BATCH: usize = 64;
/// How many endpoints are idle at once.
const IDLERS: usize = 1000;

/// The room for long messages that a program with large payloads would configure: `docs/large-payloads.md`.
const ROOMY: usize = 4 << 20;
/// From this size on, the queue gets [`ROOMY`].
const LARGE: usize = 16 << 10;

/// Opens one side, and waits for the other.
pub fn open(args: &Args, side: Side) -> Result<Endpoint> {
    let endpoint = open_alone(args, side)?;
    if side == Side::Follow {
        ready();
    }
    endpoint.wait_for_peer(PATIENCE)?;
    Ok(endpoint)
}

/// Opens one side.
pub fn open_alone(args: &Args, side: Side) -> Result<Endpoint> {
    let wait = match args.what {
        What::Park => WaitStrategy::Park,
        // What these are held against, iceoryx2 and the flag with a memcpy, polls without end.
        What::Loan | What::Copied => WaitStrategy::Spin,
        _ => WaitStrategy::default(),
    };
    let roomy = match args.what {
        What::LoanDefault => false,
        What::Roomy => true,
        _ => args.size >= LARGE,
    };
    let room = if roomy { ROOMY } else { eshm::DEFAULT_QUEUE_CAPACITY };
    let builder = Endpoint::builder(&args.name).wait(wait);
    let builder = match side {
        Side::Lead => builder.role(Role::Slave),
        Side::Follow => builder
            .role(Role::Master)
            .data_size(args.size.max(eshm::DEFAULT_DATA_SIZE))
            .queue_capacity((args.size * args.window).max(room)),
    };
    Ok(builder.open()?)
}

/// How many system calls it made to wake its peer.
pub fn wakeups(endpoint: &Endpoint) -> u64 {
    endpoint.stats().map_or(0, |stats| stats.wakeups)
}

/// `send` from a private buffer; `recv` shows the message where it lies.
pub struct Queue {
    endpoint: Endpoint,
    buffer: Vec<u8>,
}

impl Queue {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        Ok(Queue { endpoint: open(args, side)?, buffer: vec![0; args.size] })
    }
}

impl Duplex for Queue {
    #[inline(always)]
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let message = &mut self.buffer[..size];
        fill(message);
        Ok(self.endpoint.send(message)?)
    }

    #[inline(always)]
    fn recv<T>(&mut self, _size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(&self.endpoint.recv()?))
    }

    fn wakeups(&self) -> u64 {
        wakeups(&self.endpoint)
    }
}

/// As [`Queue`], but what arrives is copied out.
pub struct CopiedOut(pub Queue);

impl Duplex for CopiedOut {
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        self.0.send(size, fill)
    }

    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let message = &mut self.0.buffer[..size];
        message.copy_from_slice(&self.0.endpoint.recv()?);
        Ok(look(message))
    }
}

/// `write` and `read`: the latest value.
pub struct Mailbox(pub Queue);

impl Duplex for Mailbox {
    #[inline(always)]
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let message = &mut self.0.buffer[..size];
        fill(message);
        Ok(self.0.endpoint.write(message)?)
    }

    #[inline(always)]
    fn recv<T>(&mut self, _size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(&self.0.endpoint.read()?))
    }
}

/// `loan` is filled in place; `recv` shows the message where it lies.
pub struct Loans(Endpoint);

impl Loans {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        Ok(Loans(open(args, side)?))
    }
}

impl Duplex for Loans {
    #[inline(always)]
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let mut loan = self.0.loan(size)?;
        fill(&mut loan);
        Ok(loan.send()?)
    }

    #[inline(always)]
    fn recv<T>(&mut self, _size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(&self.0.recv()?))
    }

    fn wakeups(&self) -> u64 {
        wakeups(&self.0)
    }
}

/// `send_many` and `recv_many`.
pub struct Batches {
    endpoint: Endpoint,
    gathered: Vec<Vec<u8>>,
    count: usize,
}

impl Batches {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        Ok(Batches { endpoint: open(args, side)?, gathered: vec![vec![0; args.size]; BATCH], count: 0 })
    }
}

impl Duplex for Batches {
    #[inline(always)]
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        fill(&mut self.gathered[self.count][..size]);
        self.count += 1;
        if self.count < BATCH { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let count = std::mem::take(&mut self.count);
        Ok(self.endpoint.send_many(&self.gathered[..count]).map_err(eshm::Error::from)?)
    }

    fn recv<T>(&mut self, _size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        Ok(look(&self.endpoint.recv()?))
    }

    #[inline(always)]
    fn recv_some(&mut self, _size: usize, each: impl FnMut(&[u8])) -> Result<()> {
        self.endpoint.recv_many(BATCH, each)?;
        Ok(())
    }

    fn wakeups(&self) -> u64 {
        wakeups(&self.endpoint)
    }
}

/// shmipc's shape: `window` requests under way, on loans whose payload nobody touches.
pub fn concurrent(args: &Args, side: Side) -> Result<Observation> {
    let mut link = Loans::open(args, side)?;
    let job = args.job();
    if side == Side::Follow {
        return echo(&mut link, &job);
    }
    job.ask(&mut link)?;
    let mut requests = Requests { link, asked: 0, answered: 0, lost: 0 };
    let started = Instant::now();
    while started.elapsed() < args.budget() {
        for _ in 0..args.window {
            requests.step(args, args.window as u64)?;
        }
    }
    while requests.answered < requests.asked {
        requests.step(args, 0)?;
    }
    let elapsed = started.elapsed();
    job.send(&mut requests.link, STOP)?;
    stay();
    let ns = elapsed.as_nanos() as f64 / requests.answered as f64;
    Ok(Observation { ns, messages: requests.answered, lost: requests.lost, ..Observation::default() })
}

struct Requests {
    link: Loans,
    asked: u64,
    answered: u64,
    lost: u64,
}

impl Requests {
    /// Asks as often as there is room and the window allows; takes an answer if there is one. Never waits for
    /// room: the peer may be waiting for its answers to be taken.
    fn step(&mut self, args: &Args, window: u64) -> Result<()> {
        let (sender, receiver) = self.link.0.split();
        while self.asked - self.answered < window {
            match sender.try_loan(args.size) {
                Ok(mut loan) => {
                    payload::write(&mut loan, self.asked, args.touched);
                    loan.send()?;
                    self.asked += 1;
                }
                Err(Error::Full { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(answer) = receiver.try_recv()? {
            self.lost += u64::from(payload::read(&answer, args.touched) != Some(self.answered));
            self.answered += 1;
        }
        Ok(())
    }
}

/// How long nothing happens before the cost of that is measured: an endpoint rests after 200 ms.
const CALM: Duration = Duration::from_millis(700);

/// What a receiver costs that waits for a message that does not come.
pub fn idle(args: &Args, side: Side) -> Result<Observation> {
    let mut endpoint = open(args, side)?;
    // A message of the peer's would end the wait; none comes.
    let mut wait = |time| -> Result<()> {
        anyhow::ensure!(endpoint.recv_timeout(time)?.is_none(), "a message came to an idle endpoint");
        Ok(())
    };
    wait(CALM)?;
    share_of_a_core(|| wait(args.budget()))
}

/// [`IDLERS`] endpoints, whose peers are in the other process.
fn open_idlers(args: &Args, side: Side) -> Result<Vec<Endpoint>> {
    // An endpoint has several file descriptors.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let open = |index| {
        let builder = Endpoint::builder(&format!("{}-{index}", args.name)).data_size(64).queue_capacity(4096);
        builder.role(if side == Side::Follow { Role::Master } else { Role::Slave }).open()
    };
    let endpoints = (0..IDLERS).map(open).collect::<Result<Vec<_>, _>>()?;
    if side == Side::Follow {
        ready();
    }
    for endpoint in &endpoints {
        endpoint.wait_for_peer(PATIENCE)?;
    }
    Ok(endpoints)
}

/// What [`IDLERS`] endpoints of one process cost that nobody uses, beside as many in the other process.
pub fn idlers(args: &Args, side: Side) -> Result<Observation> {
    let _endpoints = open_idlers(args, side)?;
    std::thread::sleep(CALM);
    share_of_a_core(|| {
        std::thread::sleep(args.budget());
        Ok(())
    })
}

/// What a thread costs that waits for [`IDLERS`] endpoints in one wait set.
pub fn idle_set(args: &Args, side: Side) -> Result<Observation> {
    let mut endpoints = open_idlers(args, side)?;
    let set = WaitSet::new()?;
    for (token, endpoint) in endpoints.iter().enumerate() {
        set.add(&endpoint.events(Interest::READABLE)?, token as u64)?;
    }
    let mut wait = |time: Duration| -> Result<()> {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            for token in set.wait(Some(left))? {
                let message = endpoints[token as usize].try_recv()?;
                anyhow::ensure!(message.is_none(), "a message came to an idle endpoint");
            }
        }
        Ok(())
    };
    wait(CALM)?;
    share_of_a_core(|| wait(args.budget()))
}

fn share_of_a_core(idle: impl FnOnce() -> Result<()>) -> Result<Observation> {
    let (started, before) = (Instant::now(), Usage::now()?);
    idle()?;
    let used = (Usage::now()?.cpu_ns - before.cpu_ns) as f64;
    Ok(Observation { cpu: Some(used / started.elapsed().as_nanos() as f64), ..Observation::default() })
}

/// What it takes to open the two ends of a segment, and to hand over the first message.
pub struct Spent {
    /// Nanoseconds of `open`, of the side that takes longer. The master's are without the reservation of memory.
    pub open: f64,
    /// The same, of the slave.
    pub attach: f64,
    /// Nanoseconds from the first `send` until `recv` has the message.
    pub first: f64,
}

/// Opens both ends of a new segment in this process, over and over.
pub fn open_time(args: &Args, figure: impl Fn(&Spent) -> f64) -> Result<Observation> {
    let mut all = Vec::new();
    let length = segment_length(args)?;
    let started = Instant::now();
    while started.elapsed() < args.budget() {
        all.push(open_once(args, all.len(), length)?);
    }
    let mut figures: Vec<_> = all.iter().map(figure).collect();
    Ok(Observation { ns: median(&mut figures), messages: all.len() as u64, ..Observation::default() })
}

fn open_once(args: &Args, index: usize, length: i64) -> Result<Spent> {
    let name = format!("{}-{index}", args.name);
    let capacity = args.size.max(eshm::DEFAULT_QUEUE_CAPACITY);
    let timed = |role| {
        let started = Instant::now();
        let endpoint = Endpoint::builder(&name).role(role).queue_capacity(capacity).open()?;
        anyhow::Ok((endpoint, started.elapsed()))
    };
    // Before the master, so that both get memory that was freed just now.
    let reserving = reservation(length)?;
    let (mut master, making) = timed(Role::Master)?;
    let (mut slave, attaching) = timed(Role::Slave)?;
    let message = [7; SMALL];
    let started = Instant::now();
    slave.send(&message)?;
    let right = *master.recv()? == message;
    let first = started.elapsed();
    anyhow::ensure!(right, "the first message does not have the content that was sent");
    let making = making.saturating_sub(reserving);
    let [open, attach, first] = [making.max(attaching), attaching, first].map(|time| time.as_nanos() as f64);
    Ok(Spent { open, attach, first })
}

/// How many bytes such a segment has.
fn segment_length(args: &Args) -> Result<i64> {
    let name = format!("{}-length", args.name);
    let capacity = args.size.max(eshm::DEFAULT_QUEUE_CAPACITY);
    let _master = Endpoint::builder(&name).role(Role::Master).queue_capacity(capacity).open()?;
    Ok(std::fs::metadata(format!("/dev/shm/eshm_{name}"))?.len().try_into()?)
}

/// How long the system takes to reserve so many bytes.
fn reservation(length: i64) -> Result<Duration> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = nix::fcntl::open("/dev/shm", flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let started = Instant::now();
    nix::fcntl::posix_fallocate(file, 0, length)?;
    Ok(started.elapsed())
}
