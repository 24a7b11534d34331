//! Golden cases: a model in ONNX text syntax, what the program makes of it, and what it says.
//!
//! A case is two files that are dropped into `tests/golden/<what>/`:
//!
//! ```text
//! case.onnxtxt     # RUN: simplify --only fold-batch-norm      then the model
//! case.expected    what was printed, each line behind "# ", then the model that was written, if one was
//! ```
//!
//! `$DIR` in the first line is the folder of the case, for ranges and recipes beside it. `BLESS=1` writes what is
//! found to the `.expected` files; the diff is for a reviewer to read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use onnxpress::ir::text::{self, PrintOptions};
use onnxpress::onnx;

use crate::common;

#[test]
fn golden_cases_come_out_as_expected() {
    let root = common::root().join("tests/golden");
    let bless = std::env::var_os("BLESS").is_some();
    let (mut count, mut wrong) = (0, Vec::new());
    for case in cases(&root) {
        count += 1;
        let name = case.strip_prefix(&root).unwrap().display().to_string();
        let found = run(&case);
        let expected = case.with_extension("expected");
        if bless {
            fs::write(&expected, found).unwrap();
            continue;
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        if found != wanted {
            wrong.push(format!("{name}\n--- expected\n{wanted}--- found\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases differ (BLESS=1 accepts them)\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 0, "there are no cases in {}", root.display());
}

pub fn cases(root: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let files = list(root).into_iter().filter(|p| p.is_dir()).flat_map(|folder| list(&folder));
    let mut cases: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "onnxtxt")).collect();
    cases.sort();
    cases
}

/// What the program prints and writes for the case.
fn run(case: &Path) -> String {
    let source = fs::read_to_string(case).unwrap();
    let first = source.lines().next().unwrap_or_default();
    let flags = first.strip_prefix("# RUN:").unwrap_or_else(|| panic!("{}: no # RUN: line", case.display()));
    let model = text::parse(&source).unwrap_or_else(|e| panic!("{}: {e}", case.display()));
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("model.onnx"), folder.path().join("out.onnx"));
    onnx::emit(&model, &input).unwrap();

    let beside = case.parent().unwrap().to_string_lossy().into_owned();
    let mut words = flags.split_whitespace().map(|w| w.replace("$DIR", &beside));
    let subcommand = words.next().unwrap();
    // What a runtime says differs from machine to machine.
    let unchecked = (subcommand == "simplify").then_some("--no-check");
    let done = Command::new(env!("CARGO_BIN_EXE_onnxpress"))
        .current_dir(folder.path())
        .args([subcommand.as_str(), "model.onnx", "-o", "out.onnx"])
        .args(words)
        .args(unchecked)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();

    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8(said).unwrap().replace(&beside, "$DIR");
    let mut found: String = said.lines().map(|line| format!("# {line}\n")).collect();
    if !done.status.success() {
        found += &format!("# exit code {}\n", done.status.code().unwrap());
    }
    if output.exists() {
        let written = onnx::load(&output).unwrap();
        found += &text::print(&written, &PrintOptions { max_elements: Some(64) });
    }
    found
}
