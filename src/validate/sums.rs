//! How far outputs moved, in streaming sums: memory does not grow with the data.
//!
//! With r the original's output and q the rewritten one's, over all elements of all samples that tell something ([`Pair`]):
//!
//! ```text
//! SQNR = 10·log10(Σr² / Σ(r−q)²) dB        cosine = Σrq / √(Σr²·Σq²)
//! ```

use crate::runtime::{EXACT_DB, Pair};

/// Sums over pairs of original and rewritten numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    pub(super) count: u64,
    pub(super) rr: f64,
    qq: f64,
    rq: f64,
    ee: f64,
    pub(super) abs: f64,
    pub(super) max: f64,
    pub(super) max_r: f64,
    /// Finite numbers that became none, infinities that did not stay, and tensors that came out in another shape.
    pub(super) broken: u64,
}

impl Sums {
    /// Adds numbers of the original and those that stand in their place.
    pub fn add(&mut self, r: &[f32], q: &[f32]) {
        for (r, q) in r.iter().zip(q) {
            self.count += 1;
            let (r, q) = match Pair::of(*r, *q) {
                Pair::Numbers(r, q) => (r, q),
                Pair::Nothing => continue,
                Pair::Broken => {
                    self.broken += 1;
                    continue;
                }
            };
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

    /// Adds the sums of other numbers.
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

    /// Cosine of the angle between both, 1 where they are alike, 0 where a finite number became none.
    pub fn cosine(&self) -> f64 {
        if self.broken > 0 {
            return 0.0;
        }
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
        assert_eq!((s.sqnr_db(), s.cosine()), (-EXACT_DB, 0.0));
        let mut s = Sums::default();
        s.add(&[f32::NAN, f32::NEG_INFINITY, 1.0], &[0.5, f32::NEG_INFINITY, 1.0]);
        assert_eq!(s.sqnr_db(), EXACT_DB, "what was no number need be none");
        s.add(&[-1e9], &[-1e9]);
        assert_eq!(s.cosine(), 1.0, "a mask that stayed says nothing");
        s.add(&[f32::NEG_INFINITY], &[-9.0]);
        assert_eq!(s.sqnr_db(), -EXACT_DB, "a mask went");
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
}
