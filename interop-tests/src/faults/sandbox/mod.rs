//! The suite `sandbox`: peers work without missing or limited facilities, or report them.

mod confine;
mod group;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

pub use confine::{Confinement, confine};

use super::row::Row;
use crate::language::{LANGUAGES, Language};
use crate::observe::Observation;
use crate::peer::Peer;
use crate::segment::{Segment, Side};
use crate::toolchain::Peers;
use group::Group;

/// The latency limit for a message to a parked receiver. Without this facility a wait polls.
const SOON: Duration = Duration::from_millis(500);

/// The time limit to notice a peer's death. The stale threshold is 100 ms.
const NOTICE: Duration = Duration::from_secs(5);
/// The timeout of a wait for which nothing arrives.
const WAIT: Duration = Duration::from_millis(400);
/// The message and value that are sent, in hexadecimal.
const BYTES: &str = "6f6e65";

/// The expected behaviour of a confined endpoint.
enum Outcome {
    /// It works as usual.
    Works,
    /// It does not open. The error text contains one word of each list.
    Refuses(&'static [&'static str]),
}

use Outcome::{Refuses, Works};

/// A restriction, and the expected behaviour.
struct Case {
    confinements: &'static [&'static str],
    outcome: Outcome,
}

/// The memory limit of the control group in bytes, and a queue capacity that does not fit into it twice.
const MEMORY: u64 = 80 << 20;
const LARGE: u64 = 100 << 20;

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { confinements: &["no-membarrier"], outcome: Works },
    Case { confinements: &["no-shared-futex"], outcome: Works },
    Case { confinements: &["no-o_tmpfile"], outcome: Works },
    Case { confinements: &["no-fallocate"], outcome: Works },
    Case { confinements: &["no-getrandom"], outcome: Works },
    Case { confinements: &["no-statx"], outcome: Works },
    Case { confinements: &["no-clone3"], outcome: Works },
    Case { confinements: &["no-scheduling"], outcome: Works },
    Case { confinements: &["no-kill"], outcome: Works },
    Case { confinements: &["no-proc"], outcome: Works },
    Case { confinements: &["no-proc", "no-o_tmpfile", "no-membarrier"], outcome: Works },
    Case { confinements: &["own-pids"], outcome: Works },
    Case { confinements: &["own-pids", "no-kill"], outcome: Works },
    Case { confinements: &["no-ofd-locks"], outcome: Refuses(&["lock"]) },
    // A new file has the default mode already.
    Case { confinements: &["no-fchmod"], outcome: Works },
    Case { confinements: &["no-shm"], outcome: Refuses(&["/dev/shm", "missing"]) },
    Case { confinements: &["shm=ro"], outcome: Refuses(&["/dev/shm", "read-only"]) },
    Case { confinements: &["shm=size=64k"], outcome: Refuses(&["/dev/shm", "full"]) },
    Case { confinements: &["file-size=65536"], outcome: Refuses(&["ulimit -f"]) },
];

/// Runs every case with every language, and prints a row for each case. Returns whether all passed.
///
/// # Errors
/// If the peers cannot be built.
pub fn run(only: &[String]) -> Result<bool> {
    let languages: Vec<&Language> = LANGUAGES
        .iter()
        .filter(|language| only.is_empty() || only.iter().any(|name| name == language.name))
        .collect();
    let peers = Peers::prepare(&languages)?;
    let mut passed = true;
    for case in CASES {
        let confinements: Vec<_> = case.confinements.iter().map(|&one| one.to_owned()).collect();
        passed &=
            show(try_all(
                &case.confinements.join(" "),
                &confinements,
                &languages,
                &peers,
                |stage| match case.outcome {
                    Works => stage.works(),
                    Refuses(words) => stage.refuses("", words),
                },
            ));
    }
    passed &= show(little_memory(&languages, &peers));
    passed &= show(busy(&languages, &peers));
    Ok(passed)
}

/// Prints a row. Returns whether it passed.
fn show(row: Row) -> bool {
    row.print();
    row.passed
}

/// Runs a case with each language, if this machine supports it.
fn try_all(
    name: &str,
    confinements: &[String],
    languages: &[&'static Language],
    peers: &Peers,
    held: impl Fn(&Stage<'_>) -> Result<()>,
) -> Row {
    let mut row = Row::new("sandbox", name);
    if let Err(error) = allowed(confinements) {
        row.skipped = true;
        row.reason = format!("{error:#}");
        return row;
    }
    let there: Vec<_> =
        languages.iter().copied().filter(|language| peers.command(language).is_some()).collect();
    for language in &there {
        if let Err(error) = held(&Stage { confinements, language, peers }) {
            row.fail(&format!("{}: {error:#}", language.name));
        }
    }
    row.figure("languages", there.len() as f64)
}

/// In a control group with little memory, a large segment is an error that names both numbers, and not a SIGKILL.
fn little_memory(languages: &[&'static Language], peers: &Peers) -> Row {
    let name = "little memory";
    let group = match Group::with_memory(MEMORY) {
        Ok(group) => group,
        Err(error) => {
            let mut row = Row::new("sandbox", name);
            row.skipped = true;
            row.reason = format!("{error:#}");
            return row;
        }
    };
    let confinement = format!("group={}", group.folder().display());
    let settings = format!(" queue_capacity={LARGE}");
    try_all(name, &[confinement], languages, peers, |stage| {
        stage.refuses(&settings, &["218113152", "group", "left"])
    })
}

/// With eight busy processes on the machine, no peer is taken for frozen. Since
/// other programs use the machine, too, a language is tried three times.
fn busy(languages: &[&'static Language], peers: &Peers) -> Row {
    let spinner = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn();
    let mut spinners = Vec::new();
    let crowd = (0..8).try_for_each(|_| spinner().map(|child| spinners.push(child)));
    let row = try_all("eight busy processes", &[], languages, peers, |stage| {
        crowd.as_ref().map_err(|error| anyhow!("a busy process: {error}"))?;
        stage.stays_alive().or_else(|_| stage.stays_alive()).or_else(|_| stage.stays_alive())
    });
    for mut spinner in spinners {
        // Both fail only if the process has already ended.
        let _ = spinner.kill();
        let _ = spinner.wait();
    }
    row
}

/// Returns whether this machine supports the restriction.
fn allowed(confinements: &[String]) -> Result<()> {
    if confinements.is_empty() {
        return Ok(());
    }
    let tried = cell(confinements)?.arg("true").output().context("the program `cell`")?;
    ensure!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr).trim());
    Ok(())
}

/// Returns the command that confines the command that follows it.
fn cell(confinements: &[String]) -> Result<Command> {
    let here: PathBuf = std::env::current_exe()?;
    let mut command = Command::new(here.with_file_name("cell"));
    command.args(confinements).arg("--");
    Ok(command)
}

/// Runs one case with one language.
struct Stage<'a> {
    confinements: &'a [String],
    language: &'static Language,
    peers: &'a Peers,
}

impl Stage<'_> {
    fn start(&self, side: Side, confined: bool) -> Result<Peer> {
        let plain = self.peers.command(self.language).context("its language is missing")?;
        let mut command = plain;
        if confined {
            let inner = command;
            command = cell(self.confinements)?;
            command.arg(inner.get_program()).args(inner.get_args());
        }
        command.args([side.word(), "unused", "commands"]);
        let place = if confined { "confined" } else { "free" };
        Peer::start(format!("{} {} ({place})", self.language.name, side.word()), command)
    }

    /// Runs the case with both ends confined, and with each end confined alone.
    fn works(&self) -> Result<()> {
        for (master, slave) in [(true, true), (true, false), (false, true)] {
            let segment = Segment::fresh("sandbox");
            let mut master = self.start(Side::Master, master)?;
            let mut slave = self.start(Side::Slave, slave)?;
            self.exchange(&segment, &mut master, &mut slave)
                .with_context(|| format!("between {master} and {slave}"))?;
            rests(&mut slave)?;
            slave.kill()?;
            notices(&mut master)?;
            master.expect("close", &Observation::Ok)?;
            master.finish()?;
            segment.is_gone()?;
        }
        Ok(())
    }

    /// Checks for a second that each end always sees the other as alive.
    fn stays_alive(&self) -> Result<()> {
        let segment = Segment::fresh("sandbox");
        let mut master = self.start(Side::Master, false)?;
        let mut slave = self.start(Side::Slave, false)?;
        self.exchange(&segment, &mut master, &mut slave)?;
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(1) {
            for peer in [&mut master, &mut slave] {
                let state = peer.ask("state")?;
                let alive = matches!(&state, Observation::State { peer, .. } if peer == "alive");
                ensure!(alive, "{peer}: {state:?} although its peer lives");
            }
        }
        slave.finish()?;
        master.finish()?;
        Ok(())
    }

    /// Sends a message and a value in each direction to a receiver that is already parked.
    fn exchange(&self, segment: &Segment, master: &mut Peer, slave: &mut Peer) -> Result<()> {
        for (peer, side) in [(&mut *master, Side::Master), (&mut *slave, Side::Slave)] {
            let opened = peer.ask(&open(side, segment))?;
            ensure!(matches!(opened, Observation::Opened { .. }), "{peer}: open: {opened:?}");
        }
        for _ in 0..3 {
            for (give, take) in [("send", "recv"), ("write", "read")] {
                arrives(master, slave, give, take)?;
                arrives(slave, master, give, take)?;
            }
        }
        Ok(())
    }

    /// Checks that the endpoint does not open with these settings, reports why, and leaves no file.
    fn refuses(&self, settings: &str, words: &[&str]) -> Result<()> {
        let segment = Segment::fresh("sandbox");
        let mut master = self.start(Side::Master, true)?;
        let text = match master.ask(&format!("{}{settings}", open(Side::Master, &segment)))? {
            Observation::Error { message, .. } => message,
            other => bail!("open: {other:?}, expected an error"),
        };
        for word in words {
            ensure!(text.contains(word), "{text:?} does not say {word:?}");
        }
        master.finish()?;
        segment.is_gone()
    }
}

/// Checks that what `from` sends soon reaches `to`, which is parked.
fn arrives(from: &mut Peer, to: &mut Peer, give: &str, take: &str) -> Result<()> {
    to.tell(&format!("{take} 20000"))?;
    let since = Instant::now();
    from.expect(&format!("{give} {BYTES}"), &Observation::Ok)?;
    match to.answer()? {
        Observation::Message { hex, .. } if hex == BYTES => {}
        other => bail!("{to}: {take}: {other:?}, expected {BYTES}"),
    }
    let took = since.elapsed();
    ensure!(took < SOON, "{to}: {take} took {took:?} beside {give}, expected less than {SOON:?}");
    Ok(())
}

/// Checks that a wait without a message costs little processor time.
fn rests(peer: &mut Peer) -> Result<()> {
    let before = processor_time(peer)?;
    let nothing = peer.ask(&format!("recv {}", WAIT.as_millis()))?;
    ensure!(nothing == Observation::Nothing, "{peer}: recv: {nothing:?}, expected nothing");
    let used = processor_time(peer)? - before;
    ensure!(used < WAIT / 2, "{peer} used {used:?} of processor time while it waited for {WAIT:?}");
    Ok(())
}

/// Returns the user and system time of the process, in hundredths of a second.
fn processor_time(peer: &Peer) -> Result<Duration> {
    let path = format!("/proc/{}/stat", peer.pid());
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    // Behind the name, which is in parentheses and may hold anything, utime and stime are the 12th and 13th.
    let fields: Vec<_> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).context("a time in it");
    Ok(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}

/// Waits until this peer has noticed that its peer was killed.
fn notices(survivor: &mut Peer) -> Result<()> {
    let since = Instant::now();
    loop {
        match survivor.ask("state")? {
            Observation::State { peer, .. } if peer == "dead" => return Ok(()),
            state => {
                ensure!(since.elapsed() < NOTICE, "{survivor}: {state:?} {NOTICE:?} after its peer's death")
            }
        }
        // Nothing signals it.
        thread::sleep(Duration::from_millis(5));
    }
}

fn open(side: Side, segment: &Segment) -> String {
    format!("open-with role={} name={}", side.word(), hex::encode(segment.name()))
}
