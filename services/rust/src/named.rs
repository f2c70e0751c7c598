//! Calls that name their method: what the socket and ESHM have in common on the client's side.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::call::Payload;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::proto::{
    ChatLine, CreateUserRequest, DeleteUserRequest, EchoReply, EchoRequest, GetItemRequest, GetUserRequest,
    Item, ListItemsRequest, ListUsersRequest, SearchUsersRequest, UpdateUserRequest, UploadSummary, User,
    UserList,
};
use crate::status::Outcome;

/// A connection that carries named calls, one at a time.
pub trait Channel: Send {
    /// Connects, unless it is connected.
    fn connect(&mut self) -> Outcome<()>;

    /// Disconnects.
    fn close(&mut self);

    /// One request, one reply.
    fn unary<Q: Payload, R: Payload>(&mut self, method: &str, request: &Q, deadline: Deadline) -> Outcome<R>;

    /// One request, a stream of replies, until `each` breaks: that cancels.
    fn stream<Q: Payload, R: Payload>(
        &mut self,
        method: &str,
        request: &Q,
        deadline: Deadline,
        each: &mut dyn FnMut(R) -> ControlFlow<()>,
    ) -> Outcome<()>;

    /// A stream of requests, beside a stream of replies (`each`), and a reply at the end: all defaults if there is none.
    fn duplex<Q: Payload, R: Payload, E: Payload>(
        &mut self,
        method: &str,
        requests: Box<dyn Iterator<Item = Q> + Send>,
        deadline: Deadline,
        each: &mut dyn FnMut(R),
    ) -> Outcome<E>;
}

impl<C: Channel> Client for C {
    fn connect(&mut self) -> Outcome<()> {
        Channel::connect(self)
    }

    fn close(&mut self) {
        Channel::close(self);
    }

    fn list_users(&mut self, deadline: Deadline) -> Outcome<UserList> {
        self.unary("Users.List", &ListUsersRequest {}, deadline)
    }

    fn get_user(&mut self, request: GetUserRequest, deadline: Deadline) -> Outcome<User> {
        self.unary("Users.Get", &request, deadline)
    }

    fn create_user(&mut self, request: CreateUserRequest, deadline: Deadline) -> Outcome<User> {
        self.unary("Users.Create", &request, deadline)
    }

    fn update_user(&mut self, request: UpdateUserRequest, deadline: Deadline) -> Outcome<User> {
        self.unary("Users.Update", &request, deadline)
    }

    fn delete_user(&mut self, request: DeleteUserRequest, deadline: Deadline) -> Outcome<User> {
        self.unary("Users.Delete", &request, deadline)
    }

    fn search_users(&mut self, request: SearchUsersRequest, deadline: Deadline) -> Outcome<UserList> {
        self.unary("Users.Search", &request, deadline)
    }

    fn get_item(&mut self, request: GetItemRequest, deadline: Deadline) -> Outcome<Item> {
        self.unary("Items.Get", &request, deadline)
    }

    fn list_items(
        &mut self,
        request: ListItemsRequest,
        deadline: Deadline,
        each: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Outcome<()> {
        self.stream("Items.List", &request, deadline, each)
    }

    fn upload_items(
        &mut self,
        items: Box<dyn Iterator<Item = Item> + Send>,
        deadline: Deadline,
    ) -> Outcome<UploadSummary> {
        self.duplex("Items.Upload", items, deadline, &mut |_: Item| ())
    }

    fn chat(
        &mut self,
        lines: Box<dyn Iterator<Item = ChatLine> + Send>,
        deadline: Deadline,
        each: &mut dyn FnMut(ChatLine),
    ) -> Outcome<()> {
        self.duplex("Items.Chat", lines, deadline, each).map(|_: ChatLine| ())
    }

    fn echo(
        &mut self,
        payload: &Bytes,
        delay_ms: u32,
        deadline: Deadline,
        check: &mut dyn FnMut(&[u8]),
    ) -> Outcome<()> {
        let request = EchoRequest { payload: payload.clone(), delay_ms };
        let reply: EchoReply = self.unary("Items.Echo", &request, deadline)?;
        check(&reply.payload);
        Ok(())
    }

    fn call(&mut self, method: &str, deadline: Deadline) -> Outcome<()> {
        self.unary(method, &ListUsersRequest {}, deadline).map(|_: ListUsersRequest| ())
    }
}
