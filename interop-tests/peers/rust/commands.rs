//! The scenario `commands`: one line on stdin is one call, answered by one observation.

use std::io;
use std::time::Duration;

use eshm::{Message, text};

use crate::life::Borrows;
use crate::looped::Endpoint;
use crate::observe::{Observation, observe};
use crate::{Arguments, Failure, error, open, payload, role};

/// Answers commands until stdin ends, then closes the endpoint.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut endpoint = None;
    let mut borrows = Borrows::default();
    for line in io::stdin().lines() {
        let line = line.map_err(|error| format!("stdin: {error}"))?;
        let words: Vec<&str> = line.split(' ').collect();
        let said = match borrows.answer(&words, &mut endpoint, arguments.tokio) {
            Ok(None) => answer(&words, &mut endpoint, arguments),
            said => said.map(|said| said.expect("matched above")),
        };
        match said {
            Ok(observation) => observe(&observation),
            Err(Failure::Eshm(failure)) => observe(&error(&failure)),
            Err(broken) => return Err(broken),
        }
    }
    close(&mut endpoint)?;
    Ok(())
}

fn answer(
    words: &[&str],
    endpoint: &mut Option<Endpoint>,
    arguments: &Arguments,
) -> Result<Observation, Failure> {
    match *words {
        ["open"] => {
            let opened = open(arguments, arguments.role, &arguments.name, arguments.size)?;
            return Ok(opened_as(endpoint.insert(opened)));
        }
        ["open", role_word, name, ref size @ ..] => {
            let name = utf8(&bytes(name)?)?;
            let size = size.first().map(|size| number(size)).transpose()?.map(|size| size as usize);
            let opened = open(arguments, role(role_word)?, &name, size)?;
            return Ok(opened_as(endpoint.insert(opened)));
        }
        ["close"] => return close(endpoint),
        ["payload", seed, index, longest] => {
            let bytes = payload::payload(number(seed)?, number(index)?, number(longest)? as usize);
            return Ok(Observation::Payload { hex: hex::encode(bytes) });
        }
        _ => {}
    }
    let endpoint = endpoint.as_mut().ok_or_else(|| format!("{words:?}: no endpoint is open"))?;
    match *words {
        ["state"] => return Ok(state(endpoint)),
        ["wait-peer", timeout] => endpoint.wait_for_peer(millis(timeout)?)?,
        ["write", message] => endpoint.write(&bytes(message)?)?,
        ["try-send", message] => endpoint.try_send(&bytes(message)?)?,
        ["send", message] => endpoint.send(&bytes(message)?)?,
        ["send", message, timeout] => endpoint.send_timeout(&bytes(message)?, millis(timeout)?)?,
        ["send-text", message] => endpoint.send(&text::encode(&utf8(&bytes(message)?)?)?)?,
        ["try-read"] => return Ok(message(endpoint.try_read()?)),
        ["read"] => return Ok(message(Some(endpoint.read()?))),
        ["read", timeout] => return Ok(message(endpoint.read_timeout(millis(timeout)?)?)),
        ["try-recv"] => return Ok(message(endpoint.try_recv()?)),
        ["recv"] => return Ok(message(Some(endpoint.recv()?))),
        ["recv", timeout] => return Ok(message(endpoint.recv_timeout(millis(timeout)?)?)),
        ["recv-text"] => return Ok(Observation::Text { text: endpoint.recv()?.text()? }),
        _ => return Err(format!("{words:?} is no command").into()),
    }
    Ok(Observation::Ok)
}

pub fn opened_as(endpoint: &Endpoint) -> Observation {
    Observation::Opened { role: endpoint.role().to_string(), data_size: endpoint.data_size() }
}

fn close(endpoint: &mut Option<Endpoint>) -> Result<Observation, Failure> {
    if let Some(endpoint) = endpoint.take() {
        endpoint.close()?;
    }
    Ok(Observation::Ok)
}

fn state(endpoint: &Endpoint) -> Observation {
    Observation::State {
        role: endpoint.role().to_string(),
        peer: endpoint.peer_state().to_string(),
        generation: endpoint.generation(),
        data_size: endpoint.data_size(),
    }
}

pub fn message(message: Option<Message<'_>>) -> Observation {
    match message {
        None => Observation::Nothing,
        Some(message) => Observation::Message {
            hex: hex::encode(&*message),
            skipped: message.skipped(),
            generation: message.generation(),
        },
    }
}

/// Hexadecimal. `-` stands for no bytes.
pub fn bytes(word: &str) -> Result<Vec<u8>, Failure> {
    if word == "-" {
        return Ok(Vec::new());
    }
    hex::decode(word).map_err(|error| format!("{word:?}: {error}").into())
}

pub fn utf8(bytes: &[u8]) -> Result<String, Failure> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string().into())
}

pub fn number(word: &str) -> Result<u64, Failure> {
    word.parse().map_err(|error| format!("{word:?}: {error}").into())
}

pub fn millis(word: &str) -> Result<Duration, Failure> {
    Ok(Duration::from_millis(number(word)?))
}
