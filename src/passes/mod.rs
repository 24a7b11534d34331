//! Rewrites of the graph.

pub mod opset;
