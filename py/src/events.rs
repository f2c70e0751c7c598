//! The core's events, for Python's `logging`.
//!
//! The core emits events on any thread. One of them keeps the heartbeats of all endpoints, and must never wait for the
//! interpreter. So the subscriber below only adds events to a queue, under a lock that is held for no more than that. A
//! Python thread, in `eshm._logging`, takes them from the queue and logs them.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// How many events may wait to be logged. Further ones are dropped, and counted.
const MOST: usize = 1024;

/// A warning, as a level of `logging`.
const WARNING: u8 = 30;

/// A level of `logging`, the name of the segment that an event is about, which may be empty, and its text.
type Entry = (u8, String, String);

static FIRST: Queue = Queue::new();

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// The queue of a forked child, which replaces this one: a thread that does not exist there may hold this lock.
    next: OnceLock<Box<Queue>>,
}

struct State {
    phase: Phase,
    entries: VecDeque<Entry>,
    /// How many events were dropped since the entries were last taken.
    dropped: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// No thread takes events, and so they are dropped.
    Idle,
    Running,
    /// The interpreter is about to end.
    Stopped,
}

impl Queue {
    const fn new() -> Self {
        let state = State { phase: Phase::Idle, entries: VecDeque::new(), dropped: 0 };
        Queue { state: Mutex::new(state), changed: Condvar::new(), next: OnceLock::new() }
    }

    /// Returns the queue of this process.
    fn current() -> &'static Queue {
        let mut queue = &FIRST;
        while let Some(next) = queue.next.get() {
            queue = next;
        }
        queue
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entry: Entry) {
        let mut state = self.lock();
        if state.phase != Phase::Running {
            return;
        }
        if state.entries.len() < MOST {
            state.entries.push_back(entry);
            self.changed.notify_one();
        } else {
            state.dropped += 1;
        }
    }

    /// Waits for events. Returns `None` when it is stopped and none are left.
    fn take(&self) -> Option<VecDeque<Entry>> {
        let state = self.lock();
        let waits = |state: &mut State| state.entries.is_empty() && state.phase == Phase::Running;
        let mut state = self.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        let mut entries = mem::take(&mut state.entries);
        if state.dropped > 0 {
            let dropped = mem::take(&mut state.dropped);
            // They came after all entries.
            let text = format!("{dropped} events were dropped: they arrived faster than they were logged");
            entries.push_back((WARNING, String::new(), text));
        }
        (!entries.is_empty()).then_some(entries)
    }
}

/// Python calls this in a forked child.
pub fn note_fork() {
    // Only this thread exists, so nothing else sets it.
    let _ = Queue::current().next.set(Box::new(Queue::new()));
}

/// Has the events logged from now on, if the program uses `logging`.
pub fn forward(py: Python<'_>) -> PyResult<()> {
    if Queue::current().lock().phase == Phase::Idle
        && py.import("sys")?.getattr("modules")?.contains("logging")?
    {
        py.import("eshm._logging")?.call_method0("start")?;
    }
    Ok(())
}

/// Begins to collect events. Returns whether the caller is to start the thread that takes them.
#[pyfunction(name = "_start_events")]
pub fn start_events() -> bool {
    let mut state = Queue::current().lock();
    if state.phase != Phase::Idle {
        return false;
    }
    state.phase = Phase::Running;
    drop(state);
    // Fails when a process does so again after a fork.
    let _ = tracing::subscriber::set_global_default(Collector);
    true
}

/// Ends the collection of events. The thread that takes them still gets what was collected, then None.
#[pyfunction(name = "_stop_events")]
pub fn stop_events() {
    let queue = Queue::current();
    queue.lock().phase = Phase::Stopped;
    queue.changed.notify_all();
}

/// Waits for events. Returns them, oldest first: for each its level, its segment and its text. The segment of an
/// event that is about none is empty.
#[pyfunction(name = "_take_events")]
pub fn take_events(py: Python<'_>) -> Option<Vec<Entry>> {
    py.detach(|| Queue::current().take()).map(Vec::from)
}

/// The subscriber of the core's events.
struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("eshm")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let level = match *event.metadata().level() {
            Level::ERROR => 40,
            Level::WARN => WARNING,
            Level::INFO => 20,
            Level::DEBUG => 10,
            Level::TRACE => 5,
        };
        Queue::current().push((level, text.segment, text.message + &text.fields));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// An event's fields.
#[derive(Default)]
struct Text {
    segment: String,
    message: String,
    /// All others, each as ` name=value`.
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "segment" => value.clone_into(&mut self.segment),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
