//! Taking messages: from the first sample of a recording to the message in its mailbox, or to its deletion.
//!
//! A recording outlives its call: a caller who hangs up while speaking has left a message, if it is long enough.

use std::sync::Arc;
use std::time::Duration;

use crate::media::Command;
use crate::media::RecordId;
use crate::model::change::Change;
use crate::model::change::PinOf;
use crate::model::id::CallId;
use crate::model::id::MailboxId;
use crate::model::id::MailboxKey;
use crate::model::id::Number;
use crate::model::mailbox::Message;
use crate::model::mailbox::MessageState;
use crate::model::mailbox::Occasion;
use crate::switch::Ask;
use crate::switch::Asked;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::flow::action::Event;
use crate::switch::letter;
use crate::switch::mailbox;
use crate::time::Now;
use crate::time::Timestamp;

/// A message that is being, or has been, recorded.
#[derive(Clone, Debug)]
pub(crate) struct PendingRecording {
    pub(crate) call: CallId,
    pub(crate) mailbox: MailboxKey,
    pub(crate) id: Arc<str>,
    pub(crate) from: Option<Number>,
    pub(crate) at: Timestamp,
    /// Kept when the caller hangs up after at least this much.
    pub(crate) min: Duration,
    /// Known when the file is complete.
    pub(crate) length: Option<Duration>,
}

impl PendingRecording {
    /// Its file under the data folder.
    pub(crate) fn file(&self) -> Arc<str> {
        mailbox::file_of(&self.id)
    }
}

impl Switch {
    /// Begins to record the caller's message.
    pub(crate) fn record(
        &mut self,
        now: Now,
        call: CallId,
        mailbox: MailboxId,
        max: Duration,
        max_silence: Duration,
        min: Duration,
    ) {
        let Some(of) = self.calls.get(&call) else { return };
        let Some(stream) = self.open_stream(of.caller) else { return };
        self.next_record += 1;
        let record = RecordId(self.next_record);
        let pending = PendingRecording {
            call,
            mailbox: MailboxKey { company: of.company.clone(), mailbox },
            id: format!("{call}-{}", self.next_record).into(),
            from: of.facts.number.clone().filter(|_| !of.facts.hidden),
            at: now.utc,
            min,
            length: None,
        };
        let file = pending.file();
        self.recordings.insert(record, pending);
        if let Some(of) = self.calls.get_mut(&call) {
            of.recording = Some(record);
        }
        let max_silence = (max_silence > Duration::ZERO).then_some(max_silence);
        self.outputs.push_back(Output::Media(Command::Record { stream, record, file, max, max_silence }));
    }

    /// A recording's file is complete.
    pub(crate) fn recorded(&mut self, now: Now, record: RecordId, length: Duration, error: Option<Arc<str>>) {
        if self.taped(now, record, length, error.as_ref()) {
            return;
        }
        if let Some(error) = error {
            tracing::error!(%error, "a message could not be recorded whole: is the disk full, the data folder writable?");
        }
        let Some(pending) = self.recordings.get_mut(&record) else {
            return self.take_recorded(now, record, length);
        };
        pending.length = Some(length);
        let (call, min) = (pending.call, pending.min);
        match self.calls.get_mut(&call).filter(|of| of.recording == Some(record)) {
            Some(of) => {
                of.recording = None;
                of.recorded = Some(record);
                self.run_program(now, call, Event::Recorded { length });
                // A program that ended the call without a word leaves the message to its length.
                if self.calls.get(&call).is_none_or(|of| of.recorded == Some(record) && of.ending) {
                    self.settle_recording(now, record, length >= min);
                }
            }
            None => self.settle_recording(now, record, length >= min),
        }
    }

    pub(crate) fn judge_recording(&mut self, now: Now, call: CallId, keep: bool) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let Some(record) = of.recorded.take() else { return };
        of.left_message |= keep;
        self.settle_recording(now, record, keep);
    }

    /// Puts a recording into its mailbox, or deletes it.
    fn settle_recording(&mut self, now: Now, record: RecordId, keep: bool) {
        let Some(pending) = self.recordings.remove(&record) else { return };
        if !keep {
            let file = pending.file();
            self.ask(Ask::DeleteFile { file }, Asked::Nothing);
            return;
        }
        let length = pending.length.unwrap_or_default();
        let message = Message {
            id: pending.id,
            mailbox: pending.mailbox,
            call: pending.call,
            from: pending.from,
            at: pending.at,
            length_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
            state: MessageState::New,
            handling: None,
        };
        self.change_mailbox(now, Change::MessageLeft { message });
    }

    /// A fact about a mailbox: the index, the store and the lamps learn it.
    pub(crate) fn change_mailbox(&mut self, _now: Now, change: Change) {
        self.mailboxes.apply(&change);
        let mailbox = match &change {
            Change::MessageLeft { message } => {
                self.mail(message);
                Some(message.mailbox.clone())
            }
            Change::MessageMarked { mailbox, .. }
            | Change::MessageHandled { mailbox, .. }
            | Change::MessageDeleted { mailbox, .. } => Some(mailbox.clone()),
            _ => None,
        };
        self.tell(change);
        if let Some(mailbox) = mailbox {
            self.watch_mailbox(&mailbox);
        }
    }

    /// Has a mail sent about a message, where its box has an address and the server a way.
    fn mail(&mut self, message: &Message) {
        let Some(server) = &self.config.server.mail else { return };
        let company = self.config.companies.get(&message.mailbox.company);
        let of =
            company.and_then(|company| Some((company, company.mailboxes.get(&message.mailbox.mailbox)?)));
        let letter = of.and_then(|(company, of)| letter::write(server, company, of, message));
        if let Some(letter) = letter {
            self.ask(Ask::Mail(Box::new(letter)), Asked::Nothing);
        }
    }

    /// What was just recorded is a greeting from here on; the file of the one before it goes.
    pub(crate) fn keep_greeting(
        &mut self,
        now: Now,
        call: CallId,
        mailbox: MailboxId,
        occasion: Occasion,
        days: u32,
    ) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let mailbox = MailboxKey { company: of.company.clone(), mailbox };
        let Some(pending) = of.recorded.take().and_then(|record| self.recordings.remove(&record)) else {
            return;
        };
        let long = Duration::from_secs(u64::from(days) * 86_400);
        let until = (days > 0).then(|| now.utc.checked_add(long).ok()).flatten();
        self.set_greeting(now, mailbox, occasion, Some(pending.file()), until);
    }

    /// A box has this greeting from here on, or none of its own.
    pub(crate) fn set_greeting(
        &mut self,
        now: Now,
        mailbox: MailboxKey,
        occasion: Occasion,
        file: Option<Arc<str>>,
        until: Option<Timestamp>,
    ) {
        if let Some(file) = self.mailboxes.greeting_file(&mailbox, occasion) {
            self.ask(Ask::DeleteFile { file }, Asked::Nothing);
        }
        self.change_mailbox(now, Change::GreetingSet { mailbox, occasion, file, until, at: now.utc });
    }

    /// Somebody keyed in a PIN: too many wrong ones lock the box for a while.
    pub(crate) fn pin_tried(&mut self, now: Now, call: CallId, mailbox: &MailboxKey, right: bool) {
        let before = self.mailboxes.pin_failures(mailbox);
        let locked = self.mailboxes.pin_tried(mailbox, right, now.utc);
        let failures = self.mailboxes.pin_failures(mailbox);
        if failures != before {
            self.tell_pin_tries(now, PinOf::Mailbox(mailbox.clone()), failures);
        }
        if let Some(until) = locked {
            let why = format!("pin_locked: voicemail:{} until {until}", mailbox.mailbox);
            tracing::warn!(%call, mailbox = %mailbox.mailbox, "a voicemail box is locked: too many wrong PINs");
            self.decide(now, &mailbox.company, Some(call), "voicemail.locked", &why);
        }
    }

    /// Puts a copy of a message into another box of the company.
    pub(crate) fn send_message_on(&mut self, now: Now, from: &MailboxKey, id: &str, to: MailboxId) {
        let message = self.mailboxes.messages(from).iter().find(|message| *message.id == *id).cloned();
        let Some(message) = message else { return };
        self.next_record += 1;
        let copy = Message {
            id: format!("{}-{}", message.call, self.next_record).into(),
            mailbox: MailboxKey { company: from.company.clone(), mailbox: to },
            at: now.utc,
            state: MessageState::New,
            handling: None,
            ..message.clone()
        };
        let (file, copied) = (mailbox::file_of(&message.id), mailbox::file_of(&copy.id));
        self.ask(Ask::CopyFile { file, to: copied }, Asked::Nothing);
        self.change_mailbox(now, Change::MessageLeft { message: copy });
    }

    /// A message that is long enough when its caller hangs up will be kept: the record says so already.
    pub(crate) fn note_message(&mut self, now: Now, call: CallId) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let Some(pending) = of.recording.and_then(|record| self.recordings.get(&record)) else { return };
        let recorded = now.utc.duration_since(pending.at);
        of.left_message |= Duration::try_from(recorded).is_ok_and(|recorded| recorded >= pending.min);
    }

    /// Ends what is being recorded of a caller; its file is judged when the media thread has closed it.
    pub(crate) fn stop_recording(&mut self, call: CallId) {
        let Some(of) = self.calls.get(&call) else { return };
        if of.recording.is_some()
            && let Some(stream) = self.open_stream(of.caller)
        {
            self.outputs.push_back(Output::Media(Command::StopRecord { stream }));
        }
    }
}
