//! The OpenAPI document.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::OpenApi;

use crate::proto::{ChatLine, CreateUserRequest, Item, UploadSummary, User, UserList};
use crate::status::{ErrorBody, ErrorDocument};

/// Serves the document.
pub async fn document() -> Response {
    match Document::openapi().to_json() {
        Ok(document) => ([(CONTENT_TYPE, "application/json")], document).into_response(),
        Err(error) => (http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The functions below are only there for their descriptions: they say what `server` does.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Users and items",
        description = "One service over four transports; this is its REST side."
    ),
    paths(
        list_users,
        create_user,
        search_users,
        get_user,
        update_user,
        delete_user,
        get_item,
        list_items,
        upload_items,
        chat,
        echo,
        health
    ),
    components(schemas(
        User,
        UserList,
        CreateUserRequest,
        Item,
        UploadSummary,
        ChatLine,
        ErrorBody,
        ErrorDocument
    ))
)]
struct Document;

macro_rules! describe {
    ($($(#[$attribute:meta])* $name:ident;)*) => { $($(#[$attribute])* #[allow(dead_code, reason = "described, not called")] fn $name() {})* };
}

describe! {
    #[utoipa::path(get, path = "/api/users", responses((status = 200, description = "All users", body = UserList)))]
    list_users;
    #[utoipa::path(post, path = "/api/users", request_body = CreateUserRequest, responses(
        (status = 201, description = "The new user", body = User, headers(("Location" = String))),
        (status = 400, description = "INVALID_ARGUMENT", body = ErrorDocument),
        (status = 409, description = "ALREADY_EXISTS", body = ErrorDocument),
        (status = 413, description = "RESOURCE_EXHAUSTED", body = ErrorDocument)))]
    create_user;
    #[utoipa::path(get, path = "/api/users/search",
        params(("q" = String, Query, description = "A part of the name or e-mail", min_length = 1, max_length = 254)),
        responses(
            (status = 200, description = "The users found", body = UserList),
            (status = 400, description = "INVALID_ARGUMENT", body = ErrorDocument)))]
    search_users;
    #[utoipa::path(get, path = "/api/users/{id}", params(("id" = String, Path)), responses(
        (status = 200, description = "The user", body = User),
        (status = 400, description = "INVALID_ARGUMENT", body = ErrorDocument),
        (status = 404, description = "NOT_FOUND", body = ErrorDocument)))]
    get_user;
    #[utoipa::path(put, path = "/api/users/{id}", params(("id" = String, Path)), request_body = CreateUserRequest,
        responses(
            (status = 200, description = "The user as it is now", body = User),
            (status = 400, description = "INVALID_ARGUMENT", body = ErrorDocument),
            (status = 404, description = "NOT_FOUND", body = ErrorDocument),
            (status = 409, description = "ALREADY_EXISTS", body = ErrorDocument),
            (status = 413, description = "RESOURCE_EXHAUSTED", body = ErrorDocument)))]
    update_user;
    #[utoipa::path(delete, path = "/api/users/{id}", params(("id" = String, Path)), responses(
        (status = 200, description = "The user as it was", body = User),
        (status = 400, description = "INVALID_ARGUMENT", body = ErrorDocument),
        (status = 404, description = "NOT_FOUND", body = ErrorDocument)))]
    delete_user;
    #[utoipa::path(get, path = "/items/{id}", params(("id" = u32, Path)), responses(
        (status = 200, description = "The item", body = Item),
        (status = 400, description = "INVALID_ARGUMENT", body = ErrorDocument),
        (status = 404, description = "NOT_FOUND", body = ErrorDocument)))]
    get_item;
    #[utoipa::path(get, path = "/items",
        params(("first" = Option<u32>, Query), ("count" = Option<u32>, Query)),
        responses(
            (status = 200, description = "One item per line", body = Item, content_type = "application/x-ndjson"),
            (status = 400, description = "INVALID_ARGUMENT", body = ErrorDocument)))]
    list_items;
    #[utoipa::path(post, path = "/items",
        request_body(content = Item, content_type = "application/x-ndjson", description = "One item per line"),
        responses(
            (status = 200, description = "What came", body = UploadSummary),
            (status = 400, description = "INVALID_ARGUMENT", body = ErrorDocument),
            (status = 413, description = "RESOURCE_EXHAUSTED", body = ErrorDocument)))]
    upload_items;
    #[utoipa::path(post, path = "/items/chat",
        request_body(content = ChatLine, content_type = "application/x-ndjson", description = "One line per line"),
        responses(
            (status = 200, description = "One answer per line", body = ChatLine, content_type = "application/x-ndjson"),
            (status = 400, description = "INVALID_ARGUMENT", body = ErrorDocument),
            (status = 413, description = "RESOURCE_EXHAUSTED", body = ErrorDocument)))]
    chat;
    #[utoipa::path(post, path = "/echo", params(("delay_ms" = Option<u32>, Query, maximum = 10_000)),
        request_body(content = Vec<u8>, content_type = "application/octet-stream"),
        responses(
            (status = 200, description = "The same bytes", body = Vec<u8>, content_type = "application/octet-stream"),
            (status = 400, description = "INVALID_ARGUMENT", body = ErrorDocument),
            (status = 413, description = "RESOURCE_EXHAUSTED", body = ErrorDocument)))]
    echo;
    #[utoipa::path(get, path = "/healthz", responses((status = 200, description = "The server serves")))]
    health;
}
