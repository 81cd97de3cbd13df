//! A leg: one party, that is one dialog and one stream; where the two meet.
//!
//! Media follows one rule: a port is taken when our SDP first names it, the stream is opened when theirs is
//! known (or when we answer a late offer; with our offer where ICE is to find it), and both end with the leg.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::media;
use crate::media::Base;
use crate::media::Codec;
use crate::media::Command;
use crate::media::Session;
use crate::media::StreamId;
use crate::model::audio::Fault;
use crate::model::change::Change;
use crate::model::dtmf::KeysBy;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::Number;
use crate::model::id::TrunkId;
use crate::model::id::UserKey;
use crate::model::number;
use crate::model::srtp::SrtpPolicy;
use crate::sdp::SessionDescription;
use crate::sip::Body;
use crate::sip::DialogId;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::channels::Channel;
use crate::switch::confirm::Heard;
use crate::switch::dial::AttemptId;
use crate::switch::hunt::Way;
use crate::switch::negotiate;
use crate::switch::negotiate::Agreed;
use crate::switch::negotiate::Direction;
use crate::switch::negotiate::Lines;
use crate::switch::negotiate::Local;
use crate::switch::negotiate::Refusal;
use crate::switch::outbound::Flows;
use crate::switch::queue::OfferId;
use crate::switch::secrecy;
use crate::switch::secrecy::Secrecy;

/// How far a leg has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LegState {
    /// They call us; no final answer yet.
    Incoming,
    /// We call them; no final answer yet.
    Calling,
    /// We have cancelled; their final answer is awaited.
    Cancelled,
    /// Answered.
    Up,
}

/// One party of a call.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) call: CallId,
    pub(crate) dialog: DialogId,
    pub(crate) state: LegState,
    /// Our side of the session: address, port, version.
    pub(crate) local: Option<Local>,
    /// Its port; opened when `agreed` is set, if it does not listen before.
    pub(crate) stream: Option<StreamId>,
    /// Its stream was opened with our offer, for checks of ICE that come before the answer to it.
    pub(crate) listens: bool,
    /// What was negotiated.
    pub(crate) agreed: Option<Agreed>,
    /// Their offer, until it is answered.
    pub(crate) offer: Option<SessionDescription>,
    /// The last description of ours that went out.
    pub(crate) said: Option<Bytes>,
    /// Our offer went out in a 2xx; the ACK holds their answer.
    pub(crate) awaiting_answer: bool,
    /// Which attempt it belongs to; none for the caller.
    pub(crate) attempt: Option<AttemptId>,
    /// The offer that it rang for until its ring time was over: an answer may be on its way.
    pub(crate) late: Option<OfferId>,
    /// Whose device or mobile it is.
    pub(crate) user: Option<UserKey>,
    /// The number outside that was called, or by which the party was known in another call.
    pub(crate) number: Option<Number>,
    /// Whether its audio is to be encrypted.
    pub(crate) srtp: SrtpPolicy,
    /// How it sends keys, and is sent them.
    pub(crate) dtmf: KeysBy,
    /// Its signalling is encrypted.
    pub(crate) private: bool,
    /// It signals as browsers do, and nothing else was configured: our offers are for DTLS.
    pub(crate) browser: bool,
    /// Which trunk it goes through or came from.
    pub(crate) trunk: Option<TrunkId>,
    /// Along which flow of the phone the INVITE went, and which others there are.
    pub(crate) flows: Option<Box<Flows>>,
    /// The party must press 1 before it is connected.
    pub(crate) confirm: bool,
    /// It rings for so long at most.
    pub(crate) ring_max: Option<Duration>,
    /// What was heard of the party before its answer.
    pub(crate) heard: Heard,
    /// Its keys are kept from the other party's audio.
    pub(crate) keeps_keys: bool,
    /// The last key, when and from where, so that a phone that sends both ways is heard once.
    pub(crate) last_key: Option<(char, Instant, KeyFrom)>,
    /// 18x has been sent to, or got from, the party.
    pub(crate) ringing: bool,
    /// SDP of provisional answers, by the To tag of the callee (RFC 3261 §13.2.1, RFC 3262 §5).
    pub(crate) early: Vec<(Box<str>, Bytes)>,
    /// How many redirections led here.
    pub(crate) redirections: u8,
    /// A REFER came in its dialog.
    pub(crate) referred: bool,
    /// The party has had the other put on hold by an order.
    pub(crate) holds: bool,
    /// The channel of its trunk that it holds.
    pub(crate) channel: Option<Channel>,
    /// How it goes out, when through a trunk.
    pub(crate) way: Option<Way>,
    /// What its stream has counted.
    pub(crate) counted: Option<Box<media::Stats>>,
    /// Its audio goes one way; in words.
    pub(crate) fault: Option<(Fault, Arc<str>)>,
}

/// Which way a key came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFrom {
    /// RFC 4733 or the audio.
    Media,
    /// SIP INFO.
    Info {
        /// For how long the key was held, as it says.
        held: Duration,
    },
}

impl Leg {
    /// A leg without media yet.
    pub(crate) fn new(call: CallId, dialog: DialogId, state: LegState) -> Leg {
        Leg {
            call,
            dialog,
            state,
            local: None,
            stream: None,
            listens: false,
            agreed: None,
            offer: None,
            said: None,
            awaiting_answer: false,
            attempt: None,
            late: None,
            user: None,
            number: None,
            srtp: SrtpPolicy::default(),
            dtmf: KeysBy::default(),
            private: false,
            browser: false,
            trunk: None,
            flows: None,
            confirm: false,
            ring_max: None,
            heard: Heard::default(),
            keeps_keys: false,
            last_key: None,
            ringing: false,
            early: Vec::new(),
            redirections: 0,
            referred: false,
            holds: false,
            channel: None,
            way: None,
            counted: None,
            fault: None,
        }
    }

    /// Whether the party has put us on hold.
    pub(crate) fn on_hold(&self) -> bool {
        self.agreed.as_ref().is_some_and(|agreed| agreed.hold)
    }

    /// A description of ours as it goes out. RFC 3264 §8: its version is one more than that of the last when it differs
    /// from it, and the same when it does not.
    fn say(&mut self, mut sdp: SessionDescription) -> Body {
        let mut body = Body::sdp(sdp.to_string());
        let differs = self.said.as_ref().is_some_and(|said| *said != body.bytes);
        if let Some(local) = self.local.as_mut().filter(|_| differs) {
            local.version += 1;
            sdp.origin.version = local.version.to_string();
            body = Body::sdp(sdp.to_string());
        }
        self.said = Some(body.bytes.clone());
        body
    }

    /// The codec in use.
    pub(crate) fn codec(&self) -> Option<Codec> {
        self.agreed.as_ref().map(|agreed| agreed.session.codec)
    }
}

impl Switch {
    /// Tells that a call has a leg, by the Call-ID of its dialog.
    pub(crate) fn tell_leg(&mut self, leg: LegId) {
        let Some(of) = self.legs.get(&leg) else { return };
        let Some(call_id) = self.endpoint.call_id(of.dialog) else { return };
        let caller = self.calls.get(&of.call).filter(|call| call.caller == leg);
        let user = of.user.as_ref().map(|key| &key.user).or(caller.and_then(|call| call.facts.user.as_ref()));
        let party: Arc<str> = match (&of.trunk, user) {
            (Some(trunk), _) => format!("trunk {trunk}").into(),
            (None, Some(user)) => user.as_str().into(),
            (None, None) => "".into(),
        };
        let change = Change::CallLeg { call: of.call, call_id: call_id.into(), party };
        self.tell(change);
    }

    /// Takes a port for a leg and settles its side of the session. `None`: no port is free.
    pub(crate) fn prepare_media(&mut self, leg: LegId, address: IpAddr, codecs: Vec<Codec>) -> Option<Local> {
        let beside = self.thread_beside(leg);
        let call = self.legs.get(&leg).and_then(|of| self.calls.get(&of.call));
        let emergency = call.is_some_and(|call| number::is_emergency(call.facts.dialled.as_str()));
        let stream = self.ports.take(beside, emergency)?;
        let session = self.rng.bits() >> 1;
        let local = Local {
            address: self.config.server.external.unwrap_or(address),
            port: stream.port,
            codecs,
            session,
            version: 1,
            direction: Direction::SendRecv,
            keys: self.legs.get(&leg).map(|of| of.dtmf).unwrap_or_default(),
            secrecy: self.new_secrecy(leg),
            inside: Some(address)
                .filter(|own| self.config.server.external.is_some_and(|outer| outer != *own)),
            lines: Lines::default(),
        };
        let Some(of) = self.legs.get_mut(&leg) else {
            self.ports.give_back(stream);
            return None;
        };
        of.stream = Some(stream);
        of.local = Some(local.clone());
        self.by_stream.insert(stream, leg);
        Some(local)
    }

    /// Fresh keys for a leg.
    fn new_secrecy(&mut self, leg: LegId) -> Secrecy {
        let mut seed = [0; 32];
        for part in seed.chunks_exact_mut(8) {
            part.copy_from_slice(&self.rng.bits().to_be_bytes());
        }
        let Some(of) = self.legs.get(&leg) else { return Secrecy::off() };
        Secrecy::new(of.srtp, of.private, seed).with_dtls(self.fingerprint, of.browser)
    }

    /// Our answer to the offer that a leg holds; opens its stream. The stream is open before the answer is sent.
    pub(crate) fn answer_offer(&mut self, leg: LegId, prefer: Option<Codec>) -> Result<Body, Refusal> {
        let Some(of) = self.legs.get_mut(&leg) else { return Err(Refusal::no_media()) };
        let (Some(offer), Some(local)) = (of.offer.take(), of.local.as_ref()) else {
            return Err(Refusal::no_media());
        };
        let (mut sdp, mut agreed) = negotiate::answer(&offer, local, prefer)?;
        let Some(local) = of.local.as_mut() else { return Err(Refusal::no_media()) };
        // Who sends with a new key gets a new one of ours: both directions begin anew together.
        if of.agreed.as_ref().is_some_and(|old| secrecy::is_renewed(&old.session, &agreed.session)) {
            local.secrecy.renew();
            (sdp, agreed) = negotiate::answer(&offer, local, prefer)?;
        }
        local.lines = Lines::of(&sdp);
        local.keep(&sdp, &agreed);
        let body = of.say(sdp);
        self.set_session(leg, agreed);
        Ok(body)
    }

    /// Our offer for a leg: all codecs we may use with it. Where ICE finds the way, its checks may come before the
    /// answer, and who gets none of his answered waits for seconds before he asks again: the stream is open by then.
    pub(crate) fn make_offer(&mut self, leg: LegId) -> Option<Body> {
        let of = self.legs.get_mut(&leg)?;
        let local = of.local.as_ref()?;
        let offer = negotiate::offer(local);
        let early = local.secrecy.unanswered().filter(|_| of.agreed.is_none() && !of.listens);
        if let (Some(transport), Some(stream)) = (early, of.stream) {
            of.listens = true;
            let session = Session { send: false, receive: false, transport, ..Session::default() };
            self.outputs.push_back(Output::Media(Command::Open { stream, session }));
        }
        Some(of.say(offer))
    }

    /// Takes their answer to our offer; opens the stream or changes it.
    pub(crate) fn take_answer(&mut self, leg: LegId, body: &[u8]) -> Result<(), Refusal> {
        let Some(local) = self.legs.get_mut(&leg).and_then(|of| of.local.as_mut()) else {
            return Err(Refusal::no_media());
        };
        let answer = crate::sdp::parse(body).map_err(|_| Refusal::no_media())?;
        let agreed = negotiate::agreed(local, &answer)?;
        local.keep(&answer, &agreed);
        self.set_session(leg, agreed);
        Ok(())
    }

    /// Opens a leg's stream with what was agreed, or changes it.
    pub(crate) fn set_session(&mut self, leg: LegId, mut agreed: Agreed) {
        let Some(of) = self.legs.get_mut(&leg) else { return };
        let Some(stream) = of.stream else { return };
        let first = of.agreed.is_none() && !of.listens;
        agreed.session.transport.signaling = self.endpoint.host_of(of.dialog);
        if let Some(local) = &mut of.local {
            local.secrecy.keep(&agreed.session);
        }
        let session: Session = agreed.session.clone();
        of.agreed = Some(agreed);
        let command = match first {
            true => Command::Open { stream, session },
            false => Command::Modify { stream, session },
        };
        self.outputs.push_back(Output::Media(command));
    }

    /// What a leg hears while nothing is played to it.
    pub(crate) fn set_base(&mut self, leg: LegId, base: Base) {
        if let Some(stream) = self.open_stream(leg) {
            if let (Base::Peer(_), Some(of)) = (&base, self.legs.get_mut(&leg)) {
                // The stream is watched anew from here on: who was silent in a queue was not at fault.
                of.fault = None;
            }
            self.outputs.push_back(Output::Media(Command::Base { stream, base }));
        }
    }

    /// The stream of a leg, when it is open.
    pub(crate) fn open_stream(&self, leg: LegId) -> Option<StreamId> {
        let of = self.legs.get(&leg)?;
        of.agreed.as_ref()?;
        of.stream
    }

    /// Ends a leg's stream: an open one returns its port when the media thread says so, another at once.
    pub(crate) fn close_media(&mut self, leg: LegId) {
        self.lift_tape(leg);
        let Some(of) = self.legs.get_mut(&leg) else { return };
        let Some(stream) = of.stream.take() else { return };
        if of.agreed.is_some() || of.listens {
            let words = self.last_words_of(leg, stream);
            self.last_words.extend(words.map(|words| (stream, words)));
            self.closing += 1;
            self.outputs.push_back(Output::Media(Command::Close { stream }));
        } else {
            self.by_stream.remove(&stream);
            self.ports.give_back(stream);
        }
    }

    /// On which thread a leg's stream is best: that of the room where it goes, or of the call's other legs.
    fn thread_beside(&self, leg: LegId) -> Option<u8> {
        let call = self.calls.get(&self.legs.get(&leg)?.call)?;
        let of_room = call.room.as_ref().and_then(|key| self.conferences.thread_of(key));
        of_room.or_else(|| Some(self.legs.get(&call.caller)?.stream?.thread))
    }

    /// Plays to a leg, when its stream is open; returns the name of the playing.
    pub(crate) fn play(
        &mut self,
        leg: LegId,
        items: Vec<media::PlayItem>,
        repeat: u32,
    ) -> Option<media::PlayId> {
        let stream = self.open_stream(leg)?;
        self.next_play += 1;
        let play = media::PlayId(self.next_play);
        self.outputs.push_back(Output::Media(Command::Play { stream, play, items, repeat }));
        Some(play)
    }

    /// Stops what is played to a leg.
    pub(crate) fn stop_play(&mut self, leg: LegId) {
        if let Some(stream) = self.open_stream(leg) {
            self.outputs.push_back(Output::Media(Command::Stop { stream }));
        }
    }
}
