//! `directory`: the caller spells a name on the keys of the telephone and chooses among those who fit.
//!
//! Letters lie where ITU-T E.161 puts them; æ, å and ä are with a (2), ø and ö with o (6), accents are left out. A
//! name is found by the beginning of any of its words, with the words behind it: `Kari Fjell` by 5274 and by 35355.
//! Who is not listed in the directory is never found.

use std::time::Duration;

use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::model::id::LineId;
use crate::model::id::MediaId;
use crate::model::id::UserId;
use crate::model::prompt::PromptKey;
use crate::model::user::User;
use crate::switch::flow::State;
use crate::switch::flow::Turn;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Event;
use crate::switch::flow::leads_to;
use crate::switch::flow::stage::Stage;
use crate::switch::say::What;

/// For the first letter, from the end of the prompt.
const FIRST: Duration = Duration::from_secs(6);
/// Between two letters, before what was keyed in is looked for.
const BETWEEN: Duration = Duration::from_secs(3);
/// For the choice, from the end of the list.
const CHOICE: Duration = Duration::from_secs(6);
/// Searches without a choice.
const TRIES: u32 = 3;
/// Names read out: as many as there are keys from 1 on.
const READ_MAX: usize = 9;
/// Letters that are kept.
const LETTERS_MAX: usize = 20;
/// Letters of a name that are spelled.
const SPELLED_MAX: usize = 12;

/// A name being looked for.
#[derive(Clone, Debug)]
pub struct Search {
    media: MediaId,
    letters: usize,
    scope: Vec<LineId>,
    none: Option<Exit>,
    /// Searches left after this one.
    left: u32,
    keys: String,
    /// Those being read out.
    found: Vec<UserId>,
}

impl Search {
    /// A search with all its tries.
    pub fn new(media: MediaId, letters: u32, scope: Vec<LineId>, none: Option<Exit>) -> Search {
        let letters = (letters.max(1) as usize).min(LETTERS_MAX);
        let (keys, found) = (String::new(), Vec::new());
        Search { media, letters, scope, none, left: TRIES - 1, keys, found }
    }
}

/// Answers and asks.
pub fn enter(stage: &mut Stage<'_>, search: Search) -> Turn {
    stage.answer();
    stage.tell("asks for a name");
    stage.play(vec![stage.media(&search.media)], 1);
    Turn::Wait(State::Directory(Box::new(search)))
}

impl Search {
    /// Takes letters, then the choice.
    pub fn on(&mut self, stage: &mut Stage<'_>, event: Event) -> Turn {
        match event {
            Event::PlayFinished => {
                stage.timer(if self.found.is_empty() { FIRST } else { CHOICE });
                Turn::Stay
            }
            Event::Digit(key) if self.found.is_empty() => self.letter(stage, key),
            Event::Digit(key) => self.choose(stage, key),
            Event::Timer if self.found.is_empty() && !self.keys.is_empty() => self.look(stage, true),
            Event::Timer => self.again(stage, "nobody chosen", Vec::new()),
            _ => Turn::Stay,
        }
    }

    fn letter(&mut self, stage: &mut Stage<'_>, key: char) -> Turn {
        stage.stop_play();
        match key {
            '*' => {
                self.keys.clear();
                stage.timer(FIRST);
                Turn::Stay
            }
            '#' => self.look(stage, true),
            key => {
                self.keys.push(key);
                if self.keys.len() >= self.letters { self.look(stage, false) } else { self.wait(stage) }
            }
        }
    }

    fn wait(&self, stage: &mut Stage<'_>) -> Turn {
        stage.timer(BETWEEN);
        Turn::Stay
    }

    /// Looks for what was keyed in. Too many to read out wait for more letters, unless the caller is `done`.
    fn look(&mut self, stage: &mut Stage<'_>, done: bool) -> Turn {
        let mut found = found(stage.ctx.company, &self.scope, &self.keys);
        if found.is_empty() {
            let sorry = vec![stage.system("dir/none")];
            return self.again(stage, "nobody has that name", sorry);
        }
        let many = found.len() > READ_MAX;
        if many && !done && self.keys.len() < LETTERS_MAX {
            return self.wait(stage);
        }
        stage.tell(format!("{} found{}", found.len(), if many { ", reads out the first" } else { "" }));
        found.truncate(READ_MAX);
        stage.clear_timer();
        let mut prompts = Vec::new();
        for (user, key) in found.iter().zip('1'..='9') {
            prompts.push(stage.system("dir/for"));
            prompts.extend(spoken(stage, user));
            prompts.push(stage.system("dir/press"));
            prompts.extend(stage.said(&What::Digits(key.encode_utf8(&mut [0; 4]))));
        }
        prompts.push(stage.system("dir/again"));
        self.found = found;
        stage.play(prompts, 1);
        Turn::Stay
    }

    fn choose(&mut self, stage: &mut Stage<'_>, key: char) -> Turn {
        stage.stop_play();
        stage.clear_timer();
        if key == '*' {
            return self.again(stage, "another name", Vec::new());
        }
        let place = key.to_digit(10).and_then(|place| (place as usize).checked_sub(1));
        match place.and_then(|place| self.found.get(place)) {
            Some(user) => {
                stage.add(Action::Key(key));
                stage.tell(format!("chosen: user:{user}"));
                stage.takes("chosen");
                Turn::Go(Exit::To(Destination::User(user.clone())))
            }
            None => {
                let sorry = vec![stage.system("menu/invalid")];
                self.again(stage, "a key that means nothing", sorry)
            }
        }
    }

    /// Asks once more, or gives up.
    fn again(&mut self, stage: &mut Stage<'_>, why: &str, mut prompts: Vec<PromptKey>) -> Turn {
        self.keys.clear();
        self.found.clear();
        if self.left == 0 {
            stage.takes("none");
            return match self.none.clone() {
                Some(exit) => {
                    stage.tell(format!("{why}: {}", leads_to(&exit)));
                    Turn::Go(exit)
                }
                None => {
                    stage.tell(format!("{why}: hangs up"));
                    Turn::End(HangupCause::Normal)
                }
            };
        }
        self.left -= 1;
        stage.tell(format!("{why}: asks again"));
        prompts.push(stage.media(&self.media));
        stage.clear_timer();
        stage.play(prompts, 1);
        Turn::Stay
    }
}

/// How a person is named: as recorded, else spelled with the extension behind it.
fn spoken(stage: &Stage<'_>, id: &UserId) -> Vec<PromptKey> {
    let Some(user) = stage.ctx.company.users.get(id) else { return Vec::new() };
    if let Some(media) = &user.spoken {
        return vec![stage.media(media)];
    }
    let letters = user.name.chars().filter_map(letter).take(SPELLED_MAX);
    let mut prompts: Vec<PromptKey> = letters.map(|name| stage.system(&format!("letter/{name}"))).collect();
    if let Some(ext) = &user.ext {
        prompts.push(stage.system("dir/extension"));
        prompts.extend(stage.said(&What::Digits(ext.as_str())));
    }
    prompts
}

/// Users who are listed and whose name fits the keys, by name.
fn found(company: &Company, scope: &[LineId], keys: &str) -> Vec<UserId> {
    let within = |id: &UserId| {
        scope.is_empty()
            || scope.iter().any(|line| match line {
                LineId::Queue(queue) => {
                    let queue = company.queues.get(queue);
                    queue.is_some_and(|queue| queue.agents.iter().any(|agent| agent.user == *id))
                }
                LineId::Group(group) => {
                    company.groups.get(group).is_some_and(|group| group.members.contains(id))
                }
            })
    };
    let fits = |user: &User| user.directory && fits(&user.name, keys);
    let mut found: Vec<(&UserId, &User)> =
        company.users.iter().filter(|(id, user)| fits(user) && within(id)).collect();
    found.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    found.into_iter().map(|(id, _)| id.clone()).collect()
}

/// Whether a name, from the beginning of any of its words on, is spelled by the keys.
fn fits(name: &str, keys: &str) -> bool {
    if keys.is_empty() {
        return false;
    }
    let words: Vec<String> =
        name.split([' ', '-']).map(|word| word.chars().filter_map(key_of).collect()).collect();
    (0..words.len()).any(|from| !words[from].is_empty() && words[from..].concat().starts_with(keys))
}

/// The key that a letter is on; digits are themselves, other characters are on none.
fn key_of(letter: char) -> Option<char> {
    let base = match letter.to_lowercase().next()? {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'æ' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ð' | 'ď' | 'đ' => 'd',
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => 'e',
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'ı' => 'i',
        'ł' => 'l',
        'ñ' | 'ń' | 'ň' | 'ŋ' => 'n',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' | 'œ' => 'o',
        'ř' => 'r',
        'ś' | 'š' | 'ş' | 'ß' => 's',
        'ť' | 'ţ' | 'ŧ' | 'þ' => 't',
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        other => other,
    };
    Some(match base {
        'a'..='c' => '2',
        'd'..='f' => '3',
        'g'..='i' => '4',
        'j'..='l' => '5',
        'm'..='o' => '6',
        'p'..='s' => '7',
        't'..='v' => '8',
        'w'..='z' => '9',
        '0'..='9' => base,
        _ => return None,
    })
}

/// The prompt of a letter, without its folder.
fn letter(letter: char) -> Option<String> {
    match letter.to_lowercase().next()? {
        plain @ 'a'..='z' => Some(plain.to_string()),
        'æ' | 'ä' => Some("ae".into()),
        'ø' | 'ö' => Some("oe".into()),
        'å' => Some("aa".into()),
        'é' | 'è' | 'ê' | 'ë' => Some("e".into()),
        'ü' => Some("u".into()),
        'ó' | 'ò' | 'ô' => Some("o".into()),
        'á' | 'à' | 'â' => Some("a".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_spelled_by_the_keys_its_letters_are_on() {
        let rows = [
            // By first name, by last name, over the blank, and all of it.
            ("Kari Fjell", "527", true),
            ("Kari Fjell", "353", true),
            ("Kari Fjell", "527435355", true),
            ("Kari Fjell", "5275", false),
            // Not in the middle of a word.
            ("Kari Fjell", "274", false),
            // æ and å as a, ø as o.
            ("Åse Bø", "273", true),
            ("Åse Bø", "26", true),
            ("Ægir", "2447", true),
            ("Øystein", "697", true),
            // Accents, double names, what is on no key.
            ("André Müller", "26373", true),
            ("Anne-Lise", "5473", true),
            ("Anne-Lise", "26635473", true),
            ("O'Hara", "6427", true),
            // Keys that are on no letter fit nothing.
            ("Kari", "0", false),
            ("Kari", "1", false),
            ("", "2", false),
            ("Kari", "", false),
        ];
        for (name, keys, expect) in rows {
            assert_eq!(fits(name, keys), expect, "{name} {keys}");
        }
    }

    #[test]
    fn each_letter_of_the_norwegian_alphabet_has_a_key_and_a_prompt() {
        for (letters, key) in [
            ("abcæå", '2'),
            ("def", '3'),
            ("ghi", '4'),
            ("jkl", '5'),
            ("mnoø", '6'),
            ("pqrs", '7'),
            ("tuv", '8'),
            ("wxyz", '9'),
        ] {
            for of in letters.chars().chain(letters.to_uppercase().chars()) {
                assert_eq!(key_of(of), Some(key), "{of}");
                assert!(letter(of).is_some(), "{of}");
            }
        }
    }
}
