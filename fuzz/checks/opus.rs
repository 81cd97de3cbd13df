//! Any octets as a line of Opus packets, at each rate: nothing panics whatever is decoded, concealed and corrected in
//! whatever order, and a packet is as long as its first octets say, or nothing.

use sentral::media::codec::Lost;
use sentral::media::codec::opus;
use sentral::media::codec::opus::Decoder;

/// The rate; then what is done, how long the packet is, and the packet.
pub(crate) fn opus(octets: &[u8]) {
    let Some((rate, mut rest)) = octets.split_first() else { return };
    let rate = [8000, 16_000, 48_000][usize::from(*rate) % 3];
    let mut decoder = Decoder::new(rate);
    let mut out = [0; 5760];
    while let [what, length, behind @ ..] = rest {
        let (packet, next) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = next;
        let frame = rate as usize / 1000 * [10, 20, 40, 60][usize::from(*what >> 2) % 4];
        match what % 4 {
            0 | 1 => {
                let count = decoder.decode(packet, &mut out);
                let units = opus::units(packet).unwrap_or(0);
                assert!(count == 0 || count as u32 * 48_000 == units * rate, "{count} of {units}");
            }
            2 => decoder.conceal(Lost::Conceal, &mut out[..frame]),
            _ => decoder.conceal(Lost::Correct(packet), &mut out[..frame]),
        }
    }
}
