//! Recording a recording of the media bank by telephone: speak, hear it, speak again, take it into use.
//!
//! A take lies under the data folder until it is taken into use, when it stands in the place of the company's file, at
//! once and after each reload; whoever deletes it there has the file back. For supervisors and administrators.

use std::sync::Arc;
use std::time::Duration;

use crate::media::Command;
use crate::media::RecordId;
use crate::model::flow::HangupCause;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::MediaId;
use crate::model::id::UserId;
use crate::model::prompt::PromptKey;
use crate::model::user::Role;
use crate::switch::Ask;
use crate::switch::Asked;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::clip_name;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Held;
use crate::switch::flow::stage::Stage;
use crate::switch::people;
use crate::switch::people::Deed;
use crate::switch::people::Refusal;
use crate::switch::people::Said;
use crate::time::Now;

/// The longest take.
const LONGEST: Duration = Duration::from_secs(300);
/// Shorter ones are nothing.
const SHORTEST: Duration = Duration::from_secs(1);
/// For a key.
const WAIT: Duration = Duration::from_secs(10);
/// Times something is asked.
const ASKS_MAX: u32 = 3;

/// Where what was recorded by telephone and taken into use lies, under the data folder.
pub fn recorded_file(company: &CompanyId, media: &MediaId) -> String {
    format!("media/{company}/recorded/{media}.wav")
}

/// Where a user's take lies until then.
fn take_file(company: &CompanyId, media: &MediaId, user: &UserId) -> Arc<str> {
    format!("media/{company}/takes/{media}.{user}.wav").into()
}

/// The program.
#[derive(Clone, Debug)]
pub struct Run {
    media: MediaId,
    state: State,
    held: Held,
    asked: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The call begins.
    Start,
    /// What to do is being told.
    Told,
    /// It is being recorded.
    Recording,
    /// The take is being loaded.
    Loading,
    /// What to do with the take is asked.
    Choice,
    /// The take is being taken into use.
    Keeping,
    /// Last words.
    Parting,
    /// The call was hung up.
    Ended,
}

impl Run {
    /// Records `media`.
    pub fn new(media: MediaId) -> Run {
        Run { media, state: State::Start, held: Held::default(), asked: 0 }
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
            (State::Told, Event::PlayFinished) => {
                self.state = State::Recording;
                stage.add(Action::People(Deed::Take(self.media.clone())));
            }
            (State::Recording, Event::Digit('#')) => stage.add(Action::StopRecord),
            (State::Recording, Event::Recorded { length }) if length < SHORTEST => {
                self.again(stage, "vm/too-short");
            }
            (State::Recording, Event::Recorded { .. }) => self.choose(stage),
            (State::Choice, Event::PlayFinished) => stage.timer(WAIT),
            (State::Choice, Event::Timer) => self.choose(stage),
            (State::Choice, Event::Digit(key)) => self.chosen(stage, key),
            (State::Loading, Event::Loaded(true)) => match self.take(stage) {
                Some(file) => {
                    self.state = State::Choice;
                    self.asked = 0;
                    let prompts = vec![PromptKey::Recording(file), stage.system("people/record-choose")];
                    stage.play(prompts, 1);
                }
                None => self.part(stage, "call/technical"),
            },
            (State::Keeping, Event::Loaded(true)) => {
                stage.tell(format!("recording \"{}\" is in use", self.media));
                self.part(stage, "people/record-kept");
            }
            (State::Loading | State::Keeping, Event::Loaded(false)) => self.part(stage, "call/technical"),
            (State::Parting, Event::PlayFinished) => {
                self.state = State::Ended;
                stage.leave();
                stage.add(Action::HangUp(HangupCause::Normal));
            }
            _ => {}
        }
    }

    fn start(&mut self, stage: &mut Stage<'_>) {
        stage.place("service");
        let user = stage.ctx.caller.user.as_ref().and_then(|user| stage.ctx.company.users.get(user));
        let Some(user) = user else {
            stage.tell("service codes are for users: refused");
            self.state = State::Ended;
            stage.add(Action::HangUp(HangupCause::Status(403)));
            return;
        };
        stage.answer();
        if user.role == Role::Employee {
            self.state = State::Parting;
            let prompts = people::prompts(stage, Said::Refused(Refusal::NotAllowed));
            return stage.play(prompts, 1);
        }
        stage.tell(format!("records \"{}\"", self.media));
        self.state = State::Told;
        stage.play(vec![stage.system("people/record")], 1);
        stage.beep();
    }

    /// From the beginning.
    fn again(&mut self, stage: &mut Stage<'_>, why: &str) {
        self.state = State::Told;
        stage.play(vec![stage.system(why), stage.system("people/record")], 1);
        stage.beep();
    }

    fn choose(&mut self, stage: &mut Stage<'_>) {
        self.asked += 1;
        if self.asked > ASKS_MAX {
            return self.drop_take(stage);
        }
        self.state = State::Choice;
        stage.play(vec![stage.system("people/record-choose")], 1);
    }

    fn chosen(&mut self, stage: &mut Stage<'_>, key: char) {
        stage.leave();
        match key {
            '1' => match self.take(stage) {
                Some(file) => {
                    self.state = State::Loading;
                    stage.add(Action::Load(file));
                }
                None => self.part(stage, "call/technical"),
            },
            '2' => {
                self.state = State::Told;
                stage.play(vec![stage.system("people/record")], 1);
                stage.beep();
            }
            '3' => {
                self.state = State::Keeping;
                stage.add(Action::People(Deed::KeepTake(self.media.clone())));
            }
            '*' => self.drop_take(stage),
            _ => {
                self.asked += 1;
                self.state = State::Choice;
                stage.play(vec![stage.system("menu/invalid"), stage.system("people/record-choose")], 1);
            }
        }
    }

    fn drop_take(&mut self, stage: &mut Stage<'_>) {
        stage.add(Action::People(Deed::DropTake(self.media.clone())));
        self.part(stage, "menu/goodbye");
    }

    fn part(&mut self, stage: &mut Stage<'_>, prompt: &str) {
        stage.leave();
        self.state = State::Parting;
        stage.play(vec![stage.system(prompt)], 1);
    }

    /// The file of the caller's take.
    fn take(&self, stage: &Stage<'_>) -> Option<Arc<str>> {
        let user = stage.ctx.caller.user.as_ref()?;
        Some(take_file(&stage.ctx.company.id, &self.media, user))
    }
}

impl Switch {
    /// Begins to record a take of the caller.
    pub(crate) fn begin_take(&mut self, call: CallId, media: &MediaId) {
        let Some(of) = self.calls.get(&call) else { return };
        let (Some(user), Some(stream)) = (of.facts.user.as_ref(), self.open_stream(of.caller)) else {
            return;
        };
        let file = take_file(&of.company, media, user);
        self.next_record += 1;
        let record = RecordId(self.next_record);
        self.between.takes.insert(record, (call, Arc::clone(&file)));
        if let Some(of) = self.calls.get_mut(&call) {
            of.recording = Some(record);
        }
        let (max, max_silence) = (LONGEST, None);
        self.outputs.push_back(Output::Media(Command::Record { stream, record, file, max, max_silence }));
    }

    /// A take's file is complete; without its call it is deleted.
    pub(crate) fn take_recorded(&mut self, now: Now, record: RecordId, length: Duration) {
        let Some((call, file)) = self.between.takes.remove(&record) else { return };
        match self.calls.get_mut(&call).filter(|of| of.recording == Some(record)) {
            Some(of) => {
                of.recording = None;
                self.run_program(now, call, Event::Recorded { length });
            }
            None => drop(self.ask(Ask::DeleteFile { file }, Asked::Nothing)),
        }
    }

    /// The caller's take is taken into use, or deleted.
    pub(crate) fn settle_take(&mut self, now: Now, call: CallId, media: MediaId, keep: bool) {
        let Some(of) = self.calls.get(&call) else { return };
        let Some(user) = of.facts.user.clone() else { return };
        let company = of.company.clone();
        let file = take_file(&company, &media, &user);
        if !keep {
            self.ask(Ask::DeleteFile { file }, Asked::Nothing);
            return;
        }
        self.decide(now, &company, Some(call), "media.recorded", &format!("order: {media} by {user}"));
        let to = recorded_file(&company, &media).into();
        let clip = clip_name(&PromptKey::Media(company, media));
        self.ask(Ask::KeepClip { file, to, clip }, Asked::Clip(call));
    }
}
