//! A Unix socket that carries the frames of ESHM: what is left of the difference between the two is the transport.

pub mod client;
pub mod server;

use bytes::BufMut;

use crate::segment::frame::{Body, Head};

/// Appends a frame with its length.
fn write(head: &Head<'_>, body: &impl Body, to: &mut Vec<u8>) {
    to.put_u32(head.frame_len(body) as u32);
    head.write(body, to);
}
