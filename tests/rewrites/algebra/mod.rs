//! Affine and linear operators.

mod fold;
mod merge;
mod near;
mod path;

use std::fmt::Write;

/// `n` different numbers between −1 and 1 in text syntax, none near 0.
pub fn numbers(n: usize, seed: u64) -> String {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut text = String::new();
    for i in 0..n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let size = 0.1 + 0.9 * (state >> 40) as f64 / (1u64 << 24) as f64;
        let sign = if state & 1 == 0 { "" } else { "-" };
        write!(text, "{}{sign}{size:.4}", if i == 0 { "" } else { "," }).unwrap();
    }
    text
}

/// An initializer `float[dims] name = {…}`.
pub fn weight(name: &str, dims: &[usize], seed: u64) -> String {
    let sizes: Vec<String> = dims.iter().map(usize::to_string).collect();
    let shape = if dims.is_empty() { String::new() } else { format!("[{}]", sizes.join(",")) };
    format!("float{shape} {name} = {{{}}}", numbers(dims.iter().product(), seed))
}

/// The same with positive numbers.
pub fn positive(name: &str, dims: &[usize], seed: u64) -> String {
    weight(name, dims, seed).replace('-', "")
}
