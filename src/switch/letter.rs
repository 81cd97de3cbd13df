//! The mail about a voicemail message, in Norwegian and English: what it says, and what goes with it. Pure functions;
//! sending is `shell::mail`.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::model::company::Company;
use crate::model::mailbox::Mailbox;
use crate::model::mailbox::Message;
use crate::model::number;
use crate::model::server::Language;
use crate::model::server::MailServer;
use crate::switch::mailbox;

/// A mail to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Through whom.
    pub server: Arc<MailServer>,
    /// To whom.
    pub to: Arc<str>,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The recording under the data folder, when it goes along.
    pub audio: Option<Arc<str>>,
}

/// The mail about a message; none when the box has no address.
pub fn write(server: &Arc<MailServer>, company: &Company, of: &Mailbox, message: &Message) -> Option<Letter> {
    let to = of.email.clone()?;
    let owner = mailbox::user_of(&message.mailbox.mailbox).and_then(|user| company.users.get(user));
    let language = owner.map_or(company.language, |user| user.language);
    let zone = TimeZone::get(&company.zone).unwrap_or(TimeZone::UTC);
    let at = message.at.to_zoned(zone);
    let (date, time) = (at.strftime("%d.%m.%Y"), at.strftime("%H:%M"));
    let seconds = message.length_ms.div_ceil(1000);
    let from = message.from.as_ref().map(number::pretty);
    let name = one_line(&of.name);
    let (subject, text) = match language {
        Language::Nb => {
            let from = from.unwrap_or_else(|| "skjult eller ukjent nummer".into());
            (
                format!("Talebeskjed fra {from} til {name}"),
                format!(
                    "Du har fått en talebeskjed.\n\nPostkasse: {name}\nFra: {from}\nMottatt: {date} kl. {time}\nLengde: {seconds} sekunder\n"
                ),
            )
        }
        Language::En => {
            let from = from.unwrap_or_else(|| "a hidden or unknown number".into());
            (
                format!("Voice message from {from} to {name}"),
                format!(
                    "You have a new voice message.\n\nMailbox: {name}\nFrom: {from}\nReceived: {date} at {time}\nLength: {seconds} seconds\n"
                ),
            )
        }
    };
    let audio = of.email_audio.then(|| mailbox::file_of(&message.id));
    Some(Letter { server: Arc::clone(server), to, subject, text, audio })
}

/// Names come from files that people write.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}
