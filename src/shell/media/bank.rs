//! Fills the media bank from WAV files: any rate, 8 to 32 bits or floating point, any number of channels.
//!
//! A file is read again only when its length or time of change differ. Compressed WAV is refused with the
//! command that converts it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use anyhow::bail;

use crate::media::ClipName;
use crate::media::bank::Bank;
use crate::media::bank::Clip;

/// The longest recording that is taken.
const MINUTES_MAX: u32 = 60;

/// How deep folders are searched.
const DEPTH_MAX: usize = 6;

/// What a load did.
#[derive(Debug, Default)]
pub struct Report {
    /// Clips read and encoded.
    pub loaded: usize,
    /// Clips whose file has not changed.
    pub unchanged: usize,
    /// Files that could not be used, each with what to do.
    pub problems: Vec<String>,
}

/// Loads every `.wav` under `dir`, named by its path without ending: `nb/queue/welcome`, `music`. A file that
/// cannot be used is a problem in the report and leaves the others alone.
///
/// # Errors
/// When `dir` cannot be read.
pub fn load_system(dir: &Path, bank: &Bank) -> anyhow::Result<Report> {
    let mut files = Vec::new();
    find(dir, "", 0, &mut files)
        .with_context(|| format!("cannot read the media folder {}; is it installed?", dir.display()))?;
    files.sort();
    let report = Mutex::new(Report::default());
    let next = Mutex::new(files.into_iter());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((name, path)) = take() {
                    let result = load_file(name, &path, bank);
                    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                    match result {
                        Ok(true) => report.loaded += 1,
                        Ok(false) => report.unchanged += 1,
                        Err(problem) => report.problems.push(format!("{problem:#}")),
                    }
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.problems.sort();
    Ok(report)
}

fn find(dir: &Path, prefix: &str, depth: usize, files: &mut Vec<(ClipName, PathBuf)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if path.is_dir() && depth < DEPTH_MAX {
            find(&path, &format!("{prefix}{stem}/"), depth + 1, files)
                .with_context(|| path.display().to_string())?;
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav")) {
            files.push((format!("{prefix}{stem}").into(), path));
        }
    }
    Ok(())
}

/// Loads one WAV file under a name; tells whether it had to be read, or the bank has it as it is.
///
/// # Errors
/// When it cannot be used; the message names the file and what to do.
pub fn load_file(name: ClipName, path: &Path, bank: &Bank) -> anyhow::Result<bool> {
    let stamp = stamp(path).with_context(|| format!("cannot read {}", path.display()))?;
    if bank.get(&name).is_some_and(|clip| clip.stamp() == stamp) {
        return Ok(false);
    }
    let (samples, rate) = read_wav(path)?;
    bank.insert(name, Arc::new(Clip::from_pcm(&samples, rate).stamped(stamp)));
    Ok(true)
}

/// Stands for path, length and time of change; never 0.
fn stamp(path: &Path) -> std::io::Result<u64> {
    use std::hash::BuildHasher as _;
    use std::hash::BuildHasherDefault;
    use std::hash::DefaultHasher;
    let meta = fs::metadata(path)?;
    let changed = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(BuildHasherDefault::<DefaultHasher>::default().hash_one((path, meta.len(), changed)) | 1)
}

/// Reads a WAV file: mono samples and their rate; channels are mixed.
///
/// # Errors
/// When it is no WAV file that can be used; the message names the file and what to do.
pub fn read_wav(path: &Path) -> anyhow::Result<(Vec<i16>, u32)> {
    let file = path.display();
    let convert = || format!("cannot use {file}; convert it: sox {file} -r 16000 -c 1 -b 16 new.wav");
    let reader = hound::WavReader::open(path).with_context(convert)?;
    let spec = reader.spec();
    if !(4000..=384_000).contains(&spec.sample_rate) {
        bail!("{}: its sample rate is {} Hz", convert(), spec.sample_rate);
    }
    if reader.duration() / spec.sample_rate >= 60 * MINUTES_MAX {
        bail!("cannot use {file}: it is longer than {MINUTES_MAX} minutes; cut it");
    }
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Int => {
            let scale = 2f32.powi(16 - i32::from(spec.bits_per_sample));
            let samples = reader.into_samples::<i32>().map(|s| s.map(|s| s as f32 * scale));
            samples.collect::<Result<_, _>>().with_context(convert)?
        }
        hound::SampleFormat::Float => {
            let samples = reader.into_samples::<f32>().map(|s| s.map(|s| s * 32_768.0));
            samples.collect::<Result<_, _>>().with_context(convert)?
        }
    };
    let channels = usize::from(spec.channels.max(1));
    let mono = |frame: &[f32]| (frame.iter().sum::<f32>() / channels as f32).round() as i16;
    Ok((samples.chunks(channels).map(mono).collect(), spec.sample_rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hound::SampleFormat;
    use hound::WavSpec;
    use std::f32::consts::TAU;

    fn write(path: &Path, bits: u16, format: SampleFormat, channels: u16, rate: u32) {
        let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: format };
        let mut writer = hound::WavWriter::create(path, spec).expect("created");
        for at in 0..rate {
            let value = 0.5 * (TAU * 500.0 * at as f32 / rate as f32).sin();
            for channel in 0..channels {
                let value = if channel == 0 { value } else { 0.0 }; // the right side is silent
                match format {
                    SampleFormat::Float => writer.write_sample(value).expect("written"),
                    SampleFormat::Int => {
                        let scale = 2f32.powi(i32::from(bits) - 1) - 1.0;
                        writer.write_sample((value * scale) as i32).expect("written");
                    }
                }
            }
        }
        writer.finalize().expect("finished");
    }

    #[test]
    fn every_kind_of_wav_gives_the_same_sound() {
        let dir = tempfile::tempdir().expect("a folder");
        let kinds = [
            (8, SampleFormat::Int),
            (16, SampleFormat::Int),
            (24, SampleFormat::Int),
            (32, SampleFormat::Int),
            (32, SampleFormat::Float),
        ];
        for (bits, format) in kinds {
            for (channels, peak) in [(1, 16_384), (2, 8192)] {
                let path = dir.path().join("a.wav");
                write(&path, bits, format, channels, 16_000);
                let (samples, rate) = read_wav(&path).expect("readable");
                assert_eq!((samples.len(), rate), (16_000, 16_000));
                let highest = i32::from(*samples.iter().max().expect("samples"));
                let room = if bits == 8 { 300 } else { 10 };
                assert!((highest - peak).abs() <= room, "{bits} {format:?} {channels}: {highest}");
            }
        }
    }

    #[test]
    fn a_folder_is_loaded_by_name_and_only_what_changed_again() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("nb/queue")).expect("made");
        write(&dir.path().join("nb/queue/welcome.wav"), 16, SampleFormat::Int, 1, 8000);
        write(&dir.path().join("music.wav"), 16, SampleFormat::Int, 2, 22_050);
        fs::write(dir.path().join("nb/broken.wav"), b"RIFF of nothing").expect("written");
        fs::write(dir.path().join("nb/readme.txt"), b"text").expect("written");
        let bank = Bank::new();
        let report = load_system(dir.path(), &bank).expect("a folder");
        assert_eq!((report.loaded, report.unchanged, report.problems.len()), (2, 0, 1));
        assert!(report.problems[0].contains("nb/broken.wav; convert it: sox"), "{}", report.problems[0]);
        assert_eq!(bank.len(), 2);
        assert_eq!(bank.get("nb/queue/welcome").map(|c| c.duration().as_millis()), Some(1000));
        write(&dir.path().join("music.wav"), 16, SampleFormat::Int, 1, 44_100);
        let report = load_system(dir.path(), &bank).expect("a folder");
        assert_eq!((report.loaded, report.unchanged), (1, 1));
        assert!(load_system(&dir.path().join("no"), &bank).is_err());
    }
}
