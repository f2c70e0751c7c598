//! What an async wait under tokio meets: the peer that comes, closes, dies, is replaced or is of ESHM 1.x, and the end of the
//! runtime.

mod common;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use common::aio::{builder, pair, polls, runtime, runtimes, soon};
use common::legacy::{Heart, Legacy, MASTER_TO_SLAVE, SLAVE_TO_MASTER, VERSIONS};
use common::{Child, Name, say, scenario, told};
use eshm::tokio::AsyncEndpoint;
use eshm::{Endpoint, Error, Role};
use futures_util::StreamExt;

/// The scenarios of this file's child processes.
#[test]
fn child() {
    let Some((scenario, segment)) = scenario() else { return };
    match scenario.as_str() {
        "master" => {
            let _master = Endpoint::master(&segment).unwrap();
            say("ready");
            told();
        }
        "late" => {
            let _slave = Endpoint::slave(&segment).unwrap();
            told();
        }
        other => panic!("no scenario {other}"),
    }
}

#[test]
fn a_wait_for_the_peer_ends_when_it_comes() {
    let runtime = runtime();
    runtime.block_on(async {
        let name = Name::new("tokio-peer");
        let mut master = AsyncEndpoint::open(builder(&name, Role::Master)).await.unwrap();
        assert!(polls(3, master.wait_for_peer()).await.is_none());
        let (mut sender, mut receiver) = master.into_split();
        let waiting = async {
            let (sent, received) = tokio::join!(sender.wait_for_peer(), receiver.wait_for_peer());
            sent.and(received).unwrap();
        };
        let coming = async {
            tokio::task::yield_now().await;
            Child::start("late", &name)
        };
        let ((), child) = tokio::join!(soon(waiting), coming);
        child.kill();
    });
}

/// Both halves wait in one task, and each wake-up of one polls the other.
#[test]
fn a_task_that_waits_for_the_peer_and_for_a_message_sleeps() {
    runtime().block_on(async {
        let name = Name::new("tokio-both");
        let master = AsyncEndpoint::open(builder(&name, Role::Master)).await.unwrap();
        let (mut sender, mut receiver) = master.into_split();
        let mut polled = 0;
        let both = async {
            tokio::select! {
                received = receiver.recv() => panic!("{received:?}"),
                came = sender.wait_for_peer() => came.unwrap(),
            }
        };
        let mut both = pin!(both);
        let counted = poll_fn(|context| {
            polled += 1;
            both.as_mut().poll(context)
        });
        let coming = async {
            tokio::task::yield_now().await;
            Child::start("late", &name)
        };
        let ((), child) = tokio::join!(soon(counted), coming);
        child.kill();
        // A task that spins is polled a hundred thousand times until the process has come.
        assert!(polled < 1000, "{polled}");
    });
}

#[test]
fn a_stop_ends_all_waits_of_an_endpoint() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let name = Name::new("tokio-stop");
            let (master, slave) = pair(&name).await;
            let (mut sender, mut receiver) = slave.into_split();
            while polls(1, sender.send(b"fill")).await.is_some() {}
            let inspector = sender.inspector();
            let sending = tokio::spawn(async move { sender.send(b"full").await });
            let receiving = tokio::spawn(async move { receiver.recv().await.map(drop) });
            assert!(polls(3, std::future::pending::<()>()).await.is_none());
            inspector.stop();
            for ended in [soon(sending).await, soon(receiving).await] {
                assert!(matches!(ended.unwrap(), Err(Error::Closed { .. })));
            }
            drop(master);
        });
    }
}

#[test]
fn the_close_of_the_peer_ends_all_waits_after_the_last_message() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let name = Name::new("tokio-close");
            let (mut master, slave) = pair(&name).await;
            let (mut sender, mut receiver) = slave.into_split();
            let receiving = tokio::spawn(async move {
                assert_eq!(receiver.recv().await.unwrap(), b"last");
                let error = receiver.recv().await.unwrap_err();
                assert!(matches!(error, Error::PeerClosed { .. }), "{error}");
                let error = receiver.read().await.unwrap_err();
                assert!(matches!(error, Error::PeerClosed { .. }), "{error}");
                assert!(receiver.next().await.is_none());
            });
            while polls(1, sender.send(b"fill")).await.is_some() {}
            let sending = tokio::spawn(async move { sender.send(b"full").await });
            master.send(b"last").await.unwrap();
            master.close().unwrap();
            soon(receiving).await.unwrap();
            let error = soon(sending).await.unwrap().unwrap_err();
            assert!(matches!(error, Error::PeerClosed { .. }), "{error}");
        });
    }
}

/// A master that is killed, and one that takes its place.
#[test]
fn the_death_of_the_peer_ends_a_wait_and_its_successor_serves_it() {
    let runtime = runtime();
    let open = |name: &Name, limit| {
        let builder = Endpoint::builder(name).role(Role::Slave).reconnect_interval(Duration::from_millis(1));
        AsyncEndpoint::open(builder.reconnect_timeout(limit))
    };
    runtime.block_on(async {
        let name = Name::new("tokio-death");
        let child = Child::start("master", &name);
        child.expect("ready");
        let mut slave = open(&name, Some(Duration::from_millis(1))).await.unwrap();
        soon(slave.wait_for_peer()).await.unwrap();
        let receiving = tokio::spawn(async move {
            let error = slave.recv().await.unwrap_err();
            assert!(matches!(error, Error::PeerStale { .. }), "{error}");
        });
        tokio::task::yield_now().await;
        child.kill();
        soon(receiving).await.unwrap();

        let name = Name::new("tokio-successor");
        let child = Child::start("master", &name);
        child.expect("ready");
        let slave = open(&name, None).await.unwrap();
        let (mut sender, mut receiver) = slave.into_split();
        soon(sender.wait_for_peer()).await.unwrap();
        let receiving = tokio::spawn(async move { receiver.recv().await.map(|message| message.to_vec()) });
        tokio::task::yield_now().await;
        child.kill();
        let sending = tokio::spawn(async move { sender.send(b"to the next one").await.map(|()| sender) });
        let mut master = AsyncEndpoint::new(Endpoint::master(&name).unwrap()).unwrap();
        master.send(b"from the next one").await.unwrap();
        assert_eq!(soon(receiving).await.unwrap().unwrap(), b"from the next one");
        drop(soon(sending).await.unwrap().unwrap());
        assert_eq!(soon(master.recv()).await.unwrap(), b"to the next one");
    });
}

/// A master whose file was removed, and whose name another master has taken.
#[test]
fn a_displaced_master_is_told() {
    runtime().block_on(async {
        let name = Name::new("tokio-displaced");
        let mut first = AsyncEndpoint::open(builder(&name, Role::Master)).await.unwrap();
        let receiving = tokio::spawn(async move { first.recv().await.map(drop) });
        tokio::task::yield_now().await;
        std::fs::remove_file(name.path()).unwrap();
        let second = AsyncEndpoint::open(builder(&name, Role::Master)).await.unwrap();
        let error = soon(receiving).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Displaced { .. }), "{error}");
        drop(second);
    });
}

#[test]
fn an_endpoint_outlives_its_runtime() {
    let name = Name::new("tokio-outlives");
    let first = runtime();
    let (mut master, mut slave) = first.block_on(pair(&name));
    first.block_on(async { assert!(polls(200, slave.recv()).await.is_none()) });
    drop(first);
    master.get_mut().0.try_send(b"without a runtime").unwrap();
    runtime().block_on(async {
        // What is there is found; a wait needs the runtime of the endpoint.
        assert_eq!(soon(slave.recv()).await.unwrap(), b"without a runtime");
        let error = soon(slave.recv()).await.unwrap_err();
        assert!(matches!(error, Error::Attach { .. }), "{error}");
        assert!(error.to_string().contains("event loop"), "{error}");
        let mut slave = AsyncEndpoint::new(slave.into_inner()).unwrap();
        master.get_mut().0.try_send(b"again").unwrap();
        assert_eq!(soon(slave.recv()).await.unwrap(), b"again");
        assert!(polls(200, slave.recv()).await.is_none());
    });
}

/// A 1.x master: one message at a time in its mailbox, and it wakes nobody.
#[test]
fn a_legacy_peer_is_served() {
    for version in VERSIONS {
        runtime().block_on(async {
            let name = Name::new("tokio-legacy");
            let segment = Legacy::make(&name, version);
            let _heart = Heart::of(&name, Role::Master);
            let builder = Endpoint::builder(&name).role(Role::Slave);
            let slave = AsyncEndpoint::open(builder).await.unwrap();
            let (mut sender, mut receiver) = slave.into_split();
            soon(receiver.wait_for_peer()).await.unwrap();
            for text in ["one", "two", "three"] {
                let answering = async {
                    let message = soon(receiver.recv()).await.unwrap();
                    sender.send(&message).await.unwrap();
                };
                let writing = async {
                    tokio::task::yield_now().await;
                    segment.write(MASTER_TO_SLAVE, text.as_bytes());
                };
                tokio::join!(answering, writing);
                assert_eq!(segment.read(SLAVE_TO_MASTER), text.as_bytes());
            }
            // It takes the message before, and there is room for the next one.
            sender.send(b"first").await.unwrap();
            let waiting = tokio::spawn(async move { sender.send(b"second").await.map(|()| sender) });
            tokio::task::yield_now().await;
            assert_eq!(segment.read(SLAVE_TO_MASTER), b"first");
            drop(soon(waiting).await.unwrap().unwrap());
            assert_eq!(segment.read(SLAVE_TO_MASTER), b"second");
        });
    }
}
