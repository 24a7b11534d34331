//! What is done to an image before the model sees it, as it is written; `pixels` does it.

use std::fmt::Display;
use std::str::FromStr;

use fast_image_resize::{FilterType, ResizeAlg};

use crate::error::{Error, Result};
use crate::names::likely;

/// What is done to an image: resize, crop, value·scale, (value − mean) / std, channel order, layout.
///
/// Written as `resize=256,crop=224,filter=bicubic,mean=127,std=128,order=rgb,layout=nchw`; every key may be left out.
///
/// | key | | left out |
/// |---|---|---|
/// | `resize` | length of the short side (the aspect stays), or exactly `WxH` | as decoded |
/// | `crop` | side of the square, or `WxH`, cut from the centre | nothing is cut |
/// | `filter` | `nearest`, `box`, `bilinear`, `hamming`, `bicubic` or `lanczos`, antialiased, as in Pillow | `bicubic` |
/// | `scale` | factor of the 8-bit values, as a number or a fraction such as `1/255` | 1 |
/// | `mean`, `std` | one number or one per channel, in the scaled values' unit: `0.485/0.456/0.406` | 0, 1 |
/// | `order` | `rgb`, `bgr` or `gray` | `rgb`, or `gray` where the model takes one channel |
/// | `layout` | `nchw` or `nhwc` | the model's declared shape decides, else `nchw` |
///
/// Per-channel numbers are in the channels' `order` and separated by `/`, `:`, blanks or commas. The long side after
/// `resize` is rounded down and the offset of the crop to the nearest even number of half pixels, as torchvision does.
/// The orientation noted in a JPEG's metadata and transparency are ignored, as Pillow's `convert("RGB")` does.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    pub(super) resize: Option<Size>,
    pub(super) crop: Option<(u32, u32)>,
    pub(super) filter: Filter,
    pub(super) scale: f32,
    pub(super) mean: Vec<f32>,
    pub(super) std: Vec<f32>,
    pub(super) order: Option<Order>,
    pub(super) layout: Option<Layout>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Size {
    Short(u32),
    /// Width, height.
    Exact(u32, u32),
}

/// Order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Rgb,
    Bgr,
    Gray,
}

/// Order of the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Nchw,
    Nhwc,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Filter(pub ResizeAlg);

const KEYS: [&str; 8] = ["resize", "crop", "filter", "scale", "mean", "std", "order", "layout"];
const FILTERS: [(&str, ResizeAlg); 6] = [
    ("nearest", ResizeAlg::Nearest),
    ("box", ResizeAlg::Convolution(FilterType::Box)),
    ("bilinear", ResizeAlg::Convolution(FilterType::Bilinear)),
    ("hamming", ResizeAlg::Convolution(FilterType::Hamming)),
    ("bicubic", ResizeAlg::Convolution(FilterType::CatmullRom)),
    ("lanczos", ResizeAlg::Convolution(FilterType::Lanczos3)),
];
const ORDERS: [(&str, Order); 3] = [("rgb", Order::Rgb), ("bgr", Order::Bgr), ("gray", Order::Gray)];
const LAYOUTS: [(&str, Layout); 2] = [("nchw", Layout::Nchw), ("nhwc", Layout::Nhwc)];

impl FromStr for Preprocess {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut p = Preprocess {
            resize: None,
            crop: None,
            filter: Filter(ResizeAlg::Convolution(FilterType::CatmullRom)),
            scale: 1.0,
            mean: vec![0.0],
            std: vec![1.0],
            order: None,
            layout: None,
        };
        for (key, value) in pairs(text)? {
            let value = value.as_str();
            match key.as_str() {
                "resize" => p.resize = Some(parse_size(&key, value)?),
                "crop" => {
                    p.crop = Some(match parse_size(&key, value)? {
                        Size::Short(side) => (side, side),
                        Size::Exact(w, h) => (w, h),
                    });
                }
                "filter" => p.filter = Filter(choose(&key, value, &FILTERS)?),
                "scale" => p.scale = parse_scale(value)?,
                "mean" => p.mean = parse_channels(&key, value)?,
                "std" => p.std = parse_channels(&key, value)?,
                "order" => p.order = Some(choose(&key, value, &ORDERS)?),
                "layout" => p.layout = Some(choose(&key, value, &LAYOUTS)?),
                _ => {
                    let hint = likely(&key, KEYS).map_or_else(String::new, |k| format!(", is it \"{k}\"?"));
                    return Err(usage(format!("unknown key \"{key}\"{hint} (keys: {})", KEYS.join(", "))));
                }
            }
        }
        if let Some(std) = p.std.iter().find(|s| **s == 0.0) {
            return Err(usage(format!("std={std} divides by zero")));
        }
        Ok(p)
    }
}

/// `key=value` pairs; a part without `=` goes on with the list before it.
fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        match (part.split_once('='), pairs.last_mut()) {
            (Some((key, value)), _) => pairs.push((key.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase())),
            (None, Some((key, list))) if matches!(key.as_str(), "mean" | "std") => *list = format!("{list}/{part}"),
            (None, _) => return Err(usage(format!("\"{part}\" is not of the form key=value"))),
        }
    }
    for (i, (key, _)) in pairs.iter().enumerate() {
        if pairs[..i].iter().any(|(other, _)| other == key) {
            return Err(usage(format!("{key} is given twice")));
        }
    }
    Ok(pairs)
}

fn usage(message: impl Display) -> Error {
    Error::usage(format!("preprocess: {message}"))
}

fn parse_size(key: &str, value: &str) -> Result<Size> {
    let side = |text: &str| text.trim().parse().ok().filter(|n| (1..=32_768).contains(n));
    let size = match value.split_once('x') {
        None => side(value).map(Size::Short),
        Some((w, h)) => side(w).zip(side(h)).map(|(w, h)| Size::Exact(w, h)),
    };
    size.ok_or_else(|| usage(format!("{key}={value} is neither a length in pixels nor WIDTHxHEIGHT")))
}

fn choose<T: Copy>(key: &str, value: &str, choices: &[(&str, T)]) -> Result<T> {
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        usage(format!("{key}={value} is none of {}", names.join(", ")))
    })
}

fn parse_number(text: &str) -> Option<f32> {
    text.trim().parse().ok().filter(|v: &f32| v.is_finite())
}

fn parse_scale(value: &str) -> Result<f32> {
    let scale = match value.split_once('/') {
        None => parse_number(value),
        Some((a, b)) => parse_number(a).zip(parse_number(b)).map(|(a, b)| a / b).filter(|s| s.is_finite()),
    };
    scale.ok_or_else(|| usage(format!("scale={value} is neither a number nor a fraction such as 1/255")))
}

fn parse_channels(key: &str, value: &str) -> Result<Vec<f32>> {
    let parts = value.split(|c: char| matches!(c, '/' | ':') || c.is_whitespace()).filter(|p| !p.is_empty());
    let numbers = parts.map(parse_number).collect::<Option<Vec<_>>>();
    numbers
        .filter(|n| matches!(n.len(), 1 | 3))
        .ok_or_else(|| usage(format!("{key}={value} is neither one number nor three, as in {key}=0.485/0.456/0.406")))
}

impl Preprocess {
    /// Settles what was left open by what the model declares of the axes after the batch axis (−1: unknown).
    pub(super) fn settle(&mut self, axes: [i64; 3]) -> Result<()> {
        let is_channels = |n: i64| matches!(n, 1 | 3);
        let layout = *self.layout.get_or_insert(match axes {
            [c, _, _] if is_channels(c) => Layout::Nchw,
            [_, _, c] if is_channels(c) => Layout::Nhwc,
            _ => Layout::Nchw,
        });
        let channels = if layout == Layout::Nchw { axes[0] } else { axes[2] };
        let order = *self.order.get_or_insert(if channels == 1 { Order::Gray } else { Order::Rgb });
        if order == Order::Gray && self.mean.len().max(self.std.len()) > 1 {
            return Err(usage("mean and std have three numbers, a gray image has one channel"));
        }
        Ok(())
    }

    /// Whether all images come out at the same size.
    pub(super) fn is_fixed_size(&self) -> bool {
        self.crop.is_some() || matches!(self.resize, Some(Size::Exact(..)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_usage_errors() {
        let message = |text: &str| {
            let error = text.parse::<Preprocess>().unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert!(message("resiz=256").starts_with("preprocess: unknown key \"resiz\", is it \"resize\"?"));
        assert!(message("filter=cubic").contains("is none of nearest, box, bilinear, hamming, bicubic, lanczos"));
        assert!(message("std=0").contains("divides by zero"));
        assert!(message("mean=1/2").contains("neither one number nor three"));
        assert!(message("scale=1/0").contains("scale=1/0"));
        assert!(message("resize=0").contains("neither a length"));
        assert!(message("crop=3,crop=4").contains("crop is given twice"));
        assert!(message("256").contains("not of the form key=value"));
    }
}
