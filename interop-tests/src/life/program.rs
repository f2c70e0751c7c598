//! A program: a list of steps at two peers, and its text form with one step per line.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use crate::segment::Side;

/// Steps in order. A step that does not apply at its time, such as a call at a closed side, is
/// skipped. So every part of a program is a valid program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Removes the segment's file.
    Unlink,
    /// Waits for this many milliseconds.
    Wait(u64),
    /// An act at one side.
    At(Side, Act),
}

/// An act at one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Opens the endpoint, in a new process if the previous one has ended.
    Open(Opening),
    /// Closes the endpoint. The process continues.
    Close,
    /// SIGKILL at any moment.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// Ends the process by `exit`, while one of its threads waits in a call.
    ExitBusy,
    /// Forks. The child uses the endpoint.
    Fork,
    /// Inspects the segment as an observer.
    Observe,
    /// Another process tries to take this seat.
    Intrude,
    /// A call. The next step starts after its answer.
    Call(Verb),
    /// Begins a call. The next steps run while it is pending.
    Begin(Verb),
    /// Waits for the answer to the pending call.
    Finish,
}

/// The options for opening an endpoint. A missing one means the library's default, or the size of the segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Opens as `auto` instead of with the side's role.
    pub auto: bool,
    /// The data size, in bytes.
    pub data: Option<u64>,
    /// The queue capacity in bytes. 0: no queues.
    pub queue: Option<u64>,
}

/// One call. `longest` is the greatest length of the numbered message, `wait` a time-out in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the command of this name in the README")]
pub enum Verb {
    Write { longest: u64 },
    TryRead,
    Read { wait: u64 },
    Send { longest: u64, wait: Option<u64> },
    TrySend { longest: u64 },
    SendMany { count: u64, longest: u64, wait: Option<u64> },
    Loan { longest: u64, wait: u64 },
    LoanSend,
    LoanDrop,
    Recv { wait: Option<u64> },
    TryRecv,
    RecvMany { most: u64, wait: u64 },
    CancelRecv { wait: u64 },
    CancelSend { longest: u64, wait: u64 },
    Hold { wait: u64 },
    Held,
    Release,
    WaitPeer { wait: u64 },
    State,
}

impl Verb {
    /// Returns the name that scripts, peers and the coverage table use.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Write { .. } => "write",
            Verb::TryRead => "try-read",
            Verb::Read { .. } => "read",
            Verb::Send { .. } => "send",
            Verb::TrySend { .. } => "try-send",
            Verb::SendMany { .. } => "send-many",
            Verb::Loan { .. } => "loan",
            Verb::LoanSend => "loan-send",
            Verb::LoanDrop => "loan-drop",
            Verb::Recv { .. } => "recv",
            Verb::TryRecv => "try-recv",
            Verb::RecvMany { .. } => "recv-many",
            Verb::CancelRecv { .. } => "cancel-recv",
            Verb::CancelSend { .. } => "cancel-send",
            Verb::Hold { .. } => "hold",
            Verb::Held => "held",
            Verb::Release => "release",
            Verb::WaitPeer { .. } => "wait-peer",
            Verb::State => "state",
        }
    }

    /// Returns the greatest length of the messages or values that it sends.
    pub fn longest(self) -> Option<u64> {
        match self {
            Verb::Write { longest }
            | Verb::Send { longest, .. }
            | Verb::TrySend { longest }
            | Verb::SendMany { longest, .. }
            | Verb::CancelSend { longest, .. }
            | Verb::Loan { longest, .. } => Some(longest),
            _ => None,
        }
    }

    /// Returns whether it receives messages.
    pub fn receives(self) -> bool {
        matches!(
            self,
            Verb::Recv { .. }
                | Verb::TryRecv
                | Verb::CancelRecv { .. }
                | Verb::RecvMany { .. }
                | Verb::Hold { .. }
        )
    }

    /// Returns whether it receives messages or reads a value.
    pub fn looks(self) -> bool {
        self.receives() || matches!(self, Verb::TryRead | Verb::Read { .. })
    }

    /// Returns whether it always returns within its timeout.
    pub fn is_bounded(self) -> bool {
        !matches!(
            self,
            Verb::Send { wait: None, .. } | Verb::SendMany { wait: None, .. } | Verb::Recv { wait: None }
        )
    }

    fn parse(words: &[&str]) -> Result<Verb> {
        Ok(match *words {
            ["write", longest] => Verb::Write { longest: number(longest)? },
            ["try-read"] => Verb::TryRead,
            ["read", wait] => Verb::Read { wait: number(wait)? },
            ["send", longest] => Verb::Send { longest: number(longest)?, wait: None },
            ["send", longest, wait] => Verb::Send { longest: number(longest)?, wait: Some(number(wait)?) },
            ["try-send", longest] => Verb::TrySend { longest: number(longest)? },
            ["send-many", count, longest, wait] => {
                let wait = if wait == "-" { None } else { Some(number(wait)?) };
                Verb::SendMany { count: number(count)?, longest: number(longest)?, wait }
            }
            ["loan", longest, wait] => Verb::Loan { longest: number(longest)?, wait: number(wait)? },
            ["loan-send"] => Verb::LoanSend,
            ["loan-drop"] => Verb::LoanDrop,
            ["recv"] => Verb::Recv { wait: None },
            ["recv", wait] => Verb::Recv { wait: Some(number(wait)?) },
            ["try-recv"] => Verb::TryRecv,
            ["recv-many", most, wait] => Verb::RecvMany { most: number(most)?, wait: number(wait)? },
            ["cancel-recv", wait] => Verb::CancelRecv { wait: number(wait)? },
            ["cancel-send", longest, wait] => {
                Verb::CancelSend { longest: number(longest)?, wait: number(wait)? }
            }
            ["hold", wait] => Verb::Hold { wait: number(wait)? },
            ["held"] => Verb::Held,
            ["release"] => Verb::Release,
            ["wait-peer", wait] => Verb::WaitPeer { wait: number(wait)? },
            ["state"] => Verb::State,
            _ => bail!("there is no step {:?}", words.join(" ")),
        })
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match *self {
            Verb::Write { longest } | Verb::TrySend { longest } => write!(f, " {longest}"),
            Verb::Send { longest, wait: None } => write!(f, " {longest}"),
            Verb::Send { longest, wait: Some(wait) }
            | Verb::CancelSend { longest, wait }
            | Verb::Loan { longest, wait } => write!(f, " {longest} {wait}"),
            Verb::SendMany { count, longest, wait: None } => write!(f, " {count} {longest} -"),
            Verb::SendMany { count, longest, wait: Some(wait) } => write!(f, " {count} {longest} {wait}"),
            Verb::RecvMany { most, wait } => write!(f, " {most} {wait}"),
            Verb::Read { wait }
            | Verb::Recv { wait: Some(wait) }
            | Verb::CancelRecv { wait }
            | Verb::Hold { wait }
            | Verb::WaitPeer { wait } => write!(f, " {wait}"),
            _ => Ok(()),
        }
    }
}

impl Act {
    fn parse(words: &[&str]) -> Result<Act> {
        Ok(match *words {
            ["open", ref settings @ ..] => Act::Open(Opening::parse(settings)?),
            ["close"] => Act::Close,
            ["kill"] => Act::Kill,
            ["stop"] => Act::Stop,
            ["continue"] => Act::Continue,
            ["exit-busy"] => Act::ExitBusy,
            ["fork"] => Act::Fork,
            ["observe"] => Act::Observe,
            ["intrude"] => Act::Intrude,
            ["finish"] => Act::Finish,
            ["begin", ref call @ ..] => Act::Begin(Verb::parse(call)?),
            ref call => Act::Call(Verb::parse(call)?),
        })
    }

    /// Returns the event's name. `None` for a call.
    pub fn event(self) -> Option<&'static str> {
        Some(match self {
            Act::Open(_) => "open",
            Act::Close => "close",
            Act::Kill => "kill",
            Act::Stop => "stop",
            Act::Continue => "continue",
            Act::ExitBusy => "exit-busy",
            Act::Fork => "fork",
            Act::Observe => "observe",
            Act::Intrude => "intrude",
            Act::Finish => "finish",
            Act::Begin(_) => "begin",
            Act::Call(_) => return None,
        })
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Open(opening) => write!(f, "open{opening}"),
            Act::Begin(verb) => write!(f, "begin {verb}"),
            Act::Call(verb) => write!(f, "{verb}"),
            other => f.write_str(other.event().expect("all but calls are events")),
        }
    }
}

impl Opening {
    fn parse(settings: &[&str]) -> Result<Opening> {
        let mut opening = Opening::default();
        for setting in settings {
            match setting.split_once('=') {
                Some(("data", bytes)) => opening.data = Some(number(bytes)?),
                Some(("queue", bytes)) => opening.queue = Some(number(bytes)?),
                None if *setting == "auto" => opening.auto = true,
                _ => bail!("there is no setting {setting:?}; expected auto, data=BYTES or queue=BYTES"),
            }
        }
        Ok(opening)
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.auto {
            f.write_str(" auto")?;
        }
        self.data.map_or(Ok(()), |bytes| write!(f, " data={bytes}"))?;
        self.queue.map_or(Ok(()), |bytes| write!(f, " queue={bytes}"))
    }
}

impl FromStr for Step {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Step> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(match *words {
            ["unlink"] => Step::Unlink,
            ["wait", millis] => Step::Wait(number(millis)?),
            ["master", ref act @ ..] => Step::At(Side::Master, Act::parse(act)?),
            ["slave", ref act @ ..] => Step::At(Side::Slave, Act::parse(act)?),
            _ => bail!("there is no step {line:?}"),
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Unlink => f.write_str("unlink"),
            Step::Wait(millis) => write!(f, "wait {millis}"),
            Step::At(side, act) => write!(f, "{} {act}", side.word()),
        }
    }
}

impl FromStr for Program {
    type Err = anyhow::Error;

    /// Reads one step per line. `#` begins a comment. Empty lines are ignored.
    fn from_str(text: &str) -> Result<Program> {
        let mut steps = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let step = line.split('#').next().unwrap_or_default().trim();
            if !step.is_empty() {
                steps.push(step.parse().with_context(|| format!("line {}", index + 1))?);
            }
        }
        Ok(Program { steps })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

fn number(word: &str) -> Result<u64> {
    word.parse().with_context(|| format!("{word:?} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_program_is_read_back() {
        let text = "master open data=256 queue=4096\nslave open auto\nmaster send 56\nmaster send 56 20\n\
                    slave begin recv 100\nmaster send-many 3 40 -\nslave finish\nslave recv\nunlink\nwait 10\n\
                    slave hold 5\nslave kill\nmaster loan 300 0\nmaster loan-send\nmaster exit-busy\n\
                    slave cancel-recv 5\nmaster cancel-send 56 1\n";
        let program: Program = text.parse().unwrap();
        assert_eq!(program.steps.len(), 17);
        assert_eq!(program.to_string(), text);
    }

    #[test]
    fn an_unknown_step_is_named_with_its_line() {
        let error = "# a comment\n\nmaster open\nslave dance".parse::<Program>().unwrap_err();
        assert_eq!(format!("{error:#}"), "line 4: there is no step \"dance\"");
    }
}
