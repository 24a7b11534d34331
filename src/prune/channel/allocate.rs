//! How many channels each group loses, so that what is left costs no more than wanted.
//!
//! ```text
//! next step:  the group and the number of channels with the least  ΔD ÷ Δcost        until the cost is met
//! ```
//!
//! Steps of any length are compared, so that a group whose first channels are dear and whose next are cheap is not passed over. What is
//! left of a group is whole blocks of the target's kernels or less than one block: a block that is begun takes the time of a whole one.

use super::FURTHER;
use super::order::Order;
use crate::analysis::dependency::{Group, Reader, producers};
use crate::ir::Model;

/// One group as the allocation sees it.
#[derive(Debug)]
pub struct Choice<'a> {
    pub order: &'a Order,
    /// D after each step.
    pub damage: &'a [f64],
    /// Channels in all.
    pub total: usize,
    /// What is left must be a multiple of this, or less.
    pub block: usize,
}

/// A block of so many output channels of the layers that make the group, in channels of the group.
pub fn block(model: &Model, group: &Group, channels: usize) -> usize {
    let each = |r: &Reader| group.members[r.member].channels.len() / group.stays.len().max(1);
    let positions = producers(model, group).iter().map(each).min().unwrap_or(1).max(1);
    (channels / positions).max(1)
}

impl Choice<'_> {
    /// Numbers of channels that may be gone.
    fn stops(&self) -> impl Iterator<Item = usize> + '_ {
        let most = self.order.channels.len().min(self.damage.len());
        let whole = |left: usize| left < self.block || left.is_multiple_of(self.block);
        (1..=most).filter(move |n| whole(self.total - n))
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
    let mut limits: Vec<usize> = choices.iter().map(|c| c.order.channels.len()).collect();
    let mut best = greedy(choices, &limits, cost, budget);
    let damage = |gone: &[usize]| choices.iter().zip(gone).map(|(c, n)| c.damage(*n)).sum::<f64>();
    // One long step that is cheap for what it saves may save more than is wanted: shorter ones of several groups may do with less damage.
    for g in 0..choices.len() {
        let left = cost.total(&best);
        let fewer = [0].into_iter().chain(choices[g].stops()).filter(|s| *s < best[g]).last();
        let Some(fewer) = fewer.filter(|_| left < budget - FURTHER) else { continue };
        if left - cost.saved(&best, g, fewer) <= budget {
            continue;
        }
        let all = std::mem::replace(&mut limits[g], fewer);
        let other = greedy(choices, &limits, cost, budget);
        if cost.total(&other) <= budget && damage(&other) < damage(&best) {
            best = other;
        } else {
            limits[g] = all;
        }
    }
    best
}

/// Step by step, of each group at most as many as its limit.
fn greedy(choices: &[Choice], limits: &[usize], cost: &impl Cost, budget: f64) -> Vec<usize> {
    let mut gone = vec![0; choices.len()];
    loop {
        let now = cost.total(&gone);
        if now <= budget {
            give_back(choices, cost, budget, &mut gone);
            return gone;
        }
        let mut best: Option<(f64, usize, usize)> = None;
        for (g, choice) in choices.iter().enumerate() {
            for stop in choice.stops().filter(|s| *s > gone[g] && *s <= limits[g]) {
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

/// Long steps go further than they need: what is left over of the budget goes to the group that it helps most, as long as any fits.
fn give_back(choices: &[Choice], cost: &impl Cost, budget: f64, gone: &mut [usize]) {
    loop {
        let now = cost.total(gone);
        let mut best: Option<(f64, usize, usize)> = None;
        for (g, choice) in choices.iter().enumerate() {
            for stop in [0].into_iter().chain(choice.stops()).filter(|s| *s < gone[g]) {
                let spared = choice.damage(gone[g]) - choice.damage(stop);
                let fits = || now - cost.saved(gone, g, stop) <= budget;
                if spared > 0.0 && best.is_none_or(|(most, ..)| spared > most) && fits() {
                    best = Some((spared, g, stop));
                }
            }
        }
        let Some((_, g, stop)) = best else { return };
        gone[g] = stop;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_channels_go_first() {
        let order = Order { channels: (0..4).collect(), ..Order::default() };
        let cheap = Choice { order: &order, damage: &[0.1, 0.2, 5.0, 9.0], total: 5, block: 1 };
        let dear = Choice { order: &order, damage: &[1.0, 2.0, 3.0, 4.0], total: 5, block: 1 };
        struct Each;
        impl Cost for Each {
            fn total(&self, gone: &[usize]) -> f64 {
                10.0 - (gone[0] + gone[1]) as f64
            }
            fn saved(&self, gone: &[usize], g: usize, stop: usize) -> f64 {
                stop as f64 - gone[g] as f64
            }
        }
        let all = [cheap, dear];
        assert_eq!(allocate(&all, &Each, 8.0), [2, 0]);
        assert_eq!(allocate(&all, &Each, 6.5), [2, 2]);
        assert_eq!(allocate(&all, &Each, 0.0), [4, 4]);
        assert_eq!(allocate(&all, &Each, 10.0), [0, 0]);
    }

    #[test]
    fn short_steps_of_several_groups_do_where_one_long_step_would_save_too_much() {
        let order = Order { channels: (0..4).collect(), ..Order::default() };
        let of = |damage, block| Choice { order: &order, damage, total: 5, block };
        struct Each;
        impl Cost for Each {
            fn total(&self, gone: &[usize]) -> f64 {
                1.0 - (0.1 * gone[0] as f64 + 0.04 * (gone[1] + gone[2]) as f64)
            }
            fn saved(&self, gone: &[usize], g: usize, stop: usize) -> f64 {
                [0.1, 0.04, 0.04][g] * (stop as f64 - gone[g] as f64)
            }
        }
        // All four of the first for 2 save 0.4 at 5 each; of the others each saves 0.04 for 0.4, at 10.
        let all = [of(&[9.0, 9.0, 9.0, 2.0], 9), of(&[0.4, 0.8, 1.2, 1.6], 1), of(&[0.4, 0.8, 1.2, 1.6], 1)];
        assert_eq!(allocate(&all, &Each, 0.93), [0, 2, 0]);
        assert_eq!(allocate(&all, &Each, 0.62), [4, 0, 0]);
    }

    #[test]
    fn whole_blocks_stay_and_what_a_long_step_leaves_over_is_given_back() {
        let order = Order { channels: (0..31).collect(), ..Order::default() };
        let rising = |each: f64, count: i32| (1..=count).map(|n| f64::from(n) * each).collect::<Vec<f64>>();
        let (few, many) = (rising(1.0, 16), rising(2.5, 31));
        let choice = |damage, total| Choice { order: &order, damage, total, block: 16 };
        // Of 32 channels 16 go, or more than 16: what is left is a block or less.
        assert_eq!(choice(&many, 32).stops().take(3).collect::<Vec<_>>(), [16, 17, 18]);
        assert_eq!(choice(&few, 32).stops().collect::<Vec<_>>(), [16]);
        struct Each;
        impl Cost for Each {
            fn total(&self, gone: &[usize]) -> f64 {
                64.0 - (gone[0] + 2 * gone[1]) as f64
            }
            fn saved(&self, gone: &[usize], g: usize, stop: usize) -> f64 {
                self.total(gone) - self.total(&[[stop, gone[1]], [gone[0], stop]][g])
            }
        }
        let all = [choice(&few, 32), choice(&many, 32)];
        assert_eq!(allocate(&all, &Each, 48.0), [16, 0]);
        // The first group is cheaper and not enough; with a block of the second it is not needed.
        assert_eq!(allocate(&all, &Each, 40.0), [0, 16]);
        assert_eq!(allocate(&all, &Each, 17.0), [16, 16]);
    }
}
