//! The client: the slave of the first segment whose seat is free.

use std::ops::ControlFlow;
use std::time::Duration;

use eshm::{Endpoint, Error, Inspector, PeerState, Receiver, Role, Sender};

use super::frame::{Body, Encoded, Frame, Head, Nothing, decode};
use super::{SLICE, segment_name, send};
use crate::call::Payload;
use crate::deadline::Deadline;
use crate::named::Channel;
use crate::proto::ListUsersRequest;
use crate::proto::frame::Kind;
use crate::status::{Code, Outcome, Status};

/// How soon a killed server is noticed.
const HEARTBEAT: Duration = Duration::from_millis(10);
/// While a stream finds no room, how often its answers are taken in.
const TAKE_IN: Duration = Duration::from_millis(1);

/// A client through shared memory.
#[derive(Debug)]
pub struct Client {
    name: String,
    seat: Option<Seat>,
}

#[derive(Debug)]
struct Seat {
    sender: Sender,
    receiver: Receiver,
    inspector: Inspector,
    /// The server's, when the current call began.
    generation: u64,
    /// The current call.
    call: u64,
    scratch: Vec<u8>,
}

impl Client {
    /// A client of the server whose segments have this name.
    pub fn new(name: &str) -> Self {
        Client { name: name.to_owned(), seat: None }
    }

    fn seat(&mut self) -> Outcome<&mut Seat> {
        if self.seat.is_none() {
            self.seat = Some(Seat::take(&self.name)?);
        }
        Ok(self.seat.as_mut().expect("it was just taken"))
    }

    /// One call; the seat is given up if it turns out to be of no use.
    fn call<T>(&mut self, work: impl FnOnce(&mut Seat) -> Outcome<T>) -> Outcome<T> {
        let outcome = work(self.seat()?);
        if outcome.as_ref().is_err_and(|status| status.code == Code::Unavailable) {
            self.seat = None;
        }
        outcome
    }
}

/// What the server said.
pub(crate) enum Said<T> {
    /// The `T` of the call that follows the stream.
    End(T),
    More,
}

impl Seat {
    fn take(name: &str) -> Outcome<Self> {
        for number in 0.. {
            let builder = Endpoint::builder(&segment_name(name, number))
                .role(Role::Slave)
                .connect_timeout(Duration::ZERO)
                .heartbeat_interval(HEARTBEAT);
            match builder.open() {
                Ok(endpoint) => return Self::settle(endpoint),
                Err(Error::SeatTaken { .. }) => {}
                Err(Error::NotFound { .. }) if number > 0 => {
                    return Err(Status::new(
                        Code::ResourceExhausted,
                        format!(
                            "all {number} segments of '{name}' have a client; have the server started with more (--eshm-clients)"
                        ),
                    ));
                }
                Err(error) => return Err(unavailable(&error)),
            }
        }
        unreachable!("the numbers do not end")
    }

    fn settle(endpoint: Endpoint) -> Outcome<Self> {
        let inspector = endpoint.inspector();
        let (sender, mut receiver) = endpoint.into_split();
        // What a predecessor has left unread.
        while receiver.try_recv().map_err(|error| unavailable(&error))?.is_some() {}
        let call = u64::from(fastrand::u32(..)) << 32;
        Ok(Seat { sender, receiver, generation: 0, inspector, call, scratch: Vec::new() })
    }

    /// Begins a call.
    fn begin(&mut self, method: &str, body: &impl Body, deadline: Deadline) -> Outcome<()> {
        self.call = self.call & !u64::from(u32::MAX) | u64::from((self.call as u32).wrapping_add(1));
        self.generation = self.inspector.generation();
        let head = Head { method, deadline_ms: deadline.left_ms(), ..Head::bare(self.call, Kind::Request) };
        self.send((&head, body), deadline)
    }

    fn send(&mut self, frame: (&Head<'_>, &impl Body), deadline: Deadline) -> Outcome<()> {
        let Seat { sender, scratch, inspector, generation, .. } = self;
        send(sender, scratch, frame, SLICE, || check(inspector, *generation, deadline))
    }

    fn cancel(&mut self) {
        self.scratch.clear();
        Head::bare(self.call, Kind::Cancel).write(&Nothing, &mut self.scratch);
        // If there is no room the server has not read what was sent before, and is told by the next REQUEST.
        let _ = self.sender.try_send(&self.scratch);
    }

    /// Waits for the next frame of the current call. At the deadline it cancels the call.
    fn receive<T>(&mut self, deadline: Deadline, take: impl FnOnce(Frame<'_>) -> Outcome<T>) -> Outcome<T> {
        loop {
            let received = self.receiver.recv_timeout(deadline.slice(SLICE));
            if let Some(message) = received.map_err(|error| unavailable(&error))? {
                if let Some(frame) = ours(&message, self.call)? {
                    return take(frame);
                }
                continue;
            }
            check(&self.inspector, self.generation, deadline).inspect_err(|_| self.cancel())?;
        }
    }

    /// Takes in what has come of the current call, without waiting.
    fn take_in<R: Payload, E: Payload>(&mut self, each: &mut dyn FnMut(R)) -> Outcome<Said<E>> {
        while let Some(message) = self.receiver.try_recv().map_err(|error| unavailable(&error))? {
            if let Some(frame) = ours(&message, self.call)?
                && let Said::End(end) = said(&frame, each)?
            {
                return Ok(Said::End(end));
            }
        }
        Ok(Said::More)
    }

    /// Sends a message of a stream, and takes in what comes meanwhile.
    fn send_one<R: Payload, E: Payload>(
        &mut self,
        frame: (&Head<'_>, &impl Body),
        deadline: Deadline,
        each: &mut dyn FnMut(R),
    ) -> Outcome<Said<E>> {
        loop {
            if let Said::End(end) = self.take_in(each)? {
                return Ok(Said::End(end));
            }
            let mut full = false;
            let Seat { sender, scratch, .. } = self;
            let sent = send(sender, scratch, frame, TAKE_IN, || {
                full = true;
                Err(Status::cancelled())
            });
            match sent {
                Err(_) if full => {
                    check(&self.inspector, self.generation, deadline).inspect_err(|_| self.cancel())?
                }
                sent => return sent.map(|()| Said::More),
            }
        }
    }
}

/// That the server is the one it was, and there is time left.
fn check(inspector: &Inspector, generation: u64, deadline: Deadline) -> Outcome<()> {
    let state = inspector.peer_state();
    if matches!(state, PeerState::Dead | PeerState::Closed) || inspector.generation() != generation {
        return Err(Status::unavailable(format!(
            "the server went away during the call (it is {state} now); the call may have been executed"
        )));
    }
    deadline.check()
}

/// The frame, if it belongs to the call.
fn ours(message: &[u8], call: u64) -> Outcome<Option<Frame<'_>>> {
    let frame = Frame::read(message)
        .map_err(|_| Status::unavailable("what the server sent is no Frame of eshm.proto"))?;
    Ok((frame.head.call == call).then_some(frame))
}

/// What a frame of a stream says.
pub(crate) fn said<R: Payload, E: Payload>(frame: &Frame<'_>, each: &mut dyn FnMut(R)) -> Outcome<Said<E>> {
    if frame.head.kind == Kind::Message {
        each(frame.message()?);
        return Ok(Said::More);
    }
    frame.outcome()?;
    Ok(Said::End(frame.message()?))
}

/// The reply, when its last piece has come.
fn take_reply<R: Payload>(frame: &Frame<'_>, pieces: &mut Vec<u8>) -> Outcome<Option<R>> {
    if frame.head.kind == Kind::Message {
        pieces.extend_from_slice(frame.body);
        return Ok(None);
    }
    frame.outcome()?;
    if pieces.is_empty() {
        return frame.message().map(Some);
    }
    pieces.extend_from_slice(frame.body);
    decode(pieces).map(Some)
}

fn unavailable(error: &Error) -> Status {
    Status::unavailable(error.to_string())
}

impl Channel for Client {
    fn connect(&mut self) -> Outcome<()> {
        self.seat().map(drop)
    }

    fn close(&mut self) {
        self.seat = None;
    }

    fn unary<Q: Payload, R: Payload>(&mut self, method: &str, request: &Q, deadline: Deadline) -> Outcome<R> {
        self.call(|seat| {
            seat.begin(method, &Encoded(request), deadline)?;
            let mut pieces = Vec::new();
            loop {
                let reply = seat.receive(deadline, |frame| take_reply(&frame, &mut pieces))?;
                if let Some(reply) = reply {
                    return Ok(reply);
                }
            }
        })
    }

    fn stream<Q: Payload, R: Payload>(
        &mut self,
        method: &str,
        request: &Q,
        deadline: Deadline,
        each: &mut dyn FnMut(R) -> ControlFlow<()>,
    ) -> Outcome<()> {
        self.call(|seat| {
            seat.begin(method, &Encoded(request), deadline)?;
            let mut flow = ControlFlow::Continue(());
            while flow.is_continue() {
                let said = seat.receive(deadline, |frame| {
                    said::<R, ListUsersRequest>(&frame, &mut |message| flow = each(message))
                })?;
                if let Said::End(_) = said {
                    return Ok(());
                }
            }
            seat.cancel();
            Ok(())
        })
    }

    fn duplex<Q: Payload, R: Payload, E: Payload>(
        &mut self,
        method: &str,
        requests: Box<dyn Iterator<Item = Q> + Send>,
        deadline: Deadline,
        each: &mut dyn FnMut(R),
    ) -> Outcome<E> {
        self.call(|seat| {
            seat.begin(method, &Nothing, deadline)?;
            let head = Head::bare(seat.call, Kind::Message);
            for request in requests {
                if let Said::End(end) = seat.send_one((&head, &Encoded(&request)), deadline, each)? {
                    return Ok(end);
                }
            }
            let end = Head::bare(seat.call, Kind::End);
            if let Said::End(end) = seat.send_one((&end, &Nothing), deadline, each)? {
                return Ok(end);
            }
            loop {
                if let Said::End(end) = seat.receive(deadline, |frame| said(&frame, each))? {
                    return Ok(end);
                }
            }
        })
    }
}
