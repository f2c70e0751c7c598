//! The functions that the fuzz targets in `fuzz/` call. They run the parts of the core that read what a peer wrote,
//! on memory of this process, so that AddressSanitizer detects every access beyond it. Compiled only with `--cfg
//! fuzzing`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;

use crate::channel::mailbox::{Cursor, FirstRead, MailboxMemory};
use crate::channel::queue::{Lent, QueueMemory, QueueReceiver, QueueSender};
use crate::segment::layout::{Direction, Geometry, QueueGeometry};
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::validate::validate_memory;
use crate::segment::view::Memory;
use crate::wait::{EventBell, Fences};

const DIRECTIONS: [Direction; 2] = [Direction::MasterToSlave, Direction::SlaveToMaster];

/// A segment of exactly these bytes.
struct Image(NonNull<u8>, Layout);

// SAFETY: the memory is accessed only as `Memory` allows: through atomics and cells.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

// SAFETY: one allocation at a multiple of 128, which does not move until the image is dropped.
unsafe impl Memory for Image {
    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.0, self.1.size())
    }
}

impl Image {
    fn new(len: usize) -> Arc<Image> {
        let layout = Layout::from_size_align(len.max(1), 128).expect("a small image");
        // SAFETY: the layout has a non-zero size.
        let start = unsafe { alloc_zeroed(layout) };
        Arc::new(Image(NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout)), layout))
    }

    /// Overwrites the bytes that lie within the image, as a peer does that ignores the protocol.
    fn poke(&self, offset: usize, bytes: &[u8]) {
        let Some(room) = self.1.size().checked_sub(offset) else { return };
        // SAFETY: within the allocation, by the check above.
        let start = unsafe { self.0.add(offset) };
        // SAFETY: the bytes lie within the allocation, and nothing else uses it at the same time.
        unsafe { start.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len().min(room)) };
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this layout, and its users keep the image by an `Arc`.
        unsafe { dealloc(self.0.as_ptr(), self.1) };
    }
}

/// Attaches to an image and, if it is valid, uses all of it.
pub fn attach(bytes: &[u8]) {
    let image = Image::new(bytes.len());
    image.poke(0, bytes);
    for configured in [None, Some(1), Some(4096)] {
        let Ok(Some(layout)) = validate_memory(&*image, configured) else { continue };
        for direction in DIRECTIONS {
            let mut ends = Ends::new(layout, &image, direction);
            for step in [Step::Read, Step::Receive, Step::Resume, Step::Send(57), Step::Write(1), Step::Read]
            {
                ends.take(step);
            }
        }
    }
}

/// Runs a script on a mailbox: writes, reads, and stores of arbitrary bytes by a peer.
pub fn mailbox(script: &[u8]) {
    let layout = small_layout();
    let channel = layout.geometry.channel(Direction::MasterToSlave);
    play(layout, script, channel, layout.geometry.channel_size());
}

/// Runs a script on a queue: a peer stores arbitrary bytes in its counts and slots.
pub fn queue(script: &[u8]) {
    let layout = small_layout();
    let queues = layout.queues.expect("the small layout has queues");
    let start = queues.control(Direction::MasterToSlave);
    play(layout, script, start, queues.arena(Direction::MasterToSlave) - start);
}

/// Runs a script of long messages: a peer stores arbitrary bytes in the slots, which hold the places of messages, and
/// in the arena.
pub fn arena(script: &[u8]) {
    let layout = small_layout();
    let queues = layout.queues.expect("the small layout has queues");
    let start = queues.slots(Direction::MasterToSlave);
    play(layout, script, start, queues.size() - (start - queues.offset));
}

/// Returns the smallest layout in which everything can wrap around.
fn small_layout() -> SegmentLayout {
    let geometry = Geometry { data_size: 20 };
    let queues = QueueGeometry { offset: geometry.total().next_multiple_of(128), capacity: 250, slots: 4 };
    SegmentLayout { geometry, queues: Some(queues), legacy: false }
}

/// Runs a script. Each step is a byte for the kind and a byte for its size. Stores of the peer go to `len` bytes from
/// `start` on.
fn play(layout: SegmentLayout, script: &[u8], start: usize, len: usize) {
    let image = Image::new(layout.queues.map_or(layout.geometry.total(), QueueGeometry::end));
    let mut ends = Ends::new(layout, &image, Direction::MasterToSlave);
    let mut rest = script;
    while let [kind, size, following @ ..] = rest {
        rest = following;
        let size = usize::from(*size);
        match kind % 10 {
            0 | 1 => {
                // Fields lie at multiples of 4.
                let (bytes, following) =
                    following.split_at(following.len().min(if kind % 10 == 0 { 4 } else { 8 }));
                image.poke(start + size * 4 % len, bytes);
                rest = following;
            }
            2 => ends.take(Step::Read),
            3 => ends.take(Step::Write(size)),
            4 => ends.take(Step::Send(size)),
            5 => ends.take(Step::Loan(size)),
            6 => ends.take(Step::Receive),
            7 => ends.take(Step::ReceiveAhead(size as u32 % 6)),
            8 => ends.take(Step::Resume),
            _ => ends.take(Step::SendMany(size)),
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    Read,
    Write(usize),
    Send(usize),
    SendMany(usize),
    Loan(usize),
    Receive,
    ReceiveAhead(u32),
    Resume,
}

/// Both ends of one direction.
struct Ends {
    image: Arc<Image>,
    mailbox: MailboxMemory,
    cursors: [(Cursor, FirstRead); 2],
    buffer: Vec<u8>,
    queue: Option<QueueMemory>,
    sender: Option<QueueSender>,
    receiver: Option<QueueReceiver>,
}

impl Ends {
    fn new(layout: SegmentLayout, image: &Arc<Image>, direction: Direction) -> Ends {
        let queue = layout.queue(image, direction, EventBell::none());
        let mut ends = Ends {
            image: Arc::clone(image),
            mailbox: layout.mailbox(image, direction, EventBell::none()),
            cursors: [FirstRead::Current, FirstRead::Untaken].map(|first| (Cursor::default(), first)),
            buffer: Vec::new(),
            queue,
            sender: None,
            receiver: None,
        };
        ends.take(Step::Resume);
        ends
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Read => self.read(),
            Step::Write(len) => {
                let channel = self.mailbox.channel();
                let _ = channel.is_taken();
                channel.write(&[0xA5; 256][..len.min(channel.capacity).min(256)], Fences::Asymmetric);
            }
            Step::Send(len) => self.send(len),
            Step::SendMany(len) => {
                let Some(sender) = &mut self.sender else { return };
                let (most, message) = (sender.capacity(), [0x5A; 256]);
                let lens = [0, len, 56, 57].map(|len| len.min(most).min(256));
                let _ = sender.send_many(lens.iter().map(|len| &message[..*len]));
            }
            Step::Loan(len) => {
                let Some(sender) = &mut self.sender else { return };
                let len = len.min(sender.capacity());
                if let Ok(Some(start)) = sender.loan(len) {
                    // SAFETY: the loan is `len` bytes.
                    unsafe { start.write_bytes(0x3C, len) };
                    let _ = sender.send_loan();
                }
            }
            Step::Receive => self.receive(),
            Step::ReceiveAhead(ahead) => {
                let Some(receiver) = &mut self.receiver else { return };
                let count =
                    (0..ahead).take_while(|at| matches!(receiver.peek_ahead(*at), Ok(Some(_)))).count();
                if count > 0 {
                    receiver.release(count as u32);
                }
            }
            Step::Resume => {
                self.sender = self.queue.clone().and_then(|queue| QueueSender::resume(queue).ok());
                self.receiver = self.queue.clone().map(QueueReceiver::resume);
            }
        }
    }

    fn read(&mut self) {
        let channel = self.mailbox.channel();
        for (cursor, first) in &mut self.cursors {
            let _ = channel.may_have_new_value(cursor);
            if let Ok(Some(value)) = channel.read(cursor, *first, &mut self.buffer) {
                assert!(value.len <= channel.capacity && value.len <= self.buffer.len());
                cursor.recent = !cursor.recent;
            }
        }
    }

    /// Sends until the queue is full. It must become full.
    fn send(&mut self, len: usize) {
        let (Some(queue), Some(sender)) = (&self.queue, &mut self.sender) else { return };
        let message = vec![len as u8; len.min(sender.capacity())];
        let mut sent = 0;
        while let Ok(Some(_)) = sender.send(&message) {
            sent += 1;
            // The sender uses the slots that it knows to be free, and then, once, those that it finds to be free.
            assert!(
                sent <= 2 * queue.slots.len(),
                "a queue of {} slots took {sent} messages",
                queue.slots.len()
            );
        }
    }

    /// Receives until there is no message, and reads each byte. This must end.
    fn receive(&mut self) {
        let (Some(queue), Some(receiver)) = (&self.queue, &mut self.receiver) else { return };
        for _ in 0..=queue.slots.len() {
            let Ok(Some(lent)) = receiver.peek() else { return };
            let bytes = self.image.bytes().cast::<u8>().as_ptr();
            let Lent { start, len } = lent;
            assert!(start >= bytes.cast_const() && len <= self.image.len());
            // SAFETY: the message is not released yet, and nothing changes it at the same time.
            std::hint::black_box(
                unsafe { lent.bytes() }.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)),
            );
            receiver.release(1);
        }
        // Each slot has one mark per round, and each mark is passed once. A queue that continues for ever has moved
        // its marks.
        panic!("a queue of {} slots gave more messages than that", queue.slots.len());
    }
}
