//! Inputs made up where there is no real data: something like speech, and something like files.

use std::path::Path;

use ndarray::{Array2, Array3, Array4, arr0};
use ndarray_npy::NpzWriter;

/// Numbers in [0, 1), the same for the same seed.
fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Logarithmic power spectra of something like speech: harmonics of a moving pitch under a moving envelope, noise, and lost
/// packets, which are silent.
pub fn speech(path: &Path, clips: usize, seed: u64) {
    const FRAMES: usize = 120;
    const BINS: usize = 257;
    const SILENCE: f64 = -13.03;
    let mut random = uniform(seed);
    let mut audio = Vec::new();
    for _ in 0..clips {
        let (pitch, loss, noise) = (3.0 + 4.5 * random(), 0.3 * random(), 10f64.powf(-8.0 + 6.0 * random()));
        let (mut level, mut formant) = (random(), 20.0 + 40.0 * random());
        for frame in 0..FRAMES {
            if frame % 6 == 0 {
                (level, formant) =
                    ((2.0 * random() - 0.7).max(0.0), (formant + 20.0 * (random() - 0.5)).clamp(8.0, 90.0));
            }
            let lost = random() < loss;
            let period = pitch * (1.0 + 0.1 * (frame as f64 / 17.0).sin());
            for bin in 0..BINS {
                let bin = bin as f64;
                let off = (bin / period - (bin / period).round()) * period;
                let envelope = (1.0 / (1.0 + ((bin - formant) / 12.0).powi(2)) + 0.3 / (1.0 + bin / 10.0)).powi(2);
                let power =
                    100.0 * level * level * envelope * (-off * off).exp() + noise * (0.1 - random().max(1e-9).ln());
                audio.push(if lost { SILENCE } else { power.log10().max(SILENCE) } as f32);
            }
        }
    }
    let rater: Vec<f32> = (0..clips * 64).map(|_| (0..12).map(|_| random() - 0.5).sum::<f64>() as f32).collect();
    let mut out = NpzWriter::new(std::fs::File::create(path).unwrap());
    out.add_array("degraded_audio", &Array4::from_shape_vec((clips, 1, FRAMES, BINS), audio).unwrap()).unwrap();
    out.add_array("rater_embed", &Array2::from_shape_vec((clips, 64), rater).unwrap()).unwrap();
    out.finish().unwrap();
}

/// A folder of `clips` chunks of something like voice at 16 kHz, 512 samples each, with the empty state that a detector begins with.
pub fn voice(folder: &Path, clips: usize, seed: u64) {
    std::fs::create_dir_all(folder).unwrap();
    let mut random = uniform(seed);
    for clip in 0..clips {
        let (pitch, loudness) = (80.0 + 240.0 * random(), random());
        let sample = |t: usize| {
            let phase = std::f64::consts::TAU * pitch * t as f64 / 16000.0;
            let tones: f64 = (1..6).map(|k| (phase * f64::from(k)).sin() / f64::from(k)).sum();
            (0.2 * loudness * tones + 0.02 * (random() - 0.5)) as f32
        };
        let sound: Vec<f32> = (0..512).map(sample).collect();
        let mut out = NpzWriter::new(std::fs::File::create(folder.join(format!("{clip:03}.npz"))).unwrap());
        out.add_array("input", &Array2::from_shape_vec((1, 512), sound).unwrap()).unwrap();
        out.add_array("state", &Array3::<f32>::zeros((2, 1, 128))).unwrap();
        out.add_array("sr", &arr0(16000i64)).unwrap();
        out.finish().unwrap();
    }
}

/// Kinds of files: how they begin, a line, how they end. `%w` is a word, `%n` a number, `%b` a few bytes.
const KINDS: &[[&str; 3]] = &[
    ["#include <stdio.h>\n\nint main(void) {\n", "    int %w = %n; /* %w %w */\n", "    return 0;\n}\n"],
    ["import %w\nimport %w\n\n", "def %w(%w, %w=%n):\n    return %w + %n\n\n", "print(%w(%n))\n"],
    ["use std::%w;\n\n", "pub fn %w(%w: u32) -> u32 {\n    %w.%w() + %n\n}\n\n", ""],
    ["package main\n\nimport \"fmt\"\n\n", "func %w(%w int) int { return %w * %n }\n\n", ""],
    ["<!DOCTYPE html>\n<html><body>\n", "<p class=\"%w\">%w %w <b>%n</b></p>\n", "</body></html>\n"],
    ["<?xml version=\"1.0\"?>\n<list>\n", "  <%w id=\"%n\">%w %w</item>\n", "</list>\n"],
    ["{\n", "  \"%w\": {\"%w\": %n},\n", "  \"%w\": null\n}\n"],
    ["%w,%w,%w\n", "%n,%w,%n\n", ""],
    ["# %w %w\n\n", "- **%w** %w %w: `%w(%n)`\n", "\n[%w]: %w\n"],
    ["CREATE TABLE %w (id INT, %w TEXT);\n", "INSERT INTO %w VALUES (%n, '%w');\n", "COMMIT;\n"],
    ["#!/bin/bash\nset -e\n", "%w=$(%w --%w %n)\n", "exit 0\n"],
    ["[%w]\n", "%w = %n\n", ""],
    ["%PDF-1.7\n", "%n 0 obj << /%w %n >> endobj\n", "trailer << /Size %n >>\n%%EOF\n"],
    ["PNG\r\n", "IDAT%b%b%b%b", "IEND"],
    ["PK\u{3}\u{4}", "%b%w.txt%b%b%b%b%b%b", "PK\u{5}\u{6}"],
    ["RIFF%bWAVEfmt ", "%b%b", ""],
];

/// Begin and end of made-up files, as magika wants them.
pub fn begins_and_ends(path: &Path, files: usize, seed: u64) {
    const HALF: usize = 1024;
    const NOTHING: i32 = 256;
    let mut random = uniform(seed);
    let mut below = |n: usize| (random() * n as f64) as usize;
    let mut bytes = Vec::new();
    for file in 0..files {
        let [begin, line, end] = KINDS[file % KINDS.len()];
        let lines = 1 + below(80);
        let mut content = Vec::new();
        for part in [begin].into_iter().chain(std::iter::repeat_n(line, lines)).chain([end]) {
            let mut left = part.chars();
            while let Some(c) = left.next() {
                match (c, (c == '%').then(|| left.clone().next()).flatten()) {
                    (_, Some('w')) => content.extend((0..2 + below(9)).map(|_| b"etaoinshrdlu_"[below(13)])),
                    (_, Some('n')) => {
                        let digits = 1 + below(5) as u32;
                        content.extend(below(10usize.pow(digits)).to_string().bytes());
                    }
                    (_, Some('b')) => content.extend((0..16).map(|_| below(256) as u8)),
                    _ => {
                        content.extend(c.to_string().bytes());
                        continue;
                    }
                }
                left.next();
            }
        }
        let row = bytes.len();
        bytes.resize(row + 2 * HALF, NOTHING);
        let used = content.len().min(HALF);
        content.iter().take(used).zip(&mut bytes[row..]).for_each(|(b, to)| *to = i32::from(*b));
        let end = &content[content.len() - used..];
        end.iter().zip(&mut bytes[row + 2 * HALF - used..]).for_each(|(b, to)| *to = i32::from(*b));
    }
    let mut out = NpzWriter::new(std::fs::File::create(path).unwrap());
    out.add_array("bytes", &Array2::from_shape_vec((files, 2 * HALF), bytes).unwrap()).unwrap();
    out.finish().unwrap();
}
