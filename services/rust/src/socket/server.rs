//! The server: a thread per connection.

use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::frame::{Answer, Found, Reader, Writer, write};
use crate::call::{Call, Payload, serve};
use crate::deadline::Deadline;
use crate::service::Service;
use crate::status::{Code, Outcome, Status};
use crate::{json, log};

/// What is written is kept back up to this size, in bytes, while the server has more to say.
const KEPT: usize = 64 << 10;

/// Serves connections until the process ends. Returns the address.
///
/// # Errors
/// That the address cannot be listened at.
pub fn start(listen: &str, max_message: usize, service: Arc<Service>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("socket".into()).spawn(move || {
        for stream in listener.incoming() {
            let service = Arc::clone(&service);
            let served = stream.and_then(|stream| {
                let thread = std::thread::Builder::new().name("socket".into());
                thread.spawn(move || {
                    // A connection that breaks is its client's affair.
                    let _ = serve_connection(stream, max_message, &service);
                })
            });
            if let Err(error) = served {
                eprintln!("socket: a connection cannot be served: {error}");
                // Out of descriptors or threads: some will be free again.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    })?;
    Ok(address)
}

fn serve_connection(stream: TcpStream, max_message: usize, service: &Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let writer = Writer::new(stream.try_clone()?);
    let mut reader = Reader::new(stream, max_message);
    match reader.first_byte()? {
        None => Ok(()),
        Some(0 | 1) => Connection { reader, writer, out: Vec::new(), abandoned: None }.serve(service),
        Some(b' '..=b'~' | b'\t' | b'\n' | b'\r' | 128..) => {
            let (read, stream) = reader.into_parts();
            serve_text(read, stream, max_message)
        }
        Some(first) => {
            let mut out = Vec::new();
            let status = Status::invalid(format!("the first byte is {first}, expected a length or text"));
            write(
                &Answer::<()> { id: None, result: None, error: Some(status.body()), more: false },
                &mut out,
            );
            let (_, mut stream) = reader.into_parts();
            stream.write_all(&out)
        }
    }
}

/// Each line comes back in upper case.
fn serve_text(read: Vec<u8>, stream: TcpStream, max_message: usize) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(Cursor::new(read).chain(stream));
    let mut line = Vec::new();
    loop {
        line.clear();
        // One byte more than a line may have, and its end.
        if lines.by_ref().take(max_message as u64 + 2).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() > max_message {
            return writeln!(out, "{}", Status::too_large(text.len(), max_message));
        }
        let mut answer = String::from_utf8_lossy(text).to_uppercase();
        answer.push('\n');
        out.write_all(answer.as_bytes())?;
    }
}

/// A connection that carries frames.
struct Connection {
    reader: Reader,
    writer: Writer,
    /// What is to be written.
    out: Vec<u8>,
    /// A call whose client still streams, though it was answered with an error.
    abandoned: Option<u64>,
}

/// A frame, with fields of any type.
#[derive(Deserialize)]
struct Loose<'a> {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    method: Value,
    #[serde(borrow, default, deserialize_with = "json::as_written")]
    params: Option<&'a RawValue>,
    #[serde(default)]
    deadline_ms: Value,
    #[serde(default)]
    more: Value,
}

/// A frame.
struct Frame {
    id: u64,
    method: Option<String>,
    params: Option<String>,
    deadline_ms: u32,
    more: bool,
}

impl Frame {
    /// Reads it; an error comes with its id, if it has one.
    fn read(bytes: &[u8]) -> Result<Self, (Option<u64>, Status)> {
        let loose: Loose<'_> = json::object(bytes, "the frame").map_err(|status| (None, status))?;
        let id = loose.id.as_u64();
        let wrong = |field: &str, expected: &str| (id, Status::invalid(format!("{field} is not {expected}")));
        let Some(number) = id else { return Err(wrong("id", "an unsigned 64-bit integer")) };
        let method = match loose.method {
            Value::Null => None,
            Value::String(method) => Some(method),
            _ => return Err(wrong("method", "a string")),
        };
        let deadline_ms = match &loose.deadline_ms {
            Value::Null => Some(0),
            value => value.as_u64().and_then(|ms| u32::try_from(ms).ok()),
        };
        let more = match loose.more {
            Value::Null => Some(false),
            value => value.as_bool(),
        };
        Ok(Frame {
            id: number,
            method,
            params: loose.params.map(|params| params.get().to_owned()),
            deadline_ms: deadline_ms.ok_or_else(|| wrong("deadline_ms", "an unsigned 32-bit integer"))?,
            more: more.ok_or_else(|| wrong("more", "true or false"))?,
        })
    }
}

fn decode<M: Payload>(params: Option<&str>) -> Outcome<M> {
    let Some(params) = params else { return Ok(M::default()) };
    json::object(params.as_bytes(), "params")
}

impl Connection {
    fn serve(mut self, service: &Service) -> io::Result<()> {
        loop {
            self.flush(Deadline::default())?;
            match self.reader.next(Deadline::default())? {
                Found::Frame(length) => match Frame::read(self.reader.frame(length)) {
                    Ok(frame) => self.serve_frame(frame, service)?,
                    Err((id, status)) => self.refuse(id, &status),
                },
                Found::TooLong(length) => self.refuse(None, &self.too_long(length)),
                Found::NoFrame => {
                    self.refuse(
                        None,
                        &Status::invalid("what follows is no frame: its length would be 32 MiB or more"),
                    );
                    return self.flush(Deadline::default());
                }
                Found::Closed => return Ok(()),
                Found::TimeUp => {}
            }
        }
    }

    fn serve_frame(&mut self, frame: Frame, service: &Service) -> io::Result<()> {
        let Frame { id, method, params, deadline_ms, more } = frame;
        let Some(method) = method else {
            if self.abandoned != Some(id) {
                self.refuse(Some(id), &Status::invalid("the frame has no method, and belongs to no call"));
            } else if !more {
                self.abandoned = None;
            }
            return Ok(());
        };
        let started = Instant::now();
        let deadline = Deadline::after_ms(deadline_ms);
        let mut talk = Talk { connection: self, id, params, deadline, more, broken: None };
        let outcome = serve(service, &method, &mut talk);
        let (more, broken) = (talk.more, talk.broken);
        let code = outcome.as_ref().err().map_or(Code::Ok, |status| status.code);
        log::call("socket", &method, code.as_str_name(), started.elapsed());
        if let Some(error) = broken {
            return Err(error);
        }
        if let Err(status) = outcome {
            self.refuse(Some(id), &status);
        }
        self.abandoned = more.then_some(id);
        Ok(())
    }

    fn too_long(&self, length: usize) -> Status {
        Status::too_large(length, self.reader.max_message())
    }

    fn refuse(&mut self, id: Option<u64>, status: &Status) {
        write(&Answer::<()> { id, result: None, error: Some(status.body()), more: false }, &mut self.out);
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
    id: u64,
    params: Option<String>,
    deadline: Deadline,
    /// Whether the client has more to send.
    more: bool,
    /// Why the connection is of no use any more.
    broken: Option<io::Error>,
}

impl Talk<'_> {
    fn broke(&mut self, error: io::Error) -> Status {
        self.broken = Some(error);
        Status::cancelled()
    }

    fn push<M: Payload>(&mut self, result: &M, more: bool) -> Outcome<()> {
        self.deadline.check()?;
        let start = self.connection.out.len();
        let answer = Answer { id: Some(self.id), result: Some(result), error: None, more };
        write(&answer, &mut self.connection.out);
        let size = self.connection.out.len() - start - 4;
        let most = self.connection.reader.max_message();
        if size > most {
            self.connection.out.truncate(start);
            return Err(Status::too_large(size, most));
        }
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
        decode(self.params.take().as_deref())
    }

    fn next<M: Payload>(&mut self) -> Outcome<Option<M>> {
        if !self.more {
            return Ok(None);
        }
        self.connection.flush(self.deadline).map_err(|error| self.broke(error))?;
        let found = self.connection.reader.next(self.deadline).map_err(|error| self.broke(error))?;
        let length = match found {
            Found::Frame(length) => length,
            Found::TimeUp => return Err(Status::deadline()),
            Found::TooLong(length) => return Err(self.connection.too_long(length)),
            Found::Closed | Found::NoFrame => return Err(self.broke(io::ErrorKind::ConnectionReset.into())),
        };
        let frame = Frame::read(self.connection.reader.frame(length)).map_err(|(_, status)| status)?;
        if frame.id != self.id || frame.method.is_some() {
            return Err(Status::invalid(format!(
                "a frame of call {} came before the end of call {}",
                frame.id, self.id
            )));
        }
        self.more = frame.more;
        if self.more { decode(frame.params.as_deref()).map(Some) } else { Ok(None) }
    }

    fn send<M: Payload>(&mut self, message: &M) -> Outcome<()> {
        self.push(message, true)
    }

    fn finish<M: Payload>(&mut self, reply: Option<&M>) -> Outcome<()> {
        match reply {
            Some(message) => self.push(message, false),
            None => self.push(&crate::proto::ListUsersRequest {}, false),
        }
    }
}
