//! The async verbs without a runtime: under the executor of `futures`, and polled by hand.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use common::{Name, WATCHDOG, within};
use eshm::async_io::{AsyncEndpoint, AsyncReceiver, AsyncSender};
use eshm::{Endpoint, Error, Role};
use futures_executor::block_on;
use futures_util::{SinkExt, StreamExt, future};

/// Runs the future on a thread of its own, and fails the test if it takes too long.
fn soon<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    within(WATCHDOG, || block_on(future)).expect("it should have ended")
}

async fn open(name: &Name) -> (AsyncEndpoint, AsyncEndpoint) {
    let builder = |role| Endpoint::builder(name).role(role).queue_capacity(4096);
    let (master, slave) =
        future::join(AsyncEndpoint::open(builder(Role::Master)), AsyncEndpoint::open(builder(Role::Slave)))
            .await;
    let (mut master, mut slave) = (master.unwrap(), slave.unwrap());
    future::try_join(master.wait_for_peer(), slave.wait_for_peer()).await.unwrap();
    (master, slave)
}

/// A waker that sends a word.
struct Bell(mpsc::Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

fn bell() -> (Waker, Receiver<()>) {
    let (sender, rings) = mpsc::channel();
    (Waker::from(Arc::new(Bell(sender))), rings)
}

/// Polls whenever the waker was woken, until it is done.
fn drive<T>(waker: &Waker, rings: &Receiver<()>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    loop {
        if let Poll::Ready(done) = poll(&mut Context::from_waker(waker)) {
            return done;
        }
        rings.recv_timeout(WATCHDOG).expect("a wake-up");
    }
}

#[test]
fn each_verb_under_the_executor_of_futures() {
    soon(async {
        let name = Name::new("async-verbs");
        let (mut master, mut slave) = open(&name).await;
        for _ in 0..100 {
            let answers = async {
                assert_eq!(slave.recv().await.unwrap(), b"message");
                assert_eq!(slave.read().await.unwrap(), b"value");
                let mut loan = slave.loan(3).await.unwrap();
                loan.copy_from_slice(b"abc");
                loan.send().unwrap();
                slave.send_many(&mut &["one", "two"][..]).await.unwrap();
            };
            let asks = async {
                master.send(b"message").await.unwrap();
                master.write(b"value").unwrap();
                assert_eq!(master.recv().await.unwrap(), b"abc");
                let mut count = 0;
                while count < 2 {
                    count += master.recv_many(5, |bytes| assert_eq!(bytes.len(), 3)).await.unwrap();
                }
            };
            future::join(answers, asks).await;
        }
        slave.close().unwrap();
        let error = master.recv().await.unwrap_err();
        assert!(matches!(error, Error::PeerClosed { .. }), "{error}");
    });
}

/// A message, a value, room and the close of the peer, each of which wakes the waker of the poll that has found nothing.
#[test]
fn polls_by_hand() {
    let name = Name::new("async-polls");
    let (mut master, mut slave) = soon(async move { open(&name).await });
    let (waker, rings) = bell();
    for _ in 0..20 {
        let peer = thread::spawn(move || {
            master.get_mut().0.try_send(b"message").unwrap();
            master
        });
        drive(&waker, &rings, |context| {
            slave.poll_recv(context).map_ok(|message| assert_eq!(message, b"message"))
        })
        .unwrap();
        let mut peer_of_slave = peer.join().unwrap();
        let peer = thread::spawn(move || {
            peer_of_slave.write(b"value").unwrap();
            peer_of_slave
        });
        drive(&waker, &rings, |context| slave.poll_read(context).map_ok(|value| assert_eq!(value, b"value")))
            .unwrap();
        master = peer.join().unwrap();
    }
    while slave.get_mut().0.try_send(b"fill").is_ok() {}
    let peer = thread::spawn(move || {
        let mut received = 0;
        while master.get_mut().1.recv().unwrap() != b"more" {
            received += 1;
        }
        assert!(received > 10);
        master.close().unwrap();
    });
    drive(&waker, &rings, |context| slave.poll_send(context, b"more")).unwrap();
    peer.join().unwrap();
    let error = drive(&waker, &rings, |context| slave.poll_recv(context).map_ok(drop)).unwrap_err();
    assert!(matches!(error, Error::PeerClosed { .. }), "{error}");
}

async fn send_numbers(mut sender: AsyncSender, count: u32) -> AsyncSender {
    for number in 0..count {
        sender.send(&number.to_ne_bytes()).await.unwrap();
    }
    sender
}

async fn receive_numbers(mut receiver: AsyncReceiver, count: u32) -> AsyncReceiver {
    for number in 0..count {
        assert_eq!(receiver.recv().await.unwrap(), number.to_ne_bytes());
    }
    receiver
}

/// Both halves of an endpoint wait at once: in one thread, and each in a thread of its own.
#[test]
fn halves_send_and_receive_at_once() {
    const COUNT: u32 = 2000;
    let name = Name::new("async-halves");
    let (master, slave) = soon(async move { open(&name).await });
    let ((to_slave, from_slave), (to_master, from_master)) = (master.into_split(), slave.into_split());
    let sending = thread::spawn(move || soon(send_numbers(to_slave, COUNT)));
    let receiving = thread::spawn(move || soon(receive_numbers(from_slave, COUNT)));
    let here = future::join(send_numbers(to_master, COUNT), receive_numbers(from_master, COUNT));
    drop((soon(here), sending.join().unwrap()));
    drop(receiving.join().unwrap());
}

#[test]
fn a_stop_in_another_thread_ends_both_halves() {
    let name = Name::new("async-stop");
    let (master, slave) = soon(async move { open(&name).await });
    let inspector = slave.inspector();
    let (mut sender, mut receiver) = slave.into_split();
    let waiting = thread::spawn(move || {
        soon(async move {
            let sending = async {
                loop {
                    if let Err(error) = sender.send(b"fill").await {
                        return error;
                    }
                }
            };
            let (sent, received) = future::join(sending, async { receiver.recv().await.map(drop) }).await;
            [sent, received.unwrap_err()]
        })
    });
    inspector.stop();
    for error in waiting.join().unwrap() {
        assert!(matches!(error, Error::Closed { .. }), "{error}");
    }
    drop(master);
}

#[test]
fn a_stream_and_a_sink() {
    const COUNT: u32 = 2000;
    soon(async {
        let name = Name::new("async-stream");
        let (master, slave) = open(&name).await;
        let ((mut sink, other), (_sender, mut stream)) = (master.into_split(), slave.into_split());
        let sending = async move {
            for number in 0..COUNT {
                sink.feed(number.to_ne_bytes()).await.unwrap();
            }
            SinkExt::<[u8; 4]>::close(&mut sink).await.unwrap();
            drop((sink, other));
        };
        let receiving = async {
            let mut next = 0_u32;
            while let Some(message) = stream.next().await {
                assert_eq!(message.unwrap(), next.to_ne_bytes());
                next += 1;
            }
            assert_eq!(next, COUNT);
        };
        future::join(sending, receiving).await;
    });
}

/// A future that is dropped has taken nothing, and nobody wakes its task in the end.
#[test]
fn a_cancelled_wait_takes_nothing() {
    let name = Name::new("async-cancel");
    let (mut master, mut slave) = soon(async move { open(&name).await });
    let (waker, rings) = bell();
    for _ in 0..20 {
        {
            let mut waiting = pin!(slave.recv());
            while waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
                && rings.try_recv().is_ok()
            {}
        }
        master.get_mut().0.try_send(b"message").unwrap();
        assert_eq!(slave.get_mut().1.recv().unwrap(), b"message");
    }
}
