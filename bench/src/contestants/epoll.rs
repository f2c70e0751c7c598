//! Waiting in epoll: for the event descriptor of an endpoint, and for a bare eventfd beside shared memory.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use anyhow::{Context, Result, bail};
use eshm::{Endpoint, Interest};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::shared::{Shared, path};
use super::{Args, Side, ours, ready};
use crate::duplex::Duplex;

/// An epoll instance that waits for one descriptor.
struct Waiter(Epoll);

impl Waiter {
    fn new(descriptor: impl std::os::fd::AsFd) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        Ok(Waiter(epoll))
    }

    fn wait(&self) -> Result<()> {
        self.0.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE)?;
        Ok(())
    }
}

/// ESHM: `send`, `epoll_wait` and `try_recv`. It never spins.
pub struct Events {
    endpoint: Endpoint,
    waiter: Waiter,
    buffer: Vec<u8>,
}

impl Events {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        let endpoint = ours::open(args, side)?;
        let waiter = Waiter::new(endpoint.events(Interest::READABLE)?)?;
        Ok(Events { endpoint, waiter, buffer: vec![0; args.size] })
    }
}

impl Duplex for Events {
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let message = &mut self.buffer[..size];
        fill(message);
        Ok(self.endpoint.send(message)?)
    }

    fn recv<T>(&mut self, _size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some(message) = self.endpoint.try_recv()? {
                return Ok(look(&message));
            }
            self.waiter.wait()?;
        }
    }

    fn wakeups(&self) -> u64 {
        ours::wakeups(&self.endpoint)
    }
}

/// Limit: the payload lies in shared memory, and an eventfd tells that it is there.
pub struct EventFds {
    memory: Shared,
    /// Where the messages of this side lie, and those of the peer.
    places: [usize; 2],
    mine: EventFd,
    theirs: EventFd,
    waiter: Waiter,
}

impl EventFds {
    /// Opens one side. The side that is there first makes both eventfds, and passes them through a socket.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        let (address, len) = (path(&args.name, "sock"), 2 * args.size);
        let flags = EfdFlags::EFD_CLOEXEC;
        let (memory, [mine, theirs]) = match side {
            Side::Follow => {
                let memory = Shared::create(&args.name, len)?;
                let fds = [EventFd::from_flags(flags)?, EventFd::from_flags(flags)?];
                let listener = UnixListener::bind(&address)?;
                ready();
                pass(&listener.accept()?.0, [fds[1].as_raw_fd(), fds[0].as_raw_fd()])?;
                (memory, fds)
            }
            Side::Lead => {
                let fds = take(&UnixStream::connect(&address)?)?;
                (Shared::open(&args.name, len)?, fds)
            }
        };
        let mut places = [0, args.size];
        if side == Side::Lead {
            places.reverse();
        }
        let waiter = Waiter::new(&mine)?;
        Ok(EventFds { memory, places, mine, theirs, waiter })
    }
}

impl Duplex for EventFds {
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let place = self.memory.bytes(self.places[0], size);
        // SAFETY: `bytes` has checked the bounds. The peer reads this half of the mapping only between the write of the
        // eventfd and its answer, which orders the accesses.
        fill(unsafe { std::slice::from_raw_parts_mut(place, size) });
        self.theirs.write(1)?;
        Ok(())
    }

    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.waiter.wait()?;
        self.mine.read()?;
        let place = self.memory.bytes(self.places[1], size);
        // SAFETY: as in `send`; the peer writes this half again only after the next answer.
        Ok(look(unsafe { std::slice::from_raw_parts(place, size) }))
    }
}

fn pass(stream: &UnixStream, descriptors: [i32; 2]) -> Result<()> {
    let rights = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(&[0])], &rights, MsgFlags::empty(), None)?;
    Ok(())
}

fn take(stream: &UnixStream) -> Result<[EventFd; 2]> {
    let (mut byte, mut space) = ([0], nix::cmsg_space!([i32; 2]));
    let mut parts = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let Some(ControlMessageOwned::ScmRights(passed)) = message.cmsgs()?.next() else {
        bail!("the peer passed no eventfd");
    };
    let adopt = |fd| {
        // SAFETY: `recvmsg` has just made it, and nobody else knows it.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: the peer passes eventfds.
        unsafe { EventFd::from_owned_fd(owned) }
    };
    let fds: Vec<_> = passed.into_iter().map(adopt).collect();
    fds.try_into().ok().context("the peer passed another number of eventfds")
}
