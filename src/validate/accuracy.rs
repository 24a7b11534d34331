//! How far outputs moved ([`Sums`]), and how often their answers stayed.
//!
//! An output that joins several values ([`joined`]) is as far as the worst of them: an error over boxes of hundreds of pixels and scores below
//! one tells of the boxes alone.
//!
//! Where the last axis holds classes ([`without_classes`]), its arg-max is compared, and with labels the accuracy of both ([`super::paired`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::paired::{Paired, Table};
use super::sums::Sums;
use crate::analysis::{Joined, joined, without_classes};
use crate::ir::{Model, Tensor};

/// How far one output moved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OutputDrift {
    /// As the model names it.
    pub name: String,
    /// Whether it holds floats: of other numbers only the agreement means something.
    pub float: bool,
    /// 10·log₁₀ of the energy of the output ÷ that of its error, in dB.
    pub sqnr_db: f64,
    /// Cosine of the angle between both, 1 where they are alike.
    pub cosine: f64,
    /// The largest error, in the units of the output.
    pub max_abs_error: f64,
    /// The mean of |error|, in the units of the output.
    pub mean_abs_error: f64,
    /// Largest magnitude of the original, for scale.
    pub max_abs: f64,
    /// Share of positions with the same arg-max over the last axis, absent where that axis holds one number; of equal integers.
    pub agreement: Option<f64>,
    /// Of each value that it joins, where it joins several.
    pub parts: Vec<PartDrift>,
}

/// How far a part of an output moved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PartDrift {
    /// The axis along which parts are joined, counted from the front.
    pub axis: usize,
    /// Its first position, and the one behind its last.
    pub range: (usize, usize),
    /// As of the whole output, in dB.
    pub sqnr_db: f64,
}

impl OutputDrift {
    /// The SQNR of its worst part, or of the whole where it is one value, in dB.
    pub fn worst_db(&self) -> f64 {
        self.parts.iter().map(|p| p.sqnr_db).fold(self.sqnr_db, f64::min)
    }
}

/// Accuracy of both models by labels.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskAccuracy {
    /// Samples with a label.
    pub samples: u64,
    /// Answers that are right.
    pub top1: Paired,
    /// Absent below six classes.
    pub top5: Option<Paired>,
}

/// The SQNR of the worst output of floats, or part of one, in dB.
pub fn worst_db(outputs: &[OutputDrift]) -> Option<f64> {
    outputs.iter().filter(|o| o.float).map(OutputDrift::worst_db).min_by(f64::total_cmp)
}

/// The agreement of the worst output.
pub fn worst_agreement(outputs: &[OutputDrift]) -> Option<f64> {
    outputs.iter().filter_map(|o| o.agreement).min_by(f64::total_cmp)
}

/// Loss of top-1 accuracy, without labels of agreement, as a share.
pub fn drop(task: Option<&TaskAccuracy>, outputs: &[OutputDrift]) -> Option<f64> {
    task.map(|t| -t.top1.difference).or_else(|| worst_agreement(outputs).map(|a| 1.0 - a))
}

/// What is known of one output so far.
#[derive(Debug, Clone, Default)]
struct Output {
    name: String,
    float: bool,
    sums: Sums,
    /// Of each part, where there are several.
    parts: Vec<Sums>,
    /// Rows of classes, or integers, and how many of them are the same.
    rows: u64,
    same: u64,
    top1: Table,
    top5: Table,
    classes: usize,
    /// A label that is no class.
    outside: Option<i64>,
}

impl Output {
    fn add(&mut self, (r, q): (&Tensor, &Tensor), labels: Option<&[i64]>, (classes, joined): (bool, Option<&Joined>)) {
        let (Some(rv), Some(qv)) = (r.to_f32(), q.to_f32()) else { return };
        let alike = r.shape() == q.shape();
        if let Some(joined) = joined.filter(|_| alike) {
            self.add_parts(joined, r.shape(), (&rv, &qv));
        }
        self.float = r.dtype().is_float();
        self.sums.add(&rv, if alike { &qv } else { &[] });
        self.sums.broken += u64::from(!alike);
        if !self.float {
            self.rows += rv.len() as u64;
            // By the integers themselves: float32 holds 24 bits of them.
            let both = r.to_i64().zip(q.to_i64()).filter(|_| alike);
            self.same += both.map_or(0, |(r, q)| r.iter().zip(&q).filter(|(a, b)| a == b).count() as u64);
            return;
        }
        let width = r.shape().last().copied().unwrap_or(1);
        if width < 2 || r.rank() < 2 || !classes {
            return;
        }
        self.rows += (rv.len() / width) as u64;
        if !alike {
            return;
        }
        let rows = || rv.chunks_exact(width).zip(qv.chunks_exact(width));
        self.same += rows().filter(|(a, b)| arg_max(a) == arg_max(b)).count() as u64;
        let Some(labels) = labels.filter(|l| l.len() * width == rv.len()) else { return };
        self.classes = width;
        let inside = |label: &&i64| usize::try_from(**label).is_ok_and(|l| l < width);
        self.outside = self.outside.or_else(|| labels.iter().find(|l| !inside(l)).copied());
        for ((a, b), label) in rows().zip(labels) {
            self.top1.add(in_top(a, *label, 1), in_top(b, *label, 1));
            self.top5.add(in_top(a, *label, 5), in_top(b, *label, 5));
        }
    }

    fn add_parts(&mut self, joined: &Joined, shape: &[usize], (r, q): (&[f32], &[f32])) {
        self.parts.resize(joined.ends.len(), Sums::default());
        joined.runs(shape).for_each(|(part, run)| self.parts[part].add(&r[run.clone()], &q[run]));
    }

    fn merge(&mut self, o: &Output) {
        self.float |= o.float;
        self.sums.merge(&o.sums);
        self.parts.resize(self.parts.len().max(o.parts.len()), Sums::default());
        self.parts.iter_mut().zip(&o.parts).for_each(|(a, b)| a.merge(b));
        self.rows += o.rows;
        self.same += o.same;
        self.top1.merge(&o.top1);
        self.top5.merge(&o.top5);
        self.classes = self.classes.max(o.classes);
        self.outside = self.outside.or(o.outside);
    }

    fn drift(&self, joined: Option<&Joined>) -> OutputDrift {
        let s = &self.sums;
        let begins = joined.iter().flat_map(|j| std::iter::once(0).chain(j.ends.iter().copied()).zip(&j.ends));
        let part = |(sums, (begin, end)): (&Sums, (usize, &usize))| PartDrift {
            axis: joined.map_or(0, |j| j.axis),
            range: (begin, *end),
            sqnr_db: sums.sqnr_db(),
        };
        OutputDrift {
            name: self.name.clone(),
            float: self.float,
            sqnr_db: s.sqnr_db(),
            cosine: s.cosine(),
            max_abs_error: s.max,
            mean_abs_error: s.abs / s.count.max(1) as f64,
            max_abs: s.max_r,
            agreement: (self.rows > 0).then(|| self.same as f64 / self.rows as f64),
            // One without energy tells nothing apart.
            parts: self.parts.iter().zip(begins).filter(|(sums, _)| sums.rr > 0.0).map(part).collect(),
        }
    }
}

/// Streaming comparison of the outputs of two models.
#[derive(Debug, Clone, Default)]
pub struct Accuracy {
    outputs: Vec<Output>,
    /// Outputs whose largest number tells no class.
    without_classes: Arc<BTreeSet<String>>,
    /// Outputs that are several values.
    joined: Arc<BTreeMap<String, Joined>>,
}

impl Accuracy {
    /// Of no batch yet, of the outputs of this model.
    pub fn of_outputs(model: &Model) -> Self {
        let (without_classes, joined) = (Arc::new(without_classes(model)), Arc::new(joined(model)));
        Accuracy { without_classes, joined, ..Accuracy::default() }
    }

    /// Takes in the outputs of one batch. One of another shape than before is as far as can be; one that the rewritten model has not is
    /// passed over.
    pub fn add(&mut self, original: &[(String, Tensor)], rewritten: &[(String, Tensor)], labels: Option<&[i64]>) {
        let joined = self.joined.clone();
        for (name, r) in original {
            if let Some((_, q)) = rewritten.iter().find(|(n, _)| n == name) {
                let classes = !self.without_classes.contains(name);
                self.of(name).add((r, q), labels, (classes, joined.get(name)));
            }
        }
    }

    fn of(&mut self, name: &str) -> &mut Output {
        let at = self.outputs.iter().position(|o| o.name == name).unwrap_or(self.outputs.len());
        if at == self.outputs.len() {
            self.outputs.push(Output { name: name.to_string(), ..Output::default() });
        }
        &mut self.outputs[at]
    }

    /// Adds what another batch gave.
    pub fn merge(&mut self, other: Accuracy) {
        other.outputs.iter().for_each(|o| self.of(&o.name).merge(o));
    }

    /// Where no output has a class for every label: a label that is none, and how many classes there are.
    pub fn label_outside(&self) -> Option<(i64, usize)> {
        let first = self.outputs.iter().find(|o| o.top1.count() > 0)?;
        first.outside.filter(|_| self.judged().is_none()).map(|label| (label, first.classes))
    }

    /// The drift of each output, in order.
    pub fn outputs(&self) -> Vec<OutputDrift> {
        self.outputs
            .iter()
            .filter(|o| o.sums.count > 0 || o.sums.broken > 0)
            .map(|o| o.drift(self.joined.get(&o.name)))
            .collect()
    }

    /// The output that labels judge: of those with a class for every label the one in which the original is right most often.
    fn judged(&self) -> Option<&Output> {
        let classified = self.outputs.iter().filter(|o| o.top1.count() > 0 && o.outside.is_none());
        let right = |o: &&Output| o.top1.right();
        classified.rev().max_by_key(right)
    }

    /// How often the answers were right, where there were labels.
    pub fn task(&self) -> Option<TaskAccuracy> {
        self.judged().map(|o| TaskAccuracy {
            samples: o.top1.count(),
            top1: o.top1.paired(),
            top5: (o.classes > 5).then(|| o.top5.paired()),
        })
    }
}

/// Index of the first largest number.
pub fn arg_max(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in row.iter().enumerate() {
        if *v > row[best] {
            best = i;
        }
    }
    best
}

/// Whether fewer than `k` classes come before the label's; of equal ones the first does, as in [`arg_max`].
fn in_top(row: &[f32], label: i64, k: usize) -> bool {
    let Some((at, own)) = usize::try_from(label).ok().and_then(|l| Some((l, row.get(l)?))) else { return false };
    let before = |(i, v): &(usize, &f32)| *v > own || *v == own && *i < at;
    !own.is_nan() && row.iter().enumerate().filter(before).count() < k
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::EXACT_DB;

    #[test]
    fn integers_agree_by_every_bit() {
        let ids = |v: i64| vec![("ids".to_string(), Tensor::from_vec([2], vec![7, v]))];
        let mut accuracy = Accuracy::default();
        accuracy.add(&ids(16_777_216), &ids(16_777_217), None);
        assert_eq!(accuracy.outputs()[0].agreement, Some(0.5));
    }

    #[test]
    fn labels_judge_both_models() {
        let t = |v: Vec<f32>| vec![("y".to_string(), Tensor::from_vec([2, 3], v))];
        let mut a = Accuracy::default();
        a.add(&t(vec![0., 1., 0., 5., 1., 0.]), &t(vec![0., 1., 0., 0., 1., 0.]), Some(&[1, 0]));
        let task = a.task().unwrap();
        assert_eq!((task.top1.original, task.top1.rewritten), (1.0, 0.5));
        assert_eq!(a.outputs()[0].agreement, Some(0.5));
    }

    #[test]
    fn labels_judge_the_output_that_has_their_classes() {
        let of = |v: Vec<f32>| {
            let boxes = Tensor::from_vec([2, 4], vec![9., 1., 1., 1., 9., 1., 1., 1.]);
            vec![("boxes".to_string(), boxes), ("y".to_string(), Tensor::from_vec([2, 6], v))]
        };
        let scores = vec![0., 0., 0., 0., 0., 1., 1., 0., 0., 0., 0., 0.];
        let mut a = Accuracy::default();
        a.add(&of(scores.clone()), &of(scores.clone()), Some(&[5, 0]));
        assert_eq!((a.label_outside(), a.task().unwrap().top1.original), (None, 1.0), "no box is class 5");
        let mut a = Accuracy::default();
        a.add(&of(scores.clone()), &of(scores.clone()), Some(&[3, 0]));
        assert_eq!(a.task().unwrap().top1.original, 0.5, "both have the classes, and each is right once: the first");
        let mut a = Accuracy::default();
        a.add(&of(scores.clone()), &of(scores), Some(&[7, 0]));
        assert_eq!((a.label_outside(), a.task().is_none()), (Some((7, 4)), true));
    }

    #[test]
    fn a_row_without_numbers_or_without_differences_is_not_right_by_chance() {
        assert!(!in_top(&[f32::NAN; 6], 2, 5) && in_top(&[f32::NAN, 1.0], 1, 1));
        assert!(
            in_top(&[0.0; 6], 0, 1) && !in_top(&[0.0; 6], 1, 1) && in_top(&[0.0; 6], 4, 5) && !in_top(&[0.0; 6], 5, 5)
        );
    }

    #[test]
    fn a_part_of_small_numbers_counts_as_much_as_one_of_large_ones() {
        let source = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,1,2] b, float[N,2,2] s) => (float[N,3,2] y)
            { y = Concat <axis = 1> (b, s) }";
        let mut a = Accuracy::of_outputs(&crate::ir::text::parse(source).unwrap());
        let of = |score: f32| {
            let sample = [300., 400., 0.6, 0., 0.8, score];
            vec![("y".to_string(), Tensor::from_vec([2, 3, 2], [sample, sample].concat()))]
        };
        a.add(&of(0.0), &of(0.1), None);
        let mut all = a.clone();
        all.merge(a);
        let [y] = &all.outputs()[..] else { panic!("one output") };
        assert!(y.sqnr_db > 70.0, "25e4 / 0.01");
        assert_eq!(y.parts.iter().map(|p| (p.axis, p.range)).collect::<Vec<_>>(), [(1, (0, 1)), (1, (1, 3))]);
        assert!((y.worst_db() - 20.0).abs() < 1e-3 && y.parts[0].sqnr_db == EXACT_DB, "1 / 0.01");
        assert_eq!(worst_db(&all.outputs()), Some(y.worst_db()));
    }

    #[test]
    fn another_shape_is_as_far_as_can_be_and_integers_count_by_equality() {
        let of = |t: Tensor| vec![("y".to_string(), t)];
        let mut a = Accuracy::default();
        a.add(&of(Tensor::from_vec([2, 2], vec![1f32; 4])), &of(Tensor::from_vec([1, 2], vec![1f32; 2])), None);
        assert_eq!((worst_db(&a.outputs()), a.outputs()[0].agreement), (Some(-EXACT_DB), Some(0.0)));
        let mut a = Accuracy::default();
        a.add(&of(Tensor::from_vec([4], vec![3i64, 57, 2, 2])), &of(Tensor::from_vec([4], vec![3i64, 12, 2, 2])), None);
        assert_eq!((worst_db(&a.outputs()), worst_agreement(&a.outputs())), (None, Some(0.75)));
    }
}
