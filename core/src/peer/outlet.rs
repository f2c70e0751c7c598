//! One segment's outgoing direction: how messages and values get in, whichever way the peer understands.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::mailbox::MailboxMemory;
use crate::channel::queue::{Broken, QueueSender};
use crate::peer::attachment::{Attachment, Content};
use crate::sys::Ordering;
use crate::wait::{Doorbell, Fences};

/// How long a message without a limit waits for an ESHM 1.x reader: as long as that one's `read` waits by default.
pub(crate) const LEGACY_PATIENCE: Duration = Duration::from_secs(1);

/// The writing end of one direction. One thread at a time uses it.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) attachment: Arc<Attachment>,
    pub(crate) queue: Option<QueueSender>,
    mailbox: MailboxMemory,
    /// The count of an ESHM 1.x reader's reads when a message was last put before it, until it is acknowledged.
    unacknowledged: Option<u64>,
}

impl Outlet {
    /// Continues where the last writer of this direction stopped.
    ///
    /// # Errors
    /// [`Broken`] when the queue's slots contradict each other.
    pub(crate) fn open(attachment: Arc<Attachment>) -> Result<Self, Broken> {
        let queue = attachment.outgoing_queue().map(QueueSender::resume).transpose()?;
        Ok(Outlet { mailbox: attachment.outgoing_mailbox(), queue, attachment, unacknowledged: None })
    }

    /// Whether messages go through the queue, if there is one: by the header, which may be ahead of the monitor.
    pub(crate) fn peer_has_queue(&self) -> bool {
        !self.attachment.peer_is_legacy()
    }

    /// The queue, if that is the way that messages go now.
    pub(crate) fn queue_in_use(&mut self) -> Option<&mut QueueSender> {
        if self.peer_has_queue() { self.queue.as_mut() } else { None }
    }

    /// Returns the greatest message that can go the way it would go now, in bytes.
    pub(crate) fn limit(&self) -> usize {
        match &self.queue {
            Some(queue) if self.peer_has_queue() => queue.capacity(),
            _ => self.attachment.data_size(),
        }
    }

    /// Sends a message of at most `limit` bytes if there is room. Returns whether that took a system call, or `None`
    /// when there is no room.
    ///
    /// # Errors
    /// [`Broken`] when the peer broke the queue.
    pub(crate) fn attempt(&mut self, bytes: &[u8], fences: Fences) -> Result<Option<bool>, Broken> {
        if let Some(queue) = self.queue_in_use() {
            return queue.send(bytes);
        }
        let free = self.is_free();
        Ok(free.then(|| self.put(bytes, Content::Message, fences)))
    }

    /// Whether the previous message was taken, where one is in flight at a time.
    pub(crate) fn is_free(&mut self) -> bool {
        let channel = self.mailbox.channel();
        if self.peer_has_queue() {
            return channel.is_taken();
        }
        // Acquire: the 1.x reader counts after it has copied.
        let reads = channel.tail.read_count.load(Ordering::Acquire);
        self.unacknowledged.take_if(|before| *before != reads);
        self.unacknowledged.is_none()
    }

    /// Does not wait any more for an ESHM 1.x reader to acknowledge the last message.
    pub(crate) fn forget_unacknowledged(&mut self) {
        self.unacknowledged = None;
    }

    /// Replaces the mailbox's content by at most `data_size` bytes. Returns whether that took a system call.
    pub(crate) fn put(&mut self, bytes: &[u8], content: Content, fences: Fences) -> bool {
        let channel = self.mailbox.channel();
        self.unacknowledged = Some(channel.tail.read_count.load(Ordering::Acquire));
        self.attachment.note_content(content);
        channel.write(bytes, fences)
    }

    /// Where to wait for room, and whether the reader there never wakes anybody: an ESHM 1.x process.
    pub(crate) fn room(&self) -> (Doorbell<'_>, bool) {
        let has_queue = self.peer_has_queue();
        match &self.queue {
            Some(queue) if has_queue => (queue.room(), false),
            _ => (self.mailbox.channel().taken(), !has_queue),
        }
    }
}
