//! The client: a connection, with one call at a time.

use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;

use super::write;
use crate::call::Payload;
use crate::deadline::Deadline;
use crate::named::Channel;
use crate::proto::ListUsersRequest;
use crate::proto::frame::Kind;
use crate::segment::client::{Said, said};
use crate::segment::frame::{Body, Encoded, Frame, Head, Nothing};
use crate::socket::frame::{Found, MAX_MESSAGE, Reader, Writer};
use crate::status::{Code, Outcome, Status};

/// A client through a Unix socket.
#[derive(Debug)]
pub struct Client {
    path: String,
    line: Option<Line>,
}

#[derive(Debug)]
struct Line {
    reader: Reader<UnixStream>,
    writer: Writer<UnixStream>,
    out: Vec<u8>,
    /// The current call.
    call: u64,
}

impl Client {
    /// A client of the server whose socket is this file.
    pub fn new(path: &str) -> Self {
        Client { path: path.to_owned(), line: None }
    }

    fn line(&mut self) -> Outcome<&mut Line> {
        if self.line.is_none() {
            self.line =
                Some(Line::connect(&self.path).map_err(|error| {
                    Status::unavailable(format!("{} cannot be reached: {error}", self.path))
                })?);
        }
        Ok(self.line.as_mut().expect("it was just made"))
    }

    /// One call. A connection that may carry the rest of one that was given up is not used again: closing it cancels.
    fn call<T>(&mut self, work: impl FnOnce(&mut Line) -> Outcome<T>) -> Outcome<T> {
        let outcome = work(self.line()?);
        let given_up = [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled];
        if outcome.as_ref().is_err_and(|status| given_up.contains(&status.code)) {
            self.line = None;
        }
        outcome
    }
}

impl Line {
    fn connect(path: &str) -> std::io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        let writer = Writer::new(stream.try_clone()?);
        Ok(Line { reader: Reader::new(stream, MAX_MESSAGE - 1), writer, out: Vec::new(), call: 0 })
    }

    fn begin(&mut self, method: &str, body: &impl Body, deadline: Deadline) -> Outcome<()> {
        self.call += 1;
        let head = Head { method, deadline_ms: deadline.left_ms(), ..Head::bare(self.call, Kind::Request) };
        check_size(&head, body)?;
        self.out.clear();
        write(&head, body, &mut self.out);
        send(&mut self.writer, &self.out, deadline)
    }

    /// Waits for the next frame of the current call.
    fn receive<T>(&mut self, deadline: Deadline, take: impl FnOnce(Frame<'_>) -> Outcome<T>) -> Outcome<T> {
        loop {
            let length = match self.reader.next(deadline).map_err(|error| gone(&error))? {
                Found::Frame(length) => length,
                Found::TimeUp => return Err(Status::deadline()),
                Found::TooLong(length) => return Err(Status::too_large(length, MAX_MESSAGE - 1)),
                Found::Closed => return Err(Status::unavailable("the server closed the connection")),
                Found::NoFrame => return Err(Status::unavailable("what the server sent is no frame")),
            };
            let frame = Frame::read(self.reader.frame(length))
                .map_err(|_| Status::unavailable("what the server sent is no Frame of eshm.proto"))?;
            if frame.head.call == self.call {
                return take(frame);
            }
        }
    }
}

/// That the frame may have the size it has.
fn check_size(head: &Head<'_>, body: &impl Body) -> Outcome<()> {
    let size = head.frame_len(body);
    if size < MAX_MESSAGE { Ok(()) } else { Err(Status::too_large(size, MAX_MESSAGE - 1)) }
}

fn send(writer: &mut Writer<UnixStream>, bytes: &[u8], deadline: Deadline) -> Outcome<()> {
    match writer.write_all(bytes, deadline) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Status::deadline()),
        Err(error) => Err(gone(&error)),
    }
}

/// Writes a stream of requests to its end.
fn send_stream<Q: Payload>(
    writer: &mut Writer<UnixStream>,
    call: u64,
    requests: impl Iterator<Item = Q>,
    deadline: Deadline,
) -> Outcome<()> {
    let head = Head::bare(call, Kind::Message);
    let mut out = Vec::new();
    for request in requests {
        let body = Encoded(&request);
        check_size(&head, &body)?;
        out.clear();
        write(&head, &body, &mut out);
        send(writer, &out, deadline)?;
    }
    out.clear();
    write(&Head::bare(call, Kind::End), &Nothing, &mut out);
    send(writer, &out, deadline)
}

fn gone(error: &std::io::Error) -> Status {
    Status::unavailable(format!("the connection broke: {error}"))
}

impl Channel for Client {
    fn connect(&mut self) -> Outcome<()> {
        self.line().map(drop)
    }

    fn close(&mut self) {
        self.line = None;
    }

    fn unary<Q: Payload, R: Payload>(&mut self, method: &str, request: &Q, deadline: Deadline) -> Outcome<R> {
        self.call(|line| {
            line.begin(method, &Encoded(request), deadline)?;
            line.receive(deadline, |frame| {
                frame.outcome()?;
                frame.message()
            })
        })
    }

    fn stream<Q: Payload, R: Payload>(
        &mut self,
        method: &str,
        request: &Q,
        deadline: Deadline,
        each: &mut dyn FnMut(R) -> ControlFlow<()>,
    ) -> Outcome<()> {
        let mut flow = ControlFlow::Continue(());
        self.call(|line| {
            line.begin(method, &Encoded(request), deadline)?;
            while flow.is_continue() {
                let said = line.receive(deadline, |frame| {
                    said::<R, ListUsersRequest>(&frame, &mut |message| flow = each(message))
                })?;
                if let Said::End(_) = said {
                    return Ok(());
                }
            }
            Ok(())
        })?;
        if flow.is_break() {
            self.line = None;
        }
        Ok(())
    }

    fn duplex<Q: Payload, R: Payload, E: Payload>(
        &mut self,
        method: &str,
        requests: Box<dyn Iterator<Item = Q> + Send>,
        deadline: Deadline,
        each: &mut dyn FnMut(R),
    ) -> Outcome<E> {
        self.call(|line| {
            line.begin(method, &Nothing, deadline)?;
            let mut writer = line.writer.try_clone().map_err(|error| gone(&error))?;
            let call = line.call;
            // Both at once, so that neither side waits for the other to read. The server reads an abandoned stream to
            // its end, and so the sending ends too.
            std::thread::scope(|scope| {
                let sending = scope.spawn(move || send_stream(&mut writer, call, requests, deadline));
                let received = loop {
                    match line.receive(deadline, |frame| said(&frame, each)) {
                        Ok(Said::More) => {}
                        Ok(Said::End(end)) => break Ok(end),
                        Err(status) => break Err(status),
                    }
                };
                let sent = sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                received.and_then(|end| sent.map(|()| end))
            })
        })
    }
}
