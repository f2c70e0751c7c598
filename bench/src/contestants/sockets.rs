//! What the kernel offers: Unix sockets, TCP on the loopback device, a pipe for each direction.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::Mode;

use super::shared::path;
use super::{Args, Side, ready};
use crate::duplex::Duplex;

/// Messages of known size in a stream of bytes: one `write` each, read through a buffer.
pub struct Bytes<R, W> {
    reader: BufReader<R>,
    writer: W,
    buffer: Vec<u8>,
}

impl<R: Read, W: Write> Bytes<R, W> {
    fn new(reader: R, writer: W, args: &Args) -> Self {
        Bytes { reader: BufReader::with_capacity(64 << 10, reader), writer, buffer: vec![0; args.size] }
    }
}

impl<R: Read, W: Write> Duplex for Bytes<R, W> {
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let message = &mut self.buffer[..size];
        fill(message);
        Ok(self.writer.write_all(message)?)
    }

    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let message = &mut self.buffer[..size];
        self.reader.read_exact(message)?;
        Ok(look(message))
    }
}

/// A Unix stream socket.
pub fn unix(args: &Args, side: Side) -> Result<Bytes<UnixStream, UnixStream>> {
    let path = path(&args.name, "sock");
    let stream = match side {
        Side::Lead => UnixStream::connect(&path)?,
        Side::Follow => {
            let listener = UnixListener::bind(&path)?;
            ready();
            listener.accept()?.0
        }
    };
    Ok(Bytes::new(stream.try_clone()?, stream, args))
}

/// A Unix socket that keeps messages apart: a call to the kernel per message on either side.
pub struct Seqpacket {
    file: File,
    buffer: Vec<u8>,
}

impl Seqpacket {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        let address = UnixAddr::new(&path(&args.name, "sock"))?;
        let socket = socket::socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        let socket = match side {
            Side::Lead => {
                socket::connect(socket.as_raw_fd(), &address)?;
                socket
            }
            Side::Follow => {
                socket::bind(socket.as_raw_fd(), &address)?;
                socket::listen(&socket, Backlog::new(1)?)?;
                ready();
                let accepted = socket::accept4(socket.as_raw_fd(), SockFlag::SOCK_CLOEXEC)?;
                // SAFETY: `accept4` has just made it, and nobody else knows it.
                unsafe { OwnedFd::from_raw_fd(accepted) }
            }
        };
        Ok(Seqpacket { file: File::from(socket), buffer: vec![0; args.size] })
    }
}

impl Duplex for Seqpacket {
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let message = &mut self.buffer[..size];
        fill(message);
        let sent = self.file.write(message)?;
        ensure!(sent == size, "{sent} of {size} bytes were sent");
        Ok(())
    }

    fn recv<T>(&mut self, size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let message = &mut self.buffer[..size];
        let received = self.file.read(message)?;
        ensure!(received == size, "{received} of {size} bytes came");
        Ok(look(message))
    }
}

/// TCP on 127.0.0.1, without Nagle's delay.
pub fn tcp(args: &Args, side: Side) -> Result<Bytes<TcpStream, TcpStream>> {
    let port = path(&args.name, "port");
    let stream = match side {
        Side::Lead => {
            let port = std::fs::read_to_string(&port)?.parse::<u16>().context("the port")?;
            TcpStream::connect(("127.0.0.1", port))?
        }
        Side::Follow => {
            let listener = TcpListener::bind(("127.0.0.1", 0))?;
            std::fs::write(&port, listener.local_addr()?.port().to_string())?;
            ready();
            listener.accept()?.0
        }
    };
    stream.set_nodelay(true)?;
    Ok(Bytes::new(stream.try_clone()?, stream, args))
}

/// Two named pipes, as large as the kernel allows without privilege.
pub fn pipe(args: &Args, side: Side) -> Result<Bytes<File, File>> {
    let (there, back) = (path(&args.name, "there"), path(&args.name, "back"));
    // Opening waits for the other end, so both sides open them in the same order.
    let (reader, writer) = match side {
        Side::Lead => {
            let writer = pipe_end(&there, OpenOptions::new().write(true))?;
            (pipe_end(&back, OpenOptions::new().read(true))?, writer)
        }
        Side::Follow => {
            for path in [&there, &back] {
                nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
            }
            ready();
            let reader = pipe_end(&there, OpenOptions::new().read(true))?;
            (reader, pipe_end(&back, OpenOptions::new().write(true))?)
        }
    };
    Ok(Bytes::new(reader, writer, args))
}

fn pipe_end(path: &Path, options: &OpenOptions) -> Result<File> {
    let file = options.open(path).with_context(|| format!("opening {}", path.display()))?;
    let most = std::fs::read_to_string(PathBuf::from("/proc/sys/fs/pipe-max-size"))?;
    let most = most.trim().parse().context("the greatest size of a pipe")?;
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETPIPE_SZ(most))?;
    Ok(file)
}
