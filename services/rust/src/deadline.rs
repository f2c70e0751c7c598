//! When a call has to be over.

use std::time::{Duration, Instant};

use crate::status::{Outcome, Status};

/// The end of a call's time, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// So long from now; `None`: never.
    pub fn after(time: Option<Duration>) -> Self {
        Deadline(time.and_then(|time| Instant::now().checked_add(time)))
    }

    /// So many milliseconds from now; 0: never.
    pub fn after_ms(ms: u32) -> Self {
        Self::after((ms > 0).then(|| Duration::from_millis(ms.into())))
    }

    /// What is left; zero when it is over, `None` when there is no end.
    pub fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// The least of what is left and `slice`.
    pub fn slice(self, slice: Duration) -> Duration {
        self.left().map_or(slice, |left| left.min(slice))
    }

    /// What is left, in milliseconds, rounded up; 0: no end.
    pub fn left_ms(self) -> u32 {
        self.left().map_or(0, |left| left.as_micros().div_ceil(1000).clamp(1, u32::MAX.into()) as u32)
    }

    /// That it is not over.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED.
    pub fn check(self) -> Outcome<()> {
        match self.left() {
            Some(left) if left.is_zero() => Err(Status::deadline()),
            _ => Ok(()),
        }
    }

    /// The result of `work`, if it comes in time.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED, or that of `work`.
    pub async fn limit<T>(self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        match self.0 {
            None => work.await,
            Some(end) => {
                tokio::time::timeout_at(end.into(), work).await.unwrap_or_else(|_| Err(Status::deadline()))
            }
        }
    }
}
