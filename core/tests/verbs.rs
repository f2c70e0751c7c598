//! Each verb of a half, in each of its forms, is one of the endpoint, too; and messages compare with bytes.

mod common;

use std::time::Duration;

use common::Name;
use eshm::{Endpoint, Error, Loan, Role};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(10);

fn pair(name: &str, queue_capacity: usize) -> (Endpoint, Endpoint) {
    let open = |role| Endpoint::builder(name).role(role).queue_capacity(queue_capacity).open().unwrap();
    (open(Role::Master), open(Role::Slave))
}

fn loan_in_time(endpoint: &mut Endpoint, len: usize) -> eshm::Result<Loan<'_>> {
    endpoint.loan_timeout(len, LONG)
}

#[test]
fn an_endpoint_has_every_form_of_every_verb() {
    let name = Name::new("verbs");
    let (mut master, mut slave) = pair(&name, 4096);
    let loans = [Endpoint::loan, Endpoint::try_loan, loan_in_time];
    for (number, loan) in (0..).zip(loans) {
        let mut loan = loan(&mut master, 1).unwrap();
        loan[0] = number;
        loan.send().unwrap();
        assert_eq!(slave.recv().unwrap(), [number]);
    }
    master.send(b"a").unwrap();
    master.try_send(b"b").unwrap();
    master.send_timeout(b"c", LONG).unwrap();
    assert_eq!(slave.recv().unwrap(), b"a");
    assert_eq!(slave.try_recv().unwrap().unwrap(), b"b");
    assert_eq!(slave.recv_timeout(LONG).unwrap().unwrap(), b"c");
    master.write(b"d").unwrap();
    assert_eq!(slave.read().unwrap(), b"d");
    master.write(b"e").unwrap();
    assert_eq!(slave.try_read().unwrap().unwrap(), b"e");
    master.write(b"f").unwrap();
    assert_eq!(slave.read_timeout(LONG).unwrap().unwrap(), b"f");
}

#[test]
fn an_endpoint_has_every_form_of_the_batch() {
    let name = Name::new("verbs-batch");
    let (mut master, mut slave) = pair(&name, 4096);
    master.send_many(&[b"1", b"2"]).unwrap();
    master.try_send_many(&[b"3"]).unwrap();
    master.send_many_timeout(&[b"4"], LONG).unwrap();
    let mut received = Vec::new();
    assert_eq!(slave.try_recv_many(2, |bytes| received.extend_from_slice(bytes)).unwrap(), 2);
    assert_eq!(slave.recv_many(1, |bytes| received.extend_from_slice(bytes)).unwrap(), 1);
    assert_eq!(slave.recv_many_timeout(9, LONG, |bytes| received.extend_from_slice(bytes)).unwrap(), 1);
    assert_eq!(received, b"1234");
    assert_eq!(slave.try_recv_many(9, |_| unreachable!()).unwrap(), 0);
    assert_eq!(slave.try_recv_many(0, |_| unreachable!()).unwrap(), 0);
    assert_eq!(slave.recv_many_timeout(9, SHORT, |_| unreachable!()).unwrap(), 0);
}

#[test]
fn a_batch_that_does_not_wait_takes_one_message_of_a_segment_without_queues() {
    let name = Name::new("verbs-without");
    let (mut master, mut slave) = pair(&name, 0);
    let error = master.try_send_many(&[b"1", b"2"]).unwrap_err();
    assert!(matches!(error.source, Error::Full { .. }));
    assert_eq!(error.sent, 1);
    assert_eq!(slave.try_recv_many(9, |bytes| assert_eq!(bytes, b"1")).unwrap(), 1);
    assert_eq!(slave.try_recv_many(9, |_| unreachable!()).unwrap(), 0);
}

#[test]
fn a_message_compares_with_bytes() {
    let name = Name::new("verbs-equal");
    let (mut master, mut slave) = pair(&name, 4096);
    master.send(b"abc").unwrap();
    let message = slave.recv().unwrap();
    assert_eq!(message, b"abc"[..]);
    assert_eq!(message, &b"abc"[..]);
    assert_eq!(message, *b"abc");
    assert_eq!(message, b"abc");
    assert_ne!(message, b"abx");
    assert_ne!(message, b"ab"[..]);
}
