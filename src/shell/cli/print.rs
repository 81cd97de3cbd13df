//! Writing answers: aligned tables for people, JSON for programs. A reader who has gone away ends the program, and is no error.

use std::io;
use std::io::Write as _;

use anyhow::Context as _;

use crate::shell::cli::Failure;

/// Writes text to standard output.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    let written = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::Error(anyhow::Error::new(error).context("cannot write to standard output")),
    })
}

/// Writes a value as JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut out = serde_json::to_string_pretty(value).context("cannot write the answer as JSON")?;
    out.push('\n');
    text(&out)
}

/// Columns under their headings, two spaces apart; `empty` when there are no rows.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]], empty: &str) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.to_vec()).collect();
    columns(&headings.map(str::to_owned), &rows, empty)
}

/// As [`table`], with as many columns as there are headings.
pub(super) fn columns(headings: &[String], rows: &[Vec<String>], empty: &str) -> String {
    if rows.is_empty() {
        return format!("{empty}\n");
    }
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let mut line = |cells: &[String]| {
        let mut text = String::new();
        for (cell, &width) in cells.iter().zip(&widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(headings);
    for row in rows {
        line(row);
    }
    out
}

/// Seconds as `4:05` or `1:04:05`.
pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A share in per cent, or a dash where there is nothing to share.
pub(super) fn share(of: Option<f64>) -> String {
    of.map_or_else(|| "-".into(), |of| format!("{:.1} %", of * 100.0))
}

/// The text, or a dash for nothing.
pub(super) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["kø".to_owned(), "1".to_owned()], ["resepsjon".to_owned(), "22".to_owned()]];
        assert_eq!(table(["NAME", "N"], &rows, "none"), "NAME       N\nkø         1\nresepsjon  22\n");
        assert_eq!(table(["NAME", "N"], &[], "none"), "none\n");
    }

    #[test]
    fn seconds_are_shown_as_on_a_clock() {
        for (seconds, expected) in [(0, "0:00"), (65, "1:05"), (3_599, "59:59"), (3_661, "1:01:01")] {
            assert_eq!(clock(seconds), expected);
        }
    }
}
