//! Sequences of operations against a simple model, and properties of the arithmetic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const CAPACITY: usize = 20;

/// How far a writer gets before it is killed.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Begun,
    Copied,
    Sized,
    Counted,
}

#[derive(Clone, Debug)]
enum Operation {
    Write(Vec<u8>),
    /// Writes only if the previous value was taken.
    Send(Vec<u8>),
    Read(FirstRead),
    WriterDies(Vec<u8>, Stage),
    ReaderRestarts,
}

fn operation() -> impl Strategy<Value = Operation> {
    let bytes = || vec(any::<u8>(), 0..=CAPACITY);
    let stage =
        prop_oneof![Just(Stage::Begun), Just(Stage::Copied), Just(Stage::Sized), Just(Stage::Counted)];
    prop_oneof![
        3 => bytes().prop_map(Operation::Write),
        3 => bytes().prop_map(Operation::Send),
        3 => Just(Operation::Read(FirstRead::Current)),
        3 => Just(Operation::Read(FirstRead::Untaken)),
        1 => (bytes(), stage).prop_map(|(bytes, stage)| Operation::WriterDies(bytes, stage)),
        1 => Just(Operation::ReaderRestarts),
    ]
}

/// The guarantees of a channel, without a channel. Values are numbered from 1.
#[derive(Default)]
struct Model {
    current: Vec<u8>,
    /// The number of the current value, 0 before the first.
    number: u64,
    /// The number of written values, including those of writers that died after they had counted them.
    counted: u64,
    /// The last value that any reader took. 0 before the first.
    taken: u64,
    /// The last value that this reader read.
    seen: Option<u64>,
    /// Set if a dead writer left the current value unreadable.
    broken: bool,
}

impl Model {
    fn write(&mut self, bytes: &[u8]) {
        self.current = bytes.to_vec();
        self.number += 1;
        self.counted += 1;
        self.broken = false;
    }

    fn is_taken(&self) -> bool {
        self.broken || self.taken == self.number
    }

    fn read(&mut self, first: FirstRead) -> Option<(Vec<u8>, u64)> {
        if self.broken || self.number == 0 || self.seen == Some(self.number) {
            return None;
        }
        let skipped = match self.seen {
            Some(seen) => self.number - seen - 1,
            None if self.taken == self.number && first == FirstRead::Untaken => return None,
            // The count is the only information if no reader before this one has taken a value.
            None if self.taken == 0 => self.counted - 1,
            None => (self.number - self.taken).saturating_sub(1),
        };
        (self.seen, self.taken) = (Some(self.number), self.number);
        Some((self.current.clone(), skipped))
    }
}

/// Leaves a channel as a writer does that is killed during [`Channel::write`].
fn die(channel: Channel<'_>, bytes: &[u8], stage: Stage) {
    let odd = channel.head.sequence.load(Ordering::Relaxed) | 1;
    channel.head.sequence.store(odd, Ordering::Relaxed);
    if stage as u8 >= Stage::Copied as u8 {
        copy_in(channel.data, bytes);
    }
    if stage as u8 >= Stage::Sized as u8 {
        channel.head.data_size.store(bytes.len() as u32, Ordering::Relaxed);
    }
    if stage as u8 >= Stage::Counted as u8 {
        let count = channel.tail.write_count.load(Ordering::Relaxed);
        channel.tail.write_count.store(count.wrapping_add(1), Ordering::Relaxed);
    }
}

/// Applies the operations to `heap` and to `model`, and checks that they agree.
fn run(heap: &Heap, model: &mut Model, operations: Vec<Operation>) -> Result<(), TestCaseError> {
    let (mut cursor, mut buffer) = (Cursor::default(), Vec::new());
    for operation in operations {
        let channel = heap.channel();
        match operation {
            Operation::Write(bytes) => {
                prop_assert!(
                    !channel.write(&bytes, Fences::Symmetric),
                    "nobody is parked, yet somebody was woken"
                );
                model.write(&bytes);
            }
            Operation::Send(bytes) => {
                prop_assert_eq!(channel.is_taken(), model.is_taken());
                if channel.is_taken() {
                    channel.write(&bytes, Fences::Symmetric);
                    model.write(&bytes);
                }
            }
            Operation::Read(first) => {
                let value = channel.read(&mut cursor, first, &mut buffer).unwrap();
                let found = value.map(|value| (buffer[..value.len].to_vec(), value.skipped));
                prop_assert_eq!(found, model.read(first));
            }
            Operation::WriterDies(bytes, stage) => {
                die(channel, &bytes, stage);
                model.broken = true;
                model.counted += u64::from(matches!(stage, Stage::Counted));
            }
            Operation::ReaderRestarts => {
                cursor = Cursor::default();
                model.seen = None;
            }
        }
    }
    Ok(())
}

/// Creates a channel to which this number of values was written, all of them taken.
fn after(values: u64) -> Heap {
    let heap = Heap::new(CAPACITY);
    let sequence = (values as u32).wrapping_mul(2);
    heap.head.sequence.store(sequence, Ordering::Relaxed);
    heap.tail.taken.store(sequence | 1, Ordering::Relaxed);
    heap.tail.write_count.store(values, Ordering::Relaxed);
    heap
}

proptest! {
    #[test]
    fn a_channel_agrees_with_its_model(operations in vec(operation(), 0..60)) {
        run(&Heap::new(CAPACITY), &mut Model::default(), operations)?;
    }

    /// As above, starting a few values before the sequence wraps to 0.
    #[test]
    fn a_channel_agrees_with_its_model_when_its_sequence_wraps(before in 1u64..20, operations in vec(operation(), 0..60)) {
        let values = (1 << 31) - before;
        let mut model = Model { number: values, counted: values, taken: values, ..Model::default() };
        run(&after(values), &mut model, operations)?;
    }

    #[test]
    fn what_is_copied_in_is_copied_out(bytes in vec(any::<u8>(), 0..=300), spare in 0usize..20) {
        let words: Vec<_> =
            (0..(bytes.len() + spare).div_ceil(8)).map(|_| AtomicU64::new(u64::MAX)).collect();
        copy_in(&words, &bytes);
        let mut buffer = vec![7; spare];
        copy_out(&words, &mut buffer, bytes.len());
        prop_assert_eq!(&buffer[..bytes.len()], &bytes[..]);
    }

    /// Every size that a channel can hold, in channels of every size.
    #[test]
    fn every_size_up_to_the_capacity_travels(capacity in 1usize..=130) {
        let heap = Heap::new(capacity);
        let (mut cursor, mut buffer) = (Cursor::default(), Vec::new());
        for size in (0..=capacity).rev().chain(0..=capacity) {
            let bytes: Vec<u8> = (0..size).map(|at| (at + size) as u8).collect();
            heap.channel().write(&bytes, Fences::Symmetric);
            let value = heap.channel().read(&mut cursor, FirstRead::Current, &mut buffer).unwrap().unwrap();
            prop_assert_eq!(&buffer[..value.len], &bytes[..]);
        }
    }

    /// The growth is exact, although the sequence wraps at 2³¹ values and the count can be off by one at either end.
    #[test]
    fn growth_is_exact(
        values in prop_oneof![0u64..10, 0u64..1 << 40, (1u64..9).prop_map(|n| (n << 31) - 1),
            (1u64..9).prop_map(|n| n << 31), (1u64..9).prop_map(|n| (n << 31) + 1)],
        off in -1i64..=1,
    ) {
        prop_assert_eq!(values_written(values % (1 << 31), values.wrapping_add_signed(off)), values);
    }

    /// A hostile count changes the growth only by whole periods, and never causes an overflow.
    #[test]
    fn growth_survives_any_count(by_sequence in 0u64..1 << 31, by_count in any::<u64>()) {
        prop_assert_eq!(values_written(by_sequence, by_count) % (1 << 31), by_sequence);
    }

    /// For any field values that a peer writes, a read returns a value within bounds, nothing, or an error.
    #[test]
    fn hostile_fields_are_survived(
        fields in any::<(u32, u32, u64, u32)>(),
        cursor in any::<Option<(u32, u64)>>(),
        current in any::<bool>(),
        recent in any::<bool>(),
    ) {
        let heap = Heap::new(CAPACITY);
        heap.head.sequence.store(fields.0, Ordering::Relaxed);
        heap.head.data_size.store(fields.1, Ordering::Relaxed);
        heap.tail.write_count.store(fields.2, Ordering::Relaxed);
        heap.tail.taken.store(fields.3, Ordering::Relaxed);
        let last = cursor.map(|(sequence, count)| Seen { sequence, count });
        let (mut cursor, mut buffer) = (Cursor { last, recent }, Vec::new());
        let first = if current { FirstRead::Current } else { FirstRead::Untaken };
        match heap.channel().read(&mut cursor, first, &mut buffer) {
            Ok(Some(value)) => prop_assert!(value.len <= CAPACITY && value.len <= buffer.len()),
            Ok(None) => {}
            Err(Oversize(size)) => prop_assert!(size as usize > CAPACITY),
        }
    }
}

#[test]
fn one_byte_more_than_the_channel_is_an_error_and_not_an_overrun() {
    let heap = Heap::new(CAPACITY);
    heap.channel().write(&[1; CAPACITY], Fences::Symmetric);
    heap.head.data_size.store(CAPACITY as u32 + 1, Ordering::Relaxed);
    let (mut cursor, mut buffer) = (Cursor::default(), Vec::new());
    let found = heap.channel().read(&mut cursor, FirstRead::Current, &mut buffer);
    assert_eq!(found, Err(Oversize(CAPACITY as u32 + 1)));
}
