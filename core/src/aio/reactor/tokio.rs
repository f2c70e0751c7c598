//! The reactor of tokio.

use std::io;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Reactor, Registration};
use crate::api::events::Events;

/// The reactor of tokio: [`AsyncFd`].
#[derive(Debug)]
pub struct Tokio(AsyncFd<Events>);

impl Reactor for Tokio {}

impl Registration for Tokio {
    fn register(events: Events) -> io::Result<Self> {
        // Sound as what replaces it in tokio 1.54 asks for: the handle keeps its descriptor open, and the same.
        #[allow(deprecated, reason = "earlier versions of tokio have no other")]
        AsyncFd::with_interest(events, Interest::READABLE).map(Tokio)
    }

    fn poll<T>(
        &self,
        context: &mut Context<'_>,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Poll<io::Result<T>> {
        // Whether an attempt has armed the descriptor since it became readable last.
        let mut armed = false;
        loop {
            match self.0.poll_read_ready(context)? {
                Poll::Ready(mut guard) => {
                    if let Some(done) = attempt() {
                        return Poll::Ready(Ok(done));
                    }
                    // Does nothing if the descriptor has become readable since the guard was made.
                    guard.clear_ready();
                    armed = true;
                }
                Poll::Pending if armed => return Poll::Pending,
                Poll::Pending => return attempt().map_or(Poll::Pending, |done| Poll::Ready(Ok(done))),
            }
        }
    }
}
