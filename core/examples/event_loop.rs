//! One thread waits for an endpoint, a timer and a socket. Run it with `cargo run --example event_loop`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use eshm::{Endpoint, Interest, WaitSet};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

const ENDPOINT: u64 = 0;
const TIMER: u64 = 1;
const SOCKET: u64 = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("example-event-loop-{}", std::process::id());
    let mut master = Endpoint::master(&name)?;
    let mut slave = Endpoint::slave(&name)?;
    let (mut there, mut here) = UnixStream::pair()?;
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
    let interval = TimeSpec::from_duration(Duration::from_millis(2));
    timer.set(Expiration::Interval(interval), TimerSetTimeFlags::empty())?;

    let set = WaitSet::new()?;
    set.add(&slave.events(Interest::READABLE)?, ENDPOINT)?;
    set.add_fd(&timer, TIMER)?;
    set.add_fd(&here, SOCKET)?;

    let sender = thread::spawn(move || -> eshm::Result<()> {
        for number in 0..3 {
            master.send(format!("pose {number}").as_bytes())?;
        }
        there.write_all(b"that is all").expect("the loop reads it");
        Ok(())
    });
    let (mut messages, mut ticks, mut text) = (0, 0, String::new());
    while messages < 3 || ticks < 2 || text.is_empty() {
        for token in set.wait(None)? {
            match token {
                // Until nothing is left: that arms the descriptor again.
                ENDPOINT => {
                    while let Some(message) = slave.try_recv()? {
                        println!("{}", message.text()?);
                        messages += 1;
                    }
                }
                TIMER => {
                    timer.wait()?;
                    ticks += 1;
                }
                _ => {
                    let mut bytes = [0; 64];
                    let len = here.read(&mut bytes)?;
                    text = String::from_utf8_lossy(&bytes[..len]).into_owned();
                    set.remove(SOCKET)?;
                }
            }
        }
    }
    println!("{text}, after {ticks} ticks");
    sender.join().expect("the sender does not panic")?;
    Ok(())
}
