//! Voicemail: which messages lie where, and the program by which a person listens to them.
//!
//! The files belong to the shell; here are the facts about them. Leaves out calling back and recording a greeting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::model::Config;
use crate::model::change::Change;
use crate::model::company::Company;
use crate::model::flow::HangupCause;
use crate::model::id::MailboxId;
use crate::model::id::MailboxKey;
use crate::model::id::UserId;
use crate::model::mailbox::Mailbox;
use crate::model::mailbox::Message;
use crate::model::mailbox::MessageState;
use crate::model::prompt::PromptKey;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Held;
use crate::switch::flow::stage::Stage;
use crate::switch::say::What;
use crate::time::Timestamp;

/// For a key, from the end of the prompt.
const WAIT: Duration = Duration::from_secs(6);
/// Times the choices are read without any key.
const ASKS_MAX: u32 = 2;
/// Tries at a PIN.
const PINS_MAX: u32 = 3;
/// Digits of a PIN at most.
const PIN_DIGITS: usize = 8;

/// The id of a user's own box.
pub fn of_user(user: &UserId) -> MailboxId {
    MailboxId::from(format!("user:{user}"))
}

/// Whose own box it is; none for a shared one.
pub fn user_of(mailbox: &MailboxId) -> Option<&str> {
    mailbox.as_str().strip_prefix("user:")
}

/// The boxes that a user may listen to: their own, and the shared ones that list them.
pub fn boxes_of(company: &Company, user: &UserId) -> Vec<MailboxId> {
    let own = of_user(user);
    let may = company.mailboxes.iter().filter(|(id, of)| **id == own || of.users.contains(user));
    may.map(|(id, _)| id.clone()).collect()
}

/// The file of a message under the data folder, and its name in the media bank.
pub fn file_of(id: &str) -> Arc<str> {
    format!("voicemail/{id}.wav").into()
}

/// All messages by box, as told by changes.
#[derive(Clone, Debug, Default)]
pub struct Mailboxes {
    /// Oldest first.
    boxes: BTreeMap<MailboxKey, Vec<Message>>,
}

/// How many messages are in a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not heard.
    pub new: u32,
    /// Heard or saved.
    pub saved: u32,
}

impl Mailboxes {
    /// Learns a fact; those that are not about messages are passed over. Learning one twice changes nothing.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::MessageLeft { message } => {
                let messages = self.boxes.entry(message.mailbox.clone()).or_default();
                if messages.iter().all(|old| old.id != message.id) {
                    let at = messages.partition_point(|old| old.at <= message.at);
                    messages.insert(at, message.clone());
                }
            }
            Change::MessageMarked { mailbox, id, state } => {
                let messages = self.boxes.get_mut(mailbox).into_iter().flatten();
                messages.filter(|message| message.id == *id).for_each(|message| message.state = *state);
            }
            Change::MessageDeleted { mailbox, id } => {
                if let Some(messages) = self.boxes.get_mut(mailbox) {
                    messages.retain(|message| message.id != *id);
                    if messages.is_empty() {
                        self.boxes.remove(mailbox);
                    }
                }
            }
            _ => {}
        }
    }

    /// Messages of a box, oldest first.
    pub fn messages(&self, mailbox: &MailboxKey) -> &[Message] {
        self.boxes.get(mailbox).map_or(&[], Vec::as_slice)
    }

    /// How many there are.
    pub fn counts(&self, mailbox: &MailboxKey) -> Counts {
        let messages = self.messages(mailbox);
        let new = messages.iter().filter(|message| message.state == MessageState::New).count();
        Counts { new: new as u32, saved: (messages.len() - new) as u32 }
    }

    /// Whether a box of at most `max` messages has no room.
    pub fn is_full(&self, mailbox: &MailboxKey, max: usize) -> bool {
        self.messages(mailbox).len() >= max
    }

    /// Messages that have lain longer than their box keeps them, for deletion.
    pub fn expired(&self, config: &Config, now: Timestamp) -> Vec<(MailboxKey, Arc<str>)> {
        let mut expired = Vec::new();
        for (key, messages) in &self.boxes {
            let company = config.companies.get(&key.company);
            let keep = company.and_then(|company| company.mailboxes.get(&key.mailbox)?.keep);
            let Some(keep) = keep else { continue };
            let old = messages
                .iter()
                .take_while(|message| message.at.checked_add(keep).is_ok_and(|end| end <= now));
            expired.extend(old.map(|message| (key.clone(), message.id.clone())));
        }
        expired
    }
}

/// Listening to voicemail.
#[derive(Clone, Debug)]
pub struct Listen {
    /// None until the call begins and the caller's own box is known.
    mailbox: Option<MailboxId>,
    state: State,
    held: Held,
    /// Message ids, new ones first.
    list: Vec<Arc<str>>,
    /// Which of them.
    at: usize,
    /// Times something was asked in vain.
    asked: u32,
    digits: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The call begins.
    Start,
    /// The PIN is being keyed in.
    Pin,
    /// How many messages there are is being told.
    Counts,
    /// A message is being loaded.
    Loading,
    /// It is being heard.
    Message,
    /// A key is waited for.
    Options,
    /// What was done with the message is being told; the next one follows.
    Between,
    /// Last words.
    Parting,
    /// The call was hung up.
    Ended,
}

/// How a caller may listen.
enum Access {
    Granted,
    Pin,
    Refused,
}

impl Listen {
    /// Listens to `mailbox`, or to the caller's own box.
    pub fn new(mailbox: Option<MailboxId>) -> Listen {
        Listen {
            mailbox,
            state: State::Start,
            held: Held::default(),
            list: Vec::new(),
            at: 0,
            asked: 0,
            digits: String::new(),
        }
    }

    /// Handles one event. Events that nothing waits for are passed over.
    pub fn handle(&mut self, ctx: &Context<'_>, event: Event) -> Vec<Action> {
        let mut stage = Stage::new(ctx, std::mem::take(&mut self.held), event);
        self.on(&mut stage, event);
        let (held, actions) = stage.finish();
        self.held = held;
        actions
    }

    fn on(&mut self, stage: &mut Stage<'_>, event: Event) {
        match (self.state, event) {
            (State::Start, Event::Start) => self.start(stage),
            (State::Pin, Event::PlayFinished) => stage.timer(WAIT),
            (State::Pin, Event::Digit(key)) => self.pin_key(stage, key),
            (State::Pin, Event::Timer) => self.check_pin(stage),
            (State::Counts | State::Between, Event::PlayFinished) => self.load(stage),
            (State::Loading, Event::Loaded(true)) => self.play(stage),
            (State::Loading, Event::Loaded(false)) => {
                stage.tell("the recording cannot be read");
                self.between(stage, "call/technical");
            }
            (State::Message, Event::PlayFinished) => {
                self.mark(stage);
                self.asked = 0;
                self.ask(stage);
            }
            (State::Options, Event::PlayFinished) => stage.timer(WAIT),
            (State::Options, Event::Timer) => {
                self.asked += 1;
                if self.asked < ASKS_MAX { self.ask(stage) } else { self.part(stage) }
            }
            (State::Message | State::Options, Event::Digit(key)) => self.choose(stage, key),
            (State::Counts | State::Between | State::Loading, Event::Digit('*')) => self.part(stage),
            (State::Parting, Event::PlayFinished) => self.end(stage, HangupCause::Normal),
            _ => {}
        }
    }

    fn start(&mut self, stage: &mut Stage<'_>) {
        let own = || stage.ctx.caller.user.as_ref().map(of_user);
        let id = self.mailbox.clone().or_else(own);
        let found = id.and_then(|id| Some((stage.ctx.company.mailboxes.get(&id)?, id)));
        let Some((mailbox, id)) = found else {
            stage.place("voicemail");
            stage.tell("there is no such voicemail box");
            return self.end(stage, HangupCause::Status(404));
        };
        stage.place(format!("voicemail:{id}"));
        let access = access(stage, &id, mailbox);
        self.mailbox = Some(id);
        match access {
            Access::Granted => {
                stage.answer();
                self.counts(stage);
            }
            Access::Pin => {
                stage.answer();
                stage.tell("asks for the PIN");
                self.state = State::Pin;
                stage.play(vec![stage.system("vm/enter-pin")], 1);
            }
            Access::Refused => {
                stage.tell("the caller may not listen to this box");
                self.end(stage, HangupCause::Status(403));
            }
        }
    }

    fn pin_key(&mut self, stage: &mut Stage<'_>, key: char) {
        stage.stop_play();
        if key == '#' {
            return self.check_pin(stage);
        }
        // One digit more than a PIN can have is enough to make it wrong.
        if self.digits.len() <= PIN_DIGITS {
            self.digits.push(key);
        }
        stage.timer(WAIT);
    }

    fn check_pin(&mut self, stage: &mut Stage<'_>) {
        stage.clear_timer();
        let given = std::mem::take(&mut self.digits);
        let mailbox = self.mailbox.as_ref().and_then(|id| stage.ctx.company.mailboxes.get(id));
        let pin = mailbox.and_then(|mailbox| mailbox.pin.as_ref());
        if !given.is_empty() && pin.is_some_and(|pin| *pin.0 == *given) {
            return self.counts(stage);
        }
        self.asked += 1;
        if self.asked >= PINS_MAX {
            stage.tell("three wrong PINs: hangs up");
            self.state = State::Parting;
            stage.play(vec![stage.system("vm/wrong-pin"), stage.system("menu/goodbye")], 1);
            return;
        }
        stage.play(vec![stage.system("vm/wrong-pin"), stage.system("vm/enter-pin")], 1);
    }

    fn counts(&mut self, stage: &mut Stage<'_>) {
        let Some(key) = self.key(stage) else { return self.part(stage) };
        let mailboxes = stage.ctx.world.mailboxes;
        let Counts { new, saved } = mailboxes.counts(&key);
        let of_state = |state| mailboxes.messages(&key).iter().filter(move |message| message.state == state);
        let order = of_state(MessageState::New).chain(of_state(MessageState::Saved));
        self.list = order.map(|message| message.id.clone()).collect();
        stage.tell(format!("{new} new and {saved} saved messages"));
        self.state = State::Counts;
        let prompts = stage.said(&What::Messages { new, old: saved });
        stage.play(prompts, 1);
    }

    /// Brings the next message that still exists.
    fn load(&mut self, stage: &mut Stage<'_>) {
        while let Some(id) = self.list.get(self.at) {
            if self.message(stage).is_some() {
                self.state = State::Loading;
                stage.add(Action::Load(file_of(id)));
                return;
            }
            self.at += 1;
        }
        self.part(stage);
    }

    fn play(&mut self, stage: &mut Stage<'_>) {
        let Some(message) = self.message(stage) else { return self.next(stage) };
        let mut prompts = vec![stage.system(if self.at == 0 { "vm/first" } else { "vm/next" })];
        let zone = TimeZone::get(&stage.ctx.company.zone).unwrap_or(TimeZone::UTC);
        let received = message.at.to_zoned(zone.clone());
        let (date, today) = (received.date(), stage.ctx.now.to_zoned(zone).date());
        let (hour, minute) = (received.hour().unsigned_abs(), received.minute().unsigned_abs());
        prompts.push(stage.system("vm/received"));
        prompts.extend(stage.said(&What::Date { date, today }));
        prompts.extend(stage.said(&What::Time { hour, minute }));
        prompts.push(stage.system("vm/from"));
        match &message.from {
            Some(number) => prompts.extend(stage.said(&What::Phone(number))),
            None => prompts.push(stage.system("vm/unknown")),
        }
        prompts.push(PromptKey::Recording(file_of(&message.id)));
        self.state = State::Message;
        stage.play(prompts, 1);
    }

    fn ask(&mut self, stage: &mut Stage<'_>) {
        self.state = State::Options;
        stage.play(vec![stage.system("vm/options")], 1);
    }

    fn choose(&mut self, stage: &mut Stage<'_>, key: char) {
        stage.leave();
        match key {
            '1' => self.play(stage),
            '2' => {
                self.mark(stage);
                self.between(stage, "vm/saved");
            }
            '3' => {
                if let (Some(mailbox), Some(message)) = (self.mailbox.clone(), self.message(stage)) {
                    stage.add(Action::DeleteMessage { mailbox, id: message.id.clone() });
                }
                self.between(stage, "vm/deleted");
            }
            '#' => self.next(stage),
            '*' => self.part(stage),
            _ => {
                self.state = State::Options;
                stage.play(vec![stage.system("menu/invalid"), stage.system("vm/options")], 1);
            }
        }
    }

    /// A message that was heard is no longer new.
    fn mark(&mut self, stage: &mut Stage<'_>) {
        let Some(message) = self.message(stage).filter(|message| message.state == MessageState::New) else {
            return;
        };
        if let Some(mailbox) = self.mailbox.clone() {
            let id = message.id.clone();
            stage.add(Action::MarkMessage { mailbox, id, state: MessageState::Saved });
        }
    }

    fn between(&mut self, stage: &mut Stage<'_>, prompt: &str) {
        self.at += 1;
        self.state = State::Between;
        stage.play(vec![stage.system(prompt)], 1);
    }

    fn next(&mut self, stage: &mut Stage<'_>) {
        self.at += 1;
        self.load(stage);
    }

    fn part(&mut self, stage: &mut Stage<'_>) {
        stage.leave();
        self.state = State::Parting;
        stage.play(vec![stage.system("menu/goodbye")], 1);
    }

    fn end(&mut self, stage: &mut Stage<'_>, cause: HangupCause) {
        self.state = State::Ended;
        stage.leave();
        stage.add(Action::HangUp(cause));
    }

    fn key(&self, stage: &Stage<'_>) -> Option<MailboxKey> {
        Some(MailboxKey { company: stage.ctx.company.id.clone(), mailbox: self.mailbox.clone()? })
    }

    /// The message at hand, unless somebody else deleted it meanwhile.
    fn message<'a>(&self, stage: &Stage<'a>) -> Option<&'a Message> {
        let (key, id) = (self.key(stage)?, self.list.get(self.at)?);
        stage.ctx.world.mailboxes.messages(&key).iter().find(|message| message.id == *id)
    }
}

/// An owner's own device listens without PIN; everybody else needs one, and a box without PIN is closed to them.
fn access(stage: &Stage<'_>, id: &MailboxId, mailbox: &Mailbox) -> Access {
    let caller = stage.ctx.caller;
    let owner = caller.user.as_ref().is_some_and(|user| {
        mailbox.users.contains(user) || user_of(id).is_some_and(|own| own == user.as_str())
    });
    if owner && caller.own_device {
        Access::Granted
    } else if mailbox.pin.is_some() {
        Access::Pin
    } else {
        Access::Refused
    }
}
