//! The client.

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};
use http::Method;
use reqwest::{Body, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::DEADLINE_HEADER;
use crate::client::Client as ClientTrait;
use crate::deadline::Deadline;
use crate::proto::{
    ChatLine, CreateUserRequest, DeleteUserRequest, GetItemRequest, GetUserRequest, Item, ListItemsRequest,
    SearchUsersRequest, UpdateUserRequest, UploadSummary, User, UserList,
};
use crate::status::{ErrorDocument, Outcome, Status};

/// A client through HTTP.
#[derive(Debug)]
pub struct Client {
    base: String,
    runtime: Runtime,
    http: Option<reqwest::Client>,
}

impl Client {
    /// A client of the server at `base`, such as "http://127.0.0.1:4000".
    ///
    /// # Errors
    /// That there can be no runtime.
    pub fn new(base: &str) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Client { base: base.trim_end_matches('/').to_owned(), runtime, http: None })
    }

    fn http(&mut self) -> Outcome<&reqwest::Client> {
        if self.http.is_none() {
            let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build();
            self.http = Some(client.map_err(|error| unavailable(&error))?);
        }
        Ok(self.http.as_ref().expect("it was just made"))
    }

    /// One call: sends the request that `build` completes, and hands the answer to `take`.
    fn call<T>(
        &mut self,
        (method, path): (Method, &str),
        deadline: Deadline,
        build: impl FnOnce(RequestBuilder) -> RequestBuilder,
        take: impl AsyncFnOnce(Response) -> Outcome<T>,
    ) -> Outcome<T> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http()?.request(method, url);
        if deadline.left().is_some() {
            request = request.header(DEADLINE_HEADER, deadline.left_ms());
        }
        let request = build(request);
        self.runtime.block_on(deadline.limit(async {
            let response = request.send().await.map_err(|error| unavailable(&error))?;
            if response.status().is_success() { take(response).await } else { Err(failure(response).await) }
        }))
    }

    /// One call with an answer in JSON.
    fn json<R: DeserializeOwned>(
        &mut self,
        call: (Method, &str),
        deadline: Deadline,
        body: Option<&impl Serialize>,
    ) -> Outcome<R> {
        let body = body.map(serde_json::to_vec).transpose().map_err(Status::internal)?;
        let build = |request: RequestBuilder| match body {
            Some(body) => request.header("content-type", "application/json").body(body),
            None => request,
        };
        self.call(call, deadline, build, async |response| {
            let body = response.bytes().await.map_err(|error| unavailable(&error))?;
            serde_json::from_slice(&body).map_err(|error| strange(&error))
        })
    }

    fn get<R: DeserializeOwned>(&mut self, path: &str, deadline: Deadline) -> Outcome<R> {
        self.json((Method::GET, path), deadline, None::<&()>)
    }
}

fn user_path(id: &str) -> String {
    format!("/api/users/{}", encode(id))
}

/// Text as one part of a path, or a value of a query.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn unavailable(error: &reqwest::Error) -> Status {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    Status::unavailable(format!("{error}: {cause}"))
}

fn strange(error: &serde_json::Error) -> Status {
    Status::unavailable(format!("the server's answer is not understood: {error}"))
}

async fn failure(response: Response) -> Status {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    match serde_json::from_slice::<ErrorDocument>(&body) {
        Ok(document) => document.error.into(),
        Err(_) => Status::from_http(status),
    }
}

/// Hands each line of an answer to `each`. One that is an error ends it.
async fn each_line<R: DeserializeOwned>(
    mut response: Response,
    each: &mut dyn FnMut(R) -> ControlFlow<()>,
) -> Outcome<()> {
    let mut rest = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unavailable(&error))? {
        rest.extend_from_slice(&piece);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = rest.split_to(end + 1);
            if let Ok(document) = serde_json::from_slice::<ErrorDocument>(&line) {
                return Err(document.error.into());
            }
            let message = serde_json::from_slice(&line).map_err(|error| strange(&error))?;
            if each(message).is_break() {
                return Ok(());
            }
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(Status::unavailable("the answer ended amid a line")) }
}

/// A stream as a body of lines.
fn lines<T: Serialize + Send + 'static>(messages: Box<dyn Iterator<Item = T> + Send>) -> Body {
    let lines = messages.map(|message| {
        let mut line = serde_json::to_vec(&message)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(line)
    });
    Body::wrap_stream(tokio_stream::iter(lines))
}

impl ClientTrait for Client {
    fn connect(&mut self) -> Outcome<()> {
        self.get("/healthz", Deadline::default()).map(|_: serde_json::Value| ())
    }

    fn close(&mut self) {
        self.http = None;
    }

    fn list_users(&mut self, deadline: Deadline) -> Outcome<UserList> {
        self.get("/api/users", deadline)
    }

    fn get_user(&mut self, request: GetUserRequest, deadline: Deadline) -> Outcome<User> {
        self.get(&user_path(&request.id), deadline)
    }

    fn create_user(&mut self, request: CreateUserRequest, deadline: Deadline) -> Outcome<User> {
        self.json((Method::POST, "/api/users"), deadline, Some(&request))
    }

    fn update_user(&mut self, request: UpdateUserRequest, deadline: Deadline) -> Outcome<User> {
        let UpdateUserRequest { id, name, email } = request;
        self.json((Method::PUT, &user_path(&id)), deadline, Some(&CreateUserRequest { name, email }))
    }

    fn delete_user(&mut self, request: DeleteUserRequest, deadline: Deadline) -> Outcome<User> {
        self.json((Method::DELETE, &user_path(&request.id)), deadline, None::<&()>)
    }

    fn search_users(&mut self, request: SearchUsersRequest, deadline: Deadline) -> Outcome<UserList> {
        self.get(&format!("/api/users/search?q={}", encode(&request.q)), deadline)
    }

    fn get_item(&mut self, request: GetItemRequest, deadline: Deadline) -> Outcome<Item> {
        self.get(&format!("/items/{}", request.id), deadline)
    }

    fn list_items(
        &mut self,
        request: ListItemsRequest,
        deadline: Deadline,
        each: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Outcome<()> {
        let path = format!("/items?first={}&count={}", request.first, request.count);
        self.call(
            (Method::GET, &path),
            deadline,
            |request| request,
            async |response| each_line(response, each).await,
        )
    }

    fn upload_items(
        &mut self,
        items: Box<dyn Iterator<Item = Item> + Send>,
        deadline: Deadline,
    ) -> Outcome<UploadSummary> {
        let build = |request: RequestBuilder| request.body(lines(items));
        self.call((Method::POST, "/items"), deadline, build, async |response| {
            let body = response.bytes().await.map_err(|error| unavailable(&error))?;
            serde_json::from_slice(&body).map_err(|error| strange(&error))
        })
    }

    fn chat(
        &mut self,
        texts: Box<dyn Iterator<Item = ChatLine> + Send>,
        deadline: Deadline,
        each: &mut dyn FnMut(ChatLine),
    ) -> Outcome<()> {
        let build = |request: RequestBuilder| request.body(lines(texts));
        self.call((Method::POST, "/items/chat"), deadline, build, async |response| {
            let mut each = |line| {
                each(line);
                ControlFlow::Continue(())
            };
            each_line(response, &mut each).await
        })
    }

    fn echo(
        &mut self,
        payload: &Bytes,
        delay_ms: u32,
        deadline: Deadline,
        check: &mut dyn FnMut(&[u8]),
    ) -> Outcome<()> {
        let path = if delay_ms == 0 { "/echo".to_owned() } else { format!("/echo?delay_ms={delay_ms}") };
        let build = |request: RequestBuilder| request.body(payload.clone());
        self.call((Method::POST, &path), deadline, build, async |response| {
            check(&response.bytes().await.map_err(|error| unavailable(&error))?);
            Ok(())
        })
    }

    fn call(&mut self, method: &str, deadline: Deadline) -> Outcome<()> {
        let name = method.rsplit('.').next().unwrap_or(method);
        let path = format!("/api/{}", encode(name));
        self.call((Method::GET, &path), deadline, |request| request, async |_| Ok(()))
    }
}
