//! The half that writes and sends, shared by threads.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::host::{failed, glance};
use super::shared::{Guard, Half, Shared};
use super::{Error, Host, Limit, Token};
use crate::api::inspector::Inspector;
use crate::api::sender::BatchError;
use crate::api::sender::Sender;
use crate::error::Result;
use crate::wait::Wait;

/// How many messages of a batch are sent before the time is looked at.
const CHUNK: usize = 1024;

/// A [`Sender`] that threads share: see [the module](super).
///
/// While a loan is open the half neither sends nor writes: [`Error::Lent`]. Every call fails with
/// [`Error::Closed`](crate::Error::Closed) once the half is closed or the endpoint stopped, and with
/// [`Error::Forked`](crate::Error::Forked) in a forked child.
///
/// ```
/// use std::time::Duration;
/// use eshm::raw::{Limit, Plain, SharedEndpoint};
/// let small = eshm::Endpoint::builder("doc-shared").role(eshm::Role::Master).queue_capacity(64);
/// let master = SharedEndpoint::new(small.open()?);
/// let batch = vec![[7; 8]; 1000];
/// let (sent, outcome) = master.sender().send_many(&mut Plain, &batch, Limit::For(Duration::from_millis(1)));
/// assert!(sent > 0 && sent < 1000);
/// assert_eq!(outcome.unwrap_err().code(), -10);
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Debug)]
pub struct SharedSender(Shared<Sender>);

impl Half for Sender {
    const USE_ENDS_LENT: bool = false;
    const FIRST_TOKEN: u64 = 1;

    fn take_back(&mut self) {
        self.forget_loan();
    }
}

/// A loan: memory for a message of `len` bytes, whose content is arbitrary at first.
///
/// The memory is the holder's until the token is given back ([`SharedSender::send_loan`],
/// [`SharedSender::give_back`],
/// [`SharedSender::abandon`]) or the half is closed.
#[derive(Clone, Copy, Debug)]
pub struct Loaned {
    /// Stands for the loan.
    pub token: Token,
    /// Where the memory begins: at a multiple of 8, in a queue and longer than 56 bytes of 64.
    pub start: *mut u8,
    /// How many bytes it has.
    pub len: usize,
}

// SAFETY: the pointer is to memory that the sender keeps; its token's rules say who may use it, from any thread.
unsafe impl Send for Loaned {}

/// What a loan consists of, before it has its token.
struct Memory(*mut u8);

// SAFETY: as for `Loaned`.
unsafe impl Send for Memory {}

impl SharedSender {
    /// Shares the half.
    pub fn new(sender: Sender) -> Self {
        SharedSender(Shared::new(Inspector::of(&sender.side), sender))
    }

    pub(super) fn shared(&self) -> &Shared<Sender> {
        &self.0
    }

    /// Returns a handle for questions, and to stop the endpoint. It needs no lock.
    pub fn inspector(&self) -> &Inspector {
        self.0.inspector()
    }

    /// Replaces the latest value. Never waits, but for its turn.
    ///
    /// # Errors
    /// Those of [`Sender::write`]; [`Error::Lent`].
    #[inline]
    pub fn write<H: Host>(&self, host: &mut H, bytes: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), H::Error> {
        let mut slot = self.0.lock(host)?;
        self.0.usable(&mut slot)?.write(bytes.as_ref()).map_err(failed::<H>)
    }

    /// Sends a message that is delivered once and in order. Waits for room as the limit says, in parts. With another
    /// limit than [`Limit::Now`] nothing else may change the bytes meanwhile.
    ///
    /// A call that is ended, by whatever ends it, has not sent the message.
    ///
    /// # Errors
    /// Those of [`Sender::try_send`] and [`Sender::send_timeout`]; [`Error::Lent`]; those of the host.
    #[inline]
    pub fn send<H: Host>(
        &self,
        host: &mut H,
        bytes: &(impl AsRef<[u8]> + ?Sized),
        limit: Limit,
    ) -> Result<(), H::Error> {
        let mut slot = self.0.lock(host)?;
        // Not before: while the lock is waited for, the owner of the bytes may change them.
        let bytes = bytes.as_ref();
        match self.0.usable(&mut slot)?.try_send_shared(bytes) {
            Ok(()) => Ok(()),
            Err(error) if limit == Limit::Poll => {
                Err(failed::<H>(self.0.usable(&mut slot)?.end_of_wait(error)))
            }
            Err(error) if limit != Limit::Now && may_pass(&error) => {
                let now = |sender: &mut Sender| sender.try_send_shared(bytes);
                let part = |sender: &mut Sender, wait: &Wait, part| {
                    Ok(sender.send_part(bytes, wait, part)?.then_some(()))
                };
                self.wait(host, slot, limit, now, part).map(drop)
            }
            Err(error) => Err(failed::<H>(error)),
        }
    }

    /// Sends messages in order, with at most one wake-up for as many as there is room for. Returns how many were
    /// sent, from the first on, and why the next one was not. The limit is that of the whole batch.
    ///
    /// # Errors
    /// Those of [`SharedSender::send`], for the first message that was not sent.
    pub fn send_many<H: Host, B: AsRef<[u8]>>(
        &self,
        host: &mut H,
        messages: &[B],
        limit: Limit,
    ) -> (usize, Result<(), H::Error>) {
        self.send_many_settled(host, messages, limit, |message| Cow::Borrowed(message.as_ref()))
    }

    /// As [`SharedSender::send_many`], for messages that others may change while the host blocks: `settle` returns
    /// bytes that stay what they are. It is called for a message that is waited for.
    ///
    /// # Errors
    /// As [`SharedSender::send_many`].
    pub fn send_many_settled<'m, H: Host, B: AsRef<[u8]>>(
        &self,
        host: &mut H,
        messages: &'m [B],
        limit: Limit,
        settle: impl Fn(&'m B) -> Cow<'m, [u8]>,
    ) -> (usize, Result<(), H::Error>) {
        let mut sent = 0;
        let outcome = self.send_all(host, messages, limit, settle, &mut sent);
        (sent, outcome)
    }

    fn send_all<'m, H: Host, B: AsRef<[u8]>>(
        &self,
        host: &mut H,
        messages: &'m [B],
        limit: Limit,
        settle: impl Fn(&'m B) -> Cow<'m, [u8]>,
        sent: &mut usize,
    ) -> Result<(), H::Error> {
        let mut slot = self.0.lock(host)?;
        if matches!(limit, Limit::Now | Limit::Poll) {
            let sender = self.0.usable(&mut slot)?;
            return send_some(sender, messages, sent).map_err(|error| {
                failed::<H>(if limit == Limit::Poll { sender.end_of_wait(error) } else { error })
            });
        }
        let wait = begin_wait(self.0.usable(&mut slot)?, limit);
        let mut breath = Instant::now();
        loop {
            let sender = self.0.usable(&mut slot)?;
            let before = *sent;
            send_chunk(sender, messages, sent);
            if *sent == messages.len() {
                return Ok(());
            }
            if *sent > 0 && wait.0.left().is_none() {
                // Room that keeps coming does not prolong the time.
                return Err(failed::<H>(sender.side.timeout("room for the whole batch", wait.0)));
            }
            if *sent == before {
                let found = glance(host, sender.polls_pay(), |_| {
                    send_chunk(sender, messages, sent);
                    Ok((*sent > before).then_some(()))
                })?;
                if found.is_none() {
                    let (next, slice) = (settle(&messages[*sent]), host.slice());
                    let done = host.block(|| sender.send_part(&next, &wait, slice)).map_err(failed::<H>)?;
                    *sent += usize::from(done);
                }
            }
            if *sent == before || breath.elapsed() >= host.breath() {
                slot = self.0.yield_lock(host, slot)?;
                breath = Instant::now();
            }
        }
    }

    /// Lends memory for a message of `len` bytes. Waits for it as [`SharedSender::send`] does.
    ///
    /// A call that is ended has lent nothing.
    ///
    /// # Errors
    /// As [`SharedSender::send`].
    pub fn loan<H: Host>(&self, host: &mut H, len: usize, limit: Limit) -> Result<Loaned, H::Error> {
        let mut slot = self.0.lock(host)?;
        let start = match self.0.usable(&mut slot)?.try_loan(len).map(|loan| loan.into_raw().0) {
            Ok(start) => start,
            Err(error) if limit == Limit::Poll => {
                return Err(failed::<H>(self.0.usable(&mut slot)?.end_of_wait(error)));
            }
            Err(error) if limit != Limit::Now && may_pass(&error) => {
                let now = |sender: &mut Sender| sender.try_loan(len).map(|loan| Memory(loan.into_raw().0));
                let part = |sender: &mut Sender, wait: &Wait, part| {
                    Ok(sender.loan_part(len, wait, part)?.map(|loan| Memory(loan.into_raw().0)))
                };
                let (lending, Memory(start)) = self.wait(host, slot, limit, now, part)?;
                slot = lending;
                start
            }
            Err(error) => return Err(failed::<H>(error)),
        };
        Ok(Loaned { token: self.0.lend(&mut slot), start, len })
    }

    /// Sends the message that was built in the loan, and ends the loan.
    ///
    /// # Errors
    /// [`Error::Stale`]; [`Error::InUse`], and the loan stays; those of [`Sender::try_send`] and
    /// [`Error::Reconnecting`](crate::Error::Reconnecting) when the segment was replaced meanwhile: the loan is
    /// over, and the message was not sent.
    pub fn send_loan<H: Host>(&self, host: &mut H, token: Token) -> Result<(), Error> {
        self.0.finish(host, token, Sender::send_loaned)
    }

    /// Gives the loan back, unsent.
    ///
    /// # Errors
    /// [`Error::Stale`]; [`Error::InUse`], and the loan stays.
    pub fn give_back<H: Host>(&self, host: &mut H, token: Token) -> Result<(), Error> {
        self.0.finish(host, token, |sender| {
            sender.forget_loan();
            Ok(())
        })
    }

    /// Gives the loan back, unsent, as soon as nobody retains it. Returns whether that is now; a stale token is over.
    pub fn abandon<H: Host>(&self, host: &mut H, token: Token) -> bool {
        self.0.abandon(host, token)
    }

    /// Counts one user more of the loan's memory. While it has users the loan is neither sent nor given back, and a
    /// half that is closed is dropped after the last of them.
    ///
    /// # Errors
    /// [`Error::Stale`]; [`Error::InUse`] of a loan that was abandoned.
    pub fn retain<H: Host>(&self, host: &mut H, token: Token) -> Result<(), Error> {
        self.0.retain(host, token)
    }

    /// Counts one user less. A stale token changes nothing.
    pub fn unretain<H: Host>(&self, host: &mut H, token: Token) {
        self.0.unretain(host, token);
    }

    /// Returns the token of the loan that is open now, for an interface whose users do not hold one. It needs no
    /// lock.
    pub fn lent(&self) -> Option<Token> {
        self.0.lent()
    }

    /// Closes this half: other calls end after their part, and later ones fail. The endpoint closes with its second
    /// half. Memory that is retained keeps the half until nobody does. Returns whether this call closed it; a
    /// forked child closes nothing.
    pub fn close<H: Host>(&self, host: &mut H) -> bool {
        self.0.close(host)
    }

    /// Waits in parts until `part` succeeds; looks with `now` before the first.
    fn wait<'a, H: Host, T: Send>(
        &'a self,
        host: &mut H,
        mut slot: Guard<'a, Sender>,
        limit: Limit,
        now: impl Fn(&mut Sender) -> Result<T>,
        part: impl Fn(&mut Sender, &Wait, Duration) -> Result<Option<T>> + Sync,
    ) -> Result<(Guard<'a, Sender>, T), H::Error> {
        let sender = self.0.usable(&mut slot)?;
        let wait = begin_wait(sender, limit);
        let found = glance(host, sender.polls_pay(), |_| match now(sender) {
            Ok(done) => Ok(Some(done)),
            Err(error) if may_pass(&error) => Ok(None),
            Err(error) => Err(failed::<H>(error)),
        })?;
        if let Some(done) = found {
            return Ok((slot, done));
        }
        loop {
            let (sender, slice) = (self.0.usable(&mut slot)?, host.slice());
            if let Some(done) = host.block(|| part(sender, &wait, slice)).map_err(failed::<H>)? {
                return Ok((slot, done));
            }
            slot = self.0.yield_lock(host, slot)?;
        }
    }
}

/// Begins a wait. With an ESHM 1.x peer each wait has a limit: see [`Sender::send`].
fn begin_wait(sender: &Sender, limit: Limit) -> Wait {
    let timeout = match limit {
        Limit::Now | Limit::Poll => Some(Duration::ZERO),
        Limit::For(time) => Some(time),
        Limit::Forever => None,
    };
    Wait::new(sender.longest_wait(timeout))
}

/// Sends what there is room for of the messages from the `sent`th on, counts it, and fails if that is not all.
fn send_some<B: AsRef<[u8]>>(sender: &mut Sender, messages: &[B], sent: &mut usize) -> Result<()> {
    match sender.try_send_many(&messages[*sent..]) {
        Ok(()) => {
            *sent = messages.len();
            Ok(())
        }
        Err(BatchError { sent: more, source }) => {
            *sent += more;
            Err(source)
        }
    }
}

/// As `send_some`, of one chunk. What stands in the way of the next message is found where it is waited for.
fn send_chunk<B: AsRef<[u8]>>(sender: &mut Sender, messages: &[B], sent: &mut usize) {
    let end = messages.len().min(*sent + CHUNK);
    let _ = send_some(sender, &messages[..end], sent);
}

/// Returns whether a call with a limit goes on to wait after this error of its first attempt, as those of [`Sender`] do: a
/// peer that is closed or stale may come back in time.
pub fn may_pass(error: &crate::error::Error) -> bool {
    use crate::error::Error::{PeerClosed, PeerStale};
    error.is_transient() || matches!(error, PeerClosed { .. } | PeerStale { .. })
}
