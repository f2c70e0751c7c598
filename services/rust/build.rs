//! Generates messages and gRPC stubs from `../proto`, without protoc.

use std::path::PathBuf;

use prost::Message;

/// Messages that also travel as JSON.
const JSON: [&str; 15] = [
    "User",
    "UserList",
    "ListUsersRequest",
    "GetUserRequest",
    "CreateUserRequest",
    "UpdateUserRequest",
    "DeleteUserRequest",
    "SearchUsersRequest",
    "Item",
    "GetItemRequest",
    "ListItemsRequest",
    "UploadSummary",
    "ChatLine",
    "EchoRequest",
    "EchoReply",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../proto");
    println!("cargo::rerun-if-changed={}", proto.display());
    let files = protox::compile(["users.proto", "items.proto", "eshm.proto"], [&proto])?;
    // Reflection serves the same descriptors.
    let descriptors = PathBuf::from(std::env::var("OUT_DIR")?).join("descriptors.bin");
    std::fs::write(descriptors, files.encode_to_vec())?;
    let mut config = tonic_prost_build::configure().bytes(".");
    for name in JSON {
        let path = format!("eshm.services.v1.{name}");
        config = config
            .type_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]")
            .type_attribute(&path, "#[serde(default)]");
    }
    // REST carries an echo as it is, so it is in no document.
    for name in JSON.iter().filter(|name| !name.starts_with("Echo")) {
        config = config.type_attribute(format!("eshm.services.v1.{name}"), "#[derive(utoipa::ToSchema)]");
    }
    for field in ["EchoRequest.payload", "EchoReply.payload"] {
        config = config
            .field_attribute(format!("eshm.services.v1.{field}"), "#[serde(with = \"crate::base64_bytes\")]");
    }
    config.compile_fds(files)?;
    Ok(())
}
