//! Whether a recording of the prompt bank is in what was heard, by correlation.

use std::path::Path;

/// How alike what was heard and a Norwegian prompt are where they are most alike: 1 is the same but for loudness, below
/// a half is something else.
pub(crate) fn likeness(heard: &[i16], prompt: &str) -> f64 {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("media/nb/{prompt}.wav"));
    let mut reader = hound::WavReader::open(&file).expect("a prompt of the bank");
    assert_eq!(reader.spec().sample_rate, 16_000);
    let samples: Vec<f32> = reader.samples::<i16>().map(|sample| f32::from(sample.expect("whole"))).collect();
    // Every second one, as it sounds at 8 kHz; silence at the ends says nothing.
    let halves: Vec<f32> = samples.chunks_exact(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
    let loud = |sample: &f32| sample.abs() > 300.0;
    let (from, to) = (halves.iter().position(loud), halves.iter().rposition(loud));
    let word = &halves[from.expect("it is not silent")..to.expect("it is not silent")];
    let heard: Vec<f32> = heard.iter().map(|sample| f32::from(*sample)).collect();
    let power = |part: &[f32]| part.iter().map(|sample| sample * sample).sum::<f32>();
    let own = power(word);
    let alike = heard.windows(word.len()).map(|part| {
        let product: f32 = part.iter().zip(word).map(|(a, b)| a * b).sum();
        f64::from(product) / f64::from(own * power(part)).sqrt().max(1.0)
    });
    alike.fold(0.0, f64::max)
}
