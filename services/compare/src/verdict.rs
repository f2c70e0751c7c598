//! What follows from the figures.

use crate::cases::{Case, Figures, Language, Pair, RATES, Results, SIZES, Transport, VOLUMES, bytes};

/// The figures of one language.
#[derive(Clone, Copy)]
pub struct Of<'a> {
    /// All.
    pub results: &'a Results,
    /// Whose.
    pub language: Language,
}

impl<'a> Of<'a> {
    /// Those of a transport and case.
    pub fn get(self, transport: Transport, case: Case) -> &'a Figures {
        &self.results[&(Pair { language: self.language, transport }, case)]
    }

    /// The transports by median latency, the quickest first.
    pub fn ranked(self, case: Case) -> Vec<(Transport, f64)> {
        let mut ranked = Transport::ALL.map(|transport| (transport, self.get(transport, case).quantile(0.5)));
        ranked.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        ranked.to_vec()
    }

    /// Which transports carry so many calls per second of this size through one connection, one call after the other.
    pub fn able(self, size: usize, rate: f64) -> Vec<Transport> {
        let case = Case::Size(size);
        Transport::ALL.into_iter().filter(|transport| self.get(*transport, case).rate() >= rate).collect()
    }

    /// Who is first at which size, in a sentence.
    pub fn first(self) -> String {
        let mut lead = Vec::new();
        let mut behind = Vec::new();
        for size in SIZES {
            let ranked = self.ranked(Case::Size(size));
            let ((winner, time), (next, next_time)) = (ranked[0], ranked[1]);
            if winner == Transport::Eshm {
                lead.push((size, next_time / time, next));
            } else {
                behind.push(format!("{} ({} is)", bytes(size), winner.title()));
            }
        }
        let mut sentence = match (lead.len(), behind.is_empty()) {
            (0, _) => "ESHM is first at no size".to_owned(),
            (_, true) => "ESHM is first at every size".to_owned(),
            _ => format!("ESHM is first but at {}", behind.join(", ")),
        };
        for (size, ratio, next) in [lead.first(), lead.last()].into_iter().flatten() {
            sentence += &format!(", {ratio:.1} × ahead of {} at {}", next.title(), bytes(*size));
        }
        sentence
    }

    /// Which volumes another carried in less time, in a sentence; nothing if there are none.
    pub fn lost(self) -> String {
        let each = |transport, case| 1.0 / self.get(transport, case).rate();
        let lost = VOLUMES.into_iter().filter_map(|(calls, payload)| {
            let case = Case::Volume(calls, payload);
            let least = |one: &Transport, other: &Transport| each(*one, case).total_cmp(&each(*other, case));
            let winner = Transport::ALL.into_iter().min_by(least)?;
            let volume = format!("{calls} × {} ({})", bytes(payload), winner.title());
            (winner != Transport::Eshm).then_some(volume)
        });
        let lost: Vec<_> = lost.collect();
        if lost.is_empty() {
            return String::new();
        }
        format!(
            " Of the volumes, which begin with processes at rest, others were quicker in {}.",
            lost.join(", ")
        )
    }

    /// From which call of a connection on ESHM has been the cheapest, in a sentence.
    pub fn pays(self) -> String {
        let (opening, call) = self.connection(Transport::Eshm);
        let mut latest = (0, Transport::Eshm);
        for transport in Transport::ALL.into_iter().filter(|transport| *transport != Transport::Eshm) {
            let (other_opening, other_call) = self.connection(transport);
            if call >= other_call {
                return format!("not against {}, whose calls are quicker", transport.title());
            }
            // The least n with opening + n × call < other_opening + n × other_call.
            let calls = ((opening - other_opening) / (other_call - call)).max(0.0) as u64 + 1;
            latest = latest.max((calls, transport));
        }
        match latest {
            (1, _) => "from the first call of a connection on".to_owned(),
            (calls, against) => format!(
                "from call {calls} of a connection on (before, {} has the cheaper connection)",
                against.title()
            ),
        }
    }

    /// What opening a connection takes, and a call through it, in nanoseconds.
    pub fn connection(self, transport: Transport) -> (f64, f64) {
        let call = self.get(transport, Case::Ranking).quantile(0.5);
        (self.get(transport, Case::Reconnecting).quantile(0.5) - call, call)
    }

    /// The table of sizes and rates: a row per size.
    pub fn choices(self) -> Vec<Vec<String>> {
        let row = |size: usize| {
            let cells = RATES.map(|rate| {
                let able = self.able(size, rate);
                let titles: Vec<_> = able.iter().map(|transport| transport.title()).collect();
                match titles.len() {
                    0 => "none".to_owned(),
                    count if count == Transport::ALL.len() => "any".to_owned(),
                    _ => titles.join(", "),
                }
            });
            [bytes(size)].into_iter().chain(cells).collect()
        };
        SIZES.into_iter().map(row).collect()
    }
}
