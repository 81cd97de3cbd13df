//! The headers of a message, in order, and typed views of their values: one file a kind of value.

pub mod auth;
pub mod cseq;
pub mod event;
pub mod name;
pub mod name_addr;
pub mod rack;
pub mod reason;
pub mod replaces;
pub mod session_expires;
pub mod via;

use std::borrow::Cow;

use bytes::Bytes;

pub use crate::sip::header::auth::Algorithm;
pub use crate::sip::header::auth::Challenge;
pub use crate::sip::header::auth::Credentials;
pub use crate::sip::header::cseq::CSeq;
pub use crate::sip::header::event::SubscriptionState;
pub use crate::sip::header::name::Name;
pub use crate::sip::header::name_addr::Contacts;
pub use crate::sip::header::name_addr::NameAddr;
pub use crate::sip::header::rack::RAck;
pub use crate::sip::header::reason::Reason;
pub use crate::sip::header::replaces::Replaces;
pub use crate::sip::header::session_expires::Refresher;
pub use crate::sip::header::session_expires::SessionExpires;
pub use crate::sip::header::via::Via;
pub use crate::sip::value::Params;

use crate::sip::value;

/// Headers in order. Values are unfolded and trimmed octets, usually slices of the datagram.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(Name, Bytes)>);

impl Headers {
    /// None.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// None, with room for `count`.
    pub fn with_capacity(count: usize) -> Headers {
        Headers(Vec::with_capacity(count))
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: Name, value: impl Into<Bytes>) {
        self.0.push((name, value.into()));
    }

    /// Adds a header before all others.
    pub fn push_front(&mut self, name: Name, value: impl Into<Bytes>) {
        self.0.insert(0, (name, value.into()));
    }

    /// Gives the first header of this name the value, or adds it at the end; further ones are removed.
    pub fn set(&mut self, name: Name, value: impl Into<Bytes>) {
        let Some(at) = self.0.iter().position(|(other, _)| other.is(&name)) else {
            return self.push(name, value);
        };
        self.0[at].1 = value.into();
        let mut index = 0;
        self.0.retain(|(other, _)| {
            index += 1;
            index - 1 <= at || !other.is(&name)
        });
    }

    /// The value of the first header of this name.
    pub fn get(&self, name: &Name) -> Option<Cow<'_, str>> {
        self.raw(name).next().map(|value| String::from_utf8_lossy(value))
    }

    /// The values of all headers of this name, in order; comma lists are not split.
    pub fn all(&self, name: &Name) -> impl Iterator<Item = Cow<'_, str>> {
        self.raw(name).map(|value| String::from_utf8_lossy(value))
    }

    /// The octets of all headers of this name, in order.
    pub fn raw(&self, name: &Name) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(move |(other, _)| other.is(name)).map(|(_, value)| value)
    }

    /// The elements of all headers of this name that are comma lists, each read by `parse`.
    pub fn values<T, E>(
        &self,
        name: &Name,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> impl Iterator<Item = Result<T, E>> {
        self.all(name).flat_map(move |value| value::list(&value).map(&parse).collect::<Vec<_>>())
    }

    /// Removes all headers of this name; tells whether there were any.
    pub fn remove(&mut self, name: &Name) -> bool {
        let before = self.0.len();
        self.0.retain(|(other, _)| !other.is(name));
        self.0.len() < before
    }

    /// Whether there is a header of this name.
    pub fn contains(&self, name: &Name) -> bool {
        self.0.iter().any(|(other, _)| other.is(name))
    }

    /// Names and octets in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Bytes)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// How many headers there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads seconds: `Expires` and its kind. What is malformed or exceeds 2³²−1 counts as 3600 (RFC 3261 §10.2.1.1,
/// RFC 4475 §3.1.2.4).
pub fn delta_seconds(text: &str) -> u32 {
    const DEFAULT: u32 = 3600;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().unwrap_or(DEFAULT) } else { DEFAULT }
}
