//! The outgoing direction of a segment: sends messages and values in the way that the peer supports.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::mailbox::MailboxMemory;
use crate::channel::queue::{Broken, QueueSender};
use crate::peer::attachment::{Attachment, Content};
use crate::sys::Ordering;
use crate::wait::{Doorbell, Fences};

/// How long a message without a timeout waits for an ESHM 1.x reader: the default timeout of its `read`.
pub(crate) const LEGACY_ACK_TIMEOUT: Duration = Duration::from_secs(1);

/// The writing end of one direction. Only one thread at a time uses it.
#[derive(Debug)]
pub(crate) struct OutgoingChannel {
    pub(crate) attachment: Arc<Attachment>,
    pub(crate) queue: Option<QueueSender>,
    mailbox: MailboxMemory,
    /// The read count of an ESHM 1.x reader when the last message was put before it. `None` after the
    /// acknowledgement.
    unacknowledged: Option<u64>,
}

impl OutgoingChannel {
    /// Continues after the last message of the previous writer of this direction.
    ///
    /// # Errors
    /// Returns [`Broken`] if the slots of the queue contradict each other.
    pub(crate) fn open(attachment: Arc<Attachment>) -> Result<Self, Broken> {
        let queue = attachment.outgoing_queue().map(QueueSender::resume).transpose()?;
        Ok(OutgoingChannel {
            mailbox: attachment.outgoing_mailbox(),
            queue,
            attachment,
            unacknowledged: None,
        })
    }

    /// Returns whether messages go through the queue, if there is one. The header decides, which may be newer than
    /// the view of the monitor.
    pub(crate) fn peer_has_queue(&self) -> bool {
        !self.attachment.peer_is_legacy()
    }

    /// Returns the queue, if messages go through it now.
    pub(crate) fn queue_in_use(&mut self) -> Option<&mut QueueSender> {
        if self.peer_has_queue() { self.queue.as_mut() } else { None }
    }

    /// Returns the size of the longest message that can be sent now, in bytes.
    pub(crate) fn limit(&self) -> usize {
        match &self.queue {
            Some(queue) if self.peer_has_queue() => queue.capacity(),
            _ => self.attachment.data_size(),
        }
    }

    /// Sends a message of at most `limit` bytes. Returns whether that took a system call, or `None` if there is no
    /// space.
    ///
    /// # Errors
    /// Returns [`Broken`] if the peer broke the queue.
    pub(crate) fn try_send(&mut self, bytes: &[u8], fences: Fences) -> Result<Option<bool>, Broken> {
        if let Some(queue) = self.queue_in_use() {
            return queue.send(bytes);
        }
        let free = self.is_free();
        Ok(free.then(|| self.put(bytes, Content::Message, fences)))
    }

    /// Returns whether the previous message was taken, where only one message is in flight at a time.
    pub(crate) fn is_free(&mut self) -> bool {
        let channel = self.mailbox.channel();
        if self.peer_has_queue() {
            return channel.is_taken();
        }
        // Acquire: the 1.x reader increments its count after it has copied the message.
        let reads = channel.tail.read_count.load(Ordering::Acquire);
        self.unacknowledged.take_if(|before| *before != reads);
        self.unacknowledged.is_none()
    }

    /// Stops waiting for an ESHM 1.x reader to acknowledge the last message.
    pub(crate) fn forget_unacknowledged(&mut self) {
        self.unacknowledged = None;
    }

    /// Replaces the content of the mailbox by at most `data_size` bytes. Returns whether that took a system call.
    pub(crate) fn put(&mut self, bytes: &[u8], content: Content, fences: Fences) -> bool {
        let channel = self.mailbox.channel();
        self.unacknowledged = Some(channel.tail.read_count.load(Ordering::Acquire));
        self.attachment.note_content(content);
        channel.write(bytes, fences)
    }

    /// Returns the doorbell on which to wait for space, and whether the reader is an ESHM 1.x process, which never
    /// rings it.
    pub(crate) fn space_bell(&self) -> (Doorbell<'_>, bool) {
        let has_queue = self.peer_has_queue();
        match &self.queue {
            Some(queue) if has_queue => (queue.space_bell(), false),
            _ => (self.mailbox.channel().taken(), !has_queue),
        }
    }
}
