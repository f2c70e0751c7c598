//! Bad input causes an error. Nothing is created, nothing is lost, no process crashes.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Result, bail, ensure};

use super::{CommandPair, Side, Stage, open, word};
use crate::observe::Observation;
use crate::peer::Peer;
use crate::segment::Segment;

/// The default data size of a channel.
const SIZE: u32 = 4096;

pub(super) fn run(stage: &Stage<'_>) -> Result<()> {
    let mut pair = stage.command_pair()?;
    for side in [Side::Master, Side::Slave] {
        names(&mut pair, side)?;
        sizes(&mut pair, side)?;
        no_regular_files(&mut pair, side)?;
        oversize_value(&mut pair, side)?;
        broken_message(&mut pair, side)?;
    }
    another_size(&mut pair)?;
    seats_taken(stage, &mut pair)?;
    pair.finish()
}

fn names(pair: &mut CommandPair, side: Side) -> Result<()> {
    let (peer, _) = pair.way(side);
    let marker = Segment::fresh("bad-input");
    let marker = marker.name();
    let names = [
        (String::new(), "empty"),
        ("n".repeat(251), "250 bytes"),
        (format!("{marker}/x"), "'/'"),
        (format!("/{marker}"), "'/'"),
        ("..".to_owned(), "'..'"),
        (format!("{marker}..x"), "'..'"),
        (format!("{marker}\0x"), "NUL"),
    ];
    for (name, part) in names {
        let text = peer.refuses(&open(side.word(), &name, None), -1)?;
        ensure!(text.contains(part), "{peer}: name {name:?}: {text:?} does not say {part:?}");
    }
    for entry in fs::read_dir("/dev/shm")? {
        let entry = entry?.file_name();
        let entry = entry.to_string_lossy();
        let made = entry.contains(marker) || entry == "eshm_" || entry.starts_with("eshm_nnnn");
        ensure!(!made, "{peer} has made /dev/shm/{entry}");
    }
    Ok(())
}

fn sizes(pair: &mut CommandPair, side: Side) -> Result<()> {
    let (peer, _) = pair.way(side);
    let segment = Segment::fresh("bad-input");
    for size in [0, (64 << 20) + 1] {
        let text = peer.refuses(&open(side.word(), segment.name(), Some(size)), -1)?;
        for part in [segment.name(), &format!("{size} bytes"), "64 MiB"] {
            ensure!(text.contains(part), "{peer}: size {size}: {text:?} does not say {part:?}");
        }
        ensure!(!segment.exists(), "{peer} has made a segment of {size} bytes");
    }
    Ok(())
}

/// A symbolic link and a directory under the name of a segment are refused.
fn no_regular_files(pair: &mut CommandPair, side: Side) -> Result<()> {
    let (peer, _) = pair.way(side);
    let (target, segment) = (Segment::fresh("bad-input"), Segment::fresh("bad-input"));
    target.plant(b"precious")?;
    symlink(target.path(), segment.path())?;
    refused(peer, side, &segment)?;
    ensure!(target.bytes()? == b"precious", "{peer} has written through a symbolic link");
    ensure!(segment.path().is_symlink(), "{peer} has replaced a symbolic link");
    let segment = Segment::fresh("bad-input");
    fs::create_dir(segment.path())?;
    refused(peer, side, &segment)?;
    ensure!(segment.path().is_dir(), "{peer} has replaced a directory");
    Ok(())
}

fn refused(peer: &mut Peer, side: Side, segment: &Segment) -> Result<()> {
    match peer.ask(&open(side.word(), segment.name(), None))? {
        Observation::Error { code: -2 | -3, message } if message.contains(segment.name()) => Ok(()),
        found => bail!("{peer}: {found:?}, expected error -2 or -3 that names the segment"),
    }
}

/// A writer announces more bytes than its channel holds. The reader reports that and continues.
fn oversize_value(pair: &mut CommandPair, from: Side) -> Result<()> {
    let segment = Segment::fresh("bad-input");
    pair.open(&segment, None)?;
    let map = segment.map()?;
    let (writer, reader) = pair.way(from);
    for size in [SIZE + 1, u32::MAX] {
        writer.expect("write 6f6e65", &Observation::Ok)?;
        segment.spoil(map.channel(from) + 4, size)?;
        corrupt(reader, "try-read", &[size, SIZE])?;
        // The next value is read as usual.
        writer.expect("write 74776f", &Observation::Ok)?;
        reader.receives("try-read", b"two")?;
    }
    pair.close(&segment)
}

/// A sender announces more bytes than its slot holds, or a position outside of the arena.
fn broken_message(pair: &mut CommandPair, from: Side) -> Result<()> {
    for (length, offset, spoilt) in [(8, 4, 57), (100, 8, u32::MAX - 63), (100, 16, u32::MAX)] {
        let segment = Segment::fresh("bad-input");
        pair.open(&segment, None)?;
        let (sender, receiver) = pair.way(from);
        sender.expect(&format!("send {}", word(&vec![7; length])), &Observation::Ok)?;
        segment.spoil(segment.map()?.slot(from, 0) + offset, spoilt)?;
        corrupt(receiver, "try-recv", &[spoilt])?;
        pair.close(&segment)?;
    }
    Ok(())
}

fn corrupt(reader: &mut Peer, command: &str, says: &[u32]) -> Result<()> {
    let text = reader.refuses(command, -17)?;
    for number in says {
        ensure!(text.contains(&number.to_string()), "{reader}: {text:?} does not say {number}");
    }
    Ok(())
}

/// A slave with a data size refuses a segment with another one.
fn another_size(pair: &mut CommandPair) -> Result<()> {
    let segment = Segment::fresh("bad-input");
    pair.master.ask(&open("master", segment.name(), Some(1000)))?;
    let text = pair.slave.refuses(&open("slave", segment.name(), Some(2000)), -3)?;
    for part in [segment.name(), "1000 bytes", "2000 bytes"] {
        ensure!(text.contains(part), "{text:?} does not say {part:?}");
    }
    pair.close(&segment)
}

/// A second master and a second slave are refused while the first lives. The first notices nothing.
fn seats_taken(stage: &Stage<'_>, pair: &mut CommandPair) -> Result<()> {
    let segment = Segment::fresh("bad-input");
    pair.open(&segment, None)?;
    let mut others = stage.command_pair()?;
    for side in [Side::Master, Side::Slave] {
        let (peer, _) = others.way(side);
        let text = peer.refuses(&open(side.word(), segment.name(), None), -15)?;
        for part in [segment.name(), side.word(), "pid"] {
            ensure!(text.contains(part), "{peer}: {text:?} does not say {part:?}");
        }
    }
    for from in [Side::Master, Side::Slave] {
        let (sender, receiver) = pair.way(from);
        sender.expect("send 7374696c6c 10000", &Observation::Ok)?;
        receiver.receives("recv 10000", b"still")?;
    }
    others.finish()?;
    pair.close(&segment)
}
