//! The first exchange: run it twice, `cargo run --example hello -- master` and `-- slave`.
//!
//! The same conversation as `examples/simple_master.py`, `examples/simple_slave.py` and the C++ `eshm_demo`: either
//! end may be in any language.

use eshm::{Endpoint, Role, text};

fn main() -> eshm::Result<()> {
    let mut args = std::env::args().skip(1);
    let role = match args.next().as_deref() {
        Some("master") => Some(Role::Master),
        Some("slave") => Some(Role::Slave),
        None | Some("auto") => None,
        Some(other) => {
            eprintln!("unknown role {other:?}; usage: hello [master|slave|auto] [NAME] [COUNT]");
            std::process::exit(2);
        }
    };
    let name = args.next().unwrap_or_else(|| "eshm1".to_owned());
    let count = args.next().and_then(|count| count.parse().ok()).unwrap_or(10);

    let endpoint = Endpoint::builder(&name).role(role).open()?;
    match endpoint.role() {
        Role::Slave => answer(endpoint, count),
        Role::Master => greet(endpoint, count),
    }
}

fn greet(mut robot: Endpoint, count: u32) -> eshm::Result<()> {
    println!("[MASTER] Initialized with role: MASTER");
    for i in 0..count {
        let message = format!("Hello from Rust master #{i}");
        robot.send(&text::encode(&message)?)?;
        println!("[MASTER] Sent: {message}");
        println!("[MASTER] Received: {}", robot.recv()?.text()?);
    }
    Ok(())
}

fn answer(mut robot: Endpoint, count: u32) -> eshm::Result<()> {
    println!("[SLAVE] Initialized with role: SLAVE");
    for i in 0..count {
        let message = robot.recv()?;
        println!("[SLAVE] Received ({} bytes): {}", message.len(), message.text()?);
        // Gives its room in the queue back, and the endpoint.
        drop(message);
        let reply = format!("ACK from Rust slave #{i}");
        robot.send(&text::encode(&reply)?)?;
        println!("[SLAVE] Sent: {reply}");
    }
    Ok(())
}
