//! What users hold: an endpoint, which is a sender and a receiver.

use std::sync::Arc;
use std::time::Duration;

use crate::api::builder::Builder;
use crate::api::inspector::Inspector;
use crate::api::receiver::{Message, Receiver};
use crate::api::sender::{BatchError, Loan, Sender};
use crate::api::side::{Open, Side};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::peer::link::Link;
use crate::peer::settings::Settings;
use crate::role::Role;
use crate::segment::name::SegmentName;

/// One process's attachment to a segment: a [`Sender`] and a [`Receiver`].
///
/// The verbs take `&mut self`: one thread at a time. [`Endpoint::split`] and [`Endpoint::into_split`] let one
/// thread send while another receives. Dropping the endpoint closes it; so does a panic, and the process's exit.
///
/// ```
/// let mut master = eshm::Endpoint::master("doc-endpoint")?;
/// let mut slave = eshm::Endpoint::slave("doc-endpoint")?;
/// master.send(b"pose 1 2 3")?;
/// assert_eq!(&*slave.recv()?, b"pose 1 2 3");
/// # Ok::<(), eshm::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "an endpoint that is dropped is closed"]
pub struct Endpoint {
    pub(super) sender: Sender,
    receiver: Receiver,
}

impl Endpoint {
    /// Opens a segment as its master, with the default settings.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn master(name: &str) -> Result<Self> {
        Self::builder(name).role(Role::Master).open()
    }

    /// Opens a segment as its slave, with the default settings: waits up to 5 s for a master to make it.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn slave(name: &str) -> Result<Self> {
        Self::builder(name).role(Role::Slave).open()
    }

    /// Opens a segment as its slave if a master is alive, and as its master otherwise.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn auto(name: &str) -> Result<Self> {
        Self::builder(name).role(None).open()
    }

    /// The settings of an endpoint of this segment, to be changed and opened.
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    pub(crate) fn open(name: SegmentName, settings: Settings) -> Result<Self> {
        let (link, origin) = Link::open(name, settings)?;
        let open = Arc::new(Open(link));
        let sender = Sender::new(Side::new(Arc::clone(&open), origin.clone()))?;
        Ok(Endpoint { sender, receiver: Receiver::new(Side::new(open, origin)) })
    }

    /// Both halves, for two scoped threads, or to send while a received message is borrowed.
    pub fn split(&mut self) -> (&mut Sender, &mut Receiver) {
        (&mut self.sender, &mut self.receiver)
    }

    /// Both halves, for good. The endpoint closes when both are dropped.
    pub fn into_split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// As [`Sender::write`].
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sender.write(bytes)
    }

    /// As [`Sender::send`].
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.sender.send(bytes)
    }

    /// As [`Sender::try_send`].
    #[inline]
    pub fn try_send(&mut self, bytes: &[u8]) -> Result<()> {
        self.sender.try_send(bytes)
    }

    /// As [`Sender::send_timeout`].
    #[inline]
    pub fn send_timeout(&mut self, bytes: &[u8], timeout: Duration) -> Result<()> {
        self.sender.send_timeout(bytes, timeout)
    }

    /// As [`Sender::send_many`].
    pub fn send_many<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<(), BatchError> {
        self.sender.send_many(messages)
    }

    /// As [`Sender::send_many_timeout`].
    pub fn send_many_timeout<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        timeout: Duration,
    ) -> Result<(), BatchError> {
        self.sender.send_many_timeout(messages, timeout)
    }

    /// As [`Sender::try_send_many`].
    pub fn try_send_many<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<(), BatchError> {
        self.sender.try_send_many(messages)
    }

    /// As [`Sender::loan`].
    #[inline]
    pub fn loan(&mut self, len: usize) -> Result<Loan<'_>> {
        self.sender.loan(len)
    }

    /// As [`Sender::try_loan`].
    #[inline]
    pub fn try_loan(&mut self, len: usize) -> Result<Loan<'_>> {
        self.sender.try_loan(len)
    }

    /// As [`Sender::loan_timeout`].
    #[inline]
    pub fn loan_timeout(&mut self, len: usize, timeout: Duration) -> Result<Loan<'_>> {
        self.sender.loan_timeout(len, timeout)
    }

    /// As [`Receiver::read`].
    pub fn read(&mut self) -> Result<Message<'_>> {
        self.receiver.read()
    }

    /// As [`Receiver::try_read`].
    #[inline]
    pub fn try_read(&mut self) -> Result<Option<Message<'_>>> {
        self.receiver.try_read()
    }

    /// As [`Receiver::read_timeout`].
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        self.receiver.read_timeout(timeout)
    }

    /// As [`Receiver::recv`].
    #[inline]
    pub fn recv(&mut self) -> Result<Message<'_>> {
        self.receiver.recv()
    }

    /// As [`Receiver::try_recv`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<Option<Message<'_>>> {
        self.receiver.try_recv()
    }

    /// As [`Receiver::recv_timeout`].
    #[inline]
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_>>> {
        self.receiver.recv_timeout(timeout)
    }

    /// As [`Receiver::recv_many`].
    #[inline]
    pub fn recv_many(&mut self, most: usize, each: impl FnMut(&[u8])) -> Result<usize> {
        self.receiver.recv_many(most, each)
    }

    /// As [`Receiver::try_recv_many`].
    #[inline]
    pub fn try_recv_many(&mut self, most: usize, each: impl FnMut(&[u8])) -> Result<usize> {
        self.receiver.try_recv_many(most, each)
    }

    /// As [`Receiver::recv_many_timeout`].
    #[inline]
    pub fn recv_many_timeout(
        &mut self,
        most: usize,
        timeout: Duration,
        each: impl FnMut(&[u8]),
    ) -> Result<usize> {
        self.receiver.recv_many_timeout(most, timeout, each)
    }

    /// A handle for questions from other threads.
    pub fn inspector(&self) -> Inspector {
        Inspector(Arc::clone(&self.sender.side.link))
    }

    /// Closes the endpoint; a master removes the segment's name (see [`Builder::auto_cleanup`]). Dropping does the same.
    ///
    /// Returns how many of the messages that it sent were not received: 0 if all were. A peer that is there can still receive
    /// them; so can the slave's next master, as long as that slave stays open. With nobody there they are lost.
    ///
    /// # Errors
    /// [`Error::Forked`]: the endpoint is the parent's, and stays open there. [`Error::Remove`]: it is closed, but the
    /// segment's name stays, such as in a sticky directory, where only the owner of the file can remove it;
    /// [`Inspector::unreceived`] still says how many messages were not received.
    pub fn close(self) -> Result<u64> {
        let link = Arc::clone(&self.sender.side.link);
        link.check()?;
        drop(self);
        link.check_removed()?;
        Ok(link.unreceived())
    }
}

impl Builder {
    /// Opens the endpoint.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidDomain`], [`Error::InvalidConfig`]; [`Error::Create`] when the segment cannot be made;
    /// [`Error::NotFound`] when a slave finds none in time; [`Error::Attach`], [`Error::Foreign`] when what
    /// it finds is not usable; [`Error::SeatTaken`] when a live process has this role already.
    pub fn open(self) -> Result<Endpoint> {
        let name = self.segment_name()?;
        self.settings.check(&self.name)?;
        Endpoint::open(name, self.settings)
    }
}
