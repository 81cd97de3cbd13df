//! Reads what a device publishes of its user: basic status, note and activity out of a PIDF document (RFC 3863 §4,
//! RFC 4480 §3.2).
//!
//! No XML library: one pass over at most [`SIZE_MAX`] bytes, without recursion, entities of its own, or anything
//! fetched. Namespaces are not resolved: elements are known by their local names. All else is passed over.

use crate::switch::event::presence::Activity;

/// Longest document that is read.
pub(crate) const SIZE_MAX: usize = 8 * 1024;
/// Elements within each other.
const DEPTH_MAX: usize = 24;
/// Elements in all.
const ELEMENTS_MAX: usize = 400;
/// Characters of a note.
const NOTE_MAX: usize = 200;

/// What a device says of its user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Published {
    /// Whether calls are welcome; open when any tuple is.
    pub(crate) open: Option<bool>,
    /// The first activity that says something about calls.
    pub(crate) activity: Option<Activity>,
    /// The first note.
    pub(crate) note: Option<String>,
}

/// Reads a document; none when it is no PIDF that we would believe.
pub(crate) fn read(body: &[u8]) -> Option<Published> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= SIZE_MAX)?;
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut open: Vec<&str> = Vec::new();
    let (mut published, mut elements, mut rooted) = (Published::default(), 0, false);
    while let Some(at) = rest.find('<') {
        let (before, markup) = rest.split_at(at);
        take_text(&mut published, &open, before)?;
        if let Some(after) = skipped(markup) {
            rest = after?;
            continue;
        }
        let end = tag_end(markup)?;
        let tag = &markup[1..end];
        rest = &markup[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            // What is closed must be what was opened last.
            if open.pop()? != name.trim_end() {
                return None;
            }
            continue;
        }
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split([' ', '\t', '\r', '\n']).next().filter(|name| !name.is_empty())?;
        elements += 1;
        let second_root = open.is_empty() && rooted;
        if elements > ELEMENTS_MAX || open.len() >= DEPTH_MAX || second_root {
            return None;
        }
        if open.is_empty() && local(name) != "presence" {
            return None;
        }
        rooted = true;
        let parent = open.last().map(|parent| local(parent));
        if parent == Some("activities") {
            published.activity = published.activity.or_else(|| Activity::of_element(local(name)));
        }
        if !empty {
            open.push(name);
        }
    }
    (rooted && open.is_empty() && rest.trim().is_empty()).then_some(published)
}

/// What follows a comment or processing instruction that `markup` begins with; the inner `None` is a document that
/// is not believed: no DOCTYPE, no CDATA, nothing that does not end.
fn skipped(markup: &str) -> Option<Option<&str>> {
    let after =
        |opened: &str, closing: &str| markup.get(opened.len()..)?.split_once(closing).map(|(_, after)| after);
    if markup.starts_with("<?") {
        return Some(after("<?", "?>"));
    }
    if markup.starts_with("<!--") {
        return Some(after("<!--", "-->"));
    }
    markup.starts_with("<!").then_some(None)
}

/// Where the `>` of a tag is; those in quotes are none.
fn tag_end(markup: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in markup.bytes().enumerate() {
        match (byte, quote) {
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            (b'>', None) => return Some(at),
            _ => {}
        }
    }
    None
}

/// Takes the text of the innermost element; `None` when it holds an entity that XML does not define by itself.
fn take_text(published: &mut Published, open: &[&str], text: &str) -> Option<()> {
    let text = text.trim();
    if text.is_empty() {
        return Some(());
    }
    match open.last().map(|name| local(name)) {
        Some("basic") => match text {
            "open" => published.open = Some(true),
            "closed" => published.open = published.open.or(Some(false)),
            _ => return None,
        },
        Some("note") if published.note.is_none() => {
            let note: String = unescape(text)?.chars().filter(|c| !c.is_control()).take(NOTE_MAX).collect();
            published.note = (!note.is_empty()).then_some(note);
        }
        // Text outside of the root is no XML.
        None => return None,
        Some(_) => {}
    }
    Some(())
}

/// Puts back the five characters that XML defines, and those given by number (XML 1.0 §4.1, §4.6).
fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, after) = after.split_once(';')?;
        let by_number = || {
            let digits = entity.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)
        };
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => by_number()?,
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

/// A name without its namespace's prefix.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUBLISHED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" xmlns:r=\"urn:ietf:params:xml:ns:pidf:rpid\"\n\
         entity='sip:kari@a.example'>\n<!-- <basic>closed</basic> -->\n\
        <tuple id=\"a>b\"><status><basic>open</basic></status><note xml:lang=\"nb\">Rom 3 &amp; 4 &#x3c;3</note></tuple>\n\
        <p:person id=\"p\"><r:activities><r:unknown/><r:meeting/><r:away/></r:activities></p:person>\n\
        </presence>\n";

    #[test]
    fn status_note_and_activity_are_read() {
        let expect = Published {
            open: Some(true),
            activity: Some(Activity::Meeting),
            note: Some("Rom 3 & 4 <3".into()),
        };
        assert_eq!(read(PUBLISHED.as_bytes()), Some(expect));
        let closed = "<presence><tuple><status><basic> closed </basic></status></tuple></presence>";
        assert_eq!(read(closed.as_bytes()).unwrap().open, Some(false));
        assert_eq!(read(b"<presence/>"), Some(Published::default()));
        // What writes documents here is read here.
        let own = crate::switch::event::presence::Presence {
            open: false,
            activity: Activity::Busy,
            note: Some("\"<&>\"".into()),
        };
        let read = read(crate::switch::event::presence::write("sip:a@a.example", &own).as_bytes()).unwrap();
        assert_eq!((read.open, read.activity), (Some(false), Some(Activity::Busy)));
        assert_eq!(read.note.as_deref(), Some("\"<&>\""));
    }

    #[test]
    fn hostile_documents_are_not_believed() {
        let deep = format!("<presence>{}{}</presence>", "<a>".repeat(30), "</a>".repeat(30));
        let many = format!("<presence>{}</presence>", "<a/>".repeat(500));
        let long = format!("<presence><note>{}</note></presence>", "x".repeat(SIZE_MAX));
        let rows = [
            "",
            "open",
            "<presence>",
            "<presence></tuple>",
            "<other/>",
            "<presence/><presence/>",
            "<presence/>rest",
            "<presence><basic>maybe</basic></presence>",
            "<presence a=\"",
            "<presence><!-- </presence>",
            "<!DOCTYPE p [<!ENTITY a \"b\">]><presence/>",
            "<presence><note>&a;</note></presence>",
            "<presence><note>&#xd800;</note></presence>",
            "<presence><![CDATA[<basic>]]></presence>",
            &*deep,
            &*many,
            &*long,
        ];
        for row in rows {
            assert_eq!(read(row.as_bytes()), None, "{}", &row[..row.len().min(60)]);
        }
        assert_eq!(read(b"<presence>\xff</presence>"), None);
        let note = format!("<presence><note>{}</note></presence>", "ø".repeat(500));
        assert_eq!(read(note.as_bytes()).unwrap().note.unwrap().chars().count(), NOTE_MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_bring_the_reader_down(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0..PUBLISHED.len(),
            with in "[<>/&;!?\"' a-e]{0,12}",
        ) {
            let _ = read(&bytes);
            let mut text = PUBLISHED.as_bytes().to_vec();
            text.splice(cut..(cut + 3).min(PUBLISHED.len()), with.bytes());
            let _ = read(&text);
        }
    }
}
