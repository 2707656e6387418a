//! Hidden units of a value head as a Burn module.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array2;
use rand::RngExt;

use super::loss::{host2, indices};
use super::network::{param, read};
use super::rng::{Stream, stream};
use crate::error::Result;
use crate::features::{Column, Features};
use crate::hidden::HiddenUnit;
use crate::value_head::ValueHead;

/// Where the fields' tables stand one after the other.
pub(super) struct Tables {
    /// Rows of each field, missing included; 0 for a field that the value head does not look up.
    widths: Vec<usize>,
    pub(super) rows: usize,
    /// Rows that a user has at most.
    most: usize,
}

impl Tables {
    /// Of the fields that a value head looks up.
    pub(super) fn of(head: &ValueHead, features: &Features) -> Self {
        let mut widths: Vec<usize> = head.fields().iter().map(|terms| terms.table().len()).collect();
        widths.resize(features.columns().len(), 0);
        let most = features.columns().iter().zip(&widths).map(|(column, &width)| match column {
            Column::Bag { offsets, .. } if width > 0 => {
                offsets.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0)
            }
            _ => usize::from(width > 0),
        });
        Self { rows: widths.iter().sum(), most: most.sum(), widths }
    }
}

pub(super) struct Examples<'a> {
    pub(super) features: &'a Features,
    pub(super) tables: &'a Tables,
    /// What the sum lacks.
    pub(super) lacks: &'a [f32],
}

impl Examples<'_> {
    /// The rows of the tables that a user has; those of a set are as many as it has members.
    fn codes(&self, user: usize, codes: &mut Vec<usize>) {
        let mut first = 0;
        for (field, (column, width)) in self.features.columns().iter().zip(&self.tables.widths).enumerate() {
            if *width == 0 {
                continue;
            }
            match (column, self.features.hard_bins(field)) {
                (Column::Index(own), _) => codes.push(first + own[user] as usize),
                (Column::Piecewise(_), Some(bins)) => codes.push(first + bins.bins[user] as usize),
                (Column::Piecewise(_), None) => {}
                (Column::Bag { offsets, indices }, _) => {
                    let own = &indices[offsets[user]..offsets[user + 1]];
                    codes.extend(own.iter().map(|&code| first + code as usize));
                }
            }
            first += width;
        }
    }
}

#[derive(Module, Debug)]
pub(super) struct UnitNetwork {
    /// `[rows, H]`.
    table: Param<Tensor<2>>,
    /// `[1, H]`.
    bias: Param<Tensor<2>>,
    /// `[H, 1]`.
    weight: Param<Tensor<2>>,
}

impl UnitNetwork {
    pub(super) fn new(tables: &Tables, units: usize, seed: u64, device: &Device) -> Self {
        let mut rng = stream(seed, Stream::Units);
        // Inputs of the units then vary by about 1, and so does their sum.
        let mut drawn = |rows: usize, columns: usize, terms: usize| {
            let reach = (3.0 / terms.max(1) as f32).sqrt();
            Array2::from_shape_simple_fn((rows, columns), || rng.random_range(-reach..reach)).into_dyn()
        };
        Self {
            table: param(&drawn(tables.rows, units, tables.most), device),
            bias: param(&drawn(1, units, 100), device),
            weight: param(&drawn(units, 1, units), device),
        }
    }

    /// The mean squared error of these users.
    pub(super) fn loss(&self, examples: &Examples<'_>, users: &[usize]) -> Tensor<1> {
        let (device, most) = (self.table.val().device(), examples.tables.most);
        let [_, units] = self.table.val().dims();
        let (mut rows, mut known) = (vec![0; users.len() * most], vec![0.0f32; users.len() * most]);
        let mut codes = vec![];
        for (place, &user) in users.iter().enumerate() {
            codes.clear();
            examples.codes(user, &mut codes);
            rows[place * most..][..codes.len()].copy_from_slice(&codes);
            known[place * most..][..codes.len()].fill(1.0);
        }
        let picked = self.table.val().select(0, indices(&rows, &device)).reshape([users.len(), most, units]);
        let known = Tensor::<3>::from_data(TensorData::new(known, [users.len(), most, 1]), &device);
        let inputs = (picked * known).sum_dim(1).reshape([users.len(), units]) + self.bias.val();
        let lacks = Array2::from_shape_fn((users.len(), 1), |(place, _)| examples.lacks[users[place]]);
        let error = relu(inputs).matmul(self.weight.val()) - host2(&lacks, &device);
        error.square().mean()
    }

    /// The units, with their weights times a factor.
    pub(super) fn units(&self, tables: &Tables, factor: f64) -> Result<Vec<HiddenUnit>> {
        let (table, bias, weight) = (read(&self.table)?, read(&self.bias)?, read(&self.weight)?);
        let unit = |(unit, (bias, weight)): (usize, (&f32, &f32))| {
            let mut rows = (0..tables.rows).map(|row| f64::from(table[[row, unit]]));
            let tables = tables.widths.iter().map(|&width| rows.by_ref().take(width).collect());
            HiddenUnit::new(f64::from(*bias), factor * f64::from(*weight), tables.collect())
        };
        Ok(bias.iter().zip(&weight).enumerate().map(unit).collect())
    }
}
