#!/usr/bin/env python3
"""Composes the hold music: a quiet round of chords with a slow melody over it, made to loop without a seam.

Writes a 16 kHz mono 16-bit WAV of 38.4 s (16 bars of 4 beats at 100 beats a minute), peak -9 dBFS. Every note is a
sum of a few decaying sines; notes that ring past the end go on at the beginning, so the loop has no edge.
"""
import math
import struct
import sys
import wave

RATE = 16_000
BEAT = 0.6
BARS = 16
LENGTH = round(RATE * BEAT * 4 * BARS)

# Chords as semitones over A (220 Hz), two rounds of eight bars: Am F C G, Dm Am E7 Am.
CHORDS = [(0, 3, 7), (-4, 0, 3), (3, 7, 10), (-2, 2, 5), (5, 8, 12), (0, 3, 7), (-5, -1, 2, 5), (0, 3, 7)] * 2
# Melody: (beat, semitones over A4, beats), eight bars, sung twice with another ending.
MELODY = [
    (0, 12, 2), (2, 15, 1), (3, 14, 1), (4, 12, 3), (7, 10, 1), (8, 10, 2), (10, 7, 2), (12, 9, 3), (15, 7, 1),
    (16, 8, 2), (18, 12, 1), (19, 10, 1), (20, 7, 3), (23, 3, 1), (24, 2, 2), (26, 5, 1), (27, 2, 1), (28, 0, 4),
]
PARTIALS = [(1, 1.0), (2, 0.32), (3, 0.12), (4, 0.05)]


def note(out, start_s, semitones, seconds, level, decay):
    """Adds one note; what rings past the end wraps round."""
    base = 220.0 * 2 ** (semitones / 12)
    first = round(start_s * RATE)
    for i in range(round((seconds + 1.2) * RATE)):
        t = i / RATE
        attack = min(1.0, t / 0.02)
        release = 1.0 if t < seconds else max(0.0, 1 - (t - seconds) / 1.2)
        envelope = attack * release * math.exp(-decay * t) * level
        value = sum(a * math.sin(2 * math.pi * base * n * t) for n, a in PARTIALS if base * n < 3400)
        out[(first + i) % LENGTH] += envelope * value


def main(path):
    out = [0.0] * LENGTH
    for bar, chord in enumerate(CHORDS):
        for beat in range(4):
            root = chord[0] - 12
            note(out, (bar * 4 + beat) * BEAT, root if beat % 2 == 0 else chord[2] - 12, BEAT, 0.16, 1.8)
        for i, tone in enumerate(chord):
            note(out, (bar * 4 + 0.25 * i) * BEAT, tone, 4 * BEAT, 0.13, 0.7)
    for turn in range(2):
        for beat, tone, beats in MELODY:
            rise = 12 if turn == 1 and beat >= 16 and tone < 5 else 0
            note(out, (turn * 32 + beat) * BEAT, tone + rise, beats * BEAT, 0.2, 0.9)
    peak = max(abs(x) for x in out)
    scale = 32767 * 10 ** (-9 / 20) / peak
    with wave.open(path, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes(b"".join(struct.pack("<h", round(x * scale)) for x in out))


if __name__ == "__main__":
    main(sys.argv[1])
