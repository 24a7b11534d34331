//! The screen that `optimize` ends with.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Report;
use crate::passes::SimplifyReport;
use crate::prune::PrunePlan;
use crate::recover::RecoverReport;
use crate::runtime::EXACT_DB;
use crate::validate::latency::Latency;
use crate::validate::ran::Ran;
use crate::validate::size::Size;
use crate::validate::{Gate, Missed, Validation};

/// A part of an output that is so much further than the whole is told.
const APART_DB: f64 = 3.0;

/// The report on one screen.
pub fn text(r: &Report) -> String {
    let mut out = String::new();
    let name = |p: &std::path::Path| p.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
    let target = r.plan.as_ref().map_or(String::new(), |p| format!("{} preset, ", p.options.target));
    let elsewhere_proven = r.beside.iter().find_map(|b| b.validation.as_ref());
    let proof = r.validation.as_ref().or(elsewhere_proven);
    let data = proof.map_or(String::new(), |v| format!("{}, ", v.data));
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{} ─► {}     {target}{data}{}\n", name(&r.model), name(&r.output), seconds(r.seconds));
    if let Some((before, after)) = &r.sizes {
        out += &sizes(before, after);
    }
    if let Some(v) = &r.validation {
        out += &comparison(v, &r.missed);
        out += &elsewhere(r, v);
    }
    // What another runtime makes of the file says nothing of the one that it is made for.
    if let Some(ran) = r.ran.as_ref().filter(|ran| made_for(r).is_none_or(|target| target == ran.runtime)) {
        out += &integers(ran);
    }
    for beside in &r.beside {
        let _ = writeln!(out, "  in {}", beside.runtime);
        out += &beside.validation.as_ref().map_or(String::new(), |v| comparison(v, &[]));
        if let Some(why) = &beside.unproven {
            let _ = writeln!(out, "    unproven  {why}");
        }
    }
    if let Some(why) = &r.unproven {
        let what = if elsewhere_proven.is_some() { "elsewhere" } else { "the file is written, but not compared" };
        let _ = writeln!(out, "    unproven  {what}: {why}");
    }
    out.push('\n');
    if let Some(s) = r.simplify.as_ref().filter(|s| !s.passes.is_empty()) {
        out += &simplified(s);
    }
    if let Some(p) = &r.prune {
        let _ = writeln!(out, "  prune: {p}");
        for note in p.notes.iter().chain(p.recovered.iter().flat_map(|r| &r.refused)) {
            let _ = writeln!(out, "  {note}");
        }
    }
    if let Some(plan) = &r.prune_plan {
        out += &unpruned(plan);
    }
    if let Some(plan) = &r.plan {
        let kept = plan.kept().count();
        let rest = match kept {
            0 => String::new(),
            n => format!("; {n} kept in float (--plan shows why)"),
        };
        let (types, form) = (plan.options.types(), plan.options.effective_format());
        let _ = writeln!(out, "  {} in {types}, {form}{rest}", plan.coverage());
        for note in &plan.notes {
            let _ = writeln!(out, "  {note}");
        }
    }
    out += &r.recovered.as_ref().map_or(String::new(), recovered);
    if let Some(raised) = r.quantize.as_ref().and_then(|q| q.opset.as_ref()) {
        let _ = writeln!(out, "  {raised}");
    }
    out
}

/// What became of each node and why, for one who asked for no more than a file; and the proof of what was demanded of it.
pub fn quantized(r: &Report) -> String {
    let mut out = String::new();
    if let Some(plan) = &r.plan {
        let (types, form) = (plan.options.types(), plan.options.effective_format());
        let _ = writeln!(out, "{} in {types}, {form}", plan.coverage());
        for (node, reason) in plan.kept() {
            let _ = writeln!(out, "  keep {} ({}): {reason}", node.node, node.op_type);
        }
        for note in &plan.notes {
            let _ = writeln!(out, "  {note}");
        }
    }
    let changed = r.simplify.iter().flat_map(|s| &s.changed);
    for line in changed.chain(r.quantize.iter().filter_map(|q| q.opset.as_ref())) {
        let _ = writeln!(out, "  {line}");
    }
    out += &r.recovered.as_ref().map_or(String::new(), recovered);
    out += &r.validation.as_ref().map_or(String::new(), |v| comparison(v, &r.missed));
    if let Some(why) = &r.unproven {
        let _ = writeln!(out, "    unproven  the file is written, but not compared: {why}");
    }
    out
}

/// What training brought.
fn recovered(r: &RecoverReport) -> String {
    let refused = r.refused.iter().map(|refused| format!("  {refused}\n"));
    std::iter::once(format!("  recover: {r}\n")).chain(refused).collect()
}

/// What the passes did, and how much they refused.
pub fn simplified(s: &SimplifyReport) -> String {
    let mut out = String::new();
    let passes: Vec<_> = s.passes.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let passes = if passes.is_empty() { String::new() } else { format!(" ({})", passes.join(", ")) };
    let _ = writeln!(out, "  simplify: {} ─► {} nodes{passes}", s.nodes_before, s.nodes_after);
    for note in s.notes() {
        let _ = writeln!(out, "  {note}");
    }
    if !s.refusals.is_empty() {
        let (count, rewrites) = (s.refusals.len(), if s.refusals.len() == 1 { "rewrite" } else { "rewrites" });
        let _ = writeln!(out, "  {count} {rewrites} refused (inspect shows why)");
    }
    out
}

/// What pruning left as it is, and why: tensors one by one, groups of channels and layers by reason.
fn unpruned(plan: &PrunePlan) -> String {
    let mut out = String::new();
    for t in &plan.tensors {
        if let Some(why) = &t.kept {
            let _ = writeln!(out, "  keep {} ({}): {why}", t.node, t.op_type);
        }
    }
    let groups = plan.channels.iter().flat_map(|c| &c.groups);
    let channels = groups.filter_map(|g| Some((format!("all channels of {}", g.node), g.kept.clone()?)));
    let layers =
        plan.channels.iter().flat_map(|c| &c.unsolved).map(|(n, why)| (format!("the weights of {n}"), why.clone()));
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    channels.chain(layers).for_each(|(what, why)| by_reason.entry(why).or_default().push(what));
    for (why, what) in by_reason {
        let others = match what.len() {
            1 => String::new(),
            n => format!(" and of {} more", n - 1),
        };
        let _ = writeln!(out, "  keep {}{others}: {why}", what[0]);
    }
    out
}

/// How long it took, where that is worth a word.
fn seconds(taken: f64) -> String {
    if taken >= 1.0 { format!("{taken:.1} s") } else { "below a second".into() }
}

/// The runtime that the file is made for.
fn made_for(r: &Report) -> Option<&str> {
    r.plan.as_ref().map(|p| p.options.target.as_str())
}

/// What a latency is worth that was not taken in the runtime that the file is made for.
fn elsewhere(r: &Report, v: &Validation) -> String {
    match made_for(r).filter(|target| *target != v.runtime && v.latency.is_some()) {
        Some(target) => format!(
            "              which says nothing of {target}, for which the file is made: --runtime {target} times it there; --target {} makes a file for here\n",
            v.runtime
        ),
        None => String::new(),
    }
}

/// What truly runs in integers, and what of the plan does not.
fn integers(ran: &Ran) -> String {
    const SHOWN: usize = 4;
    let mut out = String::new();
    let count = format!("{} of {}", ran.integers, ran.planned);
    let other = |(node, op): &(String, String)| match op.as_str() {
        "" => node.clone(),
        op => format!("{node} (runs as {op})"),
    };
    let others: Vec<String> = ran.others.iter().take(SHOWN).map(other).collect();
    let more = ran.others.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(", {more} more") } else { String::new() };
    let rest = if others.is_empty() { String::new() } else { format!("; not {}{more}", others.join(", ")) };
    let _ = writeln!(out, "    integers  {count:>10}    planned nodes multiply integers in {}{rest}", ran.runtime);
    out
}

/// Bytes, nodes, work and zeros.
pub fn sizes(before: &Size, after: &Size) -> String {
    let mut out = String::new();
    let ratio = before.bytes as f64 / after.bytes.max(1) as f64;
    let how = if ratio >= 1.0 { format!("{ratio:.2}× smaller") } else { format!("{:.2}× larger", 1.0 / ratio) };
    line(&mut out, "size", &megabytes(before.bytes), &megabytes(after.bytes), &how);
    line(&mut out, "nodes", &before.nodes.to_string(), &after.nodes.to_string(), "");
    if let (Some(a), Some(b)) = (before.macs, after.macs) {
        line(&mut out, "MACs", &count(a), &count(b), "a sample");
    }
    if let Some((b, a)) = before.compressed.zip(after.compressed) {
        let how = format!("{:.2}× smaller than before, both compressed by zstd", b as f64 / a.max(1) as f64);
        line(&mut out, "packed", &megabytes(b), &megabytes(a), &how);
    }
    if after.zeros > before.zeros {
        let share = |s: &Size| format!("{:.1} %", 100.0 * s.zeros as f64 / s.parameters.max(1) as f64);
        line(&mut out, "zeros", &share(before), &share(after), "of the parameters");
    }
    out
}

/// `18.61 MB`.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// A large number with its unit: `386.0 M`.
pub fn count(n: u64) -> String {
    let n = n as f64;
    match n {
        n if n >= 1e9 => format!("{:.2} G", n / 1e9),
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n if n >= 1e3 => format!("{:.2} k", n / 1e3),
        n => format!("{n}"),
    }
}

fn line(out: &mut String, what: &str, before: &str, after: &str, how: &str) {
    let text = format!("    {what:<9} {before:>10} ─► {after:<10} {how}");
    let _ = writeln!(out, "{}", text.trim_end());
}

/// Accuracy, drift and latency, with the gates that were missed.
pub fn comparison(v: &Validation, missed: &[Missed]) -> String {
    let mut out = String::new();
    if v.random_data {
        out += "    the inputs are made up: accuracy on them means nothing\n";
    }
    let agreement = v.agreement().map_or(String::new(), |a| format!("   agreement {}", percent(a)));
    if let Some(task) = &v.task {
        for (what, p) in [("top-1", Some(task.top1)), ("top-5", task.top5)] {
            let Some(p) = p else { continue };
            let points = |x: f64| format!("{:+.1}", 100.0 * x).replace('-', "−");
            let how = format!(
                "Δ {} (95 %: {} … {}, {} samples){}",
                points(p.difference),
                points(p.low),
                points(p.high),
                task.samples,
                if what == "top-1" { agreement.as_str() } else { "" }
            );
            line(&mut out, what, &percent(p.original), &percent(p.rewritten), &how);
        }
    }
    if !v.missing.is_empty() {
        let _ = writeln!(out, "    missing   {}: an output of the original alone", v.missing.join(", "));
    }
    if !v.no_tensors.is_empty() {
        let _ = writeln!(out, "    not compared   {}: no tensor", v.no_tensors.join(", "));
    }
    let worst = v.outputs.iter().filter(|o| o.float).min_by(|a, b| a.worst_db().total_cmp(&b.worst_db()));
    if worst.is_none() && v.task.is_none() && !agreement.is_empty() {
        let _ = writeln!(out, "    outputs  {agreement}");
    }
    if let Some(o) = worst {
        let db = if o.worst_db() >= EXACT_DB { "exact".to_string() } else { format!("{:.1} dB", o.worst_db()) };
        let node = v.nodes.first().filter(|n| n.sqnr_db < EXACT_DB).map_or(String::new(), |n| {
            let born = if n.born_here { "born there" } else { "inherited" };
            format!("   worst node {} {:.1} dB, {born}", n.node, n.sqnr_db)
        });
        let agreement = if v.task.is_none() { agreement.as_str() } else { "" };
        let _ = writeln!(out, "    {:<9} {db:>10}    cosine {:.5}{agreement}{node}", "SQNR", o.cosine);
        if let Some(p) = o.parts.iter().find(|p| p.sqnr_db < o.sqnr_db - APART_DB) {
            let ((from, to), axis, name) = (p.range, p.axis, &o.name);
            let _ = writeln!(
                out,
                "              of {from} … {} along axis {axis} of {name}, which joins several values: {:.1} dB over all",
                to - 1,
                o.sqnr_db
            );
        }
    }
    if let Some(l) = &v.latency {
        let how = speedup(l);
        let ms = |x: f64| format!("{x:.2} ms");
        line(&mut out, "latency", &ms(l.original.median_ms), &ms(l.rewritten.median_ms), &how);
    }
    for m in missed {
        let _ = writeln!(out, "    {}", miss(m));
    }
    out
}

/// How much faster, where, and how sure that is.
fn speedup(l: &Latency) -> String {
    let threads = if l.threads == 1 { "1 thread".to_string() } else { format!("{} threads", l.threads) };
    format!(
        "{:.2}× in {}, {threads}, {} interleaved runs ({:.2} … {:.2})",
        l.speedup, l.runtime, l.runs, l.speedup_low, l.speedup_high
    )
}

/// A demand that was not met, and what there is.
fn miss(m: &Missed) -> String {
    let of = |x: f64| match m.gate {
        Gate::MaxDrop => percent(x),
        Gate::MinSqnr => format!("{x:.1} dB"),
        Gate::MinSpeedup => format!("{x:.2}×"),
    };
    format!("missed    --{} {}: it is {}", m.gate, of(m.wanted), of(m.got))
}

fn percent(x: f64) -> String {
    format!("{:.1} %", 100.0 * x)
}
