//! What a team has to see to: messages in shared boxes, and callers of queues whom nobody has answered.
//!
//! A message is new, taken by somebody, or done; the lamp is out for everybody as soon as one of them has taken it, or
//! has heard it. An item of the call-back list goes when anybody of the company has talked with the caller, whichever of
//! them called, when it is marked as done, or after two weeks. Calls of less than five seconds count for nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::cdr::Direction;
use crate::model::cdr::EndedBy;
use crate::model::change::Change;
use crate::model::command::Answer;
use crate::model::command::InboxOrder;
use crate::model::command::MissedOrder;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::MailboxId;
use crate::model::id::MailboxKey;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::mailbox::Handling;
use crate::model::mailbox::Progress;
use crate::model::missed::Missed;
use crate::model::number;
use crate::switch::Switch;
use crate::switch::call::Waiting;
use crate::time::Now;
use crate::time::Timestamp;

/// Who hangs up before this was not served badly.
const SHORT: Duration = Duration::from_secs(5);
/// How long an item is kept after its last call.
const KEPT: Duration = Duration::from_secs(14 * 86_400);
/// Items of one company at most; the oldest makes room.
const ITEMS_MAX: usize = 5_000;
/// The item of all who hide their number.
const HIDDEN: &str = "hidden";
/// Characters of a note.
const NOTE_MAX: usize = 500;

/// The call-back lists of all companies, as told by changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct MissedCalls {
    of: BTreeMap<CompanyId, BTreeMap<Arc<str>, Missed>>,
}

impl MissedCalls {
    /// Learns a fact; all but [`Change::Missed`] and [`Change::MissedCleared`] are passed over.
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Missed { missed } => {
                let items = self.of.entry(missed.company.clone()).or_default();
                items.insert(Arc::clone(&missed.id), missed.clone());
            }
            Change::MissedCleared { company, id, .. } => {
                if let Some(items) = self.of.get_mut(company) {
                    items.remove(id);
                }
            }
            _ => {}
        }
    }

    fn item(&self, company: &CompanyId, id: &str) -> Option<&Missed> {
        self.of.get(company)?.get(id)
    }

    /// Newest first.
    fn list(&self, company: &CompanyId) -> Vec<Missed> {
        let mut list: Vec<Missed> =
            self.of.get(company).into_iter().flat_map(|items| items.values().cloned()).collect();
        list.sort_by_key(|missed| std::cmp::Reverse(missed.last));
        list
    }

    fn older_than(&self, then: Timestamp) -> Vec<(CompanyId, Arc<str>)> {
        let all = self.of.iter().flat_map(|(company, items)| items.values().map(move |item| (company, item)));
        all.filter(|(_, item)| item.last < then)
            .map(|(company, item)| (company.clone(), item.id.clone()))
            .collect()
    }

    /// The item that makes room for another one.
    fn crowded(&self, company: &CompanyId) -> Option<Arc<str>> {
        let items = self.of.get(company).filter(|items| items.len() >= ITEMS_MAX)?;
        items.values().min_by_key(|item| item.last).map(|item| Arc::clone(&item.id))
    }
}

impl Switch {
    /// A queue gave a caller back without an answer.
    pub(crate) fn note_missed(&mut self, now: Now, call: CallId, line: &LineKey, why: &str) {
        // Who calls outside opening hours, or a queue that is no more, was not kept waiting.
        if matches!(line.line, LineId::Group(_)) || matches!(why, "closed" | "gone") {
            return;
        }
        let Some(of) = self.calls.get(&call).filter(|of| of.cdr.direction == Direction::In) else { return };
        let hidden = of.facts.hidden || of.facts.number.is_none();
        let number = of.facts.number.clone().filter(|_| !hidden);
        let id: Arc<str> = number.as_ref().map_or(HIDDEN.into(), |number| number.as_str().into());
        let name = of.facts.name.clone().filter(|_| !hidden);
        let before = self.missed.item(&line.company, &id);
        let missed = Missed {
            id: Arc::clone(&id),
            company: line.company.clone(),
            number,
            name,
            line: line.line.clone(),
            why: why.into(),
            count: before.map_or(1, |before| before.count.saturating_add(1)),
            first: before.map_or(now.utc, |before| before.first),
            last: now.utc,
            // Whoever has taken the caller has not called back yet.
            taken: before.and_then(|before| before.taken.clone()),
            note: before.and_then(|before| before.note.clone()),
        };
        if before.is_none()
            && let Some(oldest) = self.missed.crowded(&line.company)
        {
            self.clear_missed(&line.company.clone(), &oldest, "crowded", None);
        }
        self.change_missed(Change::Missed { missed });
    }

    /// A caller was in a queue when the call ended.
    pub(crate) fn note_abandoned(&mut self, now: Now, call: CallId, waiting: &Waiting, by: EndedBy) {
        let short = now.mono.saturating_duration_since(waiting.since) < SHORT;
        match by {
            EndedBy::Caller if short => {}
            EndedBy::Caller => self.note_missed(now, call, &waiting.line, "abandoned"),
            EndedBy::Callee | EndedBy::System => self.note_missed(now, call, &waiting.line, "failed"),
        }
    }

    /// Two parties talk: whoever of them was on the call-back list has been reached.
    pub(crate) fn reached(&mut self, now: Now, call: CallId) {
        let Some(of) = self.calls.get(&call) else { return };
        let (number, why) = match of.cdr.direction {
            Direction::In => (of.facts.number.clone().filter(|_| !of.facts.hidden), "answered"),
            Direction::Out => (number::read(of.facts.dialled.as_str()), "called_back"),
            Direction::Internal => return,
        };
        let by = match of.cdr.direction {
            Direction::Out => of.facts.user.clone(),
            Direction::In | Direction::Internal => of.cdr.answered_by.clone(),
        };
        let (Some(number), company) = (number, of.company.clone()) else { return };
        if self.missed.item(&company, number.as_str()).is_some() {
            self.clear_missed(&company, number.as_str(), why, by);
            self.decide(
                now,
                &company,
                Some(call),
                "missed.cleared",
                &format!("{why}: the caller was reached"),
            );
        }
    }

    /// Items that nobody has seen to for two weeks.
    pub(crate) fn forget_old_missed(&mut self, now: Now) {
        let Ok(then) = now.utc.checked_sub(KEPT) else { return };
        for (company, id) in self.missed.older_than(then) {
            self.clear_missed(&company, &id, "expired", None);
        }
    }

    fn clear_missed(&mut self, company: &CompanyId, id: &str, why: &str, by: Option<UserId>) {
        let (company, id, why) = (company.clone(), id.into(), why.into());
        self.change_missed(Change::MissedCleared { company, id, why, by });
    }

    fn change_missed(&mut self, change: Change) {
        self.missed.apply(&change);
        self.tell(change);
    }

    /// An order about the call-back list.
    pub(crate) fn order_missed(&mut self, now: Now, company: &CompanyId, order: &MissedOrder) -> Answer {
        if !self.config.companies.contains_key(company) {
            return unknown(format!("there is no company \"{company}\""));
        }
        match order {
            MissedOrder::List => Answer::Missed { missed: self.missed.list(company) },
            MissedOrder::Take { id, by, note } => {
                let item = match self.item_for(company, id, by, note.as_deref()) {
                    Ok(item) => item,
                    Err(refused) => return refused,
                };
                let note = note.clone().or(item.note.clone());
                self.change_missed(Change::Missed {
                    missed: Missed { taken: Some(by.clone()), note, ..item },
                });
                self.decide(now, company, None, "missed.taken", &format!("taken: by {by}"));
                Answer::Done
            }
            MissedOrder::Call { id, by } => {
                let item = match self.item_for(company, id, by, None) {
                    Ok(item) => item,
                    Err(refused) => return refused,
                };
                let Some(number) = item.number.clone() else {
                    return refused("callers who hide their number cannot be called back".to_owned());
                };
                let answer = self.call_back(now, company, by, &number);
                if matches!(answer, Answer::Dialled { .. }) {
                    self.change_missed(Change::Missed { missed: Missed { taken: Some(by.clone()), ..item } });
                    self.decide(now, company, None, "missed.taken", &format!("called_back: by {by}"));
                }
                answer
            }
            MissedOrder::Done { id, by } => {
                if let Err(refused) = self.item_for(company, id, by, None) {
                    return refused;
                }
                self.clear_missed(company, id, "done", Some(by.clone()));
                self.decide(now, company, None, "missed.cleared", &format!("done: by {by}"));
                Answer::Done
            }
        }
    }

    /// An item and whether this user may see to it.
    fn item_for(
        &self,
        company: &CompanyId,
        id: &str,
        by: &UserId,
        note: Option<&str>,
    ) -> Result<Missed, Answer> {
        self.known(company, by, note)?;
        // People write numbers as they like.
        let normal = number::read(id);
        let id = normal.as_ref().map_or(id, Number::as_str);
        self.missed.item(company, id).cloned().ok_or_else(|| {
            unknown(format!("\"{id}\" is not on the list; `sentral missed list {company}` shows it"))
        })
    }

    /// Rings the phones of a user, and then somebody who has called.
    fn call_back(&mut self, now: Now, company: &CompanyId, by: &UserId, number: &Number) -> Answer {
        let user = UserKey { company: company.clone(), user: by.clone() };
        match self.board_dial(now, &user, number, false) {
            Ok(answer) => answer,
            Err((why, not_found)) => Answer::Refused { why, not_found },
        }
    }

    /// Whether a user exists, and a note can be kept.
    fn known(&self, company: &CompanyId, by: &UserId, note: Option<&str>) -> Result<(), Answer> {
        let of = self.config.companies.get(company);
        let of = of.ok_or_else(|| unknown(format!("there is no company \"{company}\"")))?;
        if !of.users.contains_key(by) {
            return Err(unknown(format!("company \"{company}\" has no user \"{by}\"")));
        }
        if note.is_some_and(|note| note.chars().count() > NOTE_MAX) {
            return Err(refused(format!("a note has at most {NOTE_MAX} characters: shorten it")));
        }
        Ok(())
    }

    /// An order about the messages of a box.
    pub(crate) fn order_inbox(
        &mut self,
        now: Now,
        company: &CompanyId,
        mailbox: &MailboxId,
        order: &InboxOrder,
    ) -> Answer {
        let Some(of) = self.config.companies.get(company) else {
            return unknown(format!("there is no company \"{company}\""));
        };
        if !of.mailboxes.contains_key(mailbox) {
            return unknown(format!("company \"{company}\" has no voicemail box \"{mailbox}\""));
        }
        let key = MailboxKey { company: company.clone(), mailbox: mailbox.clone() };
        let messages = self.mailboxes.messages(&key);
        let find = |id: &str| messages.iter().find(|message| *message.id == *id).cloned();
        let gone = |id: &str| {
            unknown(format!(
                "\"{id}\" is no message; `sentral voicemail list {company} {mailbox}` shows them"
            ))
        };
        match order {
            InboxOrder::List => Answer::Messages { messages: messages.iter().rev().cloned().collect() },
            InboxOrder::Handle { id, by, progress, note } => {
                if let Err(refused) = self.known(company, by, note.as_deref()) {
                    return refused;
                }
                let Some(message) = find(id) else { return gone(id) };
                let before = message.handling;
                let taken = before.as_ref().filter(|before| before.by != *by);
                if let (Some(Progress::Taken), Some(other)) = (progress, taken) {
                    return refused(format!(
                        "{} has taken this message already: talk to them, or put it back first",
                        other.by
                    ));
                }
                let note = note.clone().or_else(|| before.and_then(|before| before.note));
                let handling =
                    progress.map(|progress| Handling { progress, by: by.clone(), note, at: now.utc });
                let how = match progress {
                    Some(Progress::Taken) => "taken",
                    Some(Progress::Done) => "done",
                    None => "put_back",
                };
                self.change_mailbox(now, Change::MessageHandled { mailbox: key, id: id.clone(), handling });
                let why = format!("{how}: voicemail:{mailbox} by {by}");
                self.decide(now, company, None, "voicemail.handled", &why);
                Answer::Done
            }
            InboxOrder::CallBack { id, by } => {
                if let Err(refused) = self.known(company, by, None) {
                    return refused;
                }
                let Some(message) = find(id) else { return gone(id) };
                let Some(number) = message.from else {
                    return refused("who left this message hides their number".to_owned());
                };
                let answer = self.call_back(now, company, by, &number);
                if matches!(answer, Answer::Dialled { .. }) {
                    let note = message.handling.and_then(|before| before.note);
                    let handling = Handling { progress: Progress::Taken, by: by.clone(), note, at: now.utc };
                    let (id, handling) = (id.clone(), Some(handling));
                    self.change_mailbox(now, Change::MessageHandled { mailbox: key, id, handling });
                    let why = format!("called_back: voicemail:{mailbox} by {by}");
                    self.decide(now, company, None, "voicemail.handled", &why);
                }
                answer
            }
            InboxOrder::Delete { id } => {
                if find(id).is_none() {
                    return gone(id);
                }
                self.change_mailbox(now, Change::MessageDeleted { mailbox: key, id: id.clone() });
                Answer::Done
            }
        }
    }
}

fn unknown(why: String) -> Answer {
    Answer::Refused { why, not_found: true }
}

fn refused(why: String) -> Answer {
    Answer::Refused { why, not_found: false }
}
