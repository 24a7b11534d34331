//! Whatever the file holds, the program ends with one line of error and exit code 3, or does its job: it never panics,
//! never takes more than 4 GB of address space, never leaves an output behind an error.

use std::path::Path;
use std::process::{Command, Output};

use onnxpress::onnx::proto::attribute_proto::AttributeType;
use onnxpress::onnx::proto::tensor_proto::DataLocation;
use onnxpress::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    ValueInfoProto,
};
use prost::Message;

use crate::common::fixture;

/// Runs the program in `folder` with at most 4 GB of address space.
fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 4000000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_onnxpress")]).args(args);
    command.current_dir(folder).env_remove("RUST_LOG").output().unwrap()
}

/// The one line that a refusal prints; its exit code is 3.
fn refused(done: &Output) -> Result<String, String> {
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let errors = said.lines().filter(|l| l.starts_with("error: ")).count();
    match done.status.code() {
        Some(3) if errors == 1 && said.lines().count() == 1 => Ok(said.trim_end()["error: ".len()..].to_owned()),
        code => Err(format!("exit code {code:?}, {errors} errors: {}", said.chars().take(600).collect::<String>())),
    }
}

/// Simplifies `m.onnx` of the folder: a refusal, and no output.
fn simplify_refuses(folder: &Path) -> String {
    let said = refused(&run(folder, &["simplify", "m.onnx", "-o", "out.onnx"])).unwrap();
    assert!(!folder.join("out.onnx").exists(), "{said}: but there is an output");
    let strays = std::fs::read_dir(folder)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".onnxpress"));
    assert_eq!(strays.count(), 0);
    said
}

/// The same model as bytes, refused by `simplify` and `inspect`.
fn bytes_refused(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.onnx"), bytes).unwrap();
    let said = refused(&run(folder.path(), &["inspect", "m.onnx"])).unwrap();
    assert_eq!(said, simplify_refuses(folder.path()));
    said
}

fn named(name: &str) -> Option<String> {
    Some(name.to_owned())
}

pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    NodeProto {
        op_type: named(op),
        name: named(outputs[0]),
        input: names(inputs),
        output: names(outputs),
        ..Default::default()
    }
}

fn info(name: &str) -> ValueInfoProto {
    ValueInfoProto { name: named(name), ..Default::default() }
}

/// `y` from `x` by the nodes, with initializers.
pub fn model(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> ModelProto {
    let graph = GraphProto {
        name: named("g"),
        node: nodes,
        initializer: initializers,
        input: vec![info("x")],
        output: vec![info("y")],
        ..Default::default()
    };
    let opset = OperatorSetIdProto { domain: None, version: Some(17) };
    ModelProto { ir_version: Some(8), graph: Some(graph), opset_import: vec![opset], ..Default::default() }
}

fn weight(dims: &[i64], raw: &[u8]) -> TensorProto {
    let raw_data = Some(raw.to_vec().into());
    TensorProto { name: named("w"), data_type: Some(1), dims: dims.to_vec(), raw_data, ..Default::default() }
}

fn with_weight(t: TensorProto) -> Vec<u8> {
    model(vec![node("Add", &["x", "w"], &["y"])], vec![t]).encode_to_vec()
}

/// A small deterministic generator (xorshift64*).
pub struct Seed(pub u64);

impl Seed {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}

/// How many damaged versions were refused and how many were still a model; panics and other ends fail the test.
fn damaged(name: &str, versions: impl Iterator<Item = (String, Vec<u8>)>) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.onnx");
    let (mut no, mut well, mut wrong) = (0, 0, Vec::new());
    for (i, (what, bytes)) in versions.enumerate() {
        std::fs::write(folder.path().join("m.onnx"), bytes).unwrap();
        let simplify = ["simplify", "m.onnx", "-o", "out.onnx"];
        let done = run(folder.path(), if i % 4 == 3 { &["inspect", "m.onnx"] } else { &simplify });
        if done.status.code() == Some(0) {
            well += 1;
        } else {
            no += 1;
            match refused(&done) {
                Err(e) => wrong.push(format!("{name}, {what}: {e}")),
                Ok(_) if out.exists() => wrong.push(format!("{name}, {what}: an output in spite of the error")),
                Ok(_) => {}
            }
        }
        let _ = std::fs::remove_file(&out);
    }
    assert!(wrong.is_empty(), "{} wrong ends\n{}", wrong.len(), wrong.join("\n"));
    (no, well)
}

fn truncations(name: &str, count: usize) -> (usize, usize) {
    let bytes = std::fs::read(fixture(name)).unwrap();
    let cut = |i: usize| {
        let len = i * bytes.len() / count;
        (format!("cut to {len} bytes"), bytes[..len].to_vec())
    };
    damaged(name, (0..count).map(cut))
}

/// Each version has one to four flipped bits; `range` is the part of the file they lie in.
fn flips(name: &str, count: usize, head: usize) -> (usize, usize) {
    let bytes = std::fs::read(fixture(name)).unwrap();
    let mut seed = Seed(0x9E37_79B9_7F4A_7C15);
    let versions = (0..count).map(|i| {
        let mut bytes = bytes.clone();
        let len = bytes.len().min(head);
        for _ in 0..=i % 4 {
            bytes[seed.below(len)] ^= 1 << seed.below(8);
        }
        (format!("version {i}"), bytes)
    });
    damaged(name, versions)
}

#[test]
fn truncated_models_are_refused() {
    for (name, count) in [("control_flow.onnx", 60), ("digits.onnx", 60)] {
        let (no, well) = truncations(name, count);
        assert!(no >= count * 9 / 10, "{name}: {no} refused, {well} not");
    }
}

#[test]
fn flipped_bits_never_crash() {
    // Half of the flips of the large file lie in its graph, where they matter.
    for (name, count, head) in
        [("control_flow.onnx", 200, usize::MAX), ("digits.onnx", 40, usize::MAX), ("digits.onnx", 60, 4096)]
    {
        let (no, well) = flips(name, count, head);
        assert_eq!(no + well, count);
        println!("{name}: {no} of {count} refused");
    }
}

#[test]
fn graphs_that_cannot_be_run_are_refused() {
    let cycle = model(
        vec![node("Add", &["x", "b"], &["a"]), node("Relu", &["a"], &["b"]), node("Relu", &["b"], &["y"])],
        vec![],
    );
    assert_eq!(
        bytes_refused(&cycle.encode_to_vec()),
        "m.onnx: node \"a\" (Add): 3 nodes wait for each other in a cycle"
    );
    let missing = model(vec![node("Add", &["x", "nowhere"], &["y"])], vec![]);
    assert_eq!(
        bytes_refused(&missing.encode_to_vec()),
        "m.onnx: node \"y\" (Add): input 1 \"nowhere\" is made by no node, input or initializer"
    );
    let bare = model(vec![node("Conv", &["x"], &["y"])], vec![]);
    assert_eq!(bytes_refused(&bare.encode_to_vec()), "m.onnx: node \"y\" (Conv): takes 2 inputs or more, there are 1");
    let unversioned = ModelProto { opset_import: Vec::new(), ..bare };
    assert!(bytes_refused(&unversioned.encode_to_vec()).contains("it says no opset_import"));
    let versions = |versions: &[(&str, i64)]| {
        let import =
            |(domain, version): &(&str, i64)| OperatorSetIdProto { domain: named(domain), version: Some(*version) };
        let opset_import = versions.iter().map(import).collect();
        ModelProto { opset_import, ..model(vec![node("Relu", &["x"], &["y"])], vec![]) }.encode_to_vec()
    };
    let said = bytes_refused(&versions(&[("", 17), ("ai.onnx.ml", 3), ("ai.onnx", 18)]));
    assert_eq!(said, "m.onnx: imports the opset of domain \"ai.onnx\" twice, as version 17 and as 18");
    // Said twice alike it is said once.
    let merged = onnxpress::onnx::load_bytes(versions(&[("", 22), ("", 22), ("ai.onnx.ml", 3)]).into(), None).unwrap();
    let imports: Vec<_> = merged.opset_imports().iter().map(|o| (o.domain.as_str(), o.version)).collect();
    assert_eq!(imports, [("", 22), ("ai.onnx.ml", 3)]);
    let twice = model(vec![node("Relu", &["x"], &["y"]), node("Abs", &["x"], &["y"])], vec![]);
    assert_eq!(
        bytes_refused(&twice.encode_to_vec()),
        "m.onnx: node \"y\" (Abs): value \"y\" is defined twice in one graph"
    );
    let no_output = model(vec![node("Relu", &["x"], &["z"])], vec![]);
    assert!(bytes_refused(&no_output.encode_to_vec()).contains("graph output \"y\" is made by no node"));
    assert!(bytes_refused(b"").contains("is empty"));
    assert!(bytes_refused(b"no model at all").contains("is not an ONNX model"));
    // Names with line breaks and terminal codes stay one line.
    let hostile = model(vec![node("Add", &["x", "a\nerror: b\u{1b}[31m"], &["y"])], vec![]);
    assert!(bytes_refused(&hostile.encode_to_vec()).contains(r"a\nerror: b\u{1b}[31m"));
}

#[test]
fn tensors_that_lie_are_refused() {
    assert!(bytes_refused(&with_weight(weight(&[4], &[0; 8]))).contains("tensor \"w\""));
    assert!(bytes_refused(&with_weight(weight(&[-2], &[0; 8]))).contains("dimension -2 is negative"));
    assert!(bytes_refused(&with_weight(weight(&[i64::MAX, 8], &[0; 8]))).contains("larger than memory"));
    assert!(bytes_refused(&with_weight(weight(&[1 << 40], &[0; 8]))).contains("tensor \"w\""));
    assert!(bytes_refused(&with_weight(weight(&[1 << 31, 1 << 31, 0, 4], &[0; 8]))).contains("tensor \"w\""));
    let typed = TensorProto { float_data: vec![0.0; 3], raw_data: None, ..weight(&[4], &[]) };
    assert!(bytes_refused(&with_weight(typed)).contains("tensor \"w\""));
    for (code, beyond) in [(3, 300), (2, -200), (5, 70_000), (10, 65_536)] {
        let typed =
            TensorProto { data_type: Some(code), int32_data: vec![beyond], raw_data: None, ..weight(&[1], &[]) };
        assert!(bytes_refused(&with_weight(typed)).contains(&format!("element {beyond} does not fit")), "{code}");
    }
    let unknown = TensorProto { data_type: Some(99), ..weight(&[2], &[0; 8]) };
    assert!(bytes_refused(&with_weight(unknown)).contains("element type 99"));
}

#[test]
fn sizes_that_nobody_can_hold_are_not_allocated() {
    // The model is valid as a file; folding it would need terabytes.
    let shape = |values: &[i64]| TensorProto {
        name: named("w"),
        data_type: Some(7),
        dims: vec![values.len() as i64],
        int64_data: values.to_vec(),
        ..Default::default()
    };
    for dims in [vec![1 << 20, 1 << 20], vec![i64::MAX, i64::MAX], vec![-5, 1 << 40]] {
        for op in ["ConstantOfShape", "Expand", "Tile"] {
            let inputs: &[&str] = match op {
                "ConstantOfShape" => &["w"],
                "Tile" => &["v", "w"],
                _ => &["one", "w"],
            };
            let one = TensorProto { name: named("one"), ..weight(&[1, 1], &[0; 4]) };
            let two = TensorProto { name: named("v"), ..weight(&[2, 2], &[0; 16]) };
            let nodes = vec![node(op, inputs, &["big"]), node("Add", &["x", "big"], &["y"])];
            let bytes = model(nodes, vec![shape(&dims), one, two]).encode_to_vec();
            let (no, well) = damaged(op, [(format!("{dims:?}"), bytes.clone())].into_iter());
            assert_eq!(no + well, 1);
        }
    }
}

/// The weight `w`, whose float32 data lies in another file.
pub fn outside(dims: &[i64], location: &str, offset: &str, length: &str) -> TensorProto {
    let entry = |key: &str, value: &str| StringStringEntryProto { key: named(key), value: named(value) };
    let entries = [("location", location), ("offset", offset), ("length", length)];
    TensorProto {
        raw_data: None,
        data_location: Some(DataLocation::External as i32),
        external_data: entries.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| entry(k, v)).collect(),
        ..weight(dims, &[])
    }
}

fn external(location: &str, offset: &str, length: &str) -> Vec<u8> {
    with_weight(outside(&[2], location, offset, length))
}

#[test]
fn external_data_stays_in_its_folder_and_its_bounds() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(outer.path().join("secret"), [1; 64]).unwrap();
    std::fs::write(folder.join("w.bin"), [1; 64]).unwrap();
    let secret = outer.path().join("secret");
    let ends = |location: &str, offset: &str, length: &str| {
        std::fs::write(folder.join("m.onnx"), external(location, offset, length)).unwrap();
        simplify_refuses(&folder)
    };
    for leaves in ["../secret", "./../secret", "sub/../../secret", secret.to_str().unwrap(), "/etc/hostname"] {
        assert!(ends(leaves, "0", "8").contains("leaves the model's folder"), "{leaves}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&secret, folder.join("link")).unwrap();
        assert!(ends("link", "0", "8").contains("leaves the model's folder"));
    }
    assert!(ends("w.bin", "-8", "8").contains("offset \"-8\", which is not a size"));
    assert!(ends("w.bin", "0", "-8").contains("length \"-8\", which is not a size"));
    assert!(ends("w.bin", "60", "8").contains("beyond the 64 bytes"));
    assert!(ends("w.bin", "18446744073709551615", "8").contains("beyond the 64 bytes"));
    assert!(ends("w.bin", "0", "16").contains("16 bytes, its dtype and shape need 8"));
    assert!(ends("", "0", "8").contains("without a location"));
    assert!(ends("absent.bin", "0", "8").contains("absent.bin"));
    assert!(ends(".", "0", "8").contains("is a folder"));
    std::fs::write(folder.join("m.onnx"), external("w.bin", "8", "8")).unwrap();
    assert_eq!(run(&folder, &["simplify", "m.onnx", "-o", "out.onnx"]).status.code(), Some(0));
}

/// `depth` nested `If`s, encoded from the inside so that the encoder itself does not recurse.
fn nested(depth: usize) -> Vec<u8> {
    let field = |number: u64, content: &[u8]| {
        let mut out = Vec::with_capacity(content.len() + 12);
        prost::encoding::encode_varint(number << 3 | 2, &mut out);
        prost::encoding::encode_varint(content.len() as u64, &mut out);
        out.extend_from_slice(content);
        out
    };
    let mut graph = field(1, &node("Relu", &["x"], &["y0"]).encode_to_vec());
    graph.extend(field(12, &info("y0").encode_to_vec()));
    for level in 1..=depth {
        let name = format!("y{level}");
        let kind = AttributeProto {
            name: named("then_branch"),
            r#type: Some(AttributeType::Graph as i32),
            ..Default::default()
        };
        let mut attribute = kind.encode_to_vec();
        attribute.extend(field(6, &graph));
        let mut outer = node("If", &["x"], &[&name]).encode_to_vec();
        outer.extend(field(5, &attribute));
        graph = field(1, &outer);
        graph.extend(field(12, &info(&name).encode_to_vec()));
    }
    graph.extend(field(11, &info("x").encode_to_vec()));
    let mut bytes = model(vec![], vec![]);
    bytes.graph = None;
    let mut bytes = bytes.encode_to_vec();
    bytes.extend(field(7, &graph));
    bytes
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    for depth in [1, 10, 24] {
        let (no, well) = damaged("nested", [(format!("{depth} deep"), nested(depth))].into_iter());
        assert_eq!((no, well), (0, 1), "{depth} deep");
    }
    for depth in [100, 3000] {
        assert!(bytes_refused(&nested(depth)).contains("recursion"), "{depth} deep");
    }
}

/// A dataset of `digits.onnx` that does not fit it.
fn data_refused(write: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("d.npz"));
    std::fs::copy(fixture("digits.onnx"), folder.path().join("m.onnx")).unwrap();
    let done = run(folder.path(), &["quantize", "m.onnx", "-o", "out.onnx", "--data", "d.npz", "-q"]);
    let said = refused(&done).unwrap();
    assert!(!folder.path().join("out.onnx").exists());
    said
}

#[test]
fn data_that_does_not_fit_is_refused() {
    let npz = |name: &'static str, shape: &'static [usize]| {
        move |path: &Path| {
            let mut npz = ndarray_npy::NpzWriter::new(std::fs::File::create(path).unwrap());
            npz.add_array(name, &ndarray::ArrayD::<f32>::zeros(shape)).unwrap();
            npz.finish().unwrap();
        }
    };
    assert!(data_refused(npz("other", &[4, 1, 8, 8])).contains("\"input\""));
    assert!(data_refused(npz("input", &[4, 8])).contains("input"));
    assert!(data_refused(npz("input", &[4, 1, 9, 8])).contains("input"));
    assert!(data_refused(npz("input", &[])).contains("input"));
    let whole = std::fs::read(fixture("digits_calib.npz")).unwrap();
    for cut in [0, 1, 30, whole.len() / 2, whole.len() - 1] {
        let said = data_refused(|path| std::fs::write(path, &whole[..cut]).unwrap());
        assert!(said.starts_with("d.npz"), "{said}");
    }
    // The directory is whole, the array behind it is not.
    let mut broken = whole.clone();
    broken[200..400].fill(0xFF);
    assert!(data_refused(|path| std::fs::write(path, &broken).unwrap()).starts_with("d.npz"));
}
