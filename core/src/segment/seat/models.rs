//! Models of segments and seats that change hands, under every interleaving. Run them with `RUSTFLAGS="--cfg loom"`.
//!
//! Mutexes stand for the kernel. They order what they guard as the locks of the kernel do. A name leads to a segment
//! or to none, and a seat is locked or not.

use loom::sync::{Arc, Mutex};
use loom::thread;

use super::*;
use crate::segment::layout::Geometry;
use crate::segment::segment_layout::SegmentLayout;
use crate::segment::validate::validate;

const DATA_SIZE: usize = 64;
const LAYOUT: SegmentLayout =
    SegmentLayout { geometry: Geometry { data_size: DATA_SIZE }, queues: None, legacy: false };
/// A process that was killed.
const DEAD: i32 = 7;
/// Its successor.
const SUCCESSOR: i32 = 8;

/// Runs `others` and `this` on the state that `before` creates, in every order.
fn explore(
    before: impl Fn(&Header) + Sync + Send + 'static,
    others: impl Fn(&Header) + Copy + Sync + Send + 'static,
    this: impl Fn(&Header) + Sync + Send + 'static,
) {
    let runs = std::sync::Arc::new(std::sync::Mutex::new(0));
    let count = std::sync::Arc::clone(&runs);
    loom::model(move || {
        *count.lock().unwrap() += 1;
        let header = Arc::new(Header::default());
        before(&header);
        let other = thread::spawn({
            let header = Arc::clone(&header);
            move || others(&header)
        });
        this(&header);
        other.join().unwrap();
    });
    let runs = *runs.lock().unwrap();
    println!("{runs} executions");
    assert!(runs > 3, "loom explored only {runs} executions");
}

fn master(header: &Header) -> Seat<'_> {
    header.seat(Role::Master)
}

/// In the seat of a killed process, `alive` is still set while the successor fills in the other fields.
#[test]
fn a_successor_never_appears_as_a_legacy_process() {
    explore(
        |header| master(header).occupy(DEAD),
        |header| master(header).occupy(SUCCESSOR),
        |header| assert!(!master(header).is_legacy()),
    );
}

#[test]
fn a_seat_seen_as_taken_shows_its_owner() {
    explore(
        |_| {},
        |header| master(header).occupy(SUCCESSOR),
        |header| {
            let seat = master(header);
            if seat.alive.load(Ordering::Acquire) == 1 {
                assert!(seat.is_ours());
                assert_eq!(seat.generation.load(Ordering::Relaxed), 1);
            }
        },
    );
}

/// `features` stands for the last field that is written before the close.
#[test]
fn a_close_that_is_seen_shows_everything_written_before() {
    explore(
        |header| master(header).occupy(SUCCESSOR),
        |header| {
            header.features.store(1, Ordering::Relaxed);
            master(header).leave();
        },
        |header| {
            if !master(header).pulse().alive {
                assert_eq!(header.features.load(Ordering::Relaxed), 1);
            }
        },
    );
}

/// An ESHM 1.0 segment becomes a 2.0 segment while another thread reads it.
#[test]
fn a_segment_is_valid_at_every_moment_of_a_take_over() {
    let total = LAYOUT.geometry.total();
    explore(
        |header| {
            header.version.store(layout::VERSION_POLLING, Ordering::Relaxed);
            header.magic.store(layout::MAGIC, Ordering::Relaxed);
        },
        |header| LAYOUT.announce(header, 100),
        move |header| {
            let layout =
                validate(Some(header), total, Some(DATA_SIZE)).expect("it fits").expect("it is finished");
            assert_eq!(layout.geometry, LAYOUT.geometry);
        },
    );
}

/// What the kernel knows about a name: the segment to which it leads.
type Name = Mutex<Option<Arc<Segment>>>;

/// A segment, with the locks of its seats.
struct Segment {
    header: Header,
    master: Mutex<bool>,
    slave: Mutex<bool>,
}

impl Segment {
    /// Locks a seat. Returns whether it was free.
    fn lock(&self, seat: Role) -> bool {
        let lock = if seat == Role::Master { &self.master } else { &self.slave };
        !std::mem::replace(&mut *lock.lock().unwrap(), true)
    }

    fn unlock(&self, seat: Role) {
        let lock = if seat == Role::Master { &self.master } else { &self.slave };
        *lock.lock().unwrap() = false;
    }
}

/// Models `Start::create`: creates a segment, and gives it the name if the name is free.
fn create(name: &Name, pid: i32) -> bool {
    let segment = Segment { header: Header::default(), master: Mutex::new(false), slave: Mutex::new(false) };
    assert!(segment.lock(Role::Master));
    LAYOUT.announce(&segment.header, 100);
    master(&segment.header).occupy(pid);
    segment.header.magic.store(layout::MAGIC, Ordering::Release);
    let mut name = name.lock().unwrap();
    let is_free = name.is_none();
    if is_free {
        *name = Some(Arc::new(segment));
    }
    is_free
}

/// Models `Start::join_as_slave`. Returns whether it attached to a segment.
fn attach(name: &Name, pid: i32) -> bool {
    let Some(segment) = name.lock().unwrap().clone() else { return false };
    let layout = validate(Some(&segment.header), LAYOUT.geometry.total(), None).expect("it fits");
    assert!(layout.is_some(), "the name leads to an unfinished segment");
    if !segment.lock(Role::Slave) {
        return false;
    }
    assert!(master(&segment.header).pulse().alive && master(&segment.header).is_ours());
    segment.header.seat(Role::Slave).occupy(pid);
    true
}

/// Two creators and a slave: one creator gets the name, and the slave finds a complete segment or none.
#[test]
fn one_of_two_creators_wins_and_the_name_leads_to_a_complete_segment() {
    loom::model(|| {
        let name: Arc<Name> = Arc::new(Mutex::new(None));
        let spawn = |work: fn(&Name) -> bool| {
            let name = Arc::clone(&name);
            thread::spawn(move || work(&name))
        };
        let (one, slave) = (spawn(|name| create(name, 1)), spawn(|name| attach(name, 3)));
        let two = create(&name, 2);
        assert_ne!(one.join().unwrap(), two, "one of the two creators wins");
        slave.join().unwrap();
        let winner = if two { 2 } else { 1 };
        let segment = name.lock().unwrap().clone().expect("it was made");
        assert_eq!(master(&segment.header).pulse().pid, winner);
    });
}

/// Models `Start::join_as_master` and a park after it. `reserved` stands for the count of parked threads.
fn succeed(segment: &Segment, pid: i32) -> bool {
    let claimed = segment.lock(Role::Master);
    if claimed {
        segment.header.reserved[0].store(0, Ordering::Relaxed);
        master(&segment.header).occupy(pid);
        segment.header.reserved[0].fetch_add(1, Ordering::Relaxed);
    }
    claimed
}

/// Models `Attachment::clear_dead_peer`.
fn clear_dead_peer(segment: &Segment) -> bool {
    let claimed = segment.lock(Role::Master);
    if claimed {
        segment.header.reserved[0].store(0, Ordering::Relaxed);
        segment.unlock(Role::Master);
    }
    claimed
}

/// A master was killed. Two successors claim its seat, and the surviving slave clears its counts.
#[test]
fn one_of_two_successors_takes_over_while_a_survivor_clears_counts() {
    loom::model(|| {
        let segment =
            Segment { header: Header::default(), master: Mutex::new(false), slave: Mutex::new(true) };
        LAYOUT.announce(&segment.header, 100);
        master(&segment.header).occupy(DEAD);
        let segment = Arc::new(segment);
        let spawn = |work: fn(&Segment) -> bool| {
            let segment = Arc::clone(&segment);
            thread::spawn(move || work(&segment))
        };
        let survivor = spawn(clear_dead_peer);
        let one = spawn(|segment| succeed(segment, 1));
        let two = succeed(&segment, 2);
        let winners = [(one.join().unwrap(), 1), (two, 2)];
        survivor.join().unwrap();
        let taken: Vec<i32> = winners.iter().filter(|(won, _)| *won).map(|(_, pid)| *pid).collect();
        assert!(taken.len() <= 1, "two masters");
        if let [pid] = *taken {
            let seat = master(&segment.header);
            assert_eq!((seat.pulse().pid, seat.generation.load(Ordering::Relaxed)), (pid, 2));
            assert_eq!(
                segment.header.reserved[0].load(Ordering::Relaxed),
                1,
                "a parked thread was forgotten"
            );
        }
    });
}
