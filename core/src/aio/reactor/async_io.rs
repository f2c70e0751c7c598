//! The reactor of the crate `async-io`, which has a thread of its own.

use std::io;
use std::task::{Context, Poll, ready};

use async_io::Async;

use super::{Reactor, Registration};
use crate::api::events::Events;

/// The attempts in one poll.
const ATTEMPTS: u32 = 4;

/// The reactor of the crate [`async_io`]: a thread that wakes the tasks of any executor.
#[derive(Debug)]
pub struct AsyncIo(Async<Events>);

impl Reactor for AsyncIo {}

impl Registration for AsyncIo {
    fn register(events: Events) -> io::Result<Self> {
        Async::new_nonblocking(events).map(AsyncIo)
    }

    fn poll<T>(
        &self,
        context: &mut Context<'_>,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Poll<io::Result<T>> {
        for _ in 0..ATTEMPTS {
            if let Some(done) = attempt() {
                return Poll::Ready(Ok(done));
            }
            // Level-triggered: a ring between the attempt and this call makes the waker wake, too.
            ready!(self.0.poll_readable(context))?;
        }
        // The descriptor is rung again and again. The other tasks run first.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
