//! Why targets are missed: the physical reasons, each with the experiment that shows it.

/// The physical reason why a target is missed.
pub struct Reason {
    /// The target's.
    pub id: &'static str,
    /// What it is.
    pub why: &'static str,
    /// The page with the experiment that shows it, as a link from the report.
    pub experiment: &'static str,
}

/// What is known about targets that are missed.
pub const REASONS: &[Reason] = &[
    footprint("stream-rust"),
    footprint("stream-cpp"),
    two_lines("queue-rust"),
    two_lines("queue-cpp"),
    two_lines("queue-cpp-rust"),
    memory("loan-4m"),
    memory("loan-default-1m"),
    memory("loan-default-4m"),
    Reason {
        id: "bursts-rust",
        why: "the 99 % of 60 bursts is the longest of them, and so the longest that another process has had the processor; \
              of 249 bursts of 1, 99 % took at most 105 µs and 130 µs in two runs, and those of a socket 179",
        experiment: "../../bench/README.md#few-bursts-and-their-quantiles",
    },
    placed("unpinned-rust"),
    placed("unpinned-python"),
    far("stream-go"),
    interpreted(
        "stream-python",
        "a call that only makes a bytes object and a comparison take 100 of the 125 ns in which 8 M msg/s must go, and recv \
         alone 116, where the machine is slow; then the cache line of each message has to move, which takes 70 to 320 ns",
    ),
    interpreted(
        "stream-python-batch",
        "struct.unpack of equal bytes objects and a comparison take 54 of the 50 ns in which 20 M msg/s must go, where the \
         machine is slow, and 32 where it is fast; then the cache line of each message has to move",
    ),
];

/// Continuous round trips without an affinity.
const fn placed(id: &'static str) -> Reason {
    Reason {
        id,
        why: "the scheduler leaves two processes that sleep or yield on one processor, where a round trip has two switches; one \
              that only polls gets a processor of its own, and stops for up to 269 ms until it has it",
        experiment: "../../docs/waiting.md#what-is-left-to-gain",
    }
}

/// Streams of Python.
const fn interpreted(id: &'static str, why: &'static str) -> Reason {
    Reason { id, why, experiment: "../../bench/README.md#the-streams-of-python" }
}

/// Streams in runs in which a cache line takes long.
const fn far(id: &'static str) -> Reason {
    Reason {
        id,
        why: "each message moves a cache line; where a line takes 320 ns, a bare slot ring sends no more than 3 M msg/s, and \
              the same stream is several times as fast where a line takes 70 ns",
        experiment: "../../bench/README.md#a-stream-and-the-distance-of-the-processors",
    }
}

/// Streams with the default capacity.
const fn footprint(id: &'static str) -> Reason {
    Reason {
        id,
        why: "the slots of the default capacity, 64 KiB, are written again while they lie in the private cache of the \
              receiver; with a capacity of 4 MiB (stream-rust-roomy) they lie in the shared cache",
        experiment: "../../docs/large-payloads.md#streams-of-short-messages",
    }
}

/// Round trips against one cache line that bounces.
const fn two_lines(id: &'static str) -> Reason {
    Reason {
        id,
        why: "a round trip of messages moves two lines, one per direction; two bare lines take 1.6 to 2.1 times the limit, \
              which moves one",
        experiment: "../../bench/README.md#a-round-trip-and-its-limit",
    }
}

/// Payloads that no cache of one processor holds.
const fn memory(id: &'static str) -> Reason {
    Reason {
        id,
        why: "the program's own writes and reads of the payload take most of the time, and turns differ by a factor of 1.5 \
              with the place of the memory in the caches",
        experiment: "../../docs/large-payloads.md#experiments",
    }
}
