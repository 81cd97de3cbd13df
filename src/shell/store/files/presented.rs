//! Reads how a queue's call is presented to an agent: templates, further headers, the whisper.

use std::sync::Arc;

use crate::model::queue::Whisper;
use crate::model::queue::Whispered;
use crate::shell::store::files::cursor::Value;
use crate::shell::store::files::read;

/// What a template may hold.
const WORDS: [&str; 5] = ["{queue}", "{caller}", "{number}", "{wait}", "{tag}"];
/// Further headers at most.
const HEADERS_MAX: usize = 8;

/// Whether a text is a template that can be filled in; reports one that is not.
pub(super) fn is_template(value: Value<'_>, text: &str) -> bool {
    let bare = WORDS.iter().fold(text.to_owned(), |text, word| text.replace(word, ""));
    let sound = !bare.contains(['{', '}']) && !text.chars().any(char::is_control);
    if !sound {
        value.error(format!("a template may hold {}, nothing else in braces", WORDS.join(", ")));
    }
    sound
}

/// `{ X-Queue = "{queue}" }`.
pub(super) fn headers(value: Value<'_>) -> Vec<(Arc<str>, Arc<str>)> {
    let Some(mut table) = value.table() else { return Vec::new() };
    let entries = table.take_all(|_| true);
    if entries.len() > HEADERS_MAX {
        value.error(format!("at most {HEADERS_MAX} headers"));
    }
    let mut headers = Vec::new();
    for entry in entries.into_iter().take(HEADERS_MAX) {
        let name = entry.key;
        let sound = name.len() <= 64
            && name.to_ascii_lowercase().strip_prefix("x-").is_some_and(|rest| !rest.is_empty())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !sound {
            entry.error(format!("\"{name}\" is no header for this: write X- and letters, such as X-Queue"));
        } else if let Some(text) = entry.value.text()
            && is_template(entry.value, text)
        {
            headers.push((name.into(), text.into()));
        }
    }
    headers
}

/// A recording, or what is said: `"{queue} {wait}"`.
pub(super) fn whisper(value: Value<'_>) -> Option<Whisper> {
    let text = value.text()?;
    if !text.contains('{') {
        return read::reference(value).map(Whisper::Media);
    }
    let said: Option<Vec<Whispered>> = text
        .split_whitespace()
        .map(|word| match word {
            "{queue}" => Some(Whispered::Queue),
            "{caller}" => Some(Whispered::Caller),
            "{wait}" => Some(Whispered::Wait),
            _ => None,
        })
        .collect();
    match said.filter(|said| said.len() <= WORDS.len()) {
        Some(said) => Some(Whisper::Said(said)),
        None => {
            value.error("a whisper is a recording, or {queue}, {caller} and {wait} with spaces between them");
            None
        }
    }
}
