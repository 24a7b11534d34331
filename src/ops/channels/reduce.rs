//! Reductions: an axis that is reduced keeps its size, since what it is reduced to would change.

use super::{ChannelRule, Coupling, Operands, Port, X, Y, same};
use crate::ir::shape::axis_of;

const FIXED: &str = "reduces it";

pub const REDUCE: ChannelRule = ChannelRule::new(reduce, FIXED);
/// The axis is given by the attribute `axis`.
pub const ARG: ChannelRule = ChannelRule::new(arg, FIXED);

fn reduce(o: &Operands) -> Vec<Coupling> {
    let Some(rank) = o.rank(X) else { return Vec::new() };
    let Some(given) = o.ints_of("axes", 1) else { return Vec::new() };
    let given = given.unwrap_or_default();
    let all = given.is_empty() && o.node.int_or("noop_with_empty_axes", 0) == 0;
    let Some(axes) = given.iter().map(|a| axis_of(*a, rank)).collect::<Option<Vec<_>>>() else { return Vec::new() };
    left(o, rank, |axis| all || axes.contains(&axis))
}

fn arg(o: &Operands) -> Vec<Coupling> {
    let (Some(rank), Some(axis)) = (o.rank(X), o.axis(0)) else { return Vec::new() };
    left(o, rank, |a| a == axis)
}

fn left(o: &Operands, rank: usize, gone: impl Fn(usize) -> bool) -> Vec<Coupling> {
    let keeps = o.node.int_or("keepdims", 1) != 0;
    let to = |axis: usize| if keeps { axis } else { (0..axis).filter(|a| !gone(*a)).count() };
    // The list of axes itself is no data; the others go where they are kept.
    let free = (0..rank).filter(|axis| !gone(*axis));
    free.map(|axis| same((X, axis), (Y, to(axis))))
        .filter(|c| o.rank(Port::Output(0)).is_some_and(|y| c.with.1 < y))
        .collect()
}
