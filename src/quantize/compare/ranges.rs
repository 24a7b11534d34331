//! Chooses among the ranges of each value the one that changes least what is computed from it.
//!
//! ```text
//! range(x) = argminᵣ E(r)·g(r)      g(r) = Σ_y ‖y(xᵣ) − y(x)‖² / ‖y(x)‖²  per  ‖xᵣ − x‖²      xᵣ: x quantized with r and back
//! ```
//!
//! y are the values next in line that become integers themselves, or outputs of the model ([`super::pieces`]): the error is
//! measured behind the weights and activations that read x, which a statistic of x does not know. Values that reach the same y
//! are tried one after the other, all others at once.
//!
//! E(r) is the squared error of all values that calibration has counted: a few batches hold few of the rare large values that
//! a small range clips. What an error in x counts for, g, is measured; for that a few batches suffice, since
//! all of their values are compared: all ranges on the first ones, the best few on the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::pieces::{Cut, Floats, Original, Part, Pieces};
use super::press::{power, squared_distance};
use super::{Ground, each};
use crate::calibrate::{Range, Ranges, Statistics};
use crate::error::Result;
use crate::ir::{Tensor, ValueId};
use crate::progress::Silent;
use crate::quantize::plan::QuantPlan;
use crate::quantize::{QParams, QuantOptions};
use crate::runtime::Shaped;

/// Batches on which every range is tried.
const FIRST: usize = 2;
/// Ranges of a value that are tried on the others.
const KEPT: usize = 3;
/// More turns are not worth their runs: the values left over share the last one.
const MOST_TURNS: usize = 3;

/// `ranges`, those of the values in `plan` (made for the model with them) chosen among their `alternatives` by measuring
/// on `batches`.
///
/// # Errors
/// What the data or the runtime refuse.
pub fn refine(
    ground: Ground,
    plan: &QuantPlan,
    mut ranges: Ranges,
    (statistics, alternatives): (&Statistics, &BTreeMap<String, Vec<Range>>),
    batches: &[usize],
) -> Result<Ranges> {
    let pieces = Pieces::cut(ground.model, plan);
    let candidates = |c: &Cut| {
        Some(candidates(c, alternatives.get(&c.name)?, statistics, &plan.options)).filter(|all| all.len() > 1)
    };
    let candidates: Vec<Vec<Candidate>> = pieces.cuts.iter().map(|c| candidates(c).unwrap_or_default()).collect();
    for (index, best) in (Tried { ground, pieces: &pieces, candidates: &candidates }).best(batches)? {
        ranges.ranges.insert(pieces.cuts[index].name.clone(), candidates[index][best].range);
    }
    Ok(ranges)
}

struct Candidate {
    range: Range,
    params: QParams,
    /// Expected squared error of one value.
    expected: f64,
}

/// The ranges of a value that give different scales.
fn candidates(cut: &Cut, all: &[Range], statistics: &Statistics, options: &QuantOptions) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for range in all {
        let Ok(params) = options.activation_params(*range) else { continue };
        if found.iter().all(|c| c.params != params) {
            let expected = statistics.error(&cut.name, params.range()).unwrap_or(1.0);
            found.push(Candidate { range: *range, params, expected });
        }
    }
    found
}

/// Values no two of which reach the same output, and the pieces that read them.
struct Turn {
    cuts: Vec<usize>,
    part: Part,
}

/// Candidates of each value that are still in the running, the best first.
type Alive = BTreeMap<usize, Vec<usize>>;

struct Tried<'a> {
    ground: Ground<'a>,
    pieces: &'a Pieces,
    candidates: &'a [Vec<Candidate>],
}

impl Tried<'_> {
    /// The best candidate of each cut that has any.
    fn best(&self, batches: &[usize]) -> Result<BTreeMap<usize, usize>> {
        let ground = self.ground;
        let choice: Vec<usize> = (0..self.pieces.cuts.len()).filter(|i| !self.candidates[*i].is_empty()).collect();
        if choice.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names: Vec<&str> = choice.iter().map(|i| self.pieces.cuts[*i].name.as_str()).collect();
        let groups = ground.groups(&names);
        let turns: Vec<Turn> =
            groups.iter().flat_map(|g| self.turns(&g.iter().map(|i| choice[*i]).collect::<Vec<_>>())).collect();
        let names: BTreeSet<&String> = turns.iter().flat_map(|t| t.part.needs().chain(&t.part.outputs)).collect();
        let original = Original::new(ground.model, &names);
        let whole = original.session(ground.runtime);
        let sessions: Vec<Shaped> = turns.iter().map(|t| Shaped::new(ground.runtime, &t.part.model, &[])).collect();
        let mut alive: Alive = choice.iter().map(|i| (*i, (0..self.candidates[*i].len()).collect())).collect();
        let mut errors = Errors::default();
        let (first, rest) = batches.split_at(FIRST.min(batches.len()));
        for batches in [first, rest] {
            let bytes = ground.held(names.iter().copied());
            let beside = ground.beside(names.iter().copied());
            let seen = each("choosing ranges", batches, bytes, ground.progress, |index| {
                let batch = ground.dataset.batch(*index)?;
                let floats = original.values(&whole, &batch.inputs)?;
                let places = |t: usize| (0..most(&turns[t], &alive)).map(move |place| (t, place));
                let runs: Vec<(usize, usize)> = (0..turns.len()).flat_map(places).collect();
                let seen = each("", &runs, beside, &Silent, |(t, place)| {
                    self.run((&turns[*t], &sessions[*t]), (&floats, &batch.inputs), &alive, *place)
                })?;
                let mut errors = Errors::default();
                seen.into_iter().for_each(|part| errors.merge(part));
                Ok(errors)
            })?;
            seen.into_iter().for_each(|part| errors.merge(part));
            let error = |index: usize, c: usize| errors.of((index, c), self.candidates[index][c].expected);
            for (index, order) in &mut alive {
                order.sort_by(|a, b| error(*index, *a).total_cmp(&error(*index, *b)));
                order.truncate(KEPT);
            }
        }
        Ok(alive.into_iter().filter_map(|(index, order)| Some((index, *order.first()?))).collect())
    }

    /// Gives each cut the first turn in which none reaches an output that it reaches.
    fn turns(&self, choice: &[usize]) -> Vec<Turn> {
        let mut turns: Vec<(Vec<usize>, BTreeSet<ValueId>)> = Vec::new();
        for index in choice {
            let reaches = &self.pieces.cuts[*index].reaches;
            let free = turns.iter().position(|(_, taken)| reaches.iter().all(|v| !taken.contains(v)));
            let at = free.unwrap_or(turns.len()).min(MOST_TURNS - 1);
            if at == turns.len() {
                turns.push(Default::default());
            }
            turns[at].0.push(*index);
            turns[at].1.extend(reaches);
        }
        let turn = |(cuts, outputs): (Vec<usize>, BTreeSet<ValueId>)| {
            let outputs: Vec<ValueId> = outputs.into_iter().collect();
            Turn { cuts, part: self.pieces.part(&outputs) }
        };
        turns.into_iter().map(turn).collect()
    }

    /// A turn on one batch, each of its values with the candidate at this place of its list.
    fn run(
        &self,
        (turn, session): (&Turn, &Shaped),
        (floats, inputs): (&Floats, &[(String, Tensor)]),
        alive: &Alive,
        place: usize,
    ) -> Result<Errors> {
        let mut errors = Errors::default();
        let float = |name: &String| floats.get(name).and_then(Tensor::to_f32);
        let candidate = |index: usize| alive.get(&index).filter(|_| turn.cuts.contains(&index))?.get(place).copied();
        let params = |index: usize| Some(&self.candidates[index][candidate(index)?].params);
        let fed = turn.part.fed(floats, inputs, params)?;
        let made = session.run(&fed)?;
        let distance = |(name, (_, made)): (&String, &(String, Tensor))| {
            let (a, b) = float(name).zip(made.to_f32())?;
            (a.len() == b.len()).then(|| (name.clone(), (squared_distance(&a, &b), power(&a))))
        };
        let distances: HashMap<String, (f64, f64)> = turn.part.outputs.iter().zip(&made).filter_map(distance).collect();
        for index in &turn.cuts {
            let Some(candidate) = candidate(*index) else { continue };
            let x = float(&self.pieces.cuts[*index].name);
            if let Some((x, pressed)) = x.zip(turn.part.pressed(&fed, *index).and_then(Tensor::to_f32)) {
                errors.add_own((*index, candidate), squared_distance(&x, &pressed), x.len());
            }
            for o in self.pieces.names(&self.pieces.cuts[*index].reaches) {
                errors.add(((*index, candidate), o), distances.get(o).copied().unwrap_or_default());
            }
        }
        Ok(errors)
    }
}

/// The longest list of candidates in a turn.
fn most(turn: &Turn, alive: &Alive) -> usize {
    turn.cuts.iter().map(|i| alive[i].len()).max().unwrap_or(0)
}

/// What a candidate does on some batches.
#[derive(Default)]
struct Done {
    /// To each output it reaches, beside the size of that output.
    outputs: BTreeMap<String, (f64, f64)>,
    /// To the value itself, and how many elements that has.
    own: (f64, usize),
}

/// Of each candidate (value, number).
#[derive(Default)]
struct Errors(BTreeMap<(usize, usize), Done>);

impl Errors {
    fn add(&mut self, (candidate, output): ((usize, usize), &str), (distance, size): (f64, f64)) {
        let sums = self.0.entry(candidate).or_default().outputs.entry(output.to_owned()).or_default();
        sums.0 += distance;
        sums.1 += size;
    }

    fn add_own(&mut self, candidate: (usize, usize), distance: f64, count: usize) {
        let own = &mut self.0.entry(candidate).or_default().own;
        own.0 += distance;
        own.1 += count;
    }

    fn merge(&mut self, other: Errors) {
        for (candidate, done) in other.0 {
            self.add_own(candidate, done.own.0, done.own.1);
            for (output, sums) in done.outputs {
                self.add((candidate, &output), sums);
            }
        }
    }

    /// The error of a candidate relative to each output, if the value itself erred as `expected`.
    fn of(&self, candidate: (usize, usize), expected: f64) -> f64 {
        let Some(done) = self.0.get(&candidate) else { return 0.0 };
        let relative = |(distance, size): &(f64, f64)| distance / size.max(f64::MIN_POSITIVE);
        let seen = done.own.0 / done.own.1.max(1) as f64;
        let more = if seen > 0.0 { expected / seen } else { 1.0 };
        more * done.outputs.values().map(relative).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_few_batches_do_not_show_counts_by_its_expected_error() {
        let mut errors = Errors::default();
        // Two candidates that do the same to the output; all data show the second to clip more than these batches do.
        for candidate in [0, 1] {
            errors.add(((0, candidate), "y"), (2.0, 100.0));
            errors.add_own((0, candidate), 4.0, 8);
        }
        let (even, clipping) = (errors.of((0, 0), 0.5), errors.of((0, 1), 1.5));
        assert!((even - 0.02).abs() < 1e-12 && (clipping - 0.06).abs() < 1e-12, "{even} {clipping}");
        let mut twice = Errors::default();
        twice.merge(errors);
        twice.add(((0, 0), "z"), (1.0, 10.0));
        assert!((twice.of((0, 0), 0.5) - 0.12).abs() < 1e-12);
    }
}
