//! The one seeded generator: tags, branches, Call-IDs, nonces, SSRCs and random choices come from it.
//!
//! ChaCha12 behind a seed: unguessable when the shell seeds it from the operating system, repeatable when
//! a simulation seeds it with a number.

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// A seeded random generator.
#[derive(Debug)]
pub struct Rng(StdRng);

impl Rng {
    /// A generator whose whole sequence follows from `seed`; for simulations and tests.
    pub fn from_seed(seed: u64) -> Rng {
        Rng(StdRng::seed_from_u64(seed))
    }

    /// A generator seeded with 32 bytes of the operating system's randomness.
    pub fn from_entropy(entropy: [u8; 32]) -> Rng {
        Rng(StdRng::from_seed(entropy))
    }

    /// A generator of its own, seeded by this one.
    pub fn fork(&mut self) -> Rng {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Rng(StdRng::from_seed(seed))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..below`; 0 when `below` is 0.
    pub fn below(&mut self, below: usize) -> usize {
        if below == 0 { 0 } else { (self.bits() % below as u64) as usize }
    }

    /// Sixteen lower-case hexadecimal digits (64 bits): a tag, branch or nonce part.
    pub fn token(&mut self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let bits = self.bits();
        (0..16).map(|i| DIGITS[(bits >> (60 - 4 * i)) as usize & 15] as char).collect()
    }
}
