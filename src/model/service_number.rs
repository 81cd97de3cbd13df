//! Public numbers by which people serve themselves from their mobiles: `service:login` and its like in `[numbers]`.

use std::fmt;
use std::str::FromStr;

use crate::model::id::LineId;
use crate::model::id::MailboxId;
use crate::model::id::ToggleId;

/// What calling a service number does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceNumber {
    /// `service:menu`: the others, by key.
    Menu,
    /// `service:login`, `service:login:queue:salg`.
    Login(Option<LineId>),
    /// `service:logout`, likewise.
    Logout(Option<LineId>),
    /// `service:pause`
    Pause,
    /// `service:unpause`
    Unpause,
    /// `service:wrap-up-end`
    WrapUpEnd,
    /// `service:wrap-up-extend`
    WrapUpExtend,
    /// `service:toggle:natt`
    Toggle(ToggleId),
    /// `service:voicemail`, `service:voicemail:felles`
    Voicemail(Option<MailboxId>),
}

/// What is wrong with the text of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoService {
    /// There is no such word.
    #[error(
        "unknown service \"{0}\": write one of menu, login, logout, pause, unpause, wrap-up-end, wrap-up-extend, toggle:ID, voicemail"
    )]
    Unknown(String),
    /// Nothing may follow the word, or something must.
    #[error("service \"{0}\" is written {1}")]
    Argument(String, &'static str),
}

impl FromStr for ServiceNumber {
    type Err = NoService;

    /// Reads what stands after `service:`.
    fn from_str(text: &str) -> Result<ServiceNumber, NoService> {
        let (word, rest) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
        let wrong = |form| NoService::Argument(word.to_owned(), form);
        let line = |form| match rest.map(|rest| rest.split_once(':')) {
            None => Ok(None),
            Some(Some(("queue", id))) => Ok(Some(LineId::Queue(id.into()))),
            Some(Some(("group", id))) => Ok(Some(LineId::Group(id.into()))),
            Some(_) => Err(wrong(form)),
        };
        match (word, rest) {
            ("login", _) => Ok(ServiceNumber::Login(line("service:login, or service:login:queue:ID")?)),
            ("logout", _) => Ok(ServiceNumber::Logout(line("service:logout, or service:logout:queue:ID")?)),
            ("toggle", Some(id)) => Ok(ServiceNumber::Toggle(id.into())),
            ("toggle", None) => Err(wrong("service:toggle:ID")),
            ("voicemail", id) => Ok(ServiceNumber::Voicemail(id.map(MailboxId::from))),
            ("menu", None) => Ok(ServiceNumber::Menu),
            ("pause", None) => Ok(ServiceNumber::Pause),
            ("unpause", None) => Ok(ServiceNumber::Unpause),
            ("wrap-up-end", None) => Ok(ServiceNumber::WrapUpEnd),
            ("wrap-up-extend", None) => Ok(ServiceNumber::WrapUpExtend),
            ("menu" | "pause" | "unpause" | "wrap-up-end" | "wrap-up-extend", Some(_)) => {
                Err(wrong("without anything behind it"))
            }
            _ => Err(NoService::Unknown(word.to_owned())),
        }
    }
}

impl fmt::Display for ServiceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("service:")?;
        match self {
            ServiceNumber::Menu => f.write_str("menu"),
            ServiceNumber::Login(None) => f.write_str("login"),
            ServiceNumber::Login(Some(line)) => write!(f, "login:{line}"),
            ServiceNumber::Logout(None) => f.write_str("logout"),
            ServiceNumber::Logout(Some(line)) => write!(f, "logout:{line}"),
            ServiceNumber::Pause => f.write_str("pause"),
            ServiceNumber::Unpause => f.write_str("unpause"),
            ServiceNumber::WrapUpEnd => f.write_str("wrap-up-end"),
            ServiceNumber::WrapUpExtend => f.write_str("wrap-up-extend"),
            ServiceNumber::Toggle(id) => write!(f, "toggle:{id}"),
            ServiceNumber::Voicemail(None) => f.write_str("voicemail"),
            ServiceNumber::Voicemail(Some(id)) => write!(f, "voicemail:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_printed_as_it_was_written_and_nonsense_is_refused() {
        let written = [
            "menu",
            "login",
            "login:queue:salg",
            "logout:group:lager",
            "pause",
            "unpause",
            "wrap-up-end",
            "toggle:natt",
            "voicemail",
            "voicemail:felles",
        ];
        for text in written {
            assert_eq!(text.parse::<ServiceNumber>().unwrap().to_string(), format!("service:{text}"));
        }
        for text in ["", "log-in", "login:salg", "login:user:kari", "toggle", "pause:lunsj"] {
            assert!(text.parse::<ServiceNumber>().is_err(), "{text}");
        }
    }
}
