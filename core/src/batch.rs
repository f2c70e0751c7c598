//! Batches: how many messages went, also where one did not.

use crate::error::Error;

/// A batch was not sent as a whole: the messages before the first that could not be sent were.
///
/// ```
/// use std::time::Duration;
/// let mut master = eshm::Endpoint::builder("doc-batch").role(eshm::Role::Master).queue_capacity(64).open()?;
/// let batch = vec![[7u8; 8]; 1000];
/// let error = master.send_many_timeout(&batch, Duration::from_millis(1)).unwrap_err();
/// assert!(error.sent > 0 && error.sent < 1000);
/// assert_eq!(error.source.code(), -10);
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{sent} messages of the batch were sent, then: {source}")]
pub struct BatchError {
    /// How many messages were sent, from the first on.
    pub sent: usize,
    /// Why the next one was not.
    pub source: Error,
}

impl From<BatchError> for Error {
    fn from(error: BatchError) -> Error {
        error.source
    }
}
