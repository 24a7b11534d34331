//! ONNX Runtime: used where its shared library is present, never linked.
//!
//! The library is looked for when the runtime is first used: where [`use_library`] says, `ORT_DYLIB_PATH`, then the Python environment that is
//! active (the `onnxruntime` wheel carries it), then where the system keeps libraries.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use half::f16;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::SessionInputValue;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{DynValue, Tensor as OrtTensor};

use super::convert::{bools, halves, texts};
use super::lift::lift;
use super::{Kernel, LoadOptions, Rewrites, Runtime, Session, cores};
use crate::analysis::infer;
use crate::error::{Error, Result};
use crate::ir::{DType, Element, GraphEdit, Model, Tensor, ValueId};

/// The `onnxruntime` runtime.
pub(super) struct OnnxRuntime;

impl Runtime for OnnxRuntime {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn present(&self) -> Result<()> {
        environment().map(|_| ())
    }

    fn version(&self) -> String {
        match self.present() {
            Ok(()) => ort::info().to_string(),
            Err(_) => String::new(),
        }
    }

    fn load(&self, model: &Model, options: &LoadOptions) -> Result<Box<dyn Session>> {
        let environment = environment()?;
        let mut model = super::outputs::readable(model)?.into_owned();
        let outputs = model.graph(model.main()).outputs().len();
        let results = with_taps(&mut model, &options.taps);
        let session = open(environment, &model, options, None).map_err(|e| refusal(&e))?;
        let inputs = session.inputs().iter().map(|i| i.name().to_owned()).collect();
        let most = (ROOM / model.weight_bytes().max(1)).min(cores());
        let spare = (options.threads <= 1 && most > 1).then(|| {
            let sessions = (1..most).map(|_| OnceLock::new()).collect();
            Spare { sessions, model, options: options.clone() }
        });
        Ok(Box::new(Loaded { first: Mutex::new(session), spare, inputs, results, outputs }))
    }

    fn shares_sessions(&self) -> bool {
        false
    }

    fn takes_any_shape(&self) -> bool {
        true
    }

    fn kernels(&self, model: &Model, options: &LoadOptions) -> Result<Vec<Kernel>> {
        let no_folder = |e: std::io::Error| Error::runtime(format!("no folder for what ONNX Runtime makes: {e}"));
        let folder = tempfile::tempdir().map_err(no_folder)?;
        open(environment()?, model, options, Some(folder.path())).map_err(|e| refusal(&e))?;
        let optimized = crate::onnx::load(&folder.path().join(OPTIMIZED))?;
        let nodes = optimized.all_nodes();
        let kernel = |node: &crate::ir::Node| {
            let is = |marks: &[&str]| marks.iter().any(|mark| node.op_type.contains(mark));
            let integers = is(&INTEGER_KERNELS);
            Kernel { name: node.name.clone(), op: node.op_type.clone(), contracts: integers || is(&PRODUCTS), integers }
        };
        Ok(nodes.iter().map(|n| kernel(optimized.node(*n))).collect())
    }
}

fn refusal(e: &ort::Error) -> Error {
    Error::runtime(format!("ONNX Runtime cannot run this model: {}", one_line(e)))
}

/// What the names of its products and convolutions contain, whatever their types.
const PRODUCTS: [&str; 4] = ["Conv", "MatMul", "Gemm", "LSTM"];

/// What the names of its contractions of integers contain.
const INTEGER_KERNELS: [&str; 5] = ["QLinearConv", "QLinearMatMul", "QGemm", "Integer", "DynamicQuantize"];

/// Where the user says that the library is.
static NAMED: OnceLock<PathBuf> = OnceLock::new();

/// The library to load, instead of looking for one; what was said first holds.
pub fn use_library(path: &Path) {
    let _ = NAMED.set(path.to_path_buf());
}

/// One per process; so is the answer that there is no library.
fn environment() -> Result<&'static Environment> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    let found = ENVIRONMENT.get_or_init(|| {
        let path = library();
        let builder = ort::init_from(&path).map_err(|e| e.to_string())?;
        let environment = builder.with_name("onnxpress").build().map_err(|e| one_line(&e))?;
        // What it logs comes as the error, too.
        environment.set_log_level(LogLevel::Fatal);
        Ok(environment)
    });
    found.as_ref().map_err(|why| {
        Error::runtime(format!(
            "ONNX Runtime's library is not there ({why}); set ORT_DYLIB_PATH or --ort-lib to its path"
        ))
    })
}

/// Where the library is said to be, else where it may be.
fn library() -> PathBuf {
    let variable = || std::env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()).map(PathBuf::from);
    let named = NAMED.get().cloned().or_else(variable);
    let wheel =
        || ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().find_map(|v| in_python(PathBuf::from(std::env::var_os(v)?)));
    let system = match std::env::consts::OS {
        "windows" => "onnxruntime.dll",
        "macos" => "libonnxruntime.dylib",
        _ => "libonnxruntime.so",
    };
    named.or_else(wheel).unwrap_or_else(|| system.into())
}

/// The library inside the wheel of a Python environment.
fn in_python(environment: PathBuf) -> Option<PathBuf> {
    let windows = environment.join("Lib");
    let unix = std::fs::read_dir(environment.join("lib")).into_iter().flatten().flatten().map(|e| e.path());
    unix.chain([windows]).find_map(|lib| {
        let files = std::fs::read_dir(lib.join("site-packages/onnxruntime/capi")).ok()?.flatten();
        let library = |name: &str| {
            name.starts_with("libonnxruntime.so") || name == "onnxruntime.dll" || name.starts_with("libonnxruntime.1")
        };
        files.map(|e| e.path()).find(|p| p.file_name().is_some_and(|n| library(&n.to_string_lossy())))
    })
}

/// A result: the name that it is asked for by, and that of the graph's output.
type Named = (String, String);

/// Makes the tapped values outputs, but for the inputs of the main graph, which the run has; the names of all results, outputs first.
///
/// Values inside a subgraph are given out of it ([`lift`]); where that cannot be, the tap is left out.
fn with_taps(model: &mut Model, taps: &[String]) -> Vec<Named> {
    let main = model.main();
    let outputs = model.graph(main).outputs().iter();
    let mut results: Vec<Named> = outputs.map(|v| (model.name(*v).to_owned(), model.name(*v).to_owned())).collect();
    let nodes = model.all_nodes();
    let made = nodes.iter().flat_map(|n| model.node(*n).outputs().iter().flatten());
    let inner = model.graphs_under(main).into_iter().skip(1).flat_map(|g| model.graph(g).inputs());
    let made: Vec<ValueId> = made.chain(inner).copied().collect();
    let fed: Vec<String> = model.user_inputs().iter().map(|v| model.name(*v).to_owned()).collect();
    let mut edit = GraphEdit::new(model);
    if made.iter().any(|v| edit.home(*v) != Some(main) && taps.iter().any(|t| t == edit.name(*v))) {
        // What is given out of a loop must have one shape.
        infer(&mut edit);
    }
    for tap in taps {
        if fed.contains(tap) {
            results.push((tap.clone(), tap.clone()));
            continue;
        }
        let found = made.iter().find(|v| edit.name(**v) == tap).copied();
        let Some(value) = found.and_then(|v| lift(&mut edit, v)) else { continue };
        let name = edit.name(value).to_owned();
        if results.iter().all(|(_, output)| *output != name) {
            edit.add_graph_output(main, value);
        }
        results.push((tap.clone(), name));
    }
    results
}

/// What it made of a model, in a folder of ours.
const OPTIMIZED: &str = "optimized.onnx";

/// Makes a session; where a folder for it is given, what it made of the model is written there, beside the weights that it may refer to.
fn open(
    environment: &Environment,
    model: &Model,
    options: &LoadOptions,
    optimized: Option<&Path>,
) -> ort::Result<ort::session::Session> {
    let level = match options.rewrites {
        Rewrites::Least => GraphOptimizationLevel::Disable,
        _ => GraphOptimizationLevel::All,
    };
    let mut builder = ort::session::Session::builder(environment)?
        .with_optimization_level(level)?
        .with_intra_threads(options.threads.max(1))?
        .with_inter_threads(1)?
        .with_log_level(LogLevel::Fatal)?;
    if let Some(folder) = optimized {
        builder = builder.with_optimized_model_path(folder.join(OPTIMIZED))?;
    }
    let fault = |e: String| ort::Error::new(e);
    // Either way it reads a copy.
    if model.weight_bytes() < LARGE {
        let bytes = crate::onnx::to_bytes(model).map_err(|e| fault(e.to_string()))?;
        model.forget_pages();
        return builder.commit_from_memory(&bytes);
    }
    let passing = tempfile::tempdir().map_err(|e| fault(e.to_string()))?;
    let path = crate::onnx::spill(model, optimized.unwrap_or(passing.path())).map_err(|e| fault(e.to_string()))?;
    model.forget_pages();
    builder.commit_from_file(&path)
}

/// Bytes that the weights of sessions for runs at the same time may take together.
const ROOM: usize = 256 << 20;
/// Weights of more bytes reach it through a file that it maps: as one message it would hold them three times over while it loads.
const LARGE: usize = 8 << 20;

/// Sessions for runs while the others are busy, made when first needed.
struct Spare {
    sessions: Vec<OnceLock<Option<Mutex<ort::session::Session>>>>,
    model: Model,
    options: LoadOptions,
}

struct Loaded {
    /// A session is used by one run at a time; its own threads share the work.
    first: Mutex<ort::session::Session>,
    spare: Option<Spare>,
    inputs: Vec<String>,
    results: Vec<Named>,
    /// How many of the results are outputs; the others are taps.
    outputs: usize,
}

impl Loaded {
    /// One that is idle, or the first when it is.
    fn session(&self) -> MutexGuard<'_, ort::session::Session> {
        if let Ok(free) = self.first.try_lock() {
            return free;
        }
        let idle = self.spare.as_ref().and_then(Spare::session);
        idle.unwrap_or_else(|| self.first.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Spare {
    fn session(&self) -> Option<MutexGuard<'_, ort::session::Session>> {
        let another = || open(environment().ok()?, &self.model, &self.options, None).ok().map(Mutex::new);
        self.sessions.iter().find_map(|spare| spare.get_or_init(another).as_ref()?.try_lock().ok())
    }
}

impl Session for Loaded {
    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let fed = self.inputs.iter().filter_map(|name| {
            // An input with a default may stay unnamed; ONNX Runtime says so where there is none.
            let (_, tensor) = inputs.iter().find(|(given, _)| given == name)?;
            Some(to_ort(tensor).map(|value| (name.as_str(), SessionInputValue::from(value))))
        });
        let fed = fed.collect::<Result<Vec<_>>>()?;
        let mut session = self.session();
        let made = session.run(fed).map_err(|e| Error::runtime(one_line(&e)))?;
        let result = |(at, (name, output)): (usize, &Named)| {
            // ONNX Runtime would hand out the memory of what it was fed.
            if let Some((_, tensor)) = inputs.iter().find(|(given, _)| given == output) {
                return Some(Ok((name.clone(), tensor.clone())));
            }
            let Some(value) = made.get(output) else {
                return Some(Err(Error::internal(format!("no value for \"{name}\""))));
            };
            match from_ort(value, name) {
                // A sequence inside is nothing to look at.
                Err(_) if at >= self.outputs => None,
                read => Some(read.map(|tensor| (name.clone(), tensor))),
            }
        };
        self.results.iter().enumerate().filter_map(result).collect()
    }
}

fn to_ort(tensor: &Tensor) -> Result<DynValue> {
    let shape = tensor.shape().to_vec();
    macro_rules! plain {
        ($($t:ty),*) => {
            $(if let Some(values) = tensor.as_slice::<$t>() {
                return made(OrtTensor::from_array((shape, values.into_owned())));
            })*
        };
    }
    plain!(f32, i64, u8, i8, i32, f64, u16, i16, u32, u64);
    match tensor.dtype() {
        DType::Bool => made(OrtTensor::from_array((shape, bools(tensor)))),
        DType::F16 => made(OrtTensor::from_array((shape, halves(tensor)))),
        DType::String => made(OrtTensor::from_string_array((shape, texts(tensor).as_slice()))),
        other => Err(Error::runtime(format!("inputs of type {other} cannot be fed to ONNX Runtime from here"))),
    }
}

fn made<T: ort::value::ValueTypeMarker + ?Sized>(value: ort::Result<ort::value::Value<T>>) -> Result<DynValue> {
    value.map(ort::value::Value::into_dyn).map_err(|e| Error::runtime(one_line(&e)))
}

fn from_ort(value: &DynValue, name: &str) -> Result<Tensor> {
    fn numbers<T: ort::value::PrimitiveTensorElementType + Element + Send>(value: &DynValue) -> Option<Tensor> {
        let (shape, values) = value.try_extract_tensor::<T>().ok()?;
        Some(Tensor::from_vec(dims(shape), values.to_vec()))
    }
    fn dims(shape: &[i64]) -> Vec<usize> {
        shape.iter().map(|d| usize::try_from(*d).unwrap_or_default()).collect()
    }
    macro_rules! plain {
        ($($t:ty),*) => { $(if let Some(tensor) = numbers::<$t>(value) { return Ok(tensor); })* };
    }
    plain!(f32, i64, u8, i8, i32, f64, u16, i16, u32, u64);
    if let Ok((shape, values)) = value.try_extract_tensor::<bool>() {
        let bytes: Vec<u8> = values.iter().map(|b| u8::from(*b)).collect();
        return Tensor::from_bytes(DType::Bool, dims(shape), bytes);
    }
    if let Ok((shape, values)) = value.try_extract_tensor::<f16>() {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        return Tensor::from_bytes(DType::F16, dims(shape), bytes);
    }
    if let Ok((shape, strings)) = value.try_extract_strings() {
        return Tensor::from_strings(dims(shape), strings.into_iter().map(Bytes::from).collect());
    }
    Err(Error::runtime(format!("result \"{name}\" of ONNX Runtime is of a type that cannot be read")))
}

fn one_line(error: &ort::Error<impl Sized>) -> String {
    let text = error.to_string();
    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}
