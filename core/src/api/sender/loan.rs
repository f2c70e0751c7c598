//! A message that is built in place.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::Sender;
use crate::channel::queue::QueueSender;
use crate::error::{Error, Result};
use crate::peer::attachment::Content;
use crate::wait::{Deadline, Wait};

/// Memory for a message in the queue, to be filled in place and sent. Derefs to its bytes, whose content is arbitrary at
/// first: earlier messages of this segment, for example.
///
/// [`Loan::send`] publishes the message. Dropping the loan gives the memory back and sends nothing. A loan may move to
/// another thread.
///
/// ```
/// let mut master = eshm::Endpoint::master("doc-loan")?;
/// let mut loan = master.loan(3)?;
/// loan.copy_from_slice(b"abc");
/// loan.send()?;
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a loan that is dropped is given back, and nothing is sent"]
pub struct Loan<'a> {
    pub(super) sender: &'a mut Sender,
    pub(super) start: *mut u8,
    pub(super) len: usize,
}

impl Sender {
    /// Lends memory for a message of `len` bytes. Waits for it as [`Sender::send`] does.
    ///
    /// # Errors
    /// As [`Sender::send`].
    #[inline]
    pub fn loan(&mut self, len: usize) -> Result<Loan<'_>> {
        let start = match self.loan_fast(len)? {
            Some(start) => start,
            None => self.loan_until(len, None)?,
        };
        Ok(Loan { sender: self, start, len })
    }

    /// As [`Sender::loan`], and waits no longer than `timeout`.
    ///
    /// # Errors
    /// As [`Sender::send_timeout`].
    #[inline]
    pub fn loan_timeout(&mut self, len: usize, timeout: Duration) -> Result<Loan<'_>> {
        let start = match self.loan_fast(len)? {
            Some(start) => start,
            None => self.loan_until(len, Some(timeout))?,
        };
        Ok(Loan { sender: self, start, len })
    }

    /// Waits for `part` of a longer wait of [`Sender::loan`] or [`Sender::loan_timeout`]. `Ok(None)`: no room yet, call
    /// again.
    ///
    /// # Errors
    /// As [`Sender::send_part`].
    pub(crate) fn loan_part(&mut self, len: usize, wait: &Wait, part: Duration) -> Result<Option<Loan<'_>>> {
        let start = match self.loan_fast(len)? {
            Some(start) => Some(start),
            None => self.wait(len, wait.0, Deadline::after(Some(part)), |sender| sender.attempt_loan(len))?,
        };
        Ok(start.map(|start| Loan { sender: self, start, len }))
    }

    /// As [`Sender::loan`], without waiting.
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    #[inline]
    pub fn try_loan(&mut self, len: usize) -> Result<Loan<'_>> {
        let start = self.start_loan(len)?;
        Ok(Loan { sender: self, start, len })
    }

    #[inline]
    pub(super) fn start_loan(&mut self, len: usize) -> Result<*mut u8> {
        if let Some(start) = self.loan_fast(len)? {
            return Ok(start);
        }
        if self.is_ready(len)?
            && let Some(start) = self.attempt_loan(len)?
        {
            return Ok(start);
        }
        self.refuse(len, |sender| sender.attempt_loan(len))
    }

    /// Sends the loan that [`Loan::into_raw`] took apart: for bindings, which cannot keep a borrow.
    ///
    /// # Errors
    /// [`Error::Closed`] if there is none, or another call has ended it; [`Error::Reconnecting`] if the segment was
    /// replaced meanwhile; otherwise as [`Sender::try_send`]. The loan is gone in every case.
    #[inline]
    pub(crate) fn send_loaned(&mut self) -> Result<()> {
        if !self.side.is_settled()
            && let Err(error) = self.check_loan()
        {
            self.forget_loan();
            return Err(error);
        }
        if let Some(len) = self.drafted.take() {
            let draft = std::mem::take(&mut self.draft);
            self.put(&draft[..len], Content::Message);
            self.draft = draft;
            return Ok(());
        }
        match self.outgoing.queue.as_mut().and_then(QueueSender::send_loan) {
            Some((len, woke)) => {
                self.count_sent(1, len, woke);
                Ok(())
            }
            None => Err(Error::Closed { segment: self.side.link.segment() }),
        }
    }

    /// Checks that the peer still uses the segment which the loan lies in.
    fn check_loan(&self) -> Result<()> {
        self.side.link.check_running()?;
        if self.side.is_left_behind() {
            return Err(Error::Reconnecting { segment: self.side.link.segment() });
        }
        self.side.link.check_writable()
    }

    /// Gives the loan that [`Loan::into_raw`] took apart back, unsent.
    pub(crate) fn forget_loan(&mut self) {
        self.drafted = None;
        if let Some(queue) = &mut self.outgoing.queue {
            queue.forget_loan();
        }
    }

    /// As `send_fast`, for a loan.
    #[inline(always)]
    pub(crate) fn loan_fast(&mut self, len: usize) -> Result<Option<*mut u8>> {
        if self.side.is_settled()
            && let Some(queue) = &mut self.outgoing.queue
            && len <= queue.capacity()
        {
            self.drafted = None;
            return queue.loan(len).map_err(|broken| self.side.broken(broken));
        }
        Ok(None)
    }

    #[cold]
    fn loan_until(&mut self, len: usize, timeout: Option<Duration>) -> Result<*mut u8> {
        self.wait_whole(len, timeout, |sender| sender.attempt_loan(len))
    }

    /// Finds room for a loan.
    fn attempt_loan(&mut self, len: usize) -> Result<Option<*mut u8>> {
        if let Some(queue) = self.outgoing.queue_in_use() {
            return queue.loan(len).map_err(|broken| self.side.broken(broken));
        }
        if !self.outgoing.is_free() {
            return Ok(None);
        }
        if self.draft.len() < len {
            self.draft.resize(len, 0);
        }
        self.drafted = Some(len);
        Ok(Some(self.draft.as_mut_ptr()))
    }
}

impl Loan<'_> {
    /// Publishes the message. Never waits.
    ///
    /// # Errors
    /// The message was not sent, and is lost. [`Error::Reconnecting`]: the segment was replaced meanwhile. Otherwise as
    /// [`Sender::try_send`], without [`Error::Full`].
    pub fn send(self) -> Result<()> {
        let mut loan = std::mem::ManuallyDrop::new(self);
        loan.sender.send_loaned()
    }

    /// Returns the loan's memory, without the borrow: for bindings. It is valid until [`Sender::send_loaned`],
    /// [`Sender::forget_loan`], or any other call of the sender that sends or writes, and while the sender exists.
    pub(crate) fn into_raw(self) -> (*mut u8, usize) {
        let loan = std::mem::ManuallyDrop::new(self);
        (loan.start, loan.len)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.sender.forget_loan();
    }
}

impl Deref for Loan<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as in `deref_mut`.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl DerefMut for Loan<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: `start` is `len` bytes in the queue, or in the sender's draft, that belong to this loan alone until
        // it is sent or dropped: the borrow of the sender keeps the memory, and everybody else out. They are
        // initialised: a mapping's bytes always are.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

// SAFETY: the pointer is to memory that the sender keeps, and a `&mut Sender` may go to another thread.
unsafe impl Send for Loan<'_> {}
