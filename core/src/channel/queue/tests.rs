use std::collections::VecDeque;

use super::copy::fill_slot;
use super::*;
use crate::segment::layout::{Descriptor, IN_ARENA, OwnLines, ParkedReceiver, SLOT_PAYLOAD, SenderLines};
use crate::sys::{AtomicU32, UnsafeCell};

fn memory(slots: usize, blocks: usize) -> QueueMemory {
    let consumed = OwnLines(AtomicU32::new(0));
    let sender = SenderLines { parked: AtomicU32::new(0), high_water: AtomicU32::new(0) };
    let receiver_parked = ParkedReceiver { count: AtomicU32::new(0), number: AtomicU32::new(0) };
    let control = QueueControl { consumed, receiver_parked, sender };
    let slot = |_| Slot {
        mark: AtomicU32::new(0),
        len: AtomicU32::new(0),
        payload: UnsafeCell::new([0; SLOT_PAYLOAD]),
    };
    QueueMemory {
        control: SharedRef::heap(control),
        slots: SharedRef::heap_slice((0..slots).map(slot).collect()),
        arena: SharedRef::heap_slice((0..blocks).map(|_| Block(UnsafeCell::new([0; 64]))).collect()),
        capacity: blocks * 64,
        bell: EventBell::default(),
    }
}

/// Receives a copy of the next message and releases it.
fn take(receiver: &mut QueueReceiver) -> Option<Vec<u8>> {
    let lent = receiver.peek().unwrap()?;
    // SAFETY: the message is released after the copy.
    let message = unsafe { lent.bytes() }.to_vec();
    receiver.release(1);
    Some(message)
}

#[cfg(not(loom))]
mod sequential {
    use super::*;
    use proptest::prelude::*;

    const SLOTS: usize = 4;
    const BLOCKS: usize = 5;

    /// The operations of both ends, in any order.
    #[derive(Clone, Debug)]
    enum Step {
        Send(usize),
        Loan { len: usize, sent: bool },
        SendMany(Vec<usize>),
        Take,
        TakeMany(u32),
        RestartSender,
        RestartReceiver,
    }

    fn length() -> impl Strategy<Value = usize> {
        // The borders of the size classes, and every other length.
        prop_oneof![
            Just(0),
            Just(55),
            Just(56),
            Just(57),
            Just(64),
            Just(65),
            Just(BLOCKS * 64),
            0..=BLOCKS * 64
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => length().prop_map(Step::Send),
            1 => (length(), any::<bool>()).prop_map(|(len, sent)| Step::Loan { len, sent }),
            1 => prop::collection::vec(length(), 0..6).prop_map(Step::SendMany),
            4 => Just(Step::Take),
            1 => (1..6u32).prop_map(Step::TakeMany),
            1 => Just(Step::RestartSender),
            1 => Just(Step::RestartReceiver),
        ]
    }

    struct Model {
        memory: QueueMemory,
        sender: QueueSender,
        receiver: QueueReceiver,
        /// Messages that were sent and not released.
        expected: VecDeque<Vec<u8>>,
        next_byte: u8,
    }

    impl Model {
        fn message(&mut self, len: usize) -> Vec<u8> {
            self.next_byte = self.next_byte.wrapping_add(1);
            (0..len).map(|at| self.next_byte.wrapping_mul(31).wrapping_add(at as u8)).collect()
        }

        fn apply(&mut self, step: &Step) {
            match step {
                Step::Send(len) => {
                    let message = self.message(*len);
                    match self.sender.send(&message).unwrap() {
                        Some(_) => self.expected.push_back(message),
                        None => assert!(!self.expected.is_empty(), "an empty queue takes any message"),
                    }
                }
                Step::Loan { len, sent } => {
                    let message = self.message(*len);
                    let Some(start) = self.sender.loan(*len).unwrap() else {
                        assert!(!self.expected.is_empty(), "an empty queue lends any length");
                        return;
                    };
                    // SAFETY: the loan is `len` bytes.
                    unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), start, *len) };
                    if *sent {
                        self.sender.send_loan().unwrap();
                        self.expected.push_back(message);
                    } else {
                        self.sender.forget_loan();
                        assert_eq!(self.sender.send_loan(), None);
                    }
                }
                Step::SendMany(lens) => {
                    let messages: Vec<_> = lens.iter().map(|len| self.message(*len)).collect();
                    let (sent, _) = self.sender.send_many(messages.iter().map(Vec::as_slice)).unwrap();
                    self.expected.extend(messages.into_iter().take(sent));
                }
                Step::Take => assert_eq!(take(&mut self.receiver), self.expected.pop_front()),
                Step::TakeMany(most) => {
                    let mut count = 0;
                    while let Some(lent) = self.receiver.peek_ahead(count).unwrap().filter(|_| count < *most)
                    {
                        // SAFETY: the message is released below.
                        assert_eq!(unsafe { lent.bytes() }, self.expected.pop_front().unwrap());
                        count += 1;
                    }
                    if count > 0 {
                        self.receiver.release(count);
                    }
                }
                Step::RestartSender => self.sender = QueueSender::resume(self.memory.clone()).unwrap(),
                Step::RestartReceiver => self.receiver = QueueReceiver::resume(self.memory.clone()),
            }
        }
    }

    fn model(first: u32) -> Model {
        let memory = memory(SLOTS, BLOCKS);
        // The state after `first` messages have passed through the queue.
        memory.control().consumed.0.store(first, Ordering::Relaxed);
        for number in 0..SLOTS as u32 {
            let number = first.wrapping_add(number);
            memory
                .slot(number)
                .mark
                .store(number.wrapping_sub(SLOTS as u32).wrapping_add(1), Ordering::Relaxed);
        }
        Model {
            sender: QueueSender::resume(memory.clone()).unwrap(),
            receiver: QueueReceiver::resume(memory.clone()),
            memory,
            expected: VecDeque::new(),
            next_byte: 0,
        }
    }

    /// Positions in the arena count up. With nothing in flight they begin again, long before they overflow.
    #[test]
    fn positions_in_the_arena_do_not_overflow() {
        let memory = memory(SLOTS, BLOCKS);
        let mut sender = QueueSender::resume(memory.clone()).unwrap();
        let mut receiver = QueueReceiver::resume(memory);
        sender.arena_head = u64::MAX - 100;
        for len in 57..=320 {
            let message: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            assert!(sender.send(&message).unwrap().is_some());
            assert_eq!(take(&mut receiver), Some(message));
        }
        assert!(sender.arena_head < 1 << 20);
    }

    proptest! {
        #[test]
        fn the_queue_is_a_fifo_under_any_operations(
            steps in prop::collection::vec(step(), 1..200),
            // The numbers wrap around during the test.
            first in prop_oneof![Just(0), Just(u32::MAX - 20), any::<u32>()],
        ) {
            let mut model = model(first);
            for step in &steps {
                model.apply(step);
            }
            while let Some(message) = model.expected.pop_front() {
                prop_assert_eq!(take(&mut model.receiver), Some(message));
            }
            prop_assert_eq!(take(&mut model.receiver), None);
        }

        #[test]
        fn short_copies_are_exact(bytes in prop::collection::vec(any::<u8>(), 0..=SLOT_PAYLOAD)) {
            let memory = memory(1, 1);
            fill_slot(memory.slot(0), &bytes);
            // SAFETY: no other thread uses the cell.
            let payload = unsafe { *memory.slot(0).payload.get() };
            prop_assert_eq!(&payload[..bytes.len()], &bytes[..]);
            prop_assert!(payload[bytes.len()..].iter().all(|byte| *byte == 0));
        }

        #[test]
        fn a_hostile_slot_yields_an_error_or_bytes_of_the_arena(len: u32, offset: u64, size: u64) {
            let memory = memory(4, 5);
            let slot = memory.slot(0);
            slot.mark.store(1, Ordering::Relaxed);
            slot.len.store(len, Ordering::Relaxed);
            fill_slot(slot, &Descriptor { offset, len: size }.to_bytes());
            let arena = memory.arena_at(0) as usize;
            let slots = memory.slots.as_ptr() as usize;
            match QueueReceiver::resume(memory.clone()).peek() {
                Err(_) => prop_assert!(len as usize > SLOT_PAYLOAD),
                Ok(lent) => {
                    let lent = lent.unwrap();
                    let (start, end) = (lent.start as usize, lent.start as usize + lent.len);
                    let inside = |from: usize, bytes: usize| start >= from && end <= from + bytes;
                    prop_assert!(inside(arena, 5 * 64) || inside(slots, 4 * 64));
                }
            }
            prop_assert!(QueueSender::resume(memory).is_ok() || len as usize > SLOT_PAYLOAD);
        }

        #[test]
        fn a_hostile_count_is_refused_or_frees_what_was_sent(consumed: u32) {
            let memory = memory(4, 5);
            let mut sender = QueueSender::resume(memory.clone()).unwrap();
            for _ in 0..4 {
                prop_assert!(sender.send(b"x").unwrap().is_some());
            }
            memory.control().consumed.0.store(consumed, Ordering::Relaxed);
            match sender.send(b"x") {
                Ok(Some(_)) => prop_assert!((1..=4).contains(&consumed)),
                Ok(None) => prop_assert_eq!(consumed, 0),
                Err(broken) => prop_assert!(consumed > 4 && u64::from(0u32.wrapping_sub(consumed).wrapping_add(4)) == broken.found),
            }
        }
    }

    #[test]
    fn extreme_descriptors_are_refused() {
        let extremes = [0, 1, 63, 64, 256, 319, 320, 321, u64::MAX - 63, u64::MAX];
        for (offset, len) in extremes.into_iter().flat_map(|a| extremes.map(|b| (a, b))) {
            let memory = memory(4, 5);
            memory.slot(0).mark.store(1, Ordering::Relaxed);
            memory.slot(0).len.store(IN_ARENA, Ordering::Relaxed);
            fill_slot(memory.slot(0), &Descriptor { offset, len }.to_bytes());
            let good = offset % 64 == 0 && offset < 320 && len <= 320 - offset;
            assert_eq!(QueueReceiver::resume(memory.clone()).peek().is_ok(), good, "{offset} {len}");
            assert_eq!(QueueSender::resume(memory).is_ok(), good, "{offset} {len}");
        }
    }

    /// Sends and takes one message after the other, and returns the offset of each.
    fn offsets(lens: &[usize], send: impl Fn(&mut QueueSender, usize)) -> Vec<usize> {
        let memory = memory(4, 16);
        let mut sender = QueueSender::resume(memory.clone()).unwrap();
        let mut receiver = QueueReceiver::resume(memory.clone());
        let place = |&len: &usize| {
            send(&mut sender, len);
            take(&mut receiver).unwrap();
            let end = sender.arena_head % memory.arena_size();
            end as usize - len.next_multiple_of(LINE as usize)
        };
        lens.iter().map(place).collect()
    }

    fn loan(sender: &mut QueueSender, len: usize) {
        sender.loan(len).unwrap().unwrap();
        sender.send_loan().unwrap();
    }

    fn copy(sender: &mut QueueSender, len: usize) {
        sender.send(&vec![7; len]).unwrap().unwrap();
    }

    #[test]
    fn with_nothing_in_flight_short_messages_stay_near_the_start_and_long_ones_spread() {
        assert_eq!(offsets(&[128; 3], loan), [0, 0, 0]);
        assert_eq!(offsets(&[129; 4], loan), [0, 192, 0, 192]);
        assert_eq!(offsets(&[192, 192, 128, 192], loan), [0, 192, 0, 128]);
    }

    #[test]
    fn messages_that_are_copied_spread_less() {
        assert_eq!(offsets(&[128; 3], copy), [0, 0, 0]);
        assert_eq!(offsets(&[192; 3], copy), [0, 0, 0]);
    }

    #[test]
    fn a_sender_killed_before_the_mark_leaves_no_message() {
        let memory = memory(4, 5);
        let mut sender = QueueSender::resume(memory.clone()).unwrap();
        sender.send(b"whole").unwrap();
        // A second message, up to the last instruction before its mark.
        fill_slot(memory.slot(1), b"half");
        memory.slot(1).len.store(4, Ordering::Relaxed);
        let mut successor = QueueSender::resume(memory.clone()).unwrap();
        let mut receiver = QueueReceiver::resume(memory);
        assert_eq!(take(&mut receiver).unwrap(), b"whole");
        assert_eq!(take(&mut receiver), None);
        successor.send(b"next").unwrap();
        assert_eq!(take(&mut receiver).unwrap(), b"next");
    }
}

#[cfg(loom)]
mod models;
