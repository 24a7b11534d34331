//! The models in ../shared/models, with something to feed each.

#[allow(dead_code, reason = "each benchmark takes what it needs")]
#[path = "../made/inputs.rs"]
mod inputs;

use std::path::{Path, PathBuf};

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, Tensor};

/// Models, and what they are fed.
const MODELS: &[(&str, &str)] = &[
    ("effnetlite0", "imagenet/calib.npz"),
    ("cifar10_resnet", "cifar10/calib.npz"),
    ("cifar10_resnet_bn", "cifar10/calib.npz"),
    ("minilm_l6_v2", "sts/calib"),
    ("ppocrv4_rec", "ocr/rec_calib.npz"),
    ("ppocrv4_det", "ocr/det_calib.npz"),
    ("ppocr_v2_cls", "ocr/cls_calib.npz"),
    ("magika_v3_3", "made-up files"),
    ("silero_vad", "made-up voice"),
    ("silero_vad_16k_op15", "made-up voice"),
    ("plcmos_v2", "made-up speech"),
    ("aecmos_1663915512", "random:4"),
    ("tashkeel_rawi_v3_int8", "random:4"),
];

/// A model that is there.
pub struct Real {
    pub name: &'static str,
    pub path: PathBuf,
    pub data: DataOptions,
}

/// Those that are there; the others are told.
pub fn models() -> Vec<Real> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let there = MODELS.iter().filter_map(|(name, data)| {
        let path = shared.join("models").join(format!("{name}.onnx"));
        if !path.is_file() {
            println!("{name} is not there");
            return None;
        }
        let spec = match *data {
            "made-up files" => made_up("files", |path, seed| inputs::begins_and_ends(path, 64, seed)),
            "made-up speech" => made_up("speech", |path, seed| inputs::speech(path, 48, seed)),
            "made-up voice" => made_up("voice", |path, seed| inputs::voice(path, 32, seed)),
            data if data.starts_with("random:") => data.to_string(),
            data => shared.join("data").join(data).display().to_string(),
        };
        Some(Real { name, path, data: DataOptions { limit: Some(4), ..DataOptions::new(&spec) } })
    });
    there.collect()
}

/// Makes data for calibration, and beside them others under the name of data for evaluation; where the first are.
fn made_up(what: &str, make: impl Fn(&Path, u64)) -> String {
    let place = |part: &str| {
        let suffix = if what == "voice" { "" } else { ".npz" };
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("made_up_{what}_{part}{suffix}"))
    };
    make(&place("calib"), 1);
    make(&place("eval"), 2);
    place("calib").display().to_string()
}

pub fn dataset(data: &DataOptions, model: &Model) -> onnxpress::Result<Dataset> {
    Dataset::open(data, &InputSpec::of(model))
}

/// The first sample.
#[allow(dead_code, reason = "each benchmark has this module for itself")]
pub fn first(data: &DataOptions, model: &Model) -> onnxpress::Result<Vec<(String, Tensor)>> {
    Ok(dataset(data, model)?.batch(0)?.inputs)
}
