//! Tests of the model without peers: which answers it accepts and which it rejects.

use super::model::Model;
use super::program::{Opening, Verb};
use super::state::End;
use crate::observe::Observation;
use crate::segment::Side::{self, Master, Slave};

const SEND: Verb = Verb::TrySend { longest: 40 };
const RECV: Verb = Verb::TryRecv;

fn open() -> Model {
    let mut model = Model::default();
    model.opened(Master, Opening::default());
    model.opened(Slave, Opening::default());
    model
}

fn send(model: &mut Model, side: Side) -> String {
    let text = model.begins(side, SEND).remove(0);
    model.answers(side, SEND, &Observation::Ok, false).unwrap();
    text
}

fn comes(model: &mut Model, side: Side, hex: &str) -> Result<(), String> {
    model.begins(side, RECV);
    let said = Observation::Message { hex: hex.to_owned(), skipped: 0, generation: 1 };
    model.answers(side, RECV, &said, false).map_err(|error| format!("{error:#}"))
}

fn nothing(model: &mut Model, side: Side) -> Result<(), String> {
    model.begins(side, RECV);
    model.answers(side, RECV, &Observation::Nothing, false).map_err(|error| format!("{error:#}"))
}

#[test]
fn each_message_comes_once_and_in_order() {
    let mut model = open();
    let [first, second] = [send(&mut model, Master), send(&mut model, Master)];
    assert!(comes(&mut model.clone(), Slave, &second).unwrap_err().contains("message 0 before it did not"));
    comes(&mut model, Slave, &first).unwrap();
    assert!(comes(&mut model.clone(), Slave, &first).unwrap_err().contains("received before"));
    assert!(nothing(&mut model.clone(), Slave).unwrap_err().contains("message 1 of the master is there"));
    comes(&mut model, Slave, &second).unwrap();
    nothing(&mut model, Slave).unwrap();
}

#[test]
fn what_a_master_left_is_read_out_though_another_one_came() {
    let mut model = open();
    let first = send(&mut model, Master);
    model.ended(Master, End::Close);
    model.opened(Master, Opening::default());
    let second = send(&mut model, Master);
    assert!(
        nothing(&mut model.clone(), Slave).is_err(),
        "the first one is in a segment that the slave holds"
    );
    comes(&mut model, Slave, &first).unwrap();
    nothing(&mut model.clone(), Slave).expect("the slave may not have moved yet");
    comes(&mut model, Slave, &second).unwrap();
}

#[test]
fn what_a_slave_sent_is_owed_to_the_next_master() {
    let mut model = open();
    let text = send(&mut model, Slave);
    model.ended(Master, End::Close);
    model.opened(Master, Opening::default());
    nothing(&mut model, Master).expect("it may still be on its way");
    assert_eq!(model.owed(Slave).as_deref(), Some("message 0 of the slave"));
    comes(&mut model, Master, &text).unwrap();
    assert_eq!(model.owed(Slave), None);
}

#[test]
fn a_segment_without_a_name_is_lost_with_its_last_holder() {
    let mut model = open();
    let text = send(&mut model, Slave);
    model.ended(Master, End::Close);
    model.ended(Slave, End::Kill);
    assert_eq!(model.owed(Slave), None);
    model.opened(Master, Opening::default());
    assert!(comes(&mut model, Master, &text).is_err());
}

#[test]
fn a_killed_masters_segment_keeps_everything() {
    let mut model = open();
    let (to_slave, to_master) = (send(&mut model, Master), send(&mut model, Slave));
    model.ended(Master, End::Kill);
    model.ended(Slave, End::Kill);
    model.opened(Master, Opening::default());
    model.opened(Slave, Opening::default());
    comes(&mut model, Slave, &to_slave).unwrap();
    comes(&mut model, Master, &to_master).unwrap();
}

#[test]
fn what_was_held_at_a_kill_comes_again() {
    let mut model = open();
    let text = send(&mut model, Master);
    hold(&mut model, Slave, &text);
    model.ended(Slave, End::Kill);
    model.opened(Slave, Opening::default());
    assert!(nothing(&mut model.clone(), Slave).is_err());
    comes(&mut model, Slave, &text).unwrap();
}

/// Receives this message in place at this side, and holds it.
fn hold(model: &mut Model, side: Side, hex: &str) {
    let hold = Verb::Hold { wait: 1 };
    model.begins(side, hold);
    let said = Observation::Message { hex: hex.to_owned(), skipped: 0, generation: 1 };
    model.answers(side, hold, &said, false).unwrap();
}

#[test]
fn what_was_held_may_be_in_the_segment_that_lost_its_name() {
    for removed in [false, true] {
        let mut model = open();
        let text = send(&mut model, Slave);
        model.ended(Master, End::Close);
        model.opened(Master, Opening { data: Some(256), ..Opening::default() });
        if removed {
            // The slave switches to the previous named segment, or to the present one.
            model.unlinked();
        }
        hold(&mut model, Master, &text);
        model.ended(Slave, End::Kill);
        model.ended(Master, End::Kill);
        model.opened(Master, Opening::default());
        assert_eq!(model.owed(Slave).is_none(), removed);
        comes(&mut model, Master, &text).unwrap();
    }
}

#[test]
fn what_was_held_is_released_by_a_look_where_the_library_does_so() {
    for lets_go in [false, true] {
        let mut model = Model::of([false, lets_go]);
        model.opened(Master, Opening::default());
        model.opened(Slave, Opening::default());
        let text = send(&mut model, Master);
        hold(&mut model, Slave, &text);
        nothing(&mut model, Slave).unwrap();
        model.ended(Slave, End::Kill);
        model.opened(Slave, Opening::default());
        assert_eq!(comes(&mut model, Slave, &text).is_err(), lets_go);
    }
}

#[test]
fn an_interrupted_send_may_come_or_not() {
    let mut model = open();
    let text = model.begins(Master, SEND).remove(0);
    model.ended(Master, End::Kill);
    nothing(&mut model.clone(), Slave).unwrap();
    comes(&mut model, Slave, &text).unwrap();
}

#[test]
fn a_removed_name_is_no_loss_while_one_end_lives() {
    let mut model = open();
    let text = send(&mut model, Slave);
    model.unlinked();
    model.ended(Slave, End::Kill);
    comes(&mut model.clone(), Master, &text).unwrap();
    model.ended(Master, End::Kill);
    assert_eq!(model.owed(Slave), None, "both that had the segment without a name are gone");
}

#[test]
fn a_master_carries_over_only_what_lies_where_it_was() {
    let mut model = open();
    send(&mut model, Master);
    model.ended(Master, End::Close);
    model.opened(Master, Opening::default());
    let text = send(&mut model, Slave);
    comes(&mut model, Master, &text).expect("so the slave has moved");
    model.unlinked();
    model.ended(Slave, End::Close);
    assert_eq!(model.owed(Master), None, "only the slave had the first master's message");
}

#[test]
fn a_refusal_needs_a_reason() {
    let mut model = open();
    let refused = |model: &mut Model, code| {
        model.begins(Master, SEND);
        let said = Observation::Error { code, message: String::new() };
        model.answers(Master, SEND, &said, false)
    };
    assert!(refused(&mut model.clone(), -16).is_err(), "no peer has closed");
    assert!(refused(&mut model.clone(), -12).is_err(), "there is nothing in the queue");
    assert!(refused(&mut model.clone(), -17).is_err(), "never");
    send(&mut model, Master);
    refused(&mut model.clone(), -12).unwrap();
    model.ended(Slave, End::Close);
    refused(&mut model, -16).unwrap();
}

#[test]
fn a_clean_close_stays_visible_in_the_segment() {
    let mut model = open();
    let refused = |model: &mut Model| {
        model.begins(Master, RECV);
        let said = Observation::Error { code: -16, message: String::new() };
        model.answers(Master, RECV, &said, false)
    };
    for closes in [false, true] {
        model.ended(Master, End::Kill);
        model.ended(Slave, if closes { End::Close } else { End::Kill });
        model.opened(Master, Opening::default());
        assert_eq!(refused(&mut model.clone()).is_ok(), closes);
        model.opened(Slave, Opening::default());
    }
    model.unlinked();
    model.ended(Slave, End::Kill);
    model.ended(Master, End::Kill);
    model.opened(Master, Opening::default());
    refused(&mut model).expect("so does that of a stand-in, where no slave was");
}

#[test]
fn a_batch_says_how_many_went() {
    let mut model = open();
    let verb = Verb::SendMany { count: 3, longest: 40, wait: None };
    let texts = model.begins(Master, verb);
    let said = |count| Observation::Count { count, code: -10, message: String::new() };
    assert!(model.clone().answers(Master, verb, &said(4), false).is_err(), "more than there were");
    model.answers(Master, verb, &said(1), false).unwrap();
    comes(&mut model, Slave, &texts[0]).unwrap();
    assert!(comes(&mut model, Slave, &texts[1]).is_err(), "it was not sent");
}
