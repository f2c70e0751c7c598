//! The program: random operations of two endpoints, with the model of each direction.

use std::fs;
use std::time::{Duration, Instant};

use eshm::{BatchError, Builder, Endpoint, Error, PeerState, Role};

use crate::common::Name;
use crate::model::{Way, bytes_of};
use crate::{Random, SOON, ok_or_not};

pub struct World {
    name: Name,
    pub random: Random,
    master: Option<Endpoint>,
    slave: Option<Endpoint>,
    down: Way,
    up: Way,
    life: u64,
    /// Whether the program also writes and reads values.
    pub values: bool,
    joined: bool,
    slave_restarted: bool,
    master_moved: bool,
    cleanup: bool,
    pub log: Vec<String>,
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let values = random.below(2) == 0;
        World {
            name: Name::new("random"),
            random,
            master: None,
            slave: None,
            down: Way::default(),
            up: Way::default(),
            life: 0,
            values,
            joined: false,
            slave_restarted: false,
            master_moved: false,
            cleanup: true,
            log: Vec::new(),
        }
    }

    fn builder(&self, role: Role) -> Builder {
        Endpoint::builder(&self.name)
            .role(role)
            .reconnect_interval(Duration::from_millis(1))
            .stale_threshold(Duration::from_secs(5))
            .connect_timeout(Duration::ZERO)
    }

    fn open_master(&mut self) {
        if self.master.is_some() {
            return;
        }
        let mut builder = self.builder(Role::Master);
        match self.random.below(5) {
            0 if !self.values => builder = builder.queue_capacity(0),
            1 => builder = builder.queue_capacity(200),
            2 => builder = builder.queue_capacity(1 << 10).data_size(200),
            3 => builder = builder.queue_capacity(1 << 16),
            _ => {}
        }
        self.cleanup = self.random.below(3) > 0;
        builder = builder.auto_cleanup(self.cleanup);
        self.life += 1;
        self.joined = false;
        let master = builder.open().unwrap();
        self.log.push(format!("master {} max {} cleanup {}", self.life, master.max_message(), self.cleanup));
        self.master = Some(master);
    }

    fn open_slave(&mut self) {
        if self.slave.is_some() {
            return;
        }
        match self.builder(Role::Slave).open() {
            Ok(slave) => {
                self.log.push("slave opened".into());
                self.slave = Some(slave);
            }
            Err(Error::NotFound { .. } | Error::SeatTaken { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn close_master(&mut self) {
        let Some(master) = self.master.take() else { return };
        let joined = self.slave.is_some() && master.peer_state() == PeerState::Alive;
        self.log.push(format!("master closes, joined {joined}"));
        let count = master.close().unwrap();
        assert!(count as usize <= self.down.open.len(), "unreceived {count} of {}", self.down.open.len());
        if self.slave.is_none() {
            self.up.doubt(|_| true);
            self.down.doubt(|_| true);
        } else if !joined {
            let life = self.life;
            self.down.doubt(|one| one == life);
            if self.slave_restarted {
                self.up.doubt(|_| true);
                self.down.doubt(|_| true);
            }
        }
        if self.master_moved || self.slave_restarted {
            self.up.doubt(|_| true);
            self.down.doubt(|_| true);
        }
    }

    fn close_slave(&mut self) {
        let Some(slave) = self.slave.take() else { return };
        self.log.push("slave closes".into());
        let life = self.life;
        let stats = slave.stats().unwrap();
        let moved_all = stats.unreceived == u64::from(stats.s2m_queue_depth)
            && self.master.as_ref().is_some_and(|master| master.peer_state() == PeerState::Alive);
        slave.close().unwrap();
        if !moved_all {
            self.up.doubt(|_| true);
        }
        let here = self.master.is_some();
        self.down.doubt(|one| one != life || !here);
        self.up.doubt(|one| one != life || !here);
        self.slave_restarted = true;
    }

    fn remove(&mut self) {
        if fs::remove_file(self.name.path()).is_ok() {
            self.log.push("name removed".into());
            if self.slave.is_none() || self.master.is_none() {
                self.up.doubt(|_| true);
                self.down.doubt(|_| true);
            }
            self.master_moved = true;
            if self.master.is_some() {
                // Otherwise a master that is opened now would not find this one.
                let since = Instant::now();
                while !self.name.exists() {
                    assert!(since.elapsed() < SOON, "no stand-in");
                    std::thread::yield_now();
                }
                self.log.push("stand-in".into());
            }
        }
    }

    fn send(&mut self) {
        let how = self.random.below(6);
        let count = 1 + self.random.below(if self.random.0.is_multiple_of(5) { 150 } else { 5 }) as usize;
        let down = self.random.below(2) == 0;
        let (endpoint, way) =
            if down { (&mut self.master, &mut self.down) } else { (&mut self.slave, &mut self.up) };
        let Some(endpoint) = endpoint else { return };
        let life = self.life;
        let batch: Vec<_> = (0..count as u64).map(|ahead| bytes_of(way.next + ahead)).collect();
        let sent = send_batch(endpoint, how, &batch);
        way.accepted(life, sent);
        self.log.push(format!("{} sends {sent} of {count} by {how}", if down { "master" } else { "slave" }));
    }

    fn receive(&mut self) {
        let down = self.random.below(2) == 0;
        let most = 1 + self.random.below(20) as usize;
        let many = self.random.below(2) == 0;
        let (endpoint, way) =
            if down { (&mut self.slave, &mut self.down) } else { (&mut self.master, &mut self.up) };
        let Some(endpoint) = endpoint else { return };
        self.log.push(format!("{} receives up to {most}", if down { "slave" } else { "master" }));
        if many {
            let result =
                endpoint.split().1.recv_many_timeout(most, Duration::ZERO, |bytes| way.received(bytes));
            if let Err(error) = result {
                ok_or_not(Err(error));
            }
            return;
        }
        for _ in 0..most {
            match endpoint.try_recv() {
                Ok(Some(message)) => way.received(&message),
                Ok(None) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn exchange_values(&mut self) {
        if !self.values {
            return;
        }
        let down = self.random.below(2) == 0;
        let write = self.random.below(2) == 0;
        let (writer, reader, way) = if down {
            (&mut self.master, &mut self.slave, &mut self.down)
        } else {
            (&mut self.slave, &mut self.master, &mut self.up)
        };
        if write {
            if let Some(writer) = writer
                && ok_or_not(writer.write(&(way.written + 1).to_le_bytes()))
            {
                way.written += 1;
                self.log.push(format!("{} writes {}", if down { "master" } else { "slave" }, way.written));
            }
        } else if let Some(reader) = reader
            && let Some(value) = reader.try_read().unwrap()
        {
            let value = u64::from_le_bytes(value[..8].try_into().unwrap());
            self.log.push(format!("{} reads {value}", if down { "slave" } else { "master" }));
            assert!(value >= way.seen && value <= way.written, "value {value} after {}", way.seen);
            way.seen = value;
        }
    }

    fn loan_over_a_move(&mut self) {
        let Some(mut slave) = self.slave.take() else { return };
        let bytes = bytes_of(self.up.next);
        let life = self.life;
        let mut sent = false;
        {
            let (sender, receiver) = slave.split();
            let lent = receiver.try_recv();
            if let Ok(mut loan) = sender.try_loan(bytes.len()) {
                let open = self.builder(Role::Slave);
                drop(open);
                self.log.push("loan begins".into());
                if let Some(master) = self.master.take() {
                    let joined = master.peer_state() == PeerState::Alive;
                    drop(master);
                    if !joined || self.master_moved || self.slave_restarted {
                        self.down.doubt(|one| one == life || self.master_moved || self.slave_restarted);
                        if self.master_moved || self.slave_restarted {
                            self.up.doubt(|_| true);
                        }
                    }
                }
                self.open_master();
                std::thread::sleep(Duration::from_millis(self.random.below(4)));
                loan.copy_from_slice(&bytes);
                sent = ok_or_not(loan.send());
                self.log.push(format!("loan ends, sent {sent}"));
            }
            if let Ok(Some(message)) = &lent {
                self.down.received(message);
            }
            drop(lent);
        }
        self.up.accepted(life, sent.into());
        self.slave = Some(slave);
    }

    fn check(&self) {
        if let Some(slave) = &self.slave {
            let unreceived = slave.unreceived() as usize;
            assert!(unreceived <= self.up.open.len(), "unreceived {unreceived} of {}", self.up.open.len());
            if !self.slave_restarted && !self.master_moved && self.up.certain() == self.up.open.len() {
                assert_eq!(unreceived, self.up.open.len(), "unreceived");
            }
        }
        for endpoint in [&self.master, &self.slave].into_iter().flatten() {
            let stats = endpoint.stats().unwrap();
            assert!(stats.slave_heartbeat_delta < 1 << 32, "{stats:?}");
            assert!(stats.master_heartbeat_delta < 1 << 32, "{stats:?}");
        }
    }

    pub fn step(&mut self) {
        match self.random.below(100) {
            0..6 => self.close_master(),
            6..20 => self.open_master(),
            20..22 => self.close_slave(),
            22..32 => self.open_slave(),
            32 if self.random.below(4) == 0 => self.remove(),
            33..60 => self.send(),
            60..78 => self.receive(),
            78..90 => self.exchange_values(),
            90..92 => self.loan_over_a_move(),
            92..98 => std::thread::sleep(Duration::from_micros(self.random.below(3000))),
            _ => {
                if let (Some(master), Some(_)) = (&self.master, &self.slave) {
                    master.wait_for_peer(SOON).expect("the slave comes");
                }
            }
        }
        self.check();
    }

    /// Checks that everything arrives that must arrive.
    pub fn finish(&mut self) {
        self.log.push("the end".into());
        self.open_master();
        let since = Instant::now();
        while self.slave.is_none() {
            assert!(since.elapsed() < SOON, "the slave finds no seat");
            self.open_slave();
        }
        self.master.as_ref().unwrap().wait_for_peer(SOON).expect("the slave comes");
        let (master, slave) = (self.master.as_mut().unwrap(), self.slave.as_mut().unwrap());
        let (down, up) = (bytes_of(self.down.next), bytes_of(self.up.next));
        let (mut sent_down, mut sent_up) = (false, false);
        loop {
            assert!(since.elapsed() < SOON, "open: {:?} {:?}", self.down.open, self.up.open);
            if !sent_down && ok_or_not(master.send_timeout(&down, Duration::from_millis(1))) {
                self.down.accepted(self.life, 1);
                sent_down = true;
            }
            if !sent_up && ok_or_not(slave.send_timeout(&up, Duration::from_millis(1))) {
                self.up.accepted(self.life, 1);
                sent_up = true;
            }
            if let Ok(Some(message)) = slave.try_recv() {
                self.down.received(&message);
            }
            if let Ok(Some(message)) = master.try_recv() {
                self.up.received(&message);
            }
            if sent_down && sent_up && self.down.open.is_empty() && self.up.open.is_empty() {
                break;
            }
        }
        if self.values {
            let read = |reader: &mut Endpoint, way: &mut Way| {
                while let Some(value) = reader.try_read().unwrap() {
                    let value = u64::from_le_bytes(value[..8].try_into().unwrap());
                    assert!(value >= way.seen && value <= way.written, "value {value} after {}", way.seen);
                    way.seen = value;
                }
            };
            read(master, &mut self.up);
            read(slave, &mut self.down);
            if !self.slave_restarted {
                assert_eq!(self.up.seen, self.up.written, "the slave's last value");
            }
        }
        let since = Instant::now();
        while master.unreceived() + slave.unreceived() > 0 {
            assert!(since.elapsed() < SOON, "unreceived at the end");
        }
        assert!(master.try_recv().unwrap().is_none() && slave.try_recv().unwrap().is_none(), "too many");
    }
}

/// Sends a batch in one of six ways, and returns how many messages were accepted.
fn send_batch(endpoint: &mut Endpoint, how: u64, batch: &[Vec<u8>]) -> usize {
    let count = |outcome: Result<(), BatchError>| match outcome {
        Ok(()) => batch.len(),
        Err(error) => {
            ok_or_not(Err(error.source));
            error.sent
        }
    };
    match how {
        0 => batch.iter().take_while(|bytes| ok_or_not(endpoint.try_send(bytes))).count(),
        1 => count(endpoint.split().0.try_send_many(batch)),
        2 => count(endpoint.send_many_timeout(batch, Duration::from_micros(500))),
        3 => ok_or_not(endpoint.send_timeout(&batch[0], Duration::from_millis(1))).into(),
        4 => match endpoint.split().0.try_loan(batch[0].len()) {
            Ok(mut loan) => {
                loan.copy_from_slice(&batch[0]);
                (batch.len().is_multiple_of(2) && ok_or_not(loan.send())).into()
            }
            Err(error) => ok_or_not(Err(error)).into(),
        },
        _ => {
            let sender = endpoint.split().0;
            batch.iter().take_while(|bytes| ok_or_not(sender.try_send(bytes))).count()
        }
    }
}
