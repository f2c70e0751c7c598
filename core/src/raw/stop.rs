//! How a caller ends a batch that it receives.

use crate::api::receiver::Cut;

/// Where [`SharedReceiver::recv_many`](super::SharedReceiver::recv_many) ends a batch early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop<E> {
    /// After this message, which is released with those before it.
    After,
    /// Before this message, which stays the next one. Those before it are released.
    Before,
    /// Nothing of the batch is released: every message of it is received again. The call fails with this error.
    Undo(E),
}

/// Returns where the batch ends for the core. Puts the error of an undone batch into `undo`.
pub(super) fn cut<E>(stop: Stop<E>, undo: &mut Option<E>) -> Cut {
    match stop {
        Stop::After => Cut::After,
        Stop::Before => Cut::Before,
        Stop::Undo(error) => {
            *undo = Some(error);
            Cut::All
        }
    }
}
