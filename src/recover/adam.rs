//! Adam (Kingma and Ba, 2015).
//!
//! ```text
//! m = β₁·m + (1 − β₁)·g        v = β₂·v + (1 − β₂)·g²        w −= η·σ·m̂/(√v̂ + ε)        m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ)
//! ```
//!
//! σ is the size of the tensor's weights when training begins, the root of the mean square of those that are not zero, so that one rate
//! suits layers of any scale (the relative step of Shazeer and Stern, Adafactor, 2018).

use rayon::prelude::*;

use super::parameter::Parameter;

const MEAN: f32 = 0.9;
const SQUARE: f32 = 0.999;
const EPSILON: f32 = 1e-8;
/// The least size of a tensor: biases may begin at zero.
const LEAST: f32 = 1e-2;

/// Running means of one tensor.
struct State {
    mean: Vec<f32>,
    square: Vec<f32>,
    /// σ
    size: f32,
}

impl State {
    fn new(p: &Parameter) -> Self {
        let kept = || p.numbers.iter().filter(|w| **w != 0.0);
        let mean = kept().map(|w| f64::from(*w).powi(2)).sum::<f64>() / kept().count().max(1) as f64;
        let zeros = vec![0.0; p.numbers.len()];
        State { mean: zeros.clone(), square: zeros, size: (mean.sqrt() as f32).max(LEAST) }
    }
}

pub(super) struct Adam {
    step: i32,
    states: Vec<State>,
}

impl Adam {
    pub fn new(parameters: &[Parameter]) -> Self {
        Adam { step: 0, states: parameters.iter().map(State::new).collect() }
    }

    /// One step; weights that are zero and have to stay so are left alone.
    pub fn update(&mut self, parameters: &mut [Parameter], gradients: &[Vec<f32>], rate: f64) {
        self.step += 1;
        let (first, second) = (1.0 - MEAN.powi(self.step), 1.0 - SQUARE.powi(self.step));
        let all = parameters.par_iter_mut().zip(&mut self.states).zip(gradients);
        all.for_each(|((p, state), gradient)| {
            let rate = rate as f32 * state.size;
            let moments = state.mean.iter_mut().zip(&mut state.square);
            for ((w, g), (m, v)) in p.numbers.iter_mut().zip(gradient).zip(moments) {
                if p.keeps_zeros && *w == 0.0 {
                    continue;
                }
                *m = MEAN * *m + (1.0 - MEAN) * g;
                *v = SQUARE * *v + (1.0 - SQUARE) * g * g;
                let moved = *w - rate * (*m / first) / ((*v / second).sqrt() + EPSILON);
                // A weight that happens to pass through zero is not lost.
                *w = if moved == 0.0 { f32::MIN_POSITIVE } else { moved };
            }
            p.grid.iter().for_each(|grid| grid.clip(&mut p.numbers));
        });
    }
}
