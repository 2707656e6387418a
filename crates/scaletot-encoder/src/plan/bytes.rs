//! Small integers in vectors: what the 8-bit plan needs of a processor.
//!
//! All of it is exact integer arithmetic, so every processor gives the same.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m512i, _mm512_dpbusd_epi32};

use pulp::{Scalar, Simd, cast};

/// Inputs that one byte product takes together.
pub(super) const GROUP: usize = 4;
/// Outputs of one sum.
pub(super) const OUTPUTS: usize = 16;
/// A multiple of the 16-bit lanes of every processor.
pub(super) const SHORTS: usize = 32;

/// Vectors of 16-bit numbers, and sums of products of bytes.
pub(super) trait Bytes: Copy {
    /// The same processor's vectors of floats.
    type Floats: Simd;
    /// As many 16-bit numbers as fit.
    type Shorts: pulp::bytemuck::Pod;
    /// As many bytes.
    type Steps: pulp::bytemuck::Pod;
    /// [`OUTPUTS`] 32-bit numbers.
    type Sums: Copy;

    /// For layers of floats.
    fn floats(self) -> Self::Floats;

    /// `a + b`, at the ends of the range where it does not fit.
    fn add(self, a: Self::Shorts, b: Self::Shorts) -> Self::Shorts;

    /// `a · share / 2¹⁵`, rounded.
    fn share(self, a: Self::Shorts, share: i16) -> Self::Shorts;

    /// Sums of nothing.
    fn zero(self) -> Self::Sums;

    /// `sums[o] + Σ_i inputs[i] · weights[4 o + i]` for inputs of at most 127.
    fn dot(self, sums: Self::Sums, inputs: [u8; GROUP], weights: &[i8; GROUP * OUTPUTS]) -> Self::Sums;

    /// `sums · scale + bias`, negative ones as 0 if `relu`.
    fn finish(
        self,
        sums: Self::Sums,
        scale: &[f32; OUTPUTS],
        bias: &[f32; OUTPUTS],
        relu: bool,
    ) -> [f32; OUTPUTS];

    /// `(a + half) >> parts`, from 0 to `most`, which is at most 127.
    fn steps(self, a: Self::Shorts, parts: u32, most: i16) -> Self::Steps;
}

/// Without vectors of its own: the compiler makes them.
impl Bytes for Scalar {
    type Floats = Self;
    type Shorts = [i16; SHORTS];
    type Steps = [u8; SHORTS];
    type Sums = [i32; OUTPUTS];

    #[inline(always)]
    fn floats(self) -> Self {
        self
    }

    #[inline(always)]
    fn add(self, a: Self::Shorts, b: Self::Shorts) -> Self::Shorts {
        let mut sum = a;
        sum.iter_mut().zip(b).for_each(|(a, b)| *a = a.saturating_add(b));
        sum
    }

    #[inline(always)]
    fn share(self, a: Self::Shorts, share: i16) -> Self::Shorts {
        a.map(|a| ((i32::from(a) * i32::from(share) + (1 << 14)) >> 15) as i16)
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [0; OUTPUTS]
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, inputs: [u8; GROUP], weights: &[i8; GROUP * OUTPUTS]) -> Self::Sums {
        let mut sums = sums;
        for (at, x) in inputs.into_iter().enumerate() {
            for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<GROUP>().0) {
                // No product of numbers to 127 leaves 16 bits.
                *sum += i32::from(i16::from(weights[at]) * i16::from(x));
            }
        }
        sums
    }

    #[inline(always)]
    fn finish(
        self,
        sums: Self::Sums,
        scale: &[f32; OUTPUTS],
        bias: &[f32; OUTPUTS],
        relu: bool,
    ) -> [f32; OUTPUTS] {
        std::array::from_fn(|at| {
            let value = sums[at] as f32 * scale[at] + bias[at];
            if relu { value.max(0.0) } else { value }
        })
    }

    #[inline(always)]
    fn steps(self, a: Self::Shorts, parts: u32, most: i16) -> Self::Steps {
        a.map(|a| (a.saturating_add(1 << (parts - 1)) >> parts).clamp(0, most) as u8)
    }
}

#[cfg(target_arch = "x86_64")]
impl Bytes for pulp::x86::V4 {
    type Floats = Self;
    type Shorts = pulp::i16x32;
    type Steps = pulp::u8x32;
    type Sums = pulp::i32x16;

    #[inline(always)]
    fn floats(self) -> Self {
        self
    }

    #[inline(always)]
    fn add(self, a: Self::Shorts, b: Self::Shorts) -> Self::Shorts {
        cast(self.avx512bw._mm512_adds_epi16(cast(a), cast(b)))
    }

    #[inline(always)]
    fn share(self, a: Self::Shorts, share: i16) -> Self::Shorts {
        cast(self.avx512bw._mm512_mulhrs_epi16(cast(a), cast([share; SHORTS])))
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        cast([0_i32; OUTPUTS])
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, inputs: [u8; GROUP], weights: &[i8; GROUP * OUTPUTS]) -> Self::Sums {
        let inputs = self.avx512f._mm512_set1_epi32(i32::from_le_bytes(inputs));
        // Pairs fit into 16 bits: 2 · 127 · 127 < 2¹⁵.
        let pairs = self.avx512bw._mm512_maddubs_epi16(inputs, cast(*weights));
        let fours = self.avx512bw._mm512_madd_epi16(pairs, cast([1_i16; SHORTS]));
        cast(self.avx512f._mm512_add_epi32(cast(sums), fours))
    }

    #[inline(always)]
    fn finish(
        self,
        sums: Self::Sums,
        scale: &[f32; OUTPUTS],
        bias: &[f32; OUTPUTS],
        relu: bool,
    ) -> [f32; OUTPUTS] {
        let sums = cast(self.avx512f._mm512_cvtepi32_ps(cast(sums)));
        let value = self.mul_add_f32s(sums, cast(*scale), cast(*bias));
        cast(if relu { self.max_f32s(value, self.splat_f32s(0.0)) } else { value })
    }

    #[inline(always)]
    fn steps(self, a: Self::Shorts, parts: u32, most: i16) -> Self::Steps {
        let half = cast([1_i16 << (parts - 1); SHORTS]);
        let steps = self
            .avx512bw
            ._mm512_sra_epi16(self.avx512bw._mm512_adds_epi16(cast(a), half), cast([u64::from(parts), 0]));
        let low = self.avx512bw._mm512_max_epi16(steps, cast([0_i16; SHORTS]));
        let steps = self.avx512bw._mm512_min_epi16(low, cast([most; SHORTS]));
        cast(self.avx512bw._mm512_cvtepi16_epi8(steps))
    }
}

/// [`V4`](pulp::x86::V4) with VNNI, which sums products of bytes in one instruction.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct V4WithVnni {
    pub(super) v4: pulp::x86::V4,
    pub(super) vnni: fearless_simd::Avx512,
}

// pulp has no such instruction yet.
#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline(always)]
    fn dot(vnni: Avx512, sums: __m512i, inputs: __m512i, weights: __m512i) -> __m512i {
        _mm512_dpbusd_epi32(sums, inputs, weights)
    }
);

#[cfg(target_arch = "x86_64")]
impl Bytes for V4WithVnni {
    type Floats = pulp::x86::V4;
    type Shorts = pulp::i16x32;
    type Steps = pulp::u8x32;
    type Sums = pulp::i32x16;

    #[inline(always)]
    fn floats(self) -> Self::Floats {
        self.v4
    }

    #[inline(always)]
    fn add(self, a: Self::Shorts, b: Self::Shorts) -> Self::Shorts {
        self.v4.add(a, b)
    }

    #[inline(always)]
    fn share(self, a: Self::Shorts, share: i16) -> Self::Shorts {
        self.v4.share(a, share)
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        self.v4.zero()
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, inputs: [u8; GROUP], weights: &[i8; GROUP * OUTPUTS]) -> Self::Sums {
        let inputs = self.v4.avx512f._mm512_set1_epi32(i32::from_le_bytes(inputs));
        cast(dot(self.vnni, cast(sums), inputs, cast(*weights)))
    }

    #[inline(always)]
    fn finish(
        self,
        sums: Self::Sums,
        scale: &[f32; OUTPUTS],
        bias: &[f32; OUTPUTS],
        relu: bool,
    ) -> [f32; OUTPUTS] {
        self.v4.finish(sums, scale, bias, relu)
    }

    #[inline(always)]
    fn steps(self, a: Self::Shorts, parts: u32, most: i16) -> Self::Steps {
        self.v4.steps(a, parts, most)
    }
}

#[cfg(target_arch = "x86_64")]
impl Bytes for pulp::x86::V3 {
    type Floats = Self;
    type Shorts = pulp::i16x16;
    type Steps = pulp::u8x16;
    type Sums = [pulp::i32x8; 2];

    #[inline(always)]
    fn floats(self) -> Self {
        self
    }

    #[inline(always)]
    fn add(self, a: Self::Shorts, b: Self::Shorts) -> Self::Shorts {
        cast(self.avx2._mm256_adds_epi16(cast(a), cast(b)))
    }

    #[inline(always)]
    fn share(self, a: Self::Shorts, share: i16) -> Self::Shorts {
        cast(self.avx2._mm256_mulhrs_epi16(cast(a), cast([share; 16])))
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        cast([0_i32; OUTPUTS])
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, inputs: [u8; GROUP], weights: &[i8; GROUP * OUTPUTS]) -> Self::Sums {
        let inputs = self.avx._mm256_set1_epi32(i32::from_le_bytes(inputs));
        let weights: [pulp::i8x32; 2] = cast(*weights);
        let mut sums = sums;
        for (sum, weights) in sums.iter_mut().zip(weights) {
            let pairs = self.avx2._mm256_maddubs_epi16(inputs, cast(weights));
            let fours = self.avx2._mm256_madd_epi16(pairs, cast([1_i16; 16]));
            *sum = cast(self.avx2._mm256_add_epi32(cast(*sum), fours));
        }
        sums
    }

    #[inline(always)]
    fn finish(
        self,
        sums: Self::Sums,
        scale: &[f32; OUTPUTS],
        bias: &[f32; OUTPUTS],
        relu: bool,
    ) -> [f32; OUTPUTS] {
        let (scale, bias): ([pulp::f32x8; 2], [pulp::f32x8; 2]) = (cast(*scale), cast(*bias));
        let mut out = scale;
        for (((out, sums), scale), bias) in out.iter_mut().zip(sums).zip(scale).zip(bias) {
            let sums = cast(self.avx._mm256_cvtepi32_ps(cast(sums)));
            let value = self.mul_add_f32s(sums, scale, bias);
            *out = if relu { self.max_f32s(value, self.splat_f32s(0.0)) } else { value };
        }
        cast(out)
    }

    #[inline(always)]
    fn steps(self, a: Self::Shorts, parts: u32, most: i16) -> Self::Steps {
        let half = cast([1_i16 << (parts - 1); 16]);
        let steps = self
            .avx2
            ._mm256_sra_epi16(self.avx2._mm256_adds_epi16(cast(a), half), cast([u64::from(parts), 0]));
        let low = self.avx2._mm256_max_epi16(steps, cast([0_i16; 16]));
        let [low, high]: [pulp::i16x8; 2] = cast(self.avx2._mm256_min_epi16(low, cast([most; 16])));
        cast(self.sse2._mm_packus_epi16(cast(low), cast(high)))
    }
}
