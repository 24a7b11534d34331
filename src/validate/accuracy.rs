//! How far outputs moved, in streaming sums: memory does not grow with the data.
//!
//! With r the original's output and q the rewritten one's, over all elements of all samples:
//!
//! ```text
//! SQNR = 10·log10(Σr² / Σ(r−q)²) dB        cosine = Σrq / √(Σr²·Σq²)
//! ```
//!
//! Where the last axis holds classes, its arg-max is compared, and with labels the accuracy of both. The
//! difference of two accuracies on the same samples has the 95 % interval of Agresti and Min (2005) for
//! paired proportions, so that nobody reads noise as a drop.

use schemars::JsonSchema;
use serde::Serialize;

use crate::ir::Tensor;

/// What is reported instead of an infinite SQNR, where nothing differs.
pub const EXACT_DB: f64 = 200.0;

/// Sums over pairs of original and rewritten numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    count: u64,
    rr: f64,
    qq: f64,
    rq: f64,
    ee: f64,
    abs: f64,
    max: f64,
    max_r: f64,
    /// Pairs in which exactly one number is not finite.
    broken: u64,
}

impl Sums {
    pub fn add(&mut self, r: &[f32], q: &[f32]) {
        for (r, q) in r.iter().zip(q) {
            let (r, q) = (f64::from(*r), f64::from(*q));
            self.count += 1;
            if !r.is_finite() || !q.is_finite() {
                self.broken += u64::from(r.is_finite() != q.is_finite());
                continue;
            }
            let e = (r - q).abs();
            self.rr += r * r;
            self.qq += q * q;
            self.rq += r * q;
            self.ee += e * e;
            self.abs += e;
            self.max = self.max.max(e);
            self.max_r = self.max_r.max(r.abs());
        }
    }

    pub fn merge(&mut self, o: &Sums) {
        self.count += o.count;
        self.rr += o.rr;
        self.qq += o.qq;
        self.rq += o.rq;
        self.ee += o.ee;
        self.abs += o.abs;
        self.max = self.max.max(o.max);
        self.max_r = self.max_r.max(o.max_r);
        self.broken += o.broken;
    }

    /// In dB; [`EXACT_DB`] where nothing differs, −[`EXACT_DB`] where a finite number became none.
    pub fn sqnr_db(&self) -> f64 {
        if self.broken > 0 {
            -EXACT_DB
        } else if self.ee == 0.0 {
            EXACT_DB
        } else {
            (10.0 * (self.rr / self.ee).log10()).clamp(-EXACT_DB, EXACT_DB)
        }
    }

    pub fn cosine(&self) -> f64 {
        let norm = (self.rr * self.qq).sqrt();
        if norm > 0.0 {
            self.rq / norm
        } else if self.ee == 0.0 {
            1.0
        } else {
            0.0
        }
    }
}

/// How far one output moved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OutputDrift {
    pub name: String,
    pub sqnr_db: f64,
    pub cosine: f64,
    pub max_abs_error: f64,
    pub mean_abs_error: f64,
    /// Largest magnitude of the original, for scale.
    pub max_abs: f64,
    /// Share of positions with the same arg-max over the last axis; absent where that axis holds one number.
    pub agreement: Option<f64>,
}

/// Accuracy of both models by labels.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskAccuracy {
    pub samples: u64,
    pub top1: Paired,
    /// Absent below six classes.
    pub top5: Option<Paired>,
}

/// The same samples judged twice: shares of right answers, their difference and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Paired {
    pub original: f64,
    pub rewritten: f64,
    pub difference: f64,
    pub low: f64,
    pub high: f64,
}

/// The SQNR of the worst output, in dB.
pub fn worst_db(outputs: &[OutputDrift]) -> Option<f64> {
    outputs.iter().map(|o| o.sqnr_db).min_by(f64::total_cmp)
}

/// The agreement of the worst output.
pub fn worst_agreement(outputs: &[OutputDrift]) -> Option<f64> {
    outputs.iter().filter_map(|o| o.agreement).min_by(f64::total_cmp)
}

/// Loss of top-1 accuracy, without labels of agreement, as a share.
pub fn drop(task: Option<&TaskAccuracy>, outputs: &[OutputDrift]) -> Option<f64> {
    task.map(|t| -t.top1.difference).or_else(|| worst_agreement(outputs).map(|a| 1.0 - a))
}

/// Counts of right (1) and wrong (0) by original and rewritten.
#[derive(Debug, Clone, Copy, Default)]
struct Table {
    both: u64,
    only_original: u64,
    only_rewritten: u64,
    neither: u64,
}

impl Table {
    fn add(&mut self, original: bool, rewritten: bool) {
        match (original, rewritten) {
            (true, true) => self.both += 1,
            (true, false) => self.only_original += 1,
            (false, true) => self.only_rewritten += 1,
            (false, false) => self.neither += 1,
        }
    }

    fn merge(&mut self, o: &Table) {
        self.both += o.both;
        self.only_original += o.only_original;
        self.only_rewritten += o.only_rewritten;
        self.neither += o.neither;
    }

    fn count(&self) -> u64 {
        self.both + self.only_original + self.only_rewritten + self.neither
    }

    fn paired(&self) -> Paired {
        let n = self.count().max(1) as f64;
        let (gain, loss) = (self.only_rewritten as f64, self.only_original as f64);
        let share = |k: u64| k as f64 / n;
        // Agresti & Min: half an observation in each cell, then the Wald interval.
        let (n2, g, l) = (n + 2.0, gain + 0.5, loss + 0.5);
        let centre = (g - l) / n2;
        let half = 1.96 * ((g + l - (g - l).powi(2) / n2).max(0.0)).sqrt() / n2;
        Paired {
            original: share(self.both + self.only_original),
            rewritten: share(self.both + self.only_rewritten),
            difference: (gain - loss) / n,
            low: (centre - half).max(-1.0),
            high: (centre + half).min(1.0),
        }
    }
}

/// Streaming comparison of the outputs of two models.
#[derive(Debug, Clone, Default)]
pub struct Accuracy {
    outputs: Vec<(String, Sums, u64, u64)>,
    top1: Table,
    top5: Table,
    classes: usize,
    /// A label that is no class.
    outside: Option<i64>,
}

impl Accuracy {
    /// Takes in the outputs of one batch. Labels judge the first output whose rows are as many as they are.
    pub fn add(&mut self, original: &[(String, Tensor)], rewritten: &[(String, Tensor)], labels: Option<&[i64]>) {
        let mut judged = false;
        for (name, r) in original {
            let Some((_, q)) = rewritten.iter().find(|(n, _)| n == name) else { continue };
            let (Some(rv), Some(qv)) = (r.to_f32(), q.to_f32()) else { continue };
            if r.shape() != q.shape() {
                continue;
            }
            let slot = match self.outputs.iter().position(|(n, ..)| n == name) {
                Some(i) => i,
                None => {
                    self.outputs.push((name.clone(), Sums::default(), 0, 0));
                    self.outputs.len() - 1
                }
            };
            self.outputs[slot].1.add(&rv, &qv);
            let width = r.shape().last().copied().unwrap_or(1);
            if width < 2 || r.rank() < 2 || !r.dtype().is_float() {
                continue;
            }
            for (a, b) in rv.chunks_exact(width).zip(qv.chunks_exact(width)) {
                self.outputs[slot].2 += 1;
                self.outputs[slot].3 += u64::from(arg_max(a) == arg_max(b));
            }
            let Some(labels) = labels.filter(|l| !judged && l.len() * width == rv.len()) else { continue };
            judged = true;
            self.classes = width;
            let inside = |label: &&i64| usize::try_from(**label).is_ok_and(|l| l < width);
            self.outside = self.outside.or_else(|| labels.iter().find(|l| !inside(l)).copied());
            for ((a, b), label) in rv.chunks_exact(width).zip(qv.chunks_exact(width)).zip(labels) {
                self.top1.add(arg_max(a) as i64 == *label, arg_max(b) as i64 == *label);
                self.top5.add(in_top(a, *label, 5), in_top(b, *label, 5));
            }
        }
    }

    pub fn merge(&mut self, other: Accuracy) {
        for (name, sums, rows, same) in other.outputs {
            match self.outputs.iter_mut().find(|(n, ..)| *n == name) {
                Some(own) => {
                    own.1.merge(&sums);
                    own.2 += rows;
                    own.3 += same;
                }
                None => self.outputs.push((name, sums, rows, same)),
            }
        }
        self.top1.merge(&other.top1);
        self.top5.merge(&other.top5);
        self.classes = self.classes.max(other.classes);
        self.outside = self.outside.or(other.outside);
    }

    /// A label that is none of the classes, and how many there are.
    pub fn label_outside(&self) -> Option<(i64, usize)> {
        Some((self.outside?, self.classes))
    }

    pub fn outputs(&self) -> Vec<OutputDrift> {
        let drift = |(name, s, rows, same): &(String, Sums, u64, u64)| OutputDrift {
            name: name.clone(),
            sqnr_db: s.sqnr_db(),
            cosine: s.cosine(),
            max_abs_error: s.max,
            mean_abs_error: s.abs / s.count.max(1) as f64,
            max_abs: s.max_r,
            agreement: (*rows > 0).then(|| *same as f64 / *rows as f64),
        };
        self.outputs.iter().map(drift).collect()
    }

    pub fn task(&self) -> Option<TaskAccuracy> {
        (self.top1.count() > 0).then(|| TaskAccuracy {
            samples: self.top1.count(),
            top1: self.top1.paired(),
            top5: (self.classes > 5).then(|| self.top5.paired()),
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

fn in_top(row: &[f32], label: i64, k: usize) -> bool {
    let Some(own) = usize::try_from(label).ok().and_then(|l| row.get(l)) else { return false };
    row.iter().filter(|v| *v > own).count() < k
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqnr_and_cosine_by_hand() {
        let mut s = Sums::default();
        s.add(&[3.0, 4.0], &[3.0, 4.5]);
        assert!((s.sqnr_db() - 20.0).abs() < 1e-9, "25 / 0.25 is 20 dB");
        assert!((s.cosine() - 27.0 / (5.0 * 29.25f64.sqrt())).abs() < 1e-12);
        let mut s = Sums::default();
        s.add(&[1.0], &[f32::NAN]);
        assert_eq!(s.sqnr_db(), -EXACT_DB);
    }

    #[test]
    fn merging_equals_adding() {
        let (a, b) = ([1.0f32, -2.0, 0.5], [1.5f32, -2.0, 0.25]);
        let (mut whole, mut left, mut right) = (Sums::default(), Sums::default(), Sums::default());
        whole.add(&a, &b);
        left.add(&a[..1], &b[..1]);
        right.add(&a[1..], &b[1..]);
        left.merge(&right);
        assert_eq!(whole.sqnr_db(), left.sqnr_db());
    }

    #[test]
    fn paired_interval_contains_zero_without_evidence() {
        let t = Table { both: 84, only_original: 1, only_rewritten: 1, neither: 14 };
        let p = t.paired();
        assert_eq!((p.original, p.rewritten, p.difference), (0.85, 0.85, 0.0));
        assert!(p.low < 0.0 && p.high > 0.0 && (p.high - 0.0333).abs() < 0.001, "{p:?}");
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
}
