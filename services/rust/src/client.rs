//! What a client can do, whatever its transport.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::deadline::Deadline;
use crate::proto::{
    ChatLine, CreateUserRequest, DeleteUserRequest, GetItemRequest, GetUserRequest, Item, ListItemsRequest,
    SearchUsersRequest, UpdateUserRequest, UploadSummary, User, UserList,
};
use crate::status::Outcome;

/// A client of the service. One call at a time; all wait for the end. A client connects with the first call that needs
/// it, and after a failure of the connection, which fails one call with UNAVAILABLE, with the next.
pub trait Client: Send {
    /// Connects, unless it is connected.
    fn connect(&mut self) -> Outcome<()>;
    /// Disconnects.
    fn close(&mut self);
    /// `Users.List`.
    fn list_users(&mut self, deadline: Deadline) -> Outcome<UserList>;
    /// `Users.Get`.
    fn get_user(&mut self, request: GetUserRequest, deadline: Deadline) -> Outcome<User>;
    /// `Users.Create`.
    fn create_user(&mut self, request: CreateUserRequest, deadline: Deadline) -> Outcome<User>;
    /// `Users.Update`.
    fn update_user(&mut self, request: UpdateUserRequest, deadline: Deadline) -> Outcome<User>;
    /// `Users.Delete`.
    fn delete_user(&mut self, request: DeleteUserRequest, deadline: Deadline) -> Outcome<User>;
    /// `Users.Search`.
    fn search_users(&mut self, request: SearchUsersRequest, deadline: Deadline) -> Outcome<UserList>;
    /// `Items.Get`.
    fn get_item(&mut self, request: GetItemRequest, deadline: Deadline) -> Outcome<Item>;
    /// `Items.List`, until `each` breaks: that cancels.
    fn list_items(
        &mut self,
        request: ListItemsRequest,
        deadline: Deadline,
        each: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Outcome<()>;
    /// `Items.Upload`.
    fn upload_items(
        &mut self,
        items: Box<dyn Iterator<Item = Item> + Send>,
        deadline: Deadline,
    ) -> Outcome<UploadSummary>;
    /// `Items.Chat`; answers are handed to `each` as they come.
    fn chat(
        &mut self,
        lines: Box<dyn Iterator<Item = ChatLine> + Send>,
        deadline: Deadline,
        each: &mut dyn FnMut(ChatLine),
    ) -> Outcome<()>;
    /// `Items.Echo`; what came back is handed to `check`.
    fn echo(
        &mut self,
        payload: &Bytes,
        delay_ms: u32,
        deadline: Deadline,
        check: &mut dyn FnMut(&[u8]),
    ) -> Outcome<()>;
    /// Calls a method that may not exist, such as "Users.Nothing", with an empty request.
    fn call(&mut self, method: &str, deadline: Deadline) -> Outcome<()>;
}
