//! The ring: the newest messages that fit into so many bytes, numbered in the order in which they came.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::model::id::CallId;
use crate::sip::Hop;

/// What an entry costs besides its bytes: itself, and the head of its allocation.
const ENTRY_BYTES: usize = size_of::<Entry>() + 48;
/// Legs of calls that are remembered: some hundred bytes each.
const LEGS_MAX: usize = 20_000;

/// A message.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Rising by one.
    pub seq: u64,
    /// When it came or went.
    pub at: Timestamp,
    /// Along which way.
    pub hop: Hop,
    /// Came, or went.
    pub incoming: bool,
    /// The message as it was on the wire, secrets included.
    pub bytes: Bytes,
}

impl Entry {
    /// Where it came from.
    pub fn source(&self) -> SocketAddr {
        if self.incoming { self.hop.remote } else { self.hop.local }
    }

    /// Where it went.
    pub fn destination(&self) -> SocketAddr {
        if self.incoming { self.hop.local } else { self.hop.remote }
    }
}

/// One party of a call, and the Call-ID of its messages.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Leg {
    /// Which call.
    pub call: CallId,
    /// Call-ID of its dialog.
    pub call_id: Arc<str>,
    /// `trunk linje`, or a user.
    pub party: Arc<str>,
}

/// The newest messages.
#[derive(Debug)]
pub struct Ring {
    entries: VecDeque<Entry>,
    legs: VecDeque<Leg>,
    calls: HashMap<Arc<str>, CallId>,
    bytes: usize,
    bytes_max: usize,
    next: u64,
}

impl Ring {
    /// A ring of at most so many bytes.
    pub fn new(bytes_max: usize) -> Ring {
        Ring {
            entries: VecDeque::new(),
            legs: VecDeque::new(),
            calls: HashMap::new(),
            bytes: 0,
            bytes_max,
            next: 0,
        }
    }

    /// Keeps a message; the oldest make room.
    pub fn push(&mut self, at: Timestamp, hop: Hop, incoming: bool, bytes: Bytes) {
        self.bytes += bytes.len() + ENTRY_BYTES;
        self.entries.push_back(Entry { seq: self.next, at, hop, incoming, bytes });
        self.next += 1;
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.bytes.len() + ENTRY_BYTES;
        }
    }

    /// Remembers a leg of a call.
    pub fn put_leg(&mut self, leg: Leg) {
        if self.legs.len() == LEGS_MAX
            && let Some(oldest) = self.legs.pop_front()
        {
            self.calls.remove(&oldest.call_id);
        }
        self.calls.insert(Arc::clone(&leg.call_id), leg.call);
        self.legs.push_back(leg);
    }

    /// At most `most` entries from number `from` on, oldest first.
    pub fn from(&self, from: u64, most: usize) -> Vec<Entry> {
        let first = self.entries.front().map_or(self.next, |entry| entry.seq);
        let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skipped).take(most).cloned().collect()
    }

    /// The call that a Call-ID belongs to.
    pub fn call_of(&self, call_id: &str) -> Option<CallId> {
        self.calls.get(call_id).copied()
    }

    /// All legs, oldest first.
    pub fn legs(&self) -> Vec<Leg> {
        self.legs.iter().cloned().collect()
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    #[test]
    fn the_oldest_make_room_and_numbers_go_on() {
        let hop = Hop {
            transport: Transport::Udp,
            local: "127.0.0.1:5060".parse().unwrap(),
            remote: "127.0.0.2:5060".parse().unwrap(),
            connection: None,
        };
        let mut ring = Ring::new(3 * (ENTRY_BYTES + 100));
        for n in 0..10_u8 {
            ring.push(Timestamp::UNIX_EPOCH, hop, true, Bytes::from(vec![n; 100]));
            assert!(ring.bytes <= ring.bytes_max);
        }
        let numbers = |from, most| ring.from(from, most).iter().map(|entry| entry.seq).collect::<Vec<_>>();
        assert_eq!(numbers(0, 10), [7, 8, 9]);
        assert_eq!(numbers(8, 10), [8, 9]);
        assert_eq!(numbers(0, 1), [7]);
        assert_eq!(numbers(10, 10), [0_u64; 0]);
        assert_eq!(ring.next(), 10);
        // One that is larger than the ring leaves it empty.
        ring.push(Timestamp::UNIX_EPOCH, hop, true, Bytes::from(vec![0; 100_000]));
        assert_eq!((ring.entries.len(), ring.bytes, ring.next()), (0, 0, 11));
    }

    #[test]
    fn the_oldest_legs_make_room() {
        let mut ring = Ring::new(1);
        for n in 0..=LEGS_MAX as u64 {
            let call = format!("0-{n:x}").parse().unwrap();
            ring.put_leg(Leg { call, call_id: n.to_string().into(), party: "".into() });
        }
        assert_eq!((ring.legs().len(), ring.calls.len()), (LEGS_MAX, LEGS_MAX));
        assert_eq!((ring.call_of("0"), ring.call_of("1")), (None, "0-1".parse().ok()));
    }
}
