//! Every order in which threads can meet in the lock. Loom sees two threads that have the value at once, and a lost wake-up as
//! a deadlock.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::*;

/// Locks once, changes the value, and unlocks, with or without handing the lock on.
fn visit(lock: &TurnLock<UnsafeCell<u32>>, hands_on: bool) {
    let guard = lock.try_lock().or_else(|| lock.try_lock_for(Duration::from_secs(1))).unwrap();
    // SAFETY: the lock is held; loom checks that no other thread uses the cell.
    guard.with_mut(|value| unsafe { *value += 1 });
    if hands_on {
        TurnGuard::hand_on(guard);
    }
}

fn meet(hand_on: [bool; 2], last: bool) {
    loom::model(move || {
        let lock = Arc::new(TurnLock::new(UnsafeCell::new(0)));
        let others: Vec<_> = hand_on
            .into_iter()
            .map(|hands_on| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || visit(&lock, hands_on))
            })
            .collect();
        visit(&lock, last);
        others.into_iter().for_each(|other| other.join().unwrap());
        // SAFETY: the other threads have ended.
        let visits = lock.try_lock().unwrap().with(|value| unsafe { *value });
        assert_eq!(visits, 3);
    });
}

#[test]
fn three_threads_unlock() {
    meet([false, false], false);
}

#[test]
fn three_threads_hand_on() {
    meet([true, true], true);
}

#[test]
fn one_thread_hands_on_and_two_unlock() {
    meet([false, false], true);
}

/// A thread that hands the lock on and comes back, as one that waits in parts.
#[test]
fn a_thread_comes_back_after_it_handed_on() {
    loom::model(|| {
        let lock = Arc::new(TurnLock::new(UnsafeCell::new(0)));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || visit(&lock, false))
        };
        visit(&lock, true);
        visit(&lock, true);
        other.join().unwrap();
    });
}
