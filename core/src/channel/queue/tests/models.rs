//! Models of a queue between threads, which loom explores.

use super::*;
use crate::wait::RingDescriptor;
use loom::thread;
use std::time::Duration;

/// Receives as an endpoint does: polls, and parks if there is no message.
fn wait_for(receiver: &mut QueueReceiver) -> Vec<u8> {
    loop {
        let bell = receiver.message_bell();
        let sample = bell.sample();
        if let Some(message) = take(receiver) {
            return message;
        }
        receiver.message_bell().park(sample, Duration::MAX);
    }
}

fn send_waiting(sender: &mut QueueSender, message: &[u8]) {
    loop {
        let sample = sender.space_bell().sample();
        if sender.send(message).unwrap().is_some() {
            return;
        }
        sender.space_bell().park(sample, Duration::MAX);
    }
}

/// Checks that no thread counts as parked.
fn nobody_is_parked(memory: &QueueMemory) {
    let control = memory.control();
    for waiters in [&control.receiver_parked.count, &control.sender.parked] {
        assert_eq!(waiters.load(Ordering::Relaxed) & 0xFFFF, 0, "somebody still counts as parked");
    }
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(model);
}

/// Each message arrives once, in order and whole. No thread stays parked (loom would report a deadlock). No slot
/// is written while it is read (loom checks its cell).
#[test]
fn every_message_arrives_and_no_thread_stays_parked() {
    explore(|| {
        let memory = memory(1, 1);
        let mut sender = QueueSender::resume(memory.clone()).unwrap();
        let mut receiver = QueueReceiver::resume(memory);
        let thread = thread::spawn(move || {
            for message in [b"a", b"b", b"c"] {
                send_waiting(&mut sender, message);
            }
        });
        for message in [b"a", b"b", b"c"] {
            assert_eq!(wait_for(&mut receiver), message);
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_batch_wakes_a_parked_receiver() {
    explore(|| {
        let memory = memory(2, 1);
        let mut sender = QueueSender::resume(memory.clone()).unwrap();
        let mut receiver = QueueReceiver::resume(memory);
        let thread = thread::spawn(move || {
            let batch: [&[u8]; 2] = [b"a", b"b"];
            assert_eq!(sender.send_many(batch.into_iter()).unwrap().0, 2);
        });
        assert_eq!(wait_for(&mut receiver), b"a");
        assert_eq!(wait_for(&mut receiver), b"b");
        thread.join().unwrap();
    });
}

/// An event descriptor: readable from a ring to the next drain. Loom reports a lost ring as a deadlock.
#[derive(Debug, Default)]
struct Descriptor {
    is_readable: loom::sync::Mutex<bool>,
    rung: loom::sync::Condvar,
}

impl RingDescriptor for Descriptor {
    fn generation(&self) -> u32 {
        0
    }

    fn ring(&self, _generation: u32) {
        *self.is_readable.lock().unwrap() = true;
        self.rung.notify_all();
    }
}

impl Descriptor {
    fn wait(&self) {
        let mut is_readable = self.is_readable.lock().unwrap();
        while !*is_readable {
            is_readable = self.rung.wait(is_readable).unwrap();
        }
    }

    fn drain(&self) {
        *self.is_readable.lock().unwrap() = false;
    }
}

/// Returns a memory whose event bells lead to the descriptor.
fn memory_with(descriptor: &std::sync::Arc<Descriptor>, slots: usize) -> QueueMemory {
    let bell = EventBell::new(std::sync::Arc::clone(descriptor) as std::sync::Arc<_>);
    QueueMemory { bell, ..memory(slots, 1) }
}

/// Receives as a program with an event loop does: waits for the descriptor, takes until there is nothing, and arms it
/// then. A descriptor that is not armed is readable.
#[test]
fn no_ring_of_an_armed_descriptor_is_lost() {
    explore(|| {
        let descriptor = std::sync::Arc::new(Descriptor::default());
        let memory = memory_with(&descriptor, 2);
        let mut sender = QueueSender::resume(memory.clone()).unwrap();
        let mut receiver = QueueReceiver::resume(memory);
        let thread = thread::spawn(move || {
            assert!(sender.send(b"a").unwrap().is_some());
            assert!(sender.send(b"b").unwrap().is_some());
        });
        let mut expected = [b"a", b"b"].into_iter().peekable();
        loop {
            while let Some(message) = take(&mut receiver) {
                assert_eq!(message, expected.next().unwrap());
            }
            descriptor.drain();
            receiver.arrival_bell().arm();
            if let Some(message) = take(&mut receiver) {
                assert_eq!(message, expected.next().unwrap());
                descriptor.ring(0);
            }
            if expected.peek().is_none() {
                break;
            }
            descriptor.wait();
        }
        thread.join().unwrap();
    });
}

/// A sender whose message was refused waits for room in the same way.
#[test]
fn no_ring_for_room_is_lost() {
    explore(|| {
        let descriptor = std::sync::Arc::new(Descriptor::default());
        let memory = memory_with(&descriptor, 1);
        let mut sender = QueueSender::resume(memory.clone()).unwrap();
        let mut receiver = QueueReceiver::resume(memory);
        assert!(sender.send(b"a").unwrap().is_some());
        let thread = thread::spawn(move || assert_eq!(take(&mut receiver).unwrap(), b"a"));
        while sender.send(b"b").unwrap().is_none() {
            descriptor.drain();
            sender.space_bell().arm();
            if sender.send(b"b").unwrap().is_some() {
                break;
            }
            descriptor.wait();
        }
        thread.join().unwrap();
    });
}

/// The successor of a killed sender continues after the published messages, while the receiver receives.
#[test]
fn a_successor_finds_what_was_published() {
    explore(|| {
        let memory = memory(2, 1);
        QueueSender::resume(memory.clone()).unwrap().send(b"a").unwrap();
        let mut receiver = QueueReceiver::resume(memory.clone());
        let thread = thread::spawn(move || {
            let mut successor = QueueSender::resume(memory).unwrap();
            send_waiting(&mut successor, b"b");
        });
        assert_eq!(wait_for(&mut receiver), b"a");
        assert_eq!(wait_for(&mut receiver), b"b");
        thread.join().unwrap();
    });
}
