//! The async verbs under tokio: each one, cancelled at random, beside others, and at the end of what they wait for.

mod common;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use common::legacy::{Heart, Legacy, MASTER_TO_SLAVE, SLAVE_TO_MASTER, VERSIONS};
use common::{Child, Name, WATCHDOG, say, scenario, told};
use eshm::tokio::{AsyncEndpoint, AsyncReceiver, AsyncSender};
use eshm::{Builder, Endpoint, Error, Role};
use futures_util::{SinkExt, StreamExt};
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

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

fn runtime() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn runtimes() -> [Runtime; 2] {
    [runtime(), runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()]
}

/// Fails the test if the future takes too long.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(WATCHDOG, future).await.expect("it should have ended")
}

fn builder(name: &Name, role: Role) -> Builder {
    Endpoint::builder(name).role(role).queue_capacity(4096).data_size(256)
}

async fn pair(name: &Name) -> (AsyncEndpoint, AsyncEndpoint) {
    let mut master = AsyncEndpoint::open(builder(name, Role::Master)).await.unwrap();
    let mut slave = AsyncEndpoint::open(builder(name, Role::Slave)).await.unwrap();
    soon(master.wait_for_peer()).await.unwrap();
    soon(slave.wait_for_peer()).await.unwrap();
    (master, slave)
}

/// Polls a future so many times, and drops it: `None` if it was not done by then.
async fn polls<T>(count: u32, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (pin!(future), count);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let done = future.as_mut().poll(context).map(Some);
        if done.is_pending() {
            context.waker().wake_by_ref();
        }
        done
    })
    .await
}

/// Pseudo-random numbers of a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// Cancels a future at a random point: after some polls, or after some time.
    async fn cancel<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        match self.roll(4) {
            0 => Some(soon(future).await),
            1 => timeout(Duration::from_micros(self.roll(200)), future).await.ok(),
            _ => {
                let count = self.roll(4) as u32 + 1;
                polls(count, future).await
            }
        }
    }
}

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

/// A task that receives, cancelled at random, beside a thread that sends as fast as it can.
#[test]
fn cancelled_receives_lose_and_double_nothing() {
    const COUNT: u32 = 3000;
    for (seed, runtime) in (1..).zip(runtimes()) {
        let name = Name::new("tokio-cancel-receive");
        let mut master = builder(&name, Role::Master).open().unwrap();
        let sending = thread::spawn(move || {
            for number in 0..COUNT {
                master.send(&number.to_ne_bytes()).unwrap();
                master.write(&number.to_ne_bytes()).unwrap();
                if number % 61 == 0 {
                    thread::yield_now();
                }
            }
            master
        });
        runtime.block_on(async {
            let mut slave = AsyncEndpoint::open(builder(&name, Role::Slave)).await.unwrap();
            let mut dice = Dice(seed);
            let (mut next, mut latest) = (0_u32, None);
            let number = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().unwrap());
            while next < COUNT {
                match dice.roll(8) {
                    0 => {
                        let mut numbers = Vec::new();
                        let each = |bytes: &[u8]| numbers.push(number(bytes));
                        dice.cancel(slave.recv_many(5, each)).await.transpose().unwrap();
                        for found in numbers {
                            assert_eq!(found, next);
                            next += 1;
                        }
                    }
                    1 => {
                        // The last value may be read already.
                        let value = polls(2, slave.read()).await.transpose().unwrap();
                        if let Some(value) = value.map(|value| number(&value)) {
                            assert!(latest.is_none_or(|latest| latest < value), "{latest:?}, then {value}");
                            latest = Some(value);
                        }
                    }
                    _ => {
                        let found = dice.cancel(slave.recv()).await.transpose().unwrap();
                        if let Some(found) = found.map(|message| number(&message)) {
                            assert_eq!(found, next);
                            next += 1;
                        }
                    }
                }
            }
            let error = polls(2, slave.recv()).await.transpose();
            assert!(error.unwrap().is_none());
        });
        drop(sending.join().unwrap());
    }
}

/// A task that sends, cancelled at random, beside a thread that receives slowly.
#[test]
fn cancelled_sends_send_nothing_or_once() {
    const COUNT: u32 = 3000;
    for (seed, runtime) in (11..).zip(runtimes()) {
        let name = Name::new("tokio-cancel-send");
        let small = |role| Endpoint::builder(&name).role(role).queue_capacity(256);
        let mut master = small(Role::Master).open().unwrap();
        let receiving = thread::spawn(move || {
            for number in 0..COUNT {
                assert_eq!(master.recv().unwrap(), number.to_ne_bytes());
                if number % 7 == 0 {
                    thread::yield_now();
                }
            }
            assert!(master.try_recv().unwrap().is_none());
            master
        });
        runtime.block_on(async {
            let mut slave = AsyncEndpoint::open(small(Role::Slave)).await.unwrap();
            let mut dice = Dice(seed);
            let mut next = 0_u32;
            while next < COUNT {
                let bytes = next.to_ne_bytes();
                match dice.roll(6) {
                    0 => {
                        let end = COUNT.min(next + 20);
                        let batch: Vec<_> = (next..end).map(u32::to_ne_bytes).collect();
                        let mut left = &batch[..];
                        dice.cancel(slave.send_many(&mut left)).await.transpose().unwrap();
                        next = end - left.len() as u32;
                    }
                    1 => {
                        if let Some(loan) = dice.cancel(slave.loan(4)).await {
                            let mut loan = loan.unwrap();
                            loan.copy_from_slice(&bytes);
                            loan.send().unwrap();
                            next += 1;
                        }
                    }
                    _ => {
                        let sent = dice.cancel(slave.send(&bytes)).await.transpose().unwrap();
                        next += u32::from(sent.is_some());
                    }
                }
            }
            drop(receiving.join().unwrap());
        });
    }
}

async fn send_numbers(mut sender: AsyncSender, count: u32) -> AsyncSender {
    for number in 0..count {
        soon(sender.send(&number.to_ne_bytes())).await.unwrap();
    }
    sender
}

async fn receive_numbers(mut receiver: AsyncReceiver, count: u32) -> AsyncReceiver {
    for number in 0..count {
        assert_eq!(soon(receiver.recv()).await.unwrap(), number.to_ne_bytes());
    }
    receiver
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
        let mut count = 0;
        let counted = poll_fn(|context| {
            count += 1;
            slave.poll_recv(context).map(drop)
        });
        timeout(Duration::from_millis(20), counted).await.unwrap_err();
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
