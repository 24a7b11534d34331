//! Every name in a table is one word of the field, says what it is for, is in the README, and has a golden case
//! (`numerics` asks that of the passes) or a test that names it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use onnxpress::calibrate::CALIBRATORS;
use onnxpress::passes::PASSES;
use onnxpress::prune::{self, CHANNEL_CRITERIA, CRITERIA};
use onnxpress::quantize::algorithm::ALGORITHMS;
use onnxpress::runtime::RUNTIMES;
use onnxpress::target::PRESETS;

use crate::common::root;
use crate::golden::cases;
use crate::layers::sources;

/// Table, name, summary. A runtime has no summary: its name is that of a program.
fn names() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut all = Vec::new();
    all.extend(PASSES.iter().map(|p| ("pass", p.name, p.summary)));
    all.extend(CALIBRATORS.iter().map(|c| ("calibrator", c.name, c.summary)));
    all.extend(CRITERIA.iter().map(|c| ("criterion", c.name, c.summary)));
    all.extend(CHANNEL_CRITERIA.iter().map(|c| ("criterion", c.name, c.summary)));
    all.extend(ALGORITHMS.iter().map(|a| ("algorithm", a.name, a.summary)));
    all.extend(prune::ALGORITHMS.iter().map(|a| ("algorithm of pruning", a.name, a.summary)));
    all.extend(PRESETS.iter().map(|p| ("target", p.name, p.summary)));
    all
}

#[test]
fn names_are_words_with_a_meaning() {
    let mut seen = BTreeSet::new();
    for (table, name, summary) in names() {
        assert!(seen.insert((table, name)), "{table} {name} is there twice");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.chars().all(plain) && !name.starts_with('-'), "{table} {name:?}");
        assert!(summary.len() > 8 && !summary.ends_with('.'), "{table} {name}: {summary:?}");
    }
    for runtime in RUNTIMES {
        assert!(seen.insert(("runtime", runtime.name())), "{}", runtime.name());
    }
}

#[test]
fn a_family_of_passes_has_several() {
    for family in PASSES.iter().filter_map(|p| p.family) {
        assert!(PASSES.iter().filter(|p| p.family == Some(family)).count() > 1, "{family}");
    }
}

#[test]
fn the_readme_names_them() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let runtimes = RUNTIMES.iter().map(|r| ("runtime", r.name(), ""));
    for (table, name, _) in names().into_iter().chain(runtimes) {
        let flags = ["target", "criterion", "algorithm"].map(|flag| format!("--{flag} {name}"));
        let said = flags.into_iter().chain([format!("`{name}`"), format!("`{name}:")]);
        let said: Vec<String> = said.collect();
        assert!(said.iter().any(|s| readme.contains(s)), "the README does not name the {table} {name}");
    }
}

#[test]
fn every_choice_has_a_golden_case_or_a_test_that_names_it() {
    let first = |case: &PathBuf| std::fs::read_to_string(case).unwrap().lines().next().unwrap_or_default().to_string();
    let runs: Vec<String> = cases(&root().join("tests/golden")).iter().map(first).collect();
    let mut files = Vec::new();
    sources(&root().join("tests"), &mut files);
    files.retain(|f| !f.ends_with("registry.rs") && !f.ends_with("layers.rs"));
    let tests: String = files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    // `channels` tries all criteria.
    let chosen = ["calibrator", "algorithm", "algorithm of pruning"];
    for (table, name, _) in names().into_iter().filter(|(table, ..)| chosen.contains(table)) {
        let flag = table.split(' ').next().unwrap();
        let asked = [format!("--{flag} {name} "), format!("--{flag} {name}:")];
        let golden = runs.iter().any(|run| asked.iter().any(|a| format!("{run} ").contains(a)));
        let quoted = [format!("\"{name}\""), format!("\"{name}:")];
        // "auto" and "mask" are words of more than algorithms.
        let says = |line: &str| flag == "calibrator" || line.contains("algorithm");
        let named = tests.lines().any(|line| says(line) && quoted.iter().any(|q| line.contains(q)));
        assert!(golden || named, "no golden case and no test of the {table} {name}");
    }
}
