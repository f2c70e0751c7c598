//! Calls that name their method: what the socket and ESHM have in common on the server's side.

use std::time::Duration;

use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deadline::Deadline;
use crate::proto::{ChatLine, EchoReply, EchoRequest, Item, UploadSummary};
use crate::service::{self, Service};
use crate::status::{Outcome, Status};

/// A message of the contract, in either form.
pub trait Payload: Message + Default + Serialize + DeserializeOwned {}
impl<M: Message + Default + Serialize + DeserializeOwned> Payload for M {}

/// One call as its server sees it. CANCELLED as an error means that there is nobody to answer to any more.
pub trait Call {
    /// Its end.
    fn deadline(&self) -> Deadline;

    /// Waits, but no longer than there is somebody to answer to.
    fn pause(&mut self, time: Duration) -> Outcome<()>;

    /// The request, of a call that has just one.
    fn request<M: Payload>(&mut self) -> Outcome<M>;

    /// The next message of the client's stream; `None` at its end.
    fn next<M: Payload>(&mut self) -> Outcome<Option<M>>;

    /// One message of the server's stream.
    fn send<M: Payload>(&mut self, message: &M) -> Outcome<()>;

    /// The end of the call, with its only reply; `None` after a stream.
    fn finish<M: Payload>(&mut self, reply: Option<&M>) -> Outcome<()>;
}

/// Does what the method says, up to `finish`. An error is the caller's to send.
///
/// # Errors
/// The call's; UNIMPLEMENTED.
pub fn serve<C: Call>(service: &Service, method: &str, call: &mut C) -> Outcome<()> {
    match method {
        "Users.List" => unary(call, |request| service.list_users(request)),
        "Users.Get" => unary(call, |request| service.get_user(request)),
        "Users.Create" => unary(call, |request| service.create_user(request)),
        "Users.Update" => unary(call, |request| service.update_user(request)),
        "Users.Delete" => unary(call, |request| service.delete_user(request)),
        "Users.Search" => unary(call, |request| service.search_users(request)),
        "Items.Get" => unary(call, service::get_item),
        "Items.List" => {
            for item in service::list_items(call.request()?)? {
                call.send(&item)?;
            }
            call.finish::<Item>(None)
        }
        "Items.Upload" => {
            let mut summary = UploadSummary::default();
            while let Some(item) = call.next::<Item>()? {
                service::add_item(&mut summary, &item)?;
            }
            call.finish(Some(&summary))
        }
        "Items.Chat" => {
            let mut number = 0;
            while let Some(line) = call.next::<ChatLine>()? {
                number += 1;
                call.send(&service::answer(&line, number))?;
            }
            call.finish::<ChatLine>(None)
        }
        "Items.Echo" => {
            let EchoRequest { payload, delay_ms } = call.request()?;
            call.pause(service::delay(delay_ms)?)?;
            call.finish(Some(&EchoReply { payload }))
        }
        unknown => Err(Status::no_method(unknown)),
    }
}

fn unary<C: Call, Q: Payload, R: Payload>(call: &mut C, work: impl FnOnce(Q) -> Outcome<R>) -> Outcome<()> {
    let request = call.request()?;
    // Before the work, so that a call that is too late changes nothing.
    call.deadline().check()?;
    let reply = work(request)?;
    call.finish(Some(&reply))
}
