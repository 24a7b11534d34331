//! Where Resize takes its elements from.

use crate::ir::Node;

/// The place along an axis of `size` that element `i` of `out` comes from.
///
/// # Errors
/// Coordinates that have no rule here.
pub(super) fn coordinate(node: &Node, i: usize, (size, out): (usize, usize), scale: f64) -> Result<f64, String> {
    let i = i as f64;
    Ok(match node.str("coordinate_transformation_mode").unwrap_or("half_pixel") {
        "asymmetric" => i / scale,
        "half_pixel" => (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel" if out > 1 => (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel" => 0.0,
        "align_corners" if out > 1 => i * (size as f64 - 1.0) / (out as f64 - 1.0),
        "align_corners" => 0.0,
        other => return Err(format!("it has coordinates {other}")),
    })
}
