//! The comparison as a markdown table, for pull requests and wikis.

use std::fmt::Write;

use super::{count, megabytes};
use crate::validate::size::Size;
use crate::validate::{Missed, Validation};

/// A table of what the comparison found.
pub fn markdown(sizes: &(Size, Size), v: &Validation, missed: &[Missed]) -> String {
    let mut out = String::from("| | original | rewritten | |\n|---|---|---|---|\n");
    let mut row = |what: &str, a: String, b: String, how: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| {what} | {a} | {b} | {how} |");
    };
    let (before, after) = sizes;
    row(
        "size",
        megabytes(before.bytes),
        megabytes(after.bytes),
        format!("{:.2}×", before.bytes as f64 / after.bytes.max(1) as f64),
    );
    if let (Some(a), Some(b)) = (before.macs, after.macs) {
        row("MACs", count(a), count(b), "a sample".into());
    }
    if let Some(task) = &v.task {
        let percent = |x: f64| format!("{:.2} %", 100.0 * x);
        for (what, p) in [("top-1", Some(task.top1)), ("top-5", task.top5)] {
            let Some(p) = p else { continue };
            let how = format!("Δ {:+.2} (95 %: {:+.2} … {:+.2})", 100.0 * p.difference, 100.0 * p.low, 100.0 * p.high);
            row(what, percent(p.original), percent(p.rewritten), how);
        }
    }
    for o in &v.outputs {
        let how = format!("cosine {:.5}, max error {:.3e} of {:.3e}", o.cosine, o.max_abs_error, o.max_abs);
        let same = o.agreement.map_or(String::new(), |a| format!("{:.1} % equal", 100.0 * a));
        let (how, far) = if o.float { (how, format!("{:.1} dB", o.worst_db())) } else { (String::new(), same) };
        row(&format!("`{}`", o.name), String::new(), far, how);
    }
    for name in &v.missing {
        row(&format!("`{name}`"), String::new(), "missing".into(), String::new());
    }
    for name in &v.no_tensors {
        row(&format!("`{name}`"), String::new(), "no tensor".into(), String::new());
    }
    if let Some(l) = &v.latency {
        let ms = |x: f64| format!("{x:.2} ms");
        let how = format!("{:.2}× ({:.2} … {:.2}) in {}", l.speedup, l.speedup_low, l.speedup_high, l.runtime);
        row("latency", ms(l.original.median_ms), ms(l.rewritten.median_ms), how);
    }
    for m in missed {
        row(&format!("missed --{}", m.gate), format!("{}", m.wanted), format!("{:.4}", m.got), String::new());
    }
    out
}
