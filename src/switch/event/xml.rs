//! The one place that puts text into XML.

/// Text as it may stand in an element or in a quoted attribute. Characters that XML 1.0 §2.2 has no place for are
/// left out.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_person_may_write_ends_an_element_or_an_attribute() {
        assert_eq!(escape("Blåbær & <Sønn> \"A's\""), "Blåbær &amp; &lt;Sønn&gt; &quot;A&apos;s&quot;");
        assert_eq!(escape("a\r\nb\0c\u{1b}d\u{ffff}"), "a  bcd");
    }
}
