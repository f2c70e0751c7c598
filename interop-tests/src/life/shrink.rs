//! Shortens a failing program by delta debugging over its steps.

use super::program::Program;

/// Returns the shortest program found for which `fails` returns true. It removes ever smaller parts. `fails` may return
/// false to stop early.
pub fn shrink(program: &Program, mut fails: impl FnMut(&Program) -> bool) -> Program {
    let mut best = program.clone();
    let mut part = best.steps.len().div_ceil(2);
    while part > 0 {
        let before = best.steps.len();
        let mut from = 0;
        while from < best.steps.len() {
            let mut candidate = best.clone();
            candidate.steps.drain(from..(from + part).min(best.steps.len()));
            if fails(&candidate) {
                best = candidate;
            } else {
                from += part;
            }
        }
        // Repeats with the same part size until no part can be removed.
        if best.steps.len() == before {
            part = if part == 1 { 0 } else { part.div_ceil(2) };
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::program::Step;

    fn waits(millis: impl IntoIterator<Item = u64>) -> Program {
        Program { steps: millis.into_iter().map(Step::Wait).collect() }
    }

    #[test]
    fn only_the_steps_that_matter_are_left() {
        let needed = [Step::Wait(3), Step::Wait(17), Step::Wait(38)];
        let fails = |program: &Program| needed.iter().all(|step| program.steps.contains(step));
        assert_eq!(shrink(&waits(0..40), fails).steps, needed);
    }

    #[test]
    fn steps_that_matter_only_together_are_kept() {
        let count = |program: &Program, step| program.steps.iter().filter(|other| **other == step).count();
        let fails = |program: &Program| count(program, Step::Wait(1)) == count(program, Step::Wait(2));
        let shrunk = shrink(&waits([1, 2, 1, 2, 7]), |program| fails(program) && !program.steps.is_empty());
        assert!(fails(&shrunk) && shrunk.steps.len() <= 2, "{shrunk}");
    }

    #[test]
    fn a_program_that_fails_no_more_is_left_as_it_is() {
        let program = waits(0..9);
        assert_eq!(shrink(&program, |_| false), program);
    }
}
