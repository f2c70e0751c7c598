//! Who looks and takes no part: the core's observer for the facade's.

use eshm::Error;

use crate::{convert, ffi};

/// The outcome of opening one: an observer until the facade takes it, or a failure.
pub(crate) struct Observing(Result<Option<Box<Observer>>, Error>, String);

pub(crate) struct Observer(eshm::Observer);

pub(crate) fn observe(name: &[u8], any_owner: bool, place: &ffi::Place<'_>) -> Box<Observing> {
    let opened = convert::domain(place).and_then(|domain| {
        let name = convert::name(name, &domain)?;
        eshm::Endpoint::builder(name).domain(domain).any_owner(any_owner).observe()
    });
    let failure = opened.as_ref().err().map(ToString::to_string).unwrap_or_default();
    Box::new(Observing(opened.map(|inner| Some(Box::new(Observer(inner)))), failure))
}

impl Observing {
    pub(crate) fn code(&self) -> i32 {
        self.0.as_ref().err().map_or(0, convert::code)
    }

    pub(crate) fn failure(&self) -> &str {
        &self.1
    }

    pub(crate) fn observer(&mut self) -> Box<Observer> {
        let taken = self.0.as_mut().ok().and_then(Option::take);
        taken.expect("the facade takes the observer once, when code() is 0")
    }
}

impl Observer {
    pub(crate) fn name(&self) -> &str {
        self.0.name()
    }

    pub(crate) fn is_current(&self) -> bool {
        self.0.is_current()
    }

    pub(crate) fn data_size(&self) -> usize {
        self.0.data_size()
    }

    pub(crate) fn max_message(&self) -> usize {
        self.0.max_message()
    }

    pub(crate) fn look(&mut self, seen: &mut ffi::Seen) {
        *seen = self.0.look().into();
    }
}

impl From<eshm::View> for ffi::Seen {
    fn from(view: eshm::View) -> Self {
        ffi::Seen {
            master: view.master.into(),
            slave: view.slave.into(),
            master_to_slave: view.master_to_slave.into(),
            slave_to_master: view.slave_to_master.into(),
        }
    }
}

impl From<eshm::SeatView> for ffi::SeenSeat {
    fn from(seat: eshm::SeatView) -> Self {
        ffi::SeenSeat {
            state: seat.state.into(),
            pid: seat.pid,
            heartbeat: seat.heartbeat,
            generation: seat.generation,
            is_legacy: seat.is_legacy,
        }
    }
}

impl From<eshm::DirectionView> for ffi::SeenDirection {
    fn from(direction: eshm::DirectionView) -> Self {
        ffi::SeenDirection {
            written: direction.written,
            read: direction.read,
            waiting: direction.waiting,
            high_water: direction.high_water,
            slots: direction.slots,
        }
    }
}
