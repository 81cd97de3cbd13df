//! Destination `room:<id>`: asks for the PIN, comes into the meeting, and reads the keys that are pressed in it.
//!
//! `*6` mutes oneself and ends it, `*0` tells the keys. A moderator locks the room by `*4`, mutes everybody else by `*5`,
//! lets the last one who came go by `*8`, and ends the meeting by `*9`; pressed again, `*4` and `*5` take back.

use std::time::Duration;

use crate::model::company::Company;
use crate::model::flow::HangupCause;
use crate::model::id::RoomId;
use crate::model::prompt::PromptKey;
use crate::model::server::Secret;
use crate::switch::conference::Deed;
use crate::switch::conference::Said;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Stage;

/// Between two digits, and after the question.
const WAIT: Duration = Duration::from_secs(6);
/// For the key behind a star.
const NEXT_KEY: Duration = Duration::from_secs(4);
/// The longest PIN.
const PIN_DIGITS: usize = 8;
/// Wrong PINs until the call ends.
const TRIES: u32 = 3;

/// Somebody at or in a room.
#[derive(Clone, Debug)]
pub struct Visit {
    room: RoomId,
    part: Part,
    digits: String,
    tried: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The PIN is being keyed in.
    Pin,
    /// Whether one is let in is awaited.
    Door,
    /// In the room; `star`: a star was pressed.
    Inside { star: bool },
}

/// Answers; asks for the PIN where there is one.
pub fn enter(stage: &mut Stage<'_>, id: &RoomId) -> Turn {
    let Some(room) = stage.ctx.company.rooms.get(id) else {
        stage.tell(format!("room:{id} does not exist"));
        return Turn::Say(vec![stage.system("call/technical")], HangupCause::Status(500));
    };
    // Before the answer, which takes a port on the thread of those who are there already.
    stage.add(Action::Room(Deed::Approach(id.clone())));
    stage.answer();
    let mut visit = Visit { room: id.clone(), part: Part::Pin, digits: String::new(), tried: 0 };
    if room.pin.is_none() && room.moderator_pin.is_none() {
        visit.come_in(stage, false);
        return Turn::Wait(State::Room(visit));
    }
    stage.tell(format!("room:{id}: asks for the PIN"));
    stage.play(vec![stage.system("conf/enter-pin")], 1);
    Turn::Wait(State::Room(visit))
}

/// What a PIN makes of its holder: moderator or not; none when it is no PIN of the room.
fn role(company: &Company, id: &RoomId, pin: &str) -> Option<bool> {
    let room = company.rooms.get(id)?;
    let is = |secret: &Option<Secret>| secret.as_ref().is_some_and(|secret| *secret.0 == *pin);
    if is(&room.moderator_pin) {
        return Some(true);
    }
    // Where only moderators have a PIN, others press nothing but hash.
    let others = room.pin.is_none() && pin.is_empty();
    (is(&room.pin) || others).then_some(false)
}

impl Visit {
    /// Asks, lets in, and reads keys.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        match (self.part, event) {
            (Part::Pin, Event::PlayFinished) => {
                stage.timer(WAIT);
                Turn::Stay
            }
            (Part::Pin, Event::Digit('#') | Event::Timer) => self.pin_given(stage),
            (Part::Pin, Event::Digit(key)) => {
                stage.stop_play();
                // One digit more than a PIN can have is enough to make it wrong.
                if self.digits.len() <= PIN_DIGITS {
                    self.digits.push(key);
                }
                stage.timer(WAIT);
                Turn::Stay
            }
            (Part::Inside { star: false }, Event::Digit('*')) => {
                self.part = Part::Inside { star: true };
                stage.timer(NEXT_KEY);
                Turn::Stay
            }
            (Part::Inside { star: true }, Event::Timer) => {
                self.part = Part::Inside { star: false };
                Turn::Stay
            }
            (Part::Inside { star: true }, Event::Digit(key)) => {
                self.part = Part::Inside { star: false };
                stage.clear_timer();
                self.key(stage, key)
            }
            (Part::Door | Part::Inside { .. }, Event::Room(said)) => self.told(stage, said),
            _ => Turn::Stay,
        }
    }

    fn come_in(&mut self, stage: &mut Stage<'_>, moderator: bool) {
        self.part = Part::Door;
        stage.add(Action::Room(Deed::Join { room: self.room.clone(), moderator }));
    }

    fn pin_given(&mut self, stage: &mut Stage<'_>) -> Turn {
        stage.leave();
        let pin = std::mem::take(&mut self.digits);
        let role = role(stage.ctx.company, &self.room, &pin);
        // Who keys in nothing has tried none.
        let tried = Deed::PinTried { room: self.room.clone(), role };
        let tried = (!pin.is_empty()).then_some(Action::Room(tried));
        let tell = |stage: &mut Stage<'_>| tried.into_iter().for_each(|tried| stage.add(tried));
        if let Some(moderator) = role {
            tell(stage);
            self.come_in(stage, moderator);
            return Turn::Stay;
        }
        self.tried += 1;
        if self.tried >= TRIES {
            tell(stage);
            stage.tell("wrong_pin: three times, hangs up");
            return Turn::Say(vec![stage.system("conf/wrong-pin-end")], HangupCause::Normal);
        }
        stage.tell("wrong_pin: asks again");
        stage.play(vec![stage.system("conf/wrong-pin"), stage.system("conf/enter-pin")], 1);
        tell(stage);
        Turn::Stay
    }

    fn key(&mut self, stage: &mut Stage<'_>, key: char) -> Turn {
        let deed = match key {
            '0' => return self.say(stage, "conf/keys"),
            '4' => Deed::FlipLock,
            '5' => Deed::FlipMuteOthers,
            '6' => Deed::FlipMute,
            '8' => Deed::KickLast,
            '9' => Deed::End,
            _ => return self.say(stage, "menu/invalid"),
        };
        stage.add(Action::Room(deed));
        Turn::Stay
    }

    fn told(&mut self, stage: &mut Stage<'_>, said: Said) -> Turn {
        if self.part == Part::Door {
            self.part = Part::Inside { star: false };
        }
        match said {
            Said::Refused(why) => {
                stage.tell(format!("{}: not let in", why.code()));
                Turn::Say(vec![stage.system(why.prompt())], HangupCause::Normal)
            }
            Said::Joined => Turn::Stay,
            Said::Over(prompt) => Turn::Say(vec![stage.system(prompt)], HangupCause::Normal),
            Said::Told(prompt) => self.say(stage, prompt),
        }
    }

    fn say(&mut self, stage: &mut Stage<'_>, prompt: &'static str) -> Turn {
        let prompt: PromptKey = stage.system(prompt);
        stage.play(vec![prompt], 1);
        Turn::Stay
    }
}
