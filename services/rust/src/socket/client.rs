//! The client of frames.

use std::net::TcpStream;
use std::ops::ControlFlow;

use super::frame::{Found, MAX_MESSAGE, RawAnswer, Reader, Request, Writer, write};
use crate::call::Payload;
use crate::deadline::Deadline;
use crate::named::Channel;
use crate::proto::ListUsersRequest;
use crate::status::{Code, Outcome, Status};

/// A client through TCP.
#[derive(Debug)]
pub struct Client {
    address: String,
    line: Option<Line>,
}

#[derive(Debug)]
struct Line {
    reader: Reader,
    writer: Writer,
    out: Vec<u8>,
    call: u64,
}

/// What the server said.
enum Said<E> {
    More,
    End(E),
}

impl Client {
    /// A client of the server at `address`, such as "127.0.0.1:4000".
    pub fn new(address: &str) -> Self {
        Client { address: address.to_owned(), line: None }
    }

    fn line(&mut self) -> Outcome<&mut Line> {
        if self.line.is_none() {
            self.line = Some(Line::connect(&self.address).map_err(|error| {
                Status::unavailable(format!("{} cannot be reached: {error}", self.address))
            })?);
        }
        Ok(self.line.as_mut().expect("it was just made"))
    }

    /// One call. A connection that may carry the rest of one that was given up is not used again.
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
    fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let writer = Writer::new(stream.try_clone()?);
        Ok(Line { reader: Reader::new(stream, MAX_MESSAGE), writer, out: Vec::new(), call: 0 })
    }

    fn begin<P: Payload>(
        &mut self,
        method: &str,
        params: Option<&P>,
        deadline: Deadline,
        more: bool,
    ) -> Outcome<()> {
        self.call += 1;
        self.out.clear();
        let request =
            Request { id: self.call, method: Some(method), params, deadline_ms: deadline.left_ms(), more };
        write(&request, &mut self.out);
        send(&mut self.writer, &self.out, deadline)
    }

    fn receive<R: Payload, E: Payload>(
        &mut self,
        deadline: Deadline,
        each: &mut dyn FnMut(R),
    ) -> Outcome<Said<E>> {
        let found = self.reader.next(deadline).map_err(|error| gone(&error))?;
        let length = match found {
            Found::Frame(length) => length,
            Found::TimeUp => return Err(Status::deadline()),
            Found::TooLong(length) => return Err(Status::too_large(length, MAX_MESSAGE)),
            Found::Closed => return Err(Status::unavailable("the server closed the connection")),
            Found::NoFrame => return Err(Status::unavailable("what the server sent is no frame")),
        };
        let wrong = |error| Status::unavailable(format!("the server's answer is not understood: {error}"));
        let answer: RawAnswer<'_> = serde_json::from_slice(self.reader.frame(length)).map_err(wrong)?;
        if let Some(error) = answer.error {
            return Err(error.into());
        }
        if answer.id != Some(self.call) {
            return Err(Status::unavailable(format!(
                "the answer is to call {:?}, not {}",
                answer.id, self.call
            )));
        }
        let result = answer.result.map_or("{}", |result| result.get());
        if answer.more {
            each(serde_json::from_str(result).map_err(wrong)?);
            return Ok(Said::More);
        }
        Ok(Said::End(serde_json::from_str(result).map_err(wrong)?))
    }

    /// Receives until the end.
    fn receive_all<R: Payload, E: Payload>(
        &mut self,
        deadline: Deadline,
        each: &mut dyn FnMut(R),
    ) -> Outcome<E> {
        loop {
            if let Said::End(end) = self.receive(deadline, each)? {
                return Ok(end);
            }
        }
    }
}

fn send(writer: &mut Writer, bytes: &[u8], deadline: Deadline) -> Outcome<()> {
    match writer.write_all(bytes, deadline) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Status::deadline()),
        Err(error) => Err(gone(&error)),
    }
}

/// Writes a stream of requests to its end.
fn send_stream<Q: Payload>(
    writer: &mut Writer,
    id: u64,
    requests: impl Iterator<Item = Q>,
    deadline: Deadline,
) -> Outcome<()> {
    let mut out = Vec::new();
    for params in requests {
        out.clear();
        write(&Request { id, params: Some(params), more: true, ..Request::default() }, &mut out);
        send(writer, &out, deadline)?;
    }
    out.clear();
    write(&Request::<ListUsersRequest> { id, ..Request::default() }, &mut out);
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
            line.begin(method, Some(request), deadline, false)?;
            line.receive_all(deadline, &mut |_: ListUsersRequest| ())
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
            line.begin(method, Some(request), deadline, false)?;
            while flow.is_continue() {
                let said =
                    line.receive::<R, ListUsersRequest>(deadline, &mut |message| flow = each(message))?;
                if let Said::End(_) = said {
                    return Ok(());
                }
            }
            Ok(())
        })?;
        if flow.is_break() {
            // Closing is how this transport cancels.
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
            line.begin::<Q>(method, None, deadline, true)?;
            let Line { reader: _, writer, call, .. } = &mut *line;
            let (mut writer, call) = (writer.try_clone().map_err(|error| gone(&error))?, *call);
            // Both at once, so that neither side waits for the other to read. The server reads an abandoned stream to
            // its end, and so the sending ends too.
            std::thread::scope(|scope| {
                let sending = scope.spawn(move || send_stream(&mut writer, call, requests, deadline));
                let received = line.receive_all(deadline, each);
                let sent = sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                received.and_then(|end| sent.map(|()| end))
            })
        })
    }
}
