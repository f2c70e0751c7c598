//! Images of invalid segments.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use eshm::{Endpoint, Role};

use super::dice::Dice;
use super::fields::{self, Field};
use crate::segment::{Map, Segment, Side};

/// The data size of the images, in bytes.
const DATA_SIZE: usize = 64;
/// The queue capacity of the images, in bytes.
const QUEUE_CAPACITY: usize = 1024;

/// A file that a test creates under a segment name.
pub struct Image {
    /// The group of the image.
    pub group: &'static str,
    /// A description of the defect.
    pub name: String,
    /// The whole content.
    pub bytes: Vec<u8>,
}

/// The groups of images, in the order of the table.
pub const GROUPS: [&str; 5] =
    ["header fields", "mailbox fields", "queue fields", "1.x images", "whole files"];

/// Returns every image.
///
/// # Errors
/// If the segment that the images are derived from cannot be created.
pub fn images() -> Result<Vec<Image>> {
    let (ours, map) = left_behind()?;
    let mut images = Vec::new();
    let [header, mailboxes, queues, old, whole] = GROUPS;
    spoil(&mut images, header, &ours, fields::header()?);
    spoil(&mut images, mailboxes, &ours, fields::channels(&map)?);
    spoil(&mut images, queues, &ours, fields::queues(&map)?);
    for version in [2, 3] {
        let image = made_by_1x(&ours, &map, version);
        images.push(Image { group: old, name: format!("version {version}"), bytes: image.clone() });
        spoil(&mut images, old, &image, fields::header()?);
        spoil(&mut images, old, &image, fields::channels(&map)?);
    }
    for (name, bytes) in whole_files(&ours, &map) {
        images.push(Image { group: whole, name, bytes });
    }
    Ok(images)
}

/// Returns a segment after both endpoints have closed. It has short and long, read and unread values and messages.
fn left_behind() -> Result<(Vec<u8>, Map)> {
    let segment = Segment::fresh("image");
    let builder = || Endpoint::builder(segment.name()).data_size(DATA_SIZE).queue_capacity(QUEUE_CAPACITY);
    let mut master = builder().role(Role::Master).auto_cleanup(false).open()?;
    let mut slave = builder().role(Role::Slave).open()?;
    for endpoint in [&mut master, &mut slave] {
        endpoint.write(b"a value")?;
        for message in [&[1; 10][..], &[2; 100], &[3; 10], &[4; 200]] {
            endpoint.send(message)?;
        }
    }
    for endpoint in [&mut master, &mut slave] {
        endpoint.try_read()?.context("a value was written")?;
        endpoint.try_recv()?.context("a message was sent")?;
    }
    slave.close()?;
    master.close()?;
    Ok((segment.bytes()?, segment.map()?))
}

/// Returns the segment as ESHM 1.x would have left it: only its layout, without the fields of ESHM 2.
fn made_by_1x(ours: &[u8], map: &Map, version: u32) -> Vec<u8> {
    let mut image = ours[..map.queue_offset as usize].to_vec();
    image[4..8].copy_from_slice(&version.to_ne_bytes());
    image[56..128].fill(0);
    image
}

/// Returns one image for each field and each value at the borders of its range.
fn spoil(images: &mut Vec<Image>, group: &'static str, image: &[u8], fields: Vec<Field>) {
    for field in fields {
        for value in field.borders() {
            let mut bytes = image.to_vec();
            bytes[field.offset as usize..][..field.width].copy_from_slice(&field.bytes(value));
            images.push(Image { group, name: format!("{} = {value:#x}", field.name), bytes });
        }
    }
}

fn whole_files(ours: &[u8], map: &Map) -> Vec<(String, Vec<u8>)> {
    let (layout, len) = (map.queue_offset as usize, ours.len());
    let mut files = Vec::new();
    for at in [0, 1, 4, 127, 128, 383, 384, layout - 1, layout, layout + 384, len - 128, len - 64, len - 1] {
        files.push((format!("truncated to {at} bytes"), ours[..at].to_vec()));
    }
    for more in [1, 64, 4096, 1 << 20] {
        files.push((format!("{more} bytes too long"), [ours, &vec![0xEE; more]].concat()));
    }
    for (seed, len) in [1, 64, 128, 384, 8576, 100_000].into_iter().enumerate() {
        files.push((format!("{len} random bytes"), Dice::new(seed as u64).bytes(len)));
    }
    for seed in 100..140 {
        let start = [56, 104, 128, layout][seed as usize % 4];
        let bytes = [&ours[..start], &Dice::new(seed).bytes(len - start)].concat();
        files.push((format!("random from byte {start} on, seed {seed}"), bytes));
    }
    for byte in [0x00, 0x01, 0x7F, 0xFF] {
        let spans =
            [("the mailboxes", 128, layout), ("the queues", layout, len), ("all but the header", 128, len)];
        for (what, from, to) in spans {
            let mut bytes = ours.to_vec();
            bytes[from..to].fill(byte);
            files.push((format!("{what} full of {byte:#04x}"), bytes));
        }
    }
    files.extend(geometries(ours, map));
    files
}

/// Returns images with consistent header sizes that do not fit the parts or the file, and with contradictory queue
/// counts.
fn geometries(ours: &[u8], map: &Map) -> Vec<(String, Vec<u8>)> {
    let with = |changes: &[(usize, Vec<u8>)]| {
        let mut bytes = ours.to_vec();
        for (at, change) in changes {
            bytes[*at..*at + change.len()].copy_from_slice(change);
        }
        bytes
    };
    let word = |value: u32| value.to_ne_bytes().to_vec();
    let long = |value: u64| value.to_ne_bytes().to_vec();
    let mut files = Vec::new();
    for data_size in [1u32, 128, 256, 4096, 64 << 20] {
        let channel = ((8 + data_size).next_multiple_of(8) + 80).next_multiple_of(64);
        let sizes = [(52, word(128 + 2 * channel)), (60, word(data_size))];
        files.push((format!("mailboxes of {data_size} bytes in its header"), with(&sizes)));
    }
    for offset in [0, 128, map.queue_offset - 128, map.queue_offset + 128, ours.len() as u64, 1 << 36] {
        files.push((format!("queues at {offset}"), with(&[(88, long(offset))])));
    }
    for (slots, capacity) in [(1, 64), (1, 1 << 36), (1 << 20, 1), (2, 1024), (128, 1024), (64, 4096)] {
        let sizes = [(84, word(slots)), (96, long(capacity))];
        files.push((format!("queues of {slots} slots and {capacity} bytes"), with(&sizes)));
    }
    for consumed in [2, 4, 5, 63, 64, 65, u32::MAX] {
        let counts = [Side::Master, Side::Slave].map(|side| (map.queue(side) as usize, word(consumed)));
        files.push((format!("{consumed} messages consumed"), with(&counts)));
    }
    files
}

/// Writes an image as a new file, so that no old page of the file remains.
///
/// # Errors
/// If the system refuses.
pub fn plant(segment: &Segment, bytes: &[u8]) -> Result<()> {
    let file = File::create(segment.path())?;
    // All memory is allocated: a SIGBUS would show a fault of /dev/shm and not of the victim.
    nix::fcntl::posix_fallocate(&file, 0, bytes.len().max(1) as i64)?;
    file.set_len(bytes.len() as u64)?;
    Ok(file.write_all_at(bytes, 0)?)
}
