//! Promise: whatever happens to two endpoints, what was accepted is delivered once and in order.
//!
//! One test per pairing: the corpus, then random programs.

use std::process::ExitCode;

use interop_tests::language::{Language, Pairing};
use interop_tests::life::{Plan, hunt, pairings};
use interop_tests::runner::named;
use interop_tests::scenario::Scenario;
use interop_tests::toolchain::Peers;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A hunt starts its own workers.
    arguments.test_threads.get_or_insert(1);
    let languages: Vec<&Language> =
        pairings().iter().flat_map(|pairing| [pairing.master, pairing.slave]).collect();
    let peers: &Peers = Box::leak(Box::new(if arguments.list {
        Peers::default()
    } else {
        Peers::prepare(&languages).expect("peers are built")
    }));
    let trials =
        pairings().into_iter().zip(0..).map(|(pairing, number)| trial(peers, pairing, number)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(peers: &'static Peers, pairing: Pairing, number: u64) -> Trial {
    let test = move || {
        // Each pairing runs different programs.
        let seed = 1 + 1000 * number;
        let plan = Plan {
            pairings: vec![pairing],
            seed,
            programs: Plan::usual_programs(&pairing),
            // Each variant plays the corpus with every language.
            corpus: !pairing.is_of_variants(),
            ..Plan::default()
        };
        let report = hunt(&plan, peers, |line| eprintln!("{line}"));
        let found = report.map_err(|error| Failed::from(format!("{error:#}")))?.found;
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        if texts.is_empty() { Ok(()) } else { Err(Failed::from(texts.join("\n"))) }
    };
    let life = Scenario::named("life").expect("it is in the table");
    named(peers, pairing, life, test)
}
