//! How the audio of legs goes: what is shown of it while a call is up, what its record keeps, and one-way audio, named
//! with the side at fault.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::media::Codec;
use crate::media::Silence;
use crate::media::Stats;
use crate::media::StreamId;
use crate::model::audio::Fault;
use crate::model::audio::LegAudio;
use crate::model::audio::Side;
use crate::model::cdr::AUDIO_MAX;
use crate::model::change::Change;
use crate::model::event::Fields;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::server::Language;
use crate::switch::Switch;
use crate::switch::call::Call;
use crate::switch::leg::Leg;
use crate::switch::one_way;
use crate::time::Now;

/// What is known of a leg whose stream is about to say what it counted.
pub(crate) struct LastWords {
    call: CallId,
    /// Whose; the figures are still to come.
    leg: LegAudio,
}

impl Switch {
    /// A stream tells what it has counted so far.
    pub(crate) fn audio_counted(&mut self, stream: StreamId, stats: Stats) {
        let leg = self.by_stream.get(&stream).and_then(|leg| self.legs.get_mut(leg));
        if let Some(leg) = leg {
            leg.counted = Some(Box::new(stats));
        }
    }

    /// Nothing is heard of the party of a stream, whose cause the media thread has seen. Who waits or listens to a menu
    /// may well be silent; who talks is not.
    pub(crate) fn audio_quiet(&mut self, now: Now, stream: StreamId, cause: Silence) {
        let of = self.by_stream.get(&stream).and_then(|leg| self.legs.get(leg));
        let session = of.and_then(|leg| Some(&leg.agreed.as_ref()?.session));
        let named = || {
            let session = session.filter(|session| session.transport.ice.is_none())?;
            Some(session.remote?.to_string())
        };
        let (fault, from, agreed) = match cause {
            Silence::Nothing => (Fault::NothingReceived, None, None),
            Silence::Stranger(from) => (Fault::WrongSource, Some(from), named()),
            Silence::Sealed(from) => (Fault::CannotDecrypt, Some(from), None),
            Silence::Unfit(from) => {
                (Fault::WrongFormat, Some(from), session.map(|of| of.codec.name().to_owned()))
            }
            Silence::NoKeys => (Fault::NoKeys, None, None),
        };
        let from = from.map(|from| from.to_string().into());
        self.audio_failed(
            now,
            stream,
            fault,
            Fields { from, agreed: agreed.map(Into::into), ..Fields::default() },
        );
    }

    /// The party of a stream reports that nothing arrives there.
    pub(crate) fn audio_unheard(&mut self, now: Now, stream: StreamId) {
        self.audio_failed(now, stream, Fault::NothingArrives, Fields::default());
    }

    fn audio_failed(&mut self, now: Now, stream: StreamId, fault: Fault, seen: Fields) {
        let Some(id) = self.by_stream.get(&stream).copied() else { return };
        let Some(leg) = self.legs.get(&id) else { return };
        let Some(call) = self.calls.get(&leg.call) else { return };
        let (call_id, company) = (call.id, call.company.clone());
        let side = if call.caller == id { Side::Caller } else { Side::Callee };
        let fields = Fields { by: Some(side.as_str().into()), ..seen };
        let text: Arc<str> = one_way::text(fault, &fields, Language::En).into();
        let talks = self.side_of(id).is_some();
        // Who holds sends nothing as a rule, and before the answer the network need not.
        if fault == Fault::NothingReceived && (leg.on_hold() || !talks) {
            return;
        }
        let other = self.other_side(call_id, id).and_then(|other| self.legs.get(&other)?.fault.as_ref());
        let both = other.is_some_and(|(other, _)| *other == fault);
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.fault = Some((fault, Arc::clone(&text)));
        }
        if !talks {
            return;
        }
        let both = if both { "; nor from the other side" } else { "" };
        let why = format!("{}: {text}{both}", fault.as_str());
        tracing::warn!(call = %call_id, side = side.as_str(), reason = fault.as_str(), "one-way audio");
        self.decide_with(now, &company, Some(call_id), "audio.one_way", &why, fields);
    }

    /// Audio goes both ways again, as far as this stream is concerned.
    pub(crate) fn audio_restored(&mut self, now: Now, stream: StreamId) {
        let Some(id) = self.by_stream.get(&stream).copied() else { return };
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some((fault, _)) = leg.fault.take() else { return };
        let Some((call, side)) = self.side_of(id) else { return };
        let (call, company) = (call.id, call.company.clone());
        let fields = Fields { by: Some(side.as_str().into()), ..Fields::default() };
        self.decide_with(now, &company, Some(call), "audio.restored", fault.as_str(), fields);
    }

    /// The call in which a leg talks with another, and which side it is.
    fn side_of(&self, leg: LegId) -> Option<(&Call, Side)> {
        let call = self.calls.get(&self.legs.get(&leg)?.call)?;
        match call.callee {
            Some(callee) if callee == leg => Some((call, Side::Callee)),
            Some(_) if call.caller == leg => Some((call, Side::Caller)),
            Some(_) | None => None,
        }
    }

    fn other_side(&self, call: CallId, leg: LegId) -> Option<LegId> {
        let call = self.calls.get(&call)?;
        if call.caller == leg { call.callee } else { Some(call.caller) }
    }

    /// The audio of a call's legs that are open, the caller's first.
    pub(crate) fn audio_of(&self, call: &Call) -> Vec<LegAudio> {
        let ringing = call.attempts.values().flat_map(|attempt| attempt.legs.iter().copied());
        let legs = std::iter::once(call.caller).chain(call.callee).chain(ringing);
        legs.filter_map(|id| {
            let leg = self.legs.get(&id)?;
            let side = if id == call.caller { Side::Caller } else { Side::Callee };
            let audio = blank(leg, leg.stream?, side)?;
            Some(match &leg.counted {
                Some(stats) => with(audio, stats),
                None => audio,
            })
        })
        .collect()
    }

    /// What will be known of a leg when its stream has said what it counted.
    pub(crate) fn last_words_of(&self, id: LegId, stream: StreamId) -> Option<LastWords> {
        let leg = self.legs.get(&id)?;
        let caller = self.calls.get(&leg.call).is_some_and(|call| call.caller == id);
        let audio = blank(leg, stream, if caller { Side::Caller } else { Side::Callee })?;
        Some(LastWords { call: leg.call, leg: audio })
    }

    /// A stream is over: its figures go into the call's record.
    pub(crate) fn audio_ended(&mut self, stream: StreamId, stats: &Stats) {
        let Some(LastWords { call, leg }) = self.last_words.remove(&stream) else { return };
        let caller = leg.side == Side::Caller;
        let leg = with(leg, stats);
        match self.calls.get_mut(&call) {
            Some(of) if of.cdr.audio.len() < AUDIO_MAX => of.cdr.audio.push(leg),
            Some(_) => {}
            None => self.tell(Change::CallAudio { call, leg: Box::new(leg) }),
        }
        if caller {
            let Stats { received, sent, lost, .. } = *stats;
            self.tell(Change::CallMedia { call, received, sent, lost });
        }
    }

    /// Legs that hear what has to be converted, by the two codecs.
    pub(crate) fn transcoding(&self) -> Vec<(String, String, usize)> {
        let mut pairs: BTreeMap<(Codec, Codec), usize> = BTreeMap::new();
        for stats in self.legs.values().filter_map(|leg| leg.counted.as_ref()) {
            if let (Some(from), Some(to)) = (stats.converted_from, stats.codec)
                && from != to
            {
                *pairs.entry((from, to)).or_default() += 1;
            }
        }
        pairs.into_iter().map(|((a, b), count)| (a.name().to_owned(), b.name().to_owned(), count)).collect()
    }
}

/// What is known of a leg's audio before anything is counted; `None` while no codec is agreed on.
fn blank(leg: &Leg, stream: StreamId, side: Side) -> Option<LegAudio> {
    let party: Arc<str> = match (&leg.user, &leg.trunk) {
        (Some(user), _) => user.user.as_str().into(),
        (None, Some(trunk)) => format!("trunk {trunk}").into(),
        (None, None) => "".into(),
    };
    Some(LegAudio {
        side,
        party,
        codec: leg.codec()?.name().into(),
        converted_from: None,
        port: stream.port,
        from: None,
        received: 0,
        sent: 0,
        lost: 0,
        dropped: 0,
        jitter_us: 0,
        rtt_us: None,
        reported_loss_percent: None,
        mos: None,
        fault: leg.fault.as_ref().map(|(fault, _)| *fault),
        fault_text: leg.fault.as_ref().map(|(_, text)| Arc::clone(text)),
    })
}

fn with(leg: LegAudio, stats: &Stats) -> LegAudio {
    LegAudio {
        codec: stats.codec.map_or(leg.codec, |codec| codec.name().into()),
        converted_from: stats.converted_from.map(|codec| codec.name().into()),
        from: stats.from.map(|from| from.to_string().into()),
        received: stats.received,
        sent: stats.sent,
        lost: stats.lost,
        dropped: stats.dropped,
        jitter_us: stats.jitter_us,
        rtt_us: stats.rtt_us,
        reported_loss_percent: stats.remote_fraction_lost.map(|lost| (u32::from(lost) * 100 / 256) as u8),
        mos: stats.mos.map(|hundredths| f32::from(hundredths) / 100.0),
        ..leg
    }
}
