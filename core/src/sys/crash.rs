//! Crash points: places between two steps that touch shared memory, where a test can kill the process.
//!
//! The feature `crash-points` is for tests only. With it, a process whose environment has `ESHM_CRASH=POINT:N` sends
//! SIGKILL to itself when it passes that point for the N-th time. `ESHM_CRASH=POINT` means the first time. With
//! `ESHM_CRASH_WHEN=FILE`, a pass counts only while FILE exists. Without the feature a point compiles to nothing.

/// Passes the crash point `name`, which is one of `POINTS`.
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(feature = "crash-points")]
        {
            const POINT: usize = crate::sys::crash::index($name);
            crate::sys::crash::pass(POINT);
        }
    };
}

#[cfg(feature = "crash-points")]
pub use enabled::POINTS;
#[cfg(feature = "crash-points")]
pub(crate) use enabled::{index, is_requested, pass};

#[cfg(feature = "crash-points")]
mod enabled {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use crate::sys::{AtomicU32, Ordering};

    /// All crash points, in the order in which an endpoint passes them.
    #[rustfmt::skip]
    pub const POINTS: &[&str] = &[
        // A master creates a segment.
        "create.temporary", "create.reserved", "create.locked", "create.numbered", "create.described", "create.occupied", "create.finished",
        "create.unlinked", "create.doubled", "create.linked",
        // A slave attaches.
        "attach.opened", "attach.claimed", "attach.verified",
        // A master takes over the segment of a dead master.
        "takeover.claimed", "takeover.verified", "takeover.described",
        // A master describes the segment in its header.
        "describe.sizes", "describe.queues", "describe.extended",
        // An endpoint takes its seat.
        "occupy.cleared", "occupy.absent", "occupy.capable", "occupy.signed", "occupy.named", "occupy.counted",
        "occupy.beaten", "occupy.alive",
        // An endpoint updates its heartbeat.
        "keep.beaten", "keep.published",
        // A value is written and read.
        "write.begun", "write.copied", "write.counted", "write.finished", "write.announced",
        "read.copied", "read.taken", "read.rung",
        // A message is sent: in a slot, in the arena, from a loan, in a batch.
        "send.filled", "send.measured", "send.published", "send.rung", "send.prepared",
        "arena.copied", "publish.described", "publish.measured", "publish.published",
        "loan.reserved", "loan.sent", "batch.next", "batch.rung",
        // A message is received and released.
        "recv.found", "recv.located", "release.begun", "release.stored", "release.rung",
        // A thread parks and is woken.
        "park.numbered", "park.counted", "park.ordered", "park.woken", "park.left", "wake.ordered", "wake.seen", "wake.done",
        "wake.receiver",
        // An endpoint makes its event descriptor and arms it, and its peer rings it.
        "bell.made", "bell.shared", "arm.asked", "arm.ordered", "bell.cleared", "bell.rung",
        // The peer is dead, or has a new segment.
        "clear.locked", "clear.cleared", "clear.unlocked",
        "reconnect.attached", "reconnect.left", "reconnect.moved", "follow.receiver", "follow.values", "follow.sender",
        "carry.copied", "carry.released", "carry.put",
        // The name of a live master's segment was removed.
        "guard.made", "guard.moved",
        // An unused segment is removed.
        "remove.locked", "remove.unlinked",
        // An endpoint closes.
        "leave.counted", "leave.unlinked", "leave.absent", "leave.unlocked",
    ];

    /// Returns the index of a point in the list.
    ///
    /// # Panics
    /// Panics at compile time if the list does not contain the point.
    pub(crate) const fn index(name: &str) -> usize {
        let mut index = 0;
        while index < POINTS.len() {
            if is_same(POINTS[index].as_bytes(), name.as_bytes()) {
                return index;
            }
            index += 1;
        }
        panic!("the crash point is not in the list")
    }

    const fn is_same(one: &[u8], other: &[u8]) -> bool {
        let mut at = 0;
        while at < one.len() && at < other.len() && one[at] == other[at] {
            at += 1;
        }
        at == one.len() && at == other.len()
    }

    /// The crash point at which this process kills itself.
    struct CrashRequest {
        point: usize,
        /// Passes that remain until the kill, including the pass that kills.
        left: AtomicU32,
        when: Option<PathBuf>,
    }

    impl CrashRequest {
        fn from_environment() -> Option<CrashRequest> {
            let request = std::env::var("ESHM_CRASH").ok()?;
            let (name, count) = request.split_once(':').unwrap_or((&request, "1"));
            let point = POINTS.iter().position(|point| *point == name);
            let point = point.unwrap_or_else(|| panic!("ESHM_CRASH: there is no crash point {name:?}"));
            let left = count.parse().unwrap_or_else(|_| panic!("ESHM_CRASH: {count:?} is no number"));
            let when = std::env::var_os("ESHM_CRASH_WHEN").map(PathBuf::from);
            Some(CrashRequest { point, left: AtomicU32::new(left), when })
        }
    }

    fn request() -> Option<&'static CrashRequest> {
        static REQUEST: OnceLock<Option<CrashRequest>> = OnceLock::new();
        REQUEST.get_or_init(CrashRequest::from_environment).as_ref()
    }

    /// Returns whether this process dies at one of these points. They lie on a code path that is taken only on
    /// request.
    pub(crate) fn is_requested(points: &[&str]) -> bool {
        request().is_some_and(|request| points.contains(&POINTS[request.point]))
    }

    /// Kills the process if `point` is its crash point and the count is reached.
    pub(crate) fn pass(point: usize) {
        let Some(request) = request() else { return };
        if request.point != point || request.when.as_ref().is_some_and(|file| !file.exists()) {
            return;
        }
        // Relaxed: the counter orders nothing.
        if request.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            kill(Pid::this(), Signal::SIGKILL).expect("a process may kill itself");
        }
    }
}
