//! Taking messages: from the first sample of a recording to the message in its mailbox, or to its deletion.
//!
//! A recording outlives its call: a caller who hangs up while speaking has left a message, if it is long enough.

use std::sync::Arc;
use std::time::Duration;

use crate::media::Command;
use crate::media::RecordId;
use crate::model::change::Change;
use crate::model::id::CallId;
use crate::model::id::MailboxId;
use crate::model::id::MailboxKey;
use crate::model::id::Number;
use crate::model::mailbox::Message;
use crate::model::mailbox::MessageState;
use crate::switch::Ask;
use crate::switch::Asked;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::flow::action::Event;
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
        if let Some(error) = error {
            tracing::error!(%error, "a message could not be recorded: is the disk full, the data folder writable?");
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
        };
        self.change_mailbox(now, Change::MessageLeft { message });
    }

    /// A fact about a mailbox: the index, the store and the lamps learn it.
    pub(crate) fn change_mailbox(&mut self, _now: Now, change: Change) {
        self.mailboxes.apply(&change);
        let mailbox = match &change {
            Change::MessageLeft { message } => Some(message.mailbox.clone()),
            Change::MessageMarked { mailbox, .. } | Change::MessageDeleted { mailbox, .. } => {
                Some(mailbox.clone())
            }
            _ => None,
        };
        self.tell(change);
        if let Some(mailbox) = mailbox {
            self.watch_mailbox(&mailbox);
        }
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
