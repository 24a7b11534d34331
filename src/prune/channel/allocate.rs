//! How many channels each group loses, so that what is left costs no more than wanted.
//!
//! ```text
//! next step:  the group and the number of channels with the least  ΔD ÷ Δcost        until the cost is met
//! ```
//!
//! Steps of any length are compared, so that a group whose first channels are dear and whose next are cheap is not passed over. Where a
//! group has many channels, what is left of them is a multiple of [`ALIGNED`], which is what vector units are filled with.

use super::order::Order;
use crate::analysis::dependency::{Group, producers};
use crate::ir::Model;

const ALIGNED: usize = 8;
/// Groups of fewer channels may lose any number.
const ALIGNED_FROM: usize = 24;

/// One group as the allocation sees it.
#[derive(Debug)]
pub struct Choice<'a> {
    pub order: &'a Order,
    /// D after each step.
    pub damage: &'a [f64],
    /// Channels in all.
    pub total: usize,
    /// What is left must be a multiple of this.
    pub align: usize,
}

/// The multiple of positions that what is left of a group should be, in channels.
pub fn alignment(model: &Model, group: &Group) -> usize {
    let each =
        |r: &crate::analysis::dependency::Reader| group.members[r.member].channels.len() / group.stays.len().max(1);
    let positions = producers(model, group).iter().map(each).min().unwrap_or(1).max(1);
    if group.stays.len() * positions < ALIGNED_FROM { 1 } else { (ALIGNED / positions).max(1) }
}

impl Choice<'_> {
    /// Numbers of channels that may be gone.
    fn stops(&self) -> impl Iterator<Item = usize> + '_ {
        let most = self.order.channels.len().min(self.damage.len());
        (1..=most).filter(|n| (self.total - n).is_multiple_of(self.align))
    }

    fn damage(&self, gone: usize) -> f64 {
        if gone == 0 { 0.0 } else { self.damage[gone - 1] }
    }
}

/// What so many channels less cost.
pub trait Cost {
    fn total(&self, gone: &[usize]) -> f64;
    /// What is saved when group `g` loses `stop` channels instead of those in `gone`.
    fn saved(&self, gone: &[usize], g: usize, stop: usize) -> f64;
}

/// How many go of each, so that the cost is at most `budget`; as many as can go, where that is not enough.
pub fn allocate(choices: &[Choice], cost: &impl Cost, budget: f64) -> Vec<usize> {
    let mut gone = vec![0; choices.len()];
    loop {
        let now = cost.total(&gone);
        if now <= budget {
            return gone;
        }
        let mut best: Option<(f64, usize, usize)> = None;
        for (g, choice) in choices.iter().enumerate() {
            for stop in choice.stops().filter(|s| *s > gone[g]) {
                let saved = cost.saved(&gone, g, stop);
                let price = (choice.damage(stop) - choice.damage(gone[g])).max(0.0) / saved.max(f64::MIN_POSITIVE);
                if saved > 0.0 && best.is_none_or(|(least, ..)| price < least) {
                    best = Some((price, g, stop));
                }
            }
        }
        let Some((_, g, stop)) = best else { return gone };
        // A long step is gone only as far as needed.
        let mut shorter = choices[g].stops().filter(|s| *s > gone[g] && *s <= stop);
        let enough = shorter.find(|s| now - cost.saved(&gone, g, *s) <= budget);
        gone[g] = enough.unwrap_or(stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_channels_go_first() {
        let order = Order { channels: (0..4).collect(), ..Order::default() };
        let cheap = Choice { order: &order, damage: &[0.1, 0.2, 5.0, 9.0], total: 5, align: 1 };
        let dear = Choice { order: &order, damage: &[1.0, 2.0, 3.0, 4.0], total: 5, align: 1 };
        struct Each;
        impl Cost for Each {
            fn total(&self, gone: &[usize]) -> f64 {
                10.0 - (gone[0] + gone[1]) as f64
            }
            fn saved(&self, gone: &[usize], g: usize, stop: usize) -> f64 {
                (stop - gone[g]) as f64
            }
        }
        let all = [cheap, dear];
        assert_eq!(allocate(&all, &Each, 8.0), [2, 0]);
        assert_eq!(allocate(&all, &Each, 6.5), [2, 2]);
        assert_eq!(allocate(&all, &Each, 0.0), [4, 4]);
        assert_eq!(allocate(&all, &Each, 10.0), [0, 0]);
    }
}
