//! Timing of calls.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::deadline::Deadline;
use crate::proto::{CreateUserRequest, DeleteUserRequest, GetUserRequest, User};
use crate::status::{Outcome, Status};

/// Which call.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Which {
    /// `Items.Echo`.
    #[default]
    Echo,
    /// `Users.Get` of a user that is created before: it reads the store.
    Get,
}

/// What to time.
#[derive(Clone, Debug, Deserialize)]
pub struct Plan {
    #[serde(default)]
    call: Which,
    /// How many calls.
    calls: u64,
    /// Of an echo: of how many bytes.
    payload: usize,
    /// Whether all go through one connection.
    #[serde(default)]
    reuse: bool,
    /// How many calls before those that count.
    #[serde(default)]
    warmup: u64,
    /// How long to sleep before each that counts, in microseconds.
    #[serde(default)]
    pause_us: u64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Timing {
    latencies_ns: Latencies,
    histogram: Vec<(u64, u64)>,
    seconds: f64,
    errors: u64,
    cpu_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Latencies {
    count: u64,
    mean: f64,
    min: u64,
    max: u64,
    stdev: f64,
    p50: u64,
    p99: u64,
    p999: u64,
}

/// Times calls one after the other, each with its connection if that is not reused.
///
/// # Errors
/// INTERNAL when what comes back is not what was sent. Failed calls are counted, not returned.
pub fn run(client: &mut dyn Client, plan: &Plan) -> Outcome<Timing> {
    let work = match plan.call {
        Which::Echo => Work::Echo(pattern(plan.payload, 0)),
        Which::Get => Work::Get(create(client)?),
    };
    let timing = time(client, plan, &work);
    if let Work::Get(user) = work {
        client.delete_user(DeleteUserRequest { id: user.id }, Deadline::default())?;
    }
    timing
}

/// A call, and what it needs.
enum Work {
    Echo(Bytes),
    Get(User),
}

fn create(client: &mut dyn Client) -> Outcome<User> {
    let email = format!("bench.{:016x}@example.org", fastrand::u64(..));
    client.create_user(CreateUserRequest { name: "Bench".into(), email }, Deadline::default())
}

fn time(client: &mut dyn Client, plan: &Plan, work: &Work) -> Outcome<Timing> {
    for _ in 0..plan.warmup {
        call(client, work, plan.reuse, true)?;
    }
    // Up to a minute and a half per call, to three significant figures.
    let mut latencies = Histogram::<u64>::new_with_bounds(1, 100_000_000_000, 3).map_err(Status::internal)?;
    let (cpu, started) = (cpu_time()?, Instant::now());
    let mut errors = 0;
    for number in 0..plan.calls {
        let whole = number == 0 || number + 1 == plan.calls;
        if plan.pause_us > 0 {
            std::thread::sleep(Duration::from_micros(plan.pause_us));
        }
        let before = Instant::now();
        match call(client, work, plan.reuse, whole) {
            Ok(()) => latencies.saturating_record(before.elapsed().as_nanos() as u64),
            Err(status) if status.code == crate::status::Code::Internal => return Err(status),
            Err(_) => errors += 1,
        }
    }
    Ok(Timing {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: (cpu_time()? - cpu).as_secs_f64(),
        errors,
        histogram: latencies
            .iter_recorded()
            .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
            .collect(),
        latencies_ns: Latencies {
            count: latencies.len(),
            mean: latencies.mean(),
            min: if latencies.is_empty() { 0 } else { latencies.min() },
            max: latencies.max(),
            stdev: latencies.stdev(),
            p50: latencies.value_at_quantile(0.5),
            p99: latencies.value_at_quantile(0.99),
            p999: latencies.value_at_quantile(0.999),
        },
    })
}

/// So many bytes that tell a shift, a cut and another `seed` from the real thing.
pub fn pattern(size: usize, seed: u64) -> Bytes {
    (0..size)
        .map(|index| ((index as u64).wrapping_mul(31).wrapping_add(index as u64 >> 8) ^ seed) as u8)
        .collect()
}

/// One call, whose reply is checked: an echo's length, and its content too if `whole`.
fn call(client: &mut dyn Client, work: &Work, reuse: bool, whole: bool) -> Outcome<()> {
    if !reuse {
        client.close();
    }
    let mut same = false;
    match work {
        Work::Echo(payload) => client.echo(payload, 0, Deadline::default(), &mut |reply| {
            same = reply.len() == payload.len() && (!whole || reply == payload);
        })?,
        Work::Get(user) => {
            let request = GetUserRequest { id: user.id.clone() };
            same = client.get_user(request, Deadline::default())? == *user;
        }
    }
    if same { Ok(()) } else { Err(Status::internal("the reply is not what was expected")) }
}

fn cpu_time() -> Outcome<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).map_err(Status::internal)?;
    let total = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(nix::sys::time::TimeValLike::num_microseconds(&total) as u64))
}
