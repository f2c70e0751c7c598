//! Promise: every language writes the same bytes, and says the same of its errors.
//!
//! All languages share one snapshot: it is what `protocol/PROTOCOL.md` describes, as a process wrote it.

use interop_tests::Observation;
use interop_tests::hexdump;
use interop_tests::language::{LANGUAGES, Language, Pairing};
use interop_tests::payload::payload;
use interop_tests::scenario::{CommandPair, Side, Stage, open, word};
use interop_tests::segment::Segment;
use interop_tests::toolchain::Peers;

/// A data size that leaves padding everywhere.
const SIZE: usize = 100;

/// Runs the same with every language at both ends.
fn in_every_language(run: impl Fn(&mut CommandPair) -> anyhow::Result<()>) {
    let languages: Vec<&Language> = LANGUAGES.iter().collect();
    let peers = Peers::prepare(&languages).unwrap();
    for language in languages.into_iter().filter(|language| peers.command(language).is_some()) {
        let mut pair = Stage { pairing: Pairing { master: language, slave: language }, peers: &peers }
            .command_pair()
            .unwrap();
        run(&mut pair).unwrap();
        pair.finish().unwrap();
    }
}

fn assert_snapshot(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn the_header_of_a_segment() {
    in_every_language(|pair| {
        let segment = Segment::fresh("protocol-bytes");
        pair.master.ask(&open("master", segment.name(), None))?;
        assert_snapshot("header_before_the_slave", &hexdump::header(&segment.bytes()?));
        pair.slave.ask(&open("slave", segment.name(), None))?;
        assert_snapshot("header_with_both", &hexdump::header(&segment.bytes()?));
        pair.slave.expect("close", &Observation::Ok)?;
        assert_snapshot("header_after_the_slave_closed", &hexdump::header(&segment.bytes()?));
        pair.master.expect("close", &Observation::Ok)
    });
}

#[test]
fn a_channel_after_known_writes() {
    in_every_language(|pair| {
        let segment = Segment::fresh("protocol-bytes");
        pair.open(&segment, Some(SIZE))?;
        for from in [Side::Master, Side::Slave] {
            let start = segment.map()?.channel(from) as usize;
            let name = |step: &str| format!("{}_channel_{step}", from.word());
            let (sender, receiver) = pair.way(from);
            for message in [payload(1, 0, SIZE), payload(1, 1, SIZE), b"Hello from master #0\0".to_vec()] {
                sender.expect(&format!("write {}", word(&message)), &Observation::Ok)?;
            }
            assert_snapshot(&name("after_three_writes"), &hexdump::channel(&segment.bytes()?, start, SIZE));
            receiver.receives("try-read", b"Hello from master #0\0")?;
            assert_snapshot(&name("after_a_read"), &hexdump::channel(&segment.bytes()?, start, SIZE));
            sender.expect("write -", &Observation::Ok)?;
            assert_snapshot(&name("after_an_empty_value"), &hexdump::channel(&segment.bytes()?, start, SIZE));
        }
        pair.close(&segment)
    });
}

#[test]
fn a_queue_after_known_messages() {
    in_every_language(|pair| {
        let segment = Segment::fresh("protocol-bytes");
        pair.open(&segment, Some(SIZE))?;
        for from in [Side::Master, Side::Slave] {
            let start = segment.map()?.queue(from) as usize;
            let name = |step: &str| format!("{}_queue_{step}", from.word());
            let (sender, receiver) = pair.way(from);
            for message in [&b"Hello from master #0\0"[..], b"", &[0x55; 56], &[0xaa; 57]] {
                sender.expect(&format!("send {}", word(message)), &Observation::Ok)?;
            }
            assert_snapshot(
                &name("after_four_messages"),
                &hexdump::queue(&known_bytes(&segment, start)?, start, 5),
            );
            receiver.receives("try-recv", b"Hello from master #0\0")?;
            receiver.receives("try-recv", b"")?;
            assert_snapshot(
                &name("after_two_were_received"),
                &hexdump::queue(&known_bytes(&segment, start)?, start, 1),
            );
        }
        pair.close(&segment)
    });
}

/// A segment's bytes, with the high-water mark of the queue that starts there as 0: it is what a heartbeat happened to
/// see.
fn known_bytes(segment: &Segment, queue: usize) -> anyhow::Result<Vec<u8>> {
    const HIGH_WATER: usize = 260;
    let mut bytes = segment.bytes()?;
    bytes[queue + HIGH_WATER..queue + HIGH_WATER + 4].fill(0);
    Ok(bytes)
}

#[test]
fn the_texts_of_errors() {
    in_every_language(|pair| {
        let segment = Segment::fresh("protocol-bytes");
        pair.open(&segment, Some(SIZE))?;
        let mut texts = String::new();
        let mut refuse =
            |peer: &mut interop_tests::peer::Peer, command: String, code: i32| -> anyhow::Result<()> {
                let text = peer.refuses(&command, code)?.replace(segment.name(), "NAME");
                texts.push_str(&format!("{code}: {text}\n"));
                Ok(())
            };
        let CommandPair { master, slave } = pair;
        refuse(master, format!("write {}", word(&[0; SIZE + 1])), -13)?;
        let capacity = segment.map()?.queue_capacity as usize;
        refuse(master, format!("send {}", word(&vec![0; capacity + 1])), -13)?;
        master.expect(&format!("try-send {}", word(&vec![0; capacity])), &Observation::Ok)?;
        refuse(master, format!("try-send {}", word(&[0; 57])), -12)?;
        slave.expect("close", &Observation::Ok)?;
        refuse(slave, open("slave", "a/b", None), -1)?;
        refuse(slave, open("slave", "..", None), -1)?;
        refuse(slave, open("slave", "", None), -1)?;
        refuse(slave, open("slave", segment.name(), Some(0)), -1)?;
        refuse(slave, open("slave", segment.name(), Some(2 * SIZE)), -3)?;
        refuse(master, "recv".to_owned(), -16)?;
        refuse(master, format!("send-text {}", word(b"a\0b")), -1)?;
        let bytes = segment.bytes()?;
        master.expect("close", &Observation::Ok)?;
        segment.plant(&bytes[..50])?;
        refuse(slave, open("slave", segment.name(), None), -3)?;
        assert_snapshot("texts_of_errors", &texts);
        Ok(())
    });
}
