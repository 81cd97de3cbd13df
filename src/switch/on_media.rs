//! What happens when a media thread says something.

use crate::media::Event;
use crate::switch::Switch;
use crate::switch::call::Listener;
use crate::switch::flow;
use crate::switch::leg::KeyFrom;
use crate::switch::queue;
use crate::time::Now;

impl Switch {
    pub(crate) fn on_media(&mut self, now: Now, event: Event) {
        match event {
            Event::Ports { thread, ports } => self.ports.add(thread, &ports),
            Event::Digit { stream, digit } => {
                if let Some(leg) = self.by_stream.get(&stream).copied() {
                    self.on_key(now, leg, digit, KeyFrom::Media);
                }
            }
            Event::PlayFinished { stream, play } => {
                let leg = self.by_stream.get(&stream).copied();
                if leg.is_some_and(|leg| self.whisper_played(now, leg, play)) {
                    return;
                }
                let leg = leg.and_then(|leg| self.legs.get(&leg));
                let Some(call) = leg.map(|leg| leg.call) else { return };
                if self.told_slot(now, call, play) || self.recording_announced(now, call, play) {
                    return;
                }
                let Some(of) = self.calls.get_mut(&call) else { return };
                let Some((_, listener)) = of.playing.take_if(|(playing, _)| *playing == play) else { return };
                match listener {
                    Listener::Program => self.run_program(now, call, flow::action::Event::PlayFinished),
                    Listener::Queue => self.queue_input(now, queue::Input::Announced { entry: call }),
                }
            }
            Event::Recorded { record, length, error, .. } => self.recorded(now, record, length, error),
            Event::Figures { stream, stats } => self.audio_counted(stream, stats),
            Event::Unheard { stream } => self.audio_unheard(now, stream),
            Event::Restored { stream } => self.audio_restored(now, stream),
            Event::Heard { stream, .. } => tracing::debug!(port = stream.port, "first packet heard"),
            Event::Quiet { stream, cause, .. } => self.audio_quiet(now, stream, cause),
            Event::NotRecorded { record, error } => self.not_recorded(now, record, &error),
            Event::RecordedAgain { record, missing } => self.recorded_again(now, record, missing),
            Event::Short { thread, late, busy_percent } => {
                if !self.overload.pressed() {
                    tracing::warn!(
                        thread,
                        ?late,
                        busy_percent,
                        "a media thread is short of time: new calls get 503"
                    );
                }
                self.overload.media_short(now.mono);
            }
            Event::Certificate { fingerprint } => self.fingerprint = Some(fingerprint),
            Event::Secured { stream, suite } => {
                tracing::debug!(port = stream.port, suite = suite.name(), "DTLS has brought keys");
            }
            Event::Unsecured { stream, why } => {
                let call = self.by_stream.get(&stream).and_then(|leg| self.legs.get(leg)).map(|leg| leg.call);
                if let Some(call) = call {
                    tracing::warn!(%call, %why, "a party's audio cannot be secured: it stays silent");
                }
            }
            Event::Closed { stream, stats } => {
                if self.by_stream.remove(&stream).is_some() {
                    self.closing = self.closing.saturating_sub(1);
                    self.ports.give_back(stream);
                    self.audio_ended(stream, &stats);
                }
            }
        }
    }
}
