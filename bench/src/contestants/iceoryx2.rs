//! iceoryx2: publish–subscribe of byte slices, one service for each direction; loans both ways. [`Ports`] polls.
//! [`Events`] waits as iceoryx2's own event examples do: after each sample a notification on an event service of the
//! same direction; the receiver sleeps in its listener until there is one, and then takes the samples that are there.

use ::iceoryx2::config::Config;
use ::iceoryx2::port::listener::Listener;
use ::iceoryx2::port::notifier::Notifier;
use ::iceoryx2::port::publisher::Publisher;
use ::iceoryx2::port::subscriber::Subscriber;
use ::iceoryx2::prelude::*;
use ::iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use anyhow::{Result, anyhow};

use super::{Args, Role, Side, ready};
use crate::duplex::Duplex;

/// What may lie unread in a subscriber, in bytes.
const BUFFERED: usize = 64 << 20;

type Service = PortFactory<ipc::Service, [u8], ()>;

/// One process's ports.
pub struct Ports {
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    _services: [Service; 2],
    _node: Node<ipc::Service>,
}

impl Ports {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        let ports = Self::on(node(args)?, args, side)?;
        if side == Side::Follow {
            ready();
        }
        Ok(ports)
    }

    fn on(node: Node<ipc::Service>, args: &Args, side: Side) -> Result<Self> {
        let (there, back) = (service(&node, args, "there")?, service(&node, args, "back")?);
        let (out, into) = if side == Side::Lead { (&there, &back) } else { (&back, &there) };
        let subscriber = into.subscriber_builder().create()?;
        let publisher = out
            .publisher_builder()
            .initial_max_slice_len(args.size)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()?;
        Ok(Ports { publisher, subscriber, _services: [there, back], _node: node })
    }
}

fn node(args: &Args) -> Result<Node<ipc::Service>> {
    set_log_level(LogLevel::Error);
    let mut config = Config::default();
    // The runner removes what has its prefix, should a process be killed.
    config.global.prefix = args.name.as_str().try_into().map_err(|e| anyhow!("{e:?}"))?;
    let node = NodeBuilder::new()
        .config(&config)
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<ipc::Service>()?;
    Ok(node)
}

/// Round trips with the settings of iceoryx2's own benchmark; streams with a buffer, and without overwriting.
fn service(node: &Node<ipc::Service>, args: &Args, direction: &str) -> Result<Service> {
    let stream = matches!(args.role, Role::Source | Role::Sink);
    let buffer = if stream { (BUFFERED / args.size).clamp(2, 1024) } else { 1 };
    let builder = node.service_builder(&direction.try_into()?).publish_subscribe::<[u8]>();
    let service = builder
        .max_publishers(1)
        .max_subscribers(1)
        .history_size(0)
        .subscriber_max_buffer_size(buffer)
        .enable_safe_overflow(!stream)
        .open_or_create()?;
    Ok(service)
}

impl Duplex for Ports {
    #[inline(always)]
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let mut sample = self.publisher.loan_slice_uninit(size)?;
        let payload = sample.payload_mut();
        // SAFETY: shared memory that the kernel has zeroed, or that held a message before: bytes in any case.
        fill(unsafe { std::slice::from_raw_parts_mut(payload.as_mut_ptr().cast(), payload.len()) });
        // SAFETY: as above, all of its bytes have a value.
        unsafe { sample.assume_init() }.send()?;
        Ok(())
    }

    #[inline(always)]
    fn recv<T>(&mut self, _size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                return Ok(look(sample.payload()));
            }
        }
    }
}

/// The same ports, and an event service for each direction.
pub struct Events {
    ports: Ports,
    notifier: Notifier<ipc::Service>,
    listener: Listener<ipc::Service>,
}

impl Events {
    /// Opens one side.
    pub fn open(args: &Args, side: Side) -> Result<Self> {
        let node = node(args)?;
        let event = |direction: &str| {
            let builder = node.service_builder(&direction.try_into()?).event();
            anyhow::Ok(builder.max_notifiers(1).max_listeners(1).open_or_create()?)
        };
        let (there, back) = (event("there")?, event("back")?);
        let (out, into) = if side == Side::Lead { (&there, &back) } else { (&back, &there) };
        let listener = into.listener_builder().create()?;
        let notifier = out.notifier_builder().create()?;
        let ports = Ports::on(node, args, side)?;
        if side == Side::Follow {
            ready();
        }
        Ok(Events { ports, notifier, listener })
    }
}

impl Duplex for Events {
    fn send(&mut self, size: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        self.ports.send(size, fill)?;
        self.notifier.notify()?;
        Ok(())
    }

    fn recv<T>(&mut self, _size: usize, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some(sample) = self.ports.subscriber.receive()? {
                return Ok(look(sample.payload()));
            }
            self.listener.blocking_wait(|_| {})?;
        }
    }
}
