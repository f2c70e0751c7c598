//! The client.

use std::ops::ControlFlow;

use bytes::Bytes;
use prost::Message;
use tokio::runtime::Runtime;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response};

use crate::client::Client as ClientTrait;
use crate::deadline::Deadline;
use crate::proto::items_client::ItemsClient;
use crate::proto::users_client::UsersClient;
use crate::proto::{
    ChatLine, CreateUserRequest, DeleteUserRequest, EchoRequest, GetItemRequest, GetUserRequest, Item,
    ListItemsRequest, ListUsersRequest, SearchUsersRequest, UpdateUserRequest, UploadSummary, User, UserList,
};
use crate::status::{Code, Outcome, Status};

/// A client through gRPC.
#[derive(Debug)]
pub struct Client {
    address: String,
    max_message: usize,
    runtime: Runtime,
    stubs: Option<Stubs>,
}

#[derive(Clone, Debug)]
struct Stubs {
    channel: Channel,
    users: UsersClient<Channel>,
    items: ItemsClient<Channel>,
}

impl Client {
    /// A client of the server at `address`, such as "127.0.0.1:4000".
    ///
    /// # Errors
    /// That there can be no runtime.
    pub fn new(address: &str, max_message: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Client { address: address.to_owned(), max_message, runtime, stubs: None })
    }

    fn stubs(&mut self) -> Outcome<Stubs> {
        if self.stubs.is_none() {
            let unavailable = |error: tonic::transport::Error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                Status::unavailable(format!("{} cannot be reached: {error}: {cause}", self.address))
            };
            let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).map_err(unavailable)?;
            let channel = self.runtime.block_on(endpoint.tcp_nodelay(true).connect()).map_err(unavailable)?;
            let users = UsersClient::new(channel.clone()).max_decoding_message_size(self.max_message);
            let items = ItemsClient::new(channel.clone()).max_decoding_message_size(self.max_message);
            self.stubs = Some(Stubs { channel, users, items });
        }
        Ok(self.stubs.clone().expect("they were just made"))
    }

    /// One call with a request. Its deadline is told to the server, and kept here.
    fn call<Q, R, F: Future<Output = Result<R, tonic::Status>>>(
        &mut self,
        message: Q,
        deadline: Deadline,
        work: impl FnOnce(Stubs, Request<Q>) -> F,
    ) -> Outcome<R> {
        let stubs = self.stubs()?;
        let mut request = Request::new(message);
        if let Some(left) = deadline.left() {
            request.set_timeout(left);
        }
        let call = async { work(stubs, request).await.map_err(in_our_words) };
        let outcome = self.runtime.block_on(deadline.limit(call));
        if outcome.as_ref().is_err_and(|status| status.code == Code::Unavailable) {
            self.stubs = None;
        }
        outcome
    }

    fn unary<Q: Message, R, F: Future<Output = Result<Response<R>, tonic::Status>>>(
        &mut self,
        message: Q,
        deadline: Deadline,
        work: impl FnOnce(Stubs, Request<Q>) -> F,
    ) -> Outcome<R> {
        // The runtime would break the stream off without a word.
        let size = message.encoded_len();
        if size > self.max_message {
            return Err(Status::too_large(size, self.max_message));
        }
        self.call(message, deadline, work).map(Response::into_inner)
    }
}

/// What the runtime says by itself is not always in the words of our table.
fn in_our_words(status: tonic::Status) -> Status {
    let by_runtime = std::error::Error::source(&status).is_some();
    match status.code() {
        tonic::Code::Cancelled if status.message() == "Timeout expired" => Status::deadline(),
        tonic::Code::OutOfRange => Status::new(Code::ResourceExhausted, status.message()),
        tonic::Code::Unknown | tonic::Code::Internal if by_runtime => {
            Status::unavailable(format!("the connection broke: {}", status.message()))
        }
        _ => status.into(),
    }
}

impl ClientTrait for Client {
    fn connect(&mut self) -> Outcome<()> {
        self.stubs().map(drop)
    }

    fn close(&mut self) {
        self.stubs = None;
    }

    fn list_users(&mut self, deadline: Deadline) -> Outcome<UserList> {
        self.unary(ListUsersRequest {}, deadline, async |mut stubs, request| stubs.users.list(request).await)
    }

    fn get_user(&mut self, request: GetUserRequest, deadline: Deadline) -> Outcome<User> {
        self.unary(request, deadline, async |mut stubs, request| stubs.users.get(request).await)
    }

    fn create_user(&mut self, request: CreateUserRequest, deadline: Deadline) -> Outcome<User> {
        self.unary(request, deadline, async |mut stubs, request| stubs.users.create(request).await)
    }

    fn update_user(&mut self, request: UpdateUserRequest, deadline: Deadline) -> Outcome<User> {
        self.unary(request, deadline, async |mut stubs, request| stubs.users.update(request).await)
    }

    fn delete_user(&mut self, request: DeleteUserRequest, deadline: Deadline) -> Outcome<User> {
        self.unary(request, deadline, async |mut stubs, request| stubs.users.delete(request).await)
    }

    fn search_users(&mut self, request: SearchUsersRequest, deadline: Deadline) -> Outcome<UserList> {
        self.unary(request, deadline, async |mut stubs, request| stubs.users.search(request).await)
    }

    fn get_item(&mut self, request: GetItemRequest, deadline: Deadline) -> Outcome<Item> {
        self.unary(request, deadline, async |mut stubs, request| stubs.items.get(request).await)
    }

    fn list_items(
        &mut self,
        request: ListItemsRequest,
        deadline: Deadline,
        each: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Outcome<()> {
        self.call(request, deadline, async |mut stubs, request| {
            let mut items = stubs.items.list(request).await?.into_inner();
            while let Some(item) = items.message().await? {
                if each(item).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn upload_items(
        &mut self,
        items: Box<dyn Iterator<Item = Item> + Send>,
        deadline: Deadline,
    ) -> Outcome<UploadSummary> {
        self.call(tokio_stream::iter(items), deadline, async |mut stubs, request| {
            stubs.items.upload(request).await.map(Response::into_inner)
        })
    }

    fn chat(
        &mut self,
        lines: Box<dyn Iterator<Item = ChatLine> + Send>,
        deadline: Deadline,
        each: &mut dyn FnMut(ChatLine),
    ) -> Outcome<()> {
        self.call(tokio_stream::iter(lines), deadline, async |mut stubs, request| {
            let mut answers = stubs.items.chat(request).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                each(answer);
            }
            Ok(())
        })
    }

    fn echo(
        &mut self,
        payload: &Bytes,
        delay_ms: u32,
        deadline: Deadline,
        check: &mut dyn FnMut(&[u8]),
    ) -> Outcome<()> {
        let request = EchoRequest { payload: payload.clone(), delay_ms };
        let reply =
            self.unary(request, deadline, async |mut stubs, request| stubs.items.echo(request).await)?;
        check(&reply.payload);
        Ok(())
    }

    fn call(&mut self, method: &str, deadline: Deadline) -> Outcome<()> {
        let path = PathAndQuery::try_from(format!("/eshm.services.v1.{}", method.replacen('.', "/", 1)))
            .map_err(|error| Status::invalid(format!("'{method}' is no method's name: {error}")))?;
        let reply: ListUsersRequest = self.unary(ListUsersRequest {}, deadline, async |stubs, request| {
            let mut grpc = tonic::client::Grpc::new(stubs.channel);
            let ready = grpc.ready().await;
            ready.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
            grpc.unary(request, path, tonic_prost::ProstCodec::default()).await
        })?;
        let ListUsersRequest {} = reply;
        Ok(())
    }
}
