//! Waiting messages (RFC 3842 §5.2): the lamp of a voicemail box. Only voice messages are told, none is urgent.

/// What lies in the boxes that a lamp stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// URI of the account.
    pub(crate) account: String,
    /// Messages that nobody has heard.
    pub(crate) new: u32,
    /// All others.
    pub(crate) old: u32,
}

/// Writes the summary.
pub(crate) fn write(summary: &Summary) -> String {
    let Summary { account, new, old } = summary;
    let waiting = if *new > 0 { "yes" } else { "no" };
    // The account came out of a URI: nothing in it can end a line.
    format!(
        "Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\nVoice-Message: {new}/{old} (0/0)\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_whether_and_how_many() {
        let account = "sip:kari@a.example".to_owned();
        assert_eq!(
            write(&Summary { account: account.clone(), new: 2, old: 1 }),
            "Messages-Waiting: yes\r\nMessage-Account: sip:kari@a.example\r\nVoice-Message: 2/1 (0/0)\r\n"
        );
        assert!(write(&Summary { account, new: 0, old: 3 }).starts_with("Messages-Waiting: no\r\n"));
    }
}
