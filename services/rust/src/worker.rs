//! The client for programs: one JSON object per line in, one out. What each op takes and returns is in `../README.md`.

use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bench;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::proto::{
    ChatLine, CreateUserRequest, DeleteUserRequest, GetItemRequest, GetUserRequest, Item, ListItemsRequest,
    SearchUsersRequest, UpdateUserRequest, UploadSummary,
};
use crate::service;
use crate::status::{Outcome, Status};

/// Makes clients like the worker's own.
pub type Connect<'a> = &'a (dyn Fn() -> io::Result<Box<dyn Client>> + Sync);

#[derive(Deserialize)]
struct Order {
    op: String,
    #[serde(default)]
    params: Value,
}

/// How much of the catalogue, and how to take it.
#[derive(Deserialize)]
struct Stretch {
    first: u32,
    count: u32,
    take: Option<u32>,
    hold: Option<u32>,
}

#[derive(Deserialize)]
struct EchoOrder {
    size: usize,
    #[serde(default)]
    delay_ms: u32,
}

#[derive(Deserialize)]
struct Crowd {
    clients: u32,
    calls: u32,
}

#[derive(Default, Serialize)]
struct CrowdReport {
    calls: u64,
    crossed: u64,
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
}

/// Does what the lines of `input` say, and answers each with a line, until they end.
///
/// # Errors
/// Those of the streams, and of `connect`.
pub fn run(connect: Connect<'_>, input: impl BufRead, output: &mut dyn Write) -> io::Result<()> {
    let mut client = connect()?;
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let outcome = serde_json::from_str(&line)
            .map_err(|error| Status::invalid(format!("the worker does not understand the line: {error}")))
            .and_then(|order: Order| obey(client.as_mut(), connect, order, output));
        let answer = match outcome {
            Ok(value) => json!({ "ok": value }),
            Err(status) => json!({ "error": status.body() }),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn obey(
    client: &mut dyn Client,
    connect: Connect<'_>,
    order: Order,
    output: &mut dyn Write,
) -> Outcome<Value> {
    let Order { op, params } = order;
    let params = if params.is_null() { json!({}) } else { params };
    let deadline = Deadline::after_ms(params["deadline_ms"].as_u64().unwrap_or(0) as u32);
    match op.as_str() {
        "connect" => client.connect().map(|()| json!({})),
        "close" => {
            client.close();
            Ok(json!({}))
        }
        "list" => value(client.list_users(deadline)?),
        "search" => value(client.search_users(read::<SearchUsersRequest>(params)?, deadline)?),
        "get" => value(client.get_user(read::<GetUserRequest>(params)?, deadline)?),
        "create" => value(client.create_user(read::<CreateUserRequest>(params)?, deadline)?),
        "update" => value(client.update_user(read::<UpdateUserRequest>(params)?, deadline)?),
        "delete" => value(client.delete_user(read::<DeleteUserRequest>(params)?, deadline)?),
        "item_get" => value(client.get_item(read::<GetItemRequest>(params)?, deadline)?),
        "item_list" => value(list(client, &read(params)?, deadline, output)?),
        "item_upload" => {
            let Stretch { first, count, .. } = read(params)?;
            let items = (first..first.saturating_add(count)).map(service::item);
            value(client.upload_items(Box::new(items), deadline)?)
        }
        "item_chat" => chat(client, &params["texts"], deadline),
        "echo" => echo(client, &read(params)?, deadline),
        "call" => {
            let method = params["method"].as_str().unwrap_or_default();
            client.call(method, deadline).map(|()| json!({}))
        }
        "bench" => value(bench::run(client, &read(params)?)?),
        "crowd" => value(crowd(connect, &read(params)?)),
        _ => Err(Status::invalid(format!("the worker has no op '{op}'"))),
    }
}

fn read<T: serde::de::DeserializeOwned>(params: Value) -> Outcome<T> {
    serde_json::from_value(params).map_err(|error| Status::invalid(format!("params: {error}")))
}

fn value(result: impl Serialize) -> Outcome<Value> {
    serde_json::to_value(result).map_err(Status::internal)
}

fn list(
    client: &mut dyn Client,
    stretch: &Stretch,
    deadline: Deadline,
    output: &mut dyn Write,
) -> Outcome<UploadSummary> {
    let mut came = UploadSummary::default();
    let mut wrong = None;
    let request = ListItemsRequest { first: stretch.first, count: stretch.count };
    client.list_items(request, deadline, &mut |item: Item| {
        let expected = stretch.first + came.count;
        if item != service::item(expected) {
            wrong = Some(Status::internal(format!("item {expected} was expected, {item:?} came")));
            return ControlFlow::Break(());
        }
        came.count += 1;
        came.sum += u64::from(item.id);
        if stretch.hold == Some(came.count) {
            hold(came.count, output);
        }
        if stretch.take == Some(came.count) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    wrong.map_or(Ok(came), Err)
}

/// Says that so many have come, and stands still until the process is killed.
fn hold(count: u32, output: &mut dyn Write) -> ! {
    let said = writeln!(output, "{}", json!({ "hold": count })).and_then(|()| output.flush());
    if said.is_err() {
        std::process::exit(1);
    }
    loop {
        std::thread::park();
    }
}

fn chat(client: &mut dyn Client, texts: &Value, deadline: Deadline) -> Outcome<Value> {
    let texts: Vec<String> = read(texts.clone())?;
    let mut answers = Vec::new();
    let mut numbers = Vec::new();
    let lines = texts.into_iter().map(|text| ChatLine { number: 0, text });
    client.chat(Box::new(lines), deadline, &mut |line| {
        numbers.push(line.number);
        answers.push(line.text);
    })?;
    if !numbers.iter().copied().eq(1..=numbers.len() as u32) {
        return Err(Status::internal(format!("the answers' numbers are {numbers:?}")));
    }
    Ok(json!({ "texts": answers }))
}

fn echo(client: &mut dyn Client, order: &EchoOrder, deadline: Deadline) -> Outcome<Value> {
    let payload = bench::pattern(order.size, 0);
    let mut same = false;
    client.echo(&payload, order.delay_ms, deadline, &mut |reply| same = reply == payload)?;
    if same {
        Ok(json!({ "size": order.size }))
    } else {
        Err(Status::internal("the echo is not what was sent"))
    }
}

/// So many clients at once, each with echoes of its own content.
fn crowd(connect: Connect<'_>, crowd: &Crowd) -> CrowdReport {
    let reports = std::thread::scope(|scope| {
        let members: Vec<_> = (0..crowd.clients)
            .map(|number| scope.spawn(move || member(connect, number, crowd.calls)))
            .collect();
        members.into_iter().map(|member| member.join()).collect::<Vec<_>>()
    });
    let mut sum = CrowdReport::default();
    for report in reports {
        let report = report.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        sum.calls += report.calls;
        sum.crossed += report.crossed;
        sum.lost += report.lost;
        sum.first_error = sum.first_error.or(report.first_error);
    }
    sum
}

fn member(connect: Connect<'_>, number: u32, calls: u32) -> CrowdReport {
    let mut report = CrowdReport { calls: calls.into(), ..CrowdReport::default() };
    let mut client = match connect() {
        Ok(client) => client,
        Err(error) => {
            return CrowdReport { lost: calls.into(), first_error: Some(error.to_string()), ..report };
        }
    };
    for call in 0..calls {
        let mark = (u64::from(number) << 32 | u64::from(call)).to_be_bytes();
        let payload = Bytes::from(mark.repeat(1 + call as usize % 64));
        let mut same = false;
        match client.echo(&payload, 0, Deadline::default(), &mut |reply| same = reply == payload) {
            Ok(()) if same => {}
            Ok(()) => report.crossed += 1,
            Err(status) => {
                report.lost += 1;
                report.first_error.get_or_insert(status.to_string());
            }
        }
    }
    report
}
