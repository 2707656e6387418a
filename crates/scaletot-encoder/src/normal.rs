//! Quantiles of the standard normal distribution.

/// The `x` with `Φ(x) = share`, to about 1e-16 of its value; −∞ at 0, ∞ at 1, NaN outside of `[0, 1]`.
/// Source: Wichura, *Algorithm AS 241: The Percentage Points of the Normal Distribution*, Applied Statistics 37, 1988
/// (the routine PPND16, with its coefficients).
pub(crate) fn quantile(share: f64) -> f64 {
    let q = share - 0.5;
    if q.abs() <= 0.425 {
        return q * ratio(&CENTRE, 0.180_625 - q * q);
    }
    let tail = if q < 0.0 { share } else { 1.0 - share };
    if tail == 0.0 {
        return f64::INFINITY.copysign(q);
    }
    let r = (-tail.ln()).sqrt();
    let x = if r <= 5.0 { ratio(&TAIL, r - 1.6) } else { ratio(&FAR_TAIL, r - 5.0) };
    x.copysign(q)
}

/// Coefficients of a numerator and a denominator, the highest power first.
type Rational = [[f64; 8]; 2];

fn ratio([numerator, denominator]: &Rational, r: f64) -> f64 {
    let polynomial = |coefficients: &[f64; 8]| coefficients.iter().fold(0.0, |sum, c| sum * r + c);
    polynomial(numerator) / polynomial(denominator)
}

/// For shares within 0.425 of a half, in `0.425² − (share − ½)²`.
const CENTRE: Rational = [
    [
        2_509.080_928_730_122_7,
        33_430.575_583_588_13,
        67_265.770_927_008_7,
        45_921.953_931_549_87,
        13_731.693_765_509_46,
        1_971.590_950_306_551_3,
        133.141_667_891_784_38,
        3.387_132_872_796_366_5,
    ],
    [
        5_226.495_278_852_854,
        28_729.085_735_721_943,
        39_307.895_800_092_71,
        21_213.794_301_586_597,
        5_394.196_021_424_751,
        687.187_007_492_057_9,
        42.313_330_701_600_91,
        1.0,
    ],
];

/// For tails down to about 1e-11, in `√(−ln tail) − 1.6`.
const TAIL: Rational = [
    [
        0.000_774_545_014_278_341_4,
        0.022_723_844_989_269_184,
        0.241_780_725_177_450_6,
        1.270_458_252_452_368_4,
        3.647_848_324_763_204_5,
        5.769_497_221_460_691,
        4.630_337_846_156_546,
        1.423_437_110_749_683_5,
    ],
    [
        1.050_750_071_644_416_9e-9,
        0.000_547_593_808_499_534_5,
        0.015_198_666_563_616_457,
        0.148_103_976_427_480_08,
        0.689_767_334_985_1,
        1.676_384_830_183_803_8,
        2.053_191_626_637_759,
        1.0,
    ],
];

/// For smaller tails, in `√(−ln tail) − 5`.
const FAR_TAIL: Rational = [
    [
        2.010_334_399_292_288_1e-7,
        2.711_555_568_743_487_6e-5,
        0.001_242_660_947_388_078_4,
        0.026_532_189_526_576_124,
        0.296_560_571_828_504_87,
        1.784_826_539_917_291_3,
        5.463_784_911_164_114,
        6.657_904_643_501_103,
    ],
    [
        2.044_263_103_389_939_7e-15,
        1.421_511_758_316_446e-7,
        1.846_318_317_510_054_8e-5,
        0.000_786_869_131_145_613_3,
        0.014_875_361_290_850_615,
        0.136_929_880_922_735_8,
        0.599_832_206_555_888,
        1.0,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_are_those_of_the_reference() {
        let cases: Vec<[f64; 2]> =
            serde_json::from_str(include_str!("../tests/fixtures/normal.json")).unwrap();
        for [share, expected] in cases {
            let found = quantile(share);
            assert!(
                (found - expected).abs() <= 1e-12 * expected.abs(),
                "{share}: {found}, expected {expected}"
            );
        }
    }

    #[test]
    fn the_ends_are_infinite_and_what_lies_beyond_is_nothing() {
        assert_eq!([quantile(0.0), quantile(0.5), quantile(1.0)], [f64::NEG_INFINITY, 0.0, f64::INFINITY]);
        assert!([-0.1, 1.1, f64::NAN].iter().all(|&share| quantile(share).is_nan()));
    }

    proptest! {
        #[test]
        fn quantiles_rise_and_are_symmetric(a in 1e-300f64..1.0, b in 1e-300f64..1.0, tail in 1e-9f64..0.5) {
            prop_assert!(a == b || (a < b) == (quantile(a) < quantile(b)) || (a - b).abs() < 1e-14);
            prop_assert!((quantile(tail) + quantile(1.0 - tail)).abs() < 1e-6);
        }
    }
}
