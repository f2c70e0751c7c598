//! The plots.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::users::short;
use crate::cases::{SIZES, bytes};
use crate::contestants::What;
use crate::rivals::{column, small_stream};
use crate::rows::Rows;
use crate::timing::Latency;
use crate::users::{CONTESTANTS, LANGUAGES, Situation, situations};

const SIZE: (u32, u32) = (960, 600);
const COMPARED: [What; 7] =
    [What::Queue, What::Loan, What::Iceoryx2, What::Shmipc, What::Unix, What::Tcp, What::Pipe];

/// Draws every plot into a directory.
pub fn draw(rows: &Rows, directory: &Path) -> Result<()> {
    for (touched, file) in [(true, "round-trip-touched.svg"), (false, "round-trip-untouched.svg")] {
        let path = directory.join(file);
        round_trips(rows, touched, &path).map_err(|error| anyhow!("drawing {}: {error}", path.display()))?;
    }
    for language in LANGUAGES {
        let path = directory.join(format!("users-{language}.svg"));
        users(rows, language, &path).map_err(|error| anyhow!("drawing {}: {error}", path.display()))?;
    }
    let path = directory.join("stream.svg");
    streams(rows, &path).map_err(|error| anyhow!("drawing {}: {error}", path.display()))
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn round_trips(rows: &Rows, touched: bool, path: &Path) -> Drawn {
    let lines: Vec<(What, Vec<(f64, f64)>)> = COMPARED
        .iter()
        .map(|&what| {
            let points = column(what, touched).into_iter().filter_map(|case| {
                let row = rows.get(&case).filter(|row| row.lost() == 0)?;
                Some((case.size as f64, row.ns()?))
            });
            (what, points.collect())
        })
        .filter(|(_, points): &(_, Vec<_>)| !points.is_empty())
        .collect();
    let values = || lines.iter().flat_map(|(_, points)| points).map(|&(_, ns)| ns);
    let least = values().min_by(f64::total_cmp).unwrap_or(100.0);
    let most = values().max_by(f64::total_cmp).unwrap_or(1e6);

    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let payload = if touched { "payload touched" } else { "payload untouched" };
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("Round trip, {payload}"), ("sans-serif", 24))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(
            (SIZES[0] as f64..SIZES[SIZES.len() - 1] as f64).log_scale().base(2.0),
            (least / 2.0..most * 2.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("bytes")
        .y_desc("time")
        .x_labels(SIZES.len())
        .x_label_formatter(&|size| bytes(*size as usize))
        .y_label_formatter(&|ns| time(*ns))
        .light_line_style(WHITE)
        .draw()?;
    for (index, (what, points)) in lines.into_iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let style = colour.stroke_width(if what == What::Queue || what == What::Loan { 3 } else { 1 });
        chart
            .draw_series(LineSeries::new(points, style).point_size(3))?
            .label(what.title())
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

/// Returns the latencies of each contestant of a language, with the index of the situation.
fn marks(rows: &Rows, language: &str, situations: &[Situation]) -> Vec<(What, Vec<(usize, Latency)>)> {
    let contestants = CONTESTANTS.iter().filter(|(_, of)| *of == language);
    contestants
        .map(|&(what, of)| {
            let figures = situations.iter().enumerate().filter_map(|(index, situation)| {
                let row = rows.get(&situation.case(what, of)).filter(|row| row.usable().is_ok())?;
                Some((index, row.latency()?))
            });
            (what, figures.collect())
        })
        .collect()
}

/// What a user meets in one language: a situation per line, and for each contestant a dot at its median, a ring at p99.
fn users(rows: &Rows, language: &str, path: &Path) -> Drawn {
    // The first is the uppermost.
    let situations: Vec<_> = situations().into_iter().rev().collect();
    let marks = marks(rows, language, &situations);
    let values = || marks.iter().flat_map(|(_, figures)| figures).map(|(_, latency)| latency);
    let least = values().map(|latency| latency.p50).min_by(f64::total_cmp).unwrap_or(100.0);
    let most = values().map(|latency| latency.p99).max_by(f64::total_cmp).unwrap_or(1e6);

    let root = SVGBackend::new(path, (SIZE.0, 800)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("Round trip of 56 B in {language}: dot: median, ring: p99"), ("sans-serif", 24))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(220)
        .build_cartesian_2d(
            (least / 2.0..most * 2.0).log_scale(),
            (0..situations.len() - 1).into_segmented(),
        )?;
    let title = |segment: &SegmentValue<usize>| match segment {
        SegmentValue::CenterOf(index) => situations.get(*index).map_or_else(String::new, Situation::title),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|ns| time(*ns))
        .y_labels(situations.len())
        .y_label_formatter(&title)
        .draw()?;
    for (index, (what, figures)) in marks.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let offset = (0, 6 * index as i32 - 3 * (marks.len() as i32 - 1));
        let at = |ns, index: &usize| EmptyElement::at((ns, SegmentValue::CenterOf(*index)));
        let dots = figures
            .iter()
            .map(|(index, figure)| at(figure.p50, index) + Circle::new(offset, 3, colour.filled()));
        chart
            .draw_series(dots)?
            .label(short(*what))
            .legend(move |(x, y)| Circle::new((x + 10, y), 4, colour.filled()));
        chart.draw_series(
            figures.iter().map(|(index, figure)| at(figure.p99, index) + Circle::new(offset, 3, colour)),
        )?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}

fn streams(rows: &Rows, path: &Path) -> Drawn {
    let shown = [What::Ring, What::Batch, What::Queue, What::Iceoryx2, What::Unix, What::Tcp, What::Pipe];
    let bars: Vec<(What, f64)> = shown
        .into_iter()
        .filter_map(|what| {
            let row = rows.get(&small_stream(what)).filter(|row| row.lost() == 0)?;
            Some((what, 1e3 / row.ns()?))
        })
        .collect();
    let most = bars.iter().map(|&(_, rate)| rate).max_by(f64::total_cmp).unwrap_or(1.0);

    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let count = bars.len().max(1);
    let mut chart = ChartBuilder::on(&root)
        .caption("Stream of 56 B, million messages per second", ("sans-serif", 24))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(200)
        .build_cartesian_2d((0.05..most * 2.0).log_scale(), (0..count - 1).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .x_labels(5)
        .x_label_formatter(&|rate| number(*rate))
        .y_labels(count)
        .y_label_formatter(&|segment| match segment {
            SegmentValue::CenterOf(index) => bars.get(*index).map_or("", |(what, _)| what.title()).to_owned(),
            _ => String::new(),
        })
        .draw()?;
    chart.draw_series(bars.iter().enumerate().map(|(index, &(_, rate))| {
        let corners = [(0.05, SegmentValue::Exact(index)), (rate, SegmentValue::Exact(index + 1))];
        let mut bar = Rectangle::new(corners, Palette99::pick(index).filled());
        bar.set_margin(6, 6, 0, 0);
        bar
    }))?;
    chart.draw_series(bars.iter().enumerate().map(|(index, &(_, rate))| {
        Text::new(number(rate), (rate * 1.05, SegmentValue::CenterOf(index)), ("sans-serif", 14))
    }))?;
    root.present()?;
    Ok(())
}

/// Two significant digits.
fn number(value: f64) -> String {
    let digits = (1.0 - value.log10().floor()).max(0.0) as usize;
    format!("{value:.digits$}")
}

fn time(ns: f64) -> String {
    match ns {
        ns if ns >= 1e6 => format!("{} ms", ns / 1e6),
        ns if ns >= 1e3 => format!("{} µs", ns / 1e3),
        ns => format!("{ns} ns"),
    }
}
