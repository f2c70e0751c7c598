//! The rule, with a processor that the tests invent.

use super::*;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;

const IDLE: Duration = Duration::from_nanos(300);
const SWITCH: Duration = Duration::from_micros(3);
const HOG: Duration = Duration::from_millis(4);

/// A processor on which the yields take the given times, and the last one is repeated. A poll takes some nanoseconds.
struct Fake {
    now: Cell<Instant>,
    yields: RefCell<VecDeque<Duration>>,
    count: Cell<u32>,
}

impl Fake {
    fn new(yields: &[Duration]) -> Self {
        let yields = RefCell::new(yields.iter().copied().collect());
        Fake { now: Cell::new(Instant::now()), yields, count: Cell::new(0) }
    }

    fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }
}

impl Processor for Fake {
    fn now(&self) -> Instant {
        self.now.get()
    }

    fn yield_now(&self) {
        let mut yields = self.yields.borrow_mut();
        let time = if yields.len() > 1 { yields.pop_front() } else { yields.front().copied() };
        self.pass(time.expect("the test says how long yields take"));
        self.count.set(self.count.get() + 1);
    }
}

/// What a wait came to.
#[derive(Debug, PartialEq)]
struct Waited {
    found: bool,
    yields: u32,
}

/// Waits for something that arrives `after` this time, and returns what that came to.
fn wait(learnt: &mut Adaptive, fake: &Fake, activity: Activity, after: Duration) -> Waited {
    let (arrival, before) = (fake.now() + after, fake.count.get());
    let outcome = learnt
        .spin(fake, 1, activity, Duration::MAX, || {
            fake.pass(Duration::from_nanos(5));
            Ok::<_, Infallible>((fake.now() >= arrival).then_some(()))
        })
        .unwrap();
    Waited { found: outcome.found.is_some(), yields: fake.count.get() - before }
}

const NEVER: Duration = Duration::from_secs(1000);

#[test]
fn a_peer_on_the_same_processor_gets_it_at_once() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[SWITCH]));
    for _ in 0..100 {
        assert_eq!(wait(&mut learnt, &fake, Activity::default(), SWITCH), Waited { found: true, yields: 1 });
    }
}

#[test]
fn an_idle_processor_polls_for_as_long_as_a_wake_up_takes() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[IDLE]));
    let answer = SPIN * 3 / 4;
    assert!(wait(&mut learnt, &fake, Activity::default(), answer).found);
    let began = fake.now();
    assert!(!wait(&mut learnt, &fake, Activity::default(), NEVER).found);
    let spun = fake.now() - began;
    assert!(spun >= SPIN && spun < SPIN * 11 / 10, "{spun:?}");
}

#[test]
fn spins_that_do_not_pay_shrink_to_one_yield_and_are_tried_again() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[IDLE]));
    let yields: Vec<_> =
        (0..320).map(|_| wait(&mut learnt, &fake, Activity::default(), NEVER).yields).collect();
    let trials = yields.iter().filter(|&&yields| yields > 1).count();
    assert!((10..=12).contains(&trials), "{trials} of 320 waits spun: {yields:?}");
    // The answers come quickly again: within some trials every wait spins.
    let quick = SPIN / 2;
    let waits = (0..).take(1000).position(|_| {
        let found = wait(&mut learnt, &fake, Activity::default(), quick).found;
        found && learnt.idle.value >= 0
    });
    assert!(waits.is_some_and(|waits| waits <= 9 * 32), "{waits:?}");
}

/// A call every now and then: each wakes a peer on another processor, which is parked again before the next.
#[test]
fn a_long_spin_that_spares_no_wake_up_does_not_pay() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[IDLE]));
    let mut long = 0;
    for call in 1..=320 {
        let began = fake.now();
        wait(&mut learnt, &fake, Activity { sent: call, wakeups: call, bytes: 0 }, LONG_SPIN * 6 / 10);
        long += u32::from(fake.now() - began > SPIN * 2);
    }
    assert!((10..=13).contains(&long), "{long} of 320 waits spun for long");
}

/// Bursts: the first message of each wakes the peer, the others find it awake.
#[test]
fn a_long_spin_that_keeps_the_peer_awake_pays() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[IDLE]));
    let mut activity = Activity::default();
    for _ in 0..100 {
        activity.sent += 1;
        activity.wakeups += 1;
        assert!(wait(&mut learnt, &fake, activity, LONG_SPIN * 6 / 10).found);
        activity.sent += 15;
    }
}

/// The peer reads and writes 1 MiB before it answers.
#[test]
fn an_answer_to_a_long_message_may_take_as_long_as_its_bytes() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[IDLE]));
    let (answer, mut activity) = (SPIN * 5, Activity::default());
    for _ in 0..100 {
        activity.bytes += 2 << 20;
        assert!(wait(&mut learnt, &fake, activity, answer).found);
    }
    assert!(!wait(&mut learnt, &fake, activity, answer).found, "no bytes since the last wait");
    activity.bytes += 1 << 40;
    let began = fake.now();
    assert!(!wait(&mut learnt, &fake, activity, NEVER).found);
    assert!(fake.now() - began < (SPIN + MOST_TRANSFER) * 11 / 10);
}

/// The peer is on the same processor, and writes 4 MiB.
#[test]
fn a_yield_in_which_the_peer_writes_a_long_message_is_not_lost() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[LOST_YIELD + SWITCH]));
    for call in 1..10 {
        let activity = Activity { bytes: call * (8 << 20), ..Activity::default() };
        assert_eq!(wait(&mut learnt, &fake, activity, LOST_YIELD), Waited { found: true, yields: 1 });
    }
    wait(&mut learnt, &fake, Activity { bytes: 9 * (8 << 20), ..Activity::default() }, LOST_YIELD);
    assert!(learnt.rest.lasts(fake.now()), "no bytes since the last wait");
}

#[test]
fn others_who_want_the_processor_end_the_spin_soon() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[SWITCH]));
    let waited = wait(&mut learnt, &fake, Activity::default(), NEVER);
    assert_eq!(waited, Waited { found: false, yields: BUSY_YIELDS });
}

#[test]
fn a_thread_that_computes_costs_a_small_part_of_the_time() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[HOG]));
    let began = fake.now();
    let mut waits = 0;
    while fake.now() - began < Duration::from_secs(60) {
        wait(&mut learnt, &fake, Activity::default(), NEVER);
        // It parks, and is woken.
        fake.pass(Duration::from_micros(10));
        waits += 1;
    }
    let lost = HOG * fake.count.get();
    assert!(lost < Duration::from_millis(90), "{} of {waits} waits lost a time slice", fake.count.get());
}

#[test]
fn yields_come_back_after_the_thread_that_computed_is_gone() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[HOG, HOG, HOG, HOG, SWITCH]));
    let mut until_found = |wanted: u32| {
        let mut found = 0;
        let began = fake.now();
        while found < wanted {
            found += u32::from(wait(&mut learnt, &fake, Activity::default(), SWITCH).found);
            fake.pass(Duration::from_micros(10));
        }
        fake.now() - began
    };
    // The rests: 16, 64, 256 and 1024 times 4 ms.
    let first = until_found(5);
    assert!(first < Duration::from_secs(6), "{first:?}");
    let then = until_found(1000);
    assert!(then < Duration::from_millis(50), "{then:?}");
    // A long time without a loss makes the next rest short again.
    let mut rest = learnt.rest;
    for _ in 0..8 {
        fake.pass(Duration::from_secs(60));
        assert!(!rest.lasts(fake.now()));
    }
    assert_eq!(rest.factor(), FIRST_REST);
}

#[test]
fn an_error_ends_the_spin() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[IDLE]));
    let outcome =
        learnt.spin(&fake, 1, Activity::default(), Duration::MAX, || Err::<Option<()>, _>("broken"));
    assert_eq!(outcome.err(), Some("broken"));
    assert_eq!(fake.count.get(), 1);
}

/// A stopped process, or one whose group has used up its quota.
#[test]
fn a_stop_costs_no_more_yields_than_a_time_slice() {
    let stop = Duration::from_secs(3600);
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[stop, stop, stop, stop, stop, SWITCH]));
    let began = fake.now();
    let mut found = false;
    while !found {
        found = wait(&mut learnt, &fake, Activity::default(), SWITCH).yields == 1 && fake.count.get() > 5;
        fake.pass(Duration::from_millis(1));
    }
    let rests = fake.now() - began - stop * 5;
    assert!(rests < MOST_LOST * (16 + 64 + 256 + 1024 + 1024) * 11 / 10, "{rests:?}");
}

#[test]
fn no_time_left_means_no_yield_and_a_short_time_few() {
    let (mut learnt, fake) = (Adaptive::default(), Fake::new(&[IDLE]));
    let mut spin = |left| {
        let before = (fake.count.get(), fake.now());
        let outcome = learnt.spin(&fake, 1, Activity::default(), left, || Ok::<Option<()>, Infallible>(None));
        assert!(outcome.unwrap().found.is_none());
        (fake.count.get() - before.0, fake.now() - before.1)
    };
    assert_eq!(spin(Duration::ZERO).0, 0);
    assert!(spin(SPIN / 4).1 <= SPIN / 4 + IDLE);
}
