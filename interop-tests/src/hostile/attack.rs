//! A peer that attaches normally, and then overwrites the segment while its victim works.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use eshm::{Builder, Endpoint, Role};

use super::dice::Dice;
use super::fields::{self, Field};
use super::victim::Victim;
use crate::segment::{Segment, Side};

/// The result of a round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// The number of calls that the victim made.
    pub calls: u64,
    /// The number of fields and spans that were overwritten meanwhile.
    pub strikes: u64,
}

/// The number of calls that a victim makes in one round.
const CALLS: usize = 40;

/// Runs one round. The victim opens a segment in the role of `side`. The attacker opens it in the other role, and
/// overwrites it until the victim has made its calls.
///
/// # Errors
/// As [`Victim::call`], and if the two do not attach to each other.
pub fn round(victim: &mut Victim<'_>, side: Side, seed: u64) -> Result<Tally> {
    let segment = Segment::fresh("hostile");
    let builder = Endpoint::builder(segment.name()).connect_timeout(Duration::from_secs(5));
    let attacker = match side {
        Side::Slave => {
            let attacker = open(builder, Role::Master)?;
            opened(victim.open(&segment, "slave")?)?;
            attacker
        }
        Side::Master => {
            opened(victim.open(&segment, "master")?)?;
            open(builder, Role::Slave)?
        }
    };
    let attacker = Attacker::new(attacker, &segment)?;
    // It is dropped when the victim has made its calls.
    let (working, done) = mpsc::channel();
    thread::scope(|scope| {
        let attack = scope.spawn(move || attacker.attack(seed, &done));
        let worked = work(victim, &segment, side, seed);
        drop(working);
        let strikes = attack.join().expect("the attacker does not panic");
        Ok(Tally { calls: worked?, strikes })
    })
}

fn open(builder: Builder, role: Role) -> Result<Endpoint> {
    builder.role(role).open().context("the attacker, which behaves so far, cannot open the segment")
}

fn opened(opened: Result<(), i32>) -> Result<()> {
    opened.map_err(|code| anyhow!("error {code} before anything was attacked"))
}

/// Makes the victim's calls. Returns their number.
fn work(victim: &mut Victim<'_>, segment: &Segment, side: Side, seed: u64) -> Result<u64> {
    let mut dice = Dice::new(seed);
    for done in 0..CALLS {
        let wait = dice.below(4);
        let message = hex::encode(vec![0xAB; *dice.pick(&[1, 56, 57, 300, 4096])]);
        let call = match dice.below(12) {
            0 => "try-read".to_owned(),
            1 => format!("read {wait}"),
            2 => "try-recv".to_owned(),
            3..=5 => format!("recv {wait}"),
            6 => format!("write {message}"),
            7 => format!("try-send {message}"),
            8..=10 => format!("send {message} {wait}"),
            _ => "state".to_owned(),
        };
        victim.call(&call, Duration::from_millis(wait))?;
        if done == CALLS / 2 && side == Side::Slave {
            victim.call("close", Duration::ZERO)?;
            if victim.open(segment, side.word())?.is_err() {
                return Ok(done as u64);
            }
        }
    }
    victim.call("close", Duration::ZERO)?;
    Ok(CALLS as u64)
}

struct Attacker {
    endpoint: Endpoint,
    file: File,
    fields: Vec<Field>,
    len: u64,
}

impl Attacker {
    fn new(endpoint: Endpoint, segment: &Segment) -> Result<Attacker> {
        let file = OpenOptions::new().read(true).write(true).open(segment.path())?;
        let map = segment.map()?;
        let fields = [fields::header()?, fields::channels(&map)?, fields::queues(&map)?].concat();
        let len = file.metadata()?.len();
        Ok(Attacker { endpoint, file, fields, len })
    }

    /// Overwrites fields until `done`. Returns how often.
    fn attack(mut self, seed: u64, done: &Receiver<()>) -> u64 {
        let mut dice = Dice::new(!seed);
        // Some rounds spare the header. Otherwise the victim soon reports every call as corrupt.
        let first = if dice.below(2) == 0 {
            0
        } else {
            self.fields.iter().take_while(|field| field.offset < 128).count()
        };
        let mut strikes = 0;
        while done.try_recv() == Err(TryRecvError::Empty) {
            // Errors are ignored: the attacker uses the segment that it has broken.
            let _ = match dice.below(16) {
                0..=9 => self.strike(&mut dice, first),
                10 => {
                    let span = dice.below(64) as usize;
                    let at = 128 + dice.below(self.len - 128 - span as u64);
                    self.file.write_all_at(&dice.bytes(span), at)
                }
                11 | 12 => {
                    let len = *dice.pick(&[3, 70, 500]);
                    let _ = self.endpoint.try_send(&dice.bytes(len));
                    Ok(())
                }
                13 => {
                    let _ = self.endpoint.write(b"a value");
                    Ok(())
                }
                _ => {
                    let _ = self.endpoint.try_recv();
                    Ok(())
                }
            };
            strikes += 1;
        }
        strikes
    }

    /// Overwrites a field with a border of its range, with a value near the present one, or with a random value.
    fn strike(&self, dice: &mut Dice, first: usize) -> std::io::Result<()> {
        let field = dice.pick(&self.fields[first..]);
        let value = match dice.below(4) {
            0 => *dice.pick(&field.borders()),
            1 => dice.next(),
            _ => {
                let mut now = [0; 8];
                self.file.read_exact_at(&mut now[..field.width], field.offset)?;
                u64::from_ne_bytes(now).wrapping_add(dice.below(5)).wrapping_sub(2)
            }
        };
        self.file.write_all_at(&field.bytes(value), field.offset)
    }
}
