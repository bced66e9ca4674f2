//! Rows of numbers, many in an instruction: the pieces of [`pg_core::Lane`] that a Cortex-M FPU computes in its own way, to the same bits.
//!
//! `vldmia` and `vstmia` move eight or sixteen numbers, and every register has its place, so what is left besides the arithmetic is
//! about a quarter. Each function does whole blocks and says how many numbers it has done; the caller does the rest one by one.
//! As in the rest of [`super`], every operation rounds once, as on the desktop.

use super::Fpu;

/// Numbers in a block of most functions.
const BLOCK: usize = 8;
/// Numbers in a block of [`scale`] and [`add_squares`].
const LARGE: usize = 16;

/// The sums in s0–s7 (`low`) or s8–s15 (`high`) take a number times s16–s23.
macro_rules! sums {
    ($a:literal, low) => {
        sums!($a, "s0" "s1" "s2" "s3" "s4" "s5" "s6" "s7")
    };
    ($a:literal, high) => {
        sums!($a, "s8" "s9" "s10" "s11" "s12" "s13" "s14" "s15")
    };
    ($a:literal, $s0:literal $s1:literal $s2:literal $s3:literal $s4:literal $s5:literal $s6:literal $s7:literal) => {
        eight!($a, $s0 "s16" $s1 "s17" $s2 "s18" $s3 "s19" $s4 "s20" $s5 "s21" $s6 "s22" $s7 "s23")
    };
}

/// s16–s23 (`low`) or s24–s31 (`high`) take a number times s0–s7.
macro_rules! multiples {
    ($a:literal, low) => {
        eight!($a, "s16" "s0" "s17" "s1" "s18" "s2" "s19" "s3" "s20" "s4" "s21" "s5" "s22" "s6" "s23" "s7")
    };
    ($a:literal, high) => {
        eight!($a, "s24" "s0" "s25" "s1" "s26" "s2" "s27" "s3" "s28" "s4" "s29" "s5" "s30" "s6" "s31" "s7")
    };
}

/// `to += a·b` for each pair (to, b).
macro_rules! eight {
    ($a:literal, $($to:literal $b:literal)*) => {
        concat!($("vfma.f32 ", $to, ", ", $a, ", ", $b, "\n"),*)
    };
}

/// Two numbers, from s31: the products of s0–s7 and of s8–s15 with s16–s23, summed up in their order, in turn, so that neither waits for itself.
macro_rules! two_rows {
    ($first:literal, $second:literal) => {
        two_rows!($first, $second, "s0" "s8" "s16", "s1" "s9" "s17", "s2" "s10" "s18", "s3" "s11" "s19", "s4" "s12" "s20", "s5" "s13" "s21", "s6" "s14" "s22", "s7" "s15" "s23")
    };
    ($first:literal, $second:literal, $($a:literal $b:literal $x:literal),*) => {
        concat!(
            "vmov.f32 ", $first, ", s31\n", "vmov.f32 ", $second, ", s31\n",
            $("vfma.f32 ", $first, ", ", $a, ", ", $x, "\n", "vfma.f32 ", $second, ", ", $b, ", ", $x, "\n"),*
        )
    };
}

/// `pg_core::Lane::multiply_add_tile`: sixteen sums in registers.
#[inline(always)]
pub(super) fn multiply_add_tile(a: [&[f32]; 2], a_step: usize, b: &[f32], b_step: usize, depth: usize, sums: &mut [[Fpu; BLOCK]; 2]) {
    if depth == 0 {
        return;
    }
    let enough = a.iter().all(|a| a.len() > (depth - 1) * a_step) && b.len() >= (depth - 1) * b_step + BLOCK;
    if !enough {
        too_short();
        return;
    }
    let [mut a0, mut a1] = a.map(<[f32]>::as_ptr);
    let mut b = b.as_ptr();
    // Four terms of a row at once where the terms lie side by side.
    let fours = if a_step == 1 && b_step == BLOCK { depth / 4 } else { 0 };
    if fours > 0 {
        // SAFETY: reads 4·fours numbers of each row and 8 times as many of b, which are there as was just found. Nothing is written to
        // memory, the stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {a0}!, {{s24-s27}}",
            "vldmia {a1}!, {{s28-s31}}",
            "vldmia {b}!, {{s16-s23}}",
            sums!("s24", low),
            sums!("s28", high),
            "vldmia {b}!, {{s16-s23}}",
            sums!("s25", low),
            sums!("s29", high),
            "vldmia {b}!, {{s16-s23}}",
            sums!("s26", low),
            sums!("s30", high),
            "vldmia {b}!, {{s16-s23}}",
            sums!("s27", low),
            sums!("s31", high),
            "subs {n}, {n}, #1",
            "bne 2b",
            a0 = inout(reg) a0, a1 = inout(reg) a1, b = inout(reg) b, n = inout(reg) fours => _,
            inout("s0") sums[0][0].0, inout("s1") sums[0][1].0, inout("s2") sums[0][2].0, inout("s3") sums[0][3].0, inout("s4") sums[0][4].0, inout("s5") sums[0][5].0, inout("s6") sums[0][6].0, inout("s7") sums[0][7].0,
            inout("s8") sums[1][0].0, inout("s9") sums[1][1].0, inout("s10") sums[1][2].0, inout("s11") sums[1][3].0, inout("s12") sums[1][4].0, inout("s13") sums[1][5].0, inout("s14") sums[1][6].0, inout("s15") sums[1][7].0,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(readonly, nostack)
            );
        }
    }
    let rest = depth - 4 * fours;
    if rest > 0 {
        // SAFETY: as above, for the terms that are left, `a_step` and `b_step` numbers apart; the pointers behind the last term are not read.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {b}, {{s16-s23}}",
            "vldr s24, [{a0}]",
            "vldr s25, [{a1}]",
            "add {b}, {b}, {bs}",
            "add {a0}, {a0}, {as_}",
            "add {a1}, {a1}, {as_}",
            sums!("s24", low),
            sums!("s25", high),
            "subs {n}, {n}, #1",
            "bne 2b",
            a0 = inout(reg) a0 => _, a1 = inout(reg) a1 => _, b = inout(reg) b => _, n = inout(reg) rest => _,
            as_ = in(reg) 4 * a_step, bs = in(reg) 4 * b_step,
            inout("s0") sums[0][0].0, inout("s1") sums[0][1].0, inout("s2") sums[0][2].0, inout("s3") sums[0][3].0, inout("s4") sums[0][4].0, inout("s5") sums[0][5].0, inout("s6") sums[0][6].0, inout("s7") sums[0][7].0,
            inout("s8") sums[1][0].0, inout("s9") sums[1][1].0, inout("s10") sums[1][2].0, inout("s11") sums[1][3].0, inout("s12") sums[1][4].0, inout("s13") sums[1][5].0, inout("s14") sums[1][6].0, inout("s15") sums[1][7].0,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _,
            options(readonly, nostack)
            );
        }
    }
}

/// `pg_core::Lane::multiply_add_row`: eight sums in registers, four terms of each in a round where they lie side by side.
#[inline(always)]
pub(super) fn multiply_add_row(a: &[f32], b: &[f32], b_step: usize, sums: &mut [Fpu; BLOCK]) {
    let depth = a.len();
    if depth == 0 {
        return;
    }
    if b.len() < (depth - 1) * b_step + BLOCK {
        too_short();
        return;
    }
    let (mut a, mut b) = (a.as_ptr(), b.as_ptr());
    let fours = if b_step == BLOCK { depth / 4 } else { 0 };
    if fours > 0 {
        // SAFETY: reads 4·fours numbers of a and 8 times as many of b, which are there as was just found. Nothing is written to memory, the
        // stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {a}!, {{s24-s27}}",
            "vldmia {b}!, {{s16-s23}}",
            sums!("s24", low),
            "vldmia {b}!, {{s16-s23}}",
            sums!("s25", low),
            "vldmia {b}!, {{s16-s23}}",
            sums!("s26", low),
            "vldmia {b}!, {{s16-s23}}",
            sums!("s27", low),
            "subs {n}, {n}, #1",
            "bne 2b",
            a = inout(reg) a, b = inout(reg) b, n = inout(reg) fours => _,
            inout("s0") sums[0].0, inout("s1") sums[1].0, inout("s2") sums[2].0, inout("s3") sums[3].0, inout("s4") sums[4].0, inout("s5") sums[5].0, inout("s6") sums[6].0, inout("s7") sums[7].0,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _,
            options(readonly, nostack)
            );
        }
    }
    let rest = depth - 4 * fours;
    if rest > 0 {
        // SAFETY: reads the rest of a, and eight numbers of b for each, b_step apart, the last of which is there as was found. Nothing is
        // written to memory, the stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {a}!, {{s24}}",
            "vldmia {b}, {{s16-s23}}",
            "add {b}, {b}, {bs}",
            sums!("s24", low),
            "subs {n}, {n}, #1",
            "bne 2b",
            a = inout(reg) a => _, b = inout(reg) b => _, n = inout(reg) rest => _, bs = in(reg) 4 * b_step,
            inout("s0") sums[0].0, inout("s1") sums[1].0, inout("s2") sums[2].0, inout("s3") sums[3].0, inout("s4") sums[4].0, inout("s5") sums[5].0, inout("s6") sums[6].0, inout("s7") sums[7].0,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _,
            options(readonly, nostack)
            );
        }
    }
}

/// `pg_core::Lane::add_multiples`, two rows in a round where they lie side by side.
#[inline(always)]
pub(super) fn add_multiples(a: &[f32], u: &[Fpu; BLOCK], step: usize, to: &mut [f32]) {
    let rows = a.len();
    if rows == 0 {
        return;
    }
    if to.len() < (rows - 1) * step + BLOCK {
        too_short();
        return;
    }
    let (mut a, mut to) = (a.as_ptr(), to.as_mut_ptr());
    let twos = if step == BLOCK { rows / 2 } else { 0 };
    if twos > 0 {
        // SAFETY: reads 2·twos numbers of a, and reads and writes 8 times as many of `to`, which are there as was just found. The stack is not
        // used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {a}!, {{s8-s9}}",
            "vldmia {to}, {{s16-s31}}",
            multiples!("s8", low),
            multiples!("s9", high),
            "vstmia {to}!, {{s16-s31}}",
            "subs {n}, {n}, #1",
            "bne 2b",
            a = inout(reg) a, to = inout(reg) to, n = inout(reg) twos => _,
            in("s0") u[0].0, in("s1") u[1].0, in("s2") u[2].0, in("s3") u[3].0, in("s4") u[4].0, in("s5") u[5].0, in("s6") u[6].0, in("s7") u[7].0,
            out("s8") _, out("s9") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(nostack)
            );
        }
    }
    let rest = rows - 2 * twos;
    if rest > 0 {
        // SAFETY: reads the rest of a, and reads and writes eight numbers of `to` for each, `step` apart, the last of which is there as was
        // found. The stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {a}!, {{s8}}",
            "vldmia {to}, {{s16-s23}}",
            multiples!("s8", low),
            "vstmia {to}, {{s16-s23}}",
            "add {to}, {to}, {ts}",
            "subs {n}, {n}, #1",
            "bne 2b",
            a = inout(reg) a => _, to = inout(reg) to => _, n = inout(reg) rest => _, ts = in(reg) 4 * step,
            in("s0") u[0].0, in("s1") u[1].0, in("s2") u[2].0, in("s3") u[3].0, in("s4") u[4].0, in("s5") u[5].0, in("s6") u[6].0, in("s7") u[7].0,
            out("s8") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _,
            options(nostack)
            );
        }
    }
}

/// `pg_core::Lane::multiply_eights`, two numbers of each row in a round; returns how many numbers of a row are done.
#[inline(always)]
pub(super) fn multiply_eights(a: [&[f32]; 2], x: &[f32], adds: bool, to: [&mut [f32]; 2]) -> usize {
    let [g0, g1] = to;
    let rounds = (x.len() / BLOCK).min(g0.len()).min(g1.len()) / 2;
    if rounds == 0 || a.iter().any(|a| a.len() < BLOCK) {
        return 0;
    }
    let [a0, a1] = a.map(<[f32]>::as_ptr);
    // SAFETY: reads eight numbers of each row of `a`, and in each round sixteen of `x`, and reads and writes two of each row of `to`, as many
    // rounds as all of them have. The stack is not used, every register is named.
    unsafe {
        if adds {
            core::arch::asm!(
            "vldmia {a0}, {{s0-s7}}",
            "vldmia {a1}, {{s8-s15}}",
            "2:",
            "vldmia {x}!, {{s16-s23}}",
            two_rows!("s24", "s26"),
            "vldmia {x}!, {{s16-s23}}",
            two_rows!("s25", "s27"),
            "vldmia {g0}, {{s28-s29}}",
            "vadd.f32 s24, s28, s24",
            "vadd.f32 s25, s29, s25",
            "vstmia {g0}!, {{s24-s25}}",
            "vldmia {g1}, {{s28-s29}}",
            "vadd.f32 s26, s28, s26",
            "vadd.f32 s27, s29, s27",
            "vstmia {g1}!, {{s26-s27}}",
            "subs {n}, {n}, #1",
            "bne 2b",
            a0 = in(reg) a0, a1 = in(reg) a1, x = inout(reg) x.as_ptr() => _, n = inout(reg) rounds => _,
            g0 = inout(reg) g0.as_mut_ptr() => _, g1 = inout(reg) g1.as_mut_ptr() => _, in("s31") 0.0f32,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _, out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _, out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _,
            options(nostack)
            );
        } else {
            core::arch::asm!(
            "vldmia {a0}, {{s0-s7}}",
            "vldmia {a1}, {{s8-s15}}",
            "2:",
            "vldmia {x}!, {{s16-s23}}",
            two_rows!("s24", "s26"),
            "vldmia {x}!, {{s16-s23}}",
            two_rows!("s25", "s27"),
            "vstmia {g0}!, {{s24-s25}}",
            "vstmia {g1}!, {{s26-s27}}",
            "subs {n}, {n}, #1",
            "bne 2b",
            a0 = in(reg) a0, a1 = in(reg) a1, x = inout(reg) x.as_ptr() => _, n = inout(reg) rounds => _,
            g0 = inout(reg) g0.as_mut_ptr() => _, g1 = inout(reg) g1.as_mut_ptr() => _, in("s31") 0.0f32,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _, out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _, out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _,
            options(nostack)
            );
        }
    }
    2 * rounds
}

/// `to[i] = scale·(±1) + b[i]`, the signs eight to a byte of `signs`, four from a row of `table`.
#[inline(always)]
pub(super) fn add_signs(scale: f32, signs: &[u8], table: &[[f32; 4]; 16], b: &[f32], to: &mut [f32]) -> usize {
    let blocks = signs.len().min(b.len() / BLOCK).min(to.len() / BLOCK);
    if blocks > 0 {
        // SAFETY: whole blocks of both slices, a byte for each, and the table, whose rows a half byte chooses. The stack is not used, every
        // register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "ldrb {bits}, [{signs}], #1",
            "and {four}, {bits}, #15",
            "add {four}, {table}, {four}, lsl #4",
            "vldmia {four}, {{s16-s19}}",
            "lsr {four}, {bits}, #4",
            "add {four}, {table}, {four}, lsl #4",
            "vldmia {four}, {{s20-s23}}",
            "vldmia {b}!, {{s24-s31}}",
            "vfma.f32 s24, s16, s0",
            "vfma.f32 s25, s17, s0",
            "vfma.f32 s26, s18, s0",
            "vfma.f32 s27, s19, s0",
            "vfma.f32 s28, s20, s0",
            "vfma.f32 s29, s21, s0",
            "vfma.f32 s30, s22, s0",
            "vfma.f32 s31, s23, s0",
            "vstmia {to}!, {{s24-s31}}",
            "subs {n}, {n}, #1",
            "bne 2b",
            signs = inout(reg) signs.as_ptr() => _, b = inout(reg) b.as_ptr() => _, to = inout(reg) to.as_mut_ptr() => _,
            n = inout(reg) blocks => _, table = in(reg) table.as_ptr(), bits = out(reg) _, four = out(reg) _, in("s0") scale,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(nostack)
            );
        }
    }
    blocks * BLOCK
}

/// `to += factor·a`.
#[inline(always)]
pub(super) fn multiply_add_to(factor: f32, a: &[f32], to: &mut [f32]) -> usize {
    let blocks = a.len().min(to.len()) / BLOCK;
    if blocks > 0 {
        // SAFETY: whole blocks of both slices. The stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {a}!, {{s16-s23}}",
            "vldmia {to}, {{s24-s31}}",
            "vfma.f32 s24, s16, s0",
            "vfma.f32 s25, s17, s0",
            "vfma.f32 s26, s18, s0",
            "vfma.f32 s27, s19, s0",
            "vfma.f32 s28, s20, s0",
            "vfma.f32 s29, s21, s0",
            "vfma.f32 s30, s22, s0",
            "vfma.f32 s31, s23, s0",
            "vstmia {to}!, {{s24-s31}}",
            "subs {n}, {n}, #1",
            "bne 2b",
            a = inout(reg) a.as_ptr() => _, to = inout(reg) to.as_mut_ptr() => _, n = inout(reg) blocks => _, in("s0") factor,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(nostack)
            );
        }
    }
    blocks * BLOCK
}

/// `to = factor·a + b`.
#[inline(always)]
pub(super) fn multiply_add_into(factor: f32, a: &[f32], b: &[f32], to: &mut [f32]) -> usize {
    let blocks = a.len().min(b.len()).min(to.len()) / BLOCK;
    if blocks > 0 {
        // SAFETY: whole blocks of the three slices. The stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {a}!, {{s16-s23}}",
            "vldmia {b}!, {{s24-s31}}",
            "vfma.f32 s24, s16, s0",
            "vfma.f32 s25, s17, s0",
            "vfma.f32 s26, s18, s0",
            "vfma.f32 s27, s19, s0",
            "vfma.f32 s28, s20, s0",
            "vfma.f32 s29, s21, s0",
            "vfma.f32 s30, s22, s0",
            "vfma.f32 s31, s23, s0",
            "vstmia {to}!, {{s24-s31}}",
            "subs {n}, {n}, #1",
            "bne 2b",
            a = inout(reg) a.as_ptr() => _, b = inout(reg) b.as_ptr() => _, to = inout(reg) to.as_mut_ptr() => _,
            n = inout(reg) blocks => _, in("s0") factor,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(nostack)
            );
        }
    }
    blocks * BLOCK
}

/// `w += rate·(dy·x)`.
#[inline(always)]
pub(super) fn descend(rate: f32, dy: f32, x: &[f32], w: &mut [f32]) -> usize {
    let blocks = x.len().min(w.len()) / BLOCK;
    if blocks > 0 {
        // SAFETY: whole blocks of both slices. The stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {x}!, {{s16-s23}}",
            "vmov.f32 s4, s2",
            "vfma.f32 s4, s16, s1",
            "vmov.f32 s5, s2",
            "vfma.f32 s5, s17, s1",
            "vmov.f32 s6, s2",
            "vfma.f32 s6, s18, s1",
            "vmov.f32 s7, s2",
            "vfma.f32 s7, s19, s1",
            "vmov.f32 s8, s2",
            "vfma.f32 s8, s20, s1",
            "vmov.f32 s9, s2",
            "vfma.f32 s9, s21, s1",
            "vmov.f32 s10, s2",
            "vfma.f32 s10, s22, s1",
            "vmov.f32 s11, s2",
            "vfma.f32 s11, s23, s1",
            "vldmia {w}, {{s24-s31}}",
            "vfma.f32 s24, s4, s0",
            "vfma.f32 s25, s5, s0",
            "vfma.f32 s26, s6, s0",
            "vfma.f32 s27, s7, s0",
            "vfma.f32 s28, s8, s0",
            "vfma.f32 s29, s9, s0",
            "vfma.f32 s30, s10, s0",
            "vfma.f32 s31, s11, s0",
            "vstmia {w}!, {{s24-s31}}",
            "subs {n}, {n}, #1",
            "bne 2b",
            x = inout(reg) x.as_ptr() => _, w = inout(reg) w.as_mut_ptr() => _, n = inout(reg) blocks => _,
            in("s0") rate, in("s1") dy, in("s2") 0.0f32,
            out("s4") _, out("s5") _, out("s6") _, out("s7") _, out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(nostack)
            );
        }
    }
    blocks * BLOCK
}

/// `m = p - (m - p)`.
#[inline(always)]
pub(super) fn mirror(p: &[f32], m: &mut [f32]) -> usize {
    let blocks = p.len().min(m.len()) / BLOCK;
    if blocks > 0 {
        // SAFETY: whole blocks of both slices. The stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {p}!, {{s16-s23}}",
            "vldmia {m}, {{s24-s31}}",
            "vsub.f32 s24, s24, s16",
            "vsub.f32 s24, s16, s24",
            "vsub.f32 s25, s25, s17",
            "vsub.f32 s25, s17, s25",
            "vsub.f32 s26, s26, s18",
            "vsub.f32 s26, s18, s26",
            "vsub.f32 s27, s27, s19",
            "vsub.f32 s27, s19, s27",
            "vsub.f32 s28, s28, s20",
            "vsub.f32 s28, s20, s28",
            "vsub.f32 s29, s29, s21",
            "vsub.f32 s29, s21, s29",
            "vsub.f32 s30, s30, s22",
            "vsub.f32 s30, s22, s30",
            "vsub.f32 s31, s31, s23",
            "vsub.f32 s31, s23, s31",
            "vstmia {m}!, {{s24-s31}}",
            "subs {n}, {n}, #1",
            "bne 2b",
            p = inout(reg) p.as_ptr() => _, m = inout(reg) m.as_mut_ptr() => _, n = inout(reg) blocks => _,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(nostack)
            );
        }
    }
    blocks * BLOCK
}

/// `to *= factor`.
#[inline(always)]
pub(super) fn scale(factor: f32, to: &mut [f32]) -> usize {
    let blocks = to.len() / LARGE;
    if blocks > 0 {
        // SAFETY: whole blocks of the slice. The stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {to}, {{s16-s31}}",
            "vmul.f32 s16, s16, s0",
            "vmul.f32 s17, s17, s0",
            "vmul.f32 s18, s18, s0",
            "vmul.f32 s19, s19, s0",
            "vmul.f32 s20, s20, s0",
            "vmul.f32 s21, s21, s0",
            "vmul.f32 s22, s22, s0",
            "vmul.f32 s23, s23, s0",
            "vmul.f32 s24, s24, s0",
            "vmul.f32 s25, s25, s0",
            "vmul.f32 s26, s26, s0",
            "vmul.f32 s27, s27, s0",
            "vmul.f32 s28, s28, s0",
            "vmul.f32 s29, s29, s0",
            "vmul.f32 s30, s30, s0",
            "vmul.f32 s31, s31, s0",
            "vstmia {to}!, {{s16-s31}}",
            "subs {n}, {n}, #1",
            "bne 2b",
            to = inout(reg) to.as_mut_ptr() => _, n = inout(reg) blocks => _, in("s0") factor,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(nostack)
            );
        }
    }
    blocks * LARGE
}

/// `v = g + momentum·v; p += rate·v`.
#[inline(always)]
pub(super) fn step(rate: f32, momentum: f32, g: &[f32], v: &mut [f32], p: &mut [f32]) -> usize {
    let blocks = g.len().min(v.len()).min(p.len()) / BLOCK;
    if blocks > 0 {
        // SAFETY: whole blocks of the three slices. The stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "2:",
            "vldmia {v}, {{s16-s23}}",
            "vldmia {g}!, {{s24-s31}}",
            "vfma.f32 s24, s16, s1",
            "vfma.f32 s25, s17, s1",
            "vfma.f32 s26, s18, s1",
            "vfma.f32 s27, s19, s1",
            "vfma.f32 s28, s20, s1",
            "vfma.f32 s29, s21, s1",
            "vfma.f32 s30, s22, s1",
            "vfma.f32 s31, s23, s1",
            "vstmia {v}!, {{s24-s31}}",
            "vldmia {p}, {{s16-s23}}",
            "vfma.f32 s16, s24, s0",
            "vfma.f32 s17, s25, s0",
            "vfma.f32 s18, s26, s0",
            "vfma.f32 s19, s27, s0",
            "vfma.f32 s20, s28, s0",
            "vfma.f32 s21, s29, s0",
            "vfma.f32 s22, s30, s0",
            "vfma.f32 s23, s31, s0",
            "vstmia {p}!, {{s16-s23}}",
            "subs {n}, {n}, #1",
            "bne 2b",
            g = inout(reg) g.as_ptr() => _, v = inout(reg) v.as_mut_ptr() => _, p = inout(reg) p.as_mut_ptr() => _,
            n = inout(reg) blocks => _, in("s0") rate, in("s1") momentum,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(nostack)
            );
        }
    }
    blocks * BLOCK
}

/// `sums[i] += x[16·j + i]²` for every j in order.
#[inline(always)]
pub(super) fn add_squares(x: &[f32], sums: &mut [f32; LARGE]) -> usize {
    let blocks = x.len() / LARGE;
    if blocks > 0 {
        // SAFETY: whole blocks of `x`, and the sixteen sums. The stack is not used, every register is named.
        unsafe {
            core::arch::asm!(
            "vldmia {sums}, {{s0-s15}}",
            "2:",
            "vldmia {x}!, {{s16-s31}}",
            "vfma.f32 s0, s16, s16",
            "vfma.f32 s1, s17, s17",
            "vfma.f32 s2, s18, s18",
            "vfma.f32 s3, s19, s19",
            "vfma.f32 s4, s20, s20",
            "vfma.f32 s5, s21, s21",
            "vfma.f32 s6, s22, s22",
            "vfma.f32 s7, s23, s23",
            "vfma.f32 s8, s24, s24",
            "vfma.f32 s9, s25, s25",
            "vfma.f32 s10, s26, s26",
            "vfma.f32 s11, s27, s27",
            "vfma.f32 s12, s28, s28",
            "vfma.f32 s13, s29, s29",
            "vfma.f32 s14, s30, s30",
            "vfma.f32 s15, s31, s31",
            "subs {n}, {n}, #1",
            "bne 2b",
            "vstmia {sums}, {{s0-s15}}",
            x = inout(reg) x.as_ptr() => _, sums = in(reg) sums.as_mut_ptr(), n = inout(reg) blocks => _,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _, out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _, out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(nostack)
            );
        }
    }
    blocks * LARGE
}

/// A kernel was given less than it computes with: a mistake of its caller, which the desktop's tests would have found.
#[cold]
fn too_short() {
    debug_assert!(false, "a row is too short");
}
