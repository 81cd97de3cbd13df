//! Whose packets a stream takes and where it sends: symmetric RTP (RFC 4961) with bounds.
//!
//! The first valid packet decides the source. From then on only that source counts; another takes its place
//! when it has been silent for two seconds, or the other side names another address by SIP. A third party that
//! throws packets in while the two talk changes nothing.

use std::net::SocketAddr;

/// A source that has been silent for so long may be replaced, in milliseconds.
const SILENCE_MS: u64 = 2000;

/// For so long after the other side named another address, its old source cannot latch again: packets of it
/// are still on their way.
const FAREWELL_MS: u64 = 500;

/// Whose packets count.
#[derive(Debug)]
pub struct Latch {
    /// By SDP.
    remote: Option<SocketAddr>,
    /// Whether we send to the source rather than to `remote`.
    symmetric: bool,
    source: Option<SocketAddr>,
    heard_ms: u64,
    left: Option<(SocketAddr, u64)>,
    rtcp: Option<SocketAddr>,
}

/// What a valid packet's sender is to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The source, as before.
    Source,
    /// The source from this packet on.
    NewSource,
    /// A stranger.
    Stranger,
}

impl Latch {
    /// Sends to `remote`, until a packet comes if `symmetric`, else always.
    pub fn new(remote: Option<SocketAddr>, symmetric: bool) -> Latch {
        Latch { remote, symmetric, source: None, heard_ms: 0, left: None, rtcp: None }
    }

    /// What was negotiated has changed; another address lets go of the source.
    pub fn modify(&mut self, remote: Option<SocketAddr>, symmetric: bool, ms: u64) {
        if remote != self.remote {
            self.left = self.source.take().map(|old| (old, ms + FAREWELL_MS));
            self.rtcp = None;
        }
        (self.remote, self.symmetric) = (remote, symmetric);
    }

    /// Takes a valid packet of `from`; a packet that is not valid RTP of the session must not come here.
    pub fn receive(&mut self, from: SocketAddr, ms: u64) -> Sender {
        if self.source == Some(from) {
            self.heard_ms = ms;
            return Sender::Source;
        }
        if self.source.is_some() && ms.saturating_sub(self.heard_ms) < SILENCE_MS {
            return Sender::Stranger;
        }
        let leaving = self.left.is_some_and(|(old, until)| old == from && ms < until);
        if leaving && self.remote != Some(from) {
            return Sender::Stranger;
        }
        (self.source, self.heard_ms, self.left) = (Some(from), ms, None);
        Sender::NewSource
    }

    /// Takes an RTCP packet's sender: it must be of the host that we send to or hear.
    pub fn receive_rtcp(&mut self, from: SocketAddr) -> bool {
        let known = self.source.is_some_and(|source| source.ip() == from.ip())
            || self.source.is_none() && self.remote.is_some_and(|remote| remote.ip() == from.ip());
        if known {
            self.rtcp = Some(from);
        }
        known
    }

    /// Whom we hear.
    pub fn source(&self) -> Option<SocketAddr> {
        self.source
    }

    /// Where RTP goes.
    pub fn destination(&self) -> Option<SocketAddr> {
        let source = self.source.filter(|_| self.symmetric);
        source.or(self.remote).filter(|to| to.port() != 0 && !to.ip().is_unspecified())
    }

    /// Where RTCP goes: where it came from, else the port above RTP (RFC 3550 §11).
    pub fn rtcp_destination(&self) -> Option<SocketAddr> {
        let to = self.destination()?;
        match self.rtcp.filter(|rtcp| self.symmetric && rtcp.ip() == to.ip()) {
            Some(rtcp) => Some(rtcp),
            None => Some(SocketAddr::new(to.ip(), to.port().checked_add(1)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], port))
    }

    #[test]
    fn the_first_source_is_kept_against_a_third_party_until_it_falls_silent() {
        let mut latch = Latch::new(Some(at(1, 4000)), true);
        assert_eq!(latch.destination(), Some(at(1, 4000)));
        assert_eq!(latch.receive(at(2, 5000), 0), Sender::NewSource);
        assert_eq!(latch.destination(), Some(at(2, 5000)));
        for ms in (20..5000).step_by(20) {
            assert_eq!(latch.receive(at(3, 6000), ms), Sender::Stranger);
            assert_eq!(latch.receive(at(2, 5000), ms), Sender::Source);
        }
        assert_eq!(latch.receive(at(3, 6000), 4980 + 1999), Sender::Stranger);
        assert_eq!(latch.destination(), Some(at(2, 5000)), "silence alone changes nothing");
        assert_eq!(latch.receive(at(3, 6000), 4980 + 2000), Sender::NewSource);
        assert_eq!(latch.destination(), Some(at(3, 6000)));
    }

    #[test]
    fn another_address_by_sip_lets_go_and_late_packets_of_the_old_do_not_return() {
        let mut latch = Latch::new(Some(at(1, 4000)), true);
        latch.receive(at(1, 4000), 0);
        latch.modify(Some(at(1, 4000)), true, 100);
        assert_eq!(latch.receive(at(3, 1), 110), Sender::Stranger, "the same address keeps the source");
        latch.modify(Some(at(2, 4000)), true, 200);
        assert_eq!(latch.destination(), Some(at(2, 4000)));
        assert_eq!(latch.receive(at(1, 4000), 210), Sender::Stranger);
        assert_eq!(latch.receive(at(2, 4000), 220), Sender::NewSource);
        latch.modify(Some(at(4, 4000)), true, 1000);
        assert_eq!(
            latch.receive(at(2, 4000), 1600),
            Sender::NewSource,
            "who goes on from where it was is heard"
        );
    }

    #[test]
    fn without_symmetry_we_send_where_sdp_says() {
        let mut latch = Latch::new(Some(at(1, 4000)), false);
        assert_eq!(latch.receive(at(2, 5000), 0), Sender::NewSource);
        assert_eq!(latch.destination(), Some(at(1, 4000)));
        assert_eq!(Latch::new(Some(SocketAddr::from(([0, 0, 0, 0], 4000))), true).destination(), None);
    }

    #[test]
    fn rtcp_goes_to_the_port_above_or_where_it_comes_from() {
        let mut latch = Latch::new(Some(at(1, 4000)), true);
        assert_eq!(latch.rtcp_destination(), Some(at(1, 4001)));
        assert!(!latch.receive_rtcp(at(2, 7000)));
        assert!(latch.receive_rtcp(at(1, 7000)));
        assert_eq!(latch.rtcp_destination(), Some(at(1, 7000)));
        assert_eq!(Latch::new(Some(at(1, 65_535)), true).rtcp_destination(), None);
    }
}
