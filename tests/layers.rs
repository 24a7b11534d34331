//! Which part of the program may use which: a part uses only those in lower layers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::common;

/// From the bottom. Parts of one layer do not know each other.
const LAYERS: &[&[&str]] = &[
    &["error", "progress"],
    &["files", "mapped", "names", "patterns"],
    &["ir"],
    &["ops", "onnx", "data", "target"],
    &["analysis"],
    &["passes"],
    &["runtime"],
    &["calibrate", "gradient"],
    &["second_order", "recover"],
    &["quantize", "prune", "validate"],
    &["mixed"],
    &["report"],
    &["pipeline"],
    &["cli"],
];

/// The only parts that use ONNX files: what runs models, and what the user calls.
const USE_ONNX: &[&str] = &["runtime", "pipeline", "cli"];

fn layer(part: &str) -> Option<usize> {
    LAYERS.iter().position(|parts| parts.contains(&part))
}

/// The files of code in a folder and those in it.
pub fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without comments and without its tests, which stand last.
fn code(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let tests = line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.ends_with("mod tests {"));
        if tests {
            break;
        }
        out += line.split("//").next().unwrap_or_default();
        out.push('\n');
    }
    out
}

/// The parts that stand behind `crate::`, alone or as a group.
fn uses(code: &str) -> BTreeSet<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut at_start = true;
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                c if at_start && !c.is_whitespace() => {
                    found.insert(word(&group[i..]));
                    at_start = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn imports_are_read_in_every_form() {
    let text = "use crate::error::Result;\nuse crate::{\n    calibrate::{Ranges, x::Y},\n    onnx,\n};\n// crate::cli\nlet a = crate::ir::b();\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n";
    let found: Vec<String> = uses(&code(text)).into_iter().collect();
    assert_eq!(found, ["calibrate", "error", "ir", "onnx"]);
}

#[test]
fn parts_use_lower_layers_only() {
    let root = common::root().join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut edges, mut wrong) = (BTreeSet::new(), Vec::new());
    for path in &files {
        let inside = path.strip_prefix(&root).unwrap();
        let part = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if part == "lib" || part == "main" {
            continue;
        }
        let Some(own) = layer(&part) else {
            wrong.push(format!("{part} is in no layer: add it to this test"));
            continue;
        };
        let text = code(&std::fs::read_to_string(path).unwrap());
        for used in uses(&text) {
            // What lib.rs exports of the errors.
            let used = if ["Error", "ErrorKind", "Result"].contains(&used.as_str()) { "error".into() } else { used };
            let allowed = used == part || layer(&used).is_some_and(|l| l < own);
            if !allowed || (used == "onnx" && part != "onnx" && !USE_ONNX.contains(&part.as_str())) {
                wrong.push(format!("{}: {part} must not use {used}", inside.display()));
            }
            edges.insert((part.clone(), used));
        }
        if part != "onnx" && (text.contains("prost::") || text.contains("onnx::proto")) {
            wrong.push(format!("{}: only onnx sees protobuf", inside.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The test reads what is there: these are used, and more.
    for (part, used) in [("ir", "error"), ("onnx", "ir"), ("passes", "ops"), ("runtime", "onnx"), ("cli", "pipeline")] {
        assert!(edges.contains(&(part.into(), used.into())), "{part} does not use {used}?");
    }
    assert!(edges.len() > 50 && files.len() > 100, "{} uses in {} files", edges.len(), files.len());
}
