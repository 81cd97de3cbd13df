//! What comes of a stream's other side and cannot be heard, so that its silence can be named by its cause.

use crate::media::Silence;

/// So many packets of one cause, less those of others, are one: fewer may be stray.
const PACKETS: u8 = 10;

/// A cause that goes on does not count for more.
const PACKETS_MAX: u8 = 50;

/// What is refused most, since something was heard last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    cause: Silence,
    packets: u8,
}

impl Doubt {
    /// A packet was refused for that reason.
    pub fn refuse(&mut self, cause: Silence) {
        match self.packets {
            0 => *self = Doubt { cause, packets: 1 },
            _ if self.cause == cause => self.packets = (self.packets + 1).min(PACKETS_MAX),
            _ => self.packets -= 1,
        }
    }

    /// Something was heard.
    pub fn clear(&mut self) {
        self.packets = 0;
    }

    /// Why nothing is heard.
    pub fn cause(&self) -> Silence {
        if self.packets >= PACKETS { self.cause } else { Silence::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn what_is_refused_most_is_the_cause() {
        let at = |port| SocketAddr::from(([192, 0, 2, 7], port));
        let (stranger, unfit) = (Silence::Stranger(at(1)), Silence::Unfit(at(2)));
        let mut doubt = Doubt::default();
        for (cause, packets, expect) in [
            (stranger, 9, Silence::Nothing), // stray, as yet
            (stranger, 1, stranger),
            (unfit, 1, Silence::Nothing),
            (stranger, 100, stranger),
            (unfit, 40, stranger),
            (unfit, 20, unfit),
        ] {
            (0..packets).for_each(|_| doubt.refuse(cause));
            assert_eq!(doubt.cause(), expect, "after {packets} {cause:?}");
        }
    }
}
