//! Frames of a socket: four bytes of length, big-endian, then the message: JSON through TCP, a `Frame` of `eshm.proto` through a
//! Unix socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::deadline::Deadline;
use crate::status::ErrorBody;

/// The limit of `max_message`, exclusive, in bytes: the first byte of a frame is 0 or 1 below it.
pub const MAX_MESSAGE: usize = 32 << 20;

/// A connection of either kind.
pub trait Stream: Read + Write + Sized {
    /// How long a read may wait; `None`: for ever.
    ///
    /// # Errors
    /// The system's.
    fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()>;
    /// The same for a write.
    ///
    /// # Errors
    /// The system's.
    fn set_write_timeout(&self, time: Option<Duration>) -> io::Result<()>;
    /// Another handle of the same connection.
    ///
    /// # Errors
    /// The system's.
    fn try_clone(&self) -> io::Result<Self>;
}

macro_rules! stream {
    ($type:ty) => {
        impl Stream for $type {
            fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
                self.set_read_timeout(time)
            }

            fn set_write_timeout(&self, time: Option<Duration>) -> io::Result<()> {
                self.set_write_timeout(time)
            }

            fn try_clone(&self) -> io::Result<Self> {
                self.try_clone()
            }
        }
    };
}
stream!(TcpStream);
stream!(UnixStream);

/// What a client sends.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Request<'a, P> {
    /// The call.
    pub id: u64,
    /// Begins a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'a str>,
    /// The request, or a message of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<P>,
    /// In milliseconds; 0: none.
    #[serde(skip_serializing_if = "is_zero")]
    pub deadline_ms: u32,
    /// Whether messages follow.
    #[serde(skip_serializing_if = "is_false")]
    pub more: bool,
}

/// What a server sends.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer<R> {
    /// The call; `None` if it could not be read.
    pub id: Option<u64>,
    /// The reply, or a message of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<R>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<ErrorBody>,
    /// Whether more of the stream follows.
    #[serde(skip_serializing_if = "is_false", default)]
    pub more: bool,
}

/// An answer whose result is still text.
pub type RawAnswer<'a> = Answer<&'a RawValue>;

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Appends a frame.
///
/// # Panics
/// If the message cannot be JSON, which those of the contract all can.
pub fn write(message: &impl Serialize, to: &mut Vec<u8>) {
    let start = to.len();
    to.extend([0; 4]);
    serde_json::to_writer(&mut *to, message).expect("a message of the contract is JSON, and a Vec takes it");
    let length = (to.len() - start - 4) as u32;
    to[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// So many bytes, at the start of [`Reader::frame`].
    Frame(usize),
    /// A frame of so many bytes, more than are taken; it was thrown away.
    TooLong(usize),
    /// The first byte of the next frame cannot be one.
    NoFrame,
    /// The other side has closed.
    Closed,
    /// Time is up. Nothing is lost: the next call goes on where this one was.
    TimeUp,
}

/// Reads frames, each as a whole, and keeps what belongs to the next.
#[derive(Debug)]
pub struct Reader<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
    /// What is not yet handed out is `buffer[start..end]`.
    start: usize,
    end: usize,
    max_message: usize,
    /// How much of a frame that is too long is still to be thrown away, and its length.
    skip: Option<(usize, usize)>,
    /// Whether the stream has a limit of time at the moment.
    timed: bool,
}

impl<S: Stream> Reader<S> {
    /// Reads frames of up to `max_message` bytes from a stream.
    pub fn new(stream: S, max_message: usize) -> Self {
        Reader { stream, buffer: vec![0; 8 << 10], start: 0, end: 0, max_message, skip: None, timed: false }
    }

    /// The largest frame, in bytes.
    pub fn max_message(&self) -> usize {
        self.max_message
    }

    /// The bytes of the frame that [`Reader::next`] has found.
    pub fn frame(&self, length: usize) -> &[u8] {
        &self.buffer[self.start - length..self.start]
    }

    /// The first byte that comes, which stays; `None` when the other side has closed.
    ///
    /// # Errors
    /// The stream's.
    pub fn first_byte(&mut self) -> io::Result<Option<u8>> {
        while self.start == self.end {
            if self.fill(Deadline::default())? == Some(0) {
                return Ok(None);
            }
        }
        Ok(Some(self.buffer[self.start]))
    }

    /// What was read beyond the last frame, and the stream: for who reads no frames.
    pub fn into_parts(self) -> (Vec<u8>, S) {
        (self.buffer[self.start..self.end].to_vec(), self.stream)
    }

    /// The next frame.
    ///
    /// # Errors
    /// The stream's.
    pub fn next(&mut self, deadline: Deadline) -> io::Result<Found> {
        loop {
            if let Some(found) = self.parse() {
                return Ok(found);
            }
            match self.fill(deadline)? {
                None => return Ok(Found::TimeUp),
                Some(0) => return Ok(Found::Closed),
                Some(_) => {}
            }
        }
    }

    /// What there is in the buffer, if it suffices.
    fn parse(&mut self) -> Option<Found> {
        if let Some((left, length)) = self.skip {
            let now = left.min(self.end - self.start);
            self.start += now;
            self.skip = (left > now).then_some((left - now, length));
            return (left == now).then_some(Found::TooLong(length));
        }
        let unread = &self.buffer[self.start..self.end];
        if unread.first().is_some_and(|first| *first > 1) {
            return Some(Found::NoFrame);
        }
        let length = u32::from_be_bytes(*unread.first_chunk()?) as usize;
        if length > self.max_message {
            self.start += 4;
            self.skip = Some((length, length));
            return self.parse();
        }
        if unread.len() < 4 + length {
            self.make_room(4 + length);
            return None;
        }
        self.start += 4 + length;
        Some(Found::Frame(length))
    }

    /// Has the unread part lie at the buffer's beginning, and room for `size` bytes of it.
    fn make_room(&mut self, size: usize) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
    }

    /// Reads what there is; `Some(0)`: the other side has closed, `None`: time is up.
    fn fill(&mut self, deadline: Deadline) -> io::Result<Option<usize>> {
        if self.end == self.buffer.len() || self.start == self.end {
            self.make_room(1);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        }
        let left = limit(deadline);
        if left.is_some() || self.timed {
            self.stream.set_read_timeout(left)?;
            self.timed = left.is_some();
        }
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(count) => {
                self.end += count;
                Ok(Some(count))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Some(1)),
            Err(error) => Err(error),
        }
    }
}

/// What is left, as sockets want it: zero would mean no limit.
fn limit(deadline: Deadline) -> Option<Duration> {
    deadline.left().map(|left| left.max(Duration::from_micros(1)))
}

/// Writes frames.
#[derive(Debug)]
pub struct Writer<S = TcpStream> {
    stream: S,
    /// Whether the stream has a limit of time at the moment.
    timed: bool,
}

impl<S: Stream> Writer<S> {
    /// Writes to a stream.
    pub fn new(stream: S) -> Self {
        Writer { stream, timed: false }
    }

    /// Another writer to the same stream.
    ///
    /// # Errors
    /// The system's.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Writer { stream: self.stream.try_clone()?, timed: self.timed })
    }

    /// Writes all bytes before the deadline; `Ok(false)`: that was not possible, and the connection is of no use any more.
    ///
    /// # Errors
    /// The stream's.
    pub fn write_all(&mut self, bytes: &[u8], deadline: Deadline) -> io::Result<bool> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let left = limit(deadline);
            if left.is_some() || self.timed {
                self.stream.set_write_timeout(left)?;
                self.timed = left.is_some();
            }
            match self.stream.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
