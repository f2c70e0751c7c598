//! What users hold: an endpoint, which is a sender and a receiver.

use std::sync::Arc;
use std::time::Duration;

use crate::api::builder::Builder;
use crate::api::inspector::{Inspector, inspection};
use crate::api::receiver::{Message, Receiver};
use crate::api::sender::{BatchError, Loan, Sender};
use crate::api::side::{Open, Side};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::peer::link::Link;
use crate::peer::settings::Settings;
use crate::role::Role;
use crate::segment::file::remove_bell;
use crate::segment::name::SegmentName;

/// A process's attachment to a segment: a [`Sender`] and a [`Receiver`].
///
/// An endpoint may move to another thread. The calls that send and receive take `&mut self`, so one thread at a time makes
/// them; [`Endpoint::split`] and [`Endpoint::into_split`] let one thread send while another receives, and an
/// [`Inspector`] answers questions in any thread. Dropping the endpoint closes it, and so does the exit of the process.
///
/// After a fork the endpoint belongs to the parent: in the child every call returns [`Error::Forked`].
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
    sender: Sender,
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

    /// Opens a segment as its slave, with the default settings. Waits up to 5 s for a master to create it.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn slave(name: &str) -> Result<Self> {
        Self::builder(name).role(Role::Slave).open()
    }

    /// Opens a segment as its slave if it has a live master, and as its master otherwise, with the default settings.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn auto(name: &str) -> Result<Self> {
        Self::builder(name).role(None).open()
    }

    /// Returns the default settings for an endpoint of this segment, to be changed and opened.
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    pub(crate) fn open(name: SegmentName, settings: Settings) -> Result<Self> {
        let (link, origin) = Link::open(name, settings)?;
        // What a killed predecessor in this seat has left, if no peer was there to remove it.
        remove_bell(&link.name.bell_path(link.role));
        let open = Arc::new(Open(link));
        let sender = Sender::new(Side::new(Arc::clone(&open), origin.clone()))?;
        Ok(Endpoint { sender, receiver: Receiver::new(Side::new(open, origin)) })
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.sender.side.link
    }

    /// Borrows both halves: for two scoped threads, or to send while a received message is borrowed.
    ///
    /// ```
    /// let mut master = eshm::Endpoint::master("doc-split")?;
    /// let mut slave = eshm::Endpoint::slave("doc-split")?;
    /// slave.send(b"echo")?;
    /// let (sender, receiver) = master.split();
    /// sender.send(&receiver.recv()?)?;
    /// assert_eq!(slave.recv()?, b"echo");
    /// # Ok::<(), eshm::Error>(())
    /// ```
    pub fn split(&mut self) -> (&mut Sender, &mut Receiver) {
        (&mut self.sender, &mut self.receiver)
    }

    /// Takes the endpoint apart into its halves, which may move to different threads. The endpoint closes when both are
    /// dropped.
    pub fn into_split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Puts the halves of one endpoint together.
    #[cfg(any(feature = "async", feature = "tokio"))]
    pub(crate) fn from_split(sender: Sender, receiver: Receiver) -> Self {
        Endpoint { sender, receiver }
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

    /// Returns a handle that answers questions, and stops the endpoint, from other threads.
    pub fn inspector(&self) -> Inspector {
        Inspector(Arc::clone(&self.sender.side.link))
    }

    /// Closes the endpoint. A master removes the segment's name, see [`Builder::auto_cleanup`]. Dropping the endpoint does
    /// the same, but returns no error.
    ///
    /// Returns how many of the messages that this endpoint sent were not received. A peer that is attached can still receive
    /// them, and a slave that stays open carries its own over to its next master. Without a peer they are lost.
    ///
    /// ```
    /// let mut master = eshm::Endpoint::master("doc-close")?;
    /// master.send(b"nobody receives this")?;
    /// assert_eq!(master.close()?, 1);
    /// # Ok::<(), eshm::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::Forked`]: the endpoint belongs to the parent process, and stays open there.
    /// - [`Error::Remove`]: the endpoint is closed, but the segment's name could not be removed. In a sticky directory, for
    ///   example, only the owner of the file can remove it. [`Inspector::unreceived`] still counts the messages that were not
    ///   received.
    pub fn close(self) -> Result<u64> {
        let link = Arc::clone(&self.sender.side.link);
        link.check()?;
        drop(self);
        link.check_removed()?;
        Ok(link.unreceived())
    }
}

impl Builder {
    /// Opens the endpoint. A slave waits up to [`Builder::connect_timeout`] for its segment.
    ///
    /// # Errors
    /// - [`Error::InvalidName`], [`Error::InvalidDomain`], [`Error::InvalidConfig`]: an argument is refused.
    /// - [`Error::Create`]: the segment cannot be created.
    /// - [`Error::NotFound`]: a slave finds no segment in time.
    /// - [`Error::Attach`], [`Error::Foreign`]: the segment that exists is not usable.
    /// - [`Error::SeatTaken`]: a live process has this role already.
    pub fn open(self) -> Result<Endpoint> {
        let name = self.segment_name()?;
        self.settings.check(&self.name)?;
        Endpoint::open(name, self.settings)
    }
}

inspection!(Endpoint, sender.side.link);
