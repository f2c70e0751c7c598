//! The async verbs under tokio: each one, beside others, as a stream and as a sink.

mod common;

use std::future::poll_fn;

use common::Name;
use common::aio::{builder, pair, polls, receive_numbers, runtime, runtimes, send_numbers, soon};
use eshm::tokio::AsyncEndpoint;
use eshm::{Endpoint, Error, Role};
use futures_util::{SinkExt, StreamExt};

#[test]
fn each_verb() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let name = Name::new("tokio-verbs");
            let (mut master, mut slave) = pair(&name).await;
            assert_eq!((master.name(), master.role()), (&*name, Role::Master));
            assert_eq!((slave.data_size(), slave.max_message()), (256, 4096));

            slave.send(b"message").await.unwrap();
            assert_eq!(soon(master.recv()).await.unwrap(), b"message");
            slave.write(b"old").unwrap();
            slave.write(b"value").unwrap();
            let value = soon(master.read()).await.unwrap();
            assert_eq!((&*value, value.skipped()), (&b"value"[..], 1));
            drop(value);

            let mut loan = slave.loan(3).await.unwrap();
            loan.copy_from_slice(b"abc");
            loan.send().unwrap();
            let message = soon(master.recv()).await.unwrap();
            assert!(message == b"abc" && message.generation() > 0);
            drop(message);

            let batch = ["one", "two", "six"];
            let mut left = &batch[..];
            slave.send_many(&mut left).await.unwrap();
            assert!(left.is_empty());
            let mut received = Vec::new();
            let count = soon(master.recv_many(2, |bytes| received.push(bytes.to_vec()))).await.unwrap();
            assert_eq!((count, received), (2, vec![b"one".to_vec(), b"two".to_vec()]));
            assert_eq!(master.recv_many(0, |_| unreachable!()).await.unwrap(), 0);
            assert_eq!(soon(master.recv()).await.unwrap(), b"six");

            let error = slave.send(&[0; 5000]).await.unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{error}");
            assert_eq!(master.stats().unwrap().messages_received, 5);

            // A message that is borrowed, and the other half.
            let (sender, receiver) = master.split();
            slave.send(b"echo").await.unwrap();
            sender.send(&soon(receiver.recv()).await.unwrap()).await.unwrap();
            assert_eq!(soon(slave.recv()).await.unwrap(), b"echo");

            let mut endpoint = slave.into_inner();
            endpoint.send(b"from the endpoint itself").unwrap();
            assert_eq!(&*soon(master.recv()).await.unwrap(), b"from the endpoint itself");
            master.send(b"left").await.unwrap();
            assert_eq!(master.close().unwrap(), 1);
        });
    }
}

/// Waits that begin before there is anything to find.
#[test]
fn each_verb_waits() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let name = Name::new("tokio-waits");
            let (master, slave) = pair(&name).await;
            let ((mut sender, mut receiver), (mut to_master, mut from_master)) =
                (master.into_split(), slave.into_split());
            for _ in 0..50 {
                let values = async {
                    assert_eq!(soon(from_master.read()).await.unwrap(), b"value");
                    assert_eq!(soon(from_master.recv()).await.unwrap(), b"message");
                    to_master.send(b"both").await.unwrap();
                };
                let answers = async {
                    tokio::task::yield_now().await;
                    sender.write(b"value").unwrap();
                    sender.send(b"message").await.unwrap();
                    assert_eq!(soon(receiver.recv()).await.unwrap(), b"both");
                };
                tokio::join!(values, answers);
            }
        });
    }
}

/// Opening a slave holds up no other task.
#[test]
fn a_slave_waits_for_its_master_while_others_run() {
    runtime().block_on(async {
        let name = Name::new("tokio-open");
        let slave = tokio::spawn(AsyncEndpoint::open(builder(&name, Role::Slave)));
        tokio::task::yield_now().await;
        assert!(!slave.is_finished());
        let mut master = AsyncEndpoint::open(builder(&name, Role::Master)).await.unwrap();
        let mut slave = soon(slave).await.unwrap().unwrap();
        slave.send(b"here").await.unwrap();
        assert_eq!(soon(master.recv()).await.unwrap(), b"here");
        let error = AsyncEndpoint::open(builder(&name, Role::Master)).await.unwrap_err();
        assert!(matches!(error, Error::SeatTaken { .. }), "{error}");
        // Nobody waits for this one any more.
        let other = Name::new("tokio-open-dropped");
        assert!(polls(1, AsyncEndpoint::open(builder(&other, Role::Slave))).await.is_none());
    });
}

/// Both ways at once, each half in a task of its own, through a queue that is full most of the time.
#[test]
fn halves_in_two_tasks_send_and_receive_at_once() {
    const COUNT: u32 = 3000;
    for runtime in runtimes() {
        runtime.block_on(async {
            let name = Name::new("tokio-halves");
            let (master, slave) = pair(&name).await;
            let tasks = [master, slave].map(|endpoint| {
                let (sender, receiver) = endpoint.into_split();
                (tokio::spawn(send_numbers(sender, COUNT)), tokio::spawn(receive_numbers(receiver, COUNT)))
            });
            for (sending, receiving) in tasks {
                let halves = (sending.await.unwrap(), receiving.await.unwrap());
                drop(halves);
            }
        });
    }
}

#[test]
fn a_stream_ends_with_its_peer_and_a_sink_keeps_what_has_no_room() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let name = Name::new("tokio-stream");
            let (master, slave) = pair(&name).await;
            let (mut sink, unused) = master.into_split();
            let (_sender, stream) = slave.into_split();
            let mut taken = 0_u32;
            while polls(2, sink.feed(taken.to_ne_bytes())).await.is_some() {
                taken += 1;
            }
            // The first one that did not fit was kept, and the sink was not ready for another one.
            assert!(taken > 10);
            let receiving = tokio::spawn(async move {
                let mut messages = Vec::new();
                let mut stream = stream;
                while let Some(message) = stream.next().await {
                    messages.push(u32::from_ne_bytes(message.unwrap().try_into().unwrap()));
                }
                messages
            });
            soon(SinkExt::<[u8; 4]>::flush(&mut sink)).await.unwrap();
            // Every verb sends what was kept first.
            soon(sink.send(&taken.to_ne_bytes())).await.unwrap();
            soon(SinkExt::<[u8; 4]>::close(&mut sink)).await.unwrap();
            drop((sink, unused));
            let messages = soon(receiving).await.unwrap();
            assert!(messages.iter().copied().eq(0..=taken), "{messages:?}");
        });
    }
}

/// The stream of one endpoint into the sink of another: the slow end sets the pace.
#[test]
fn a_stream_is_forwarded_into_a_sink() {
    const COUNT: u32 = 2000;
    runtime().block_on(async {
        let names = [Name::new("tokio-forward-in"), Name::new("tokio-forward-out")];
        let ((source, inlet), (outlet, target)) = (pair(&names[0]).await, pair(&names[1]).await);
        let (sender, other) = source.into_split();
        let forwarding = tokio::spawn(async move {
            let ((sender, stream), (sink, receiver)) = (inlet.into_split(), outlet.into_split());
            stream.forward(sink).await.map(|()| drop((sender, receiver)))
        });
        let sending = tokio::spawn(send_numbers(sender, COUNT));
        let (_sender, receiver) = target.into_split();
        drop(receive_numbers(receiver, COUNT).await);
        drop((sending.await.unwrap(), other));
        soon(forwarding).await.unwrap().unwrap();
    });
}

/// What nobody waits for does not keep the task of another verb busy.
#[test]
fn an_unread_value_does_not_wake_a_task_that_waits_for_a_message() {
    runtime().block_on(async {
        let name = Name::new("tokio-idle");
        let (mut master, mut slave) = pair(&name).await;
        assert!(polls(5, slave.read()).await.is_none(), "a cancelled wait is over");
        master.write(b"value").unwrap();
        // Meanwhile another pair makes many round trips in the same thread.
        let other = Name::new("tokio-busy");
        let (mut there, mut back) = pair(&other).await;
        let busy = tokio::spawn(async move {
            for _ in 0..2000 {
                there.send(b"there").await.unwrap();
                back.recv().await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut count = 0;
        let counted = poll_fn(|context| {
            count += 1;
            slave.poll_recv(context).map(drop)
        });
        tokio::select! {
            done = soon(busy) => done.unwrap(),
            () = counted => panic!("there is no message"),
        }
        assert!(count < 1000, "{count} polls");
        master.send(b"message").await.unwrap();
        assert_eq!(soon(slave.recv()).await.unwrap(), b"message");
        assert_eq!(soon(slave.read()).await.unwrap(), b"value");
    });
}

#[test]
fn many_endpoints_in_one_thread() {
    const ENDPOINTS: u32 = 200;
    const ROUNDS: u32 = 20;
    runtime().block_on(async {
        let mut tasks = Vec::new();
        for number in 0..ENDPOINTS {
            let name = Name::new("tokio-many");
            let small = |role| Endpoint::builder(&name).role(role).queue_capacity(1024).data_size(64);
            let mut master = AsyncEndpoint::new(small(Role::Master).open().unwrap()).unwrap();
            let mut slave = AsyncEndpoint::try_from(small(Role::Slave).open().unwrap()).unwrap();
            tasks.push(tokio::spawn(async move {
                while let Ok(message) = slave.recv().await.map(|message| message.to_vec()) {
                    slave.send(&message).await.unwrap();
                }
            }));
            tasks.push(tokio::spawn(async move {
                let _name = name;
                for round in 0..ROUNDS {
                    let bytes = (number * ROUNDS + round).to_ne_bytes();
                    master.send(&bytes).await.unwrap();
                    assert_eq!(soon(master.recv()).await.unwrap(), bytes);
                }
            }));
        }
        for task in tasks {
            soon(task).await.unwrap();
        }
    });
}
