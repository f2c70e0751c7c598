//! The server.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Streaming};

use super::interceptor::{Interceptor, in_our_words};
use crate::deadline::Deadline;
use crate::proto::items_server::{Items, ItemsServer};
use crate::proto::users_server::{Users, UsersServer};
use crate::proto::{
    ChatLine, CreateUserRequest, DeleteUserRequest, EchoReply, EchoRequest, GetItemRequest, GetUserRequest,
    Item, ListItemsRequest, ListUsersRequest, SearchUsersRequest, UpdateUserRequest, UploadSummary, User,
    UserList,
};
use crate::service::{self, Service};
use crate::status::{Outcome, Status};

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

type Answer<T> = Result<Response<T>, tonic::Status>;
type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, tonic::Status>> + Send>>;

/// Serves connections until the runtime ends. Returns the address.
///
/// # Errors
/// That the address cannot be listened at.
pub async fn start(listen: &str, max_message: usize, service: Arc<Service>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let users = UsersServer::new(Grpc(Arc::clone(&service)))
        .max_decoding_message_size(max_message)
        .max_encoding_message_size(max_message);
    let items = ItemsServer::new(Grpc(service))
        .max_decoding_message_size(max_message)
        .max_encoding_message_size(max_message);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<UsersServer<Grpc>>().await;
    health.set_serving::<ItemsServer<Grpc>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let router = tonic::transport::Server::builder()
        .layer(Interceptor)
        .add_service(users)
        .add_service(items)
        .add_service(health_service)
        .add_service(reflection);
    let connections = TcpListenerStream::new(listener).map(|stream| {
        stream.and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    });
    tokio::spawn(async move {
        if let Err(error) = router.serve_with_incoming(connections).await {
            eprintln!("grpc: {error}");
        }
    });
    Ok(address)
}

struct Grpc(Arc<Service>);

impl Grpc {
    /// Does work that may wait for the store, where nothing else waits for it.
    async fn store<Q: Send + 'static, R: Send + 'static>(
        &self,
        request: Request<Q>,
        work: impl FnOnce(&Service, Q) -> Outcome<R> + Send + 'static,
    ) -> Answer<R> {
        let service = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&service, request.into_inner())).await;
        Ok(Response::new(done.map_err(Status::internal)??))
    }
}

/// What the interceptor has found.
fn deadline<T>(request: &Request<T>) -> Deadline {
    request.extensions().get().copied().unwrap_or_default()
}

#[tonic::async_trait]
impl Users for Grpc {
    async fn list(&self, request: Request<ListUsersRequest>) -> Answer<UserList> {
        self.store(request, Service::list_users).await
    }

    async fn get(&self, request: Request<GetUserRequest>) -> Answer<User> {
        self.store(request, Service::get_user).await
    }

    async fn create(&self, request: Request<CreateUserRequest>) -> Answer<User> {
        self.store(request, Service::create_user).await
    }

    async fn update(&self, request: Request<UpdateUserRequest>) -> Answer<User> {
        self.store(request, Service::update_user).await
    }

    async fn delete(&self, request: Request<DeleteUserRequest>) -> Answer<User> {
        self.store(request, Service::delete_user).await
    }

    async fn search(&self, request: Request<SearchUsersRequest>) -> Answer<UserList> {
        self.store(request, Service::search_users).await
    }
}

#[tonic::async_trait]
impl Items for Grpc {
    type ListStream = BoxStream<Item>;
    type ChatStream = BoxStream<ChatLine>;

    async fn get(&self, request: Request<GetItemRequest>) -> Answer<Item> {
        Ok(Response::new(service::get_item(request.into_inner())?))
    }

    async fn list(&self, request: Request<ListItemsRequest>) -> Answer<Self::ListStream> {
        let deadline = deadline(&request);
        let items = service::list_items(request.into_inner())?;
        let items = tokio_stream::iter(items).map(move |item| Ok(deadline.check().map(|()| item)?));
        Ok(Response::new(Box::pin(items)))
    }

    async fn upload(&self, request: Request<Streaming<Item>>) -> Answer<UploadSummary> {
        let mut items = request.into_inner();
        let mut summary = UploadSummary::default();
        while let Some(item) = items.message().await? {
            service::add_item(&mut summary, &item)?;
        }
        Ok(Response::new(summary))
    }

    async fn chat(&self, request: Request<Streaming<ChatLine>>) -> Answer<Self::ChatStream> {
        let deadline = deadline(&request);
        let answers = request.into_inner().scan(0, move |number, line| {
            *number += 1;
            let line = deadline.check().map_err(tonic::Status::from).and(line);
            let line = line.map_err(|status| in_our_words(status, "Items.Chat").into());
            std::future::ready(Some(line.map(|line| service::answer(&line, *number))))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn echo(&self, request: Request<EchoRequest>) -> Answer<EchoReply> {
        let EchoRequest { payload, delay_ms } = request.into_inner();
        let delay = service::delay(delay_ms)?;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        Ok(Response::new(EchoReply { payload }))
    }
}
