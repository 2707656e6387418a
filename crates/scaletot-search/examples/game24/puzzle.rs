//! The Game of 24: reach 24 from four numbers with +, −, × and ÷, each number used once.

use std::fmt;

use scaletot_search::Problem;

/// What has to be reached.
const TARGET: i64 = 24;

/// An exact fraction in lowest terms, with a positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fraction {
    over: i64,
    under: i64,
}

impl Fraction {
    fn new(over: i64, under: i64) -> Self {
        let (mut a, mut b) = (over.abs(), under.abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let sign = if under < 0 { -1 } else { 1 };
        Fraction { over: sign * over / a.max(1), under: sign * under / a.max(1) }
    }
}

impl From<i64> for Fraction {
    fn from(number: i64) -> Self {
        Fraction { over: number, under: 1 }
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.under {
            1 => write!(f, "{}", self.over),
            under => write!(f, "{}/{under}", self.over),
        }
    }
}

/// One step: two of the numbers become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Move {
    left: Fraction,
    sign: char,
    right: Fraction,
}

impl Move {
    /// What comes of it; `None` where it divides by 0.
    fn result(&self) -> Option<Fraction> {
        let (a, b) = (self.left, self.right);
        Some(match self.sign {
            '+' => Fraction::new(a.over * b.under + b.over * a.under, a.under * b.under),
            '-' => Fraction::new(a.over * b.under - b.over * a.under, a.under * b.under),
            '*' => Fraction::new(a.over * b.over, a.under * b.under),
            _ if b.over == 0 => return None,
            _ => Fraction::new(a.over * b.under, a.under * b.over),
        })
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = self.result().map_or_else(|| "?".to_owned(), |result| result.to_string());
        write!(f, "{} {} {} = {result}", self.left, self.sign, self.right)
    }
}

/// The numbers that are left, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Numbers(Vec<Fraction>);

impl Numbers {
    fn new(mut numbers: Vec<Fraction>) -> Self {
        numbers.sort_unstable();
        Numbers(numbers)
    }

    /// Every move, the same two numbers with the same sign once; `a + b` and `b + a` are one move.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (i, &a) in self.0.iter().enumerate() {
            for &b in &self.0[i + 1..] {
                let pairs = [(a, '+', b), (a, '*', b), (b, '-', a), (a, '-', b), (b, '/', a), (a, '/', b)];
                for (left, sign, right) in pairs {
                    let step = Move { left, sign, right };
                    if step.result().is_some() && !moves.contains(&step) {
                        moves.push(step);
                    }
                }
            }
        }
        moves
    }

    /// What is left after a move.
    pub(crate) fn after(&self, step: &Move) -> Option<Numbers> {
        let mut left = self.0.clone();
        for used in [step.left, step.right] {
            left.remove(left.iter().position(|number| *number == used)?);
        }
        left.push(step.result()?);
        Some(Numbers::new(left))
    }

    /// Whether one number is left, and it is 24.
    pub(crate) fn is_won(&self) -> bool {
        self.0 == [Fraction::from(TARGET)]
    }

    /// A 128-bit hash (FNV-1a).
    pub(crate) fn hash(&self) -> u128 {
        let bytes = self.0.iter().flat_map(|n| [n.over, n.under]).flat_map(i64::to_le_bytes);
        fnv(bytes)
    }
}

/// FNV-1a with 128 bits.
pub(crate) fn fnv(bytes: impl Iterator<Item = u8>) -> u128 {
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    bytes.fold(start, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b))
}

/// A puzzle: a path is up to three moves.
#[derive(Debug, Clone)]
pub(crate) struct Puzzle {
    pub(crate) start: Numbers,
    /// Whether teachers evaluate paths.
    pub(crate) evaluates: bool,
}

impl Puzzle {
    pub(crate) fn new(numbers: [i64; 4], evaluates: bool) -> Self {
        Puzzle { start: Numbers::new(numbers.map(Fraction::from).to_vec()), evaluates }
    }

    /// The numbers that are left after a path.
    pub(crate) fn left(&self, path: &[Move]) -> Option<Numbers> {
        path.iter().try_fold(self.start.clone(), |numbers, step| numbers.after(step))
    }
}

impl Problem for Puzzle {
    type Thought = Move;

    fn depth(&self) -> usize {
        3
    }

    fn is_complete(&self, path: &[Move]) -> bool {
        path.len() == 3
    }

    fn admissible(&self, path: &[Move], step: &Move) -> bool {
        self.left(path).is_some_and(|numbers| numbers.after(step).is_some())
    }

    fn evaluates(&self) -> bool {
        self.evaluates
    }

    fn state(&self, path: &[Move]) -> Option<u128> {
        self.left(path).map(|numbers| numbers.hash())
    }
}

/// All multisets of four numbers from 1 to 13.
pub(crate) fn all() -> Vec<[i64; 4]> {
    let mut puzzles = Vec::new();
    for a in 1..=13 {
        for b in a..=13 {
            for c in b..=13 {
                puzzles.extend((c..=13).map(|d| [a, b, c, d]));
            }
        }
    }
    puzzles
}
