//! What a runtime made of a model: its own operators after its own optimizations.

/// One operator that the runtime runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The name of the node it was made of, or one that begins with it.
    pub name: String,
    /// As the runtime calls it.
    pub op: String,
    /// Whether it is a product or a convolution, and not what stands around one.
    pub contracts: bool,
    /// Whether it multiplies integers.
    pub integers: bool,
}

impl Kernel {
    /// Whether it was made of the node of that name.
    pub fn is_of(&self, node: &str) -> bool {
        let rest = self.name.strip_prefix(node);
        // What follows is the runtime's or our own mark, not more of a longer name.
        rest.is_some_and(|rest| rest.is_empty() || MARKS.iter().any(|mark| rest.starts_with(mark)))
    }
}

/// What begins the part that is added to a node's name: by ONNX Runtime when it fuses, by the integer forms here, by tract.
const MARKS: [&str; 6] = ["_token_", "_nchwc", "_integer", "_quantized", "/MatMulAddFusion", "."];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_knows_its_node() {
        let of = |name: &str, node: &str| {
            Kernel { name: name.into(), op: String::new(), contracts: true, integers: true }.is_of(node)
        };
        assert!(of("conv1", "conv1") && of("conv1_token_12", "conv1") && of("fc_integer.matmul", "fc"));
        assert!(!of("conv12", "conv1") && !of("conv1_token_12", "conv"));
    }
}
