//! How often a verb looks before its task waits for the event descriptor.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::sys::spin_hint;

/// How many verbs in a row may end without a yield to the other tasks of the runtime.
const VERBS: u32 = 128;
/// For how long a task looks, and yields to the others in between. A wake-up through the kernel takes about as long.
const LONGEST: Duration = Duration::from_micros(50);
/// The looks between two yields.
const LOOKS: u32 = 64;
/// The greatest score.
const MOST: i32 = 8;
/// One wait in so many looks although that did not pay of late.
const TRIAL: u32 = 32;

/// Decides how often to look.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// The verbs in a row that ended without a yield.
    verbs: u32,
    /// When the looks of the present wait began.
    since: Option<Instant>,
    /// Whether looks pay: they do if it is not negative.
    score: i32,
    waits: u32,
}

impl Patience {
    /// Looks a few times. `Pending`: the task is woken to look again. `Ready(None)`: it is time to wait for the descriptor.
    ///
    /// # Errors
    /// Those of the look.
    #[inline]
    pub(super) fn look<T>(
        &mut self,
        context: &Context<'_>,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Poll<Result<Option<T>>> {
        if self.verbs >= VERBS {
            return self.yield_now(context);
        }
        if let Some(found) = look()? {
            self.verbs += 1;
            if self.since.take().is_some() {
                self.score = (self.score + 1).min(MOST);
            }
            return Poll::Ready(Ok(Some(found)));
        }
        self.look_on(context, look)
    }

    fn look_on<T>(
        &mut self,
        context: &Context<'_>,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Poll<Result<Option<T>>> {
        self.verbs = 0;
        let now = Instant::now();
        let since = match self.since {
            Some(since) => since,
            None => {
                self.waits = self.waits.wrapping_add(1);
                if self.score < 0 && !self.waits.is_multiple_of(TRIAL) {
                    return Poll::Ready(Ok(None));
                }
                *self.since.insert(now)
            }
        };
        if now.duration_since(since) >= LONGEST {
            self.since = None;
            self.score = (self.score - 1).max(-MOST);
            return Poll::Ready(Ok(None));
        }
        for _ in 0..LOOKS {
            spin_hint();
            if let Some(found) = look()? {
                self.since = None;
                self.score = (self.score + 1).min(MOST);
                return Poll::Ready(Ok(Some(found)));
            }
        }
        self.yield_now(context)
    }

    /// Lets the other tasks of the runtime run.
    fn yield_now<T>(&mut self, context: &Context<'_>) -> Poll<T> {
        self.verbs = 0;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Looks in vain until it is time to wait for the descriptor. Returns how often the task has yielded before.
    fn wait_in_vain(patience: &mut Patience) -> u32 {
        let context = Context::from_waker(Waker::noop());
        let mut yields = 0;
        loop {
            match patience.look(&context, || Ok(None::<()>)) {
                Poll::Pending => yields += 1,
                Poll::Ready(found) => {
                    assert!(found.unwrap().is_none());
                    return yields;
                }
            }
        }
    }

    #[test]
    fn other_tasks_run_after_many_verbs() {
        let context = Context::from_waker(Waker::noop());
        let mut patience = Patience::default();
        for _ in 0..3 {
            for _ in 0..VERBS {
                assert!(patience.look(&context, || Ok(Some(()))).is_ready());
            }
            assert!(patience.look(&context, || Ok(Some(()))).is_pending());
        }
    }

    #[test]
    fn looks_in_vain_are_given_up_and_tried_again() {
        let mut patience = Patience::default();
        assert!(wait_in_vain(&mut patience) > 0);
        let trials = (0..4 * TRIAL).filter(|_| wait_in_vain(&mut patience) > 0);
        assert_eq!(trials.count(), 4);
    }

    #[test]
    fn looks_that_pay_go_on() {
        let context = Context::from_waker(Waker::noop());
        let mut patience = Patience::default();
        for _ in 0..100 {
            assert!(patience.look(&context, || Ok(None::<()>)).is_pending());
            assert!(patience.look(&context, || Ok(Some(()))).is_ready());
        }
        assert_eq!(patience.score, MOST);
    }
}
