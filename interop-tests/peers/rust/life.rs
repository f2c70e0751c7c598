//! The commands of the life test: everything besides plain calls that a process can do with its endpoint.

use std::process;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use eshm::raw::exclusive::{self, Borrowed};
use eshm::{BatchError, Observer};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use crate::commands::{bytes, message, millis, number, opened_as, utf8};
use crate::looped::Endpoint;
use crate::observe::{Observation, observe, ready};
use crate::{Failure, role};

/// The message and the loan that the process has borrowed between two commands.
#[derive(Default)]
pub struct Borrows {
    /// A message that was received and not released.
    held: Option<Borrowed>,
    /// Whether a loan is open. Its message is written already.
    loan: bool,
}

impl Borrows {
    /// Answers a command of the life test. Returns `None` for another command.
    pub fn answer(
        &mut self,
        words: &[&str],
        endpoint: &mut Option<Endpoint>,
        in_tokio: bool,
    ) -> Result<Option<Observation>, Failure> {
        match *words {
            ["open-with", ref settings @ ..] => return open_with(settings, endpoint, in_tokio).map(Some),
            ["leave"] => return self.leave(endpoint).map(Some),
            ["observe", name] => return look(&utf8(&bytes(name)?)?).map(Some),
            ["exit-busy"] => exit_busy(endpoint.take()),
            _ => {}
        }
        let Some(endpoint) = endpoint.as_mut() else { return Ok(None) };
        if self.is_in_the_way(words[0]) {
            // A loan or held message borrows its half of the endpoint: such a program does not compile.
            return Ok(Some(Observation::Unsupported));
        }
        Ok(Some(match *words {
            ["send-many", wait, ref messages @ ..] => send_many(endpoint, wait, messages)?,
            ["recv-many", most, wait] => recv_many(endpoint, number(most)? as usize, millis(wait)?)?,
            // The synchronous interface ends a wait only by its timeout.
            ["cancel-recv", wait] => message(endpoint.cancel_recv(millis(wait)?)?),
            ["cancel-send", content, wait] => {
                let sent = endpoint.cancel_send(&bytes(content)?, millis(wait)?)?;
                sent.map_or(Observation::Nothing, |()| Observation::Ok)
            }
            ["loan", content, wait] => self.borrow_room(endpoint, &bytes(content)?, millis(wait)?)?,
            ["loan-send"] => {
                self.loan = false;
                exclusive::send_loan(endpoint.split().0)?;
                Observation::Ok
            }
            ["loan-drop"] => {
                self.loan = false;
                exclusive::give_back(endpoint.split().0);
                Observation::Ok
            }
            ["hold", wait] => self.hold(endpoint, millis(wait)?)?,
            ["held"] => self.show(),
            ["release"] => {
                self.held = None;
                exclusive::release(endpoint.split().1);
                Observation::Ok
            }
            ["fork"] => use_in_child(endpoint)?,
            _ => return Ok(None),
        }))
    }

    fn is_in_the_way(&self, verb: &str) -> bool {
        let receives = ["read", "try-read", "recv", "try-recv", "recv-many", "cancel-recv", "hold"];
        self.held.is_some() && receives.contains(&verb)
    }

    fn leave(&mut self, endpoint: &mut Option<Endpoint>) -> Result<Observation, Failure> {
        if let Some(endpoint) = endpoint {
            self.give_back(endpoint);
        }
        let unreceived = endpoint.take().map_or(Ok(0), Endpoint::close)?;
        Ok(Observation::Closed { unreceived: Some(unreceived) })
    }

    fn give_back(&mut self, endpoint: &mut Endpoint) {
        if self.held.take().is_some() {
            exclusive::release(endpoint.split().1);
        }
        if std::mem::take(&mut self.loan) {
            exclusive::give_back(endpoint.split().0);
        }
    }

    fn borrow_room(
        &mut self,
        endpoint: &mut Endpoint,
        content: &[u8],
        wait: Duration,
    ) -> Result<Observation, Failure> {
        endpoint.loan_timeout(content, wait, |loan| _ = exclusive::lend(loan))?;
        self.loan = true;
        Ok(Observation::Ok)
    }

    fn hold(&mut self, endpoint: &mut Endpoint, wait: Duration) -> Result<Observation, Failure> {
        let Some(received) = endpoint.recv_timeout(wait)? else { return Ok(Observation::Nothing) };
        let hex = hex::encode(&*received);
        let held = exclusive::borrow(received);
        self.held = Some(held);
        Ok(Observation::Message { hex, skipped: held.skipped, generation: held.generation })
    }

    /// Returns the held message again. It must not have changed.
    fn show(&self) -> Observation {
        let Some(held) = &self.held else { return Observation::Nothing };
        // SAFETY: nobody writes the memory until the receiver is used again, and `is_in_the_way` refuses such
        // commands while a message is held; `leave` and `exit-busy`, which drop the receiver, end the hold.
        let bytes = unsafe { std::slice::from_raw_parts(held.start, held.len) };
        Observation::Message { hex: hex::encode(bytes), skipped: 0, generation: 0 }
    }
}

/// Opens an endpoint with settings of the form `key=value`.
fn open_with(
    settings: &[&str],
    endpoint: &mut Option<Endpoint>,
    in_tokio: bool,
) -> Result<Observation, Failure> {
    let setting =
        |wanted: &str| settings.iter().find_map(|setting| setting.strip_prefix(wanted)?.strip_prefix('='));
    let name = utf8(&bytes(setting("name").ok_or_else(|| "no name is given".to_owned())?)?)?;
    let mut builder = eshm::Endpoint::builder(&name).reconnect_attempts(None);
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or_else(|| format!("{setting:?} has no value"))?;
        builder = match key {
            "name" => builder,
            "role" => builder.role(role(value)?),
            "data_size" => builder.data_size(number(value)? as usize),
            "queue_capacity" => builder.queue_capacity(number(value)? as usize),
            "stale_ms" => builder.stale_threshold(millis(value)?),
            "reconnect_timeout_ms" => builder.reconnect_timeout(millis(value)?),
            "reconnect_ms" => builder.reconnect_interval(millis(value)?),
            "connect_ms" => builder.connect_timeout(millis(value)?),
            _ => return Err(format!("{key:?} is no setting").into()),
        };
    }
    observe(&Observation::Opening);
    let opened = Endpoint::open(builder, in_tokio)?;
    ready();
    Ok(opened_as(endpoint.insert(opened)))
}

/// Sends a batch of messages. `-` waits without limit, 0 does not wait.
fn send_many(endpoint: &mut Endpoint, wait: &str, messages: &[&str]) -> Result<Observation, Failure> {
    let messages = messages.iter().map(|message| bytes(message)).collect::<Result<Vec<_>, _>>()?;
    let sent = match wait {
        "-" => endpoint.send_many(&messages),
        "0" => endpoint.split().0.try_send_many(&messages),
        wait => endpoint.send_many_timeout(&messages, millis(wait)?),
    };
    Ok(match sent {
        Ok(()) => Observation::Count { count: messages.len() as u64, code: 0, message: String::new() },
        Err(BatchError { sent, source }) => {
            Observation::Count { count: sent as u64, code: source.code(), message: source.to_string() }
        }
    })
}

fn recv_many(endpoint: &mut Endpoint, most: usize, wait: Duration) -> Result<Observation, Failure> {
    let mut texts = Vec::new();
    endpoint.recv_many_timeout(most, wait, |bytes| texts.push(hex::encode(bytes)))?;
    Ok(Observation::Messages { hex: texts })
}

fn look(name: &str) -> Result<Observation, Failure> {
    Observer::open(name)?.look();
    Ok(Observation::Ok)
}

/// Forks, and reports the error of the child's call.
fn use_in_child(endpoint: &mut Endpoint) -> Result<Observation, Failure> {
    // SAFETY: the child calls the endpoint, which is refused before it takes a lock, and leaves. What it allocates for
    // the error comes from an allocator that survives a fork.
    let forked = unsafe { fork() }.map_err(|error| format!("fork: {error}"))?;
    match forked {
        ForkResult::Child => {
            let code = endpoint.try_recv().map_or_else(|error| error.code(), |_| 0);
            process::exit(-code);
        }
        ForkResult::Parent { child } => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, status)) => Ok(Observation::Forked { code: -status }),
            other => Err(format!("the child ended with {other:?}").into()),
        },
    }
}

/// Exits while a thread waits for a message.
fn exit_busy(endpoint: Option<Endpoint>) -> ! {
    let (begins, begun) = mpsc::channel();
    thread::spawn(move || {
        let _ = begins.send(());
        if let Some(mut endpoint) = endpoint {
            // A message may come before the exit: the model accepts both.
            let _received = endpoint.recv();
            // The endpoint must not be dropped: the exit ends it.
            loop {
                thread::park();
            }
        }
    });
    let _ = begun.recv();
    // Usually long enough for the call to park. Otherwise the exit only comes earlier.
    thread::sleep(Duration::from_millis(3));
    observe(&Observation::Ok);
    process::exit(0);
}
