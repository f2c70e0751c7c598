//! Helpers of the tests under tokio.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use eshm::tokio::{AsyncEndpoint, AsyncReceiver, AsyncSender};
use eshm::{Builder, Endpoint, Role};
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

use super::{Name, WATCHDOG};

pub fn runtime() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn runtimes() -> [Runtime; 2] {
    [runtime(), runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()]
}

/// Fails the test if the future takes too long.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(WATCHDOG, future).await.expect("it should have ended")
}

pub fn builder(name: &Name, role: Role) -> Builder {
    Endpoint::builder(name).role(role).queue_capacity(4096).data_size(256)
}

pub async fn pair(name: &Name) -> (AsyncEndpoint, AsyncEndpoint) {
    let mut master = AsyncEndpoint::open(builder(name, Role::Master)).await.unwrap();
    let mut slave = AsyncEndpoint::open(builder(name, Role::Slave)).await.unwrap();
    soon(master.wait_for_peer()).await.unwrap();
    soon(slave.wait_for_peer()).await.unwrap();
    (master, slave)
}

/// Polls a future so many times, and drops it: `None` if it was not done by then.
pub async fn polls<T>(count: u32, future: impl Future<Output = T>) -> Option<T> {
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

pub async fn send_numbers(mut sender: AsyncSender, count: u32) -> AsyncSender {
    for number in 0..count {
        soon(sender.send(&number.to_ne_bytes())).await.unwrap();
    }
    sender
}

pub async fn receive_numbers(mut receiver: AsyncReceiver, count: u32) -> AsyncReceiver {
    for number in 0..count {
        assert_eq!(soon(receiver.recv()).await.unwrap(), number.to_ne_bytes());
    }
    receiver
}
