//! `voicemail`: greeting, tone, message. `#` ends the message; one that is too short may be tried once more.

use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::id::MailboxId;
use crate::model::id::MailboxKey;
use crate::model::id::MediaId;
use crate::model::mailbox::Mailbox;
use crate::model::prompt::PromptKey;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::leads_to;
use crate::switch::flow::stage::Stage;
use crate::switch::mailbox;
use crate::switch::say::What;

/// Silence that ends a message.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// What the step says.
#[derive(Clone, Debug)]
pub struct Options {
    /// Instead of the box's.
    pub greeting: Option<MediaId>,
    /// Longest message.
    pub max: Duration,
    /// Shorter ones are thrown away.
    pub min: Duration,
    /// Afterwards.
    pub next: Exit,
    /// No room.
    pub full: Option<Exit>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            greeting: None,
            max: Duration::from_secs(180),
            min: Duration::from_secs(2),
            next: Exit::To(Destination::Hangup),
            full: None,
        }
    }
}

/// A message being taken.
#[derive(Clone, Debug)]
pub struct Taking {
    mailbox: MailboxId,
    max: Duration,
    min: Duration,
    next: Exit,
    part: Part,
    /// A message was too short already.
    retried: bool,
    /// Of the step.
    greeting: Option<MediaId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The owner's greeting is being brought into the bank.
    Loading,
    /// Greeting and tone.
    Greeting,
    /// The caller speaks.
    Recording,
    /// The message is kept; the caller is told so.
    Saved,
}

/// Answers and greets, or says that the box is full.
pub fn enter(stage: &mut Stage<'_>, id: &MailboxId, options: Options) -> Turn {
    stage.answer();
    let Some(mailbox) = stage.ctx.company.mailboxes.get(id) else {
        stage.tell(format!("voicemail:{id} does not exist"));
        return Turn::Say(vec![stage.system("call/technical")], HangupCause::Normal);
    };
    let key = MailboxKey { company: stage.ctx.company.id.clone(), mailbox: id.clone() };
    if stage.ctx.world.mailboxes.is_full(&key, mailbox.max_messages) {
        return match options.full {
            Some(exit) => {
                stage.tell(format!("voicemail:{id} is full: {}", leads_to(&exit)));
                stage.takes("full");
                Turn::Go(exit)
            }
            None => {
                stage.tell(format!("voicemail:{id} is full: hangs up"));
                Turn::Say(vec![stage.system("vm/mailbox-full")], HangupCause::Normal)
            }
        };
    }
    stage.tell(format!("leaves a message in voicemail:{id}"));
    let mut taking = Taking {
        mailbox: id.clone(),
        max: options.max.min(mailbox.max_length),
        min: options.min,
        next: options.next,
        part: Part::Greeting,
        retried: false,
        greeting: options.greeting,
    };
    let recorded = stage.ctx.world.mailboxes.greeting(&key, stage.why(), stage.ctx.now);
    match recorded.filter(|_| taking.greeting.is_none()).cloned() {
        Some(file) => {
            taking.part = Part::Loading;
            stage.add(Action::Load(file));
        }
        None => taking.greet(stage, None),
    }
    Turn::Wait(State::Voicemail(taking))
}

/// "You have reached 1 0 1, who cannot take your call", or without an extension "leave a message after the tone".
fn system_greeting(stage: &Stage<'_>, id: &MailboxId, mailbox: &Mailbox) -> Vec<PromptKey> {
    let owner = mailbox::user_of(id).and_then(|user| stage.ctx.company.users.get(user));
    let ext = owner.and_then(|user| user.ext.as_ref()).or(mailbox.ext.as_ref());
    let Some(ext) = ext else { return vec![stage.system("vm/leave-message")] };
    let mut prompts = vec![stage.system("vm/greet-pre")];
    prompts.extend(stage.said(&What::Digits(ext.as_str())));
    prompts.push(stage.system("vm/greet-default"));
    prompts
}

impl Taking {
    /// Goes from greeting to recording to the end.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        match (self.part, event) {
            (Part::Loading, Event::Loaded(found)) => {
                let key = MailboxKey { company: stage.ctx.company.id.clone(), mailbox: self.mailbox.clone() };
                let file = stage.ctx.world.mailboxes.greeting(&key, stage.why(), stage.ctx.now);
                let file = file.filter(|_| found).cloned();
                self.greet(stage, file);
                Turn::Stay
            }
            (Part::Greeting, Event::Digit('#')) if stage.playing() => {
                stage.stop_play();
                stage.beep();
                Turn::Stay
            }
            (Part::Greeting, Event::PlayFinished) => {
                self.part = Part::Recording;
                let (mailbox, max, min) = (self.mailbox.clone(), self.max, self.min);
                stage.add(Action::Record { mailbox, max, max_silence: MAX_SILENCE, min });
                Turn::Stay
            }
            (Part::Recording, Event::Digit('#')) => {
                stage.add(Action::StopRecord);
                Turn::Stay
            }
            (Part::Recording, Event::Recorded { length }) => self.recorded(stage, length),
            (Part::Saved, Event::PlayFinished) => Turn::Go(self.next.clone()),
            _ => Turn::Stay,
        }
    }

    /// The owner's greeting if it could be loaded, else the configured one, else the system's; then the tone.
    fn greet(&mut self, stage: &mut Stage<'_>, file: Option<Arc<str>>) {
        let of = stage.ctx.company.mailboxes.get(&self.mailbox);
        let media = self.greeting.as_ref().or(of.and_then(|of| of.greeting.as_ref()));
        let prompts = match (file, media, of) {
            (Some(file), ..) => vec![PromptKey::Recording(file)],
            (None, Some(media), _) => vec![stage.media(media)],
            (None, None, Some(of)) => system_greeting(stage, &self.mailbox, of),
            (None, None, None) => vec![stage.system("vm/leave-message")],
        };
        self.part = Part::Greeting;
        stage.play(prompts, 1);
        stage.beep();
    }

    fn recorded(&mut self, stage: &mut Stage<'_>, length: Duration) -> Turn {
        if length >= self.min {
            stage.add(Action::KeepMessage);
            stage.tell("the message is kept");
            stage.play(vec![stage.system("vm/saved")], 1);
            self.part = Part::Saved;
            return Turn::Stay;
        }
        stage.add(Action::DropMessage);
        let too_short = stage.system("vm/too-short");
        if std::mem::replace(&mut self.retried, true) {
            stage.tell("the message is too short again: hangs up");
            return Turn::Say(vec![too_short], HangupCause::Normal);
        }
        stage.tell("the message is too short: once more");
        stage.play(vec![too_short, stage.system("vm/leave-message")], 1);
        stage.beep();
        self.part = Part::Greeting;
        Turn::Stay
    }
}
