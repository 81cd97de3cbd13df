//! Whose packets a stream takes and where it sends: symmetric RTP (RFC 4961) with bounds, or what ICE says.
//!
//! The address that SDP names is believed at once; so is another port of its host, or of the host that signalling comes
//! from, as behind NAT. Any other host is a guess: it is believed only in the network of one of the two, or where neither
//! is of the open Internet, only after several packets, and only until somebody better known speaks. From then on one
//! source counts; another of no better standing takes its place when it has been silent for two seconds, or the other
//! side names another address by SIP. A third party that throws packets in is neither heard nor sent to.

use std::net::IpAddr;
use std::net::SocketAddr;

use crate::media::Session;

/// A source that has been silent for so long may be replaced, in milliseconds.
const SILENCE_MS: u64 = 2000;

/// For so long after the other side named another address, its old source cannot latch again: packets of it
/// are still on their way.
const FAREWELL_MS: u64 = 500;

/// So many packets, and none of anybody else between them, make a guess.
const GUESS_PACKETS: u8 = 5;

/// What was negotiated of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// By SDP.
    pub remote: Option<SocketAddr>,
    /// We send to the source rather than to `remote`.
    pub symmetric: bool,
    /// The host that signalling comes from, unless it is a proxy's.
    pub signaling: Option<IpAddr>,
    /// RTCP goes by the RTP port.
    pub rtcp_mux: bool,
    /// ICE names the only pair.
    pub ice: bool,
}

impl From<&Session> for Rules {
    fn from(session: &Session) -> Rules {
        Rules {
            remote: session.remote,
            symmetric: session.symmetric,
            signaling: session.transport.signaling,
            rtcp_mux: session.transport.rtcp_mux,
            ice: session.transport.ice.is_some(),
        }
    }
}

/// Whose packets count.
#[derive(Debug)]
pub struct Latch {
    rules: Rules,
    source: Option<(SocketAddr, Standing)>,
    heard_ms: u64,
    guess: Option<(SocketAddr, u8)>,
    left: Option<(SocketAddr, u64)>,
    rtcp: Option<SocketAddr>,
    /// By ICE, while it is agreed to.
    pair: Option<SocketAddr>,
    sealed: bool,
}

/// How well an address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Guess,
    Host,
    Named,
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
    /// Sends to `remote`, until a packet comes if `symmetric`, else always; under ICE to nobody yet.
    pub fn new(rules: Rules) -> Latch {
        Latch {
            rules,
            source: None,
            heard_ms: 0,
            guess: None,
            left: None,
            rtcp: None,
            pair: None,
            sealed: false,
        }
    }

    /// What was negotiated has changed; another address lets go of the source.
    pub fn modify(&mut self, rules: Rules, ms: u64) {
        if rules.remote != self.rules.remote && !rules.ice {
            self.left = self.source.take().map(|(old, _)| (old, ms + FAREWELL_MS));
            self.rtcp = None;
        }
        self.guess = None;
        self.rules = rules;
    }

    /// Nothing may be sent while keys are awaited.
    pub fn seal(&mut self, sealed: bool) {
        self.sealed = sealed;
    }

    /// What ICE has found; `None` while nobody agrees to get anything.
    pub fn pair(&mut self, pair: Option<SocketAddr>) {
        self.pair = pair;
    }

    /// Whether ICE has another pair, so that nothing of `from` is meant.
    pub fn is_foreign(&self, from: SocketAddr) -> bool {
        self.rules.ice && self.pair != Some(from)
    }

    /// Takes a valid packet of `from`; what is not valid RTP of the session, or DTLS for it, must not come here.
    pub fn receive(&mut self, from: SocketAddr, ms: u64) -> Sender {
        if self.is_foreign(from) {
            return Sender::Stranger;
        }
        let source = self.source;
        if source.is_some_and(|(source, _)| source == from) {
            self.heard_ms = ms;
            return Sender::Source;
        }
        let Some(standing) = self.standing(from) else { return Sender::Stranger };
        let silent = ms.saturating_sub(self.heard_ms) >= SILENCE_MS;
        let better = |(_, known)| self.rules.ice || standing > known || silent;
        if !source.is_none_or(better) {
            return Sender::Stranger;
        }
        let leaving = self.left.is_some_and(|(old, until)| old == from && ms < until);
        if leaving && standing != Standing::Named || standing == Standing::Guess && !self.is_likely(from) {
            return Sender::Stranger;
        }
        (self.source, self.heard_ms, self.left, self.guess) = (Some((from, standing)), ms, None, None);
        Sender::NewSource
    }

    /// How well `from` is known; `None` for somebody whose packets cannot be meant.
    fn standing(&self, from: SocketAddr) -> Option<Standing> {
        if self.rules.ice {
            return Some(Standing::Named);
        }
        let host = from.ip();
        let known = [self.rules.remote.map(|remote| remote.ip()), self.rules.signaling];
        let mut known = known.into_iter().flatten();
        if self.rules.remote == Some(from) {
            Some(Standing::Named)
        } else if known.clone().any(|known| known == host) {
            Some(Standing::Host)
        } else {
            let near = known.clone().any(|known| network(known) == network(host));
            (near || !known.any(is_open)).then_some(Standing::Guess)
        }
    }

    /// Counts a guess; true when it has been made often enough.
    fn is_likely(&mut self, from: SocketAddr) -> bool {
        let before = self.guess.filter(|(guess, _)| *guess == from).map_or(0, |(_, packets)| packets);
        self.guess = Some((from, before + 1));
        before + 1 >= GUESS_PACKETS
    }

    /// Takes an RTCP packet's sender: it must be of the host that we send to or hear.
    pub fn receive_rtcp(&mut self, from: SocketAddr) -> bool {
        let remote = self.rules.remote;
        let known = match (self.rules.ice, self.source) {
            (true, _) => self.pair == Some(from),
            (false, Some((source, _))) => source.ip() == from.ip(),
            (false, None) => remote.is_some_and(|remote| remote.ip() == from.ip()),
        };
        if known {
            self.rtcp = Some(from);
        }
        known
    }

    /// Whom we hear.
    pub fn source(&self) -> Option<SocketAddr> {
        self.source.map(|(source, _)| source)
    }

    /// Where RTP goes.
    pub fn destination(&self) -> Option<SocketAddr> {
        if self.sealed {
            return None;
        }
        self.handshake_destination()
    }

    /// Where a handshake goes, before there are keys.
    pub fn handshake_destination(&self) -> Option<SocketAddr> {
        if self.rules.ice {
            return self.pair;
        }
        let source = self.source.filter(|_| self.rules.symmetric).map(|(source, _)| source);
        source.or(self.rules.remote).filter(|to| to.port() != 0 && !to.ip().is_unspecified())
    }

    /// Where RTCP goes: where it came from, else the port above RTP (RFC 3550 §11), or RTP's own.
    pub fn rtcp_destination(&self) -> Option<SocketAddr> {
        let to = self.destination()?;
        if self.rules.rtcp_mux || self.rules.ice {
            // ICE without multiplexing would need a pair of its own: there is none.
            return Some(to).filter(|_| self.rules.rtcp_mux);
        }
        match self.rtcp.filter(|rtcp| self.rules.symmetric && rtcp.ip() == to.ip()) {
            Some(rtcp) => Some(rtcp),
            None => Some(SocketAddr::new(to.ip(), to.port().checked_add(1)?)),
        }
    }
}

/// Whether an address can be reached from anywhere: an SDP with another one was written behind NAT, or near by.
fn is_open(host: IpAddr) -> bool {
    match host.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64; // RFC 6598
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified())
        }
    }
}

/// The network of a carrier's gateways or of one customer: 24 bits of IPv4, 56 of IPv6.
fn network(host: IpAddr) -> u128 {
    match host.to_canonical() {
        IpAddr::V4(v4) => u128::from(u32::from(v4) >> 8),
        IpAddr::V6(v6) => 1 << 127 | u128::from(v6) >> 72,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], port))
    }

    /// A host of the open Internet, each in a network of its own.
    fn open(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([198, 18, host, 9], port))
    }

    fn latch(remote: SocketAddr, symmetric: bool) -> Latch {
        Latch::new(Rules { remote: Some(remote), symmetric, ..Rules::default() })
    }

    /// So many packets in a row; what the last one was.
    fn packets(latch: &mut Latch, from: SocketAddr, ms: u64, count: u8) -> Sender {
        let mut sender = Sender::Stranger;
        (0..count).for_each(|_| sender = latch.receive(from, ms));
        sender
    }

    #[test]
    fn the_first_source_is_kept_against_a_third_party_until_it_falls_silent() {
        let mut latch = latch(at(1, 4000), true);
        assert_eq!(latch.destination(), Some(at(1, 4000)));
        assert_eq!(packets(&mut latch, at(2, 5000), 0, GUESS_PACKETS), Sender::NewSource);
        assert_eq!(latch.destination(), Some(at(2, 5000)));
        for ms in (20..5000).step_by(20) {
            assert_eq!(latch.receive(at(3, 6000), ms), Sender::Stranger);
            assert_eq!(latch.receive(at(2, 5000), ms), Sender::Source);
        }
        assert_eq!(packets(&mut latch, at(3, 6000), 4980 + 1999, 9), Sender::Stranger);
        assert_eq!(latch.destination(), Some(at(2, 5000)), "silence alone changes nothing");
        assert_eq!(packets(&mut latch, at(3, 6000), 4980 + 2000, GUESS_PACKETS), Sender::NewSource);
        assert_eq!(latch.destination(), Some(at(3, 6000)));
    }

    #[test]
    fn who_is_believed_and_who_is_not() {
        use Sender::NewSource;
        use Sender::Stranger;
        let signaling = open(7, 0).ip();
        let neighbor = SocketAddr::from(([198, 18, 1, 77], 4000));
        // SDP's address, the sender, what its first packet is, and its fifth.
        let rows = [
            (Some(open(1, 4000)), open(1, 4000), NewSource, "the address itself"),
            (Some(open(1, 4000)), open(1, 4444), NewSource, "another port of its host"),
            (Some(open(1, 4000)), open(7, 4444), NewSource, "the host that signals"),
            (Some(open(1, 4000)), open(3, 4000), Stranger, "anybody else"),
            (Some(at(1, 4000)), open(7, 4444), NewSource, "behind NAT, the host that signals"),
            (Some(at(1, 4000)), open(3, 4444), Stranger, "behind NAT, anybody else"),
        ];
        for (remote, from, expect, why) in rows {
            let rules = Rules { remote, symmetric: true, signaling: Some(signaling), ..Rules::default() };
            let mut latch = Latch::new(rules);
            assert_eq!(latch.receive(from, 0), expect, "{why}");
            let last = if expect == NewSource { Sender::Source } else { Stranger };
            assert_eq!(packets(&mut latch, from, 0, 50), last, "{why}");
        }
        let guesses = [
            (Some(open(1, 4000)), neighbor, "a gateway beside the one that was named"),
            (Some(at(1, 4000)), open(3, 4000), "behind NAT, and a proxy signals"),
            (None, open(3, 4000), "nothing was named"),
        ];
        for (remote, from, why) in guesses {
            let mut latch = Latch::new(Rules { remote, symmetric: true, ..Rules::default() });
            assert_eq!(packets(&mut latch, from, 0, GUESS_PACKETS - 1), Stranger, "{why}");
            assert_eq!(latch.receive(from, 0), NewSource, "{why}");
        }
    }

    #[test]
    fn a_flood_from_before_the_first_packet_neither_stays_nor_comes_back() {
        let rules = Rules { remote: Some(at(1, 4000)), symmetric: true, ..Rules::default() };
        let mut latch = Latch::new(rules);
        packets(&mut latch, open(3, 1), 0, GUESS_PACKETS);
        assert_eq!(latch.receive(at(1, 9), 20), Sender::NewSource, "the phone is better known");
        for ms in 20..1900 {
            assert_eq!(latch.receive(open(3, 1), ms), Sender::Stranger);
        }
        // Two who flood by turns are both no guess.
        let mut latch = Latch::new(rules);
        for port in 0..1000 {
            assert_eq!(latch.receive(open(3, port % 2), 0), Sender::Stranger);
        }
        assert_eq!(latch.destination(), Some(at(1, 4000)));
    }

    #[test]
    fn another_address_by_sip_lets_go_and_late_packets_of_the_old_do_not_return() {
        let rules = |host| Rules { remote: Some(at(host, 4000)), symmetric: true, ..Rules::default() };
        let mut latch = latch(at(1, 4000), true);
        latch.receive(at(1, 4000), 0);
        latch.modify(rules(1), 100);
        assert_eq!(
            packets(&mut latch, at(3, 1), 110, 9),
            Sender::Stranger,
            "the same address keeps the source"
        );
        latch.modify(rules(2), 200);
        assert_eq!(latch.destination(), Some(at(2, 4000)));
        assert_eq!(packets(&mut latch, at(1, 4000), 210, 9), Sender::Stranger);
        assert_eq!(latch.receive(at(2, 4000), 220), Sender::NewSource);
        latch.modify(rules(4), 1000);
        assert_eq!(
            packets(&mut latch, at(2, 4000), 1600, GUESS_PACKETS),
            Sender::NewSource,
            "who goes on from where it was is heard"
        );
    }

    #[test]
    fn without_symmetry_we_send_where_sdp_says() {
        let mut latch = latch(at(1, 4000), false);
        assert_eq!(packets(&mut latch, at(2, 5000), 0, GUESS_PACKETS), Sender::NewSource);
        assert_eq!(latch.destination(), Some(at(1, 4000)));
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 4000));
        assert_eq!(self::latch(nowhere, true).destination(), None);
    }

    #[test]
    fn rtcp_goes_to_the_port_above_or_where_it_comes_from() {
        let mut latch = latch(at(1, 4000), true);
        assert_eq!(latch.rtcp_destination(), Some(at(1, 4001)));
        assert!(!latch.receive_rtcp(at(2, 7000)));
        assert!(latch.receive_rtcp(at(1, 7000)));
        assert_eq!(latch.rtcp_destination(), Some(at(1, 7000)));
        assert_eq!(self::latch(at(1, 65_535), true).rtcp_destination(), None);
        let rules = Rules { remote: Some(at(1, 4000)), symmetric: true, rtcp_mux: true, ..Rules::default() };
        assert_eq!(Latch::new(rules).rtcp_destination(), Some(at(1, 4000)));
    }

    #[test]
    fn under_ice_its_pair_alone_counts_and_nothing_goes_out_without_keys() {
        let rules = Rules {
            remote: Some(at(1, 4000)),
            symmetric: true,
            rtcp_mux: true,
            ice: true,
            ..Rules::default()
        };
        let mut latch = Latch::new(rules);
        assert_eq!(latch.destination(), None);
        assert_eq!(packets(&mut latch, at(1, 4000), 0, 9), Sender::Stranger, "not even who SDP names");
        latch.seal(true);
        latch.pair(Some(at(2, 4000)));
        assert_eq!((latch.destination(), latch.handshake_destination()), (None, Some(at(2, 4000))));
        latch.seal(false);
        assert_eq!((latch.destination(), latch.rtcp_destination()), (Some(at(2, 4000)), Some(at(2, 4000))));
        assert_eq!(latch.receive(at(2, 4000), 0), Sender::NewSource);
        latch.pair(Some(at(3, 4000)));
        assert_eq!(latch.receive(at(2, 4000), 1), Sender::Stranger);
        assert_eq!(latch.receive(at(3, 4000), 1), Sender::NewSource, "a new pair counts at once");
        assert!(latch.receive_rtcp(at(3, 4000)) && !latch.receive_rtcp(at(3, 4001)));
        latch.pair(None);
        assert_eq!((latch.destination(), latch.rtcp_destination()), (None, None));
    }
}
