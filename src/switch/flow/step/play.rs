//! `play`: recordings, heard to the end or cut short by a key.

use std::collections::BTreeMap;

use crate::model::event::Fields;
use crate::model::flow::Exit;
use crate::model::id::MediaId;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::leads_to;
use crate::switch::flow::stage::Stage;

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

/// Plays `media`; nothing to play goes on at once.
pub fn enter(
    stage: &mut Stage<'_>,
    media: &[MediaId],
    options: Options,
    next: Exit,
    keys: BTreeMap<char, Exit>,
) -> Turn {
    if media.is_empty() {
        return Turn::Go(next);
    }
    if options.early_media {
        stage.early();
    } else {
        stage.answer();
    }
    let names: Vec<&str> = media.iter().map(MediaId::as_str).collect();
    stage.tell(format!("plays \"{}\"", names.join("\", \"")));
    let prompts = media.iter().map(|media| stage.media(media)).collect();
    stage.play(prompts, options.repeat);
    Turn::Wait(State::Play(Playing { barge_in: options.barge_in, next, keys }))
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
                let fields = Fields { key: Some(key), ..Fields::default() };
                stage.tell_with(format!("key {key}: {}", leads_to(exit)), fields);
                Turn::Go(exit.clone())
            }
            _ => Turn::Stay,
        }
    }
}
