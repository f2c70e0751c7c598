//! Opening an endpoint without holding up the tasks of the runtime.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;

use crate::api::builder::Builder;
use crate::api::endpoint::Endpoint;
use crate::error::Result;

/// What the thread that opens shares with the task that waits for it.
#[derive(Default)]
struct Opening {
    opened: Option<thread::Result<Result<Endpoint>>>,
    waker: Option<Waker>,
}

/// Opens the endpoint in a thread of its own: a slave waits for its segment. If the future is dropped, the thread closes
/// the endpoint again.
pub(super) async fn open(builder: Builder) -> Result<Endpoint> {
    let name = builder.name.clone();
    let opening: Arc<Mutex<Opening>> = Arc::default();
    let theirs = Arc::downgrade(&opening);
    let work = move || {
        let opened = catch_unwind(AssertUnwindSafe(|| builder.open()));
        let Some(opening) = theirs.upgrade() else { return };
        let mut opening = opening.lock().unwrap_or_else(PoisonError::into_inner);
        opening.opened = Some(opened);
        let waker = opening.waker.take();
        drop(opening);
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    thread::Builder::new().name("eshm-open".to_owned()).spawn(work).map_err(|source| {
        let hint = "the process can have no thread more; open the endpoint before".to_owned();
        let (segment, path) = (name.as_str().into(), name.clone());
        crate::error::Error::Attach { segment, path, action: "starting a thread", source, hint }
    })?;
    poll_fn(|context| {
        let mut opening = opening.lock().unwrap_or_else(PoisonError::into_inner);
        match opening.opened.take() {
            Some(Ok(opened)) => Poll::Ready(opened),
            Some(Err(panic)) => resume_unwind(panic),
            None => {
                opening.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}
