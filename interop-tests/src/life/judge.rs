//! Checks the answers of a peer against the model, and updates the model with what they imply.

use anyhow::{Context, Result, bail, ensure};

use super::model::Model;
use super::program::Verb;
use super::state::{Home, Message};
use crate::observe::Observation;
use crate::payload::payload;
use crate::segment::Side;

/// How a receiving call treats a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Release,
    Hold,
}

impl Model {
    /// Begins a call. Returns the content that it sends, as the command spells it. Until the answer, its messages are
    /// doubtful.
    pub fn begins(&mut self, side: Side, verb: Verb) -> Vec<String> {
        self.seat(side).busy = Some(verb);
        let home = self.seat(side).sends_to.map_or(Home::Moving, Home::In);
        let way = &mut self.ways[side as usize];
        let count = if let Verb::SendMany { count, .. } = verb { count } else { 1 };
        let mut drafts = Vec::new();
        if let Some(longest) = verb.longest() {
            let value = matches!(verb, Verb::Write { .. });
            let texts = if value { &mut way.values } else { &mut way.texts };
            for _ in 0..count {
                let seed = 2 * side as u64 + u64::from(value);
                drafts.push(hex::encode(payload(seed, texts.len() as u64, longest as usize)));
                texts.extend(drafts.last().cloned());
            }
        }
        let offered = way.texts.len();
        match verb {
            Verb::Send { .. } | Verb::TrySend { .. } | Verb::CancelSend { .. } | Verb::SendMany { .. } => {
                let numbers = offered - drafts.len()..offered;
                way.pending.extend(numbers.map(|number| Message {
                    number,
                    sure: false,
                    home,
                    own: true,
                    taken: false,
                }));
            }
            Verb::Loan { .. } => way.loan = Some(offered - 1),
            Verb::LoanSend => {
                // A loan is the next message, so it has the next number.
                let number = way.loan.unwrap_or_default();
                way.pending.push_back(Message { number, sure: false, home, own: true, taken: false });
            }
            _ => {}
        }
        drafts
    }

    /// Checks the answer to a call. `late`: other steps ran between the call and its answer, or the call may not have
    /// polled.
    ///
    /// # Errors
    /// If the protocol does not allow the answer.
    pub fn answers(&mut self, side: Side, verb: Verb, said: &Observation, late: bool) -> Result<()> {
        self.seat(side).busy = None;
        let from = side.other();
        if self.ways[from as usize].lets_go && verb.looks() {
            self.ways[from as usize].taken.clear();
        }
        let lent = !self.ways[from as usize].taken.is_empty() || self.ways[side as usize].loan.is_some();
        match (verb, said) {
            (_, Observation::Unsupported) if lent => self.sent(side, verb, 0),
            (Verb::Write { .. }, Observation::Ok) => {
                self.written(side);
                Ok(())
            }
            (
                Verb::Send { .. } | Verb::TrySend { .. } | Verb::CancelSend { .. } | Verb::LoanSend,
                Observation::Ok,
            ) => self.sent(side, verb, 1),
            (Verb::CancelSend { .. }, Observation::Nothing) => self.sent(side, verb, 0),
            (Verb::SendMany { count, .. }, Observation::Count { count: sent, code, .. }) => {
                self.batch(side, verb, count, (*sent, *code), late)
            }
            (Verb::Loan { .. } | Verb::WaitPeer { .. }, Observation::Ok) => {
                if matches!(verb, Verb::WaitPeer { .. }) {
                    self.peer_is_there(side);
                }
                Ok(())
            }
            (Verb::LoanDrop, Observation::Ok) => {
                self.ways[side as usize].loan = None;
                Ok(())
            }
            (Verb::Release, Observation::Ok) => {
                self.ways[from as usize].taken.clear();
                Ok(())
            }
            (Verb::State, Observation::State { role, .. }) => {
                ensure!(role == side.word(), "the role is {role}");
                Ok(())
            }
            (Verb::Held, Observation::Message { hex, .. }) => self.still_held(from, hex),
            (Verb::TryRead | Verb::Read { .. }, Observation::Message { hex, .. }) => {
                self.read(from, hex, late)
            }
            (Verb::TryRead | Verb::Read { .. }, Observation::Nothing) => self.no_value(from, late),
            (Verb::Hold { .. }, Observation::Message { hex, .. }) => self.delivered(from, hex, Keep::Hold),
            (_, Observation::Message { hex, .. }) if receives(verb) => {
                self.delivered(from, hex, Keep::Release)
            }
            (_, Observation::Nothing) if receives(verb) => self.nothing(from, late),
            (Verb::RecvMany { most, .. }, Observation::Messages { hex }) => self.many(from, most, hex, late),
            (_, Observation::Error { code, message }) => {
                self.refused(side, verb, *code, late).with_context(|| format!("error {code}: {message}"))
            }
            _ => bail!("this is no answer to {}", verb.name()),
        }
    }

    /// Records that the first `sent` messages of a call were accepted and the others were not.
    fn sent(&mut self, side: Side, verb: Verb, accepted: usize) -> Result<()> {
        // A replaced segment may accept a message that is too long for the next segment.
        let limit = self.named.map_or(u64::MAX, |named| self.segments[named].limit());
        let way = &mut self.ways[side as usize];
        let first = match verb {
            Verb::LoanSend => way.loan.take().unwrap_or_default(),
            Verb::SendMany { count, .. } => way.texts.len() - count as usize,
            Verb::Send { .. } | Verb::TrySend { .. } | Verb::CancelSend { .. } => way.texts.len() - 1,
            Verb::Loan { .. } => {
                way.loan = None;
                return Ok(());
            }
            _ => return Ok(()),
        };
        let count = if let Verb::SendMany { count, .. } = verb { count as usize } else { 1 };
        let refused = first + accepted..first + count;
        if let Some(number) = way.came.range(refused.clone()).next() {
            bail!("message {number} was refused, and came");
        }
        way.pending.retain(|message| !refused.contains(&message.number));
        for message in &mut way.pending {
            if (first..refused.start).contains(&message.number) {
                let fits =
                    message.home != Home::Moving || way.texts[message.number].len() as u64 / 2 <= limit;
                message.sure = !message.taken && fits;
            }
        }
        Ok(())
    }

    fn batch(
        &mut self,
        side: Side,
        verb: Verb,
        count: u64,
        (sent, code): (u64, i32),
        late: bool,
    ) -> Result<()> {
        ensure!(sent <= count, "{sent} of {count} messages were sent");
        ensure!(code != 0 || sent == count, "only {sent} of {count} messages, without an error");
        self.sent(side, verb, sent as usize)?;
        ensure!(
            code == 0 || late && code == -12 || self.is_allowed(side, verb, code),
            "it has no reason to fail so"
        );
        Ok(())
    }

    fn written(&mut self, side: Side) {
        let home = self.seat(side).sends_to.map_or(Home::Moving, Home::In);
        let way = &mut self.ways[side as usize];
        way.value = Some(Message { number: way.values.len() - 1, sure: true, home, own: true, taken: false });
    }

    /// Checks a received message: it must be the next sure one, or a doubtful one before it.
    fn delivered(&mut self, from: Side, hex: &str, keep: Keep) -> Result<()> {
        let way = &mut self.ways[from as usize];
        let number = identify(hex, 2 * from as u64, &way.texts)?;
        let who = from.word();
        let Some(at) = way.pending.iter().position(|message| message.number == number) else {
            bail!("message {number} of the {who} came, which was received before, refused, or is gone");
        };
        if let Some(lost) = way.pending.iter().take(at).find(|message| message.sure) {
            bail!("message {number} of the {who} came, and message {} before it did not", lost.number);
        }
        let message = way.pending.drain(..=at).next_back().expect("it is there");
        way.came.insert(number);
        let home = self.learn(from, message);
        let way = &mut self.ways[from as usize];
        if keep == Keep::Hold || !way.taken.is_empty() {
            way.taken.push(Message { home, ..message });
        }
        Ok(())
    }

    /// Derives from a received message which segments its sender and its receiver use.
    fn learn(&mut self, from: Side, message: Message) -> Home {
        let receiver = self.seat(from.other());
        match message.home {
            Home::In(id) if !receiver.holds.contains(&id) => receiver.holds.push(id),
            Home::In(_) => {}
            Home::Moving => {
                // The segment of the message is known only if the receiver uses exactly one segment.
                if let ([only], true) = (&receiver.holds[..], receiver.may_hold.is_empty()) {
                    let only = *only;
                    let sender = self.seat(from);
                    sender.sends_to = Some(only);
                    if !sender.holds.contains(&only) {
                        sender.holds.push(only);
                    }
                    return Home::In(only);
                }
            }
        }
        message.home
    }

    /// A master sees its slave, so both use the same segment.
    fn peer_is_there(&mut self, side: Side) {
        if side == Side::Master
            && let Some(id) = self.seat(side).sends_to
            && self.seat(Side::Slave).may_hold.contains(&id)
        {
            let slave = self.seat(Side::Slave);
            if !slave.holds.contains(&id) {
                slave.holds.push(id);
            }
        }
    }

    fn many(&mut self, from: Side, most: u64, texts: &[String], late: bool) -> Result<()> {
        ensure!(texts.len() as u64 <= most, "{} messages, at most {most} were asked for", texts.len());
        if texts.is_empty() {
            return self.nothing(from, late);
        }
        let way = &self.ways[from as usize];
        let homes: Vec<_> = way.pending.iter().map(|message| (message.number, message.home)).collect();
        let mut last = 0;
        for hex in texts {
            self.delivered(from, hex, Keep::Release)?;
            last = identify(hex, 2 * from as u64, &self.ways[from as usize].texts)?;
        }
        let Some(next) = self.first_sure(from) else { return Ok(()) };
        let queued = self.segments.iter().all(|sizes| sizes.queue > 0);
        let together = homes.contains(&(last, next.home));
        let more = queued && together && !late && self.is_visible(from, Some(next));
        ensure!(
            !more || texts.len() as u64 == most,
            "{} of at most {most} messages, though message {} of the {} is there, too",
            texts.len(),
            next.number,
            from.word()
        );
        Ok(())
    }

    fn nothing(&self, from: Side, late: bool) -> Result<()> {
        let first = self.first_sure(from);
        match first {
            Some(message) if !late && self.is_visible(from, first) => {
                bail!("nothing, though message {} of the {} is there", message.number, from.word())
            }
            _ => Ok(()),
        }
    }

    fn still_held(&self, from: Side, hex: &str) -> Result<()> {
        let way = &self.ways[from as usize];
        let held = way.taken.first().context("nothing is held")?;
        ensure!(*hex == way.texts[held.number], "message {} has changed while it is held", held.number);
        Ok(())
    }

    fn read(&mut self, from: Side, hex: &str, late: bool) -> Result<()> {
        let seen = {
            let way = &self.ways[from as usize];
            identify(hex, 2 * from as u64 + 1, &way.values)?
        };
        let alone = self.seat(from.other()).holds.len() == 1 && !late;
        let current = self.ways[from as usize].value.filter(|value| value.sure);
        if let Some(current) = current.filter(|current| alone && self.is_visible(from, Some(current))) {
            ensure!(seen >= current.number, "value {seen}, though the latest is {}", current.number);
        }
        let way = &mut self.ways[from as usize];
        if let Some(read) = way.read.replace(seen) {
            ensure!(seen > read, "value {seen} of the {} came after value {read}", from.word());
        }
        Ok(())
    }

    fn no_value(&self, from: Side, late: bool) -> Result<()> {
        let way = &self.ways[from as usize];
        let Some(value) = way.value.filter(|value| value.sure) else { return Ok(()) };
        let new = way.read.is_none_or(|read| read < value.number);
        ensure!(
            late || !new || !self.is_visible(from, Some(&value)),
            "nothing, though value {} of the {} is there and unread",
            value.number,
            from.word()
        );
        Ok(())
    }

    /// Checks a failed call: nothing was sent, and no message may be available.
    fn refused(&mut self, side: Side, verb: Verb, code: i32, late: bool) -> Result<()> {
        self.sent(side, verb, 0)?;
        // A call that ran at the same time as others may have found the queue full before they released messages.
        ensure!(late && code == -12 || self.is_allowed(side, verb, code), "it has no reason to fail so");
        let lent = !self.ways[side.other() as usize].taken.is_empty();
        match verb {
            Verb::TryRead | Verb::Read { .. } if !lent => self.no_value(side.other(), late),
            _ if !lent && (receives(verb) || matches!(verb, Verb::RecvMany { .. })) => {
                self.nothing(side.other(), late)
            }
            _ => Ok(()),
        }
    }

    /// Returns whether a call may fail with this code.
    fn is_allowed(&self, side: Side, verb: Verb, code: i32) -> bool {
        let seat = &self.seats[side as usize];
        let (outgoing, incoming) = (&self.ways[side as usize], &self.ways[side.other() as usize]);
        let lent = outgoing.loan.is_some() || !incoming.taken.is_empty();
        match code {
            // A live peer may look stale to an endpoint that was not scheduled for a while. The end of the program
            // checks that it comes back.
            -10 | -11 => true,
            -16 => seat.peer_closed,
            -12 => {
                let filled = !outgoing.pending.is_empty() || !outgoing.taken.is_empty();
                verb.longest().is_some() && (lent || filled)
            }
            -13 => self.is_too_long(side, verb),
            // Another loan or held message is open, or a call ended the loan.
            -1 | -14 => lent || matches!(verb, Verb::LoanSend),
            _ => false,
        }
    }

    /// Returns whether the offered message is too long for one of the segments that it may go to.
    fn is_too_long(&self, side: Side, verb: Verb) -> bool {
        let seat = &self.seats[side as usize];
        let way = &self.ways[side as usize];
        let value = matches!(verb, Verb::Write { .. });
        let Some(longest) = verb.longest() else { return false };
        let texts = if value { &way.values } else { &way.texts };
        let recent = if let Verb::SendMany { count, .. } = verb { count as usize } else { 1 };
        let length =
            texts.iter().rev().take(recent).map(|text| text.len() as u64 / 2).max().unwrap_or(longest);
        let ids = seat.holds.iter().chain(&seat.may_hold);
        ids.map(|id| self.segments[*id]).any(|sizes| length > if value { sizes.data } else { sizes.limit() })
    }

    /// Checks the number of unreceived messages that a close reports.
    ///
    /// # Errors
    /// If the number is too low or too high.
    pub fn counts_unreceived(&self, side: Side, unreceived: u64) -> Result<()> {
        let way = &self.ways[side as usize];
        let quiet = self.busy(side.other()).is_none();
        let certain = |message: &&Message| message.sure && message.own && quiet;
        let least = way.pending.iter().filter(certain).count() as u64;
        let most = (way.texts.len() - way.came.len() + way.taken.len()) as u64;
        ensure!(
            (least..=most).contains(&unreceived),
            "{unreceived} messages were not received, expected {least} to {most}"
        );
        Ok(())
    }
}

/// Returns whether the call receives one message.
fn receives(verb: Verb) -> bool {
    verb.receives() && !matches!(verb, Verb::RecvMany { .. })
}

/// Returns the number of a message after comparing all its bytes with what was offered.
fn identify(hex: &str, seed: u64, texts: &[String]) -> Result<usize> {
    let bytes = hex::decode(hex)?;
    let word =
        |at: usize| bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes);
    let (Some(number), Some(found)) = (word(0), word(8)) else {
        bail!("a message of {} bytes, which was never sent", bytes.len());
    };
    ensure!(found == seed, "message {number} of series {found}, expected one of series {seed}");
    let text =
        texts.get(number as usize).with_context(|| format!("message {number}, which was never sent"))?;
    ensure!(text == hex, "message {number} is torn: {} bytes, expected {}", bytes.len(), text.len() / 2);
    Ok(number as usize)
}
