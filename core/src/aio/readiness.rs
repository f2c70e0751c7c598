//! How the tasks of both halves of an endpoint wait for its one event descriptor.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::reactor::Reactor;
use crate::api::events::Events;
use crate::error::{Error, Result};
use crate::peer::events::Interest;

/// What a task waits for. Each half waits for at most one thing of each kind, since its verbs take `&mut self`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Message,
    Value,
    Room,
    /// The peer, for the task of the sender.
    PeerOfSender,
    /// The peer, for the task of the receiver.
    PeerOfReceiver,
}

const KINDS: usize = 5;

impl Kind {
    fn interest(self) -> Interest {
        match self {
            Kind::Message => Interest::READABLE,
            Kind::Value => Interest::VALUE,
            Kind::Room => Interest::WRITABLE,
            Kind::PeerOfSender | Kind::PeerOfReceiver => Interest::PEER,
        }
    }

    fn awaits_peer(self) -> bool {
        self.interest() == Interest::PEER
    }
}

/// The registered event descriptor of an endpoint, and the tasks that wait for it.
#[derive(Debug)]
pub(super) struct Readiness<R> {
    reactor: R,
    tasks: Arc<Tasks>,
    /// Wakes all tasks. It is the only waker that the reactor gets.
    driver: Waker,
}

impl<R: Reactor> Readiness<R> {
    /// # Errors
    /// Returns [`Error::Attach`] if the descriptor cannot be registered.
    pub(super) fn new(events: &Events) -> Result<Self> {
        let tasks = Arc::new(Tasks { events: events.clone(), wakers: Mutex::default() });
        let driver = Waker::from(Arc::clone(&tasks));
        let reactor = R::register(events.clone()).map_err(|error| events.not_registered(error))?;
        Ok(Readiness { reactor, tasks, driver })
    }

    /// Attempts, and has the task wait if the attempt returns `None`, which means that it has armed the descriptor.
    ///
    /// # Errors
    /// Those of the attempt; [`Error::Attach`] if the reactor has ended.
    pub(super) fn poll<T>(
        &self,
        kind: Kind,
        context: &Context<'_>,
        attempt: impl FnMut() -> Option<Result<T>>,
    ) -> Poll<Result<T>> {
        // Before the attempt, so that no ring after it is missed, and the attempt arms this kind.
        self.tasks.add(kind, context.waker());
        let done = match self.reactor.poll(&mut Context::from_waker(&self.driver), attempt) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(done) => done.unwrap_or_else(|error| Err(self.failed(error))),
        };
        self.tasks.remove(kind);
        if done.is_err() || kind.awaits_peer() {
            // What ends this wait ends the others, too, and the ring for it may be read already.
            self.driver.wake_by_ref();
        }
        Poll::Ready(done)
    }

    /// Attempts to see the peer.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Forked`]; [`Error::Attach`] if the reactor has ended.
    pub(super) fn poll_for_peer(&self, kind: Kind, context: &Context<'_>) -> Poll<Result<()>> {
        self.poll(kind, context, || match self.tasks.events.poll_for_peer() {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        })
    }

    #[cold]
    fn failed(&self, error: io::Error) -> Error {
        self.tasks.events.not_registered(error)
    }
}

impl<R> Drop for Readiness<R> {
    fn drop(&mut self) {
        // Waits that were cancelled.
        drop(self.tasks.change(std::mem::take));
    }
}

/// The tasks that wait. A kind is of interest while a task waits for it, so that the descriptor is not readable for what
/// nobody takes.
#[derive(Debug)]
struct Tasks {
    events: Events,
    wakers: Mutex<[Option<Waker>; KINDS]>,
}

impl Tasks {
    fn change<T>(&self, change: impl FnOnce(&mut [Option<Waker>; KINDS]) -> T) -> T {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        let has_waited = wakers.iter().any(Option::is_some);
        let changed = change(&mut wakers);
        let kinds = [Kind::Message, Kind::Value, Kind::Room, Kind::PeerOfSender, Kind::PeerOfReceiver];
        let waiting = kinds.into_iter().filter(|kind| wakers[*kind as usize].is_some());
        let interest = waiting.fold(Interest::NONE, |all, kind| all | kind.interest());
        self.events.await_events(interest, has_waited);
        changed
    }

    fn add(&self, kind: Kind, waker: &Waker) {
        self.change(|wakers| match &mut wakers[kind as usize] {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        });
    }

    fn remove(&self, kind: Kind) {
        // Dropped unlocked: the drop of a waker may run code of the executor.
        drop(self.change(|wakers| wakers[kind as usize].take()));
    }
}

impl Wake for Tasks {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Woken unlocked: an executor may poll a task at once.
        self.change(std::mem::take).into_iter().flatten().for_each(Waker::wake);
    }
}
