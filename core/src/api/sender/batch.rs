//! Several messages in one call.

use std::time::Duration;

use super::Sender;
use crate::error::{Error, Result};
use crate::wait::Deadline;

/// How many messages of a batch with a time-out go between two looks at the time.
const CHUNK: usize = 1024;

/// A batch was sent in part: the messages before the first one that could not be sent.
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

impl Sender {
    /// Sends messages in order, as [`Sender::send`] does. Wakes the peer at most once for as many messages as there is room
    /// for.
    ///
    /// # Errors
    /// As [`Sender::send`], for the first message that could not be sent. [`BatchError::sent`] counts the messages before it.
    pub fn send_many<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<(), BatchError> {
        self.send_many_until(messages, None)
    }

    /// As [`Sender::send_many`], and the whole batch takes no longer than `timeout`.
    ///
    /// # Errors
    /// As [`Sender::send_timeout`]. [`BatchError::sent`] counts the messages that were sent.
    pub fn send_many_timeout<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        timeout: Duration,
    ) -> Result<(), BatchError> {
        self.send_many_until(messages, Some(timeout))
    }

    fn send_many_until<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        timeout: Option<Duration>,
    ) -> Result<(), BatchError> {
        let deadline = Deadline::after(timeout);
        let mut sent = 0;
        while sent < messages.len() {
            // What stands in the way of the next one is found below, where it is waited for as by `send`.
            sent += self.send_some(&messages[sent..messages.len().min(sent + CHUNK)]).unwrap_or(0);
            let Some(next) = messages.get(sent) else { break };
            if sent > 0 && deadline.left().is_none() {
                // Room that keeps coming does not prolong the time.
                let source = self.side.timeout("room for the whole batch", deadline);
                return Err(BatchError { sent, source });
            }
            let left = timeout.map(|_| deadline.left().unwrap_or_default());
            match self.send_until(next.as_ref(), left) {
                Ok(()) => sent += 1,
                Err(source) => return Err(BatchError { sent, source }),
            }
        }
        Ok(())
    }

    /// As [`Sender::send_many`], without waiting.
    ///
    /// # Errors
    /// As [`Sender::try_send`], for the first message that could not be sent. [`BatchError::sent`] counts the messages before
    /// it.
    pub fn try_send_many<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<(), BatchError> {
        let mut sent = 0;
        while sent < messages.len() {
            match self.send_some(&messages[sent..]) {
                // Only a single message arms the event descriptor.
                Ok(0) => match self.try_send(messages[sent].as_ref()) {
                    Ok(()) => sent += 1,
                    Err(source) => return Err(BatchError { sent, source }),
                },
                Ok(count) => sent += count,
                Err(source) => return Err(BatchError { sent, source }),
            }
        }
        Ok(())
    }

    /// Sends as many of the messages, in order, as there is room for now, and returns how many: 0 when there is none.
    /// An error is that of the first message: nothing was sent.
    pub(crate) fn send_some<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<usize> {
        if self.side.is_settled()
            && let Some(queue) = &mut self.outgoing.queue
        {
            let capacity = queue.capacity();
            let fitting = messages.iter().map(AsRef::as_ref).take_while(|bytes| bytes.len() <= capacity);
            let (sent, woke) = queue.send_many(fitting).map_err(|broken| self.side.broken(broken))?;
            let bytes = messages[..sent].iter().map(|message| message.as_ref().len()).sum();
            self.count_sent(sent, bytes, woke);
            match messages.get(sent) {
                Some(next) if sent == 0 => self.check_size(next.as_ref().len(), capacity)?,
                _ => {}
            }
            return Ok(sent);
        }
        for (sent, bytes) in messages.iter().enumerate() {
            match self.try_send(bytes.as_ref()) {
                Ok(()) => {}
                Err(Error::Full { .. }) => return Ok(sent),
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
        }
        Ok(messages.len())
    }
}
