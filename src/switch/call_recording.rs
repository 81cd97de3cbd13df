//! Recording of calls: whether, from when, and where it goes when the call does.
//!
//! A recording belongs to the call and taps the caller's stream: what it receives is the left side, what it is sent the
//! right one. It lives through hold, parking, transfer, take-over and other agents. When the tapped party leaves, the
//! one who stays is tapped, each on the side that they had; when the tapped party goes into another call, the recording
//! goes with them. What is paused is silence in the file, and keys pressed meanwhile are not noted.
//!
//! | event | fields | once for |
//! |---|---|---|
//! | `recording.started` | `file`, `line`, `agent` | each recording; reason codes `always`, `consent`, `key`, `phone`, `order` |
//! | `recording.paused`, `recording.resumed` | `file` | each |
//! | `recording.refused` | | each wish that is refused; the reason code is the refusal's |
//! | `recording.moved` | `file` | each time that it goes into another call |
//! | `recording.ready` | `file`, `length_ms` | each file that is complete |
//! | `recording.failed` | | each time that it cannot be written whole: an alarm |
//! | `recording.restored` | `file`, `length_ms` of silence | each time that it is written again |
//!
//! Who says no in a `consent` step is served all the same and is not recorded, whoever wants it.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::media::Command;
use crate::media::RecordId;
use crate::media::StreamId;
use crate::media::TapeForm;
use crate::model::change::Change;
use crate::model::command::Answer;
use crate::model::command::RecordOrder;
use crate::model::company::Record;
use crate::model::event::Fields;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LegId;
use crate::model::id::LineId;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::number;
use crate::model::recording::FileForm;
use crate::model::recording::Recording;
use crate::model::recording::RecordingView;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::leg::LegState;
use crate::switch::record_announce::Announcing;
use crate::time::Now;

/// Who wants a call recorded, paused or no longer recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The configuration, always.
    Always,
    /// The configuration and the caller's consent.
    Consent,
    /// A user, by keys.
    Keys(UserId),
    /// A user, by the record key of their phone.
    Phone(UserId),
    /// The operator.
    Order,
}

impl By {
    /// As a decision says it: a reason code, then words.
    fn why(&self) -> String {
        match self {
            By::Always => "always: as configured".to_owned(),
            By::Consent => "consent: the caller said yes".to_owned(),
            By::Keys(user) => format!("key: {user} keyed it in"),
            By::Phone(user) => format!("phone: {user} by the phone's record key"),
            By::Order => "order: by command".to_owned(),
        }
    }
}

/// Why a wish about recording is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwilling {
    /// There is no talk to record.
    NoTalk,
    /// Neither company nor queue nor user has it on.
    Off,
    /// One of the numbers is on the list of private ones.
    Private,
    /// The caller has said no.
    Declined,
    /// The caller has not said yes.
    NotAsked,
    /// It runs already.
    Runs,
    /// Nothing is recorded.
    NotRecorded,
    /// It is recorded by configuration, and only paused by users.
    Always,
}

impl Unwilling {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Unwilling::NoTalk => "no_talk: nobody talks in this call",
            Unwilling::Off => {
                "off: recording is not on for this queue or user: see recording = \"on_demand\""
            }
            Unwilling::Private => "private: the number is among private under [recordings]",
            Unwilling::Declined => "declined: the caller has said no to being recorded",
            Unwilling::NotAsked => "not_asked: the caller has not said yes to being recorded",
            Unwilling::Runs => "runs: the call is being recorded",
            Unwilling::NotRecorded => "not_recorded: the call is not being recorded",
            Unwilling::Always => "always: the call is recorded by configuration; pause it instead",
        }
    }
}

/// What is known about recording a call.
#[derive(Debug, Default)]
pub(crate) struct Taping {
    running: Option<Running>,
    pub(super) announcing: Option<Announcing>,
    /// What the caller has said to being recorded.
    pub(crate) consent: Option<bool>,
    /// Somebody has ended it, or it cannot be: it does not begin again by itself.
    pub(super) ended: bool,
}

/// A running recording.
#[derive(Debug)]
struct Running {
    record: RecordId,
    file: Arc<str>,
    form: TapeForm,
    by: By,
    /// The leg that is tapped; none for a moment while legs change.
    leg: Option<LegId>,
    /// Its stream, or that of the last.
    stream: StreamId,
    /// Whom it talks with.
    other: Option<LegId>,
    /// The tapped leg's voice is the right side.
    flipped: bool,
    paused: bool,
}

impl Taping {
    /// Whether the call is recorded, and not only for now not.
    pub(crate) fn state(&self) -> Option<&'static str> {
        self.running.as_ref().map(|running| if running.paused { "paused" } else { "on" })
    }

    /// Whether both parties are being told.
    pub(crate) fn is_announcing(&self) -> bool {
        self.announcing.is_some()
    }

    /// Whether what is keyed in now is not to be noted.
    pub(crate) fn is_paused(&self) -> bool {
        let begun = self.running.as_ref().map(|running| running.paused);
        begun.or(self.announcing.as_ref().map(|told| told.paused)).unwrap_or(false)
    }

    /// Who has it recorded, or will when both parties have been told.
    fn by(&self) -> Option<&By> {
        let begun = self.running.as_ref().map(|running| &running.by);
        begun.or(self.announcing.as_ref().map(|told| &told.by))
    }
}

/// A recording whose file is not complete yet.
#[derive(Debug)]
pub(crate) struct Tape {
    company: CompanyId,
    call: CallId,
    id: Arc<str>,
    file: Arc<str>,
}

impl Switch {
    /// The parties of a call, or where they are tapped, may have changed: a recording begins, or follows.
    pub(crate) fn review_recording(&mut self, now: Now, call: CallId) {
        let Some(of) = self.calls.get(&call).filter(|of| !of.ending) else { return };
        if of.tape.running.is_some() {
            let company = of.company.clone();
            let Some(why) = self.unfit(call) else { return self.follow_tape(call) };
            // Somebody has come into it who is not recorded.
            self.decide(now, &company, Some(call), "recording.refused", why.words());
            self.stop_taping(call);
            return self.end_for_good(call);
        }
        if of.tape.announcing.is_some() || of.tape.ended || !self.talks(call) {
            return;
        }
        let consent = of.tape.consent;
        let by = match (self.recording_mode(call), consent) {
            (Recording::Always, None) => By::Always,
            (Recording::Always | Recording::Consent, Some(true)) => By::Consent,
            (Recording::Off | Recording::OnDemand | Recording::Consent | Recording::Always, _) => return,
        };
        match self.unfit(call) {
            None => self.begin_recording(now, call, by),
            Some(why) => {
                // Told once; the next party of the call may be another matter.
                let company = self.company_of(call);
                if let Some(company) = company.filter(|_| why == Unwilling::Private) {
                    self.decide(now, &company, Some(call), "recording.refused", why.words());
                    self.end_for_good(call);
                }
            }
        }
    }

    fn end_for_good(&mut self, call: CallId) {
        if let Some(of) = self.calls.get_mut(&call) {
            of.tape.ended = true;
        }
    }

    fn company_of(&self, call: CallId) -> Option<CompanyId> {
        self.calls.get(&call).map(|of| of.company.clone())
    }

    pub(super) fn talks(&self, call: CallId) -> bool {
        let Some(of) = self.calls.get(&call) else { return false };
        let up = |leg| self.legs.get(&leg).is_some_and(|leg| leg.state == LegState::Up);
        up(of.caller) && of.callee.is_some_and(up)
    }

    /// Whether a call is recorded by configuration: what its queue says, else the most that its users say, else the
    /// company.
    fn recording_mode(&self, call: CallId) -> Recording {
        let Some(of) = self.calls.get(&call) else { return Recording::Off };
        let Some(company) = self.config.companies.get(&of.company) else { return Recording::Off };
        let queue = of.served_by.as_ref().and_then(|line| match &line.line {
            LineId::Queue(queue) => company.queues.get(queue),
            LineId::Group(_) => None,
        });
        if let Some(queue) = queue {
            return queue.recording.unwrap_or(match company.record {
                Record::Off => Recording::Off,
                Record::OnDemand => Recording::OnDemand,
                Record::Queues | Record::All => Recording::Always,
            });
        }
        let usual = match company.record {
            Record::Off | Record::Queues => Recording::Off,
            Record::OnDemand => Recording::OnDemand,
            Record::All => Recording::Always,
        };
        let whose = |leg| self.user_of_leg(leg).or_else(|| self.legs.get(&leg)?.user.clone());
        let users = std::iter::once(of.caller).chain(of.callee).filter_map(whose);
        let of_ours = |key: &UserKey| company.users.get(&key.user).filter(|_| key.company == company.id);
        let said = users.filter_map(|key| of_ours(&key).map(|user| user.recording.unwrap_or(usual)));
        said.max().unwrap_or(usual)
    }

    /// Why a call may not be recorded, whoever wants it.
    fn unfit(&self, call: CallId) -> Option<Unwilling> {
        let of = self.calls.get(&call)?;
        let company = self.config.companies.get(&of.company)?;
        if number::is_emergency(of.facts.dialled.as_str()) {
            return None;
        }
        let private = |number: &Number| company.recordings.private.contains(number);
        let number_of = |leg: LegId| {
            let known = self.legs.get(&leg)?.number.clone();
            known.or_else(|| self.facts_of(call, leg).number)
        };
        let callee = of.callee.and_then(number_of);
        let mut numbers = of.facts.number.iter().chain(&callee).chain([&of.facts.dialled]);
        if numbers.any(private) {
            return Some(Unwilling::Private);
        }
        (of.tape.consent == Some(false)).then_some(Unwilling::Declined)
    }

    /// A wish about the recording of a call.
    pub(crate) fn order_recording(
        &mut self,
        now: Now,
        call: CallId,
        order: RecordOrder,
        by: By,
    ) -> Result<(), Unwilling> {
        let done = self.try_recording(now, call, order, by);
        if let (Err(why), Some(company)) = (done, self.company_of(call)) {
            self.decide(now, &company, Some(call), "recording.refused", why.words());
        }
        done
    }

    /// A wish of a user in a call; in another company's call they have none.
    pub(crate) fn user_records(
        &mut self,
        now: Now,
        call: CallId,
        order: RecordOrder,
        user: UserKey,
        by: fn(UserId) -> By,
    ) -> Result<(), Unwilling> {
        match self.company_of(call) {
            Some(company) if company != user.company => {
                self.decide(now, &company, Some(call), "recording.refused", Unwilling::Off.words());
                Err(Unwilling::Off)
            }
            _ => self.order_recording(now, call, order, by(user.user)),
        }
    }

    fn try_recording(&mut self, now: Now, call: CallId, order: RecordOrder, by: By) -> Result<(), Unwilling> {
        let of = self.calls.get(&call).ok_or(Unwilling::NoTalk)?;
        let whose = of.tape.by();
        let configured = whose.is_some_and(|by| matches!(by, By::Always | By::Consent));
        match order {
            RecordOrder::Start => {
                if whose.is_some() {
                    return Err(Unwilling::Runs);
                }
                if !self.talks(call) {
                    return Err(Unwilling::NoTalk);
                }
                match (self.recording_mode(call), of.tape.consent) {
                    _ if by == By::Order => {}
                    (Recording::Off, _) => return Err(Unwilling::Off),
                    (Recording::Consent, None) => return Err(Unwilling::NotAsked),
                    (Recording::Consent | Recording::OnDemand | Recording::Always, _) => {}
                }
                if let Some(why) = self.unfit(call) {
                    return Err(why);
                }
                self.begin_recording(now, call, by);
            }
            RecordOrder::Stop if whose.is_none() => return Err(Unwilling::NotRecorded),
            RecordOrder::Stop if configured && by != By::Order => return Err(Unwilling::Always),
            RecordOrder::Stop => {
                let told = [Some(of.caller), of.callee].into_iter().flatten();
                let told: Vec<LegId> = told.filter(|_| of.tape.is_announcing()).collect();
                told.into_iter().for_each(|leg| self.stop_play(leg));
                self.stop_taping(call);
                self.end_for_good(call);
            }
            RecordOrder::Pause => self.pause_recording(now, call, true, &by)?,
            RecordOrder::Resume => self.pause_recording(now, call, false, &by)?,
        }
        Ok(())
    }

    fn pause_recording(&mut self, now: Now, call: CallId, paused: bool, by: &By) -> Result<(), Unwilling> {
        let of = self.calls.get_mut(&call).ok_or(Unwilling::NoTalk)?;
        let company = of.company.clone();
        let (now_paused, tape) = match (&mut of.tape.running, &mut of.tape.announcing) {
            (Some(running), _) => (&mut running.paused, Some((running.stream, running.file.clone()))),
            (None, Some(told)) => (&mut told.paused, None),
            (None, None) => return Err(Unwilling::NotRecorded),
        };
        if std::mem::replace(now_paused, paused) == paused {
            return Ok(());
        }
        let file = tape.as_ref().map(|(_, file)| file.clone());
        if let Some((stream, _)) = tape {
            self.outputs.push_back(Output::Media(Command::PauseTape { stream, paused }));
        }
        let event = if paused { "recording.paused" } else { "recording.resumed" };
        self.decide_with(now, &company, Some(call), event, &by.why(), Fields { file, ..Fields::default() });
        Ok(())
    }

    /// The recording begins.
    pub(super) fn start_taping(&mut self, now: Now, call: CallId, by: &By, paused: bool) {
        let Some(of) = self.calls.get(&call) else { return };
        let Some(company) = self.config.companies.get(&of.company) else { return };
        let (leg, other, flipped) = self.unwhispered(call, of.caller, of.callee, false);
        let user = of.callee.and_then(|leg| self.legs.get(&leg)?.user.clone()).map(|key| key.user);
        let Some(stream) = self.open_stream(leg) else { return };
        self.next_record += 1;
        let record = RecordId(self.next_record);
        let id: Arc<str> = format!("{call}-{}", self.next_record).into();
        let kept = company.recordings.form;
        let form = match kept {
            FileForm::Wav => TapeForm::Wav,
            FileForm::Opus => TapeForm::Opus,
        };
        let zone = TimeZone::get(&company.zone).unwrap_or(TimeZone::UTC);
        let day = zone.to_datetime(now.utc).date();
        let (year, month, day) = (day.year(), day.month(), day.day());
        let folder = format!("recordings/{}/{year:04}/{month:02}/{day:02}", company.id);
        let file: Arc<str> = format!("{folder}/{id}.{}", kept.extension()).into();
        let recording = RecordingView {
            id: id.clone(),
            company: company.id.clone(),
            call,
            at: now.utc,
            file: file.clone(),
            length_ms: None,
            line: of.served_by.as_ref().map(|line| line.line.clone()),
            user,
        };
        let tape = Tape { company: company.id.clone(), call, id, file: file.clone() };
        self.tapes.insert(record, tape);
        let running = Running {
            record,
            file: file.clone(),
            form,
            by: by.clone(),
            leg: Some(leg),
            stream,
            other,
            flipped,
            paused,
        };
        let fields = Fields {
            file: Some(file.clone()),
            line: recording.line.clone(),
            agent: recording.user.clone(),
            ..Fields::default()
        };
        self.outputs.push_back(Output::Media(running.command()));
        if let Some(of) = self.calls.get_mut(&call) {
            of.cdr.recordings.push(file);
            of.tape.running = Some(running);
        }
        let company = recording.company.clone();
        self.tell(Change::RecordingBegun { recording });
        self.decide_with(now, &company, Some(call), "recording.started", &by.why(), fields);
    }

    /// The tapped leg stays as long as it is in the call; then whom it talked with is tapped, else the caller.
    pub(crate) fn follow_tape(&mut self, call: CallId) {
        let Some(of) = self.calls.get(&call) else { return };
        let (caller, callee) = (of.caller, of.callee);
        let Some(running) = &of.tape.running else { return };
        let here = |leg: Option<LegId>| leg.filter(|leg| *leg == caller || Some(*leg) == callee);
        let (leg, flipped) = match (here(running.leg), here(running.other)) {
            (Some(leg), _) => (leg, running.flipped),
            (None, Some(other)) => (other, !running.flipped),
            (None, None) => (caller, false),
        };
        let other = if leg == caller { callee } else { Some(caller) };
        let (leg, other, flipped) = self.unwhispered(call, leg, other, flipped);
        let Some(stream) = self.open_stream(leg) else { return };
        let Some(running) = self.calls.get_mut(&call).and_then(|of| of.tape.running.as_mut()) else { return };
        // Who has gone for a moment is remembered: the side of who stays depends on it.
        running.other = other.or(running.other);
        if running.leg == Some(leg) {
            return;
        }
        if running.leg.is_some() {
            let (stream, record) = (running.stream, running.record);
            self.outputs.push_back(Output::Media(Command::StopTape { stream, record, last: false }));
        }
        (running.leg, running.stream, running.flipped) = (Some(leg), stream, flipped);
        let command = running.command();
        self.outputs.push_back(Output::Media(command));
    }

    /// Where to tap, so that no whisper is in what the tapped party is sent: `leg`, or else the `other`; and whether the
    /// tapped party's voice is the right side then.
    fn unwhispered(
        &self,
        call: CallId,
        leg: LegId,
        other: Option<LegId>,
        flipped: bool,
    ) -> (LegId, Option<LegId>, bool) {
        let instead = other.filter(|_| self.is_whispered_to(call, leg));
        match instead.filter(|other| !self.is_whispered_to(call, *other)) {
            Some(other) => (other, Some(leg), !flipped),
            None => (leg, other, flipped),
        }
    }

    /// A leg's stream is about to close: the recording leaves it, and goes on when the call knows who stays.
    pub(crate) fn lift_tape(&mut self, leg: LegId) {
        let Some(call) = self.legs.get(&leg).map(|of| of.call) else { return };
        let Some(running) = self.calls.get_mut(&call).and_then(|of| of.tape.running.as_mut()) else { return };
        if running.leg == Some(leg) {
            running.leg = None;
            let (stream, record) = (running.stream, running.record);
            self.outputs.push_back(Output::Media(Command::StopTape { stream, record, last: false }));
        }
    }

    /// The recording of a call ends, if there is one.
    pub(crate) fn stop_taping(&mut self, call: CallId) {
        self.timers.clear(&Timer::Announced(call));
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.tape.announcing = None;
        if let Some(Running { stream, record, .. }) = of.tape.running.take() {
            self.outputs.push_back(Output::Media(Command::StopTape { stream, record, last: true }));
        }
    }

    /// The parties of two calls come together: when one of them may not be recorded, neither call is any longer.
    pub(crate) fn join_recordings(&mut self, one: CallId, other: CallId) {
        let both = [one, other];
        if both.iter().all(|call| self.unfit(*call).is_none()) {
            return;
        }
        let said_no = |call: &CallId| self.calls.get(call).is_some_and(|of| of.tape.consent == Some(false));
        let declined = both.iter().any(said_no);
        for call in both {
            self.stop_taping(call);
            self.end_for_good(call);
            if let Some(of) = self.calls.get_mut(&call).filter(|_| declined) {
                of.tape.consent = Some(false);
            }
        }
    }

    /// A party of `from` goes on in `into`, and the recording with them: of two, the one that began first.
    pub(crate) fn hand_over_recording(&mut self, now: Now, from: CallId, into: CallId) {
        self.join_recordings(from, into);
        let left = self.calls.get(&from).map(|of| (of.tape.consent, of.tape.ended));
        if let (Some((consent, ended)), Some(of)) = (left, self.calls.get_mut(&into)) {
            of.tape.consent = of.tape.consent.or(consent);
            of.tape.ended |= ended;
        }
        let began = |call| self.calls.get(&call).and_then(|of| Some(of.tape.running.as_ref()?.record));
        if began(into).is_some_and(|theirs| began(from).is_some_and(|ours| theirs < ours)) {
            return self.stop_taping(from);
        }
        let Some(running) = self.calls.get_mut(&from).and_then(|of| of.tape.running.take()) else { return };
        self.stop_taping(into);
        let fields = Fields { file: Some(running.file.clone()), ..Fields::default() };
        let Some(of) = self.calls.get_mut(&into) else {
            let (stream, record) = (running.stream, running.record);
            self.outputs.push_back(Output::Media(Command::StopTape { stream, record, last: true }));
            return;
        };
        let company = of.company.clone();
        of.cdr.recordings.push(running.file.clone());
        of.tape.running = Some(running);
        self.decide_with(
            now,
            &company,
            Some(into),
            "recording.moved",
            &format!("moved: from call {from}"),
            fields,
        );
    }

    /// A file is complete. `false`: it is none of a call.
    pub(crate) fn taped(
        &mut self,
        now: Now,
        record: RecordId,
        length: Duration,
        error: Option<&Arc<str>>,
    ) -> bool {
        let Some(Tape { company, call, id, file }) = self.tapes.remove(&record) else { return false };
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        self.tell(Change::RecordingEnded { company: company.clone(), id, length_ms });
        let fields = Fields { file: Some(file), length_ms: Some(length_ms), ..Fields::default() };
        let why = match error {
            Some(_) => format!("cut: {} s could be written", length.as_secs()),
            None => format!("ready: {} s", length.as_secs()),
        };
        self.decide_with(now, &company, Some(call), "recording.ready", &why, fields);
        true
    }

    /// A recording cannot be written whole: the call goes on, its record says so, and the operator is told.
    pub(crate) fn not_recorded(&mut self, now: Now, record: RecordId, error: &str) {
        let tape = self.tapes.get(&record).map(|tape| (tape.company.clone(), tape.call));
        let message = || self.recordings.get(&record).map(|of| (of.mailbox.company.clone(), of.call));
        let Some((company, call)) = tape.or_else(message) else { return };
        tracing::error!(%call, %error, "a recording cannot be written");
        self.note_trouble(record, call, |_| error.into());
        self.alarm(now, &company, "recording.failed", &format!("disk: {error}"));
    }

    /// It is written again, and what was said meanwhile is silence.
    pub(crate) fn recorded_again(&mut self, now: Now, record: RecordId, missing: Duration) {
        let Some(tape) = self.tapes.get(&record) else { return };
        let (company, call, file) = (tape.company.clone(), tape.call, tape.file.clone());
        let seconds = missing.as_secs_f64();
        self.note_trouble(record, call, |before| format!("{before}; {seconds:.1} s are silence").into());
        let length_ms = u64::try_from(missing.as_millis()).ok();
        let fields = Fields { file: Some(file), length_ms, ..Fields::default() };
        let why = format!("disk: written again, {seconds:.1} s are silence");
        self.decide_with(now, &company, Some(call), "recording.restored", &why, fields);
    }

    /// Writes into the record of the call that a recording is in what has become of it.
    fn note_trouble(&mut self, record: RecordId, begun_in: CallId, say: impl FnOnce(&str) -> Arc<str>) {
        let runs = |of: &Taping| of.running.as_ref().is_some_and(|running| running.record == record);
        let call = self.calls.values().find(|of| runs(&of.tape)).map_or(begun_in, |of| of.id);
        if let Some(of) = self.calls.get_mut(&call) {
            let before = of.cdr.recording_trouble.take().unwrap_or_default();
            of.cdr.recording_trouble = Some(say(&before));
        }
    }

    /// `sentral calls record`.
    pub(crate) fn command_recording(&mut self, now: Now, call: CallId, order: RecordOrder) -> Answer {
        if !self.calls.contains_key(&call) {
            let why = format!("record call {call}: there is no such call; `sentral calls` lists them");
            return Answer::Refused { why, not_found: true };
        }
        match self.order_recording(now, call, order, By::Order) {
            Ok(()) => Answer::Done,
            Err(why) => {
                let words = why.words().split_once(": ").map_or(why.words(), |(_, words)| words);
                Answer::Refused { why: format!("record call {call}: {words}"), not_found: false }
            }
        }
    }

    /// What has been kept long enough is deleted, company by company.
    pub(crate) fn delete_old_recordings(&mut self, now: Now) {
        let old = |(id, company): (&CompanyId, &Arc<crate::model::company::Company>)| {
            let before = now.utc.checked_sub(company.recordings.keep?).ok()?;
            Some(Change::RecordingsExpired { company: id.clone(), before })
        };
        let changes: Vec<Change> = self.config.companies.iter().filter_map(old).collect();
        changes.into_iter().for_each(|change| self.tell(change));
    }
}

impl Running {
    fn command(&self) -> Command {
        Command::Tape {
            stream: self.stream,
            record: self.record,
            file: self.file.clone(),
            form: self.form,
            flipped: self.flipped,
            paused: self.paused,
        }
    }
}
