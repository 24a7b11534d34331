//! All passes, in order, round after round until a round changes nothing.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::{FOLD_WEIGHT_CASTS, MAKES_WEIGHTS, PASSES, Pass, Refusal, UNTIE_WEIGHTS, WIDEN_FLOAT16};
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Model, NodeId};
use crate::names;
use crate::target::Preset;

/// A chain of n rewrites needs n rounds at worst; real models settle within ten.
const MAX_ROUNDS: usize = 64;

/// Which passes run.
#[derive(Debug, Clone, Default)]
pub struct SimplifyOptions {
    /// Only these passes; all where empty.
    pub only: Vec<String>,
    /// Not these passes.
    pub skip: Vec<String>,
    /// These, too, of those that run [on demand](field@Pass::on_demand).
    pub also: Vec<String>,
    /// Only passes that keep every bit of the outputs.
    pub bit_exact: bool,
    /// The same where the model rounds to integers: what differs by rounding before that may be another integer behind it.
    pub keep_integers: bool,
    /// Where the model will run: passes that are off in its preset are left out, unless they are in `only`. With no
    /// target those that are [targeted](field@Pass::targeted) are.
    pub target: Option<&'static Preset>,
}

impl SimplifyOptions {
    /// Every pass that pays in `target`.
    pub fn for_target(target: &'static Preset) -> Self {
        SimplifyOptions { target: Some(target), keep_integers: true, ..SimplifyOptions::default() }
    }

    /// The same, for a model that is to be quantized then.
    pub fn before_quantization(target: &'static Preset) -> Self {
        let skip = PASSES.iter().filter(|p| p.float_alone).map(|p| p.name.to_string()).collect();
        let also = [FOLD_WEIGHT_CASTS, UNTIE_WEIGHTS].map(String::from).to_vec();
        SimplifyOptions { skip, also, ..SimplifyOptions::for_target(target) }
    }

    /// With all that is float16 in float32, where a weight is.
    #[must_use]
    pub fn in_float32(mut self) -> Self {
        self.also.push(WIDEN_FLOAT16.to_string());
        self
    }

    /// That alone.
    pub fn only_float32() -> Self {
        SimplifyOptions { only: vec![WIDEN_FLOAT16.to_string()], ..SimplifyOptions::default() }
    }

    /// What makes weights constants of the main graph, and no more.
    pub fn constant_weights() -> Self {
        SimplifyOptions { only: MAKES_WEIGHTS.map(String::from).to_vec(), ..SimplifyOptions::default() }
    }

    /// What is to be done instead of these, which have `done` that, where so many nodes were quantized then; `None` where nothing was
    /// for the sake of integers, or there are some.
    #[must_use]
    pub fn without_integers(&self, done: &SimplifyReport, quantized: usize) -> Option<Self> {
        (done.for_integers && quantized == 0).then(|| SimplifyOptions { also: Vec::new(), ..self.clone() })
    }

    fn is_off(&self, pass: &Pass) -> bool {
        if pass.on_demand {
            return !self.also.iter().any(|name| name == pass.name);
        }
        let choice = self.target.and_then(|t| t.passes.iter().find(|choice| choice.pass == pass.name));
        choice.map_or(pass.targeted, |choice| !choice.on)
    }
}

/// A pass that would have found something, and was left out since it does not pay in the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeftOut {
    /// The pass.
    pub pass: &'static str,
    /// How often it would have changed something.
    pub found: usize,
    /// The preset that does without it.
    pub target: &'static str,
    /// What was measured there.
    pub why: &'static str,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} left out for {}, {} found: {}", self.pass, self.target, self.found, self.why)
    }
}

/// What simplification did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SimplifyReport {
    /// Operator nodes: subgraphs counted, `Constant` not.
    pub nodes_before: usize,
    /// The same afterwards.
    pub nodes_after: usize,
    /// How often each pass was applied, in the order of [`PASSES`]; those that were not are left out.
    pub passes: Vec<(String, usize)>,
    /// What changed beside nodes, and why: the opset, the type of all values.
    pub changed: Vec<String>,
    /// What the last round found and left alone.
    pub refusals: Vec<Refusal>,
    /// What the target does not want.
    pub left_out: Vec<LeftOut>,
    /// Whether passes ran that are only for the sake of integers.
    #[serde(skip)]
    pub for_integers: bool,
    /// A node that rounds to integers, for whose sake only rewrites ran that keep every bit.
    pub rounds: Option<String>,
}

impl fmt::Display for SimplifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ─► {} nodes", self.nodes_before, self.nodes_after)?;
        self.passes.iter().try_for_each(|(pass, count)| write!(f, "\n  {pass:<28} {count:>5}"))?;
        self.notes().iter().try_for_each(|note| write!(f, "\n  {note}"))?;
        self.refusals.iter().try_for_each(|refusal| write!(f, "\n  {refusal}"))
    }
}

impl SimplifyReport {
    /// What was not done, or changed more than nodes: the opset that was raised, passes that were left out.
    pub fn notes(&self) -> Vec<String> {
        let rounds = self
            .rounds
            .iter()
            .map(|node| format!("only rewrites that keep every bit, since {node} rounds to integers"));
        let left_out = self.left_out.iter().map(ToString::to_string);
        rounds.chain(self.changed.iter().cloned()).chain(left_out).collect()
    }
}

/// Rewrites `model` to a fixed point of the chosen passes. Outputs keep their names, types and, up to
/// rounding, their numbers.
///
/// # Errors
/// A usage error for a pass that does not exist; an input error for a model that contradicts itself.
pub fn simplify(model: &mut Model, options: &SimplifyOptions) -> Result<SimplifyReport> {
    let rounds = if options.keep_integers && options.only.is_empty() { rounding(model) } else { None };
    let options = &SimplifyOptions { bit_exact: options.bit_exact || rounds.is_some(), ..options.clone() };
    let passes = chosen(options)?;
    let mut report = SimplifyReport { nodes_before: model.operator_count(), rounds, ..Default::default() };
    let mut counts = vec![0; passes.len()];
    let mut round = |model: &mut Model, report: &mut SimplifyReport, of_now: &dyn Fn(&Pass) -> bool| -> Result<bool> {
        let mut changed = false;
        for (pass, count) in passes.iter().zip(&mut counts).filter(|(pass, _)| of_now(pass)) {
            let done = (pass.run)(&mut GraphEdit::new(model))?;
            tracing::debug!(pass = pass.name, applied = done.applied, refused = done.refusals.len());
            if done.applied > 0 && cfg!(debug_assertions) {
                crate::ir::verify(model).map_err(|e| Error::internal(format!("after {}: {e}", pass.name)))?;
            }
            *count += done.applied;
            changed |= done.applied > 0;
            report.refusals.extend(done.refusals);
            report.changed.extend(done.note);
        }
        Ok(changed)
    };
    let mut targeted = !passes.iter().any(|p| p.targeted);
    for _ in 0..MAX_ROUNDS {
        report.refusals.clear();
        crate::analysis::infer(&mut GraphEdit::new(model));
        let changed = round(model, &mut report, &|pass| !pass.last && (targeted || !pass.targeted))?;
        if !changed && targeted {
            break;
        }
        targeted |= !changed;
    }
    round(model, &mut report, &|pass| pass.last)?;
    report.nodes_after = model.operator_count();
    report.left_out = left_out(model, options)?;
    let applied = passes.iter().zip(&counts).filter(|(_, n)| **n > 0);
    report.for_integers = passes.iter().zip(&counts).any(|(p, n)| p.on_demand && *n > 0);
    report.passes = applied.map(|(p, n)| (p.name.to_string(), *n)).collect();
    Ok(report)
}

/// The first node that makes integers of computed numbers.
fn rounding(model: &Model) -> Option<String> {
    let rounds = |n: &&NodeId| model.node(**n).is_one_of(&["QuantizeLinear", "DynamicQuantizeLinear"]);
    model.all_nodes().iter().find(rounds).map(|n| model.describe(*n))
}

fn chosen(options: &SimplifyOptions) -> Result<Vec<&'static Pass>> {
    for name in options.only.iter().chain(&options.skip).chain(&options.also) {
        if !PASSES.iter().any(|p| p.name == name) {
            let nearest = names::nearest(name, PASSES.iter().map(|p| p.name)).unwrap_or_default();
            return Err(Error::usage(format!("there is no pass \"{name}\"; the nearest is \"{nearest}\"")));
        }
    }
    let named = |list: &[String], pass: &Pass| list.iter().any(|n| n == pass.name);
    let wanted = |p: &&Pass| {
        (options.only.is_empty() || named(&options.only, p))
            && !named(&options.skip, p)
            && (p.exact || !options.bit_exact)
            && !(options.only.is_empty() && options.is_off(p))
    };
    Ok(PASSES.iter().filter(wanted).collect())
}

/// What the passes that the target does without would find in the finished model.
fn left_out(model: &Model, options: &SimplifyOptions) -> Result<Vec<LeftOut>> {
    let mut all = Vec::new();
    let Some(target) = options.target.filter(|_| options.only.is_empty()) else { return Ok(all) };
    for choice in target.left_out().filter(|c| !options.skip.iter().any(|s| s == c.pass)) {
        let Some(pass) = PASSES.iter().find(|p| p.name == choice.pass && (p.exact || !options.bit_exact)) else {
            continue;
        };
        let mut copy = model.clone();
        let found = (pass.run)(&mut GraphEdit::new(&mut copy))?.applied;
        if found > 0 {
            all.push(LeftOut { pass: pass.name, found, target: target.name, why: choice.why });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rounded_then_keeps_every_bit() {
        let source = r#"<ir_version: 8, opset_import: ["" : 17]> g (float[N, 2] x) => (uint8[N, 2] y, float s, uint8 z)
            <float[2, 2] w = {1, 2, 3, 4}, float two = {2}> { d = Mul (x, two) m = MatMul (d, w) y, s, z = DynamicQuantizeLinear (m) }"#;
        let left = |options: &SimplifyOptions| {
            let mut model = crate::ir::text::parse(source).unwrap();
            let report = simplify(&mut model, options).unwrap();
            (report.nodes_after, report.rounds)
        };
        let named = "\"y\" (DynamicQuantizeLinear)".to_string();
        assert_eq!(left(&SimplifyOptions { keep_integers: true, ..Default::default() }), (3, Some(named)));
        assert_eq!(left(&SimplifyOptions::default()), (2, None));
    }

    #[test]
    fn targets_choose_among_the_passes() {
        for preset in crate::target::PRESETS {
            for choice in preset.passes {
                assert!(PASSES.iter().any(|p| p.name == choice.pass), "{}: {}", preset.name, choice.pass);
            }
        }
    }

    #[test]
    fn names_are_unique_and_an_unknown_one_suggests_the_nearest() {
        let mut names: Vec<_> = PASSES.iter().map(|p| p.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PASSES.len());
        let options = SimplifyOptions { only: vec!["dead-node".into()], ..Default::default() };
        let error = simplify(&mut Model::new(17), &options).unwrap_err().to_string();
        assert_eq!(error, "there is no pass \"dead-node\"; the nearest is \"dead-nodes\"");
    }
}
