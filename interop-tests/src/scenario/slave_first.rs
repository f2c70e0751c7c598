//! Master and slave may start in either order.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Side, Stage, options};
use crate::observe::Observation;
use crate::peer::Said;
use crate::segment::Segment;

/// The connect timeout of a slave whose master never starts.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    master_comes(stage)?;
    no_master_starts(stage)
}

fn master_comes(stage: &Stage<'_>) -> Result<()> {
    let segment = Segment::fresh("slave-first");
    let mut slave = stage.start(Side::Slave, &segment, "commands", &[])?;
    slave.tell("open")?;
    let first = slave.hear()?.said;
    ensure!(
        first == Said::Observed(Observation::Opening),
        "{slave} said {first:?}, expected that it is opening"
    );
    ensure!(!segment.exists(), "a slave has made the segment");
    let mut master = stage.start(Side::Master, &segment, "commands", &[])?;
    master.ask("open")?;
    slave.ready()?;
    slave.answer()?;
    master.expect("send 6f6e65 10000", &Observation::Ok)?;
    slave.receives("recv 10000", b"one")?;
    slave.expect("send 74776f 10000", &Observation::Ok)?;
    master.receives("recv 10000", b"two")?;
    slave.finish()?;
    master.finish()?;
    segment.is_gone()
}

fn no_master_starts(stage: &Stage<'_>) -> Result<()> {
    let segment = Segment::fresh("slave-first");
    let settings = options(&[("timeout-ms", CONNECT_TIMEOUT.as_millis() as u64)]);
    let mut slave = stage.start(Side::Slave, &segment, "commands", &settings)?;
    // Measures only the opening, not the start of the process.
    slave.ask("payload 1 0 16")?;
    let since = Instant::now();
    let text = slave.refuses("open", -3)?;
    let waited = since.elapsed();
    ensure!(
        waited >= CONNECT_TIMEOUT,
        "{slave} gave up after {waited:?}, expected {CONNECT_TIMEOUT:?} or more"
    );
    for part in [segment.name(), "no such segment", "start its master"] {
        ensure!(text.contains(part), "{text:?} does not say {part:?}");
    }
    ensure!(!segment.exists(), "a slave without a master has made a segment");
    slave.finish()?;
    Ok(())
}
