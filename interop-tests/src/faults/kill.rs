//! The suite `kill`: a process is killed at each crash point of the core, in each role and language, and restarted.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::account::Account;
use super::duel::{Crash, Duel, Life, rest, service};
use super::row::Row;
use super::workshop::{LANGUAGES, prepare};
use crate::language::{Language, Pairing};
use crate::segment::Side;
use crate::toolchain::Peers;

/// The time limit for both directions to work again after the restart: the stale threshold and two
/// reconnect intervals.
const SERVICE: Duration = Duration::from_millis(100 + 2 * 100);
/// The number of attempts of a drill that fails only by its time limit, because the machine may be loaded.
const TRIES: u32 = 3;
/// The language of the peer that can wait for event descriptors.
const EVENTS: &str = "rust";
/// The queue capacity with which a master replaces the segment.
const OTHER_QUEUE: usize = 32768;

/// The situation in which a process reaches a crash point.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// It creates the segment.
    Creates,
    /// It attaches to a live master's segment, or takes over a dead master's.
    Joins,
    /// It replaces a dead master's segment with another capacity.
    Replaces,
    /// Messages and values go in both directions.
    Talks,
    /// It closes after all messages are delivered.
    Leaves,
    /// Its peer is killed.
    Survives,
    /// Its master closes and returns with another segment, while it waits or continues to send.
    Follows { talking: bool },
    /// Its master is killed with unread messages, and the next master replaces the segment and carries them over.
    Carries,
    /// The name of its segment is removed under traffic.
    Guards,
    /// After that, while idle, its slave is killed.
    MovesAlone,
}

/// Returns in which situation a point is passed, and in which roles.
fn moment(point: &str) -> Result<(Moment, &'static [Side])> {
    const BOTH: &[Side] = &[Side::Master, Side::Slave];
    const MASTER: &[Side] = &[Side::Master];
    const SLAVE: &[Side] = &[Side::Slave];
    let step = point.split_once('.').map_or(point, |(step, _)| step);
    Ok(match step {
        "create" if point == "create.unlinked" => (Moment::Replaces, MASTER),
        "create" => (Moment::Creates, MASTER),
        "takeover" | "describe" => (Moment::Joins, MASTER),
        "attach" => (Moment::Joins, SLAVE),
        "occupy" => (Moment::Joins, BOTH),
        "bell" if matches!(point, "bell.made" | "bell.shared") => (Moment::Joins, BOTH),
        "bell" | "arm" => (Moment::Talks, BOTH),
        "leave" => (Moment::Leaves, BOTH),
        "clear" => (Moment::Survives, BOTH),
        "reconnect" => (Moment::Follows { talking: false }, SLAVE),
        "follow" => (Moment::Follows { talking: true }, SLAVE),
        "carry" => (Moment::Carries, SLAVE),
        "guard" if point == "guard.made" => (Moment::Guards, MASTER),
        "guard" => (Moment::MovesAlone, MASTER),
        "keep" | "write" | "read" | "send" | "arena" | "publish" | "loan" | "batch" | "recv" | "release"
        | "park" | "wake" => (Moment::Talks, BOTH),
        _ => bail!("nothing is known that passes the crash point {point}"),
    })
}

/// Returns whether only endpoints with event descriptors pass a point.
fn needs_events(point: &str) -> bool {
    point.starts_with("bell.") || point.starts_with("arm.")
}

/// The time until the survivor noticed a death, and the time until both directions worked again after the restart.
#[derive(Clone, Copy)]
struct Times {
    notice: Duration,
    service: Duration,
}

/// A victim of one language that is killed repeatedly, and a survivor.
struct Drills<'a> {
    duel: Duel<'a>,
    victim: Side,
    survivor: Option<Life>,
}

impl<'a> Drills<'a> {
    fn new(peers: &'a Peers, pairing: Pairing, victim: Side, events: bool) -> Result<Drills<'a>> {
        let mut duel = Duel::new(peers, pairing, "kill")?;
        duel.events = events;
        Ok(Drills { duel, victim, survivor: None })
    }

    /// Starts the missing processes, the master first, and waits until both directions work.
    fn pair(&mut self, crash: Option<Crash>) -> Result<(Life, Duration)> {
        let mut early = None;
        if self.victim == Side::Master {
            early = Some(self.duel.start(self.victim, crash)?);
        }
        if self.survivor.is_none() {
            self.survivor = Some(self.duel.start(self.victim.other(), None)?);
        }
        let mut victim = match early {
            Some(life) => life,
            None => self.duel.start(self.victim, crash)?,
        };
        let time = service(&mut victim, self.survivor()?)?;
        Ok((victim, time))
    }

    fn survivor(&mut self) -> Result<&mut Life> {
        self.survivor.as_mut().context("the survivor is there")
    }

    /// Kills the victim at the point, restarts it at once or after the survivor has noticed, and kills it at a random
    /// time. Returns the times of the detection and of the recovery.
    fn drill(&mut self, point: &'static str, time: u32, noticed: bool) -> Result<Times> {
        let (moment, _) = moment(point)?;
        let at_once = matches!(moment, Moment::Creates | Moment::Joins | Moment::Replaces);
        // Some points are passed only once per process.
        let crash = Crash { point, time: if moment == Moment::Talks { time } else { 1 }, at_once };
        if at_once {
            self.die_at_start(moment, crash)?;
        } else {
            let (victim, _) = self.pair(Some(crash))?;
            self.die(moment, crash, victim)?;
            self.duel.disarm()?;
        }
        let death = Instant::now();
        let notice = match &mut self.survivor {
            Some(survivor) if noticed => survivor.notices()?,
            _ => None,
        };
        let notice = notice.map_or(Duration::ZERO, |at| at.saturating_duration_since(death));
        let (victim, service) = self.pair(None)?;
        victim.peer.kill()?;
        Ok(Times { notice, service })
    }

    fn die_at_start(&mut self, moment: Moment, crash: Crash) -> Result<()> {
        match moment {
            Moment::Replaces => {
                let (victim, _) = self.pair(None)?;
                victim.peer.kill()?;
                self.ask_for_another_queue();
            }
            Moment::Creates => {}
            // Leaves the seat of a killed process for the victim.
            _ if self.survivor.is_none() => {
                let (victim, _) = self.pair(None)?;
                victim.peer.kill()?;
            }
            _ => {}
        }
        let victim = self.duel.start(self.victim, Some(crash))?;
        let temporary = format!("/dev/shm/eshm_.eshm-tmp-{}-", victim.peer.pid());
        victim.dies(crash)?;
        // Without unnamed files, a segment is created under a temporary name, which `remove_dead` removes.
        let left = remove_files(&temporary)?;
        let expected = usize::from(matches!(crash.point, "create.temporary" | "create.doubled"));
        ensure!(left == expected, "{left} files begin with {temporary}, expected {expected}");
        if moment == Moment::Creates && !matches!(crash.point, "create.doubled" | "create.linked") {
            ensure!(!self.duel.segment.exists(), "a half-made segment is left behind");
        }
        Ok(())
    }

    fn die(&mut self, moment: Moment, crash: Crash, mut victim: Life) -> Result<()> {
        match moment {
            Moment::Survives => {
                self.duel.arm()?;
                self.survivor.take().context("the survivor is there")?.peer.kill()?;
            }
            Moment::Leaves => {
                rest(&mut victim, self.survivor()?)?;
                self.duel.arm()?;
                victim.peer.ask_to_leave();
                victim.dies(crash)?;
                return self.go_on();
            }
            Moment::Follows { talking } => {
                rest(&mut victim, self.survivor()?)?;
                self.survivor.take().context("the survivor is there")?.peer.finish()?;
                self.duel.arm()?;
                victim.notices()?;
                if talking {
                    victim.peer.tell("go")?;
                }
                self.survivor = Some(self.duel.start(self.victim.other(), None)?);
            }
            Moment::Carries => {
                let mut master = self.survivor.take().context("the survivor is there")?;
                // A stopped master leaves messages unread.
                master.peer.signal(Signal::SIGSTOP)?;
                victim.sees("frozen")?;
                master.peer.end_by_force()?;
                let received = self.duel.received(self.victim.other())?;
                self.ask_for_another_queue();
                self.duel.arm()?;
                self.survivor = Some(self.duel.start(self.victim.other(), None)?);
                victim.dies(crash)?;
                // It held the last reference to the old segment, so the messages there are lost.
                return self.duel.excuse_after(self.victim, received);
            }
            Moment::Guards => {
                self.duel.arm()?;
                self.duel.segment.remove()?;
            }
            Moment::MovesAlone => {
                rest(&mut victim, self.survivor()?)?;
                self.duel.segment.remove()?;
                self.duel.segment.comes_back()?;
                self.duel.arm()?;
                self.survivor.take().context("the survivor is there")?.peer.kill()?;
            }
            _ => self.duel.arm()?,
        }
        victim.dies(crash)
    }

    /// Starts the next master, which replaces the segment.
    fn ask_for_another_queue(&mut self) {
        self.duel.queue = if self.duel.queue == OTHER_QUEUE { OTHER_QUEUE / 2 } else { OTHER_QUEUE };
    }

    /// Resumes an idle survivor after it has noticed that the peer is gone.
    fn go_on(&mut self) -> Result<()> {
        let survivor = self.survivor()?;
        survivor.notices()?;
        survivor.peer.tell("go")
    }

    /// Closes both, and accounts for their messages.
    fn finish(mut self) -> Result<Account> {
        let (victim, _) = self.pair(None)?;
        let survivor = self.survivor.take().context("the survivor is there")?;
        let account = self.duel.finish(victim, survivor)?;
        account.holds()?;
        Ok(account)
    }
}

/// The plan of the suite.
pub struct Plan {
    /// The crash points.
    pub points: Vec<&'static str>,
    /// The victims' languages. Empty: all.
    pub languages: Vec<String>,
    /// Every language as survivor of every other, each point four times; otherwise one
    /// survivor each, and each point once.
    pub full: bool,
    /// The seed of the number of passes after which a point kills.
    pub seed: u64,
}

/// Runs the suite and prints its rows. Returns whether all passed.
///
/// # Errors
/// If the peers cannot be built.
pub fn run(plan: &Plan) -> Result<bool> {
    let named = |name: &&str| plan.languages.is_empty() || plan.languages.iter().any(|one| one == name);
    let all = LANGUAGES.iter().map(|name| Language::named(name)).collect::<Result<Vec<_>>>()?;
    let peers = prepare(&all)?;
    let there: Vec<&Language> =
        all.into_iter().filter(|language| peers.command(language).is_some()).collect();
    let mut random = fastrand::Rng::with_seed(plan.seed);
    eprintln!("kill: seed {}", plan.seed);
    let mut rows: Vec<Row> = plan.points.iter().map(|point| Row::new("kill", *point)).collect();
    let mut accounts = Vec::new();
    for (index, language) in there.iter().enumerate().filter(|(_, language)| named(&language.name)) {
        // The survivor of each victim has the next language.
        let survivors = if plan.full { there.clone() } else { vec![there[(index + 1) % there.len()]] };
        for survivor in survivors {
            for victim in [Side::Master, Side::Slave] {
                let (master, slave) =
                    if victim == Side::Master { (*language, survivor) } else { (survivor, *language) };
                let column = format!("{} {}", language.name, victim.word());
                let times = if plan.full { 4 } else { 1 };
                let row = Campaign {
                    peers: &peers,
                    pairing: Pairing { master, slave },
                    victim,
                    times,
                    events: false,
                    column: &column,
                }
                .run(&plan.points, &mut rows, &mut random);
                accounts.push(row);
            }
        }
    }
    if let Some(rust) = there.iter().find(|language| language.name == EVENTS && named(&language.name)) {
        for victim in [Side::Master, Side::Slave] {
            let column = format!("{EVENTS} {} with events", victim.word());
            let campaign = Campaign {
                peers: &peers,
                pairing: Pairing { master: rust, slave: rust },
                victim,
                times: if plan.full { 8 } else { 2 },
                events: true,
                column: &column,
            };
            accounts.push(campaign.run(&plan.points, &mut rows, &mut random));
        }
    }
    rows.iter().chain(&accounts).for_each(Row::print);
    Ok(rows.iter().chain(&accounts).all(|row| row.passed))
}

/// Tests all points with one victim and one survivor.
struct Campaign<'a> {
    peers: &'a Peers,
    pairing: Pairing,
    victim: Side,
    /// The number of attempts per point.
    times: u32,
    /// Whether both wait for event descriptors. Tested are then the points that need them, and those of a ring or an end.
    events: bool,
    /// The name of the figure in the rows.
    column: &'a str,
}

impl Campaign<'_> {
    /// Adds a figure to each point's row, and returns the row of the account.
    fn run(&self, points: &[&'static str], rows: &mut [Row], random: &mut fastrand::Rng) -> Row {
        let since = Instant::now();
        let mut sum = Row::new("kill: accounts", format!("{} dies, {}", self.column, self.pairing));
        let (mut account, mut kills) = (Account::default(), 0);
        let mut slowest_notice = Duration::ZERO;
        let mut drills = None;
        for (point, row) in points.iter().zip(rows) {
            match moment(point) {
                Ok(_) if !self.tests(point) => continue,
                Ok((_, sides)) if !sides.contains(&self.victim) => continue,
                Ok(_) => {}
                Err(error) => {
                    row.fail(&format!("{error:#}"));
                    continue;
                }
            }
            for _ in 0..self.times {
                kills += 1;
                // Alternates between an immediate restart and one after the survivor has noticed.
                let noticed = kills % 2 == 1;
                match self.drill(&mut drills, point, random, noticed, &mut account) {
                    Ok(times) => {
                        note(row, self.column, times.service);
                        slowest_notice = slowest_notice.max(times.notice);
                    }
                    Err(error) => {
                        eprintln!("kill: {point}: {}: {error:#}", self.column);
                        row.fail(&format!("{}, {}: {error:#}", self.column, self.pairing));
                        drills = None;
                    }
                }
            }
        }
        if let Some(drills) = drills {
            settle(drills, &mut account, &mut sum);
        }
        eprintln!("kill: {}: {kills} drills in {:.1} s", sum.case, since.elapsed().as_secs_f64());
        sum.figure("drills", f64::from(kills))
            .figure("slowest notice ms", slowest_notice.as_secs_f64() * 1000.0)
            .figure("delivered", account.delivered as f64)
            .figure("lost", account.lost as f64)
            .figure("twice", account.duplicates as f64)
            .figure("in doubt", account.doubtful as f64)
            .figure("of them arrived", account.doubtful_delivered as f64)
            .figure("again", account.again as f64)
    }

    /// Returns whether the campaign tests a point.
    fn tests(&self, point: &str) -> bool {
        let rings = ["wake.", "park.", "release.", "send.", "leave.", "clear."];
        let rings = self.events && rings.iter().any(|step| point.starts_with(step));
        rings || self.events == needs_events(point)
    }

    /// Tests a point. Repeats it if only the time limit was exceeded.
    fn drill<'a>(
        &'a self,
        drills: &mut Option<Drills<'a>>,
        point: &'static str,
        random: &mut fastrand::Rng,
        noticed: bool,
        account: &mut Account,
    ) -> Result<Times> {
        let mut slowest = Duration::ZERO;
        for _ in 0..TRIES {
            let fresh = || Drills::new(self.peers, self.pairing, self.victim, self.events);
            let time = random.u32(1..=4);
            let times = if moment(point)?.0 == Moment::Creates {
                let mut creation = fresh()?;
                let times = creation.drill(point, time, noticed)?;
                *account = account.and(creation.finish()?);
                times
            } else {
                let drills = match drills {
                    Some(drills) => drills,
                    None => drills.insert(fresh()?),
                };
                drills.drill(point, time, noticed)?
            };
            slowest = times.service.max(times.notice);
            if slowest <= SERVICE {
                return Ok(times);
            }
        }
        bail!("it took {slowest:?} to notice, or to be of service, {TRIES} times more than {SERVICE:?}");
    }
}

/// Removes the files whose paths have this prefix. Returns their number.
fn remove_files(beginning: &str) -> Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir("/dev/shm")? {
        let path = entry?.path();
        if path.to_str().is_some_and(|path| path.starts_with(beginning)) {
            fs::remove_file(path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn settle(drills: Drills<'_>, account: &mut Account, row: &mut Row) {
    match drills.finish() {
        Ok(last) => *account = account.and(last),
        Err(error) => row.fail(&format!("{error:#}")),
    }
}

/// Returns the longest of the times with one victim, in milliseconds.
fn note(row: &mut Row, column: &str, took: Duration) {
    let name = format!("{column} ms");
    let before = row.figures.get(&name).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
    *row = row.clone().figure(&name, before.max(took.as_secs_f64() * 1000.0));
}
