//! The server.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, BodyDataStream};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::{DEADLINE_HEADER, NDJSON, openapi};
use crate::deadline::Deadline;
use crate::proto::{
    ChatLine, CreateUserRequest, DeleteUserRequest, GetItemRequest, GetUserRequest, Item, ListItemsRequest,
    ListUsersRequest, SearchUsersRequest, UpdateUserRequest, UploadSummary, User, UserList,
};
use crate::service::{self, Service};
use crate::status::{Code, ErrorDocument, Outcome, Status};
use crate::{json as json_text, log};

/// Lines of a stream are sent in pieces of about so many bytes.
const PIECE: usize = 16 << 10;
/// Of a body that is too long, so many times the maximum are read before the connection is given up, so that its client
/// hears why.
const PATIENCE: usize = 4;

/// Serves connections until the runtime ends. Returns the address.
///
/// # Errors
/// That the address cannot be listened at.
pub async fn start(listen: &str, max_message: usize, service: Arc<Service>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let router = router(Shared { service, max_message });
    tokio::spawn(async move {
        use axum::serve::ListenerExt;
        // Without it a short answer waits for the acknowledgement of the one before.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        if let Err(error) = axum::serve(listener, router).await {
            eprintln!("rest: {error}");
        }
    });
    Ok(address)
}

#[derive(Clone)]
struct Shared {
    service: Arc<Service>,
    max_message: usize,
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/api/users", get(list_users).post(create_user))
        .route("/api/users/search", get(search_users))
        .route("/api/users/{id}", get(get_user).put(update_user).delete(delete_user))
        .route("/items", get(list_items).post(upload_items))
        .route("/items/chat", post(chat))
        .route("/items/{id}", get(get_item))
        .route("/echo", post(echo))
        .route("/openapi.json", get(openapi::document))
        .route("/healthz", get(async || json(StatusCode::OK, &serde_json::json!({"status": "ok"}))))
        .fallback(async |request: Request| {
            Failure(Status::no_method(&format!("{} {}", request.method(), request.uri().path())), None)
        })
        .method_not_allowed_fallback(async |method: Method, request: Request| {
            let status = Status::no_method(&format!("{method} {}", request.uri().path()));
            Failure(status, Some(StatusCode::METHOD_NOT_ALLOWED))
        })
        .layer(from_fn(keep_time))
        .with_state(shared)
}

/// Reads the deadline, keeps it, and logs the call.
async fn keep_time(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let path = format!("{} {}", request.method(), request.uri().path());
    let response = match deadline(&request) {
        Err(status) => Failure(status, None).into_response(),
        Ok(deadline) => {
            request.extensions_mut().insert(deadline);
            let response = deadline.limit(async { Ok(next.run(request).await) }).await;
            response.unwrap_or_else(|status| Failure(status, None).into_response())
        }
    };
    let code = response.extensions().get::<Code>().map_or("OK", |code| code.as_str_name());
    log::call("rest", &path, code, started.elapsed());
    response
}

fn deadline(request: &Request) -> Outcome<Deadline> {
    let Some(value) = request.headers().get(DEADLINE_HEADER) else { return Ok(Deadline::default()) };
    let ms = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || Status::invalid(format!("{DEADLINE_HEADER} is not a number of milliseconds"));
    ms.map(Deadline::after_ms).ok_or_else(wrong)
}

/// What is answered in place of a result: the status in full, and an HTTP status if it is not the usual one.
struct Failure(Status, Option<StatusCode>);

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure(status, None)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Failure(status, http) = self;
        let mut response =
            json(http.unwrap_or_else(|| status.http()), &ErrorDocument { error: status.body() });
        // For the log.
        response.extensions_mut().insert(status.code);
        response
    }
}

type Answer = Result<Response, Failure>;

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => Failure(Status::internal(error), None).into_response(),
    }
}

fn wrong(rejection: impl Display) -> Status {
    Status::invalid(rejection.to_string())
}

/// Does work that may wait for the store, where nothing else waits for it.
async fn store<R: Send + 'static>(
    shared: Shared,
    work: impl FnOnce(&Service) -> Outcome<R> + Send + 'static,
) -> Outcome<R> {
    tokio::task::spawn_blocking(move || work(&shared.service)).await.map_err(Status::internal)?
}

/// A whole body.
async fn read(body: Body, most: usize) -> Outcome<Bytes> {
    let mut whole = BytesMut::new();
    let mut length = 0;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Status::cancelled())?;
        length += piece.len();
        if length <= most {
            whole.extend_from_slice(&piece);
        } else if length > PATIENCE * most {
            break;
        }
    }
    if length > most { Err(Status::too_large(length, most)) } else { Ok(whole.freeze()) }
}

async fn read_json<T: DeserializeOwned>(body: Body, most: usize) -> Outcome<T> {
    let body = read(body, most).await?;
    json_text::object(&body, "the body")
}

async fn list_users(State(shared): State<Shared>) -> Answer {
    let users: UserList = store(shared, |service| service.list_users(ListUsersRequest {})).await?;
    Ok(json(StatusCode::OK, &users))
}

async fn create_user(State(shared): State<Shared>, body: Body) -> Answer {
    let request: CreateUserRequest = read_json(body, shared.max_message).await?;
    let user = store(shared, |service| service.create_user(request)).await?;
    let mut response = json(StatusCode::CREATED, &user);
    // An id is a UUID, and so the path a header's value.
    if let Ok(location) = HeaderValue::try_from(format!("/api/users/{}", user.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

async fn get_user(State(shared): State<Shared>, id: Result<Path<String>, PathRejection>) -> Answer {
    let Path(id) = id.map_err(wrong)?;
    let user: User = store(shared, |service| service.get_user(GetUserRequest { id })).await?;
    Ok(json(StatusCode::OK, &user))
}

async fn update_user(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    body: Body,
) -> Answer {
    let CreateUserRequest { name, email } = read_json(body, shared.max_message).await?;
    let Path(id) = id.map_err(wrong)?;
    let user = store(shared, |service| service.update_user(UpdateUserRequest { id, name, email })).await?;
    Ok(json(StatusCode::OK, &user))
}

async fn delete_user(State(shared): State<Shared>, id: Result<Path<String>, PathRejection>) -> Answer {
    let Path(id) = id.map_err(wrong)?;
    let user = store(shared, |service| service.delete_user(DeleteUserRequest { id })).await?;
    Ok(json(StatusCode::OK, &user))
}

async fn search_users(
    State(shared): State<Shared>,
    query: Result<Query<SearchUsersRequest>, QueryRejection>,
) -> Answer {
    let Query(request) = query.map_err(wrong)?;
    let users = store(shared, |service| service.search_users(request)).await?;
    Ok(json(StatusCode::OK, &users))
}

async fn get_item(id: Result<Path<u32>, PathRejection>) -> Answer {
    let Path(id) = id.map_err(wrong)?;
    Ok(json(StatusCode::OK, &service::get_item(GetItemRequest { id })?))
}

/// The stretch of the catalogue that a query asks for.
#[derive(Deserialize)]
struct Stretch {
    #[serde(default = "one")]
    first: u32,
    #[serde(default = "hundred")]
    count: u32,
}

fn one() -> u32 {
    1
}

fn hundred() -> u32 {
    100
}

async fn list_items(
    Extension(deadline): Extension<Deadline>,
    query: Result<Query<Stretch>, QueryRejection>,
) -> Answer {
    let Query(Stretch { first, count }) = query.map_err(wrong)?;
    let items = service::list_items(ListItemsRequest { first, count })?;
    let items = items.map(move |item| deadline.check().map(|()| item));
    Ok(ndjson(stream::iter(items)))
}

async fn upload_items(State(shared): State<Shared>, body: Body) -> Answer {
    let mut lines = Lines::of(body, shared.max_message);
    let mut summary = UploadSummary::default();
    let outcome = async {
        while let Some(item) = lines.message::<Item>().await? {
            service::add_item(&mut summary, &item)?;
        }
        Ok::<_, Status>(())
    };
    if let Err(status) = outcome.await {
        lines.discard().await;
        return Err(Failure::from(status));
    }
    Ok(json(StatusCode::OK, &summary))
}

async fn chat(State(shared): State<Shared>, Extension(deadline): Extension<Deadline>, body: Body) -> Answer {
    let mut lines = Lines::of(body, shared.max_message);
    // Until the first answer the HTTP status can still say that something is wrong.
    let first: Option<ChatLine> = match lines.message().await {
        Ok(first) => first,
        Err(status) => {
            lines.discard().await;
            return Err(Failure::from(status));
        }
    };
    let rest = stream::try_unfold(lines, async |mut lines| {
        Ok(lines.message().await?.map(|line: ChatLine| (line, lines)))
    });
    let mut number = 0;
    let answers = stream::iter(first.map(Ok)).chain(rest).map(move |line| {
        deadline.check()?;
        number += 1;
        line.map(|line| service::answer(&line, number))
    });
    Ok(ndjson(answers))
}

/// How long an echo shall wait.
#[derive(Deserialize)]
struct Delay {
    #[serde(default)]
    delay_ms: u32,
}

async fn echo(
    State(shared): State<Shared>,
    query: Result<Query<Delay>, QueryRejection>,
    body: Body,
) -> Answer {
    // First of all: a client that still sends would not hear what is wrong.
    let body = read(body, shared.max_message).await?;
    let Query(Delay { delay_ms }) = query.map_err(wrong)?;
    let delay = service::delay(delay_ms)?;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// A stream as lines of JSON, up to its first error, which is the last line.
fn ndjson<T: Serialize + Send + Sync + 'static>(
    messages: impl Stream<Item = Outcome<T>> + Send + 'static,
) -> Response {
    let mut failed = false;
    let lines = messages
        .take_while(move |message| {
            let first = !failed;
            failed = message.is_err();
            std::future::ready(first)
        })
        .map(|message| line(&message));
    // What is there goes out together, but nothing waits for more.
    let pieces =
        lines.ready_chunks(PIECE / 64).map(|lines| Ok::<_, std::io::Error>(Bytes::from(lines.concat())));
    ([(CONTENT_TYPE, NDJSON)], Body::from_stream(pieces)).into_response()
}

fn line<T: Serialize>(message: &Outcome<T>) -> Vec<u8> {
    let line = match message {
        Ok(message) => serde_json::to_vec(message),
        Err(status) => serde_json::to_vec(&ErrorDocument { error: status.body() }),
    };
    let mut line = line.expect("a message of the contract is JSON");
    line.push(b'\n');
    line
}

/// Splits a body into lines.
struct Lines {
    pieces: BodyDataStream,
    rest: BytesMut,
    /// Up to here there is no end of a line in `rest`.
    searched: usize,
    max_line: usize,
}

impl Lines {
    fn of(body: Body, max_line: usize) -> Self {
        Lines { pieces: body.into_data_stream(), rest: BytesMut::new(), searched: 0, max_line }
    }

    /// The next line that is not blank, as a message.
    async fn message<T: DeserializeOwned>(&mut self) -> Outcome<Option<T>> {
        let Some(line) = self.next().await? else { return Ok(None) };
        json_text::object(&line, "a line of the body").map(Some)
    }

    /// Reads on for a while: a client that still sends would not hear why it was refused.
    async fn discard(mut self) {
        let mut length = 0;
        while length <= PATIENCE * self.max_line {
            match self.pieces.next().await {
                Some(Ok(piece)) => length += piece.len(),
                _ => return,
            }
        }
    }

    async fn next(&mut self) -> Outcome<Option<BytesMut>> {
        loop {
            if let Some(end) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(self.searched + end);
                self.rest.advance(1);
                self.searched = 0;
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            self.searched = self.rest.len();
            if self.searched > self.max_line {
                return Err(Status::too_large(self.searched, self.max_line));
            }
            match self.pieces.next().await {
                Some(piece) => self.rest.extend_from_slice(&piece.map_err(|_| Status::cancelled())?),
                None => {
                    self.searched = 0;
                    let line = self.rest.split();
                    return Ok((!line.trim_ascii().is_empty()).then_some(line));
                }
            }
        }
    }
}
