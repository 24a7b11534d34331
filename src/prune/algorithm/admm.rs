//! Zeros chosen by two sets of weights that are drawn together, free ones and ones that keep the pattern: the alternating direction method of
//! multipliers (Boža, "Fast and effective weight update for pruned large language models", TMLR 2024; Meng et al., "ALPS: improved
//! optimization for highly sparse one-shot pruning", NeurIPS 2024).
//!
//! ```text
//! W ← (G + ρ·(Z − U))·(H + ρ·I)⁻¹      nearest to the wanted outputs, drawn to Z
//! Z ← W + U, zero where (W + U)² is among the lowest of the tensor, of its group of N:M, of its blocks
//! U ← U + W − Z                        ρ grows, so that W and Z end as one
//! ```
//!
//! Weights are in units of √H_kk, in which ρ weighs all inputs alike and H + ρ·I is far from singular: factored in f64, solved with in f32.
//! Only the mask is taken; the weights that stay are solved anew for it
//! afterwards. Unlike a sweep it can take back what went, and it chooses among all rows at once.

use std::ops::Range;

use faer::Mat;
use rayon::prelude::*;

use crate::prune::Pattern;
use crate::prune::mask;
use crate::prune::resolve::{Known, damping};
use crate::second_order::cholesky::Cholesky;
use crate::second_order::mean_diagonal;
use crate::second_order::moments::Centred;

/// Rounds in which the two sets come nearer. In the first half ρ grows from this share of H's diagonal to all of it, where it stays: what went
/// then scores what it did, where no other weight can make up for it.
const ROUNDS: usize = 40;
const RHO: f64 = 0.1;
/// Rounds with one ρ while it grows, for each of which H is factored anew.
const ALIKE: usize = 4;
/// Outputs that are solved together.
const TOGETHER: usize = 32;

/// Which weights go, as the tensor holds them: as many as the mask of the plan has, or what the pattern says.
pub fn mask(known: &Known, pattern: Pattern) -> Vec<bool> {
    let (c, plan) = (&known.layer.contraction, known.plan);
    let zeros = plan.mask.iter().filter(|m| **m).count();
    let left = (plan.mask.len() - zeros) / c.channels().max(1);
    // Weights of a group that sees nothing score nothing: they are the first to go.
    let problems: Vec<Option<Problem>> = known.moments.iter().map(|m| Problem::of(m, damping(left, m))).collect();
    if problems.iter().all(Option::is_none) {
        return plan.mask.clone();
    }
    let solvable = problems.iter().enumerate().filter_map(|(g, problem)| Some((g, problem.as_ref()?)));
    let parts = solvable.flat_map(|(g, problem)| {
        let outputs = (0..c.outputs).step_by(TOGETHER).map(|o| o..(o + TOGETHER).min(c.outputs));
        outputs.map(move |outputs| Part::new(known, problem, (g, outputs)))
    });
    let mut parts: Vec<Part> = parts.collect();
    let (mut gone, mut factors) = (plan.mask.clone(), Vec::new());
    let mut scores = vec![0f32; known.weights.len()];
    for round in 0..ROUNDS {
        if 2 * round <= ROUNDS && round.is_multiple_of(ALIKE) {
            let rho = RHO.powf(1.0 - 2.0 * round as f64 / ROUNDS as f64);
            let factored = problems.par_iter().map(|p| p.as_ref().map_or(Some(None), |p| Some(Some(p.factor(rho)?))));
            let Some(factored) = factored.collect::<Option<Vec<_>>>() else { return gone };
            factors = factored;
            parts.iter_mut().for_each(|p| p.weigh(rho as f32));
        }
        parts.par_iter_mut().for_each(|p| factors[p.group].iter().for_each(|factor| p.free(factor)));
        for part in &parts {
            part.each(|o, k, sum| scores[c.element(o, k)] = sum * sum);
        }
        gone = mask::lowest(&scores, plan, pattern, zeros);
        parts.par_iter_mut().for_each(|p| p.keep(|o, k| !gone[c.element(o, k)]));
    }
    gone
}

/// What is to be solved for a group, in units of √H_kk.
struct Problem<'a> {
    moments: &'a Centred,
    /// μ.
    damping: f64,
    /// √(H_kk + μ).
    units: Vec<f64>,
}

impl<'a> Problem<'a> {
    /// `None` where nothing is to be solved for.
    fn of(moments: &'a Centred, share: f64) -> Option<Self> {
        if moments.is_still() {
            return None;
        }
        let depth = moments.h.nrows();
        let damping = share * mean_diagonal(depth, |i, j| moments.h[(i, j)])?;
        let unit = |k: usize| (moments.h[(k, k)].max(0.0) + damping).sqrt().max(f64::MIN_POSITIVE);
        Some(Problem { moments, damping, units: (0..depth).map(unit).collect() })
    }

    /// Of H + (μ + ρ)·I in its units, whose diagonal is 1 + ρ.
    fn factor(&self, rho: f64) -> Option<Cholesky<f32>> {
        let Problem { moments, units, .. } = self;
        let at = |i: usize, j: usize| if i == j { 1.0 + rho } else { moments.h[(i, j)] / (units[i] * units[j]) };
        Some(Cholesky::of(Mat::from_fn(units.len(), units.len(), at))?.single())
    }
}

/// Some outputs of a group, `[depth, outputs]` each.
struct Part {
    group: usize,
    /// The first of them, counted over all groups.
    first: usize,
    /// G.
    wanted: Mat<f32>,
    /// W, Z and U.
    free: Mat<f32>,
    kept: Mat<f32>,
    apart: Mat<f32>,
    rho: f32,
}

impl Part {
    fn new(known: &Known, problem: &Problem, (group, outputs): (usize, Range<usize>)) -> Self {
        let c = &known.layer.contraction;
        let Problem { moments, damping, units } = problem;
        let first = group * c.outputs + outputs.start;
        let own = |k: usize, o: usize| f64::from(known.weights[c.element(first + o, k)]);
        let shaped = |at: &dyn Fn(usize, usize) -> f64| Mat::from_fn(c.depth, outputs.len(), |k, o| at(k, o) as f32);
        let wanted = shaped(&|k, o| (moments.g[(k, outputs.start + o)] + damping * own(k, o)) / units[k]);
        let kept = shaped(&|k, o| own(k, o) * units[k]);
        let zeros = shaped(&|_, _| 0.0);
        Part { group, first, wanted, free: zeros.clone(), kept, apart: zeros, rho: 1.0 }
    }

    /// Weighs how far W and Z are apart by `rho` from here on.
    fn weigh(&mut self, rho: f32) {
        self.apart *= faer::Scale(self.rho / rho);
        self.rho = rho;
    }

    fn free(&mut self, factor: &Cholesky<f32>) {
        for o in 0..self.free.ncols() {
            let (free, wanted) = (self.free.col_as_slice_mut(o), self.wanted.col_as_slice(o));
            let drawn = self.kept.col_as_slice(o).iter().zip(self.apart.col_as_slice(o));
            for ((w, g), (z, u)) in free.iter_mut().zip(wanted).zip(drawn) {
                *w = g + self.rho * (z - u);
            }
        }
        factor.solve(&mut self.free);
    }

    /// W + U by output, counted over all groups, and input.
    fn each(&self, mut with: impl FnMut(usize, usize, f32)) {
        for o in 0..self.free.ncols() {
            let sums = self.free.col_as_slice(o).iter().zip(self.apart.col_as_slice(o)).map(|(w, u)| w + u);
            sums.enumerate().for_each(|(k, sum)| with(self.first + o, k, sum));
        }
    }

    fn keep(&mut self, keeps: impl Fn(usize, usize) -> bool) {
        for o in 0..self.free.ncols() {
            let free = self.free.col_as_slice(o);
            let drawn = self.kept.col_as_slice_mut(o).iter_mut().zip(self.apart.col_as_slice_mut(o));
            for (k, (w, (z, u))) in free.iter().zip(drawn).enumerate() {
                let sum = w + *u;
                *z = if keeps(self.first + o, k) { sum } else { 0.0 };
                *u = sum - *z;
            }
        }
    }
}
