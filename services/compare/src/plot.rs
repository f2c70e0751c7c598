//! The plots.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

use crate::cases::{Case, Language, Results, SIZES, Transport, bytes};
use crate::markdown::time;
use crate::verdict::Of;

const PIXELS: (u32, u32) = (960, 600);

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Points = Vec<(f64, f64)>;

/// Draws two plots per language into a directory.
///
/// # Errors
/// That a file cannot be written.
pub fn draw(languages: &[Language], results: &Results, directory: &Path) -> anyhow::Result<()> {
    for language in languages {
        let of = Of { results, language: *language };
        let name = language.title().to_lowercase();
        let path = directory.join(format!("latency-{name}.svg"));
        by_size(of, &path).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        let path = directory.join(format!("distribution-{name}.svg"));
        distribution(of, &path).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn by_size(of: Of<'_>, path: &Path) -> Drawn {
    let lines = Transport::ALL.map(|transport| {
        let point = |size| (size as f64, of.get(transport, Case::Size(size)).quantile(0.5));
        (transport, SIZES.map(point).to_vec())
    });
    let axes = Axes {
        caption: format!("Median latency of an echo, {}", of.language.title()),
        x: ("payload", |size| bytes(size.round() as usize), 2.0),
        y: ("latency", |ns| time(*ns)),
    };
    chart(&axes, &lines, path)
}

fn distribution(of: Of<'_>, path: &Path) -> Drawn {
    let lines = Transport::ALL.map(|transport| {
        let latencies = &of.get(transport, Case::Size(SIZES[0])).latencies;
        let total = latencies.len() as f64;
        let mut slower = total;
        let points = latencies.iter_recorded().map(|bucket| {
            let point = (bucket.value_iterated_to() as f64, 100.0 * slower / total);
            slower -= bucket.count_at_value() as f64;
            point
        });
        (transport, points.collect())
    });
    let axes = Axes {
        caption: format!("Echoes of {} that take longer, {}", bytes(SIZES[0]), of.language.title()),
        x: ("latency", |ns| time(*ns), 10.0),
        y: ("% of calls", |percent| format!("{percent}")),
    };
    chart(&axes, &lines, path)
}

struct Axes {
    caption: String,
    /// Title, labels, and the base of its logarithm.
    x: (&'static str, fn(&f64) -> String, f64),
    y: (&'static str, fn(&f64) -> String),
}

fn chart(axes: &Axes, lines: &[(Transport, Points)], path: &Path) -> Drawn {
    let span = |value: fn(&(f64, f64)) -> f64| {
        let values = || lines.iter().flat_map(|(_, points)| points).map(value);
        (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max))
    };
    let ((left, right), (bottom, top)) = (span(|point| point.0), span(|point| point.1));
    let root = SVGBackend::new(path, PIXELS).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(&axes.caption, ("sans-serif", 24))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(80)
        .build_cartesian_2d(
            (left..right).log_scale().base(axes.x.2),
            (bottom / 1.5..top * 1.5).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc(axes.x.0)
        .y_desc(axes.y.0)
        .x_label_formatter(&axes.x.1)
        .y_label_formatter(&axes.y.1)
        .light_line_style(WHITE)
        .draw()?;
    for (index, (transport, points)) in lines.iter().enumerate() {
        let width = if *transport == Transport::Eshm { 3 } else { 1 };
        let style = Palette99::pick(index).to_rgba().stroke_width(width);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(transport.title())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}
