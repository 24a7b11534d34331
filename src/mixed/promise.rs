//! What must hold of the outputs.

use std::fmt;

use crate::error::Result;
use crate::validate::Gates;
use crate::validate::accuracy::{Accuracy, OutputDrift, TaskAccuracy, worst_db};

/// Without labels and without a demand: below this the outputs are others, not noisier ones.
const COLLAPSED_DB: f64 = 10.0;

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Promise {
    /// What the user demands of the outputs.
    Bounds {
        /// Largest loss of top-1 accuracy, or without labels of agreement, as a share.
        max_drop: Option<f64>,
        /// Smallest SQNR of any output, in dB.
        min_sqnr: Option<f64>,
    },
    /// A drop within noise: the 95 % interval of the difference in accuracy reaches zero; without labels, an SQNR of 10 dB.
    WithinNoise,
}

impl Promise {
    /// What the user demands; without a demand on the outputs, a drop within noise.
    pub fn of(gates: &Gates) -> Self {
        match (gates.max_drop, gates.min_sqnr) {
            (None, None) => Promise::WithinNoise,
            (max_drop, min_sqnr) => Promise::Bounds { max_drop, min_sqnr },
        }
    }

    /// Whether it holds of what was measured. What cannot be measured does not break it.
    pub fn holds(&self, task: Option<&TaskAccuracy>, outputs: &[OutputDrift]) -> bool {
        match (self.gates(), task) {
            (Some(gates), _) => gates.missed_by(task, outputs, None).is_empty(),
            (None, Some(task)) => task.top1.high >= 0.0,
            (None, None) => worst_db(outputs).is_none_or(|db| db >= COLLAPSED_DB),
        }
    }

    /// The SQNR that every output must have, in dB, where that is what is demanded.
    pub(super) fn decibels(&self, a: &Accuracy) -> Option<f64> {
        match *self {
            Promise::Bounds { min_sqnr, .. } => min_sqnr,
            Promise::WithinNoise => a.task().is_none().then_some(COLLAPSED_DB),
        }
    }

    /// The bounds as demands.
    fn gates(&self) -> Option<Gates> {
        match *self {
            Promise::Bounds { max_drop, min_sqnr } => Some(Gates { max_drop, min_sqnr, min_speedup: None }),
            Promise::WithinNoise => None,
        }
    }

    /// Refuses a demand that these outputs cannot tell: neither kept nor broken.
    ///
    /// # Errors
    /// Usage, naming the demand and what it needs.
    pub fn measurable(&self, a: &Accuracy) -> Result<()> {
        self.gates().map_or(Ok(()), |gates| gates.measurable(a.task().as_ref(), &a.outputs()))
    }

    /// Whether it holds of these outputs.
    pub fn kept_by(&self, a: &Accuracy) -> bool {
        self.holds(a.task().as_ref(), &a.outputs())
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Promise::WithinNoise => f.write_str("a drop within noise (10 dB where there are no labels)"),
            Promise::Bounds { max_drop, min_sqnr } => {
                let drop = max_drop.map(|x| format!("--max-drop {}%", 100.0 * x));
                let sqnr = min_sqnr.map(|db| format!("--min-sqnr {db}"));
                f.write_str(&drop.into_iter().chain(sqnr).collect::<Vec<_>>().join(" and "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Tensor;

    /// `flipped` of 100 rows of two classes are judged otherwise than before.
    fn found(flipped: usize, labels: bool) -> Accuracy {
        let rows = |wrong: usize| {
            let row = |i: usize| if i < wrong { [0.0, 1.0] } else { [1.0f32, 0.0] };
            vec![("y".to_string(), Tensor::from_vec([100, 2], (0..100).flat_map(row).collect()))]
        };
        let mut a = Accuracy::default();
        a.add(&rows(0), &rows(flipped), labels.then_some(&[0; 100]));
        a
    }

    #[test]
    fn bounds_hold_to_the_last_sample() {
        let bound = |max_drop| Promise::Bounds { max_drop: Some(max_drop), min_sqnr: None };
        assert!(bound(0.03).kept_by(&found(3, true)) && !bound(0.03).kept_by(&found(4, true)));
        assert!(bound(0.03).kept_by(&found(3, false)) && !bound(0.029).kept_by(&found(3, false)));
        let sqnr = |db| Promise::Bounds { max_drop: None, min_sqnr: Some(db) };
        // 100 / (2·10): 7 dB.
        assert!(sqnr(6.9).kept_by(&found(10, false)) && !sqnr(7.1).kept_by(&found(10, false)));
    }

    #[test]
    fn noise_is_told_from_a_drop() {
        assert!(Promise::WithinNoise.kept_by(&found(2, true)), "two of a hundred may be chance");
        assert!(!Promise::WithinNoise.kept_by(&found(12, true)));
        assert!(!Promise::WithinNoise.kept_by(&found(10, false)), "7 dB");
        assert_eq!(Promise::of(&Gates::default()), Promise::WithinNoise);
        let gates = Gates { max_drop: Some(0.005), min_sqnr: Some(20.0), ..Gates::default() };
        assert_eq!(Promise::of(&gates).to_string(), "--max-drop 0.5% and --min-sqnr 20");
    }
}
