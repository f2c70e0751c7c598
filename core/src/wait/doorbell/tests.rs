use super::*;

#[derive(Debug)]
struct Words {
    word: AtomicU32,
    waiters: AtomicU32,
}

impl Words {
    fn new(waiters: u32) -> Words {
        Words { word: AtomicU32::new(0), waiters: AtomicU32::new(waiters) }
    }

    fn bell(&self, fences: Fences) -> Doorbell<'_> {
        Doorbell { word: &self.word, waiters: &self.waiters, fences }
    }

    /// Parks for no time. Returns whether the kernel could order the other side, which a sandbox forbids.
    fn park(&self, fences: Fences) {
        self.bell(fences).park(0, Duration::ZERO);
    }

    fn value(&self) -> u32 {
        self.waiters.load(Ordering::Relaxed)
    }
}

#[test]
fn a_thread_that_parks_sets_the_flag_where_the_kernel_can_order_both_sides() {
    let words = Words::new(0);
    words.park(Fences::Asymmetric);
    assert_eq!(words.value(), if heavy_fence() { WAITERS_ORDERED } else { 0 });
}

#[test]
fn rings_in_vain_are_counted_and_at_last_clear_the_flag() {
    let words = Words::new(WAITERS_ORDERED);
    for ring in 1..=MOST_IN_VAIN {
        assert!(!words.bell(Fences::Asymmetric).has_waiters());
        assert_eq!(words.value(), WAITERS_ORDERED + ring * WAITERS_IN_VAIN);
    }
    assert!(!words.bell(Fences::Asymmetric).has_waiters());
    assert_eq!(words.value(), 0, "the flag stays although nobody parks");
    assert!(!words.bell(Fences::Asymmetric).has_waiters());
    assert_eq!(words.value(), 0, "without the flag a ring only loads");
}

#[test]
fn a_park_begins_to_count_anew() {
    let words = Words::new(WAITERS_ORDERED + 200 * WAITERS_IN_VAIN);
    words.park(Fences::Asymmetric);
    assert_eq!(words.value(), WAITERS_ORDERED);
}

#[test]
fn the_flag_stays_while_a_thread_is_parked() {
    let words = Words::new(1 + WAITERS_ORDERED + MOST_IN_VAIN * WAITERS_IN_VAIN);
    assert!(words.bell(Fences::Asymmetric).has_waiters());
    assert_eq!(words.value() & (WAITERS_COUNT | WAITERS_ORDERED), 1 + WAITERS_ORDERED);
}

#[test]
fn towards_an_older_peer_the_word_is_a_count() {
    let words = Words::new(WAITERS_ORDERED + 7 * WAITERS_IN_VAIN);
    assert!(!words.bell(Fences::Symmetric).has_waiters());
    words.park(Fences::Symmetric);
    assert_eq!(words.value(), 0);
    for parked in [2, WAITERS_COUNT] {
        let words = Words::new(parked);
        assert!(words.bell(Fences::Symmetric).ring(EventBell::none()));
        assert_eq!(words.value(), parked, "the count of an older reader is changed");
    }
}

/// A peer whose kind is not known yet may be one that asks for a ring.
#[test]
fn towards_a_peer_of_any_kind_a_ring_that_was_asked_for_is_made() {
    let words = Words::new(WAITERS_BELL);
    assert!(words.bell(Fences::Symmetric).ring(EventBell::none()));
    assert!(!words.bell(Fences::Symmetric).is_armed());
}

/// A peer may store anything there.
#[test]
fn no_word_makes_a_ring_or_a_park_fail() {
    for word in
        [0, 1, WAITERS_COUNT, WAITERS_ORDERED - 1, WAITERS_ORDERED, 1 << 17, 1 << 19, u32::MAX - 1, u32::MAX]
    {
        for fences in [Fences::Symmetric, Fences::Asymmetric] {
            let words = Words::new(word);
            words.bell(fences).ring(EventBell::none());
            words.park(fences);
            words.bell(fences).ring(EventBell::none());
            words.waiters.store(word, Ordering::Relaxed);
            words.bell(fences).arm();
            assert!(words.bell(fences).is_armed() && words.bell(fences).ring(EventBell::none()));
            assert!(!words.bell(fences).is_armed());
        }
    }
}

#[test]
fn arming_asks_for_one_ring_and_leaves_the_count_alone() {
    let words = Words::new(2 + WAITERS_ORDERED + 7 * WAITERS_IN_VAIN);
    let bell = words.bell(Fences::Asymmetric);
    bell.arm();
    assert_eq!(words.value(), 2 + WAITERS_ORDERED + WAITERS_BELL);
    assert!(bell.is_armed());
    assert!(bell.ring(EventBell::none()));
    assert!(!bell.is_armed());
    assert_eq!(words.value() & (WAITERS_COUNT | WAITERS_ORDERED), 2 + WAITERS_ORDERED);
}

/// The other end, whose process is replaced as soon as its generation was asked for.
#[derive(Debug)]
struct Replaced {
    words: std::sync::Arc<Words>,
    rung: AtomicU32,
}

impl crate::wait::RingDescriptor for Replaced {
    fn generation(&self) -> u32 {
        assert!(self.words.bell(Fences::Asymmetric).is_armed(), "the flag was cleared before");
        7
    }

    fn ring(&self, generation: u32) {
        self.rung.store(generation, Ordering::Relaxed);
    }
}

/// Otherwise the descriptor of a killed endpoint could be kept for that of its successor.
#[test]
fn who_asked_for_a_ring_is_known_before_the_flag_is_cleared() {
    let words = std::sync::Arc::new(Words::new(WAITERS_BELL));
    let other = Replaced { words: std::sync::Arc::clone(&words), rung: AtomicU32::new(0) };
    let other = std::sync::Arc::new(other);
    assert!(words.bell(Fences::Asymmetric).ring(&EventBell::new(std::sync::Arc::clone(&other) as _)));
    assert_eq!(other.rung.load(Ordering::Relaxed), 7);
}
