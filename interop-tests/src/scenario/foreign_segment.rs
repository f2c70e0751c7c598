//! Files that have the name of a segment and are not a usable segment.

use anyhow::{Result, ensure};

use super::{CommandPair, Side, Stage, open};
use crate::observe::Observation;
use crate::payload::payload;
use crate::segment::Segment;

/// A file, and what the error must name: the value that was found and the expected one.
struct Foreign {
    bytes: Vec<u8>,
    says: [&'static str; 3],
}

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = stage.command_pair()?;
    for foreign in foreigners(&mut pair)? {
        for side in [Side::Master, Side::Slave] {
            refused(&mut pair, side, &foreign)?;
        }
    }
    pair.finish()
}

/// Returns copies of a good segment, each with one defect.
fn foreigners(pair: &mut CommandPair) -> Result<Vec<Foreign>> {
    let model = Segment::fresh("foreign-segment");
    pair.open(&model, None)?;
    let good = model.bytes()?;
    pair.close(&model)?;
    ensure!(good.len() >= 8576, "a segment has {} bytes, expected 8576 or more", good.len());
    let spoiled = |offset: usize, word: u32| {
        let mut bytes = good.clone();
        bytes[offset..offset + 4].copy_from_slice(&word.to_ne_bytes());
        bytes
    };
    let mut noise = payload(3, 0, 20_000);
    noise.resize(8576, 0x5a);
    noise[..4].copy_from_slice(&0xDEAD_BEEF_u32.to_ne_bytes());
    Ok(vec![
        Foreign { bytes: spoiled(0, 0x4D48_5345), says: ["magic", "0x4d485345", "0x4553484d"] },
        Foreign { bytes: spoiled(4, 99), says: ["version", "99", "2 or 3"] },
        Foreign { bytes: spoiled(4, 1), says: ["version", "1", "2 or 3"] },
        Foreign { bytes: spoiled(52, 5000), says: ["layout size", "5000", "8576"] },
        Foreign { bytes: good[..4096].to_vec(), says: ["size", "4096 bytes", "at least"] },
        Foreign { bytes: good[..10].to_vec(), says: ["size", "10 bytes", "at least"] },
        Foreign { bytes: noise, says: ["magic", "0xdeadbeef", "0x4553484d"] },
    ])
}

/// Checks that the error names the segment and both values, that the file is unchanged, and that the process goes on.
fn refused(pair: &mut CommandPair, side: Side, foreign: &Foreign) -> Result<()> {
    let segment = Segment::fresh("foreign-segment");
    segment.plant(&foreign.bytes)?;
    let (peer, _) = pair.way(side);
    let text = peer.refuses(&open(side.word(), segment.name(), None), -3)?;
    for part in foreign.says.into_iter().chain([segment.name()]) {
        ensure!(text.contains(part), "{peer}: {text:?} does not say {part:?}");
    }
    ensure!(
        segment.bytes()? == foreign.bytes,
        "{peer} has changed a file that it refused ({:?})",
        foreign.says
    );
    peer.expect("close", &Observation::Ok)
}
