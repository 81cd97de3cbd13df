#!/bin/sh
# Records the system's prompts from prompts.tsv with a speech synthesiser (Debian: espeak-ng, sox), and composes
# the hold music: 16 kHz mono 16-bit WAV, band-limited, levelled, trimmed. The daemon needs neither program.
# The recordings of the sample company in config/ are made from the texts in its file.
# usage: media/make.sh [nb|en|music|sample]...   (all by default)
set -eu
cd "$(dirname "$0")"
raw=$(mktemp --suffix=.wav)
trap 'rm -f "$raw"' EXIT
tab=$(printf '\t')

speak() { # voice, text, file
    mkdir -p "$(dirname "$3")"
    printf '%s\n' "$2" | espeak-ng -v "$1" -s 150 -p 45 -g 1 --stdin -w "$raw"
    sox -D -V1 "$raw" -r 16000 -b 16 -c 1 "$3" \
        highpass 120 equalizer 2600 1.2q +4 equalizer 6500 1.5q -4 lowpass 7200 \
        silence 1 0.02 0.5% reverse silence 1 0.02 0.5% reverse \
        compand 0.01,0.15 -60,-60,-30,-18,0,-9 0 -60 0.05 norm -6 pad 0.04 0.06
}

language() { # nb|en, column, voice
    mkdir -p "$1/num"
    # Silence between the groups of a telephone number.
    sox -D -n -r 16000 -b 16 -c 1 "$1/num/pause.wav" trim 0 0.25
    grep -v '^#' prompts.tsv | cut -f1,"$2" | while IFS="$tab" read -r id text; do
        [ -n "$text" ] && speak "$3" "$text" "$1/$id.wav"
    done
    :
}

sample() {
    for company in ../config/companies/*.toml; do
        folder=../config/media/$(basename "$company" .toml)
        sed -n 's/.*file = "\([^"]*\)\.wav",[[:space:]]*text = "\([^"]*\)".*/\1\t\2/p' "$company" |
            while IFS="$tab" read -r name text; do speak nb "$text" "$folder/$name.wav"; done
    done
}

[ $# -gt 0 ] || set -- nb en music sample
for what; do
    case $what in
    nb) language nb 2 nb ;;
    en) language en 3 en-gb ;;
    music) python3 music.py music.wav ;;
    sample) sample ;;
    *) echo "usage: media/make.sh [nb|en|music|sample]..." >&2; exit 2 ;;
    esac
done
