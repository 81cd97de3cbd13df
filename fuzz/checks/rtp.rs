//! Any octets as RTP, RTCP, and as what an ear is given: nothing panics, what is read lies within, and an ear that is
//! asked for sound gives it.

use sentral::media::Codec;
use sentral::media::codec::opus;
use sentral::media::dtmf;
use sentral::media::ear::Ear;
use sentral::media::rtcp;
use sentral::media::rtp;

/// As one packet of each kind; then as a line of packets: length, codec, pause, then header and payload.
pub(crate) fn rtp(octets: &[u8]) {
    if let Some((header, payload)) = rtp::parse(octets) {
        assert!(payload.start <= payload.end && payload.end <= octets.len());
        assert_eq!(rtp::parse(&header.bytes()).map(|(again, _)| again), Some(header));
        let _ = dtmf::Payload::parse(&octets[payload]);
    }
    if let Some(heard) = rtcp::parse(octets, 7) {
        assert!(heard.about_us.is_none_or(|about| about.ssrc == 7));
    }
    if let Some(units) = opus::units(octets) {
        assert!(units > 0 && units <= 5760);
    }
    let mut ear = Ear::new(Codec::Pcma, 16_000);
    let (mut rest, mut ms) = (octets, 1000u64);
    while let [length, codec, pause, behind @ ..] = rest {
        let (packet, next) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = next;
        ms += u64::from(*pause);
        // Not Opus: its decoder is another's, would be all that is fuzzed, and has a check of its own.
        let codec = [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::L16][usize::from(*codec) % 4];
        if let Some((header, payload)) = rtp::parse(packet) {
            if header.payload_type == 13 {
                ear.comfort(&header, &packet[payload], ms);
            } else {
                ear.receive(&header, &packet[payload], codec, ms);
            }
        }
        ear.pull(&mut [0; 320], ms);
    }
}
