//! The event descriptor of the endpoint at the other end, as those see it who ring it (protocol/events.md).

use std::fmt::Debug;
use std::sync::Arc;

/// Makes an event descriptor readable.
pub(crate) trait RingDescriptor: Debug + Send + Sync {
    /// Returns which endpoint has the other end: a number that changes with each.
    fn generation(&self) -> u32;

    /// Makes the descriptor of the endpoint of this generation readable, without waiting. A failure costs time and loses
    /// nothing: the background thread of the other end looks for itself.
    fn ring(&self, generation: u32);
}

/// The event descriptor of the other end, if it can be rung.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventBell(Option<Arc<dyn RingDescriptor>>);

impl EventBell {
    pub(crate) fn new(descriptor: Arc<dyn RingDescriptor>) -> Self {
        EventBell(Some(descriptor))
    }

    /// Returns the bell of an end that nobody rings: of an observer.
    pub(crate) fn none() -> &'static EventBell {
        static NONE: EventBell = EventBell(None);
        &NONE
    }

    /// Returns the present generation of the other end.
    pub(crate) fn generation(&self) -> u32 {
        self.0.as_ref().map_or(0, |descriptor| descriptor.generation())
    }

    /// Rings the end that had this generation, or one after it.
    pub(crate) fn ring(&self, generation: u32) {
        if let Some(descriptor) = &self.0 {
            descriptor.ring(generation);
        }
    }
}
