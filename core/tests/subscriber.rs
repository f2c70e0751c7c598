//! A `tracing` subscriber is foreign code: in an event it may use the endpoint that the event is about, open another one,
//! or fork. None of it may wait for a lock that the library holds meanwhile.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Mutex;
use std::time::Duration;

use eshm::{Builder, Endpoint, Inspector, PeerState, Role};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use tracing::field::{Field, Visit};

mod common;
use common::{Child, Name, poll, say, scenario};

/// Uses, in each event, every endpoint that there is, a new one, and a child process.
struct Meddler {
    segment: String,
}

static INSPECTORS: Mutex<Vec<Inspector>> = Mutex::new(Vec::new());
static SENDING: Mutex<Vec<Endpoint>> = Mutex::new(Vec::new());
/// What the events said that nobody has waited for: their messages, or the peer's new state.
static EVENTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// On which threads there was an event to meddle with.
static THREADS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
thread_local!(static MEDDLING: Cell<bool> = const { Cell::new(false) });

/// What an event says.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), "message" | "to") {
            self.0 = format!("{value:?}");
        }
    }
}

impl Meddler {
    fn meddle(&self) {
        let inspectors = INSPECTORS.lock().unwrap().clone();
        for inspector in inspectors {
            // An endpoint may be closed by now: that it answers at all is what matters.
            let _ = inspector.stats();
            let _ = inspector.wait_for_peer(Duration::ZERO);
            let _ = (
                inspector.peer_state(),
                inspector.generation(),
                inspector.unreceived(),
                inspector.data_size(),
            );
        }
        if let Ok(mut endpoints) = SENDING.try_lock() {
            for endpoint in endpoints.iter_mut() {
                let _ = (endpoint.try_send(b"event"), endpoint.write(b"event"), endpoint.try_recv().is_ok());
            }
        }
        Endpoint::master(&format!("{}-other", self.segment)).unwrap().close().unwrap();
        // SAFETY: the child does nothing but end.
        match unsafe { fork() }.unwrap() {
            // SAFETY: takes no pointers, and does not return.
            ForkResult::Child => unsafe { libc::_exit(0) },
            ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        };
    }
}

impl tracing::Subscriber for Meddler {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        // What the meddling itself brings about is not meddled with.
        if !MEDDLING.replace(true) {
            THREADS.lock().unwrap().insert(std::thread::current().name().unwrap_or_default().to_owned());
            self.meddle();
            MEDDLING.set(false);
        }
        let mut text = Text::default();
        event.record(&mut text);
        EVENTS.lock().unwrap().insert(text.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

fn await_event(text: &str) {
    poll(text, || EVENTS.lock().unwrap().take(text));
}

fn open(builder: Builder) -> Endpoint {
    let endpoint = builder.open().unwrap();
    INSPECTORS.lock().unwrap().push(endpoint.inspector());
    endpoint
}

/// Every event that a link emits, on the monitor's thread and on those of the user.
fn meddle(segment: &str) {
    let meddler = Meddler { segment: segment.to_owned() };
    tracing::subscriber::set_global_default(meddler).unwrap();
    let with_role = |role| Endpoint::builder(segment).role(role);
    // Its heart is beaten by hand: it can be frozen. It judges its peer on the user's thread.
    let by_hand = open(with_role(Role::Master).background(false));
    await_event("attached");
    let slave = open(with_role(Role::Slave).reconnect_interval(Duration::from_millis(1)));
    SENDING.lock().unwrap().push(slave);
    assert_eq!(by_hand.peer_state(), PeerState::Alive);
    await_event("frozen");
    EVENTS.lock().unwrap().clear();
    by_hand.update_heartbeat().unwrap();
    await_event("alive");
    by_hand.close().unwrap();
    await_event("closed");
    let master = open(with_role(Role::Master));
    await_event("attached to the new segment of that name");
    await_event("alive");
    let file = format!("/dev/shm/eshm_{segment}");
    std::fs::remove_file(&file).unwrap();
    await_event("the segment's file was removed: another one takes its name");
    let foreign = format!("{file}-foreign");
    std::fs::write(&foreign, "somebody else's").unwrap();
    std::fs::rename(&foreign, &file).unwrap();
    await_event("another segment has the name: this endpoint is displaced");
    drop(master);
    await_event("closed");
    let slave = SENDING.lock().unwrap().pop().unwrap();
    slave.close().unwrap();
    await_event("closed");
    assert!(THREADS.lock().unwrap().len() > 1, "both the monitor and the user have events");
    say("done");
}

#[test]
fn child() {
    if let Some((_, segment)) = scenario() {
        meddle(&segment);
    }
}

#[test]
fn a_subscriber_may_use_endpoints_and_fork_in_every_event() {
    let name = Name::new("subscriber");
    let child = Child::start("meddle", &name);
    child.expect("done");
    assert!(child.ended().success());
}
