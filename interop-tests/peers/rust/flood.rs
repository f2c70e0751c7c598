//! Many messages of every size that are cheap to create and to compare. Every language creates the same ones.

use eshm::Role;

use crate::looped::Endpoint;
use crate::observe::{Observation, observe};
use crate::payload::next;
use crate::{Arguments, Failure};

/// The number of messages that are sent one at a time, and then in a batch, alternately.
const RUN: u64 = 100;
/// The number of offsets in the block at which messages start.
const STARTS: usize = 1 << 16;

/// The messages of a series: slices of one block of pseudo-random bytes.
struct Flood {
    seed: u64,
    longest: usize,
    block: Vec<u8>,
}

impl Flood {
    fn new(seed: u64, longest: usize) -> Self {
        let mut state = seed;
        let words = (longest + STARTS).div_ceil(8);
        let block = (0..words).flat_map(|_| next(&mut state).to_le_bytes()).collect();
        Flood { seed, longest, block }
    }

    fn message(&self, number: u64) -> &[u8] {
        let word = next(&mut (self.seed ^ number));
        let up_to = |most: usize| (word >> 12) as usize % (most + 1);
        let length = match number {
            0 => 0,
            1 => self.longest,
            _ if word.is_multiple_of(4096) => up_to(self.longest),
            _ if word.is_multiple_of(64) => up_to(4096.min(self.longest)),
            _ => up_to(64),
        };
        &self.block[(word >> 48) as usize..][..length]
    }

    fn expect(&self, number: u64, found: &[u8]) -> Result<(), Failure> {
        let expected = self.message(number);
        if found == expected {
            return Ok(());
        }
        let at = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
        let (found, expected) = (found.len(), expected.len());
        Err(format!("message {number} differs at byte {at}: {found} bytes, expected {expected}").into())
    }
}

/// Returns the numbers of the run that begins with `first`, and whether they are sent as a batch.
fn run_at(first: u64, count: u64) -> (std::ops::Range<u64>, bool) {
    (first..count.min(first + RUN), (first / RUN) % 2 == 1)
}

/// The master sends its messages first, then the slave.
pub fn flood(endpoint: &mut Endpoint, arguments: &Arguments) -> Result<(), Failure> {
    let flood = Flood::new(arguments.seed, endpoint.max_message());
    if endpoint.role() == Role::Master {
        send(endpoint, arguments, &flood)?;
        receive(endpoint, arguments, &flood)?;
    } else {
        receive(endpoint, arguments, &flood)?;
        send(endpoint, arguments, &flood)?;
    }
    observe(&Observation::Done { sent: arguments.count, received: arguments.count });
    Ok(())
}

fn send(endpoint: &mut Endpoint, arguments: &Arguments, flood: &Flood) -> Result<(), Failure> {
    for first in (0..arguments.count).step_by(RUN as usize) {
        let (mut numbers, in_batch) = run_at(first, arguments.count);
        if in_batch {
            let batch: Vec<_> = numbers.map(|number| flood.message(number)).collect();
            endpoint.send_many(&batch).map_err(eshm::Error::from)?;
        } else {
            numbers
                .try_for_each(|number| endpoint.send_timeout(flood.message(number), arguments.timeout()))?;
        }
    }
    Ok(())
}

fn receive(endpoint: &mut Endpoint, arguments: &Arguments, flood: &Flood) -> Result<(), Failure> {
    let mut next = 0;
    while next < arguments.count {
        let (numbers, in_batch) = run_at(next - next % RUN, arguments.count);
        if !in_batch {
            let message = endpoint.recv_timeout(arguments.timeout())?;
            flood.expect(next, &message.ok_or_else(|| format!("message {next} did not come"))?)?;
            next += 1;
            continue;
        }
        let mut outcome = Ok(());
        let count =
            endpoint.recv_many_timeout((numbers.end - next) as usize, arguments.timeout(), |found| {
                if outcome.is_ok() {
                    outcome = flood.expect(next, found);
                    next += 1;
                }
            })?;
        outcome?;
        if count == 0 {
            return Err(format!("message {next} did not come").into());
        }
    }
    Ok(())
}
