//! The carry-over: moves messages and values that were accepted in the old segment, and not received there, to the
//! segment that has the name now (PROTOCOL.md, section 5).
//!
//! The sender runs without a lock, so it can still publish a message in the old segment while its endpoint switches.
//! The carry-over therefore ends only when the sending thread asks for its end and nothing is left. The thread then
//! takes the [`OutgoingChannel`] of the new segment from here. Until then the monitor continues the carry-over at each
//! heartbeat.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::channel::mailbox::{Cursor, FirstRead, MailboxMemory};
use crate::channel::queue::{Broken, QueueReceiver};
use crate::peer::attachment::{Attachment, Content};
use crate::peer::outgoing::{LEGACY_ACK_TIMEOUT, OutgoingChannel};
use crate::segment::layout::MAX_QUEUE_SLOTS;
use crate::sys::Ordering;
use crate::wait::Fences;

/// The limits of one visit of the monitor, because the heartbeats wait during it.
pub(crate) const PER_HEARTBEAT: Budget = Budget { bytes: 1 << 20, messages: 1024 };
/// Everything that a queue can hold, and no more: a hostile peer may continue to publish in the old segment.
pub(crate) const WHOLE_QUEUE: Budget = Budget { bytes: usize::MAX, messages: MAX_QUEUE_SLOTS as usize };

/// The limits of one step of the carry-over.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    bytes: usize,
    messages: usize,
}

/// The state of the carry-over after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing is left now.
    Done,
    /// Something is left: there is no space, or the budget is used up.
    Pending,
}

/// The carry-over. See the module. Empty, unless the endpoint has switched and its sender has not switched yet.
#[derive(Debug, Default)]
pub(crate) struct CarryOver {
    /// The old segments. The messages of the first one go first. The sender is still at the last one.
    sources: VecDeque<Source>,
    /// The outgoing channel and the epoch of the segment that has the name now. Set if and only if there are sources.
    outgoing: Option<(OutgoingChannel, u32)>,
    /// The number of values put before an ESHM 1.x reader so far, and the time of the last change.
    shown: Option<(u64, Instant)>,
    losses: Losses,
}

/// What is not carried over.
#[derive(Debug, Default)]
struct Losses {
    /// The total number of messages that the new segment cannot hold, or that cannot be found any more.
    undeliverable: u64,
    /// Why the queue of an old segment is broken. `take_broken` takes it.
    broken: Option<Broken>,
}

/// The receiving end of what this endpoint itself sent into an old segment. It holds the seat of the peer there.
#[derive(Debug)]
struct Source {
    attachment: Arc<Attachment>,
    queue: Option<QueueReceiver>,
    mailbox: MailboxMemory,
    cursor: Cursor,
    /// The content of the mailbox that is not carried over yet.
    pending: Option<(Vec<u8>, Content)>,
}

impl CarryOver {
    /// Starts or continues the carry-over, after the endpoint has switched from `old` to the segment of `outgoing`.
    pub(crate) fn begin(&mut self, old: Arc<Attachment>, outgoing: OutgoingChannel, epoch: u32) {
        self.sources.push_front(Source::new(old));
        self.outgoing = Some((outgoing, epoch));
    }

    /// Carries over as much as space and budget allow.
    ///
    /// # Errors
    /// Returns [`Broken`] if the peer of the new segment broke its queue.
    pub(crate) fn advance(&mut self, budget: Budget) -> Result<Progress, Broken> {
        let progress = self.advance_sources(budget)?;
        if progress == Progress::Pending {
            self.expire_acknowledgement();
        }
        Ok(progress)
    }

    fn advance_sources(&mut self, mut budget: Budget) -> Result<Progress, Broken> {
        let Some((outgoing, _)) = &mut self.outgoing else { return Ok(Progress::Done) };
        while let Some(source) = self.sources.front_mut() {
            if source.carry_queue(outgoing, &mut budget, &mut self.losses)? == Progress::Pending
                || source.carry_mailbox(outgoing, &mut self.losses)? == Progress::Pending
            {
                return Ok(Progress::Pending);
            }
            if self.sources.len() == 1 {
                break;
            }
            self.sources.pop_front();
        }
        Ok(Progress::Done)
    }

    /// Stops waiting for an ESHM 1.x reader that never acknowledges the first message that it is shown, after some
    /// time.
    fn expire_acknowledgement(&mut self) {
        let Some((outgoing, _)) = self.outgoing.as_mut().filter(|(outgoing, _)| !outgoing.peer_has_queue())
        else {
            return;
        };
        let now = Instant::now();
        let shown = outgoing.attachment.outgoing().tail.write_count.load(Ordering::Relaxed);
        match self.shown {
            Some((before, since)) if before == shown => {
                if now - since >= LEGACY_ACK_TIMEOUT {
                    outgoing.forget_unacknowledged();
                }
            }
            _ => self.shown = Some((shown, now)),
        }
    }

    /// Ends the carry-over if nothing is left. Only the sending thread calls this, and then sends into the new
    /// segment. Returns the outgoing channel and the epoch of that segment.
    ///
    /// # Errors
    /// Returns the errors of [`CarryOver::advance`].
    pub(crate) fn finish(&mut self) -> Result<Option<(OutgoingChannel, u32)>, Broken> {
        if self.advance(WHOLE_QUEUE)? == Progress::Pending {
            return Ok(None);
        }
        self.sources.clear();
        Ok(self.outgoing.take())
    }

    /// Writes a value into the new segment, after the value of the old one and everything that is left to carry over.
    /// Returns `None` if no carry-over is in progress, and the limit of the new segment as an error if the value is
    /// longer. Otherwise returns whether a system call was made.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Option<Result<bool, usize>> {
        let (outgoing, _) = self.outgoing.as_mut()?;
        let limit = outgoing.attachment.data_size();
        if bytes.len() > limit {
            return Some(Err(limit));
        }
        self.sources.iter_mut().for_each(Source::skip_value);
        Some(Ok(outgoing.put(bytes, Content::Value, Fences::Symmetric)))
    }

    /// Returns, once, why the queue of an old segment is broken.
    pub(crate) fn take_broken(&mut self) -> Option<Broken> {
        self.losses.broken.take()
    }

    /// Returns the number of messages that are left or did not fit.
    pub(crate) fn unreceived(&self) -> u64 {
        self.sources.iter().map(Source::left).sum::<u64>() + self.losses.undeliverable
    }
}

impl Source {
    fn new(attachment: Arc<Attachment>) -> Self {
        Source {
            queue: attachment.outgoing_queue().map(QueueReceiver::resume),
            mailbox: attachment.outgoing_mailbox(),
            cursor: Cursor::default(),
            pending: None,
            attachment,
        }
    }

    /// Carries over the queue.
    fn carry_queue(
        &mut self,
        outgoing: &mut OutgoingChannel,
        budget: &mut Budget,
        losses: &mut Losses,
    ) -> Result<Progress, Broken> {
        let Some(queue) = &mut self.queue else { return Ok(Progress::Done) };
        loop {
            let lent = match queue.peek() {
                Ok(Some(lent)) => lent,
                Ok(None) => return Ok(Progress::Done),
                Err(broken) => {
                    // The old peer overwrote sent messages. The messages after that point cannot be found.
                    losses.broken = Some(broken);
                    losses.undeliverable += u64::from(queue.depth());
                    self.queue = None;
                    return Ok(Progress::Done);
                }
            };
            if budget.bytes < lent.len.min(PER_HEARTBEAT.bytes) || budget.messages == 0 {
                return Ok(Progress::Pending);
            }
            budget.bytes = budget.bytes.saturating_sub(lent.len);
            budget.messages -= 1;
            if lent.len > outgoing.limit() {
                losses.undeliverable += 1;
            } else {
                // SAFETY: the message is released only below, and this is the only receiver of the queue.
                let bytes = unsafe { lent.bytes() };
                if outgoing.try_send(bytes, Fences::Symmetric)?.is_none() {
                    return Ok(Progress::Pending);
                }
            }
            crash_point!("carry.copied");
            queue.release(1);
            crash_point!("carry.released");
        }
    }

    /// Carries over the content of the mailbox: a message that was not taken, or the latest value.
    fn carry_mailbox(
        &mut self,
        outgoing: &mut OutgoingChannel,
        losses: &mut Losses,
    ) -> Result<Progress, Broken> {
        self.look_into_mailbox();
        let Some((bytes, content)) = self.pending.take() else { return Ok(Progress::Done) };
        let fits = match content {
            Content::Message => bytes.len() <= outgoing.limit(),
            Content::Value => bytes.len() <= outgoing.attachment.data_size(),
        };
        if !fits {
            losses.undeliverable += u64::from(content == Content::Message);
            return Ok(Progress::Done);
        }
        let sent = match content {
            Content::Message => outgoing.try_send(&bytes, Fences::Symmetric)?.is_some(),
            // Without queues the mailbox also holds messages, and no message is overwritten.
            Content::Value if outgoing.queue_in_use().is_none() && !outgoing.is_free() => false,
            Content::Value => {
                outgoing.put(&bytes, Content::Value, Fences::Symmetric);
                true
            }
        };
        crash_point!("carry.put");
        if sent {
            return Ok(Progress::Done);
        }
        self.pending = Some((bytes, content));
        Ok(Progress::Pending)
    }

    /// Takes new content of the mailbox. A message waits until the previous one is carried over.
    fn look_into_mailbox(&mut self) {
        // An ESHM 1.x reader does not publish what it has received.
        if self.attachment.peer_was_legacy() || matches!(self.pending, Some((_, Content::Message))) {
            return;
        }
        let content = self.attachment.content();
        let first = match content {
            Content::Message => FirstRead::Untaken,
            Content::Value => FirstRead::Current,
        };
        let mut buffer = Vec::new();
        // An excessive size, written by a hostile peer, counts as no value.
        if let Ok(Some(value)) = self.mailbox.channel().read(&mut self.cursor, first, &mut buffer) {
            buffer.truncate(value.len);
            self.pending = Some((buffer, content));
        }
    }

    /// Discards the pending value, because a newer one replaces it, even if a message waits before it.
    fn skip_value(&mut self) {
        if self.attachment.content() == Content::Value {
            // A value that cannot be read counts as skipped: see `look_into_mailbox`.
            let _ = self.mailbox.channel().read(&mut self.cursor, FirstRead::Current, &mut Vec::new());
        }
        self.pending.take_if(|(_, content)| *content == Content::Value);
    }

    fn left(&self) -> u64 {
        let queued = self.queue.as_ref().map_or(0, |queue| u64::from(queue.depth()));
        let pending = matches!(self.pending, Some((_, Content::Message)));
        queued + u64::from(pending || self.attachment.message_in_mailbox())
    }
}
