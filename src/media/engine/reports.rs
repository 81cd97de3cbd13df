//! RTCP of a stream: the report that we send, what the other side's report says of us, and the stream's figures.

use std::time::Duration;

use crate::media::Event;
use crate::media::Stats;
use crate::media::engine::Engine;
use crate::media::quality;
use crate::media::rtcp;
use crate::media::stream::Stream;

/// Packets that must have gone out since the other side last heard one, before it can be said to hear none: what is on
/// the way while it writes its report is not missing. At 20 ms a second, which the first report (RFC 3550 §6.2) leaves.
const UNHEARD_PACKETS: u64 = 50;

/// Beyond the network: a packet's length, and what holds it at the other side, when nothing better is known.
const HELD_MS: f32 = 60.0;

/// What the other side says that it hears of us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hearing {
    /// Highest sequence number that it had.
    highest: Option<u32>,
    /// Our packets when it last reported that some came, or when it was last not to hear any.
    sent: u64,
    /// That has been told.
    pub told: bool,
    /// Its own estimate of how we sound, in tenths.
    pub mos: Option<u8>,
}

impl Hearing {
    /// Takes what a report says, when `sent` packets of ours have gone out; what is to be told, if anything: `true`, it
    /// hears nothing; `false`, it hears us again.
    fn report(&mut self, heard: &rtcp::Heard, sent: u64) -> Option<bool> {
        if let Some(voice) = heard.voice.filter(|voice| voice.mos.0 != 127) {
            self.mos = Some(voice.mos.0);
        }
        let deaf = match heard.about_us {
            Some(about) => {
                // Who knows us by our reports alone names no packet, which is 0; of fifty, none is that. And a share of
                // 255/256 is the most that can be said.
                let none = about.highest == 0 || about.fraction_lost == u8::MAX;
                let same = self.highest.replace(about.highest) == Some(about.highest);
                none || same
            }
            None if heard.hears_nobody => true,
            None => return None,
        };
        if !deaf {
            self.sent = sent;
        }
        let unheard = deaf && (self.told || sent.saturating_sub(self.sent) >= UNHEARD_PACKETS);
        (unheard != self.told).then(|| {
            self.told = unheard;
            unheard
        })
    }
}

impl Engine {
    pub(super) fn send_report(&mut self, stream: &mut Stream, bye: bool) {
        let Some(to) = stream.latch.rtcp_destination() else { return };
        let ntp = rtcp::ntp(Duration::from_millis(self.ms));
        let about = stream.incoming.report((ntp >> 16) as u32);
        let sent = (stream.outgoing.packets() > 0).then(|| rtcp::Sent {
            ntp,
            timestamp: stream.outgoing.clock(self.ms),
            packets: stream.outgoing.packets() as u32,
            bytes: stream.outgoing.bytes() as u32,
        });
        let voice = about.map(|about| summary(stream, about.ssrc));
        let report = rtcp::report(stream.outgoing.ssrc(), &self.cname, sent, about, voice, bye);
        let mux = stream.session.transport.rtcp_mux;
        self.out.rtcp((stream.id.port, mux), to, &report);
        self.out.protect(stream.srtp.as_deref_mut());
    }

    /// Takes what the other side reports, `elapsed` after the engine's beginning.
    pub(super) fn reported(&mut self, port: u16, heard: &rtcp::Heard, elapsed: Duration) {
        let Some(stream) = self.streams[usize::from(port >> 1)].as_deref_mut() else { return };
        let ntp = rtcp::ntp(elapsed);
        if let Some((ssrc, middle)) = heard.sender {
            stream.incoming.sender_report(ssrc, middle, (ntp >> 16) as u32);
        }
        if let Some(about_us) = heard.about_us {
            stream.remote_fraction_lost = Some(about_us.fraction_lost);
            stream.rtt_us = rtcp::round_trip_us(ntp, &about_us).or(stream.rtt_us);
            correct_against(stream, about_us.fraction_lost);
        }
        let sent = stream.outgoing.packets();
        if !stream.session.send || stream.latch.destination().is_none() {
            stream.hearing.sent = sent;
            return;
        }
        let told = stream.hearing.report(heard, sent);
        let id = stream.id;
        self.out.events.extend(told.map(|unheard| match unheard {
            true => Event::Unheard { stream: id },
            false => Event::Restored { stream: id },
        }));
    }
}

/// Makes error correction against as much loss as is reported, in 256ths; against less and less when it is over, since a
/// network that loses does so again.
fn correct_against(stream: &mut Stream, fraction_lost: u8) {
    let percent = (u32::from(fraction_lost) * 100).div_ceil(256) as u8;
    let opus = &mut stream.session.opus;
    let against = percent.max(opus.loss_percent / 2);
    if against != opus.loss_percent {
        opus.loss_percent = against;
        if let Some(voice) = &mut stream.voice {
            voice.opus(stream.session.opus);
        }
    }
}

/// How the stream sounds to us, in sum.
fn summary(stream: &Stream, ssrc: u32) -> rtcp::Voice {
    let rating = rating(stream);
    let listening = quality::rating(stream.session.codec, quality::Way { loss: loss(stream), delay_ms: 0.0 });
    let tenths = |rating: f32| (quality::mos(rating) * 10.0).round() as u8;
    let bursts = stream.incoming.bursts();
    let expected = stream.incoming.received() + stream.incoming.lost();
    let share = |count: u64| (count * 256).checked_div(expected).unwrap_or(0).min(255) as u8;
    rtcp::Voice {
        ssrc,
        loss_rate: share(stream.incoming.lost()),
        discard_rate: share(late(stream)),
        density: bursts.density(),
        duration_ms: bursts.duration_ms(stream.session.packet_ms),
        round_trip_ms: (stream.rtt_us.unwrap_or(0) / 1000).min(65_535) as u16,
        system_ms: held_ms(stream) as u16,
        rating: rating.round() as u8,
        mos: (tenths(listening), tenths(rating)),
    }
}

fn late(stream: &Stream) -> u64 {
    stream.voice.as_ref().map_or(0, |voice| voice.late())
}

/// Share of the packets that were not heard.
fn loss(stream: &Stream) -> f32 {
    let lost = stream.incoming.lost() + late(stream);
    let expected = stream.incoming.received() + stream.incoming.lost();
    lost as f32 / expected.max(1) as f32
}

/// How long what comes is held before it is heard: by us, or where we pass it on, by whoever hears it, which is taken
/// to be as much as its jitter demands.
fn held_ms(stream: &Stream) -> f32 {
    HELD_MS + 2.0 * stream.incoming.jitter_us() as f32 / 1000.0
}

fn rating(stream: &Stream) -> f32 {
    let delay_ms = stream.rtt_us.unwrap_or(0) as f32 / 2000.0 + held_ms(stream);
    quality::rating(stream.session.codec, quality::Way { loss: loss(stream), delay_ms })
}

/// What a stream has counted so far.
pub(super) fn stats(stream: &Stream) -> Stats {
    let received = stream.incoming.received();
    Stats {
        received,
        sent: stream.outgoing.packets(),
        lost: stream.incoming.lost(),
        dropped: stream.dropped,
        jitter: stream.incoming.jitter(),
        rtt_us: stream.rtt_us,
        remote_fraction_lost: stream.remote_fraction_lost,
        codec: Some(stream.session.codec),
        converted_from: stream.voice.as_ref().and_then(|voice| voice.heard_codec()),
        from: stream.latch.source(),
        jitter_us: stream.incoming.jitter_us(),
        mos: (received > 0).then(|| (quality::mos(rating(stream)) * 100.0).round() as u16),
        quiet: stream.quiet_told.is_some(),
        unheard: stream.hearing.told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(highest: u32) -> rtcp::Heard {
        let about_us = rtcp::Reception {
            ssrc: 1,
            fraction_lost: 0,
            lost: 0,
            highest,
            jitter: 0,
            last_report: 0,
            delay: 0,
        };
        rtcp::Heard { about_us: Some(about_us), ..rtcp::Heard::default() }
    }

    #[test]
    fn who_reports_that_nothing_came_of_a_second_does_not_hear_us() {
        let nobody = rtcp::Heard { hears_nobody: true, ..rtcp::Heard::default() };
        let lost = |highest| {
            let about = about(highest).about_us.map(|about| rtcp::Reception { fraction_lost: 255, ..about });
            rtcp::Heard { about_us: about, ..rtcp::Heard::default() }
        };
        let rows: [&[(rtcp::Heard, u64, Option<bool>)]; 4] = [
            &[
                (nobody, 40, None),       // on its way
                (nobody, 52, Some(true)), // its second report, or its first if it took a second
                (nobody, 60, None),
                (about(300), 350, Some(false)),
            ],
            &[
                (about(100), 100, None),
                (about(350), 350, None),
                (about(350), 360, None), // right behind the last
                (about(350), 385, None), // reports that come often add up
                (about(350), 400, Some(true)),
                (about(350), 1100, None),
                (rtcp::Heard::default(), 1200, None), // says nothing either way
                (about(1300), 1350, Some(false)),
            ],
            &[(about(0), 52, Some(true)), (about(9), 300, Some(false))],
            &[(about(100), 100, None), (lost(101), 350, Some(true)), (about(400), 600, Some(false))],
        ];
        for row in rows {
            let mut hearing = Hearing::default();
            for (heard, sent, expect) in row {
                assert_eq!(hearing.report(heard, *sent), *expect, "at {sent}");
            }
        }
    }
}
