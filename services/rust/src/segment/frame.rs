//! `Frame` of `eshm.proto`, read and written in place: a long body is not copied but into, and out of, the queue.

use bytes::BufMut;
use prost::Message;
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::proto;
use crate::proto::frame::Kind;
use crate::status::{Code, Outcome, Status};

const CALL: u32 = 1;
const KIND: u32 = 2;
const METHOD: u32 = 3;
const DEADLINE_MS: u32 = 4;
const STATUS: u32 = 5;
const BODY: u32 = 15;

/// All of a frame but its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Head<'a> {
    /// The same in all frames of a call.
    pub call: u64,
    /// What the frame is for.
    pub kind: Kind,
    /// Of a REQUEST.
    pub method: &'a str,
    /// Of a REQUEST, in milliseconds; 0: none.
    pub deadline_ms: u32,
    /// Of an END; `None`: OK.
    pub status: Option<proto::Status>,
}

/// What follows a head.
pub trait Body {
    /// Its length, in bytes.
    fn size(&self) -> usize;
    /// Writes so many bytes.
    fn put(&self, to: &mut impl BufMut);
}

/// A message as a body.
#[derive(Debug)]
pub struct Encoded<'a, M>(pub &'a M);

impl<M: Message> Body for Encoded<'_, M> {
    fn size(&self) -> usize {
        self.0.encoded_len()
    }

    fn put(&self, to: &mut impl BufMut) {
        self.0.encode(to).expect("the room was measured with encoded_len");
    }
}

/// A part of an encoded message as a body.
#[derive(Debug)]
pub struct Piece<'a>(pub &'a [u8]);

impl Body for Piece<'_> {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn put(&self, to: &mut impl BufMut) {
        to.put_slice(self.0);
    }
}

/// No body.
#[derive(Debug)]
pub struct Nothing;

impl Body for Nothing {
    fn size(&self) -> usize {
        0
    }

    fn put(&self, _: &mut impl BufMut) {}
}

impl Head<'_> {
    /// The end of a call, well or not.
    pub fn end(call: u64, outcome: Result<(), &Status>) -> Self {
        let status = outcome
            .err()
            .map(|Status { code, message }| proto::Status { code: *code as i32, message: message.clone() });
        Head { status, ..Head::bare(call, Kind::End) }
    }

    /// A frame without method, deadline and status.
    pub fn bare(call: u64, kind: Kind) -> Self {
        Head { call, kind, method: "", deadline_ms: 0, status: None }
    }

    /// The whole frame's length, in bytes.
    pub fn frame_len(&self, body: &impl Body) -> usize {
        let status = self.status.as_ref().map_or(0, |status| {
            let len = status.encoded_len();
            key_len(STATUS) + encoded_len_varint(len as u64) + len
        });
        key_len(CALL)
            + size_of::<u64>()
            + varint_len(KIND, self.kind as u64)
            + bytes_len(METHOD, self.method.len())
            + varint_len(DEADLINE_MS, self.deadline_ms.into())
            + status
            + bytes_len(BODY, body.size())
    }

    /// Writes the whole frame.
    pub fn write(&self, body: &impl Body, to: &mut impl BufMut) {
        encode_key(CALL, WireType::SixtyFourBit, to);
        to.put_u64_le(self.call);
        put_varint(KIND, self.kind as u64, to);
        put_bytes(METHOD, self.method.as_bytes(), to);
        put_varint(DEADLINE_MS, self.deadline_ms.into(), to);
        if let Some(status) = &self.status {
            prost::encoding::message::encode(STATUS, status, to);
        }
        if body.size() > 0 {
            encode_key(BODY, WireType::LengthDelimited, to);
            encode_varint(body.size() as u64, to);
            body.put(to);
        }
    }
}

/// A received frame, whose parts lie where it was received.
#[derive(Debug, PartialEq)]
pub struct Frame<'a> {
    /// All but the body.
    pub head: Head<'a>,
    /// The message, encoded.
    pub body: &'a [u8],
}

/// What was received is no frame.
#[derive(Debug, PartialEq)]
pub struct Malformed {
    /// The call that it seems to belong to.
    pub call: Option<u64>,
}

impl<'a> Frame<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut frame = Frame { head: Head::bare(0, Kind::Unspecified), body: &[] };
        let mut call = None;
        for field in Fields(bytes) {
            frame.take(field, &mut call).map_err(|()| Malformed { call })?;
        }
        match (call, frame.head.kind) {
            (None, _) | (_, Kind::Unspecified) => Err(Malformed { call }),
            (Some(call), _) => {
                frame.head.call = call;
                Ok(frame)
            }
        }
    }

    fn take(&mut self, field: Result<(u32, Value<'a>), ()>, call: &mut Option<u64>) -> Result<(), ()> {
        let head = &mut self.head;
        match field? {
            (CALL, Value::Fixed(number)) => *call = Some(number),
            (KIND, Value::Varint(number)) => {
                head.kind = i32::try_from(number).ok().and_then(|kind| Kind::try_from(kind).ok()).ok_or(())?;
            }
            (METHOD, Value::Bytes(bytes)) => head.method = std::str::from_utf8(bytes).map_err(drop)?,
            (DEADLINE_MS, Value::Varint(number)) => head.deadline_ms = number as u32,
            (STATUS, Value::Bytes(bytes)) => {
                head.status = Some(proto::Status::decode(bytes).map_err(drop)?);
            }
            (BODY, Value::Bytes(bytes)) => self.body = bytes,
            (CALL | KIND | METHOD | DEADLINE_MS | STATUS | BODY, _) => return Err(()),
            _ => {}
        }
        Ok(())
    }

    /// The body as a message.
    ///
    /// # Errors
    /// INVALID_ARGUMENT.
    pub fn message<M: Message + Default>(&self) -> Outcome<M> {
        decode(self.body)
    }

    /// Of an END: how the call ended.
    ///
    /// # Errors
    /// The status that it carries.
    pub fn outcome(&self) -> Outcome<()> {
        match &self.head.status {
            None => Ok(()),
            Some(status) if status.code == Code::Ok as i32 => Ok(()),
            Some(status) => {
                Err(Status::new(Code::try_from(status.code).unwrap_or(Code::Internal), &*status.message))
            }
        }
    }
}

/// A body as a message.
///
/// # Errors
/// INVALID_ARGUMENT.
pub fn decode<M: Message + Default>(body: &[u8]) -> Outcome<M> {
    M::decode(body).map_err(|error| Status::invalid(format!("the message cannot be decoded: {error}")))
}

enum Value<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
    /// Nothing that we know has this type.
    Other,
}

/// The fields of an encoded message, in place; after an error there are none.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u32, Value<'a>)> {
        let key = u32::try_from(self.varint()?).ok()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?)),
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.bytes(usize::try_from(len).ok()?)?)
            }
            5 => {
                self.bytes(4)?;
                Value::Other
            }
            _ => return None,
        };
        (key >> 3 > 0).then_some((key >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        decode_varint(&mut self.0).ok()
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), ()>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(()))
    }
}

/// How long a field is; one with the default value is not written.
fn varint_len(tag: u32, value: u64) -> usize {
    if value == 0 { 0 } else { key_len(tag) + encoded_len_varint(value) }
}

fn bytes_len(tag: u32, len: usize) -> usize {
    if len == 0 { 0 } else { key_len(tag) + encoded_len_varint(len as u64) + len }
}

fn put_varint(tag: u32, value: u64, to: &mut impl BufMut) {
    if value != 0 {
        encode_key(tag, WireType::Varint, to);
        encode_varint(value, to);
    }
}

fn put_bytes(tag: u32, bytes: &[u8], to: &mut impl BufMut) {
    if !bytes.is_empty() {
        encode_key(tag, WireType::LengthDelimited, to);
        encode_varint(bytes.len() as u64, to);
        to.put_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_is_the_protos(
            call: u64, kind in 1..=4i32, method in "[a-zA-Z.]{0,20}", deadline_ms: u32,
            status in proptest::option::of((0..17i32, ".{0,20}")), payload: Vec<u8>, delay_ms: u32,
        ) {
            let status = status.map(|(code, message)| proto::Status { code, message });
            let request = proto::EchoRequest { payload: Bytes::from(payload), delay_ms };
            let body = Bytes::from(request.encode_to_vec());
            let theirs =
                proto::Frame { call, kind, method: method.clone(), deadline_ms, status: status.clone(), body };
            let head = Head { call, kind: Kind::try_from(kind).unwrap(), method: &method, deadline_ms, status };

            let mut ours = Vec::new();
            head.write(&Encoded(&request), &mut ours);
            prop_assert_eq!(ours.len(), head.frame_len(&Encoded(&request)));
            prop_assert_eq!(proto::Frame::decode(&*ours).unwrap(), theirs.clone());

            let encoded = theirs.encode_to_vec();
            let frame = Frame::read(&encoded).unwrap();
            prop_assert_eq!(frame.message::<proto::EchoRequest>().unwrap(), request);
            prop_assert_eq!(frame.head, head);
        }

        #[test]
        fn any_bytes_are_a_frame_or_not(bytes: Vec<u8>) {
            if let Ok(frame) = Frame::read(&bytes) {
                let theirs = proto::Frame::decode(&*bytes);
                prop_assert!(theirs.is_ok_and(|theirs| theirs.call == frame.head.call && theirs.body == frame.body));
            }
        }
    }

    #[test]
    fn the_call_of_a_broken_frame_is_found() {
        let mut bytes = Vec::new();
        Head::bare(7, Kind::Request).write(&Nothing, &mut bytes);
        bytes.extend([0x7a, 100, 1]);
        assert_eq!(Frame::read(&bytes), Err(Malformed { call: Some(7) }));
    }
}
