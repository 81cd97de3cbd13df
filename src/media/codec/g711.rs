//! G.711 A-law and µ-law (ITU-T G.711, RFC 3551 §4.5.14): 8-bit logarithmic samples at 8 kHz, by table.

/// A-law's smallest positive value, the usual silence.
pub const ALAW_SILENCE: u8 = 0xD5;

/// µ-law's zero.
pub const ULAW_SILENCE: u8 = 0xFF;

static FROM_ALAW: [i16; 256] = table_alaw();
static FROM_ULAW: [i16; 256] = table_ulaw();
static ALAW_TO_ULAW: [u8; 256] = table_alaw_to_ulaw();
static ULAW_TO_ALAW: [u8; 256] = table_ulaw_to_alaw();

/// Decodes one A-law byte to 16 bits.
pub fn decode_alaw(byte: u8) -> i16 {
    FROM_ALAW[usize::from(byte)]
}

/// Decodes one µ-law byte to 16 bits.
pub fn decode_ulaw(byte: u8) -> i16 {
    FROM_ULAW[usize::from(byte)]
}

/// The µ-law byte nearest to an A-law byte.
pub fn alaw_to_ulaw(byte: u8) -> u8 {
    ALAW_TO_ULAW[usize::from(byte)]
}

/// The A-law byte nearest to a µ-law byte.
pub fn ulaw_to_alaw(byte: u8) -> u8 {
    ULAW_TO_ALAW[usize::from(byte)]
}

/// Encodes a 16-bit sample as A-law.
pub const fn encode_alaw(sample: i16) -> u8 {
    // Sign, three bits of segment, four bits of step, over 12 bits of magnitude; even bits are inverted.
    let (mask, magnitude) = if sample >= 0 { (0xD5, sample >> 3) } else { (0x55, !(sample >> 3)) };
    let magnitude = magnitude as u32;
    let code = if magnitude < 32 {
        magnitude >> 1
    } else {
        let segment = 27 - magnitude.leading_zeros(); // 1 for 32..64, 7 for 2048..4096
        (segment << 4) | ((magnitude >> segment) & 0x0F)
    };
    code as u8 ^ mask
}

/// Encodes a 16-bit sample as µ-law.
pub const fn encode_ulaw(sample: i16) -> u8 {
    let mask = if sample >= 0 { 0xFF } else { 0x7F };
    let magnitude = (sample as i32 >> 2).abs();
    let biased = (if magnitude > 8158 { 8158 } else { magnitude } + 33) as u32;
    let segment = 26 - biased.leading_zeros(); // 0 for 33..64, 7 for 4096..8192
    ((segment << 4) | ((biased >> (segment + 1)) & 0x0F)) as u8 ^ mask
}

const fn table_alaw() -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let code = byte as u8 ^ 0x55;
        let segment = (code >> 4) & 7;
        let step = ((code & 0x0F) as i16) << 4;
        let magnitude = if segment == 0 { step + 8 } else { (step + 0x108) << (segment - 1) };
        table[byte] = if code & 0x80 != 0 { magnitude } else { -magnitude };
        byte += 1;
    }
    table
}

const fn table_ulaw() -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let code = !(byte as u8);
        let magnitude = (((((code & 0x0F) as i32) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84;
        table[byte] = if code & 0x80 != 0 { -magnitude as i16 } else { magnitude as i16 };
        byte += 1;
    }
    table
}

const fn table_alaw_to_ulaw() -> [u8; 256] {
    let from = table_alaw();
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = encode_ulaw(from[byte]);
        byte += 1;
    }
    table
}

const fn table_ulaw_to_alaw() -> [u8; 256] {
    let from = table_ulaw();
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = encode_alaw(from[byte]);
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use audio_codec::Decoder as _;

    #[test]
    fn every_byte_survives_decoding_and_encoding() {
        for byte in 0..=255u8 {
            assert_eq!(encode_alaw(decode_alaw(byte)), byte, "A-law {byte:#04x}");
            // µ-law has two zeros: negative zero comes back as the positive one.
            let expect = if byte == 0x7F { 0xFF } else { byte };
            assert_eq!(encode_ulaw(decode_ulaw(byte)), expect, "µ-law {byte:#04x}");
        }
    }

    #[test]
    fn decoding_agrees_with_another_implementation() {
        let all: Vec<u8> = (0..=255).collect();
        let alaw: Vec<i16> = all.iter().map(|b| decode_alaw(*b)).collect();
        let ulaw: Vec<i16> = all.iter().map(|b| decode_ulaw(*b)).collect();
        assert_eq!(alaw, audio_codec::pcma::PcmaDecoder::new().decode(&all));
        assert_eq!(ulaw, audio_codec::pcmu::PcmuDecoder::new().decode(&all));
    }

    #[test]
    fn every_sample_is_encoded_to_a_neighbouring_value() {
        for sample in (i16::MIN..=i16::MAX).step_by(7) {
            let room = (i32::from(sample).abs() / 16).max(16);
            for decoded in [decode_alaw(encode_alaw(sample)), decode_ulaw(encode_ulaw(sample))] {
                let error = (i32::from(decoded) - i32::from(sample)).abs();
                assert!(error <= room, "{sample} became {decoded}");
            }
        }
    }
}
