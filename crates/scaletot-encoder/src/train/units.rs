//! Training the hidden units of a value head.

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::Device;
use rand::seq::SliceRandom;
use scaletot_core::Progress;
use scaletot_core::config::check;
use scaletot_profile::ProfileTable;

use super::loss::read_scalar;
use super::rng::{Stream, stream};
use super::schedule::Schedule;
use super::unit_network::{Examples, Tables, UnitNetwork};
use crate::error::{Error, Result};
use crate::frozen::FrozenEncoder;
use crate::hidden::HiddenUnit;
use crate::value_head::ValueHead;

/// Rows of a step.
const BATCH: usize = 256;
/// Passes over the rows, and how many steps that may be.
const EPOCHS: usize = 40;
const STEPS: [usize; 2] = [500, 5_000];
/// How often the error on the held-out rows is computed.
const EVALUATIONS: usize = 10;
const LEARNING_RATE: f64 = 5e-3;
const WEIGHT_DECAY: f32 = 1e-4;

/// What a value head is to give.
#[derive(Debug, Clone, Copy)]
pub struct UnitData<'a> {
    encoder: &'a FrozenEncoder,
    head: &'a ValueHead,
    table: &'a ProfileTable,
    targets: &'a [(usize, f64)],
}

impl<'a> UnitData<'a> {
    /// `encoder` has the value head as far as it is a sum, fields with tables for the units to read included; `targets` are rows of the table,
    /// each with what a model that no sum takes over predicts of the user, as `a + b ŷ`: of any number of users, labelled or not.
    ///
    /// # Errors
    /// [`Error::Shape`] without a value head.
    pub fn new(
        encoder: &'a FrozenEncoder,
        table: &'a ProfileTable,
        targets: &'a [(usize, f64)],
    ) -> Result<Self> {
        let Some(head) = encoder.value_head() else {
            return Err(Error::shape("value head of the encoder that gets hidden units", "one", "none"));
        };
        Ok(Self { encoder, head, table, targets })
    }
}

/// Trains [hidden units](HiddenUnit) on what the sum of a [value head](crate::ValueHead) lacks of a model that it is to serve.
///
/// Squared error by `AdamW` with a cosine schedule, on nine tenths of the rows; of the weights met on the way those are kept that are nearest on
/// the last tenth, and none if that is no nearer than the sum alone.
///
/// ```
/// # use scaletot_chain::{ChainSchema, StateDef};
/// # use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
/// # use scaletot_encoder::{Device, EncoderConfig, FieldTerms, FrozenEncoder, Heads, UnitData, UnitTrainer, ValueHead};
/// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::boolean("member")).with_field(FieldSpec::boolean("new")).build()?;
/// # let mut table = TableBuilder::new(schema);
/// # for id in 0..400 { table.push_text(id, [["no", "no"], ["no", "yes"], ["yes", "no"], ["yes", "yes"]][id as usize % 4].as_slice())?; }
/// # let table = table.finish();
/// # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
/// # let heads = Heads::new(true, vec![2], 3);
/// // Only who is both a member and new is worth more: no sum over fields says so.
/// let targets: Vec<(usize, f64)> = (0..table.len()).map(|row| (row, if row % 4 == 3 { 1.0 } else { 0.0 })).collect();
/// let field = FieldTerms::Codes { codes: vec![-0.25, 0.25], missing: 0.0 };
/// let sum = ValueHead::builder(0.25).with_fields(vec![field.clone(), field]);
/// let encoder = // …
/// #     FrozenEncoder::with_random_weights(&EncoderConfig::default(), &table, &chain, heads, 7)?;
/// let encoder = encoder.with_value_head(sum.clone().build()?)?;
/// let data = UnitData::new(&encoder, &table, &targets)?;
/// let units = UnitTrainer::new(15)?.fit(&data, 7, &Device::default(), &())?;
/// let encoder = encoder.with_value_head(sum.with_hidden(units).build()?)?;
/// let value = encoder.score(&table)?.value;
/// assert!(value[0].ln().abs() < 0.1 && (value[3].ln() - 1.0).abs() < 0.1, "{:?}", &value[..4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct UnitTrainer {
    units: usize,
}

impl UnitTrainer {
    /// A trainer of so many units, 1 to 255; 15 are served as fast as one.
    ///
    /// # Errors
    /// [`Error::Config`] for another number.
    pub fn new(units: usize) -> Result<Self> {
        check((1..256).contains(&units), "units", "1 to 255", units)?;
        Ok(Self { units })
    }

    /// Trains units, with weights in the unit of `ŷ`; none if they do not help. Equal arguments give equal units on one backend.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a target that is not finite, [`Error::Schema`] and [`Error::Shape`] as
    /// [`FrozenEncoder::activations`], [`Error::Stopped`] when `progress` asks to stop, [`Error::Device`] when the device fails.
    pub fn fit(
        &self,
        data: &UnitData<'_>,
        seed: u64,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<Vec<HiddenUnit>> {
        let rows: Vec<usize> = data.targets.iter().map(|(row, _)| *row).collect();
        let features = data.encoder.featuriser().transform(data.table, &rows)?;
        let sums = data.encoder.forward(&features)?.value;
        let lacks: Vec<f64> =
            data.targets.iter().zip(&sums).map(|((_, to), sum)| to - f64::from(*sum)).collect();
        if let Some(value) = lacks.iter().find(|lack| !lack.is_finite()) {
            return Err(Error::NonFinite {
                what: "target of hidden units",
                epoch: 0,
                step: 0,
                value: *value,
            });
        }
        let mean_square = lacks.iter().map(|lack| lack * lack).sum::<f64>() / lacks.len().max(1) as f64;
        let tables = Tables::of(data.head, &features);
        // A rounding error is nothing to learn.
        if mean_square < 1e-10 || tables.rows == 0 {
            return Ok(vec![]);
        }
        let scale = mean_square.sqrt();
        let lacks: Vec<f32> = lacks.iter().map(|lack| (lack / scale) as f32).collect();
        let examples = Examples { features: &features, tables: &tables, lacks: &lacks };
        let Some(network) = self.train(&examples, seed, device, progress)? else { return Ok(vec![]) };
        network.units(&tables, scale / data.head.link().1)
    }

    fn train(
        &self,
        examples: &Examples<'_>,
        seed: u64,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<Option<UnitNetwork>> {
        let mut rows: Vec<usize> = (0..examples.lacks.len()).collect();
        rows.shuffle(&mut stream(seed, Stream::Split));
        let (held_out, fit) = rows.split_at(rows.len().div_ceil(10));
        if fit.is_empty() {
            return Ok(None);
        }
        let total = (EPOCHS * fit.len()).div_ceil(BATCH).clamp(STEPS[0], STEPS[1]);
        let schedule = Schedule::new(LEARNING_RATE, 0.05, total);
        let mut optimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(WEIGHT_DECAY).init();
        let mut network = UnitNetwork::new(examples.tables, self.units, seed, &device.clone().autodiff());
        let (mut order, mut shuffle) = (fit.to_vec(), stream(seed, Stream::Order));
        let mut next = order.len();
        let alone = held_out.iter().map(|&row| f64::from(examples.lacks[row]).powi(2)).sum::<f64>();
        let mut best = (alone / held_out.len().max(1) as f64, None);
        for step in 0..total {
            if progress.stopped() {
                return Err(Error::Stopped { epochs: step * BATCH / fit.len() });
            }
            if next >= order.len() {
                order.shuffle(&mut shuffle);
                next = 0;
            }
            let batch = &order[next..order.len().min(next + BATCH)];
            next += BATCH;
            let loss = network.loss(examples, batch);
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(schedule.rate(step), network, gradients);
            if (step + 1) % total.div_ceil(EVALUATIONS) == 0 || step + 1 == total {
                let snapshot = network.valid();
                let loss = read_scalar(snapshot.loss(examples, held_out))?;
                if loss < best.0 {
                    best = (loss, Some(snapshot));
                }
            }
        }
        Ok(best.1)
    }
}

#[cfg(test)]
mod tests {
    use scaletot_chain::{ChainSchema, StateDef};
    use scaletot_profile::{FieldSpec, ProfileSchema, Quantiles, TableBuilder};

    use super::*;
    use crate::config::EncoderConfig;
    use crate::field_terms::FieldTerms;
    use crate::shape::Heads;

    /// Users with a number, a set and a code, by their row; every seventh knows nothing of one of them.
    fn users(count: usize) -> (ProfileTable, FrozenEncoder) {
        let schema = ProfileSchema::builder("shop")
            .with_field(FieldSpec::numeric("income"))
            .with_field(FieldSpec::multi("likes", ["food", "toys", "tools"]))
            .with_field(FieldSpec::boolean("member"))
            .with_field(FieldSpec::boolean("unused"))
            .build()
            .unwrap();
        let mut table = TableBuilder::new(schema);
        for id in 0..count {
            let likes = ["food", "toys|tools", "", "food|toys|tools"][id / 8 % 4];
            let mut cells =
                [(id % 8).to_string(), likes.into(), ["no", "yes"][id / 32 % 2].into(), "no".into()];
            if id % 7 == 0 {
                cells[id % 3].clear();
            }
            table.push_text(id as i64, &cells).unwrap();
        }
        let table = table.finish();
        let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"]));
        let config = EncoderConfig::default();
        let heads = Heads::new(true, vec![2], 3);
        let encoder = FrozenEncoder::with_random_weights(&config, &table, &chain.build().unwrap(), heads, 3);
        let fields = vec![
            FieldTerms::Numeric {
                quantiles: Quantiles::fit((0..8).map(f64::from), 8).unwrap(),
                bins: vec![0.0; 8],
                slope: 0.1,
                missing: 0.0,
            },
            FieldTerms::Codes { codes: vec![0.0; 3], missing: 0.1 },
            FieldTerms::Codes { codes: vec![0.2; 2], missing: 0.0 },
            FieldTerms::Unused,
        ];
        let head = ValueHead::builder(0.3).with_fields(fields).with_link(0.2, 2.0).build().unwrap();
        (table, encoder.unwrap().with_value_head(head).unwrap())
    }

    /// Mean squared error of `a + b ŷ`.
    fn error(encoder: &FrozenEncoder, table: &ProfileTable, targets: &[(usize, f64)]) -> f64 {
        let rows: Vec<usize> = (0..table.len()).collect();
        let features = encoder.featuriser().transform(table, &rows).unwrap();
        let values = encoder.forward(&features).unwrap().value;
        let squares =
            values.iter().zip(targets).map(|(value, (_, target))| (f64::from(*value) - target).powi(2));
        squares.sum::<f64>() / targets.len() as f64
    }

    #[test]
    fn units_take_over_what_a_sum_cannot_and_nothing_where_there_is_nothing() {
        let (table, encoder) = users(1_500);
        let device = Device::default();
        let rows: Vec<usize> = (0..table.len()).collect();
        let exclusive = |row: usize| f64::from(u8::from(row % 8 > 3) ^ u8::from(row / 32 % 2 == 1));
        let targets: Vec<(usize, f64)> = rows.iter().map(|&row| (row, exclusive(row))).collect();
        let trainer = UnitTrainer::new(15).unwrap();
        let data = UnitData::new(&encoder, &table, &targets).unwrap();
        let units = trainer.fit(&data, 1, &device, &()).unwrap();
        assert_eq!(units, trainer.fit(&data, 1, &device, &()).unwrap());
        assert!(units.iter().all(|unit| unit.tables()[3].is_empty()));
        let head = encoder.value_head().unwrap().clone().into_builder().with_hidden(units).build().unwrap();
        let with = encoder.clone().with_value_head(head).unwrap();
        let (before, after) = (error(&encoder, &table, &targets), error(&with, &table, &targets));
        assert!(after < 0.05 * before, "{before} {after}");

        // What the sum predicts already.
        let features = encoder.featuriser().transform(&table, &rows).unwrap();
        let sums = encoder.forward(&features).unwrap().value;
        let predicted: Vec<_> = rows.into_iter().zip(sums.iter().map(|&x| f64::from(x))).collect();
        let data = UnitData::new(&encoder, &table, &predicted).unwrap();
        assert_eq!(trainer.fit(&data, 1, &device, &()).unwrap(), []);
    }

    #[test]
    fn what_cannot_be_trained_on_is_refused() {
        let (table, encoder) = users(20);
        let without = encoder.clone().without_value_head().unwrap();
        assert!(
            UnitData::new(&without, &table, &[(3, 1.0), (4, 2.0)])
                .unwrap_err()
                .to_string()
                .contains("value head")
        );
        let data = UnitData::new(&encoder, &table, &[(3, 1.0), (4, f64::NAN)]).unwrap();
        let fit = |progress: &dyn Progress, data| {
            UnitTrainer::new(3).unwrap().fit(data, 1, &Device::default(), progress)
        };
        assert!(matches!(fit(&(), &data), Err(Error::NonFinite { .. })));
        struct Stop;
        impl Progress for Stop {
            fn stopped(&self) -> bool {
                true
            }
        }
        let data = UnitData::new(&encoder, &table, &[(3, 1.0), (4, 2.0)]).unwrap();
        assert!(matches!(fit(&Stop, &data), Err(Error::Stopped { .. })));
        assert!(UnitTrainer::new(0).is_err() && UnitTrainer::new(256).is_err());
    }
}
