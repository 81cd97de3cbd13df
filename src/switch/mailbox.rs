//! Voicemail: which messages lie where, and the program by which a person listens to them.
//!
//! The files belong to the shell; here are the facts about them. What is set in a box by telephone is
//! `switch::greeting`; what a team does with its messages is `switch::inbox`.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::model::company::Company;
use crate::model::company::Extension;
use crate::model::flow::Destination;
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
use crate::switch::greeting::Left;
use crate::switch::greeting::Settings;
use crate::switch::mailboxes::Counts;
use crate::switch::route;
use crate::switch::route::Origin;
use crate::switch::say::What;

/// For a key, from the end of the prompt.
const WAIT: Duration = Duration::from_secs(6);
/// Times the choices are read without any key.
const ASKS_MAX: u32 = 2;
/// Tries at a PIN.
const PINS_MAX: u32 = 3;
/// Digits of a PIN at most.
const PIN_DIGITS: usize = 8;

/// Digits of a colleague's extension at most.
const EXT_DIGITS: usize = 8;

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
    settings: Option<Box<Settings>>,
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
    /// Nothing is left to hear: is anything to be set?
    Idle,
    /// Greetings and the PIN are being set.
    Settings,
    /// The extension that the message is sent on to is being keyed in.
    Forward,
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
            settings: None,
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
            (State::Settings, event) => {
                let left = self.settings.as_mut().map_or(Left::Yes, |settings| settings.on(stage, event));
                if left == Left::Yes {
                    self.part(stage);
                }
            }
            (State::Counts | State::Idle | State::Message | State::Options, Event::Digit('0')) => {
                self.set(stage);
            }
            (State::Message | State::Options, Event::Digit(key)) => self.choose(stage, key),
            (State::Idle | State::Forward, Event::PlayFinished) => stage.timer(WAIT),
            (State::Idle, Event::Timer | Event::Digit(_)) => self.part(stage),
            (State::Forward, Event::Digit('#') | Event::Timer) => self.send_on(stage),
            (State::Forward, Event::Digit(key)) => {
                stage.stop_play();
                if self.digits.len() < EXT_DIGITS {
                    self.digits.push(key);
                }
                stage.timer(WAIT);
            }
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
        let key = MailboxKey { company: stage.ctx.company.id.clone(), mailbox: id.clone() };
        let locked = stage.ctx.world.mailboxes.locked(&key, stage.ctx.now);
        if locked.is_some() && matches!(access, Access::Pin) {
            stage.answer();
            stage.tell("pin_locked: too many wrong PINs, hangs up");
            self.state = State::Parting;
            return stage.play(vec![stage.system("vm/locked")], 1);
        }
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
        let Some(key) = self.key(stage) else { return self.part(stage) };
        let of = stage.ctx.company.mailboxes.get(&key.mailbox);
        let pin = of.and_then(|of| stage.ctx.world.mailboxes.pin(&key, of));
        let right = !given.is_empty() && pin.is_some_and(|pin| *pin == *given);
        if right || !given.is_empty() {
            stage.add(Action::PinTried { mailbox: key.mailbox, right });
        }
        if right {
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
        let mut prompts = stage.said(&What::Messages { new, old: saved });
        let max = stage.ctx.company.mailboxes.get(&key.mailbox).map_or(usize::MAX, |of| of.max_messages);
        if mailboxes.is_full(&key, max) {
            prompts.push(stage.system("vm/mailbox-full"));
        }
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
        self.state = State::Idle;
        stage.play(vec![stage.system("vm/no-more")], 1);
    }

    /// Greetings and the PIN, which are for the box's owners.
    fn set(&mut self, stage: &mut Stage<'_>) {
        let of = self.mailbox.as_ref().and_then(|id| Some((id, stage.ctx.company.mailboxes.get(id)?)));
        let Some((id, of)) = of else { return self.part(stage) };
        let owner = user_of(id).and_then(|user| stage.ctx.company.users.get(user));
        let ext = owner.and_then(|user| user.ext.as_ref()).or(of.ext.as_ref());
        let ext = ext.map(|ext| Arc::from(ext.as_str()));
        let id = id.clone();
        stage.tell("sets greetings or the PIN");
        self.state = State::Settings;
        self.settings = Some(Box::new(Settings::enter(stage, id, ext)));
    }

    /// Calls whoever left the message; the listening ends with it.
    fn call_back(&mut self, stage: &mut Stage<'_>) {
        let ctx = stage.ctx;
        let number = self.message(stage).and_then(|message| message.from.clone());
        let (Some(number), Some(user)) = (number, &ctx.caller.user) else {
            self.state = State::Options;
            return stage.play(vec![stage.system("vm/unknown"), stage.system("vm/options")], 1);
        };
        let origin = Origin::User { company: &ctx.company.id, user };
        match route::route(ctx.config, &origin, number.as_str()) {
            Ok(target) => {
                self.mark(stage);
                stage.tell("calls back whoever left the message");
                self.state = State::Ended;
                stage.add(Action::LeadTo(Box::new(target)));
            }
            Err(why) => {
                stage.tell(format!("no call back: {why}"));
                self.state = State::Options;
                stage.play(vec![stage.system("call/barred"), stage.system("vm/options")], 1);
            }
        }
    }

    /// Puts the message at hand into a colleague's box.
    fn send_on(&mut self, stage: &mut Stage<'_>) {
        stage.leave();
        let digits = std::mem::take(&mut self.digits);
        let to = match stage.ctx.company.extensions.get(&*digits) {
            Some(Extension::To(Destination::User(user))) => Some(of_user(user)),
            Some(Extension::To(Destination::Voicemail(id))) => Some(id.clone()),
            Some(Extension::To(_) | Extension::Toggle(_)) | None => None,
        };
        let to = to.filter(|to| stage.ctx.company.mailboxes.contains_key(to));
        let message = self.message(stage).map(|message| message.id.clone());
        self.state = State::Options;
        let (Some(to), Some(id), Some(mailbox)) = (to, message, self.mailbox.clone()) else {
            stage.tell("nobody with a box has that extension");
            return stage.play(vec![stage.system("vm/no-such-box"), stage.system("vm/options")], 1);
        };
        stage.tell(format!("sends the message on to voicemail:{to}"));
        stage.add(Action::SendMessageOn { mailbox, id, to });
        stage.play(vec![stage.system("vm/sent-on"), stage.system("vm/options")], 1);
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
            '4' => self.call_back(stage),
            '5' => {
                self.state = State::Forward;
                self.digits.clear();
                stage.play(vec![stage.system("vm/enter-ext")], 1);
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
    let key = MailboxKey { company: stage.ctx.company.id.clone(), mailbox: id.clone() };
    let owner = caller.user.as_ref().is_some_and(|user| {
        mailbox.users.contains(user) || user_of(id).is_some_and(|own| own == user.as_str())
    });
    if owner && caller.own_device {
        Access::Granted
    } else if stage.ctx.world.mailboxes.pin(&key, mailbox).is_some() {
        Access::Pin
    } else {
        Access::Refused
    }
}
