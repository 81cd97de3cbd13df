//! How long a recording is, from its file alone: for one that a crash has left.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use crate::shell::media::recorder::HEADER_BYTES;

/// A page of Ogg is 65,307 octets at most (RFC 3533 §6): so much of the end holds a whole one, cut or not.
const TAIL: u64 = 2 * 65_307;

/// The length of a WAV as the recorder writes it, or of Opus in Ogg, up to the last whole second.
///
/// # Errors
/// When it cannot be read, or is neither.
pub fn length(path: &Path) -> io::Result<Duration> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = [0; HEADER_BYTES as usize];
    file.read_exact_at(&mut head, 0)?;
    match &head[..4] {
        b"RIFF" => wav(&head, size),
        b"OggS" => {
            let from = size.saturating_sub(TAIL);
            let mut tail = vec![0; usize::try_from(size - from).unwrap_or_default()];
            file.read_exact_at(&mut tail, from)?;
            opus(&head, &tail)
        }
        _ => None,
    }
    .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "neither WAV nor Opus in Ogg"))
}

/// By its header, and no longer than the file.
fn wav(head: &[u8; HEADER_BYTES as usize], size: u64) -> Option<Duration> {
    let word = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let bytes = u64::from(word(40)?).min(size.saturating_sub(HEADER_BYTES));
    let a_second = u64::from(word(28)?);
    let micros = (bytes * 1_000_000).checked_div(a_second)?;
    Some(Duration::from_micros(micros))
}

/// The page that begins here, if all of it is here (RFC 3533 §6: 27 octets, the segment table, the segments).
fn whole(page: &[u8]) -> Option<&[u8]> {
    let table = page.get(27..27 + usize::from(*page.get(26)?))?;
    page.get(..27 + table.len() + table.iter().map(|segment| usize::from(*segment)).sum::<usize>())
}

/// The position of the last page (RFC 7845 §4), less what readers leave out of the beginning.
fn opus(head: &[u8], tail: &[u8]) -> Option<Duration> {
    // RFC 3533 §6: 27 octets and a segment table of one come before the head of the first page; §5.1 of RFC 7845 has
    // the pre-skip behind magic, version and channels.
    let packet = head.get(28..)?.strip_prefix(b"OpusHead")?;
    let skip = u64::from(u16::from_le_bytes(*packet.get(2..)?.first_chunk()?));
    let mut pages = (0..tail.len()).rev().map(|at| &tail[at..]).filter(|rest| rest.starts_with(b"OggS\0"));
    // What a crash has cut off is no page.
    let page = pages.find(|page| whole(page).is_some())?;
    let position = u64::from_le_bytes(*page.get(6..)?.first_chunk()?);
    Some(Duration::from_micros(position.saturating_sub(skip) * 1_000_000 / 48_000))
}
