//! With the feature `serde`, what an endpoint, an observer and a domain tell can be serialized.
#![cfg(feature = "serde")]

mod common;

use common::Name;
use eshm::{Endpoint, Observer, Role};
use serde_json::json;

#[test]
fn what_is_told_is_serialized_under_its_names() {
    let name = Name::new("serialize");
    let mut master = Endpoint::builder(&name).role(Role::Master).open().unwrap();
    master.send(b"abc").unwrap();
    let stats = serde_json::to_value(master.stats().unwrap()).unwrap();
    assert_eq!((&stats["messages_sent"], &stats["slave_alive"]), (&json!(1), &json!(false)));
    assert_eq!(serde_json::to_value(master.role()).unwrap(), json!("master"));
    assert_eq!(serde_json::to_value(master.peer_state()).unwrap(), json!("absent"));
    let view = serde_json::to_value(Observer::open(&name).unwrap().look()).unwrap();
    assert_eq!((&view["master"]["state"], &view["master_to_slave"]["waiting"]), (&json!("alive"), &json!(1)));
    let segments = eshm::segments().unwrap();
    let own = segments.iter().find(|segment| segment.name == *name).unwrap();
    let own = serde_json::to_value(own).unwrap();
    assert_eq!((&own["kind"], &own["view"]["slave"]["state"]), (&json!("current"), &json!("absent")));
}
