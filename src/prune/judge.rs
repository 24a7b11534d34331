//! How near the outputs of a pruned model come to those of the float one: errors ([`runtime::Score`]), and how often the arg-max of the last
//! axis agrees.

use std::collections::BTreeSet;

use super::Data;
use super::floats::Floats;
use crate::analysis::without_classes;
use crate::error::Result;
use crate::ir::{Model, Tensor};
use crate::runtime::{self, apart};
use crate::second_order::Walk;

/// What judges: the float outputs on a few batches.
pub(super) struct Judge<'a> {
    pub floats: Floats<'a>,
    /// Outputs whose largest number tells no class.
    without_classes: BTreeSet<String>,
}

/// How near a model comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Score {
    pub errors: runtime::Score,
    /// Share of positions with the same arg-max, of the first output that has more than one class, and how many there are.
    pub agreement: Option<(f64, u64)>,
}

/// Which of these is best: of those that agree as often as the most does, but for its standard error, the one that errs least. Errors alone
/// say little where few weights are left: what makes all outputs smaller errs much, and answers the same.
pub(super) fn best(scores: &[Score]) -> Option<usize> {
    let most = scores.iter().filter_map(|s| s.agreement).max_by(|a, b| a.0.total_cmp(&b.0));
    let enough = most.map_or(0.0, |(share, count)| share - (share * (1.0 - share) / count.max(1) as f64).sqrt());
    let agrees = |s: &&(usize, &Score)| s.1.agreement.is_none_or(|(share, _)| share >= enough);
    let agreeing = scores.iter().enumerate().filter(|s| agrees(&s));
    agreeing.max_by(|a, b| a.1.errors.score.total_cmp(&b.1.errors.score)).map(|(i, _)| i)
}

/// Energies of an output and of its error, and positions that agree, of all.
type Compared = Option<((f64, f64), (u64, u64))>;

impl<'a> Judge<'a> {
    /// Runs the float model on these batches.
    ///
    /// # Errors
    /// What the data or the runtime refuse.
    pub fn new(model: &Model, data: Data<'a>, batches: &[usize]) -> Result<Self> {
        Ok(Judge { floats: Floats::new(model, data, batches)?, without_classes: without_classes(model) })
    }

    /// How near the outputs of `model` come; by a walk ([`Floats::walk`]) where one stands before all that is not as in the float model.
    ///
    /// # Errors
    /// What the data or the runtime refuse.
    pub fn score(&self, model: &Model, walk: Option<&Walk>) -> Result<Score> {
        let compare = |name: &str, a: &Tensor, b: &Tensor| compared(a, b, !self.without_classes.contains(name));
        let seen = match walk {
            Some(walk) => self.floats.compared_ahead((walk, model), compare),
            None => self.floats.compared(model, compare),
        };
        Ok(Score::of(&seen?))
    }
}

fn compared(a: &Tensor, b: &Tensor, classes: bool) -> Compared {
    let (x, y) = a.to_f32().filter(|_| a.dtype().is_float()).zip(b.to_f32()).filter(|(x, y)| x.len() == y.len())?;
    let energies = apart(&x, &y);
    let Some(classes) = a.shape().last().copied().filter(|c| *c > 1 && a.rank() > 1 && classes) else {
        return Some((energies, (0, 0)));
    };
    let best = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i);
    let same = x.chunks(classes).zip(y.chunks(classes)).filter(|(x, y)| best(x) == best(y)).count();
    Some((energies, (same as u64, (x.len() / classes) as u64)))
}

impl Score {
    fn of(seen: &[Vec<Compared>]) -> Self {
        let energies: Vec<_> = seen.iter().map(|batch| batch.iter().map(|o| o.map(|o| o.0)).collect()).collect();
        let agreement = |o: usize| {
            let sum = |s: (u64, u64), v: (u64, u64)| (s.0 + v.0, s.1 + v.1);
            let (same, all) = seen.iter().filter_map(|batch| batch[o]).map(|o| o.1).fold((0, 0), sum);
            (all > 0).then(|| (same as f64 / all as f64, all))
        };
        let outputs = seen.first().map_or(0, Vec::len);
        Score { errors: runtime::Score::of(&energies), agreement: (0..outputs).find_map(agreement) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::GraphEdit;
    use crate::second_order::Order;

    #[test]
    fn errors_decide_among_those_that_agree_alike() {
        let errors = |db| runtime::Score { score: db, sqnr: db };
        let of = |db, share: f64| Score { errors: errors(db), agreement: Some((share, 400)) };
        // At 0.9 of 400 the standard error is 0.015.
        assert_eq!(best(&[of(6.0, 0.90), of(12.0, 0.80), of(5.0, 0.89)]), Some(0));
        assert_eq!(best(&[of(6.0, 0.90), of(12.0, 0.886)]), Some(1));
        let numbers = |db| Score { errors: errors(db), agreement: None };
        assert_eq!((best(&[numbers(3.0), numbers(4.0)]), best(&[])), (Some(1), None));
    }

    #[test]
    fn what_lies_ahead_is_judged_as_the_whole() {
        let list = |count: usize, salt: usize| {
            (0..count).map(|i| format!("{}", ((i * 37 + salt) % 19) as f32 / 9.5 - 1.0)).collect::<Vec<_>>().join(",")
        };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,6] x) => (float[N,5] y, float[N,8] early)
             <float[6,8] v = {{{}}}, float[8,8] w = {{{}}}, float[8,5] u = {{{}}}>
             {{ early = MatMul (x, v) a = Relu (early) [at] b = MatMul (a, w) c = Add (b, early) y = MatMul (c, u) }}",
            list(48, 3),
            list(64, 5),
            list(40, 7)
        );
        let model = crate::ir::text::parse(&source).unwrap();
        let spec = crate::data::InputSpec::of(&model);
        let options = crate::data::DataOptions { batch_size: 4, ..crate::data::DataOptions::new("random:16") };
        let dataset = crate::data::Dataset::open(&options, &spec).unwrap();
        let data = Data { dataset: &dataset, runtime: runtime::built_in() };
        let judge = Judge::new(&model, data, &[0, 2, 3]).unwrap();
        let order = Order::of(&model);
        let mut walk = judge.floats.walk(&model, &order).unwrap();
        let at = *model.all_nodes().iter().find(|n| model.node(**n).name == "at").unwrap();
        let weight = model.node(at).input(1).unwrap();
        walk.advance(&[&model], order.first(&model, std::iter::once(weight))).unwrap();
        let mut other = model.clone();
        let less: Vec<f32> = model.constant(weight).unwrap().to_f32().unwrap().iter().map(|w| 0.5 * w).collect();
        GraphEdit::new(&mut other).set_constant(weight, Tensor::from_vec([8, 8], less));
        let [whole, ahead] = [None, Some(&walk)].map(|walk| judge.score(&other, walk).unwrap());
        assert!(
            whole.errors.sqnr < 30.0 && (whole.errors.sqnr - ahead.errors.sqnr).abs() < 1e-3,
            "{whole:?} {ahead:?}"
        );
        assert_eq!(whole.agreement, ahead.agreement);
    }
}
