//! Polls once for the next value or message, in each segment that may contain it, in the order of the segments.

use std::sync::Arc;
use std::time::Duration;

use super::Receiver;
use crate::channel::mailbox::{Cursor, FirstRead, MailboxMemory, Oversize, Value};
use crate::channel::queue::{Lent, QueueReceiver};
use crate::error::{Error, Result};
use crate::peer::attachment::Attachment;
use crate::peer::link::{Link, Reading};
use crate::wait::coarse_now;

/// Less than the time in which a writer can write 2³¹ values, since each takes some nanoseconds.
const RECENT: Duration = Duration::from_secs(1);

/// The result of a poll.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    /// In the queue.
    Lent(Lent),
    /// In the receiver's buffer.
    Copied(Value),
}

/// The kind of content to poll for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum What {
    /// The latest value.
    Value,
    /// The next message.
    Message,
}

/// The reading end of one segment's mailbox.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) attachment: Arc<Attachment>,
    pub(super) epoch: u32,
    /// The status word of a settled half: see [`Link::is_settled`].
    pub(super) settled: u32,
    pub(super) mailbox: MailboxMemory,
    pub(super) cursor: Cursor,
    /// When the last value was read, on the coarse clock.
    read_at: Duration,
}

impl Receiver {
    /// Returns the next message of the queue if the half is settled. This is the fast path.
    #[inline(always)]
    pub(super) fn poll_fast(&mut self) -> Result<Option<Found>> {
        if self.lent.is_some() {
            self.release();
        }
        if self.side.is_settled()
            && let Some(queue) = &self.queue
        {
            let lent = queue.peek().map_err(|broken| self.side.broken(broken))?;
            return Ok(lent.map(Found::Lent));
        }
        Ok(None)
    }

    /// As `poll_fast`, and polls again for the time that an answer takes. [`PollTiming`](crate::wait::PollTiming) decides
    /// when to begin.
    #[inline(always)]
    pub(super) fn poll_eagerly(&mut self) -> Result<Option<Found>> {
        if self.lent.is_some() {
            self.release();
        }
        if self.side.is_settled()
            && let Some(queue) = &self.queue
        {
            self.timing.wait_to_poll(|| self.side.link.counters.sent.events());
            let mut lent = queue.peek().map_err(|broken| self.side.broken(broken))?;
            if lent.is_some() {
                self.timing.found_at_once();
            } else {
                self.timing.found_nothing();
                lent = queue.poll(self.backoff.eager_polls()).map_err(|broken| self.side.broken(broken))?;
                self.timing.end_exchange(lent.is_some());
            }
            return Ok(lent.map(Found::Lent));
        }
        Ok(None)
    }

    /// Polls each segment that may contain the next value or message, in the order of the segments.
    pub(super) fn poll_once(&mut self, what: What) -> Result<Option<Found>> {
        if what == What::Message
            && let Some(found) = self.poll_fast()?
        {
            return Ok(Some(found));
        }
        self.release();
        self.side.link.check_running()?;
        let found = match what {
            What::Value => self.poll_for_value()?.map(Found::Copied),
            What::Message => self.poll_for_message()?,
        };
        if found.is_none() {
            self.side.link.check_displaced()?;
        }
        Ok(found)
    }

    fn poll_for_message(&mut self) -> Result<Option<Found>> {
        loop {
            // Loaded before the poll, which then still finds what arrived before the move.
            let left_behind = self.side.is_left_behind();
            if let Some(queue) = &self.queue
                && let Some(lent) = queue.peek().map_err(|broken| self.side.broken(broken))?
            {
                return Ok(Some(Found::Lent(lent)));
            }
            if self.messages_in_mailbox()
                && let Some(value) = self.poll_mailbox(What::Message)?
            {
                return Ok(Some(Found::Copied(value)));
            }
            if !left_behind {
                return Ok(None);
            }
            let (attachment, epoch) = self.side.link.next_segment(Reading::Messages, self.side.epoch);
            crash_point!("follow.receiver");
            self.queue = attachment.incoming_queue().map(QueueReceiver::resume);
            self.side.switch(attachment, epoch);
        }
    }

    /// Returns whether the mailbox may contain the next message. That is the mailbox of the segment where messages are
    /// received: unread values in older segments are out of date.
    fn messages_in_mailbox(&mut self) -> bool {
        if self.queue.is_some() && self.side.peer_has_queue() {
            return false;
        }
        if self.values.epoch < self.side.epoch {
            self.values = Values::new(&self.side.link, Arc::clone(&self.side.attachment), self.side.epoch);
        }
        // If the values are in a later segment, they have read this mailbox to its end.
        self.values.epoch == self.side.epoch
    }

    fn poll_mailbox(&mut self, what: What) -> Result<Option<Value>> {
        let first = match what {
            What::Value => FirstRead::Current,
            What::Message => FirstRead::Untaken,
        };
        let Values { attachment, settled, mailbox, cursor, read_at, .. } = &mut self.values;
        let now = coarse_now();
        cursor.recent = now.saturating_sub(*read_at) < RECENT;
        let Some(value) =
            mailbox.channel().read(cursor, first, &mut self.buffer).map_err(|Oversize(found)| {
                Error::Corrupt {
                    segment: self.side.link.segment(),
                    what: "a message's size",
                    found: found.into(),
                    expected: format!("at most {}", attachment.data_size()),
                }
            })?
        else {
            return Ok(None);
        };
        *read_at = now;
        attachment.count_read();
        let counters = &self.side.link.counters;
        match what {
            What::Value => counters.received.count_value(),
            What::Message => counters.count_received(1, value.len, false),
        }
        if self.side.link.is_resting() && self.side.link.is_outdated(attachment) {
            // The writer may be one of ESHM 1.x, and the answer must not go into a queue that it does not read.
            self.side.link.peer_state();
        }
        if !self.side.link.is_settled(*settled) {
            // An ESHM 1.x writer may read the count, and the monitor may not run.
            attachment.publish_reads();
        }
        if value.skipped > 0 {
            counters.skipped.add(value.skipped);
        }
        Ok(Some(value))
    }

    fn poll_for_value(&mut self) -> Result<Option<Value>> {
        loop {
            // Loaded before the poll, as above.
            let left_behind = self.values.is_left_behind(&self.side.link);
            if let Some(value) = self.poll_mailbox(What::Value)? {
                return Ok(Some(value));
            }
            if !left_behind {
                return Ok(None);
            }
            let (attachment, epoch) = self.side.link.next_segment(Reading::Values, self.values.epoch);
            crash_point!("follow.values");
            self.values = Values::new(&self.side.link, attachment, epoch);
        }
    }

    /// As `poll_eagerly`, for values.
    #[inline(always)]
    pub(super) fn poll_for_new_value(&mut self) -> Result<Option<Found>> {
        if self.lent.is_some() {
            self.release();
        }
        if !self.side.link.is_settled(self.values.settled) {
            return Ok(None);
        }
        let channel = self.values.mailbox.channel();
        let polls = self.backoff.eager_polls();
        if !(0..polls).any(|_| channel.may_have_new_value(&self.values.cursor)) {
            return Ok(None);
        }
        Ok(self.poll_mailbox(What::Value)?.map(Found::Copied))
    }
}

impl Values {
    pub(super) fn new(link: &Link, attachment: Arc<Attachment>, epoch: u32) -> Self {
        let mailbox = attachment.incoming_mailbox();
        let settled = link.settled_status(epoch);
        Values { attachment, epoch, settled, mailbox, cursor: Cursor::default(), read_at: Duration::ZERO }
    }

    pub(super) fn is_left_behind(&self, link: &Link) -> bool {
        link.epoch() != self.epoch
    }
}
