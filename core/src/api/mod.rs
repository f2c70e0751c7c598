//! What users hold.

pub(crate) mod builder;
pub(crate) mod endpoint;
pub(crate) mod events;
pub(crate) mod inspector;
pub(crate) mod observer;
pub(crate) mod receiver;
pub(crate) mod segments;
pub(crate) mod sender;
mod side;
pub(crate) mod wait_set;

#[cfg(test)]
mod tests;
