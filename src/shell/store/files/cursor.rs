//! Walks a parsed TOML file: each value knows where it stands, so that every mistake is told with line and
//! column.
//!
//! A getter returns `None` both when a key is not there and when its value is wrong; what is wrong has then
//! been reported to the [`Source`]. Keys that nobody asked for are reported by [`Table::finish`].

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use ::toml::Spanned;
use ::toml::de::DeTable;
use ::toml::de::DeValue;

use crate::model::check::nearest;
use crate::model::server::Secret;
use crate::shell::store::files::Problem;

/// Finds what a secret written as `env:NAME` or `file:/path` stands for.
pub(super) type Secrets<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// One file: its text and what was found wrong in it.
pub(super) struct Source<'a> {
    file: PathBuf,
    text: &'a str,
    /// Byte at which each line begins.
    lines: Vec<usize>,
    secrets: Secrets<'a>,
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// Where the first secret in clear text stands, and how many there are.
    literals: RefCell<Option<(usize, usize)>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: PathBuf, text: &'a str, secrets: Secrets<'a>) -> Source<'a> {
        let after_newline = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(after_newline).collect();
        Source {
            file,
            text,
            lines,
            secrets,
            errors: RefCell::default(),
            warnings: RefCell::default(),
            literals: RefCell::default(),
        }
    }

    /// Parses the text; `None` when it is not TOML, which has then been reported.
    pub(super) fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map_or(self.text.len(), |span| span.start);
            self.error(at, error.message().trim_end());
        }
        errors.is_empty().then_some(table)
    }

    /// Reports a mistake at a byte of the text.
    pub(super) fn error(&self, at: usize, message: impl Into<String>) {
        let problem = self.problem(at, message.into());
        self.errors.borrow_mut().push(problem);
    }

    /// Reports something that works but should be looked at.
    pub(super) fn warn(&self, at: usize, message: impl Into<String>) {
        let problem = self.problem(at, message.into());
        self.warnings.borrow_mut().push(problem);
    }

    /// How many mistakes there are so far.
    pub(super) fn error_count(&self) -> usize {
        self.errors.borrow().len()
    }

    /// Gives up what was found: mistakes, warnings.
    pub(super) fn into_problems(self) -> (Vec<Problem>, Vec<Problem>) {
        // One warning for a whole file: who moves thousands of phones over would otherwise see nothing else.
        if let Some((at, count)) = *self.literals.borrow() {
            let what = if count == 1 { "a secret stands".into() } else { format!("{count} secrets stand") };
            self.warn(
                at,
                format!("{what} here in clear text: \"env:NAME\" or \"file:/path\" keeps it out of the file"),
            );
        }
        (self.errors.into_inner(), self.warnings.into_inner())
    }

    fn problem(&self, at: usize, message: String) -> Problem {
        let at = at.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        let before = self.text.get(start..at).unwrap_or_default();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Problem {
            file: self.file.clone(),
            line: count(line),
            column: count(before.chars().count() + 1),
            message,
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) at: usize,
    value: &'a DeValue<'a>,
}

/// A key, where it stands, and its value.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    pub(super) at: usize,
    pub(super) value: Value<'a>,
}

impl Entry<'_> {
    /// Reports a mistake in the key itself, or in what is missing under it.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.value.source.error(self.at, message);
    }
}

/// A table whose keys are taken one after the other, in the order written.
pub(super) struct Table<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) at: usize,
    left: Vec<Entry<'a>>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The keys of `table`, which belongs to a key or value at byte `at`.
    pub(super) fn new(source: &'a Source<'a>, table: &'a DeTable<'a>, at: usize) -> Table<'a> {
        let mut left: Vec<Entry<'a>> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().as_ref(),
                at: key.span().start,
                value: Value { source, at: value.span().start, value: value.get_ref() },
            })
            .collect();
        left.sort_by_key(|entry| entry.at);
        Table { source, at, left, asked: Vec::new() }
    }

    /// Takes the value of a key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        let index = self.left.iter().position(|entry| entry.key == key)?;
        Some(self.left.remove(index).value)
    }

    /// Takes all keys for which `wanted` holds, in the order written.
    pub(super) fn take_all(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<Entry<'a>> {
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|entry| wanted(entry.key));
        self.left = left;
        taken
    }

    /// The keys not taken yet, in the order written.
    pub(super) fn left(&self) -> &[Entry<'a>] {
        &self.left
    }

    /// Takes a table; an empty one when it is not there.
    pub(super) fn table(&mut self, key: &'static str) -> Table<'a> {
        let (source, at) = (self.source, self.at);
        let empty = || Table { source, at, left: Vec::new(), asked: Vec::new() };
        self.take(key).and_then(Value::table).unwrap_or_else(empty)
    }

    /// Takes a text.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Arc<str>> {
        self.take(key)?.text().map(Arc::from)
    }

    /// Takes a truth value.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.take(key)?.flag()
    }

    /// Takes one of the words given.
    pub(super) fn word<T: Clone>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.take(key)?.word(words)
    }

    /// Takes an integer.
    pub(super) fn integer(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        self.take(key)?.integer(range)
    }

    /// Reports that `key` must be there.
    pub(super) fn missing(&self, key: &str) {
        self.source.error(self.at, format!("\"{key}\" is missing"));
    }

    /// Reports every key that was not taken.
    pub(super) fn finish(self) {
        const SHOWN_MAX: usize = 16;
        for entry in &self.left {
            let key = entry.key;
            entry.error(match nearest(key, self.asked.iter().copied()) {
                Some(known) => format!("unknown key \"{key}\" – did you mean \"{known}\"?"),
                None if self.asked.is_empty() || self.asked.len() > SHOWN_MAX => {
                    format!("unknown key \"{key}\"")
                }
                None => format!("unknown key \"{key}\"; known here: {}", self.asked.join(", ")),
            });
        }
    }
}

impl<'a> Value<'a> {
    /// Reports a mistake in the value.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.source.error(self.at, message);
    }

    /// The value as a table.
    pub(super) fn table(self) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(table) => Some(Table::new(self.source, table, self.at)),
            _ => self.refuse("a table"),
        }
    }

    /// Whether the value is a table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// The elements of a list; a value that is no list is a list of itself.
    pub(super) fn one_or_more(self) -> Vec<Value<'a>> {
        match self.value {
            DeValue::Array(values) => values
                .iter()
                .map(|value| Value { source: self.source, at: value.span().start, value: value.get_ref() })
                .collect(),
            _ => vec![self],
        }
    }

    /// The value as text, not empty.
    pub(super) fn text(self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) if text.trim().is_empty() => {
                self.error("this must not be empty");
                None
            }
            DeValue::String(text) => Some(text.as_ref()),
            _ => self.refuse("a text in quotes"),
        }
    }

    /// The value as text, when it is one; nothing is reported.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            _ => None,
        }
    }

    /// The value as `true` or `false`.
    pub(super) fn flag(self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.refuse("true or false"),
        }
    }

    /// The value, when it is `true` or `false`; nothing is reported.
    pub(super) fn as_flag(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The value as an integer in `range`.
    pub(super) fn integer(self, range: RangeInclusive<i64>) -> Option<i64> {
        let DeValue::Integer(integer) = self.value else {
            return self.refuse("a whole number");
        };
        match i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.error(format!("this must be from {} to {}", range.start(), range.end()));
                None
            }
        }
    }

    /// The value as a bare integer's digits, when it is one; nothing is reported.
    pub(super) fn as_integer_text(&self) -> Option<&'a str> {
        match self.value {
            DeValue::Integer(integer) => Some(integer.as_str()),
            _ => None,
        }
    }

    /// The value as a TOML date or time.
    pub(super) fn datetime(self) -> Option<::toml::value::Datetime> {
        match self.value {
            DeValue::Datetime(datetime) => Some(*datetime),
            _ => self.refuse("a date such as 2027-07-12, without quotes"),
        }
    }

    /// The value as one of the words given.
    pub(super) fn word<T: Clone>(self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(value.clone());
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        self.error(match nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(word) => format!("unknown word \"{text}\" – did you mean \"{word}\"?"),
            None => format!("unknown word \"{text}\": write {}", all.join(", ")),
        });
        None
    }

    /// The value as a secret: `env:NAME`, `file:/path`, or itself, which draws a warning.
    pub(super) fn secret(self) -> Option<Secret> {
        let text = self.text()?;
        if !text.starts_with("env:") && !text.starts_with("file:") {
            let mut literals = self.source.literals.borrow_mut();
            let (at, count) = literals.unwrap_or((self.at, 0));
            *literals = Some((at, count + 1));
            return Some(Secret(text.into()));
        }
        match (self.source.secrets)(text) {
            Ok(secret) => Some(Secret(secret.into())),
            Err(why) => {
                self.error(why);
                None
            }
        }
    }

    /// Reports that something else was expected.
    pub(super) fn refuse<T>(&self, wanted: &str) -> Option<T> {
        self.error(format!("expected {wanted}, found {}", Kind(self.value)));
        None
    }
}

/// Names the kind of a value.
struct Kind<'a>(&'a DeValue<'a>);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a decimal number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        })
    }
}

/// The byte at which `path` stands in `root`: of the value, or of the key when `on_key` holds or the value is
/// a table. What the path leads to may be missing: then the nearest thing above it counts. In a list, a part
/// of the path is found as the element with that text.
pub(super) fn locate(root: &DeTable<'_>, path: &[&str], on_key: bool) -> usize {
    let mut found = 0;
    let mut table = Some(root);
    let mut list = None;
    for part in path {
        if let Some(here) = table {
            let Some((key, value)) = here.get_key_value(*part) else {
                return found;
            };
            table = value.get_ref().as_table();
            list = value.get_ref().as_array();
            found = if on_key || table.is_some() { key.span().start } else { value.span().start };
        } else if let Some(values) = list {
            let element = values.iter().find(|value| value.get_ref().as_str() == Some(*part));
            return element.map_or(found, |value| value.span().start);
        }
    }
    found
}
