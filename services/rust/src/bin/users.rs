//! The client of all transports.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::{Parser, Subcommand};
use serde::Serialize;
use users::client::Client;
use users::deadline::Deadline;
use users::proto::{
    ChatLine, CreateUserRequest, DeleteUserRequest, GetItemRequest, GetUserRequest, ListItemsRequest,
    SearchUsersRequest, UpdateUserRequest,
};
use users::status::{Outcome, Status};
use users::transport::Transport;
use users::{DEFAULT_MAX_MESSAGE, worker};

/// Asks a users-server over any of its transports.
///
/// Prints JSON, one object per line. An error goes to stderr as "CODE: message", with status 1.
#[derive(Parser)]
struct Arguments {
    /// How to reach the server
    #[arg(long, value_enum)]
    transport: Transport,
    /// Where it is: what its READY line says for the transport
    #[arg(long)]
    address: String,
    /// How long a call may take; 0: as long as it likes
    #[arg(long, default_value_t = 0, value_name = "N")]
    deadline_ms: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All users
    List,
    /// One user
    Get { id: String },
    /// A new user
    Create { name: String, email: String },
    /// Replaces name and e-mail
    Update { id: String, name: String, email: String },
    /// Removes a user
    Delete { id: String },
    /// The users whose name or e-mail contains Q
    Search { q: String },
    /// The same text back
    Echo { text: String },
    /// One item of the catalogue
    Item { id: u32 },
    /// A stretch of the catalogue
    Items {
        #[arg(long, default_value_t = 1)]
        first: u32,
        #[arg(long, default_value_t = 100)]
        count: u32,
    },
    /// Each line of stdin comes back in upper case
    Chat,
    /// For programs: JSON lines on stdin, see the README of the services
    Worker,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let connect = || arguments.transport.client(&arguments.address, DEFAULT_MAX_MESSAGE);
    let outcome = match arguments.command {
        Command::Worker => worker::run(&connect, std::io::stdin().lock(), &mut std::io::stdout().lock())
            .map_err(Status::internal),
        command => connect().map_err(Status::internal).and_then(|mut client| {
            let time = (arguments.deadline_ms > 0).then(|| Duration::from_millis(arguments.deadline_ms));
            run(client.as_mut(), command, Deadline::after(time))
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(status) => {
            eprintln!("{status}");
            ExitCode::FAILURE
        }
    }
}

fn run(client: &mut dyn Client, command: Command, deadline: Deadline) -> Outcome<()> {
    match command {
        Command::List => client.list_users(deadline)?.users.iter().try_for_each(print),
        Command::Get { id } => print(&client.get_user(GetUserRequest { id }, deadline)?),
        Command::Create { name, email } => {
            print(&client.create_user(CreateUserRequest { name, email }, deadline)?)
        }
        Command::Update { id, name, email } => {
            print(&client.update_user(UpdateUserRequest { id, name, email }, deadline)?)
        }
        Command::Delete { id } => print(&client.delete_user(DeleteUserRequest { id }, deadline)?),
        Command::Search { q } => {
            client.search_users(SearchUsersRequest { q }, deadline)?.users.iter().try_for_each(print)
        }
        Command::Echo { text } => {
            let mut reply = String::new();
            client.echo(&Bytes::from(text), 0, deadline, &mut |bytes| {
                reply = String::from_utf8_lossy(bytes).into_owned();
            })?;
            print(&serde_json::json!({ "text": reply }))
        }
        Command::Item { id } => print(&client.get_item(GetItemRequest { id }, deadline)?),
        Command::Items { first, count } => {
            let mut printed = Ok(());
            client.list_items(ListItemsRequest { first, count }, deadline, &mut |item| {
                printed = print(&item);
                if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            printed
        }
        Command::Chat => {
            let lines = std::io::stdin().lock().lines().map_while(Result::ok);
            let lines: Vec<_> = lines.map(|text| ChatLine { number: 0, text }).collect();
            let mut printed = Ok(());
            client.chat(Box::new(lines.into_iter()), deadline, &mut |line| printed = print(&line))?;
            printed
        }
        Command::Worker => unreachable!("handled by main"),
    }
}

fn print(result: &impl Serialize) -> Outcome<()> {
    let line = serde_json::to_string(result).map_err(Status::internal)?;
    writeln!(std::io::stdout(), "{line}").map_err(Status::internal)
}
