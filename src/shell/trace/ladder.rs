//! A ladder: who sends what to whom, a column for each participant and a line for each message.
//!
//! ```text
//!                  trunk linje              sentral                   anna
//! 12:00:00.000          │──── INVITE ──────────►│                       │            1 INVITE
//! 12:00:00.001          │◄── 100 Trying ────────│                       │            1 INVITE
//! 12:00:00.004          │                       │──── INVITE ──────────►│            1 INVITE
//! ```

use std::net::SocketAddr;

use jiff::tz::TimeZone;

use crate::shell::trace::view::Page;
use crate::shell::trace::view::View;

/// Signs from one column to the next.
const STEP: usize = 26;
/// Signs before the first column's line.
const LEFT: usize = 24;
/// Columns of their own; messages of further participants are shown by address.
const COLUMNS_MAX: usize = 8;
/// Where we stand: behind the first participant.
const OURS: usize = 1;

/// The ladder, with each message whole below its line when `full`.
pub fn draw(page: &Page, zone: &TimeZone, full: bool) -> String {
    let mut remotes: Vec<SocketAddr> = Vec::new();
    for message in &page.messages {
        if !remotes.contains(&message.remote) && remotes.len() + 1 < COLUMNS_MAX {
            remotes.push(message.remote);
        }
    }
    let count = remotes.len() + 1;
    let mut names = vec![String::new(); count];
    let mut addresses = vec![String::new(); count];
    for (at, remote) in remotes.iter().enumerate() {
        let column = column_of(at);
        let address = remote.to_string();
        names[column] = name(page, *remote).unwrap_or_else(|| address.clone());
        if names[column] != address {
            addresses[column] = address;
        }
    }
    if let Some(ours) = names.get_mut(OURS) {
        *ours = "sentral".into();
    }
    let mut out = headings(&names);
    if addresses.iter().any(|address| !address.is_empty()) {
        out.push_str(&headings(&addresses));
    }
    for message in &page.messages {
        let time = message.at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string();
        match remotes.iter().position(|remote| *remote == message.remote) {
            Some(at) => out.push_str(&rung(&time, message, column_of(at), count)),
            None => out.push_str(&line(page, message, zone)),
        }
        if full {
            out.push_str(&whole(message));
        }
    }
    out
}

/// One message as a line of its own.
pub fn line(page: &Page, message: &View, zone: &TimeZone) -> String {
    let time = message.at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string();
    let them = match name(page, message.remote) {
        Some(name) => format!("{name} {}", message.remote),
        None => message.remote.to_string(),
    };
    let arrow = if message.incoming { "─►" } else { "◄─" };
    let View { what, cseq, call_id, transport, .. } = message;
    format!("{time}  {transport} {them} {arrow} sentral  {what}  ({cseq})  {call_id}\n")
}

/// The message itself, moved in.
pub fn whole(message: &View) -> String {
    let mut out = String::new();
    for line in message.text.lines() {
        out.push_str(format!("    {}", shown(line)).trim_end());
        out.push('\n');
    }
    out.push('\n');
    out
}

/// The column of the n-th remote address.
fn column_of(at: usize) -> usize {
    if at < OURS { at } else { at + 1 }
}

/// Who is at an address, when the core has told: the party of a leg whose messages go there.
fn name(page: &Page, remote: SocketAddr) -> Option<String> {
    let mut there = page.messages.iter().filter(|message| message.remote == remote);
    there.find_map(|message| {
        let leg = page.legs.iter().find(|leg| *leg.call_id == *message.call_id)?;
        (!leg.party.is_empty()).then(|| shown(&leg.party))
    })
}

fn headings(names: &[String]) -> String {
    let mut text = vec![' '; LEFT + STEP * names.len()];
    for (column, name) in names.iter().enumerate() {
        let signs: Vec<char> = name.chars().take(STEP - 2).collect();
        let start = (LEFT + STEP * column).saturating_sub(signs.len() / 2);
        text[start..start + signs.len()].copy_from_slice(&signs);
    }
    let text: String = text.into_iter().collect();
    format!("{}\n", text.trim_end())
}

fn rung(time: &str, message: &View, remote: usize, columns: usize) -> String {
    let mut text = vec![' '; LEFT + STEP * (columns - 1) + 1];
    for (at, sign) in time.chars().enumerate() {
        text[at] = sign;
    }
    for column in 0..columns {
        text[LEFT + STEP * column] = '│';
    }
    let (left, right) = (LEFT + STEP * remote.min(OURS) + 1, LEFT + STEP * remote.max(OURS));
    text[left..right].fill('─');
    // To the right when what is on the left sends: we, or they.
    if message.incoming == (remote < OURS) {
        text[right - 1] = '►';
    } else {
        text[left] = '◄';
    }
    let label: Vec<char> = format!(" {} ", shown(&message.what)).chars().take(STEP - 5).collect();
    let start = left + (right - left - label.len()) / 2;
    text[start..start + label.len()].copy_from_slice(&label);
    let text: String = text.into_iter().collect();
    format!("{}\n", format!("{text}   {}", shown(&message.cseq)).trim_end())
}

/// What strangers wrote, without signs that move a terminal's cursor.
fn shown(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() && sign != '\t' { '·' } else { sign }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::trace::ring::Leg;

    fn message(seq: u64, incoming: bool, remote: &str, what: &str, call_id: &str) -> View {
        View {
            seq,
            at: format!("2027-05-17T10:00:00.{seq:03}Z").parse().unwrap(),
            incoming,
            transport: "UDP".into(),
            local: "127.0.0.1:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
            what: what.into(),
            cseq: "1 INVITE".into(),
            call_id: call_id.into(),
            text: "INVITE\r\n\u{1b}[2J\r\n".into(),
        }
    }

    #[test]
    fn participants_are_columns_and_messages_lines() {
        let leg = |call_id: &str, party: &str| Leg {
            call: "0-1".parse().unwrap(),
            call_id: call_id.into(),
            party: party.into(),
        };
        let page = Page {
            messages: vec![
                message(1, true, "127.0.0.2:5060", "INVITE", "a"),
                message(2, false, "127.0.0.2:5060", "100 Trying", "a"),
                message(3, false, "127.0.0.1:5070", "INVITE", "b"),
                message(4, true, "127.0.0.1:5070", "200 OK", "b"),
                message(5, true, "127.0.0.1:5080", "OPTIONS", "c"),
            ],
            legs: vec![leg("a", "trunk linje"), leg("b", "anna")],
            next: 6,
        };
        let expected = "                   trunk linje                 sentral                    anna                 127.0.0.1:5080
                 127.0.0.2:5060                                      127.0.0.1:5070
10:00:00.001            │──────── INVITE ────────►│                         │                         │   1 INVITE
10:00:00.002            │◄───── 100 Trying ───────│                         │                         │   1 INVITE
10:00:00.003            │                         │──────── INVITE ────────►│                         │   1 INVITE
10:00:00.004            │                         │◄─────── 200 OK ─────────│                         │   1 INVITE
10:00:00.005            │                         │◄──────────────────── OPTIONS ─────────────────────│   1 INVITE
";
        let drawn = draw(&page, &TimeZone::UTC, false);
        assert_eq!(drawn, expected, "\n{drawn}");
        let full = draw(&page, &TimeZone::UTC, true);
        // Whatever a stranger sends, the terminal stays where it is.
        assert!(full.contains("    ·[2J\n") && !full.contains('\u{1b}'), "{full}");
    }

    #[test]
    fn more_participants_than_columns_are_shown_by_address() {
        let messages = (0..20_u16)
            .map(|n| message(n.into(), true, &format!("127.0.0.2:{}", 6_000 + n), "INVITE", "a"))
            .collect();
        let page = Page { messages, ..Page::default() };
        let drawn = draw(&page, &TimeZone::UTC, false);
        assert_eq!(drawn.lines().count(), 21);
        assert!(drawn.lines().last().unwrap().contains("UDP 127.0.0.2:6019 ─► sentral  INVITE"), "{drawn}");
        assert_eq!(draw(&Page::default(), &TimeZone::UTC, false), headings(&[String::new()]));
    }
}
