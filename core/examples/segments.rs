//! Lists the segments of a domain, and removes the dead: `cargo run --example segments -- [--remove] [DIRECTORY PREFIX]`.

use eshm::{Domain, Segment};

fn main() -> eshm::Result<()> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let remove = args.first().is_some_and(|arg| arg == "--remove");
    if remove {
        args.remove(0);
    }
    let domain = match &args[..] {
        [] => Domain::from_env()?,
        [directory, prefix] => Domain::new(directory, prefix)?,
        _ => {
            eprintln!("usage: segments [--remove] [DIRECTORY PREFIX]");
            std::process::exit(2);
        }
    };
    if !remove {
        for segment in domain.segments()? {
            println!("{}", line(&segment));
        }
        return Ok(());
    }
    let removal = domain.remove_dead()?;
    for segment in &removal.removed {
        println!("removed {}", line(segment));
    }
    for left in &removal.left {
        println!("left {}: {}", left.segment.name, left.reason);
    }
    Ok(())
}

fn line(segment: &Segment) -> String {
    let Segment { name, kind, size, owner, view, reason, .. } = segment;
    match view {
        Some(view) => format!(
            "{name}: {kind}, {size} bytes, user {owner}, master {}, slave {}, {} and {} messages wait",
            view.master.state, view.slave.state, view.master_to_slave.waiting, view.slave_to_master.waiting
        ),
        None => format!("{name}: {kind}, {size} bytes, user {owner}, {reason}"),
    }
}
