//! Packet indices: which one a sequence number means, and which have been (RFC 3711 §3.3.1, §3.3.2).

/// Sources of one direction that are told apart; of more, the one that came first is forgotten.
pub(super) const SOURCES_MAX: usize = 8;

/// Which indices of a source have been: the highest, and of the 64 up to it those whose bit is set (RFC 3711 §3.3.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    highest: Option<u64>,
    seen: u64,
}

impl Window {
    /// The index that a sequence number most likely has (RFC 3711 §3.3.1, appendix A): the one nearest to the highest.
    pub(super) fn index_of(&self, sequence: u16) -> Option<u64> {
        let Some(highest) = self.highest else { return Some(sequence.into()) };
        let (rollovers, last) = (highest >> 16, highest as u16);
        let rollovers = match last < 0x8000 {
            // Of the turn before; there is none before the first.
            true if i32::from(sequence) - i32::from(last) > 0x8000 => rollovers.checked_sub(1)?,
            false if last - 0x8000 > sequence => rollovers + 1,
            _ => rollovers,
        };
        Some(rollovers << 16 | u64::from(sequence)).filter(|index| *index < 1 << 48)
    }

    pub(super) fn is_new(&self, index: u64) -> bool {
        match self.highest {
            Some(highest) if index <= highest => {
                highest - index < 64 && self.seen & (1 << (highest - index)) == 0
            }
            Some(_) | None => true,
        }
    }

    pub(super) fn take(&mut self, index: u64) {
        match self.highest {
            Some(highest) if index <= highest => {
                self.seen |= 1u64.checked_shl((highest - index) as u32).unwrap_or(0);
            }
            Some(highest) => {
                let shift = u32::try_from(index - highest).unwrap_or(u32::MAX);
                self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
                self.highest = Some(index);
            }
            None => (self.highest, self.seen) = (Some(index), 1),
        }
    }
}

/// The windows of the sources of one direction. Only authentic packets make an entry.
#[derive(Debug, Default)]
pub(super) struct Sources {
    known: [Option<(u32, Window)>; SOURCES_MAX],
    oldest: usize,
}

impl Sources {
    pub(super) fn window(&self, ssrc: u32) -> Window {
        self.known
            .iter()
            .flatten()
            .find(|(known, _)| *known == ssrc)
            .map_or_else(Window::default, |(_, w)| *w)
    }

    pub(super) fn take(&mut self, ssrc: u32, index: u64) {
        if let Some((_, window)) = self.known.iter_mut().flatten().find(|(known, _)| *known == ssrc) {
            window.take(index);
            return;
        }
        let mut window = Window::default();
        window.take(index);
        self.known[self.oldest] = Some((ssrc, window));
        self.oldest = (self.oldest + 1) % SOURCES_MAX;
    }

    /// How many sources are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.iter().flatten().count()
    }
}
