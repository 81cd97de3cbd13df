//! Our Opus beside that of libopus (`opusenc`, `opusdec` of the package opus-tools): each decodes what the other encodes,
//! and both decoders give the same. RFC 6716 §6.1 asks no decoder for the very bits, but for a quality of at least 0 by
//! `opus_compare`; we ask for more, and for a floor of signal to difference.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use ogg::PacketReader;
use ogg::PacketWriteEndInfo;
use ogg::PacketWriter;
use sentral::media::Codec;
use sentral::media::codec::Decoder;
use sentral::media::codec::opus::Encoder;
use sentral::media::codec::opus::Manner;

use crate::golden::speech;
use crate::opus_compare::quality;

#[test]
fn what_we_encode_libopus_decodes_to_the_same_as_we_do() {
    let folder = tempfile::tempdir().expect("a folder");
    for (rate, frame_ms, fec) in
        [(16_000, 20, false), (16_000, 20, true), (8000, 20, false), (16_000, 60, false), (48_000, 20, false)]
    {
        let mut encoder = Encoder::new(rate);
        encoder.manner(Manner { fec, loss_percent: 10, ..Manner::default() });
        let audio = speech(rate, 4000);
        let packets: Vec<Vec<u8>> = audio
            .chunks_exact(rate as usize * frame_ms / 1000)
            .map(|frame| {
                let mut packet = Vec::new();
                encoder.encode(frame, &mut packet);
                packet
            })
            .collect();
        let file = folder.path().join("ours.opus");
        write(&file, &packets, frame_ms as u64 * 48);
        let theirs = decoded_by_libopus(&file);
        let ours = decoded_by_us(&packets);
        let ratio = alike(&ours, &theirs);
        println!("{rate} Hz, {frame_ms} ms, correction {fec}: {ratio:.1} dB");
        assert!(ratio > 40.0, "{rate} Hz, {frame_ms} ms, correction {fec}: {ratio:.1} dB");
        let quality = quality(&theirs, &ours);
        assert!(quality > 95.0, "{rate} Hz, {frame_ms} ms, correction {fec}: {quality:.1} %");
    }
}

#[test]
fn what_libopus_encodes_we_decode_to_the_same_as_it_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let wav = folder.path().join("voice.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&wav, spec).expect("a file");
    speech(48_000, 4000).into_iter().for_each(|sample| writer.write_sample(sample).expect("room"));
    writer.finalize().expect("room");
    // Lone SILK in its three bands, hybrid, lone CELT; all lengths of frame; a rate that varies; with copies for correction.
    let mut modes = std::collections::BTreeSet::new();
    for options in [
        &["--bitrate", "8", "--speech", "--hard-cbr"][..],
        &["--bitrate", "10", "--speech", "--hard-cbr"],
        &["--bitrate", "12", "--speech", "--framesize", "40", "--cvbr"],
        &["--bitrate", "14", "--speech", "--hard-cbr"],
        &["--bitrate", "18", "--speech", "--expect-loss", "20", "--vbr"],
        &["--bitrate", "28", "--speech", "--hard-cbr"],
        &["--bitrate", "28", "--speech", "--framesize", "10", "--vbr"],
        &["--bitrate", "32", "--framesize", "60", "--hard-cbr"],
        &["--bitrate", "36", "--speech", "--expect-loss", "20", "--vbr"],
        &["--bitrate", "64", "--music", "--hard-cbr"],
        &["--bitrate", "64", "--music", "--framesize", "40", "--vbr"],
        &["--bitrate", "96", "--framesize", "10", "--hard-cbr"],
        &["--bitrate", "96", "--framesize", "5", "--vbr"],
        &["--bitrate", "128", "--framesize", "2.5", "--vbr"],
    ] {
        let file = folder.path().join("theirs.opus");
        let status = Command::new("opusenc").args(options).arg("--quiet").arg(&wav).arg(&file).status();
        assert!(status.expect("opusenc is installed (package opus-tools)").success());
        let (packets, skip) = read(&file);
        let theirs = decoded_by_libopus(&file);
        let ours = decoded_by_us(&packets);
        let ratio = alike(&ours[skip..], &theirs);
        assert!(ratio > 90.0, "{options:?}: {ratio:.1} dB");
        let quality = quality(&theirs[..144_000], &ours[skip..][..144_000]);
        println!("{options:?}: {ratio:.1} dB, {quality:.1} %");
        assert!(quality > 99.0, "{options:?}: {quality:.1} %");
        modes.extend(packets.iter().map(|packet| packet[0] >> 3));
    }
    // RFC 6716 table 2: the configurations that were met.
    println!("{modes:?}");
    for (mode, configurations) in
        [("SILK, narrow", 0..4), ("SILK, wide", 8..12), ("hybrid", 12..16), ("CELT", 16..32)]
    {
        assert!(modes.iter().any(|mode| configurations.contains(mode)), "{mode}: only {modes:?}");
    }
}

fn decoded_by_us(packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = Decoder::new(Codec::Opus);
    let mut all = Vec::new();
    for packet in packets {
        let mut samples = [0; 5760];
        let count = decoder.decode(packet, &mut samples);
        assert!(count > 0, "a packet of {} bytes cannot be decoded", packet.len());
        all.extend_from_slice(&samples[..count]);
    }
    all
}

fn decoded_by_libopus(file: &Path) -> Vec<i16> {
    let raw = file.with_extension("raw");
    let status = Command::new("opusdec")
        .args(["--quiet", "--no-dither", "--rate", "48000"])
        .arg(file)
        .arg(&raw)
        .status();
    assert!(status.expect("opusdec is installed (package opus-tools)").success());
    let bytes = fs::read(raw).expect("it was written");
    bytes.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect()
}

/// Power over the power of the difference in dB, past the first quarter of a second.
fn alike(ours: &[i16], theirs: &[i16]) -> f64 {
    assert!(ours.len().min(theirs.len()) > 150_000, "{} and {} samples", ours.len(), theirs.len());
    let pairs = || ours.iter().zip(theirs).skip(12_000);
    let error: f64 = pairs().map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let power: f64 = pairs().map(|(_, b)| f64::from(*b).powi(2)).sum();
    10.0 * (power / error.max(1.0)).log10()
}

/// Ogg after RFC 7845, without anything to skip at its beginning.
fn write(file: &Path, packets: &[Vec<u8>], units: u64) {
    let mut head = b"OpusHead\x01\x01\0\0".to_vec();
    head.extend(48_000u32.to_le_bytes());
    head.extend([0, 0, 0]);
    let mut writer = PacketWriter::new(File::create(file).expect("a file"));
    let mut put = |packet: Vec<u8>, end, units| writer.write_packet(packet, 1, end, units).expect("room");
    put(head, PacketWriteEndInfo::EndPage, 0);
    put(b"OpusTags\x01\0\0\0x\0\0\0\0".to_vec(), PacketWriteEndInfo::EndPage, 0);
    for (at, packet) in packets.iter().enumerate() {
        let last = at + 1 == packets.len();
        let end = if last { PacketWriteEndInfo::EndStream } else { PacketWriteEndInfo::EndPage };
        put(packet.clone(), end, units * (at as u64 + 1));
    }
}

/// The packets of a file, and how many samples at 48 kHz its reader leaves out at the beginning.
fn read(file: &Path) -> (Vec<Vec<u8>>, usize) {
    let mut reader = PacketReader::new(File::open(file).expect("it was written"));
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().expect("well-formed") {
        packets.push(packet.data);
    }
    let skip = usize::from(u16::from_le_bytes([packets[0][10], packets[0][11]]));
    (packets.split_off(2), skip)
}
