//! The table of scenarios, and the code that they share.

mod auto_auto;
mod bad_input;
mod both_directions;
mod clean_close;
mod echo;
mod flood;
mod foreign_segment;
mod framing;
mod latest_value;
mod restart;
mod slave_first;
mod stop_continue;
mod stream;

use anyhow::{Result, bail};

use crate::language::{Language, Pairing};
use crate::legacy;
use crate::life;
use crate::observe::Observation;
use crate::peer::Peer;
use crate::segment::Segment;
pub use crate::segment::Side;
use crate::toolchain::Peers;

/// What a scenario is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Single messages and files, and what is refused.
    Content,
    /// Continuous traffic.
    Traffic,
    /// Openings, closes, kills and stops.
    Lives,
    /// Random programs.
    Random,
    /// ESHM 1.x.
    Legacy,
}

/// One promise, run with every pairing.
pub struct Scenario {
    /// The name for `--scenario` and in the output of `--json`.
    pub name: &'static str,
    /// What it is about. The short form shares the scenarios of a kind among the pairings of a variant.
    pub kind: Kind,
    /// The promise in a line.
    pub promise: &'static str,
    /// Runs the scenario. The error says what did not hold.
    pub run: fn(&Stage<'_>) -> Result<()>,
}

/// All scenarios, in the order in which they run.
#[rustfmt::skip]
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "framing", kind: Kind::Content, promise: "every message of 0 to N bytes arrives as it was sent, one of N + 1 is refused", run: framing::run },
    Scenario { name: "echo", kind: Kind::Traffic, promise: "10 000 messages go out and back: none is lost, doubled, reordered or torn", run: echo::run },
    Scenario { name: "latest-value", kind: Kind::Traffic, promise: "a slow reader gets complete values, each newer than the one before, and received + skipped = written", run: latest_value::run },
    Scenario { name: "both-directions", kind: Kind::Traffic, promise: "both ends send and receive at once without loss", run: both_directions::run },
    Scenario { name: "flood", kind: Kind::Traffic, promise: "a million messages of 0 bytes to the capacity pass, one at a time and in batches", run: flood::run },
    Scenario { name: "auto-auto", kind: Kind::Lives, promise: "of two endpoints that start at the same instant exactly one becomes the master", run: auto_auto::run },
    Scenario { name: "slave-first", kind: Kind::Lives, promise: "a slave that starts first waits for its master, and says so when none comes", run: slave_first::run },
    Scenario { name: "clean-close", kind: Kind::Lives, promise: "a clean close reaches the other side, after all that was sent", run: clean_close::run },
    Scenario { name: "master-restart", kind: Kind::Lives, promise: "a master killed ten times under traffic comes back in time, with nothing lost or doubled", run: restart::master },
    Scenario { name: "slave-restart", kind: Kind::Lives, promise: "a slave killed ten times under traffic comes back in time, with nothing lost or doubled", run: restart::slave },
    Scenario { name: "stop-continue", kind: Kind::Lives, promise: "a stopped peer is seen as frozen, then as alive, and nothing is lost", run: stop_continue::run },
    Scenario { name: "foreign-segment", kind: Kind::Content, promise: "a wrong magic, version or size is refused and left untouched", run: foreign_segment::run },
    Scenario { name: "bad-input", kind: Kind::Content, promise: "bad names, sizes, files and fields are errors, and never crash", run: bad_input::run },
    Scenario { name: "life", kind: Kind::Random, promise: "in random lives of both ends, what was accepted is delivered once and in order", run: life::scenario },
];

impl Scenario {
    /// Returns all scenarios, those with ESHM 1.x included.
    pub fn every() -> impl Iterator<Item = &'static Scenario> {
        SCENARIOS.iter().chain(legacy::SCENARIOS)
    }

    /// Returns whether a pairing can run this scenario: ESHM 1.x has scenarios of its own.
    pub fn suits(&self, pairing: &Pairing) -> bool {
        pairing.is_legacy() == legacy::SCENARIOS.iter().any(|scenario| scenario.name == self.name)
    }

    /// Returns whether the short form includes this scenario with this pairing.
    ///
    /// It includes every pairing of two languages, and of `python-asyncio` with a language. The pairings of another
    /// variant with languages share the scenarios of each kind. So each variant meets each language in each role in
    /// every kind, and runs every scenario. Two variants run random programs.
    pub fn is_in_short_form(&self, pairing: &Pairing) -> bool {
        if pairing.is_whole() || pairing.is_of_variants() && self.kind != Kind::Random {
            return pairing.is_whole();
        }
        let kind: Vec<_> = Scenario::every().filter(|scenario| scenario.kind == self.kind).collect();
        kind[pairing.turn() % kind.len()].name == self.name
    }

    /// Returns the scenario of this name.
    ///
    /// # Errors
    /// Fails if the table has none.
    pub fn named(name: &str) -> Result<&'static Scenario> {
        match Scenario::every().find(|scenario| scenario.name == name) {
            Some(scenario) => Ok(scenario),
            None => {
                let names: Vec<_> = Scenario::every().map(|scenario| scenario.name).collect();
                bail!("no scenario {name:?}; expected one of {}", names.join(", "))
            }
        }
    }
}

/// The pairing that runs a scenario.
pub struct Stage<'a> {
    /// The languages of the master and of the slave.
    pub pairing: Pairing,
    /// The peer programs.
    pub peers: &'a Peers,
}

impl Stage<'_> {
    fn language(&self, side: Side) -> &'static Language {
        match side {
            Side::Master => self.pairing.master,
            Side::Slave => self.pairing.slave,
        }
    }

    /// Starts one side's peer: `<peer> <side> <segment> <scenario> <options>`.
    ///
    /// # Errors
    /// Fails if the peer does not start.
    pub fn start(&self, side: Side, segment: &Segment, scenario: &str, options: &[String]) -> Result<Peer> {
        let language = self.language(side);
        let Some(mut command) = self.peers.command(language) else {
            bail!("{} is not installed: {}", language.name, language.install)
        };
        command.args([side.word(), segment.name(), scenario]).args(options);
        Peer::start(format!("{} {}", language.name, side.word()), command)
    }

    /// Starts both sides' peers with the same scenario and options, the master first.
    ///
    /// # Errors
    /// Fails if one of them does not start.
    pub fn start_both(&self, segment: &Segment, scenario: &str, options: &[String]) -> Result<(Peer, Peer)> {
        let master = self.start(Side::Master, segment, scenario, options)?;
        Ok((master, self.start(Side::Slave, segment, scenario, options)?))
    }

    /// Starts both sides as peers that carry out commands.
    ///
    /// # Errors
    /// Fails if one of them does not start.
    pub fn command_pair(&self) -> Result<CommandPair> {
        // Each command that opens an endpoint names its segment.
        let nameless = Segment::fresh("unused");
        let (master, slave) = self.start_both(&nameless, "commands", &[])?;
        Ok(CommandPair { master, slave })
    }
}

/// Appends `--option value` for each of these to a peer's command line.
pub fn options(options: &[(&str, u64)]) -> Vec<String> {
    options.iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]).collect()
}

/// Two peers that carry out commands.
pub struct CommandPair {
    /// The pairing's master language.
    pub master: Peer,
    /// The pairing's slave language.
    pub slave: Peer,
}

impl CommandPair {
    /// Opens a segment at both ends. Without a data size, the default holds.
    ///
    /// # Errors
    /// Fails if an end refuses.
    pub fn open(&mut self, segment: &Segment, size: Option<usize>) -> Result<()> {
        let wanted = size.unwrap_or(4096);
        for (peer, side) in [(&mut self.master, Side::Master), (&mut self.slave, Side::Slave)] {
            let role = side.word().to_owned();
            peer.expect(
                &open(side.word(), segment.name(), size),
                &Observation::Opened { role, data_size: wanted },
            )?;
        }
        self.master.expect("wait-peer 5000", &Observation::Ok)?;
        self.slave.expect("wait-peer 5000", &Observation::Ok)
    }

    /// Closes both ends, the slave first, and checks that no file of the segment is left.
    ///
    /// # Errors
    /// Fails if a close fails or a file is left.
    pub fn close(&mut self, segment: &Segment) -> Result<()> {
        self.slave.expect("close", &Observation::Ok)?;
        self.master.expect("close", &Observation::Ok)?;
        segment.is_gone()
    }

    /// Returns the peer of this side as the sender, and the other one as the receiver.
    pub fn way(&mut self, from: Side) -> (&mut Peer, &mut Peer) {
        match from {
            Side::Master => (&mut self.master, &mut self.slave),
            Side::Slave => (&mut self.slave, &mut self.master),
        }
    }

    /// Ends both peers.
    ///
    /// # Errors
    /// Fails if one of them ends with an error.
    pub fn finish(self) -> Result<()> {
        self.slave.finish()?;
        self.master.finish()?;
        Ok(())
    }
}

/// Returns the command that opens a segment, or another file, by its name.
pub fn open(role: &str, name: &str, size: Option<usize>) -> String {
    let size = size.map(|size| format!(" {size}")).unwrap_or_default();
    format!("open {role} {}{size}", word(name.as_bytes()))
}

/// Encodes bytes for a command.
pub fn word(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { hex::encode(bytes) }
}

impl Peer {
    /// Gives a command and checks that the answer is this message.
    ///
    /// # Errors
    /// Fails if another message comes, or none.
    pub fn receives(&mut self, command: &str, bytes: &[u8]) -> Result<()> {
        match self.ask(command)? {
            Observation::Message { hex, .. } if hex == hex::encode(bytes) => Ok(()),
            found => {
                let found = format!("{found:?}");
                bail!("{self}: {command}: {found:.200}, expected {} bytes: {:.100}", bytes.len(), word(bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{LANGUAGES, VARIANTS};

    #[test]
    fn each_variant_meets_each_language_in_each_role_in_every_kind() {
        for variant in VARIANTS {
            for other in LANGUAGES {
                for (master, slave) in [(variant, other), (other, variant)] {
                    let pairing = Pairing { master, slave };
                    for kind in [Kind::Content, Kind::Traffic, Kind::Lives, Kind::Random] {
                        let count = short(&pairing).filter(|scenario| scenario.kind == kind).count();
                        assert!(count == 1 || pairing.is_whole() && count > 0, "{pairing}");
                    }
                }
            }
        }
    }

    #[test]
    fn each_variant_runs_every_scenario_and_meets_every_variant() {
        for variant in VARIANTS {
            let other =
                |pairing: &Pairing| pairing.master.name == variant.name || pairing.slave.name == variant.name;
            let pairings: Vec<_> = Pairing::ours().into_iter().filter(other).collect();
            for scenario in SCENARIOS {
                assert!(
                    pairings.iter().any(|pairing| scenario.is_in_short_form(pairing)),
                    "{}: {}",
                    variant.name,
                    scenario.name
                );
            }
            for pairing in pairings.iter().filter(|pairing| pairing.is_of_variants()) {
                assert_eq!(short(pairing).count(), 1, "{pairing}");
            }
        }
    }

    fn short<'a>(pairing: &'a Pairing) -> impl Iterator<Item = &'static Scenario> + 'a {
        SCENARIOS.iter().filter(|scenario| scenario.is_in_short_form(pairing))
    }
}
