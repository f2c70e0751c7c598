//! Random programs of two endpoints, whose segment is closed, replaced and renamed under them, against a model.

#![allow(clippy::disallowed_types, reason = "flags of the test itself")]

mod common;

use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

use common::Name;
use eshm::{BatchError, Builder, Endpoint, Error, PeerState, Role};

/// A small generator of numbers: a program is its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

/// What was accepted in one direction and not received.
#[derive(Default)]
struct Way {
    next: u64,
    /// Number, incarnation of the master at the time, may be lost.
    open: VecDeque<(u64, u64, bool)>,
    written: u64,
    seen: u64,
}

fn bytes_of(number: u64) -> Vec<u8> {
    let len = 8 + Random(number).below(if number.is_multiple_of(3) { 190 } else { 20 }) as usize;
    let mut bytes = vec![number as u8; len];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

impl Way {
    fn accepted(&mut self, life: u64, count: usize) {
        for _ in 0..count {
            self.open.push_back((self.next, life, false));
            self.next += 1;
        }
    }
    fn received(&mut self, bytes: &[u8]) {
        let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(bytes, bytes_of(number), "the bytes");
        while let Some((first, _, maybe)) = self.open.pop_front() {
            if first == number {
                return;
            }
            assert!(maybe, "{first} is missing, {number} came");
        }
        panic!("{number} came twice, or was never accepted");
    }
    fn doubt(&mut self, which: impl Fn(u64) -> bool) {
        self.open.iter_mut().filter(|one| which(one.1)).for_each(|one| one.2 = true);
    }
    fn certain(&self) -> usize {
        self.open.iter().filter(|one| !one.2).count()
    }
}

struct World {
    name: Name,
    random: Random,
    master: Option<Endpoint>,
    slave: Option<Endpoint>,
    down: Way,
    up: Way,
    life: u64,
    /// The size of the master's segment, if its name is there.
    values: bool,
    joined: bool,
    slave_restarted: bool,
    master_moved: bool,
    cleanup: bool,
    log: Vec<String>,
}

const SOON: Duration = Duration::from_secs(20);

fn ok_or_not(result: Result<(), Error>) -> bool {
    match result {
        Ok(()) => true,
        Err(
            Error::Full { .. }
            | Error::Reconnecting { .. }
            | Error::PeerClosed { .. }
            | Error::PeerStale { .. }
            | Error::Timeout { .. },
        ) => false,
        Err(error) => panic!("{error}"),
    }
}

impl World {
    fn new(seed: u64) -> World {
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
        // The one before may have kept what it had taken out of a replaced segment to itself.
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
                // Else a master that is opened now would not find this one.
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
        let mut sent = 0;
        match how {
            0 => {
                for bytes in &batch {
                    if !ok_or_not(endpoint.try_send(bytes)) {
                        break;
                    }
                    sent += 1;
                }
            }
            1 => {
                sent = match endpoint.split().0.try_send_many(&batch) {
                    Ok(()) => count,
                    Err(error) => {
                        let sent = error.sent;
                        ok_or_not(Err(error.source));
                        sent
                    }
                }
            }
            2 => {
                sent = match endpoint.send_many_timeout(&batch, Duration::from_micros(500)) {
                    Ok(()) => count,
                    Err(error) => {
                        ok_or_not(Err(error.source));
                        error.sent
                    }
                }
            }
            3 => sent = ok_or_not(endpoint.send_timeout(&batch[0], Duration::from_millis(1))).into(),
            4 => match endpoint.split().0.try_loan(batch[0].len()) {
                Ok(mut loan) => {
                    loan.copy_from_slice(&batch[0]);
                    if count.is_multiple_of(2) {
                        sent = ok_or_not(loan.send()).into();
                    }
                }
                Err(error) => {
                    ok_or_not(Err(error));
                }
            },
            _ => {
                let sender = endpoint.split().0;
                for bytes in &batch {
                    if !ok_or_not(sender.try_send(bytes)) {
                        break;
                    }
                    sent += 1;
                }
            }
        }
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
                // The slave is still open, only not here.
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

    fn step(&mut self) {
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

    /// All that must arrive does.
    fn finish(&mut self) {
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

fn run(seed: u64) {
    let mut world = World::new(seed);
    let steps = 20 + world.random.below(60);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..steps {
            world.step();
        }
        world.finish();
    }));
    if result.is_err() {
        panic!("seed {seed}, values {}:\n{}", world.values, world.log.join("\n"));
    }
}

#[test]
fn random_programs_lose_double_and_reorder_nothing() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse::<u64>().expect("a number"))
    };
    let first = number("MOVES_SEED", 1);
    for seed in first..first + number("MOVES_COUNT", 50) {
        run(seed);
    }
}

#[test]
fn the_heartbeats_since_the_last_question_are_those_of_the_segment() {
    let segment = Name::new("random-delta");
    let first = Endpoint::master(&segment).unwrap();
    let slave = Endpoint::builder(&segment)
        .role(Role::Slave)
        .reconnect_interval(Duration::from_millis(5))
        .open()
        .unwrap();
    common::poll("some heartbeats", || (slave.stats().unwrap().master_heartbeat > 20).then_some(()));
    drop(first);
    let second = Endpoint::master(&segment).unwrap();
    second.wait_for_peer(SOON).unwrap();
    let stats = slave.stats().unwrap();
    assert!(stats.master_heartbeat_delta <= stats.master_heartbeat, "{stats:?}");
    assert!(stats.slave_heartbeat_delta <= stats.slave_heartbeat, "{stats:?}");
}

fn master_of(segment: &str, capacity: usize) -> Endpoint {
    Endpoint::builder(segment).role(Role::Master).queue_capacity(capacity).open().unwrap()
}

fn searching_slave(segment: &str) -> Endpoint {
    Endpoint::builder(segment).role(Role::Slave).reconnect_interval(Duration::from_millis(5)).open().unwrap()
}

fn receive(endpoint: &mut Endpoint, count: usize) {
    for _ in 0..count {
        endpoint.recv_timeout(SOON).unwrap().expect("a message");
    }
}

fn last_value(endpoint: &mut Endpoint) -> Vec<u8> {
    let mut last = Vec::new();
    while let Some(value) = endpoint.try_read().unwrap() {
        last = value.to_vec();
    }
    last
}

#[test]
fn an_old_value_does_not_replace_a_newer_one_in_the_segment_after_the_next() {
    let segment = Name::new("random-stale-value");
    let first = Endpoint::master(&segment).unwrap();
    let mut slave = searching_slave(&segment);
    slave.write(b"old").unwrap();
    slave.send_many(&vec![[1u8; 8]; 100]).unwrap();
    drop(first);
    let mut second = master_of(&segment, 64);
    second.wait_for_peer(SOON).unwrap();
    // Messages are left to be carried over.
    slave.write(b"new").unwrap();
    assert_eq!(last_value(&mut second), b"new");
    drop(second);
    let mut third = Endpoint::master(&segment).unwrap();
    receive(&mut third, 100);
    slave.send_timeout(b"the end", SOON).unwrap();
    receive(&mut third, 1);
    assert_eq!(last_value(&mut third), b"new");
}

#[test]
fn a_value_that_is_written_while_messages_are_left_outlives_all_older_ones() {
    let segment = Name::new("random-stale-pending");
    let first = Endpoint::master(&segment).unwrap();
    let mut slave = searching_slave(&segment);
    slave.send_many(&vec![[1u8; 8]; 300]).unwrap();
    drop(first);
    let second = master_of(&segment, 1 << 15);
    second.wait_for_peer(SOON).unwrap();
    slave.write(b"two").unwrap();
    drop(second);
    let mut third = master_of(&segment, 64);
    third.wait_for_peer(SOON).unwrap();
    slave.write(b"three").unwrap();
    receive(&mut third, 300);
    slave.send_timeout(b"the end", SOON).unwrap();
    receive(&mut third, 1);
    assert_eq!(last_value(&mut third), b"three");
}

#[test]
fn a_close_carries_over_all_that_there_is_room_for() {
    let segment = Name::new("random-close");
    let first = master_of(&segment, 1 << 21);
    let mut slave = searching_slave(&segment);
    slave.send_many(&vec![[1u8; 8]; 8000]).unwrap();
    drop(first);
    let mut second = master_of(&segment, 1 << 21);
    second.wait_for_peer(SOON).unwrap();
    assert_eq!(slave.close().unwrap(), 8000);
    let mut count = 0;
    while second.try_recv().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 8000);
}

#[test]
fn nothing_seems_received_that_is_just_being_carried_over() {
    for _ in 0..200 {
        let segment = Name::new("random-unreceived");
        let first = Endpoint::master(&segment).unwrap();
        let mut slave = searching_slave(&segment);
        slave.send_many(&vec![[1u8; 2000]; 100]).unwrap();
        let inspector = slave.inspector();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut least = 100;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    least = least.min(inspector.unreceived());
                }
                assert_eq!(least, 100);
            });
            drop(first);
            let second = Endpoint::master(&segment).unwrap();
            while !matches!(slave.try_send(b"x"), Ok(())) {
                std::hint::spin_loop();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            drop(second);
        });
    }
}

#[test]
fn a_master_without_the_thread_carries_over_with_its_own_heartbeats() {
    let segment = Name::new("random-by-hand");
    let mut first = Endpoint::builder(&segment).role(Role::Master).auto_cleanup(false).open().unwrap();
    first.send_many(&vec![[1u8; 8]; 300]).unwrap();
    drop(first);
    let second =
        Endpoint::builder(&segment).role(Role::Master).background(false).queue_capacity(64).open().unwrap();
    let mut slave = searching_slave(&segment);
    for _ in 0..300 {
        second.update_heartbeat().unwrap();
        slave.recv_timeout(Duration::from_secs(1)).unwrap().expect("a message");
    }
}

/// A master replaces the segment while a slave sits down on it.
#[test]
fn a_slave_that_looks_into_a_segment_while_it_is_replaced_loses_nothing() {
    let mut lost = 0;
    for round in 0..400u32 {
        let segment = Name::new("random-replace-race");
        let mut first = Endpoint::builder(&segment)
            .role(Role::Master)
            .auto_cleanup(false)
            .background(false)
            .open()
            .unwrap();
        first.send(b"left").unwrap();
        drop(first);
        std::thread::scope(|scope| {
            let slave = scope.spawn(|| {
                for _ in 0..round % 7 * 50 {
                    std::hint::spin_loop();
                }
                let since = Instant::now();
                loop {
                    match Endpoint::builder(&segment)
                        .role(Role::Slave)
                        .reconnect_interval(Duration::from_millis(1))
                        .open()
                    {
                        Ok(slave) => break slave,
                        Err(error) => assert!(since.elapsed() < SOON, "{error}"),
                    }
                }
            });
            let mut second = master_of(&segment, 100);
            second.wait_for_peer(SOON).unwrap();
            second.send(b"new").unwrap();
            let mut slave = slave.join().unwrap();
            let got = slave.recv_timeout(SOON).unwrap().unwrap().to_vec();
            if got != b"left" {
                lost += 1;
            }
        });
    }
    assert_eq!(lost, 0, "of 400");
}

/// One thread sends, one receives, at each end, while masters come and go and the name is removed.
#[test]
fn streams_survive_masters_that_come_and_go() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
    let rounds = std::env::var("MOVES_ROUNDS").map_or(40, |text| text.parse::<u32>().unwrap());
    let seed = std::env::var("MOVES_SEED").map_or(1, |text| text.parse::<u64>().unwrap());
    let mut random = Random(seed);
    let segment = Name::new("random-streams");
    let open = |random: &mut Random| {
        let builder = Endpoint::builder(&segment).role(Role::Master).stale_threshold(SOON);
        let capacity = [100, 200, 1 << 12, 1 << 16, 1 << 18, 0][random.below(6) as usize];
        let capacity = if std::env::var_os("MOVES_QUEUES").is_some() { capacity.max(100) } else { capacity };
        let since = Instant::now();
        loop {
            match builder.clone().queue_capacity(capacity).auto_cleanup(random.below(2) == 0).open() {
                Ok(master) => break master,
                Err(error) => assert!(since.elapsed() < SOON, "{error}"),
            }
        }
    };
    let first = open(&mut random);
    let slave = Endpoint::builder(&segment)
        .role(Role::Slave)
        .stale_threshold(SOON)
        .reconnect_interval(Duration::from_millis(1))
        .open()
        .unwrap();
    let inspector = slave.inspector();
    let (mut sender, mut receiver) = slave.into_split();
    let end = AtomicBool::new(false);
    let (up_sent, down_sent, down_received) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let fits = |number: u64| {
        let mut bytes = bytes_of(number);
        bytes.truncate(100);
        bytes
    };
    std::thread::scope(|scope| {
        let up = scope.spawn(|| {
            let mut random = Random(seed + 1);
            let mut number = 0;
            while !end.load(SeqCst) {
                let batch: Vec<_> = (number..number + 1 + random.below(40)).map(fits).collect();
                match random.below(4) {
                    0 => match sender.send_many_timeout(&batch, Duration::from_micros(300)) {
                        Ok(()) => number += batch.len() as u64,
                        Err(error) => number += error.sent as u64,
                    },
                    1 => number += sent_of(sender.try_send_many(&batch), batch.len()),
                    2 => {
                        if let Ok(mut loan) = sender.try_loan(batch[0].len()) {
                            loan.copy_from_slice(&batch[0]);
                            number += u64::from(loan.send().is_ok());
                        }
                    }
                    _ => {
                        number +=
                            u64::from(sender.send_timeout(&batch[0], Duration::from_micros(300)).is_ok())
                    }
                }
                up_sent.store(number, SeqCst);
                if random.below(20) == 0 {
                    std::thread::sleep(Duration::from_micros(random.below(2000)));
                }
            }
            // What is left goes.
            let since = Instant::now();
            while sender.send_timeout(&fits(number), Duration::from_millis(5)).is_err() {
                assert!(since.elapsed() < SOON, "the last one does not go");
            }
            up_sent.store(number + 1, SeqCst);
            sender
        });
        let down = scope.spawn(|| {
            let mut next = 0;
            while !end.load(SeqCst) || down_received.load(SeqCst) < down_sent.load(SeqCst) {
                let got = receiver.recv_many_timeout(30, Duration::from_millis(1), |bytes| {
                    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                    assert_eq!(number, next, "down");
                    assert_eq!(bytes, fits(number));
                    next += 1;
                });
                if let Err(error) = got {
                    ok_or_not(Err(error));
                }
                down_received.store(next, SeqCst);
            }
            receiver
        });
        let mut master = Some(first);
        let mut expected = 0u64;
        let mut sent = 0u64;
        for round in 0..rounds {
            let mut one = master.take().unwrap_or_else(|| open(&mut random));
            one.wait_for_peer(SOON).unwrap();
            for _ in 0..random.below(60) {
                if up.is_finished() || down.is_finished() {
                    break;
                }
                match random.below(3) {
                    0 => {
                        if one.send_timeout(&fits(sent), Duration::from_micros(200)).is_ok() {
                            sent += 1;
                        }
                    }
                    1 => {
                        let batch: Vec<_> = (sent..sent + 20).map(fits).collect();
                        sent += sent_of(one.split().0.try_send_many(&batch), batch.len());
                    }
                    _ => {
                        let most = 1 + random.below(50) as usize;
                        let got =
                            one.split().1.recv_many_timeout(most, Duration::from_micros(300), |bytes| {
                                let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                                assert_eq!(number, expected, "up, life {round}");
                                assert_eq!(bytes, fits(number));
                                expected += 1;
                            });
                        if let Err(error) = got {
                            ok_or_not(Err(error));
                        }
                    }
                }
            }
            down_sent.store(sent, SeqCst);
            if random.below(12) == 0 && fs::remove_file(segment.path()).is_ok() && random.below(2) == 0 {
                common::poll("the stand-in", || segment.exists().then_some(()));
            }
            assert!(!up.is_finished() && !down.is_finished());
            drop(one);
        }
        let mut last = open(&mut random);
        last.wait_for_peer(SOON).unwrap();
        end.store(true, SeqCst);
        let since = Instant::now();
        while !up.is_finished() || expected < up_sent.load(SeqCst) {
            assert!(
                since.elapsed() < SOON,
                "up: {expected} of {}, {}",
                up_sent.load(SeqCst),
                inspector.unreceived()
            );
            if let Some(message) = last.recv_timeout(Duration::from_millis(1)).unwrap() {
                assert_eq!(&*message, fits(expected), "up, at the end");
                expected += 1;
            }
        }
        let sender = up.join().unwrap();
        let receiver = down.join().unwrap();
        assert_eq!(down_received.load(SeqCst), sent);
        assert_eq!(inspector.unreceived(), 0);
        println!("{expected} up, {sent} down");
        drop((sender, receiver));
    });
}

#[test]
fn a_master_whose_name_was_removed_hears_of_its_slave_s_end() {
    let segment = Name::new("random-end");
    let master = Endpoint::master(&segment).unwrap();
    let slave = searching_slave(&segment);
    master.wait_for_peer(SOON).unwrap();
    fs::remove_file(segment.path()).unwrap();
    common::poll("the stand-in", || segment.exists().then_some(()));
    let generation = master.generation();
    drop(slave);
    // The seat in the stand-in is free once the master has moved.
    let inspector = master.inspector();
    let outcome = common::within(Duration::from_secs(3), move || {
        let mut master = master;
        let outcome = master.recv().map(drop);
        (master, outcome)
    });
    let state = inspector.peer_state();
    let (master, outcome) = outcome.unwrap_or_else(|| panic!("still waits, the slave is {state}"));
    assert!(matches!(outcome, Err(Error::PeerClosed { .. })), "{outcome:?}");
    assert_eq!((master.peer_state(), master.stats().unwrap().reconnects), (PeerState::Closed, 0));
    assert_eq!(master.generation(), generation);
    let _next = common::poll("a free seat", || Endpoint::slave(&segment).ok());
    master.wait_for_peer(SOON).unwrap();
    common::poll("the count", || (master.stats().unwrap().reconnects == 1).then_some(()));
    assert_eq!(master.generation(), generation + 1);
}

#[test]
fn a_batch_with_a_limit_waits_as_a_message_does_after_the_patience() {
    let segment = Name::new("random-batch");
    let first = Endpoint::master(&segment).unwrap();
    let mut slave = Endpoint::builder(&segment)
        .role(Role::Slave)
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_timeout(Duration::from_millis(20))
        .open()
        .unwrap();
    drop(first);
    common::poll("the patience's end", || {
        matches!(slave.try_send(b"x"), Err(Error::PeerClosed { .. } | Error::PeerStale { .. })).then_some(())
    });
    let error = slave.send_timeout(b"x", Duration::from_millis(5)).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let error = slave.send_many_timeout(&[b"x", b"y"], Duration::from_millis(5)).unwrap_err();
    assert!(matches!(error.source, Error::Timeout { .. }), "{error}");
}

#[test]
fn a_batch_counts_what_went_before_the_queue_was_found_broken() {
    use std::os::unix::fs::FileExt;
    let segment = Name::new("random-broken");
    let mut master = Endpoint::builder(&segment).role(Role::Master).queue_capacity(64).open().unwrap();
    let mut slave = Endpoint::slave(&segment).unwrap();
    // What the slave has consumed: more than was ever sent. The queue starts behind `ESHMData`, at 8576.
    let file = fs::File::options().write(true).open(segment.path()).unwrap();
    file.write_all_at(&1000u32.to_ne_bytes(), 8576).unwrap();
    let error = master.send_many(&vec![[1u8; 8]; 100]).unwrap_err();
    let mut count = 0;
    while slave.try_recv().unwrap_or(None).is_some() {
        count += 1;
    }
    assert_eq!((error.sent as u64, master.stats().unwrap().messages_sent), (64, 64), "{error} {count}");
}

/// How many messages of a batch of `all` went.
fn sent_of(outcome: Result<(), BatchError>, all: usize) -> u64 {
    outcome.map_or_else(|error| error.sent, |()| all) as u64
}
