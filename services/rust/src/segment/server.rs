//! The server: the master of a segment per client, each with a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use eshm::{Disconnect, Endpoint, Inspector, Receiver, Role, Sender};

use super::frame::{Body, Encoded, Frame, Head, Malformed, Nothing, Piece, decode};
use super::{SLICE, piece_len, segment_name, send};
use crate::call::{Call, Payload, serve};
use crate::deadline::Deadline;
use crate::log;
use crate::proto::ListUsersRequest;
use crate::proto::frame::Kind;
use crate::service::Service;
use crate::status::{Code, Outcome, Status};

/// How often an idle segment shows a sign of life. Nothing depends on it but how soon a frozen server is called so.
const HEARTBEAT: Duration = Duration::from_millis(50);
const STALE: Duration = Duration::from_secs(2);
/// So many looks in a row, a slice apart, have to find the client gone: a new one may be there before it is known.
const LOOKS: u32 = 3;
/// How long the server's end waits for calls.
const GRACE: Duration = Duration::from_secs(1);

/// What a server of segments may be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The segments are called `name.0`, `name.1` …
    pub name: String,
    /// How many there are: how many clients there can be at once.
    pub clients: usize,
    /// Each queue's capacity, in bytes.
    pub capacity: usize,
    /// The largest frame that is taken, and the largest reply, in bytes.
    pub max_message: usize,
}

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Server {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Opens the segments, and serves each by a thread.
    ///
    /// # Errors
    /// That one cannot be opened, or no thread started; then none is left.
    pub fn start(config: &Config, service: &Arc<Service>) -> anyhow::Result<Self> {
        let open = |number| Desk::open(segment_name(&config.name, number), config, service);
        let desks = (0..config.clients).map(open).collect::<eshm::Result<Vec<_>>>()?;
        let mut server = Server { stop: Arc::default(), threads: Vec::new() };
        for desk in desks {
            let stop = Arc::clone(&server.stop);
            let thread = std::thread::Builder::new().name(desk.name.clone());
            server.threads.push(thread.spawn(move || desk.serve(&stop))?);
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Whoever is amid a call gets some time to end it; then the process's exit closes the segment.
        let until = Instant::now() + GRACE;
        while Instant::now() < until && !self.threads.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// One segment, and the client of the moment.
struct Desk {
    name: String,
    config: Config,
    service: Arc<Service>,
    line: Line,
}

/// An open segment.
struct Line {
    sender: Sender,
    receiver: Receiver,
    inspector: Inspector,
    scratch: Vec<u8>,
    /// A REQUEST that came when another was being served.
    early: Option<Vec<u8>>,
}

impl Line {
    fn open(name: &str, capacity: usize) -> eshm::Result<Self> {
        let endpoint = Endpoint::builder(name)
            .role(Role::Master)
            .queue_capacity(capacity)
            .data_size(1)
            .heartbeat_interval(HEARTBEAT)
            .stale_threshold(STALE)
            .disconnect(Disconnect::Never)
            .open()?;
        let inspector = endpoint.inspector();
        let (sender, receiver) = endpoint.into_split();
        Ok(Line { sender, receiver, inspector, scratch: Vec::new(), early: None })
    }

    /// Sends, unless the client of this generation leaves, or time is up, before there is room.
    fn send(&mut self, frame: (&Head<'_>, &impl Body), visit: &mut Visit) -> Outcome<()> {
        let Line { sender, scratch, inspector, .. } = self;
        send(sender, scratch, frame, SLICE, || visit.check(inspector))
    }
}

/// A client during a call.
struct Visit {
    generation: u64,
    deadline: Deadline,
    looks: u32,
}

impl Visit {
    /// That the client is there, and the deadline has not passed: to be asked a slice apart.
    fn check(&mut self, inspector: &Inspector) -> Outcome<()> {
        self.deadline.check()?;
        let gone = matches!(inspector.peer_state(), eshm::PeerState::Dead | eshm::PeerState::Closed);
        self.looks = if gone { self.looks + 1 } else { 0 };
        if inspector.generation() != self.generation || self.looks >= LOOKS {
            return Err(Status::cancelled());
        }
        Ok(())
    }
}

impl Desk {
    fn open(name: String, config: &Config, service: &Arc<Service>) -> eshm::Result<Self> {
        let line = Line::open(&name, config.capacity)?;
        Ok(Desk { name, config: config.clone(), service: Arc::clone(service), line })
    }

    /// Serves until it shall stop.
    fn serve(mut self, stop: &AtomicBool) {
        // Relaxed: it orders nothing, and is seen after a slice at the latest.
        while !stop.load(Ordering::Relaxed) {
            let Err(error) = self.serve_one() else { continue };
            // A client has broken the segment: the next one gets a new one.
            eprintln!("{}: {error}", self.name);
            let Desk { name, config, service, line } = self;
            drop(line);
            self = match Desk::open(name, &config, &service) {
                Ok(desk) => desk,
                Err(error) => return eprintln!("it is not served any more: {error}"),
            };
        }
    }

    /// Serves the next call, if one comes within a slice.
    ///
    /// # Errors
    /// What a client has done to the segment.
    fn serve_one(&mut self) -> eshm::Result<()> {
        if let Some(early) = self.line.early.take() {
            self.serve_copy(&early);
            return Ok(());
        }
        let Some(message) = self.line.receiver.recv_timeout(SLICE)? else { return Ok(()) };
        if Frame::read(&message).is_ok_and(|frame| frame.head.kind != Kind::Request) {
            return Ok(());
        }
        // Copied, so that the queue is free for what follows it.
        let copy = message.to_vec();
        drop(message);
        self.serve_copy(&copy);
        Ok(())
    }

    /// Serves a call whose request lies elsewhere, so that the queue is free for the messages that follow it.
    fn serve_copy(&mut self, message: &[u8]) {
        let started = Instant::now();
        let generation = self.line.inspector.generation();
        let frame = match Frame::read(message) {
            Ok(frame) => frame,
            Err(Malformed { call: None }) => return,
            Err(Malformed { call: Some(call) }) => {
                let status = Status::invalid("the message is no Frame of eshm.proto");
                return self.end(call, generation, &status);
            }
        };
        let visit = Visit { generation, deadline: Deadline::after_ms(frame.head.deadline_ms), looks: 0 };
        let max_message = self.config.max_message;
        let mut call =
            Talk { line: &mut self.line, frame: &frame, visit, client_streams: false, max_message };
        let outcome = if message.len() > self.config.max_message {
            Err(Status::too_large(message.len(), self.config.max_message))
        } else {
            serve(&self.service, frame.head.method, &mut call)
        };
        let code = outcome.as_ref().err().map_or(Code::Ok, |status| status.code);
        log::call("eshm", frame.head.method, code.as_str_name(), started.elapsed());
        if let Err(status) = outcome
            && status.code != Code::Cancelled
        {
            self.end(frame.head.call, generation, &status);
        }
    }

    fn end(&mut self, call: u64, generation: u64, status: &Status) {
        // A client that has left is noticed, or its successor will skip this.
        let mut visit = Visit { generation, deadline: Deadline::default(), looks: 0 };
        let _ = self.line.send((&Head::end(call, Err(status)), &Nothing), &mut visit);
    }
}

/// A call that is being served.
struct Talk<'a> {
    line: &'a mut Line,
    frame: &'a Frame<'a>,
    visit: Visit,
    client_streams: bool,
    /// The largest reply, in bytes.
    max_message: usize,
}

/// What came during a call.
enum Came<M> {
    Message(M),
    End,
    Nothing,
}

impl Talk<'_> {
    /// Sends the reply of a call without streams, which ends it: in pieces, if the queue is too small for it.
    fn reply<M: Payload>(&mut self, message: &M) -> Outcome<()> {
        let (call, most) = (self.frame.head.call, self.line.sender.max_message());
        let end = Head::end(call, Ok(()));
        let size = message.encoded_len();
        if size > self.max_message {
            return Err(Status::too_large(size, self.max_message));
        }
        let Some(len) = piece_len(most).filter(|_| end.frame_len(&Encoded(message)) > most) else {
            return self.line.send((&end, &Encoded(message)), &mut self.visit);
        };
        let encoded = message.encode_to_vec();
        let last = (size - 1) / len * len;
        let head = Head::bare(call, Kind::Message);
        for piece in encoded[..last].chunks(len) {
            self.line.send((&head, &Piece(piece)), &mut self.visit)?;
            // The client has nothing more to say, but that it does not want to hear more.
            self.look::<ListUsersRequest>(Duration::ZERO)?;
        }
        self.line.send((&end, &Piece(&encoded[last..])), &mut self.visit)
    }

    /// Looks at what the client has sent, for at most `time`.
    fn look<M: Payload>(&mut self, time: Duration) -> Outcome<Came<M>> {
        let call = self.frame.head.call;
        let message = if time.is_zero() {
            self.line.receiver.try_recv()
        } else {
            self.line.receiver.recv_timeout(time)
        };
        let Some(message) = message.map_err(|error| Status::unavailable(error.to_string()))? else {
            return Ok(Came::Nothing);
        };
        match Frame::read(&message) {
            Ok(frame) if frame.head.call == call => match frame.head.kind {
                Kind::Message => Ok(Came::Message(frame.message()?)),
                Kind::End => Ok(Came::End),
                _ => Err(Status::cancelled()),
            },
            Ok(frame) if frame.head.kind == Kind::Request => {
                self.line.early = Some(message.to_vec());
                Err(Status::cancelled())
            }
            Err(Malformed { call: Some(broken) }) if broken == call => {
                Err(Status::invalid("a message of the stream is no Frame of eshm.proto"))
            }
            _ => Ok(Came::Nothing),
        }
    }
}

impl Call for Talk<'_> {
    fn deadline(&self) -> Deadline {
        self.visit.deadline
    }

    fn pause(&mut self, time: Duration) -> Outcome<()> {
        let end = Deadline::after(Some(time));
        while end.check().is_ok() {
            self.visit.check(&self.line.inspector)?;
            // Nothing is to come but the client's wish to end it.
            self.look::<ListUsersRequest>(self.visit.deadline.slice(end.slice(SLICE)))?;
        }
        self.visit.deadline.check()
    }

    fn request<M: Payload>(&mut self) -> Outcome<M> {
        decode(self.frame.body)
    }

    fn next<M: Payload>(&mut self) -> Outcome<Option<M>> {
        self.client_streams = true;
        loop {
            let started = Instant::now();
            let slice = self.visit.deadline.slice(SLICE);
            match self.look(slice)? {
                Came::Message(message) => return Ok(Some(message)),
                Came::End => return Ok(None),
                Came::Nothing if started.elapsed() >= slice => self.visit.check(&self.line.inspector)?,
                Came::Nothing => {}
            }
        }
    }

    fn send<M: Payload>(&mut self, message: &M) -> Outcome<()> {
        self.visit.deadline.check()?;
        if !self.client_streams {
            // The client has nothing more to say, but that it does not want to hear more.
            self.look::<M>(Duration::ZERO)?;
        }
        let head = Head::bare(self.frame.head.call, Kind::Message);
        self.line.send((&head, &Encoded(message)), &mut self.visit)
    }

    fn finish<M: Payload>(&mut self, reply: Option<&M>) -> Outcome<()> {
        self.visit.deadline.check()?;
        let head = Head::end(self.frame.head.call, Ok(()));
        match reply {
            Some(message) if !self.client_streams => self.reply(message),
            Some(message) => self.line.send((&head, &Encoded(message)), &mut self.visit),
            None => self.line.send((&head, &Nothing), &mut self.visit),
        }
    }
}
