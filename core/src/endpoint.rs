//! What users hold: an endpoint, which is a sender and a receiver.

use std::sync::Arc;
use std::time::Duration;

use crate::attachment::Attachment;
use crate::batch::BatchError;
use crate::config::{Builder, Role};
use crate::error::{Error, Result};
use crate::heartbeat::PeerState;
use crate::link::{Link, Origin};
use crate::name::SegmentName;
use crate::queue::Broken;
use crate::receiver::{Message, Receiver};
use crate::sender::{Loan, Sender};
use crate::stats::Stats;
use crate::wait::Deadline;

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
pub struct Endpoint {
    sender: Sender,
    receiver: Receiver,
}

/// What the halves have in common.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) link: Arc<Link>,
    _open: Arc<Open>,
    pub(crate) attachment: Arc<Attachment>,
    pub(crate) epoch: u32,
    /// The link's attention while all is well: see [`Link::is_calm`].
    calm: u32,
}

/// Closes the link when the last half is gone.
#[derive(Debug)]
pub(crate) struct Open(Arc<Link>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
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
        Self::builder(name).role(Role::Auto).open()
    }

    /// The settings of an endpoint of this segment, to be changed and opened.
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    pub(crate) fn open(name: SegmentName, config: Builder) -> Result<Self> {
        let (link, origin) = Link::open(name, config)?;
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

    /// As [`Sender::loan`].
    pub fn loan(&mut self, len: usize) -> Result<Loan<'_>> {
        self.sender.loan(len)
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

/// Answers questions about an endpoint, and stops it, from any thread, while others send and receive. Made by
/// [`Endpoint::inspector`]; outlives the endpoint, which is not kept open by it.
#[derive(Clone, Debug)]
pub struct Inspector(Arc<Link>);

impl Inspector {
    /// Ends every call of the endpoint that waits, in any thread, with [`Error::Closed`]: at once as a rule, within 50 ms
    /// at the latest. Every later call of the endpoint and its halves fails so, too; questions are still answered.
    ///
    /// The endpoint keeps its seat, and its heartbeat, until both of its halves are dropped, so the thread that waited
    /// has the last word. No message is lost by it: one that was not received stays in the queue for a successor. Stopping
    /// again, or what is closed, does nothing; so does a forked child, whose parent the endpoint belongs to.
    ///
    /// ```
    /// let mut master = eshm::Endpoint::master("doc-stop")?;
    /// let inspector = master.inspector();
    /// let receiver = std::thread::spawn(move || master.recv().map(drop));
    /// inspector.stop();
    /// assert!(matches!(receiver.join().unwrap(), Err(eshm::Error::Closed { .. })));
    /// # Ok::<(), eshm::Error>(())
    /// ```
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Checks, after the close, that the segment's name was removed, if it was to be.
    ///
    /// # Errors
    /// [`Error::Remove`].
    pub fn check_removed(&self) -> Result<()> {
        self.0.check_removed()
    }
}

/// What can be asked of an endpoint, of either half, and of an inspector.
macro_rules! inspection {
    ($type:ident, $($link:tt).+) => {
        impl $type {
            /// The segment's name.
            pub fn name(&self) -> &str {
                self.$($link).+.name.as_str()
            }

            /// Master or slave, as it was settled.
            pub fn role(&self) -> Role {
                self.$($link).+.role
            }

            /// The greatest value of `write`, in bytes.
            pub fn data_size(&self) -> usize {
                self.$($link).+.limits().0
            }

            /// The greatest message of `send`, in bytes: the queue's capacity, or, on a segment without queues, the
            /// data size.
            pub fn max_message(&self) -> usize {
                self.$($link).+.limits().1
            }

            /// What is known of the peer.
            pub fn peer_state(&self) -> PeerState {
                self.$($link).+.peer_state()
            }

            /// The peer's generation: greater after each restart of the peer.
            pub fn generation(&self) -> u64 {
                self.$($link).+.generation()
            }

            /// Whether the peer is an ESHM 1.x process.
            pub fn peer_is_legacy(&self) -> bool {
                self.$($link).+.peer_is_legacy()
            }

            /// Waits until the peer is there and alive.
            ///
            /// # Errors
            /// [`Error::Timeout`]; [`Error::Forked`]; [`Error::Closed`].
            pub fn wait_for_peer(&self, timeout: Duration) -> Result<()> {
                let link = &self.$($link).+;
                if link.wait_for_peer(timeout)? {
                    return Ok(());
                }
                let what = "the arrival of the peer";
                Err(Error::Timeout { segment: link.segment(), what, waited: timeout })
            }

            /// Returns how many of the messages that this endpoint sent were not received: not released by a receiver.
            /// After the close: how many that were then.
            pub fn unreceived(&self) -> u64 {
                self.$($link).+.unreceived()
            }

            /// The segment's and the endpoint's counts.
            ///
            /// # Errors
            /// [`Error::Forked`]; [`Error::Closed`].
            pub fn stats(&self) -> Result<Stats> {
                self.$($link).+.stats()
            }

            /// Shows one sign of life: for endpoints opened with [`Builder::background`]`(false)`.
            ///
            /// # Errors
            /// [`Error::Forked`]; [`Error::Closed`].
            pub fn update_heartbeat(&self) -> Result<()> {
                self.$($link).+.update_heartbeat()
            }
        }
    };
}
inspection!(Inspector, 0);
inspection!(Endpoint, sender.side.link);
inspection!(Sender, side.link);
inspection!(Receiver, side.link);

impl Side {
    fn new(open: Arc<Open>, Origin { attachment, epoch }: Origin) -> Self {
        let link = Arc::clone(&open.0);
        let calm = link.calm(epoch);
        Side { link, _open: open, attachment, epoch, calm }
    }

    /// Whether the fast path may be taken: the peer is one of ours, and so on.
    #[inline(always)]
    pub(crate) fn is_calm(&self) -> bool {
        self.link.is_calm(self.calm)
    }

    /// Continues in the segment of this attachment.
    pub(crate) fn switch(&mut self, attachment: Arc<Attachment>, epoch: u32) {
        (self.attachment, self.epoch, self.calm) = (attachment, epoch, self.link.calm(epoch));
    }

    /// Whether messages go through the queues, if there are any: by the header, which may be ahead of the monitor.
    pub(crate) fn peer_has_queue(&self) -> bool {
        !self.attachment.peer_is_legacy()
    }

    /// Whether the link has moved on: if so, all that ever came through this segment has come.
    pub(crate) fn is_left_behind(&self) -> bool {
        self.link.epoch() != self.epoch
    }

    pub(crate) fn timeout(&self, what: &'static str, deadline: Deadline) -> Error {
        self.link.counters.timeouts.add(1);
        Error::Timeout { segment: self.link.segment(), what, waited: deadline.elapsed() }
    }

    #[cold]
    pub(crate) fn broken(&self, broken: Broken) -> Error {
        let Broken { what, found, most } = broken;
        Error::Corrupt { segment: self.link.segment(), what, found, expected: format!("at most {most}") }
    }
}
