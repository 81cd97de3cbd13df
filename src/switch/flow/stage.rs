//! What a program acts on while it handles one event: the context to read, and the list of actions it adds to.
//! It remembers what is under way on the call, so that no program answers twice or leaves a timer behind.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::event::Fields;
use crate::model::flow::HangupCause;
use crate::model::id::MediaId;
use crate::model::id::UserId;
use crate::model::personal::Standing;
use crate::model::prompt::PromptKey;
use crate::model::server::Language;
use crate::model::user::User;
use crate::switch::diversion::Why;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::say;

/// What is under way on the call between two events.
#[derive(Clone, Debug, Default)]
pub struct Held {
    at: String,
    answered: bool,
    /// The program itself has answered.
    taken: bool,
    early: bool,
    playing: bool,
    timing: bool,
    language: Option<Language>,
    /// By which exit the step in hand is left.
    exit: Option<Arc<str>>,
    /// Tags of the call by name, the last of each.
    tags: BTreeMap<Arc<str>, Arc<str>>,
    why: Why,
}

/// One event being handled.
pub struct Stage<'a> {
    /// What may be read.
    pub ctx: &'a Context<'a>,
    held: Held,
    actions: Vec<Action>,
}

impl<'a> Stage<'a> {
    /// Takes up what was under way; `event` may itself have ended some of it.
    pub fn new(ctx: &'a Context<'a>, mut held: Held, event: Event) -> Stage<'a> {
        held.answered |= ctx.caller.answered;
        held.playing &= event != Event::PlayFinished;
        held.timing &= event != Event::Timer;
        Stage { ctx, held, actions: Vec::new() }
    }

    /// What is under way, and what to do.
    pub fn finish(self) -> (Held, Vec<Action>) {
        (self.held, self.actions)
    }

    /// Who calls, by a code that is for users: anybody else is refused, which ends the program.
    pub fn calling_user(&mut self) -> Option<UserId> {
        let user = self.ctx.caller.user.clone();
        if user.is_none() {
            self.tell("service codes are for users: refused");
            self.add(Action::HangUp(HangupCause::Status(403)));
        }
        user
    }

    /// From here on decisions are told as made at this place.
    pub fn place(&mut self, at: impl Into<String>) {
        self.held.at = at.into();
    }

    /// Tells a decision. No numbers and names of people in it.
    pub fn tell(&mut self, why: impl Into<String>) {
        self.tell_with(why, Fields::default());
    }

    /// Tells a decision with what programs read of it: a key, or a result such as `timeout`.
    pub fn tell_with(&mut self, why: impl Into<String>, fields: Fields) {
        let at = self.held.at.clone();
        self.actions.push(Action::Step { at, why: why.into(), fields: Box::new(fields) });
    }

    /// Notes by which exit the step in hand is about to be left.
    pub fn takes(&mut self, exit: &str) {
        self.held.exit = Some(exit.into());
    }

    /// The exit that was noted, once.
    pub fn taken_exit(&mut self) -> Option<Arc<str>> {
        self.held.exit.take()
    }

    /// Sets a tag of the call; `tag` is the name of one without a name.
    pub fn tag(&mut self, name: &str, value: Arc<str>) {
        let name: Arc<str> = name.into();
        self.held.tags.insert(name.clone(), value.clone());
        self.actions.push(Action::SetTag { name, value });
    }

    /// Tags set so far.
    pub fn tags(&self) -> &BTreeMap<Arc<str>, Arc<str>> {
        &self.held.tags
    }

    /// Adds an action that leaves nothing to remember.
    pub fn add(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Whether the caller is answered.
    pub fn answered(&self) -> bool {
        self.held.answered
    }

    /// Answers the caller unless that is done; one who was answered before and transferred here is taken over by it.
    pub fn answer(&mut self) {
        if !std::mem::replace(&mut self.held.taken, true) {
            self.held.answered = true;
            self.actions.push(Action::Answer);
        }
    }

    /// Lets a caller who is not answered hear what is played.
    pub fn early(&mut self) {
        if !self.held.answered && !self.held.early {
            self.held.early = true;
            self.actions.push(Action::Early);
        }
    }

    /// Plays a list; nothing is done for an empty one, so ask first where it may be empty.
    pub fn play(&mut self, prompts: Vec<PromptKey>, repeat: u32) {
        if !prompts.is_empty() {
            self.held.playing = true;
            self.actions.push(Action::Play { prompts, repeat: repeat.max(1) });
        }
    }

    /// The tone before a recording.
    pub fn beep(&mut self) {
        self.held.playing = true;
        self.actions.push(Action::Beep);
    }

    /// What was just recorded, after [`Action::LoadRecorded`].
    pub fn hear(&mut self) {
        self.held.playing = true;
        self.actions.push(Action::HearRecorded);
    }

    /// Silence.
    pub fn stop_play(&mut self) {
        if std::mem::take(&mut self.held.playing) {
            self.actions.push(Action::StopPlay);
        }
    }

    /// Whether something is being played.
    pub fn playing(&self) -> bool {
        self.held.playing
    }

    /// Sets the timer.
    pub fn timer(&mut self, after: Duration) {
        self.held.timing = true;
        self.actions.push(Action::Timer(after));
    }

    /// Stops the timer.
    pub fn clear_timer(&mut self) {
        if std::mem::take(&mut self.held.timing) {
            self.actions.push(Action::ClearTimer);
        }
    }

    /// Ends whatever the step that is left has under way.
    pub fn leave(&mut self) {
        self.stop_play();
        self.clear_timer();
    }

    /// The language from here on.
    pub fn set_language(&mut self, language: Language) {
        self.held.language = Some(language);
        self.actions.push(Action::SetLanguage(language));
    }

    /// The language of the system's prompts.
    pub fn language(&self) -> Language {
        self.held.language.unwrap_or(self.ctx.caller.language)
    }

    /// A prompt of the system in the call's language.
    pub fn system(&self, id: &str) -> PromptKey {
        PromptKey::System(self.language().as_str().into(), id.into())
    }

    /// Prompts that say something, in the call's language.
    pub fn said(&self, what: &say::What<'_>) -> Vec<PromptKey> {
        let language = self.language();
        let ids = say::say(language, what);
        ids.into_iter().map(|id| PromptKey::System(language.as_str().into(), id)).collect()
    }

    /// A user with everything that is in force for them now.
    pub fn person(&self, user: &UserId) -> Option<Cow<'a, User>> {
        self.ctx.world.people.person(self.ctx.company, user, self.ctx.now)
    }

    /// Whether a user takes calls now.
    pub fn standing(&self, user: &UserId) -> Standing {
        self.ctx.world.people.standing(self.ctx.company, user, self.ctx.now)
    }

    /// What follows comes because of this; greetings are chosen by it.
    pub fn because(&mut self, why: Why) {
        self.held.why = why;
    }

    /// Why the call has come to where it is.
    pub fn why(&self) -> Why {
        self.held.why
    }

    /// A recording of the company's media bank.
    pub fn media(&self, id: &MediaId) -> PromptKey {
        PromptKey::Media(self.ctx.company.id.clone(), id.clone())
    }
}
