//! The statistics of an endpoint, and the number of unreceived messages.

use std::time::Duration;

use super::{Link, State};
use crate::error::Result;
use crate::peer::monitor;
use crate::peer::stats::Stats;
use crate::peer_state::PeerState;
use crate::role::Role;
use crate::segment::layout::Direction;
use crate::sys::Ordering;

impl Link {
    /// Returns the counts of the segment and of the endpoint. Those of a reader in another process may be one
    /// heartbeat interval old.
    pub(crate) fn stats(&self) -> Result<Stats> {
        self.check()?;
        monitor::publish_reads();
        let mut state = self.state();
        let mut stats = Stats { unreceived: self.count_unreceived(&state), ..Stats::default() };
        self.counters.fill(&mut stats);
        self.describe_seats(&mut state, &mut stats);
        let [m2s, s2m] = [Direction::MasterToSlave, Direction::SlaveToMaster]
            .map(|direction| state.attachment.channel(direction).tail)
            .map(|tail| (tail.write_count.load(Ordering::Relaxed), tail.read_count.load(Ordering::Relaxed)));
        (stats.m2s_write_count, stats.m2s_read_count) = m2s;
        (stats.s2m_write_count, stats.s2m_read_count) = s2m;
        state.attachment.note_depth();
        let [m2s, s2m] = [Direction::MasterToSlave, Direction::SlaveToMaster]
            .map(|direction| state.attachment.queue(direction))
            .map(|queue| queue.map_or((0, 0), |queue| (queue.depth(), queue.high_water())));
        (stats.m2s_queue_depth, stats.m2s_queue_high_water) = m2s;
        (stats.s2m_queue_depth, stats.s2m_queue_high_water) = s2m;
        Ok(stats)
    }

    fn describe_seats(&self, state: &mut State, stats: &mut Stats) {
        let header = state.attachment.header();
        let dead = self.verdict() == PeerState::Dead;
        let alive = |role: Role| header.seat(role).pulse().alive && !(dead && role != self.role);
        let heartbeats = state.attachment.heartbeats();
        (stats.master_heartbeat, stats.slave_heartbeat) = heartbeats;
        stats.master_heartbeat_delta = heartbeats.0.wrapping_sub(state.last_stats.0);
        stats.slave_heartbeat_delta = heartbeats.1.wrapping_sub(state.last_stats.1);
        stats.master_pid = header.master_pid.load(Ordering::Relaxed);
        stats.slave_pid = header.slave_pid.load(Ordering::Relaxed);
        stats.master_alive = alive(Role::Master);
        stats.slave_alive = alive(Role::Slave);
        stats.stale_threshold = Duration::from_millis(header.stale_threshold.load(Ordering::Relaxed).into());
        state.last_stats = heartbeats;
    }

    /// Returns how many messages of this endpoint are not received. After the close, returns the number at the close.
    /// Returns 0 in a forked child, where locks may stay locked for ever.
    pub(crate) fn unreceived(&self) -> u64 {
        if self.is_forked() {
            return 0;
        }
        let state = self.state();
        if self.is_closed() {
            return self.unreceived_at_close.load(Ordering::Relaxed);
        }
        self.count_unreceived(&state)
    }

    pub(super) fn count_unreceived(&self, state: &State) -> u64 {
        // The lock ensures that no message is between the old segment and the queue.
        let carry = self.carry();
        state.attachment.outgoing_depth() + carry.unreceived()
    }
}
