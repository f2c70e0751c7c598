//! The server: a thread per connection, which carries one call at a time.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::write;
use crate::call::{Call, Payload, serve};
use crate::deadline::Deadline;
use crate::log;
use crate::proto::frame::Kind;
use crate::segment::frame::{Body, Encoded, Frame, Head, Malformed, Nothing, decode};
use crate::service::Service;
use crate::socket::frame::{Found, MAX_MESSAGE, Reader, Writer};
use crate::status::{Code, Outcome, Status};

/// How much is written at once, at least, while a stream goes on.
const KEPT: usize = 64 << 10;

/// Serves until the process ends; its file is removed when this is dropped.
#[derive(Debug)]
pub struct Server(PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Server {
    /// Listens at `path`, whose file is made.
    ///
    /// # Errors
    /// The system's; `AddrInUse` if another server listens there.
    pub fn start(path: &Path, max_message: usize, service: Arc<Service>) -> io::Result<Self> {
        if path.exists() && UnixStream::connect(path).is_err() {
            // What a killed server has left.
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let server = Server(path.to_owned());
        std::thread::Builder::new().name("unix".into()).spawn(move || {
            for stream in listener.incoming() {
                let service = Arc::clone(&service);
                let served = stream.and_then(|stream| {
                    let thread = std::thread::Builder::new().name("unix".into());
                    thread.spawn(move || {
                        // A connection that breaks is its client's affair.
                        let _ = Connection::new(stream, max_message).and_then(|mut it| it.serve(&service));
                    })
                });
                if let Err(error) = served {
                    eprintln!("unix: a connection cannot be served: {error}");
                    // Out of descriptors or threads: some will be free again.
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        })?;
        Ok(server)
    }
}

struct Connection {
    reader: Reader<UnixStream>,
    writer: Writer<UnixStream>,
    /// What is to be written.
    out: Vec<u8>,
    /// The largest frame that is taken, and the largest reply, in bytes.
    max_message: usize,
    /// A REQUEST that came when another was being served.
    early: Option<Vec<u8>>,
}

impl Connection {
    fn new(stream: UnixStream, max_message: usize) -> io::Result<Self> {
        let writer = Writer::new(stream.try_clone()?);
        // Also what is too long is read: its call is to be told.
        let reader = Reader::new(stream, MAX_MESSAGE - 1);
        Ok(Connection { reader, writer, out: Vec::new(), max_message, early: None })
    }

    fn serve(&mut self, service: &Service) -> io::Result<()> {
        while let Some(message) = self.next(Deadline::default())? {
            let call = match Frame::read(&message) {
                Ok(frame) if frame.head.kind == Kind::Request => {
                    self.serve_frame(&frame, message.len(), service)?;
                    continue;
                }
                Ok(_) | Err(Malformed { call: None }) => continue,
                Err(Malformed { call: Some(call) }) => call,
            };
            self.refuse(call, &Status::invalid("the message is no Frame of eshm.proto"));
            self.flush(Deadline::default())?;
        }
        Ok(())
    }

    /// The next message; `None`: the client has gone, or time is up.
    fn next(&mut self, deadline: Deadline) -> io::Result<Option<Vec<u8>>> {
        if let Some(early) = self.early.take() {
            return Ok(Some(early));
        }
        match self.reader.next(deadline)? {
            Found::Frame(length) => Ok(Some(self.reader.frame(length).to_vec())),
            Found::TooLong(_) | Found::NoFrame => Err(io::ErrorKind::InvalidData.into()),
            Found::Closed | Found::TimeUp => Ok(None),
        }
    }

    fn serve_frame(&mut self, frame: &Frame<'_>, size: usize, service: &Service) -> io::Result<()> {
        let started = Instant::now();
        let (call, method) = (frame.head.call, frame.head.method);
        let deadline = Deadline::after_ms(frame.head.deadline_ms);
        let too_long = (size > self.max_message).then(|| Status::too_large(size, self.max_message));
        let mut talk = Talk { connection: self, frame, deadline, broken: None };
        let outcome = match too_long {
            Some(status) => Err(status),
            None => serve(service, method, &mut talk),
        };
        let broken = talk.broken;
        let code = outcome.as_ref().err().map_or(Code::Ok, |status| status.code);
        log::call("unix", method, code.as_str_name(), started.elapsed());
        if let Some(error) = broken {
            return Err(error);
        }
        if let Err(status) = outcome
            && status.code != Code::Cancelled
        {
            self.refuse(call, &status);
        }
        self.flush(Deadline::default())
    }

    fn refuse(&mut self, call: u64, status: &Status) {
        write(&Head::end(call, Err(status)), &Nothing, &mut self.out);
    }

    fn flush(&mut self, deadline: Deadline) -> io::Result<()> {
        let written = self.writer.write_all(&self.out, deadline)?;
        self.out.clear();
        self.out.shrink_to(KEPT);
        if written { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

/// A call that is being served.
struct Talk<'a> {
    connection: &'a mut Connection,
    frame: &'a Frame<'a>,
    deadline: Deadline,
    /// Why the connection is of no use any more.
    broken: Option<io::Error>,
}

impl Talk<'_> {
    fn broke(&mut self, error: io::Error) -> Status {
        self.broken = Some(error);
        Status::cancelled()
    }

    fn push(&mut self, head: &Head<'_>, body: &impl Body, more: bool) -> Outcome<()> {
        self.deadline.check()?;
        let (size, most) = (head.frame_len(body), self.connection.max_message);
        if size > most {
            return Err(Status::too_large(size, most));
        }
        write(head, body, &mut self.connection.out);
        if more && self.connection.out.len() < KEPT {
            return Ok(());
        }
        self.connection.flush(self.deadline).map_err(|error| self.broke(error))
    }
}

impl Call for Talk<'_> {
    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn pause(&mut self, time: Duration) -> Outcome<()> {
        std::thread::sleep(self.deadline.slice(time));
        self.deadline.check()
    }

    fn request<M: Payload>(&mut self) -> Outcome<M> {
        decode(self.frame.body)
    }

    fn next<M: Payload>(&mut self) -> Outcome<Option<M>> {
        let call = self.frame.head.call;
        loop {
            self.connection.flush(self.deadline).map_err(|error| self.broke(error))?;
            let next = self.connection.next(self.deadline).map_err(|error| self.broke(error))?;
            let Some(message) = next else {
                self.deadline.check()?;
                return Err(self.broke(io::ErrorKind::ConnectionReset.into()));
            };
            match Frame::read(&message) {
                Ok(frame) if frame.head.kind == Kind::Request => {
                    self.connection.early = Some(message);
                    return Err(Status::cancelled());
                }
                Ok(frame) if frame.head.call == call => match frame.head.kind {
                    Kind::Message if message.len() > self.connection.max_message => {
                        return Err(Status::too_large(message.len(), self.connection.max_message));
                    }
                    Kind::Message => return frame.message().map(Some),
                    Kind::End => return Ok(None),
                    _ => return Err(Status::cancelled()),
                },
                Err(Malformed { call: Some(broken) }) if broken == call => {
                    return Err(Status::invalid("a message of the stream is no Frame of eshm.proto"));
                }
                _ => {}
            }
        }
    }

    fn send<M: Payload>(&mut self, message: &M) -> Outcome<()> {
        let head = Head::bare(self.frame.head.call, Kind::Message);
        self.push(&head, &Encoded(message), true)
    }

    fn finish<M: Payload>(&mut self, reply: Option<&M>) -> Outcome<()> {
        let head = Head::end(self.frame.head.call, Ok(()));
        match reply {
            Some(message) => self.push(&head, &Encoded(message), false),
            None => self.push(&head, &Nothing, false),
        }
    }
}
