//! What losing channels of one group costs the model's outputs, measured on batches held back.
//!
//! ```text
//! D_g(n) = Σ ‖ŷ − y‖² ÷ Σ ‖y‖²        ŷ from the model without the first n channels of group g, the layers after them made up for it
//! between the measured n   D_g(n) = a · damage_g(n)^p        through the two measured points
//! ```

use std::collections::BTreeMap;

use super::Ground;
use super::order::Order;
use crate::analysis::dependency::Group;
use crate::error::Result;
use crate::ir::{GraphEdit, Model, Tensor};
use crate::prune::Data;
use crate::prune::floats::Floats;
use crate::prune::shrink::shrink;
use crate::runtime::apart;
use crate::second_order::{Layer, walk};

/// Where the damage of a group is measured, as shares of its channels.
pub const STOPS: [f64; 2] = [0.25, 0.5];
/// As much as a damage counts at most: numbers that became none are infinitely far.
const RUINED: f64 = 1e12;
/// Samples on which it is measured.
const SAMPLES: usize = 256;

/// D_g after each step of every order; the weights of their stops are used up.
pub fn measure(
    model: &Model,
    groups: &[Group],
    orders: &mut [Order],
    layers: &[Layer],
    ground: Ground,
) -> Result<Vec<Vec<f64>>> {
    let data = Data { dataset: ground.dataset, runtime: ground.runtime };
    let wanted = Floats::new(model, data, &ground.held(SAMPLES))?;
    let order = walk::Order::of(model);
    let mut walk = wanted.walk(model, &order)?;
    let place = |g: usize| order.first(model, groups[g].members.iter().map(|m| m.value));
    let mut jobs = Vec::new();
    for (g, order) in orders.iter_mut().enumerate() {
        jobs.extend(std::mem::take(&mut order.stops).into_iter().map(|(n, weights)| (place(g), g, n, weights)));
    }
    jobs.sort_by_key(|job| job.0);
    ground.progress.start("measuring groups", jobs.len() as u64);
    let mut points: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
    for (place, g, n, weights) in jobs {
        walk.advance(&[model], place)?;
        let mut cut = model.clone();
        for (layer, numbers) in weights {
            let solved = layers[layer].solved(model, &numbers);
            solved.iter().for_each(|s| s.put(&mut GraphEdit::new(&mut cut)));
        }
        let mut gone: Vec<Vec<bool>> = groups.iter().map(|g| vec![false; g.stays.len()]).collect();
        orders[g].channels[..n].iter().for_each(|c| gone[g][*c] = true);
        shrink(&mut cut, groups, &gone)?;
        let seen = wanted.compared_ahead((&walk, &cut), |_, a, b| error_and_energy(a, b))?;
        points.entry(g).or_default().push((n, moved(&seen)));
        ground.progress.step(1);
    }
    ground.progress.finish();
    let curve = |(g, order): (usize, &Order)| curve(&order.damage, points.get(&g).map_or(&[][..], Vec::as_slice));
    Ok(orders.iter().enumerate().map(curve).collect())
}

/// Σ ‖ŷ − y‖² and Σ ‖y‖² of one output; nothing of one that is no floats.
fn error_and_energy(wanted: &Tensor, found: &Tensor) -> (f64, f64) {
    let floats = wanted.to_f32().filter(|_| wanted.dtype().is_float()).zip(found.to_f32());
    let (energy, error) = floats.map_or((0.0, 0.0), |(wanted, found)| apart(&wanted, &found));
    (error, energy)
}

/// Σ ‖ŷ − y‖² ÷ Σ ‖y‖² over the batches, the mean over outputs.
fn moved(batches: &[Vec<(f64, f64)>]) -> f64 {
    let count = batches.first().map_or(0, Vec::len);
    let of = |output: usize| {
        let sum = |sum: (f64, f64), batch: &Vec<(f64, f64)>| (sum.0 + batch[output].0, sum.1 + batch[output].1);
        let (error, energy) = batches.iter().fold((0.0, 0.0), sum);
        (error / f64::max(energy, f64::MIN_POSITIVE)).min(RUINED)
    };
    (0..count).map(of).sum::<f64>() / count.max(1) as f64
}

/// The layers' damage in the unit of what was measured.
fn curve(damage: &[f64], points: &[(usize, f64)]) -> Vec<f64> {
    let at = |(n, measured): &(usize, f64)| Some((damage.get(n - 1)?.max(1e-12).ln(), measured.max(1e-12).ln()));
    let logs: Vec<(f64, f64)> = points.iter().filter_map(at).collect();
    let (power, anchor) = match logs[..] {
        [] => return damage.to_vec(),
        [only] => (1.0, only),
        [(x0, y0), (x1, y1), ..] if x1 - x0 > 1e-6 => (((y1 - y0) / (x1 - x0)).clamp(0.5, 2.0), (x1, y1)),
        [first, ..] => (1.0, first),
    };
    damage.iter().map(|d| (anchor.1 + power * (d.max(1e-12).ln() - anchor.0)).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_goes_through_what_was_measured() {
        let found = curve(&[0.1, 0.2, 0.4, 0.8], &[(2, 0.02), (4, 0.08)]);
        let wanted = [0.01, 0.02, 0.04, 0.08];
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        assert_eq!(curve(&[1.0, 2.0], &[]), [1.0, 2.0]);
    }
}
