//! What passes leave and say, on graphs that tract does not run.

use onnxpress::error::Result;
use onnxpress::ir::text::{self, PrintOptions};
use onnxpress::ir::{DType, Model, verify};
use onnxpress::passes::{SimplifyOptions, SimplifyReport, simplify};

fn only(pass: &str, source: &str) -> (Model, Result<SimplifyReport>) {
    let mut model = text::parse(source).unwrap();
    let options = SimplifyOptions { only: vec![pass.into()], ..SimplifyOptions::default() };
    let report = simplify(&mut model, &options);
    verify(&model).unwrap();
    (model, report)
}

const HANDED: &str = r#"
<ir_version: 8, opset_import: ["" : 17, "f" : 1]>
g (float[N] x, bool c) => (float[N] y)
{
   [choose] y = f.Choose <b: graph = t () => (r) { r = Neg (x) }> (x, c)
}
<domain: "f", opset_import: ["" : 17]>
Choose <b> (v, c) => (w)
{
   w = If (c) <then_branch: graph = @b, else_branch: graph = e () => (s) { s = Exp (v) }>
}
"#;

const DEFAULT: &str = r#"
<ir_version: 8, opset_import: ["" : 17, "f" : 1]>
g (float[2] x, bool c) => (float[2] y)
{
   y = f.Choose (x, c)
}
<domain: "f", opset_import: ["" : 17]>
Choose <b: graph = t () => (r) { r = Constant <value: tensor = float[2] {1,2}> () }> (v, c) => (w)
{
   w = If (c) <then_branch: graph = @b, else_branch: graph = e () => (s) { s = Exp (v) }>
}
"#;

#[test]
fn a_graph_handed_to_a_function_is_an_error() {
    let said = |source: &str| only("inline-functions", source).1.unwrap_err().to_string();
    let handed = "node \"choose\" (Choose): \"b\" hands a function a graph, which is not supported";
    assert_eq!(said(HANDED), handed);
    let default = "function \"Choose\": the default of \"b\" is a graph, which is not supported";
    assert_eq!(said(DEFAULT), default);
}

const SPARSE: &str = r#"
<ir_version: 8, opset_import: ["" : 17, "f" : 1]>
g (float[4] x, bool c) => (float[4] y)
{
   [choose] y = f.Choose (x, c)
}
<domain: "f", opset_import: ["" : 17]>
Choose (v, c) => (w)
{
   w = If (c) <then_branch: graph = t () => (r)
      <sparse_tensor(float[4]) rare = {1: 2, 3: -1}>
   {
      r = Add (v, rare)
   }, else_branch: graph = e () => (s)
   {
      s = Exp (v)
   }>
}
"#;

#[test]
fn a_sparse_weight_of_a_branch_comes_along() {
    let (model, report) = only("inline-functions", SPARSE);
    assert_eq!(report.unwrap().passes, [("inline-functions".to_string(), 1)]);
    let printed = text::print(&model, &PrintOptions::default());
    assert!(printed.contains("<sparse_tensor(float[4]) \"choose/rare\" = {1: 2, 3: -1}>"), "{printed}");
    assert!(printed.contains("\"choose/r\" = Add (x, \"choose/rare\")"), "{printed}");
}

const PRINTS: &str = r#"
<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
g (float[N] x) => (float[N] y)
{
   a = Neg (x)
   [print] = own.Print (a)
   b = own.Step (x)
   y = Relu (x)
}
"#;

#[test]
fn a_foreign_node_without_outputs_stays() {
    let (model, report) = only("dead-nodes", PRINTS);
    assert_eq!(report.unwrap().passes, [("dead-nodes".to_string(), 1)]);
    let left: Vec<_> = model.all_nodes().into_iter().map(|n| model.node(n).op_type.clone()).collect();
    assert_eq!(left, ["Neg", "Print", "Relu"]);
}

const RESHAPES: &str = r#"
<ir_version: 8, opset_import: ["" : 17]>
g (float[N,M] x, float[K,L] z) => (float[K,L] a, float[K,M2] b, float[N2,K] c)
   <int64 zero = {0}, int64 one = {1}, int64[1] axis = {0}, int64[1] rest = {-1}>
{
   s = Shape (z)
   [two] a = Reshape (x, s)
   k0 = Gather (s, zero)
   k = Unsqueeze (k0, axis)
   t = Concat <axis: int = 0> (k, rest)
   [rest_too] b = Reshape (x, t)
   n = Shape (x)
   m0 = Gather (n, one)
   m = Unsqueeze (m0, axis)
   u = Concat <axis: int = 0> (k, m)
   [copied] c = Reshape (x, u)
}
"#;

#[test]
fn a_computed_shape_that_stays_says_why() {
    let report = only("constant-reshape", RESHAPES).1.unwrap();
    let said: Vec<_> = report.refusals.iter().map(|r| (r.node.as_str(), r.reason.as_str())).collect();
    let copied = "a size that is copied may be 0, and nothing would follow for the one that is not known";
    assert_eq!(
        said,
        [
            ("two", "two sizes of its shape are not known"),
            ("rest_too", "a size of its shape is not known beside a −1"),
            ("copied", copied),
        ]
    );
}

#[test]
fn float16_stays_where_an_operator_may_need_it() {
    let left = |nodes: &str| {
        let source = format!(
            r#"<ir_version: 8, opset_import: ["" : 17, "own" : 1]> g (float16[N,2] x, bool c) => (float16[N,2] y)
               <float16[2,2] w = {{15360,49152,16896,14336}}> {{ h = MatMul (x, w) {nodes} }}"#
        );
        let (model, report) = only("widen-float16", &source);
        assert!(
            model.graph(model.main()).initializers().iter().all(|v| model.tensor_type(*v).dtype == Some(DType::F16))
        );
        report.unwrap().refusals.into_iter().map(|r| format!("{}: {}", r.node, r.reason)).collect::<Vec<_>>()
    };
    assert_eq!(left("[mine] y = own.Mine (h)"), ["mine: Mine is not known here, and has float16"]);
    let handed = "[choose] y = If (c) <then_branch = t () => (x) { }, else_branch = e () => (r) { r = Neg (h) }>";
    assert_eq!(left(handed), ["h: a subgraph hands on \"x\" as it is"]);
}
