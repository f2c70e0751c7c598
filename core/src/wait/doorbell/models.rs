//! Models of a bell whose ringing side orders its accesses itself. Loom reports a lost wake-up as a deadlock.
//!
//! Loom has no `membarrier`: there, both kinds of fence are full fences. So the first model rings without a fence.

use loom::sync::Arc;
use loom::thread;

use super::*;

struct Words {
    word: AtomicU32,
    waiters: AtomicU32,
}

impl Words {
    fn new(waiters: u32) -> Arc<Words> {
        Arc::new(Words { word: AtomicU32::new(0), waiters: AtomicU32::new(waiters) })
    }

    fn bell(&self) -> Doorbell<'_> {
        Doorbell { word: &self.word, waiters: &self.waiters, fences: Fences::Asymmetric }
    }

    fn wait_for(&self, event: u32) {
        loop {
            let sample = self.bell().sample();
            if sample >= event {
                return;
            }
            self.bell().park(sample, Duration::MAX);
        }
    }
}

/// The flag is set. Neither side executes a fence that the other sees: the word of the waiters orders alone.
#[test]
fn an_ordered_bell_loses_no_wake_up() {
    loom::model(|| {
        let words = Words::new(WAITERS_ORDERED);
        let waiting = thread::spawn({
            let words = Arc::clone(&words);
            move || words.wait_for(1)
        });
        words.word.store(1, Ordering::Release);
        if words.waiters.load(Ordering::Relaxed) != 0 && words.bell().has_waiters_for_certain() {
            futex_wake(&words.word);
        }
        waiting.join().unwrap();
    });
}

/// The waiter parks, sets the flag, and parks again. The ringing side clears the flag after the second ring in vain.
#[test]
fn the_flag_is_set_and_cleared_without_a_lost_wake_up() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(|| {
        let words = Words::new(0);
        let waiting = thread::spawn({
            let words = Arc::clone(&words);
            move || {
                words.wait_for(1);
                words.wait_for(4);
            }
        });
        for event in 1..=4 {
            words.word.store(event, Ordering::Release);
            words.bell().ring(EventBell::none());
        }
        waiting.join().unwrap();
        assert_eq!(
            words.waiters.load(Ordering::Relaxed) & WAITERS_COUNT,
            0,
            "somebody still counts as parked"
        );
    });
}

/// Two threads are parked. One of them may trust a flag that the other has just set.
#[test]
fn two_threads_are_woken() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(|| {
        let words = Words::new(0);
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let words = Arc::clone(&words);
                thread::spawn(move || words.wait_for(1))
            })
            .collect();
        words.word.store(1, Ordering::Release);
        words.bell().ring(EventBell::none());
        waiting.into_iter().for_each(|one| one.join().unwrap());
    });
}

/// A waiter that arms an event descriptor, and trusts the flag that it has set or found, loses no ring.
fn an_armed_bell_rings(flags: u32) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(move || {
        let words = Words::new(flags);
        let descriptor = std::sync::Arc::new(Descriptor::default());
        let bell = EventBell::new(std::sync::Arc::clone(&descriptor) as std::sync::Arc<_>);
        let waiting = thread::spawn({
            let words = Arc::clone(&words);
            move || {
                for event in 1..=2 {
                    while words.bell().sample() < event {
                        *descriptor.rings.lock().unwrap() = 0;
                        words.bell().arm();
                        if words.bell().sample() >= event {
                            break;
                        }
                        let mut rings = descriptor.rings.lock().unwrap();
                        while *rings == 0 {
                            rings = descriptor.rung.wait(rings).unwrap();
                        }
                    }
                }
            }
        });
        for event in 1..=2 {
            words.word.store(event, Ordering::Release);
            words.bell().ring(&bell);
        }
        waiting.join().unwrap();
    });
}

#[derive(Debug, Default)]
struct Descriptor {
    rings: loom::sync::Mutex<u32>,
    rung: loom::sync::Condvar,
}

impl crate::wait::RingDescriptor for Descriptor {
    fn generation(&self) -> u32 {
        0
    }

    fn ring(&self, _generation: u32) {
        *self.rings.lock().unwrap() += 1;
        self.rung.notify_all();
    }
}

#[test]
fn an_armed_bell_rings_without_the_flag() {
    an_armed_bell_rings(0);
}

#[test]
fn an_armed_bell_rings_with_the_flag() {
    an_armed_bell_rings(WAITERS_ORDERED);
}
