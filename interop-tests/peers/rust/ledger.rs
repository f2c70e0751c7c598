//! The scenario `ledger`: traffic in both directions by processes that may be killed, each of which knows from its
//! journal what its predecessors have done.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::Duration;

use eshm::{Events, Interest, PeerState, WaitSet};

use crate::journal::{Journal, Kind, Word};
use crate::looped::Endpoint;
use crate::observe::{Observation, observe, ready};
use crate::payload::{check, payload};
use crate::{Arguments, Failure};

/// How long a turn waits for a message if it has sent one, so that a reply is due, and if it has not.
const REPLY_TURN: Duration = Duration::from_millis(100);
const TURN: Duration = Duration::from_millis(1);
/// How long a turn waits in place of [`REPLY_TURN`] for an event descriptor. Without a ring, and without a look of the
/// background thread, it takes longer than a restart may take.
const EVENT_TURN: Duration = Duration::from_secs(2);
/// The greatest number of messages that one turn receives.
const MOST: usize = 8;
/// The greatest length of a message or value by its number: most fit into a slot, some are long.
const LONGEST: [usize; 4] = [56, 200, 56, 3000];

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Broken(format!("the journal: {error}"))
    }
}

/// The state of one process.
struct Ledger<'a> {
    endpoint: Endpoint,
    /// What it waits for in place of a message.
    events: Option<(Events, WaitSet)>,
    journal: &'a mut Journal,
    /// The greatest number received by this process. Initially the last one that was released.
    last: u64,
    /// The process number of the peer, from its last message.
    peer_life: u64,
    peer_state: Option<PeerState>,
    peer_has_ended: bool,
    /// The last value read.
    value: u64,
    turn: u64,
}

/// Sends and receives until it is told to stop. Then it continues or leaves, as ordered.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.journal.as_ref().ok_or_else(|| "ledger needs --journal".to_owned())?;
    let mut journal = Journal::open(path)?;
    begin_life(&mut journal)?;
    observe(&Observation::Opening);
    let mut builder = eshm::Endpoint::builder(&arguments.name).role(arguments.role);
    builder = builder.connect_timeout(arguments.timeout());
    if let Some(queue) = arguments.queue {
        builder = builder.queue_capacity(queue);
    }
    let endpoint = Endpoint::open(builder, arguments.tokio)?;
    let events = if arguments.events { Some(wait_set(&endpoint)?) } else { None };
    ready();
    let last = journal.get(Word::Released);
    let mut ledger = Ledger {
        endpoint,
        events,
        journal: &mut journal,
        last,
        peer_life: 0,
        peer_state: None,
        peer_has_ended: false,
        value: 0,
        turn: 0,
    };
    let orders = orders();
    loop {
        let goes_on = ledger.stream(&orders)?;
        if !goes_on {
            ledger.endpoint.close()?;
            return Ok(());
        }
        ledger.peer_has_ended = false;
    }
}

/// Returns the event descriptor of an endpoint, in a set of its own.
fn wait_set(endpoint: &Endpoint) -> Result<(Events, WaitSet), Failure> {
    let events = endpoint.events(Interest::READABLE | Interest::WRITABLE | Interest::PEER)?;
    let set = WaitSet::new()?;
    set.add(&events, 0)?;
    Ok((events, set))
}

/// Marks as doubtful what a killed predecessor had begun to send and not acknowledged. It is never sent again.
fn begin_life(journal: &mut Journal) -> io::Result<()> {
    let (intended, sent) = (journal.get(Word::Intended), journal.get(Word::Sent));
    if intended > sent {
        journal.record(Kind::Doubtful, sent + 1, intended)?;
        journal.set(Word::Sent, intended)?;
    }
    journal.set(Word::Lives, journal.get(Word::Lives) + 1)
}

impl Ledger<'_> {
    /// Takes turns until both sides have sent their end. Returns whether to continue after that.
    fn stream(&mut self, orders: &Receiver<()>) -> Result<bool, Failure> {
        let mut stopping = false;
        let mut end_sent = false;
        while !(end_sent && self.peer_has_ended) {
            self.say_peer_state();
            self.write_value()?;
            stopping = stopping || orders.try_recv() != Err(TryRecvError::Empty);
            let sent = if !stopping {
                self.send()? > 0
            } else {
                end_sent = end_sent || transient(self.endpoint.try_send(b""))?.is_some();
                false
            };
            // Only every second turn, so that the peer may wait for a value meanwhile.
            let reply_is_due = sent && !self.peer_has_ended && self.turn.is_multiple_of(2);
            self.receive(if reply_is_due { REPLY_TURN } else { TURN })?;
            self.read_value(Duration::ZERO)?;
            if self.turn.is_multiple_of(16) {
                self.read_value(5 * TURN)?;
            }
            self.turn += 1;
        }
        observe(&Observation::Done {
            sent: self.journal.get(Word::Sent),
            received: self.journal.get(Word::Received),
        });
        loop {
            match orders.recv_timeout(TURN) {
                Ok(()) => return Ok(true),
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) => self.say_peer_state(),
            }
        }
    }

    fn message(&self, number: u64) -> Vec<u8> {
        payload(self.journal.get(Word::Lives), number, longest(number))
    }

    /// Sends the next messages in one of four ways. Returns how many.
    fn send(&mut self) -> Result<u64, Failure> {
        let before = self.journal.get(Word::Sent);
        let count = if self.turn.is_multiple_of(4) { 3 } else { 1 };
        let messages: Vec<_> = (before + 1..=before + count).map(|number| self.message(number)).collect();
        self.journal.set(Word::Intended, before + count)?;
        let one = |_| 1;
        let sent = match self.turn % 4 {
            0 => match self.endpoint.split().0.try_send_many(&messages) {
                Ok(()) => count,
                Err(error) => {
                    transient(Err::<(), _>(error.source))?;
                    error.sent as u64
                }
            },
            1 => transient(self.endpoint.send_timeout(&messages[0], TURN))?.map_or(0, one),
            2 => transient(self.endpoint.split().0.try_loan(messages[0].len()).and_then(|mut loan| {
                loan.copy_from_slice(&messages[0]);
                loan.send()
            }))?
            .map_or(0, one),
            _ => transient(self.endpoint.try_send(&messages[0]))?.map_or(0, one),
        };
        if sent > 0 {
            self.journal.set(Word::Sent, before + sent)?;
        }
        Ok(sent)
    }

    /// Receives what is there, and waits for the first: one by one, or all at once. Released only when it is in the
    /// journal.
    fn receive(&mut self, wait: Duration) -> Result<(), Failure> {
        let wait = self.await_events(wait)?;
        if self.turn.is_multiple_of(2) {
            let mut taken = Vec::new();
            let mut note = Ok(());
            let (journal, last) = (&mut *self.journal, &mut self.last);
            self.endpoint.recv_many_timeout(MOST, wait, |bytes| {
                if note.is_ok() {
                    note = take(journal, last, bytes).map(|message| taken.push(message));
                }
            })?;
            note?;
            taken.into_iter().for_each(|message| self.heard(message));
            self.journal.set(Word::Released, self.journal.get(Word::Received))?;
            return Ok(());
        }
        let mut wait = wait;
        for _ in 0..MOST {
            let Some(message) = self.endpoint.recv_timeout(wait)? else { break };
            let taken = take(self.journal, &mut self.last, &message)?;
            drop(message);
            self.journal.set(Word::Released, self.journal.get(Word::Received))?;
            self.heard(taken);
            wait = Duration::ZERO;
        }
        Ok(())
    }

    /// Waits for the event descriptor, if there is one, and returns for how long to wait for a message then.
    fn await_events(&mut self, wait: Duration) -> Result<Duration, Failure> {
        let Some((_, set)) = &self.events else { return Ok(wait) };
        let Some(message) = self.endpoint.try_recv()? else {
            let _ = set.wait(Some(if wait == REPLY_TURN { EVENT_TURN } else { wait }))?;
            return Ok(Duration::ZERO);
        };
        let taken = take(self.journal, &mut self.last, &message)?;
        drop(message);
        self.journal.set(Word::Released, self.journal.get(Word::Received))?;
        self.heard(taken);
        Ok(Duration::ZERO)
    }

    /// Handles the end, or the first message of the peer's next process.
    fn heard(&mut self, message: Option<(u64, u64)>) {
        let Some((life, number)) = message else {
            self.peer_has_ended = true;
            return;
        };
        if life != self.peer_life {
            self.peer_life = life;
            let generation = self.endpoint.generation();
            observe(&Observation::Received { seed: life, number, generation });
        }
    }

    fn say_peer_state(&mut self) {
        let state = match &self.events {
            Some((events, _)) => events.peer_state(),
            None => self.endpoint.peer_state(),
        };
        if self.peer_state.replace(state) != Some(state) {
            observe(&Observation::Peer { state: state.to_string() });
        }
    }

    fn write_value(&mut self) -> Result<(), Failure> {
        let number = self.journal.get(Word::Value) + 1;
        self.journal.set(Word::Value, number)?;
        transient(self.endpoint.write(&self.message(number)))?;
        Ok(())
    }

    /// Reads the peer's value, if there is one. It must be complete and newer than the last one.
    fn read_value(&mut self, wait: Duration) -> Result<(), Failure> {
        let Some(value) = self.endpoint.read_timeout(wait)? else { return Ok(()) };
        let (_, number) = checked(&value)?;
        if number <= self.value {
            return Err(format!("value {number} came after {}", self.value).into());
        }
        self.value = number;
        Ok(())
    }
}

fn longest(number: u64) -> usize {
    LONGEST[(number % 4) as usize]
}

/// Checks a message, and returns its process number and its number.
fn checked(bytes: &[u8]) -> Result<(u64, u64), Failure> {
    let number = bytes.first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
    Ok(check(bytes, longest(number))?)
}

/// Records a message that is not released yet. Returns `None` for the end.
fn take(journal: &mut Journal, last: &mut u64, bytes: &[u8]) -> Result<Option<(u64, u64)>, Failure> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (life, number) = checked(bytes)?;
    let received = journal.get(Word::Received);
    if number <= *last {
        journal.record(Kind::Duplicate, number, number)?;
    } else if number <= received {
        journal.record(Kind::Again, number, number)?;
    } else {
        if number > received + 1 {
            journal.record(Kind::Missing, received + 1, number - 1)?;
        }
        journal.set(Word::Received, number)?;
    }
    *last = number.max(*last);
    Ok(Some((life, number)))
}

/// Returns `None` for an error that may not occur again.
fn transient<T>(result: eshm::Result<T>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_transient() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns a channel of the lines of stdin. The channel closes at the end of stdin.
fn orders() -> Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for _ in io::stdin().lines().map_while(Result::ok) {
            if sender.send(()).is_err() {
                break;
            }
        }
    });
    receiver
}
