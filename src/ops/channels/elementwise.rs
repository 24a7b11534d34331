//! Operators that compute each element from those at the same place.

use super::{ChannelRule, Coupling, Operands, Port, X, Y, same};

const WHOLE: &str = "does not say how its axes meet";

/// Every axis of the first input is one of the output.
pub const SAME: ChannelRule = ChannelRule::new(alike, WHOLE);
/// Operands are broadcast together.
pub const JOINT: ChannelRule = ChannelRule::new(joint, WHOLE);

fn alike(o: &Operands) -> Vec<Coupling> {
    let rank = o.rank(X).filter(|r| o.rank(Y) == Some(*r)).unwrap_or(0);
    (0..rank).map(|axis| same((X, axis), (Y, axis))).collect()
}

fn joint(o: &Operands) -> Vec<Coupling> {
    let Some(y) = o.rank(Y) else { return Vec::new() };
    let of = |i: usize| o.rank(Port::Input(i)).map(|rank| (Port::Input(i), rank));
    (0..o.inputs.len()).filter_map(of).flat_map(|operand| broadcast(o, operand, (Y, y))).collect()
}

/// The first `rank` axes of an operand against the first `y` of a result, from the last on. An axis of size 1 is repeated: the
/// other's channels may go and it stays.
pub(super) fn broadcast(o: &Operands, (port, rank): (Port, usize), (result, y): (Port, usize)) -> Vec<Coupling> {
    let pair = |back: usize| ((port, rank - back), (result, y - back));
    (1..=rank.min(y))
        .map(pair)
        .filter(|(a, b)| o.size(*a) != Some(1) || o.size(*b) == Some(1))
        .map(|(a, b)| same(a, b))
        .collect()
}
