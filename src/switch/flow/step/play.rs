//! `play`: recordings and when it opens again, heard to the end or cut short by a key.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::model::flow::Exit;
use crate::model::flow::Played;
use crate::model::id::HoursId;
use crate::model::prompt::PromptKey;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::leads_to;
use crate::switch::flow::stage::Stage;
use crate::switch::hours;
use crate::switch::say::What;

/// How it is played.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many times.
    pub repeat: u32,
    /// A key stops it.
    pub barge_in: bool,
    /// A caller who is not answered stays so.
    pub early_media: bool,
}

/// Being played.
#[derive(Clone, Debug)]
pub struct Playing {
    barge_in: bool,
    next: Exit,
    keys: BTreeMap<char, Exit>,
}

/// Plays `what`; nothing to play goes on at once.
pub fn enter(
    stage: &mut Stage<'_>,
    what: &[Played],
    options: Options,
    next: Exit,
    keys: BTreeMap<char, Exit>,
) -> Turn {
    let prompts: Vec<PromptKey> = what.iter().flat_map(|played| prompts(stage, played)).collect();
    if prompts.is_empty() {
        stage.tell("nothing to say");
        return Turn::Go(next);
    }
    if options.early_media {
        stage.early();
    } else {
        stage.answer();
    }
    let names: Vec<String> = what
        .iter()
        .map(|played| match played {
            Played::Media(media) => format!("\"{media}\""),
            Played::Reopens(hours) => format!("when \"{hours}\" open again"),
        })
        .collect();
    stage.tell(format!("plays {}", names.join(", ")));
    stage.play(prompts, options.repeat);
    Turn::Wait(State::Play(Playing { barge_in: options.barge_in, next, keys }))
}

/// What is heard of one thing to play.
fn prompts(stage: &Stage<'_>, played: &Played) -> Vec<PromptKey> {
    match played {
        Played::Media(media) => vec![stage.media(media)],
        Played::Reopens(id) => reopens(stage, id).unwrap_or_default(),
    }
}

/// "We open again on Monday at eight", in the template's own zone; `None` when there is nothing to say.
fn reopens(stage: &Stage<'_>, id: &HoursId) -> Option<Vec<PromptKey>> {
    let ctx = stage.ctx;
    let hours = ctx.company.hours.get(id)?;
    let by_hand = ctx.world.toggles.by_hand(ctx.company, id, ctx.now);
    let at = hours::next_open(hours, id, &ctx.company.closures, by_hand.as_ref(), ctx.now)?;
    if at <= ctx.now {
        return None;
    }
    // A configuration with an unknown zone is refused at load.
    let zone = TimeZone::get(&hours.zone).ok()?;
    let (at, now) = (zone.to_datetime(at), zone.to_datetime(ctx.now));
    Some(stage.said(&What::OpenAgain { at, now }))
}

impl Playing {
    /// Goes on at the end, or where a key leads. With keys of its own the step passes over all others.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        match event {
            Event::PlayFinished => Turn::Go(self.next.clone()),
            Event::Digit(key) if self.barge_in => {
                let exit = match self.keys.get(&key) {
                    Some(exit) => exit,
                    None if self.keys.is_empty() => &self.next,
                    None => return Turn::Stay,
                };
                stage.add(Action::Key(key));
                match self.keys.is_empty() {
                    true => stage.takes("next"),
                    false => stage.takes(key.encode_utf8(&mut [0; 4])),
                }
                stage.tell(format!("key {key}: {}", leads_to(exit)));
                Turn::Go(exit.clone())
            }
            _ => Turn::Stay,
        }
    }
}
