//! One `select!` waits for an endpoint, a timer and a socket. Run it with
//! `cargo run --example tokio_loop --features tokio`.

use std::time::Duration;

use eshm::tokio::AsyncEndpoint;
use eshm::{Endpoint, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("example-tokio-loop-{}", std::process::id());
    let mut master = AsyncEndpoint::open(Endpoint::builder(&name).role(Role::Master)).await?;
    let mut slave = AsyncEndpoint::open(Endpoint::builder(&name).role(Role::Slave)).await?;
    let (mut there, mut here) = UnixStream::pair()?;
    let mut timer = time::interval(Duration::from_millis(2));

    let sender = tokio::spawn(async move {
        for number in 0..3 {
            master.send(format!("pose {number}").as_bytes()).await?;
        }
        there.write_all(b"that is all").await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(master)
    });
    let (mut messages, mut ticks, mut text) = (0, 0, String::new());
    let mut bytes = [0; 64];
    while messages < 3 || ticks < 2 || text.is_empty() {
        tokio::select! {
            // Cancelled when another branch is first: nothing is lost.
            message = slave.recv() => {
                println!("{}", message?.text()?);
                messages += 1;
            }
            _ = timer.tick() => ticks += 1,
            len = here.read(&mut bytes), if text.is_empty() => {
                text = String::from_utf8_lossy(&bytes[..len?]).into_owned();
            }
        }
    }
    println!("{text}, after {ticks} ticks");
    drop(sender.await?.map_err(|error| error.to_string())?);
    Ok(())
}
